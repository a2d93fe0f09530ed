//! The memory for large bodies and answers under way, a bounded part of the whole.
//!
//! # What a connection makes the server keep, and where it is counted
//!
//! | bytes | bounded by | counted |
//! |---|---|---|
//! | the connection itself, its buffers and those of TLS | some 11 kB, 19 kB with TLS | `--max-connections`, a share for an address |
//! | a head that has not arrived whole | `--head-limit`, `--path-limit` and 8 KiB | here beyond [`SMALL`], for the address |
//! | requests that follow the pending one, not decoded | 4 KiB and one piece from the socket | here beyond [`SMALL`], for the address |
//! | a body that nobody has asked for, or that is on its way to its handler | 12 KiB | with the connection |
//! | a body that is read | `--body-limit` | here beyond [`SMALL`], for the address and the account |
//! | what a body's JSON is made into while it is read | the number of large bodies that are read at once | by that number |
//! | records of a list that are read for an answer | their lengths | here, before they are read |
//! | an answer that is written or has not been taken | its length | here beyond [`SMALL`], for the address and the account |
//! | an answer to a change, which cannot be refused afterwards | what was reserved before the change | here, before the change |
//! | a piece of an answer in the framework's buffer | [`SMALL`] and a head | with the connection |
//! | what the kernel holds of an answer | twice 128 KiB | by the kernel, not here |
//! | the OpenAPI document, the cached pages of users | their lengths, once | not here: they are there anyway |
//!
//! A client has a quarter of the memory at most, unless it has nothing else under way. Programs on this machine have no address
//! of their own, and reverse proxies that are not trusted none that is a client's: a loopback address has no share.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use thiserror::Error;

use crate::domain::{Id, Network};

/// What a connection may have under way without asking, and in what pieces an answer goes to the socket.
///
/// A connection keeps the buffer that its longest piece needed for as long as it lives.
pub(super) const SMALL: usize = 12 << 10;

/// More than most records take as JSON.
pub(super) const DEFAULT: usize = 512;

/// How much more a permit takes at least, so that many small pieces do not ask each time.
const STEP: usize = 64 << 10;

/// Which part of the memory one client may have: so many in one.
const SHARES: usize = 4;

/// The memory for large bodies and answers.
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
    Account(Id),
}

/// For whom memory is taken; by default for nobody in particular.
#[derive(Clone, Copy, Debug, Default)]
pub struct Holder([Option<Client>; 2]);

impl Holder {
    /// The client at that address.
    #[must_use]
    pub fn at(address: IpAddr) -> Self {
        let address = address.to_canonical();
        let network = (!address.is_loopback()).then(|| Client::Network(Network::of(address)));
        Self([network, None])
    }

    /// The same client, who is known to have that account.
    pub(super) fn with_account(self, account: Option<Id>) -> Self {
        Self([self.0[0], account.map(Client::Account)])
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
    /// What is counted of it.
    counted: usize,
}

impl MemoryBudget {
    /// That many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Ledger { bytes, used: Mutex::default() }))
    }

    /// A permit for what needs none of the memory: 12 KiB.
    #[must_use]
    pub fn permit(&self, holder: Holder) -> Permit {
        Permit { memory: self.clone(), holder, counted: 0 }
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.0.used.lock().expect("no holder of the lock panics")
    }
}

impl Used {
    fn may_have(&self, ledger: &Ledger, permit: &Permit, more: usize) -> bool {
        let is_within_share = |client| {
            let used = self.by_client.get(client).copied().unwrap_or(0);
            used == permit.counted || used + more <= ledger.bytes / SHARES
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
    /// Makes the permit large enough for that many bytes; what is larger than the whole memory takes all of it.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if others, or the same client otherwise, have what is needed.
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

    /// Makes the permit large enough for what is there already, whether there is memory for it or not: others are refused
    /// instead.
    pub fn take(&mut self, bytes: usize) {
        let more = bytes.saturating_sub(self.bytes());
        if more > 0 {
            self.memory.used().add(&self.holder, more);
            self.counted += more;
        }
    }

    /// Returns what is not needed for that many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        let less = self.counted.saturating_sub(bytes.saturating_sub(SMALL));
        if less > 0 {
            self.memory.used().remove(&self.holder, less);
            self.counted -= less;
        }
    }

    /// For how many bytes it is enough.
    #[must_use]
    pub fn bytes(&self) -> usize {
        // All of the memory is enough for anything.
        if self.counted >= self.memory.0.bytes { usize::MAX } else { self.counted + SMALL }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

/// The memory, for the client of one request.
pub(super) struct RequestBudget {
    pub(super) memory: MemoryBudget,
    pub(super) holder: Holder,
}

impl RequestBudget {
    /// A permit for up to that many bytes; half of the memory is enough for as many as there may be.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if others have what is needed.
    pub(super) fn reserve(&self, most: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.memory.permit(self.holder);
        permit.grow_to(most.min(self.memory.0.bytes / 2))?;
        Ok(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permit(memory: &MemoryBudget, address: &str, account: u32) -> Permit {
        let account = Id::parse(&account.to_string());
        memory.permit(Holder::at(address.parse().unwrap()).with_account(account))
    }

    #[test]
    fn large_permits_are_bounded_together_and_given_back() {
        let memory = MemoryBudget::new(1 << 20);
        let nobody = || memory.permit(Holder::default());
        let (mut one, mut other) = (nobody(), nobody());

        assert!(one.grow_to(900 << 10).is_ok());
        assert_eq!(other.grow_to(200 << 10), Err(BudgetExhausted));
        assert!(other.grow_to(SMALL).is_ok());
        drop(one);
        assert!(other.grow_to(900 << 10).is_ok());
        assert!(other.grow_to(9 << 20).is_ok(), "one that is larger than all takes all");
        assert_eq!(nobody().grow_to(SMALL + 1), Err(BudgetExhausted));
        other.shrink_to(SMALL);
        assert!(nobody().grow_to(900 << 10).is_ok());
    }

    #[test]
    fn a_client_has_its_share_by_network_and_by_account_unless_it_has_nothing_else() {
        let memory = MemoryBudget::new(4 << 20);
        let mut large = permit(&memory, "2001:db8::1", 1);
        assert_eq!(large.grow_to(2 << 20), Ok(()), "nothing else is under way");
        for (address, account) in [("2001:db8::2", 2), ("192.0.2.1", 1), ("2001:db8::1", 1)] {
            assert_eq!(permit(&memory, address, account).grow_to(100 << 10), Err(BudgetExhausted), "{address}");
        }
        let mut other = permit(&memory, "2001:db8:0:1::1", 2);
        assert_eq!(other.grow_to(100 << 10), Ok(()));
        drop(large);

        let mut many: Vec<_> = (0..20).map(|_| permit(&memory, "192.0.2.1", 3)).collect();
        let taken = many.iter_mut().filter_map(|permit| permit.grow_to(100 << 10).ok()).count();
        assert_eq!(taken, 11, "88 KiB each beyond what is not counted, of 1 MiB");
        let mut local: Vec<_> = (0..20).map(|_| memory.permit(Holder::at("127.0.0.1".parse().unwrap()))).collect();
        assert_eq!(local.iter_mut().filter_map(|permit| permit.grow_to(100 << 10).ok()).count(), 20);
        drop((many, other, local));
        assert!(memory.used().by_client.is_empty() && memory.used().bytes == 0);
    }
}
