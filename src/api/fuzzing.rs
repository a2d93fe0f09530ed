//! Reads bodies for the fuzz targets; compiled only for them.

use std::{path::PathBuf, time::Duration};

use actix_web::HttpResponse;
use uuid::Uuid;

use super::{
    error::ApiError,
    input::{FromObject, parse_body},
    sessions::SignIn,
};
use crate::{
    domain::{ApiKeyChange, ConfigurationChange, Rotation, Submitted, UserChange, Violations},
    service::{Policy, ServiceError, assertion_keys::AssertionPolicy},
};

/// The result of reading a body.
pub enum Read {
    /// It is not a JSON object, or an ambiguous one.
    Malformed,
    /// Some of its members are invalid; the response lists them.
    Invalid(HttpResponse),
    /// All its members are valid.
    Valid,
}

/// Reads these bytes as the body of each operation that takes one.
#[must_use]
pub fn read_bodies(bytes: &[u8]) -> [Read; 5] {
    [
        read(bytes, |submitted: Submitted<UserChange>| submitted.violations),
        read(bytes, |submitted: Submitted<ConfigurationChange>| submitted.violations),
        read(bytes, |submitted: Submitted<ApiKeyChange>| submitted.violations),
        read(bytes, |submitted: Submitted<Rotation>| submitted.violations),
        read(bytes, |_: SignIn| Violations::none()),
    ]
}

fn read<T: FromObject>(bytes: &[u8], violations: fn(T) -> Violations) -> Read {
    let policy = Policy {
        session_lifetime: Duration::from_hours(1),
        min_password_bytes: 8,
        throttle_after: 0,
        require_current_password: false,
        max_configurations: 10,
        max_api_keys: 10,
        max_key_overlap: Duration::from_hours(1),
        user_socket_administrators: false,
        assertions: AssertionPolicy::default(),
        initial_password_file: PathBuf::new(),
    };
    let Ok(submitted) = parse_body::<T>(bytes, 32, &policy) else { return Read::Malformed };
    let violations = violations(submitted);
    if violations.is_empty() {
        return Read::Valid;
    }
    Read::Invalid(ApiError::Service(ServiceError::Invalid(violations)).into_response(Uuid::nil()))
}
