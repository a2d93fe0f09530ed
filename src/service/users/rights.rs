//! The rights to change accounts, which do not depend on whether a change is valid.

use crate::{
    clock::Timestamp,
    domain::{AccountIdentifier, Problem, Submitted, SystemId, User, UserChange, Username, Violations},
    service::{Author, Forbidden, Requester, ServiceError},
    store::{StoreError, Tables, used_identifiers::is_used},
};

/// The rights of a credential; the caller's role is passed with each check.
#[derive(Clone)]
pub(super) struct Rights {
    /// By an API key without full access.
    is_restricted: bool,
    /// By an API key that is restricted, ends or is bound to networks.
    is_limited: bool,
}

impl Rights {
    pub(super) fn of(requester: &Requester) -> Self {
        Self { is_restricted: requester.restricted_key().is_some(), is_limited: requester.limited_key().is_some() }
    }

    /// Refuses a restricted key on an administrator's account.
    pub(super) fn touch(&self, target: &User) -> Result<(), ServiceError> {
        if self.is_restricted && target.is_admin { Err(Forbidden::NEEDS_FULL_ACCESS.into()) } else { Ok(()) }
    }

    /// Refuses to a limited key what would outlive it and work from elsewhere: another way in, or another administrator.
    pub(super) fn refuse_lasting(&self, is_lasting: bool) -> Result<(), ServiceError> {
        if self.is_limited && is_lasting { Err(Forbidden::Limited.into()) } else { Ok(()) }
    }

    /// The violations of a limited key that creates an account: ids of system accounts, and identifiers that another
    /// account has or had, which the new one would impersonate.
    pub(super) fn conflicts_of_new(&self, rows: &impl Tables, change: &UserChange) -> Result<Violations, StoreError> {
        if !self.is_limited {
            return Ok(Violations::none());
        }
        // A name that an account currently has is a conflict for every caller, found elsewhere.
        let mut username = change.username.value();
        if let Some(name) = username
            && rows.user_by_username(&name.folded())?.is_some()
        {
            username = None;
        }
        let user_id = change.user_id.value().copied().flatten().filter(|id| *id >= SystemId::FIRST_OF_PEOPLE);
        Ok(system_ids(change).and(self.used(rows, username, user_id)?))
    }

    /// The violations of a limited key that gives a new account an identifier that another one has or had.
    pub(super) fn used(
        &self,
        rows: &impl Tables,
        username: Option<&Username>,
        user_id: Option<SystemId>,
    ) -> Result<Violations, StoreError> {
        let mut violations = Violations::none();
        if !self.is_limited {
            return Ok(violations);
        }
        if let Some(name) = username
            && is_used(rows, &AccountIdentifier::of_name(name))?
        {
            violations.add("username", Problem::Taken, Some(name.as_str().to_owned()));
        }
        if let Some(id) = user_id
            && is_used(rows, &AccountIdentifier::SystemUser(id))?
        {
            violations.add("user_id", Problem::Taken, Some(id.get().to_string()));
        }
        Ok(violations)
    }

    /// Refuses a change that `by` may not make to the target. An attribute with a violation counts as changed.
    pub(super) fn permit(
        &self,
        by: Author<'_>,
        target: &User,
        submitted: &Submitted<UserChange>,
    ) -> Result<(), ServiceError> {
        self.touch(target)?;
        let changes = Changes::of(submitted, target);
        if self.is_restricted && (changes.what_administrators_may || changes.email || changes_password(submitted)) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
        let is_lasting = changes.who_it_is || changes.email || changes_password(submitted);
        self.refuse_lasting(is_lasting || reinstates(&submitted.change, target))?;
        if !by.is_administrator() && (!by.is(target) || changes.what_administrators_may) {
            return Err(Forbidden::Role.into());
        }
        Ok(())
    }
}

/// The violations of ids that a limited key may not give: those of system accounts, whose groups may be equivalent
/// to root.
fn system_ids(change: &UserChange) -> Violations {
    let mut violations = Violations::none();
    for (attribute, id) in [("user_id", &change.user_id), ("group_id", &change.group_id)] {
        let id = id.value().copied().flatten();
        if id.is_some_and(|id| id < SystemId::FIRST_OF_PEOPLE) {
            let problem = Problem::GreaterThanOrEqualTo(i64::from(SystemId::FIRST_OF_PEOPLE.get()));
            violations.add(attribute, problem, None);
        }
    }
    violations
}

/// What a request changes besides the password.
struct Changes {
    email: bool,
    /// Name, ids and role.
    who_it_is: bool,
    /// Name, ids, role, suspension, end and source.
    what_administrators_may: bool,
}

impl Changes {
    fn of(submitted: &Submitted<UserChange>, target: &User) -> Self {
        let Submitted { change, violations } = submitted;
        let who_it_is = [
            ("username", change.username.differs_from(&target.username)),
            ("user_id", change.user_id.differs_from(&target.user_id)),
            ("group_id", change.group_id.differs_from(&target.group_id)),
            ("is_admin", change.is_admin.differs_from(&target.is_admin)),
        ];
        let others = [
            ("suspended", change.suspended.differs_from(&target.suspended)),
            ("expired_at", change.expired_at.differs_from(&target.expired_at)),
            ("source_type", change.source_type.differs_from(&target.source_type)),
        ];
        let is_changed = |(attribute, differs): (&str, bool)| differs || violations.concern(attribute);
        let who_it_is = who_it_is.into_iter().any(is_changed);
        Self {
            email: is_changed(("email", change.email.differs_from(&target.email))),
            who_it_is,
            what_administrators_may: who_it_is || others.into_iter().any(is_changed),
        }
    }
}

/// Whether a change makes valid what is not, or for longer.
fn reinstates(change: &UserChange, target: &User) -> bool {
    let lifts = target.suspended && change.suspended.differs_from(&target.suspended);
    let is_longer = |end: &Option<Timestamp>| target.expired_at.is_some_and(|now| end.is_none_or(|end| end > now));
    lifts || change.expired_at.value().is_some_and(is_longer)
}

/// Whether a request asks for another password, valid or not.
pub(super) fn changes_password(submitted: &Submitted<UserChange>) -> bool {
    submitted.change.password.value().is_some() || submitted.violations.concern("password")
}
