//! Domain values, which are valid by construction: parsed once at the edge, trusted everywhere else. No I/O.

mod account_identifier;
mod activity;
mod allowed_networks;
mod api_key;
mod audit;
mod change;
mod common_passwords;
mod configuration;
mod email;
mod id;
mod invalid_records;
mod network;
mod page;
mod password;
mod password_hash;
mod scope;
mod session;
mod source_type;
mod system_id;
mod user;
mod user_query;
mod username;
mod violations;

pub use account_identifier::AccountIdentifier;
pub use activity::{Activity, ActivitySubject};
pub use allowed_networks::AllowedNetworks;
pub use api_key::{ApiKey, ApiKeyChange, ApiKeyName, FormerValue, KeyDigest, NewApiKey, Rotation};
pub use audit::{Account, Action, Actor, AffectedResource, AuditEntry, AuthMethod, Event, Outcome, Target};
pub use change::{Change, Submitted};
pub use configuration::{Configuration, ConfigurationChange, ConfigurationKey, ConfigurationValue, NewConfiguration};
pub use email::Email;
pub use id::Id;
pub use invalid_records::InvalidRecords;
pub use network::{Network, Site, octets};
pub use page::Page;
pub use password::{NewPassword, PresentedPassword};
pub use password_hash::PasswordHash;
pub use scope::{Scope, Scopes};
pub use session::Session;
pub use source_type::SourceType;
pub use system_id::SystemId;
pub use user::{NewUser, User, UserChange};
pub use user_query::{TextFilter, UserAttribute, UserFilter, UserOrder};
pub use username::Username;
pub use violations::{Problem, Violation, Violations};

/// The result of a parser: the value, or the problem with its input.
pub type Parsed<T> = Result<T, Problem>;

/// Refuses a text with more than `max` characters (code points).
fn at_most_characters(text: &str, max: usize) -> Parsed<()> {
    if text.chars().count() > max { Err(Problem::TooLong(max)) } else { Ok(()) }
}
