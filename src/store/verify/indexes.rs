//! Compares the rows of indexes with the records one by one.

use crate::{
    domain::{ApiKey, Configuration, Session, User},
    store::{
        StoreError,
        engine::{KeyRange, Tree},
        table::{self, IndexRow, ReadRows, Record, visit_rows},
    },
};

/// The trees that point at records.
pub(super) const INDEXES: [Tree; 4] =
    [Tree::UsersByUsername, Tree::ConfigurationsByKey, Tree::ApiKeysByDigest, Tree::SessionsByExpiry];

/// The faults in the indexes of the records that can be read, one sentence each.
pub(super) fn faults(rows: &impl ReadRows) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    for index in INDEXES {
        visit_rows(rows, index, &KeyRange::all(), |key, value| {
            if !is_entry_of_a_record(rows, index, key, value)? {
                faults.push(format!("an entry of `{index}` points at no record that has it"));
            }
            Ok::<_, StoreError>(())
        })?;
    }
    missing_entries::<User>(rows, &mut faults)?;
    missing_entries::<Configuration>(rows, &mut faults)?;
    missing_entries::<ApiKey>(rows, &mut faults)?;
    missing_entries::<Session>(rows, &mut faults)?;
    Ok(faults)
}

fn missing_entries<T: Record>(rows: &impl ReadRows, faults: &mut Vec<String>) -> Result<(), StoreError> {
    visit_rows(rows, T::TREE, &KeyRange::all(), |key, bytes| {
        let Some(record) = readable::<T>(key, bytes) else { return Ok(()) };
        for row in record.index_rows() {
            let tree = row.tree;
            match rows.get(tree, &row.key)? {
                Some(value) if value == row.value => {}
                Some(value) if is_entry_of_a_record(rows, tree, &row.key, &value)? => {
                    faults.push(format!("two records have the same entry in `{tree}`"));
                }
                // An entry that points elsewhere has been reported already.
                Some(_) => {}
                None => faults.push(format!("a record is missing in `{tree}`")),
            }
        }
        Ok(())
    })
}

/// Whether an index entry points at a record that has that entry.
fn is_entry_of_a_record(rows: &impl ReadRows, index: Tree, key: &[u8], value: &[u8]) -> Result<bool, StoreError> {
    let entry = IndexRow { tree: index, key: key.to_vec(), value: value.to_vec() };
    match index {
        Tree::UsersByUsername => has_entry::<User>(rows, value, &entry),
        Tree::ConfigurationsByKey => {
            let owner = key.get(..4).unwrap_or_default();
            has_entry::<Configuration>(rows, &[owner, value].concat(), &entry)
        }
        Tree::ApiKeysByDigest => has_entry::<ApiKey>(rows, value, &entry),
        Tree::SessionsByExpiry => has_entry::<Session>(rows, key.get(8..).unwrap_or_default(), &entry),
        // No indexes.
        Tree::Users
        | Tree::Configurations
        | Tree::ApiKeys
        | Tree::Sessions
        | Tree::Lists
        | Tree::Meta
        | Tree::Audit
        | Tree::UsedIdentifiers
        | Tree::Activity => Ok(false),
    }
}

fn has_entry<T: Record>(rows: &impl ReadRows, key: &[u8], entry: &IndexRow) -> Result<bool, StoreError> {
    let record = rows.get(T::TREE, key)?.and_then(|bytes| readable::<T>(key, &bytes));
    Ok(record.is_some_and(|record| record.index_rows().contains(entry)))
}

fn readable<T: Record>(key: &[u8], bytes: &[u8]) -> Option<T> {
    table::decode::<T>(bytes).ok().filter(|record| record.key() == key)
}
