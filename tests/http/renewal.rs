//! Certificates that are renewed: before a start is over, and while they are served.

use std::{
    fs,
    io::{ErrorKind, Read},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lodge::clock::{Clock, Timestamp};
use rcgen::{CertificateParams, KeyPair};
use rustix::{fs::inotify, process::Signal};
use time::OffsetDateTime;

use crate::{
    harness::{Server, ServerBuilder, ServiceManager, pause},
    http::tls::{curl, files, pair, put, with_files},
};

/// How long the server may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Notices when a file has been read.
struct Watch(fs::File);

impl Watch {
    fn on(path: &Path) -> Self {
        let descriptor = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&descriptor, path, inotify::WatchFlags::CLOSE_NOWRITE).unwrap();
        Self(descriptor.into())
    }

    fn wait_until_read(&mut self) {
        let deadline = Instant::now() + TIMEOUT;
        while let Err(error) = self.0.read(&mut [0; 4096]) {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(Instant::now() < deadline, "the file is never read");
            pause();
        }
    }
}

fn health(server: &Server, flags: &[&str]) -> Option<i32> {
    let mut command = server.command(&["health", "--listen", &server.address.to_string()]);
    command.args(flags).output().unwrap().status.code()
}

#[test]
fn a_start_in_the_middle_of_a_renewal_waits_for_its_second_half() {
    let builder = ServerBuilder::new();
    let paths = files(&builder);
    let ((_, old_key), (certificate, key)) = (pair(), pair());
    put(&paths[0], &certificate);
    put(&paths[1], &old_key);
    let mut watch = Watch::on(&paths[1]);

    let starting = thread::spawn({
        let paths = paths.clone();
        move || with_files(builder, &paths).start_unasked()
    });
    watch.wait_until_read();
    put(&paths[1], &key);
    let server = starting.join().unwrap();

    assert!(curl(&server, &paths[0], "/healthz", &[]).is_ok());
    let [cert, key] = paths.each_ref().map(|path| path.to_str().unwrap());
    let asked = || health(&server, &["--tls-cert", cert, "--tls-key", key]);
    let ready = asked();
    put(&paths[0], &pair().0);
    assert_eq!([ready, asked()], [Some(0); 2], "also in the middle of the next renewal");
}

#[test]
fn a_certificate_of_the_servers_own_is_renewed_while_it_is_served_60_days_before_its_end() {
    let server = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").start_unasked();
    let [certificate, key] = ["tls/cert.pem", "tls/key.pem"].map(|name| server.data_dir().join(name));
    let until = Clock::system().now().after(Duration::from_hours(59 * 24));
    let (ending, ending_key) = own_certificate(until);
    put(&key, &ending_key);
    put(&certificate, &ending);

    server.signal(Signal::HUP);
    let deadline = Instant::now() + TIMEOUT;
    while fs::read_to_string(&certificate).unwrap() == ending {
        assert!(Instant::now() < deadline, "it is never renewed: {}", server.log());
        pause();
    }

    server.wait_for_log("the certificate was reloaded");
    while curl(&server, &certificate, "/healthz", &[]).is_err() {
        assert!(Instant::now() < deadline, "the new one is never served: {}", server.log());
    }
    assert_eq!(health(&server, &["--tls-self-signed", "127.0.0.1"]), Some(0));
}

#[test]
fn each_hangup_has_the_certificate_read_once_though_its_files_are_as_they_were() {
    let server = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").start_unasked();
    let certificate = server.data_dir().join("tls/cert.pem");
    let readings = || server.log().matches("the certificate was reloaded").count();

    for hangups in 1..=3 {
        server.signal(Signal::HUP);
        let deadline = Instant::now() + TIMEOUT;
        while readings() < hangups {
            assert!(Instant::now() < deadline, "it is never read again: {}", server.log());
        }
        // What is logged meanwhile would be there.
        for _ in 0..20 {
            assert!(curl(&server, &certificate, "/healthz", &[]).is_ok());
        }
        assert_eq!(readings(), hangups);
    }
}

#[test]
fn a_reload_has_ended_when_the_new_certificate_is_served_and_the_address_is_the_same() {
    let (manager, builder) = ServiceManager::of(ServerBuilder::new());
    let paths = files(&builder);
    let renew = || {
        let (certificate, key) = pair();
        put(&paths[0], &certificate);
        put(&paths[1], &key);
    };
    renew();
    let server = with_files(builder, &paths).start_unasked();
    while manager.next()[0] != "READY=1" {}

    renew();
    server.signal(Signal::HUP);

    assert_eq!(manager.next()[0], "RELOADING=1");
    assert_eq!(manager.next(), ["READY=1"]);
    assert!(curl(&server, &paths[0], "/healthz", &[]).is_ok());
    server.wait_for_log("reload requested: the files of TLS are read again");
}

/// What the server would have made for 127.0.0.1 if that was its end.
fn own_certificate(until: Timestamp) -> (String, String) {
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(until.as_secs().try_into().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    (format!("Made by lodge for 127.0.0.1\nIt lasts until {until}\n{certificate}"), key.serialize_pem())
}
