//! What each setting's text means, or why it means nothing.

use std::{fmt::Display, fs, io, net::IpAddr, ops::RangeInclusive, path::Path, str::FromStr, time::Duration};

use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{ADMIN_PASSWORD, DEFAULT_LISTEN};
use crate::{auth::Cost, secret::Secret};

pub(super) fn address(text: &str) -> Result<String, String> {
    let parts = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    parts
        .map(|_| text.to_owned())
        .ok_or_else(|| format!("`{text}` is not an address with a port, such as {DEFAULT_LISTEN}"))
}

/// Networks separated by commas; an address is a network of its own. One of all addresses would trust strangers.
pub(super) fn networks(text: Option<&str>) -> Result<Vec<IpNet>, String> {
    let network = |text: &str| {
        let address = || text.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical()));
        let network = text.parse::<IpNet>().ok().or_else(address).filter(|network| network.prefix_len() > 0);
        network.ok_or_else(|| format!("`{text}` is not a network, such as 10.0.0.0/8 or fd00::/8"))
    };
    text.map_or(Ok(Vec::new()), |text| text.split(',').map(|text| network(text.trim())).collect())
}

pub(super) fn number<N: Copy + FromStr + PartialOrd + Display>(text: &str, least: N, most: N) -> Result<N, String> {
    let number = text.parse().ok().filter(|number| (&least..=&most).contains(&number));
    number.ok_or_else(|| format!("`{text}` is not a number from {least} to {most}"))
}

pub(super) fn size(text: &str, least: u64, most: u64) -> Result<u64, String> {
    let size = text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64());
    let within = size.filter(|size| (least..=most).contains(size));
    within.ok_or_else(|| {
        let (least, most) = (bytesize::ByteSize(least), bytesize::ByteSize(most));
        format!("`{text}` is not a size from {least} to {most}, such as 512KiB")
    })
}

pub(super) fn cost(text: &str) -> Result<Cost, String> {
    text.parse().ok().and_then(Cost::new).ok_or_else(|| format!("`{text}` is not a number from 10 to 20"))
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_secs(1)..=Duration::from_hours(3650 * 24), "3650days", "24h")
}

/// How long a client may wait.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    duration_within(text, Duration::from_secs(1)..=Duration::from_hours(1), "1h", "5s")
}

/// A duration from one second to `most`.
pub(super) fn duration_within(
    text: &str,
    bounds: RangeInclusive<Duration>,
    most: &str,
    example: &str,
) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| bounds.contains(duration));
    duration.ok_or_else(|| format!("`{text}` is not a duration from 1s to {most}, such as {example}"))
}

/// A size that is within the bounds of this machine's addresses, because its setting is.
pub(super) fn usize_of(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// Origins, separated by commas, each as a browser sends it.
pub(super) fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(str::trim).map(origin).collect()
}

fn origin(text: &str) -> Result<String, String> {
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
        return refuse("is more than an origin: leave out what comes behind the host and the port, a last slash too");
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

pub(super) fn filter(text: &str) -> Result<(), String> {
    env_filter::Builder::new()
        .try_parse(text)
        .map(|_| ())
        .map_err(|_| format!("`{}` is not a log filter, such as info", text.escape_default()))
}

/// The password that the file or the environment gives; a file's last line break is not part of it.
pub(super) fn password(file: Option<&Path>, environment: Option<String>) -> Result<Option<Secret<String>>, String> {
    match (file, environment) {
        (Some(_), Some(_)) => Err(format!("the password is given by {ADMIN_PASSWORD} too; give it once")),
        (Some(file), None) => read_password(file).map(Some).map_err(|error| format!("{}: {error}", file.display())),
        (None, environment) => Ok(environment.map(Secret::new)),
    }
}

fn read_password(file: &Path) -> io::Result<Secret<String>> {
    let text = Zeroizing::new(fs::read_to_string(file)?);
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_else() {
        let several = "https://console.example.org, http://10.0.0.7:8080,http://[::1]:3000,https://[2001:db8::1]";
        assert_eq!(origins(several).unwrap().len(), 4);
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
            "https://example.org,",
            "https://[::1",
            "https://::1",
        ] {
            assert!(origins(wrong).is_err(), "{wrong}");
        }
    }
}
