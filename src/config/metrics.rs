//! The address that metrics are served on without a credential.

use std::net::SocketAddr;

use super::setting::{Checks, Written};

/// Where metrics are served without a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMetrics {
    /// Nowhere.
    Off,
    /// At that address.
    At(SocketAddr),
}

impl OpenMetrics {
    /// The address, if there is one.
    #[must_use]
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

/// The address, unless it is one that other machines reach without leave.
pub(super) fn checked(written: &Written, checks: &mut Checks) -> Option<OpenMetrics> {
    let text = written.get("metrics_listen").map(|text| text.to_string_lossy());
    // An invalid address is reported with its own setting.
    let Some(address) = text.and_then(|text| text.parse::<SocketAddr>().ok()) else { return Some(OpenMetrics::Off) };
    let is_public = written.get("metrics_public").is_some_and(|text| text == "true");
    if is_public || address.ip().to_canonical().is_loopback() {
        return Some(OpenMetrics::At(address));
    }
    let why =
        format!("other machines reach {address}, and need no credential there; give --metrics-public if they may");
    checks.note("metrics_listen", Err(why))
}
