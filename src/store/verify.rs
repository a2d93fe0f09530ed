//! Whether the store agrees with itself: every record readable, every index and list right, in both directions.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use super::{
    StoreError,
    engine::{KeyRange, Tree},
    list::{self, Members},
    record,
    table::{Record, Rows},
};
use crate::domain::{ApiKey, Configuration, Session, User};

/// What a sound store holds, or everything that is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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

/// Reads the whole store and checks that records, indexes, lists and owners agree.
///
/// # Errors
/// [`StoreError`] if the storage cannot be read at all.
pub fn verify(rows: &impl Rows) -> Result<Findings, StoreError> {
    let mut survey = Survey::default();
    survey.records::<User>(rows)?;
    survey.records::<Configuration>(rows)?;
    survey.records::<ApiKey>(rows)?;
    survey.records::<Session>(rows)?;
    survey.indexes(rows)?;
    survey.lists(rows);
    Ok(survey.findings)
}

#[derive(Default)]
struct Survey {
    findings: Findings,
    owners: BTreeSet<Vec<u8>>,
    expected_indexes: IndexRows,
    expected_lists: Members,
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
            self.expected_indexes.insert((row.tree, row.key), row.value);
        }
        if let Some((id, lists)) = record.listed() {
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
            Err(error) => self.fault(error.to_string()),
        }
    }

    fn fault(&mut self, sentence: String) {
        self.findings.faults.push(sentence);
    }
}
