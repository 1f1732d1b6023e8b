//! The guard against requests to where they must not go (SSRF): which addresses may be connected.
//!
//! `connect` asks it for each address that it is about to connect, after the name was resolved: what a name resolved to
//! earlier, or how an address was written in the URL, plays no part.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What is not on the public internet, by the IANA registries of special-purpose addresses (and RFC 5771, RFC 1112 for
/// multicast and class E).
const REFUSED_V4: [(Ipv4Net, &str); 16] = [
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private"),
    (v4([100, 64, 0, 0], 10), "shared by a carrier's customers"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private"),
    (v4([192, 0, 0, 0], 24), "of a protocol"),
    (v4([192, 0, 2, 0], 24), "for documentation"),
    (v4([192, 31, 196, 0], 24), "of a protocol"),
    (v4([192, 88, 99, 0], 24), "a 6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private"),
    (v4([198, 18, 0, 0], 15), "for benchmarks"),
    (v4([198, 51, 100, 0], 24), "for documentation"),
    (v4([203, 0, 113, 0], 24), "for documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
];

/// What is refused of `2000::/3`; all of IPv6 outside it is refused anyway.
const REFUSED_V6: [(Ipv6Net, &str); 4] = [
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "of a protocol, such as a Teredo tunnel"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "a 6to4 tunnel"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation"),
];

/// The words for what is refused outside `2000::/3`.
const OTHER_V6: [(Ipv6Net, &str); 8] = [
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback"),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), "unspecified, or IPv4 in an old form"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "translated to IPv4 by the local network"),
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), "discarded"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast"),
];

const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);
/// An IPv4 address that the network's translator reaches (RFC 6052): judged as that address.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

/// What may be connected beside public addresses.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    networks: Vec<IpNet>,
}

/// What the guard says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// On the public internet.
    Public,
    /// In one of the networks that the guard lets pass.
    Allowed,
    /// Neither, and of which kind it is.
    Refused(&'static str),
}

impl Guard {
    /// A guard that lets these networks pass beside public addresses.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self { networks }
    }

    /// May this address be connected?
    pub fn judge(&self, address: IpAddr) -> Judged {
        // ::ffff:a.b.c.d is connected as a.b.c.d.
        let address = address.to_canonical();
        let reached = reached(address);
        if self.networks.iter().any(|net| net.contains(&address) || net.contains(&reached)) {
            return Judged::Allowed;
        }
        match special(reached) {
            Some(kind) => Judged::Refused(kind),
            None => Judged::Public,
        }
    }
}

/// The address that packets reach in the end.
fn reached(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        }
        other => other,
    }
}

/// Of which kind an address is that is not on the public internet.
fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind(&REFUSED_V4, |net| net.contains(&address)),
        IpAddr::V6(address) if GLOBAL_V6.contains(&address) => {
            kind(&REFUSED_V6, |net| net.contains(&address))
        }
        IpAddr::V6(address) => {
            Some(kind(&OTHER_V6, |net| net.contains(&address)).unwrap_or("not of the public internet"))
        }
    }
}

fn kind<N>(table: &[(N, &'static str)], within: impl Fn(&N) -> bool) -> Option<&'static str> {
    table.iter().find(|(net, _)| within(net)).map(|(_, kind)| *kind)
}

const fn v4(octets: [u8; 4], prefix: u8) -> Ipv4Net {
    let [a, b, c, d] = octets;
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6(words: [u16; 8], prefix: u8) -> Ipv6Net {
    let [a, b, c, d, e, f, g, h] = words;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, e, f, g, h), prefix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(address: &str) -> Judged {
        Guard::default().judge(address.parse().unwrap())
    }

    #[test]
    fn public_addresses_pass() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(judged(address), Judged::Public, "{address}");
        }
    }

    #[test]
    fn what_is_not_public_is_refused_in_every_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.19.255.255",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:101:101::",
            "3fff::1",
            "4000::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(matches!(judged(address), Judged::Refused(_)), "{address}: {:?}", judged(address));
        }
    }

    #[test]
    fn what_is_allowed_passes_and_nothing_beside_it() {
        let guard = Guard::new(vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let judge = |address: &str| guard.judge(address.parse().unwrap());
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "fd12::1"] {
            assert_eq!(judge(address), Judged::Allowed, "{address}");
        }
        for address in ["10.2.0.1", "127.0.0.1", "::ffff:10.2.0.1", "64:ff9b::10.2.0.1", "fc00::1"] {
            assert!(matches!(judge(address), Judged::Refused(_)), "{address}");
        }
    }

    proptest! {
        /// The standard library's own words for IPv4, where it has stable ones.
        #[test]
        fn no_address_passes_that_the_standard_library_calls_special(bits in any::<u32>()) {
            let address = Ipv4Addr::from(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            let refused = matches!(Guard::default().judge(address.into()), Judged::Refused(_));
            prop_assert!(refused || !special, "{address}");
        }

        #[test]
        fn an_ipv4_address_is_judged_alike_in_each_of_its_ipv6_forms(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b, c, d] = v4.octets();
            let translated = Ipv6Addr::from([0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d]);
            let plain = Guard::default().judge(v4.into());
            prop_assert_eq!(Guard::default().judge(v4.to_ipv6_mapped().into()), plain);
            prop_assert_eq!(Guard::default().judge(translated.into()), plain);
        }

        #[test]
        fn of_ipv6_only_global_unicast_passes(bits in any::<u128>()) {
            let address = Ipv6Addr::from(bits);
            prop_assume!(!NAT64.contains(&address) && address.to_ipv4_mapped().is_none());
            let public = Guard::default().judge(address.into()) == Judged::Public;
            prop_assert!(!public || GLOBAL_V6.contains(&address), "{address}");
            prop_assert!(!public || !(address.is_unique_local() || address.is_unicast_link_local()
                || address.is_multicast() || address.is_loopback()), "{address}");
        }
    }
}
