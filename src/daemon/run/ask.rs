//! Two small questions over UDP: the time, outside the tunnel on a worker; a name, to the tunnel's resolver in the loop.

use super::super::{Event, clock, names};
use super::Supervisor;
use crate::change::state;
use crate::sys::Machine;
use crate::sys::clock::set_wall;
use crate::sys::resolve::{self, Resolver};
use crate::sys::socket::{self, Egress};
use crate::time::{Duration, UnixTime, secs};
use crate::wire::dns::{self, Answer, Kind};
use crate::wire::sntp;
use ring::rand::{SecureRandom, SystemRandom};
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Where the machine's own time servers are set (timesyncd.conf(5)); pvpn asks them first.
const TIMESYNCD: &str = "/etc/systemd/timesyncd.conf";
/// Everybody's (www.ntppool.org).
const POOL: &str = "pool.ntp.org";
/// For the name, and again for the answer: together less than the first pause between two queries.
const PATIENCE: Duration = secs(5);
const NAME_SERVER_PORT: u16 = 53; // RFC 1035 section 4.2
/// An answer to one small question; more is cut off by the kernel.
const DATAGRAM_MOST: usize = 512;

/// Asks one time server once. The `nth` question asks the `nth` server, around and around.
pub fn time(nth: usize) -> impl FnOnce() -> Event + Send {
    move || {
        let servers = time_servers(&fs::read_to_string(TIMESYNCD).unwrap_or_default());
        let server = &servers[nth % servers.len()];
        let answer = ask_time(server).map_err(|e| format!("{server}: {e}"));
        Event::Clock(clock::Input::Answer(answer))
    }
}

/// The `NTP=` lines, then the pool; never empty.
fn time_servers(timesyncd: &str) -> Vec<String> {
    let lines = timesyncd.lines().filter_map(|l| l.trim().strip_prefix("NTP="));
    let mut servers: Vec<String> = lines.flat_map(str::split_whitespace).map(str::to_owned).collect();
    servers.push(POOL.to_owned());
    servers
}

fn ask_time(server: &str) -> Result<UnixTime, String> {
    let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
    let found = resolver.resolve(server, PATIENCE).map_err(|e| e.to_string())?;
    let addr = found.first().ok_or("no address")?;
    let nonce = random().map_err(|e| e.to_string())?;
    ask_time_at(SocketAddr::new(*addr, sntp::PORT), u64::from_be_bytes(nonce), &Egress::outside())
}

fn ask_time_at(server: SocketAddr, nonce: u64, egress: &Egress) -> Result<UnixTime, String> {
    let asked = || -> io::Result<Vec<u8>> {
        let socket = socket::udp(server, egress)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.send(&sntp::emit_request(nonce))?;
        let mut b = [0; DATAGRAM_MOST];
        // The socket hears this server alone. A datagram that is no answer ends the question: it is asked again.
        let n = socket.recv(&mut b)?;
        Ok(b[..n].to_vec())
    };
    let reply = asked().map_err(|e| match e.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => e.to_string(),
    })?;
    match sntp::parse_reply(&reply, nonce) {
        Ok(seconds) => Ok(UnixTime(seconds)),
        Err(sntp::Refused::Malformed) => Err("no answer to this question".to_owned()),
        Err(sntp::Refused::Kiss(_)) => Err("it does not want to be asked".to_owned()),
        Err(sntp::Refused::Unsynchronized) => Err("it does not know the time".to_owned()),
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut b = [0; N];
    SystemRandom::new().fill(&mut b).map_err(|_| io::Error::other("no random numbers"))?;
    Ok(b)
}

/// A question to a resolver, not answered yet.
#[derive(Debug)]
pub struct Question {
    socket: UdpSocket,
    id: u16,
}

impl Question {
    fn ask(server: SocketAddr, egress: &Egress) -> io::Result<Question> {
        let id = u16::from_be_bytes(random()?);
        let socket = socket::udp(server, egress)?;
        socket.set_nonblocking(true)?;
        let query = dns::emit_query(id, names::NAME, Kind::A).ok_or(io::ErrorKind::InvalidInput)?;
        socket.send(&query)?;
        Ok(Question { socket, id })
    }

    /// Whether the resolver knows; `None`: no answer to this question.
    fn read(&self) -> Option<bool> {
        let mut b = [0; DATAGRAM_MOST];
        match self.socket.recv(&mut b) {
            Ok(n) => match dns::parse_response(&b[..n], self.id, names::NAME, Kind::A).ok()? {
                Answer::Failed(_) => Some(false),
                Answer::Addresses(_) | Answer::NoName | Answer::Truncated => Some(true),
            },
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => None,
            Err(_) => Some(false), // refused: nobody listens there
        }
    }
}

impl AsFd for Question {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Supervisor {
    pub(super) fn ask_name(&mut self, interface: &str, server: IpAddr, source: IpAddr) -> Option<Event> {
        let asked =
            Question::ask(SocketAddr::new(server, NAME_SERVER_PORT), &Egress::tunnel(interface, source));
        match asked {
            Ok(question) => {
                self.asking = Some(question);
                None
            }
            Err(e) => {
                log::debug!("dns: ask {server}: {e}");
                self.asking = None;
                Some(Event::Named(false))
            }
        }
    }

    pub(super) fn read_name(&mut self) {
        if let Some(answered) = self.asking.as_ref().and_then(Question::read) {
            self.asking = None;
            self.handle(Event::Named(answered));
        }
    }

    /// Somebody set the wall clock: the turn that follows judges it.
    pub(super) fn read_clock_step(&mut self) {
        log::debug!("clock: set to {}", self.sys.clock().wall());
        if let Some(Err(e)) = self.steps.as_ref().map(crate::sys::clock::Steps::clear) {
            log::warn!("clock: watch it: {e}");
            self.steps = None;
        }
    }

    pub(super) fn set_clock(&mut self, time: UnixTime) -> Option<Event> {
        let failed = set_wall(time).err()?;
        log::error!("clock: set it: {failed}");
        Some(Event::Clock(clock::Input::NotSet(failed.to_string())))
    }

    pub(super) fn store_clock(&mut self, time: UnixTime) {
        if let Err(e) = state::store_clock(self.sys.files(), time) {
            log::error!("clock: {e}");
        }
    }
}

#[cfg(test)]
mod tests;
