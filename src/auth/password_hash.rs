//! Password hashes: scrypt as PHC strings.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use scrypt::{
    Params,
    password_hash::phc::{self, Output, Salt},
    phc::ALG_ID,
    scrypt,
};

use crate::{
    config::Settings,
    domain::{PasswordHash, PresentedPassword},
    random::random_bytes,
};

/// The salt of the hash that is computed for an unknown user.
const UNKNOWN_USERS_SALT: [u8; 16] = *b"lodge has nobody";

/// The cost of a hash: the base-2 logarithm of scrypt's N, with r = 8 and p = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost(u8);

impl Cost {
    /// The recommendation of OWASP's Password Storage Cheat Sheet: 128 MiB, some 0.4 s.
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

    /// The cost in the settings.
    ///
    /// # Panics
    /// Never: the bounds of the setting are those of a cost.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self::new(settings.scrypt_cost).expect("the bounds of the setting are those of a cost")
    }

    /// The memory of one hash while it is computed: 128 N r bytes (RFC 7914, section 2).
    #[must_use]
    pub fn memory_bytes(self) -> u64 {
        (128 * 8) << self.0
    }

    fn params(self) -> Params {
        Params::new(self.0, 8, 1).expect("the bounds of a cost are within those of scrypt")
    }
}

/// scrypt at the configured cost.
#[derive(Clone)]
pub(super) struct Scrypt {
    cost: Cost,
    computed: Arc<AtomicU64>,
}

impl Scrypt {
    pub(super) fn new(cost: Cost) -> Self {
        Self { cost, computed: Arc::default() }
    }

    /// Hashes a password with a fresh salt.
    pub(super) fn hash(&self, password: &PresentedPassword) -> PasswordHash {
        let salt = random_bytes::<16>();
        let output = self.compute(password, &salt, self.cost);
        let hash = phc::PasswordHash {
            algorithm: ALG_ID,
            version: None,
            params: self.cost.params().try_into().expect("the parameters fit into a PHC string"),
            salt: Some(Salt::new(&salt).expect("16 bytes are a salt")),
            hash: Some(Output::new(&output).expect("32 bytes are an output")),
        };
        PasswordHash::new(hash.to_string())
    }

    /// Whether the hash is that of the password. Takes as long as a hash at the configured cost, also for an unknown
    /// user (`None`).
    pub(super) fn matches(&self, stored: Option<&PasswordHash>, password: &PresentedPassword) -> bool {
        let Some(stored) = stored.and_then(StoredHash::parse) else {
            self.compute(password, &UNKNOWN_USERS_SALT, self.cost);
            return false;
        };
        let output = self.compute(password, &stored.salt, stored.cost);
        // 2^s + (2^s + 2^(s+1) + ... + 2^(c-1)) = 2^c: together they take as long as one at the configured cost.
        for padding in stored.cost.0..self.cost.0 {
            self.compute(password, &UNKNOWN_USERS_SALT, Cost(padding));
        }
        // `Output` compares in constant time.
        Output::new(&output).is_ok_and(|output| output == stored.output)
    }

    /// Whether the hash has a lower cost than the configured one.
    pub(super) fn is_outdated(&self, stored: &PasswordHash) -> bool {
        StoredHash::parse(stored).is_some_and(|stored| stored.cost < self.cost)
    }

    /// How many times scrypt has run.
    pub(super) fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    fn compute(&self, password: &PresentedPassword, salt: &[u8], cost: Cost) -> [u8; 32] {
        let mut output = [0; 32];
        scrypt(password.as_bytes(), salt, &cost.params(), &mut output)
            .expect("32 bytes are within what scrypt can give");
        self.computed.fetch_add(1, Ordering::Relaxed);
        output
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
