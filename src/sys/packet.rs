//! A packet socket that sees what leaves this machine's links, after every rule (packet(7)): the network stack shows a
//! frame to it when it is handed to the driver, which is behind the egress hook.

use super::Clock;
use super::clock::System;
use crate::time::Instant;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, socket};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// PACKET_OUTGOING (linux/if_packet.h).
const OUTGOING: u8 = 4;
/// Headers are all that is looked at.
const HEAD_MOST: usize = 128;

/// Hears outgoing packets of these links.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    links: Vec<u32>,
}

/// One packet from its network header on, the end cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub link: u32,
    /// Ethernet type.
    pub ether: u16,
    pub head: Vec<u8>,
}

impl Tap {
    /// Needs CAP_NET_RAW. Hears everything from here on.
    pub fn open(links: &[u32]) -> io::Result<Tap> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Packet, SockType::Datagram, flags, SockProtocol::EthAll)?;
        Ok(Tap { fd, links: links.to_vec() })
    }

    /// The next packet, waited for until then.
    pub fn next(&self, until: Instant) -> io::Result<Option<Outgoing>> {
        loop {
            let mut head = [0; HEAD_MOST];
            match recvfrom::<LinkAddr>(self.fd.as_raw_fd(), &mut head) {
                Ok((n, Some(from))) => {
                    let link = u32::try_from(from.ifindex()).unwrap_or(0);
                    if from.pkttype() == OUTGOING && self.links.contains(&link) {
                        let ether = u16::from_be(from.protocol());
                        return Ok(Some(Outgoing { link, ether, head: head[..n.min(HEAD_MOST)].to_vec() }));
                    }
                }
                Ok((_, None)) | Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => {
                    let left = until.since(System.now());
                    if left.is_zero() {
                        return Ok(None);
                    }
                    let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
                    poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX))?;
                }
                Err(e) => return Err(e.into()),
            }
            // A flood must not keep us past the end.
            if System.now() >= until {
                return Ok(None);
            }
        }
    }
}
