//! Who may call what: every operation by every kind of caller, derived from the table of operations.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use actix_web::http::Method;
use lodge::api::{
    BodyKind,
    operations::{Admits, OPERATIONS, Operation, public_operations},
};
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Client, Reply, Request, Server, ServerBuilder, basic, password_of},
    http::tokens::{Mint, claims_of},
};

/// An id that nothing has.
const UNKNOWN_ID: u64 = 2_147_483_647;

/// The path of the caller's own configurations.
const CONFIGURATIONS: &str = "/users/me/configurations";

/// The number of records made for paths to name.
static TARGETS: AtomicU64 = AtomicU64::new(0);

/// What a caller's credential is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Unauthenticated,
    Unscoped,
    Standard,
    Administrator,
    /// The operator on the local socket.
    Local,
}

/// The outcome of a request as far as authorization goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unauthorized,
    LacksScope,
    LacksRole,
    LacksAccount,
    Unknown,
    Admitted,
    Other(u16),
}

/// A caller.
struct Identity {
    name: &'static str,
    standing: Standing,
    client: Client,
    /// The credential's account; `None` if the credential is not valid.
    username: Option<&'static str>,
}

/// The verdict that the row demands.
fn expected(row: &Operation, standing: Standing) -> Verdict {
    match (row.admits, standing) {
        (Admits::Anonymous, _)
        | (Admits::Authenticated, Standing::Unscoped)
        | (
            Admits::Local | Admits::SelfOrAdministrator | Admits::Administrator | Admits::UserAdministrator,
            Standing::Local,
        ) => Verdict::Admitted,
        (Admits::Local, _) => Verdict::Unknown,
        (Admits::Authenticated | Admits::Caller, Standing::Local) => Verdict::LacksAccount,
        // A proxy may come over the socket: its own uid proves nothing of the client.
        (Admits::Forwarded, Standing::Local) | (_, Standing::Unauthenticated) => Verdict::Unauthorized,
        (_, Standing::Unscoped) => Verdict::LacksScope,
        (Admits::Administrator | Admits::UserAdministrator, Standing::Standard) => Verdict::LacksRole,
        (
            Admits::Authenticated
            | Admits::Caller
            | Admits::Forwarded
            | Admits::SelfOrAdministrator
            | Admits::Administrator
            | Admits::UserAdministrator,
            Standing::Standard | Standing::Administrator,
        ) => Verdict::Admitted,
    }
}

fn verdict(row: &Operation, reply: &Reply) -> Verdict {
    match reply.status {
        401 => Verdict::Unauthorized,
        403 if reply.json() == lacks_scope(row) => Verdict::LacksScope,
        403 if reply.json() == lacks_role() => Verdict::LacksRole,
        403 if reply.json() == lacks_account() => Verdict::LacksAccount,
        404 if row.admits == Admits::Local => Verdict::Unknown,
        // What the path names exists and a body is JSON, so that nothing but a member can be wrong.
        200..=299 => Verdict::Admitted,
        422 if row.body() == Some(BodyKind::Json) => Verdict::Admitted,
        // A password and a session are admitted, and are no API key.
        404 if row.id == "show_presented_api_key" => Verdict::Admitted,
        other => Verdict::Other(other),
    }
}

fn lacks_scope(row: &Operation) -> Value {
    json!({"error": format!("This API key lacks the scope {} / {}.", row.controller, row.action)})
}

/// The body of a 403 to a standard user.
pub fn lacks_role() -> Value {
    json!({"error": "Only an administrator may do this."})
}

fn lacks_account() -> Value {
    json!({"error": "The local socket has no account of its own: this needs an Authorization header."})
}

/// The rows that need a credential.
fn closed_rows() -> impl Iterator<Item = &'static Operation> {
    public_operations().filter(|row| row.admits != Admits::Anonymous)
}

/// Checks all these rows at the same time: the server lingers for a second where it refuses a body it has not read.
fn at_once(rows: impl Iterator<Item = &'static Operation>, check: impl Fn(&Operation) + Sync) {
    let check = &check;
    thread::scope(|scope| rows.for_each(|row| drop(scope.spawn(move || check(row)))));
}

/// The names of the parameters in the row's path.
fn parameters(row: &Operation) -> impl Iterator<Item = &'static str> {
    row.path.split(['{', '}']).skip(1).step_by(2)
}

/// The row's path, with this in place of each parameter.
fn path_with(row: &Operation, value: &str) -> String {
    parameters(row).fold(row.path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), value))
}

/// The row's path about this user; everything else that a path names is the first of its collection.
fn path_about(row: &Operation, user_id: u64) -> String {
    let about = row.path.replace("{user_id}", &user_id.to_string());
    parameters(row).fold(about, |path, name| path.replace(&format!("{{{name}}}"), "1"))
}

/// The row's path for that caller, naming records made for this request, which may destroy them.
fn target(server: &Server, row: &Operation, identity: &Identity) -> String {
    let Some(username) = identity.username else { return path_with(row, "1") };
    let unique = TARGETS.fetch_add(1, Ordering::Relaxed).to_string();
    // A key with less than full access may not touch an administrator's account, not even its owner's.
    let is_about_another = username == "admin" && row.path.contains("{user_id}");
    let about = if is_about_another { format!("bystander.{unique}") } else { username.to_owned() };
    parameters(row).fold(row.path.to_owned(), |path, name| {
        let owner = || if about == "admin" { server.admin() } else { server.user(&about) };
        let id = match name {
            "user_id" => server.id_of(&about).to_string(),
            "configuration_id" => owner().post(CONFIGURATIONS, &json!({"key": unique})).expect(201).id().to_string(),
            "api_key_id" => owner().post("/users/me/api_keys", &json!({})).expect(201).id().to_string(),
            "session_id" => current_session(&server.session(&about)),
            other => panic!("this test does not know how to make a {other}"),
        };
        path.replace(&format!("{{{name}}}"), &id)
    })
}

/// The id of the session that the client comes with.
fn current_session(client: &Client) -> String {
    let sessions = client.get("/users/me/sessions").expect(200).json()["sessions"].clone();
    let current = sessions.as_array().unwrap().iter().find(|session| session["current"] == true).unwrap().clone();
    current["id"].as_str().unwrap().to_owned()
}

/// What the row's query has so that it asks for the scope that the row names, or does no harm to other callers.
fn query(row: &Operation) -> String {
    match row.id {
        // A key with less than full access may clear the locks of an account that is no administrator's, and no others.
        "destroy_locks" => "?username=nobody".to_owned(),
        // The session of another caller of this row is not ended.
        "destroy_own_sessions" => "?except=current".to_owned(),
        "forward_auth" => format!("?scope={}/{}", row.controller, row.action),
        "create_assertion" => "?aud=files".to_owned(),
        _ => String::new(),
    }
}

/// The row's request. Its body signs in where that is asked for, and has no member that any other operation knows.
fn request(row: &Operation, path: &str) -> Request {
    let request = Request::new(row.method.as_str(), &format!("{path}{}", query(row)));
    match row.body() {
        None => request,
        Some(BodyKind::Json) => request.json(&json!({"user": {"username": "admin", "password": ADMIN_PASSWORD}})),
        Some(BodyKind::Form) => request.form(&[("token", "a.b.c")]),
    }
}

/// Requests of the row's operation that are wrong in every way but their method and the literals of their path.
fn broken_requests(row: &Operation) -> Vec<Request> {
    let method = row.method.as_str();
    let values = ["0", "01", "abc", "2147483647", "99999999999999999999", "%00", "%ff", "%", "-1"];
    let mut requests: Vec<_> = values.map(|value| Request::new(method, &path_with(row, value))).to_vec();
    let path = path_with(row, "1");
    requests.push(Request::new(method, &format!("{path}?limit=-1&offset=x")));
    let request = || Request::new(method, &path);
    requests.push(request().json_bytes("{"));
    requests.push(request().json_bytes(b"\xff"));
    requests.push(request().header("Content-Type", "text/plain").body("no JSON"));
    requests.push(request().header("Content-Encoding", "gzip").json_bytes("{}"));
    requests.push(request().json(&json!({"username": 7, "key": 7, "api_key_scopes": 7})));
    requests.push(request().body_of(BodyKind::Form, "token=%&token"));
    if let Some(kind) = row.body() {
        requests.push(request().header("Content-Type", kind.media_type()).header("Content-Length", "99999999"));
    }
    requests
}

/// Everything in a reply that a caller could learn something from.
fn observable(reply: &Reply) -> (u16, BTreeSet<String>, Vec<String>, String) {
    let names = reply.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    let challenges = reply.all_headers("www-authenticate").into_iter().map(str::to_owned).collect();
    (reply.status, names, challenges, reply.text())
}

/// Callers without a valid credential.
fn unauthenticated(server: &Server) -> Vec<Identity> {
    let former = server.key("former", &["* / *"]);
    let former_session = server.session("former");
    server.admin().delete(&format!("/users/{}", server.id_of("former"))).expect(204);
    let mut expired = claims_of(&server.sign_in("admin"));
    expired["exp"] = expired["iat"].clone();
    let signed_out = server.session("admin");
    signed_out.delete("/users/sign_out").expect(204);
    let key = server.key("admin", &["* / *"]).authorization.unwrap_or_default();
    let unauthenticated = [
        ("nobody", server.anonymous()),
        ("a wrong password", server.with(&basic("admin", "not the keys to the house"))),
        ("an unknown user", server.with(&basic("nobody", ADMIN_PASSWORD))),
        ("a deleted user", server.with(&basic("former", &password_of("former")))),
        ("a session of a deleted user", former_session),
        ("a key of a deleted user", former),
        ("an expired session", server.with(&format!("Bearer {}", Mint::of(server).token(&expired)))),
        ("a closed session", signed_out),
        ("a mistyped key", server.with(&format!("{key}x"))),
        ("a strange token", server.with("Bearer a.b.c")),
        ("a strange scheme", server.with("Digest username=\"admin\"")),
        ("an empty header", server.with("")),
    ];
    unauthenticated
        .map(|(name, client)| Identity { name, standing: Standing::Unauthenticated, client, username: None })
        .into()
}

/// Callers with a valid credential; sessions and keys are made for this row.
fn callers(server: &Server, row: &Operation) -> Vec<Identity> {
    let (controller, action) = (row.controller, row.action);
    let exact = format!("{controller} / {action}");
    let (any_action, any_controller) = (format!("{controller} / *"), format!("* / {action}"));
    let others = [format!("{controller} / elsewhere"), format!("elsewhere / {action}"), format!("{controller}s / *")];
    let others: Vec<_> = others.iter().map(String::as_str).collect();
    let mut callers = Vec::new();
    for (username, standing) in [("ann", Standing::Standard), ("admin", Standing::Administrator)] {
        let by_password = if username == "admin" { server.admin() } else { server.user(username) };
        let key = server.key(username, &[&exact]);
        let text = key.authorization.clone().unwrap_or_default();
        let of_account = [
            // The first, because others may end it.
            ("a session", standing, server.session(username)),
            ("a password", standing, by_password),
            ("a key by `Bearer`", standing, server.with(&format!("Bearer {text}"))),
            ("a key by `Token`", standing, server.with(&format!("Token {text}"))),
            ("a bare key", standing, key),
            ("a key for any action", standing, server.key(username, &[&any_action])),
            ("a key for any controller", standing, server.key(username, &[&any_controller])),
            ("a key for this and others", standing, server.key(username, &["files / index", &exact])),
            ("a key for everything", standing, server.key(username, &["* / *"])),
            ("a key for others", Standing::Unscoped, server.key(username, &others)),
            ("a key for nothing", Standing::Unscoped, server.key(username, &[])),
        ];
        let username = Some(username);
        callers.extend(of_account.map(|(name, standing, client)| Identity { name, standing, client, username }));
    }
    callers
}

/// Callers on the local socket; whatever credential comes there counts in the operator's place.
fn on_socket(server: &Server) -> Vec<Identity> {
    let ann = [server.user("ann"), server.key("ann", &[])];
    let [password, key] = ann.map(|client| server.local().with(&client.authorization.unwrap()));
    let admin = server.local().with(&basic("admin", ADMIN_PASSWORD));
    let callers = [
        ("the operator", Standing::Local, server.local(), Some("admin")),
        ("a wrong credential on the socket", Standing::Unauthenticated, server.local().with("Bearer a.b.c"), None),
        ("an empty header on the socket", Standing::Unauthenticated, server.local().with(""), None),
        ("a password on the socket", Standing::Standard, password, Some("ann")),
        ("a key for nothing on the socket", Standing::Unscoped, key, Some("ann")),
        ("an administrator on the socket", Standing::Administrator, admin, Some("admin")),
    ];
    callers.map(|(name, standing, client, username)| Identity { name, standing, client, username }).into()
}

/// A server whose users may have as many keys as the matrix needs, and which admits as many failed attempts.
fn roomy_server() -> Server {
    let builder =
        ServerBuilder::new().variable("LODGE_MAX_API_KEYS", "10000").variable("LODGE_ASSERTION_AUDIENCE", "files");
    // The same wrong passwords are sent on every row.
    builder.variable("LODGE_THROTTLE_AFTER", "0").start()
}

#[test]
fn each_operation_admits_whom_its_row_names_and_nobody_else() {
    let server = roomy_server();
    let unauthenticated = unauthenticated(&server);

    let mut wrong = Vec::new();
    for row in OPERATIONS.iter() {
        for identity in unauthenticated.iter().chain(&callers(&server, row)).chain(&on_socket(&server)) {
            let request = request(row, &target(&server, row, identity));
            // What the operator alone may do is not in the document.
            let is_public = row.admits != Admits::Local;
            let reply =
                if is_public { identity.client.send(&request) } else { identity.client.try_send(&request).unwrap() };
            let (found, wanted) = (verdict(row, &reply), expected(row, identity.standing));
            if found != wanted {
                wrong.push((row.id, identity.name, identity.standing, found, wanted, reply.text()));
            }
        }
    }

    assert_eq!(wrong, []);
}

#[test]
fn only_signing_in_needs_no_credential() {
    let open: Vec<_> = OPERATIONS.iter().filter(|row| row.admits == Admits::Anonymous).map(|row| row.id).collect();

    assert_eq!(open, ["sign_in"]);
}

#[test]
fn only_what_a_credential_may_ask_about_itself_needs_no_scope() {
    let unscoped: Vec<_> =
        OPERATIONS.iter().filter(|row| row.admits == Admits::Authenticated).map(|row| row.id).collect();

    assert_eq!(unscoped, ["index_scopes", "show_presented_api_key"]);
}

#[test]
fn only_forward_authentication_asks_for_the_scopes_of_others() {
    let forwarded: Vec<_> = OPERATIONS.iter().filter(|row| row.admits == Admits::Forwarded).map(|row| row.id).collect();

    assert_eq!(forwarded, ["forward_auth"]);
}

#[test]
fn a_standard_user_gets_the_same_answer_about_others_whether_they_exist_or_not() {
    let server = Server::start();
    let other = server.id_of("ben").to_string();

    for row in OPERATIONS.iter().filter(|row| row.path.contains("{user_id}")) {
        let key = server.key("ann", &[&format!("{} / {}", row.controller, row.action)]);
        for caller in [server.user("ann"), server.session("ann"), key, server.key("ann", &["* / *"])] {
            for value in ["1", &other, "2147483647", "0", "abc", "99999999999999999999", "%ff"] {
                let reply = caller.send(&Request::new(row.method.as_str(), &path_with(row, value)));
                assert_eq!((reply.status, reply.json()), (403, lacks_role()), "{} {value}", row.id);
            }
        }
    }
}

#[test]
fn a_broken_request_without_a_credential_reveals_nothing() {
    let server = Server::start();
    let unauthenticated = [server.anonymous(), server.with("Bearer a.b.c"), server.with("Basic !")];

    at_once(closed_rows(), |row| {
        for client in &unauthenticated {
            let plain = observable(&client.send(&request(row, &path_with(row, "1"))));
            assert_eq!(plain.0, 401, "{}", row.id);
            for broken in broken_requests(row) {
                assert_eq!(observable(&client.send(&broken)), plain, "{broken:?}");
            }
        }
    });
}

#[test]
fn a_broken_request_without_the_scope_reveals_nothing_else() {
    let server = Server::start();

    for key in [server.key("ann", &[]), server.key("admin", &["files / index"])] {
        // What a proxy needs is in the query, so that a broken one has no scope to lack.
        let is_unscoped = |row: &Operation| matches!(row.admits, Admits::Authenticated | Admits::Forwarded);
        at_once(closed_rows().filter(|row| !is_unscoped(row)), |row| {
            for broken in broken_requests(row) {
                let reply = key.send(&broken);
                assert_eq!((reply.status, reply.json()), (403, lacks_scope(row)), "{broken:?}");
            }
        });
    }
}

#[test]
fn a_broken_request_of_a_standard_user_reveals_nothing_else() {
    let server = Server::start();
    let callers = [server.user("ann"), server.session("ann"), server.key("ann", &["* / *"])];

    at_once(
        closed_rows().filter(|row| {
            matches!(row.admits, Admits::Administrator | Admits::UserAdministrator | Admits::SelfOrAdministrator)
        }),
        |row| {
            for caller in &callers {
                for broken in broken_requests(row) {
                    let reply = caller.send(&broken);
                    assert_eq!((reply.status, reply.json()), (403, lacks_role()), "{broken:?}");
                }
            }
        },
    );
}

#[test]
fn an_unreadable_body_and_an_unknown_id_are_reported_before_invalid_members() {
    let server = Server::start();
    let invalid = json!({"username": 7, "key": 7, "value": 7, "name": 7, "api_key_scopes": 7}).to_string();
    let user = server.id_of("ann");

    at_once(closed_rows(), |row| {
        let Some(kind) = row.body() else { return };
        let media_type = kind.media_type();
        let request = |user_id| Request::new(row.method.as_str(), &path_about(row, user_id));
        let declared = |media_type: &str| request(user).header("Content-Type", media_type).body(&invalid);
        let mut cases = vec![
            (413, request(user).header("Content-Type", media_type).header("Content-Length", "99999999")),
            (415, declared("text/plain")),
            (415, declared(&format!("{media_type}; charset=utf-16"))),
            (415, declared(media_type).header("Content-Encoding", "gzip")),
            (400, request(user).body_of(kind, format!("{}%", &invalid[1..]))),
        ];
        let is_about_one = row.path.contains('{');
        let missing = || Request::new(row.method.as_str(), &path_with(row, &UNKNOWN_ID.to_string()));
        match kind {
            BodyKind::Json if is_about_one => cases.push((404, missing().json_bytes(&invalid))),
            BodyKind::Json => cases.push((422, request(user).json_bytes(&invalid))),
            BodyKind::Form => cases.push((400, request(user).form(&[]))),
        }
        for (expected, request) in cases {
            assert_eq!(server.admin().send(&request).status, expected, "{request:?}");
        }
    });
}

#[test]
fn an_unknown_path_or_method_is_unknown_to_every_caller() {
    let server = Server::start();
    let callers = [server.anonymous(), server.with("Bearer a.b.c"), server.key("ann", &[]), server.admin()];

    for caller in callers {
        assert_eq!(caller.get("/users/me/nothing").status, 404);
        assert_eq!(caller.get("/nothing").status, 404);
        let refused = caller.put("/users/me", &json!({}));
        assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}

#[test]
fn head_is_guarded_as_get_is() {
    let server = roomy_server();
    let unauthenticated = unauthenticated(&server);

    for row in closed_rows().filter(|row| row.method == Method::GET) {
        for identity in unauthenticated.iter().chain(&callers(&server, row)) {
            let path = target(&server, row, identity) + &query(row);
            let [get, head] = ["GET", "HEAD"].map(|method| identity.client.send(&Request::new(method, &path)));
            assert_eq!(verdict(row, &get), expected(row, identity.standing), "{} {}", row.id, identity.name);
            assert_eq!((head.status, head.text()), (get.status, String::new()), "{} {}", row.id, identity.name);
        }
    }
}

#[test]
fn a_refusal_asks_for_the_kind_of_credential_that_came() {
    let server = Server::start();
    let (basic_scheme, bearer) = (r#"Basic realm="Lodge", charset="UTF-8""#, r#"Bearer realm="Lodge""#);
    let wrong = basic("admin", "not the keys to the house");
    let (mistyped, strange) = ("lodge_mistyped", "a.b.c");
    let tokens = ["Bearer", "bearer x", "Bearer a.b.c", "Token a.b.c", "Token lodge_mistyped", mistyped, strange];
    let cases = [wrong.as_str(), "Basic", "basic !", "BASIC Og=="].map(|header| (header, basic_scheme));

    for (header, challenge) in cases.into_iter().chain(tokens.map(|header| (header, bearer))) {
        let reply = server.with(header).get("/users/me");
        assert_eq!((reply.status, reply.all_headers("www-authenticate")), (401, vec![challenge]), "{header}");
    }
    let without = server.anonymous().get("/users/me");
    assert_eq!((without.status, without.all_headers("www-authenticate")), (401, vec![basic_scheme, bearer]));
    let sign_in = server.with(&wrong).post("/users/sign_in", &json!({"user": {}}));
    assert_eq!((sign_in.status, sign_in.all_headers("www-authenticate")), (401, vec![bearer]));
    let admitted = server.key("ann", &[]).get("/users/me");
    assert_eq!((admitted.status, admitted.all_headers("www-authenticate")), (403, vec![]));
}
