//! The failures of commands, and their exit codes.

use std::{io, path::PathBuf};

use thiserror::Error;

use super::memory::NotEnoughMemory;
use crate::{
    admin_socket::AdminSocketError,
    audit::AuditError,
    backup::{BackupError, BackupFileError, RebuildError},
    config::SettingsError,
    directory::DirectoryError,
    error_chain::chain,
    logging::{self, printable},
    secret::SecretError,
    server::NotBound,
    service::{first_start::FirstStartError, replace::ReplaceError},
    service_manager::PassedSocketError,
    store::{StoreError, engine::EngineError, sled::OpenError},
    tls::{SelfSignedError, TlsError},
};

/// Why a command failed.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("these settings cannot be used:\n{0}")]
    Settings(SettingsError),
    #[error(transparent)]
    Memory(#[from] NotEnoughMemory),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("a restore was interrupted: the store is in {}; restore again, or move it back to `store`", .0.display())]
    Interrupted(PathBuf),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("TLS cannot be served")]
    Tls(#[from] TlsError),
    #[error(transparent)]
    SelfSigned(#[from] SelfSignedError),
    #[error("the first administrator cannot be created")]
    FirstStart(#[from] FirstStartError),
    #[error("the address {address} cannot be listened on")]
    Address {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    PassedSocket(#[from] PassedSocketError),
    #[error("a file in the data directory cannot be written")]
    File(#[source] io::Error),
    #[error("the signals of the process cannot be handled")]
    Signals(#[source] io::Error),
    #[error("a thread cannot be started")]
    Thread(#[source] io::Error),
    #[error(
        "the disk of the data directory has too little room: a new store needs --disk-reserve and --ballast beside what it \
         holds; make room, or set them lower"
    )]
    DiskFull,
    #[error("the storage has failed, and nothing more can be written")]
    StorageFailed(#[source] EngineError),
    #[error("the server at {address} is not ready: {why}")]
    NotReady { address: String, why: String },
    #[error("the store is inconsistent: {0}")]
    Unsound(String),
    #[error(transparent)]
    Backup(#[from] BackupFileError),
    #[error("the running server cannot be asked")]
    Asked(#[source] AdminSocketError),
    #[error("the backup cannot be restored, and nothing was changed")]
    Restore(#[source] ReplaceError<RestoreError>),
    #[error("the damaged store cannot be salvaged")]
    Salvage(#[source] ReplaceError<RebuildError>),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error("the audit log is not what was written: {0}")]
    Tampered(String),
    #[error("{errors} errors and {warnings} warnings were found")]
    Findings { errors: usize, warnings: usize },
    #[error("{0} records differ; nothing was changed")]
    Differs(usize),
    #[error("the credential does not pass")]
    DoesNotPass,
    #[error("standard output cannot be written to")]
    Output(#[source] io::Error),
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    #[error("{0}")]
    Refused(String),
}

/// A backup that cannot be made a store.
#[derive(Debug, Error)]
pub(super) enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Rebuild(#[from] RebuildError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            error => Self::Store(error),
        }
    }
}

impl From<NotBound> for Failure {
    fn from(NotBound { address, source }: NotBound) -> Self {
        Self::Address { address, source }
    }
}

/// A running server to which no connection can be made, or that does not answer.
pub(super) fn asked(error: io::Error) -> Failure {
    Failure::Asked(error.into())
}

impl Failure {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NotReady { .. }
            | Self::Unsound(_)
            | Self::Tampered(_)
            | Self::Refused(_)
            | Self::Asked(AdminSocketError::Refused { .. }) => 1,
            Self::Settings(_) | Self::Memory(_) | Self::FirstStart(FirstStartError::Password(_)) | Self::Differs(_) => {
                2
            }
            Self::Findings { errors: 0, .. } => 3,
            Self::Findings { .. } => 4,
            Self::DoesNotPass => 5,
            Self::Directory(
                DirectoryError::NotADirectory(_)
                | DirectoryError::NotADataDirectory { .. }
                | DirectoryError::Unreachable { .. }
                | DirectoryError::Io { .. },
            )
            | Self::Interrupted(_)
            | Self::Open(OpenError::Io { .. })
            | Self::Thread(_)
            | Self::Signals(_)
            | Self::File(_)
            | Self::Output(_)
            | Self::Input(_)
            | Self::Audit(AuditError::Io { .. } | AuditError::Out(_))
            | Self::SelfSigned(_)
            | Self::FirstStart(FirstStartError::File { .. }) => 10,
            Self::Directory(DirectoryError::InUse(_)) | Self::Open(OpenError::InUse(_)) => 11,
            Self::Open(OpenError::Damaged { .. } | OpenError::Lost { .. } | OpenError::TooNew { .. })
            | Self::StorageFailed(EngineError::Lost(_))
            | Self::Store(_)
            | Self::Audit(AuditError::Store(_))
            | Self::Salvage(_) => 12,
            Self::Secret(_) | Self::Tls(_) => 13,
            Self::Address { .. } | Self::PassedSocket(_) => 14,
            Self::StorageFailed(_) | Self::FirstStart(FirstStartError::Service(_) | FirstStartError::Store(_)) => 15,
            Self::Directory(DirectoryError::Foreign(_) | DirectoryError::Roots { .. }) => 16,
            Self::Directory(DirectoryError::ReadOnly { .. }) | Self::DiskFull => 17,
            Self::Backup(_) | Self::Asked(_) | Self::Restore(_) => 18,
        }
    }

    /// Prints the failure, its causes and some advice to standard error.
    pub(super) fn report(&self) {
        // A part of the text may come from another process.
        let lines: Vec<_> = chain(self).lines().map(|line| printable(line).into_owned()).collect();
        logging::report(&lines.join("\n"));
        if let Some(advice) = self.advice() {
            logging::report(advice);
        }
    }

    fn advice(&self) -> Option<&'static str> {
        let is_damaged = matches!(
            self,
            Self::Open(OpenError::Damaged { .. } | OpenError::Lost { .. }) | Self::StorageFailed(EngineError::Lost(_))
        );
        if is_damaged {
            return Some(
                "restore a backup with `lodge restore`, or continue with the remaining records with `lodge serve --accept-loss`",
            );
        }
        matches!(self, Self::Salvage(_)).then_some(
            "restore a backup with `lodge restore`, or move the directory `store` away to begin with an empty one",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_server_has_the_code_of_refusals_and_a_broken_answer_another() {
        let refused = AdminSocketError::Refused { status: 403, sentence: "No.".to_owned() };
        let broken = [AdminSocketError::Unreadable, AdminSocketError::Failed("the disk".to_owned())];
        assert_eq!(Failure::Asked(refused).exit_code(), 1);
        assert_eq!(broken.map(|error| Failure::Asked(error).exit_code()), [18, 18]);
    }
}
