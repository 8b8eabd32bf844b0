//! What may pass. One [`Policy`] value per state of the supervisor; [`ruleset`] turns it into nftables rules, and
//! `sys/nft.rs` loads those as one atomic batch per change.
//!
//! # Promises while the kill switch is closed
//!
//! What leaves this machine is one of these, and nothing else:
//!
//! - **Loopback.**
//! - **The tunnel's encrypted packets**: UDP with the tunnel's mark to its endpoint's address and port. Never matched
//!   by owner (an encrypted packet keeps the uid of the program whose packet is inside) and never by address alone
//!   (any program could then speak to the server in the clear and be recognised behind it).
//! - **pvpn's own sockets**, by mark and uid 0, only while [`Policy::own_sockets`] says that they are needed. The mark
//!   alone would admit every program with CAP_NET_RAW, which may set marks since Linux 5.17.
//! - **DHCP** of both families, unicast renewals too, and **neighbour and router discovery** on the link: ARP, and
//!   ICMPv6 with hop limit 255 to link-local unicast and multicast only. Reports of group membership (IGMP, MLD) are
//!   neither, and are dropped: the groups that the list needs are link-local, which switches flood. The frames by which
//!   a station joins its link (802.1X) carry no packet and pass.
//! - **mDNS** to its link-local groups, IPv4's from addresses of the LAN.
//! - **The LAN**, but nothing to its ports 53 and 853, and nothing that bids a router there send it on (IPv4 options, IPv6
//!   routing headers). LAN means private ranges ([`lan`]); the configuration may name
//!   carrier-grade NAT's as well, and refuses public ones.
//! - **Answers of ports let in** by [`Policy::inbound`].
//! - **Whatever goes through an open tunnel**, but DNS (ports 53 and 853, TCP and UDP) only to the resolver in use.
//!   With [`DnsPolicy::Machine`] the machine's own resolvers may be asked wherever they are.
//!
//! What comes in is loopback, the LAN, replies to DHCP and neighbour discovery, answers to what the list above let
//! out, the forwarded port through the tunnel, and the ports of [`Policy::inbound`].
//!
//! Hence:
//!
//! - Rules look at the interface a packet really leaves by, so neither a socket bound to a link nor an injected route
//!   finds a way out: it finds the drop at the end.
//! - No rule accepts outgoing packets because their flow is "established": what was allowed a policy ago is not
//!   allowed on that account. Forwarded traffic (containers, virtual machines) follows the same rules: it goes through
//!   an open tunnel or stays within the LAN, from which alone published ports can be reached.
//! - A packet to the tunnel's address that arrives on another interface is dropped before connection tracking sees it
//!   (CVE-2019-14899), also while the kill switch is open.
//! - Packet sockets, which pass by every rule above, meet the same list again in an egress chain on each physical
//!   link, where the kernel has that hook (5.16). AF_XDP has no hook at all, and a frame that bears a VLAN tag among its
//!   own bytes is read as if it had none.
//! - Both address families are closed alike. Denied packets are dropped, not rejected: a sender on this machine learns
//!   of a dropped datagram at once (EPERM), a connection outlives the moment in which a tunnel changes, and no answer
//!   has to find its own way out.
//!
//! With the kill switch open nothing is dropped but what is addressed to the tunnel from elsewhere, and what comes
//! through it unasked.

pub mod ruleset;

use crate::address::{IpNet, PRIVATE};
use std::net::{IpAddr, SocketAddr};

/// Mark of WireGuard's encrypted packets, unless the `.conf` names another. Chosen: clear of 0x4000, 0x8000 (kube)
/// and 0xff0000 (Tailscale and others).
pub const TUNNEL_MARK: u32 = 0x1076;
/// Mark of pvpn's own sockets outside the tunnel.
pub const OWN_MARK: u32 = 0x1077;
/// Routing table of a full tunnel (4214).
pub const TUNNEL_TABLE: u32 = 0x1076;

/// A kernel setting that the rules rely on while a tunnel is up. The kernel uses the greatest of `all` and the
/// interface's own value, so a greater value of the owner stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sysctl {
    /// Path below `/proc/sys`.
    pub path: &'static str,
    pub at_least: u32,
    pub why: &'static str,
}

/// Values and meanings: Linux `Documentation/networking/ip-sysctl.rst`.
pub const SYSCTLS: [Sysctl; 3] = [
    Sysctl {
        path: "net/ipv4/conf/all/arp_ignore",
        at_least: 2,
        why: "answer ARP only for addresses of the link it came by: else anyone on the LAN learns the tunnel's",
    },
    Sysctl {
        path: "net/ipv4/conf/all/arp_announce",
        at_least: 2,
        why: "never name the tunnel's address as the sender of an ARP request",
    },
    Sysctl {
        path: "net/ipv4/conf/all/src_valid_mark",
        at_least: 1,
        why: "reverse-path checks follow the mark restored from conntrack: strict rp_filter drops the server's \
              packets otherwise",
    },
];

/// The tunnel as the firewall sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TunnelPolicy {
    pub interface: String,
    /// Addresses of the interface, without host bits lost.
    pub addresses: Vec<IpNet>,
    pub mark: u32,
    /// Where encrypted packets may go.
    pub endpoints: Vec<SocketAddr>,
    /// Whether routing rules send packets into the tunnel: then answers to the encrypted ones need their mark as well.
    pub full: bool,
    /// Whether traffic may pass through it: false while connecting, before the machine was told to use it.
    pub open: bool,
    /// The forwarded port, let in through the tunnel over TCP and UDP.
    pub forwarded_port: Option<u16>,
    /// Whether the segment size of TCP connections is lowered to what fits the tunnel.
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
    /// `None`: by whatever interface that is not a tunnel.
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

impl Policy {
    /// Kill switch closed, no tunnel.
    pub fn blocked(lan: Vec<IpNet>) -> Policy {
        Policy {
            killswitch: true,
            lan,
            tunnels: Vec::new(),
            dns: DnsPolicy::None,
            own_sockets: false,
            inbound: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Kill switch closed: the tunnel may shake hands, pvpn's own sockets may ask the provider, nothing passes
    /// through the tunnel.
    pub fn connecting(lan: Vec<IpNet>, tunnel: TunnelPolicy) -> Policy {
        let tunnel = TunnelPolicy { open: false, ..tunnel };
        Policy { tunnels: vec![tunnel], own_sockets: true, ..Policy::blocked(lan) }
    }

    /// Kill switch closed, traffic flows through the tunnel.
    pub fn connected(lan: Vec<IpNet>, tunnel: TunnelPolicy, dns: DnsPolicy) -> Policy {
        let tunnel = TunnelPolicy { open: true, ..tunnel };
        Policy { tunnels: vec![tunnel], dns, ..Policy::blocked(lan) }
    }

    /// Kill switch closed, `old` carries traffic while `to` shakes hands.
    pub fn switching(lan: Vec<IpNet>, old: TunnelPolicy, to: TunnelPolicy, dns: DnsPolicy) -> Policy {
        let old = TunnelPolicy { open: true, ..old };
        let to = TunnelPolicy { open: false, ..to };
        Policy { tunnels: vec![old, to], dns, own_sockets: true, ..Policy::blocked(lan) }
    }

    /// Kill switch open, tunnel up: what the tunnel itself needs, and its own protection. Without tunnels there are
    /// no rules at all.
    pub fn open(tunnels: Vec<TunnelPolicy>) -> Policy {
        let tunnels = tunnels.into_iter().map(|t| TunnelPolicy { open: true, ..t }).collect();
        Policy { killswitch: false, tunnels, own_sockets: true, ..Policy::blocked(Vec::new()) }
    }

    pub fn with_links(self, links: Vec<String>) -> Policy {
        Policy { links, ..self }
    }

    pub fn with_own_sockets(self, own_sockets: bool) -> Policy {
        Policy { own_sockets, ..self }
    }

    pub fn with_dns(self, dns: DnsPolicy) -> Policy {
        Policy { dns, ..self }
    }
}

/// What "LAN" means: the configured networks as they are, else the private ones among those attached to the links
/// (`None` when they could not be listed), else, when that leaves none, all private ranges, so that the owner is never
/// locked out. So it is before an interface has an address: those that it gives itself (link-local) are none. An
/// attacker who hands out a public range by DHCP gains nothing (TunnelCrack LocalNet, CVE-2023-36672).
pub fn lan(configured: Option<&[IpNet]>, attached: Option<&[IpNet]>) -> Vec<IpNet> {
    let nets: Vec<IpNet> = match (configured, attached) {
        (Some(nets), _) => nets.iter().map(IpNet::network).collect(),
        (None, Some(nets)) if !nets.iter().all(IpNet::is_link_local) => {
            nets.iter().map(IpNet::network).filter(IpNet::is_private).collect()
        }
        (None, _) => Vec::new(),
    };
    if nets.is_empty() { PRIVATE.to_vec() } else { nets }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lan_is_what_is_written_else_what_is_attached_else_all_that_is_private() {
        let nets = |text: &str| text.split(' ').map(|n| n.parse().unwrap()).collect::<Vec<IpNet>>();
        let attached = |text| lan(None, Some(&nets(text)));
        assert_eq!(lan(Some(&nets("10.9.0.0/16")), Some(&nets("192.168.1.0/24"))), nets("10.9.0.0/16"));
        assert_eq!(attached("192.168.1.0/24 fe80::/64"), nets("192.168.1.0/24 fe80::/64"));
        // Addresses that an interface gives itself come before those that the owner reaches it by.
        for early in ["fe80::/64", "169.254.0.0/16 fe80::/64"] {
            assert_eq!(attached(early), PRIVATE, "{early}");
        }
        assert_eq!(attached("203.0.113.0/24 fe80::/64"), nets("fe80::/64"), "a public address is one");
        assert_eq!((lan(None, Some(&[])), lan(None, None)), (PRIVATE.to_vec(), PRIVATE.to_vec()));
    }
}
