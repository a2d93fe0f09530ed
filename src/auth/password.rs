//! Password hashes: scrypt as PHC strings, a bounded number of them at a time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use scrypt::{
    Params,
    password_hash::phc::{self, Output, Salt},
    phc::ALG_ID,
    scrypt,
};
use tokio::sync::oneshot;

use super::{Attempt, AuthError, HashRequester, queue::HashQueue};
use crate::{
    domain::{PasswordHash, PresentedPassword},
    random::random_bytes,
};

/// How many checks may wait for each thread in each lane; one more is refused, which is better than to wait for seconds.
const MAX_QUEUED_PER_THREAD: usize = 8;

/// The salt of the hash that is computed for nobody.
const NOBODYS_SALT: [u8; 16] = *b"lodge has nobody";

/// What a hash costs: the base-2 logarithm of scrypt's N, with r = 8 and p = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u8);

impl Cost {
    /// What OWASP's Password Storage Cheat Sheet asks for: 128 MiB, some 0.4 s.
    pub const RECOMMENDED: Self = Self(17);
    /// 1 MiB; for tests.
    pub const LEAST: Self = Self(10);
    /// 1 GiB.
    pub const MAX: Self = Self(20);

    /// The cost of that logarithm, 10 to 20.
    #[must_use]
    pub fn new(log2_n: u8) -> Option<Self> {
        Some(Self(log2_n)).filter(|cost| (Self::LEAST..=Self::MAX).contains(cost))
    }

    /// The base-2 logarithm of N.
    #[must_use]
    pub fn log2_n(self) -> u8 {
        self.0
    }

    /// What one hash takes while it is computed: 128 N r bytes (RFC 7914, section 2).
    #[must_use]
    pub fn memory_bytes(self) -> u64 {
        128 * 8 << self.0
    }

    fn params(self) -> Params {
        Params::new(self.0, 8, 1).expect("the bounds of a cost are within those of scrypt")
    }
}

/// Hashes passwords on threads of its own, as many as it was given: one hash uses a core and 128 MiB.
pub struct Hasher {
    queue: Arc<HashQueue>,
    cost: Cost,
    computed: Arc<AtomicU64>,
}

impl Hasher {
    /// Starts the threads.
    ///
    /// # Panics
    /// If no thread can be started.
    #[must_use]
    pub fn start(cost: Cost, threads: usize) -> Self {
        let queue = Arc::new(HashQueue::new(threads * MAX_QUEUED_PER_THREAD));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            let work = move || while queue.pop().map(|job| job()).is_some() {};
            let thread = thread::Builder::new().name("hasher".to_owned()).spawn(work);
            thread.expect("a thread can be started");
        }
        Self { queue, cost, computed: Arc::default() }
    }

    /// Hashes a password with a fresh salt.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many hashes are waiting.
    pub async fn hash(
        &self,
        requester: HashRequester,
        password: &PresentedPassword,
    ) -> Result<PasswordHash, AuthError> {
        let (password, cost) = (password.clone(), self.cost);
        let computed = Arc::clone(&self.computed);
        self.run(requester, move || new_hash(&password, cost, &computed)).await
    }

    /// Verifies a password in the time a right one takes, also for an unknown user (`None`).
    ///
    /// A hash of lower cost is followed by further work up to the present cost, so that it does not stand out. The attempt
    /// ends with the hash and `refused` is called if it was wrong, also when whoever asked has gone meanwhile.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if too many hashes are waiting.
    pub async fn verify(
        &self,
        attempt: Attempt,
        stored: Option<PasswordHash>,
        password: &PresentedPassword,
        refused: impl FnOnce() + Send + 'static,
    ) -> Result<bool, AuthError> {
        let (password, cost) = (password.clone(), self.cost);
        let computed = Arc::clone(&self.computed);
        self.run(attempt.requester(), move || {
            let is_right = matches(stored.as_ref(), &password, cost, &computed);
            attempt.finish(is_right);
            if !is_right {
                refused();
            }
            is_right
        })
        .await
    }

    /// Whether the hash was made at a lower cost than new ones are.
    #[must_use]
    pub fn is_outdated(&self, stored: &PasswordHash) -> bool {
        StoredHash::parse(stored).is_some_and(|stored| stored.cost < self.cost)
    }

    /// How many times scrypt has run.
    #[must_use]
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        requester: HashRequester,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AuthError> {
        let (reply, answer) = oneshot::channel();
        // The job keeps its place among the running ones even when whoever asked has gone.
        let job = Box::new(move || {
            if !reply.is_closed() {
                drop(reply.send(job()));
            }
        });
        self.queue.push(requester, job)?;
        answer.await.map_err(|_| AuthError::Busy)
    }
}

impl Drop for Hasher {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Whether a password can be checked against that hash: its parameters are within bounds.
#[must_use]
pub fn is_sound_hash(stored: &PasswordHash) -> bool {
    StoredHash::parse(stored).is_some()
}

/// A PHC string whose parameters are within bounds: one with `ln=40` would exhaust the memory.
struct StoredHash {
    cost: Cost,
    salt: Salt,
    output: Output,
}

impl StoredHash {
    fn parse(stored: &PasswordHash) -> Option<Self> {
        let hash = phc::PasswordHash::new(stored.as_str()).ok()?;
        let parameter = |name| hash.params.get_decimal(name);
        let is_ours = hash.algorithm == ALG_ID && parameter("r") == Some(8) && parameter("p") == Some(1);
        let cost = parameter("ln").and_then(|log2_n| u8::try_from(log2_n).ok()).and_then(Cost::new)?;
        is_ours.then_some(Self { cost, salt: hash.salt?, output: hash.hash? })
    }
}

fn matches(stored: Option<&PasswordHash>, password: &PresentedPassword, cost: Cost, computed: &AtomicU64) -> bool {
    let stored = stored.and_then(StoredHash::parse);
    let Some(stored) = stored else {
        compute(password, &NOBODYS_SALT, cost, computed);
        return false;
    };
    let output = compute(password, &stored.salt, stored.cost, computed);
    // 2^s + (2^s + 2^(s+1) + ... + 2^(c-1)) = 2^c: together they take the time of one at the present cost.
    for padding in stored.cost.0..cost.0 {
        compute(password, &NOBODYS_SALT, Cost(padding), computed);
    }
    // `Output` compares in constant time.
    Output::new(&output).is_ok_and(|output| output == stored.output)
}

fn new_hash(password: &PresentedPassword, cost: Cost, computed: &AtomicU64) -> PasswordHash {
    let salt = random_bytes::<16>();
    let output = compute(password, &salt, cost, computed);
    let hash = phc::PasswordHash {
        algorithm: ALG_ID,
        version: None,
        params: cost.params().try_into().expect("the parameters fit into a PHC string"),
        salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
        hash: Some(Output::new(&output).expect("32 bytes are an output")),
    };
    PasswordHash::new(hash.to_string())
}

fn compute(password: &PresentedPassword, salt: &[u8], cost: Cost, computed: &AtomicU64) -> [u8; 32] {
    let mut output = [0; 32];
    scrypt(password.as_bytes(), salt, &cost.params(), &mut output).expect("32 bytes are within what scrypt can give");
    computed.fetch_add(1, Ordering::Relaxed);
    output
}

#[cfg(test)]
mod tests {
    use std::{
        net::IpAddr,
        sync::{Mutex, mpsc::channel},
    };

    use futures_util::FutureExt;

    use super::*;
    use crate::{auth::Throttle, clock::Clock};

    fn password(text: &str) -> PresentedPassword {
        PresentedPassword::parse(text).unwrap()
    }

    async fn attempt() -> Attempt {
        Throttle::new(Clock::system(), 0).begin("ann", None, IpAddr::from([127, 0, 0, 1])).await.unwrap()
    }

    #[tokio::test]
    async fn a_hash_is_matched_by_its_password_alone() {
        let hasher = Hasher::start(Cost::LEAST, 1);
        let stored = hasher.hash(HashRequester::server(), &password("open sesame")).await.unwrap();

        assert!(stored.as_str().starts_with("$scrypt$ln=10,r=8,p=1$"));
        assert!(hasher.verify(attempt().await, Some(stored.clone()), &password("open sesame"), || ()).await.unwrap());
        assert!(!hasher.verify(attempt().await, Some(stored), &password("open barley"), || ()).await.unwrap());
    }

    #[tokio::test]
    async fn an_unknown_user_costs_exactly_one_hash_as_a_known_one_does() {
        let hasher = Hasher::start(Cost::LEAST, 1);
        let stored = hasher.hash(HashRequester::server(), &password("open sesame")).await.unwrap();

        let before = hasher.computed();
        hasher.verify(attempt().await, None, &password("guess"), || ()).await.unwrap();
        let unknown = hasher.computed() - before;
        hasher.verify(attempt().await, Some(stored), &password("guess"), || ()).await.unwrap();
        let known = hasher.computed() - before - unknown;

        assert_eq!((unknown, known), (1, 1));
    }

    #[tokio::test]
    async fn a_hash_of_lower_cost_is_matched_and_outdated() {
        let old = Hasher::start(Cost::LEAST, 1).hash(HashRequester::server(), &password("open sesame")).await.unwrap();
        let hasher = Hasher::start(Cost(12), 1);

        assert!(hasher.is_outdated(&old));
        assert!(hasher.verify(attempt().await, Some(old), &password("open sesame"), || ()).await.unwrap());
        // ln 10, and the padding of ln 10 and 11, which together cost what ln 12 does.
        assert_eq!(hasher.computed(), 3);
    }

    #[tokio::test]
    async fn parameters_out_of_bounds_match_nothing() {
        let hasher = Hasher::start(Cost::LEAST, 1);
        let exhausting = "$scrypt$ln=40,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";
        let exhausting = PasswordHash::new(exhausting.to_owned());
        assert!(!hasher.verify(attempt().await, Some(exhausting), &password("password"), || ()).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_keeps_its_thread_when_whoever_asked_has_gone() {
        let hasher = Hasher::start(Cost::LEAST, 2);
        let (begun, begins) = channel();
        let (end, ends) = channel::<()>();
        let ends = Arc::new(Mutex::new(ends));
        let ask = || {
            let (begun, ends) = (begun.clone(), Arc::clone(&ends));
            let job = move || {
                begun.send(()).unwrap();
                ends.lock().unwrap().recv().unwrap();
            };
            let mut asked = Box::pin(hasher.run(HashRequester::server(), job));
            assert!(asked.as_mut().now_or_never().is_none());
            asked
        };
        for _ in 0..2 {
            let asked = ask();
            begins.recv().unwrap();
            drop(asked);
        }

        let third = ask();

        assert!(begins.try_recv().is_err(), "both threads are busy with what nobody waits for");
        (0..3).for_each(|_| end.send(()).unwrap());
        third.await.unwrap();
        begins.recv().unwrap();
    }

    #[tokio::test]
    async fn a_try_that_was_not_checked_any_more_counts_for_nothing() {
        let (hasher, throttle) = (Hasher::start(Cost::LEAST, 1), Throttle::new(Clock::system(), 1));
        let begin = || throttle.begin("ann", None, IpAddr::from([127, 0, 0, 1]));
        let (end, ends) = channel::<()>();
        let mut first = Box::pin(hasher.run(HashRequester::server(), move || ends.recv()));
        assert!(first.as_mut().now_or_never().is_none());

        let guess = password("guess");
        assert!(hasher.verify(begin().await.unwrap(), None, &guess, || ()).now_or_never().is_none());
        end.send(()).unwrap();
        first.await.unwrap().unwrap();

        assert!(!hasher.verify(begin().await.unwrap(), None, &guess, || ()).await.unwrap());
        assert!(matches!(begin().await, Err(AuthError::Throttled { retry_after_secs: 1 })));
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_also_when_whoever_tried_it_has_gone() {
        let old = Hasher::start(Cost::LEAST, 1).hash(HashRequester::server(), &password("open sesame")).await.unwrap();
        let (hasher, guess) = (Hasher::start(Cost(14), 1), password("guess"));
        let (tell, told) = channel();
        let mut tried =
            Box::pin(hasher.verify(attempt().await, Some(old), &guess, move || tell.send("refused").unwrap()));
        assert!(tried.as_mut().now_or_never().is_none());
        while hasher.computed() == 0 {
            thread::yield_now();
        }

        drop(tried);

        assert_eq!(told.recv(), Ok("refused"));
    }
}
