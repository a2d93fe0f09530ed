//! Keys of rows; their bytes sort as their parts do.

use uuid::Uuid;

use crate::domain::Id;

/// The key of a record that belongs to no user.
#[must_use]
pub fn of_id(id: Id) -> Vec<u8> {
    id.get().to_be_bytes().to_vec()
}

/// The key of a record that belongs to a user: the owner's records are adjacent, in the order of their ids.
#[must_use]
pub fn owned(owner: Id, id: Id) -> Vec<u8> {
    [owner.get().to_be_bytes(), id.get().to_be_bytes()].concat()
}

/// The key of a user's record that is found by a text.
#[must_use]
pub fn owned_text(owner: Id, text: &str) -> Vec<u8> {
    [&owner.get().to_be_bytes(), text.as_bytes()].concat()
}

/// The key of a session.
#[must_use]
pub fn owned_uuid(owner: Id, uuid: Uuid) -> Vec<u8> {
    [&owner.get().to_be_bytes(), uuid.as_bytes().as_slice()].concat()
}

/// The id in these bytes, if they are one.
#[must_use]
pub fn id(bytes: &[u8]) -> Option<Id> {
    bytes.try_into().ok().map(u32::from_be_bytes).and_then(Id::new)
}

/// The owner and id in these bytes, if they are an owner and an id.
#[must_use]
pub fn owner_and_id(bytes: &[u8]) -> Option<(Id, Id)> {
    let (owner, rest) = bytes.split_at_checked(4)?;
    Some((id(owner)?, id(rest)?))
}
