use super::*;
use crate::{
    auth::{Cost, Hasher},
    clock::Clock,
    domain::{Actor, Change, NewPassword, PasswordHash, Submitted, UserChange, Username},
    secret::RootSecret,
    service::{
        apply::{Desired, check::refuse_too_many_passwords, passwords::PreparedUser},
        assertion_keys::AssertionPolicy,
    },
    store::{Sequence, Store, Tables, memory::Memory},
};

/// An application with that many administrators over a store in memory.
async fn state(administrators: usize) -> AppState {
    let policy = Policy {
        session_lifetime: std::time::Duration::from_mins(1),
        min_password_bytes: 8,
        throttle_after: 0,
        require_current_password: false,
        max_configurations: 10,
        max_api_keys: 10,
        max_key_overlap: std::time::Duration::ZERO,
        user_socket_administrators: false,
        assertions: AssertionPolicy::default(),
        initial_password_file: "nothing".into(),
    };
    let (store, secret) = (Store::over(Arc::new(Memory::default())), RootSecret::from_bytes([7; 32]));
    let state = AppState::new(store, secret, Clock::system(), policy, Hasher::start(Cost::LEAST, 1));
    for number in 0..administrators {
        commit(&state, move |txn| insert(txn, number)).await.unwrap();
    }
    state
}

async fn commit<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce(&mut Txn<'_>) -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    state.write_all(Actor::SERVER, move |txn| Ok((work(txn)?, []))).await
}

fn insert(txn: &mut Txn<'_>, number: usize) -> Result<(), ServiceError> {
    let (id, name) = (txn.next_id(Sequence::Users)?, Username::parse(&format!("user{number}")).unwrap());
    let user =
        User { is_admin: true, ..User::new(id, name, PasswordHash::new("stored".to_owned()), Timestamp::from_secs(1)) };
    txn.put(&user).unwrap();
    Ok(())
}

fn desired(users: &[(&str, Option<&str>)]) -> Arc<Desired> {
    let user = |(username, password): &(&str, Option<&str>)| DesiredUser {
        place: (*username).to_owned(),
        attributes: Submitted {
            change: UserChange {
                username: Change::Set(Username::parse(username).unwrap()),
                password: password.map_or(Change::Keep, |text| Change::Set(NewPassword::parse(text, 8).unwrap())),
                ..UserChange::default()
            },
            violations: Violations::none(),
        },
        configurations: None,
        api_keys: None,
    };
    Arc::new(Desired { users: Some(users.iter().map(user).collect()), wrong: InvalidRecords::default() })
}

const PRUNE: Mode = Mode { is_dry_run: false, prunes: true };

#[tokio::test]
async fn more_rows_than_may_be_written_at_once_are_refused_and_none_is_changed() {
    let state = state(40).await;
    let desired = desired(&[("user7", None)]);
    let run = async |max_rows| {
        let work = Work { max_rows, ..Work::new(&state, &desired, PRUNE, Prepared::default()) };
        commit(&state, move |txn| work.run(txn)).await.map(|changes| changes.changed.len())
    };

    let refused = run(50).await.unwrap_err();

    let ServiceError::InvalidRecords(wrong) = refused else { panic!("{refused}") };
    let messages: Vec<_> =
        wrong.iter().flat_map(|(_, violations)| violations.iter().map(crate::domain::Violation::message)).collect();
    assert_eq!(messages, ["There are too many rows to compare or change at once (maximum is 50)"]);
    assert_eq!(id_set::count(&state.store, IdSet::Users).unwrap(), 40);
    assert_eq!(run(MAX_ROWS).await.unwrap(), 39);
    assert_eq!(id_set::count(&state.store, IdSet::Users).unwrap(), 1);
}

#[tokio::test]
async fn a_password_that_was_compared_with_another_than_the_accounts_is_not_stored() {
    let state = state(1).await;
    let desired = desired(&[("user0", Some("a house with a view"))]);
    let hash = |text: &str| Some(PasswordHash::new(text.to_owned()));
    let run = async |compared, password| {
        let prepared = Prepared::All(vec![PreparedUser { compared, password, system_name: None }]);
        let work = Work::new(&state, &desired, PRUNE, prepared);
        commit(&state, move |txn| work.run(txn)).await.map(|changes| changes.changed.len())
    };
    let stored = || state.store.user_by_username("user0").unwrap().unwrap().password;

    for compared in [hash("another"), None] {
        for password in [hash("new"), None] {
            assert!(matches!(run(compared.clone(), password).await, Err(ServiceError::ChangedMeanwhile)));
        }
    }

    assert_eq!(Some(stored()), hash("stored"));
    assert_eq!(run(hash("stored"), None).await.unwrap(), 0);
    assert_eq!(run(hash("stored"), hash("new")).await.unwrap(), 1);
    assert_eq!(Some(stored()), hash("new"));
}

#[test]
fn more_passwords_than_can_be_compared_in_minutes_are_refused() {
    let count = |count: usize| {
        let desired = desired(&vec![("user0", None); count]);
        let password = NewPassword::parse("a house with a view", 8).unwrap();
        let mut desired = Arc::into_inner(desired).unwrap();
        for user in desired.users.iter_mut().flatten() {
            user.attributes.change.password = Change::Set(password.clone());
        }
        refuse_too_many_passwords(&desired)
    };
    assert!(count(1_000).is_ok());
    assert!(matches!(count(1_001), Err(ServiceError::InvalidRecords(_))));
}
