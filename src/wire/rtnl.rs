//! rtnetlink (linux/rtnetlink.h, if_link.h, if_addr.h, fib_rules.h; rtnetlink(7)): links, addresses, routes and rules
//! as values, and their messages.
//!
//! A value names its link; the kernel knows numbers. Emitting takes the number beside the value, parsing returns it
//! beside the value, and whoever lists them puts the name in. Everything foreign that a value can't express (multipath
//! routes, next-hop objects) still parses, as a route without device.

use crate::address::IpNet;
use std::fmt;
use std::net::IpAddr;

/// The main routing table (RT_TABLE_MAIN).
pub const MAIN_TABLE: u32 = 254;
/// Who made a route or rule (rtm_protocol, FRA_PROTOCOL): ours. Chosen: not in iproute2's `rt_protos`, clear of the
/// routing daemons' numbers from 186 on.
pub const OUR_PROTOCOL: u8 = 0x76;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// `wireguard`, `veth`, `bridge`; `None` for hardware and loopback.
    pub kind: Option<String>,
    pub mtu: u32,
    pub up: bool,
    /// Whether the layer below works: carrier.
    pub lower_up: bool,
    pub loopback: bool,
    /// The hardware address; empty where there is none.
    pub address: Vec<u8>,
}

impl Link {
    pub fn is_wireguard(&self) -> bool {
        self.kind.as_deref() == Some("wireguard")
    }
}

/// An address on a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    pub device: String,
    /// With host bits.
    pub net: IpNet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RouteKind {
    Unicast,
    /// Answered with "unreachable" (RTN_UNREACHABLE).
    Unreachable,
    /// local, broadcast, multicast, blackhole and so on, by number (RTN_).
    Other(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    pub table: u32,
    pub to: IpNet,
    pub kind: RouteKind,
    pub device: Option<String>,
    pub gateway: Option<IpAddr>,
    /// The source address it prefers.
    pub source: Option<IpAddr>,
    /// Smaller wins. 0 with IPv6 means the kernel's 1024.
    pub metric: u32,
    /// rtm_protocol: 2 = kernel, 3 = boot, 4 = static, 16 = DHCP, [`OUR_PROTOCOL`].
    pub protocol: u8,
}

impl Route {
    /// A route of ours by this link.
    pub fn by(device: &str, to: IpNet, table: u32) -> Route {
        Route { device: Some(device.to_owned()), kind: RouteKind::Unicast, ..Route::unreachable(to, table) }
    }

    /// A route of ours that is answered "unreachable".
    pub fn unreachable(to: IpNet, table: u32) -> Route {
        Route {
            table,
            to: to.network(),
            kind: RouteKind::Unreachable,
            device: None,
            gateway: None,
            source: None,
            metric: 0,
            protocol: OUR_PROTOCOL,
        }
    }

    /// Whether one takes the place of the other: the same network, table and metric.
    pub fn replaces(&self, other: &Route) -> bool {
        (self.table, self.to, self.kernel_metric()) == (other.table, other.to, other.kernel_metric())
    }

    /// As the kernel shows it (IP6_RT_PRIO_USER).
    pub fn kernel_metric(&self) -> u32 {
        if self.metric == 0 && !self.to.is_ipv4() { 1024 } else { self.metric }
    }
}

impl fmt::Display for Route {
    /// As `ip route add` would be told.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            RouteKind::Unicast => {}
            RouteKind::Unreachable => f.write_str("unreachable ")?,
            RouteKind::Other(n) => write!(f, "type {n} ")?,
        }
        write!(f, "{}", self.to)?;
        if let Some(gateway) = self.gateway {
            write!(f, " via {gateway}")?;
        }
        if let Some(device) = &self.device {
            write!(f, " dev {device}")?;
        }
        if let Some(source) = self.source {
            write!(f, " src {source}")?;
        }
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        write!(f, " table {}", self.table)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RuleAction {
    Table(u32),
    /// Other actions by number (FR_ACT_).
    Other(u8),
}

/// A policy routing rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    pub ipv4: bool,
    /// Smaller comes first.
    pub priority: u32,
    /// Matches what the selectors do not.
    pub invert: bool,
    pub from: Option<IpNet>,
    pub to: Option<IpNet>,
    /// Value and mask.
    pub mark: Option<(u32, u32)>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    /// 6 = TCP, 17 = UDP.
    pub ip_protocol: Option<u8>,
    pub source_port: Option<u16>,
    pub dest_port: Option<u16>,
    pub action: RuleAction,
    /// Routes with a prefix this short or shorter are passed over.
    pub suppress_prefix: Option<u32>,
    /// Who made it: [`OUR_PROTOCOL`] for ours, 2 for the kernel's three.
    pub protocol: u8,
}

impl Rule {
    /// A rule of ours that sends everything of a family to a table; narrow it with struct update.
    pub fn to_table(ipv4: bool, priority: u32, table: u32) -> Rule {
        Rule {
            ipv4,
            priority,
            invert: false,
            from: None,
            to: None,
            mark: None,
            iif: None,
            oif: None,
            ip_protocol: None,
            source_port: None,
            dest_port: None,
            action: RuleAction::Table(table),
            suppress_prefix: None,
            protocol: OUR_PROTOCOL,
        }
    }
}

impl fmt::Display for Rule {
    /// As `ip rule` shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", if self.ipv4 { "-4" } else { "-6" })?;
        write!(f, " {}:{}", self.priority, if self.invert { " not" } else { "" })?;
        match &self.from {
            Some(net) => write!(f, " from {net}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(net) = &self.to {
            write!(f, " to {net}")?;
        }
        match self.mark {
            Some((mark, u32::MAX)) => write!(f, " fwmark {mark:#x}")?,
            Some((mark, mask)) => write!(f, " fwmark {mark:#x}/{mask:#x}")?,
            None => {}
        }
        for (name, link) in [("iif", &self.iif), ("oif", &self.oif)] {
            if let Some(link) = link {
                write!(f, " {name} {link}")?;
            }
        }
        if let Some(n) = self.ip_protocol {
            write!(f, " ipproto {n}")?;
        }
        for (name, port) in [("sport", self.source_port), ("dport", self.dest_port)] {
            if let Some(port) = port {
                write!(f, " {name} {port}")?;
            }
        }
        match self.action {
            RuleAction::Table(table) => write!(f, " lookup {table}")?,
            RuleAction::Other(n) => write!(f, " action {n}")?,
        }
        if let Some(n) = self.suppress_prefix {
            write!(f, " suppress_prefixlength {n}")?;
        }
        Ok(())
    }
}

/// What the kernel would do with a packet to some address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    pub device: String,
    /// `None`: the address is on the link.
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// The route's own limit (learned or set), else the link's MTU.
    pub mtu: u32,
}
