//! The violations of a record, with the codes and sentences of the API.

/// What is wrong with an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is required, and missing or empty.
    Blank,
    /// It must not be changed in this state.
    Frozen,
    /// Another record has the same value.
    Taken,
    /// It has the wrong form.
    Invalid,
    /// It has fewer than that many characters (bytes, for a password).
    TooShort(usize),
    /// It has more than that many characters (bytes, for a password or a value).
    TooLong(usize),
    /// It is below that number.
    GreaterThanOrEqualTo(i64),
    /// It is above that number.
    LessThanOrEqualTo(i64),
}

impl Problem {
    /// The code that clients switch on.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Blank => "blank",
            Self::Frozen => "frozen",
            Self::Taken => "taken",
            Self::Invalid => "invalid",
            Self::TooShort(_) => "too_short",
            Self::TooLong(_) => "too_long",
            Self::GreaterThanOrEqualTo(_) => "greater_than_or_equal_to",
            Self::LessThanOrEqualTo(_) => "less_than_or_equal_to",
        }
    }

    /// The number that belongs to the code, if it has one.
    #[must_use]
    pub fn count(self) -> Option<i64> {
        match self {
            Self::TooShort(count) | Self::TooLong(count) => i64::try_from(count).ok(),
            Self::GreaterThanOrEqualTo(count) | Self::LessThanOrEqualTo(count) => Some(count),
            Self::Blank | Self::Frozen | Self::Taken | Self::Invalid => None,
        }
    }
}

/// A problem of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The attribute's name, `base` for the record as a whole.
    pub attribute: &'static str,
    /// What is wrong with it.
    pub problem: Problem,
    /// The refused value, unless it is a secret.
    pub value: Option<String>,
    unit: &'static str,
}

/// All violations of a record, in the order of its attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

/// The attributes of all records, in the order in which their violations are reported.
const ATTRIBUTES: [&str; 18] = [
    "base",
    "user_id",
    "group_id",
    "username",
    "password",
    "current_password",
    "email",
    "is_admin",
    "suspended",
    "expired_at",
    "source_type",
    "key",
    "value",
    "name",
    "api_key_scopes",
    "expires_at",
    "allowed_networks",
    "overlap",
];

impl Violations {
    /// No violation.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// A single violation.
    #[must_use]
    pub fn one(attribute: &'static str, problem: Problem, value: Option<String>) -> Self {
        let mut violations = Self::none();
        violations.add(attribute, problem, value);
        violations
    }

    /// Adds a violation; `value` is what was refused, `None` for secrets.
    pub fn add(&mut self, attribute: &'static str, problem: Problem, value: Option<String>) {
        self.insert(Violation { attribute, problem, value, unit: "characters" });
    }

    /// Adds a violation of an attribute that is measured in bytes.
    pub fn add_in_bytes(&mut self, attribute: &'static str, problem: Problem) {
        self.insert(Violation { attribute, problem, value: None, unit: "bytes" });
    }

    /// The violation of a limit on the number of such records.
    #[must_use]
    pub fn too_many(records: &'static str, max: usize) -> Self {
        Self(vec![Violation { attribute: "base", problem: Problem::TooLong(max), value: None, unit: records }])
    }

    /// These and the others.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        others.0.into_iter().for_each(|violation| self.insert(violation));
        self
    }

    /// Whether the attribute has a violation.
    #[must_use]
    pub fn concern(&self, attribute: &str) -> bool {
        self.iter().any(|violation| violation.attribute == attribute)
    }

    /// Whether there is no violation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All violations, in the order of the attributes.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    fn insert(&mut self, violation: Violation) {
        let position = self.0.partition_point(|earlier| rank(earlier.attribute) <= rank(violation.attribute));
        self.0.insert(position, violation);
    }
}

impl Violation {
    /// The violation as an English sentence in the words of Rails: `Username has already been taken`.
    #[must_use]
    pub fn message(&self) -> String {
        let unit = self.unit;
        let complaint = match self.problem {
            Problem::Blank => "can't be blank".to_owned(),
            Problem::Frozen => "is frozen".to_owned(),
            Problem::Taken => "has already been taken".to_owned(),
            Problem::Invalid => "is invalid".to_owned(),
            Problem::TooShort(count) => format!("is too short (minimum is {count} {unit})"),
            Problem::TooLong(count) if self.attribute == "base" => {
                return format!("There are too many {unit} (maximum is {count})");
            }
            Problem::TooLong(count) => format!("is too long (maximum is {count} {unit})"),
            Problem::GreaterThanOrEqualTo(count) => format!("must be greater than or equal to {count}"),
            Problem::LessThanOrEqualTo(count) => format!("must be less than or equal to {count}"),
        };
        format!("{} {complaint}", humanized(self.attribute))
    }
}

fn rank(attribute: &str) -> usize {
    ATTRIBUTES.iter().position(|known| *known == attribute).expect("every attribute has its place in the order")
}

/// The attribute as Rails writes it in a sentence: `user_id` is `User`, `is_admin` is `Is admin`.
fn humanized(attribute: &str) -> String {
    let words = attribute.strip_suffix("_id").unwrap_or(attribute).replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_reported_in_the_order_of_the_attributes_and_in_the_words_of_rails() {
        let mut violations = Violations::none();
        violations.add("is_admin", Problem::Frozen, None);
        violations.add_in_bytes("password", Problem::TooShort(8));
        violations.add("username", Problem::Taken, Some("ann".to_owned()));
        violations.add("user_id", Problem::GreaterThanOrEqualTo(0), None);

        let messages: Vec<_> = violations.iter().map(Violation::message).collect();

        assert_eq!(
            messages,
            [
                "User must be greater than or equal to 0",
                "Username has already been taken",
                "Password is too short (minimum is 8 bytes)",
                "Is admin is frozen",
            ]
        );
    }
}
