//! Attempts to get past the tunnel, as a program would make them, and what really left while they were made.

use super::Scene;
use crate::status::finding::Finding;
use crate::sys::icmp::EchoSocket;
use crate::sys::packet::Tap;
use crate::sys::socket::{self, Egress};
use crate::sys::{Clock, clock, nft};
use crate::time::{Duration, Instant, millis};
use crate::wire::frame::{Sort, sort};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};

/// Nobody's (RFC 5737, RFC 3849).
const TO: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// Ports to try: discard (RFC 863), DNS, DNS over TLS, HTTPS.
const PORTS: [u16; 4] = [9, 53, 853, 443];
/// A packet is handed to the driver within microseconds; chosen, with room for a busy Pi.
const SETTLE: Duration = millis(500);

/// What left, by kind, and how many attempts were made.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub attempts: usize,
    pub to_server: usize,
    pub nearby: usize,
    /// With the link's name.
    pub strangers: BTreeMap<String, usize>,
}

impl Left {
    /// Reads what leaves until then.
    pub fn read(&mut self, scene: &Scene, tap: &Tap, until: Instant) -> io::Result<()> {
        while let Some(packet) = tap.next(until)? {
            match sort(packet.ether, &packet.head, &scene.allowed) {
                Sort::Tunnel => self.to_server += 1,
                Sort::Lan | Sort::Link => self.nearby += 1,
                Sort::Other(stranger) => {
                    let link = scene.links.iter().find(|(n, _)| *n == packet.link).map_or("?", |(_, l)| l);
                    *self.strangers.entry(format!("{stranger} by {link}")).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    /// The strangers in words, the first few of them.
    pub fn words(&self) -> String {
        const MOST: usize = 4;
        let mut words: Vec<String> =
            self.strangers.iter().take(MOST).map(|(what, n)| format!("{n} x {what}")).collect();
        if self.strangers.len() > MOST {
            words.push(format!("and {} more kinds", self.strangers.len() - MOST));
        }
        words.join(", ")
    }
}

/// UDP, TCP and ICMP of both families by this way. The connections are under way for as long as they are kept.
pub fn attempts(egress: &Egress) -> (usize, Vec<TcpStream>) {
    let mut made = 0;
    let mut streams = Vec::new();
    for to in TO {
        for port in PORTS {
            let peer = SocketAddr::new(to, port);
            made += 2;
            // A refusal is what is hoped for; what left is seen elsewhere.
            let _ = socket::udp(peer, egress).and_then(|socket| socket.send(b"pvpn check"));
            streams.extend(socket::tcp_begin(peer, egress));
        }
        made += 1;
        let _ = EchoSocket::open(to.is_ipv4(), egress).and_then(|echo| echo.send(to, 1, b"check"));
    }
    (made, streams)
}

/// That a socket bound to a physical link gets nowhere.
pub fn bound(scene: &Scene) -> Finding {
    const NAME: &str = "bound";
    let names: Vec<&str> = scene.links.iter().map(|(_, name)| name.as_str()).collect();
    let names = names.join(", ");
    if !scene.is_closed() {
        let text =
            format!("the kill switch is off: a socket bound to {names} goes past the tunnel; not tried");
        return Finding::unknown(NAME, text);
    }
    match try_bound(scene) {
        Err(e) => Finding::unknown(NAME, format!("what leaves cannot be seen: {e}")),
        Ok(left) if left.strangers.is_empty() => Finding::ok(
            NAME,
            format!(
                "{} attempts by sockets bound to {names}, none left; {}",
                left.attempts,
                packet_sockets(scene)
            ),
        ),
        Ok(left) => Finding::failed(
            NAME,
            format!("past the tunnel went {}", left.words()),
            "close the kill switch again with `pvpn killswitch on`, and report this",
        ),
    }
}

fn try_bound(scene: &Scene) -> io::Result<Left> {
    let numbers: Vec<u32> = scene.links.iter().map(|(n, _)| *n).collect();
    let tap = Tap::open(&numbers)?;
    let mut left = Left::default();
    let mut streams = Vec::new();
    for (_, name) in &scene.links {
        let (made, open) = attempts(&Egress { device: Some(name.clone()), ..Egress::plain() });
        left.attempts += made;
        streams.extend(open);
    }
    left.read(scene, &tap, clock::System.now() + SETTLE)?;
    Ok(left)
}

/// Whether packet sockets meet rules.
fn packet_sockets(scene: &Scene) -> String {
    let state = nft::open().and_then(|mut socket| nft::state(&mut socket)).ok().flatten();
    let chains = state.map(|s| s.egress_links).unwrap_or_default();
    match uncovered(&scene.links, &chains).as_slice() {
        [] => "packet sockets meet the same rules".to_owned(),
        links => {
            format!("packet sockets of programs with CAP_NET_RAW pass by the rules on {}", links.join(", "))
        }
    }
}

/// The links, of those with their numbers, that are not among these.
fn uncovered<'a>(links: &'a [(u32, String)], covered: &[String]) -> Vec<&'a str> {
    links.iter().map(|(_, name)| name.as_str()).filter(|name| !covered.iter().any(|c| c == name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_not_covered_by_one_whose_name_begins_alike() {
        let links = [(2, "eth1".to_owned()), (3, "eth10".to_owned())];
        assert_eq!(uncovered(&links, &["eth10".to_owned()]), ["eth1"]);
        assert_eq!(uncovered(&links, &["eth10".to_owned(), "eth1".to_owned()]), [] as [&str; 0]);
    }
}
