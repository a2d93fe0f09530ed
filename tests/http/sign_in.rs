//! The page to sign in at, and the cookie that it sets.

mod cookie;
mod page;
mod redirects;

use crate::harness::{ADMIN_PASSWORD, Reply, Request, Server, ServerBuilder};

/// Where the tests' pages may lead to.
const TARGETS: &str = "https://files.example.org,https://*.example.net:8443";

/// A server with the page, behind a trusted proxy on this machine.
fn builder() -> ServerBuilder {
    ServerBuilder::new().flag("--sign-in-targets", TARGETS).flag("--trusted-proxy", "127.0.0.0/8")
}

/// A request to the page of a browser on this machine.
fn visit(server: &Server, request: &Request) -> Reply {
    server.anonymous().try_send(request).unwrap()
}

/// The page's path with where it leads to.
fn leading_to(to: &str) -> String {
    let to: String = form_urlencoded::byte_serialize(to.as_bytes()).collect();
    format!("/sign-in?to={to}")
}

/// A form with these fields, as a browser sends it from a page of that origin.
fn form(path: &str, origin: &str, fields: &[(&str, &str)]) -> Request {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let request = Request::whole("POST", path).header("Origin", origin);
    request.header("Content-Type", "application/x-www-form-urlencoded").body(form)
}

/// The origin of the server's own page.
fn own_origin(server: &Server) -> String {
    format!("http://{}", server.address)
}

fn credentials<'a>(username: &'a str, password: &'a str) -> [(&'a str, &'a str); 2] {
    [("username", username), ("password", password)]
}

/// The cookie that a reply sets, as browsers send it back.
#[track_caller]
fn cookie(reply: &Reply) -> String {
    let [set] = reply.all_headers("set-cookie")[..] else { panic!("one cookie: {reply:?}") };
    set.split(';').next().unwrap().to_owned()
}

/// The cookie of a new session of the administrator.
#[track_caller]
fn signed_in(server: &Server) -> String {
    let request = form("/sign-in", &own_origin(server), &credentials("admin", ADMIN_PASSWORD));
    let reply = visit(server, &request);
    cookie(&reply.expect(303))
}
