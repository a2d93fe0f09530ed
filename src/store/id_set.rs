//! Sets of ids, so that the count and the pages of a list are found without scanning its records.
//!
//! A set is stored in chunks of 65,536 possible ids. Each chunk is a row with the number of its ids and their roaring
//! bitmap, at most 8 KiB; a million users take 16 rows.

use std::ops::ControlFlow;

use roaring::RoaringBitmap;

use super::{
    StoreError,
    engine::{KeyRange, Tree},
    rows::{ReadRows, corrupt},
};
use crate::domain::{Id, Page, SystemId};

/// The set of ids that a list of records has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IdSet {
    /// All users.
    Users,
    /// The users who are administrators and never expire.
    Administrators,
    /// One user's configurations.
    Configurations(Id),
    /// One user's API keys.
    ApiKeys(Id),
    /// The users with that uid.
    SystemUser(SystemId),
}

impl IdSet {
    fn prefix(self) -> Vec<u8> {
        let (tag, owner) = match self {
            Self::Users => (1_u8, 0),
            Self::Administrators => (2, 0),
            Self::Configurations(owner) => (3, owner.get()),
            Self::ApiKeys(owner) => (4, owner.get()),
            Self::SystemUser(uid) => (5, uid.get()),
        };
        [&[tag], owner.to_be_bytes().as_slice()].concat()
    }

    fn of_row(key: &[u8]) -> Option<Self> {
        let owner = || super::key::id(&key[1..5]);
        match (key.len(), key.first()?) {
            (7, 1) => Some(Self::Users),
            (7, 2) => Some(Self::Administrators),
            (7, 3) => owner().map(Self::Configurations),
            (7, 4) => owner().map(Self::ApiKeys),
            (7, 5) => system_id(&key[1..5]).map(Self::SystemUser),
            _ => None,
        }
    }

    /// The key of the chunk that an id is in.
    #[must_use]
    pub fn chunk_key(self, id: Id) -> Vec<u8> {
        let (chunk, _) = split(id);
        [self.prefix().as_slice(), &chunk.to_be_bytes()].concat()
    }
}

fn system_id(bytes: &[u8]) -> Option<SystemId> {
    SystemId::new(u32::from_be_bytes(bytes.try_into().ok()?).into()).ok()
}

/// How many ids a list has.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn count(rows: &(impl ReadRows + ?Sized), id_set: IdSet) -> Result<u64, StoreError> {
    Ok(page(rows, id_set, Page { limit: 0, offset: 0 })?.1)
}

/// The ids of a page, ascending, and how many the list has.
///
/// # Errors
/// [`StoreError`] if the list cannot be read.
pub fn page(rows: &(impl ReadRows + ?Sized), id_set: IdSet, page: Page) -> Result<(Vec<Id>, u64), StoreError> {
    let mut ids = Vec::with_capacity(page.limit.min(Page::DEFAULT));
    let mut count = 0;
    let mut failure = None;
    rows.scan(Tree::Lists, &KeyRange::prefix(&id_set.prefix()), &mut |key, bytes| {
        let Some(members) = add_chunk(&mut ids, page, count, key, bytes) else {
            failure = Some(corrupt(Tree::Lists));
            return ControlFlow::Break(());
        };
        count += members;
        ControlFlow::Continue(())
    })?;
    failure.map_or(Ok((ids, count)), Err)
}

/// The chunk with that id added or removed; `None` if the chunk is then empty.
///
/// # Errors
/// [`StoreError`] if the chunk cannot be decoded.
pub fn with_member(chunk: Option<&[u8]>, id: Id, is_member: bool) -> Result<Option<Vec<u8>>, StoreError> {
    let mut ids = match chunk {
        Some(bytes) => decode(bytes).ok_or_else(|| corrupt(Tree::Lists))?,
        None => RoaringBitmap::new(),
    };
    let (_, low) = split(id);
    if is_member {
        ids.insert(u32::from(low))
    } else {
        ids.remove(u32::from(low))
    };
    Ok((!ids.is_empty()).then(|| encode(&mut ids)))
}

/// Calls `visit` with every id of every list, as the tree has them, to compare them with the records.
///
/// # Errors
/// [`StoreError`] if a row cannot be decoded.
pub fn for_each_member(rows: &(impl ReadRows + ?Sized), visit: &mut dyn FnMut(IdSet, Id)) -> Result<(), StoreError> {
    let mut is_sound = true;
    rows.scan(Tree::Lists, &KeyRange::all(), &mut |key, bytes| {
        let Some((id_set, ids)) = IdSet::of_row(key).zip(chunk_ids(key, bytes)) else {
            is_sound = false;
            return ControlFlow::Break(());
        };
        for id in ids {
            visit(id_set, id);
        }
        ControlFlow::Continue(())
    })?;
    if is_sound { Ok(()) } else { Err(corrupt(Tree::Lists)) }
}

/// Adds the page's ids of one chunk to `ids`, where earlier chunks have `before` ids; returns the number of ids in the
/// chunk.
fn add_chunk(ids: &mut Vec<Id>, page: Page, before: u64, key: &[u8], bytes: &[u8]) -> Option<u64> {
    let members = u64::from(u32::from_be_bytes(*bytes.first_chunk()?));
    let wanted = page.limit - ids.len();
    if wanted > 0 && page.offset < before + members {
        let low_ids = decode(bytes)?;
        let skipped = u32::try_from(page.offset.saturating_sub(before)).ok()?;
        let first = low_ids.select(skipped)?;
        for low in low_ids.range(first..).take(wanted) {
            ids.push(joined(key, low)?);
        }
    }
    Some(members)
}

fn chunk_ids(key: &[u8], bytes: &[u8]) -> Option<Vec<Id>> {
    decode(bytes)?.iter().map(|low| joined(key, low)).collect()
}

fn split(id: Id) -> (u16, u16) {
    let [a, b, c, d] = id.get().to_be_bytes();
    (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
}

fn joined(key: &[u8], low: u32) -> Option<Id> {
    let chunk = u16::from_be_bytes(*key.last_chunk()?);
    Id::new(u32::from(chunk) << 16 | low)
}

fn encode(ids: &mut RoaringBitmap) -> Vec<u8> {
    ids.optimize();
    let count = u32::try_from(ids.len()).expect("a chunk has at most 65,536 ids");
    let mut bytes = count.to_be_bytes().to_vec();
    ids.serialize_into(&mut bytes).expect("writing to memory does not fail");
    bytes
}

fn decode(bytes: &[u8]) -> Option<RoaringBitmap> {
    let (count, bitmap) = bytes.split_first_chunk::<4>()?;
    let ids = RoaringBitmap::deserialize_from(bitmap).ok()?;
    let is_sound = ids.len() == u64::from(u32::from_be_bytes(*count)) && ids.max().is_none_or(|max| max <= 0xffff);
    is_sound.then_some(ids)
}
