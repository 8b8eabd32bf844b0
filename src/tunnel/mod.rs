//! A tunnel as a value: what `wg-quick` text describes and what a provider's API returns.

pub mod device;
pub mod plan;
pub mod routes;

use crate::address::IpNet;
use crate::config::secret::{PublicKey, SecretKey};
use crate::provider::Endpoint;
use crate::time::Duration;
use std::net::{IpAddr, SocketAddr};

/// An interface's MTU in bytes. IPv6 needs 1280 (RFC 8200 section 5); a tunnel without IPv6 may have less, down to
/// IPv4's 576 (RFC 791).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mtu(u16);

impl Mtu {
    pub fn new(n: u16) -> Option<Mtu> {
        (n >= 576).then_some(Mtu(n))
    }

    pub const fn bytes(self) -> u16 {
        self.0
    }
}

/// Where `AllowedIPs` become routes (wg-quick's `Table`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Table {
    /// Policy routing when they hold a default route, else plain routes in the main table.
    #[default]
    Auto,
    /// No routes at all.
    Off,
    /// Plain routes in this table.
    Number(u32),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    pub public_key: PublicKey,
    pub preshared_key: Option<SecretKey>,
    pub endpoint: Option<Endpoint>,
    pub allowed_ips: Vec<IpNet>,
    pub keepalive: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Tunnel {
    pub private_key: SecretKey,
    pub addresses: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    pub search_domains: Vec<String>,
    /// `None`: computed from the route to the endpoint.
    pub mtu: Option<Mtu>,
    pub table: Table,
    /// `None`: pvpn's own mark.
    pub fwmark: Option<u32>,
    pub listen_port: Option<u16>,
    pub peers: Vec<Peer>,
}

impl Tunnel {
    /// Whether the peers' `AllowedIPs` take a whole address family.
    pub fn is_full(&self) -> bool {
        self.table == Table::Auto && self.peers.iter().flat_map(|p| &p.allowed_ips).any(|n| n.prefix == 0)
    }

    /// Whether packets are chosen by rules rather than by main's routes alone: by those the encrypted packets, which go to one
    /// of `endpoints`, would go round in circles.
    pub fn is_by_policy(&self, endpoints: &[Option<SocketAddr>]) -> bool {
        let mut nets = self.peers.iter().flat_map(|p| &p.allowed_ips);
        let holds_endpoint = |net: &IpNet| endpoints.iter().flatten().any(|e| net.contains(e.ip()));
        self.is_full() || (self.table == Table::Auto && nets.any(holds_endpoint))
    }

    /// Whether the tunnel has an address of this family and a route for all of it.
    pub fn carries(&self, ipv4: bool) -> bool {
        self.addresses.iter().any(|a| a.is_ipv4() == ipv4)
            && self.peers.iter().flat_map(|p| &p.allowed_ips).any(|n| n.prefix == 0 && n.is_ipv4() == ipv4)
    }
}
