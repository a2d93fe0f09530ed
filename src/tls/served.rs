//! The served certificate: reloaded when its files change, with warnings before its end.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::{Duration, Instant},
};

use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::time;

use super::{Files, Names, Stamps, TlsError, end, keep, provider, self_signed::is_timely};
use crate::{
    clock::{Clock, Timestamp},
    error_chain::chain,
};

/// How often the files and the certificate's end are checked.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How long a start waits for the second half of a pair that is being renewed.
const PAIR_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a start checks again meanwhile.
const PAIR_LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long before a certificate's end a warning is logged once a day.
pub const WARN_BEFORE: Duration = Duration::from_hours(14 * 24);
const DAY: Duration = Duration::from_hours(24);

/// How the server's self-signed certificate is renewed.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The data directory with the certificate.
    pub data_dir: PathBuf,
    /// The names that it is for.
    pub names: Names,
}

impl Files {
    /// Loads the certificate and its key. If they do not belong together, waits for the second half of a renewal.
    ///
    /// # Errors
    /// [`TlsError`] if they cannot be used, or not in time.
    pub fn load_in_time(&self) -> Result<CertifiedKey, TlsError> {
        let until = Instant::now() + PAIR_TIMEOUT;
        loop {
            match self.load() {
                Err(TlsError::Unusable { .. }) if Instant::now() < until => thread::sleep(PAIR_LOOK_EVERY),
                loaded => return loaded,
            }
        }
    }

    /// The stamps of the files, and when the certificate ends; `None` if it cannot be read.
    fn stamps_and_end(&self) -> Option<(Stamps, Timestamp)> {
        let stamps = self.stamps();
        let end = end(self.read_certificates().ok()?.first()?)?;
        Some((stamps, end))
    }
}

/// The certificate that is served.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    renewal: Option<Renewal>,
    /// The files' state before they were first read.
    first: Stamps,
    current: RwLock<Arc<CertifiedKey>>,
    /// The state of the files of the server's own certificate when it needed no renewal, and its end.
    checked: Mutex<Option<(Stamps, Timestamp)>>,
}

impl Certificate {
    /// Loads the certificate from its files. If the key does not belong to it, waits up to five seconds for the second
    /// half of a renewal.
    ///
    /// # Errors
    /// [`TlsError`] if it cannot be used.
    pub fn open(files: Files, renewal: Option<Renewal>) -> Result<Arc<Self>, TlsError> {
        let first = files.stamps();
        let current = RwLock::new(Arc::new(files.load_in_time()?));
        Ok(Arc::new(Self { files, renewal, first, current, checked: Mutex::default() }))
    }

    /// The configuration of a server with this certificate: TLS 1.2 and 1.3, with HTTP/1.1 only.
    ///
    /// # Panics
    /// Never: the provider has the default versions.
    #[must_use]
    pub fn server(self: &Arc<Self>) -> ServerConfig {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions that are the default");
        let mut config = config.with_no_client_auth().with_cert_resolver(Arc::clone(self) as _);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    /// When the served certificate ends; `None` if that cannot be read.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        let served = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        served.cert.first().and_then(end)
    }

    /// Reloads the certificate when its files change, and renews a self-signed one before its end. Never returns.
    ///
    /// Checks every few seconds, and when `asked` ends, whose result is dropped once the files have been read. Invalid files are logged and the old certificate stays in use.
    pub async fn follow<T>(self: Arc<Self>, clock: Clock, mut asked: impl AsyncFnMut() -> T) {
        let (mut seen, mut warned) = (self.first, None);
        loop {
            let now = clock.now();
            self.renew(now);
            let present = self.files.stamps();
            if present != seen {
                seen = present;
                self.take_over();
            }
            self.warn_of_end(now, &mut warned);
            tokio::select! {
                () = time::sleep(LOOK_EVERY) => {}
                _reload = asked() => self.take_over(),
            }
        }
    }

    /// Renews the server's own certificate near its end. Its files are read only then, and after they have changed.
    fn renew(&self, now: Timestamp) {
        let Some(Renewal { data_dir, names }) = &self.renewal else { return };
        if !self.is_to_be_checked(now) {
            return;
        }
        match keep(data_dir, names, now) {
            Ok(files) => *self.checked() = files.stamps_and_end(),
            Err(error) => log::error!("the certificate cannot be renewed: {}", chain(&error)),
        }
    }

    fn is_to_be_checked(&self, now: Timestamp) -> bool {
        let present = self.files.stamps();
        let is_good = |(stamps, end): &(Stamps, Timestamp)| *stamps == present && is_timely(*end, now);
        !self.checked().as_ref().is_some_and(is_good)
    }

    fn checked(&self) -> MutexGuard<'_, Option<(Stamps, Timestamp)>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_over(&self) {
        match self.files.load() {
            Ok(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                log::info!("the certificate was reloaded: {}", self.files.certificate.display());
            }
            Err(error) => {
                log::error!("the certificate cannot be reloaded, and the old one is still served: {}", chain(&error));
            }
        }
    }

    fn warn_of_end(&self, now: Timestamp, warned: &mut Option<Timestamp>) {
        let is_due = warned.is_none_or(|last| last.after(DAY) <= now);
        let Some(end) = self.end().filter(|end| is_due && *end <= now.after(WARN_BEFORE)) else { return };
        *warned = Some(now);
        let file = self.files.certificate.display();
        if end <= now {
            log::error!("the certificate expired at {end}, and clients refuse it: {file}");
        } else {
            log::warn!("the certificate expires at {end}: {file}");
        }
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

#[cfg(test)]
mod tests;
