//! A stub resolver of our own, because a name must be found while the kill switch is closed and without a thread:
//! literal addresses, then `/etc/hosts`, then the given servers over sockets that leave by the given way.
//!
//! Each query has its own socket, so its own random port, and a random id; only the asked server is heard (RFC 5452
//! sections 4.2, 4.3 and 9). A and AAAA are asked at once. A truncated answer is asked again over TCP (RFC 7766 section 5). The
//! time given bounds the whole search. Names are absolute: `search` domains are not tried.

use super::Clock;
use super::clock::System;
use super::socket::{self, Egress};
use crate::dns::resolv_conf::is_ours;
use crate::dns::{BACKUP, RESOLV_CONF, UPLINKS};
use crate::time::{Duration, Instant, millis};
use crate::wire::dns::{Answer, Kind, emit_query, parse_response};
use ring::rand::{SecureRandom, SystemRandom};
use std::fmt;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

/// Waits for one server, one a round; chosen: a lost datagram costs a second, a slow resolver still answers.
const ROUNDS: [Duration; 3] = [millis(1_000), millis(2_000), millis(4_000)];
/// How much longer the second family is waited for once the first has answered with addresses; chosen, after the
/// 50 ms of RFC 8305 section 3: some resolvers never answer AAAA.
const SECOND_FAMILY: Duration = millis(150);
const PORT: u16 = 53; // RFC 1035 section 4.2
/// RFC 1035 section 4.2.1 allows 512 without EDNS; more room does not hurt.
const DATAGRAM_MOST: usize = 4096;
const SERVERS_MOST: usize = 4; // chosen; glibc's MAXNS is 3

/// Why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResolveError {
    /// It does not exist, or has no address at all.
    NoName,
    /// No server is known.
    NoServers,
    /// Every server asked stayed silent, or failed as the text says.
    NoAnswer(String),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::NoName => f.write_str("no such name"),
            ResolveError::NoServers => f.write_str("no name server is known"),
            ResolveError::NoAnswer(why) => write!(f, "no name server answered: {why}"),
        }
    }
}

impl std::error::Error for ResolveError {}

/// Resolves names by these servers over sockets of this way out.
#[derive(Clone, Debug)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    egress: Egress,
    hosts_path: PathBuf,
    second_family_timeout: Duration,
}

impl Resolver {
    pub fn new(servers: Vec<SocketAddr>, egress: Egress) -> Resolver {
        let hosts_path = PathBuf::from("/etc/hosts");
        Resolver { servers, egress, hosts_path, second_family_timeout: SECOND_FAMILY }
    }

    /// The addresses of `name` within `timeout`, IPv4 first, never empty.
    pub fn resolve(&self, name: &str, timeout: Duration) -> Result<Vec<IpAddr>, ResolveError> {
        if let Ok(addr) = name.trim_start_matches('[').trim_end_matches(']').parse() {
            return Ok(vec![addr]);
        }
        let hosts = fs::read_to_string(&self.hosts_path).unwrap_or_default();
        let known = in_hosts(&hosts, name);
        if !known.is_empty() {
            return Ok(known);
        }
        if self.servers.is_empty() {
            return Err(ResolveError::NoServers);
        }
        let deadline = System.now() + timeout;
        let mut why = "timed out".to_owned();
        for wait in ROUNDS {
            for &server in self.servers.iter().take(SERVERS_MOST) {
                let now = System.now();
                if now >= deadline {
                    return Err(ResolveError::NoAnswer(why));
                }
                match self.ask(server, name, (now + wait).min(deadline)) {
                    Ok(found) if found.is_empty() => return Err(ResolveError::NoName),
                    Ok(found) => return Ok(found),
                    Err(e) if e.kind() == io::ErrorKind::InvalidInput => return Err(ResolveError::NoName),
                    Err(e) => why = format!("{}: {e}", server.ip()),
                }
            }
        }
        Err(ResolveError::NoAnswer(why))
    }

    /// Asks one server for both families. No addresses: it says that there are none.
    fn ask(&self, server: SocketAddr, name: &str, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        let queries = [Query::new(self, server, name, Kind::A)?, Query::new(self, server, name, Kind::Aaaa)?];
        let first = queries[0].wait(self, deadline);
        let second_deadline = match &first {
            Ok(found) if !found.is_empty() => deadline.min(System.now() + self.second_family_timeout),
            _ => deadline,
        };
        match (first, queries[1].wait(self, second_deadline)) {
            (Ok(mut v4), Ok(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            // One family's silence must not hide the other's addresses, nor pass for "no such name".
            (Ok(found), Err(_)) | (Err(_), Ok(found)) if !found.is_empty() => Ok(found),
            (Err(e), _) | (_, Err(e)) => Err(e),
        }
    }
}

/// One question under way to one server.
struct Query<'a> {
    server: SocketAddr,
    socket: UdpSocket,
    id: u16,
    name: &'a str,
    kind: Kind,
    message: Vec<u8>,
}

impl<'a> Query<'a> {
    /// Sends the question. `InvalidInput`: no name that DNS can carry.
    fn new(by: &Resolver, server: SocketAddr, name: &'a str, kind: Kind) -> io::Result<Query<'a>> {
        let id = random_id()?;
        let message = emit_query(id, name, kind).ok_or(io::ErrorKind::InvalidInput)?;
        let socket = socket::udp(server, &by.egress)?;
        socket.send(&message)?;
        Ok(Query { server, socket, id, name, kind, message })
    }

    fn wait(&self, by: &Resolver, deadline: Instant) -> io::Result<Vec<IpAddr>> {
        let mut b = [0; DATAGRAM_MOST];
        loop {
            self.socket.set_read_timeout(Some(time_left(deadline)?))?;
            let n = self.socket.recv(&mut b).map_err(timed_out)?;
            match parse_response(&b[..n], self.id, self.name, self.kind) {
                Err(_) => continue, // late, forged or broken: the true one may still come
                Ok(Answer::Truncated) => return addresses(self.ask_by_tcp(by, deadline)?),
                Ok(answer) => return addresses(answer),
            }
        }
    }

    fn ask_by_tcp(&self, by: &Resolver, deadline: Instant) -> io::Result<Answer> {
        let mut stream = socket::tcp(self.server, &by.egress, time_left(deadline)?)?;
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        let mut framed = (self.message.len() as u16).to_be_bytes().to_vec(); // a name is at most 255 bytes
        framed.extend(&self.message);
        stream.write_all(&framed).map_err(timed_out)?;
        let mut read = |b: &mut [u8]| -> io::Result<()> {
            let mut at = 0;
            while at < b.len() {
                stream.set_read_timeout(Some(time_left(deadline)?))?;
                match stream.read(&mut b[at..]).map_err(timed_out)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    n => at += n,
                }
            }
            Ok(())
        };
        let mut len = [0; 2];
        read(&mut len)?;
        let mut b = vec![0; usize::from(u16::from_be_bytes(len))];
        read(&mut b)?;
        parse_response(&b, self.id, self.name, self.kind).map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn addresses(answer: Answer) -> io::Result<Vec<IpAddr>> {
    match answer {
        Answer::Addresses(found) => Ok(found),
        Answer::NoName => Ok(Vec::new()),
        Answer::Truncated => Err(io::ErrorKind::InvalidData.into()),
        Answer::Failed(rcode) => Err(io::Error::other(format!("answered with code {rcode}"))),
    }
}

/// The time until `deadline`, or the error that it has passed. Never zero, which a socket takes for "for ever".
fn time_left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.since(System.now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left.max(millis(1))) }
}

/// A socket's own word for "the time is up" is EAGAIN.
fn timed_out(e: io::Error) -> io::Error {
    if e.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { e }
}

fn random_id() -> io::Result<u16> {
    let mut b = [0; 2];
    SystemRandom::new().fill(&mut b).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(u16::from_be_bytes(b))
}

/// Addresses of `name` in the text of a hosts(5) file, IPv4 first; `localhost` is known without one (RFC 6761
/// section 6.3).
fn in_hosts(text: &str, name: &str) -> Vec<IpAddr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let line_addr = |line: &str| -> Option<IpAddr> {
        let mut words = line.split('#').next()?.split_whitespace();
        let addr = words.next()?.parse().ok()?;
        words.any(|w| w.eq_ignore_ascii_case(name)).then_some(addr)
    };
    let mut found: Vec<IpAddr> = text.lines().filter_map(line_addr).collect();
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found.sort_by_key(IpAddr::is_ipv6);
    found.dedup();
    found
}

/// Servers in the text of a resolv.conf(5), in its order.
pub fn servers_in(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let addr = words.next().filter(|&w| w == "nameserver").and(words.next())?;
        Some(SocketAddr::new(addr.split('%').next()?.parse().ok()?, PORT))
    };
    text.lines().filter_map(server).collect()
}

/// The servers the machine uses at this moment: inside the tunnel while it is up with DNS of its own.
pub fn machine_servers() -> Vec<SocketAddr> {
    servers_in(&fs::read_to_string(RESOLV_CONF).unwrap_or_default())
}

/// The servers of the machine without the tunnel: from the kept resolver file if there is one. A resolver on a
/// loopback address forwards by unmarked sockets, which a closed kill switch stops, so the servers behind it come
/// first where its owner lists them. The owner may have been told of the tunnel's servers, which are not asked outside.
pub fn outside_servers() -> Vec<SocketAddr> {
    outside_in(&|path| fs::read_to_string(path).unwrap_or_default())
}

fn outside_in(read: &dyn Fn(&str) -> String) -> Vec<SocketAddr> {
    // systemd-resolved(8), NetworkManager.conf(5) `rc-manager`, resolvconf's dnsmasq.
    const BEHIND: [&str; 3] =
        [UPLINKS, "/run/NetworkManager/no-stub-resolv.conf", "/run/dnsmasq/resolv.conf"];
    let current = read(RESOLV_CONF);
    let inside = if is_ours(current.as_bytes()) { servers_in(&current) } else { Vec::new() };
    let read = |path: &str| {
        let mut servers = servers_in(&read(path));
        servers.retain(|s| !inside.contains(s));
        servers
    };
    let original = [BACKUP, RESOLV_CONF].map(read).into_iter().find(|s| !s.is_empty()).unwrap_or_default();
    if original.iter().any(|s| !s.ip().is_loopback()) {
        return original;
    }
    BEHIND.map(read).into_iter().flatten().filter(|s| !s.ip().is_loopback()).chain(original).collect()
}

#[cfg(test)]
mod tests;
