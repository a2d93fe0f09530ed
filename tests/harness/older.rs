//! Makes of a store what a server of format 4 or older would have written.

use std::{fs, path::Path};

use lodge::store::{
    Tables,
    engine::{Changes, Engine, Tree},
    integrity::{Integrity, RowHasher},
    record::encode,
    rows::Committed,
    sequences,
    sled::Sled,
};

/// Gives a closed store the layout of format 4: sled's files in the directory itself, beside the witness. `change` is
/// called with the rows.
pub fn make_older(store: &Path, change: impl FnOnce(&Sled)) {
    for entry in fs::read_dir(store.join("index")).unwrap().map(Result::unwrap) {
        fs::rename(entry.path(), store.join(entry.file_name())).unwrap();
    }
    for name in ["index", "journal"] {
        fs::remove_dir_all(store.join(name)).unwrap();
    }
    let _ = fs::remove_dir_all(store.join("checkpoints"));
    let sled = Sled::open(store, 1 << 20).unwrap();
    set_format(&sled, 4, 0);
    write_witness(store, &sled);
    change(&sled);
}

/// Sets the format, and has the digest of the rows follow, as of so many commits later; returns it.
pub fn set_format(sled: &Sled, format: u32, later: u64) -> Integrity {
    let rows = Committed(sled);
    let row = |key: &str, value: Vec<u8>| ((Tree::Meta, key.as_bytes().to_vec()), Some(value));
    sled.commit(&Changes::from([row("format", format.to_be_bytes().to_vec())])).unwrap();
    let (hasher, commit) = (RowHasher::of(&rows).unwrap().unwrap(), Integrity::stored(&rows).unwrap().unwrap().commit);
    let commit = commit + later;
    let integrity = Integrity { commit, ..Integrity::scan_all(&rows, &hasher, &mut |_| {}).unwrap() };
    sled.commit(&Changes::from([row("integrity", encode(&integrity))])).unwrap();
    integrity
}

/// Writes the witness of these rows, as servers before the journal did.
pub fn write_witness(store: &Path, sled: &Sled) {
    let rows = Committed(sled);
    let commit = Integrity::stored(&rows).unwrap().unwrap().commit;
    let mut entry = [&b"lodgewit"[..], rows.store_id().unwrap().unwrap().as_bytes(), &commit.to_be_bytes()].concat();
    entry.extend(sequences(&rows).unwrap().iter().flat_map(|number| number.to_be_bytes()));
    entry.extend(crc32fast::hash(&entry).to_be_bytes());
    entry.resize(4096, 0);
    fs::write(store.join("witness"), [entry.clone(), entry].concat()).unwrap();
}
