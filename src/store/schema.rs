//! The schema of a store: its format, its identity, and the look-ups of its records.

mod records;

use uuid::Uuid;

use super::{
    StoreError,
    engine::{KeyRange, Tree},
    id_set::IdSet,
    integrity::DIGEST_KEY_KEY,
    key,
    table::{self, ReadRows, Record, Slice, read_rows},
    txn::Txn,
};
use crate::{
    clock::Timestamp,
    domain::{ApiKey, Configuration, Id, KeyDigest, Page, Session, User},
};

/// The current format of the store. A store of a newer format is refused; one of an older format is upgraded.
///
/// | format | since | what is new |
/// |---|---|---|
/// | 1 | 0.1.0 | |
/// | 2 | 0.2.0 | the store's identity, the digest and its key |
/// | 3 | 0.3.0 | the audit log |
/// | 4 | 0.4.0 | entries of the audit log that are chained by their HMACs alone; older ones stay as they are; what identifiers accounts have had; activity; accounts by uid; keys of assertions |
/// | 5 | 0.4.0 | the journal, with checkpoints and an index |
pub const FORMAT: u32 = 5;
/// The first format with a digest of the rows and a witness beside the store.
pub(super) const FORMAT_WITH_DIGEST: u32 = 2;
/// The first format that remembers the identifiers that accounts have had.
pub(super) const FORMAT_WITH_IDENTIFIERS: u32 = 4;

const FORMAT_KEY: &[u8] = b"format";
const STORE_ID_KEY: &[u8] = b"store_id";
const INITIAL_ADMINISTRATOR_KEY: &[u8] = b"initial_administrator";

/// The look-ups of the schema, for everything that implements [`ReadRows`]. Each fails with [`StoreError`] if the rows
/// cannot be read.
#[expect(clippy::missing_errors_doc, reason = "all fail alike, as the trait says")]
pub trait Tables: ReadRows {
    /// The user of that id.
    fn user(&self, id: Id) -> Result<Option<User>, StoreError> {
        table::find(self, &key::of_id(id))
    }

    /// The user of that name, which is given in folded case.
    fn user_by_username(&self, folded: &str) -> Result<Option<User>, StoreError> {
        let Some(id) = self.get(Tree::UsersByUsername, folded.as_bytes())? else { return Ok(None) };
        let id = key::id(&id).ok_or_else(|| table::corrupt(Tree::UsersByUsername))?;
        // Between the two look-ups the user may have been renamed.
        Ok(self.user(id)?.filter(|user| user.username.folded() == folded))
    }

    /// A page of all users.
    fn users(&self, page: Page) -> Result<Slice<User>, StoreError> {
        table::page(self, IdSet::Users, page, key::of_id)
    }

    /// A configuration of that user's.
    fn configuration(&self, owner: Id, id: Id) -> Result<Option<Configuration>, StoreError> {
        table::find(self, &key::owned(owner, id))
    }

    /// A configuration of that user's, by its key.
    fn configuration_by_key(&self, owner: Id, text: &str) -> Result<Option<Configuration>, StoreError> {
        let Some(id) = self.get(Tree::ConfigurationsByKey, &key::owned_text(owner, text))? else { return Ok(None) };
        let id = key::id(&id).ok_or_else(|| table::corrupt(Tree::ConfigurationsByKey))?;
        Ok(self.configuration(owner, id)?.filter(|found| found.key.as_str() == text))
    }

    /// A page of that user's configurations.
    fn configurations(&self, owner: Id, page: Page) -> Result<Slice<Configuration>, StoreError> {
        table::page(self, IdSet::Configurations(owner), page, |id| key::owned(owner, id))
    }

    /// An API key of that user's.
    fn api_key(&self, owner: Id, id: Id) -> Result<Option<ApiKey>, StoreError> {
        table::find(self, &key::owned(owner, id))
    }

    /// The API key of any owner that the value of that digest proves.
    fn api_key_by_digest(&self, digest: KeyDigest) -> Result<Option<ApiKey>, StoreError> {
        let Some(place) = self.get(Tree::ApiKeysByDigest, &digest.0)? else { return Ok(None) };
        let (owner, id) = key::owner_and_id(&place).ok_or_else(|| table::corrupt(Tree::ApiKeysByDigest))?;
        Ok(self.api_key(owner, id)?.and_then(|found| found.proved_by(digest)))
    }

    /// A page of that user's API keys.
    fn api_keys(&self, owner: Id, page: Page) -> Result<Slice<ApiKey>, StoreError> {
        table::page(self, IdSet::ApiKeys(owner), page, |id| key::owned(owner, id))
    }

    /// A session of that user's.
    fn session(&self, owner: Id, jti: Uuid) -> Result<Option<Session>, StoreError> {
        table::find(self, &key::owned_uuid(owner, jti))
    }

    /// All sessions of that user.
    fn sessions(&self, owner: Id) -> Result<Vec<Session>, StoreError> {
        table::all(self, &key::of_id(owner))
    }

    /// Owners and `jti`s of at most `max` sessions that have ended by that time, the earliest end first.
    fn expired_sessions(&self, now: Timestamp, max: usize) -> Result<Vec<(Id, Uuid)>, StoreError> {
        let range = KeyRange { from: Vec::new(), to: Some(first_end_after(now)) };
        sessions_by_end(self, &range, max)
    }

    /// Owners and `jti`s of at most `max` sessions that end later than that second.
    fn sessions_ending_after(&self, end: Timestamp, max: usize) -> Result<Vec<(Id, Uuid)>, StoreError> {
        let range = KeyRange { from: first_end_after(end), to: None };
        sessions_by_end(self, &range, max)
    }

    /// The administrator that the first start created with a random password, while that password is in use.
    fn initial_administrator(&self) -> Result<Option<Id>, StoreError> {
        Ok(self.get(Tree::Meta, INITIAL_ADMINISTRATOR_KEY)?.and_then(|bytes| key::id(&bytes)))
    }

    /// The id of the store, `None` before it is initialised.
    fn store_id(&self) -> Result<Option<Uuid>, StoreError> {
        let Some(bytes) = self.get(Tree::Meta, STORE_ID_KEY)? else { return Ok(None) };
        Uuid::from_slice(&bytes).map(Some).map_err(|_| table::corrupt(Tree::Meta))
    }

    /// The format of the store, `None` for a new one.
    fn format(&self) -> Result<Option<u32>, StoreError> {
        let Some(bytes) = self.get(Tree::Meta, FORMAT_KEY)? else { return Ok(None) };
        let bytes = bytes.try_into().map_err(|_| table::corrupt(Tree::Meta))?;
        Ok(Some(u32::from_be_bytes(bytes)))
    }
}

impl<T: ReadRows + ?Sized> Tables for T {}

/// The random values of a new store.
#[derive(Clone)]
pub(super) struct StoreIdentity {
    pub(super) store_id: Uuid,
    pub(super) digest_key: [u8; 16],
    pub(super) identifier_key: [u8; 32],
}

impl Txn<'_> {
    /// Records which administrator has the random password of the first start, `None` if none has it any more.
    pub fn set_initial_administrator(&mut self, id: Option<Id>) {
        self.set(Tree::Meta, INITIAL_ADMINISTRATOR_KEY.to_vec(), id.map(key::of_id));
    }

    /// Sets the current format.
    pub(super) fn set_format(&mut self) {
        self.set(Tree::Meta, FORMAT_KEY.to_vec(), Some(FORMAT.to_be_bytes().to_vec()));
    }

    /// Gives the store an id and keys for its digest and its used identifiers, unless it has them.
    pub(super) fn identify(&mut self, new: &StoreIdentity) -> Result<(), StoreError> {
        let StoreIdentity { store_id, digest_key, identifier_key } = new;
        self.ensure_identifier_key(*identifier_key)?;
        for (key, value) in [(STORE_ID_KEY, store_id.as_bytes()), (DIGEST_KEY_KEY, digest_key)] {
            if self.get(Tree::Meta, key)?.is_none() {
                self.set(Tree::Meta, key.to_vec(), Some(value.to_vec()));
            }
        }
        Ok(())
    }

    /// Removes a user with all the user's records.
    ///
    /// # Errors
    /// [`StoreError`] if one of them cannot be read.
    pub fn remove_user(&mut self, user: &User) -> Result<(), StoreError> {
        self.remove_owned::<Configuration>(user.id)?;
        self.remove_owned::<ApiKey>(user.id)?;
        self.remove_owned::<Session>(user.id)?;
        self.remove(user)
    }

    /// Removes all of a user's records of one kind.
    ///
    /// # Errors
    /// [`StoreError`] if one of them cannot be read.
    pub fn remove_owned<R: Record>(&mut self, owner: Id) -> Result<(), StoreError> {
        for record in table::all::<R>(self, &key::of_id(owner))? {
            self.remove(&record)?;
        }
        Ok(())
    }
}

/// The index key at which the sessions begin that end after that second.
fn first_end_after(end: Timestamp) -> Vec<u8> {
    end.as_secs().saturating_add(1).to_be_bytes().to_vec()
}

fn sessions_by_end(
    rows: &(impl ReadRows + ?Sized),
    range: &KeyRange,
    max: usize,
) -> Result<Vec<(Id, Uuid)>, StoreError> {
    read_rows(rows, Tree::SessionsByExpiry, range, max, |key, _| {
        let place = key.split_at_checked(8).and_then(|(_, place)| owner_and_jti(place));
        place.ok_or_else(|| table::corrupt(Tree::SessionsByExpiry))
    })
}

fn owner_and_jti(place: &[u8]) -> Option<(Id, Uuid)> {
    let (owner, jti) = place.split_at_checked(4)?;
    Some((key::id(owner)?, Uuid::from_slice(jti).ok()?))
}
