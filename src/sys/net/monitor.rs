//! Hears when anybody changes what pvpn set up: NetworkManager, dhcpcd, a hand at a terminal, a cable.

use crate::firewall::ruleset::TABLE;
use crate::sys;
use crate::sys::netlink::{self, Protocol, Socket};
use crate::wire::nft::{self, Family};
use crate::wire::nlmsg::Frame;
use crate::wire::rtnl::{link, route, rule};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// What changed. Details are read afresh by whoever cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Changed {
    Link,
    Address,
    Route,
    Rule,
    /// Any nftables table, ours or another's.
    Ruleset,
    /// Our table is gone: `nft flush ruleset`, or we ourselves.
    OurTable,
}

impl Changed {
    const ALL: [Changed; 5] =
        [Changed::Link, Changed::Address, Changed::Route, Changed::Rule, Changed::Ruleset];

    fn of(kind: u16) -> Option<Changed> {
        match kind {
            link::RTM_NEWLINK | link::RTM_DELLINK => Some(Changed::Link),
            link::RTM_NEWADDR | link::RTM_DELADDR => Some(Changed::Address),
            route::RTM_NEWROUTE | route::RTM_DELROUTE => Some(Changed::Route),
            rule::RTM_NEWRULE | rule::RTM_DELRULE => Some(Changed::Rule),
            _ => None,
        }
    }
}

/// RTNLGRP_LINK, _IPV4_IFADDR, _IPV4_ROUTE, _IPV4_RULE, _IPV6_IFADDR, _IPV6_ROUTE, _IPV6_RULE (linux/rtnetlink.h).
const ROUTE_GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];

/// Two sockets that become readable when something changed.
pub struct Monitor {
    route: Socket,
    netfilter: Socket,
}

impl Monitor {
    /// Needs CAP_NET_ADMIN for nftables.
    pub fn open() -> io::Result<Monitor> {
        Ok(Monitor {
            route: Socket::subscribe(Protocol::Route, &ROUTE_GROUPS)?,
            netfilter: sys::nft::watch()?,
        })
    }

    /// What to poll for reading.
    pub fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.route.as_fd(), self.netfilter.as_fd()]
    }

    /// Reads all there is, without waiting: each kind of change once, in fixed order. After an overrun everything
    /// counts as changed, but our table as there.
    pub fn poll_changes(&self) -> io::Result<Vec<Changed>> {
        let mut seen = Vec::new();
        drain(&self.route, |frame| seen.extend(frame.map_or(&Changed::ALL[..], |f| changed(f.kind))))?;
        drain(&self.netfilter, |frame| {
            seen.push(Changed::Ruleset);
            if frame.is_some_and(|f| nft::is_deletion(f.kind, f.payload, Family::Inet, TABLE)) {
                seen.push(Changed::OurTable);
            }
        })?;
        seen.sort_unstable();
        seen.dedup();
        Ok(seen)
    }
}

fn changed(kind: u16) -> &'static [Changed] {
    let found = Changed::of(kind).and_then(|c| Changed::ALL.iter().position(|a| *a == c));
    found.map_or(&[], |i| &Changed::ALL[i..=i])
}

/// Shows `see` each message, `None` for messages that were lost.
fn drain(socket: &Socket, mut see: impl FnMut(Option<&Frame<'_>>)) -> io::Result<()> {
    loop {
        let read = socket.poll_receive(|frame| -> io::Result<Option<()>> {
            see(Some(frame));
            Ok(None)
        });
        match read {
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) if netlink::errno(&e) == Some(libc::ENOBUFS) => see(None),
            Err(e) => return Err(e),
        }
    }
}
