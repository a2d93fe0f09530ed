//! Durable writes to a store, without HTTP.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lodge::{
    audit::{Chain, done},
    clock::Clock,
    domain::{Action, Actor, AffectedResource, Configuration, ConfigurationKey, ConfigurationValue, Id},
    store::{DiskReserve, Sequence, Store, StoreError, Tables, Txn},
};

/// A new store on disk.
pub fn new_store(path: &Path) -> Store {
    let store = Store::open(path, 64 << 20, DiskReserve::NONE).unwrap();
    initialise(&store);
    store
}

pub fn initialise(store: &Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.initialise()).unwrap();
}

/// How many new configurations a second that many writers make durable, each with an entry in the audit log if a chain is
/// given.
pub fn commits(store: &Store, writers: usize, time: Duration, log: Option<&Chain>) -> f64 {
    let begun = Instant::now();
    let end = begun + time;
    let threads = writers.min(2);
    let written: u32 = thread::scope(|scope| {
        let write = || write_at_once(store, writers / threads, end, log);
        let parts: Vec<_> = (0..threads).map(|_| scope.spawn(write)).collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    f64::from(written) / begun.elapsed().as_secs_f64()
}

/// The configuration of that id; as many owners have them as there are keys in the benchmarks of the server.
pub fn configuration(id: Id) -> Configuration {
    Configuration {
        id,
        owner: Id::new(1 + id.get() % 100).unwrap(),
        key: ConfigurationKey::parse(&format!("alone-0-{id}")).unwrap(),
        value: ConfigurationValue::parse("a value of usual length").unwrap(),
    }
}

fn write_at_once(store: &Store, writers: usize, end: Instant, log: Option<&Chain>) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let all = (0..writers).map(|_| write_until(store.clone(), end, log));
    runtime.block_on(futures_util::future::join_all(all)).into_iter().sum()
}

async fn write_until(store: Store, end: Instant, log: Option<&Chain>) -> u32 {
    let mut written = 0;
    while Instant::now() < end {
        let log = log.cloned();
        store.write(move |txn| put_next(txn, log.as_ref())).await.unwrap();
        written += 1;
    }
    written
}

fn put_next(txn: &mut Txn<'_>, log: Option<&Chain>) -> Result<(), StoreError> {
    let configuration = configuration(txn.next_id(Sequence::Configurations)?);
    assert!(txn.configuration_by_key(configuration.owner, configuration.key.as_str())?.is_none());
    txn.put(&configuration).unwrap();
    let event = || {
        let subject = AffectedResource::from(&configuration);
        done(Clock::system().now(), Actor::SERVER, Action::CreateConfiguration, subject)
    };
    log.map_or(Ok(()), |log| log.append(txn, event()))
}
