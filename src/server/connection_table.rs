//! The table of connections, which bounds their number and that of one client, and closes idle ones to make room.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::Waker,
    time::{Duration, Instant},
};

use futures_util::task::AtomicWaker;
use tokio::{sync::Notify, time::timeout};

use crate::{
    config::Limits,
    domain::{Network, Site},
};

/// How often a waiting connection checks again whether another one can make room.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The part of all connections that makes room at once, so that not every waiting connection searches the whole table.
const PART: usize = 64;
/// How long connections that were asked to leave may take before others are asked.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

/// The limits of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableBounds {
    /// How many connections are served at once.
    pub(super) connections: usize,
    /// How many of them one client may have; the site that a network is in may have twice as many.
    pub(super) share: usize,
    /// How long a connection has to be idle to make room for another.
    pub(super) idle: Duration,
}

impl TableBounds {
    /// These numbers, with the settings' limits of idle connections.
    pub(super) fn new(connections: usize, share: usize, limits: &Limits) -> Self {
        Self { connections, share, idle: limits.idle_deadline / 8 }
    }
}

/// The connections that are served; a clone is the same table.
#[derive(Clone)]
pub(super) struct ConnectionTable(Arc<Shared>);

struct Shared {
    bounds: TableBounds,
    began: Instant,
    table: Mutex<Table>,
    has_room: Notify,
}

#[derive(Default)]
struct Table {
    slots: HashMap<u64, Arc<State>>,
    by_client: HashMap<Client, usize>,
    by_site: HashMap<Site, usize>,
    next: u64,
    /// How many have been asked to make room and are still there.
    leaving: usize,
    /// When they were asked.
    asked: Option<Instant>,
    /// Until when no connection is looked at, because none will have been idle long enough.
    none_until: Option<Instant>,
}

/// Whose share connections count for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Network(Network),
    /// A user of the operating system, by uid.
    User(u32),
}

/// What the table has to know of a connection.
struct State {
    client: Option<Client>,
    /// Since how many milliseconds after the beginning it has been idle; [`BUSY`] if it is not.
    idle_since: AtomicU64,
    must_leave: AtomicBool,
    waker: AtomicWaker,
}

const BUSY: u64 = u64::MAX;

/// A connection's place in the table, which it has until this is dropped.
pub(super) struct Slot {
    shared: Arc<Shared>,
    id: u64,
    state: Arc<State>,
}

/// Why a connection is not served.
#[derive(Debug, PartialEq, Eq)]
enum Full {
    /// There are as many as there may be.
    Table,
    /// Its client, or the site that its network is in, has its share.
    Share,
}

impl ConnectionTable {
    pub(super) fn new(bounds: TableBounds) -> Self {
        let shared = Shared { bounds, began: Instant::now(), table: Mutex::default(), has_room: Notify::new() };
        Self(Arc::new(shared))
    }

    /// How many connections are served.
    pub(super) fn len(&self) -> usize {
        self.0.table().slots.len()
    }

    /// How many may be served at once.
    pub(super) fn max(&self) -> usize {
        self.0.bounds.connections
    }

    /// A slot for a connection from that address, if it counts; waits while the table is full. `None` if the address
    /// has its share.
    pub(super) async fn enter(&self, address: Option<IpAddr>) -> Option<Slot> {
        self.enter_as(address.map(|address| Client::Network(Network::of(address)))).await
    }

    /// A slot for a connection of that user of the operating system; as [`Self::enter`].
    pub(super) async fn enter_user(&self, uid: u32) -> Option<Slot> {
        self.enter_as(Some(Client::User(uid))).await
    }

    async fn enter_as(&self, client: Option<Client>) -> Option<Slot> {
        loop {
            match self.try_enter(client) {
                Ok(slot) => return Some(slot),
                Err(Full::Share) => {
                    // It may have been woken in place of another.
                    self.0.has_room.notify_one();
                    return None;
                }
                Err(Full::Table) => {
                    self.make_room(Instant::now());
                    // In vain if nothing has left: some may have been idle long enough meanwhile.
                    let _ = timeout(LOOK_EVERY, self.0.has_room.notified()).await;
                }
            }
        }
    }

    fn try_enter(&self, client: Option<Client>) -> Result<Slot, Full> {
        let mut table = self.0.table();
        // The share first: a client that has it must not wait among those that find the table full.
        if client.is_some_and(|client| table.has_share(client, self.0.bounds.share)) {
            return Err(Full::Share);
        }
        if table.slots.len() >= self.0.bounds.connections {
            return Err(Full::Table);
        }
        if let Some(client) = client {
            table.count(client);
        }
        let id = table.next;
        table.next += 1;
        let state = State {
            client,
            idle_since: AtomicU64::new(BUSY),
            must_leave: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        };
        let state = Arc::new(state);
        table.slots.insert(id, Arc::clone(&state));
        drop(table);
        Ok(Slot { shared: Arc::clone(&self.0), id, state })
    }

    /// Asks the connections that have been idle longest to leave, unless some have been asked and are still there. All are looked
    /// at, but not again before one can have been idle long enough, nor more often than [`LOOK_EVERY`] unless many were found.
    fn make_room(&self, now: Instant) {
        let mut table = self.0.table();
        let latest = now.checked_sub(self.0.bounds.idle).filter(|latest| *latest >= self.0.began);
        let Some(latest) = latest.map(|latest| self.0.millis(latest)) else { return };
        let is_waited_for = table.asked.is_some_and(|asked| now.saturating_duration_since(asked) < LEAVE_TIMEOUT);
        if (table.leaving > 0 && is_waited_for) || table.none_until.is_some_and(|until| now < until) {
            return;
        }
        let oldest = table.idle().map(|state| state.idle_since()).min().unwrap_or(self.0.millis(now));
        let mut idle: Vec<_> = table.idle().filter(|state| state.idle_since() <= latest).cloned().collect();
        idle.sort_unstable_by_key(|state| state.idle_since());
        let part = self.0.bounds.connections / PART + 1;
        table.none_until = match idle.len() {
            0 => Some(self.0.began + Duration::from_millis(oldest) + self.0.bounds.idle),
            found => (found < part).then_some(now + LOOK_EVERY),
        };
        idle.truncate(part);
        table.leaving = idle.len();
        table.asked = Some(now);
        drop(table);
        for state in idle {
            state.must_leave.store(true, Ordering::Release);
            state.waker.wake();
        }
    }
}

impl Table {
    /// Whether the client, or its site, has as many connections as it may.
    fn has_share(&self, client: Client, share: usize) -> bool {
        let of_client = self.by_client.get(&client).copied().unwrap_or(0);
        let of_site = client.site().and_then(|site| self.by_site.get(&site)).copied().unwrap_or(0);
        of_client >= share || of_site >= share.saturating_mul(2)
    }

    fn count(&mut self, client: Client) {
        *self.by_client.entry(client).or_default() += 1;
        client.site().into_iter().for_each(|site| *self.by_site.entry(site).or_default() += 1);
    }

    fn discount(&mut self, client: Client) {
        take_one(&mut self.by_client, &client);
        client.site().into_iter().for_each(|site| take_one(&mut self.by_site, &site));
    }

    /// The connections that are idle and have not been asked to leave.
    fn idle(&self) -> impl Iterator<Item = &Arc<State>> {
        let is_idle = |state: &&Arc<State>| state.idle_since() != BUSY && !state.must_leave.load(Ordering::Relaxed);
        self.slots.values().filter(is_idle)
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

impl Client {
    /// The site that it is in, if it is a network of IPv6.
    fn site(self) -> Option<Site> {
        match self {
            Self::Network(network) => network.site(),
            Self::User(_) => None,
        }
    }
}

impl State {
    fn idle_since(&self) -> u64 {
        self.idle_since.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no holder of the lock panics")
    }

    fn millis(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.began).as_millis()).unwrap_or(BUSY - 1)
    }
}

impl Slot {
    /// Records that a request has begun.
    pub(super) fn set_busy(&self) {
        self.state.idle_since.store(BUSY, Ordering::Relaxed);
    }

    /// Records that nothing is asked from then on.
    pub(super) fn set_idle(&self, since: Instant) {
        self.state.idle_since.store(self.shared.millis(since), Ordering::Relaxed);
    }

    /// Whether the connection has to make room for another once it is idle.
    pub(super) fn must_leave(&self) -> bool {
        self.state.must_leave.load(Ordering::Acquire)
    }

    /// Wakes that task once the connection has to make room.
    pub(super) fn wake(&self, waker: &Waker) {
        self.state.waker.register(waker);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        table.slots.remove(&self.id);
        if let Some(client) = self.state.client {
            table.discount(client);
        }
        if self.must_leave() {
            table.leaving = table.leaving.saturating_sub(1);
        }
        drop(table);
        self.shared.has_room.notify_one();
    }
}

#[cfg(test)]
mod tests;
