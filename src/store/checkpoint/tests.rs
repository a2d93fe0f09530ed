use std::sync::Arc;

use super::*;
use crate::store::{
    Store, Tables,
    engine::{Changes, Engine, Tree},
    memory::Memory,
};

const NOW: Timestamp = Timestamp::from_secs(7);

/// A store in memory that was initialised, and a directory for its checkpoints.
fn over_memory() -> (Arc<Memory>, Store, tempfile::TempDir) {
    let memory = Arc::new(Memory::default());
    let store = Store::over(Arc::clone(&memory) as Arc<dyn Engine>);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.initialise()).unwrap();
    (memory, store, tempfile::tempdir().unwrap())
}

fn store() -> (Store, tempfile::TempDir) {
    let (_, store, directory) = over_memory();
    (store, directory)
}

type Rows = Vec<(Tree, Vec<u8>, Vec<u8>)>;

fn rows_of(path: &Path) -> Result<(Contents, Rows), CheckpointError> {
    let mut rows = Vec::new();
    let contents = read(path, |tree, key, value| {
        rows.push((tree, key.to_vec(), value.to_vec()));
        Ok::<_, CheckpointError>(())
    })?;
    Ok((contents, rows))
}

#[test]
fn a_checkpoint_has_every_row_and_is_named_by_its_commit() {
    let (store, directory) = store();
    let checkpoints = Checkpoints::of(directory.path());

    let made = checkpoints.save(&store, NOW, &|| false).unwrap();

    let listed = checkpoints.list().unwrap();
    assert_eq!(listed, [(1, directory.path().join("checkpoint-00000000000000000001"))]);
    let (contents, rows) = rows_of(&listed[0].1).unwrap();
    assert_eq!(
        (contents, contents.header.store, contents.header.time),
        (made, store.store_id().unwrap().unwrap(), NOW)
    );
    for (tree, key, value) in &rows {
        assert_eq!(store.get(*tree, key).unwrap().as_ref(), Some(value));
    }
    assert_eq!((rows.len() as u64, rows.len()), (contents.rows, 5));
    assert_eq!(read_header(&listed[0].1).unwrap(), contents.header);
}

#[test]
fn a_checkpoint_with_any_byte_changed_or_missing_is_not_sound_or_the_same() {
    let (store, directory) = store();
    Checkpoints::of(directory.path()).save(&store, NOW, &|| false).unwrap();
    let path = Checkpoints::of(directory.path()).list().unwrap().remove(0).1;
    let (bytes, whole) = (fs::read(&path).unwrap(), rows_of(&path).unwrap());

    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&path, &changed).unwrap();
        // The size of the window, for one, does not matter for so few rows.
        assert!(rows_of(&path).is_ok_and(|read| read == whole) || rows_of(&path).is_err(), "byte {at}");
        fs::write(&path, &bytes[..at]).unwrap();
        assert!(rows_of(&path).is_err(), "{at} bytes");
    }
    fs::write(&path, [&bytes[..], b"x"].concat()).unwrap();
    assert!(rows_of(&path).is_err(), "a byte more");
}

#[test]
fn what_cannot_be_read_back_is_no_checkpoint_and_the_older_ones_stay() {
    let (memory, store, directory) = over_memory();
    let checkpoints = Checkpoints::of(directory.path());
    checkpoints.save(&store, NOW, &|| false).unwrap();
    let before = checkpoints.list().unwrap();

    // A row that no commit wrote: the digest of the rows does not vouch for it.
    let stray = Changes::from([((Tree::Users, b"key".to_vec()), Some(b"value".to_vec()))]);
    memory.commit(&stray).unwrap();
    let refused = checkpoints.save(&store, NOW, &|| false).unwrap_err();

    assert!(matches!(refused, CheckpointError::Damaged(_)), "{refused}");
    assert_eq!(checkpoints.list().unwrap(), before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing unfinished is left");
}

#[test]
fn the_newest_two_are_kept() {
    let (_, directory) = store();
    let checkpoints = Checkpoints::of(directory.path());
    let commits = || checkpoints.list().unwrap().into_iter().map(|(commit, _)| commit).collect::<Vec<_>>();
    assert_eq!((checkpoints.remove_older().unwrap(), commits()), (None, vec![]));
    let add = |commit: u64| fs::write(directory.path().join(format!("{PREFIX}{commit:020}")), "").unwrap();
    add(7);
    assert_eq!((checkpoints.remove_older().unwrap(), commits()), (None, vec![7]));
    [9, 10, 100].into_iter().for_each(add);

    assert_eq!((checkpoints.remove_older().unwrap(), commits()), (Some(10), vec![10, 100]));
}
