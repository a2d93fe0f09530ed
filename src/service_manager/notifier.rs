//! Notifications about the state of this process.

use std::{
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};

/// How long a notification may wait for a service manager that does not read.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// Notifies the service manager, if there is one; a clone notifies the same.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    socket: Option<io::Result<Socket>>,
    has_failed: AtomicBool,
}

/// A socket of this process, and the service manager's address.
#[derive(Debug)]
struct Socket(UnixDatagram, SocketAddr);

/// A reload that has begun; the service manager is notified of its end when this is dropped.
#[derive(Debug)]
pub struct Reload(Notifier);

impl Notifier {
    /// For the service manager at the address that `NOTIFY_SOCKET` has: a path or, after an `@`, an abstract name.
    pub(super) fn to(address: Option<&OsStr>) -> Self {
        Self(Arc::new(Shared { socket: address.map(Socket::to), has_failed: AtomicBool::new(false) }))
    }

    /// Describes a step of the start.
    pub fn starting(&self, step: &str) {
        self.send(&format!("STATUS={step}"));
    }

    /// The process serves now.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// The process has begun to stop.
    pub fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// The process has begun to read its files again.
    #[must_use]
    pub fn reloading(&self) -> Reload {
        // The service manager compares this with the moment at which it asked for the reload.
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
        Reload(self.clone())
    }

    /// A sign of life.
    pub fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    /// Sends the text; the first failure is logged, because those after it have the same cause.
    fn send(&self, text: &str) {
        let sent = match &self.0.socket {
            None => return,
            Some(Ok(Socket(socket, address))) => socket.send_to_addr(text.as_bytes(), address).map(|_| ()),
            Some(Err(error)) => Err(error.kind().into()),
        };
        if let Err(error) = sent
            && !self.0.has_failed.swap(true, Ordering::Relaxed)
        {
            log::warn!("the service manager cannot be notified at the address in NOTIFY_SOCKET: {error}");
        }
    }
}

impl Drop for Reload {
    fn drop(&mut self) {
        self.0.send("READY=1");
    }
}

impl Socket {
    fn to(address: &OsStr) -> io::Result<Self> {
        let address = match address.as_bytes().split_first() {
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            Some((b'/', _)) => SocketAddr::from_pathname(address),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_TIMEOUT))?;
        Ok(Self(socket, address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a service manager at that address is sent while `notify` runs.
    fn sent(listener: &UnixDatagram, address: &OsStr, notify: impl FnOnce(Notifier)) -> Vec<String> {
        notify(Notifier::to(Some(address)));
        listener.set_nonblocking(true).unwrap();
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| {
            let length = listener.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        })
        .collect()
    }

    #[test]
    fn a_service_manager_has_a_path_or_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("lodge-test-{}", std::process::id());
        let by_path = UnixDatagram::bind(&path).unwrap();
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let ready = |notifier: Notifier| notifier.ready("serving");

        let sent = [sent(&by_path, path.as_os_str(), ready), sent(&by_name, OsStr::new(&format!("@{name}")), ready)];

        assert_eq!(sent, [["READY=1\nSTATUS=serving"], ["READY=1\nSTATUS=serving"]]);
    }

    #[test]
    fn a_reload_ends_when_the_files_have_been_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();

        let sent = sent(&listener, path.as_os_str(), |notifier| {
            let reload = notifier.reloading();
            notifier.alive();
            drop(reload);
        });

        let (begun, microseconds) = sent[0].split_once('=').unwrap().1.split_once("\nMONOTONIC_USEC=").unwrap();
        assert!(begun == "1" && microseconds.parse::<u64>().unwrap() > 0, "{}", sent[0]);
        assert_eq!(sent[1..], ["WATCHDOG=1", "READY=1"]);
    }

    #[test]
    fn a_service_manager_that_cannot_be_reached_is_no_failure() {
        for address in ["/nowhere/notify", "vsock:2:1", "@", &format!("/{}", "x".repeat(200))] {
            let notifier = Notifier::to(Some(OsStr::new(address)));
            notifier.ready("serving");
            assert!(notifier.0.has_failed.load(Ordering::Relaxed) || address == "@", "{address}");
        }
    }
}
