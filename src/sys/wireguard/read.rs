//! Reads a WireGuard device: unknown attributes are passed over, a peer that is spread over several messages is put
//! together, and a dump that lacks its end is an error (the netlink core sees to it).

use super::missing;
use crate::address::IpNet;
use crate::config::secret::{PublicKey, SecretKey};
use crate::sys::netlink::{Reply, Socket};
use crate::time::Duration;
use crate::tunnel::device::{Device, PeerState};
use crate::wire::nlmsg::{Attr, Malformed, Message, attrs_behind};
use neli::consts::socket::NlFamily;
use neli::socket::NlSocketHandle;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use zeroize::Zeroize;

const WG_CMD_GET_DEVICE: u8 = 0;
/// WG_GENL_VERSION, behind the command in `struct genlmsghdr`.
const VERSION: u8 = 1;
const GENL_HEADER: usize = 4;

const WGDEVICE_A_IFINDEX: u16 = 1;
const WGDEVICE_A_IFNAME: u16 = 2;
const WGDEVICE_A_PRIVATE_KEY: u16 = 3;
const WGDEVICE_A_PUBLIC_KEY: u16 = 4;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
const WGDEVICE_A_FWMARK: u16 = 7;
const WGDEVICE_A_PEERS: u16 = 8;
const WGPEER_A_PUBLIC_KEY: u16 = 1;
const WGPEER_A_PRESHARED_KEY: u16 = 2;
const WGPEER_A_ENDPOINT: u16 = 4;
const WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL: u16 = 5;
const WGPEER_A_LAST_HANDSHAKE_TIME: u16 = 6;
const WGPEER_A_RX_BYTES: u16 = 7;
const WGPEER_A_TX_BYTES: u16 = 8;
const WGPEER_A_ALLOWEDIPS: u16 = 9;
const WGALLOWEDIP_A_IPADDR: u16 = 2;
const WGALLOWEDIP_A_CIDR_MASK: u16 = 3;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

pub fn device(socket: &mut Socket, name: &str) -> io::Result<Device> {
    let mut question = Message::new(family()?, 0, &[WG_CMD_GET_DEVICE, VERSION, 0, 0]);
    question.put_str(WGDEVICE_A_IFNAME, name);
    let mut replies = socket.dump(&question)?;
    let parsed = parse(&replies);
    replies.iter_mut().for_each(|r| r.payload.zeroize());
    Ok(parsed?)
}

/// The number that generic netlink gave to WireGuard; asking loads the module.
fn family() -> io::Result<u16> {
    let mut socket = NlSocketHandle::new(NlFamily::Generic)?;
    socket.resolve_genl_family("wireguard").map_err(|_| missing())
}

fn parse(replies: &[Reply]) -> Result<Device, Malformed> {
    let mut device = Device {
        index: 0,
        name: String::new(),
        private_key: None,
        public_key: None,
        listen_port: 0,
        fwmark: 0,
        peers: Vec::new(),
    };
    for reply in replies {
        for attr in attrs_behind(&reply.payload, GENL_HEADER)? {
            let attr = attr?;
            match attr.kind {
                WGDEVICE_A_IFINDEX => device.index = attr.u32()?,
                WGDEVICE_A_IFNAME => device.name = attr.string(),
                WGDEVICE_A_PRIVATE_KEY => device.private_key = secret(&attr)?,
                WGDEVICE_A_PUBLIC_KEY => {
                    device.public_key = Some(PublicKey(key(&attr)?)).filter(|k| k.0 != [0; 32])
                }
                WGDEVICE_A_LISTEN_PORT => device.listen_port = attr.u16()?,
                WGDEVICE_A_FWMARK => device.fwmark = attr.u32()?,
                WGDEVICE_A_PEERS => {
                    for attr in attr.attrs() {
                        add_peer(&mut device.peers, parse_peer(&attr?)?);
                    }
                }
                _ => {}
            }
        }
    }
    // The first message of every dump names the device.
    if device.index == 0 || device.name.is_empty() { Err(Malformed) } else { Ok(device) }
}

/// A message that is full in the midst of a peer is followed by one that begins with the same peer.
fn add_peer(peers: &mut Vec<PeerState>, peer: PeerState) {
    match peers.last_mut() {
        Some(last) if last.public_key == peer.public_key => last.allowed_ips.extend(peer.allowed_ips),
        _ => peers.push(peer),
    }
}

fn parse_peer(peer: &Attr<'_>) -> Result<PeerState, Malformed> {
    let mut public_key = None;
    let mut state = PeerState {
        public_key: PublicKey([0; 32]),
        preshared_key: None,
        endpoint: None,
        last_handshake: None,
        rx_bytes: 0,
        tx_bytes: 0,
        keepalive: None,
        allowed_ips: Vec::new(),
    };
    for attr in peer.attrs() {
        let attr = attr?;
        match attr.kind {
            WGPEER_A_PUBLIC_KEY => public_key = Some(PublicKey(key(&attr)?)),
            WGPEER_A_PRESHARED_KEY => state.preshared_key = secret(&attr)?,
            WGPEER_A_ENDPOINT => state.endpoint = parse_endpoint(attr.payload)?,
            WGPEER_A_PERSISTENT_KEEPALIVE_INTERVAL => {
                let secs = attr.u16()?;
                state.keepalive = (secs > 0).then(|| Duration::from_secs(secs.into()));
            }
            WGPEER_A_LAST_HANDSHAKE_TIME => state.last_handshake = parse_time(attr.payload)?,
            WGPEER_A_RX_BYTES => state.rx_bytes = attr.u64()?,
            WGPEER_A_TX_BYTES => state.tx_bytes = attr.u64()?,
            WGPEER_A_ALLOWEDIPS => {
                for attr in attr.attrs() {
                    state.allowed_ips.push(parse_allowed(&attr?)?);
                }
            }
            _ => {}
        }
    }
    Ok(PeerState { public_key: public_key.ok_or(Malformed)?, ..state })
}

fn parse_allowed(allowed: &Attr<'_>) -> Result<IpNet, Malformed> {
    let (mut addr, mut prefix) = (None, None);
    for attr in allowed.attrs() {
        let attr = attr?;
        match attr.kind {
            WGALLOWEDIP_A_IPADDR => addr = Some(attr.ip()?),
            WGALLOWEDIP_A_CIDR_MASK => prefix = Some(attr.u8()?),
            _ => {}
        }
    }
    IpNet::new(addr.ok_or(Malformed)?, prefix.ok_or(Malformed)?).ok_or(Malformed)
}

/// `struct sockaddr_in` or `sockaddr_in6`; `None` for a family that is neither.
fn parse_endpoint(b: &[u8]) -> Result<Option<SocketAddr>, Malformed> {
    let [f0, f1, p0, p1] = *b.first_chunk::<4>().ok_or(Malformed)?;
    let port = u16::from_be_bytes([p0, p1]);
    match u16::from_ne_bytes([f0, f1]) {
        AF_INET => {
            let octets: [u8; 4] = b.get(4..8).and_then(|o| o.try_into().ok()).ok_or(Malformed)?;
            Ok(Some((IpAddr::V4(Ipv4Addr::from(octets)), port).into()))
        }
        AF_INET6 => {
            let octets: [u8; 16] = b.get(8..24).and_then(|o| o.try_into().ok()).ok_or(Malformed)?;
            Ok(Some((IpAddr::V6(Ipv6Addr::from(octets)), port).into()))
        }
        _ => Ok(None),
    }
}

/// `struct __kernel_timespec`; zero means never.
fn parse_time(b: &[u8]) -> Result<Option<Duration>, Malformed> {
    let halves: &[u8; 16] = b.try_into().map_err(|_| Malformed)?;
    let (secs, nanos) = halves.split_at(8);
    let number = |b: &[u8]| b.try_into().ok().map(i64::from_ne_bytes);
    let secs = number(secs).and_then(|n| u64::try_from(n).ok()).ok_or(Malformed)?;
    let nanos =
        number(nanos).and_then(|n| u32::try_from(n).ok()).filter(|n| *n < 1_000_000_000).ok_or(Malformed)?;
    Ok(Some(Duration::new(secs, nanos)).filter(|t| !t.is_zero()))
}

fn key(attr: &Attr<'_>) -> Result<[u8; 32], Malformed> {
    attr.payload.try_into().map_err(|_| Malformed)
}

/// All zeroes mean that there is none.
fn secret(attr: &Attr<'_>) -> Result<Option<SecretKey>, Malformed> {
    Ok(Some(SecretKey::new(key(attr)?)).filter(|k| k.reveal() != &[0; 32]))
}

#[cfg(test)]
mod tests;
