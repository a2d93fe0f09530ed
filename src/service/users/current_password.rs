//! The current password of users who change their own password or e-mail address, where the installation asks for it.

use super::{Author, Requester, ServiceError, rights::changes_password};
use crate::{
    auth::Principal,
    domain::{Id, PasswordHash, Problem, Submitted, User, UserChange, Violations},
};

/// Whether it is asked for, and which one has been confirmed.
pub(super) struct CurrentPassword {
    is_required: bool,
    confirmed: Option<PasswordHash>,
}

impl CurrentPassword {
    /// As the installation asks for it, and not confirmed.
    pub(super) fn of(requester: &Requester) -> Self {
        Self { is_required: requester.state.policy.require_current_password, confirmed: None }
    }

    /// Whether that change of `by` to the target needs it.
    pub(super) fn is_needed(&self, by: Author<'_>, target: &User, submitted: &Submitted<UserChange>) -> bool {
        let changes = changes_password(submitted) || submitted.change.email.differs_from(&target.email);
        self.is_required && by.is(target) && changes
    }

    /// The violation if it is needed and not given.
    pub(super) fn missing(&self, by: Author<'_>, target: &User, submitted: &Submitted<UserChange>) -> Violations {
        let is_given =
            submitted.change.current_password.value().is_some() || submitted.violations.concern("current_password");
        if is_given || !self.is_needed(by, target, submitted) {
            return Violations::none();
        }
        Violations::one("current_password", Problem::Blank, None)
    }

    /// The same, confirmed if the change of the caller's own account needs it.
    ///
    /// # Errors
    /// [`ServiceError::Invalid`] if it is wrong, [`ServiceError::Auth`] if it cannot be verified now.
    pub(super) async fn confirmed(
        self,
        requester: &Requester,
        id: Id,
        submitted: &Submitted<UserChange>,
    ) -> Result<Self, ServiceError> {
        let Some(given) = submitted.change.current_password.value() else { return Ok(self) };
        let Principal::Account(identity) = &requester.principal else { return Ok(self) };
        let user = &identity.user;
        if id != user.id || !self.is_needed(Author::Account(user), user, submitted) {
            return Ok(self);
        }
        if !requester.state.authenticator.confirm_password(user, given, identity.address).await? {
            return Err(wrong().into());
        }
        Ok(Self { confirmed: Some(user.password.clone()), ..self })
    }

    /// What forbids the change in the commit: it is needed and missing, or another one has been confirmed than the account has
    /// by now.
    pub(super) fn violations(&self, by: Author<'_>, target: &User, submitted: &Submitted<UserChange>) -> Violations {
        if self.confirmed.as_ref() == Some(&target.password) || !self.is_needed(by, target, submitted) {
            return Violations::none();
        }
        let missing = self.missing(by, target, submitted);
        if missing.is_empty() { wrong() } else { missing }
    }
}

fn wrong() -> Violations {
    Violations::one("current_password", Problem::Invalid, None)
}
