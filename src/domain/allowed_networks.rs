//! The networks that an API key may be used from.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

use super::{Parsed, Problem};

/// At least one network, each once, in the order in which they were given. Stored as texts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Vec<String>", try_from = "Vec<String>")]
pub struct AllowedNetworks(Vec<IpNet>);

impl AllowedNetworks {
    /// The maximum number of networks.
    pub const MAX: usize = 64;
    /// The maximum length of a network's text.
    pub const MAX_TEXT: usize = 43;

    /// Parses networks such as `10.0.0.0/8`; an address is a network of its own. An IPv4 network written as an IPv6 one is an
    /// IPv4 network.
    ///
    /// # Errors
    /// `blank` for none, because it could be read as everywhere or nowhere; `too_long` for more than
    /// [`AllowedNetworks::MAX`]; `invalid` for what is no network, or one whose address has bits beyond its prefix.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Parsed<Self> {
        match texts.len() {
            0 => return Err(Problem::Blank),
            number if number > Self::MAX => return Err(Problem::TooLong(Self::MAX)),
            _ => {}
        }
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts {
            let network = network(text.as_ref()).ok_or(Problem::Invalid)?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(Self(networks))
    }

    /// Whether the address is in one of the networks. The unspecified address, which stands for an unknown one, is in none.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !address.is_unspecified() && self.0.iter().any(|network| network.contains(&address))
    }

    /// Whether each address in the other networks is in one of these.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        let own = IpNet::aggregate(&self.0);
        others.0.iter().all(|other| own.iter().any(|network| network.contains(other)))
    }

    /// The networks in order.
    pub fn iter(&self) -> impl Iterator<Item = &IpNet> {
        self.0.iter()
    }
}

impl From<AllowedNetworks> for Vec<String> {
    fn from(networks: AllowedNetworks) -> Self {
        networks.0.iter().map(IpNet::to_string).collect()
    }
}

impl TryFrom<Vec<String>> for AllowedNetworks {
    type Error = &'static str;

    fn try_from(texts: Vec<String>) -> Result<Self, Self::Error> {
        Self::parse(&texts).map_err(|_| "not a list of networks")
    }
}

fn network(text: &str) -> Option<IpNet> {
    let address = || text.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let network = text.parse().ok().or_else(address)?;
    (network == network.trunc()).then(|| canonical(network))
}

/// The network as an IPv4 one, if it is that in IPv6's notation.
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    let ipv4 = prefix.zip(mapped.addr().to_ipv4_mapped()).and_then(|(prefix, addr)| Ipv4Net::new(addr, prefix).ok());
    ipv4.map_or(network, IpNet::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> AllowedNetworks {
        AllowedNetworks::parse(texts).unwrap()
    }

    #[test]
    fn networks_are_kept_once_in_their_order_and_addresses_are_networks() {
        let given = ["192.0.2.0/24", "2001:db8::/32", "192.0.2.0/24", "198.51.100.7", "::1", "::ffff:10.0.0.0/104"];
        let kept = ["192.0.2.0/24", "2001:db8::/32", "198.51.100.7/32", "::1/128", "10.0.0.0/8"];

        assert_eq!(Vec::from(networks(&given)), kept);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for wrong in ["", "x", "192.0.2.1/24", "192.0.2.0/33", "2001:db8::1/64", "192.0.2.0/", "10/8", " 10.0.0.0/8"] {
            assert_eq!(AllowedNetworks::parse(&["10.0.0.0/8", wrong]), Err(Problem::Invalid), "{wrong}");
        }
        assert_eq!(AllowedNetworks::parse::<&str>(&[]), Err(Problem::Blank));
        assert_eq!(AllowedNetworks::parse(&["10.0.0.0/8"; 65]), Err(Problem::TooLong(64)));
        assert!(AllowedNetworks::parse(&["10.0.0.0/8"; 64]).is_ok());
    }

    #[test]
    fn an_unknown_address_is_in_no_network() {
        let everywhere = networks(&["0.0.0.0/0", "::/0"]);
        for (address, is_in) in [("192.0.2.1", true), ("2001:db8::1", true), ("0.0.0.0", false), ("::", false)] {
            assert_eq!(everywhere.contain(address.parse().unwrap()), is_in, "{address}");
        }
    }

    #[test]
    fn an_address_is_found_in_its_network_however_it_is_written() {
        let allowed = networks(&["192.0.2.0/25", "2001:db8::/64"]);
        for (address, is_in) in [
            ("192.0.2.127", true),
            ("::ffff:192.0.2.127", true),
            ("192.0.2.128", false),
            ("2001:db8::ffff", true),
            ("2001:db8:0:1::", false),
        ] {
            assert_eq!(allowed.contain(address.parse().unwrap()), is_in, "{address}");
        }
    }

    #[test]
    fn networks_cover_what_lies_within_them_together() {
        let halves = networks(&["10.0.0.0/9", "10.128.0.0/9", "2001:db8::/32"]);
        assert!(halves.cover(&networks(&["10.0.0.0/8", "10.1.0.0/16", "2001:db8::1"])));
        for beyond in ["10.0.0.0/7", "11.0.0.0/24", "2001:db8::/31", "0.0.0.0/0", "::/0"] {
            assert!(!halves.cover(&networks(&["10.1.0.0/16", beyond])), "{beyond}");
        }
        assert!(!networks(&["::/0"]).cover(&networks(&["192.0.2.0/24"])), "IPv4 addresses are not IPv6 ones");
    }
}
