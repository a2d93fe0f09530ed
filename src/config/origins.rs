//! Parses origins as browsers send them.

pub(super) fn origin(text: &str) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("`{}` {why}", text.escape_default()));
    if text == "*" || text == "null" {
        return refuse("would let in every page; name the origins");
    }
    let (default_port, authority) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(authority), _) => (":443", authority),
        (None, Some(authority)) => (":80", authority),
        (None, None) => return refuse("is not an origin, such as https://console.example.org"),
    };
    if authority.contains(['/', '?', '#']) {
        return refuse("is more than an origin: leave out what comes after the host and the port, a last slash too");
    }
    if authority.ends_with(default_port) {
        return refuse("has the port that browsers leave out");
    }
    let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    if is_host(host) && port.is_none_or(is_port) {
        Ok(text.to_owned())
    } else {
        refuse("is not an origin as browsers send it: a scheme, a host in small letters and perhaps a port")
    }
}

fn is_host(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_address = address.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
    is_address || (!text.is_empty() && text.bytes().all(is_name))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|number| number.to_string() == text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_else() {
        for right in
            ["https://console.example.org", "http://10.0.0.7:8080", "http://[::1]:3000", "https://[2001:db8::1]"]
        {
            assert_eq!(origin(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "*",
            "null",
            "https://*.example.org",
            "https://example.org/",
            "https://example.org/app",
            "https://example.org?x",
            "https://Example.org",
            "https://example.org:443",
            "http://example.org:80",
            "https://example.org:",
            "https://example.org:+1",
            "https://example.org:99999",
            "https://ann@example.org",
            "https://",
            "example.org",
            "ftp://example.org",
            "https://example.org,http://example.net",
            "https://[::1",
            "https://::1",
        ] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
