//! Verifies that the store is consistent: every record is readable, and every index and list matches the records.
//!
//! The expected and the stored index rows are compared by the sums of their hashes, so that a store of any size is read
//! once and in little memory. Only where the sums differ are the rows compared one by one.

mod indexes;
mod scratch;
mod stopped;

use std::{collections::BTreeMap, ops::ControlFlow};

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

pub use self::stopped::verify_stopped;
use super::{
    StoreError, activity, audit,
    engine::{KeyRange, Tree},
    id_set::{self, IdSet},
    integrity::RowHasher,
    key,
    open::loss,
    record,
    schema::{FORMAT_WITH_IDENTIFIERS, Tables},
    table::{IndexRow, ReadRows, Record},
    txn::Sequence,
    used_identifiers,
};
use crate::domain::{AccountIdentifier, ApiKey, AuditEntry, Configuration, Id, Session, User};

/// The contents of a consistent store, or everything that is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How many records each tree of records has.
    pub records: BTreeMap<Tree, u64>,
    /// One sentence for each fault.
    pub faults: Vec<String>,
    /// One sentence for what is no fault, but worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whether the rows were not read, for a reason in the notes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub were_rows_left_out: bool,
}

/// Reads the whole store and checks that records, indexes, lists and owners are consistent and that all rows match the
/// digest; `progress` is called with the number of rows compared with the digest so far.
///
/// # Errors
/// [`StoreError`] if the storage cannot be read at all.
pub fn verify(rows: &impl ReadRows, progress: &mut dyn FnMut(u64)) -> Result<Findings, StoreError> {
    let faults = loss(rows, progress)?;
    let remembers = rows.format()? >= Some(FORMAT_WITH_IDENTIFIERS);
    let mut scan_all = FullScan::of(rows, faults, remembers);
    scan_all.records::<User>()?;
    scan_all.records::<Configuration>()?;
    scan_all.records::<ApiKey>()?;
    scan_all.records::<Session>()?;
    scan_all.indexes()?;
    scan_all.lists()?;
    scan_all.sequences()?;
    scan_all.audit()?;
    scan_all.used_identifiers()?;
    scan_all.activity()?;
    Ok(scan_all.findings)
}

/// The collections with ids, and the sequences of their ids.
const SEQUENCES: [(Tree, Sequence); 3] = [
    (Tree::Users, Sequence::Users),
    (Tree::Configurations, Sequence::Configurations),
    (Tree::ApiKeys, Sequence::ApiKeys),
];

/// The sum of the hashes of rows, in any order.
type Sum = u128;

struct FullScan<'a, R> {
    rows: &'a R,
    hasher: RowHasher,
    findings: Findings,
    owners: RoaringBitmap,
    expected_indexes: Sum,
    expected_lists: Sum,
    highest_ids: BTreeMap<Tree, u64>,
    remembers: bool,
}

impl<'a, R: ReadRows> FullScan<'a, R> {
    fn of(rows: &'a R, faults: Vec<String>, remembers: bool) -> Self {
        Self {
            rows,
            hasher: RowHasher::random(),
            findings: Findings { faults, ..Findings::default() },
            owners: RoaringBitmap::new(),
            expected_indexes: 0,
            expected_lists: 0,
            highest_ids: BTreeMap::new(),
            remembers,
        }
    }

    fn records<T: Record>(&mut self) -> Result<(), StoreError> {
        self.rows.scan(T::TREE, &KeyRange::all(), &mut |key, bytes| {
            self.record::<T>(key, bytes);
            ControlFlow::Continue(())
        })
    }

    fn record<T: Record>(&mut self, key: &[u8], bytes: &[u8]) {
        *self.findings.records.entry(T::TREE).or_default() += 1;
        match record::decode::<T>(T::TREE.name(), bytes) {
            Ok(record) if record.key() == key => self.expect(&record),
            Ok(_) => self.fault(format!("a record in `{}` is not under its own key", T::TREE)),
            Err(error) => self.fault(error.to_string()),
        }
    }

    fn expect<T: Record>(&mut self, record: &T) {
        let key = record.key();
        let owner = key.first_chunk().map_or(0, |owner| u32::from_be_bytes(*owner));
        if T::TREE == Tree::Users {
            self.owners.insert(owner);
        } else if !self.owners.contains(owner) {
            self.fault(format!("a record in `{}` belongs to an unknown user", T::TREE));
        }
        for IndexRow { tree, key, value } in record.index_rows() {
            self.expected_indexes = self.expected_indexes.wrapping_add(self.hasher.hash(tree, &key, &value));
        }
        if self.remembers {
            record.given().iter().for_each(|identifier| self.expect_remembered(identifier));
        }
        if let Some((id, lists)) = record.listed() {
            let highest = self.highest_ids.entry(T::TREE).or_default();
            *highest = (*highest).max(u64::from(id.get()));
            for id_set in lists {
                self.expected_lists = self.expected_lists.wrapping_add(self.hash_of_member(id_set, id));
            }
        }
    }

    fn expect_remembered(&mut self, identifier: &AccountIdentifier) {
        match used_identifiers::is_used(self.rows, identifier) {
            Ok(true) => {}
            Ok(false) => self.fault(format!("a `user_id` is missing in `{}`", Tree::UsedIdentifiers)),
            Err(error) => self.fault(error.to_string()),
        }
    }

    fn used_identifiers(&mut self) -> Result<(), StoreError> {
        let mut faults = used_identifiers::faults(self.rows)?;
        if self.remembers && used_identifiers::key(self.rows).is_ok_and(|key| key.is_none()) {
            faults.push(format!("the key of `{}` is missing", Tree::UsedIdentifiers));
        }
        self.findings.faults.append(&mut faults);
        Ok(())
    }

    fn activity(&mut self) -> Result<(), StoreError> {
        let mut faults = activity::faults(self.rows)?;
        self.findings.faults.append(&mut faults);
        Ok(())
    }

    fn hash_of_member(&self, id_set: IdSet, id: Id) -> u128 {
        self.hasher.hash(Tree::Lists, &id_set.chunk_key(id), &key::of_id(id))
    }

    fn indexes(&mut self) -> Result<(), StoreError> {
        let mut found: Sum = 0;
        for tree in indexes::INDEXES {
            self.rows.scan(tree, &KeyRange::all(), &mut |key, value| {
                found = found.wrapping_add(self.hasher.hash(tree, key, value));
                ControlFlow::Continue(())
            })?;
        }
        if found == self.expected_indexes {
            return Ok(());
        }
        let faults = indexes::faults(self.rows)?;
        self.findings.faults.extend(faults);
        Ok(())
    }

    fn lists(&mut self) -> Result<(), StoreError> {
        let mut found: Sum = 0;
        let read = id_set::for_each_member(self.rows, &mut |id_set, id| {
            found = found.wrapping_add(self.hash_of_member(id_set, id));
        });
        match read {
            Ok(()) if found == self.expected_lists => {}
            Ok(()) => self.fault(format!("`{}` does not match the records", Tree::Lists)),
            Err(StoreError::Record(error)) => self.fault(error.to_string()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Checks the sequences: one below an id in use would return that id again.
    fn sequences(&mut self) -> Result<(), StoreError> {
        for (tree, sequence) in SEQUENCES {
            let highest = self.highest_ids.get(&tree).copied().unwrap_or(0);
            if sequence.last(self.rows)? < highest {
                self.fault(format!("the sequence of `{tree}` is below the id {highest}"));
            }
        }
        Ok(())
    }

    /// Checks that the entries have no gap. Their contents are verified by `audit`, which has the key of the log.
    fn audit(&mut self) -> Result<(), StoreError> {
        let state = match audit::state(self.rows) {
            Ok(state) => state.unwrap_or_default(),
            Err(error) => {
                self.fault(error.to_string());
                return Ok(());
            }
        };
        let mut last = state.pruned.id;
        self.rows.scan(Tree::Audit, &KeyRange::all(), &mut |key, bytes| {
            match record::decode::<AuditEntry>(Tree::Audit.name(), bytes) {
                Ok(entry) if entry.key() == key && Some(entry.id) == last.checked_add(1) => {}
                Ok(entry) => self.fault(format!("entry {} of `{}` is out of place", entry.id, Tree::Audit)),
                Err(error) => self.fault(error.to_string()),
            }
            last = last.saturating_add(1);
            ControlFlow::Continue(())
        })?;
        if last != state.last.id {
            self.fault(format!("`{}` ends with entry {last} instead of {}", Tree::Audit, state.last.id));
        }
        Ok(())
    }

    fn fault(&mut self, sentence: String) {
        self.findings.faults.push(sentence);
    }
}
