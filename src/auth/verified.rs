//! Passwords verified lately, so that Basic does not cost a hash on every request.
//!
//! What is remembered is a keyed hash of the password, bound to the stored password hash (a changed password ends it at
//! once) and to the client's address (it is no oracle for guesses from elsewhere). Only successes are remembered.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use aws_lc_rs::hmac;
use moka::future::Cache;

use crate::{
    domain::{PresentedPassword, User, octets},
    secret::{Purpose, RootSecret},
};

/// How long a success is remembered.
const LIFETIME: Duration = Duration::from_mins(5);
/// How many are remembered.
const MOST: u64 = 10_000;

pub(super) struct VerifiedPasswords {
    key: hmac::Key,
    seen: Cache<[u8; 32], ()>,
}

impl VerifiedPasswords {
    pub(super) fn new(secret: &RootSecret) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::VerifiedPasswords).expose()),
            seen: Cache::builder().max_capacity(MOST).time_to_live(LIFETIME).build(),
        }
    }

    /// Passes if the same was verified lately; else verifies it, once for all who ask at the same time.
    pub(super) async fn check<E: Send + Sync + 'static>(
        &self,
        user: &User,
        password: &PresentedPassword,
        address: IpAddr,
        verify: impl Future<Output = Result<(), E>>,
    ) -> Result<(), Arc<E>> {
        let proof = self.proof(user, password, address);
        if self.seen.get(&proof).await.is_some() {
            return Ok(());
        }
        self.seen.try_get_with(proof, verify).await
    }

    fn proof(&self, user: &User, password: &PresentedPassword, address: IpAddr) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&user.id.get().to_be_bytes());
        // Each part is of a fixed length or says it, so that no two different lists of parts read the same.
        context.update(&octets(address));
        context.update(&user.password.as_str().len().to_be_bytes());
        context.update(user.password.as_str().as_bytes());
        context.update(password.as_bytes());
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}
