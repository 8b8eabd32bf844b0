//! A network: an address and a prefix length, as in `AllowedIPs`, `lan` and routes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

/// An address with a prefix length. Host bits are kept: `10.2.0.2/24` on an interface means both.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpNet {
    pub addr: IpAddr,
    pub prefix: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNet;

impl IpNet {
    /// `None` when the prefix is longer than the address.
    pub fn new(addr: IpAddr, prefix: u8) -> Option<IpNet> {
        (prefix <= if addr.is_ipv4() { 32 } else { 128 }).then_some(IpNet { addr, prefix })
    }

    /// The network of this one address.
    pub fn host(addr: IpAddr) -> IpNet {
        IpNet { addr, prefix: if addr.is_ipv4() { 32 } else { 128 } }
    }

    pub fn is_ipv4(&self) -> bool {
        self.addr.is_ipv4()
    }

    /// The same network with its host bits cleared.
    pub fn network(&self) -> IpNet {
        let addr = match self.addr {
            IpAddr::V4(a) => IpAddr::V4(Ipv4Addr::from_bits(
                a.to_bits() & u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0),
            )),
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(
                a.to_bits() & u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0),
            )),
        };
        IpNet { addr, prefix: self.prefix }
    }

    pub fn contains(&self, addr: IpAddr) -> bool {
        addr.is_ipv4() == self.is_ipv4()
            && IpNet { addr, prefix: self.prefix }.network().addr == self.network().addr
    }

    /// Whether every address of `other` is in this network.
    pub fn covers(&self, other: &IpNet) -> bool {
        self.prefix <= other.prefix && self.contains(other.addr)
    }

    /// Whether this is part of RFC 1918, RFC 4193 (ULA) or link-local space: what "LAN" may mean without an
    /// explicit word of the owner (TunnelCrack LocalNet, CVE-2023-36672).
    pub fn is_private(&self) -> bool {
        PRIVATE.iter().any(|p| p.covers(self))
    }

    /// Whether this is of the ranges from which an interface takes an address by itself.
    pub fn is_link_local(&self) -> bool {
        LINK_LOCAL.iter().any(|p| p.covers(self))
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> IpNet {
    IpNet { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

/// RFC 6335 section 6. No gateway forwards one of these by itself, and services of the machine listen there: through the
/// hole for such a port the world would reach ssh.
pub const SYSTEM_PORTS: Range<u16> = 0..1024;

/// RFC 1918, RFC 3927, RFC 4193 and RFC 4291 section 2.5.6: `lan` before an interface has an address, and when the
/// configuration cannot be read.
pub const PRIVATE: [IpNet; 6] = [
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    LINK_LOCAL[0],
    IpNet { addr: IpAddr::V6(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0)), prefix: 7 },
    LINK_LOCAL[1],
];

/// RFC 3927 and RFC 4291 section 2.5.6.
const LINK_LOCAL: [IpNet; 2] = [
    v4(169, 254, 0, 0, 16),
    IpNet { addr: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), prefix: 10 },
];

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

impl fmt::Debug for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for IpNet {
    type Err = BadNet;

    /// `10.2.0.2/32`, or an address alone for that one host.
    fn from_str(s: &str) -> Result<IpNet, BadNet> {
        match s.split_once('/') {
            None => s.parse().map(IpNet::host).map_err(|_| BadNet),
            Some((addr, prefix)) => {
                if prefix.is_empty() || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(BadNet);
                }
                let addr = addr.parse().map_err(|_| BadNet)?;
                IpNet::new(addr, prefix.parse().map_err(|_| BadNet)?).ok_or(BadNet)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(s: &str) -> IpNet {
        s.parse().unwrap()
    }

    #[test]
    fn a_network_keeps_and_clears_host_bits() {
        assert_eq!(net("10.2.0.2/24").to_string(), "10.2.0.2/24");
        assert_eq!(net("10.2.0.2/24").network().to_string(), "10.2.0.0/24");
        assert_eq!(net("10.2.0.2/0").network().to_string(), "0.0.0.0/0");
        assert_eq!(net("2a07:b944::2:2/0").network().to_string(), "::/0");
        assert_eq!(net("10.2.0.2").to_string(), "10.2.0.2/32");
    }

    #[test]
    fn bad_networks_are_refused() {
        for s in ["", "10.2.0.2/33", "::/129", "10.2.0/8", "1.2.3.4/", "1.2.3.4/-1", "1.2.3.4/+1", "a/8"] {
            assert_eq!(s.parse::<IpNet>(), Err(BadNet), "{s}");
        }
    }

    #[test]
    fn containment_follows_the_prefix_and_the_family() {
        assert!(net("10.0.0.0/8").contains("10.2.0.1".parse().unwrap()));
        assert!(!net("10.0.0.0/8").contains("::1".parse().unwrap()));
        assert!(net("0.0.0.0/0").covers(&net("0.0.0.0/1")));
        assert!(!net("0.0.0.0/1").covers(&net("0.0.0.0/0")));
        assert!(net("192.168.1.0/24").is_private());
        assert!(!net("192.0.0.0/8").is_private());
        assert!(!net("100.64.0.0/10").is_private());
    }
}
