//! A terminal that does not show what is typed.

use std::{
    ffi::c_int,
    io::{self, Write},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::{
    consts::{SIGINT, SIGQUIT, SIGTERM, SIGTSTP},
    iterator::Signals,
    low_level::emulate_default_handler,
};

/// Signals that end or stop the process, and would leave the terminal as it is.
const LEAVING: [c_int; 4] = [SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// The modes of the terminal before its echo was turned off, while it is off.
static SHOWN: Mutex<Option<Termios>> = Mutex::new(None);

/// Hides what is typed until it is dropped, and while the process is stopped or once a signal has ended it.
pub(super) struct WithoutEcho(());

impl WithoutEcho {
    /// Turns the echo of standard input off.
    ///
    /// # Errors
    /// If it is no terminal, or signals cannot be waited for.
    pub(super) fn begin() -> io::Result<Self> {
        follow_signals()?;
        let mut shown = shown();
        let modes = tcgetattr(io::stdin())?;
        hide(&modes, OptionalActions::Flush)?;
        *shown = Some(modes);
        Ok(Self(()))
    }
}

impl Drop for WithoutEcho {
    fn drop(&mut self) {
        if let Some(modes) = shown().take() {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
        let _ = writeln!(io::stderr());
    }
}

fn shown() -> MutexGuard<'static, Option<Termios>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hide(modes: &Termios, when: OptionalActions) -> io::Result<()> {
    let mut silent = modes.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    Ok(tcsetattr(io::stdin(), when, &silent)?)
}

/// Starts the thread that waits for signals, once.
fn follow_signals() -> io::Result<()> {
    static STARTED: OnceLock<()> = OnceLock::new();
    if STARTED.set(()).is_err() {
        return Ok(());
    }
    let mut signals = Signals::new(LEAVING)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || signals.forever().for_each(leave))?;
    Ok(())
}

/// Does what the signal does by default, with the terminal as it was before.
fn leave(signal: c_int) {
    let shown = shown();
    if let Some(modes) = &*shown {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, modes);
    }
    let _ = emulate_default_handler(signal);
    // It goes on after it was stopped.
    if let Some(modes) = &*shown {
        let _ = hide(modes, OptionalActions::Now);
    }
}
