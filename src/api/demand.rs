//! What the query of a request for forward authentication demands of the caller.
//!
//! Whoever configures the proxy writes it. What cannot be understood admits nobody, so that a typing error never opens.

use thiserror::Error;

use super::query;
use crate::domain::Scope;

/// The maximum number of scopes that are demanded together.
const MAX_SCOPES: usize = 16;
/// The value of `errors` with which every refusal but 401 is 403.
const FORBIDDEN_ALONE: &str = "403";

/// What a caller must have to be admitted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Demand {
    /// The scopes, all of which are needed; none if any valid credential is enough.
    pub(super) scopes: Vec<Scope>,
    /// Whether the account must be an administrator.
    pub(super) needs_administrator: bool,
    /// Whether a browser without a credential is redirected to the page to sign in at.
    pub(super) redirects: bool,
}

/// Why a query cannot be understood, in a sentence for the client and the log, without any of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Misconfigured {
    #[error("The proxy asks with an unknown or repeated parameter, or an unknown value of one.")]
    Parameter,
    #[error("The proxy asks with a scope that is not of the form controller/action.")]
    Malformed,
    #[error("The proxy asks without a scope.")]
    NoScope,
    #[error("The proxy asks for any scope and for a certain one.")]
    Contradictory,
    #[error("The proxy asks for more than {MAX_SCOPES} scopes.")]
    TooManyScopes,
    #[error("The proxy asks for redirects, and understands none.")]
    Redirect,
}

impl Demand {
    /// Parses a query, which has no parameters but `scope`, `role`, `errors`, `redirect` and `aud`.
    ///
    /// # Errors
    /// [`Misconfigured`] unless it can mean one thing only.
    pub(super) fn parse(query: &str) -> Result<Self, Misconfigured> {
        let (mut scopes, mut takes_any) = (Vec::new(), false);
        let (mut roles, mut errors, mut redirects) = (0, 0, 0);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match (&*name, &*value) {
                ("scope", "any") => takes_any = true,
                ("scope", text) => scopes.push(parse_scope(text).ok_or(Misconfigured::Malformed)?),
                ("role", "administrator") => roles += 1,
                ("errors", FORBIDDEN_ALONE) => errors += 1,
                // What is wrong with it closes nothing: there is no assertion then.
                ("aud", _) => {}
                ("redirect", "1") => redirects += 1,
                _ => return Err(Misconfigured::Parameter),
            }
        }
        match (scopes.len(), takes_any) {
            _ if roles > 1 || errors > 1 || redirects > 1 => Err(Misconfigured::Parameter),
            _ if errors + redirects > 1 => Err(Misconfigured::Redirect),
            (0, false) => Err(Misconfigured::NoScope),
            (1.., true) => Err(Misconfigured::Contradictory),
            (count, _) if count > MAX_SCOPES => Err(Misconfigured::TooManyScopes),
            _ => Ok(Self { scopes, needs_administrator: roles == 1, redirects: redirects == 1 }),
        }
    }
}

/// Whether a query asks that every refusal but 401 is 403, whatever else it has.
pub(super) fn wants_forbidden_alone(query: &str) -> bool {
    query::has(query, "errors", FORBIDDEN_ALONE)
}

fn parse_scope(text: &str) -> Option<Scope> {
    let (controller, action) = text.split_once('/')?;
    Scope::parse(controller, action).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demanded(query: &str) -> (Vec<String>, bool) {
        let demand = Demand::parse(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        (demand.scopes.iter().map(ToString::to_string).collect(), demand.needs_administrator)
    }

    #[test]
    fn scopes_are_repeated_and_a_role_and_the_form_of_errors_may_stand_beside_them() {
        let index = vec!["files / index".to_owned()];
        assert_eq!(demanded("scope=files/index"), (index.clone(), false));
        assert_eq!(demanded("scope=files%2Findex&"), (index.clone(), false));
        assert_eq!(demanded("role=administrator&scope=files/index&errors=403"), (index, true));
        let both = vec!["files / index".to_owned(), "media / *".to_owned()];
        assert_eq!(demanded("scope=files/index&scope=media/*"), (both, false));
        assert_eq!(demanded("scope=any"), (vec![], false));
        assert_eq!(demanded("scope=any&role=administrator"), (vec![], true));
        assert_eq!(demanded(&["scope=files/index"; MAX_SCOPES].join("&")).0.len(), MAX_SCOPES);
    }

    #[test]
    fn redirects_are_asked_for() {
        let redirects = |query: &str| Demand::parse(query).unwrap().redirects;
        assert!(redirects("scope=any&redirect=1") && !redirects("scope=any") && !redirects("scope=any&errors=403"));
    }

    #[test]
    fn a_typing_error_admits_nobody() {
        let too_many = ["scope=files/index"; MAX_SCOPES + 1].join("&");
        for (query, error) in [
            ("", Misconfigured::NoScope),
            ("errors=403", Misconfigured::NoScope),
            ("role=administrator", Misconfigured::NoScope),
            ("scope", Misconfigured::Malformed),
            ("scope=", Misconfigured::Malformed),
            ("scope=files", Misconfigured::Malformed),
            ("scope=files/", Misconfigured::Malformed),
            ("scope=/index", Misconfigured::Malformed),
            ("scope=files/index/x", Misconfigured::Malformed),
            ("scope=files%20/%20index", Misconfigured::Malformed),
            ("scope=files+/+index", Misconfigured::Malformed),
            ("scope=files%252Findex", Misconfigured::Malformed),
            ("scope=Files/index", Misconfigured::Malformed),
            ("scope=files/index,files/show", Misconfigured::Malformed),
            ("scope=files/index&scope=", Misconfigured::Malformed),
            ("scope=ANY", Misconfigured::Malformed),
            ("scope=%ff/%ff", Misconfigured::Malformed),
            ("scope=files/index;role=administrator", Misconfigured::Malformed),
            ("scope=any&scope=files/index", Misconfigured::Contradictory),
            ("Scope=any", Misconfigured::Parameter),
            ("scopes=any", Misconfigured::Parameter),
            ("scope[]=any", Misconfigured::Parameter),
            ("scope=any&x", Misconfigured::Parameter),
            ("scope=any&=x", Misconfigured::Parameter),
            ("scope=any&redirect=0", Misconfigured::Parameter),
            ("scope=any&redirect", Misconfigured::Parameter),
            ("scope=any&redirect=1&redirect=1", Misconfigured::Parameter),
            ("scope=any&redirect=1&errors=403", Misconfigured::Redirect),
            ("scope=any&role=admin", Misconfigured::Parameter),
            ("scope=any&role=", Misconfigured::Parameter),
            ("scope=any&role=administrator&role=administrator", Misconfigured::Parameter),
            ("scope=any&errors=200", Misconfigured::Parameter),
            ("scope=any&errors=403&errors=403", Misconfigured::Parameter),
            (&too_many, Misconfigured::TooManyScopes),
        ] {
            assert_eq!(Demand::parse(query), Err(error), "{query}");
        }
    }

    #[test]
    fn the_form_of_errors_is_read_from_a_query_that_cannot_be_understood() {
        assert!(wants_forbidden_alone("scope=&errors=403"));
        assert!(!wants_forbidden_alone("scope=any&errors=200"));
    }
}
