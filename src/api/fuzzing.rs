//! What the fuzz targets reach of the bodies; compiled for them alone.

use std::{path::PathBuf, time::Duration};

use actix_web::HttpResponse;
use uuid::Uuid;

use super::{
    error::ApiError,
    input::{FromMembers, draft_of},
    sessions::SignIn,
};
use crate::{
    auth::Rules,
    domain::Violations,
    service::{ServiceError, api_keys::ApiKeyDraft, configurations::ConfigurationDraft, users::UserDraft},
};

/// What became of a body.
pub enum Read {
    /// It is no JSON object, or an ambiguous one.
    Malformed,
    /// Some of its members are wrong; the answer says which.
    Invalid(HttpResponse),
    /// Nothing is wrong with its members themselves.
    Sound,
}

/// Reads these bytes as the body of each operation that takes one.
#[must_use]
pub fn read_bodies(bytes: &[u8]) -> [Read; 4] {
    [
        read(bytes, |draft: UserDraft| draft.violations),
        read(bytes, |draft: ConfigurationDraft| draft.violations),
        read(bytes, |draft: ApiKeyDraft| draft.violations),
        read(bytes, |_: SignIn| Violations::none()),
    ]
}

fn read<T: FromMembers>(bytes: &[u8], violations: fn(T) -> Violations) -> Read {
    let rules = Rules {
        session_lifetime: Duration::from_hours(1),
        password_shortest: 8,
        throttle_after: 0,
        most_configurations: 10,
        most_api_keys: 10,
        initial_password_file: PathBuf::new(),
    };
    let Ok(draft) = draft_of::<T>(bytes, 32, &rules) else { return Read::Malformed };
    let violations = violations(draft);
    if violations.is_empty() {
        return Read::Sound;
    }
    Read::Invalid(ApiError::Service(ServiceError::Invalid(violations)).into_response(Uuid::nil()))
}
