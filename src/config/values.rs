//! What each setting's text means, or why it means nothing.

use std::{fmt::Display, fs, io, net::IpAddr, path::Path, str::FromStr, time::Duration};

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
    let bounds = Duration::from_secs(1)..=Duration::from_hours(3650 * 24);
    let duration = humantime::parse_duration(text).ok().filter(|duration| bounds.contains(duration));
    duration.ok_or_else(|| format!("`{text}` is not a duration from 1s to 3650days, such as 24h"))
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
