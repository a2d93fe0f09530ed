//! Guards: who is admitted to an operation. A handler that takes one cannot run for anybody else.

use std::{future::Future, sync::Arc};

use actix_web::http::header;

use super::{
    error::ApiError,
    exchange::{Exchange, Who},
    input::path_id,
    openapi::Description,
};
use crate::{
    auth::{Administrator, Caller, Credential, Visitor},
    service::{Forbidden, users::is_oneself_or_administrator},
};

/// Admits a request to an operation, or refuses it.
pub(super) trait Guard: Sized {
    fn admit(exchange: &mut Exchange) -> impl Future<Output = Result<Self, ApiError>>;

    /// Adds the answers of a refusal.
    fn describe(description: &mut Description) {
        description.error(401, "The credential is missing, wrong or no longer good.");
        description.throttled();
        description.error(403, "The API key lacks the scope, or the user may not do this.");
    }
}

/// A [`Caller`] who is the user in the path, or an administrator.
pub(super) struct Oneself(pub(super) Caller);

impl Guard for Visitor {
    async fn admit(exchange: &mut Exchange) -> Result<Self, ApiError> {
        // Whoever signs in shows a password in the body.
        exchange.app.privacy.check(exchange, true)?;
        Ok(Self { realm: Arc::clone(&exchange.app.realm), address: exchange.address() })
    }

    fn describe(description: &mut Description) {
        description.error(401, "The user name or the password is wrong.");
        description.throttled();
        description.error(403, "The server takes credentials over TLS alone.");
    }
}

impl Guard for Caller {
    async fn admit(exchange: &mut Exchange) -> Result<Self, ApiError> {
        let headers = exchange.headers(header::AUTHORIZATION);
        if let Some(header) = headers.clone().next() {
            exchange.app.privacy.check(exchange, Credential::is_basic(header))?;
        }
        let caller = exchange.app.realm.authenticate(headers, exchange.address()).await?;
        exchange.who = Who { user: Some(caller.user.id), api_key: caller.api_key().map(|key| key.id) };
        let (controller, action) = (exchange.operation.controller, exchange.operation.action);
        if caller.permits(controller, action) {
            Ok(caller)
        } else {
            Err(Forbidden::Scope { controller, action }.into())
        }
    }
}

impl Guard for Administrator {
    async fn admit(exchange: &mut Exchange) -> Result<Self, ApiError> {
        let caller = Caller::admit(exchange).await?;
        if caller.user.is_admin { Ok(Self(caller)) } else { Err(Forbidden::Role.into()) }
    }
}

impl Guard for Oneself {
    async fn admit(exchange: &mut Exchange) -> Result<Self, ApiError> {
        let caller = Caller::admit(exchange).await?;
        let is_admitted = is_oneself_or_administrator(&caller, path_id(exchange));
        if is_admitted { Ok(Self(caller)) } else { Err(Forbidden::Role.into()) }
    }
}
