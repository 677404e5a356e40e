//! Whose word is believed about the address that somebody asks from. Pure.
//!
//! A balancer before control and the edges says in `X-Forwarded-For` for whom it asks; so may anybody else. The header is read
//! only on connections from networks that the installation named, and from its end: each proxy adds whom it was asked by, so
//! what stands before the first address that is no proxy of ours was made up by whoever likes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// As balancers write it.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies of an installation: `trusted_proxies` in control's and edges' files, `updraft up --trusted-proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrustedProxies(Vec<TrustedProxy>);

/// An address (`10.0.0.7`), or a network that only proxies connect from (`10.0.1.0/24`, `fd00:1::/64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrustedProxy {
    address: IpAddr,
    prefix: u8,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum InvalidProxy {
    #[error("`{0}` is no network: write an address, or a network such as 10.0.1.0/24")]
    Unreadable(String),
    #[error("`{given}` is an address within a network: write `{meant}`, or the address alone")]
    Within { given: String, meant: TrustedProxy },
    #[error(
        "`{0}` is everybody, who could then claim any address: name the networks that the balancers are in"
    )]
    Everybody(String),
}

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Who asks, on a connection from `peer`: the last address in the lines of `X-Forwarded-For` that is no proxy of ours, or
    /// the first of all where each is one. What cannot be read on the way there leaves the connection's own.
    pub fn client<'a>(&self, peer: IpAddr, lines: impl DoubleEndedIterator<Item = &'a [u8]>) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.contain(peer) {
            return peer;
        }
        // RFC 9110 sections 5.3 and 5.6.1: several lines are one list, and what is empty in it does not count.
        let entries = lines.rev().flat_map(|line| line.rsplit(|byte| *byte == b','));
        let entries = entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty());
        let mut client = peer;
        for entry in entries {
            match read(entry) {
                None => return peer,
                Some(address) if self.contain(address) => client = address,
                Some(address) => return address,
            }
        }
        client
    }

    /// Whether what this address says of others is believed.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|proxy| proxy.covers(address.to_canonical()))
    }
}

impl FromIterator<TrustedProxy> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = TrustedProxy>>(proxies: T) -> Self {
        Self(proxies.into_iter().collect())
    }
}

/// `1.2.3.4`, `1.2.3.4:567`, `::1`, `[::1]` or `[::1]:5`: balancers write all of these.
fn read(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let in_brackets = || {
        text.strip_prefix('[')?
            .strip_suffix(']')?
            .parse::<Ipv6Addr>()
            .ok()
    };
    let read = text.parse().ok().or_else(with_port);
    read.or_else(|| in_brackets().map(IpAddr::V6))
        .map(|address| address.to_canonical())
}

// === impl TrustedProxy ===

impl TrustedProxy {
    fn covers(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.first_of(address) == self.address
    }

    /// The first address of the network of this size that `address` is in.
    fn first_of(&self, address: IpAddr) -> IpAddr {
        let kept = u32::from(self.prefix);
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(Ipv4Addr::BITS.saturating_sub(kept));
                Ipv4Addr::from_bits(v4.to_bits() & mask.unwrap_or(0)).into()
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(Ipv6Addr::BITS.saturating_sub(kept));
                Ipv6Addr::from_bits(v6.to_bits() & mask.unwrap_or(0)).into()
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let digits = |prefix: &str| prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = match prefix {
            Some(prefix) => prefix.parse::<u8>().ok().filter(|_| digits(prefix))?,
            None => longest,
        };
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8.
        match (address.to_canonical(), prefix.checked_sub(96)) {
            _ if prefix > longest => None,
            (mapped @ IpAddr::V4(_), Some(prefix)) if address.is_ipv6() => Some(Self {
                address: mapped,
                prefix,
            }),
            _ => Some(Self { address, prefix }),
        }
    }
}

impl FromStr for TrustedProxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let proxy = Self::parse(text).ok_or_else(|| InvalidProxy::Unreadable(text.to_owned()))?;
        let first = proxy.first_of(proxy.address);
        if proxy.prefix == 0 {
            return Err(InvalidProxy::Everybody(text.to_owned()));
        }
        if first != proxy.address {
            let meant = Self {
                address: first,
                ..proxy
            };
            let given = text.to_owned();
            return Err(InvalidProxy::Within { given, meant });
        }
        Ok(proxy)
    }
}

impl TryFrom<String> for TrustedProxy {
    type Error = InvalidProxy;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<TrustedProxy> for String {
    fn from(proxy: TrustedProxy) -> Self {
        proxy.to_string()
    }
}

impl fmt::Display for TrustedProxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => self.address.fmt(formatter),
            (address, prefix) => write!(formatter, "{address}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{InvalidProxy, TrustedProxies, TrustedProxy};

    const BALANCER: &str = "10.0.1.9";

    fn proxies() -> TrustedProxies {
        let named = ["10.0.1.0/24", "198.51.100.7", "fd00:1::/64"];
        named
            .map(|text| text.parse::<TrustedProxy>().unwrap())
            .into_iter()
            .collect()
    }

    #[track_caller]
    fn client(peer: &str, lines: &[&[u8]], expected: &str) {
        let found = proxies().client(peer.parse().unwrap(), lines.iter().copied());
        let shown: Vec<_> = lines.iter().map(|line| line.escape_ascii().to_string()).collect();
        assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer}: {shown:?}");
    }

    #[test]
    fn a_proxy_is_believed_as_far_as_it_saw_for_itself() {
        let rows: &[(&[&[u8]], &str)] = &[
            (&[b"203.0.113.5"], "203.0.113.5"),
            (&[b"2001:db8::5"], "2001:db8::5"),
            // What the client itself had written stands before what the proxy added.
            (&[b"6.6.6.6, 203.0.113.5"], "203.0.113.5"),
            (&[b"10.0.1.1, 203.0.113.5"], "203.0.113.5"),
            (&[b"unknown, \xff\x00 <script>, 203.0.113.5"], "203.0.113.5"),
            // A line of the client's own, a line of the proxy's.
            (&[b"6.6.6.6", b"203.0.113.5"], "203.0.113.5"),
            (&[b"6.6.6.6, 7.7.7.7", b"8.8.8.8", b"203.0.113.5"], "203.0.113.5"),
            // Several proxies.
            (&[b"6.6.6.6, 203.0.113.5, 198.51.100.7"], "203.0.113.5"),
            (&[b"6.6.6.6, 203.0.113.5, 10.0.1.3, 198.51.100.7"], "203.0.113.5"),
            (
                &[b"6.6.6.6, 203.0.113.5", b"10.0.1.3", b"fd00:1::7"],
                "203.0.113.5",
            ),
            (&[b"6.6.6.6, 203.0.113.5, 198.51.100.8"], "198.51.100.8"),
            // Nobody but proxies: the first of them asks.
            (&[b"10.0.1.2, 10.0.1.3"], "10.0.1.2"),
            // An empty element is none.
            (&[b"6.6.6.6,, 203.0.113.5 ,\t,"], "203.0.113.5"),
            (&[b"203.0.113.5", b""], "203.0.113.5"),
        ];
        for (lines, expected) in rows {
            client(BALANCER, lines, expected);
        }
    }

    #[test]
    fn addresses_are_read_as_balancers_write_them() {
        for (entry, expected) in [
            ("203.0.113.5:567", "203.0.113.5"),
            ("[2001:db8::5]:567", "2001:db8::5"),
            ("[2001:db8::5]", "2001:db8::5"),
            ("2001:DB8:0:0::5", "2001:db8::5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("[::ffff:203.0.113.5]:567", "203.0.113.5"),
            ("6.6.6.6, 203.0.113.5, [::ffff:10.0.1.3]:80", "203.0.113.5"),
            ("\t 203.0.113.5 \t", "203.0.113.5"),
        ] {
            client(BALANCER, &[entry.as_bytes()], expected);
        }
    }

    #[test]
    fn what_a_proxy_leaves_unreadable_leaves_the_connections_address() {
        let unreadable: &[&[u8]] = &[
            b"unknown",
            b"_hidden",
            b"unix:",
            b"203.0.113.5.6",
            b"203.0.113",
            b"0203.0.113.5",
            b"203.0.113.5:",
            b"203.0.113.5:99999",
            b"[203.0.113.5]",
            b"[2001:db8::5",
            b"2001:db8::5]",
            b"[]:80",
            b"fe80::1%eth0",
            b"\"203.0.113.5\"",
            b"for=203.0.113.5",
            b"203.0.113.5; 6.6.6.6",
            b"203.0.113.5 6.6.6.6",
            b"http://203.0.113.5",
            b"\xef\xbb\xbf203.0.113.5",
            b"\xff",
            b"6.6.6.6, unknown, 10.0.1.3",
        ];
        for line in unreadable {
            client(BALANCER, &[line], BALANCER);
        }
        client(BALANCER, &[b"6.6.6.6", b"unknown"], BALANCER);
        let nothing: [&[&[u8]]; 4] = [&[], &[b""], &[b" , ,"], &[b"", b","]];
        for lines in nothing {
            client(BALANCER, lines, BALANCER);
        }
    }

    #[test]
    fn who_is_no_proxy_says_what_they_like_without_effect() {
        for peer in ["203.0.113.5", "10.0.2.9", "198.51.100.8", "fd00:1:0:1::7", "::1"] {
            for line in ["6.6.6.6", "10.0.1.9", "unknown", "6.6.6.6, 10.0.1.9"] {
                client(peer, &[line.as_bytes()], peer);
            }
        }
        let nobody = TrustedProxies::default();
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(nobody.client(peer, [&b"6.6.6.6"[..]].into_iter()), peer);
    }

    #[test]
    fn an_ipv4_connection_on_an_ipv6_socket_is_one() {
        client("::ffff:10.0.1.9", &[b"203.0.113.5"], "203.0.113.5");
        client("::ffff:10.0.1.9", &[], "10.0.1.9");
        client("::ffff:203.0.113.5", &[b"6.6.6.6"], "203.0.113.5");
    }

    #[test]
    fn networks_are_said_exactly() {
        for (text, kept) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7/32", "10.0.0.7"),
            ("128.0.0.0/1", "128.0.0.0/1"),
            ("fd00::/8", "fd00::/8"),
            ("::1/128", "::1"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("::ffff:10.0.0.7", "10.0.0.7"),
        ] {
            assert_eq!(text.parse::<TrustedProxy>().unwrap().to_string(), kept, "{text}");
        }
        for text in [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/8/8",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/256",
            "balancer.internal",
            "10.0.0.0:80",
            "[::1]",
            " 10.0.0.0",
            "10.0.0.0/255.0.0.0",
            "*",
        ] {
            let unreadable = InvalidProxy::Unreadable(text.to_owned());
            assert_eq!(text.parse::<TrustedProxy>(), Err(unreadable));
        }
        for text in ["0.0.0.0/0", "::/0", "::ffff:0.0.0.0/96", "10.0.0.0/0"] {
            let everybody = InvalidProxy::Everybody(text.to_owned());
            assert_eq!(text.parse::<TrustedProxy>(), Err(everybody));
        }
        for (text, meant) in [("10.0.0.7/8", "`10.0.0.0/8`"), ("fd00:1::7/64", "`fd00:1::/64`")] {
            let error = text.parse::<TrustedProxy>().unwrap_err().to_string();
            assert!(error.contains(meant), "{error}");
        }
    }
}
