//! A kernel in memory. It prints itself as text for tests to compare, answers as Linux would (a missing link is ENODEV,
//! a taken name EEXIST, a route by a link that is down ENETDOWN), and fails where a test tells it to.
//!
//! Left out: what Linux adds by itself (connected and local routes), and taking routes along when a link goes down.

use super::{Flows, Net};
use crate::address::IpNet;
use crate::config::secret::PublicKey;
use crate::firewall::ruleset::Ruleset;
use crate::sys::netlink::refused;
use crate::sys::wireguard;
use crate::tunnel::device::{Device, DeviceChange, PeerChange, PeerConfig, PeerState};
use crate::wire::rtnl::{Address, Link, MAIN_TABLE, Path, Route, RouteKind, Rule, RuleAction};
use std::cell::RefCell;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// What the fake kernel holds; tests edit it to play other programs.
#[derive(Clone, Debug)]
pub struct State {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub devices: Vec<Device>,
    /// The text of the rules last loaded; empty = none of ours.
    pub ruleset: String,
    /// Sockets that hear: UDP or not, and where.
    pub listeners: Vec<(bool, SocketAddr)>,
    /// Whether the kernel has WireGuard.
    pub has_wireguard: bool,
    /// Every change asked for, in order, failed ones as well.
    pub calls: Vec<String>,
    /// The change, counted from 0 over the fake's life, that fails with EIO.
    pub failing_call: Option<usize>,
}

/// A machine with `lo`, and `eth0` at 192.168.1.2/24 behind a router.
#[derive(Debug)]
pub struct FakeNet(RefCell<State>);

impl Default for FakeNet {
    fn default() -> FakeNet {
        FakeNet::new()
    }
}

impl FakeNet {
    pub fn new() -> FakeNet {
        let link = |index, name: &str, mtu| Link {
            index,
            name: name.to_owned(),
            kind: None,
            mtu,
            up: true,
            lower_up: true,
            loopback: name == "lo",
            is_port: false,
            address: vec![2, 0, 0, 0, 0, index as u8],
        };
        let kernel_rule =
            |ipv4, priority, table| Rule { protocol: 2, ..Rule::to_table(ipv4, priority, table) };
        let home = IpNet { addr: [192, 168, 1, 2].into(), prefix: 24 };
        let all = IpNet { addr: [0, 0, 0, 0].into(), prefix: 0 };
        let router = Some([192, 168, 1, 1].into());
        FakeNet(RefCell::new(State {
            links: vec![link(1, "lo", 65536), link(2, "eth0", 1500)],
            addresses: vec![Address { device: "eth0".to_owned(), net: home }],
            routes: vec![
                Route { gateway: router, protocol: 16, ..Route::by("eth0", all, MAIN_TABLE) },
                Route {
                    source: Some(home.addr),
                    protocol: 2,
                    ..Route::by("eth0", home.network(), MAIN_TABLE)
                },
            ],
            rules: vec![
                kernel_rule(true, 0, 255),
                kernel_rule(true, 32766, MAIN_TABLE),
                kernel_rule(true, 32767, 253),
                kernel_rule(false, 0, 255),
                kernel_rule(false, 32766, MAIN_TABLE),
            ],
            devices: Vec::new(),
            ruleset: String::new(),
            listeners: Vec::new(),
            has_wireguard: true,
            calls: Vec::new(),
            failing_call: None,
        }))
    }

    /// Looks at or edits the state, as another program would.
    pub fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.borrow_mut())
    }

    /// The kernel forgets everything; what DHCP set up is there again.
    pub fn reboot(&self) {
        self.0.swap(&FakeNet::new().0);
    }

    /// Notes a change, then makes it.
    fn change(&self, call: String, f: impl FnOnce(&mut State) -> io::Result<()>) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.calls.push(call);
        if state.failing_call == Some(state.calls.len() - 1) {
            return Err(refused(libc::EIO, ""));
        }
        f(state)
    }
}

impl State {
    fn link(&mut self, name: &str) -> io::Result<&mut Link> {
        let found = self.links.iter_mut().find(|l| l.name == name);
        found.ok_or_else(|| refused(libc::ENODEV, format!("link {name}")))
    }

    fn device(&mut self, name: &str) -> io::Result<&mut Device> {
        self.link(name)?;
        let found = self.devices.iter_mut().find(|d| d.name == name);
        found.ok_or_else(|| refused(libc::EOPNOTSUPP, format!("link {name} is no WireGuard device")))
    }

    /// Follows the rules and tables as the kernel would.
    fn way(&self, to: IpAddr, mark: u32) -> Option<&Route> {
        let mut rules: Vec<&Rule> = self.rules.iter().filter(|r| r.ipv4 == to.is_ipv4()).collect();
        rules.sort_by_key(|r| r.priority);
        rules.into_iter().filter(|r| r.takes(to, mark)).find_map(|rule| {
            let RuleAction::Table(table) = rule.action else { return None };
            let fits = |r: &&Route| {
                r.table == table
                    && r.to.contains(to)
                    && rule.suppress_prefix.is_none_or(|n| u32::from(r.to.prefix) > n)
            };
            let best = |r: &&Route| (r.to.prefix, std::cmp::Reverse(r.metric));
            self.routes.iter().filter(fits).max_by_key(best)
        })
    }
}

impl Rule {
    /// Whether a packet of this machine falls under the rule; ports are taken not to match.
    fn takes(&self, to: IpAddr, mark: u32) -> bool {
        let selected = self.mark.is_none_or(|(value, mask)| mark & mask == value)
            && self.to.is_none_or(|net| net.contains(to))
            && self.source_port.is_none()
            && self.from.is_none()
            && self.oif.is_none();
        selected != self.invert
    }
}

impl Net for FakeNet {
    fn links(&self) -> io::Result<Vec<Link>> {
        Ok(self.0.borrow().links.clone())
    }

    fn addresses(&self) -> io::Result<Vec<Address>> {
        Ok(self.0.borrow().addresses.clone())
    }

    fn routes(&self) -> io::Result<Vec<Route>> {
        Ok(self.0.borrow().routes.clone())
    }

    fn rules(&self) -> io::Result<Vec<Rule>> {
        Ok(self.0.borrow().rules.clone())
    }

    fn route_to(&self, to: IpAddr, mark: u32) -> io::Result<Path> {
        let state = self.0.borrow();
        let none = || refused(libc::ENETUNREACH, format!("route to {to}"));
        let route = state.way(to, mark).filter(|r| r.kind == RouteKind::Unicast).ok_or_else(none)?;
        let link = state.links.iter().find(|l| Some(&l.name) == route.device.as_ref()).ok_or_else(none)?;
        Ok(Path { device: link.name.clone(), gateway: route.gateway, source: route.source, mtu: link.mtu })
    }

    fn add_wireguard_link(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.change(format!("add link {name} mtu {mtu}"), |s| {
            if !s.has_wireguard {
                return Err(wireguard::missing());
            }
            if s.links.iter().any(|l| l.name == name) {
                return Err(refused(libc::EEXIST, ""));
            }
            let index = s.links.iter().map(|l| l.index).max().unwrap_or(0) + 1;
            s.links.push(Link {
                index,
                name: name.to_owned(),
                kind: Some("wireguard".to_owned()),
                mtu,
                up: false,
                lower_up: false,
                loopback: false,
                is_port: false,
                address: Vec::new(),
            });
            s.devices.push(Device {
                index,
                name: name.to_owned(),
                private_key: None,
                public_key: None,
                listen_port: 0,
                fwmark: 0,
                peers: Vec::new(),
            });
            Ok(())
        })
    }

    fn delete_link(&self, name: &str) -> io::Result<()> {
        self.change(format!("delete link {name}"), |s| {
            s.links.retain(|l| l.name != name);
            s.devices.retain(|d| d.name != name);
            s.addresses.retain(|a| a.device != name);
            s.routes.retain(|r| r.device.as_deref() != Some(name));
            Ok(())
        })
    }

    fn set_link_up(&self, name: &str, up: bool) -> io::Result<()> {
        self.change(format!("set link {name} {}", if up { "up" } else { "down" }), |s| {
            let link = s.link(name)?;
            (link.up, link.lower_up) = (up, up);
            Ok(())
        })
    }

    fn set_mtu(&self, name: &str, mtu: u32) -> io::Result<()> {
        self.change(format!("set link {name} mtu {mtu}"), |s| {
            s.link(name)?.mtu = mtu;
            Ok(())
        })
    }

    fn add_address(&self, address: &Address) -> io::Result<()> {
        self.change(format!("add address {} dev {}", address.net, address.device), |s| {
            s.link(&address.device)?;
            if !s.addresses.contains(address) {
                s.addresses.push(address.clone());
            }
            Ok(())
        })
    }

    fn delete_address(&self, address: &Address) -> io::Result<()> {
        self.change(format!("delete address {} dev {}", address.net, address.device), |s| {
            s.addresses.retain(|a| a != address);
            Ok(())
        })
    }

    fn replace_route(&self, route: &Route) -> io::Result<()> {
        self.change(format!("replace route {route}"), |s| {
            if let Some(device) = &route.device {
                if !s.link(device)?.up {
                    return Err(refused(libc::ENETDOWN, ""));
                }
            }
            s.routes.retain(|r| !r.replaces(route));
            s.routes.push(route.clone());
            Ok(())
        })
    }

    fn delete_route(&self, route: &Route) -> io::Result<()> {
        self.change(format!("delete route {route}"), |s| {
            s.routes.retain(|r| !(r.replaces(route) && r.device == route.device && r.kind == route.kind));
            Ok(())
        })
    }

    fn add_rule(&self, rule: &Rule) -> io::Result<()> {
        self.change(format!("add rule {rule}"), |s| {
            if !s.rules.contains(rule) {
                s.rules.push(rule.clone());
            }
            Ok(())
        })
    }

    fn delete_rule(&self, rule: &Rule) -> io::Result<()> {
        self.change(format!("delete rule {rule}"), |s| {
            s.rules.retain(|r| r != rule);
            Ok(())
        })
    }

    fn wireguard(&self, name: &str) -> io::Result<Device> {
        self.0.borrow_mut().device(name).cloned()
    }

    fn set_wireguard(&self, name: &str, change: &DeviceChange) -> io::Result<()> {
        self.change(format!("set wireguard {name}: {} peer changes", change.peers.len()), |s| {
            let device = s.device(name)?;
            if let Some(key) = &change.private_key {
                device.private_key = Some(key.clone());
                // No curve here: a public key that only this private key has.
                device.public_key = Some(PublicKey(key.reveal().map(|b| !b)));
            }
            device.listen_port = change.listen_port.unwrap_or(device.listen_port);
            device.fwmark = change.fwmark.unwrap_or(device.fwmark);
            change.peers.iter().for_each(|peer| change_peer(device, peer));
            Ok(())
        })
    }

    fn load_ruleset(&self, ruleset: &Ruleset) -> io::Result<()> {
        self.change("load ruleset".to_owned(), |s| {
            s.ruleset = ruleset.to_string();
            Ok(())
        })
    }

    fn flush_conntrack(&self, flows: &Flows) -> io::Result<usize> {
        self.change(format!("flush conntrack {flows:?}"), |_| Ok(())).map(|()| 0)
    }

    fn is_listening(&self, udp: bool, at: SocketAddr, _device: &str) -> io::Result<bool> {
        Ok(self.0.borrow().listeners.contains(&(udp, at)))
    }
}

fn change_peer(device: &mut Device, change: &PeerChange) {
    match change {
        PeerChange::Remove(key) => device.peers.retain(|p| p.public_key != *key),
        PeerChange::Set(peer) => {
            // An allowed network has one peer: the last that asked for it.
            for other in &mut device.peers {
                other.allowed_ips.retain(|n| !peer.allowed_ips.contains(n));
            }
            match device.peers.iter_mut().find(|p| p.public_key == peer.public_key) {
                Some(known) => *known = shown(peer, Some(known)),
                None => device.peers.push(shown(peer, None)),
            }
        }
    }
}

fn shown(peer: &PeerConfig, before: Option<&PeerState>) -> PeerState {
    PeerState {
        public_key: peer.public_key,
        preshared_key: peer.preshared_key.clone(),
        endpoint: peer.endpoint.or(before.and_then(|b| b.endpoint)),
        last_handshake: before.and_then(|b| b.last_handshake),
        rx_bytes: before.map_or(0, |b| b.rx_bytes),
        tx_bytes: before.map_or(0, |b| b.tx_bytes),
        keepalive: peer.keepalive.filter(|k| !k.is_zero()),
        allowed_ips: peer.allowed_ips.iter().map(IpNet::network).collect(),
    }
}

impl fmt::Display for FakeNet {
    /// The machine, sorted, without what changes from run to run (numbers of links, counters).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.borrow();
        let mut lines: Vec<String> = Vec::new();
        for l in &state.links {
            let kind = l.kind.as_ref().map(|k| format!(" {k}")).unwrap_or_default();
            lines.push(format!("link {}{kind} mtu {} {}", l.name, l.mtu, if l.up { "up" } else { "down" }));
        }
        lines.extend(state.addresses.iter().map(|a| format!("address {} dev {}", a.net, a.device)));
        lines.extend(state.routes.iter().map(|r| format!("route {r}")));
        lines.extend(state.rules.iter().map(|r| format!("rule {r}")));
        for d in &state.devices {
            let port = d.listen_port;
            lines.push(format!("wireguard {} port {port} mark {:#x}", d.name, d.fwmark));
            for p in &d.peers {
                let endpoint = p.endpoint.map(|e| e.to_string()).unwrap_or_default();
                lines.push(format!(
                    "wireguard {} peer {} {endpoint} {:?}",
                    d.name, p.public_key, p.allowed_ips
                ));
            }
        }
        lines.extend(state.ruleset.lines().map(|l| format!("ruleset {l}")));
        // The rules' lines keep their order.
        let ruled = lines.len() - state.ruleset.lines().count();
        lines[..ruled].sort_unstable();
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

#[cfg(test)]
mod tests;
