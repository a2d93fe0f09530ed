//! Rows as they may lie in a damaged store: the first byte chooses the kind, the rest is the row.
#![no_main]

use std::{fmt::Debug, ops::ControlFlow};

use libfuzzer_sys::fuzz_target;
use lodge::{
    domain::{ApiKey, AuditEntry, Configuration, Id, Page, Session, User},
    store::{
        IdSet, StoreError,
        engine::{KeyRange, Tree, Visit},
        id_set,
        record::{decode, encode},
        table::{ReadRows, Record},
    },
};

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, row)) = bytes.split_first() else { return };
    match kind {
        b'u' => record::<User>(row),
        b'c' => record::<Configuration>(row),
        b'k' => record::<ApiKey>(row),
        b's' => record::<Session>(row),
        b'a' => record::<AuditEntry>(row),
        _ => chunk(row),
    }
});

fn record<R: Record + PartialEq + Debug>(row: &[u8]) {
    let Ok(record) = decode::<R>(R::TREE.name(), row) else { return };
    assert_eq!(decode(R::TREE.name(), &encode(&record)).as_ref(), Ok(&record));
    let _ = (record.key(), record.index_rows(), record.listed());
}

/// A chunk of the list of users.
fn chunk(row: &[u8]) {
    let first = Id::new(1).expect("1 is an id");
    let one = One(Tree::Lists, IdSet::Users.chunk_key(first), row);
    let mut ids = Vec::new();
    let read = id_set::for_each_member(&one, &mut |id_set, id| {
        assert_eq!(id_set, IdSet::Users);
        ids.push(id);
    });
    if read.is_ok() {
        assert_eq!(id_set::count(&one, IdSet::Users).expect("a sound chunk is counted"), ids.len() as u64);
        let page = Page { limit: 3, offset: ids.len().saturating_sub(2) as u64 };
        let (tail, _) = id_set::page(&one, IdSet::Users, page).expect("a sound chunk is read");
        assert_eq!(tail, ids[ids.len().saturating_sub(2)..]);
    }
    let _ = id_set::page(&one, IdSet::Users, Page { limit: 100, offset: 1 });
    for is_member in [true, false] {
        let _ = id_set::with_member(Some(row), first, is_member);
    }
}

/// A store with a single row.
struct One<'a>(Tree, Vec<u8>, &'a [u8]);

impl ReadRows for One<'_> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok((tree == self.0 && key == self.1).then(|| self.2.to_vec()))
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        if tree == self.0 && range.contains(&self.1) {
            let (ControlFlow::Continue(()) | ControlFlow::Break(())) = visit(&self.1, self.2);
        }
        Ok(())
    }
}
