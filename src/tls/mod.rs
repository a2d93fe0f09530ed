//! TLS: the served certificate, which is reloaded when its files change.

mod any_certificate;
mod self_signed;
mod served;

use std::{
    fs::{self, File},
    io::{self, Read},
    ops::RangeInclusive,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::{
    any_certificate::client,
    self_signed::{Names, SelfSignedError, fingerprint, keep},
    served::{Certificate, Renewal, WARN_BEFORE},
};
use crate::{
    clock::Timestamp,
    files::{NotPrivate, open_file, read_private, without_marks},
};

/// The maximum size of a file with certificates or a key.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// The files of a certificate and its key, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, followed by those it is signed by.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate and its key cannot be used.
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
    /// Another user may know the key.
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
    /// The key or the certificate is of an unsupported kind, or they do not belong together.
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

    /// The key in its file, which must be private; see [`read_private`].
    ///
    /// # Errors
    /// [`TlsError::Unreadable`], [`TlsError::NotPrivate`], [`TlsError::NoKey`].
    pub fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let path = &self.key;
        let read = read_private(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source })?;
        let text = read.map_err(|why| TlsError::NotPrivate { path: path.clone(), why })?;
        let text = without_marks(&text).map_err(|source| TlsError::Unreadable { path: path.clone(), source })?;
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

    /// The first and the last second of the certificate; `None` if it cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<RangeInclusive<Timestamp>> {
        let chain = self.read_certificates().ok()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
        let moment = |time: i64| Timestamp::from_secs(u64::try_from(time).unwrap_or(0));
        let validity = certificate.validity();
        Some(moment(validity.not_before.timestamp())..=moment(validity.not_after.timestamp()))
    }

    fn load(&self) -> Result<CertifiedKey, TlsError> {
        self.pair(self.read_certificates()?, self.read_key()?)
    }

    fn stamps(&self) -> Stamps {
        [&self.certificate, &self.key].map(|path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
        })
    }
}

/// The device, inode, size and time of the last status change of each file, which differ after a replacement and after a
/// change of contents or mode. `None` for a missing file.
type Stamps = [Option<(u64, u64, u64, i64, i64)>; 2];

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let mut bytes = Zeroizing::new(Vec::new());
    let read = open_file(path).and_then(|file| read_bounded(file, &mut bytes)).and_then(|_| without_marks(&bytes));
    read.map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// Reads a file, unless it is larger than [`MAX_FILE_BYTES`].
fn read_bounded(file: File, bytes: &mut Vec<u8>) -> io::Result<usize> {
    if file.metadata()?.len() > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_FILE_BYTES} bytes")));
    }
    file.take(MAX_FILE_BYTES).read_to_end(bytes)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The last second of a certificate; `None` if it cannot be read.
fn end(certificate: &CertificateDer<'static>) -> Option<Timestamp> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(Timestamp::from_secs(u64::try_from(certificate.validity().not_after.timestamp()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown};

    use super::*;
    use crate::{error_chain::chain, files::tests::is_root};

    #[test]
    fn files_with_byte_order_marks_and_line_ends_of_any_kind_are_read_whole_and_utf16_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::parse("localhost").unwrap();
        let files = keep(directory.path(), &names, Timestamp::from_secs(1_800_000_000)).unwrap();
        let [certificate, key] = [&files.certificate, &files.key].map(|path| fs::read_to_string(path).unwrap());
        let [marked, twice] = [1, 2].map(|times| format!("\u{feff}{certificate}").repeat(times));

        for (text, expected) in
            [(marked, 1), (twice.clone(), 2), (twice.replace('\n', "\r\n"), 2), (twice.replace('\n', "\r"), 2)]
        {
            fs::write(&files.certificate, text).unwrap();
            assert_eq!(files.read_certificates().unwrap().len(), expected);
        }
        fs::write(&files.key, format!("\u{feff}{key}")).unwrap();
        files.read_key().unwrap();

        let utf16 = certificate.encode_utf16().flat_map(u16::to_le_bytes);
        fs::write(&files.certificate, [0xff, 0xfe].into_iter().chain(utf16).collect::<Vec<_>>()).unwrap();
        let refused = chain(&files.read_certificates().unwrap_err());
        assert!(refused.ends_with("cannot be read: it is text in UTF-16; save it as UTF-8"), "{refused}");
    }

    #[test]
    fn a_private_key_of_another_user_is_refused() {
        if !is_root("files that belong to others") {
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
