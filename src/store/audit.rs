//! The rows of the audit log: its newest entries, and the state of the log as a whole.
//!
//! Older entries are only in files. The module `audit` defines what an entry contains and how entries are chained.

use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    engine::{KeyRange, Tree},
    id_set::IdSet,
    record::{self, RecordError, Versioned},
    table::{self, IndexRow, ReadRows, Record},
    txn::Txn,
};
use crate::{
    clock::Timestamp,
    domain::{Action, Actor, AffectedResource, AuditEntry, Event, Id, Outcome, Page, Target},
};

const STATE_KEY: &[u8] = b"audit";

/// A position in the log: after the entry of that id, 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogPosition {
    /// The entry's id.
    pub id: u64,
    /// What the next entry is chained to: the entry's HMAC, or its link if 0.3.0 wrote it.
    pub mac: [u8; 32],
}

impl LogPosition {
    /// The position after an entry.
    #[must_use]
    pub fn after(entry: &AuditEntry) -> Self {
        Self { id: entry.id, mac: entry.link.unwrap_or(entry.mac) }
    }
}

/// The state of the log as a whole, sealed under the key of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditState {
    /// The last entry.
    pub last: LogPosition,
    /// The last entry that is durable in a file.
    pub exported: LogPosition,
    /// The last entry that is no longer in the store.
    pub pruned: LogPosition,
    /// The last entry that is neither in the store nor in a file.
    pub dropped: LogPosition,
    /// Identifies the key of the last entry.
    pub key_id: [u8; 16],
    /// The first entry under that key.
    pub key_since: u64,
    /// HMAC-SHA-256 of the rest.
    pub seal: [u8; 32],
}

impl Versioned for AuditState {}

impl Versioned for AuditEntry {
    const VERSION: u8 = 3;

    fn from_older(tree: &'static str, version: u8, bytes: &[u8]) -> Result<Self, RecordError> {
        match version {
            1 => record::decode_shape::<LinkedEntry>(tree, bytes).map(Self::from),
            _ => record::decode_shape::<OwnerlessEntry>(tree, bytes).map(Self::from),
        }
    }
}

/// Version 1, in which links chained the entries.
#[derive(Deserialize)]
struct LinkedEntry {
    id: u64,
    event: OwnerlessEvent,
    link: [u8; 32],
    mac: [u8; 32],
}

/// Version 2, in which targets had no owners.
#[derive(Deserialize)]
struct OwnerlessEntry {
    id: u64,
    event: OwnerlessEvent,
    mac: [u8; 32],
    link: Option<[u8; 32]>,
}

/// The event of an entry of version 1 or 2.
#[derive(Deserialize)]
struct OwnerlessEvent {
    at: Timestamp,
    actor: Actor,
    action: Action,
    outcome: Outcome,
    target: Option<Target>,
    details: Vec<String>,
    count: u64,
}

impl From<LinkedEntry> for AuditEntry {
    fn from(LinkedEntry { id, event, link, mac }: LinkedEntry) -> Self {
        Self { id, event: event.into(), mac, link: Some(link) }
    }
}

impl From<OwnerlessEntry> for AuditEntry {
    fn from(OwnerlessEntry { id, event, mac, link }: OwnerlessEntry) -> Self {
        Self { id, event: event.into(), mac, link }
    }
}

impl From<OwnerlessEvent> for Event {
    fn from(event: OwnerlessEvent) -> Self {
        let OwnerlessEvent { at, actor, action, outcome, target, details, count } = event;
        let subject = AffectedResource { target, owner: None, details };
        Self { at, actor, action, outcome, subject, count }
    }
}

impl Record for AuditEntry {
    const TREE: Tree = Tree::Audit;

    fn key(&self) -> Vec<u8> {
        self.id.to_be_bytes().to_vec()
    }

    fn index_rows(&self) -> Vec<IndexRow> {
        Vec::new()
    }

    fn listed(&self) -> Option<(Id, Vec<IdSet>)> {
        None
    }
}

/// The state of the log, `None` if there has never been an entry.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn state(rows: &(impl ReadRows + ?Sized)) -> Result<Option<AuditState>, StoreError> {
    let bytes = rows.get(Tree::Meta, STATE_KEY)?;
    bytes.map(|bytes| record::decode(Tree::Meta.name(), &bytes).map_err(StoreError::Record)).transpose()
}

/// Visits the entries in the store after that id in their order, as long as `visit` continues.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub fn visit_after(
    rows: &(impl ReadRows + ?Sized),
    id: u64,
    visit: &mut dyn FnMut(AuditEntry) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let mut failure = None;
    rows.scan(Tree::Audit, &entries_after(id), &mut |_, bytes| match table::decode(bytes) {
        Ok(entry) => visit(entry),
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(()), Err)
}

/// At most `max` entries in the store after that id, in their order.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub fn after(rows: &(impl ReadRows + ?Sized), id: u64, max: usize) -> Result<Vec<AuditEntry>, StoreError> {
    table::read_rows(rows, Tree::Audit, &entries_after(id), max, |_, bytes| table::decode(bytes))
}

fn entries_after(id: u64) -> KeyRange {
    // After the last id there is nothing: its own row is the end.
    let from = [&id.to_be_bytes()[..], &[0]].concat();
    KeyRange { from, to: None }
}

/// A page of the entries in the store, and their count. Ids have no gaps, so no entry before the page is read.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn page(rows: &(impl ReadRows + ?Sized), page: Page) -> Result<table::Slice<AuditEntry>, StoreError> {
    let state = state(rows)?.unwrap_or_default();
    let records = after(rows, state.pruned.id.saturating_add(page.offset), page.limit)?;
    Ok(table::Slice { records, count: state.last.id.saturating_sub(state.pruned.id) })
}

impl Txn<'_> {
    /// Sets the state of the log.
    pub fn set_audit_state(&mut self, state: &AuditState) {
        self.set(Tree::Meta, STATE_KEY.to_vec(), Some(record::encode(state)));
    }
}
