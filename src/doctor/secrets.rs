//! The files with secrets, and who can read them.

use std::{io, path::PathBuf};

use super::{Check, Finding, Severity};
use crate::{
    config::Settings,
    directory::store_in,
    files::{NotPrivate, read_private},
};

/// A file with a secret, and whether it is this server's alone.
#[derive(Debug)]
pub(super) struct SecretFile {
    /// What it holds, such as `the server's secret`.
    what: &'static str,
    path: PathBuf,
    is_needed: bool,
    /// What its loss to another user needs, besides a change of its mode.
    if_known: &'static str,
    read: io::Result<Result<(), NotPrivate>>,
}

/// The files with secrets that these settings name.
pub(super) fn files(settings: &Settings) -> Vec<SecretFile> {
    let file = |what, path: PathBuf, is_needed, if_known| {
        let read = read_private(&path).map(|read| read.map(|_| ()));
        SecretFile { what, path, is_needed, if_known, read }
    };
    let has_store = store_in(&settings.data_dir).exists();
    let secret = ("the server's secret", settings.secret_path(), has_store, "`lodge secret rotate`");
    let password = settings.data_dir.join("initial-admin-password");
    let password = ("the first administrator's password", password, false, "a new password for that administrator");
    [secret, password].map(|(what, path, is_needed, if_known)| file(what, path, is_needed, if_known)).into()
}

pub(super) fn finding(file: &SecretFile) -> Option<Finding> {
    let (problem, advice) = match &file.read {
        Ok(Ok(())) => return None,
        Ok(Err(why)) => of_others(file, *why),
        Err(error) if error.kind() == io::ErrorKind::NotFound => file
            .is_needed
            .then(|| ("is missing".to_owned(), "put the file back; if it is lost: `lodge secret rotate`".to_owned()))?,
        Err(error) => (format!("cannot be read: {error}"), "run this as the server's user or as root".to_owned()),
    };
    let problem = format!("{} in {} {problem}", file.what, file.path.display());
    Some(Finding::new(Severity::Error, Check::Secrets, problem, advice))
}

fn of_others(SecretFile { path, if_known, .. }: &SecretFile, why: NotPrivate) -> (String, String) {
    let path = path.display();
    match why {
        NotPrivate::Exposed(mode) => (
            format!("can be read by others (mode {mode:03o})"),
            format!("chmod 600 {path}; if they may have read it, it needs {if_known} too"),
        ),
        NotPrivate::RootsExposed(mode) => (
            format!("belongs to root and can be read by others (mode {mode:03o})"),
            format!(
                "give it the mode 440 and one of the server's groups; if others may have read it, it needs {if_known} too"
            ),
        ),
        NotPrivate::Foreign(uid) => (
            format!("belongs to another user of this system (uid {uid}), who knows it"),
            format!("chown {path} to the server's user; then it needs {if_known} too"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(is_needed: bool, read: io::Result<Result<(), NotPrivate>>) -> Option<(Severity, String)> {
        let (what, if_known) = ("the server's secret", "`lodge secret rotate`");
        let file = SecretFile { what, path: "/data/secret".into(), is_needed, if_known, read };
        finding(&file).map(|finding| (finding.severity, finding.problem))
    }

    fn error(problem: &str) -> (Severity, String) {
        (Severity::Error, format!("the server's secret in /data/secret {problem}"))
    }

    #[test]
    fn a_secret_that_others_can_read_or_own_is_an_error() {
        assert_eq!(found(true, Ok(Ok(()))), None);
        assert_eq!(found(true, Ok(Err(NotPrivate::Exposed(0o644)))), Some(error("can be read by others (mode 644)")));
        let roots = "belongs to root and can be read by others (mode 444)";
        assert_eq!(found(true, Ok(Err(NotPrivate::RootsExposed(0o444)))), Some(error(roots)));
        let foreign = "belongs to another user of this system (uid 7), who knows it";
        assert_eq!(found(true, Ok(Err(NotPrivate::Foreign(7)))), Some(error(foreign)));
    }

    #[test]
    fn a_missing_secret_is_an_error_only_once_it_has_been_used() {
        let missing = || Err(io::ErrorKind::NotFound.into());

        assert_eq!(found(true, missing()), Some(error("is missing")));
        assert_eq!(found(false, missing()), None);
        assert_eq!(found(false, Err(io::Error::other("broken"))), Some(error("cannot be read: broken")));
    }
}
