//! One request on its way to a response.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::header::{HeaderName, HeaderValue},
};

use super::{
    connection::Connection,
    cors::Origins,
    forwarded::TrustedProxies,
    memory_budget::{MemoryBudget, Permit, ResponseBudget},
    path_segment,
    tls_policy::{TlsPolicy, Transport},
    user_list_cache::UserListCache,
};
use crate::{backup::schedule::BackupLog, config::Limits, domain::Id, service::AppState};

/// What all requests share.
pub struct App {
    /// The store and everything that decides who may do what.
    pub state: Arc<AppState>,
    /// What one request may cost.
    pub limits: Limits,
    /// The memory for large bodies and responses.
    pub memory_budget: MemoryBudget,
    /// The origins whose pages may use the API.
    pub origins: Origins,
    /// Which credentials are accepted over plain HTTP.
    pub tls_policy: TlsPolicy,
    /// The proxies whose headers name the client's address.
    pub proxies: TrustedProxies,
    /// Recently written pages of the list of users.
    pub user_list_cache: Arc<UserListCache>,
    /// How the scheduled backups went.
    pub backups: BackupLog,
}

/// The account and the API key that a request was made with, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestIdentity {
    pub(super) user: Option<Id>,
    pub(super) api_key: Option<Id>,
}

/// The scope that an API key needs for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequiredScope {
    pub(super) controller: &'static str,
    pub(super) action: &'static str,
}

/// One request of an operation.
pub(super) struct RequestContext {
    pub(super) app: Arc<App>,
    pub(super) scope: RequiredScope,
    /// The path's parameter as it was sent, not yet decoded; empty if the path has none.
    pub(super) parameter: String,
    pub(super) http: HttpRequest,
    pub(super) payload: Payload,
    pub(super) identity: RequestIdentity,
    /// The memory of the body, held until the response: what was read from it may wait for the store meanwhile.
    pub(super) body_permit: Option<Permit>,
}

impl RequestContext {
    /// The values of all headers of that name.
    pub(super) fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        self.http.headers().get_all(name).map(HeaderValue::as_bytes)
    }

    /// The id in the path, if it is one.
    pub(super) fn path_id(&self) -> Option<Id> {
        path_segment::decode(&self.parameter).as_deref().and_then(Id::parse)
    }

    /// The memory that the response may take. Only a request that changes nothing is refused if there is none.
    pub(super) fn response_budget(&self) -> ResponseBudget<'_> {
        ResponseBudget { memory: &self.app.memory_budget, may_be_refused: self.http.method().is_safe() }
    }

    /// How the request reached this server.
    pub(super) fn transport(&self) -> Transport {
        Transport { peer: self.http.peer_addr(), is_encrypted: is_encrypted(&self.http) }
    }

    /// The client's address: the other end of the connection, or the one that trusted proxies report.
    pub(super) fn address(&self) -> IpAddr {
        let peer = self.http.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        self.app.proxies.client(peer, self.http.headers())
    }
}

/// Whether this server decrypted the request.
pub(super) fn is_encrypted(http: &HttpRequest) -> bool {
    http.conn_data::<Rc<Connection>>().is_some_and(|connection| connection.is_encrypted())
}
