//! One request on its way to an answer.

use std::{net::IpAddr, sync::Arc};

use actix_web::{HttpRequest, dev::Payload, http::header::HeaderName};

use super::{forwarded::TrustedProxies, operations::Operation};
use crate::{auth::Realm, backup::schedule::BackupLog, domain::Id};

/// What all requests share.
pub struct App {
    /// Who may ask, and what for.
    pub realm: Arc<Realm>,
    /// How many bytes a request's body has at most.
    pub body_limit_bytes: usize,
    /// The proxies whose word on a client's address counts.
    pub proxies: TrustedProxies,
    /// How the scheduled backups go.
    pub backups: BackupLog,
}

/// Who a request turned out to come from, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) user: Option<Id>,
    pub(super) api_key: Option<Id>,
}

/// One request of an operation.
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    pub(super) operation: &'static Operation,
    /// The path's parameter as it was sent, not yet decoded; empty if the path has none.
    pub(super) parameter: String,
    pub(super) http: HttpRequest,
    pub(super) payload: Payload,
    pub(super) who: Who,
}

impl Exchange {
    /// The values of all headers of that name.
    pub(super) fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        self.http.headers().get_all(name).map(actix_web::http::header::HeaderValue::as_bytes)
    }

    /// The client's address: the other end of the connection, or what trusted proxies say.
    pub(super) fn address(&self) -> IpAddr {
        let peer = self.http.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        self.app.proxies.client(peer, self.http.headers())
    }
}
