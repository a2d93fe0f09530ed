//! Handles the signals of the process.
//!
//! The kernel does not deliver signals without a handler to process 1 of a container. Everywhere else the default of
//! most signals is to kill the process.

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

/// Signals that kill by default and have no meaning here. With `SIGXFSZ` ignored, a write that is too large fails.
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

/// The requests by signals so far; a clone sees the same ones.
#[derive(Clone, Debug)]
pub struct Signals {
    stops: watch::Receiver<u32>,
    reloads: watch::Receiver<u32>,
}

impl Signals {
    /// Installs the handlers.
    ///
    /// # Errors
    /// Those of registering the handlers, or of starting the thread that waits for signals.
    pub fn listen() -> io::Result<Self> {
        let realtime = libc::SIGRTMIN()..=libc::SIGRTMAX();
        for signal in IGNORED.into_iter().chain(realtime) {
            // A handler that only sets a flag, which is never read.
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

    /// Whether a stop was requested.
    #[must_use]
    pub fn ask_to_stop(&self) -> bool {
        *self.stops.borrow() > 0
    }

    /// Waits until a stop was requested that many times.
    pub(super) async fn stopped(&self, times: u32) {
        if self.stops.clone().wait_for(|number| *number >= times).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits for the next request to reload files.
    pub(super) async fn reloaded(&mut self) {
        if self.reloads.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
