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
        let served = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let Some(end) = served.cert.first().and_then(end).filter(|end| is_due && *end <= now.after(WARN_BEFORE)) else {
            return;
        };
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
mod tests {
    use std::{fs, future::pending, io::Read, path::Path};

    use futures_util::FutureExt;
    use rustix::fs::inotify;
    use rustls::pki_types::CertificateDer;

    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn made_for(directory: &Path, name: &str, now: Timestamp) -> Files {
        keep(directory, &Names::parse(name).unwrap(), now).unwrap()
    }

    fn served(certificate: &Certificate) -> Vec<CertificateDer<'static>> {
        certificate.current.read().unwrap().cert.clone()
    }

    #[tokio::test]
    async fn files_that_change_before_they_are_followed_are_reloaded() {
        let directory = tempfile::tempdir().unwrap();
        let certificate = Certificate::open(made_for(directory.path(), "first.example", START), None).unwrap();
        let files = made_for(directory.path(), "second.example", START);

        let following = Arc::clone(&certificate).follow(Clock::system(), pending::<()>);
        assert_eq!(following.now_or_never(), None);

        assert_eq!(served(&certificate), files.read_certificates().unwrap());
    }

    #[test]
    fn an_own_certificate_is_renewed_while_it_is_served_and_a_given_one_is_warned_of() {
        let directory = tempfile::tempdir().unwrap();
        let files = made_for(directory.path(), "localhost", START);
        let renewal = Renewal { data_dir: directory.path().to_owned(), names: Names::parse("localhost").unwrap() };
        let own = Certificate::open(files.clone(), Some(renewal)).unwrap();
        let first = end(&served(&own)[0]).unwrap();

        let days_before = |days: u64| Timestamp::from_secs(first.as_secs() - days * 86_400);
        own.renew(days_before(61));
        assert_eq!(files.read_certificates().unwrap(), served(&own));
        let given = Certificate::open(files.clone(), None).unwrap();
        let warned = |now| {
            let mut warned = None;
            given.warn_of_end(now, &mut warned);
            warned.is_some()
        };
        assert_eq!([15, 14, 0].map(days_before).map(warned), [false, true, true]);

        own.renew(days_before(59));
        own.take_over();

        assert_eq!(end(&served(&own)[0]).unwrap(), days_before(59).after(Duration::from_hours(825 * 24)));
    }

    #[test]
    fn the_files_of_an_own_certificate_are_read_again_only_if_they_have_changed_or_at_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let files = made_for(directory.path(), "localhost", START);
        let renewal = Renewal { data_dir: directory.path().to_owned(), names: Names::parse("localhost").unwrap() };
        let own = Certificate::open(files.clone(), Some(renewal)).unwrap();
        let later = |days: u64| START.after(Duration::from_hours(24 * days));
        assert!(own.is_to_be_checked(START));

        own.renew(START);
        assert_eq!([0, 764, 766].map(|days| own.is_to_be_checked(later(days))), [false, false, true]);
        assert!(own.is_to_be_checked(Timestamp::from_secs(START.as_secs() - 86_400)), "the clock was ahead");

        fs::write(&files.key, "damaged").unwrap();
        assert!(own.is_to_be_checked(START));
        own.renew(START);
        assert!(!own.is_to_be_checked(START));
        files.load().unwrap();
    }

    #[test]
    fn a_certificate_from_a_clock_that_was_ahead_is_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let ahead = made_for(directory.path(), "localhost", START.after(Duration::from_hours(24 * 400)));
        let first = ahead.read_certificates().unwrap();

        assert_ne!(made_for(directory.path(), "localhost", START).read_certificates().unwrap(), first);
    }

    #[test]
    fn a_start_waits_for_the_second_half_of_a_renewal() {
        let [old, new] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let files = made_for(old.path(), "localhost", START);
        let renewed = made_for(new.path(), "localhost", START);
        fs::copy(&renewed.certificate, &files.certificate).unwrap();
        let watch = inotify::init(inotify::CreateFlags::empty()).unwrap();
        inotify::add_watch(&watch, &files.key, inotify::WatchFlags::CLOSE_NOWRITE).unwrap();

        let opening = thread::spawn({
            let files = files.clone();
            move || Certificate::open(files, None).map(|certificate| served(&certificate))
        });
        // Once the old key has been read.
        fs::File::from(watch).read_exact(&mut [0; 16]).unwrap();
        fs::rename(&renewed.key, &files.key).unwrap();

        assert_eq!(opening.join().unwrap().unwrap(), renewed.read_certificates().unwrap());
    }
}
