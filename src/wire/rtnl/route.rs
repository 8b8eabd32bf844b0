//! Routes (linux/rtnetlink.h).

use super::{OUR_PROTOCOL, any, family, inner};
use crate::address::IpNet;
use crate::wire::nlmsg::{Malformed, Message, NLM_F_CREATE, NLM_F_REPLACE, attrs_behind};
use std::fmt;
use std::net::IpAddr;

pub const RTM_NEWROUTE: u16 = 24;
pub const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;

/// `struct rtmsg`.
const ROUTE_HEADER: usize = 12;

const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RT_SCOPE_LINK: u8 = 253;
const RT_SCOPE_NOWHERE: u8 = 255;
/// A learned exception, not a route of a table.
const RTM_F_CLONED: u32 = 0x200;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_TABLE: u16 = 15;
const RTA_MARK: u16 = 16;
const RTAX_MTU: u16 = 2;

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

pub fn dump(ipv4: bool) -> Message {
    let mut header = [0; ROUTE_HEADER];
    header[0] = family(ipv4);
    Message::new(RTM_GETROUTE, 0, &header)
}

/// A parsed route, what its value has no room for beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedRoute {
    /// Without device.
    pub route: Route,
    pub oif: Option<u32>,
    /// The route's own MTU.
    pub mtu: Option<u32>,
    /// A learned exception rather than a route of a table.
    pub is_cached: bool,
}

/// Parses RTM_NEWROUTE and RTM_DELROUTE.
pub fn parse(payload: &[u8]) -> Result<ParsedRoute, Malformed> {
    let [fam, prefix, _, _, table, protocol, _, kind, f0, f1, f2, f3] =
        *payload.first_chunk::<ROUTE_HEADER>().ok_or(Malformed)?;
    let kind = match kind {
        RTN_UNICAST => RouteKind::Unicast,
        RTN_UNREACHABLE => RouteKind::Unreachable,
        other => RouteKind::Other(other),
    };
    let mut route = Route { kind, protocol, ..Route::unreachable(any(fam)?, u32::from(table)) };
    let (mut oif, mut mtu) = (None, None);
    for attr in attrs_behind(payload, ROUTE_HEADER)? {
        let attr = attr?;
        match attr.kind {
            RTA_DST => route.to.addr = attr.ip()?,
            RTA_OIF => oif = Some(attr.u32()?),
            RTA_GATEWAY => route.gateway = Some(attr.ip()?),
            RTA_PRIORITY => route.metric = attr.u32()?,
            RTA_PREFSRC => route.source = Some(attr.ip()?),
            RTA_TABLE => route.table = attr.u32()?,
            RTA_METRICS => mtu = inner(&attr, RTAX_MTU)?.map(|a| a.u32()).transpose()?,
            _ => {}
        }
    }
    route.to = IpNet::new(route.to.addr, prefix).ok_or(Malformed)?;
    if route.kind == RouteKind::Unreachable {
        oif = None; // IPv6 shows `lo` there
    }
    let is_cached = u32::from_ne_bytes([f0, f1, f2, f3]) & RTM_F_CLONED != 0;
    Ok(ParsedRoute { route, oif, mtu, is_cached })
}

/// Adds the route or takes the place of the one it replaces.
pub fn replace(route: &Route, oif: Option<u32>) -> Message {
    route_message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, route, oif)
}

pub fn delete(route: &Route, oif: Option<u32>) -> Message {
    route_message(RTM_DELROUTE, 0, route, oif)
}

fn route_message(message_kind: u16, flags: u16, route: &Route, oif: Option<u32>) -> Message {
    let kind = match route.kind {
        RouteKind::Unicast => RTN_UNICAST,
        RouteKind::Unreachable => RTN_UNREACHABLE,
        RouteKind::Other(n) => n,
    };
    let scope = match (message_kind, route.kind, route.gateway) {
        (RTM_DELROUTE, ..) => RT_SCOPE_NOWHERE, // any
        (_, RouteKind::Unicast, None) => RT_SCOPE_LINK,
        _ => RT_SCOPE_UNIVERSE,
    };
    // The header's table is one byte; RTA_TABLE counts.
    let header =
        [family(route.to.is_ipv4()), route.to.prefix, 0, 0, 0, route.protocol, scope, kind, 0, 0, 0, 0];
    let mut m = Message::new(message_kind, flags, &header);
    m.put_u32(RTA_TABLE, route.table).put_ip(RTA_DST, route.to.network().addr);
    if let Some(oif) = oif {
        m.put_u32(RTA_OIF, oif);
    }
    if let Some(gateway) = route.gateway {
        m.put_ip(RTA_GATEWAY, gateway);
    }
    if let Some(source) = route.source {
        m.put_ip(RTA_PREFSRC, source);
    }
    if route.metric != 0 {
        m.put_u32(RTA_PRIORITY, route.metric);
    }
    m
}

/// Asks which way a packet with this mark goes.
pub fn look_up(to: IpAddr, mark: u32) -> Message {
    let mut header = [0; ROUTE_HEADER];
    (header[0], header[1]) = (family(to.is_ipv4()), IpNet::host(to).prefix);
    let mut m = Message::new(RTM_GETROUTE, 0, &header);
    m.put_ip(RTA_DST, to).put_u32(RTA_MARK, mark);
    m
}
