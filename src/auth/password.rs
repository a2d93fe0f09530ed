//! Hashes passwords: a bounded number at a time, and only those that can be answered in time.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, time::timeout};

use super::{Attempt, AuthError, Cost, HashRequester, password_hash::Scrypt, queue::HashQueue};
use crate::domain::{PasswordHash, PresentedPassword};

/// How many hashes may be queued for each thread in each lane; a further one is refused instead of waiting for seconds.
const MAX_QUEUED_PER_THREAD: usize = 8;

/// How long a password may wait for its answer by default.
const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(5);

/// Hashes passwords on its own threads; one hash uses a core and 128 MiB.
pub struct Hasher {
    queue: Arc<HashQueue>,
    max_wait: Duration,
    scrypt: Scrypt,
    refused: AtomicU64,
}

/// The work of a hasher at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLoad {
    /// How many hashes wait for their turn.
    pub waiting: usize,
    /// How many are being computed.
    pub running: usize,
    /// How many were refused since the start, because they could not begin in time.
    pub refused: u64,
}

/// A password to verify.
pub struct Verification {
    /// The attempt, which ends with the hash.
    pub attempt: Attempt,
    /// The user's hash; `None` for an unknown user.
    pub stored: Option<PasswordHash>,
    /// The password that was presented.
    pub password: PresentedPassword,
    /// Called if it is wrong.
    pub refused: Box<dyn FnOnce() + Send>,
}

/// The result for a right password.
#[derive(Clone, Debug)]
pub struct RightPassword {
    /// The password's hash at the configured cost, if the stored one has a lower cost.
    pub stronger: Option<PasswordHash>,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Panics
    /// If no thread can be started.
    #[must_use]
    pub fn start(cost: Cost, threads: usize) -> Self {
        let queue = Arc::new(HashQueue::new(threads, threads * MAX_QUEUED_PER_THREAD));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let thread = thread::Builder::new().name("hasher".to_owned()).spawn(move || work(&queue));
            thread.expect("a thread can be started");
        }
        Self { queue, max_wait: DEFAULT_MAX_WAIT, scrypt: Scrypt::new(cost), refused: AtomicU64::new(0) }
    }

    /// Sets how long a password may wait for its answer.
    #[must_use]
    pub fn with_max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = max_wait;
        self
    }

    /// Hashes a password with a fresh salt.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many hashes are queued, or if this one cannot begin in time.
    pub async fn hash(
        &self,
        requester: HashRequester,
        password: &PresentedPassword,
    ) -> Result<PasswordHash, AuthError> {
        let (scrypt, password) = (self.scrypt.clone(), password.clone());
        self.run(requester, move || scrypt.hash(&password)).await
    }

    /// Whether the stored hash is that of the password.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many hashes are queued, or if this one cannot begin in time.
    pub async fn matches(
        &self,
        requester: HashRequester,
        stored: PasswordHash,
        password: PresentedPassword,
    ) -> Result<bool, AuthError> {
        let scrypt = self.scrypt.clone();
        self.run(requester, move || scrypt.matches(Some(&stored), &password)).await
    }

    /// Verifies a password in the time that a right one takes, also for an unknown user.
    ///
    /// A hash of lower cost is followed by further work up to the configured cost, so that it takes as long as any
    /// other. The attempt ends with the hash and a wrong password is reported even if the client has disconnected
    /// meanwhile.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many hashes are queued, or if this one cannot begin in time.
    pub async fn verify(&self, verification: Verification) -> Result<bool, AuthError> {
        let scrypt = self.scrypt.clone();
        self.run(verification.attempt.requester(), move || verification.end(&scrypt).is_some()).await
    }

    /// Verifies a password as [`Hasher::verify`] does. A right one whose stored hash has a lower cost is hashed again
    /// in the same turn, if there is time for a second hash. `None` if it is wrong.
    ///
    /// # Errors
    /// As [`Hasher::verify`].
    pub async fn verify_and_strengthen(&self, verification: Verification) -> Result<Option<RightPassword>, AuthError> {
        let (scrypt, until) = (self.scrypt.clone(), Instant::now() + self.max_wait);
        let requester = verification.attempt.requester();
        self.run(requester, move || verification.end_and_strengthen(&scrypt, until)).await
    }

    /// How many times scrypt has run.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.scrypt.computed()
    }

    /// The work in progress and what was refused.
    #[must_use]
    pub fn load(&self) -> HashLoad {
        let (waiting, running) = self.queue.waiting_and_running();
        HashLoad { waiting, running, refused: self.refused.load(Ordering::Relaxed) }
    }

    /// Runs a job in its turn, and counts it if it is refused.
    async fn run<T: Send + 'static>(
        &self,
        requester: HashRequester,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let done = self.run_in_turn(requester, job).await;
        if matches!(done, Err(AuthError::Busy)) {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Runs a job in its turn. It begins within the bound on waiting; once it has begun it is waited for.
    async fn run_in_turn<T: Send + 'static>(
        &self,
        requester: HashRequester,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let (reply, mut answer) = oneshot::channel();
        // A job that has begun is not cancelled when the client disconnects, and one that panics does not end its thread.
        let job = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(job)).map_err(|_| AuthError::Panicked);
            drop(reply.send(outcome));
        });
        let queued = self.queue.push(requester, self.max_wait, job)?;
        let answered = match timeout(queued.max_wait, &mut answer).await {
            Ok(answered) => answered,
            Err(_) if queued.withdraw() => return Err(AuthError::Busy),
            Err(_) => answer.await,
        };
        // The job was dropped for another one.
        answered.unwrap_or(Err(AuthError::Busy))
    }
}

impl Verification {
    /// Verifies the password and ends the attempt; returns the stored hash and the password if it is right.
    fn end(self, scrypt: &Scrypt) -> Option<(PasswordHash, PresentedPassword)> {
        let is_right = scrypt.matches(self.stored.as_ref(), &self.password);
        self.attempt.finish(is_right);
        if !is_right {
            (self.refused)();
        }
        self.stored.filter(|_| is_right).map(|stored| (stored, self.password))
    }

    /// Does the same, and hashes a right password again if its hash has a lower cost and another hash would end in time.
    fn end_and_strengthen(self, scrypt: &Scrypt, until: Instant) -> Option<RightPassword> {
        let began = Instant::now();
        let (stored, password) = self.end(scrypt)?;
        let is_in_time = Instant::now() + began.elapsed() <= until;
        let stronger = (is_in_time && scrypt.is_outdated(&stored)).then(|| scrypt.hash(&password));
        Some(RightPassword { stronger })
    }
}

/// Runs queued jobs until the queue is closed.
fn work(queue: &HashQueue) {
    while let Some(job) = queue.pop() {
        queue.run(job);
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.queue.close();
    }
}

#[cfg(test)]
mod tests;
