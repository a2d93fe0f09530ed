//! `lodge verify` on a stopped server compares all parts of the store with each other, and changes nothing.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{ages::copy, damages::Random, index::small_parts, values::Values};
use crate::harness::{CommandOutput, Server, run, wait_until};

/// A stopped server whose store has checkpoints and several segments.
fn stopped() -> Server {
    let mut server = small_parts().start();
    let (mut values, mut random) = (Values::default(), Random::new(3));
    let checkpoints = server.data_dir().join("store/checkpoints");
    wait_until("there is a checkpoint", || {
        assert!(values.write(&server.admin(), &mut random, 20_000));
        fs::read_dir(&checkpoints).is_ok_and(|mut entries| {
            entries.any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with("checkpoint-0"))
        })
    });
    (0..10).for_each(|_| assert!(values.write(&server.admin(), &mut random, 20_000)));
    assert!(server.stop().success(), "{}", server.log());
    server
}

/// Runs `verify`, and fails if it changes anything.
fn verify(server: &Server) -> CommandOutput {
    let before = contents(&server.data_dir());
    let output = run(&mut server.command(&["verify"]));
    assert!(contents(&server.data_dir()) == before, "verify has changed something");
    output
}

/// A file's path, mode, time of change in seconds and nanoseconds, and bytes.
type Known = (PathBuf, u32, i64, i64, Option<Vec<u8>>);

/// Every file with what is known of it.
fn contents(directory: &Path) -> Vec<Known> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let metadata = path.symlink_metadata().unwrap();
        let bytes = metadata.is_file().then(|| fs::read(&path).unwrap());
        found.push((path.clone(), metadata.mode(), metadata.mtime(), metadata.mtime_nsec(), bytes));
        if metadata.is_dir() {
            found.extend(contents(&path));
        }
    }
    found
}

fn change(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 8;
    fs::write(path, bytes).unwrap();
}

fn in_store(server: &Server, part: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> =
        fs::read_dir(server.data_dir().join("store").join(part)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| !path.to_string_lossy().ends_with(".unfinished"));
    paths.sort();
    paths
}

#[test]
fn a_sound_store_is_verified_and_left_as_it_is() {
    let server = stopped();

    let verified = verify(&server).expect(0);

    assert!(verified.out.starts_with("the store is consistent: 1 users, "), "{}", verified.out);
}

#[test]
fn a_store_of_a_killed_server_is_verified_and_left_as_it_is() {
    let mut server = stopped();
    server.start_again();
    let (mut values, mut random) = (Values::named("killed"), Random::new(4));
    (0..5).for_each(|_| assert!(values.write(&server.admin(), &mut random, 200)));
    server.kill();

    verify(&server).expect(0);
}

#[test]
fn without_room_for_a_copy_the_rows_are_left_out_and_that_is_reported() {
    let server = stopped();

    let verified = run(server.command(&["verify"]).env("TMPDIR", "/nowhere")).expect(0);

    assert!(
        verified.out.starts_with("note: the rows were not read: the index cannot be copied to /nowhere ("),
        "{}",
        verified.out
    );
    assert!(verified.out.ends_with("\nthe journal and the checkpoints are consistent\n"), "{}", verified.out);
}

#[test]
fn a_damaged_index_is_reported_and_nothing_is_lost() {
    let server = stopped();
    let whole = verify(&server).expect(0).out;
    let index = server.data_dir().join("store/index");
    fs::remove_dir_all(&index).unwrap();

    let missing = verify(&server).expect(1);

    assert!(
        missing.err.contains("the index cannot be used, and is rebuilt at the next start: it is missing"),
        "{}",
        missing.err
    );
    let mut server = server;
    server.start_again();
    assert!(server.stop().success());
    assert_eq!(verify(&server).expect(0).out, whole);
}

#[test]
fn a_damaged_checkpoint_is_reported() {
    let server = stopped();
    let checkpoint = in_store(&server, "checkpoints").pop().unwrap();
    change(&checkpoint, 60);

    let output = verify(&server).expect(1);

    assert!(output.err.contains("the checkpoint of commit "), "{}", output.err);
}

#[test]
fn a_damaged_journal_is_reported_with_what_is_lost() {
    let server = stopped();
    change(&in_store(&server, "journal")[0], 4096 + 100);

    let output = verify(&server).expect(1);

    assert!(output.err.contains("the journal is damaged: the record at byte 4096 of segment-"), "{}", output.err);
    assert!(output.err.contains("commits lost: "), "{}", output.err);
}

#[test]
fn a_journal_that_ends_before_the_index_is_reported() {
    let server = stopped();
    let segments = in_store(&server, "journal");
    let last = segments.iter().rfind(|path| path.to_string_lossy().contains("segment-")).unwrap();
    fs::remove_file(last).unwrap();

    let output = verify(&server).expect(1);

    assert!(output.err.contains("the journal ends with commit "), "{}", output.err);
}

#[test]
fn an_index_of_another_moment_is_compared_with_the_journal() {
    let mut server = stopped();
    let (index, older) = (server.data_dir().join("store/index"), server.directory().join("older"));
    copy(&index, &older);
    server.start_again();
    let (mut values, mut random) = (Values::named("later"), Random::new(5));
    (0..5).for_each(|_| assert!(values.write(&server.admin(), &mut random, 200)));
    assert!(server.stop().success());
    let whole = verify(&server).expect(0).out;
    fs::remove_dir_all(&index).unwrap();
    copy(&older, &index);

    assert_eq!(verify(&server).expect(0).out, whole);
}
