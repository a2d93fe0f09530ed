//! Configurations: settings of one user.

use serde::{Deserialize, Serialize};

use super::{Change, Id, Parsed, Problem, Submitted, Violations, at_most_characters};

/// A setting of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its id.
    pub id: Id,
    /// The user that it belongs to.
    pub owner: Id,
    /// Its name, unique for the user.
    pub key: ConfigurationKey,
    /// Its value.
    pub value: ConfigurationValue,
}

/// A new setting.
#[derive(Clone, Debug)]
pub struct NewConfiguration {
    /// Its name.
    pub key: ConfigurationKey,
    /// Its value.
    pub value: ConfigurationValue,
}

/// A change of a setting.
#[derive(Clone, Debug, Default)]
pub struct ConfigurationChange {
    /// The name.
    pub key: Change<ConfigurationKey>,
    /// The value.
    pub value: Change<ConfigurationValue>,
}

impl ConfigurationChange {
    /// The setting with this change applied.
    #[must_use]
    pub fn applied_to(self, current: &Configuration) -> Configuration {
        let mut changed = current.clone();
        changed.key = self.key.or(changed.key);
        changed.value = self.value.or(changed.value);
        changed
    }
}

impl Submitted<ConfigurationChange> {
    /// The new setting with these attributes.
    ///
    /// # Errors
    /// All violations, among them a missing key.
    pub fn into_new_configuration(self, further: Violations) -> Result<NewConfiguration, Violations> {
        let Self { change: ConfigurationChange { key, value }, violations } = self;
        let mut violations = violations.and(further);
        match key.required("key", &mut violations) {
            Some(key) if violations.is_empty() => {
                Ok(NewConfiguration { key, value: value.or(ConfigurationValue::default()) })
            }
            Some(_) | None => Err(violations),
        }
    }
}

/// The name of a setting: 1 to 255 characters, none of them a control character, and neither `.` nor `..`; case
/// matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationKey(String);

impl ConfigurationKey {
    /// The maximum number of characters.
    pub const MAX: usize = 255;

    /// Parses the name of a setting. `.` and `..` are invalid, because clients remove such segments from a path.
    ///
    /// # Errors
    /// `blank`, `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        if [".", ".."].contains(&text) { Err(Problem::Invalid) } else { Self::parse_stored(text) }
    }

    /// Parses the name of a stored setting, which may be `.` or `..`: 0.3.0 allowed them.
    ///
    /// # Errors
    /// `blank`, `too_long` or `invalid`.
    pub fn parse_stored(text: &str) -> Parsed<Self> {
        if text.is_empty() {
            return Err(Problem::Blank);
        }
        at_most_characters(text, Self::MAX)?;
        if text.contains(char::is_control) { Err(Problem::Invalid) } else { Ok(Self(text.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The value of a setting: any text of at most 64 KiB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigurationValue(String);

impl ConfigurationValue {
    /// The maximum number of bytes in UTF-8.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Parses the value of a setting.
    ///
    /// # Errors
    /// `too_long`, counted in bytes.
    pub fn parse(text: &str) -> Parsed<Self> {
        if text.len() > Self::MAX_BYTES { Err(Problem::TooLong(Self::MAX_BYTES)) } else { Ok(Self(text.to_owned())) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_neither_empty_nor_too_long_and_has_no_control_characters() {
        assert!(ConfigurationKey::parse(&"é".repeat(255)).is_ok());
        assert_eq!(ConfigurationKey::parse(""), Err(Problem::Blank));
        assert_eq!(ConfigurationKey::parse(&"é".repeat(256)), Err(Problem::TooLong(255)));
        assert_eq!(ConfigurationKey::parse("a\0"), Err(Problem::Invalid));
    }

    #[test]
    fn a_new_key_is_no_dot_segment_but_a_stored_one_may_be() {
        for key in [".", ".."] {
            assert_eq!(ConfigurationKey::parse(key), Err(Problem::Invalid));
            assert!(ConfigurationKey::parse_stored(key).is_ok());
        }
        assert!(ConfigurationKey::parse("...").is_ok());
    }

    #[test]
    fn a_value_has_at_most_64_kib() {
        assert!(ConfigurationValue::parse(&"\u{1}".repeat(65_536)).is_ok());
        assert_eq!(ConfigurationValue::parse(&"x".repeat(65_537)), Err(Problem::TooLong(65_536)));
    }
}
