//! The self-signed certificate, which is stored in the data directory.

use std::{fmt, fs, io, net::IpAddr, os::unix::fs::DirBuilderExt, path::Path, time::Duration};

use data_encoding::HEXUPPER;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, DnsName};
use thiserror::Error;
use time::OffsetDateTime;

use super::{Files, end};
use crate::{clock::Timestamp, files::write_private};

/// The lifetime of the certificate: the longest that browsers and systems accept of one that is trusted by hand.
const LIFETIME: Duration = Duration::from_hours(825 * 24);
/// How long before its end the certificate is renewed.
const MARGIN: Duration = Duration::from_hours(60 * 24);
/// How far in the past the certificate's beginning is, for clients whose clocks are behind.
const BACKDATED: Duration = Duration::from_hours(24);

/// The host names and addresses that a certificate is for, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Parses names that are separated by commas.
    ///
    /// # Errors
    /// A sentence that names the invalid one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut names: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
            let is_name = name.parse::<IpAddr>().is_ok() || DnsName::try_from(name).is_ok();
            if !is_name {
                return Err(format!("`{}` is not a host name or an address", name.escape_default()));
            }
            if !names.iter().any(|given| given == name) {
                names.push(name.to_owned());
            }
        }
        Ok(Self(names))
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

/// Why a certificate cannot be created.
#[derive(Debug, Error)]
pub enum SelfSignedError {
    /// The names are invalid, or the system's random generator failed.
    #[error("a certificate for {names} cannot be created")]
    Making {
        /// The names of the certificate.
        names: Names,
        /// Why.
        source: rcgen::Error,
    },
    /// It cannot be written.
    #[error("the certificate cannot be stored in the data directory")]
    Keeping(#[from] io::Error),
}

/// The files of the certificate in a data directory.
fn in_data_dir(data_dir: &Path) -> Files {
    let directory = data_dir.join("tls");
    Files { certificate: directory.join("cert.pem"), key: directory.join("key.pem") }
}

/// The files of a certificate for those names, which is created or renewed if it is missing, for other names, or near
/// its end.
///
/// # Errors
/// [`SelfSignedError`].
pub fn keep(data_dir: &Path, names: &Names, now: Timestamp) -> Result<Files, SelfSignedError> {
    let files = in_data_dir(data_dir);
    if !is_good(&files, names, now) {
        make(&files, names, now)?;
    }
    Ok(files)
}

/// The SHA-256 fingerprint of a certificate, as browsers show it.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
    let bytes: Vec<_> = digest.as_ref().iter().map(|byte| HEXUPPER.encode(&[*byte])).collect();
    bytes.join(":")
}

/// Whether the files are valid, for those names, and not near their end.
fn is_good(files: &Files, names: &Names, now: Timestamp) -> bool {
    let Ok(text) = fs::read_to_string(&files.certificate) else { return false };
    let is_for_them = text.lines().next() == Some(&for_line(names));
    let until = files.load().ok().and_then(|pair| end(pair.cert.first()?));
    is_for_them && until.is_some_and(|until| is_timely(until, now))
}

/// Whether the server's own certificate with that end need not be created again yet.
pub(super) fn is_timely(end: Timestamp, now: Timestamp) -> bool {
    // A certificate that lasts longer than a new one would was created while the clock was ahead, and is not valid yet.
    now.after(MARGIN) < end && end <= now.after(LIFETIME)
}

/// The first line of the file, before the PEM, which names what the certificate is for (RFC 7468 permits such lines).
fn for_line(names: &Names) -> String {
    format!("Made by lodge for {names}")
}

fn make(files: &Files, names: &Names, now: Timestamp) -> Result<(), SelfSignedError> {
    let until = Timestamp::from_secs(now.as_secs() + LIFETIME.as_secs());
    let (certificate, key) =
        signed(names, now, until).map_err(|source| SelfSignedError::Making { names: names.clone(), source })?;
    let text = format!("{}\nIt lasts until {until}\n{certificate}", for_line(names));
    if let Some(directory) = files.certificate.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    // After a crash in between, the old certificate does not belong to the new key, and both are created again.
    write_private(&files.key, key.serialize_pem().as_bytes())?;
    write_private(&files.certificate, text.as_bytes())?;
    Ok(())
}

fn signed(names: &Names, now: Timestamp, until: Timestamp) -> Result<(String, KeyPair), rcgen::Error> {
    let moment = |secs: u64| {
        let secs = i64::try_from(secs).ok().and_then(|secs| OffsetDateTime::from_unix_timestamp(secs).ok());
        secs.ok_or(rcgen::Error::Time)
    };
    let mut params = CertificateParams::new(names.0.clone())?;
    params.not_before = moment(now.as_secs().saturating_sub(BACKDATED.as_secs()))?;
    params.not_after = moment(until.as_secs())?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, names.0[0].clone());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(directory: &Path, names: &str, now: Timestamp) -> String {
        let files = keep(directory, &Names::parse(names).unwrap(), now).unwrap();
        fingerprint(&files.read_certificates().unwrap()[0])
    }

    #[test]
    fn names_are_host_names_or_addresses() {
        assert_eq!(Names::parse("lodge.example.org, 10.0.0.7,::1, ::1").unwrap().0.len(), 3);
        for wrong in ["", "a,", "a b", "https://a", "a:80", "[::1]", "a\nb", "-", "10.0.0.7/8"] {
            assert!(Names::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_certificate_is_kept_while_it_is_for_the_same_names_and_not_near_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let start = Timestamp::from_secs(1_800_000_000);
        let later = |days: u64| Timestamp::from_secs(start.as_secs() + days * 86_400);

        let first = kept(directory, "localhost,127.0.0.1", start);

        assert_eq!(kept(directory, "localhost,127.0.0.1", later(764)), first);
        assert_ne!(kept(directory, "localhost,127.0.0.1", later(766)), first);
        assert_ne!(kept(directory, "localhost", later(766)), first);
    }

    #[test]
    fn a_certificate_without_its_key_is_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::from_secs(1_800_000_000);
        let first = kept(directory.path(), "localhost", now);
        fs::remove_file(in_data_dir(directory.path()).key).unwrap();

        assert_ne!(kept(directory.path(), "localhost", now), first);
    }
}
