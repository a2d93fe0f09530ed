//! How many of the writes that wait for their turn are one account's.
//!
//! The store's queue is one for all: without a share for each account, one could keep everybody else's writes out, sign-ins among
//! them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{domain::Id, store::StoreError};

/// How many writes of one account may wait: a quarter of all.
const MAX_OF_ACCOUNT: usize = 1024;

/// The numbers of waiting writes by account.
#[derive(Debug, Default)]
pub(super) struct WriteShares(Mutex<HashMap<Id, usize>>);

/// A write that waits, until this is dropped.
#[derive(Debug)]
pub(super) struct WaitingWrite {
    shares: Arc<WriteShares>,
    account: Option<Id>,
}

impl WriteShares {
    /// Counts a write of that account; one of no account has no share.
    ///
    /// # Errors
    /// [`StoreError::Busy`] if the account has its share.
    pub(super) fn begin(self: &Arc<Self>, account: Option<Id>) -> Result<WaitingWrite, StoreError> {
        if let Some(account) = account {
            let mut numbers = self.numbers();
            let number = numbers.entry(account).or_default();
            if *number >= MAX_OF_ACCOUNT {
                return Err(StoreError::Busy);
            }
            *number += 1;
        }
        Ok(WaitingWrite { shares: Arc::clone(self), account })
    }

    fn numbers(&self) -> MutexGuard<'_, HashMap<Id, usize>> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Drop for WaitingWrite {
    fn drop(&mut self) {
        let Some(account) = self.account else { return };
        let mut numbers = self.shares.numbers();
        if let Some(number) = numbers.get_mut(&account) {
            *number -= 1;
            if *number == 0 {
                numbers.remove(&account);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_quarter_of_the_places_and_gets_them_back() {
        let shares = Arc::new(WriteShares::default());
        let [ann, ben] = ["1", "2"].map(Id::parse);
        let mut waiting: Vec<_> = (0..MAX_OF_ACCOUNT).map(|_| shares.begin(ann).unwrap()).collect();

        assert!(matches!(shares.begin(ann), Err(StoreError::Busy)));
        assert!(shares.begin(ben).is_ok() && shares.begin(None).is_ok());
        waiting.pop();
        assert!(shares.begin(ann).is_ok());

        drop(waiting);
        assert!(shares.numbers().is_empty());
    }
}
