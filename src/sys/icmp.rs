//! One socket for all echo requests of a family: raw where CAP_NET_RAW allows, else the kernel's ping socket.
//!
//! A classic BPF program lets only echo replies with our identifier and run number wake us, so a flood of others
//! costs the kernel a comparison each and pvpn nothing. Arrival is the kernel's own timestamp, set when the packet
//! came, not when we looked. The same socket serves the measurement of many hosts and the monitor's one.

mod filter;

use super::Clock;
use super::clock::System;
use super::socket::{self, Egress};
use crate::time::{Duration, Instant};
use crate::wire::icmp::{Echo, emit_request, parse_ipv4, parse_reply_v4, parse_reply_v6};
use nix::errno::Errno;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use nix::sys::socket::{getsockname, recv, recvmsg, sendto, setsockopt, sockopt};
use nix::time::{ClockId, clock_gettime};
use ring::rand::{SecureRandom, SystemRandom};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Room for a thousand replies that come at once; chosen: the kernel counts about 800 bytes for a small packet.
const RECEIVE_BUFFER: usize = 2 << 20;
/// Bytes of a reply looked at: IPv4 header with options, ICMP header, payload.
const PACKET_MOST: usize = 256;
/// What each request carries before its payload: the run number that the kernel's filter looks for.
const RUN: usize = 4;

/// A reply to one of our requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub from: IpAddr,
    pub seq: u16,
    pub payload: Vec<u8>,
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
        match sendto(self.fd.as_raw_fd(), &packet, &to, MsgFlags::empty()) {
            Ok(_) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// The next reply to one of our requests, if one has come. What is no such reply is taken away silently.
    pub fn receive(&self) -> io::Result<Option<Reply>> {
        let mut b = [0; PACKET_MOST];
        let mut control = nix::cmsg_space!(nix::sys::time::TimeSpec);
        loop {
            let mut io = [IoSliceMut::new(&mut b)];
            let fd = self.fd.as_raw_fd();
            let heard = match recvmsg::<SockaddrStorage>(fd, &mut io, Some(&mut control), MsgFlags::empty()) {
                Ok(heard) => heard,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let stamp = heard.cmsgs()?.find_map(|c| match c {
                ControlMessageOwned::ScmTimestampns(t) => {
                    Some(Duration::new(t.tv_sec() as u64, t.tv_nsec() as u32))
                }
                _ => None,
            });
            let (from, n) = (heard.address.as_ref().and_then(address), heard.bytes);
            let Some((from, echo)) = from.zip(self.parse(&b[..n])) else { continue };
            let Some(payload) = echo.payload.strip_prefix(&self.run) else { continue };
            return Ok(Some(Reply { from, seq: echo.seq, payload: payload.to_vec(), at: arrival(stamp) }));
        }
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

fn address(from: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = from.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
    v4.or(from.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
}

/// The kernel stamps packets with the wall clock: what has passed on that clock since is taken from ours. A wall clock set in
/// between shows as an age that cannot be; then the packet came "now". The wall clock is read first: when this thread is
/// held up between the two, the packet seems to have come late, never before it could.
fn arrival(stamp: Option<Duration>) -> Instant {
    let wall = clock_gettime(ClockId::CLOCK_REALTIME).map(Duration::from).ok();
    let now = System.now();
    let age = wall.zip(stamp).and_then(|(wall, stamp)| wall.checked_sub(stamp));
    match age {
        Some(age) if age < Duration::from_secs(1) => now - age,
        _ => now,
    }
}

#[cfg(test)]
mod tests;
