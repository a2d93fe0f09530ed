use super::*;

fn covered(target: &str, origin: &str) -> bool {
    SignInTarget::parse(target).unwrap().covers(&WebOrigin::parse(origin).unwrap())
}

#[test]
fn a_target_is_an_origin_or_all_hosts_below_a_name() {
    let below = "https://*.example.org";
    for (target, origin, is_it) in [
        ("https://files.example.org", "https://files.example.org", true),
        ("https://files.example.org", "https://files.example.org:8443", false),
        ("https://files.example.org", "https://a.files.example.org", false),
        ("https://files.example.org", "https://example.org", false),
        (below, "https://files.example.org", true),
        (below, "https://a.b.example.org", true),
        (below, "https://example.org", false),
        (below, "https://evilexample.org", false),
        (below, "https://example.org.evil.net", false),
        (below, "https://files.example.org:8443", false),
        ("https://*.example.org:8443", "https://files.example.org:8443", true),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", true),
        ("http://127.0.0.1:8080", "https://127.0.0.1:8080", false),
    ] {
        assert_eq!(covered(target, origin), is_it, "{target} {origin}");
    }
    assert!(!covered(below, "http://localhost") && !covered("http://localhost", "https://localhost"));
}

#[test]
fn a_target_that_lets_in_strangers_or_cannot_have_the_cookie_is_none() {
    for wrong in [
        "",
        "*",
        "files.example.org",
        "*.example.org",
        "https://*",
        "https://*.org",
        "https://*.co.uk",
        "https://*.github.io",
        "https://*.*.example.org",
        "https://files.*.org",
        "https://*files.example.org",
        "https://*.127.0.0.1",
        "https://*.[::1]",
        "http://files.example.org",
        "http://10.0.0.1",
        "https://files.example.org/",
        "https://Files.example.org",
        "https://files.example.org:443",
        "https://ann@files.example.org",
    ] {
        assert!(SignInTarget::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_cookie_domain_is_a_name_of_ones_own() {
    for right in ["example.org", "home.example.co.uk", "xn--bcher-kva.example", "lodge.lan"] {
        assert_eq!(CookieDomain::parse(right).unwrap().as_str(), right);
    }
    for wrong in [
        "",
        "org",
        "localhost",
        ".example.org",
        "example.org.",
        "Example.org",
        "*.example.org",
        "co.uk",
        "com.au",
        "github.io",
        "127.0.0.1",
        "1.2",
        "[::1]",
        "example.org:443",
        "example.org/",
        "https://example.org",
        "b\u{fc}cher.example",
        "example.org; Path=/x",
    ] {
        assert!(CookieDomain::parse(wrong).is_err(), "{wrong}");
    }
    let domain = CookieDomain::parse("example.org").unwrap();
    assert!(domain.covers("example.org") && domain.covers("a.b.example.org"));
    assert!(!domain.covers("evilexample.org") && !domain.covers("example.org.evil.net") && !domain.covers("org"));
}

#[test]
fn the_address_of_the_page_is_one_at_which_browsers_keep_the_cookie() {
    for right in ["https://lodge.example.org/sign-in", "https://a.example/b/sign-in", "http://127.0.0.1:3000/sign-in"] {
        assert_eq!(address(right).map(|address| address.to_string()).as_deref(), Ok(right));
    }
    for wrong in [
        "",
        "/sign-in",
        "https://lodge.example.org",
        "https://lodge.example.org/",
        "https://lodge.example.org/sign-in?to=x",
        "https://lodge.example.org/sign-in#x",
        "http://lodge.example.org/sign-in",
    ] {
        assert!(address(wrong).is_err(), "{wrong}");
    }
}
