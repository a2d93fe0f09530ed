//! TLS: the certificate that is served, kept up to date with its files.

mod pinned;
mod self_signed;

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use thiserror::Error;
use tokio::time;
use zeroize::Zeroizing;

pub use self::{
    pinned::client,
    self_signed::{Names, SelfSignedError, fingerprint, in_data_dir, keep},
};
use crate::{
    error_chain::chain,
    files::{NotPrivate, open_file, read_private},
};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those it is signed by.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Files that cannot be served with.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else may have read or made the key.
    #[error("{} {why}", path.display())]
    NotPrivate {
        /// The key's file.
        path: PathBuf,
        /// Why.
        why: NotPrivate,
    },
    /// There is no certificate in the file.
    #[error("{} holds no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// There is no key in the file.
    #[error("{} holds no private key in PEM without a password", .0.display())]
    NoKey(PathBuf),
    /// The key or the certificate is not of a kind that can be used, or the one does not belong to the other.
    #[error("{} and {} cannot be used together", certificate.display(), key.display())]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl TlsError {
    /// The error and its causes in one sentence.
    #[must_use]
    pub fn told(&self) -> String {
        chain(self)
    }
}

impl Files {
    /// The certificates in their file, the served one first.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`], [`TlsError::NoCertificate`].
    pub fn read_certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = read(&self.certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        chain.ok_or_else(|| TlsError::NoCertificate(self.certificate.clone()))
    }

    /// The key in its file, which only its owner may read: this process's user, or root.
    ///
    /// # Errors
    /// [`TlsError::Unreadable`], [`TlsError::NotPrivate`], [`TlsError::NoKey`].
    pub fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let path = &self.key;
        let read = read_private(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source })?;
        let text = read.map_err(|why| TlsError::NotPrivate { path: path.clone(), why })?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoKey(path.clone()))
    }

    /// The certificate with its key, if they belong together.
    ///
    /// # Errors
    /// [`TlsError::Unusable`].
    pub fn pair(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<CertifiedKey, TlsError> {
        CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|source| TlsError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            source,
        })
    }

    fn load(&self) -> Result<CertifiedKey, TlsError> {
        self.pair(self.read_certificates()?, self.read_key()?)
    }

    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
        })
    }
}

/// What tells files from those that take their place, and from what they were before something was done to them, a change of
/// their mode too: device, inode and time of the last change. `None` for one that is not there.
type Stamps = [Option<(u64, u64, i64, i64)>; 2];

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = open_file(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })?;
    Ok(bytes)
}

/// The certificate that is served now.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    /// From before the files were read first.
    first: Stamps,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// The certificate in those files.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be served.
    pub fn open(files: Files) -> Result<Arc<Self>, TlsError> {
        let first = files.stamps();
        let current = RwLock::new(Arc::new(files.load()?));
        Ok(Arc::new(Self { files, first, current }))
    }

    /// What a server needs to speak TLS 1.2 and 1.3 with it; HTTP/1.1 is all that is spoken inside.
    ///
    /// # Panics
    /// Never: the versions are ones that the provider has.
    #[must_use]
    pub fn server(self: &Arc<Self>) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions that are the default");
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    /// Takes over what is put in place of the files, for ever; what cannot be served is logged and not taken.
    pub async fn follow(self: Arc<Self>) {
        let mut seen = self.first;
        loop {
            let present = self.files.stamps();
            if present != seen {
                seen = present;
                self.take_over();
            }
            time::sleep(LOOK_EVERY).await;
        }
    }

    fn take_over(&self) {
        match self.files.load() {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                log::info!("the certificate was read again: {}", self.files.certificate.display());
            }
            Err(error) => log::error!("the certificate is served as it was: {}", error.told()),
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use futures_util::FutureExt;

    use super::*;
    use crate::clock::Timestamp;

    #[tokio::test]
    async fn files_that_change_before_they_are_followed_are_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let made_for = |name: &str| {
            let names = Names::parse(name).unwrap();
            keep(directory.path(), &names, Timestamp::from_secs(1_800_000_000)).unwrap()
        };
        let certificate = Certificate::open(made_for("first.example")).unwrap();
        let files = made_for("second.example");

        assert_eq!(Arc::clone(&certificate).follow().now_or_never(), None);

        let served = Arc::clone(&certificate.current.read().unwrap());
        assert_eq!(served.cert, files.read_certificates().unwrap());
    }

    #[test]
    fn a_key_that_somebody_else_may_have_planted_is_refused_though_only_they_can_read_it() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let names = Names::parse("localhost").unwrap();
        let files = keep(directory.path(), &names, Timestamp::from_secs(1_800_000_000)).unwrap();
        chown(&files.key, Some(65_532), None).unwrap();
        fs::set_permissions(files.key.parent().unwrap(), fs::Permissions::from_mode(0o1777)).unwrap();

        let refused = files.read_key().unwrap_err().to_string();

        let whose = "belongs to another user of this system (uid 65532); make it yours: chown";
        assert_eq!(refused, format!("{} {whose}", files.key.display()));
    }
}
