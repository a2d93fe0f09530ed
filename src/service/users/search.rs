//! Lists of accounts in any order, and of those that fit a filter.
//!
//! Names and ids have indexes. For anything else all accounts are read, in steps that are short enough for other work to get
//! its turn in between; what is kept meanwhile are the keys of the accounts up to the end of the page.

use std::{
    collections::BinaryHeap,
    mem,
    ops::{ControlFlow, Range},
};

use super::{Administrator, ServiceError};
use crate::{
    domain::{Id, Page, TextFilter, User, UserAttribute, UserFilter, UserOrder},
    store::{
        IdSet, Slice, Store, StoreError, Tables,
        engine::{KeyRange, Tree},
        id_set, key,
        table::{ReadRows, corrupt, decode},
    },
};

/// How many rows one step reads: some milliseconds.
const STEP: usize = 500;
/// What a kept key takes besides its bytes.
const KEY_BYTES: usize = 64;

/// A search under way.
pub struct UserSearch {
    store: Store,
    filter: UserFilter,
    order: UserOrder,
    page: Page,
    progress: Progress,
    bytes: usize,
    count: u64,
}

/// How far a search is.
enum Progress {
    /// The ids of the page are found, in the order of the list.
    Found(Vec<Id>),
    /// Of the accounts before that key, the least keys in the order of the list, as many as there are up to the end of the
    /// page.
    Users { from: Vec<u8>, least: BinaryHeap<Vec<u8>> },
    /// Of the names before that key, so many, the ids in those places.
    Names { from: Vec<u8>, passed: u64, places: Range<u64>, ids: Vec<Id> },
}

impl UserSearch {
    /// A search for the page of the list with that filter and order.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub fn new(
        administrator: &Administrator,
        filter: UserFilter,
        order: UserOrder,
        page: Page,
    ) -> Result<Self, ServiceError> {
        let store = administrator.0.store().clone();
        let progress = Progress::Users { from: Vec::new(), least: BinaryHeap::new() };
        let mut search = Self { store, filter, order, page, progress, bytes: 0, count: 0 };
        if let Some(TextFilter::Is(name)) = search.filter.username.clone() {
            search.find_by_name(&name)?;
        } else if search.filter == UserFilter::default() {
            search.use_index_of_order()?;
        }
        Ok(search)
    }

    /// About how many bytes it keeps.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Reads on for some milliseconds; whether the page is found.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub fn step(&mut self) -> Result<bool, ServiceError> {
        self.progress = match mem::replace(&mut self.progress, Progress::Found(Vec::new())) {
            Progress::Found(ids) => Progress::Found(ids),
            Progress::Users { from, least } => self.read_users(from, least)?,
            Progress::Names { from, passed, places, ids } => self.read_names(from, passed, places, ids)?,
        };
        Ok(matches!(self.progress, Progress::Found(_)))
    }

    /// The page, once it is found. An account that has been removed meanwhile is missing.
    ///
    /// # Errors
    /// [`ServiceError::Store`].
    pub fn into_page(self) -> Result<Slice<User>, ServiceError> {
        let ids = match self.progress {
            Progress::Found(ids) => ids,
            Progress::Users { .. } | Progress::Names { .. } => Vec::new(),
        };
        let users = ids.into_iter().filter_map(|id| self.store.user(id).transpose());
        Ok(Slice { records: users.collect::<Result<_, _>>()?, count: self.count })
    }

    fn find_by_name(&mut self, name: &str) -> Result<(), StoreError> {
        let user = self.store.user_by_username(name)?.filter(|user| self.filter.admits(user));
        self.count = user.iter().count() as u64;
        let is_on_page = |user: &User| (self.page.offset == 0 && self.page.limit > 0).then_some(user.id);
        self.progress = Progress::Found(user.as_ref().and_then(is_on_page).into_iter().collect());
        Ok(())
    }

    /// Uses the index of the order, if it has one, for a list of all accounts.
    fn use_index_of_order(&mut self) -> Result<(), StoreError> {
        let is_by_name = self.order.attribute == UserAttribute::Username;
        if !is_by_name && self.order.attribute != UserAttribute::Id {
            return Ok(());
        }
        self.count = id_set::count(&self.store, IdSet::Users)?;
        let places = self.places();
        self.progress = if is_by_name {
            Progress::Names { from: Vec::new(), passed: 0, places, ids: Vec::new() }
        } else {
            let limit = usize::try_from(places.end - places.start).unwrap_or(Page::MAX);
            let page = Page { limit, offset: places.start };
            self.found(id_set::page(&self.store, IdSet::Users, page)?.0)
        };
        Ok(())
    }

    /// The places of the page among all accounts in ascending order.
    fn places(&self) -> Range<u64> {
        let start = self.page.offset.min(self.count);
        let end = start.saturating_add(self.page.limit as u64).min(self.count);
        if self.order.is_descending { self.count - end..self.count - start } else { start..end }
    }

    /// The end of a search that has found these ids in ascending order.
    fn found(&self, mut ids: Vec<Id>) -> Progress {
        if self.order.is_descending {
            ids.reverse();
        }
        Progress::Found(ids)
    }

    fn read_users(&mut self, from: Vec<u8>, mut least: BinaryHeap<Vec<u8>>) -> Result<Progress, StoreError> {
        let rows = rows(&self.store, Tree::Users, from)?;
        let max = usize::try_from(self.page.offset).unwrap_or(usize::MAX).saturating_add(self.page.limit);
        for (_, bytes) in &rows {
            let user: User = decode(bytes)?;
            if !self.filter.admits(&user) {
                continue;
            }
            self.count += 1;
            let key = self.order.key_of(&user);
            self.bytes += key.len() + KEY_BYTES;
            least.push(key);
            if least.len() > max {
                self.bytes -= least.pop().map_or(0, |key| key.len() + KEY_BYTES);
            }
        }
        match next(&rows) {
            Some(from) => Ok(Progress::Users { from, least }),
            None => self.of_least(least),
        }
    }

    /// The end of a search that has found these keys.
    fn of_least(&self, least: BinaryHeap<Vec<u8>>) -> Result<Progress, StoreError> {
        let offset = usize::try_from(self.page.offset).unwrap_or(usize::MAX);
        let keys = least.into_sorted_vec().into_iter().skip(offset);
        let ids = keys.map(|key| key.last_chunk::<4>().and_then(|id| key::id(id)).ok_or_else(|| corrupt(Tree::Users)));
        Ok(Progress::Found(ids.collect::<Result<_, _>>()?))
    }

    fn read_names(
        &self,
        from: Vec<u8>,
        mut passed: u64,
        places: Range<u64>,
        mut ids: Vec<Id>,
    ) -> Result<Progress, StoreError> {
        let rows = rows(&self.store, Tree::UsersByUsername, from)?;
        for (_, id) in &rows {
            if places.contains(&passed) {
                ids.push(key::id(id).ok_or_else(|| corrupt(Tree::UsersByUsername))?);
            }
            passed += 1;
        }
        match next(&rows).filter(|_| passed < places.end) {
            Some(from) => Ok(Progress::Names { from, passed, places, ids }),
            None => Ok(self.found(ids)),
        }
    }
}

/// A key and its value.
type Row = (Vec<u8>, Vec<u8>);

/// The rows of one step from that key on.
fn rows(store: &Store, tree: Tree, from: Vec<u8>) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::with_capacity(STEP);
    store.scan(tree, &KeyRange { from, to: None }, &mut |key, value| {
        rows.push((key.to_vec(), value.to_vec()));
        if rows.len() < STEP { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows)
}

/// Where the next step begins; `None` if there may be no more rows.
fn next(rows: &[Row]) -> Option<Vec<u8>> {
    let last = rows.last().filter(|_| rows.len() == STEP)?;
    Some([last.0.as_slice(), &[0]].concat())
}
