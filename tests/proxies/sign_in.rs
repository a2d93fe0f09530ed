//! People who sign in at the page, through real proxies and in a real browser.

use super::{
    assert_is_ann,
    program::{Answer, Proxy, free_address},
    service::WEBSOCKET,
};
use crate::{
    console,
    harness::{Server, ServerBuilder, is_possible, password_of},
};

/// Where the requests' browsers reach each proxy.
const ORIGIN: &str = "http://127.0.0.1:8080";
const HOST: &str = "Host: 127.0.0.1:8080\r\n";
/// What a client may claim about its request.
const CLAIMS: [&str; 6] = [
    "X-Forwarded-Method: GET\r\n",
    "X-Original-Method: GET\r\n",
    "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: https\r\n",
    "X-Forwarded-Uri: /evil\r\nX-Original-URI: /evil\r\n",
    "X-Original-URL: https://evil.example/\r\n",
    "Forwarded: for=192.0.2.1;host=evil.example;proto=https\r\n",
];

fn server(targets: &str) -> Server {
    let builder = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8");
    let server = builder.flag("--sign-in-targets", targets).start();
    server.user("ann");
    server
}

/// A request of a browser with these header lines.
fn ask(proxy: &Proxy, method: &str, target: &str, lines: &str) -> Answer {
    proxy.send(&format!("{method} {target} HTTP/1.1\r\n{HOST}{lines}"), "")
}

/// The form to sign in, as a browser sends it.
fn sign_in(proxy: &Proxy, target: &str, password: &str) -> Answer {
    let form = format!("username=ann&password={}", password.replace(' ', "+"));
    let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
    let lines = format!("{HOST}Origin: {ORIGIN}\r\n{kind}Content-Length: {}\r\n", form.len());
    proxy.send(&format!("POST {target} HTTP/1.1\r\n{lines}"), &form)
}

/// The line with the cookie of a new session of Ann's, among others.
#[track_caller]
fn cookie(proxy: &Proxy) -> String {
    let answer = sign_in(proxy, "/sign-in", &password_of("ann"));
    let set = answer.header("set-cookie").unwrap_or_else(|| panic!("{}: {answer:?}", proxy.name));
    format!("Cookie: a=b; {}; c=d\r\n", set.split(';').next().unwrap())
}

#[test]
fn a_browser_is_led_to_the_page_and_back_and_the_cookie_ends_at_the_proxy() {
    let server = server(ORIGIN);
    let proxies = Proxy::start_all_with("a_browser_is_led_to_the_page", &server, &["--sign-in"]);
    let page = format!("{ORIGIN}/sign-in?to=http%3A%2F%2F127.0.0.1%3A8080%2Ffiles%2Fa%3Fb%3Dc");
    let target = &page[ORIGIN.len()..];

    for proxy in &proxies {
        let led = ask(proxy, "GET", "/files/a?b=c", "Accept: text/html\r\n");
        assert_eq!(
            (led.status, led.header("location")),
            (302, Some(&*page)),
            "{}: {led:?}\n{}",
            proxy.name,
            proxy.log()
        );
        let fetched = ask(proxy, "GET", "/files/a?b=c", "Accept: */*\r\n");
        assert_eq!((fetched.status, fetched.header("location")), (401, None), "{}: {fetched:?}", proxy.name);
        assert!(fetched.header("www-authenticate").is_some(), "{}: {fetched:?}", proxy.name);
        let shown = ask(proxy, "GET", target, "");
        assert!(shown.status == 200 && shown.text.contains("To go on to 127.0.0.1."), "{}: {shown:?}", proxy.name);
        assert_eq!(sign_in(proxy, target, "not her password").status, 401, "{}", proxy.name);
        let signed_in = sign_in(proxy, target, &password_of("ann"));
        let back = format!("{ORIGIN}/files/a?b=c");
        assert_eq!(
            (signed_in.status, signed_in.header("location")),
            (303, Some(&*back)),
            "{}: {signed_in:?}",
            proxy.name
        );
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);

        let cookie = cookie(proxy);
        let passed = ask(proxy, "GET", "/files/a?b=c", &cookie);
        assert_eq!(passed.status, 200, "{}: {passed:?}", proxy.name);
        let received = proxy.received();
        assert_is_ann(&server, &received, proxy);
        let cookies = received.all("cookie").concat();
        assert_eq!(cookies.trim_end_matches([';', ' ']), "a=b; c=d", "{}: {received:?}", proxy.name);
        assert!(!format!("{received:?}").contains("eyJ"), "{}: {received:?}", proxy.name);

        server.user("ann").delete("/users/me/sessions").expect(204);
        assert_eq!(
            ask(proxy, "GET", "/files/a?b=c", &format!("{cookie}Accept: text/html\r\n")).status,
            302,
            "{}",
            proxy.name
        );
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
    }
}

#[test]
fn what_a_cookie_changes_comes_from_the_services_own_pages() {
    let server = server(ORIGIN);
    let proxies = Proxy::start_all_with("what_a_cookie_changes", &server, &["--sign-in"]);
    let own = format!("Origin: {ORIGIN}\r\n");

    for proxy in &proxies {
        let cookie = cookie(proxy);
        let post = |lines: &str| ask(proxy, "POST", "/files/a", &format!("{cookie}Content-Length: 0\r\n{lines}"));
        let socket = |lines: &str| ask(proxy, "GET", "/files/a", &format!("{cookie}{lines}"));
        let upgrade = WEBSOCKET.replace(": Upgrade", ": Upgrade, close");

        for lines in ["", "Origin: null\r\n", "Origin: http://127.0.0.1:8081\r\n", "Sec-Fetch-Site: same-site\r\n"] {
            assert_eq!(post(lines).status, 403, "{} {lines}", proxy.name);
            assert_eq!(socket(&format!("{upgrade}{lines}")).status, 403, "{} {lines}", proxy.name);
        }
        for claims in CLAIMS {
            let answer = post(claims);
            assert!([400, 403].contains(&answer.status), "{} {claims}: {answer:?}", proxy.name);
        }
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
        for lines in [&*own, "Sec-Fetch-Site: same-origin\r\n"] {
            let answer = post(lines);
            assert_eq!(answer.status, 200, "{} {lines}: {answer:?}", proxy.name);
            assert_is_ann(&server, &proxy.received(), proxy);
        }
        let switched = socket(&format!("{WEBSOCKET}{own}"));
        assert_eq!(switched.status, 101, "{}: {switched:?}", proxy.name);
        assert_is_ann(&server, &proxy.received(), proxy);
    }
}

#[test]
fn what_a_client_claims_leads_it_nowhere_else() {
    let server = server(&format!("{ORIGIN},https://evil.example"));
    let proxies = Proxy::start_all_with("what_a_client_claims_leads", &server, &["--sign-in"]);

    for proxy in &proxies {
        for claims in CLAIMS {
            let answer = ask(proxy, "GET", "/files/a", &format!("Accept: text/html\r\n{claims}"));
            assert!([302, 400, 401].contains(&answer.status), "{} {claims}: {answer:?}", proxy.name);
            let location = answer.header("location").unwrap_or_default();
            assert!(!location.contains("evil"), "{} {claims}: {answer:?}", proxy.name);
        }
        let elsewhere = proxy.send("GET /files/a HTTP/1.1\r\nHost: files.example\r\nAccept: text/html\r\n", "");
        assert_eq!((elsewhere.status, elsewhere.header("location")), (401, None), "{}: {elsewhere:?}", proxy.name);
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
    }
}

#[test]
fn a_person_uses_a_service_through_nginx() {
    in_a_browser("nginx");
}

#[test]
fn a_person_uses_a_service_through_caddy() {
    in_a_browser("caddy");
}

/// What a person does and sees in Chromium, through that proxy.
#[track_caller]
fn in_a_browser(name: &'static str) {
    if !Proxy::is_there("in_a_browser", name) || !is_possible("in_a_browser", console::missing()) {
        return;
    }
    let address = free_address();
    let server = server(&format!("http://{address}"));
    let proxy = Proxy::start(name, &server, address, &["--sign-in"]);
    proxy.wait();

    let lodge = format!("http://{}", server.address);
    console::run_through("sign-in-page", &address.to_string(), &[("LODGE_TEST_LODGE", &lodge)]);

    let received = proxy.service.take();
    let times = |target: &str| received.iter().filter(|one| one.target == target).count();
    assert_eq!((times("/files/own"), times("/files/forged")), (1, 0), "{received:?}");
}
