//! What the store should be, in plain collections, and what can be seen of either.

use std::collections::BTreeMap;

use lodge::{
    clock::Timestamp,
    domain::{ApiKey, Configuration, Id, KeyDigest, Page, Session, User},
    store::{IdSet, PutError, Sequence, Slice, StoreError, Tables, Txn, engine::Tree, id_set},
};
use proptest::prelude::ProptestConfig;
use uuid::Uuid;

use crate::values;

/// The ids that histories use, on both sides of the borders between chunks of a list.
pub const IDS: [u32; 6] = [1, 2, 65_535, 65_536, 65_537, (1 << 31) - 1];
/// The names of users; some are one but for their case.
pub const USERNAMES: [&str; 6] = ["ann", "Ann", "ANN", "bob", "boB", "c"];
/// The keys of configurations; all are different.
pub const KEYS: [&str; 4] = ["theme", "Theme", "theme/dark", "t"];
/// How many different digests, and how many different `jti`s, histories use.
pub const DIFFERENT: u8 = 4;
/// The seconds at which sessions end.
pub const ENDS: std::ops::Range<u64> = 100..104;

/// One thing that a transaction does.
#[derive(Clone, Debug)]
pub enum Step {
    PutUser(User),
    SetAdministrator(Id, bool),
    RemoveUser(Id),
    PutConfiguration(Configuration),
    RemoveConfiguration(Id, Id),
    PutApiKey(ApiKey),
    RemoveApiKey(Id, Id),
    PutSession(Session),
    RemoveSession(Id, Uuid),
    RemoveSessions(Id),
    Next(Sequence),
    SetInitialAdministrator(Option<Id>),
}

/// Why a transaction changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    Asked,
    Taken(Tree),
    Store(String),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        Self::Store(format!("{error:?}"))
    }
}

impl From<PutError> for Undone {
    fn from(error: PutError) -> Self {
        match error {
            PutError::Taken(tree) => Self::Taken(tree),
            PutError::Store(error) => error.into(),
        }
    }
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Probe {
    pub pages: Vec<Page>,
    pub now: Timestamp,
    pub most: usize,
}

/// Everything that can be seen of a store.
#[derive(Debug, PartialEq)]
pub struct Seen {
    users: Vec<User>,
    users_by_username: Vec<User>,
    configurations: Vec<Configuration>,
    configurations_by_key: Vec<Configuration>,
    api_keys: Vec<ApiKey>,
    api_keys_by_digest: Vec<ApiKey>,
    sessions: Vec<Session>,
    sessions_of_owners: Vec<Session>,
    expired_sessions: Vec<(Id, Uuid)>,
    sessions_ending_after: Vec<(Id, Uuid)>,
    pages_of_users: Vec<Slice<User>>,
    pages_of_administrators: Vec<(Vec<Id>, u64)>,
    pages_of_configurations: Vec<Slice<Configuration>>,
    pages_of_api_keys: Vec<Slice<ApiKey>>,
    initial_administrator: Option<Id>,
}

/// The store as plain collections.
#[derive(Clone, Debug, Default)]
pub struct Model {
    users: BTreeMap<Id, User>,
    configurations: BTreeMap<(Id, Id), Configuration>,
    api_keys: BTreeMap<(Id, Id), ApiKey>,
    sessions: BTreeMap<(Id, Uuid), Session>,
    last_numbers: BTreeMap<&'static str, u64>,
    initial_administrator: Option<Id>,
}

/// Does the step to the store; records of unknown users are left alone. Returns the number that it got, if it asked for one.
pub fn perform(txn: &mut Txn<'_>, step: Step) -> Result<Option<u64>, Undone> {
    match step {
        Step::PutUser(user) => txn.put(&user)?,
        Step::SetAdministrator(id, is_admin) => {
            if let Some(user) = txn.user(id)? {
                txn.put(&User { is_admin, ..user })?;
            }
        }
        Step::RemoveUser(id) => {
            if let Some(user) = txn.user(id)? {
                txn.remove_user(&user)?;
            }
        }
        Step::PutConfiguration(configuration) if txn.user(configuration.owner)?.is_some() => txn.put(&configuration)?,
        Step::PutApiKey(api_key) if txn.user(api_key.owner)?.is_some() => txn.put(&api_key)?,
        Step::PutSession(session) if txn.user(session.owner)?.is_some() => txn.put(&session)?,
        Step::PutConfiguration(_) | Step::PutApiKey(_) | Step::PutSession(_) => {}
        Step::RemoveConfiguration(owner, id) => {
            if let Some(configuration) = txn.configuration(owner, id)? {
                txn.remove(&configuration)?;
            }
        }
        Step::RemoveApiKey(owner, id) => {
            if let Some(api_key) = txn.api_key(owner, id)? {
                txn.remove(&api_key)?;
            }
        }
        Step::RemoveSession(owner, jti) => {
            if let Some(session) = txn.session(owner, jti)? {
                txn.remove(&session)?;
            }
        }
        Step::RemoveSessions(owner) => txn.remove_owned::<Session>(owner)?,
        Step::Next(sequence) => return Ok(Some(txn.next_number(sequence)?)),
        Step::SetInitialAdministrator(id) => txn.set_initial_administrator(id),
    }
    Ok(None)
}

/// Everything that the probe sees of a store, or of a transaction.
pub fn seen(rows: &impl Tables, probe: &Probe) -> Result<Seen, StoreError> {
    let ids = IDS.map(values::id);
    let mut seen = Seen {
        users: some(ids.map(|id| rows.user(id)))?,
        users_by_username: some(USERNAMES.map(|name| rows.user_by_username(&name.to_ascii_lowercase())))?,
        configurations: Vec::new(),
        configurations_by_key: Vec::new(),
        api_keys: Vec::new(),
        api_keys_by_digest: some((0..DIFFERENT).map(|digest| rows.api_key_by_digest(KeyDigest([digest; 32]))))?,
        sessions: Vec::new(),
        sessions_of_owners: Vec::new(),
        expired_sessions: rows.expired_sessions(probe.now, probe.most)?,
        sessions_ending_after: rows.sessions_ending_after(probe.now, probe.most)?,
        pages_of_users: Vec::new(),
        pages_of_administrators: Vec::new(),
        pages_of_configurations: Vec::new(),
        pages_of_api_keys: Vec::new(),
        initial_administrator: rows.initial_administrator()?,
    };
    for owner in ids {
        seen.configurations.extend(some(ids.map(|id| rows.configuration(owner, id)))?);
        seen.configurations_by_key.extend(some(KEYS.map(|key| rows.configuration_by_key(owner, key)))?);
        seen.api_keys.extend(some(ids.map(|id| rows.api_key(owner, id)))?);
        seen.sessions.extend(some(jtis().map(|jti| rows.session(owner, jti)))?);
        seen.sessions_of_owners.extend(rows.sessions(owner)?);
    }
    for page in &probe.pages {
        seen.pages_of_users.push(rows.users(*page)?);
        seen.pages_of_administrators.push(id_set::page(rows, IdSet::Administrators, *page)?);
        for owner in ids {
            seen.pages_of_configurations.push(rows.configurations(owner, *page)?);
            seen.pages_of_api_keys.push(rows.api_keys(owner, *page)?);
        }
    }
    Ok(seen)
}

fn some<T>(found: impl IntoIterator<Item = Result<Option<T>, StoreError>>) -> Result<Vec<T>, StoreError> {
    found.into_iter().filter_map(Result::transpose).collect()
}

fn jtis() -> impl Iterator<Item = Uuid> {
    (0..DIFFERENT).map(|jti| Uuid::from_u128(jti.into()))
}

impl Model {
    /// Does the step; what it changed before an `Err` is for the caller to take back.
    pub fn perform(&mut self, step: Step) -> Result<Option<u64>, Undone> {
        match step {
            Step::PutUser(user) => return self.put_user(user),
            Step::SetAdministrator(id, is_admin) => {
                self.users.entry(id).and_modify(|user| user.is_admin = is_admin);
            }
            Step::RemoveUser(id) => self.remove_user(id),
            Step::PutConfiguration(configuration) => return self.put_configuration(configuration),
            Step::PutApiKey(api_key) => return self.put_api_key(api_key),
            Step::PutSession(session) => {
                if self.users.contains_key(&session.owner) {
                    self.sessions.insert((session.owner, session.jti), session);
                }
            }
            Step::RemoveConfiguration(owner, id) => drop(self.configurations.remove(&(owner, id))),
            Step::RemoveApiKey(owner, id) => drop(self.api_keys.remove(&(owner, id))),
            Step::RemoveSession(owner, jti) => drop(self.sessions.remove(&(owner, jti))),
            Step::RemoveSessions(owner) => self.sessions.retain(|(of, _), _| *of != owner),
            Step::Next(sequence) => {
                let last = self.last_numbers.entry(name(sequence)).or_default();
                *last += 1;
                return Ok(Some(*last));
            }
            Step::SetInitialAdministrator(id) => self.initial_administrator = id,
        }
        Ok(None)
    }

    fn put_user(&mut self, user: User) -> Result<Option<u64>, Undone> {
        let mut others = self.users.values().filter(|other| other.id != user.id);
        if others.any(|other| other.username.folded() == user.username.folded()) {
            return Err(Undone::Taken(Tree::UsersByUsername));
        }
        self.users.insert(user.id, user);
        Ok(None)
    }

    fn remove_user(&mut self, id: Id) {
        self.users.remove(&id);
        self.configurations.retain(|(owner, _), _| *owner != id);
        self.api_keys.retain(|(owner, _), _| *owner != id);
        self.sessions.retain(|(owner, _), _| *owner != id);
    }

    fn put_configuration(&mut self, configuration: Configuration) -> Result<Option<u64>, Undone> {
        let place = (configuration.owner, configuration.id);
        if !self.users.contains_key(&place.0) {
            return Ok(None);
        }
        let mut others = self.configurations.iter().filter(|(of, _)| of.0 == place.0 && **of != place);
        if others.any(|(_, other)| other.key == configuration.key) {
            return Err(Undone::Taken(Tree::ConfigurationsByKey));
        }
        self.configurations.insert(place, configuration);
        Ok(None)
    }

    fn put_api_key(&mut self, api_key: ApiKey) -> Result<Option<u64>, Undone> {
        let place = (api_key.owner, api_key.id);
        if !self.users.contains_key(&place.0) {
            return Ok(None);
        }
        let mut others = self.api_keys.iter().filter(|(of, _)| **of != place);
        if others.any(|(_, other)| other.digest == api_key.digest) {
            return Err(Undone::Taken(Tree::ApiKeysByDigest));
        }
        self.api_keys.insert(place, api_key);
        Ok(None)
    }

    /// How many records each tree of records has; a tree without any is left out.
    pub fn records(&self) -> BTreeMap<Tree, u64> {
        let counts = [
            (Tree::Users, self.users.len()),
            (Tree::Configurations, self.configurations.len()),
            (Tree::ApiKeys, self.api_keys.len()),
            (Tree::Sessions, self.sessions.len()),
        ];
        counts.into_iter().filter(|(_, count)| *count > 0).map(|(tree, count)| (tree, count as u64)).collect()
    }

    /// Everything that the probe sees of it.
    pub fn seen(&self, probe: &Probe) -> Seen {
        let users: Vec<_> = self.users.values().cloned().collect();
        let administrators: Vec<_> = users.iter().filter(|user| user.is_admin).map(|user| user.id).collect();
        let named = |name: &str| users.iter().find(|user| user.username.folded() == name.to_ascii_lowercase()).cloned();
        let digested = |digest| self.api_keys.values().find(|api_key| api_key.digest.0 == [digest; 32]).cloned();
        Seen {
            users_by_username: USERNAMES.into_iter().filter_map(named).collect(),
            configurations: self.configurations.values().cloned().collect(),
            configurations_by_key: IDS
                .iter()
                .flat_map(|owner| self.configurations_by_key(values::id(*owner)))
                .collect(),
            api_keys: self.api_keys.values().cloned().collect(),
            api_keys_by_digest: (0..DIFFERENT).filter_map(digested).collect(),
            sessions: self.sessions.values().cloned().collect(),
            sessions_of_owners: self.sessions.values().cloned().collect(),
            expired_sessions: self.sessions_by_end(probe, |end| end <= probe.now.as_secs()),
            sessions_ending_after: self.sessions_by_end(probe, |end| end > probe.now.as_secs()),
            pages_of_users: probe.pages.iter().map(|page| slice(&users, *page)).collect(),
            pages_of_administrators: probe.pages.iter().map(|page| part(&administrators, *page)).collect(),
            pages_of_configurations: pages_of_owners(probe, &self.configurations),
            pages_of_api_keys: pages_of_owners(probe, &self.api_keys),
            initial_administrator: self.initial_administrator,
            users,
        }
    }

    fn configurations_by_key(&self, owner: Id) -> Vec<Configuration> {
        let theirs = || self.configurations.values().filter(|configuration| configuration.owner == owner);
        let keyed = |key| theirs().find(|configuration| configuration.key.as_str() == key).cloned();
        KEYS.into_iter().filter_map(keyed).collect()
    }

    fn sessions_by_end(&self, probe: &Probe, is_meant: impl Fn(u64) -> bool) -> Vec<(Id, Uuid)> {
        let all = self.sessions.values().map(|session| (session.expires_at.as_secs(), session.owner, session.jti));
        let mut meant: Vec<_> = all.filter(|(end, ..)| is_meant(*end)).collect();
        meant.sort();
        meant.into_iter().take(probe.most).map(|(_, owner, jti)| (owner, jti)).collect()
    }
}

fn pages_of_owners<R: Clone>(probe: &Probe, records: &BTreeMap<(Id, Id), R>) -> Vec<Slice<R>> {
    let owned = |owner| records.iter().filter(move |(place, _)| place.0 == owner).map(|(_, record)| record.clone());
    let owners = IDS.map(values::id).map(|owner| owned(owner).collect::<Vec<_>>());
    probe.pages.iter().flat_map(|page| owners.iter().map(|records| slice(records, *page))).collect()
}

fn slice<R: Clone>(records: &[R], page: Page) -> Slice<R> {
    let (records, count) = part(records, page);
    Slice { records, count }
}

fn part<T: Clone>(whole: &[T], page: Page) -> (Vec<T>, u64) {
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    (whole.iter().skip(offset).take(page.limit).cloned().collect(), whole.len() as u64)
}

fn name(sequence: Sequence) -> &'static str {
    match sequence {
        Sequence::Users => "users",
        Sequence::Configurations => "configurations",
        Sequence::ApiKeys => "api keys",
        Sequence::Sessions => "sessions",
    }
}

/// So many times fewer cases than usual, because each is long.
pub fn one_case_in(number: u32) -> ProptestConfig {
    ProptestConfig { cases: ProptestConfig::default().cases / number, failure_persistence: None, ..Default::default() }
}
