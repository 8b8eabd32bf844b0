//! What may pass. One [`Policy`] value per state of the supervisor; `ruleset.rs` turns it into nftables rules, one
//! atomic batch per change.

pub mod ruleset;

use crate::address::IpNet;
use std::net::{IpAddr, SocketAddr};

/// Mark of WireGuard's encrypted packets, unless the `.conf` names another. Chosen: clear of 0x4000, 0x8000 (kube)
/// and 0xff0000 (Tailscale and others).
pub const TUNNEL_MARK: u32 = 0x1076;
/// Mark of pvpn's own sockets outside the tunnel.
pub const OWN_MARK: u32 = 0x1077;
/// Routing table of a full tunnel (4214).
pub const TUNNEL_TABLE: u32 = 0x1076;

/// The tunnel as the firewall sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelPolicy {
    pub interface: String,
    /// Addresses of the interface, without host bits lost.
    pub addresses: Vec<IpNet>,
    pub mark: u32,
    /// Where encrypted packets may go.
    pub endpoints: Vec<SocketAddr>,
    /// Whether the tunnel takes whole address families (policy routing) or only some networks.
    pub full: bool,
    /// Whether traffic may pass through it: false while connecting, before the machine was told to use it.
    pub open: bool,
    /// The forwarded port, let in through the tunnel over TCP and UDP.
    pub forwarded_port: Option<u16>,
    /// The port to let in for services on the tunnel side beside it; empty for now.
    pub mss_clamp: bool,
}

/// Which resolvers programs may ask on ports 53 and 853.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsPolicy {
    /// Only these, only through the tunnel.
    Tunnel(Vec<IpAddr>),
    /// `--dns false`: the machine's own resolvers, wherever they are.
    Machine(Vec<IpAddr>),
    /// None at all (blocked).
    None,
}

/// A port let in from outside the tunnel, for a service of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbound {
    pub interface: Option<String>,
    pub udp: bool,
    pub port: u16,
}

/// Everything the rule set depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Closed: nothing leaves but the allow list.
    pub killswitch: bool,
    pub lan: Vec<IpNet>,
    /// The tunnels that exist: two while switching to an interface of another name.
    pub tunnels: Vec<TunnelPolicy>,
    pub dns: DnsPolicy,
    /// Whether pvpn's own marked sockets may leave (API, ICMP probes, resolving endpoints).
    pub own_sockets: bool,
    pub inbound: Vec<Inbound>,
    /// Physical links for the netdev egress hook; empty where the kernel has none.
    pub links: Vec<String>,
}
