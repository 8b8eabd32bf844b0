//! Which packets go into the tunnel: routes and policy rules.
//!
//! A full tunnel has a table of its own ([`TUNNEL_TABLE`]) with a default route for each address family it carries and
//! "unreachable" for the other, so that nothing of it is sent bare even with the kill switch open. Rules say who does
//! not look there, in this order:
//!
//! | priority | packets | table |
//! |---|---|---|
//! | [`OWN`] | pvpn's own sockets, by mark | main |
//! | [`DHCP`] | a DHCP client's | main |
//! | [`INSIDE`] | to the tunnel's resolvers, where `lan` holds their addresses too | tunnel |
//! | [`NEAR`] | to `lan`, link-local, multicast, the local broadcast | main |
//! | [`REST`] | all others but the encrypted ones | tunnel |
//!
//! Unlike wg-quick there is no `main suppress_prefixlength 0`: more specific routes that a DHCP server injects
//! (TunnelVision, CVE-2024-3661) are never looked at. Encrypted packets miss [`REST`] by their mark and go on to main;
//! where main has no route for them they end there and can't enter the tunnel again.
//!
//! `AllowedIPs` without a default route are plain routes in main, or in the table that `Table` names. If one of them
//! holds the endpoint itself, they stand in the tunnel's table instead, for encrypted packets would loop.

use super::plan::{Found, SRC_VALID_MARK, Want};
use super::{Table, Tunnel};
use crate::address::IpNet;
use crate::change::Step;
use crate::firewall::{OWN_MARK, TUNNEL_TABLE};
use crate::wire::rtnl::{MAIN_TABLE, OUR_PROTOCOL, Route, Rule};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// Rule priorities. Chosen: before those of Tailscale (5210 on), NetworkManager and wg-quick (30000 on).
pub const OWN: u32 = 4210;
pub const DHCP: u32 = 4211;
pub const INSIDE: u32 = 4212;
pub const NEAR: u32 = 4213;
pub const REST: u32 = 4214;

const UDP: u8 = 17;

/// Link-local, multicast and broadcast: never beyond the next link (RFC 3927, RFC 5771, RFC 919; RFC 4291).
const NEAR_V4: [IpNet; 3] = [v4([169, 254, 0, 0], 16), v4([224, 0, 0, 0], 4), v4([255; 4], 32)];
const NEAR_V6: [IpNet; 2] = [v6(0xfe80, 10), v6(0xff00, 8)];

/// Steps for the routes by the link, and for what all tunnels share.
pub(super) fn plan(want: &Want<'_>, found: &Found) -> (Vec<Step>, Vec<Step>) {
    let is_by_policy = want.tunnel.is_by_policy(want.endpoints);
    let by_link = routes_by_link(want, found, is_by_policy);
    let refused = if want.tunnel.is_full() { refused_routes(want.tunnel, found) } else { Vec::new() };
    let rules = if is_by_policy { rules(want, found) } else { Vec::new() };

    let is_there =
        |r: &&Route| found.routes.iter().any(|f| f.replaces(r) && f.device == r.device && f.kind == r.kind);
    let missing = |routes: &[Route]| -> Vec<Step> {
        routes.iter().filter(|r| !is_there(r)).cloned().map(Step::ReplaceRoute).collect()
    };
    let mut routes = missing(&by_link);
    routes.extend(stale_routes(want, found, &[&by_link[..], &refused].concat()));

    let mut shared = Vec::new();
    if is_by_policy && !found.checks_marks {
        shared.push(Step::RaiseSysctl { path: SRC_VALID_MARK.to_owned(), at_least: 1 });
    }
    shared.extend(missing(&refused));
    shared.extend(rules.iter().filter(|r| !found.rules.contains(r)).cloned().map(Step::AddRule));
    // Only after the ones that take their place, or packets would pass between the two.
    let stale = |r: &&Rule| r.protocol == OUR_PROTOCOL && !rules.contains(r);
    shared.extend(found.rules.iter().filter(stale).cloned().map(Step::DeleteRule));
    (routes, shared)
}

fn routes_by_link(want: &Want<'_>, found: &Found, is_by_policy: bool) -> Vec<Route> {
    let table = match want.tunnel.table {
        Table::Off => return Vec::new(),
        Table::Number(n) => n,
        Table::Auto if is_by_policy => TUNNEL_TABLE,
        Table::Auto => MAIN_TABLE,
    };
    let full = want.tunnel.is_full();
    let carried = |net: &IpNet| {
        let possible = net.is_ipv4() || (found.has_ipv6 && found.allows_ipv6);
        possible && !(full && net.prefix == 0 && !want.tunnel.carries(net.is_ipv4()))
    };
    let mut routes: Vec<Route> =
        allowed(want.tunnel).filter(carried).map(|net| Route::by(want.interface, net, table)).collect();
    routes.sort_unstable();
    routes.dedup();
    routes
}

/// "Unreachable" for the families that a full tunnel does not carry.
fn refused_routes(tunnel: &Tunnel, found: &Found) -> Vec<Route> {
    let all = [v4([0; 4], 0), v6(0, 0)];
    let is_refused = |net: &IpNet| match net.is_ipv4() {
        true => !tunnel.carries(true),
        false => found.has_ipv6 && !(tunnel.carries(false) && found.allows_ipv6),
    };
    all.into_iter().filter(is_refused).map(|net| Route::unreachable(net, TUNNEL_TABLE)).collect()
}

/// Our own routes by this link, and "unreachable" ones, that are not wanted and that no wanted one replaces.
fn stale_routes(want: &Want<'_>, found: &Found, wanted: &[Route]) -> Vec<Step> {
    let is_stale = |r: &&Route| {
        r.protocol == OUR_PROTOCOL
            && r.device.as_deref().is_none_or(|d| d == want.interface)
            && !wanted.iter().any(|w| w.replaces(r))
    };
    found.routes.iter().filter(is_stale).cloned().map(Step::DeleteRoute).collect()
}

/// The rules of this file's header, for each family that the kernel routes.
fn rules(want: &Want<'_>, found: &Found) -> Vec<Rule> {
    let mut rules = Vec::new();
    for ipv4 in [true, false].into_iter().filter(|ipv4| *ipv4 || found.has_ipv6) {
        let (client, server) = if ipv4 { (68, 67) } else { (546, 547) }; // RFC 2131, RFC 8415
        rules.push(Rule { mark: Some((OWN_MARK, u32::MAX)), ..Rule::to_table(ipv4, OWN, MAIN_TABLE) });
        rules.push(Rule {
            ip_protocol: Some(UDP),
            source_port: Some(client),
            dest_port: Some(server),
            ..Rule::to_table(ipv4, DHCP, MAIN_TABLE)
        });
        let to =
            |net: IpNet, priority, table| Rule { to: Some(net), ..Rule::to_table(ipv4, priority, table) };
        rules.extend(inside(want, ipv4).map(|net| to(net, INSIDE, TUNNEL_TABLE)));
        rules.extend(near(want, ipv4).into_iter().map(|net| to(net, NEAR, MAIN_TABLE)));
        let encrypted = Some((want.tunnel.mark(), u32::MAX));
        rules.push(Rule { mark: encrypted, invert: true, ..Rule::to_table(ipv4, REST, TUNNEL_TABLE) });
    }
    rules
}

/// The tunnel's resolvers whose addresses also belong to `lan`: Proton's 10.2.0.1 in a house that uses 10.0.0.0/8.
fn inside(want: &Want<'_>, ipv4: bool) -> impl Iterator<Item = IpNet> {
    let is_near = |addr: &IpAddr| want.lan.iter().any(|net| net.contains(*addr));
    let mut hosts: Vec<IpNet> = want
        .tunnel
        .dns
        .iter()
        .filter(|a| a.is_ipv4() == ipv4 && is_near(a))
        .copied()
        .map(IpNet::host)
        .collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts.into_iter()
}

fn near(want: &Want<'_>, ipv4: bool) -> Vec<IpNet> {
    let fixed: &[IpNet] = if ipv4 { &NEAR_V4 } else { &NEAR_V6 };
    let lan = want.lan.iter().filter(|n| n.is_ipv4() == ipv4).map(IpNet::network);
    let mut nets: Vec<IpNet> = lan.chain(fixed.iter().copied()).collect();
    nets.sort_unstable();
    nets.dedup();
    nets
}

fn allowed(tunnel: &Tunnel) -> impl Iterator<Item = IpNet> {
    tunnel.peers.iter().flat_map(|p| &p.allowed_ips).map(IpNet::network)
}

const fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet { addr: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const fn v6(first: u16, prefix: u8) -> IpNet {
    IpNet { addr: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0)), prefix }
}

#[cfg(test)]
mod tests;
