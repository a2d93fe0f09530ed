//! One request on its way to a response.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use actix_http::{HttpMessage, Request};
use actix_web::{
    dev::Payload,
    http::{
        Method,
        header::{HeaderName, HeaderValue},
    },
    web::Bytes,
};

use super::{
    connection::Medium,
    cors::Origins,
    demand::Misconfigured,
    forwarded::TrustedProxies,
    memory_budget::{BudgetExhausted, Holder, MemoryBudget, Permit, RequestBudget},
    path_segment::{self, PathParameters},
    response_budget::ResponseBudget,
    scope_catalogue::ScopeDescription,
    tls_policy::{TlsPolicy, Transport},
    turns::Client,
    user_list_cache::UserListCache,
};
use crate::{
    backup::schedule::BackupLog,
    config::{BasePath, Limits, Settings, SignInPage, SignInSettings},
    domain::{Id, Network},
    logging::RateLimitedLog,
    service::AppState,
};

/// The state that all requests share.
pub struct App {
    /// The store and everything that decides who may do what.
    pub state: Arc<AppState>,
    /// The limits of one request.
    pub limits: Limits,
    /// The memory for large bodies and responses.
    pub memory_budget: MemoryBudget,
    /// The origins whose pages may use the API.
    pub origins: Origins,
    /// Which credentials are accepted over plain HTTP.
    pub tls_policy: TlsPolicy,
    /// The proxies whose headers name the client's address.
    pub proxies: TrustedProxies,
    /// The path below which everything is served, if it is not the root.
    pub base_path: Option<BasePath>,
    /// The OpenAPI document as it is served below that path.
    pub(super) document_below: OnceLock<Bytes>,
    /// Recently written pages of the list of users.
    pub user_list_cache: Arc<UserListCache>,
    /// The results of the scheduled backups.
    pub backups: BackupLog,
    /// Whether the console is served.
    pub has_console: bool,
    /// The page to sign in at, if there is one.
    pub sign_in: Option<SignInPage>,
    /// Limits the warnings about the address of that page.
    pub sign_in_warning: RateLimitedLog,
    /// Limits the warnings about the queries of proxies.
    pub proxy_warning: RateLimitedLog,
}

/// The memory for large bodies and responses on the local socket.
const LOCAL_MEMORY: usize = 8 << 20;

impl App {
    /// The application over that state, within the bounds of these settings.
    #[must_use]
    pub fn new(state: Arc<AppState>, settings: &Settings, backups: BackupLog) -> Self {
        let memory_budget = MemoryBudget::new(settings.transfer_memory);
        Self {
            limits: settings.limits(),
            user_list_cache: Arc::new(UserListCache::new(memory_budget.clone())),
            memory_budget,
            origins: Origins::new(&settings.cors_origin),
            tls_policy: TlsPolicy::new(settings.require_tls, state.clock.clone()),
            proxies: TrustedProxies::new(&settings.trusted_proxy, state.clock.clone()),
            base_path: settings.base_path.clone(),
            document_below: OnceLock::new(),
            backups,
            has_console: !settings.no_console,
            sign_in: match &settings.sign_in {
                SignInSettings::Off => None,
                SignInSettings::On(page) => Some(page.clone()),
            },
            sign_in_warning: RateLimitedLog::default(),
            proxy_warning: RateLimitedLog::default(),
            state,
        }
    }

    /// Logs why a proxy's query admits nobody, at most once an hour.
    pub(super) fn warn_of_proxy(&self, why: Misconfigured) {
        if self.proxy_warning.is_due(self.state.clock.now()) {
            log::warn!("forward authentication admits nobody: {why}");
        }
    }

    /// Logs that a form came from elsewhere than the page to sign in at seems to be, at most once an hour.
    pub(super) fn warn_of_sign_in(&self) {
        if self.sign_in_warning.is_due(self.state.clock.now()) {
            log::warn!(
                "a form to sign in came from another origin than the page has; if nobody can sign in, the page's address is not \
                 known: give --sign-in-url, or have the proxy report it (X-Forwarded-Proto, X-Forwarded-Host) and give \
                 --trusted-proxy"
            );
        }
    }

    /// The application for the local socket: with memory of its own, and without proxies and what they put before a path.
    #[must_use]
    pub fn local(state: Arc<AppState>, limits: Limits, backups: BackupLog) -> Self {
        let (memory_budget, clock) = (MemoryBudget::new(LOCAL_MEMORY), &state.clock);
        Self {
            limits,
            user_list_cache: Arc::new(UserListCache::new(memory_budget.clone())),
            memory_budget,
            origins: Origins::new(&[]),
            tls_policy: TlsPolicy::new(false, clock.clone()),
            proxies: TrustedProxies::new(&[], clock.clone()),
            base_path: None,
            document_below: OnceLock::new(),
            backups,
            has_console: false,
            sign_in: None,
            sign_in_warning: RateLimitedLog::default(),
            proxy_warning: RateLimitedLog::default(),
            state,
        }
    }
}

/// The identity of a request, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestIdentity {
    pub(super) user: Option<Id>,
    pub(super) api_key: Option<Id>,
    /// The operating system's user, in place of an account, of a request over the local socket.
    pub(super) local_uid: Option<u32>,
}

/// The scope that an API key needs for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequiredScope {
    pub(super) controller: &'static str,
    pub(super) action: &'static str,
}

/// One request of an operation.
pub(super) struct RequestContext<'a> {
    // Borrowed, because a clone would change a reference count that all workers share.
    pub(super) app: &'a Arc<App>,
    /// The client's address: the other end of the connection, or the one that trusted proxies report.
    pub(super) address: IpAddr,
    pub(super) scope: RequiredScope,
    /// Lists the scopes of all operations.
    pub(super) catalogue: fn() -> Vec<ScopeDescription>,
    /// The path's parameters as they were sent, not yet decoded; those that the path does not have are empty.
    pub(super) parameters: PathParameters<String>,
    pub(super) http: &'a Request,
    /// What the connection goes over.
    pub(super) medium: Medium,
    pub(super) payload: Payload,
    pub(super) identity: RequestIdentity,
    /// The memory of the body and of the response to a change. Held until the response, because the parsed body may
    /// have to wait for the store.
    pub(super) body_permit: Option<Permit>,
}

impl<'a> RequestContext<'a> {
    /// A request that is of no operation.
    pub(super) fn new(app: &'a Arc<App>, http: &'a Request, medium: Medium, payload: Payload) -> Self {
        Self {
            app,
            address: client_address(http, &app.proxies),
            scope: RequiredScope { controller: "", action: "" },
            catalogue: Vec::new,
            parameters: PathParameters::default(),
            http,
            medium,
            payload,
            identity: RequestIdentity::default(),
            body_permit: None,
        }
    }

    /// The values of all headers of that name.
    pub(super) fn headers(&self, name: HeaderName) -> impl Iterator<Item = &[u8]> + Clone {
        self.http.headers().get_all(name).map(HeaderValue::as_bytes)
    }

    /// The query, without its question mark; empty if there is none.
    pub(super) fn query(&self) -> &str {
        self.http.uri().query().unwrap_or_default()
    }

    /// The id in the path, the last one if there are two; `None` if it is none.
    pub(super) fn path_id(&self) -> Option<Id> {
        self.last_parameter().as_deref().and_then(Id::parse)
    }

    /// The path's first parameter as an id, if it is one.
    pub(super) fn first_path_id(&self) -> Option<Id> {
        path_segment::decode(&self.parameters[0]).as_deref().and_then(Id::parse)
    }

    /// The path's last parameter, decoded; `None` if it is badly encoded.
    pub(super) fn last_parameter(&self) -> Option<String> {
        let last = self.parameters.iter().rfind(|parameter| !parameter.is_empty())?;
        path_segment::decode(last)
    }

    /// Whether a trusted proxy reports the client's address.
    pub(super) fn is_client_reported(&self) -> bool {
        self.app.proxies.reports_client(self.http.peer_addr().map(|peer| peer.ip()), self.http.headers())
    }

    /// The memory budget, charged to the client and the account.
    pub(super) fn budget(&self) -> RequestBudget {
        RequestBudget { memory: self.app.memory_budget.clone(), holder: self.holder() }
    }

    /// A permit, charged to the client and the account.
    pub(super) fn permit(&self) -> Permit {
        self.app.memory_budget.permit(self.holder())
    }

    fn holder(&self) -> Holder {
        let holder = match self.medium {
            // Programs of this machine share what has no address, like the loopback addresses.
            Medium::Unix if self.address.is_unspecified() => Holder::default(),
            Medium::Tcp | Medium::Tls | Medium::Unix => Holder::at(self.address),
            Medium::Local(_) | Medium::SystemUser(_) => Holder::default(),
        };
        holder.with_account(self.identity.user)
    }

    /// Reserves memory for a response of that many bytes before a change, because it cannot be refused after the
    /// change.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold the memory.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if bytes == 0 || self.changes_nothing() {
            return Ok(());
        }
        let mut permit = self.body_permit.take().unwrap_or_else(|| self.permit());
        let grown = permit.grow_to(bytes);
        self.body_permit = Some(permit);
        grown
    }

    /// The memory budget of the response, which includes the body's memory. Only the response to a request that changes
    /// nothing is refused if there is no memory.
    pub(super) fn response_budget(&mut self) -> ResponseBudget<'_> {
        let (permit, is_head) = (self.body_permit.take(), self.is_head());
        let (memory, holder) = (&self.app.memory_budget, self.holder());
        ResponseBudget { memory, holder, permit, may_be_refused: self.changes_nothing(), is_head }
    }

    /// Whether the body of the response is not sent.
    pub(super) fn is_head(&self) -> bool {
        *self.http.method() == Method::HEAD
    }

    /// The client whose turn the request's work takes.
    pub(super) fn client(&self) -> Client {
        match (self.identity.user, self.identity.local_uid) {
            (Some(id), _) => Client::Account(id),
            (None, Some(_)) => Client::Local,
            (None, None) => Client::Network(Network::of(self.address)),
        }
    }

    fn changes_nothing(&self) -> bool {
        self.http.method().is_safe()
    }

    /// How the request reached this server.
    pub(super) fn transport(&self) -> Transport {
        Transport { peer: self.http.peer_addr(), medium: self.medium }
    }
}

/// The client's address: the other end of the connection, or the one that trusted proxies report. The unspecified one for
/// a client of a Unix socket.
pub(super) fn client_address(http: &Request, proxies: &TrustedProxies) -> IpAddr {
    proxies.client(http.peer_addr().map(|peer| peer.ip()), http.headers())
}
