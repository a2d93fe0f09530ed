//! The kinds of settings: how a value is parsed, and its bounds.

use std::{
    ffi::{OsStr, OsString},
    fmt::Display,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use ipnet::IpNet;

/// Where a setting can be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sources {
    /// As a flag, an environment variable or a line of the file.
    All,
    /// As a flag or an environment variable.
    NotFile,
    /// As a flag alone.
    Flag,
}

/// A proxy whose headers name the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedProxy {
    /// One with an address in that network.
    Network(IpNet),
    /// One that connects to a Unix socket of `--listen`.
    Unix,
}

/// A kind of settings, with the parser of its values.
pub(super) struct Kind<T> {
    pub(super) value_name: Option<&'static str>,
    pub(super) bounds: Option<[String; 2]>,
    pub(super) sources: Sources,
    /// Whether its value is several ones, which may be given one by one.
    pub(super) is_list: bool,
    read: Box<Read<T>>,
}

/// Parses a setting's text, if it has one; the error is a sentence.
type Read<T> = dyn Fn(Option<&OsStr>) -> Result<T, String>;

/// Returns the kind; its type parameter is that of the declared field.
pub(super) fn of<T>(kind: Kind<T>) -> Kind<T> {
    kind
}

impl<T: 'static> Kind<T> {
    /// A kind whose settings must have a value.
    fn os(value_name: &'static str, read: impl Fn(&OsStr) -> Result<T, String> + 'static) -> Self {
        let read = move |text: Option<&OsStr>| read(text.ok_or("it has no value")?);
        Self { value_name: Some(value_name), bounds: None, sources: Sources::All, is_list: false, read: Box::new(read) }
    }

    fn text(value_name: &'static str, read: impl Fn(&str) -> Result<T, String> + 'static) -> Self {
        Self::os(value_name, move |text| read(text.to_str().ok_or_else(|| not_utf8(text))?))
    }

    /// A value between two bounds that are written like values; `read` returns `None` for an invalid text.
    fn within(
        name: &'static str,
        [least, most]: [String; 2],
        example: &'static str,
        read: impl Fn(&str) -> Option<T> + 'static,
    ) -> Self
    where
        T: PartialOrd,
    {
        let bounds = [least.clone(), most.clone()];
        let [from, to] = [&least, &most].map(|bound| read(bound).expect("the bounds of a setting are values of it"));
        let read = move |text: &str| {
            let value = read(text).filter(|value| (&from..=&to).contains(&value));
            value.ok_or_else(|| format!("`{}` is not a {name} from {least} to {most}{example}", text.escape_default()))
        };
        let kind = Self::text(value_name_of(name), read);
        Self { bounds: Some(bounds), ..kind }
    }

    /// Parses the setting's text, `None` if it has no value.
    pub(super) fn read(&self, text: Option<&OsString>) -> Result<T, String> {
        (self.read)(text.map(OsString::as_os_str))
    }

    /// The kind of a setting that cannot be in the file.
    pub(super) fn never_in_file(self) -> Self {
        Self { sources: Sources::NotFile, ..self }
    }

    /// The kind of a setting with commas between its values.
    pub(super) fn given_one_by_one(self) -> Self {
        Self { is_list: true, ..self }
    }

    /// The kind of a setting whose value has to pass that check too.
    pub(super) fn checked(self, check: fn(&T) -> Result<(), String>) -> Self {
        let read = self.read;
        let read = move |text: Option<&OsStr>| read(text).and_then(|value| check(&value).map(|()| value));
        Self { read: Box::new(read), ..self }
    }

    /// The kind of a setting that an operator gives once and that must not persist in the environment or the file.
    pub(super) fn only_as_flag(self) -> Self {
        Self { sources: Sources::Flag, ..self }
    }
}

fn not_utf8(text: &OsStr) -> String {
    format!("`{}` is not UTF-8", text.to_string_lossy().escape_default())
}

fn value_name_of(name: &'static str) -> &'static str {
    match name {
        "number" => "NUMBER",
        "size" => "SIZE",
        _ => "DURATION",
    }
}

/// A setting that may be left out.
pub(super) fn optional<T: 'static>(kind: Kind<T>) -> Kind<Option<T>> {
    let Kind { value_name, bounds, sources, is_list, read } = kind;
    let read = move |text: Option<&OsStr>| text.map(|text| read(Some(text))).transpose();
    Kind { value_name, bounds, sources, is_list, read: Box::new(read) }
}

/// True if the flag is given.
pub(super) fn switch() -> Kind<bool> {
    Kind { value_name: None, ..Kind::os("", |text| Ok(text == "true")) }
}

pub(super) fn file() -> Kind<PathBuf> {
    path("FILE")
}

pub(super) fn directory() -> Kind<PathBuf> {
    path("DIRECTORY")
}

fn path(value_name: &'static str) -> Kind<PathBuf> {
    Kind::os(value_name, |text| if text.is_empty() { Err("it has no value".to_owned()) } else { Ok(text.into()) })
}

/// The result of `read`.
pub(super) fn text<T: 'static>(value_name: &'static str, read: fn(&str) -> Result<T, String>) -> Kind<T> {
    Kind::text(value_name, read)
}

/// Several values with commas between them; none without a text.
pub(super) fn list<T: 'static>(value_name: &'static str, read: fn(&str) -> Result<T, String>) -> Kind<Vec<T>> {
    let Kind { value_name, bounds, sources, is_list: _, read } =
        optional(Kind::text(value_name, move |text| text.split(',').map(|item| read(item.trim())).collect()));
    let read = move |text: Option<&OsStr>| Ok(read(text)?.unwrap_or_default());
    Kind { value_name, bounds, sources, is_list: true, read: Box::new(read) }
}

pub(super) fn number<N>(least: N, most: N) -> Kind<N>
where
    N: FromStr + PartialOrd + Display + Copy + 'static,
{
    Kind::within("number", [least.to_string(), most.to_string()], "", |text| text.parse().ok())
}

/// A number of bytes with a unit, within the addresses of this machine.
pub(super) fn size<N: TryFrom<u64> + PartialOrd + 'static>(least: &str, most: &str) -> Kind<N> {
    Kind::within("size", [least.to_owned(), most.to_owned()], ", such as 512KiB", |text| {
        text.parse::<ByteSize>().ok().and_then(|size| size.as_u64().try_into().ok())
    })
}

pub(super) fn duration(least: &str, most: &str) -> Kind<Duration> {
    Kind::within("duration", [least.to_owned(), most.to_owned()], ", such as 30s", |text| {
        humantime::parse_duration(text).ok()
    })
}

/// An address without a name, so that nothing has to be looked up to know who reaches it.
pub(super) fn socket_address() -> Kind<SocketAddr> {
    Kind::text("ADDRESS:PORT", |text| {
        let parsed = text.parse();
        parsed.map_err(|_| {
            format!("`{}` is not an IP address with a port, such as 127.0.0.1:9464", text.escape_default())
        })
    })
}

/// Parses a network or `unix`; an address is a network of one address. `/0` is refused, because it would trust every client.
pub(super) fn trusted_proxy(text: &str) -> Result<TrustedProxy, String> {
    if text == "unix" {
        return Ok(TrustedProxy::Unix);
    }
    let address = || text.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let network = text.parse::<IpNet>().ok().or_else(address).filter(|network| network.prefix_len() > 0);
    network.map(TrustedProxy::Network).ok_or_else(|| {
        let text = text.escape_default();
        format!("`{text}` is not a network, such as 10.0.0.0/8 or fd00::/8, nor `unix`")
    })
}

pub(super) fn filter() -> Kind<String> {
    Kind::text("FILTER", |text| {
        let parsed = env_filter::Builder::new().try_parse(text).map(|_| text.to_owned());
        parsed.map_err(|_| format!("`{}` is not a log filter, such as info", text.escape_default()))
    })
}
