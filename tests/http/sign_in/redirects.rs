//! How a browser without a credential gets to the page.

use super::{builder, leading_to};
use crate::harness::{Reply, Request, Server, ServerBuilder, basic};

/// What a proxy passes on of a browser that goes to a page of a service.
const NAVIGATION: [(&str, &str); 5] = [
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "https"),
    ("X-Forwarded-Host", "files.example.org"),
    ("X-Forwarded-Uri", "/a?b=c&d"),
    ("Accept", "text/html,*/*;q=0.8"),
];

/// The answer to a request with that query, and these headers in place of those of the same name.
fn asked(server: &Server, query: &str, others: &[(&str, &str)]) -> Reply {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    let kept = NAVIGATION.iter().filter(|(name, _)| !is_other(name));
    let request = Request::new("GET", &format!("/forward-auth?{query}"));
    let request = kept.chain(others).fold(request, |request, (name, value)| request.header(name, value));
    server.anonymous().send(&request)
}

fn offered(reply: &Reply) -> (u16, Option<&str>, Option<&str>) {
    (reply.status, reply.header("x-lodge-sign-in"), reply.header("location"))
}

#[test]
fn a_browser_is_led_to_the_page_that_leads_back() {
    let server = builder().start();
    let page = format!("https://files.example.org{}", leading_to("https://files.example.org/a?b=c&d"));

    let plain = asked(&server, "scope=files/index", &[]);
    let redirected = asked(&server, "scope=files/index&redirect=1", &[]);
    let for_nginx = asked(&server, "scope=files/index&errors=403", &[]);

    assert_eq!(offered(&plain), (401, Some(&*page), None));
    assert_eq!(offered(&redirected), (302, Some(&*page), Some(&*page)));
    assert_eq!(offered(&for_nginx), (401, Some(&*page), None));
    assert_eq!(redirected.header("www-authenticate"), None);
    assert_eq!(redirected.header("cache-control"), Some("no-store"));
    for others in [
        &[("Cookie", "__Host-lodge_session=a.b.c")][..],
        &[("Sec-Fetch-Mode", "navigate"), ("Accept", "*/*")],
        &[("X-Forwarded-Method", "HEAD")],
    ] {
        assert_eq!(asked(&server, "scope=any&redirect=1", others).status, 302, "{others:?}");
    }
}

#[test]
fn nothing_but_a_browser_that_goes_to_a_page_of_a_target_is_redirected() {
    let server = builder().start();
    let wrong = basic("ann", "a guess");

    for others in [
        &[("Accept", "*/*")][..],
        &[("Accept", "application/json")],
        &[("Sec-Fetch-Mode", "cors")],
        &[("Sec-Fetch-Mode", "navigate"), ("Upgrade", "websocket")],
        &[("X-Forwarded-Method", "POST"), ("Sec-Fetch-Mode", "navigate")],
        &[("X-Original-Method", "POST")],
        &[("X-Forwarded-Method", "")],
        &[("Authorization", &wrong)],
        &[("X-Lodge-Key", "x")],
        &[("X-Forwarded-Host", "evil.example")],
        &[("X-Forwarded-Host", "files.example.org, evil.example")],
        &[("X-Forwarded-Host", "files.example.org@evil.example")],
        &[("X-Forwarded-Host", "files.example.org:8443")],
        &[("X-Forwarded-Proto", "http")],
        &[("X-Forwarded-Uri", "https://evil.example/")],
        &[("X-Forwarded-Uri", "/\\evil.example")],
        &[("X-Forwarded-Uri", "")],
        &[("X-Original-URI", "/other")],
        &[("X-Original-URL", "https://evil.example/a?b=c&d")],
    ] {
        assert_eq!(offered(&asked(&server, "scope=any&redirect=1", others)), (401, None, None), "{others:?}");
    }
    for query in
        ["scope=any&redirect=1&redirect=1", "scope=any&redirect=0", "redirect=1", "scope=any&redirect=1&errors=403"]
    {
        let reply = asked(&server, query, &[]);
        assert_eq!((reply.status, reply.header("location")), (401, None), "{query}");
        let known = server.admin().get(&format!("/forward-auth?{query}"));
        assert_eq!(known.status, 403, "{query}: a typing error admits nobody");
    }
}

#[test]
fn an_address_that_is_too_long_for_a_header_is_not_offered() {
    let server = builder().start();
    let asked = |names: usize| asked(&server, "scope=any&redirect=1", &[("X-Forwarded-Uri", &"/x".repeat(names))]);

    assert_eq!(asked(400).status, 302);
    assert_eq!(offered(&asked(600)), (401, None, None));
}

#[test]
fn the_page_does_not_lead_to_itself() {
    let server = builder().start();

    for uri in ["/sign-in", "/sign-in?to=https%3A%2F%2Ffiles.example.org%2F"] {
        let reply = asked(&server, "scope=any&redirect=1", &[("X-Forwarded-Uri", uri)]);
        assert_eq!(offered(&reply), (401, None, None), "{uri}");
    }
    assert_eq!(asked(&server, "scope=any&redirect=1", &[("X-Forwarded-Uri", "/sign-in/x")]).status, 302);
}

#[test]
fn the_page_is_where_it_is_configured_or_below_the_base_path() {
    let builder = || ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8");
    let targets = |builder: ServerBuilder| builder.flag("--sign-in-targets", "https://files.example.org");
    let elsewhere = targets(builder()).flag("--cookie-domain", "example.org");
    let elsewhere = elsewhere.flag("--sign-in-url", "https://lodge.example.org/x/sign-in").start();
    let below = targets(builder()).flag("--base-path", "/accounts").start_unasked();
    let to = &leading_to("https://files.example.org/a?b=c&d")["/sign-in".len()..];

    let reply = asked(&elsewhere, "scope=any&redirect=1", &[]);

    assert_eq!(reply.header("location"), Some(&*format!("https://lodge.example.org/x/sign-in{to}")));
    let request = NAVIGATION
        .iter()
        .fold(Request::whole("GET", "/accounts/api/v2/forward-auth?scope=any&redirect=1"), |request, (name, value)| {
            request.header(name, value)
        });
    let reply = below.anonymous().try_send(&request).unwrap();
    assert_eq!(reply.header("location"), Some(&*format!("https://files.example.org/accounts/sign-in{to}")));
}

#[test]
fn what_no_trusted_proxy_reports_leads_nowhere() {
    let server = ServerBuilder::new().flag("--sign-in-targets", "https://files.example.org").start();
    let without = Server::start();

    assert_eq!(offered(&asked(&server, "scope=any&redirect=1", &[])), (401, None, None));
    assert_eq!(offered(&asked(&without, "scope=any&redirect=1", &[])), (401, None, None));
}
