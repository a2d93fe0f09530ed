//! Whether the store agrees with itself: every record readable, every index and list right, in both directions.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    engine::{KeyRange, Tree},
    list::{self, Members},
    open::loss,
    record,
    table::{Record, Rows},
    txn::Sequence,
};
use crate::domain::{ApiKey, Configuration, Session, User};

/// What a sound store holds, or everything that is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// How many records each tree of records has.
    pub records: BTreeMap<Tree, u64>,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

type IndexRows = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

/// The trees that point at records.
const INDEXES: [Tree; 4] =
    [Tree::UsersByUsername, Tree::ConfigurationsByKey, Tree::ApiKeysByDigest, Tree::SessionsByExpiry];

/// Reads the whole store and checks that records, indexes, lists and owners agree, and all rows with the digest;
/// `progress` is told how many rows have been compared with the digest.
///
/// # Errors
/// [`StoreError`] if the storage cannot be read at all.
pub fn verify(rows: &impl Rows, progress: &mut dyn FnMut(u64)) -> Result<Findings, StoreError> {
    let mut survey = Survey::default();
    survey.findings.faults = loss(rows, progress)?;
    survey.records::<User>(rows)?;
    survey.records::<Configuration>(rows)?;
    survey.records::<ApiKey>(rows)?;
    survey.records::<Session>(rows)?;
    survey.indexes(rows)?;
    survey.lists(rows);
    survey.sequences(rows)?;
    Ok(survey.findings)
}

/// The collections with ids, and where those come from.
const SEQUENCES: [(Tree, Sequence); 3] = [
    (Tree::Users, Sequence::Users),
    (Tree::Configurations, Sequence::Configurations),
    (Tree::ApiKeys, Sequence::ApiKeys),
];

#[derive(Default)]
struct Survey {
    findings: Findings,
    owners: BTreeSet<Vec<u8>>,
    expected_indexes: IndexRows,
    expected_lists: Members,
    highest_ids: BTreeMap<Tree, u64>,
}

impl Survey {
    fn records<R: Record>(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        rows.scan(R::TREE, &KeyRange::all(), &mut |key, bytes| {
            self.record::<R>(key, bytes);
            ControlFlow::Continue(())
        })
    }

    fn record<R: Record>(&mut self, key: &[u8], bytes: &[u8]) {
        *self.findings.records.entry(R::TREE).or_default() += 1;
        match record::decode::<R>(R::TREE.name(), bytes) {
            Ok(record) if record.key() == key => self.expect(&record),
            Ok(_) => self.fault(format!("a record in `{}` is not under its own key", R::TREE)),
            Err(error) => self.fault(error.to_string()),
        }
    }

    fn expect<R: Record>(&mut self, record: &R) {
        let key = record.key();
        if R::TREE == Tree::Users {
            self.owners.insert(key);
        } else if !self.owners.contains(&key[..4]) {
            self.fault(format!("a record in `{}` belongs to nobody", R::TREE));
        }
        for row in record.index_rows() {
            let tree = row.tree;
            if self.expected_indexes.insert((tree, row.key), row.value).is_some() {
                self.fault(format!("two records have the same entry in `{tree}`"));
            }
        }
        if let Some((id, lists)) = record.listed() {
            let highest = self.highest_ids.entry(R::TREE).or_default();
            *highest = (*highest).max(u64::from(id.get()));
            for list in lists {
                self.expected_lists.entry(list).or_default().push(id);
            }
        }
    }

    fn indexes(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        for tree in INDEXES {
            rows.scan(tree, &KeyRange::all(), &mut |key, value| {
                if self.expected_indexes.remove(&(tree, key.to_vec())).as_deref() != Some(value) {
                    self.fault(format!("an entry of `{tree}` points at no record that has it"));
                }
                ControlFlow::Continue(())
            })?;
        }
        for (tree, _) in std::mem::take(&mut self.expected_indexes).into_keys() {
            self.fault(format!("a record is missing in `{tree}`"));
        }
        Ok(())
    }

    fn lists(&mut self, rows: &impl Rows) {
        match list::members(rows) {
            Ok(members) if members == self.expected_lists => {}
            Ok(_) => self.fault(format!("`{}` does not list the records that are there", Tree::Lists)),
            Err(StoreError::Record(error)) => self.fault(error.to_string()),
            Err(error) => self.fault(error.to_string()),
        }
    }

    /// A sequence behind an id that is in use would give that id again.
    fn sequences(&mut self, rows: &impl Rows) -> Result<(), StoreError> {
        for (tree, sequence) in SEQUENCES {
            let highest = self.highest_ids.get(&tree).copied().unwrap_or(0);
            if sequence.last(rows)? < highest {
                self.fault(format!("the sequence of `{tree}` is behind the id {highest}"));
            }
        }
        Ok(())
    }

    fn fault(&mut self, sentence: String) {
        self.findings.faults.push(sentence);
    }
}
