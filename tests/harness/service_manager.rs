//! A service manager that is notified, and does nothing else.

use std::{os::unix::net::UnixDatagram, time::Duration};

use super::ServerBuilder;

/// How long a notification may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

pub struct ServiceManager(UnixDatagram);

impl ServiceManager {
    /// A service manager, and how a server is started that knows it.
    pub fn of(builder: ServerBuilder) -> (Self, ServerBuilder) {
        let path = builder.data_dir().with_file_name("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(TIMEOUT)).unwrap();
        (Self(socket), builder.variable("NOTIFY_SOCKET", path.to_str().unwrap()))
    }

    /// The lines of the next notification.
    #[track_caller]
    pub fn next(&self) -> Vec<String> {
        self.receive().expect("a notification comes")
    }

    /// The notifications that have come and were not read yet.
    pub fn waiting(&self) -> Vec<Vec<String>> {
        self.0.set_nonblocking(true).unwrap();
        let waiting = std::iter::from_fn(|| self.receive().ok()).collect();
        self.0.set_nonblocking(false).unwrap();
        waiting
    }

    fn receive(&self) -> std::io::Result<Vec<String>> {
        let mut bytes = [0; 4096];
        let length = self.0.recv(&mut bytes)?;
        Ok(std::str::from_utf8(&bytes[..length]).unwrap().lines().map(str::to_owned).collect())
    }
}
