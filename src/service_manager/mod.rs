//! The service manager: what it hands over at the start, and what it is notified of.
//!
//! This is the protocol of systemd, `sd_notify(3)` and `sd_listen_fds(3)`, which others speak too. Where no service manager has
//! set its variables, nothing is notified and no socket is passed.

mod notifier;
mod passed_socket;

use std::{
    env,
    ffi::{OsStr, OsString},
    process,
    time::Duration,
};

pub use self::{
    notifier::Notifier,
    passed_socket::{PassedSocket, PassedSocketError, Socket},
};

/// The variables for one process alone; those that it starts must not take them for theirs.
const VARIABLES: [&str; 7] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_PIDFDID", "LISTEN_FDS", "LISTEN_FDNAMES"];

/// What the service manager has handed over to this process.
#[derive(Debug)]
pub struct ServiceManager {
    /// Notifies it.
    pub notifier: Notifier,
    /// How long it waits for a sign of life before it ends the process, if it does.
    pub watchdog: Option<Duration>,
    /// The sockets that it listens on for this process.
    pub sockets: Result<Vec<PassedSocket>, PassedSocketError>,
}

impl ServiceManager {
    /// Takes what was handed over: the variables are removed from the environment, and the sockets are closed in programs that
    /// this process starts.
    ///
    /// # Safety
    /// No other thread may run, because it could read the environment, and no file may have been opened, because its descriptor could
    /// be that of a passed socket.
    #[must_use]
    #[expect(unsafe_code, reason = "the environment is not synchronised, and descriptors are taken by their numbers")]
    pub unsafe fn take() -> Self {
        let [notify_socket, watchdog, watchdog_pid, listen_pid, _, sockets, names] =
            VARIABLES.map(|name| env::var_os(name).filter(|value| !value.is_empty()));
        for name in VARIABLES {
            // SAFETY: no other thread runs.
            unsafe { env::remove_var(name) };
        }
        let is_mine =
            |pid: Option<&OsString>| pid.and_then(|pid| pid.to_str()) == Some(process::id().to_string().as_str());
        let count = sockets.filter(|_| is_mine(listen_pid.as_ref()));
        Self {
            notifier: Notifier::to(notify_socket.as_deref()),
            watchdog: watchdog
                .filter(|_| watchdog_pid.is_none() || is_mine(watchdog_pid.as_ref()))
                .as_deref()
                .and_then(timeout),
            // SAFETY: they are this process's, and nothing has been opened that could have their numbers.
            sockets: count.map_or(Ok(Vec::new()), |count| unsafe { passed_socket::take(&count, names.as_deref()) }),
        }
    }

    /// None: nothing is notified, and no socket is passed.
    #[must_use]
    pub fn none() -> Self {
        Self { notifier: Notifier::to(None), watchdog: None, sockets: Ok(Vec::new()) }
    }
}

/// The time between two signs of life that is asked for in microseconds; `None` if it is no number, or none.
fn timeout(microseconds: &OsStr) -> Option<Duration> {
    let microseconds = microseconds.to_str()?.parse().ok().filter(|microseconds| *microseconds > 0)?;
    Some(Duration::from_micros(microseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_is_asked_for_in_microseconds() {
        let asked = ["30000000", "0", "-1", "x"].map(|text| timeout(OsStr::new(text)));

        assert_eq!(asked, [Some(Duration::from_secs(30)), None, None, None]);
    }
}
