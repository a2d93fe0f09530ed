//! What is known of a server once it serves.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{clock::Reading, config::Settings, doctor::Hashing, tls::Certificate};

/// A server that serves.
#[derive(Debug)]
pub struct Serving {
    /// Its settings, without the first administrator's password.
    pub settings: Settings,
    /// The memory for hashes of passwords.
    pub hashing: Hashing,
    /// The certificate, if it serves TLS.
    pub certificate: Option<Arc<Certificate>>,
    /// When it began.
    pub since: Reading,
    addresses: Mutex<Vec<String>>,
}

impl Serving {
    /// A server that begins to serve, on no address yet.
    #[must_use]
    pub fn new(settings: &Settings, hashing: Hashing, certificate: Option<Arc<Certificate>>, since: Reading) -> Self {
        let settings = Settings { admin_password: None, ..settings.clone() };
        Self { settings, hashing, certificate, since, addresses: Mutex::default() }
    }

    /// Notes an address that it serves on, as a URL.
    pub fn listens_on(&self, address: String) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    /// The addresses that it serves on, as URLs.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
