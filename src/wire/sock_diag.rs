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
