//! Runs work that takes longer than 1 ms on blocking threads, so that no connection waits for it, and in fair turns.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard},
    thread,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::error::ApiError;
use crate::{
    auth::Principal,
    domain::{Id, Network},
};

/// The client that the work is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Client {
    Account(Id),
    /// A client without an account, or whose account is not known yet.
    Network(Network),
    /// The operator on the local socket.
    Local,
}

impl From<&Principal> for Client {
    fn from(principal: &Principal) -> Self {
        match principal {
            Principal::Account(identity) => Self::Account(identity.user.id),
            Principal::Local(_) => Self::Local,
        }
    }
}

/// The turns of clients.
struct Turns {
    /// As many permits as there are cores, which also bounds the memory of the work.
    all: Arc<Semaphore>,
    /// One permit for each client with running or waiting work.
    by_client: Mutex<HashMap<Client, Arc<Semaphore>>>,
}

/// A client with running or waiting work.
struct Waiting {
    turns: Arc<Turns>,
    client: Client,
    own: Arc<Semaphore>,
}

/// Runs work of a client. The client's works run one after another, so that another client waits for at most one of them. Work
/// that has begun keeps its turn when the client has disconnected.
///
/// # Errors
/// [`ApiError::Panicked`] if it panics.
pub(super) async fn run_aside<T: Send + 'static>(
    client: Client,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    static TURNS: LazyLock<Arc<Turns>> =
        LazyLock::new(|| Turns::new(thread::available_parallelism().map_or(1, usize::from)));
    TURNS.run(client, work).await
}

impl Turns {
    fn new(number: usize) -> Arc<Self> {
        Arc::new(Self { all: Arc::new(Semaphore::new(number)), by_client: Mutex::default() })
    }

    async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        client: Client,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let waiting = self.wait(client);
        let own = acquire(&waiting.own).await;
        let turn = acquire(&self.all).await;
        let held = (turn, own, waiting);
        let working = spawn_blocking(move || {
            let outcome = work();
            drop(held);
            outcome
        });
        working.await.map_err(|_| ApiError::Panicked)
    }

    fn wait(self: &Arc<Self>, client: Client) -> Waiting {
        let own = Arc::clone(self.by_client().entry(client).or_insert_with(|| Arc::new(Semaphore::new(1))));
        Waiting { turns: Arc::clone(self), client, own }
    }

    fn by_client(&self) -> MutexGuard<'_, HashMap<Client, Arc<Semaphore>>> {
        self.by_client.lock().expect("no holder of the lock panics")
    }
}

async fn acquire(semaphore: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(semaphore).acquire_owned().await.expect("the semaphore is never closed")
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut by_client = self.turns.by_client();
        // The table's and this one: no other of the client's waits.
        if Arc::strong_count(&self.own) == 2 {
            by_client.remove(&self.client);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc::channel, time::Duration};

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    /// How long a turn may take to come before the test fails.
    const TIMEOUT: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_client_with_much_work_leaves_turns_to_others() {
        let turns = Turns::new(2);
        let [ann, ben] = ["1", "2"].map(|id| Client::Account(Id::parse(id).unwrap()));
        let (end, ends) = channel::<()>();
        let mut first = Box::pin(turns.run(ann, move || ends.recv().unwrap()));
        assert!(first.as_mut().now_or_never().is_none());
        let mut others: Vec<_> = (0..10).map(|_| Box::pin(turns.run(ann, || ()))).collect();
        assert!(others.iter_mut().all(|other| other.as_mut().now_or_never().is_none()));

        timeout(TIMEOUT, turns.run(ben, || ())).await.expect("it is ben's turn").unwrap();
        drop(first);

        assert!(others.iter_mut().all(|other| other.as_mut().now_or_never().is_none()));
        end.send(()).unwrap();
        for other in others {
            other.await.unwrap();
        }
        assert!(turns.by_client().is_empty());
    }
}
