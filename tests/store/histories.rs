//! After any history the store on disk, the store in memory and plain collections agree in everything that can be seen.

use std::{path::Path, sync::Arc};

use futures_util::future::join_all;
use lodge::{
    clock::Timestamp,
    domain::{Configuration, Id, Page, Session, User},
    store::{
        DiskReserve, Sequence, Store, StoreError, Txn,
        engine::{Engine, Tree},
        memory::Memory,
        verify::Findings,
    },
};
use proptest::{collection::vec, prelude::*, sample::select};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use uuid::Uuid;

use crate::{
    model::{DIFFERENT, ENDS, IDS, KEYS, Model, Probe, Seen, Step, USERNAMES, Undone, one_case_in, perform, seen},
    values::{api_key, configuration, findings_beside_sequences, id, session, user},
};

const CACHE_BYTES: u64 = 1 << 20;

/// A transaction: its steps, and whether it asks to be undone after them.
#[derive(Clone, Debug)]
struct Transaction {
    steps: Vec<Step>,
    is_undone: bool,
}

#[derive(Clone, Debug)]
enum Event {
    /// These transactions, waiting for the store at the same time.
    Write(Vec<Transaction>),
    /// The store on disk is closed and opened again.
    Reopen,
}

/// The numbers that a transaction got, and what it saw at its end.
type Outcome = Result<(Vec<Option<u64>>, Seen), Undone>;

pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn open(directory: &Path) -> Store {
    Store::open(directory, CACHE_BYTES, DiskReserve::NONE).unwrap()
}

fn any_id() -> impl Strategy<Value = Id> {
    select(&IDS[..]).prop_map(id)
}

fn any_jti() -> impl Strategy<Value = Uuid> {
    (0..DIFFERENT).prop_map(|jti| Uuid::from_u128(jti.into()))
}

fn any_user() -> impl Strategy<Value = User> {
    (select(&IDS[..]), select(&USERNAMES[..]), any::<bool>(), 0_u64..3).prop_map(
        |(id, username, is_admin, updated_at)| User {
            is_admin,
            updated_at: Timestamp::from_millis(updated_at),
            ..user(id, username)
        },
    )
}

fn any_configuration() -> impl Strategy<Value = Configuration> {
    let value = prop_oneof![3 => Just(String::new()), 1 => "[a-z]{0,9}".prop_map(|text| text.repeat(2000))];
    (select(&IDS[..]), select(&IDS[..]), select(&KEYS[..]), value)
        .prop_map(|(owner, id, key, value)| configuration(owner, id, key, &value))
}

fn any_session() -> impl Strategy<Value = Session> {
    (select(&IDS[..]), 0..DIFFERENT, ENDS).prop_map(|(owner, jti, ends)| session(owner, jti.into(), ends))
}

pub fn any_step() -> impl Strategy<Value = Step> {
    let sequences = [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys, Sequence::Sessions];
    let any_api_key = (select(&IDS[..]), select(&IDS[..]), 0..DIFFERENT);
    prop_oneof![
        6 => any_user().prop_map(Step::PutUser),
        3 => (any_id(), any::<bool>()).prop_map(|(id, is_admin)| Step::SetAdministrator(id, is_admin)),
        2 => any_id().prop_map(Step::RemoveUser),
        6 => any_configuration().prop_map(Step::PutConfiguration),
        2 => (any_id(), any_id()).prop_map(|(owner, id)| Step::RemoveConfiguration(owner, id)),
        5 => any_api_key.prop_map(|(owner, id, digest)| Step::PutApiKey(api_key(owner, id, digest))),
        2 => (any_id(), any_id()).prop_map(|(owner, id)| Step::RemoveApiKey(owner, id)),
        5 => any_session().prop_map(Step::PutSession),
        2 => (any_id(), any_jti()).prop_map(|(owner, jti)| Step::RemoveSession(owner, jti)),
        1 => any_id().prop_map(Step::RemoveSessions),
        2 => select(sequences.to_vec()).prop_map(Step::Next),
        1 => proptest::option::of(any_id()).prop_map(Step::SetInitialAdministrator),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let transaction = (vec(any_step(), 1..6), proptest::bool::weighted(0.15))
        .prop_map(|(steps, is_undone)| Transaction { steps, is_undone });
    prop_oneof![9 => vec(transaction, 1..4).prop_map(Event::Write), 1 => Just(Event::Reopen)]
}

fn any_probe() -> impl Strategy<Value = Probe> {
    let page = (0_usize..5, 0_u64..5).prop_map(|(limit, offset)| Page { limit, offset });
    let whole = Page { limit: Page::MAX, offset: 0 };
    (vec(page, 2), ENDS, 0..1000_u64, 1_usize..6).prop_map(move |(mut pages, second, millis, most)| {
        pages.push(whole);
        Probe { pages, now: Timestamp::from_millis(second * 1000 + millis), most }
    })
}

fn in_the_store(txn: &mut Txn<'_>, transaction: Transaction, probe: &Probe) -> Outcome {
    let numbers = transaction.steps.into_iter().map(|step| perform(txn, step)).collect::<Result<_, _>>()?;
    let seen = seen(txn, probe)?;
    if transaction.is_undone { Err(Undone::Asked) } else { Ok((numbers, seen)) }
}

fn in_the_model(model: &mut Model, transaction: Transaction, probe: &Probe) -> Outcome {
    let mut changed = model.clone();
    let numbers = transaction.steps.into_iter().map(|step| changed.perform(step)).collect::<Result<_, _>>()?;
    if transaction.is_undone {
        return Err(Undone::Asked);
    }
    *model = changed;
    Ok((numbers, model.seen(probe)))
}

async fn write(store: &Store, transactions: &[Transaction], probe: &Probe) -> Vec<Outcome> {
    let writes = transactions.iter().cloned().map(|transaction| {
        let probe = probe.clone();
        store.write(move |txn| in_the_store(txn, transaction, &probe))
    });
    join_all(writes).await
}

proptest! {
    // A history is a hundred or so looks at everything: an eighth of the usual number of cases.
    #![proptest_config(one_case_in(8))]

    #[test]
    fn after_any_history_disk_memory_and_model_agree(events in vec(any_event(), 1..16), probe in any_probe()) {
        let directory = TempDir::new().unwrap();
        let mut on_disk = open(directory.path());
        let in_memory = Store::over(Arc::new(Memory::default()));
        let mut model = Model::default();
        let runtime = runtime();
        for store in [&on_disk, &in_memory] {
            runtime.block_on(store.initialise()).unwrap();
        }

        for event in events {
            match event {
                Event::Write(transactions) => {
                    let expected: Vec<_> =
                        transactions.iter().map(|one| in_the_model(&mut model, one.clone(), &probe)).collect();
                    prop_assert_eq!(&runtime.block_on(write(&on_disk, &transactions, &probe)), &expected);
                    prop_assert_eq!(&runtime.block_on(write(&in_memory, &transactions, &probe)), &expected);
                }
                Event::Reopen => {
                    drop(on_disk);
                    on_disk = open(directory.path());
                }
            }
            prop_assert_eq!(seen(&on_disk, &probe).unwrap(), model.seen(&probe));
            prop_assert_eq!(seen(&in_memory, &probe).unwrap(), model.seen(&probe));
        }

        let sound = Findings { records: model.records(), ..Findings::default() };
        prop_assert_eq!(&findings_beside_sequences(&on_disk), &sound);
        prop_assert_eq!(&findings_beside_sequences(&in_memory), &sound);
    }
}

#[test]
fn no_id_follows_the_last_one() {
    let memory = Arc::new(Memory::default());
    let before_the_last = u64::from(Id::LAST.get() - 1).to_be_bytes().to_vec();
    memory.commit(&[((Tree::Meta, b"sequence/users".to_vec()), Some(before_the_last))].into()).unwrap();
    let store = Store::over(memory);
    let next_id = || store.write(|txn| txn.next_id(Sequence::Users));

    let ids: Vec<Result<Id, StoreError>> = runtime().block_on(async { vec![next_id().await, next_id().await] });

    assert!(matches!(ids[..], [Ok(Id::LAST), Err(StoreError::IdsExhausted)]), "{ids:?}");
}
