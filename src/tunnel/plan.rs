//! Tunnel -> steps, by comparing what shall be with what is found: adopting a running tunnel plans nothing, a switch
//! that keeps the interface's name plans only what differs, and a peer that is equal is never touched.
//!
//! The order within a [`Plan`] is the order in which nothing leaks and nothing loops: first the link with its keys,
//! addresses and `up`, then the routes by it, then what all tunnels share. A switch to an interface of another name
//! applies the plan while the old link stands: its default route takes the place of the old one in one kernel call;
//! then the old link goes, and with it whatever is left of its routes.

use super::device::{Device, DeviceConfig, PeerConfig};
use super::routes;
use super::{Table, Tunnel};
use crate::address::IpNet;
use crate::change::Step;
use crate::firewall::TUNNEL_MARK;
use crate::wire::rtnl::{Address, Link, Route, Rule};
use std::fmt;
use std::net::SocketAddr;

/// What WireGuard adds to a packet: IPv6 header 40, UDP 8, its own header and tag 32. With an IPv4 endpoint 60 would do,
/// but an endpoint may become IPv6 without the link being made again (NAT64, a name resolved afresh); wg-quick takes 80
/// as well.
const OVERHEAD: u32 = 80;
/// On a path of 1500. Larger links in the house say nothing about the path beyond them.
const MTU_MOST: u32 = 1420;
/// RFC 8200 section 5, RFC 791.
const MTU_LEAST_IPV6: u32 = 1280;
const MTU_LEAST_IPV4: u32 = 576;

/// Settings below `/proc/sys`. With the first, marks count when a packet's source is checked, so that strict `rp_filter`
/// lets the encrypted answers in; the second keeps IPv6 addresses off links to come.
pub const SRC_VALID_MARK: &str = "net/ipv4/conf/all/src_valid_mark";
pub const DISABLE_IPV6: &str = "net/ipv6/conf/default/disable_ipv6";

/// A value of a link's `rp_filter` (Linux `Documentation/networking/ip-sysctl.rst`): a packet's sender has to be reachable,
/// by whatever link.
const LOOSE: u32 = 2;

/// What shall be.
#[derive(Clone, Debug)]
pub struct Want<'a> {
    pub tunnel: &'a Tunnel,
    pub interface: &'a str,
    /// Resolved endpoints, one for each peer of the tunnel, in order; `None` = the peer has none.
    pub endpoints: &'a [Option<SocketAddr>],
    /// What is reached outside the tunnel.
    pub lan: &'a [IpNet],
    /// Whether a link of this name, if there is one, was made by pvpn (the journal knows).
    pub is_ours: bool,
}

/// What is there.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    /// The device called as wanted.
    pub device: Option<Device>,
    /// The smallest MTU on the way to the endpoints.
    pub endpoint_mtu: Option<u32>,
    /// Whether the kernel routes IPv6.
    pub has_ipv6: bool,
    /// Whether links may have IPv6 addresses (`disable_ipv6` is off).
    pub allows_ipv6: bool,
    /// Whether marks count when a packet's source is checked ([`SRC_VALID_MARK`]).
    pub checks_marks: bool,
    /// Whether the device called as wanted takes packets only from where its own routes lead (strict `rp_filter`).
    pub is_strict: bool,
}

/// Steps in order. `device` and `routes` belong to the link and go with it, `shared` is for all tunnels.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// The link with keys, peers and addresses, up. Nothing is sent through it yet.
    pub device: Vec<Step>,
    /// Routes by the link. With a full tunnel they take effect by the rules in `shared`, or by those of an earlier one.
    pub routes: Vec<Step>,
    /// Kernel settings, unreachable routes and rules.
    pub shared: Vec<Step>,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.device.is_empty() && self.routes.is_empty() && self.shared.is_empty()
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A link of this name exists and pvpn did not make it.
    Taken(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Taken(name) => {
                write!(
                    f,
                    "a link called {name} is there already and is none of pvpn's; see [network] interface"
                )
            }
        }
    }
}

impl std::error::Error for Conflict {}

impl From<Conflict> for crate::error::Error {
    fn from(e: Conflict) -> Self {
        crate::error::Error::failed(e.to_string())
    }
}

impl Tunnel {
    /// The mark of its encrypted packets.
    pub fn mark(&self) -> u32 {
        self.fwmark.unwrap_or(TUNNEL_MARK)
    }

    /// The device as the kernel shall hold it. `endpoints` as in [`Want`].
    pub fn device_config(&self, endpoints: &[Option<SocketAddr>]) -> DeviceConfig {
        let peers = self.peers.iter().enumerate().map(|(i, peer)| PeerConfig {
            public_key: peer.public_key,
            preshared_key: peer.preshared_key.clone(),
            endpoint: endpoints.get(i).copied().flatten(),
            keepalive: peer.keepalive,
            allowed_ips: peer.allowed_ips.clone(),
        });
        DeviceConfig {
            private_key: self.private_key.clone(),
            listen_port: self.listen_port,
            fwmark: self.mark(),
            peers: peers.collect(),
        }
    }
}

/// The MTU of a tunnel in bytes: its own, else what the way to the endpoints leaves.
pub fn mtu(tunnel: &Tunnel, endpoint_mtu: Option<u32>) -> u32 {
    if let Some(mtu) = tunnel.mtu {
        return mtu.bytes().into();
    }
    let has_ipv6 = tunnel.addresses.iter().any(|a| !a.is_ipv4());
    let least = if has_ipv6 { MTU_LEAST_IPV6 } else { MTU_LEAST_IPV4 };
    endpoint_mtu.map_or(MTU_MOST, |path| path.saturating_sub(OVERHEAD)).clamp(least, MTU_MOST)
}

/// The steps from what is found to what is wanted; none when it is so already.
pub fn plan_tunnel(want: &Want<'_>, found: &Found) -> Result<Plan, Conflict> {
    let link = found.links.iter().find(|l| l.name == want.interface);
    if link.is_some_and(|l| !want.is_ours || !l.is_wireguard()) {
        return Err(Conflict::Taken(want.interface.to_owned()));
    }
    let (routes, shared) = routes::plan(want, found);
    Ok(Plan { device: plan_device(want, found, link), routes, shared })
}

fn plan_device(want: &Want<'_>, found: &Found, link: Option<&Link>) -> Vec<Step> {
    let name = || want.interface.to_owned();
    let mtu = mtu(want.tunnel, found.endpoint_mtu);
    let mut steps = Vec::new();
    match link {
        None => steps.push(Step::AddLink { link: name(), mtu }),
        // A path that has shrunk shrinks the link at once; a wider one does not disturb running flows.
        Some(l) if l.mtu > mtu || (want.tunnel.mtu.is_some() && l.mtu != mtu) => {
            steps.push(Step::SetMtu { link: name(), mtu });
        }
        Some(_) => {}
    }
    if want.tunnel.table != Table::Auto && found.is_strict {
        // The routes are the owner's, who may have none for what the gateway answers from.
        let path = format!("net/ipv4/conf/{}/rp_filter", want.interface);
        steps.push(Step::RaiseSysctl { path, at_least: LOOSE });
    }
    let config = want.tunnel.device_config(want.endpoints);
    let change = config.change_from(found.device.as_ref().unwrap_or(&Device::blank()));
    if !change.is_empty() {
        steps.push(Step::SetWireguard { link: name(), change });
    }
    let wanted: Vec<Address> = want
        .tunnel
        .addresses
        .iter()
        .filter(|net| net.is_ipv4() || found.allows_ipv6)
        .map(|net| Address { device: name(), net: *net })
        .collect();
    let present: Vec<&Address> = found.addresses.iter().filter(|a| a.device == want.interface).collect();
    steps.extend(wanted.iter().filter(|a| !present.contains(a)).cloned().map(Step::AddAddress));
    steps.extend(present.into_iter().filter(|a| !wanted.contains(a)).cloned().map(Step::DeleteAddress));
    if !link.is_some_and(|l| l.up) {
        steps.push(Step::SetLinkUp(name()));
    }
    steps
}

impl Device {
    /// One that was just made.
    fn blank() -> Device {
        Device {
            index: 0,
            name: String::new(),
            private_key: None,
            public_key: None,
            listen_port: 0,
            fwmark: 0,
            peers: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;
