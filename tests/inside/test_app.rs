//! A server without sockets over a store in memory.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Sender, channel},
    },
    thread::{self, ThreadId},
    time::Duration,
};

use actix_http::Response;
use actix_web::{
    body::{BoxBody, to_bytes},
    http::header::HeaderMap,
    test::TestRequest,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::Parser;
use futures_util::FutureExt;
use lodge::{
    api::{App, BodyKind, Holder, Permit, Serves, Worker, entry::respond},
    audit::{Files, RetentionPolicy},
    auth::{Cost, HashRequester, Hasher, Throttle, Verification},
    backup::schedule::BackupLog,
    clock::{Clock, Timestamp},
    config::{ServeArguments, Settings},
    domain::{Event, Id, PresentedPassword, User, Username},
    secret::RootSecret,
    service::AppState,
    store::{
        Store,
        audit::{LogPosition, after},
        engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
        memory::Memory,
    },
};
use serde_json::Value;
use tempfile::TempDir;

pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// When what ends in a test does.
pub fn end() -> Timestamp {
    NOW.after(Duration::from_secs(10))
}

/// The last millisecond before [`end`].
pub fn just_before_end() -> Timestamp {
    Timestamp::from_millis(end().as_millis() - 1)
}

/// The password of users where one is enough.
pub const PASSWORD: &str = "a house with a view";

/// The value of an `Authorization` header for a user name and a password.
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}

/// Method, path below `/api/v2`, and body.
pub type Asked = (&'static str, String, Value);

/// Name and value.
pub type Header = (&'static str, String);

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    serve: ServeArguments,
}

/// Settings with that password of the first administrator.
pub fn settings(admin_password: &str) -> Settings {
    let command = Command::parse_from(["lodge", "--data-dir", "/nonexistent"]);
    command.serve.settings(Some(admin_password.to_owned())).unwrap()
}

/// The application, without users.
pub struct TestApp {
    pub state: Arc<AppState>,
    pub store: Store,
    /// How often the store has been read.
    pub reads: Arc<AtomicU64>,
    /// How many accounts have been read.
    pub account_reads: Arc<AtomicU64>,
    /// How often it has been written.
    pub writes: Arc<AtomicU64>,
    /// How many accounts and names have been listed on the thread that serves requests, and at most in one piece on any.
    pub listed_here: Arc<AtomicU64>,
    pub longest_piece: Arc<AtomicU64>,
    app: Arc<App>,
    worker: Worker,
    now: Arc<AtomicU64>,
}

/// What the request comes to by itself: it yields to others once before it does anything, and then waits for another thread
/// or not at all.
pub fn advance<F: Future + Unpin>(request: &mut F) -> Option<F::Output> {
    (0..2).find_map(|_| request.now_or_never())
}

impl TestApp {
    /// One in which guesses need not wait.
    pub async fn build() -> Self {
        Self::with(&["--throttle-after", "0"]).await
    }

    pub async fn with(flags: &[&str]) -> Self {
        let counting = Counting::default();
        let (reads, account_reads, writes) =
            (Arc::clone(&counting.reads), Arc::clone(&counting.account_reads), Arc::clone(&counting.writes));
        let (listed_here, longest_piece) = (Arc::clone(&counting.listed_here), Arc::clone(&counting.longest_piece));
        let store = Store::over(Arc::new(counting));
        store.initialise().await.unwrap();
        let settings = Command::parse_from([&["lodge", "--data-dir", "/nonexistent"], flags].concat());
        let settings = settings.serve.settings(None).unwrap();
        let secret = RootSecret::from_bytes([7; 32]);
        let hasher = Hasher::start(Cost::LEAST, 1);
        let now = Arc::new(AtomicU64::new(NOW.as_millis()));
        let shown = Arc::clone(&now);
        let clock = Clock::new(move || Timestamp::from_millis(shown.load(Ordering::SeqCst)));
        let state = Arc::new(AppState::new(store.clone(), secret, clock, (&settings).into(), hasher));
        let app = App::new(Arc::clone(&state), &settings, BackupLog::default());
        let app = Arc::new(app);
        Self {
            state,
            store,
            reads,
            account_reads,
            writes,
            listed_here,
            longest_piece,
            worker: Worker::new(Arc::clone(&app), Serves::Api),
            app,
            now,
        }
    }

    /// Holds the memory for large bodies and responses, but for so many bytes, until what it returns is dropped.
    pub fn hold_memory_but(&self, bytes: usize) -> Permit {
        let mut permit = self.app.memory_budget.permit(Holder::default());
        permit.take(self.app.limits.transfer_bytes - bytes);
        permit
    }

    /// Sets the clock, which shows [`NOW`] at first and stands still.
    pub fn set_clock(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::SeqCst);
    }

    /// Makes an administrator.
    pub async fn take_in(&self, number: u32, username: &str, password: &str) {
        let password = PresentedPassword::parse(password).unwrap();
        let password = self.state.authenticator.hasher.hash(HashRequester::server(), &password).await.unwrap();
        let (id, username) = (Id::new(number).unwrap(), Username::parse(username).unwrap());
        let user = User { is_admin: true, ..User::new(id, username, password, NOW) };
        self.store.write(move |txn| txn.put(&user)).await.unwrap();
    }

    /// Lets no hash be computed after the one for this until what it returns is dropped.
    pub fn hold_hashes(&self) -> Sender<()> {
        let (begun, begins) = channel();
        let (end, ends) = channel();
        // Of a throttle of its own, so that it counts for nothing.
        let throttle = Throttle::new(self.state.clock.clone(), 0);
        let attempt = throttle.begin("nobody", None, [203, 0, 113, 1].into()).unwrap();
        let password = PresentedPassword::parse("a guess").unwrap();
        let wait_for_end = Box::new(move || {
            begun.send(()).unwrap();
            let _ = ends.recv();
        });
        let verification = Verification { attempt, stored: None, password, refused: wait_for_end };
        let mut held = Box::pin(self.state.authenticator.hasher.verify(verification));
        assert!(held.as_mut().now_or_never().is_none());
        begins.recv().unwrap();
        end
    }

    /// The entries of the audit log, those of refusals so far included.
    pub fn audit_entries(&self) -> Vec<Event> {
        let directory = TempDir::new().unwrap();
        let policy = RetentionPolicy { size_bytes: 1 << 20, age: Duration::MAX, keep: 2 };
        self.state.audit.keep_in(Files::open(directory.path(), policy, LogPosition::default()).unwrap());
        self.state.audit.log_reader(&self.store).unwrap();
        after(&self.store, 0, 1000).unwrap().into_iter().map(|entry| entry.event).collect()
    }

    /// The status and the body of the answer.
    pub async fn send(&self, authorization: Option<&str>, asked: &Asked) -> (u16, Value) {
        let headers: Vec<_> = authorization.map(|value| ("Authorization", value.to_owned())).into_iter().collect();
        let Answer { status, body, .. } = self.answer(&headers, asked).await;
        (status, body)
    }

    pub async fn answer(&self, headers: &[Header], asked: &Asked) -> Answer {
        let response = self.untaken(headers, asked).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap_or_default();
        Answer { status, headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }

    /// An answer whose body has not been read yet.
    pub async fn untaken(&self, headers: &[Header], (method, path, body): &Asked) -> Response<BoxBody> {
        // A text is a form.
        let (kind, body) = match body {
            Value::String(form) => (BodyKind::Form, form.clone()),
            members => (BodyKind::Json, members.to_string()),
        };
        let mut request = TestRequest::with_uri(&format!("/api/v2{path}"))
            .method(method.parse().unwrap())
            .peer_addr(([127, 0, 0, 1], 7).into())
            .insert_header(("Content-Type", kind.media_type()))
            .set_payload(body);
        for (name, value) in headers {
            request = request.insert_header((*name, value.as_str()));
        }
        respond(&self.worker, request.to_request()).await
    }
}

/// Memory that counts how often it is read and written.
struct Counting {
    thread: ThreadId,
    listed_here: Arc<AtomicU64>,
    longest_piece: Arc<AtomicU64>,
    memory: Memory,
    reads: Arc<AtomicU64>,
    account_reads: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
}

impl Default for Counting {
    fn default() -> Self {
        let [reads, account_reads, writes, listed_here, longest_piece] = [(); 5].map(|()| Arc::default());
        let thread = thread::current().id();
        Self { thread, listed_here, longest_piece, memory: Memory::default(), reads, account_reads, writes }
    }
}

impl Engine for Counting {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.account_reads.fetch_add(u64::from(tree == Tree::Users), Ordering::Relaxed);
        self.memory.get(tree, key)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        if ![Tree::Users, Tree::UsersByUsername].contains(&tree) {
            return self.memory.scan(tree, range, visit);
        }
        let mut listed = 0;
        let scanned = self.memory.scan(tree, range, &mut |key, value| {
            listed += 1;
            visit(key, value)
        });
        self.longest_piece.fetch_max(listed, Ordering::Relaxed);
        self.listed_here.fetch_add(if thread::current().id() == self.thread { listed } else { 0 }, Ordering::Relaxed);
        scanned
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.memory.commit(changes)
    }
}
