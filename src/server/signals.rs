//! The signals that the process gets, from its first line on.
//!
//! As process 1 of a container a process does not even get those that it has no handler for, and the default of most
//! others is to kill it.

use std::{
    ffi::c_int,
    io,
    sync::{Arc, atomic::AtomicBool},
    thread,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals as SignalIterator,
};
use tokio::sync::watch;

/// What kills by default and asks for nothing here. `SIGXFSZ` leaves the write that is too large with an error.
const IGNORED: [c_int; 9] = [
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGVTALRM,
    libc::SIGPROF,
    libc::SIGIO,
    libc::SIGPWR,
    libc::SIGSTKFLT,
    libc::SIGXFSZ,
];

/// What has been asked for by signals so far; a clone sees the same.
#[derive(Clone, Debug)]
pub struct Signals {
    stops: watch::Receiver<u32>,
    reloads: watch::Receiver<u32>,
}

impl Signals {
    /// Takes over the signals of the process.
    ///
    /// # Errors
    /// Those of registering the handlers, or of starting the thread that waits for signals.
    pub fn listen() -> io::Result<Self> {
        let realtime = libc::SIGRTMIN()..=libc::SIGRTMAX();
        for signal in IGNORED.into_iter().chain(realtime) {
            // A flag that nothing reads is a handler that does nothing.
            flag::register(signal, Arc::new(AtomicBool::new(false)))?;
        }
        let mut signals = SignalIterator::new([SIGTERM, SIGINT, SIGHUP])?;
        let ((stop, stops), (reload, reloads)) = (watch::channel(0), watch::channel(0));
        let count = move || {
            for signal in signals.forever() {
                let counter = if signal == SIGHUP { &reload } else { &stop };
                counter.send_modify(|number| *number += 1);
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(count)?;
        Ok(Self { stops, reloads })
    }

    /// Whether the process was asked to stop.
    #[must_use]
    pub fn ask_to_stop(&self) -> bool {
        *self.stops.borrow() > 0
    }

    /// Waits until the process was asked to stop that many times.
    pub(super) async fn stopped(&self, times: u32) {
        if self.stops.clone().wait_for(|number| *number >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the next request to read files again.
    pub(super) async fn reloaded(&mut self) {
        if self.reloads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
