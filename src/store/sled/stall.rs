//! Wakes a commit or a flush that sled would let wait for ever.
//!
//! When a write in its thread pool fails, sled 0.34.7 records the failure but does not wake what waits for that write.
//! Another flush finds the failure and wakes all waiters, so work that takes long gets a second flush. That one must begin
//! after the failure: otherwise it would wait for ever too.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// The time after which a second flush is made.
const LONG: Duration = Duration::from_secs(1);

/// Watches the commits and flushes of one store, until it is dropped.
pub(super) struct StallWatch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// How many are watched.
    running: usize,
    /// When the first of them began; those that overlap it count from there.
    began: Option<Instant>,
    is_over: bool,
}

impl StallWatch {
    /// Starts to watch; `help` is called during a commit, possibly several times, and must not wait for that commit.
    pub(super) fn start(help: impl Fn() + Send + 'static) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new().name("stall-watch".to_owned()).spawn(move || theirs.watch(&help))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs a commit or a flush under watch.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.shared.state().begin();
        let done = work();
        self.shared.state().end();
        done
    }
}

impl State {
    fn begin(&mut self) {
        self.running += 1;
        self.began.get_or_insert_with(Instant::now);
    }

    fn end(&mut self) {
        self.running -= 1;
        if self.running == 0 {
            self.began = None;
        }
    }
}

impl Drop for StallWatch {
    fn drop(&mut self) {
        self.shared.state().is_over = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    fn watch(&self, help: &impl Fn()) {
        let mut state = self.state();
        while !state.is_over {
            state = self.changed.wait_timeout(state, LONG).expect("no holder of the lock panics").0;
            if state.began.is_some_and(|began| began.elapsed() > LONG) {
                // The commit that wakes up records that in the state.
                drop(state);
                help();
                state = self.state();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_commit_that_waits_for_help_gets_it() {
        let (help, helped) = channel();
        let watch = StallWatch::start(move || help.send(()).unwrap_or_default()).unwrap();

        let answer = watch.during(|| helped.recv());

        assert_eq!(answer, Ok(()));
    }

    #[test]
    fn a_commit_that_waits_on_and_on_is_helped_by_one_thread_alone() {
        let (help, helped) = channel();
        let watch = StallWatch::start(move || help.send(thread::current().id()).unwrap_or_default()).unwrap();

        let [first, second] = watch.during(|| [helped.recv().unwrap(), helped.recv().unwrap()]);

        assert_eq!(first, second);
    }
}
