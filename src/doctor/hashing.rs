//! The memory for hashes of passwords.

use super::{Check, Finding, Severity};

/// How many passwords can be hashed at once within the memory of the machine and of the process's control groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hashing {
    /// Enough for the server to start.
    Possible {
        /// How many at once.
        threads: usize,
        /// How many processors there are.
        cores: usize,
    },
    /// Not even one.
    Impossible {
        /// What is wrong.
        problem: String,
        /// What to do.
        advice: String,
    },
}

impl Hashing {
    /// What is wrong with it.
    #[must_use]
    pub fn finding(&self) -> Option<Finding> {
        match self {
            Self::Impossible { problem, advice } => Some(Finding::new(Severity::Error, Check::Memory, problem, advice)),
            Self::Possible { threads, cores } => (threads < cores).then(|| {
                let problem =
                    format!("the memory is enough for {threads} password hashes at a time, on {cores} processors");
                let advice = "give the machine or its control group more memory, or lower --cache-size";
                Finding::new(Severity::Warning, Check::Memory, problem, advice)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_fewer_hashes_than_processors_is_a_warning_and_for_none_an_error() {
        let severity = |hashing: Hashing| hashing.finding().map(|finding| finding.severity);
        let possible = |threads| severity(Hashing::Possible { threads, cores: 4 });
        let impossible = Hashing::Impossible { problem: "60 MiB are not enough".to_owned(), advice: String::new() };

        assert_eq!([possible(4), possible(3)], [None, Some(Severity::Warning)]);
        assert_eq!(severity(impossible), Some(Severity::Error));
    }
}
