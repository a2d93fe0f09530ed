//! The address that metrics are served on without a credential.

use std::net::SocketAddr;

use super::setting::{Checks, Written};

/// The address, unless it is one that other machines reach without leave.
pub(super) fn checked(written: &Written, checks: &mut Checks) -> Option<Option<SocketAddr>> {
    let text = written.get("metrics_listen").map(|text| text.to_string_lossy());
    // An invalid address is reported with its own setting.
    let Some(address) = text.and_then(|text| text.parse::<SocketAddr>().ok()) else { return Some(None) };
    let is_public = written.get("metrics_public").is_some_and(|text| text == "true");
    if is_public || address.ip().to_canonical().is_loopback() {
        return Some(Some(address));
    }
    let why =
        format!("other machines reach {address}, and need no credential there; give --metrics-public if they may");
    checks.note("metrics_listen", Err(why))
}
