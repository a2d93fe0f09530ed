//! Where the parts of a store are in its directory.

use std::path::{Path, PathBuf};

/// The journal, which is the truth.
#[must_use]
pub fn journal_in(store: &Path) -> PathBuf {
    store.join("journal")
}

/// The checkpoints, from which the index is rebuilt together with the journal.
#[must_use]
pub fn checkpoints_in(store: &Path) -> PathBuf {
    store.join("checkpoints")
}

/// The index, which reads are answered from: sled's files.
#[must_use]
pub fn index_in(store: &Path) -> PathBuf {
    store.join("index")
}

/// An index that is being built; complete once it has the other's name.
pub(super) fn unfinished_index_in(store: &Path) -> PathBuf {
    store.join("index.new")
}

/// The index that was replaced by the last rebuild.
pub(super) fn replaced_index_in(store: &Path) -> PathBuf {
    store.join("index.replaced")
}

/// A journal that is being made; it counts once it has the other's name.
pub(super) fn unfinished_journal_in(store: &Path) -> PathBuf {
    store.join("journal.new")
}

/// What a store's directory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Nothing yet, or what is left of a start that was killed before there was anything.
    New,
    /// A store of format 4 or older, whose rows are sled's files in the directory itself.
    Older,
    /// A journal with its checkpoints and its index, or some of them.
    Journaled,
}

impl Layout {
    /// The layout of that directory.
    #[must_use]
    pub fn of(store: &Path) -> Self {
        // A take-over that was killed before the journal had its name is begun again.
        if is_there(&journal_in(store)) {
            Self::Journaled
        } else if ["db", "witness"].iter().any(|name| is_there(&store.join(name))) {
            Self::Older
        } else if is_there(&index_in(store)) || is_there(&checkpoints_in(store)) {
            Self::Journaled
        } else {
            Self::New
        }
    }
}

/// Whether there is anything of that name, also a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_journal_decides_and_its_absence_beside_anything_else_of_a_store_makes_no_new_one() {
        let place = tempfile::tempdir().unwrap();
        let with = |names: &[&str]| {
            let store = place.path().join(names.join(" "));
            for name in names {
                fs::create_dir_all(store.join(name)).unwrap();
            }
            Layout::of(&store)
        };

        assert_eq!([with(&["nothing"]), with(&["journal.new", "ballast"])], [Layout::New; 2]);
        assert_eq!([with(&["db"]), with(&["witness"]), with(&["db", "checkpoints"])], [Layout::Older; 3]);
        let journaled = [&["journal", "db"][..], &["index"], &["checkpoints"]];
        assert_eq!(journaled.map(with), [Layout::Journaled; 3]);
    }
}
