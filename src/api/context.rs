//! One request on its way to an answer.

use std::{net::IpAddr, rc::Rc, sync::Arc};

use actix_web::{
    HttpRequest,
    dev::Payload,
    http::{Method, header::HeaderName},
};

use super::{
    connection::Connection,
    cors::Origins,
    forwarded::TrustedProxies,
    memory_budget::{MemoryBudget, Permit, ResponseBudget},
    operations::Operation,
    tls_policy::TlsPolicy,
    user_list_cache::UserListCache,
};
use crate::{auth::AppState, backup::schedule::BackupLog, config::Limits, domain::Id};

/// What all requests share.
pub struct App {
    /// Who may ask, and what for.
    pub state: Arc<AppState>,
    /// What a request may cost.
    pub limits: Limits,
    /// The memory for large bodies and answers.
    pub memory_budget: MemoryBudget,
    /// The origins whose pages may use the API.
    pub origins: Origins,
    /// How credentials may come.
    pub tls_policy: TlsPolicy,
    /// The proxies whose word on a client's address counts.
    pub proxies: TrustedProxies,
    /// The list of users, as it was answered lately.
    pub user_list_cache: Arc<UserListCache>,
    /// How the scheduled backups go.
    pub backups: BackupLog,
}

/// Who a request turned out to come from, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestIdentity {
    pub(super) user: Option<Id>,
    pub(super) api_key: Option<Id>,
}

/// One request of an operation.
pub(super) struct RequestContext {
    pub(super) app: Arc<App>,
    pub(super) operation: &'static Operation,
    /// The path's parameter as it was sent, not yet decoded; empty if the path has none.
    pub(super) parameter: String,
    pub(super) http: HttpRequest,
    pub(super) payload: Payload,
    pub(super) identity: RequestIdentity,
    /// The memory of the body, kept until the answer: what was in it may wait for the store meanwhile.
    pub(super) of_body: Option<Permit>,
}

impl RequestContext {
    /// The values of all headers of that name.
    pub(super) fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        self.http.headers().get_all(name).map(actix_web::http::header::HeaderValue::as_bytes)
    }

    /// What the answer may take of the memory.
    pub(super) fn response_budget(&self) -> ResponseBudget<'_> {
        ResponseBudget { memory: &self.app.memory_budget, may_be_refused: self.operation.method == Method::GET }
    }

    /// Whether nobody between the client and this server can read along.
    pub(super) fn is_encrypted(&self) -> bool {
        is_encrypted(&self.http)
    }

    /// The client's address: the other end of the connection, or what trusted proxies say.
    pub(super) fn address(&self) -> IpAddr {
        let peer = self.http.peer_addr().map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.ip());
        self.app.proxies.client(peer, self.http.headers())
    }
}

/// Whether the request came over TLS.
pub(super) fn is_encrypted(http: &HttpRequest) -> bool {
    http.conn_data::<Rc<Connection>>().is_some_and(|connection| connection.is_encrypted())
}
