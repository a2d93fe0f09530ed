//! The status of the server over HTTP.

use std::{cmp::Reverse, sync::Arc};

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    context::RequestContext,
    date_time::DateTime,
    description::Description,
    error::ApiError,
    input::Input,
    reply::{Shown, View},
    turns::{Client, run_aside},
};
use crate::{
    backup::schedule::LastBackup,
    doctor::{Check, Finding, Severity},
    domain::Page,
    service::{
        Administrator,
        status::{self, Status},
    },
};

/// The status of the server, with what is wrong where it runs.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "status")]
pub(super) struct StatusView {
    /// The server's version.
    version: &'static str,
    /// The addresses that it serves on.
    addresses: Vec<String>,
    /// When it began to serve.
    #[schemars(with = "DateTime")]
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<DateTime>,
    /// For how many seconds it has been serving.
    uptime_secs: u64,
    /// How many records there are.
    records: RecordsView,
    /// The last scheduled backup since the server started, if there was one.
    #[schemars(with = "LastBackupView")]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_backup: Option<LastBackupView>,
    /// How many accounts and addresses are locked out.
    locks: usize,
    /// The size of the store's files in bytes.
    store_bytes: u64,
    /// What is wrong where the server runs, the worst first.
    findings: Vec<FindingView>,
}

/// How many records there are.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct RecordsView {
    users: u64,
    configurations: u64,
    api_keys: u64,
    sessions: u64,
}

/// A scheduled backup.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct LastBackupView {
    /// When it began.
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// Whether it was written and read back, and still exists.
    succeeded: bool,
}

/// A fault or a danger, and its remedy.
#[derive(Serialize, JsonSchema)]
#[schemars(inline)]
struct FindingView {
    /// How bad it is: worth knowing, not safe or not for long, or an error.
    #[schemars(with = "String", extend("enum" = ["note", "warning", "error"]))]
    severity: Severity,
    /// What was examined.
    #[schemars(with = "String")]
    check: Check,
    /// What is wrong, with the name of the thing.
    problem: String,
    /// What to do.
    advice: String,
}

impl View for StatusView {}

impl From<Finding> for FindingView {
    fn from(Finding { severity, check, problem, advice }: Finding) -> Self {
        Self { severity, check, problem, advice }
    }
}

/// The last scheduled backup.
pub(super) struct LastScheduled(Option<LastBackup>);

impl Input for LastScheduled {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(Self(context.app.backups.last()))
    }

    fn describe(_: &mut Description) {}
}

pub(super) async fn show(
    administrator: Administrator,
    LastScheduled(last_backup): LastScheduled,
) -> Result<Shown<StatusView>, ApiError> {
    let (client, state) = (Client::from(&administrator.0.principal), Arc::clone(&administrator.0.state));
    let found = run_aside(client, move || status::show(&state)).await??;
    let of_accounts = of_accounts(&administrator).await?;
    let mut findings = [found.findings.clone(), of_accounts].concat();
    findings.sort_by_key(|finding| Reverse(finding.severity));
    Ok(Shown(view(found, last_backup, findings)))
}

/// Reads a page at a time, so that others have their turns meanwhile.
async fn of_accounts(administrator: &Administrator) -> Result<Vec<Finding>, ApiError> {
    let client = Client::from(&administrator.0.principal);
    let (mut accounts, mut offset) = (Vec::new(), 0);
    loop {
        let (state, page) = (Arc::clone(&administrator.0.state), Page { limit: Page::MAX, offset });
        let Some(found) = run_aside(client, move || status::accounts(&state, page)).await?? else { break };
        accounts.extend(found);
        offset += Page::MAX as u64;
    }
    Ok(status::findings_about(administrator, accounts).await)
}

fn view(status: Status, last_backup: Option<LastBackup>, findings: Vec<Finding>) -> StatusView {
    let [users, configurations, api_keys, sessions] = status.records;
    StatusView {
        version: env!("CARGO_PKG_VERSION"),
        addresses: status.addresses,
        started_at: status.since.map(|since| DateTime(since.wall)),
        uptime_secs: status.uptime.as_secs(),
        records: RecordsView { users, configurations, api_keys, sessions },
        last_backup: last_backup.map(|LastBackup { at, succeeded }| LastBackupView { at, succeeded }),
        locks: status.locks,
        store_bytes: status.store_bytes,
        findings: findings.into_iter().map(FindingView::from).collect(),
    }
}
