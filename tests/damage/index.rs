//! Whatever happens to the index between two runs of a server, it serves everything that was acknowledged.

use std::{fs, path::Path};

use tempfile::TempDir;

use super::{
    ages::copy,
    damages::{Random, any_place},
    first_seed,
    values::Values,
};
use crate::harness::{Server, ServerBuilder, repetitions, run};

/// How often the index is changed, unless `LODGE_TEST_INDEX_CHANGES` is set.
const CHANGES: usize = 60;
/// How many older copies of the index are at hand.
const MAX_COPIES: usize = 3;

/// What happens to the index.
#[derive(Clone, Copy, Debug)]
enum Change {
    Removed,
    Emptied,
    LacksFile,
    Truncated,
    Flipped,
    Zeroed,
    Garbage,
    Older,
    OlderDb,
    AnotherStores,
    NoDirectory,
}

impl Change {
    const ALL: [Self; 11] = [
        Self::Removed,
        Self::Emptied,
        Self::LacksFile,
        Self::Truncated,
        Self::Flipped,
        Self::Zeroed,
        Self::Garbage,
        Self::Older,
        Self::OlderDb,
        Self::AnotherStores,
        Self::NoDirectory,
    ];

    fn apply(self, index: &Path, older: &Path, others: &Path, random: &mut Random) {
        match self {
            Self::Removed => fs::remove_dir_all(index).unwrap(),
            Self::Emptied => replace(index, None),
            Self::LacksFile => fs::remove_file(any_file(index, random)).unwrap(),
            Self::Truncated => change_file(index, random, |bytes, at, _| bytes.truncate(at)),
            Self::Flipped => change_file(index, random, |bytes, at, random| bytes[at] ^= 1 << random.below(8)),
            Self::Zeroed => change_file(index, random, |bytes, at, random| {
                let end = bytes.len().min(at + 1 + random.below(9000));
                bytes[at..end].fill(0);
            }),
            Self::Garbage => {
                fs::write(index.join("snap.0000000000000042"), "garbage").unwrap();
                fs::write(index.join("conf"), "garbage").unwrap();
            }
            Self::Older => replace(index, Some(older)),
            Self::OlderDb => drop(fs::copy(older.join("db"), index.join("db")).unwrap()),
            Self::AnotherStores => replace(index, Some(others)),
            Self::NoDirectory => {
                fs::remove_dir_all(index).unwrap();
                fs::write(index, "no directory").unwrap();
            }
        }
    }
}

#[test]
fn no_change_to_the_index_loses_or_refuses_anything() {
    let (others, copies) = (index_of_another_store(), TempDir::new().unwrap());
    let seed = first_seed();
    let mut random = Random::new(seed);
    let mut server = small_parts().start();
    let index = server.data_dir().join("store/index");
    let mut values = Values::default();

    for number in 0..repetitions("LODGE_TEST_INDEX_CHANGES", CHANGES) {
        for _ in 0..=random.below(6) {
            assert!(values.write(&server.admin(), &mut random, 4000));
        }
        end(&mut server, &mut random);
        let slot = copies.path().join((number % MAX_COPIES).to_string());
        let older = copies.path().join(random.below(MAX_COPIES).to_string());
        if random.below(3) == 0 || !older.exists() {
            replace(&slot, Some(&index));
        }
        let older = if older.exists() { older } else { slot };
        let change = Change::ALL[random.below(Change::ALL.len())];
        change.apply(&index, &older, others.path().join("index").as_path(), &mut random);

        server.start_again();
        values.check(&server, &format!("LODGE_TEST_DAMAGE_SEED={seed}, change {number}, {change:?}"));
    }

    assert!(server.stop().success(), "{}", server.log());
    run(&mut server.command(&["verify"])).expect(0);
}

/// A server whose journal has many segments and checkpoints.
pub fn small_parts() -> ServerBuilder {
    ServerBuilder::new()
        .variable("LODGE_JOURNAL_SEGMENT", "64KiB")
        .variable("LODGE_CHECKPOINT_SIZE", "1MiB")
        .variable("LODGE_CHECKPOINT_EVERY", "1s")
}

/// Stops or kills the server.
fn end(server: &mut Server, random: &mut Random) {
    if random.below(2) == 0 {
        server.kill();
    } else {
        assert!(server.stop().success(), "{}", server.log());
    }
}

fn index_of_another_store() -> TempDir {
    let mut server = Server::start();
    (0..5).for_each(|number| drop(server.user(&format!("stranger-{number}"))));
    assert!(server.stop().success());
    let directory = TempDir::new().unwrap();
    copy(&server.data_dir().join("store/index"), &directory.path().join("index"));
    directory
}

/// Puts a copy in its place, or an empty directory.
fn replace(index: &Path, by: Option<&Path>) {
    if index.exists() {
        fs::remove_dir_all(index).unwrap();
    }
    match by {
        Some(from) => copy(from, index),
        None => fs::create_dir(index).unwrap(),
    }
}

fn any_file(index: &Path, random: &mut Random) -> std::path::PathBuf {
    let entries = fs::read_dir(index).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.metadata().unwrap().is_file() && entry.metadata().unwrap().len() > 0);
    let mut paths: Vec<_> = files.map(|entry| entry.path()).collect();
    paths.sort();
    let is_db = random.below(2) == 0;
    if is_db { index.join("db") } else { paths.swap_remove(random.below(paths.len())) }
}

fn change_file(index: &Path, random: &mut Random, change: impl FnOnce(&mut Vec<u8>, usize, &mut Random)) {
    let file = any_file(index, random);
    let mut bytes = fs::read(&file).unwrap();
    let at = any_place(&bytes, random);
    change(&mut bytes, at, random);
    fs::write(file, bytes).unwrap();
}
