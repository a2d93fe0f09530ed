//! When something was last used is known at once, written later, and goes with the record that it is about.

use std::{net::IpAddr, sync::Arc};

use lodge::{
    clock::Timestamp,
    domain::{Activity, ActivitySubject, Session},
    service::activity::ActivityRecorder,
    store::{
        Store, StoreError, Tables, Txn,
        activity::{self, MAX_SCOPES_OF_KEY},
        memory::Memory,
    },
};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::values::{api_key, findings_beside_sequences, id, session, user};

const SIGN_IN: fn() -> ActivitySubject<'static> = || ActivitySubject::SignIn(id(1));
const SESSION: fn() -> ActivitySubject<'static> = || ActivitySubject::Session(id(1), Uuid::from_u128(1));
const KEY: fn() -> ActivitySubject<'static> = || ActivitySubject::ApiKey(id(1), id(1));
const SCOPE: fn() -> ActivitySubject<'static> = || ActivitySubject::ApiKeyScope(id(1), id(1), "users", "show");
const ALL: [fn() -> ActivitySubject<'static>; 4] = [SIGN_IN, SESSION, KEY, SCOPE];

/// A store with a user who has a session and an API key.
fn store() -> Store {
    let store = Store::over(Arc::new(Memory::default()));
    write(&store, |txn| {
        txn.put(&user(1, "ann")).unwrap();
        txn.put(&session(1, 1, 100)).unwrap();
        txn.put(&api_key(1, 1, 7)).unwrap();
    });
    store
}

fn write(store: &Store, work: impl FnOnce(&mut Txn<'_>) + Send + 'static) {
    let done = store.write_blocking(move |txn| {
        work(txn);
        Ok::<_, StoreError>(())
    });
    done.unwrap();
}

fn write_activity(recorder: &ActivityRecorder, store: &Store) {
    Builder::new_current_thread().build().unwrap().block_on(recorder.write(store)).unwrap();
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn written(store: &Store) -> [bool; 4] {
    ALL.map(|subject| activity::last(store, subject()).unwrap().is_some())
}

#[test]
fn activity_is_known_to_the_minute_at_once_and_in_the_store_once_it_is_written() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let expected = Some(Activity { at: at(120_000), address: Some(address(1)) });

    recorder.record(SESSION(), at(179_999), Some(address(1)));
    recorder.record(SESSION(), at(179_999), Some(address(2)));

    assert_eq!(recorder.last(&store, SESSION()).unwrap(), expected, "the first of the minute");
    assert_eq!(activity::last(&store, SESSION()).unwrap(), None);
    write_activity(&recorder, &store);
    assert_eq!(activity::last(&store, SESSION()).unwrap(), expected);
    assert_eq!(ActivityRecorder::new().last(&store, SESSION()).unwrap(), expected, "another process reads the same");
}

#[test]
fn the_last_activity_counts_and_subjects_are_distinct() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    for (minute, subject) in ALL.iter().enumerate() {
        recorder.record(subject(), at(60_000 * minute as u64), None);
    }
    write_activity(&recorder, &store);

    recorder.record(KEY(), at(6_000_000), Some(address(3)));

    let minutes = ALL.map(|subject| recorder.last(&store, subject()).unwrap().unwrap().minute());
    assert_eq!(minutes, [0, 1, 100, 3]);
    write_activity(&recorder, &store);
    assert_eq!(ALL.map(|subject| activity::last(&store, subject()).unwrap().unwrap().minute()), [0, 1, 100, 3]);
}

#[test]
fn a_clock_that_was_set_back_is_followed() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    for millis in [600_000, 60_000] {
        recorder.record(KEY(), at(millis), None);
        write_activity(&recorder, &store);
        assert_eq!(activity::last(&store, KEY()).unwrap(), Some(Activity::at(at(millis), None)));
    }
}

#[test]
fn a_removed_record_has_no_activity_and_gets_none_later() {
    type Removal = fn(&mut Txn<'_>);
    let remove: [(Removal, [bool; 4]); 4] = [
        (|txn| txn.remove_owned::<Session>(id(1)).unwrap(), [true, false, true, true]),
        (|txn| txn.remove(&api_key(1, 1, 7)).unwrap(), [true, true, false, false]),
        (|txn| txn.remove_user(&user(1, "ann")).unwrap(), [false; 4]),
        (|txn| txn.put(&user(2, "bob")).unwrap(), [true; 4]),
    ];
    for (remove, remaining) in remove {
        let (store, recorder) = (store(), ActivityRecorder::new());
        for subject in &ALL {
            recorder.record(subject(), at(60_000), None);
        }
        write_activity(&recorder, &store);
        assert_eq!(written(&store), [true; 4]);
        for subject in &ALL {
            recorder.record(subject(), at(120_000), None);
        }

        write(&store, remove);

        assert_eq!(written(&store), remaining);
        write_activity(&recorder, &store);
        assert_eq!(written(&store), remaining);
        assert_eq!(findings_beside_sequences(&store).faults, Vec::<String>::new());
    }
}

#[test]
fn the_scopes_of_a_key_are_listed_whether_written_or_not() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let scopes = || {
        let used = recorder.scopes_of_key(&store, id(1), id(1)).unwrap();
        used.into_iter().map(|(scope, last)| (scope.to_string(), last.minute())).collect::<Vec<_>>()
    };
    let scope = |action| ActivitySubject::ApiKeyScope(id(1), id(1), "users", action);
    recorder.record(KEY(), at(60_000), None);
    recorder.record(scope("show"), at(60_000), None);
    recorder.record(scope("index"), at(60_000), None);
    recorder.record(ActivitySubject::ApiKeyScope(id(1), id(2), "other", "key"), at(60_000), None);
    write_activity(&recorder, &store);

    recorder.record(scope("show"), at(120_000), None);
    recorder.record(scope("update"), at(120_000), None);

    let [index, show, update] = ["users / index", "users / show", "users / update"].map(str::to_owned);
    assert_eq!(scopes(), [(index, 1), (show, 2), (update, 2)]);
}

#[test]
fn an_api_key_has_the_activity_of_so_many_scopes_and_no_more() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let record = |first: usize, minute: u64| {
        for number in first..first + MAX_SCOPES_OF_KEY {
            let action = format!("a{number:03}");
            recorder.record(ActivitySubject::ApiKeyScope(id(1), id(1), "files", &action), at(60_000 * minute), None);
        }
        write_activity(&recorder, &store);
        activity::scopes_of_key(&store, id(1), id(1)).unwrap()
    };

    assert_eq!(record(0, 1).len(), MAX_SCOPES_OF_KEY);
    let later = record(1, 2);

    assert_eq!(later.len(), MAX_SCOPES_OF_KEY);
    assert_eq!(
        later.iter().map(|(_, last)| last.minute()).filter(|minute| *minute == 2).count(),
        MAX_SCOPES_OF_KEY - 1
    );
}

#[test]
fn activity_that_is_not_written_takes_bounded_memory_and_there_is_room_again_once_it_is() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let session = |number: u32| ActivitySubject::Session(id(1), Uuid::from_u128(u128::from(number)));
    let is_known = |number| recorder.last(&store, session(number)).unwrap().is_some();

    (1..=20_000).for_each(|number| recorder.record(session(number), at(60_000), None));

    let known = (1..=20_000).filter(|number| is_known(*number)).count();
    assert_eq!(known, 16_384);
    write_activity(&recorder, &store);
    recorder.record(session(20_000), at(60_000), None);
    assert!(is_known(20_000), "what there was no room for is recorded in the same minute");
}

#[test]
fn the_scopes_of_one_owners_keys_leave_room_for_other_activity() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let record = |number: u32| {
        let action = format!("a{number}");
        recorder.record(ActivitySubject::ApiKeyScope(id(1), id(number % 100 + 1), "files", &action), at(60_000), None);
    };
    let known = || (1..=100).map(|key| recorder.scopes_of_key(&store, id(1), id(key)).unwrap().len()).sum::<usize>();

    (0..20_000).for_each(record);

    assert_eq!(known(), 1024);
    recorder.record(ActivitySubject::SignIn(id(1)), at(60_000), None);
    assert!(recorder.last(&store, ActivitySubject::SignIn(id(1))).unwrap().is_some());
    recorder.record(ActivitySubject::ApiKeyScope(id(2), id(101), "files", "index"), at(60_000), None);
    assert_eq!(recorder.scopes_of_key(&store, id(2), id(101)).unwrap().len(), 1);
    write_activity(&recorder, &store);
    record(20_000);
    assert!(recorder.scopes_of_key(&store, id(1), id(1)).unwrap().iter().any(|(scope, _)| scope.action() == "a20000"));
}

#[test]
fn activity_advances_no_version_and_changes_no_account() {
    let (store, recorder) = (store(), ActivityRecorder::new());
    let versions = || (store.owner_version(id(1)), store.users_version());
    let (before, account) = (versions(), store.user(id(1)).unwrap());

    for subject in &ALL {
        recorder.record(subject(), at(60_000), None);
    }
    write_activity(&recorder, &store);

    assert_eq!(versions(), before);
    assert_eq!(store.user(id(1)).unwrap(), account);
}

#[test]
fn since_when_activity_is_recorded_is_remembered_once() {
    let store = store();
    assert_eq!(activity::since(&store).unwrap(), None);

    write(&store, |txn| txn.begin_activity(at(7)).unwrap());
    write(&store, |txn| txn.begin_activity(at(8)).unwrap());

    assert_eq!(activity::since(&store).unwrap(), Some(at(7)));
}
