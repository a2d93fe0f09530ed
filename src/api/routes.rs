//! Routes a method and a raw path to an operation.
//!
//! The framework's router decodes paths before it matches them; here literal segments match only as they are written.

use std::{collections::HashMap, sync::LazyLock};

use actix_web::http::Method;

use super::{
    connection::Medium,
    operations::{Admits, Answers, OPERATIONS, Operation, PREFIX},
    path_segment::{self, PathParameters},
};
use crate::quick_hash::QuickHash;

/// The result of routing.
pub(super) enum Routed<'a> {
    /// That operation, with the path's parameters.
    To(&'static Operation, PathParameters<&'a str>),
    /// No operation: the path has only other methods.
    MethodNotAllowed(&'static Route),
    /// No operation: the path is unknown.
    NotFound,
}

/// Which paths a connection reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// All of them.
    Local,
    /// Those that are not the local socket's alone.
    Public,
}

impl Reach {
    /// What is reached over that medium.
    pub(super) fn of(medium: Medium) -> Self {
        match medium {
            Medium::Local(_) => Self::Local,
            Medium::Tcp | Medium::Tls | Medium::Unix | Medium::SystemUser(_) => Self::Public,
        }
    }

    fn includes(self, route: &Route) -> bool {
        match self {
            Self::Local => true,
            Self::Public => route.operations.iter().any(|operation| operation.admits != Admits::Local),
        }
    }
}

/// A path and its operations.
pub(super) struct Route {
    /// The path with its parameters in braces.
    pub(super) path: &'static str,
    /// The methods of the path, as the `Allow` header lists them.
    pub(super) allow: String,
    segments: Vec<Segment>,
    operations: Vec<&'static Operation>,
    /// Whether paths below this one are of this route too.
    has_below: bool,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Literal(&'static str),
    Parameter,
}

/// All routes. One with a literal segment precedes one with a parameter in its place, so that a literal path owns all
/// its methods.
static ROUTES: LazyLock<Vec<Route>> = LazyLock::new(|| {
    let mut routes: Vec<Route> = Vec::new();
    for operation in OPERATIONS.iter() {
        match routes.iter_mut().find(|route| route.path == operation.path) {
            Some(route) => route.operations.push(operation),
            None => routes.push(Route::new(operation)),
        }
    }
    for route in &mut routes {
        route.allow = allow(route.operations.iter().map(|operation| &operation.method));
    }
    routes.sort_by(|a, b| a.segments.cmp(&b.segments));
    routes
});

/// The routes without parameters by their paths. Requests choose only what is looked up.
static LITERAL_ROUTES: LazyLock<HashMap<&str, &Route, QuickHash>> = LazyLock::new(|| {
    let is_literal = |route: &&Route| !route.segments.contains(&Segment::Parameter);
    ROUTES.iter().filter(is_literal).map(|route| (route.path, route)).collect()
});

/// Finds the operation of a method and a raw path, among those within reach.
pub(super) fn route<'a>(method: &Method, path: &'a str, reach: Reach) -> Routed<'a> {
    let Some(rest) = path.strip_prefix(PREFIX) else { return Routed::NotFound };
    let literal = LITERAL_ROUTES.get(rest).filter(|route| reach.includes(route));
    let literal = literal.map(|route| (*route, PathParameters::default()));
    let parameters_of = |route: &Route| route.parameters_of(rest).filter(|_| reach.includes(route));
    let of_route = |route: &'static Route| parameters_of(route).map(|parameters| (route, parameters));
    let Some((route, parameters)) = literal.or_else(|| ROUTES.iter().find_map(of_route)) else {
        return Routed::NotFound;
    };
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    match route.operations.iter().find(|operation| operation.answers_to(wanted)) {
        Some(operation) => Routed::To(operation, parameters),
        None => Routed::MethodNotAllowed(route),
    }
}

/// The `Allow` header of a path with these methods: `HEAD` is allowed where `GET` is, and `OPTIONS` always.
pub(super) fn allow<'m>(methods: impl Iterator<Item = &'m Method>) -> String {
    let mut allowed = Vec::new();
    for method in methods {
        allowed.push(method.as_str());
        if *method == Method::GET {
            allowed.push("HEAD");
        }
    }
    allowed.push("OPTIONS");
    allowed.join(", ")
}

impl Route {
    fn new(operation: &'static Operation) -> Self {
        let segments = operation.path.split('/').skip(1);
        let segments =
            segments.map(|text| if text.starts_with('{') { Segment::Parameter } else { Segment::Literal(text) });
        let has_below = operation.answers == Answers::Everything;
        Self {
            path: operation.path,
            allow: String::new(),
            segments: segments.collect(),
            operations: vec![operation],
            has_below,
        }
    }

    /// The parameters in a path of this route; `None` if the path is not of this route.
    fn parameters_of<'a>(&self, path: &'a str) -> Option<PathParameters<&'a str>> {
        let mut parameters = PathParameters::<&str>::default();
        let mut places = parameters.iter_mut();
        let mut rest = path;
        for (depth, segment) in self.segments.iter().enumerate() {
            rest = rest.strip_prefix('/')?;
            // What follows a literal has to be a slash or the end, for which both the next segment and the end look.
            if let Segment::Literal(literal) = segment {
                rest = rest.strip_prefix(literal)?;
                continue;
            }
            let (text, after) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if text.is_empty() || (!after.is_empty() && is_literal(depth, text)) {
                return None;
            }
            *places.next()? = text;
            rest = after;
        }
        (rest.is_empty() || (self.has_below && rest.starts_with('/'))).then_some(parameters)
    }
}

/// Whether a path has that literal there, or another spelling of it, which leads nowhere.
fn is_literal(depth: usize, text: &str) -> bool {
    let is_it = |literal: &str| path_segment::decode(text).is_some_and(|decoded| decoded == literal);
    let literal =
        |route: &Route| matches!(route.segments.get(depth), Some(Segment::Literal(literal)) if is_it(literal));
    !text.bytes().all(|byte| byte.is_ascii_digit()) && ROUTES.iter().any(literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> String {
        match route(method, path, Reach::Public) {
            Routed::To(operation, parameters) => format!("{} {}", operation.id, parameters.join(" ").trim()),
            Routed::MethodNotAllowed(route) => format!("not {method}, but {}", route.allow),
            Routed::NotFound => "not found".to_owned(),
        }
    }

    #[test]
    fn a_literal_path_owns_all_its_methods() {
        assert_eq!(found(&Method::GET, "/api/v2/users/me"), "show_current_user ");
        assert_eq!(found(&Method::PUT, "/api/v2/users/me"), "not PUT, but GET, HEAD, OPTIONS");
        assert_eq!(found(&Method::DELETE, "/api/v2/users/sign_in"), "not DELETE, but POST, OPTIONS");
        assert_eq!(found(&Method::PUT, "/api/v2/users/7"), "update_user 7");
        assert_eq!(found(&Method::HEAD, "/api/v2/users/-/systems"), "index_system_users ");
    }

    #[test]
    fn a_path_matches_as_it_is_written_or_not_at_all() {
        let paths = [
            "/",
            "/api/v2",
            "/api/v2/",
            "/api/v2//users",
            "/api/v2/users/",
            "/api/v2/./users",
            "/api/v2/x/../users",
            "/api/v2/%75sers",
            "/API/V2/users",
            "/api/v2/users;a=b",
            "/api/v2/users%00",
            "/api/v2/users/me/api_keys/",
            "/api/v2users",
            "/api/v2/users/-/systems/x",
            "/api/v2/users/-/api_keys",
            "/api/v2/users/%6de/api_keys",
            "/api/v2/users/sign_in/sessions",
        ];
        for path in paths {
            assert_eq!(found(&Method::GET, path), "not found", "{path}");
        }
    }

    #[test]
    fn a_path_with_every_method_owns_what_is_below_it_however_it_is_written() {
        let methods = [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE, Method::from_bytes(b"ANY").unwrap()];
        for method in &methods {
            for path in ["", "/", "/files", "//files/../x", "/%2e%2e/users", "/%ff%00;x", "/users/me"] {
                let path = format!("/api/v2/forward-auth{path}");
                assert_eq!(found(method, &path), "forward_auth ", "{method} {path}");
            }
            for path in ["/api/v2/forward-authx", "/api/v2/forward%2Dauth", "/api/v2/x/forward-auth", "/forward-auth"] {
                assert_eq!(found(method, path), "not found", "{method} {path}");
            }
        }
    }

    #[test]
    fn a_path_with_every_method_has_one_operation() {
        for operation in OPERATIONS.iter().filter(|operation| operation.answers == Answers::Everything) {
            let is_other = |other: &&Operation| other.id != operation.id && other.path.starts_with(operation.path);
            assert!(!OPERATIONS.iter().any(|other| is_other(&other)), "{operation:?}");
        }
    }

    #[test]
    fn every_path_has_at_most_as_many_parameters_as_are_kept() {
        let kept = PathParameters::<&str>::default().len();
        for route in ROUTES.iter() {
            let parameters = route.segments.iter().filter(|segment| **segment == Segment::Parameter).count();
            assert!(parameters <= kept, "{}", route.path);
        }
    }

    #[test]
    fn a_path_of_the_local_socket_is_unknown_elsewhere_with_every_method() {
        for operation in OPERATIONS.iter().filter(|operation| operation.admits == Admits::Local) {
            let path = format!("{PREFIX}{}", operation.path);
            for method in [&operation.method, &Method::OPTIONS, &Method::PATCH] {
                assert_eq!(found(method, &path), "not found", "{method} {path}");
            }
            assert!(matches!(route(&operation.method, &path, Reach::Local), Routed::To(..)), "{path}");
            let of_path = OPERATIONS.iter().filter(|other| other.path == operation.path);
            assert!(of_path.into_iter().all(|other| other.admits == Admits::Local), "{path} is public for others");
        }
    }

    #[test]
    fn a_parameter_is_not_decoded() {
        let path = "/api/v2/users/me/configurations/a%2Fb%20c.d";
        assert_eq!(found(&Method::GET, path), "show_configuration a%2Fb%20c.d");
        let path = "/api/v2/users/%37/configurations/a%2Fb";
        assert_eq!(found(&Method::GET, path), "show_user_configuration %37 a%2Fb");
    }
}
