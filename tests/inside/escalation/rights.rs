//! What the keys of the start cover, and whether anything has gone beyond it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use lodge::{
    api::operations::OPERATIONS,
    auth::Authentication,
    clock::Timestamp,
    domain::{ApiKey, Configuration, Id, Scopes, User},
};

use super::world::{ACCOUNTS, World, everything};

/// Every operation's controller, `files`, and `other` for all that no scope names, so that only `*` covers it.
static CONTROLLERS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| OPERATIONS.iter().map(|row| row.controller).chain(["files", "other"]).collect());
/// Every operation's action, and `other` likewise.
static ACTIONS: LazyLock<BTreeSet<&str>> =
    LazyLock::new(|| OPERATIONS.iter().map(|row| row.action).chain(["other"]).collect());

/// What may be done for whom, and until when.
type Rights = BTreeMap<(Id, &'static str, &'static str), Timestamp>;

const FOR_EVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// Everything that the attacker may come to, computed from the start alone.
pub struct Bounds {
    /// What the keys that are held permit together. Limited keys make only keys within their own scopes and end, so this is also
    /// what they can come to; full access without an end includes the password.
    rights: Rights,
    users: Vec<User>,
    configurations: Vec<Configuration>,
    api_keys: Vec<ApiKey>,
}

fn rights_of(owner: Id, scopes: &Scopes, end: Option<Timestamp>) -> Rights {
    let end = end.unwrap_or(FOR_EVER);
    let all = CONTROLLERS.iter().flat_map(|controller| ACTIONS.iter().map(|action| (*controller, *action)));
    let permitted = all.filter(|(controller, action)| scopes.permit(controller, action));
    permitted.map(|(controller, action)| ((owner, controller, action), end)).collect()
}

fn full_rights(owner: Id) -> Rights {
    rights_of(owner, &Scopes::new(vec![lodge::domain::Scope::everything()]).unwrap(), None)
}

impl Bounds {
    pub fn of(world: &World) -> Self {
        let (users, configurations, api_keys) = everything(&world.test_app.store);
        let mut rights = Rights::new();
        for key in api_keys
            .iter()
            .filter(|key| world.held.contains(&world.test_app.state.authenticator.api_keys.shown_key(key, true)))
        {
            for (right, end) in rights_of(key.owner, &key.scopes, key.expires_at) {
                let known = rights.entry(right).or_insert(end);
                *known = end.max(*known);
            }
        }
        Self { rights, users, configurations, api_keys }
    }

    /// What the world has beyond these bounds, one sentence each.
    pub async fn broken_by(&self, world: &World) -> Vec<String> {
        let (users, configurations, api_keys) = everything(&world.test_app.store);
        let mut beyond = Vec::new();
        for held in &world.held {
            beyond.extend(self.rights_beyond(world, held).await);
        }
        beyond
            .extend(self.users.iter().filter_map(|was| self.account_beyond(was, find(&users, |user| user.id, was.id))));
        beyond.extend(users.iter().filter_map(|user| self.newcomer_beyond(user)));
        let is_there = |owner| users.iter().any(|user| user.id == owner);
        for was in self.api_keys.iter().filter(|was| is_there(was.owner)) {
            beyond.extend(self.key_beyond(was, find(&api_keys, |key| key.id, was.id)));
        }
        beyond.extend(api_keys.iter().filter_map(|key| self.reach_beyond(key)));
        for was in self.configurations.iter().filter(|was| is_there(was.owner)) {
            let is = find(&configurations, |configuration| configuration.id, was.id);
            let action = if is.is_some() { "update" } else { "destroy" };
            let may = is == Some(was)
                || self.has(was.owner, "configurations", action)
                || self.administers(was.owner, "user_configurations", action);
            beyond.extend((!may).then(|| format!("{was:?} has become {is:?}")));
        }
        for new in configurations.iter().filter(|new| !self.configurations.iter().any(|was| was.id == new.id)) {
            let may = !is_old(new.owner)
                || self.has(new.owner, "configurations", "create")
                || self.administers(new.owner, "user_configurations", "create");
            beyond.extend((!may).then(|| format!("{new:?} has come")));
        }
        beyond
    }

    /// The rights that a credential yields over accounts of the start, beyond those of the start.
    async fn rights_beyond(&self, world: &World, held: &str) -> Option<String> {
        let caller = world.caller(&held.to_owned()).await?;
        let obtained = match &caller.authentication {
            Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_) => {
                full_rights(caller.user.id)
            }
            Authentication::ApiKey(key) => rights_of(key.owner, &key.scopes, key.expires_at),
        };
        let gained = self.beyond(&obtained, &Rights::new());
        (is_old(caller.user.id) && !gained.is_empty()).then(|| format!("{held} yields {gained:?}"))
    }

    fn account_beyond(&self, was: &User, is: Option<&User>) -> Option<String> {
        let Some(is) = is else {
            return (!self.administers(was.id, "users", "destroy"))
                .then(|| format!("{} is gone", was.username.as_str()));
        };
        let owns = self.rights.get(&(was.id, "other", "other")) == Some(&FOR_EVER);
        let keeps_rules = (is.is_admin, is.user_id, is.group_id) == (was.is_admin, was.user_id, was.group_id)
            && (is.password == was.password || owns)
            && is.username == was.username
            && (is.email == was.email || owns);
        (!keeps_rules).then(|| format!("{was:?} has become {is:?}"))
    }

    /// Fresh accounts are standard ones that stand for nobody of the system's own and take no place of an account of the
    /// start, made by a caller who may make any.
    fn newcomer_beyond(&self, user: &User) -> Option<String> {
        let may_be_made = || {
            let mut administrators = self.users.iter().filter(|user| user.is_admin);
            administrators.any(|administrator| self.has(administrator.id, "users", "create"))
        };
        let is_of_system = [user.user_id, user.group_id].iter().flatten().any(|id| id.get() < 1000);
        let takes_place = self.users.iter().any(|was| {
            was.username.folded() == user.username.folded() || (user.user_id.is_some() && was.user_id == user.user_id)
        });
        let keeps_rules = is_old(user.id) || (!user.is_admin && !is_of_system && !takes_place && may_be_made());
        (!keeps_rules).then(|| format!("{user:?} has come"))
    }

    /// Keys beyond what is held stay as they were.
    fn key_beyond(&self, was: &ApiKey, is: Option<&ApiKey>) -> Option<String> {
        let is_covered = |action| {
            let scopes = rights_of(was.owner, &was.scopes, None);
            self.has(was.owner, "api_keys", action) && scopes.keys().all(|right| self.rights.contains_key(right))
        };
        // A key without scopes is covered by every other one; a key may go with the account.
        let is_administered = |action| {
            (is.is_none() || was.scopes.iter().next().is_none()) && self.administers(was.owner, "user_api_keys", action)
        };
        let may = |action| is_covered(action) || is_administered(action);
        (!actions(was, is).into_iter().all(may)).then(|| format!("{was:?} has become {is:?}"))
    }

    /// No key, known to the attacker or not, permits more than it did, or else more than the keys that are held.
    fn reach_beyond(&self, key: &ApiKey) -> Option<String> {
        let was = find(&self.api_keys, |was| was.id, key.id);
        let had = was.map(|was| rights_of(was.owner, &was.scopes, was.expires_at)).unwrap_or_default();
        let gained = self.beyond(&rights_of(key.owner, &key.scopes, key.expires_at), &had);
        let may_be_there = was.is_some()
            || self.has(key.owner, "api_keys", "create")
            || self.administers(key.owner, "user_api_keys", "create");
        let keeps_rules = !is_old(key.owner) || (may_be_there && gained.is_empty());
        (!keeps_rules).then(|| format!("{key:?} has gained {gained:?}"))
    }

    /// What is obtained beyond the bounds and what was had otherwise.
    fn beyond(&self, obtained: &Rights, had: &Rights) -> Rights {
        let end = |rights: &Rights, right| rights.get(right).copied().unwrap_or(Timestamp::from_millis(0));
        let is_beyond = |right, until: &Timestamp| *until > end(&self.rights, right).max(end(had, right));
        obtained
            .iter()
            .filter(|(right, until)| is_beyond(*right, until))
            .map(|(right, until)| (*right, *until))
            .collect()
    }

    /// Whether an administrator's keys permit it on that standard account of the start.
    fn administers(&self, owner: Id, controller: &'static str, action: &'static str) -> bool {
        let is_standard = self.users.iter().any(|user| user.id == owner && !user.is_admin);
        is_standard && self.users.iter().any(|user| user.is_admin && self.has(user.id, controller, action))
    }

    fn has(&self, owner: Id, controller: &'static str, action: &'static str) -> bool {
        self.rights.contains_key(&(owner, controller, action))
    }
}

/// What has been done with the key.
fn actions(was: &ApiKey, is: Option<&ApiKey>) -> Vec<&'static str> {
    let Some(is) = is else { return vec!["destroy"] };
    let ApiKey { identifier, digest, last_four, former_value, .. } = is.clone();
    let value = if digest == was.digest && former_value.is_none() { "destroy_former_value" } else { "rotate" };
    let rotated = ApiKey { identifier, digest, last_four, former_value, ..was.clone() };
    let actions = [(rotated != *was).then_some(value), (rotated != *is).then_some("update")];
    actions.into_iter().flatten().collect()
}

/// Whether the account is one of the start.
fn is_old(id: Id) -> bool {
    id.get() as usize <= ACCOUNTS.len()
}

fn find<R>(records: &[R], id_of: impl Fn(&R) -> Id, id: Id) -> Option<&R> {
    records.iter().find(|record| id_of(record) == id)
}
