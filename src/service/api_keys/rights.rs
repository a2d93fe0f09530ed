//! What an API key may give to others: nothing that it may not do itself, at no other time and from nowhere else.

use crate::{
    domain::{ApiKey, ApiKeyChange, Problem, Scope, Violations},
    service::{Forbidden, ServiceError},
};

/// What a new key may not be given by the key that makes it.
pub(super) fn beyond_of_new(own: Option<&ApiKey>, change: &ApiKeyChange) -> Violations {
    let Some(own) = own else { return Violations::none() };
    let mut violations = scopes_beyond(change, |scope| permits(own, scope));
    if let Some(Some(end)) = change.expires_at.value()
        && own.expires_at.is_some_and(|own| own < *end)
    {
        violations.add("expires_at", Problem::Invalid, Some(end.to_string()));
    }
    if let (Some(allowed), Some(Some(wanted))) = (&own.allowed_networks, change.allowed_networks.value())
        && !allowed.cover(wanted)
    {
        violations.add("allowed_networks", Problem::Invalid, None);
    }
    violations
}

/// What the current key may not be given by a limiting one: a later end at all, and anything new unless the whole key then
/// lies within the limiting one.
pub(super) fn beyond_of_change(limiting_key: Option<&ApiKey>, current: &ApiKey, change: &ApiKeyChange) -> Violations {
    let Some(own) = limiting_key else { return Violations::none() };
    let changed = change.clone().applied_to(current);
    // A key that may be used later or elsewhere would keep there what it is given.
    let reaches_beyond = changed.outlives(own) || !changed.is_within_networks_of(own);
    let may_be_given = |scope: &Scope| permits(own, scope) && (!reaches_beyond || permits(current, scope));
    let mut violations = scopes_beyond(change, may_be_given);
    if changed.outlives(current) {
        violations.add("expires_at", Problem::Invalid, changed.expires_at.map(|end| end.to_string()));
    }
    if reaches_beyond && !changed.is_within_networks_of(current) {
        violations.add("allowed_networks", Problem::Invalid, None);
    }
    violations
}

/// Refuses a limiting key that does not cover what the current one may do.
pub(super) fn refuse_uncovered(limiting_key: Option<&ApiKey>, current: &ApiKey) -> Result<(), ServiceError> {
    let is_covered = limiting_key.is_none_or(|own| own.scopes.cover(&current.scopes));
    if is_covered { Ok(()) } else { Err(Forbidden::Escalation.into()) }
}

/// Refuses a limiting key that would learn a value of a key beyond its own scopes, end or networks.
pub(super) fn refuse_rotation(limiting_key: Option<&ApiKey>, current: &ApiKey) -> Result<(), ServiceError> {
    let is_within = limiting_key.is_none_or(|own| current.is_within(own));
    if is_within { Ok(()) } else { Err(Forbidden::RotationBeyond.into()) }
}

fn permits(key: &ApiKey, scope: &Scope) -> bool {
    key.scopes.permit(scope.controller(), scope.action())
}

/// The first of the wanted scopes that may not be given.
fn scopes_beyond(change: &ApiKeyChange, may_be_given: impl Fn(&Scope) -> bool) -> Violations {
    let beyond = change.scopes.value().and_then(|wanted| wanted.iter().find(|scope| !may_be_given(scope)));
    let violation = |scope: &Scope| Violations::one("api_key_scopes", Problem::Invalid, Some(scope.to_string()));
    beyond.map_or_else(Violations::none, violation)
}
