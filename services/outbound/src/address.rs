//! What an address is: public, private, or never to be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Public,
    /// Somebody's own network or machine.
    Private,
    /// Link-local (the cloud's metadata service among them), multicast, unspecified, reserved.
    Never,
}

/// The metadata service of EC2 over IPv6.
const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// By the special-purpose registries of IANA (RFC 6890).
pub(super) fn standing(address: IpAddr) -> Standing {
    match address {
        IpAddr::V4(address) => standing_v4(address),
        IpAddr::V6(address) => standing_v6(address),
    }
}

fn standing_v4(address: Ipv4Addr) -> Standing {
    match address.octets() {
        // This network; link-local with the metadata service; 192.0.0.0/24 (Oracle's metadata service is 192.0.0.192);
        // Azure's and Alibaba's single addresses; multicast, reserved, broadcast.
        [0, ..]
        | [169, 254, ..]
        | [192, 0, 0, _]
        | [168, 63, 129, 16]
        | [100, 100, 100, 200]
        | [224..=255, ..] => Standing::Never,
        // Loopback; RFC 1918; carriers (RFC 6598).
        [127 | 10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Standing::Private,
        // Benchmarks; examples; the 6to4 relay.
        [198, 18 | 19, ..] | [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => {
            Standing::Never
        }
        _ => Standing::Public,
    }
}

fn standing_v6(address: Ipv6Addr) -> Standing {
    if address == METADATA_V6 {
        return Standing::Never;
    }
    if let Some(inner) = embedded(address) {
        // A disguise is no way for a destination that was opened: whoever means the address writes it.
        return match standing_v4(inner) {
            Standing::Public => Standing::Public,
            Standing::Private | Standing::Never => Standing::Never,
        };
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Standing::Private,
        // Unique local (RFC 4193).
        [0xfc00..=0xfdff, ..] => Standing::Private,
        // Examples; Teredo and the rest of 2001::/23; benchmarks.
        [0x2001, 0x0db8, ..] | [0x2001, 0..=0x01ff, ..] | [0x3fff, 0..=0x0fff, ..] => Standing::Never,
        // Global unicast; all else is link-local, site-local, multicast, unspecified or not given out.
        [0x2000..=0x3fff, ..] => Standing::Public,
        _ => Standing::Never,
    }
}

/// The IPv4 address inside a mapped, compatible, NAT64 (RFC 6052, RFC 8215) or 6to4 one.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let tail = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => Some(tail(high, low)),
        // The local-use NAT64 prefix leads wherever its network says.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::UNSPECIFIED),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Standing, standing};

    #[test]
    fn public_addresses_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "169.253.1.1",
            "2606:4700::1111",
            "2a00:1450:4001:82a::200e",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
        ] {
            assert_eq!(standing(address.parse().unwrap()), Standing::Public, "{address}");
        }
    }

    #[test]
    fn private_addresses_are_private() {
        for address in [
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
        ] {
            assert_eq!(standing(address.parse().unwrap()), Standing::Private, "{address}");
        }
    }

    #[test]
    fn what_nobody_has_to_reach_is_never_reached() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "192.0.0.192",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "198.18.0.1",
            "::",
            "::2",
            "fe80::1",
            "fe80::a9fe:a9fe",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "2001::1",
            "2001:db8::1",
            "100::1",
            "4000::1",
        ] {
            assert_eq!(standing(address.parse().unwrap()), Standing::Never, "{address}");
        }
    }

    #[test]
    fn a_disguise_helps_nobody() {
        for address in [
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::10.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::1",
            "2002:a9fe:a9fe::1",
            "2002:0a00:1::",
        ] {
            assert_eq!(standing(address.parse().unwrap()), Standing::Never, "{address}");
        }
    }
}
