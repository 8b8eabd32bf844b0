//! The chains of a policy. What may leave past the tunnel is written once, in [`outside`], for the machine's own
//! packets as for what is handed to a link's driver.

use super::nets::{Ip, Nets};
use super::rule::{ETHER_ARP, ETHER_EAPOL, ETHER_IPV4, ETHER_IPV6, ETHER_TAG, Match, Rule, Then, Transport};
use super::{Chain, Point};
use crate::address::{IpNet, PRIVATE};
use crate::firewall::{DnsPolicy, Inbound, OWN_MARK, Policy, TunnelPolicy};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// DNS (RFC 1035, RFC 7766) and DNS over TLS or QUIC (RFC 7858, RFC 9250).
const NAME_PORTS: [u16; 2] = [53, 853];
const MDNS_PORT: u16 = 5353; // RFC 6762 section 3
const MDNS_GROUP_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(224, 0, 0, 251));
const MDNS_GROUP_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb));
/// Link-local unicast and multicast (RFC 4291 sections 2.5.6 and 2.7), which no router passes on.
const LINK_LOCAL_V6: [IpNet; 2] = [
    IpNet { addr: IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), prefix: 10 },
    IpNet { addr: IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0)), prefix: 16 },
];
/// Client and server ports of DHCP: RFC 2131 section 4.1, RFC 8415 section 7.2.
const DHCP: [(Ip, u16, u16); 2] = [(Ip::V4, 68, 67), (Ip::V6, 546, 547)];

/// The chains for packets on their way through the machine.
pub(super) fn inet(policy: &Policy) -> Vec<Chain> {
    let chain = if policy.killswitch { Chain::closed } else { Chain::open };
    vec![
        Chain::open(Point::Preraw, preraw(policy)),
        Chain::open(Point::Prerouting, prerouting(policy)),
        chain(Point::Input, input(policy)),
        chain(Point::Forward, forward(policy)),
        chain(Point::Output, if policy.killswitch { output(policy) } else { Vec::new() }),
        Chain::open(Point::Postrouting, postrouting(policy)),
    ]
}

/// A chain for each physical link against packet sockets; none while the kill switch is open.
pub(super) fn egress(policy: &Policy) -> Vec<Chain> {
    let links = policy.links.iter().filter(|_| policy.killswitch);
    links.map(|link| Chain::closed(Point::Egress(link.clone()), egress_rules(policy, link))).collect()
}

/// Nobody but the tunnel's server may speak to the tunnel's address (CVE-2019-14899).
fn preraw(policy: &Policy) -> Vec<Rule> {
    let mut names = vec!["lo".to_owned()];
    names.extend(policy.tunnels.iter().map(|t| t.interface.clone()));
    names.sort();
    let addresses: Vec<IpAddr> =
        policy.tunnels.iter().flat_map(|t| t.addresses.iter().map(|a| a.addr)).collect();
    let rule =
        |nets| Rule::new("tunnel address", [Match::NotInput(names.clone()), Match::To(nets)], Then::Drop);
    hosts(&addresses).map(rule).collect()
}

/// Answers to marked packets get the mark as well, so that a strict reverse-path check routes them as those went.
/// Only a full tunnel routes by mark.
fn prerouting(policy: &Policy) -> Vec<Rule> {
    let restore = |(why, mark)| Rule::new(why, [Match::FlowMark(mark)], Then::RestoreMark);
    if policy.tunnels.iter().any(|t| t.full) { marks(policy).map(restore).collect() } else { Vec::new() }
}

fn postrouting(policy: &Policy) -> Vec<Rule> {
    let save = |(why, mark)| Rule::new(why, [Match::Mark(mark)], Then::SaveMark);
    let clamp = |t: &TunnelPolicy| {
        Rule::new("segment size", [Match::Output(t.interface.clone()), Match::Syn], Then::ClampSegments)
    };
    let clamped = policy.tunnels.iter().filter(|t| t.mss_clamp);
    marks(policy).map(save).chain(clamped.map(clamp)).collect()
}

/// The marks in use, with what bears them. 0 is no mark: nothing is let out for it.
fn marks(policy: &Policy) -> impl Iterator<Item = (&'static str, u32)> {
    let mut marks: Vec<_> = policy.tunnels.iter().map(|t| ("encrypted", t.mark)).collect();
    marks.dedup();
    marks.extend(policy.own_sockets.then_some(("own sockets", OWN_MARK)));
    marks.into_iter().filter(|(_, mark)| *mark != 0)
}

fn input(policy: &Policy) -> Vec<Rule> {
    let mut rules = Vec::new();
    if policy.killswitch {
        rules.push(accept("loopback", [Match::Input("lo".to_owned())]));
        rules.extend(
            marks(policy)
                .map(|(why, mark)| accept(why, [Match::FlowMark(mark), Match::EstablishedOrRelated])),
        );
    }
    for tunnel in &policy.tunnels {
        let from = || Match::Input(tunnel.interface.clone());
        if tunnel.open {
            rules.push(accept("answers", [from(), Match::EstablishedOrRelated]));
            rules.extend(
                tunnel.forwarded_port.map(|p| accept("forwarded port", [from(), Match::ToPort(vec![p])])),
            );
        }
        rules.push(drop("unasked", [from()]));
    }
    if !policy.killswitch {
        return rules;
    }
    for (ip, client, server) in DHCP {
        rules.push(accept("DHCP", [Match::Family(ip), udp(Some(server), Some(client))]));
    }
    rules.push(accept("neighbours", [Match::Discovery]));
    let link_local = Nets::of(Ip::V6, &LINK_LOCAL_V6[..1]).map(Match::From);
    let group = Nets::hosts(Ip::V6, &[MDNS_GROUP_V6]).map(Match::To);
    let mdns: Vec<Match> = link_local.into_iter().chain(group).chain([udp(None, Some(MDNS_PORT))]).collect();
    rules.push(accept("mDNS", mdns));
    rules.extend(name_answers(policy));
    rules.extend(nets(&policy.lan).map(|lan| accept("LAN", [Match::From(lan)])));
    for inbound in &policy.inbound {
        let by = inbound.interface.clone().map(Match::Input);
        let port = Match::Ports { transport: transport(inbound), from: None, to: Some(inbound.port) };
        rules.push(accept("let in", by.into_iter().chain([port]).collect::<Vec<_>>()));
    }
    rules
}

fn output(policy: &Policy) -> Vec<Rule> {
    let mut rules = vec![accept("loopback", [Match::Output("lo".to_owned())])];
    rules.extend(policy.tunnels.iter().flat_map(encrypted));
    rules.extend(own_sockets(policy));
    rules.extend(link_rules());
    rules.extend(names_through(policy));
    rules.extend(through_tunnel(policy));
    rules.extend(outside(policy));
    for inbound in &policy.inbound {
        let by = inbound.interface.clone().map(Match::Output);
        let port = Match::Ports { transport: transport(inbound), from: Some(inbound.port), to: None };
        rules.push(accept("let in", by.into_iter().chain([port, Match::Reply]).collect::<Vec<_>>()));
    }
    rules
}

/// Forwarded packets: through the tunnel and its answers, and within the LAN. What only a bridge can pass on is let
/// pass between its ports, where the kernel shows bridged packets to this chain at all.
fn forward(policy: &Policy) -> Vec<Rule> {
    let mut rules = Vec::new();
    for tunnel in &policy.tunnels {
        let from = || Match::Input(tunnel.interface.clone());
        if tunnel.open {
            rules.push(accept("answers", [from(), Match::EstablishedOrRelated]));
            rules.extend(tunnel.forwarded_port.into_iter().flat_map(|port| {
                Transport::BOTH.map(|t| {
                    accept("forwarded port", [from(), Match::Published, Match::PublishedPort(t, port)])
                })
            }));
        }
        rules.push(drop("unasked", [from()]));
    }
    if !policy.killswitch {
        return rules;
    }
    let broadcast = Nets::hosts(Ip::V4, &[IpAddr::V4(Ipv4Addr::BROADCAST)]).map(Match::To);
    for (from, to) in [(68, 67), (67, 68)] {
        let ports = udp(Some(from), Some(to));
        rules.push(accept("DHCP", broadcast.clone().into_iter().chain([ports]).collect::<Vec<_>>()));
    }
    rules.extend(nets(&LINK_LOCAL_V6).map(|n| accept("link-local", [Match::To(n)])));
    rules.extend(mdns(Ip::V4, None));
    let within_lan: Vec<_> =
        nets(&policy.lan).map(|lan| [Match::From(lan.clone()), Match::To(lan)]).collect();
    rules.extend(published_on_the_lan(policy));
    rules.extend(name_answers(policy));
    rules.extend(names_through(policy));
    rules.extend(through_tunnel(policy));
    rules.extend(source_routes(&policy.lan));
    rules.extend(within_lan.into_iter().map(|lan| accept("LAN", lan)));
    rules
}

fn egress_rules(policy: &Policy, link: &str) -> Vec<Rule> {
    let ether = |is, types: &[u16]| Match::EtherType { is, types: types.to_vec() };
    let mut rules = Vec::new();
    for tunnel in &policy.tunnels {
        rules.extend(encrypted(tunnel));
        rules.extend(encrypted_fragments(tunnel));
    }
    let frames = Match::OutputIsEthernet;
    rules.push(accept("link", [frames.clone(), ether(true, &[ETHER_ARP, ETHER_EAPOL])]));
    rules.push(drop("other frames", [frames, ether(false, &[ETHER_IPV4, ETHER_TAG, ETHER_IPV6])]));
    // A sender says what a packet is to be taken for, and the rules below believe it.
    rules.extend(Ip::BOTH.map(|ip| drop("disguised", [Match::NotVersion(ip)])));
    rules.extend(own_sockets(policy));
    rules.extend(link_rules());
    rules.extend(machine_names(policy));
    rules.push(drop("names", [Match::ToPort(NAME_PORTS.to_vec())]));
    rules.extend(outside(policy));
    for inbound in policy.inbound.iter().filter(|i| i.interface.as_deref().is_none_or(|name| name == link)) {
        let port = Match::Ports { transport: transport(inbound), from: Some(inbound.port), to: None };
        rules.push(accept("let in", [port]));
    }
    rules
}

/// A port of a container that this machine publishes may be reached from the LAN, which need not name the container's
/// network; a resolver's as well.
fn published_on_the_lan(policy: &Policy) -> Vec<Rule> {
    let both = |ip| Some((Nets::of(ip, &policy.lan)?, Nets::of(ip, &PRIVATE)?));
    let rules = Ip::BOTH.into_iter().filter_map(both).map(|(lan, private)| {
        let question = [Match::Published, Match::From(lan.clone()), Match::To(private.clone())];
        let answer = vec![Match::Published, Match::Reply, Match::From(private), Match::To(lan)];
        [accept("published", question), accept("published", answer)]
    });
    rules.flatten().collect()
}

/// The tunnel's own packets, to its server and nobody else.
fn encrypted(tunnel: &TunnelPolicy) -> Vec<Rule> {
    let to_endpoint = |e: &std::net::SocketAddr| {
        let to = Nets::hosts(Ip::of(e.ip()), &[e.ip()])?;
        let matches = [Match::Mark(tunnel.mark), Match::To(to), udp(None, Some(e.port()))];
        Some(accept("encrypted", matches))
    };
    let endpoints = tunnel.endpoints.iter().filter(|_| tunnel.mark != 0);
    endpoints.filter_map(to_endpoint).collect()
}

/// A driver is handed packets in fragments, of which only the first has a port.
fn encrypted_fragments(tunnel: &TunnelPolicy) -> Vec<Rule> {
    let addrs: Vec<IpAddr> = tunnel.endpoints.iter().map(|e| e.ip()).filter(|_| tunnel.mark != 0).collect();
    let rule = |to: Nets| {
        let fragment = Match::LaterFragment(to.ip);
        accept("encrypted, fragment", [Match::Mark(tunnel.mark), Match::To(to), fragment])
    };
    hosts(&addrs).map(rule).collect()
}

fn own_sockets(policy: &Policy) -> Option<Rule> {
    policy.own_sockets.then(|| accept("own sockets", [Match::Mark(OWN_MARK), Match::Uid(0)]))
}

/// DHCP, and discovery of neighbours and routers.
fn link_rules() -> Vec<Rule> {
    let mut rules = Vec::new();
    for (ip, client, server) in DHCP {
        rules.push(accept("DHCP", [Match::Family(ip), udp(Some(client), Some(server))]));
    }
    rules.extend(nets(&LINK_LOCAL_V6).map(|n| accept("neighbours", [Match::Discovery, Match::To(n)])));
    rules
}

/// Names are asked of the resolver in use, and of nobody else.
fn names_through(policy: &Policy) -> Vec<Rule> {
    let mut rules = machine_names(policy);
    if let DnsPolicy::Tunnel(servers) = &policy.dns {
        for tunnel in policy.tunnels.iter().filter(|t| t.open) {
            rules.extend(hosts(servers).map(|to| {
                let by = Match::Output(tunnel.interface.clone());
                accept("resolver", [by, Match::To(to), Match::ToPort(NAME_PORTS.to_vec())])
            }));
        }
    }
    rules.push(drop("names", [Match::ToPort(NAME_PORTS.to_vec())]));
    rules
}

/// The machine's own resolvers but those on it, which loopback covers.
fn machine_resolvers(policy: &Policy) -> Vec<IpAddr> {
    match &policy.dns {
        DnsPolicy::Machine(servers) => servers.iter().copied().filter(|s| !s.is_loopback()).collect(),
        DnsPolicy::Tunnel(_) | DnsPolicy::None => Vec::new(),
    }
}

fn machine_names(policy: &Policy) -> Vec<Rule> {
    let rule = |to| accept("resolver", [Match::To(to), Match::ToPort(NAME_PORTS.to_vec())]);
    hosts(&machine_resolvers(policy)).map(rule).collect()
}

fn name_answers(policy: &Policy) -> Vec<Rule> {
    let rule = |from| {
        accept("resolver", [Match::From(from), Match::FromPort(NAME_PORTS.to_vec()), Match::Established])
    };
    hosts(&machine_resolvers(policy)).map(rule).collect()
}

fn through_tunnel(policy: &Policy) -> Vec<Rule> {
    let open = policy.tunnels.iter().filter(|t| t.open);
    open.map(|t| accept("tunnel", [Match::Output(t.interface.clone())])).collect()
}

/// What may leave past the tunnel, by any link, after DNS has been dealt with.
fn outside(policy: &Policy) -> Vec<Rule> {
    // A link that is no part of the LAN may have an uplink's other customers on it.
    let lan = Nets::of(Ip::V4, &policy.lan);
    let mut rules: Vec<Rule> = lan.and_then(|lan| mdns(Ip::V4, Some(lan))).into_iter().collect();
    rules.extend(mdns(Ip::V6, None));
    rules.extend(source_routes(&policy.lan));
    rules.extend(nets(&policy.lan).map(|lan| accept("LAN", [Match::To(lan)])));
    rules
}

/// A packet to the LAN that a router there would send on to where it came from.
fn source_routes(lan: &[IpNet]) -> impl Iterator<Item = Rule> {
    nets(lan).map(|lan| drop("source route", [Match::SourceRoute(lan.ip)]))
}

fn mdns(ip: Ip, from: Option<Nets>) -> Option<Rule> {
    let group = if ip == Ip::V4 { MDNS_GROUP_V4 } else { MDNS_GROUP_V6 };
    let to = Nets::hosts(ip, &[group])?;
    let group = [Match::To(to), udp(None, Some(MDNS_PORT))];
    Some(accept("mDNS", from.map(Match::From).into_iter().chain(group).collect::<Vec<_>>()))
}

fn nets(nets: &[IpNet]) -> impl Iterator<Item = Nets> {
    Ip::BOTH.into_iter().filter_map(|ip| Nets::of(ip, nets))
}

fn hosts(addrs: &[IpAddr]) -> impl Iterator<Item = Nets> {
    Ip::BOTH.into_iter().filter_map(|ip| Nets::hosts(ip, addrs))
}

fn udp(from: Option<u16>, to: Option<u16>) -> Match {
    Match::Ports { transport: Transport::Udp, from, to }
}

fn transport(inbound: &Inbound) -> Transport {
    if inbound.udp { Transport::Udp } else { Transport::Tcp }
}

fn accept(why: &'static str, matches: impl Into<Vec<Match>>) -> Rule {
    Rule::new(why, matches, Then::Accept)
}

fn drop(why: &'static str, matches: impl Into<Vec<Match>>) -> Rule {
    Rule::new(why, matches, Then::Drop)
}
