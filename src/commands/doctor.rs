//! `lodge doctor`: examines where a server runs, and what its accounts represent.

use std::{env, path::Path, thread};

use actix_web::rt::System;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::{Failure, access::Access, memory::MemoryPlan, on_store_of};
use crate::{
    clock::Clock,
    config::{ADMIN_PASSWORD, ServeArguments, Settings, SettingsError},
    directory::{DataDirectory, DirectoryError, store_in},
    doctor::{self, Account, Check, Finding, Hashing, Severity},
    domain::Page,
    error_chain::chain,
    logging::printable,
    memory_limit::memory_limit,
    output,
    store::Tables,
    system::{NameService, SystemNames},
};

pub(super) const EXAMPLES: &str = "Examples:
  lodge doctor --data-dir /var/lib/lodge
  lodge doctor --config /etc/lodge.toml --json

Exit codes:
  0  nothing was found, or notes alone
  3  there are warnings: the server works, but not safely, or not for long
  4  there are errors: the server does not start, or refuses what it should do";

#[derive(Args, Debug)]
pub(super) struct DoctorArguments {
    #[command(flatten)]
    pub(super) serve: ServeArguments,

    /// Prints the findings as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn doctor(arguments: &DoctorArguments) -> Result<(), Failure> {
    let mut findings = examine(arguments);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    if arguments.json {
        output::line(format_args!("{}", json!({"findings": findings})));
    } else {
        print(&findings);
    }
    let number = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    match [number(Severity::Error), number(Severity::Warning)] {
        [0, 0] => Ok(()),
        [errors, warnings] => Err(Failure::Findings { errors, warnings }),
    }
}

/// Prints the findings, each with what to do.
pub(super) fn print(findings: &[Finding]) {
    if findings.is_empty() {
        output::line(format_args!("nothing was found"));
    }
    for Finding { severity, problem, advice, .. } in findings {
        let severity = match severity {
            Severity::Note => "note:   ",
            Severity::Warning => "warning:",
            Severity::Error => "error:  ",
        };
        output::line(format_args!("{severity} {}", printable(problem)));
        output::line(format_args!("         {}", printable(advice)));
    }
}

fn examine(arguments: &DoctorArguments) -> Vec<Finding> {
    let (data_dir, now) = (arguments.serve.data_dir(), Clock::system().now());
    let mut findings = doctor::of_machine(&data_dir, now);
    match arguments.serve.settings(env::var(ADMIN_PASSWORD).ok()) {
        Ok(settings) => {
            findings.extend(doctor::of_settings(&settings, now));
            findings.extend(hashing(&settings).finding());
        }
        Err(error) => findings.extend(of_invalid(&error)),
    }
    findings.extend(of_accounts(&data_dir));
    findings
}

/// A finding for each invalid setting.
fn of_invalid(error: &SettingsError) -> Vec<Finding> {
    let advice = "correct the setting: `lodge serve` does not start with it";
    error.to_string().lines().map(|line| Finding::new(Severity::Error, Check::Settings, line, advice)).collect()
}

fn hashing(settings: &Settings) -> Hashing {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    match MemoryPlan::new(settings.into(), memory_limit(), cores) {
        Ok(plan) => plan.into(),
        Err(error) => {
            let (problem, advice) = (error.problem(), error.advice());
            Hashing::Impossible { problem, advice }
        }
    }
}

fn of_accounts(data_dir: &Path) -> Vec<Finding> {
    about_accounts(data_dir).unwrap_or_else(|failure| {
        let is_in_use = matches!(failure, Failure::Directory(DirectoryError::InUse(_)));
        let severity = if is_in_use { Severity::Warning } else { Severity::Error };
        let problem = format!("the accounts cannot be read: {}", chain(&failure));
        let advice = "run this as the server's user or as root; see `lodge verify`";
        vec![Finding::new(severity, Check::Accounts, problem, advice)]
    })
}

/// What the running server finds about its accounts, or what is found about those in the store if none runs.
fn about_accounts(data_dir: &Path) -> Result<Vec<Finding>, Failure> {
    if !store_in(data_dir).exists() {
        return Ok(Vec::new());
    }
    if let Some(access) = Access::to_running(data_dir)? {
        return of_running(&access);
    }
    let accounts = stored(data_dir)?;
    Ok(match names_of(&accounts) {
        Ok(names) => doctor::accounts(&accounts, &names),
        Err(problem) => {
            let advice = "mend the name service of this system (nsswitch.conf)";
            vec![Finding::new(Severity::Warning, Check::Accounts, problem, advice)]
        }
    })
}

/// Only the server knows the names that were kept with the accounts.
fn of_running(access: &Access) -> Result<Vec<Finding>, Failure> {
    #[derive(Deserialize)]
    struct Status {
        findings: Vec<Finding>,
    }
    let Status { findings } = access.request("GET", "/status", None)?.json().map_err(Failure::Asked)?;
    Ok(findings.into_iter().filter(|finding| finding.check == Check::Accounts).collect())
}

/// The names of the system users and groups that the accounts represent.
fn names_of(accounts: &[Account]) -> Result<SystemNames, String> {
    let uids = accounts.iter().filter_map(|account| account.user_id).collect();
    let gids = accounts.iter().filter_map(|account| account.group_id).collect();
    let found = System::new().block_on(NameService::start().names(uids, gids));
    found.map_err(|error| format!("the system users of the accounts cannot be looked up: {error}"))
}

/// The accounts of a store that no server uses.
fn stored(data_dir: &Path) -> Result<Vec<Account>, Failure> {
    let directory = DataDirectory::take_unchanged(data_dir)?;
    on_store_of(&directory, |store| {
        all_pages(|page| Ok(store.users(page)?.records.iter().map(Account::from).collect()))
    })
}

/// The accounts of all pages that represent a system user or a group.
fn all_pages(mut page_of: impl FnMut(Page) -> Result<Vec<Account>, Failure>) -> Result<Vec<Account>, Failure> {
    let (mut accounts, mut offset) = (Vec::new(), 0);
    loop {
        let page = page_of(Page { limit: Page::MAX, offset })?;
        offset += page.len() as u64;
        let is_last = page.len() < Page::MAX;
        accounts.extend(page.into_iter().filter(Account::has_ids));
        if is_last {
            return Ok(accounts);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_read_and_only_accounts_with_ids_are_kept() {
        let account = |number: u64| Account {
            username: format!("u{number}"),
            user_id: number.is_multiple_of(1000).then_some(7),
            system_name: None,
            group_id: (number == 1).then_some(8),
        };
        let mut offsets = Vec::new();

        let found = all_pages(|page| {
            offsets.push(page.offset);
            Ok((page.offset..2500.min(page.offset + page.limit as u64)).map(account).collect())
        });

        assert_eq!(found.unwrap(), [0, 1, 1000, 2000].map(account));
        assert_eq!(offsets, [0, 1000, 2000]);
    }
}
