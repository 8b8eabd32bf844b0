//! What leaves a link, told by its bytes: one of the things that a closed kill switch lets out (`firewall`), or
//! something else. Layouts: RFC 791, RFC 8200, RFC 768; Ethernet types of the IEEE registry.
//!
//! Looks at what a packet socket shows from the network header on. No input panics.

use crate::address::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHER_IPV4: u16 = 0x0800;
const ETHER_ARP: u16 = 0x0806;
const ETHER_IPV6: u16 = 0x86dd;
const ETHER_EAPOL: u16 = 0x888e;

const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
const HOP_BY_HOP: u8 = 0;

/// DNS and DNS over TLS: not let out, not even to the LAN.
const NAME_PORTS: [u16; 2] = [53, 853];
const MDNS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251)), IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb))];
const MDNS_PORT: u16 = 5353;

/// What may leave.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Of the tunnel's servers.
    pub endpoints: Vec<SocketAddr>,
    pub lan: Vec<IpNet>,
}

/// What a packet is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Encrypted, to the server.
    Tunnel,
    Lan,
    /// ARP, neighbour discovery, DHCP, mDNS: for the link itself.
    Link,
    Other(Stranger),
}

/// A packet that should not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    Ip { protocol: u8, to: IpAddr, port: Option<u16> },
    Frame(u16),
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (protocol, to, port) = match self {
            Stranger::Frame(kind) => return write!(f, "a frame of type 0x{kind:04x}"),
            Stranger::Ip { protocol, to, port } => (*protocol, to, port),
        };
        match protocol {
            TCP => f.write_str("TCP")?,
            UDP => f.write_str("UDP")?,
            1 | ICMPV6 => f.write_str("ICMP")?,
            n => write!(f, "protocol {n}")?,
        }
        match port {
            Some(port) => write!(f, " to {}", SocketAddr::new(*to, *port)),
            None => write!(f, " to {to}"),
        }
    }
}

struct Packet {
    protocol: u8,
    to: IpAddr,
    /// Source and destination; `None` in later fragments and for protocols without.
    ports: Option<(u16, u16)>,
    /// First byte behind the headers: an ICMPv6 type.
    first: Option<u8>,
    hops: u8,
}

/// Tells what a packet of this Ethernet type is.
pub fn sort(ether: u16, bytes: &[u8], allowed: &Allowed) -> Sort {
    let packet = match ether {
        ETHER_ARP | ETHER_EAPOL => return Sort::Link,
        ETHER_IPV4 => parse_v4(bytes),
        ETHER_IPV6 => parse_v6(bytes),
        _ => None,
    };
    let Some(p) = packet else { return Sort::Other(Stranger::Frame(ether)) };
    if is_for_the_link(&p) {
        return Sort::Link;
    }
    let port = p.ports.map(|(_, to)| to);
    let to_server =
        |e: &SocketAddr| p.protocol == UDP && e.ip() == p.to && port.is_none_or(|n| n == e.port());
    if allowed.endpoints.iter().any(to_server) {
        return Sort::Tunnel;
    }
    let asks_names = matches!(p.protocol, TCP | UDP) && port.is_some_and(|n| NAME_PORTS.contains(&n));
    if !asks_names && allowed.lan.iter().any(|net| net.contains(p.to)) {
        return Sort::Lan;
    }
    Sort::Other(Stranger::Ip { protocol: p.protocol, to: p.to, port })
}

fn is_for_the_link(p: &Packet) -> bool {
    let is_dhcp = p.protocol == UDP && matches!(p.ports, Some((68, 67) | (546, 547)));
    let is_mdns = p.protocol == UDP && MDNS.contains(&p.to) && p.ports.is_some_and(|(_, to)| to == MDNS_PORT);
    // Router and neighbour discovery (RFC 4861), which no router passes on. Reports of who listens to which group (IGMP,
    // RFC 3376; MLD, RFC 3810) are not discovery: the contract's list does not name them, so the rules drop them.
    let is_discovery = p.protocol == ICMPV6 && p.hops == 255 && matches!(p.first, Some(133..=137));
    is_dhcp || is_mdns || is_discovery && stays_on_the_link(p.to)
}

/// fe80::/10 and ff02::/16 (RFC 4291 sections 2.5.6 and 2.7).
fn stays_on_the_link(to: IpAddr) -> bool {
    matches!(to, IpAddr::V6(a) if a.is_unicast_link_local() || a.segments()[0] == 0xff02)
}

fn parse_v4(b: &[u8]) -> Option<Packet> {
    let head: &[u8; 20] = b.first_chunk()?;
    if head[0] >> 4 != 4 {
        return None;
    }
    let length = usize::from(head[0] & 15) * 4;
    let is_first = u16::from_be_bytes([head[6], head[7]]) & 0x1fff == 0;
    let to = IpAddr::V4(Ipv4Addr::new(head[16], head[17], head[18], head[19]));
    let body = if is_first { b.get(length..).unwrap_or_default() } else { &[] };
    Some(Packet {
        protocol: head[9],
        to,
        ports: ports(head[9], body),
        first: body.first().copied(),
        hops: head[8],
    })
}

fn parse_v6(b: &[u8]) -> Option<Packet> {
    let head: &[u8; 40] = b.first_chunk()?;
    if head[0] >> 4 != 6 {
        return None;
    }
    let to: [u8; 16] = head[24..].try_into().ok()?;
    let (mut protocol, mut body) = (head[6], &b[40..]);
    if protocol == HOP_BY_HOP {
        let &[next, length, ..] = body else { return None };
        protocol = next;
        body = body.get((usize::from(length) + 1) * 8..).unwrap_or_default();
    }
    let (ports, first) = (ports(protocol, body), body.first().copied());
    Some(Packet { protocol, to: IpAddr::from(to), ports, first, hops: head[7] })
}

fn ports(protocol: u8, body: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *body.first_chunk()?;
    matches!(protocol, TCP | UDP).then(|| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Allowed {
        Allowed {
            endpoints: vec!["203.0.113.11:51820".parse().unwrap()],
            lan: vec!["192.168.1.0/24".parse().unwrap(), "fd00::/8".parse().unwrap()],
        }
    }

    fn v4(protocol: u8, to: &str, from_port: u16, port: u16) -> Vec<u8> {
        let mut b = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 168, 1, 2];
        b.extend(to.parse::<Ipv4Addr>().unwrap().octets());
        b.extend(from_port.to_be_bytes());
        b.extend(port.to_be_bytes());
        b.extend([0, 8, 0, 0]);
        b
    }

    fn v6(protocol: u8, to: &str, hops: u8, body: &[u8]) -> Vec<u8> {
        let mut b = vec![0x60, 0, 0, 0, 0, body.len() as u8, protocol, hops];
        b.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        b.extend(to.parse::<Ipv6Addr>().unwrap().octets());
        b.extend(body);
        b
    }

    /// Router alert option, then the report's type.
    const MLD_REPORT: [u8; 12] = [ICMPV6, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0];

    #[test]
    fn what_the_rules_let_out_is_told_from_the_rest() {
        let of = |ether, b: &[u8]| sort(ether, b, &allowed());
        assert_eq!(of(ETHER_ARP, &[0; 28]), Sort::Link);
        assert_eq!(of(ETHER_IPV4, &v4(UDP, "203.0.113.11", 40000, 51820)), Sort::Tunnel);
        assert_eq!(of(ETHER_IPV4, &v4(TCP, "192.168.1.9", 40000, 22)), Sort::Lan);
        assert_eq!(of(ETHER_IPV4, &v4(UDP, "255.255.255.255", 68, 67)), Sort::Link);
        assert_eq!(of(ETHER_IPV4, &v4(UDP, "224.0.0.251", 5353, 5353)), Sort::Link);
        assert_eq!(of(ETHER_IPV6, &v6(ICMPV6, "ff02::1:ff00:1", 255, &[135, 0, 0, 0])), Sort::Link);
        assert_eq!(of(ETHER_IPV6, &v6(UDP, "fd00::9", 64, &[1, 2, 0, 22, 0, 8, 0, 0])), Sort::Lan);
    }

    #[test]
    fn everything_else_is_a_stranger_with_a_name() {
        for (ether, bytes, name) in [
            (ETHER_IPV4, v4(UDP, "203.0.113.11", 40000, 53), "UDP to 203.0.113.11:53"),
            (ETHER_IPV4, v4(TCP, "203.0.113.11", 40000, 51820), "TCP to 203.0.113.11:51820"),
            (ETHER_IPV4, v4(UDP, "192.168.1.1", 40000, 53), "UDP to 192.168.1.1:53"),
            (ETHER_IPV4, v4(1, "192.0.2.1", 8, 0), "ICMP to 192.0.2.1"),
            (ETHER_IPV4, v4(TCP, "192.0.2.1", 40000, 80), "TCP to 192.0.2.1:80"),
            (ETHER_IPV6, v6(ICMPV6, "2001:db8::1", 64, &[128, 0]), "ICMP to 2001:db8::1"),
            (ETHER_IPV6, v6(ICMPV6, "2001:db8::1", 64, &[135, 0]), "ICMP to 2001:db8::1"),
            (ETHER_IPV6, v6(ICMPV6, "2001:db8::1", 255, &[135, 0]), "ICMP to 2001:db8::1"),
            (ETHER_IPV4, v4(2, "224.0.0.22", 0, 0), "protocol 2 to 224.0.0.22"),
            (ETHER_IPV6, v6(HOP_BY_HOP, "ff02::16", 1, &MLD_REPORT), "ICMP to ff02::16"),
            (0x88cc, vec![1, 2, 3], "a frame of type 0x88cc"),
            (ETHER_IPV4, vec![0x65; 40], "a frame of type 0x0800"),
        ] {
            match sort(ether, &bytes, &allowed()) {
                Sort::Other(stranger) => assert_eq!(stranger.to_string(), name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn no_length_panics_and_none_is_let_out_by_being_short() {
        let whole = v6(HOP_BY_HOP, "2001:db8::1", 64, &[17, 0, 1, 4, 0, 0, 0, 0, 1, 2, 0, 53]);
        for (ether, bytes) in [(ETHER_IPV4, v4(UDP, "192.0.2.1", 1, 2)), (ETHER_IPV6, whole)] {
            for n in 0..=bytes.len() {
                assert!(matches!(sort(ether, &bytes[..n], &allowed()), Sort::Other(_)), "{n}");
            }
        }
    }
}
