//! Asking which sockets exist (linux/sock_diag.h, inet_diag.h; sock_diag(7)). Needs no right.

use super::nlmsg::{Malformed, Message, attrs_behind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_SKV6ONLY: u16 = 11;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;
/// State numbers of include/net/tcp_states.h: a bound UDP socket that is not connected is "closed".
const TCP_CLOSE: u32 = 7;
const TCP_LISTEN: u32 = 10;
/// `struct inet_diag_msg`.
const SOCKET_LEN: usize = 72;

/// A socket that waits for others: TCP in state LISTEN, or bound UDP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub addr: IpAddr,
    pub port: u16,
    /// The number of the link it is bound to (SO_BINDTODEVICE); 0 = none.
    pub device: u32,
    /// Whether an IPv6 wildcard leaves IPv4 alone.
    pub v6_only: bool,
}

/// Asks for all such sockets of one family on this local port.
pub fn dump_listeners(udp: bool, ipv4: bool, port: u16) -> Message {
    let mut request = [0; 56]; // struct inet_diag_req_v2
    request[0] = if ipv4 { AF_INET } else { AF_INET6 };
    request[1] = if udp { IPPROTO_UDP } else { IPPROTO_TCP };
    let state = if udp { TCP_CLOSE } else { TCP_LISTEN };
    request[4..8].copy_from_slice(&(1u32 << state).to_ne_bytes());
    request[8..10].copy_from_slice(&port.to_be_bytes());
    Message::new(SOCK_DIAG_BY_FAMILY, 0, &request)
}

/// Parses `struct inet_diag_msg` and what follows it.
pub fn parse_listener(payload: &[u8]) -> Result<Listener, Malformed> {
    let head: &[u8; SOCKET_LEN] = payload.first_chunk().ok_or(Malformed)?;
    let (family, port) = (head[0], u16::from_be_bytes([head[4], head[5]]));
    let mut octets = [0; 16];
    octets.copy_from_slice(&head[8..24]);
    let addr = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => return Err(Malformed),
    };
    let device = u32::from_ne_bytes([head[40], head[41], head[42], head[43]]);
    let mut listener = Listener { addr, port, device, v6_only: false };
    for attr in attrs_behind(payload, SOCKET_LEN)? {
        let attr = attr?;
        if attr.kind == INET_DIAG_SKV6ONLY {
            listener.v6_only = attr.u8()? != 0;
        }
    }
    Ok(listener)
}

impl Listener {
    /// Whether a packet that comes in by link number `device` for `addr` reaches this socket.
    pub fn hears(&self, addr: IpAddr, device: u32) -> bool {
        if self.device != 0 && self.device != device {
            return false;
        }
        if self.addr.to_canonical() == addr.to_canonical() {
            return true;
        }
        match self.addr {
            IpAddr::V4(own) => own.is_unspecified() && addr.is_ipv4(),
            IpAddr::V6(own) => own.is_unspecified() && (addr.is_ipv6() || !self.v6_only),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nlmsg::frames;

    // `ss -tln` and `ss -uan` of iproute2 6.1 on Linux 6.18, captured with strace: TCP on 192.0.2.2:40123 and on
    // [::]:40124, UDP on 0.0.0.0:40123 bound to link 2.
    const TCP: &[u8] = include_bytes!("../../tests/data/netlink/listener-v4.bin");
    const TCP6: &[u8] = include_bytes!("../../tests/data/netlink/listener-v6.bin");
    const UDP: &[u8] = include_bytes!("../../tests/data/netlink/listener-udp.bin");

    fn listener(capture: &[u8]) -> Listener {
        parse_listener(frames(capture).next().unwrap().unwrap().payload).unwrap()
    }

    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }

    #[test]
    fn listeners_are_read_with_port_link_and_family() {
        let tcp = listener(TCP);
        assert_eq!(tcp, Listener { addr: ip("192.0.2.2"), port: 40123, device: 0, v6_only: false });
        assert_eq!(listener(TCP6), Listener { addr: ip("::"), port: 40124, device: 0, v6_only: false });
        let udp = listener(UDP);
        assert_eq!((udp.addr, udp.port), (ip("0.0.0.0"), 40123));
        assert_ne!(udp.device, 0);
    }

    #[test]
    fn a_wildcard_hears_what_it_includes() {
        let on = |addr: &str, device, v6_only| Listener { addr: ip(addr), port: 1, device, v6_only };
        let v4 = ip("10.2.0.2");
        assert!(on("10.2.0.2", 0, false).hears(v4, 7));
        assert!(on("::ffff:10.2.0.2", 0, false).hears(v4, 7));
        assert!(on("0.0.0.0", 0, false).hears(v4, 7));
        assert!(on("::", 0, false).hears(v4, 7));
        assert!(on("0.0.0.0", 7, false).hears(v4, 7));
        assert!(!on("::", 0, true).hears(v4, 7));
        assert!(!on("0.0.0.0", 2, false).hears(v4, 7));
        assert!(!on("127.0.0.1", 0, false).hears(v4, 7));
        assert!(!on("0.0.0.0", 0, false).hears(ip("fd01::2"), 7));
        assert!(on("::", 0, true).hears(ip("fd01::2"), 7));
    }

    #[test]
    fn every_truncation_and_mutation_is_an_answer_or_malformed() {
        let payload = frames(TCP6).next().unwrap().unwrap().payload;
        for len in 0..payload.len() {
            assert!(len >= SOCKET_LEN || parse_listener(&payload[..len]).is_err(), "{len} bytes");
        }
        for at in 0..payload.len() {
            for byte in [0, 0x7f, 0xff] {
                let mut b = payload.to_vec();
                b[at] = byte;
                let _ = parse_listener(&b);
            }
        }
    }
}
