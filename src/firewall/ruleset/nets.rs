//! Networks of one family as nftables compares them: one address or prefix, a set of addresses, or a set of ranges
//! that neither overlap nor touch.

use crate::address::IpNet;
use crate::wire::nft::expr::{Element, Expr, Set, SetKind};
use std::fmt;
use std::net::IpAddr;

/// An address family, in rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ip {
    V4,
    V6,
}

impl Ip {
    pub const BOTH: [Ip; 2] = [Ip::V4, Ip::V6];

    pub fn of(addr: IpAddr) -> Ip {
        if addr.is_ipv4() { Ip::V4 } else { Ip::V6 }
    }

    pub const fn name(self) -> &'static str {
        match self {
            Ip::V4 => "ip",
            Ip::V6 => "ip6",
        }
    }

    const fn bits(self) -> u32 {
        match self {
            Ip::V4 => 32,
            Ip::V6 => 128,
        }
    }

    /// The greatest address as a number.
    const fn greatest(self) -> u128 {
        u128::MAX >> (128 - self.bits())
    }

    fn number(self, addr: IpAddr) -> u128 {
        match addr {
            IpAddr::V4(a) => u128::from(a.to_bits()),
            IpAddr::V6(a) => a.to_bits(),
        }
    }

    fn octets(self, n: u128) -> Vec<u8> {
        n.to_be_bytes()[16 - self.bits() as usize / 8..].to_vec()
    }

    fn address(self, n: u128) -> IpAddr {
        match self {
            // `n` came from an IPv4 address or lies below one.
            Ip::V4 => IpAddr::V4((n as u32).into()),
            Ip::V6 => IpAddr::V6(n.into()),
        }
    }
}

/// Networks of one family, not empty, sorted and merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nets {
    pub ip: Ip,
    /// First and last address of each range.
    ranges: Vec<(u128, u128)>,
}

impl Nets {
    /// Those of `nets` that are of this family; `None` when there are none.
    pub fn of(ip: Ip, nets: &[IpNet]) -> Option<Nets> {
        let mut ranges: Vec<(u128, u128)> = nets
            .iter()
            .filter(|n| Ip::of(n.addr) == ip)
            .map(|n| {
                let first = ip.number(n.network().addr);
                let host_bits = u32::from(n.prefix).min(ip.bits());
                (first, first | ip.greatest().checked_shr(host_bits).unwrap_or(0))
            })
            .collect();
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::new();
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        (!merged.is_empty()).then_some(Nets { ip, ranges: merged })
    }

    /// The same for single addresses.
    pub fn hosts(ip: Ip, addrs: &[IpAddr]) -> Option<Nets> {
        Nets::of(ip, &addrs.iter().copied().map(IpNet::host).collect::<Vec<_>>())
    }

    /// What compares a loaded address with these networks.
    pub fn lower(&self) -> Vec<Expr> {
        if let [(first, last)] = self.ranges[..] {
            if let Some(prefix) = self.prefix(first, last) {
                return self.lower_prefix(first, prefix);
            }
        }
        let kind = if self.ip == Ip::V4 { SetKind::Ipv4 } else { SetKind::Ipv6 };
        let all_hosts = self.ranges.iter().all(|(first, last)| first == last);
        let elements = self.ranges.iter().map(|&(first, last)| {
            let behind = (last < self.ip.greatest()).then(|| self.ip.octets(last + 1));
            let first = self.ip.octets(first);
            if all_hosts { Element::Value(first) } else { Element::Range(first, behind) }
        });
        vec![Expr::Lookup { set: Set { kind, elements: elements.collect() }, inverted: false }]
    }

    fn lower_prefix(&self, first: u128, prefix: u32) -> Vec<Expr> {
        let host_mask = self.ip.greatest().checked_shr(prefix).unwrap_or(0);
        let cmp = Expr::Cmp { equal: true, value: self.ip.octets(first) };
        match host_mask {
            0 => vec![cmp],
            _ => vec![Expr::Mask(self.ip.octets(self.ip.greatest() & !host_mask)), cmp],
        }
    }

    /// The prefix length of a range that is one network.
    fn prefix(&self, first: u128, last: u128) -> Option<u32> {
        let host_mask = first ^ last;
        let is_net = host_mask & host_mask.wrapping_add(1) == 0 && first & host_mask == 0;
        is_net.then(|| self.ip.bits() - (128 - host_mask.leading_zeros()))
    }

    fn fmt_range(&self, f: &mut fmt::Formatter<'_>, (first, last): (u128, u128)) -> fmt::Result {
        write!(f, "{}", self.ip.address(first))?;
        match self.prefix(first, last) {
            Some(prefix) if prefix == self.ip.bits() => Ok(()),
            Some(prefix) => write!(f, "/{prefix}"),
            None => write!(f, "-{}", self.ip.address(last)),
        }
    }
}

impl fmt::Display for Nets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one] = self.ranges[..] else {
            for (i, range) in self.ranges.iter().enumerate() {
                f.write_str(if i == 0 { "{ " } else { ", " })?;
                self.fmt_range(f, *range)?;
            }
            return f.write_str(" }");
        };
        if self.prefix(one.0, one.1).is_some() {
            return self.fmt_range(f, one);
        }
        f.write_str("{ ")?;
        self.fmt_range(f, one)?;
        f.write_str(" }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(ip: Ip, nets: &[&str]) -> String {
        let nets: Vec<IpNet> = nets.iter().map(|n| n.parse().unwrap()).collect();
        Nets::of(ip, &nets).map(|n| n.to_string()).unwrap_or_default()
    }

    #[test]
    fn networks_are_sorted_and_merged() {
        assert_eq!(shown(Ip::V4, &[]), "");
        assert_eq!(shown(Ip::V4, &["fe80::/10"]), "");
        assert_eq!(shown(Ip::V4, &["192.168.1.7/24"]), "192.168.1.0/24");
        assert_eq!(shown(Ip::V4, &["192.168.1.7"]), "192.168.1.7");
        assert_eq!(
            shown(Ip::V4, &["192.168.1.0/24", "10.1.0.0/16", "10.0.0.0/8"]),
            "{ 10.0.0.0/8, 192.168.1.0/24 }"
        );
        assert_eq!(shown(Ip::V4, &["10.1.0.0/16", "10.2.0.0/15"]), "{ 10.1.0.0-10.3.255.255 }");
        assert_eq!(shown(Ip::V4, &["0.0.0.0/1", "128.0.0.0/1"]), "0.0.0.0/0");
        assert_eq!(shown(Ip::V6, &["fe80::/10", "10.0.0.0/8", "fc00::/7"]), "{ fc00::/7, fe80::/10 }");
        assert_eq!(shown(Ip::V6, &["::/0"]), "::/0");
    }

    #[test]
    fn a_range_that_ends_with_the_greatest_address_has_no_end() {
        let nets: Vec<IpNet> = ["10.0.0.0/8", "240.0.0.0/4"].iter().map(|n| n.parse().unwrap()).collect();
        let lowered = Nets::of(Ip::V4, &nets).unwrap().lower();
        let [Expr::Lookup { set, inverted: false }] = &lowered[..] else { panic!("{lowered:?}") };
        assert_eq!(
            set.elements,
            [
                Element::Range(vec![10, 0, 0, 0], Some(vec![11, 0, 0, 0])),
                Element::Range(vec![240, 0, 0, 0], None)
            ]
        );
    }
}
