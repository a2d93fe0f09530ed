//! The records: their trees, keys, indexes and lists, and the decoding of older versions.

use serde::Deserialize;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    domain::{
        AccountIdentifier, ActivitySubject, ApiKey, ApiKeyName, Configuration, Email, Id, KeyDigest, PasswordHash,
        Scopes, Session, SourceType, SystemId, User, Username,
    },
    store::{
        activity,
        engine::Tree,
        id_set::IdSet,
        key,
        record::{self, RecordError, Versioned},
        table::{IndexRow, Record},
    },
};

impl Versioned for User {
    const VERSION: u8 = 3;

    fn from_older(tree: &'static str, version: u8, bytes: &[u8]) -> Result<Self, RecordError> {
        match version {
            1 => record::decode_shape::<UserV1>(tree, bytes).map(Self::from),
            _ => record::decode_shape::<UserV2>(tree, bytes).map(Self::from),
        }
    }
}
impl Versioned for Configuration {}
impl Versioned for ApiKey {
    const VERSION: u8 = 2;

    fn from_older(tree: &'static str, _version: u8, bytes: &[u8]) -> Result<Self, RecordError> {
        let api_key: UnrotatedApiKey = record::decode_shape(tree, bytes)?;
        Ok(api_key.into())
    }
}
impl Versioned for Session {
    const VERSION: u8 = 2;

    fn from_older(tree: &'static str, _version: u8, bytes: &[u8]) -> Result<Self, RecordError> {
        let SessionV1 { owner, jti, number, expires_at } = record::decode_shape(tree, bytes)?;
        Ok(Self { owner, jti, number, expires_at, created_at: None, address: None })
    }
}

/// Version 1 of a session, without beginning and address.
#[derive(Deserialize)]
struct SessionV1 {
    owner: Id,
    jti: Uuid,
    number: u64,
    expires_at: Timestamp,
}

/// Version 1 of a user, without expiry and source.
#[derive(Deserialize)]
struct UserV1 {
    id: Id,
    username: Username,
    password: PasswordHash,
    email: Option<Email>,
    user_id: Option<SystemId>,
    group_id: Option<SystemId>,
    is_admin: bool,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// Version 2 of a user, whose accounts were never suspended.
#[derive(Deserialize)]
struct UserV2 {
    id: Id,
    username: Username,
    password: PasswordHash,
    email: Option<Email>,
    user_id: Option<SystemId>,
    group_id: Option<SystemId>,
    is_admin: bool,
    expired_at: Option<Timestamp>,
    source_type: Option<SourceType>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<UserV1> for User {
    fn from(user: UserV1) -> Self {
        let UserV1 { id, username, password, email, user_id, group_id, is_admin, created_at, updated_at } = user;
        Self { email, user_id, group_id, is_admin, updated_at, ..Self::new(id, username, password, created_at) }
    }
}

impl From<UserV2> for User {
    fn from(user: UserV2) -> Self {
        let UserV2 { email, user_id, group_id, is_admin, expired_at, source_type, updated_at, .. } = user;
        let user = Self::new(user.id, user.username, user.password, user.created_at);
        Self { email, user_id, group_id, is_admin, expired_at, source_type, updated_at, ..user }
    }
}

/// Version 1 of an API key, which could be used from everywhere and had one value for ever.
#[derive(Deserialize)]
struct UnrotatedApiKey {
    id: Id,
    owner: Id,
    identifier: Uuid,
    digest: KeyDigest,
    last_four: [u8; 4],
    name: Option<ApiKeyName>,
    scopes: Scopes,
    made_by: Option<Id>,
    expires_at: Option<Timestamp>,
}

impl From<UnrotatedApiKey> for ApiKey {
    fn from(api_key: UnrotatedApiKey) -> Self {
        let UnrotatedApiKey { id, owner, identifier, digest, last_four, name, scopes, made_by, expires_at } = api_key;
        let (allowed_networks, created_at, former_value) = (None, None, None);
        Self {
            id,
            owner,
            identifier,
            digest,
            last_four,
            name,
            scopes,
            made_by,
            expires_at,
            allowed_networks,
            created_at,
            former_value,
        }
    }
}

impl Record for User {
    const TREE: Tree = Tree::Users;

    fn key(&self) -> Vec<u8> {
        key::of_id(self.id)
    }

    fn index_rows(&self) -> Vec<IndexRow> {
        let key = self.username.folded().into_bytes();
        vec![IndexRow { tree: Tree::UsersByUsername, key, value: self.key() }]
    }

    fn listed(&self) -> Option<(Id, Vec<IdSet>)> {
        let administrators = self.is_lasting_administrator().then_some(IdSet::Administrators);
        let system_user = self.user_id.map(IdSet::SystemUser);
        Some((self.id, [Some(IdSet::Users), administrators, system_user].into_iter().flatten().collect()))
    }

    fn activity(&self) -> Option<Vec<u8>> {
        Some(key::of_id(self.id))
    }

    fn held(&self) -> Vec<AccountIdentifier> {
        vec![AccountIdentifier::of_name(&self.username)]
    }

    fn given(&self) -> Vec<AccountIdentifier> {
        // Several accounts may have the same id, so it has no index.
        self.user_id.map(AccountIdentifier::SystemUser).into_iter().collect()
    }
}

impl Record for Configuration {
    const TREE: Tree = Tree::Configurations;

    fn key(&self) -> Vec<u8> {
        key::owned(self.owner, self.id)
    }

    fn index_rows(&self) -> Vec<IndexRow> {
        let key = key::owned_text(self.owner, self.key.as_str());
        vec![IndexRow { tree: Tree::ConfigurationsByKey, key, value: key::of_id(self.id) }]
    }

    fn listed(&self) -> Option<(Id, Vec<IdSet>)> {
        Some((self.id, vec![IdSet::Configurations(self.owner)]))
    }
}

impl Record for ApiKey {
    const TREE: Tree = Tree::ApiKeys;

    fn key(&self) -> Vec<u8> {
        key::owned(self.owner, self.id)
    }

    /// By each of its values.
    fn index_rows(&self) -> Vec<IndexRow> {
        let former = self.former_value.as_ref().map(|former| former.digest);
        let row = |digest: KeyDigest| IndexRow {
            tree: Tree::ApiKeysByDigest,
            key: digest.0.to_vec(),
            value: Record::key(self),
        };
        [Some(self.digest), former].into_iter().flatten().map(row).collect()
    }

    fn listed(&self) -> Option<(Id, Vec<IdSet>)> {
        Some((self.id, vec![IdSet::ApiKeys(self.owner)]))
    }

    fn activity(&self) -> Option<Vec<u8>> {
        Some(activity::key_of(ActivitySubject::ApiKey(self.owner, self.id)))
    }
}

impl Record for Session {
    const TREE: Tree = Tree::Sessions;

    fn key(&self) -> Vec<u8> {
        key::owned_uuid(self.owner, self.jti)
    }

    /// The index by the second of the end, so that the removal of expired sessions reads no others.
    fn index_rows(&self) -> Vec<IndexRow> {
        let key = [self.expires_at.as_secs().to_be_bytes().as_slice(), &self.key()].concat();
        vec![IndexRow { tree: Tree::SessionsByExpiry, key, value: Vec::new() }]
    }

    fn listed(&self) -> Option<(Id, Vec<IdSet>)> {
        None
    }

    fn activity(&self) -> Option<Vec<u8>> {
        Some(activity::key_of(ActivitySubject::Session(self.owner, self.jti)))
    }
}
