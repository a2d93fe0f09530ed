//! Who a credential stands for, and why it passes or not where a service demands scopes: for the operator.

use super::{Local, ServiceError, demand};
use crate::{
    auth::{Authentication, TokenFlaw},
    clock::Timestamp,
    domain::{Id, Scope, User},
    secret::Secret,
    store::Tables,
};

/// The credential that is asked about.
#[derive(Debug)]
pub enum Asked {
    /// An API key or the token of a session.
    Token(Secret<String>),
    /// A session or the password of that account.
    Account(Id),
}

/// What is demanded of it.
#[derive(Debug)]
pub struct Demanded {
    /// The scopes, all of which are needed.
    pub scopes: Vec<Scope>,
    /// Whether the account must be an administrator.
    pub needs_administrator: bool,
}

/// What is known of the credential, and why it does not pass.
#[derive(Debug, Default)]
pub struct Explanation {
    /// The account, if that is known.
    pub user: Option<User>,
    /// The kind of the credential, and the rights that it gives, if it is good.
    pub authentication: Option<Authentication>,
    /// When it ends, if it does.
    pub ends: Option<Timestamp>,
    /// Why it does not pass, in the words of the refusal where clients read one; `None` if it passes.
    pub refusal: Option<String>,
}

/// Explains whether the credential passes. It is no use of it, and no attempt. From where it is presented is not considered.
///
/// # Errors
/// [`ServiceError::NotFound`] if there is no such account; [`ServiceError::Store`].
pub fn explain(local: &Local, asked: &Asked, demanded: &Demanded) -> Result<Explanation, ServiceError> {
    let authenticator = &local.state.authenticator;
    let examined = match asked {
        Asked::Token(text) => {
            authenticator.examine_token(text.expose())?.map(|token| (token.end(), token.user, token.authentication))
        }
        Asked::Account(id) => {
            local.state.store.user(*id)?.ok_or(ServiceError::NotFound)?;
            authenticator.active(*id)?.map(|user| (user.expired_at, user, Authentication::Password))
        }
    };
    let (ends, user, authentication) = match examined {
        Ok(good) => good,
        Err(flaw) => return flawed(local, flaw),
    };
    let satisfied = demand::satisfy(&user, &authentication, &demanded.scopes, demanded.needs_administrator);
    let refusal = satisfied.err().map(|forbidden| forbidden.to_string());
    Ok(Explanation { user: Some(user), authentication: Some(authentication), ends, refusal })
}

fn flawed(local: &Local, flaw: TokenFlaw) -> Result<Explanation, ServiceError> {
    let user = flaw.account().map(|id| local.state.store.user(id)).transpose()?.flatten();
    Ok(Explanation { user, refusal: Some(flaw.to_string()), ..Explanation::default() })
}
