//! A server that is killed while it rebuilds its index, makes a checkpoint, or begins a segment of the journal has lost nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use super::{damages::Random, index::small_parts, values::Values};
use crate::harness::{Server, repetitions, run, wait_until};

/// How often each is interrupted, unless `LODGE_TEST_INTERRUPTIONS` is set.
const INTERRUPTIONS: usize = 20;

#[test]
fn a_rebuild_that_is_killed_is_begun_again() {
    let mut random = Random::new(7);
    let mut server = small_parts().start();
    let store = server.data_dir().join("store");
    let mut values = Values::default();

    for number in 0..interruptions() {
        (0..10).for_each(|_| assert!(values.write(&server.admin(), &mut random, 20_000)));
        assert!(server.stop().success(), "{}", server.log());
        fs::remove_dir_all(store.join("index")).unwrap();
        let stages = ["index.new", "index.new/db", "index.replaced", "index", "index/db"].map(|name| store.join(name));
        kill_at(&server, &stages[random.below(stages.len())], random.below(3000));

        server.start_again();
        values.check(&server, &format!("interruption {number}"));
    }
    verify(&mut server);
}

#[test]
fn a_checkpoint_that_is_killed_leaves_what_there_was() {
    let checkpoints = |store: &Path| names(&store.join("checkpoints"));
    interrupt_writes(9, 30_000, checkpoints);
}

#[test]
fn a_change_of_segment_that_is_killed_loses_nothing() {
    let segments = |store: &Path| names(&store.join("journal"));
    interrupt_writes(11, 12_000, segments);
}

fn interruptions() -> usize {
    repetitions("LODGE_TEST_INTERRUPTIONS", INTERRUPTIONS)
}

/// Kills the server while it writes, as soon as there are other files than before, again and again.
fn interrupt_writes(seed: u64, bytes: usize, files: impl Fn(&Path) -> Vec<PathBuf>) {
    let mut random = Random::new(seed);
    let mut server = small_parts().start();
    let store = server.data_dir().join("store");
    let mut values = Values::default();

    for number in 0..interruptions() {
        let before = files(&store);
        let is_killed = AtomicBool::new(false);
        let client = server.admin();
        thread::scope(|scope| {
            let writing = scope.spawn(|| {
                while values.write(&client, &mut random, bytes) {}
                assert!(is_killed.load(Ordering::SeqCst), "the server ended by itself");
            });
            wait_until("other files are there", || files(&store) != before || writing.is_finished());
            is_killed.store(true, Ordering::SeqCst);
            server.kill();
        });

        server.start_again();
        values.check(&server, &format!("interruption {number}"));
    }
    verify(&mut server);
}

/// Starts the server, and kills it soon after that file is there, or once it serves.
fn kill_at(server: &Server, file: &Path, turns: usize) {
    let mut command = server.command(&["serve"]);
    let mut child = Killed(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let is_serving = || server.data_dir().join("lodge.sock").exists();
    wait_until("the rebuild has come so far", || {
        file.exists() || is_serving() || child.0.try_wait().unwrap().is_some()
    });
    (0..turns).for_each(|_| thread::yield_now());
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    names.sort();
    names
}

fn verify(server: &mut Server) {
    assert!(server.stop().success(), "{}", server.log());
    run(&mut server.command(&["verify"])).expect(0);
}
