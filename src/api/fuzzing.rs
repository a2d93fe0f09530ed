//! What the fuzz targets reach of the bodies; compiled for them alone.

use std::{path::PathBuf, time::Duration};

use actix_web::HttpResponse;
use uuid::Uuid;

use super::{
    error::ApiError,
    input::{FromObject, draft_of},
    sessions::SignIn,
};
use crate::{
    auth::Policy,
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

fn read<T: FromObject>(bytes: &[u8], violations: fn(T) -> Violations) -> Read {
    let policy = Policy {
        session_lifetime: Duration::from_hours(1),
        min_password_bytes: 8,
        throttle_after: 0,
        max_configurations: 10,
        max_api_keys: 10,
        initial_password_file: PathBuf::new(),
    };
    let Ok(draft) = draft_of::<T>(bytes, 32, &policy) else { return Read::Malformed };
    let violations = violations(draft);
    if violations.is_empty() {
        return Read::Sound;
    }
    Read::Invalid(ApiError::Service(ServiceError::Invalid(violations)).into_response(Uuid::nil()))
}
