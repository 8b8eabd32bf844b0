//! Links, routes, rules and the resolver: the daemon's wishes as journalled steps, and what the machine looks like.

use super::super::phase::Ready;
use super::super::{Event, Look, Surroundings};
use super::Supervisor;
use crate::address::IpNet;
use crate::change::{FIREWALL, Step, TUNNELS};
use crate::error::{Doing, Error, Result};
use crate::firewall::ruleset::Ruleset;
use crate::firewall::{OWN_MARK, Policy, SYSCTLS, TUNNEL_MARK};
use crate::sys::icmp::EchoSocket;
use crate::sys::net::{Flows, find};
use crate::sys::socket::Egress;
use crate::sys::{Machine, resolve};
use crate::time::UnixTime;
use crate::tunnel::device::{Device, DeviceChange, PeerChange, PeerConfig};
use crate::tunnel::plan::{Plan, Want, plan_tunnel};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Cleared by the kernel whenever a WireGuard link comes up (Linux drivers/net/wireguard/device.c, wg_open).
const SEND_REDIRECTS: &str = "net/ipv4/conf/all/send_redirects";

impl Supervisor {
    fn plan(&self, interface: &str, ready: &Ready) -> Result<Plan> {
        let mark = ready.connection.tunnel.mark();
        let found = find(&self.sys, interface, &ready.endpoints, mark).doing(|| "look at the machine")?;
        let lan = self.daemon.lan();
        let want = Want {
            tunnel: &ready.connection.tunnel,
            interface,
            endpoints: &ready.endpoints,
            lan: &lan,
            is_ours: self.changes.links().any(|l| l == interface),
        };
        Ok(plan_tunnel(&want, &found)?)
    }

    /// The link with its peer, up, and a first packet through it so that the handshake begins.
    pub(super) fn make_link(&mut self, interface: &str, ready: &Ready, in_place: bool) -> Result<()> {
        let net = self.sys.net();
        self.previous = if in_place { net.wireguard(interface).ok() } else { None };
        let plan = self.plan(interface, ready).doing(|| format!("make {interface}"))?;
        let redirects = Step::KeepSysctl { path: SEND_REDIRECTS.to_owned(), becomes: 0 };
        self.changes.apply(&self.sys, TUNNELS, &[redirects])?;
        self.changes.apply(&self.sys, interface, &plan.device).doing(|| format!("make {interface}"))?;
        let config = ready.connection.tunnel.device_config(&ready.endpoints);
        let device = self.sys.net().wireguard(interface).doing(|| format!("read {interface} back"))?;
        if !config.is_shown_by(&device) {
            return Err(Error::failed(format!("{interface}: the kernel shows other settings than were set")));
        }
        if in_place {
            // A session that the same peer had before says nothing about this attempt.
            self.restart_peer(interface);
        }
        self.knock(interface, ready);
        Ok(())
    }

    /// Sends one echo request into the tunnel, past every route: WireGuard begins a handshake for a packet, not before.
    fn knock(&self, interface: &str, ready: &Ready) {
        let tunnel = &ready.connection.tunnel;
        let any = IpAddr::V4(Ipv4Addr::new(10, 2, 0, 1));
        let target = tunnel.dns.first().copied().unwrap_or(any);
        let Some(source) = tunnel.addresses.iter().map(|a| a.addr).find(|a| a.is_ipv4() == target.is_ipv4())
        else {
            return;
        };
        // Marked as ours: no rule lets other packets into a tunnel that is not in use yet.
        let egress = Egress { mark: Some(OWN_MARK), ..Egress::tunnel(interface, source) };
        let knocked =
            EchoSocket::open(target.is_ipv4(), &egress).and_then(|echo| echo.send(target, 0, b"pvpn"));
        if let Err(e) = knocked {
            log::debug!("tunnel: no first packet through {interface}: {e}");
        }
    }

    /// Counters and the latest handshake.
    pub(super) fn look(&self, interface: &str) -> Option<Look> {
        let device = match self.sys.net().wireguard(interface) {
            Ok(device) => device,
            Err(e) => {
                log::debug!("tunnel: read {interface}: {e}");
                return None;
            }
        };
        let handshake = device.peers.iter().filter_map(|p| p.last_handshake).max();
        let link =
            self.sys.net().links().ok().and_then(|links| links.into_iter().find(|l| l.name == interface));
        Some(Look {
            mtu: link.map(|l| l.mtu),
            handshake: handshake.map(|at| UnixTime(at.as_secs())),
            rx_bytes: device.peers.iter().map(|p| p.rx_bytes).sum(),
            tx_bytes: device.peers.iter().map(|p| p.tx_bytes).sum(),
        })
    }

    /// Removes and adds the peers, as the kernel shows them.
    pub(super) fn restart_peer(&mut self, interface: &str) {
        let net = self.sys.net();
        let restarted = net.wireguard(interface).and_then(|device| {
            let peers =
                device.peers.iter().flat_map(|p| DeviceChange::restart(peer_config(p)).peers).collect();
            net.set_wireguard(interface, &DeviceChange { peers, ..DeviceChange::default() })
        });
        match restarted {
            Ok(()) => log::debug!("tunnel: handshake of {interface} begun anew"),
            Err(e) => log::warn!("tunnel: begin the handshake of {interface} anew: {e}"),
        }
        let in_use = self.daemon.in_use().filter(|(name, ..)| *name == interface);
        if let Some(ready) = self.daemon.making().or(in_use.map(|(_, ready, _)| ready)) {
            self.knock(interface, ready);
        }
    }

    /// The machine's traffic takes this tunnel; what an earlier one had goes.
    pub(super) fn commit(
        &mut self,
        interface: &str,
        ready: &Ready,
        old: Option<&str>,
        dns: bool,
    ) -> Result<()> {
        let plan = self.plan(interface, ready)?;
        self.watcher.lan = self.daemon.lan();
        let mut shared = plan.shared;
        shared.extend(settings());
        self.changes.apply(&self.sys, interface, &plan.device)?;
        self.changes.apply(&self.sys, interface, &plan.routes)?;
        self.changes.apply(&self.sys, TUNNELS, &shared)?;
        self.set_resolver(interface, ready, dns)?;
        if let Some(Err(e)) = old.map(|old| self.changes.undo(&self.sys, old)) {
            log::error!("change: {e}");
        }
        self.previous = None;
        Ok(())
    }

    /// Takes back what [`Supervisor::make_link`] made.
    pub(super) fn drop_link(&mut self, interface: &str, in_place: bool) {
        let done =
            if in_place { self.put_peer_back(interface) } else { self.changes.undo(&self.sys, interface) };
        if let Err(e) = done {
            log::error!("change: {e}");
        }
    }

    fn put_peer_back(&mut self, interface: &str) -> Result<()> {
        let Some(was) = self.previous.take() else { return Ok(()) };
        let net = self.sys.net();
        let shown = net.wireguard(interface).doing(|| format!("read {interface}"))?;
        net.set_wireguard(interface, &back_to(&was, &shown))
            .doing(|| format!("put the peer of {interface} back"))?;
        // The addresses are the other tunnel's still.
        let in_use = self.daemon.in_use().filter(|(name, ..)| *name == interface);
        let Some(ready) = in_use.map(|(_, ready, _)| ready.clone()) else { return Ok(()) };
        let plan = self.plan(interface, &ready)?;
        self.changes.apply(&self.sys, interface, &plan.device)?;
        self.changes.apply(&self.sys, interface, &plan.routes)
    }

    pub(super) fn load_policy(&mut self, policy: &Policy) -> Result<()> {
        let ruleset = Ruleset::of(policy);
        self.changes.apply(&self.sys, FIREWALL, &[Step::LoadRuleset(ruleset)])?;
        let stopped = self.watcher.note_rules();
        let links: &[String] = if policy.killswitch { &policy.links } else { &[] };
        let is_open = |link: &&String| stopped.as_ref().is_some_and(|stopped| !stopped.contains(link));
        self.daemon.note_unguarded(links.iter().filter(is_open).cloned().collect());
        Ok(())
    }

    /// What was let out by an earlier policy is not let out on that account.
    pub(super) fn forget_flows(&self) {
        // A `.conf` may name a mark of its own. 0 is none: what bears it has to go.
        let marks = self.daemon.policy().tunnels.into_iter().map(|t| t.mark).filter(|mark| *mark != 0);
        let ours = [OWN_MARK, TUNNEL_MARK].into_iter().chain(marks).collect();
        match self.sys.net().flush_conntrack(&Flows::Unmarked(ours)) {
            Ok(n) => log::debug!("firewall: {n} tracked flows forgotten"),
            Err(e) => log::warn!("firewall: forget tracked flows: {e}"),
        }
    }

    /// Everything back, newest first; the rule set stays while the kill switch is closed.
    pub(super) fn tear_down(&mut self) -> Result<()> {
        self.changes.undo_all(&self.sys)?;
        self.forget_flows();
        Ok(())
    }

    /// Tells the daemon what the machine looks like.
    pub(super) fn look_around(&mut self) {
        match self.surroundings() {
            Ok(found) => self.handle(Event::Surroundings(found)),
            Err(e) => log::warn!("run: {e}"),
        }
    }

    pub(super) fn surroundings(&self) -> Result<Surroundings> {
        surroundings(&self.sys, &self.changes)
    }
}

/// The kernel settings of every tunnel.
pub(super) fn settings() -> impl Iterator<Item = Step> {
    SYSCTLS.iter().map(|s| Step::RaiseSysctl { path: s.path.to_owned(), at_least: s.at_least })
}

/// Links and networks that are not ours.
pub fn surroundings(sys: &dyn Machine, changes: &crate::change::Changes) -> Result<Surroundings> {
    let links = sys.net().links().doing(|| "list links")?;
    let ours: Vec<&str> = changes.links().collect();
    let is_other = |name: &str| {
        !ours.contains(&name) && links.iter().any(|l| l.name == name && !l.loopback && !l.is_wireguard())
    };
    let addresses = sys.net().addresses().doing(|| "list addresses")?;
    let mut attached: Vec<IpNet> =
        addresses.iter().filter(|a| is_other(&a.device)).map(|a| a.net.network()).collect();
    attached.sort_unstable();
    attached.dedup();
    let physical =
        links.iter().filter(|l| l.leads_out() && is_other(&l.name)).map(|l| l.name.clone()).collect();
    let mut resolvers: Vec<IpAddr> = resolve::outside_servers().iter().map(SocketAddr::ip).collect();
    resolvers.dedup();
    Ok(Surroundings { attached, links: physical, resolvers })
}

fn peer_config(p: &crate::tunnel::device::PeerState) -> PeerConfig {
    PeerConfig {
        public_key: p.public_key,
        preshared_key: p.preshared_key.clone(),
        endpoint: p.endpoint,
        keepalive: p.keepalive,
        allowed_ips: p.allowed_ips.clone(),
    }
}

/// What puts this device back as it was.
fn back_to(was: &Device, shown: &Device) -> DeviceChange {
    let gone = shown.peers.iter().map(|p| p.public_key);
    let gone = gone.filter(|k| !was.peers.iter().any(|p| p.public_key == *k)).map(PeerChange::Remove);
    DeviceChange {
        private_key: was.private_key.clone(),
        listen_port: None,
        fwmark: Some(was.fwmark),
        peers: was.peers.iter().map(|p| PeerChange::Set(peer_config(p))).chain(gone).collect(),
    }
}
