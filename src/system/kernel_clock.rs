//! What the kernel knows of its clock.

use std::mem::MaybeUninit;

/// Whether a time service keeps the clock of this machine; `None` if the kernel does not answer, as in some containers.
#[must_use]
#[expect(unsafe_code, reason = "without modes, adjtimex(2) only reads; all zeros are a valid timex")]
pub fn is_clock_synchronised() -> Option<bool> {
    let mut timex = unsafe { MaybeUninit::<libc::timex>::zeroed().assume_init() };
    let state = unsafe { libc::adjtimex(&raw mut timex) };
    (state >= 0).then_some(timex.status & libc::STA_UNSYNC == 0)
}
