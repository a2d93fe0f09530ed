//! The clock of the machine.

use super::{Check, Finding, Severity};
use crate::{clock::Timestamp, system::is_clock_synchronised};

/// When this version was made, 2026-11-27: a clock before it is wrong.
const MADE: Timestamp = Timestamp::from_secs(1_795_737_600);

/// The clock, and whether the kernel knows it to be synchronised; `None` if the kernel does not answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct MachineClock {
    now: Timestamp,
    is_synchronised: Option<bool>,
}

impl MachineClock {
    pub(super) fn observe(now: Timestamp) -> Self {
        Self { now, is_synchronised: is_clock_synchronised() }
    }
}

pub(super) fn findings(clock: &MachineClock) -> Vec<Finding> {
    let is_early = clock.now < MADE;
    let early = is_early.then(|| {
        let problem = format!("the clock of this machine shows {}, before this version of lodge was made", clock.now);
        let advice = "set the clock: certificates and expiries are judged wrongly, and sessions that are opened now end when it \
                      is set";
        Finding::new(Severity::Error, Check::Clock, problem, advice)
    });
    let unsynchronised = (clock.is_synchronised == Some(false)).then(|| {
        let advice = "run a time service, such as systemd-timesyncd, or chrony with `rtcsync`; on a guest whose host sets its \
                      clock, this may be ignored";
        Finding::new(Severity::Note, Check::Clock, "the clock of this machine is not synchronised", advice)
    });
    early.into_iter().chain(unsynchronised).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn severities(now: Timestamp, is_synchronised: Option<bool>) -> Vec<Severity> {
        findings(&MachineClock { now, is_synchronised }).into_iter().map(|finding| finding.severity).collect()
    }

    #[test]
    fn a_clock_before_this_version_was_made_is_an_error() {
        assert_eq!(MADE.to_string(), "2026-11-27T00:00:00.000Z");
        assert_eq!(severities(Timestamp::from_secs(0), Some(true)), [Severity::Error]);
        assert_eq!(severities(Timestamp::from_millis(MADE.as_millis() - 1), None), [Severity::Error]);
        assert_eq!(severities(MADE, Some(true)), []);
    }

    #[test]
    fn a_clock_that_is_known_not_to_be_synchronised_is_a_note() {
        assert_eq!(severities(MADE, Some(false)), [Severity::Note]);
        assert_eq!(severities(MADE, None), []);
    }
}
