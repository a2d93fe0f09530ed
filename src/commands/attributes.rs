//! Attributes of records as arguments of commands.

use clap::{
    Args,
    builder::{StringValueParser, TypedValueParser},
};
use serde_json::{Map, Value};

/// The attributes of an account that commands give.
#[derive(Args, Debug)]
pub(super) struct UserAttributes {
    /// The e-mail address; an empty one clears it
    #[arg(long, value_name = "ADDRESS", value_parser = text())]
    email: Option<Value>,

    /// Whether it is an administrator
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    admin: Option<bool>,

    /// The id of the system user that it represents; an empty one clears it
    #[arg(long, value_name = "UID", value_parser = number)]
    user_id: Option<Value>,

    /// The id of the system group that it represents; an empty one clears it
    #[arg(long, value_name = "GID", value_parser = number)]
    group_id: Option<Value>,

    /// When it expires, as 2027-01-31T12:00:00Z: nothing of the account works from then on; an empty one clears it
    #[arg(long, value_name = "TIME", value_parser = text())]
    expired_at: Option<Value>,

    /// Its source, as `GET /users` shows it; an empty one clears it
    #[arg(long, value_name = "TYPE", value_parser = text())]
    source_type: Option<Value>,
}

impl UserAttributes {
    /// Those that are given, as members of a body.
    pub(super) fn members(&self) -> Map<String, Value> {
        let Self { email, admin, user_id, group_id, expired_at, source_type } = self;
        let is_admin = admin.map(Value::from);
        given([
            ("email", email),
            ("is_admin", &is_admin),
            ("user_id", user_id),
            ("group_id", group_id),
            ("expired_at", expired_at),
            ("source_type", source_type),
        ])
    }
}

/// A body with those members that are given.
pub(super) fn given<'a>(members: impl IntoIterator<Item = (&'a str, &'a Option<Value>)>) -> Map<String, Value> {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)));
    given.collect()
}

/// A text; `null` if it is empty.
pub(super) fn text() -> impl TypedValueParser<Value = Value> {
    StringValueParser::new().map(|text| if text.is_empty() { Value::Null } else { Value::from(text) })
}

fn number(text: &str) -> Result<Value, String> {
    match text.parse::<i64>() {
        Ok(number) => Ok(number.into()),
        Err(_) if text.is_empty() => Ok(Value::Null),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        attributes: UserAttributes,
    }

    #[test]
    fn only_what_is_given_is_a_member_and_what_is_empty_is_cleared() {
        let members = |arguments: &[&str]| {
            let command = Command::try_parse_from([&["lodge"], arguments].concat());
            command.map(|command| Value::from(command.attributes.members())).map_err(|error| error.kind())
        };
        for (arguments, expected) in [
            (&[][..], json!({})),
            (&["--admin", "--email", "a@b"], json!({"email": "a@b", "is_admin": true})),
            (&["--admin=false", "--user-id", "1000"], json!({"is_admin": false, "user_id": 1000})),
            (
                &["--email", "", "--user-id", "", "--group-id", "", "--expired-at", "", "--source-type", ""],
                json!({"email": null, "user_id": null, "group_id": null, "expired_at": null, "source_type": null}),
            ),
        ] {
            assert_eq!(members(arguments), Ok(expected), "{arguments:?}");
        }
        for wrong in [["--user-id", "ann"], ["--group-id", "1.5"], ["--admin=maybe", "--admin"]] {
            assert!(members(&wrong).is_err(), "{wrong:?}");
        }
    }
}
