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
        let changes = Changes::of(submitted, target);
        if self.is_restricted && (changes.what_administrators_may || changes.email || changes_password(submitted)) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
        if !by.is_admin && (by.id != target.id || changes.what_administrators_may) {
            return Err(Forbidden::Role.into());
        }
        Ok(())
    }
}

/// What a request asks to change, beside the password.
struct Changes {
    email: bool,
    /// Name, ids, role, end and source.
    what_administrators_may: bool,
}

impl Changes {
    fn of(submitted: &Submitted<UserChange>, target: &User) -> Self {
        let Submitted { change, violations } = submitted;
        let differing = [
            ("username", change.username.differs_from(&target.username)),
            ("user_id", change.user_id.differs_from(&target.user_id)),
            ("group_id", change.group_id.differs_from(&target.group_id)),
            ("is_admin", change.is_admin.differs_from(&target.is_admin)),
            ("expired_at", change.expired_at.differs_from(&target.expired_at)),
            ("source_type", change.source_type.differs_from(&target.source_type)),
        ];
        let is_changed = |(attribute, differs): (&str, bool)| differs || violations.concern(attribute);
        Self {
            email: is_changed(("email", change.email.differs_from(&target.email))),
            what_administrators_may: differing.into_iter().any(is_changed),
        }
    }
}

/// Whether a request asks for another password, be it a valid one or not.
pub(super) fn changes_password(submitted: &Submitted<UserChange>) -> bool {
    submitted.change.password.value().is_some() || submitted.violations.concern("password")
}
