//! The bounded queue of lines; adding one never waits for the output.

use std::{
    io::Write,
    mem,
    sync::{Condvar, Mutex, MutexGuard},
    time::Duration,
};

use log::{Level, Record};

use super::{TARGET, line};
use crate::clock::Clock;

/// How long a line may wait for others to be written with it.
const MAX_WAIT: Duration = Duration::from_millis(20);
/// How many bytes may be queued; further lines are dropped and counted.
const MAX_QUEUED_BYTES: usize = 1 << 20;
/// How long the process waits for a reader of the log before it ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// The queued lines, and the signal for the thread that writes them.
#[derive(Default)]
pub(super) struct Lines {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// How many lines were dropped since the last one that was queued.
    dropped: u64,
    is_urgent: bool,
    is_being_written: bool,
}

impl Lines {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no holder of the lock panics")
    }

    /// Queues a line, or drops and counts it if the queue is full. Never waits for the output.
    pub(super) fn add(&self, line: &[u8]) {
        let mut pending = self.pending();
        let is_first = pending.bytes.is_empty();
        pending.add(line);
        drop(pending);
        if is_first {
            self.changed.notify_all();
        }
    }

    /// Has the queued lines written at once.
    pub(super) fn hurry(&self) {
        self.pending().is_urgent = true;
        self.changed.notify_all();
    }

    /// Waits until everything is written, at most [`FINISH_TIMEOUT`].
    pub(super) fn finish(&self) {
        self.hurry();
        let is_unwritten = |pending: &mut Pending| !pending.bytes.is_empty() || pending.is_being_written;
        let written = self.changed.wait_timeout_while(self.pending(), FINISH_TIMEOUT, is_unwritten);
        drop(written.expect("no holder of the lock panics"));
    }

    /// Writes batches of lines for ever.
    pub(super) fn write_on(&self, mut out: impl Write) -> ! {
        loop {
            let batch = self.next_batch();
            let written = out.write_all(&batch);
            let mut pending = self.pending();
            pending.is_being_written = false;
            match written {
                Ok(()) => pending.report_dropped(),
                Err(_) => pending.dropped += count_lines(&batch),
            }
            drop(pending);
            self.changed.notify_all();
        }
    }

    /// Waits for the first line, and then up to [`MAX_WAIT`] for others unless it is urgent.
    fn next_batch(&self) -> Vec<u8> {
        let first = self.changed.wait_while(self.pending(), |pending| pending.bytes.is_empty());
        let first = first.expect("no holder of the lock panics");
        let others = self.changed.wait_timeout_while(first, MAX_WAIT, |pending| !pending.is_urgent);
        let (mut pending, _) = others.expect("no holder of the lock panics");
        (pending.is_urgent, pending.is_being_written) = (false, true);
        mem::take(&mut pending.bytes)
    }
}

impl Pending {
    fn add(&mut self, line: &[u8]) {
        if self.bytes.len() + line.len() > MAX_QUEUED_BYTES {
            self.dropped += count_lines(line);
            return;
        }
        self.report_dropped();
        self.bytes.extend_from_slice(line);
    }

    fn report_dropped(&mut self) {
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 {
            let message = format_args!("dropped {dropped} lines that were not read in time");
            let record = Record::builder().level(Level::Warn).target(TARGET).args(message).build();
            self.bytes.extend_from_slice(line(Clock::system().now(), &record).as_bytes());
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_beyond_the_bound_are_dropped_and_counted_before_the_next_line() {
        let mut pending = Pending::default();
        let line = [vec![b'x'; (1 << 10) - 1], vec![b'\n']].concat();
        (0..1030).for_each(|_| pending.add(&line));
        assert_eq!((pending.bytes.len(), pending.dropped), (MAX_QUEUED_BYTES, 6));

        pending.bytes.clear();
        pending.add(b"next\n");

        let text = String::from_utf8(pending.bytes).unwrap();
        assert!(text.contains(" dropped 6 lines ") && text.ends_with("\nnext\n"), "{text}");
        assert_eq!(pending.dropped, 0);
    }
}
