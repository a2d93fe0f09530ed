//! The time in which the certificate is valid.

use std::{ops::RangeInclusive, path::Path};

use super::{Check, Finding, Severity};
use crate::{clock::Timestamp, tls::WARN_BEFORE};

/// The finding about the certificate in that file; `None` as its validity if it cannot be read.
pub(super) fn findings(file: &Path, validity: Option<RangeInclusive<Timestamp>>, now: Timestamp) -> Vec<Finding> {
    let finding = |severity, problem: String, advice: &str| {
        vec![Finding::new(
            severity,
            Check::Certificate,
            format!("the certificate {} {problem}", file.display()),
            advice,
        )]
    };
    let renew = "renew it; a running server reads the new files within seconds";
    let Some(validity) = validity else {
        return finding(Severity::Error, "cannot be read".to_owned(), "name a certificate in PEM with --tls-cert");
    };
    let (begin, end) = validity.into_inner();
    if end <= now {
        finding(Severity::Error, format!("expired at {end}, and clients refuse it"), renew)
    } else if now < begin {
        finding(Severity::Error, format!("is valid only from {begin} on"), "set the clock of this machine, or wait")
    } else if end <= now.after(WARN_BEFORE) {
        finding(Severity::Warning, format!("expires at {end}"), renew)
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_its_beginning_and_its_end() {
        const DAY: u64 = 86_400;
        let begin = Timestamp::from_secs(1_800_000_000);
        let at = |days: u64| Timestamp::from_secs(begin.as_secs() + days * DAY);
        let found = |now: Timestamp| {
            let findings = findings(Path::new("cert.pem"), Some(begin..=at(90)), now);
            findings.into_iter().map(|finding| (finding.severity, finding.problem)).collect::<Vec<_>>()
        };

        assert_eq!([found(begin), found(at(75))], [vec![], vec![]]);
        let soon = format!("the certificate cert.pem expires at {}", at(90));
        assert_eq!(found(at(76)), [(Severity::Warning, soon)]);
        let past = format!("the certificate cert.pem expired at {}, and clients refuse it", at(90));
        assert_eq!(found(at(90)), [(Severity::Error, past)]);
        let early = format!("the certificate cert.pem is valid only from {begin} on");
        assert_eq!(found(Timestamp::from_secs(begin.as_secs() - 1)), [(Severity::Error, early)]);
    }

    #[test]
    fn a_certificate_that_cannot_be_read_is_an_error() {
        assert_eq!(findings(Path::new("cert.pem"), None, Timestamp::from_secs(0))[0].severity, Severity::Error);
    }
}
