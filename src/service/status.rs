//! The status of the server, with what is wrong where it runs.

use std::{collections::BTreeSet, time::Duration};

use super::{Administrator, AppState, ServiceError, Serving};
use crate::{
    clock::Reading,
    directory::store_in,
    doctor::{self, Account, Check, Finding, Severity},
    domain::Page,
    files::bytes_below,
    store::{StoreError, Tables, engine::Tree, integrity::Integrity},
};

/// The status of the server.
#[derive(Debug)]
pub struct Status {
    /// The addresses that it serves on, as URLs; none if it serves only this process.
    pub addresses: Vec<String>,
    /// When it began to serve.
    pub since: Option<Reading>,
    /// For how long it has been serving.
    pub uptime: Duration,
    /// How many users, configurations, API keys and sessions there are.
    pub records: [u64; 4],
    /// The size of the store's files.
    pub store_bytes: u64,
    /// How many accounts and addresses are locked out.
    pub locks: usize,
    /// What is wrong where it runs, without what concerns accounts.
    pub findings: Vec<Finding>,
}

/// The status of the server. Blocks, because it examines files.
///
/// # Errors
/// [`ServiceError::Store`] if the store cannot be read.
pub fn show(state: &AppState) -> Result<Status, ServiceError> {
    let serving = state.serving.get();
    let (now, since) = (state.clock.reading(), serving.map(|serving| serving.since));
    Ok(Status {
        addresses: serving.map(Serving::addresses).unwrap_or_default(),
        since,
        uptime: since.map(|since| now.monotonic.since(since.monotonic)).unwrap_or_default(),
        records: records(state)?,
        store_bytes: store_bytes(state),
        locks: state.authenticator.throttle.lockouts().len(),
        findings: serving.map(|serving| findings(serving, now)).unwrap_or_default(),
    })
}

fn records(state: &AppState) -> Result<[u64; 4], StoreError> {
    let rows = Integrity::stored(&state.store)?.unwrap_or_default().rows;
    let of = |tree| Tree::ALL.iter().position(|listed| *listed == tree).map_or(0, |place| rows[place]);
    Ok([Tree::Users, Tree::Configurations, Tree::ApiKeys, Tree::Sessions].map(of))
}

/// The size of the store's files; 0 in a process that serves itself alone. Blocks.
pub(super) fn store_bytes(state: &AppState) -> u64 {
    state.serving.get().map_or(0, |serving| bytes_below(&store_in(&serving.settings.data_dir)))
}

fn findings(Serving { settings, hashing, .. }: &Serving, now: Reading) -> Vec<Finding> {
    let mut findings = doctor::of_machine(&settings.data_dir, now.wall);
    findings.extend(doctor::of_settings(settings, now.wall));
    findings.extend(hashing.finding());
    findings
}

/// The accounts of a page that represent system users or groups; `None` after the last page. Blocks.
///
/// # Errors
/// [`ServiceError::Store`] if the store cannot be read.
pub fn accounts(state: &AppState, page: Page) -> Result<Option<Vec<Account>>, ServiceError> {
    let users = state.store.users(page)?.records;
    let accounts = users.iter().map(Account::from).filter(Account::has_ids);
    Ok((!users.is_empty()).then(|| accounts.collect()))
}

/// What is wrong with the system users and groups of these accounts.
pub async fn findings_about(administrator: &Administrator, accounts: Vec<Account>) -> Vec<Finding> {
    let ids = |id: fn(&Account) -> Option<u32>| accounts.iter().filter_map(id).collect::<BTreeSet<_>>().into_iter();
    let (uids, gids) = (ids(|account| account.user_id), ids(|account| account.group_id));
    match administrator.0.state.names.names(uids.collect(), gids.collect()).await {
        Ok(names) => doctor::accounts(&accounts, &names),
        Err(error) => {
            let problem = format!("the system users of the accounts cannot be looked up: {error}");
            vec![Finding::new(Severity::Warning, Check::Accounts, problem, "mend the name service of this system")]
        }
    }
}
