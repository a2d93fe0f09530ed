//! Networks, the smallest unit by which clients are distinguished.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// An IPv4 address, or the /64 of an IPv6 address: a client that has one address of a /64 can use all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of that address; an IPv4 address written as an IPv6 one is an IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))),
            address @ IpAddr::V4(_) => Self(address),
        }
    }

    /// The site that an IPv6 network is in.
    #[must_use]
    pub fn site(&self) -> Option<Site> {
        match self.0 {
            IpAddr::V6(prefix) => Some(Site(Ipv6Addr::from_bits(prefix.to_bits() >> 80 << 80))),
            IpAddr::V4(_) => None,
        }
    }

    /// Parses an address, or a network as it is displayed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix("/64") {
            Some(prefix) => prefix.parse().ok().map(|prefix: Ipv6Addr| Self::of(prefix.into())),
            None => text.parse().ok().map(Self::of),
        }
    }
}

/// The /48 that an IPv6 network is in, which one subscriber may have whole (RFC 6177).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site(Ipv6Addr);

/// The address as 16 bytes, different for each address.
#[must_use]
pub fn octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => write!(f, "{address}"),
            IpAddr::V6(prefix) => write!(f, "{prefix}/64"),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not an address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_networks_are_of_one_site_if_they_are_in_the_same_48() {
        let site = |text: &str| Network::parse(text).unwrap().site();
        assert_eq!(site("2001:db8:7::1"), site("2001:db8:7:ffff::1"));
        assert_ne!(site("2001:db8:7::1"), site("2001:db8:8::1"));
        assert_eq!([site("192.0.2.7"), site("::ffff:192.0.2.7")], [None, None]);
    }

    #[test]
    fn a_network_is_an_ipv4_address_or_the_first_half_of_an_ipv6_one() {
        let shown = |text: &str| Network::parse(text).map(|network| network.to_string());
        for (text, network) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("::1", "::/64"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(network), "{text}");
        }
        for wrong in ["", "192.0.2.7/64", "192.0.2.7/32", "2001:db8::/48", "192.0.2.7:80", "localhost", " ::1"] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
