use std::{
    cell::{Cell, RefCell},
    fs,
    future::pending,
    io::Read,
    path::Path,
};

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

/// Records what is served when it is dropped.
struct Asked<'a>(&'a Certificate, &'a RefCell<Vec<Vec<CertificateDer<'static>>>>);

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.1.borrow_mut().push(served(self.0));
    }
}

#[tokio::test]
async fn what_asks_for_a_reload_is_kept_until_the_new_certificate_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = Certificate::open(made_for(directory.path(), "first.example", START), None).unwrap();
    let (seen, has_asked) = (RefCell::default(), Cell::new(false));
    let asked = async || {
        if has_asked.replace(true) {
            pending::<()>().await;
        }
        made_for(directory.path(), "second.example", START);
        Asked(&certificate, &seen)
    };

    let following = Arc::clone(&certificate).follow(Clock::system(), asked);
    assert_eq!(following.now_or_never(), None);

    assert_eq!(seen.take(), [served(&certificate)]);
    let second = made_for(directory.path(), "second.example", START);
    assert_eq!(served(&certificate), second.read_certificates().unwrap());
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
