//! Parameters of the query.

use thiserror::Error;

/// What is wrong with a parameter, in a sentence for the client.
#[derive(Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(super) struct QueryError(String);

/// The value of a numeric parameter; `None` if the query does not have it.
///
/// # Errors
/// [`QueryError`] unless it is given once, in digits and within 63 bits.
pub(super) fn number(query: &str, name: &'static str) -> Result<Option<u64>, QueryError> {
    let malformed = || QueryError(format!("The {name} is not a number from 0 up, given once."));
    let mut number = None;
    for (given, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_list = given.strip_prefix(name).is_some_and(|rest| rest.starts_with('['));
        if is_list || (given == name && number.is_some()) {
            return Err(malformed());
        }
        if given == name {
            let digits = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let parsed = digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or_else(malformed)?;
            number = Some(parsed.unsigned_abs());
        }
    }
    Ok(number)
}

/// The value of a text parameter; `None` if the query does not have it.
///
/// # Errors
/// [`QueryError`] if it is empty or given more than once.
pub(super) fn text(query: &str, name: &'static str) -> Result<Option<String>, QueryError> {
    let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(given, _)| given == name);
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some((_, text)), None) if !text.is_empty() => Ok(Some(text.into_owned())),
        (Some(_), _) => Err(QueryError(format!("The {name} is empty or given more than once."))),
    }
}

/// The value of a parameter that is `true` or `false`; `None` if the query does not have it.
///
/// # Errors
/// [`QueryError`] if it is neither, or given more than once.
pub(super) fn truth(query: &str, name: &'static str) -> Result<Option<bool>, QueryError> {
    let malformed = |_| QueryError(format!("{name} is neither true nor false."));
    text(query, name)?.map(|text| text.parse().map_err(malformed)).transpose()
}

/// Refuses a query with any other parameter, for operations where ignoring a mistyped one would do harm: end all sessions.
///
/// # Errors
/// [`QueryError`] if there is another one.
pub(super) fn refuse_others(query: &str, known: &[&str]) -> Result<(), QueryError> {
    let mut given = form_urlencoded::parse(query.as_bytes());
    match given.find(|(name, _)| !known.contains(&&**name)) {
        None => Ok(()),
        Some(_) if known.is_empty() => Err(QueryError("There are no parameters.".to_owned())),
        Some(_) => Err(QueryError(format!("The only parameters are: {}.", known.join(", ")))),
    }
}

/// Whether the query gives that name that value.
pub(super) fn has(query: &str, name: &str, value: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|given| given.0 == name && given.1 == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_once_and_in_digits() {
        let limit = |query: &str| number(query, "limit").ok();
        assert_eq!(limit(""), Some(None));
        assert_eq!(limit("limit=7&offset=x&limits=y"), Some(Some(7)));
        for wrong in ["-1", "abc", "1.5", "", "9223372036854775808", "18446744073709551616", "+5", "%205", "1&limit=1"]
        {
            assert_eq!(limit(&format!("limit={wrong}")), None, "{wrong}");
        }
        assert_eq!(limit("limit[]=1"), None);
        assert_eq!(limit("limit%5B%5D=1"), None);
        assert_eq!(limit("limit"), None);
    }
}
