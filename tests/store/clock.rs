//! A clock that is set back: what was over stays over once it is swept, and numbers go on.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use lodge::{
    auth::{Claims, Cost, HashRequester, Hasher},
    clock::{Clock, Timestamp},
    domain::{Change, Email, Id, NewPassword, PresentedPassword, Submitted, User, UserChange, Username, Violations},
    secret::RootSecret,
    service::{
        Administrator, Anonymous, AppState, Caller, Policy,
        assertion_keys::AssertionPolicy,
        sessions::{sign_in, sign_out, sweep},
        users,
    },
    store::{Store, Tables, integrity::Integrity, memory::Memory},
};

use crate::values::{administrator, findings_beside_sequences, session};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PASSWORD: &str = "a house with a view";

/// An application with the administrator `ann` and a clock that is set by hand; sessions last an hour.
struct TestApp {
    state: Arc<AppState>,
    store: Store,
    millis: Arc<AtomicU64>,
}

impl TestApp {
    async fn build() -> Self {
        let store = Store::over(Arc::new(Memory::default()));
        store.initialise().await.unwrap();
        let millis = Arc::new(AtomicU64::new(Timestamp::from_secs(1_800_000_000).as_millis()));
        let hand = Arc::clone(&millis);
        let clock = Clock::new(move || Timestamp::from_millis(hand.load(Ordering::SeqCst)));
        let hasher = Hasher::start(Cost::LEAST, 1);
        let password = hasher.hash(HashRequester::server(), &password()).await.unwrap();
        let ann = User { password, ..administrator(1, "ann") };
        store
            .write(move |txn| {
                txn.next_id(lodge::store::Sequence::Users)?;
                txn.put(&ann)
            })
            .await
            .unwrap();
        let state = AppState::new(store.clone(), RootSecret::from_bytes([7; 32]), clock, policy(HOUR), hasher);
        Self { state: Arc::new(state), store, millis }
    }

    /// The same store and clock under another lifetime of sessions.
    fn restarted_with(&self, session_lifetime: Duration) -> Self {
        let hasher = Hasher::start(Cost::LEAST, 1);
        let (store, clock, secret) = (self.store.clone(), self.state.clock.clone(), RootSecret::from_bytes([7; 32]));
        let state = AppState::new(store.clone(), secret, clock, policy(session_lifetime), hasher);
        Self { state: Arc::new(state), store, millis: Arc::clone(&self.millis) }
    }

    fn forward(&self, by: Duration) {
        self.millis.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    fn back(&self, by: Duration) {
        self.millis.fetch_sub(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    async fn sign_in(&self) -> String {
        let anonymous = Anonymous { state: Arc::clone(&self.state), address: ADDRESS };
        sign_in(&anonymous, "ann", &password()).await.unwrap().1.expose().clone()
    }

    async fn caller(&self, token: &str) -> Option<Caller> {
        self.state.authenticate([token.as_bytes()].into_iter(), ADDRESS).await.ok()
    }

    /// A token of a new session, with an `exp` that long from now.
    async fn token_that_ends_after(&self, ends: Duration) -> String {
        self.sign_in().await;
        let (now, sessions) = (self.state.clock.now().as_secs(), self.store.sessions(ann()).unwrap());
        let claims =
            Claims { sub: ann().to_string(), jti: sessions[0].jti, iat: now, exp: now + ends.as_secs(), nbf: None };
        self.state.authenticator.tokens.sign(&claims).expose().clone()
    }

    /// The numbers of Ann's sessions, in order.
    fn numbers(&self) -> Vec<u64> {
        let mut numbers: Vec<_> = self.store.sessions(ann()).unwrap().iter().map(|session| session.number).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn policy(session_lifetime: Duration) -> Policy {
    Policy {
        session_lifetime,
        min_password_bytes: 8,
        throttle_after: 5,
        require_current_password: false,
        max_configurations: 10,
        user_socket_administrators: false,
        assertions: AssertionPolicy::default(),
        max_api_keys: 10,
        max_key_overlap: Duration::ZERO,
        initial_password_file: PathBuf::from("/nonexistent/initial-admin-password"),
    }
}

fn ann() -> Id {
    Id::new(1).unwrap()
}

fn password() -> PresentedPassword {
    PresentedPassword::parse(PASSWORD).unwrap()
}

fn submitted(change: UserChange) -> Submitted<UserChange> {
    Submitted { change, violations: Violations::none() }
}

fn newcomer(name: &str) -> Submitted<UserChange> {
    let username = Change::Set(Username::parse(name).unwrap());
    let password = Change::Set(NewPassword::parse(PASSWORD, 8).unwrap());
    submitted(UserChange { username, password, ..UserChange::default() })
}

#[tokio::test]
async fn a_session_that_was_swept_is_not_revived_by_a_clock_that_is_set_back() {
    let test_app = TestApp::build().await;
    let token = test_app.sign_in().await;
    assert!(test_app.caller(&token).await.is_some());

    test_app.forward(HOUR);
    assert!(test_app.caller(&token).await.is_none());
    assert_eq!(sweep(&test_app.state).await.unwrap(), 1);
    test_app.back(DAY);

    assert!(test_app.caller(&token).await.is_none());
    assert_eq!(test_app.numbers(), [0; 0]);
}

#[tokio::test]
async fn a_session_that_was_signed_out_is_not_revived_by_a_clock_that_is_set_back() {
    let test_app = TestApp::build().await;
    let token = test_app.sign_in().await;

    sign_out(&test_app.caller(&token).await.unwrap()).await.unwrap();
    test_app.back(DAY);

    assert!(test_app.caller(&token).await.is_none());
}

#[tokio::test]
async fn sessions_after_a_clock_was_set_back_are_new_ones_and_last_as_long() {
    let test_app = TestApp::build().await;
    let token = test_app.sign_in().await;
    test_app.back(DAY);

    let later = test_app.sign_in().await;

    assert_ne!(later, token);
    assert_eq!(test_app.numbers(), [1, 2]);
    assert!(test_app.caller(&later).await.is_some());
    test_app.forward(HOUR);
    assert!(test_app.caller(&later).await.is_none());
    assert_eq!(sweep(&test_app.state).await.unwrap(), 2);
    assert_eq!(test_app.numbers(), [0; 0]);
}

#[tokio::test]
async fn a_session_that_was_made_while_the_clock_was_ahead_is_refused_and_removed() {
    let test_app = TestApp::build().await;
    let token = test_app.sign_in().await;
    assert!(test_app.caller(&token).await.is_some());
    test_app.back(Duration::from_secs(1));

    assert!(test_app.caller(&token).await.is_none(), "it would last a second longer than a session may");
    assert_eq!(sweep(&test_app.state).await.unwrap(), 1);
    test_app.forward(Duration::from_secs(1));

    assert!(test_app.caller(&token).await.is_none());
    assert_eq!(test_app.numbers(), [0; 0]);
}

#[tokio::test]
async fn a_lifetime_that_is_lowered_counts_for_sessions_that_are_there() {
    let test_app = TestApp::build().await;
    let token = test_app.sign_in().await;

    let lowered = test_app.restarted_with(HOUR / 2);
    assert!(lowered.caller(&token).await.is_none());
    let later = lowered.sign_in().await;
    assert_eq!(sweep(&lowered.state).await.unwrap(), 1);

    assert!(lowered.caller(&later).await.is_some());
    assert_eq!(lowered.numbers(), [2]);
}

#[tokio::test]
async fn a_session_is_over_at_the_end_of_its_token_or_of_its_row_whichever_comes_first() {
    for ends in [HOUR / 2, HOUR, HOUR * 2] {
        let test_app = TestApp::build().await;
        let token = test_app.token_that_ends_after(ends).await;
        assert!(test_app.caller(&token).await.is_some());

        test_app.forward(ends.min(HOUR).saturating_sub(Duration::from_secs(1)));
        assert!(test_app.caller(&token).await.is_some(), "{ends:?}");
        test_app.forward(Duration::from_secs(1));
        assert!(test_app.caller(&token).await.is_none(), "{ends:?}");
    }
}

#[tokio::test]
async fn however_many_sessions_are_over_no_write_waits_for_more_than_500_of_them() {
    let test_app = TestApp::build().await;
    let commits = || Integrity::stored(&test_app.store).unwrap().unwrap().commit;
    let over = (0..1201).map(|jti| session(1, jti, 100)).collect::<Vec<_>>();
    let live = test_app.sign_in().await;
    test_app.store.write(move |txn| over.iter().try_for_each(|session| txn.put(session))).await.unwrap();
    let before = commits();

    assert_eq!(sweep(&test_app.state).await.unwrap(), 1201);

    assert_eq!(commits() - before, 3);
    assert_eq!(test_app.numbers(), [1]);
    assert!(test_app.caller(&live).await.is_some());
}

#[tokio::test]
async fn accounts_of_the_future_are_shown_changed_and_followed_by_others() {
    let test_app = TestApp::build().await;
    let ann = || async { Administrator(test_app.caller(&test_app.sign_in().await).await.unwrap().into()) };
    let first = users::create(&ann().await, newcomer("bob")).await.unwrap();
    test_app.back(DAY);

    let ann = ann().await;
    let second = users::create(&ann, newcomer("cid")).await.unwrap();
    let email = Change::Set(Some(Email::parse("bob@example.org").unwrap()));
    let changed =
        users::update(&ann.0, first.id, submitted(UserChange { email, ..UserChange::default() })).await.unwrap();

    assert_eq!((first.id.get(), second.id.get()), (2, 3));
    assert!(second.created_at < first.created_at);
    assert_eq!(changed.created_at, first.created_at);
    assert_eq!(users::show(&ann.0, first.id).unwrap(), changed);
    assert_eq!(findings_beside_sequences(&test_app.store).faults, [""; 0]);
}
