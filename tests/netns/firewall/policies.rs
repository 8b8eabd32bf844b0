//! A policy for each state of the supervisor, and ways to spoil its rules: what a test says of a rule must be wrong
//! without it.

use pvpn::address::IpNet;
use pvpn::firewall::ruleset::rule::{Match, Rule};
use pvpn::firewall::ruleset::{Point, Ruleset};
use pvpn::firewall::{DnsPolicy, Inbound, Policy, TunnelPolicy};

pub const ENDPOINT: &str = "203.0.113.11:51820";
pub const RESOLVER: &str = "10.2.0.1";

pub fn tunnel(interface: &str, endpoint: &str) -> TunnelPolicy {
    TunnelPolicy {
        interface: interface.to_owned(),
        addresses: vec!["10.2.0.2/32".parse().unwrap(), "2a07:b944::2:2/128".parse().unwrap()],
        mark: 0x1076,
        endpoints: vec![endpoint.parse().unwrap()],
        full: true,
        open: true,
        forwarded_port: Some(40123),
        mss_clamp: true,
    }
}

pub fn lan() -> Vec<IpNet> {
    ["192.168.1.0/24", "172.17.0.0/16", "fe80::/10"].iter().map(|n| n.parse().unwrap()).collect()
}

fn links() -> Vec<String> {
    vec!["eth0".to_owned()]
}

fn through_tunnel() -> DnsPolicy {
    DnsPolicy::Tunnel(vec![RESOLVER.parse().unwrap()])
}

pub fn blocked() -> Policy {
    Policy::blocked(lan()).with_links(links())
}

pub fn connecting() -> Policy {
    Policy::connecting(lan(), tunnel("wgp0", ENDPOINT)).with_links(links())
}

pub fn connected() -> Policy {
    Policy::connected(lan(), tunnel("wgp0", ENDPOINT), through_tunnel()).with_links(links())
}

pub fn switching() -> Policy {
    let to = tunnel("wgpch", "[2001:db8:1::5]:443");
    Policy::switching(lan(), tunnel("wgp0", ENDPOINT), to, through_tunnel()).with_links(links())
}

/// `--dns false`.
pub fn own_resolver() -> Policy {
    let servers = ["192.168.1.1", "9.9.9.9", "127.0.0.53", "2620:fe::fe"];
    connected().with_dns(DnsPolicy::Machine(servers.iter().map(|s| s.parse().unwrap()).collect()))
}

/// A port let in past the tunnel.
pub fn let_in() -> Policy {
    let wireguard = Inbound { interface: Some("eth0".to_owned()), udp: true, port: 51821 };
    let web = Inbound { interface: None, udp: false, port: 443 };
    Policy { inbound: vec![wireguard, web], ..connected() }
}

/// Kill switch open.
pub fn open() -> Policy {
    Policy::open(vec![tunnel("wgp0", ENDPOINT)])
}

pub fn all() -> [(&'static str, Policy); 7] {
    [
        ("blocked", blocked()),
        ("connecting", connecting()),
        ("connected", connected()),
        ("switching", switching()),
        ("own_resolver", own_resolver()),
        ("let_in", let_in()),
        ("open", open()),
    ]
}

/// The rules without those that are commented so, in every chain; without `closed`, chains let pass what no rule drops.
pub fn without(policy: &Policy, why: &str) -> Ruleset {
    spoiled(policy, |_, rules| rules.retain(|r| r.why != why), why == "closed")
}

/// The same in one chain.
pub fn without_in(policy: &Policy, hook: &Point, why: &str) -> Ruleset {
    let mut rules = Ruleset::of(policy);
    for chain in rules.tables.iter_mut().flat_map(|t| &mut t.chains).filter(|c| c.hook == *hook) {
        chain.rules.retain(|r| r.why != why);
        chain.closed &= why != "closed";
    }
    rules
}

/// The rules without conditions of which `dropped` says so.
pub fn loosened(policy: &Policy, dropped: impl Fn(&Match) -> bool) -> Ruleset {
    spoiled(policy, |_, rules| rules.iter_mut().for_each(|r| r.matches.retain(|m| !dropped(m))), false)
}

/// The rules with one more at the head of a chain.
pub fn with_first(policy: &Policy, hook: &Point, rule: &Rule) -> Ruleset {
    let at_head = |of: &Point, rules: &mut Vec<Rule>| {
        if of == hook {
            rules.insert(0, rule.clone());
        }
    };
    spoiled(policy, at_head, false)
}

fn spoiled(policy: &Policy, spoil: impl Fn(&Point, &mut Vec<Rule>), opened: bool) -> Ruleset {
    let mut rules = Ruleset::of(policy);
    for chain in rules.tables.iter_mut().flat_map(|t| &mut t.chains) {
        spoil(&chain.hook, &mut chain.rules);
        chain.closed &= !opened;
    }
    rules
}
