//! What a caller may change of which account, whether or not the change would be valid.

use crate::{
    domain::{Submitted, User, UserChange},
    service::{Caller, Forbidden, ServiceError},
};

/// What the credential permits; the role is the account's, and is given with each question.
#[derive(Clone)]
pub(super) struct Rights {
    is_restricted: bool,
}

impl Rights {
    pub(super) fn of(caller: &Caller) -> Self {
        Self { is_restricted: caller.restricted_key().is_some() }
    }

    /// Refuses a restricted key on an administrator's account.
    pub(super) fn touch(&self, target: &User) -> Result<(), ServiceError> {
        if self.is_restricted && target.is_admin { Err(Forbidden::NEEDS_FULL_ACCESS.into()) } else { Ok(()) }
    }

    /// Refuses a change that `by` may not make to the target. An attribute with a violation counts as changed.
    pub(super) fn permit(
        &self,
        by: &User,
        target: &User,
        submitted: &Submitted<UserChange>,
    ) -> Result<(), ServiceError> {
        self.touch(target)?;
        let Submitted { change, violations } = submitted;
        let concern = |attributes: &[&str]| attributes.iter().any(|attribute| violations.concern(attribute));
        let changes_ids = change.user_id.differs_from(&target.user_id)
            || change.group_id.differs_from(&target.group_id)
            || concern(&["user_id", "group_id"]);
        let changes_role = change.is_admin.differs_from(&target.is_admin) || concern(&["is_admin"]);
        let changes_name = change.username.differs_from(&target.username) || concern(&["username"]);
        if self.is_restricted && (changes_ids || changes_role || changes_password(submitted)) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
        if !by.is_admin && (by.id != target.id || changes_ids || changes_role || changes_name) {
            return Err(Forbidden::Role.into());
        }
        Ok(())
    }
}

/// Whether a request asks for another password, be it a valid one or not.
pub(super) fn changes_password(submitted: &Submitted<UserChange>) -> bool {
    submitted.change.password.value().is_some() || submitted.violations.concern("password")
}
