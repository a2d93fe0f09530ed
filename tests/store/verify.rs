//! Every kind of damage is noticed, and named.

use std::sync::Arc;

use lodge::{
    clock::Timestamp,
    domain::{Activity, ActivitySubject, User},
    store::{
        IdSet, Sequence, Store, StoreError, Txn,
        activity::key_of,
        engine::{Changes, Engine, Tree},
        id_set,
        memory::Memory,
        record::encode,
        table::Record,
        verify::{Findings, verify},
    },
};
use tokio::runtime::Builder;
use uuid::Uuid;

use crate::values::{administrator, api_key, configuration, id, session, user};

const ANN: u32 = 1;
const BOB: u32 = 2;
const NOBODY: u32 = 3;

/// A sound store with two users, of whom the first has one of everything, and a way to its bytes.
struct Damaged {
    memory: Arc<Memory>,
    store: Store,
}

impl Damaged {
    fn new() -> Self {
        let memory = Arc::new(Memory::default());
        let store = Store::over(Arc::clone(&memory) as Arc<dyn Engine>);
        let damaged = Self { memory, store };
        damaged.write(|txn| {
            txn.put(&administrator(ANN, "Ann")).unwrap();
            txn.put(&user(BOB, "bob")).unwrap();
            txn.put(&configuration(ANN, 1, "theme", "dark")).unwrap();
            txn.put(&api_key(ANN, 1, 7)).unwrap();
            txn.put(&session(ANN, 1, 100)).unwrap();
            for sequence in [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys] {
                (0..9).for_each(|_| assert!(txn.next_id(sequence).is_ok()));
            }
        });
        damaged
    }

    fn write(&self, work: impl FnOnce(&mut Txn<'_>) + Send + 'static) {
        let runtime = Builder::new_current_thread().build().unwrap();
        let done: Result<(), StoreError> = runtime.block_on(self.store.write(|txn| {
            work(txn);
            Ok(())
        }));
        done.unwrap();
    }

    fn set(self, tree: Tree, key: Vec<u8>, value: Option<Vec<u8>>) -> Self {
        self.memory.commit(&Changes::from([((tree, key), value)])).unwrap();
        self
    }

    fn without(self, tree: Tree, key: Vec<u8>) -> Self {
        self.set(tree, key, None)
    }

    fn with(self, tree: Tree, key: Vec<u8>, value: impl Into<Vec<u8>>) -> Self {
        self.set(tree, key, Some(value.into()))
    }

    fn with_record(self, record: &impl Record) -> Self {
        self.with_bytes_of(record, encode(record))
    }

    /// With other bytes in the place of that record.
    fn with_bytes_of<R: Record>(self, record: &R, bytes: Vec<u8>) -> Self {
        self.with(R::TREE, record.key(), bytes)
    }

    fn without_index_rows_of(self, record: &impl Record) -> Self {
        record.index_rows().into_iter().fold(self, |damaged, row| damaged.without(row.tree, row.key))
    }

    fn with_index_rows_of(self, record: &impl Record) -> Self {
        record.index_rows().into_iter().fold(self, |damaged, row| damaged.with(row.tree, row.key, row.value))
    }

    /// With the id in or out of the list, whatever the records contain.
    fn with_member(self, id_set: IdSet, number: u32, is_member: bool) -> Self {
        let key = id_set.chunk_key(id(number));
        let chunk = self.memory.get(Tree::Lists, &key).unwrap();
        let chunk = id_set::with_member(chunk.as_deref(), id(number), is_member).unwrap();
        self.set(Tree::Lists, key, chunk)
    }

    fn findings(&self) -> Findings {
        verify(&self.store, &mut |_| {}).unwrap()
    }

    fn faults(&self) -> Vec<String> {
        self.findings().faults
    }
}

const LISTS_ARE_WRONG: &str = "`lists` does not match the records";

fn is_missing(index: &str) -> String {
    format!("a record is missing in `{index}`")
}

fn is_dangling(index: &str) -> String {
    format!("an entry of `{index}` points at no record that has it")
}

#[test]
fn a_sound_store_has_no_faults() {
    let records = [(Tree::Users, 2), (Tree::Configurations, 1), (Tree::ApiKeys, 1), (Tree::Sessions, 1)].into();

    assert_eq!(Damaged::new().findings(), Findings { records, ..Findings::default() });
}

/// The faults of a store in which nothing points at that record.
fn lost(record: &impl Record) -> Vec<String> {
    Damaged::new().without_index_rows_of(record).faults()
}

/// The faults of a store whose indexes point at that record too.
fn added(record: &impl Record) -> Vec<String> {
    Damaged::new().with_index_rows_of(record).faults()
}

#[test]
fn a_record_that_its_index_has_lost_is_noticed() {
    assert_eq!(lost(&user(BOB, "bob")), [is_missing("users_by_username")]);
    assert_eq!(lost(&configuration(ANN, 1, "theme", "dark")), [is_missing("configurations_by_key")]);
    assert_eq!(lost(&api_key(ANN, 1, 7)), [is_missing("api_keys_by_digest")]);
    assert_eq!(lost(&session(ANN, 1, 100)), [is_missing("sessions_by_expiry")]);
}

#[test]
fn an_index_entry_of_no_record_is_noticed() {
    assert_eq!(added(&user(BOB, "robert")), [is_dangling("users_by_username")]);
    assert_eq!(added(&configuration(ANN, 1, "Theme", "")), [is_dangling("configurations_by_key")]);
    assert_eq!(added(&api_key(ANN, 1, 8)), [is_dangling("api_keys_by_digest")]);
    assert_eq!(added(&session(ANN, 1, 101)), [is_dangling("sessions_by_expiry")]);
}

#[test]
fn an_index_entry_that_points_elsewhere_is_noticed() {
    assert_eq!(added(&user(ANN, "bob")), [is_dangling("users_by_username")]);
    assert_eq!(added(&configuration(ANN, 2, "theme", "")), [is_dangling("configurations_by_key")]);
    assert_eq!(added(&api_key(BOB, 1, 7)), [is_dangling("api_keys_by_digest")]);
    let row = session(ANN, 1, 100).index_rows().remove(0);
    assert_eq!(Damaged::new().with(row.tree, row.key, *b"something").faults(), [is_dangling("sessions_by_expiry")]);
}

#[test]
fn two_records_with_the_same_unique_key_are_noticed() {
    let second = user(NOBODY, "BOB");

    let damaged =
        Damaged::new().with_record(&second).with_index_rows_of(&second).with_member(IdSet::Users, NOBODY, true);

    assert_eq!(damaged.faults(), ["two records have the same entry in `users_by_username`"]);
}

#[test]
fn a_list_that_has_lost_a_chunk_is_noticed() {
    let lists = [IdSet::Users, IdSet::Administrators, IdSet::Configurations(id(ANN)), IdSet::ApiKeys(id(ANN))];

    let faults = lists.map(|id_set| Damaged::new().without(Tree::Lists, id_set.chunk_key(id(1))).faults());

    assert_eq!(faults, [const { [LISTS_ARE_WRONG] }; 4]);
}

#[test]
fn a_list_with_too_many_or_too_few_ids_is_noticed() {
    let with_member = |id_set, number, is_member| Damaged::new().with_member(id_set, number, is_member).faults();

    assert_eq!(with_member(IdSet::Users, NOBODY, true), [LISTS_ARE_WRONG]);
    assert_eq!(with_member(IdSet::Users, BOB, false), [LISTS_ARE_WRONG]);
    assert_eq!(with_member(IdSet::Administrators, BOB, true), [LISTS_ARE_WRONG]);
    assert_eq!(with_member(IdSet::Configurations(id(BOB)), 1, true), [LISTS_ARE_WRONG]);
    assert_eq!(with_member(IdSet::ApiKeys(id(ANN)), 65_536, true), [LISTS_ARE_WRONG]);
}

#[test]
fn a_chunk_that_makes_no_sense_is_noticed() {
    let corrupt = ["a record in `lists` is corrupt"];
    let key = IdSet::Users.chunk_key(id(1));
    let chunk = Damaged::new().memory.get(Tree::Lists, &key).unwrap().unwrap();
    let miscounted = [&[0, 0, 0, 9], &chunk[4..]].concat();

    assert_eq!(Damaged::new().with(Tree::Lists, key.clone(), *b"nonsense").faults(), corrupt);
    assert_eq!(Damaged::new().with(Tree::Lists, key.clone(), []).faults(), corrupt);
    assert_eq!(Damaged::new().with(Tree::Lists, key.clone(), &chunk[..chunk.len() - 1]).faults(), corrupt);
    assert_eq!(Damaged::new().with(Tree::Lists, key, miscounted).faults(), corrupt);
    assert_eq!(Damaged::new().with(Tree::Lists, vec![9; 7], chunk.clone()).faults(), corrupt);
    assert_eq!(Damaged::new().with(Tree::Lists, vec![1], chunk).faults(), corrupt);
}

#[test]
fn a_record_that_is_gone_is_noticed_by_what_pointed_at_it() {
    let gone = |tree, key| Damaged::new().without(tree, key).faults();

    assert_eq!(gone(Tree::Users, user(BOB, "bob").key()), [&is_dangling("users_by_username"), LISTS_ARE_WRONG]);
    assert_eq!(
        gone(Tree::Configurations, configuration(ANN, 1, "theme", "").key()),
        [&is_dangling("configurations_by_key"), LISTS_ARE_WRONG]
    );
    assert_eq!(
        gone(Tree::ApiKeys, Record::key(&api_key(ANN, 1, 7))),
        [&is_dangling("api_keys_by_digest"), LISTS_ARE_WRONG]
    );
    assert_eq!(gone(Tree::Sessions, session(ANN, 1, 100).key()), [is_dangling("sessions_by_expiry")]);
}

#[test]
fn children_without_their_user_are_noticed() {
    let orphan = configuration(NOBODY, 9, "theme", "dark");
    let id_set = IdSet::Configurations(id(NOBODY));
    let damaged = Damaged::new().with_record(&orphan).with_index_rows_of(&orphan).with_member(id_set, 9, true);
    assert_eq!(damaged.faults(), ["a record in `configurations` belongs to an unknown user"]);

    let orphan = api_key(NOBODY, 9, 9);
    let id_set = IdSet::ApiKeys(id(NOBODY));
    let damaged = Damaged::new().with_record(&orphan).with_index_rows_of(&orphan).with_member(id_set, 9, true);
    assert_eq!(damaged.faults(), ["a record in `api_keys` belongs to an unknown user"]);

    let orphan = session(NOBODY, 9, 100);
    let damaged = Damaged::new().with_record(&orphan).with_index_rows_of(&orphan);
    assert_eq!(damaged.faults(), ["a record in `sessions` belongs to an unknown user"]);
}

#[test]
fn a_record_that_cannot_be_read_is_noticed_with_its_cause() {
    let bob = user(BOB, "bob");
    let whole = encode(&bob);
    let faults = |bytes: Vec<u8>| Damaged::new().with_bytes_of(&bob, bytes).faults();
    let all = |why: &str| vec![why.to_owned(), is_dangling("users_by_username"), LISTS_ARE_WRONG.to_owned()];

    assert_eq!(faults(vec![1, 0xff]), all("a record in `users` is corrupt"));
    assert_eq!(faults(whole[..whole.len() - 1].to_vec()), all("a record in `users` is too short"));
    assert_eq!(
        faults([&[9], &whole[1..]].concat()),
        all("a record in `users` is from version 9; this server reads up to 3")
    );
}

#[test]
fn a_record_under_the_key_of_another_is_noticed() {
    let renumbered = User { id: id(NOBODY), ..user(BOB, "bob") };

    let damaged = Damaged::new().with_bytes_of(&user(BOB, "bob"), encode(&renumbered));

    assert_eq!(
        damaged.faults(),
        ["a record in `users` is not under its own key", &is_dangling("users_by_username"), LISTS_ARE_WRONG]
    );
}

#[test]
fn a_record_changed_without_its_indexes_is_noticed() {
    let damaged = Damaged::new().with_record(&administrator(BOB, "bob"));
    assert_eq!(damaged.faults(), [LISTS_ARE_WRONG]);

    let damaged = Damaged::new().with_record(&user(BOB, "robert"));
    assert_eq!(damaged.faults(), [is_dangling("users_by_username"), is_missing("users_by_username")]);
}

#[test]
fn a_sequence_below_an_id_in_use_is_noticed() {
    let too_low = Damaged::new().with(Tree::Meta, b"sequence/users".to_vec(), 1_u64.to_be_bytes());
    let gone = Damaged::new().without(Tree::Meta, b"sequence/api_keys".to_vec());

    assert_eq!(too_low.faults(), ["the sequence of `users` is below the id 2"]);
    assert_eq!(gone.faults(), ["the sequence of `api_keys` is below the id 1"]);
}

#[test]
fn activity_of_a_record_that_does_not_exist_or_that_makes_no_sense_is_a_fault() {
    let nothing = "a row of `activity` is of a record that does not exist".to_owned();
    let nonsense = "a row of `activity` cannot be decoded".to_owned();
    let at = || encode(&Activity::at(Timestamp::from_secs(60), None));
    let scope = |key| ActivitySubject::ApiKeyScope(id(ANN), id(key), "users", "show");
    let with = |subject, bytes: Vec<u8>| Damaged::new().with(Tree::Activity, key_of(subject), bytes).faults();

    for sound in [ActivitySubject::SignIn(id(BOB)), ActivitySubject::ApiKey(id(ANN), id(1)), scope(1)] {
        assert_eq!(with(sound, at()), Vec::<String>::new(), "{sound:?}");
    }
    for subject in [
        ActivitySubject::SignIn(id(NOBODY)),
        ActivitySubject::Session(id(BOB), Uuid::from_u128(1)),
        ActivitySubject::ApiKey(id(BOB), id(1)),
        scope(2),
    ] {
        assert_eq!(with(subject, at()), std::slice::from_ref(&nothing), "{subject:?}");
    }
    let malformed = ActivitySubject::ApiKeyScope(id(ANN), id(1), "Users", "show");
    assert_eq!(with(malformed, at()), std::slice::from_ref(&nonsense));
    assert_eq!(with(scope(1), vec![0]), [nonsense]);
    assert_eq!(Damaged::new().with(Tree::Activity, vec![0, 0, 0, 1, 9], at()).faults(), [nothing]);
}
