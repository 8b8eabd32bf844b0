//! Whether something listens, as the kernel sees it: qBittorrent can accept a setting and listen nowhere.

use super::netlink::Socket;
use crate::wire::sock_diag::{dump_listeners, parse_listener};
use std::io;
use std::net::SocketAddr;

/// Whether a packet that comes in by link number `device` for `at` reaches a listening TCP or bound UDP socket of any
/// program in this network namespace.
pub fn is_listening(socket: &mut Socket, udp: bool, at: SocketAddr, device: u32) -> io::Result<bool> {
    // An IPv4 address may be heard by an IPv6 socket, not the other way round.
    let families: &[bool] = if at.is_ipv4() { &[true, false] } else { &[false] };
    for ipv4 in families {
        for reply in socket.dump(&dump_listeners(udp, *ipv4, at.port()))? {
            let listener = parse_listener(&reply.payload)?;
            // Kernels that ignore the port in the question answer with all sockets.
            if listener.port == at.port() && listener.hears(at.ip(), device) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
