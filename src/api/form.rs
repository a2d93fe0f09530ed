//! The fields of a form, `application/x-www-form-urlencoded`.
//!
//! They are read strictly: what two readers could understand differently is refused.

use thiserror::Error;

use super::path_segment::decode_of_form;
use crate::secret::Secret;

/// The maximum number of fields, each of which is compared with those before it.
const MAX_FIELDS: usize = 32;

/// What is wrong with a form, in a sentence for the client, without any of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum FormError {
    #[error("A name or a value of the form is not percent-encoded UTF-8.")]
    BadlyEncoded,
    #[error("A name is given twice in the form.")]
    Repeated,
    #[error("The form has more than {MAX_FIELDS} fields.")]
    TooMany,
    #[error("The form has no {0}.")]
    Missing(&'static str),
}

/// The names and values of a form. The values are wiped when they are dropped, because they may be passwords and tokens.
#[derive(Debug)]
pub(super) struct FormFields(Vec<(String, Secret<String>)>);

impl FormFields {
    /// Parses a form.
    ///
    /// # Errors
    /// [`FormError`] unless every reader finds the same names and values in it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        let text = str::from_utf8(bytes).map_err(|_| FormError::BadlyEncoded)?;
        let mut fields: Vec<(String, Secret<String>)> = Vec::new();
        for field in text.split('&').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once('=').unwrap_or((field, ""));
            let name = decode_of_form(name).ok_or(FormError::BadlyEncoded)?;
            let value = decode_of_form(value).map(Secret::new).ok_or(FormError::BadlyEncoded)?;
            if fields.iter().any(|(given, _)| *given == name) {
                return Err(FormError::Repeated);
            }
            if fields.len() == MAX_FIELDS {
                return Err(FormError::TooMany);
            }
            fields.push((name, value));
        }
        Ok(Self(fields))
    }

    /// The value of that name; `None` if it is empty, which is as good as absent (RFC 6749, section 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&Secret<String>> {
        let value = self.0.iter().find_map(|(given, value)| (given == name).then_some(value));
        value.filter(|value| !value.expose().is_empty())
    }

    /// The value of that name.
    ///
    /// # Errors
    /// [`FormError::Missing`] if it is absent or empty.
    pub(super) fn require(&self, name: &'static str) -> Result<&Secret<String>, FormError> {
        self.get(name).ok_or(FormError::Missing(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(form: &[u8]) -> Result<Vec<(String, String)>, FormError> {
        let FormFields(fields) = FormFields::parse(form)?;
        Ok(fields.into_iter().map(|(name, value)| (name, value.expose().clone())).collect())
    }

    fn read(form: &str) -> Vec<(String, String)> {
        pairs(form.as_bytes()).unwrap_or_else(|error| panic!("{form}: {error}"))
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values_are_decoded_once() {
        assert_eq!(read("token=a%2Bb+c&x=%2541"), [pair("token", "a+b c"), pair("x", "%41")]);
        assert_eq!(read("t%6fken=J\u{e4}ger&caf%C3%A9=a=b"), [pair("token", "J\u{e4}ger"), pair("caf\u{e9}", "a=b")]);
        assert_eq!(read("&a&&=b&"), [pair("a", ""), pair("", "b")]);
        assert_eq!(read(""), []);
    }

    #[test]
    fn an_empty_value_is_as_good_as_none() {
        let form = FormFields::parse(b"token=&hint=key").unwrap();
        assert_eq!(form.require("token").unwrap_err(), FormError::Missing("token"));
        assert_eq!(form.require("other").unwrap_err(), FormError::Missing("other"));
        assert_eq!(form.get("hint").map(|value| value.expose().as_str()), Some("key"));
    }

    #[test]
    fn what_is_badly_encoded_is_refused() {
        for form in ["a=%", "a=%4", "a=%zz", "%+1=a", "a=%ff", "a=%c3", "a=%ED%A0%80", "x&a%=1"] {
            assert_eq!(pairs(form.as_bytes()), Err(FormError::BadlyEncoded), "{form}");
        }
        assert_eq!(pairs(b"a=\xff"), Err(FormError::BadlyEncoded));
    }

    #[test]
    fn a_name_that_is_given_twice_is_refused_however_it_is_spelled() {
        for form in ["a=1&a=1", "a&a", "a=1&b=2&%61=1", "=1&=2", "a+b=1&a%20b=2"] {
            assert_eq!(pairs(form.as_bytes()), Err(FormError::Repeated), "{form}");
        }
    }

    #[test]
    fn there_are_at_most_32_fields() {
        let form = |count: usize| (0..count).map(|number| format!("n{number}=x")).collect::<Vec<_>>().join("&");
        assert_eq!(read(&form(MAX_FIELDS)).len(), MAX_FIELDS);
        assert_eq!(pairs(form(MAX_FIELDS + 1).as_bytes()), Err(FormError::TooMany));
    }

    #[test]
    fn no_value_is_printed() {
        assert_eq!(format!("{:?}", FormFields::parse(b"token=hunter2").unwrap()), r#"FormFields([("token", ***)])"#);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_accepted_is_read_as_every_other_reader_does(form in "[ab%=&+c3A9]{0,40}") {
            if let Ok(read) = pairs(form.as_bytes()) {
                let usual: Vec<(String, String)> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
                prop_assert_eq!(read, usual);
            }
        }
    }
}
