//! A server without sockets over a store in memory.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use actix_web::{
    App as Web,
    body::to_bytes,
    test::{TestRequest, call_service, init_service},
    web,
};
use clap::Parser;
use lodge::{
    api::{App, Origins, Privacy, TransferMemory, TrustedProxies, entry::respond},
    auth::{Cost, Hasher, Realm},
    backup::schedule::BackupLog,
    clock::{Clock, Timestamp},
    config::ServeArguments,
    secret::RootSecret,
    store::{
        Store,
        engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
        memory::Memory,
    },
};
use serde_json::Value;

pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Method, path below `/api/v2`, and body.
pub type Asked = (&'static str, String, Value);

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    serve: ServeArguments,
}

/// The server, with nobody in it.
pub struct House {
    pub realm: Arc<Realm>,
    pub store: Store,
    /// How often the store has been read.
    pub reads: Arc<AtomicU64>,
    app: web::Data<App>,
}

impl House {
    pub async fn build() -> Self {
        let reads = Arc::default();
        let store = Store::over(Arc::new(Counting { memory: Memory::default(), reads: Arc::clone(&reads) }));
        store.initialise().await.unwrap();
        let settings = Command::parse_from(["lodge", "--throttle-after", "0", "--data-dir", "/nonexistent"]);
        let settings = settings.serve.settings(None).unwrap();
        let secret = RootSecret::from_bytes([7; 32]);
        let hasher = Hasher::start(Cost::LEAST, 1);
        let realm = Arc::new(Realm::new(store.clone(), secret, Clock::new(|| NOW), settings.rules, hasher));
        let app = App {
            realm: Arc::clone(&realm),
            transfers: TransferMemory::new(settings.limits.transfer_bytes),
            limits: settings.limits,
            origins: Origins::new(&settings.origins),
            privacy: Privacy::new(settings.require_tls),
            proxies: TrustedProxies::new(settings.trusted_proxies, realm.clock.clone()),
            user_pages: Arc::default(),
            backups: BackupLog::default(),
        };
        Self { realm, store, reads, app: web::Data::new(app) }
    }

    /// The status and the body of the answer.
    pub async fn send(&self, authorization: Option<&str>, (method, path, body): &Asked) -> (u16, Value) {
        let service = Web::new().app_data(web::Data::clone(&self.app)).default_service(web::to(respond));
        let service = init_service(service).await;
        let mut request = TestRequest::with_uri(&format!("/api/v2{path}"))
            .method(method.parse().unwrap())
            .peer_addr(([127, 0, 0, 1], 7).into())
            .insert_header(("Content-Type", "application/json"))
            .set_payload(body.to_string());
        if let Some(authorization) = authorization {
            request = request.insert_header(("Authorization", authorization));
        }
        let response = call_service(&service, request.to_request()).await;
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }
}

/// Memory that counts how often it is read.
struct Counting {
    memory: Memory,
    reads: Arc<AtomicU64>,
}

impl Engine for Counting {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.memory.get(tree, key)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.memory.scan(tree, range, visit)
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        self.memory.commit(changes)
    }
}
