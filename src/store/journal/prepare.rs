//! Makes the next segment before it is needed.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
};

use super::segment::make_empty;

/// The name of a segment that is not in use yet.
pub(super) const NEXT: &str = "next.unfinished";

/// Makes files of zeros on a thread of its own.
pub(super) struct Preparer {
    path: PathBuf,
    next: Option<Next>,
}

struct Next {
    size: u64,
    thread: JoinHandle<io::Result<File>>,
}

impl Preparer {
    pub(super) fn of(directory: &Path) -> Self {
        Self { path: directory.join(NEXT), next: None }
    }

    /// Where the next file is until it gets its name.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How large the file is that is being made or ready; 0 if none is.
    pub(super) fn size(&self) -> u64 {
        self.next.as_ref().map_or(0, |next| next.size)
    }

    /// Begins to make the next file, unless that has begun.
    pub(super) fn begin(&mut self, size: u64) {
        if self.next.is_none() {
            let path = self.path.clone();
            let thread = thread::Builder::new().name("journal".to_owned()).spawn(move || make_empty(&path, size));
            // Without a thread it is made when it is needed.
            self.next = thread.ok().map(|thread| Next { size, thread });
        }
    }

    /// The next file, of at least that size, with the size that it has.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(super) fn take(&mut self, least: u64) -> io::Result<(File, u64)> {
        let ready = self.next.take().and_then(|Next { size, thread }| Some((thread.join().ok()?.ok()?, size)));
        match ready.filter(|(_, size)| *size >= least) {
            Some(ready) => Ok(ready),
            // It may be too small, or have failed for a lack of room that is over.
            None => Ok((make_empty(&self.path, least)?, least)),
        }
    }
}

impl Drop for Preparer {
    fn drop(&mut self) {
        if let Some(Next { thread, .. }) = self.next.take() {
            let _ = thread.join();
        }
    }
}
