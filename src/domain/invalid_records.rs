//! The violations of several records that are submitted together.

use super::{Problem, Violations};

/// What is wrong with records, each with its place in what was submitted: `users[0] (ann)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvalidRecords(Vec<(String, Violations)>);

impl InvalidRecords {
    /// Adds the violations of the record at that place, if it has any.
    pub fn add(&mut self, place: &str, violations: Violations) {
        if !violations.is_empty() {
            self.0.push((place.to_owned(), violations));
        }
    }

    /// Adds one violation of the record at that place; it repeats no value.
    pub fn add_one(&mut self, place: &str, attribute: &'static str, problem: Problem) {
        self.add(place, Violations::one(attribute, problem, None));
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The places, each with its violations, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Violations)> {
        self.0.iter().map(|(place, violations)| (place.as_str(), violations))
    }
}
