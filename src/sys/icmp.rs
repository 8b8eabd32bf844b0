//! One socket for all echo requests of a family: raw where CAP_NET_RAW allows, else the kernel's ping socket.
//!
//! A classic BPF program lets only echo replies with our identifier and run number wake us, so a flood of others
//! costs the kernel a comparison each and pvpn nothing. Arrival is the kernel's own timestamp, set when the packet
//! came, not when we looked: so many may be taken at once, and late. The same socket serves the measurement of many
//! hosts and the monitor's one.

mod filter;
mod many;

pub use many::Inbox;

use super::Clock;
use super::clock::System;
use super::socket::{self, Egress};
use crate::time::{Duration, Instant};
use crate::wire::icmp::{Echo, emit_request, parse_ipv4, parse_reply_v4, parse_reply_v6};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use nix::sys::socket::{getsockname, recv, sendto, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use ring::rand::{SecureRandom, SystemRandom};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for all replies to a thousand hosts asked three times, should nobody read them meanwhile: the kernel counts 768
/// bytes for a small packet (measured, veth), and doubles this number (socket(7), SO_RCVBUF).
const RECEIVE_BUFFER: usize = 2 << 20;
/// Room for as many requests on a slow line, where they wait in the link's queue.
const SEND_BUFFER: usize = 1 << 20;
/// A packet waits no longer for us to look. Chosen: beyond that it is the wall clock that was set.
const AGE_MOST: Duration = Duration::from_secs(1);
/// What each request carries before its payload: the run number that the kernel's filter looks for.
const RUN: usize = 4;

/// A reply to one of our requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    pub from: IpAddr,
    pub seq: u16,
    pub payload: &'a [u8],
    /// When the kernel received it.
    pub at: Instant,
}

/// Sends echo requests and receives their replies; never blocks.
#[derive(Debug)]
pub struct EchoSocket {
    fd: OwnedFd,
    ipv4: bool,
    /// A ping socket hands out bare ICMP; a raw IPv4 one the IP header as well.
    raw: bool,
    id: u16,
    run: [u8; RUN],
}

impl EchoSocket {
    /// A socket for IPv4 or IPv6 peers, by this way out.
    pub fn open(ipv4: bool, egress: &Egress) -> io::Result<EchoSocket> {
        let protocol = if ipv4 { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
        let open = |kind| socket::open(ipv4, kind, SockFlag::SOCK_NONBLOCK, Some(protocol), egress);
        let (fd, raw) = match open(SockType::Raw) {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => (open(SockType::Datagram)?, false),
            other => (other?, true),
        };
        let mut random = [0; RUN + 2];
        SystemRandom::new().fill(&mut random).map_err(|_| io::Error::other("no random numbers"))?;
        let [a, b, run @ ..] = random;
        let mut echo = EchoSocket { fd, ipv4, raw, id: u16::from_be_bytes([a, b]), run };
        if echo.raw {
            filter::attach(&echo.fd, ipv4, echo.id, u32::from_be_bytes(run))?;
        } else {
            echo.id = echo.ping_id()?;
        }
        setsockopt(&echo.fd, sockopt::ReceiveTimestampns, &true)?;
        if setsockopt(&echo.fd, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&echo.fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        }
        if setsockopt(&echo.fd, sockopt::SndBufForce, &SEND_BUFFER).is_err() {
            setsockopt(&echo.fd, sockopt::SndBuf, &SEND_BUFFER)?;
        }
        echo.discard()?;
        Ok(echo)
    }

    /// Takes away what came between the socket's birth and its filter: a raw socket hears everything from the first moment on.
    fn discard(&self) -> io::Result<()> {
        loop {
            match recv(self.fd.as_raw_fd(), &mut [0; 1], MsgFlags::empty()) {
                Ok(_) | Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(()),
                Err(e) => return Err(e.into()),
            }
        }
    }

    pub fn is_ipv4(&self) -> bool {
        self.ipv4
    }

    /// Sends a request. `WouldBlock`: the queue is full; other errors: there is no way to this host.
    pub fn send(&self, to: IpAddr, seq: u16, payload: &[u8]) -> io::Result<()> {
        let payload = [&self.run, payload].concat();
        let packet = emit_request(self.ipv4, &Echo { id: self.id, seq, payload: &payload });
        let to = SockaddrStorage::from(SocketAddr::new(to, 0));
        sendto(self.fd.as_raw_fd(), &packet, &to, MsgFlags::empty())?;
        Ok(())
    }

    /// The next reply to one of our requests, if one has come; its sender and its sequence number.
    pub fn receive(&self) -> io::Result<Option<(IpAddr, u16)>> {
        let (mut next, mut inbox) = (None, Inbox::new(1));
        while next.is_none() && self.receive_many(&mut inbox, &mut |r| next = Some((r.from, r.seq)))? {}
        Ok(next)
    }

    /// Hands over the replies to our requests that have come, as many as the inbox takes, by one call. What is no such
    /// reply is taken away silently. Whether there may be more.
    pub fn receive_many(&self, inbox: &mut Inbox, hear: &mut dyn FnMut(Reply<'_>)) -> io::Result<bool> {
        let is_full = inbox.fill(&self.fd)?;
        let clocks = Clocks::read();
        for message in inbox.messages() {
            let Some((from, echo)) = message.from.zip(self.parse(message.bytes)) else { continue };
            let Some(payload) = echo.payload.strip_prefix(&self.run) else { continue };
            hear(Reply { from, seq: echo.seq, payload, at: clocks.arrival(message.stamp) });
        }
        Ok(is_full)
    }

    fn parse<'b>(&self, b: &'b [u8]) -> Option<Echo<'b>> {
        let echo = match (self.ipv4, self.raw) {
            (true, true) => parse_ipv4(b).and_then(parse_reply_v4),
            (true, false) => parse_reply_v4(b),
            (false, _) => parse_reply_v6(b),
        };
        echo.ok().filter(|e| e.id == self.id)
    }

    /// The identifier that the kernel gives to a ping socket: its "port".
    fn ping_id(&self) -> io::Result<u16> {
        let any: IpAddr = if self.ipv4 { [0, 0, 0, 0].into() } else { [0_u16; 8].into() };
        nix::sys::socket::bind(self.fd.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, 0))).ok();
        let name: SockaddrStorage = getsockname(self.fd.as_raw_fd())?;
        let v4 = name.as_sockaddr_in().map(|a| a.port());
        Ok(v4.or(name.as_sockaddr_in6().map(|a| a.port())).unwrap_or_default())
    }
}

impl AsFd for EchoSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Both clocks at one moment: the kernel stamps packets with the wall clock, so what has passed on that clock since is
/// taken from ours. The wall clock is read first: when this thread is held up between the two, a packet seems to have come
/// late, never before it could.
struct Clocks {
    wall: Option<Duration>,
    now: Instant,
}

impl Clocks {
    fn read() -> Clocks {
        let wall = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).ok();
        Clocks { wall, now: System.now() }
    }

    /// When a packet came. A wall clock set in between shows as an age that cannot be; then it came "now".
    fn arrival(&self, stamp: Option<Duration>) -> Instant {
        let age = self.wall.zip(stamp).and_then(|(wall, stamp)| wall.checked_sub(stamp));
        match age {
            Some(age) if age < AGE_MOST => self.now - age,
            _ => self.now,
        }
    }
}

#[cfg(test)]
mod tests;
