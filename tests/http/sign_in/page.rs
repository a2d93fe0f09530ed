//! The page itself: who signs in and out there, and where it leads to.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::{TARGETS, builder, cookie, credentials, form, leading_to, own_origin, signed_in, visit};
use crate::{
    harness::{ADMIN_PASSWORD, Reply, Request, Server, ServerBuilder, is_root, password_of},
    http::{audit::entries, user_socket::answers},
};

const FILES: &str = "https://files.example.org/a?b=c&d";

fn shown(server: &Server, path: &str) -> Reply {
    visit(server, &Request::whole("GET", path))
}

fn sign_in(server: &Server, path: &str, username: &str, password: &str) -> Reply {
    visit(server, &form(path, &own_origin(server), &credentials(username, password)))
}

#[test]
fn there_is_a_page_only_if_one_of_its_settings_is_given() {
    let server = Server::start();

    for request in [Request::whole("GET", "/sign-in"), form("/sign-in", &own_origin(&server), &credentials("a", "b"))] {
        assert_eq!(visit(&server, &request).status, 404);
    }
    for (name, value) in [
        ("--sign-in-targets", TARGETS),
        ("--cookie-domain", "example.org"),
        ("--sign-in-url", "https://lodge.example.org/sign-in"),
    ] {
        let server = ServerBuilder::new().flag(name, value).start();
        assert_ne!(shown(&server, "/sign-in").status, 404, "{name}");
        for path in ["/sign-in/", "/sign-in/x", "/Sign-in", "/sign%2din", "//sign-in", "/api/v2/sign-in"] {
            assert_eq!(shown(&server, path).status, 404, "{path}");
        }
    }
}

#[test]
fn settings_that_cannot_work_together_are_refused() {
    for (flags, sentence) in [
        (&["--sign-in-targets", "files.example.org"][..], "--sign-in-targets: `files.example.org` is not an origin"),
        (&["--cookie-domain", "co.uk"], "--cookie-domain: `co.uk` is not a domain of your own"),
        (
            &["--sign-in-url", "https://lodge.example.org"],
            "--sign-in-url: `https://lodge.example.org` is not the address",
        ),
        (
            &["--sign-in-targets", "https://files.example.org", "--cookie-domain", "example.net"],
            "--sign-in-targets: the cookie does not reach https://files.example.org",
        ),
        (
            &["--sign-in-targets", "https://files.example.org", "--sign-in-url", "https://lodge.example.org/sign-in"],
            "--sign-in-targets: the cookie does not reach https://files.example.org",
        ),
        (
            &["--cookie-domain", "example.net", "--sign-in-url", "https://lodge.example.org/sign-in"],
            "--sign-in-url: its host is not one of --cookie-domain",
        ),
    ] {
        let output = ServerBuilder::new().command(&["settings", "check"]).args(flags).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && error.contains(sentence), "{flags:?}: {error}");
    }
}

#[test]
fn a_person_signs_in_and_is_led_to_where_they_wanted_to_go() {
    let server = builder().start();
    server.user("ann");

    let page = shown(&server, &leading_to(FILES)).expect(200);
    let reply = sign_in(&server, &leading_to(FILES), "ann", &password_of("ann"));

    assert!(page.text().contains("To go on to files.example.org."), "{}", page.text());
    assert_eq!((reply.status, reply.header("location"), reply.header("authorization")), (303, Some(FILES), None));
    let set = reply.header("set-cookie").unwrap();
    assert_eq!(set.split_once("; ").unwrap().1, "Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
    assert!(set.starts_with("lodge_session=eyJ"), "{set}");
    let sessions = server.user("ann").get("/users/me/sessions").json();
    assert_eq!((&sessions["count"], &sessions["sessions"][0]["address"]), (&json!(1), &json!("127.0.0.1")));
    let newest = entries(&server).pop().unwrap();
    assert_eq!((&newest["action"], &newest["result"]), (&json!("sessions / create"), &json!("done")));
}

#[test]
fn a_person_who_is_signed_in_sees_as_whom_and_can_sign_out() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let with_cookie = |request: Request| visit(&server, &request.header("Cookie", &cookie));

    let page = with_cookie(Request::whole("GET", &leading_to(FILES))).expect(200).text();
    assert!(page.contains("You are signed in as <bdi>admin</bdi>."), "{page}");
    assert!(
        page.contains(r#"<a href="https://files.example.org/a?b=c&amp;d">Go on to files.example.org</a>"#),
        "{page}"
    );
    for origin in ["null", "http://127.0.0.1:1"] {
        assert_eq!(with_cookie(form("/sign-in", origin, &[("sign_out", "1")])).status, 403);
    }
    assert_eq!(server.admin().get("/users/me/sessions").json()["count"], 1);

    let reply = with_cookie(form(&leading_to(FILES), &own_origin(&server), &[("sign_out", "1")])).expect(303);

    assert_eq!(reply.header("location"), Some(&leading_to(FILES)[1..]));
    assert_eq!(reply.header("set-cookie"), Some("lodge_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"));
    assert_eq!(server.admin().get("/users/me/sessions").json()["count"], 0);
    assert!(with_cookie(Request::whole("GET", "/sign-in")).text().contains("<h1>Sign in</h1>"));
    let again = with_cookie(form("/sign-in", &own_origin(&server), &[("sign_out", "1")])).expect(303);
    assert!(again.header("set-cookie").unwrap().contains("Max-Age=0"), "a cookie without a session is removed too");
}

#[test]
fn signing_out_or_in_again_ends_the_session_of_each_cookie_that_came_along() {
    let server = builder().start();
    let sessions = || server.admin().get("/users/me/sessions").json()["count"].clone();
    let with = |cookies: &str, fields: &[(&str, &str)]| {
        visit(&server, &form("/sign-in", &own_origin(&server), fields).header("Cookie", cookies)).expect(303)
    };

    let tossed = format!("lodge_session=a.b.c; {}; {}", signed_in(&server), signed_in(&server));
    assert_eq!(sessions(), 2);
    with(&tossed, &[("sign_out", "1")]);
    assert_eq!(sessions(), 0);

    with(&signed_in(&server), &[("username", "admin"), ("password", ADMIN_PASSWORD)]);
    assert_eq!(sessions(), 1, "the new one alone");
}

#[test]
fn the_page_leads_nowhere_but_to_its_targets() {
    let server = builder().start();

    for to in [
        "",
        "/files",
        "//evil.example/",
        "\\\\evil.example/",
        "/\\evil.example/",
        "https:evil.example/",
        "https:///evil.example/",
        "https://evil.example/",
        "https://files.example.org",
        "https://files.example.org.evil.example/",
        "https://files.example.org@evil.example/",
        "https://files.example.org:443@evil.example/",
        "https://files.example.org\\@evil.example/",
        "https://evil.example\\.files.example.org/",
        "https://evil.example#.files.example.org/",
        "https://evil.example/https://files.example.org/",
        "https://files.example.org:8443/",
        "https://files.example.org:443/",
        "http://files.example.org/",
        "HTTPS://files.example.org/",
        "https://FILES.example.org/",
        "https://files.example.org./",
        "https://files.example.org%2eevil.example/",
        "https://f\u{ef}les.example.org/",
        "https://files.example.org\u{3002}evil.example/",
        " https://files.example.org/",
        "https://files.example.org/\r\nSet-Cookie: a=b",
        "https://files.example.org/\t",
        "https://files.example.org/\"><script>",
        "https://example.net:8443/",
        "https://a.example.net/",
        "https://aexample.net:8443/",
        "javascript:alert(1)",
        "data:text/html,x",
    ] {
        let path = leading_to(to);
        let page = shown(&server, &path);
        let reply = sign_in(&server, &path, "admin", ADMIN_PASSWORD);
        for reply in [page, reply] {
            assert_eq!(reply.status, 400, "{to}: {}", reply.text());
            assert!(reply.header("location").is_none() && reply.header("set-cookie").is_none(), "{to}: {reply:?}");
            assert!(!reply.text().contains("evil") && !reply.text().contains("<form"), "{to}: {}", reply.text());
        }
    }
    let good = leading_to("https://a.b.example.net:8443/");
    for path in [format!("{good}&to=x"), format!("{good}&{}", &good[9..]), "/sign-in?next=x".to_owned()] {
        assert_eq!(shown(&server, &path).status, 400, "{path}");
    }
    assert_eq!(shown(&server, &good).status, 200);
}

#[test]
fn a_form_of_another_origin_does_nothing_and_charges_nobody() {
    let server = builder().flag("--throttle-after", "3").start();
    let own = own_origin(&server);
    let before = entries(&server).len();
    let of = |password: &str| form("/sign-in", "", &credentials("admin", password));
    let other_port = format!("http://127.0.0.1:{}", server.address.port() ^ 1);

    for password in [ADMIN_PASSWORD, "a guess"] {
        for origin in
            ["null", "", "https://files.example.org", &own.replace("http:", "https:"), &other_port, "http://evil"]
        {
            let mut request = of(password);
            request.headers[0].1 = origin.as_bytes().to_vec();
            let reply = visit(&server, &request);
            assert_eq!((reply.status, reply.header("set-cookie")), (403, None), "{origin}");
            assert!(reply.text().contains("The form was sent by another page."), "{}", reply.text());
        }
        let mut missing = of(password);
        missing.headers.remove(0);
        assert_eq!(visit(&server, &missing).status, 403);
        let twice = form("/sign-in", &own, &credentials("admin", password)).header("Origin", &own);
        assert_eq!(visit(&server, &twice).status, 403);
    }

    server.wait_for_log("WARN  lodge::api::context a form to sign in came from another origin than the page has");
    assert_eq!(entries(&server).len(), before);
    assert_eq!(sign_in(&server, "/sign-in", "admin", ADMIN_PASSWORD).status, 303);
}

#[test]
fn a_wrong_password_is_explained_beside_the_fields_and_throttled_as_ever() {
    let server = builder().flag("--throttle-after", "3").start();
    server.user("ann");

    let wrong = sign_in(&server, "/sign-in", "ann", "a guess");

    assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, Some(r#"Bearer realm="Lodge""#)));
    let text = wrong.text();
    assert!(text.contains(r#"role="alert">The user name or the password is wrong.</p>"#), "{text}");
    assert_eq!(text.matches(r#"aria-invalid="true" aria-describedby="failure""#).count(), 2, "{text}");
    assert!(!text.contains("a guess") && wrong.header("set-cookie").is_none(), "{text}");
    let locked =
        std::iter::repeat_with(|| sign_in(&server, "/sign-in", "ann", "a guess")).find(|reply| reply.status != 401);
    let locked = locked.unwrap().expect(429);
    let wait = locked.header("retry-after").unwrap();
    assert!(locked.text().contains(&format!("Try again in {wait} second")), "{}", locked.text());
    let body = json!({"user": {"username": "ann", "password": password_of("ann")}});
    server.anonymous().post("/users/sign_in", &body).expect(429);
}

#[test]
fn a_form_that_cannot_be_read_is_refused_in_words() {
    let server = builder().start();
    let own = own_origin(&server);
    let sent = |kind: &str, body: &str| {
        let request = Request::whole("POST", "/sign-in").header("Origin", &own).header("Content-Type", kind);
        visit(&server, &request.body(body))
    };
    let right = format!("username=admin&password={}", ADMIN_PASSWORD.replace(' ', "+"));
    let form = "application/x-www-form-urlencoded";

    assert_eq!(sent(form, &right).status, 303);
    for (kind, body, status) in [
        ("application/json", right.as_str(), 415),
        ("text/plain", &right, 415),
        ("multipart/form-data; boundary=x", &right, 415),
        (form, &format!("{right}&username=admin"), 400),
        (form, "username=%&password=x", 400),
        (form, &"x".repeat(20 << 10), 413),
        (form, "", 401),
        (form, "username=admin", 401),
        (form, "username=admin&password=", 401),
    ] {
        let reply = sent(kind, body);
        assert_eq!((reply.status, reply.header("set-cookie")), (status, None), "{kind} {body}");
        assert_eq!(reply.header("content-type"), Some("text/html; charset=utf-8"), "{kind} {body}");
        assert!(reply.text().contains("role=\"alert\""), "{}", reply.text());
    }
}

#[test]
fn the_cookie_is_for_https_and_one_host_or_the_hosts_of_a_domain() {
    for (domain, rest, name) in [
        (None, "; Secure", "__Host-lodge_session"),
        (Some("example.org"), "; Secure; Domain=example.org", "__Secure-lodge_session"),
    ] {
        let builder = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8");
        let builder = builder.flag("--sign-in-targets", "https://files.example.org");
        let server =
            domain.into_iter().fold(builder, |builder, domain| builder.flag("--cookie-domain", domain)).start();
        let request = form("/sign-in", "https://files.example.org", &credentials("admin", ADMIN_PASSWORD));
        let through = |request: Request, proto: &str, host: &str| {
            visit(&server, &request.header("X-Forwarded-Proto", proto).header("X-Forwarded-Host", host))
        };

        let reply = through(request.clone(), "https", "files.example.org").expect(303);

        let expected = format!("Path=/; Max-Age=86400; HttpOnly; SameSite=Lax{rest}");
        assert_eq!(reply.header("set-cookie").unwrap().split_once("; ").unwrap().1, expected);
        assert!(cookie(&reply).starts_with(&format!("{name}=eyJ")), "{reply:?}");
        for (proto, host) in [("http", "files.example.org"), ("https,http", "files.example.org"), ("https", "a, b")] {
            let mut request = request.clone();
            request.headers[0].1 = format!("{proto}://{host}").into_bytes();
            let refused = through(request, proto, host);
            assert_eq!((refused.status, refused.header("set-cookie")), (403, None), "{proto} {host}");
        }
    }
}

#[test]
fn without_a_trusted_proxy_the_page_is_where_the_request_went() {
    let server = ServerBuilder::new().flag("--cookie-domain", "example.org").start();
    let of = |host: &str, origin: &str| {
        let request = form("/sign-in", origin, &credentials("admin", ADMIN_PASSWORD)).header("Host", host);
        visit(&server, &request.header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "files.example.org"))
    };

    // An address beyond the cookie's domain, plain HTTP, and a proxy that nobody trusts.
    for host in ["127.0.0.1", "files.example.org", "files.example.net"] {
        for origin in [format!("http://{host}"), "https://files.example.org".to_owned()] {
            let reply = of(host, &origin);
            assert_eq!((reply.status, reply.header("set-cookie")), (403, None), "{host} {origin}");
        }
    }
}

#[test]
fn a_page_with_an_address_of_its_own_has_that_origin_whatever_is_reported() {
    let page = "https://lodge.example.org/sign-in";
    let builder = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").flag("--sign-in-url", page);
    let server = builder.flag("--cookie-domain", "example.org").start();
    let of = |origin: &str| {
        let request = form("/sign-in", origin, &credentials("admin", ADMIN_PASSWORD));
        visit(&server, &request.header("X-Forwarded-Proto", "http").header("X-Forwarded-Host", "evil.example")).status
    };

    assert_eq!(of("https://lodge.example.org"), 303);
    assert_eq!((of("http://evil.example"), of(&own_origin(&server))), (403, 403));
}

#[test]
fn the_page_is_not_on_the_sockets_of_this_machine() {
    if !is_root("requests of another user") {
        return;
    }
    let builder = builder();
    let socket = builder.data_dir().with_file_name("users.sock");
    let server = builder.flag("--user-socket", socket.to_str().unwrap()).start();
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).unwrap();

    let answered = answers(&socket, 1, &["GET /sign-in HTTP/1.1"]);

    assert!(answered[0].starts_with("HTTP/1.1 404 "), "{answered:?}");
    assert_eq!(server.local().try_send(&Request::whole("GET", "/sign-in")).unwrap().status, 404);
}

#[test]
fn below_a_base_path_the_page_is_the_same() {
    let server = builder().flag("--base-path", "/accounts").start_unasked();

    assert_eq!(shown(&server, "/sign-in").status, 404);
    assert_eq!(shown(&server, "/accounts/sign-in").status, 200);
    let reply = sign_in(&server, "/accounts/sign-in", "admin", ADMIN_PASSWORD);
    assert_eq!((reply.status, reply.header("location")), (303, Some("sign-in")));
}

#[test]
fn the_page_loads_and_runs_nothing_and_is_in_no_cache_or_frame() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let own = own_origin(&server);
    let [page, wrong] = ["/sign-in", "/sign-in?to=x"].map(|path| shown(&server, path));
    let signed_in = visit(&server, &Request::whole("GET", "/sign-in").header("Cookie", cookie));
    let refused = visit(&server, &form("/sign-in", &own, &credentials("a", "b")));
    let redirect = visit(&server, &form("/sign-in", &own, &credentials("admin", ADMIN_PASSWORD)));
    let options = visit(&server, &Request::whole("OPTIONS", "/sign-in")).expect(204);

    for reply in [&page, &wrong, &signed_in, &refused, &redirect, &options] {
        let [policy] = reply.all_headers("content-security-policy")[..] else { panic!("{reply:?}") };
        assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
        assert!(policy.ends_with("; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"), "{policy}");
        assert_eq!(reply.all_headers("cache-control"), ["no-store"]);
        assert_eq!(reply.all_headers("referrer-policy"), ["same-origin"]);
        assert_eq!(reply.all_headers("x-content-type-options"), ["nosniff"]);
        assert_eq!(reply.header("x-request-id").map(str::len), Some(36));
    }
    let policy = shown(&server, &leading_to(FILES)).header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains("; form-action 'self' https://files.example.org; "), "{policy}");
    assert_eq!(options.header("allow"), Some("GET, HEAD, POST, OPTIONS"));
    assert_eq!(visit(&server, &Request::whole("HEAD", "/sign-in")).text(), "");
    for method in ["PUT", "DELETE", "PATCH", "TRACE"] {
        let reply = visit(&server, &Request::whole(method, "/sign-in")).expect(405);
        assert!(reply.header("content-security-policy").is_some());
    }
    assert!(
        page.text().contains(r#"autocomplete="username""#)
            && page.text().contains(r#"autocomplete="current-password""#)
    );
    assert!(page.text().contains(r#"<html lang="en">"#));
}
