//! The settings of TLS.

use std::path::{Path, PathBuf};

use clap::{Args, builder::BoolishValueParser};
use serde::Serialize;

use super::Checks;
use crate::tls::{Files, Names};

/// The settings of TLS as they are written, not yet checked.
#[derive(Args, Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct TlsArguments {
    /// A file with the certificate to serve TLS with, and those it is signed by, in PEM; read again when it changes
    #[arg(long, env = "LODGE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// A file with the certificate's private key in PEM, readable by its owner alone
    #[arg(long, env = "LODGE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Serves TLS with a certificate that lodge makes for these host names and addresses, and prints its fingerprint
    #[arg(long, env = "LODGE_TLS_SELF_SIGNED", value_name = "NAME,...")]
    tls_self_signed: Option<String>,

    /// Refuses credentials that come over plain HTTP from another machine
    #[arg(long, env = "LODGE_REQUIRE_TLS", value_parser = BoolishValueParser::new())]
    pub(super) require_tls: bool,
}

/// Whether and with which certificate TLS is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSettings {
    /// Plain HTTP.
    Off,
    /// With these files.
    Files(Files),
    /// With a certificate of our own for these names.
    SelfSigned(Names),
}

impl TlsArguments {
    pub(super) fn checked(&self, checks: &mut Checks) -> Option<TlsSettings> {
        match (&self.tls_cert, &self.tls_key, &self.tls_self_signed) {
            (None, None, None) => Some(TlsSettings::Off),
            (Some(certificate), Some(key), None) => checked_files(certificate, key, checks),
            (None, None, Some(names)) => {
                checks.note("tls-self-signed", Names::parse(names)).map(TlsSettings::SelfSigned)
            }
            (Some(_), None, None) => checks.refuse("tls-cert", "its key is needed too (--tls-key)"),
            (None, Some(_), None) => checks.refuse("tls-key", "its certificate is needed too (--tls-cert)"),
            (_, _, Some(_)) => {
                checks.refuse("tls-self-signed", "it cannot be given together with --tls-cert or --tls-key")
            }
        }
    }
}

fn checked_files(certificate: &Path, key: &Path, checks: &mut Checks) -> Option<TlsSettings> {
    let files = Files { certificate: certificate.to_owned(), key: key.to_owned() };
    let chain = checks.note("tls-cert", files.read_certificates().map_err(|error| error.told()));
    let private = checks.note("tls-key", files.read_key().map_err(|error| error.told()));
    checks.note("tls-key", files.pair(chain?, private?).map_err(|error| error.told()))?;
    Some(TlsSettings::Files(files))
}
