//! The machine's own network configuration, over netlink.

use super::{Flows, Net};
use crate::firewall::ruleset::Ruleset;
use crate::sys::netlink::{Protocol, Socket, errno, refused, tolerate};
use crate::sys::{conntrack, nft, sock_diag, wireguard};
use crate::tunnel::device::{Device, DeviceChange};
use crate::wire::nlmsg::Message;
use crate::wire::rtnl::{Address, Link, Path, Route, RouteKind, Rule, link, route, rule};
use nix::net::if_::if_nametoindex;
use std::cell::RefCell;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The network namespace of the thread that first uses it. Sockets are opened when first needed and stay open.
#[derive(Default)]
pub struct Kernel {
    route: RefCell<Option<Socket>>,
    netfilter: RefCell<Option<Socket>>,
    sock_diag: RefCell<Option<Socket>>,
    generic: RefCell<Option<Socket>>,
}

impl Kernel {
    pub fn new() -> Kernel {
        Kernel::default()
    }

    /// Runs `f` with the socket of this protocol.
    pub fn with<T>(&self, protocol: Protocol, f: impl FnOnce(&mut Socket) -> io::Result<T>) -> io::Result<T> {
        let slot = match protocol {
            Protocol::Route => &self.route,
            Protocol::Netfilter => &self.netfilter,
            Protocol::SockDiag => &self.sock_diag,
            Protocol::Generic => &self.generic,
        };
        let mut slot = slot.borrow_mut();
        let mut socket = match slot.take() {
            Some(socket) => socket,
            None => Socket::open(protocol)?,
        };
        let result = f(&mut socket);
        *slot = Some(socket);
        result
    }

    fn request(&self, message: &Message) -> io::Result<()> {
        self.with(Protocol::Route, |s| s.request(message))
    }

    /// Parses everything a dump yields.
    fn dump<T>(&self, message: &Message, parse: impl Fn(&[u8]) -> io::Result<T>) -> io::Result<Vec<T>> {
        let replies = self.with(Protocol::Route, |s| s.dump(message))?;
        replies.iter().map(|r| parse(&r.payload)).collect()
    }

    fn link_by_index(&self, index: u32) -> io::Result<Link> {
        let replies = self.with(Protocol::Route, |s| s.ask(&link::ask(index)))?;
        let reply = replies.first().ok_or_else(|| refused(libc::ENODEV, ""))?;
        Ok(link::parse(&reply.payload)?)
    }

    fn routes_of(&self, ipv4: bool, links: &[Link]) -> io::Result<Vec<Route>> {
        let parsed = self.dump(&route::dump(ipv4), |b| Ok(route::parse(b)?))?;
        // A kernel without IPv6 answers the question for IPv6 routes with what it has.
        let own = parsed.into_iter().filter(|p| !p.is_cached && p.route.to.is_ipv4() == ipv4);
        Ok(own.map(|p| Route { device: p.oif.and_then(|i| name_of(links, i)), ..p.route }).collect())
    }

    fn rules_of(&self, ipv4: bool) -> io::Result<Vec<Rule>> {
        match self.dump(&rule::dump(ipv4), |b| Ok(rule::parse(b)?)) {
            // A kernel without IPv6, or without policy routing.
            Err(e) if matches!(errno(&e), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) => Ok(Vec::new()),
            rules => rules,
        }
    }
}

fn index_of(name: &str) -> io::Result<u32> {
    if_nametoindex(name).map_err(|e| refused(e as i32, format!("link {name}")))
}

/// The number of a link that may be gone.
fn index_if_there(name: &str) -> io::Result<Option<u32>> {
    index_of(name).map(Some).or_else(|e| if errno(&e) == Some(libc::ENODEV) { Ok(None) } else { Err(e) })
}

fn name_of(links: &[Link], index: u32) -> Option<String> {
    links.iter().find(|l| l.index == index).map(|l| l.name.clone())
}

impl Net for Kernel {
    fn links(&self) -> io::Result<Vec<Link>> {
        self.dump(&link::dump(), |b| Ok(link::parse(b)?))
    }

    fn addresses(&self) -> io::Result<Vec<Address>> {
        let links = self.links()?;
        let all = self.dump(&link::dump_addresses(), |b| Ok(link::parse_address(b)?))?;
        let named = |(index, net)| Some(Address { device: name_of(&links, index)?, net });
        Ok(all.into_iter().filter_map(named).collect())
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        let links = self.links()?;
        let mut routes = self.routes_of(true, &links)?;
        routes.extend(self.routes_of(false, &links)?);
        Ok(routes)
    }

    fn rules(&self) -> io::Result<Vec<Rule>> {
        let mut rules = self.rules_of(true)?;
        rules.extend(self.rules_of(false)?);
        Ok(rules)
    }

    fn route_to(&self, to: IpAddr, mark: u32) -> io::Result<Path> {
        let replies = self.with(Protocol::Route, |s| s.ask(&route::look_up(to, mark)))?;
        let none = || refused(libc::ENETUNREACH, format!("route to {to}"));
        let found = route::parse(&replies.first().ok_or_else(none)?.payload)?;
        let oif = found.oif.filter(|_| found.route.kind != RouteKind::Unreachable).ok_or_else(none)?;
        let link = self.link_by_index(oif)?;
        Ok(Path {
            device: link.name,
            gateway: found.route.gateway,
            source: found.route.source,
            mtu: found.mtu.unwrap_or(link.mtu),
        })
    }

    fn add_wireguard_link(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.request(&link::add_wireguard(name, mtu)).map_err(|e| match errno(&e) {
            Some(libc::EOPNOTSUPP) => wireguard::missing(),
            _ => e,
        })
    }

    fn delete_link(&self, name: &str) -> io::Result<()> {
        match index_if_there(name)? {
            Some(index) => tolerate(self.request(&link::delete(index)), &[libc::ENODEV]),
            None => Ok(()),
        }
    }

    fn set_link_up(&self, name: &str, up: bool) -> io::Result<()> {
        self.request(&link::set_up(index_of(name)?, up))
    }

    fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.request(&link::set_mtu(index_of(name)?, mtu))
    }

    fn add_address(&self, address: &Address) -> io::Result<()> {
        let message = link::add_address(index_of(&address.device)?, address);
        tolerate(self.request(&message), &[libc::EEXIST])
    }

    fn delete_address(&self, address: &Address) -> io::Result<()> {
        let Some(index) = index_if_there(&address.device)? else { return Ok(()) };
        let gone = [libc::EADDRNOTAVAIL, libc::ENODEV];
        tolerate(self.request(&link::delete_address(index, address)), &gone)
    }

    fn replace_route(&self, route: &Route) -> io::Result<()> {
        let oif = route.device.as_deref().map(index_of).transpose()?;
        self.request(&route::replace(route, oif))
    }

    fn delete_route(&self, route: &Route) -> io::Result<()> {
        let mut oif = None;
        if let Some(device) = &route.device {
            oif = index_if_there(device)?;
            if oif.is_none() {
                return Ok(()); // it went with its link
            }
        }
        // ENETUNREACH and EAFNOSUPPORT: the table, or the whole family, is not there.
        let gone = [libc::ESRCH, libc::ENOENT, libc::ENODEV, libc::ENETUNREACH, libc::EAFNOSUPPORT];
        tolerate(self.request(&route::delete(route, oif)), &gone)
    }

    fn add_rule(&self, rule: &Rule) -> io::Result<()> {
        tolerate(self.request(&rule::add(rule)), &[libc::EEXIST])
    }

    fn delete_rule(&self, rule: &Rule) -> io::Result<()> {
        tolerate(self.request(&rule::delete(rule)), &[libc::ENOENT, libc::EAFNOSUPPORT])
    }

    fn wireguard(&self, name: &str) -> io::Result<Device> {
        self.with(Protocol::Generic, |s| wireguard::read(s, name))
    }

    fn set_wireguard(&self, name: &str, change: &DeviceChange) -> io::Result<()> {
        wireguard::set(name, change)
    }

    fn load_ruleset(&self, ruleset: &Ruleset) -> io::Result<()> {
        match self.with(Protocol::Netfilter, |s| nft::load(s, ruleset)) {
            // A kernel without nfnetlink holds no rules.
            Err(e) if errno(&e) == Some(libc::EPROTONOSUPPORT) && ruleset.tables.is_empty() => Ok(()),
            loaded => loaded,
        }
    }

    fn flush_conntrack(&self, flows: &Flows) -> io::Result<usize> {
        match self.with(Protocol::Netfilter, |s| conntrack::flush(s, flows)) {
            // A kernel without nfnetlink.
            Err(e) if errno(&e) == Some(libc::EPROTONOSUPPORT) => Ok(0),
            flushed => flushed,
        }
    }

    fn is_listening(&self, udp: bool, at: SocketAddr, device: &str) -> io::Result<bool> {
        let index = index_of(device)?;
        self.with(Protocol::SockDiag, |s| sock_diag::is_listening(s, udp, at, index))
    }
}
