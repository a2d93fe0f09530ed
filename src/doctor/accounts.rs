//! The system users and groups that accounts represent.

use super::{Check, Finding, Severity};
use crate::{
    domain::{SystemId, User},
    system::SystemNames,
};

/// How many accounts the findings name; the others are counted.
const MAX_NAMED: usize = 20;

/// An account that represents a system user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub username: String,
    /// The system user's id.
    pub user_id: Option<u32>,
    /// The system's name of that id when the account was given it; `None` if it was not kept.
    pub system_name: Option<String>,
    /// The group's id.
    pub group_id: Option<u32>,
}

impl From<&User> for Account {
    fn from(user: &User) -> Self {
        let [user_id, group_id] = [user.user_id, user.group_id].map(|id| id.map(SystemId::get));
        let (username, system_name) = (user.username.as_str().to_owned(), user.system_name.clone());
        Self { username, user_id, system_name, group_id }
    }
}

impl Account {
    /// Whether it represents a system user or a group.
    #[must_use]
    pub fn has_ids(&self) -> bool {
        self.user_id.or(self.group_id).is_some()
    }
}

/// What is wrong with the system users and groups of these accounts.
#[must_use]
pub fn findings(accounts: &[Account], names: &SystemNames) -> Vec<Finding> {
    let mut found: Vec<_> = accounts.iter().flat_map(|account| of(account, names)).collect();
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    if let Some(first) = found.get(MAX_NAMED) {
        let problem = format!("{} more findings are about accounts", found.len() - MAX_NAMED);
        let more = Finding::new(first.severity, Check::Accounts, problem, "mend those above, and run this again");
        found.truncate(MAX_NAMED);
        found.push(more);
    }
    found
}

fn of(account: &Account, names: &SystemNames) -> Vec<Finding> {
    let name = &account.username;
    let missing = |what: &str, id: u32, owner: &str| {
        let problem = format!("the account `{name}` has the {what} {id}, which no {owner} of this system has");
        let advice =
            format!("give the account another {what}, or none; if the name service is of another machine, mend that");
        Finding::new(Severity::Warning, Check::Accounts, problem, advice)
    };
    let user = account.user_id.and_then(|id| match names.users.get(&id) {
        None => Some(missing("user_id", id, "user")),
        Some(current) => renamed(account, id, current),
    });
    let group = account.group_id.filter(|id| !names.groups.contains_key(id));
    user.into_iter().chain(group.map(|id| missing("group_id", id, "group"))).collect()
}

/// What is wrong with an id that the system knows under that name.
fn renamed(account: &Account, id: u32, current: &str) -> Option<Finding> {
    let name = &account.username;
    match &account.system_name {
        Some(kept) if kept == current => None,
        Some(kept) => {
            let problem = format!(
                "the account `{name}` has the user_id {id}, which was `{kept}` when it was given and is `{current}` now"
            );
            let advice = "if the id is another person's by now, give the account the right user_id, or none; otherwise set it \
                          to none and to this one again";
            Some(Finding::new(Severity::Warning, Check::Accounts, problem, advice))
        }
        None if current.eq_ignore_ascii_case(name) => None,
        None => {
            let problem = format!("the account `{name}` has the user_id {id}, which is `{current}` on this system");
            let advice = "if that is another person, give the account the right user_id, or none";
            Some(Finding::new(Severity::Note, Check::Accounts, problem, advice))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> SystemNames {
        let [users, groups] =
            [[(1000, "ann")], [(100, "users")]].map(|names| names.map(|(id, name)| (id, name.to_owned())).into());
        SystemNames { users, groups }
    }

    fn account(username: &str, user_id: Option<u32>, group_id: Option<u32>) -> Account {
        Account { username: username.to_owned(), user_id, system_name: None, group_id }
    }

    /// An account whose id had that name when it was given.
    fn given(username: &str, user_id: u32, system_name: &str) -> Account {
        Account { system_name: Some(system_name.to_owned()), ..account(username, Some(user_id), None) }
    }

    fn problems(account: Account) -> Vec<(Severity, String)> {
        findings(&[account], &names()).into_iter().map(|finding| (finding.severity, finding.problem)).collect()
    }

    #[test]
    fn ids_of_users_and_groups_that_exist_are_sound() {
        assert_eq!(problems(account("Ann", Some(1000), Some(100))), []);
        assert_eq!(problems(account("bob", None, None)), []);
    }

    #[test]
    fn ids_that_no_longer_exist_are_warned_of() {
        let user = "the account `bob` has the user_id 1001, which no user of this system has".to_owned();
        let group = "the account `bob` has the group_id 1001, which no group of this system has".to_owned();

        let found = problems(account("bob", Some(1001), Some(1001)));

        assert_eq!(found, [(Severity::Warning, user), (Severity::Warning, group)]);
    }

    #[test]
    fn an_id_with_another_name_is_a_note() {
        let problem = "the account `bob` has the user_id 1000, which is `ann` on this system".to_owned();

        assert_eq!(problems(account("bob", Some(1000), None)), [(Severity::Note, problem)]);
    }

    #[test]
    fn the_name_that_was_kept_counts_and_not_that_of_the_account() {
        assert_eq!(problems(given("anna.b", 1000, "ann")), []);

        let problem =
            "the account `ann` has the user_id 1000, which was `eve` when it was given and is `ann` now".to_owned();
        assert_eq!(problems(given("ann", 1000, "eve")), [(Severity::Warning, problem)]);
    }

    #[test]
    fn of_many_findings_the_worst_are_named_and_the_others_counted() {
        let mut accounts: Vec<_> = (0..20).map(|number| account(&format!("u{number}"), Some(1000), None)).collect();
        accounts.extend([account("bob", Some(7), None), account("eve", Some(8), None)]);

        let found = findings(&accounts, &names());

        let severities: Vec<_> = found.iter().map(|finding| finding.severity).collect();
        assert_eq!(severities, [vec![Severity::Warning; 2], vec![Severity::Note; 19]].concat());
        assert_eq!(found[20].problem, "2 more findings are about accounts");
    }
}
