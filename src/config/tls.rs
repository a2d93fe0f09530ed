//! The settings of TLS.

use std::path::Path;

use super::setting::{Checks, Written};
use crate::{
    error_chain::chain,
    tls::{Files, Names},
};

/// Whether and with which certificate TLS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSettings {
    /// Plain HTTP.
    Off,
    /// With these files.
    Files(Files),
    /// With a self-signed certificate for these names.
    SelfSigned(Names),
}

pub(super) fn checked(written: &Written, checks: &mut Checks) -> Option<TlsSettings> {
    let path = |name| written.get(name).map(Path::new);
    let names = written.get("tls_self_signed").map(|names| names.to_string_lossy());
    match (path("tls_cert"), path("tls_key"), names) {
        (None, None, None) => Some(TlsSettings::Off),
        (Some(certificate), Some(key), None) => checked_files(certificate, key, checks),
        // Invalid names are reported with their own setting.
        (None, None, Some(names)) => Names::parse(&names).ok().map(TlsSettings::SelfSigned),
        (Some(_), None, None) => refuse(checks, "tls_cert", "its key is needed too (--tls-key)"),
        (None, Some(_), None) => refuse(checks, "tls_key", "its certificate is needed too (--tls-cert)"),
        (_, _, Some(_)) => {
            refuse(checks, "tls_self_signed", "it cannot be given together with --tls-cert or --tls-key")
        }
    }
}

fn refuse(checks: &mut Checks, name: &str, why: &str) -> Option<TlsSettings> {
    checks.note(name, Err(why.to_owned()))
}

fn checked_files(certificate: &Path, key: &Path, checks: &mut Checks) -> Option<TlsSettings> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let certificates = checks.note("tls_cert", files.read_certificates().map_err(|error| chain(&error)));
    let private = checks.note("tls_key", files.read_key().map_err(|error| chain(&error)));
    certificates.and(private)?;
    checks.note("tls_key", files.load_in_time().map_err(|error| chain(&error)))?;
    Some(TlsSettings::Files(files))
}
