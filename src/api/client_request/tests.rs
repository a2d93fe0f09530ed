use super::*;

const REPORTED: [(&str, &str); 4] = [
    ("x-forwarded-method", "POST"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "Files.example.org:443"),
    ("x-forwarded-uri", "/a,b?c=d"),
];

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    map
}

/// The headers of [`REPORTED`] with these in place of those of the same name.
fn reported(others: &[(&str, &str)]) -> HeaderMap {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    let kept = REPORTED.iter().filter(|(name, _)| !is_other(name));
    map(&kept.chain(others).copied().collect::<Vec<_>>())
}

fn address_of(headers: &HeaderMap) -> Option<String> {
    ClientRequest::of(headers).address.map(|address| address.to_string())
}

#[test]
fn the_address_is_reported_by_its_parts_as_a_whole_or_both() {
    let address = Some("https://files.example.org/a,b?c=d");
    assert_eq!(address_of(&reported(&[])).as_deref(), address);
    assert_eq!(address_of(&reported(&[("x-original-uri", "/a,b?c=d")])).as_deref(), address);
    assert_eq!(address_of(&reported(&[("x-original-url", "https://files.example.org/a,b?c=d")])).as_deref(), address);
    let whole = map(&[("x-original-url", "https://files.example.org/a,b?c=d")]);
    assert_eq!(address_of(&whole).as_deref(), address);
    assert_eq!(address_of(&reported(&[("x-forwarded-proto", "wss")])).as_deref(), address);
}

#[test]
fn what_is_missing_malformed_or_contradictory_is_no_address() {
    for others in [
        &[("x-original-uri", "/other")][..],
        &[("x-original-url", "https://files.example.org/other")],
        &[("x-original-url", "https://evil.example/a,b?c=d")],
        &[("x-original-url", "x")],
        &[("x-forwarded-uri", "/a"), ("x-forwarded-uri", "/a")],
        &[("x-forwarded-uri", "a")],
        &[("x-forwarded-uri", "https://evil.example/")],
        &[("x-forwarded-uri", "/\\evil.example")],
        &[("x-forwarded-uri", "")],
        &[("x-forwarded-host", "files.example.org, evil.example")],
        &[("x-forwarded-host", "files.example.org"), ("x-forwarded-host", "evil.example")],
        &[("x-forwarded-host", "ann@files.example.org")],
        &[("x-forwarded-host", "files.example.org/")],
        &[("x-forwarded-proto", "https,http")],
        &[("x-forwarded-proto", "javascript")],
    ] {
        assert_eq!(address_of(&reported(others)), None, "{others:?}");
    }
    for left_out in ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-uri"] {
        let rest: Vec<_> = REPORTED.iter().filter(|(name, _)| *name != left_out).copied().collect();
        assert_eq!(address_of(&map(&rest)), None, "{left_out}");
    }
    assert_eq!(address_of(&map(&[("x-original-url", "https://a.example/"), ("x-forwarded-uri", "/")])), None);
}

#[test]
fn a_request_is_safe_by_a_method_that_is_known_and_if_it_does_not_upgrade() {
    let is_safe = |others: &[(&str, &str)]| {
        let headers = reported(others);
        ClientRequest::of(&headers).is_of_own_pages(&headers)
    };
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(is_safe(&[("x-forwarded-method", method)]), "{method}");
    }
    for others in [
        &[][..],
        &[("x-forwarded-method", "DELETE")],
        &[("x-forwarded-method", "get")],
        &[("x-forwarded-method", "GET, POST")],
        &[("x-forwarded-method", "GET"), ("x-forwarded-method", "GET")],
        &[("x-forwarded-method", "GET"), ("x-original-method", "POST")],
        &[("x-forwarded-method", "")],
        &[("x-forwarded-method", "GET"), (HIDDEN_UPGRADE, "websocket")],
        &[("x-forwarded-method", "GET"), ("sec-websocket-key", "x")],
        &[("x-forwarded-method", "GET"), ("sec-websocket-version", "13")],
        &[("x-forwarded-method", "GET"), ("sec-fetch-mode", "websocket")],
    ] {
        assert!(!is_safe(others), "{others:?}");
    }
    let headers = map(&REPORTED[1..]);
    assert!(!ClientRequest::of(&headers).is_of_own_pages(&headers), "a method that is missing");
}

#[test]
fn an_unsafe_request_comes_from_a_page_of_the_same_origin() {
    let is_own = |others: &[(&str, &str)]| {
        let headers = reported(others);
        ClientRequest::of(&headers).is_of_own_pages(&headers)
    };
    assert!(is_own(&[("sec-fetch-site", "same-origin")]));
    assert!(is_own(&[("origin", "https://files.example.org")]));
    for others in [
        &[("sec-fetch-site", "same-site")][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://files.example.org")],
        &[("origin", "null")],
        &[("origin", "http://files.example.org")],
        &[("origin", "https://files.example.org:8443")],
        &[("origin", "https://evil.example")],
        &[("origin", "https://files.example.org"), ("origin", "https://files.example.org")],
        &[("origin", "https://files.example.org"), ("x-forwarded-proto", "http")],
        &[("origin", "https://files.example.org"), ("x-original-url", "https://a.example/")],
    ] {
        assert!(!is_own(others), "{others:?}");
    }
    let unknown = map(&[("origin", "https://files.example.org")]);
    assert!(!ClientRequest::of(&unknown).is_of_own_pages(&unknown));
}

#[test]
fn a_browser_is_led_back_to_a_page_and_to_nothing_else() {
    let is_page = |others: &[(&str, &str)]| {
        let headers = reported(&[&[("x-forwarded-method", "GET")], others].concat());
        ClientRequest::of(&headers).page(&headers).is_some()
    };
    assert!(is_page(&[("sec-fetch-mode", "navigate")]));
    assert!(is_page(&[("accept", "application/xml, Text/HTML;q=0.9")]));
    for others in [
        &[][..],
        &[("accept", "*/*")],
        &[("accept", "text/html-like")],
        &[("sec-fetch-mode", "cors"), ("accept", "text/html")],
        &[("sec-fetch-mode", "navigate"), (HIDDEN_UPGRADE, "websocket")],
    ] {
        assert!(!is_page(others), "{others:?}");
    }
    let post = reported(&[("sec-fetch-mode", "navigate")]);
    assert_eq!(ClientRequest::of(&post).page(&post), None);
}
