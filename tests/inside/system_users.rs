//! Which account a user of the operating system is, on the socket for system users.

use std::{sync::Arc, time::Duration};

use actix_web::rt::System;
use lodge::{
    clock::Timestamp,
    domain::{AuthMethod, Id, Outcome, PasswordHash, SystemId, User, Username},
    service::{KnownName, ResourceAccess, sessions::destroy_all},
};

use crate::test_app::{NOW, TestApp};

/// A user that every system has, with a name of its own.
const UID: u32 = 1;

/// The name of that user here.
async fn name(test_app: &TestApp) -> Option<String> {
    let name = test_app.state.names.user_name(UID).await.unwrap();
    assert!(name.is_some(), "this system has no user {UID}");
    name
}

fn account(id: u32, system_name: Option<String>) -> User {
    let username = Username::parse(&format!("user{id}")).unwrap();
    let user = User::new(Id::new(id).unwrap(), username, PasswordHash::new("$scrypt$".to_owned()), NOW);
    User { user_id: SystemId::new(UID.into()).ok(), system_name, ..user }
}

/// Which of these accounts the user of that uid is; a refusal is recorded.
fn recognised(uid: u32, users: Vec<User>, flags: &[&str]) -> Option<Id> {
    let ask = async {
        let test_app = TestApp::with(&[&["--throttle-after", "0"], flags].concat()).await;
        test_app.store.write(move |txn| users.iter().try_for_each(|user| txn.put(user))).await.unwrap();
        let found = test_app.state.system_user(uid, &KnownName::default()).await.ok().map(|caller| caller.user.id);
        (test_app, found)
    };
    let (test_app, found) = System::new().block_on(ask);
    let entries = test_app.audit_entries();
    let refused: Vec<_> = entries.iter().filter(|entry| entry.outcome == Outcome::Refused).collect();
    assert_eq!(refused.len(), usize::from(found.is_none()), "{uid}");
    assert!(refused.iter().all(|entry| entry.actor.method == AuthMethod::SystemUser(uid)));
    found
}

#[test]
fn a_system_user_is_the_only_account_with_the_uid_and_its_present_name() {
    let name = System::new().block_on(async { name(&TestApp::build().await).await });
    let ann = || account(1, name.clone());
    let administrator = || User { is_admin: true, ..ann() };
    let administrators = ["--user-socket-administrators"];

    assert_eq!(recognised(UID, vec![ann()], &[]), Id::new(1));
    assert_eq!(recognised(UID, vec![administrator()], &administrators), Id::new(1));
    for (case, users) in [
        ("no account", vec![]),
        ("the uid of another account too", vec![ann(), account(2, name.clone())]),
        ("the uid of another account too, which is from before names were kept", vec![ann(), account(2, None)]),
        ("an account from before names were kept", vec![account(1, None)]),
        ("an account of the uid's former owner", vec![account(1, Some("former".to_owned()))]),
        ("an administrator", vec![administrator()]),
        ("a suspended account", vec![User { suspended: true, ..ann() }]),
        ("an expired account", vec![User { expired_at: Some(Timestamp::from_millis(1)), ..ann() }]),
    ] {
        assert_eq!(recognised(UID, users, &[]), None, "{case}");
    }
    for uid in [0, 65_534, u32::MAX] {
        let user = User { user_id: SystemId::new(uid.into()).ok(), system_name: Some("root".to_owned()), ..ann() };
        assert_eq!(recognised(uid, vec![user], &administrators), None, "{uid}");
    }
}

#[tokio::test]
async fn a_uid_that_another_account_is_given_writes_nothing_more() {
    let test_app = TestApp::build().await;
    let name = name(&test_app).await;
    let (ann, ben) = (account(1, name.clone()), account(2, name));
    test_app.store.write(move |txn| txn.put(&ann)).await.unwrap();
    let caller = test_app.state.system_user(UID, &KnownName::default()).await.unwrap();
    let access = ResourceAccess::from(caller);

    test_app.store.write(move |txn| txn.put(&ben)).await.unwrap();

    assert!(destroy_all(&access, None).await.is_err());
    assert!(test_app.state.system_user(UID, &KnownName::default()).await.is_err());
}

#[tokio::test]
async fn a_connection_knows_the_name_for_five_seconds_and_another_one_asks_for_it() {
    let test_app = TestApp::build().await;
    let former = account(1, Some("former".to_owned()));
    test_app.store.write(move |txn| txn.put(&former)).await.unwrap();
    let now = test_app.state.clock.monotonic();
    let asked = |known: KnownName| {
        let state = Arc::clone(&test_app.state);
        async move { state.system_user(UID, &known).await.is_ok() }
    };
    let answered = |ago: u64| {
        let known = KnownName::default();
        known.record(now.before(Duration::from_millis(ago)), Some("former".to_owned()));
        known
    };

    assert!(asked(answered(0)).await && asked(answered(4999)).await);
    assert!(!asked(answered(5000)).await, "the uid has another name by now");
    assert!(!asked(KnownName::default()).await);
}
