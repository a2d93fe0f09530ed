//! The memory budget: bounds the memory of large bodies and responses in progress.
//!
//! # The memory of a connection, and where it is counted
//!
//! | bytes | bounded by | counted |
//! |---|---|---|
//! | the connection itself, its buffers and those of TLS | some 11 kB, 19 kB with TLS | `--max-connections`, a share for an address |
//! | what TLS has received and cannot hand on yet | 24 KiB | with the connection |
//! | a head that has not arrived whole | `--head-limit`, `--path-limit` and 8 KiB | here beyond [`SMALL`], for the address |
//! | requests that follow the pending one, not decoded | 4 KiB and one piece from the socket | here beyond [`SMALL`], for the address |
//! | a body that is not read, or not read yet, as the framework keeps it | 12 KiB | with the connection |
//! | a body that is read | `--body-limit` | here beyond [`SMALL`], for the address and the account |
//! | the parsed JSON of a body | the number of large bodies that are parsed at once | by that number |
//! | records of a list that are read for a response | their lengths | here, before they are read |
//! | a response that is being written or sent | its length | here beyond [`SMALL`], for the address and the account |
//! | the response to a change, which cannot be refused afterwards | the reservation | here, before the change |
//! | a piece of a response in the framework's buffer | [`SMALL`] and a head | with the connection |
//! | a response in the kernel's send buffer | twice 128 KiB | by the kernel, not here |
//! | the OpenAPI document, the cached pages of users | their lengths, once | not here: they are permanent |
//!
//! A client may have at most a quarter of the memory, and an IPv6 site half of it, unless it has no other request in progress.
//! Loopback addresses and Unix sockets have no such bound, because programs on this machine and the clients of an untrusted
//! reverse proxy share them.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use thiserror::Error;

use crate::domain::{Id, Network, Site};

/// The memory that a connection needs no permit for, and the size of the pieces in which a response is sent.
///
/// A connection keeps the buffer of its longest piece until it ends.
pub(super) const SMALL: usize = 12 << 10;

/// The initial capacity of a buffer, enough for most records as JSON.
pub(super) const DEFAULT: usize = 512;

/// The minimum step by which a permit grows, so that not every small piece takes the lock.
const STEP: usize = 64 << 10;

/// The number of shares of the memory; a client may have one.
const SHARES: usize = 4;
/// The number of shares for IPv6 sites; all clients of a site may have one.
const SITE_SHARES: usize = 2;

/// The memory for large bodies and responses; a clone is the same memory.
#[derive(Clone, Debug)]
pub struct MemoryBudget(Arc<Ledger>);

#[derive(Debug)]
struct Ledger {
    bytes: usize,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    bytes: usize,
    by_client: HashMap<Client, usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Client {
    Network(Network),
    Site(Site),
    Account(Id),
}

impl Client {
    /// Into how many shares the memory is divided for it.
    fn shares(self) -> usize {
        match self {
            Self::Network(_) | Self::Account(_) => SHARES,
            Self::Site(_) => SITE_SHARES,
        }
    }
}

/// The client that memory is charged to; by default none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holder([Option<Client>; 3]);

impl Holder {
    /// The client at that address.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let network = (!address.is_loopback()).then(|| Network::of(address));
        Self([network.map(Client::Network), network.and_then(|network| network.site()).map(Client::Site), None])
    }

    /// The same client, with its account.
    pub(super) fn with_account(self, account: Option<Id>) -> Self {
        let Self([network, site, _]) = self;
        Self([network, site, account.map(Client::Account)])
    }

    fn clients(&self) -> impl Iterator<Item = &Client> {
        self.0.iter().flatten()
    }
}

/// Other requests hold the memory that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the memory for large bodies and responses is in use")]
pub struct BudgetExhausted;

/// A part of that memory, returned when this is dropped.
#[derive(Debug)]
pub struct Permit {
    memory: MemoryBudget,
    holder: Holder,
    /// The counted bytes.
    counted: usize,
}

impl MemoryBudget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Ledger { bytes, used: Mutex::default() }))
    }

    /// A permit for 12 KiB, which are not counted.
    #[must_use]
    pub fn permit(&self, holder: Holder) -> Permit {
        Permit { memory: self.clone(), holder, counted: 0 }
    }

    /// The size of the whole memory in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes
    }

    /// How much of it is in use, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.used().bytes
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().expect("no holder of the lock panics")
    }
}

impl Used {
    fn may_have(&self, ledger: &Ledger, permit: &Permit, more: usize) -> bool {
        let is_within_share = |client: &Client| {
            let used = self.by_client.get(client).copied().unwrap_or(0);
            used == permit.counted || used + more <= ledger.bytes / client.shares()
        };
        self.bytes + more <= ledger.bytes && permit.holder.clients().all(is_within_share)
    }

    fn add(&mut self, holder: &Holder, more: usize) {
        self.bytes += more;
        holder.clients().for_each(|client| *self.by_client.entry(*client).or_default() += more);
    }

    fn remove(&mut self, holder: &Holder, less: usize) {
        self.bytes -= less;
        for client in holder.clients() {
            let used = self.by_client.get_mut(client).expect("what is removed was added");
            *used -= less;
            if *used == 0 {
                self.by_client.remove(client);
            }
        }
    }
}

impl Permit {
    /// Grows the permit to that many bytes; a request for more than the whole memory takes all of it.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold the memory, or the client would exceed its share.
    pub fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if bytes <= self.bytes() {
            return Ok(());
        }
        let wanted = bytes.max(self.bytes() + STEP) - SMALL;
        let more = wanted.min(self.memory.0.bytes).saturating_sub(self.counted);
        let mut used = self.memory.used();
        if !used.may_have(&self.memory.0, self, more) {
            return Err(BudgetExhausted);
        }
        used.add(&self.holder, more);
        drop(used);
        self.counted += more;
        Ok(())
    }

    /// Grows the permit for bytes that exist already, even beyond the budget, so that other requests are refused
    /// instead.
    pub fn take(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes());
        if more > 0 {
            self.memory.used().add(&self.holder, more);
            self.counted += more;
        }
    }

    /// Shrinks the permit to that many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.counted.saturating_sub(bytes.saturating_sub(SMALL));
        if less > 0 {
            self.memory.used().remove(&self.holder, less);
            self.counted -= less;
        }
    }

    /// The number of bytes that it permits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // A permit for the whole memory permits any number.
        if self.counted >= self.memory.0.bytes { usize::MAX } else { self.counted + SMALL }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The memory budget of one request, charged to its client.
pub(super) struct RequestBudget {
    pub(super) memory: MemoryBudget,
    pub(super) holder: Holder,
}

impl RequestBudget {
    /// A permit for up to that many bytes, and at most half of the memory.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold the memory.
    pub(super) fn reserve(&self, max: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.memory.permit(self.holder);
        permit.grow_to(max.min(self.memory.0.bytes / 2))?;
        Ok(permit)
    }
}

#[cfg(test)]
mod tests;
