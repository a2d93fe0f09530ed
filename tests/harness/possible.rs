//! What can be tested on this machine.

use rustix::process::geteuid;

/// Whether that can be tested. Where something is missing, this is printed, or the test fails if `LODGE_TEST_EVERYTHING` is
/// set.
#[track_caller]
pub fn is_possible(test: &str, missing: Option<&str>) -> bool {
    if let Some(missing) = missing {
        assert!(std::env::var_os("LODGE_TEST_EVERYTHING").is_none(), "{test}: {missing}");
        eprintln!("left out: {test}: {missing}");
    }
    missing.is_none()
}

/// Whether that can be tested, which takes root.
#[track_caller]
pub fn is_root(test: &str) -> bool {
    is_possible(test, (!geteuid().is_root()).then_some("this is not root"))
}
