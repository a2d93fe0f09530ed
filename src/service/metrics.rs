//! The metrics of the server: what was counted, and what can be read now.

use super::{AppState, ServiceError, status::store_bytes};
use crate::{
    clock::Timestamp,
    domain::{Action, Outcome},
    metrics::{Answered, Families, Labels, ListenerReadings},
    store::{engine::Tree, integrity::Integrity},
};

/// The attempts whose refusals are counted.
const ATTEMPTS: [Action; 3] = [Action::SignIn, Action::CheckCredential, Action::UpdateUser];

/// The metrics as text; `newest_backup` is when the newest scheduled backup was begun. Blocks, because it examines files.
///
/// # Errors
/// [`ServiceError::Store`] if the store cannot be read.
pub fn metrics_of(state: &AppState, newest_backup: Option<Timestamp>) -> Result<String, ServiceError> {
    let mut families = Families::default();
    families.info("build", "The version of the server.", vec![("version", env!("CARGO_PKG_VERSION"))]);
    requests(&mut families, &state.metrics.answered());
    listeners(&mut families, &state.metrics.listeners());
    store(&mut families, state)?;
    passwords(&mut families, state);
    ends(&mut families, state, newest_backup);
    Ok(families.into_text())
}

fn requests(families: &mut Families, answered: &[Answered]) {
    let by_status = answered
        .iter()
        .map(|each| (vec![("operation", each.endpoint), ("status", each.status)], each.durations.count()));
    families.counter("http_requests", "Requests that were answered, by operation and status.", by_status);
    let by_class = answered.chunk_by(|a, b| (a.endpoint, a.class()) == (b.endpoint, b.class())).map(|equal| {
        let mut durations = equal[0].durations.clone();
        equal[1..].iter().for_each(|more| durations.add(&more.durations));
        (vec![("operation", equal[0].endpoint), ("status", equal[0].class())], durations)
    });
    let help = "How long requests took until the response was made, by operation and class of status.";
    families.histogram("http_request_seconds", help, by_class);
}

fn listeners(families: &mut Families, listeners: &[ListenerReadings]) {
    let each = |read: fn(&ListenerReadings) -> usize| {
        listeners.iter().map(move |listener| (vec![("listener", listener.name)], read(listener) as u64))
    };
    families.gauge("connections", "Connections that are served.", each(|listener| (listener.connections)()));
    families.gauge(
        "connections_max",
        "Connections that may be served at once.",
        each(|listener| listener.max_connections),
    );
    let help = "Memory in use for large bodies and responses.";
    families.gauge("memory_budget_used_bytes", help, each(|listener| (listener.memory_used)()));
    let help = "Memory for large bodies and responses; requests beyond it get 503.";
    families.gauge("memory_budget_bytes", help, each(|listener| listener.memory_bytes));
}

fn store(families: &mut Families, state: &AppState) -> Result<(), ServiceError> {
    let counted = state.store.commit_metrics();
    let help = "How many writes were committed together.";
    families.histogram("commit_group_writes", help, [(Labels::new(), counted.group_sizes.counts())]);
    let help = "How long commits took, from the first write until all were durable.";
    families.histogram("commit_seconds", help, [(Labels::new(), counted.durations.counts())]);
    let syncs = state.store.sync_durations().map(|durations| (Labels::new(), durations));
    families.histogram("sync_seconds", "How long the syncs of the disk took.", syncs);
    let rows = Integrity::stored(&state.store)?.unwrap_or_default().rows;
    let rows = Tree::ALL.iter().zip(rows).map(|(tree, rows)| (vec![("table", tree.name())], rows));
    families.gauge("rows", "Rows in the store, by table.", rows);
    families.gauge("store_bytes", "The size of the store's files.", [(Labels::new(), store_bytes(state))]);
    Ok(())
}

fn passwords(families: &mut Families, state: &AppState) {
    let load = state.authenticator.hasher.load();
    families.gauge("password_hashes_waiting", "Password hashes that wait for their turn.", one(load.waiting as u64));
    families.gauge("password_hashes_running", "Password hashes that are being computed.", one(load.running as u64));
    let help = "Password hashes that were refused because they could not begin in time.";
    families.counter("password_hashes_refused", help, one(load.refused));
    let of = |action: Action, outcome: Outcome, label| {
        (vec![("action", action.name()), ("outcome", label)], state.audit.refusals(action, outcome))
    };
    let refusals = ATTEMPTS
        .into_iter()
        .flat_map(|action| [of(action, Outcome::Refused, "refused"), of(action, Outcome::HadToWait, "had_to_wait")]);
    families.counter("failed_attempts", "Attempts with a wrong credential, and those during a lockout.", refusals);
    let lockouts = state.authenticator.throttle.lockouts().len();
    families.gauge("lockouts", "Accounts and addresses that are locked out.", one(lockouts as u64));
}

fn ends(families: &mut Families, state: &AppState, newest_backup: Option<Timestamp>) {
    let now = state.clock.now();
    let age = newest_backup.map(|at| (now.as_millis().saturating_sub(at.as_millis())) / 1000);
    let help = "How long ago the newest scheduled backup that exists was begun.";
    families.gauge("backup_age_seconds", help, age.into_iter().flat_map(one));
    let certificate = state.serving.get().and_then(|serving| serving.certificate.as_ref()?.end());
    let help = "When the served certificate ends, as Unix time.";
    families.gauge(
        "certificate_end_timestamp_seconds",
        help,
        certificate.map(Timestamp::as_secs).into_iter().flat_map(one),
    );
}

/// A sample without labels.
fn one(value: u64) -> [(Labels, u64); 1] {
    [(Labels::new(), value)]
}
