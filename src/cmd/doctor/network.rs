//! Who else steers or stops this machine's packets, and whether the addresses go together.

use crate::address::IpNet;
use crate::firewall::ruleset::TABLE;
use crate::status::finding::Finding;
use crate::tunnel::routes::{OWN, REST};
use crate::wire::nft::{BaseChain, INPUT, OUTPUT};
use crate::wire::rtnl::{Link, OUR_PROTOCOL, Route, RouteKind, Rule, RuleAction};
use std::net::IpAddr;

/// IPv6 needs 1280 in the tunnel (RFC 8200 section 5), WireGuard adds 80 (wg-quick's reckoning).
const MTU_LEAST: u32 = 1280 + 80;
/// Routing tables that every machine has: local, main, default.
const COMMON_TABLES: [u32; 3] = [255, 254, 253];

/// What was read of the machine.
pub struct Seen {
    pub links: Vec<Link>,
    pub routes: Vec<Route>,
    pub rules: Vec<Rule>,
    pub chains: Vec<BaseChain>,
    /// Tables of the older iptables, whose rules cannot be read.
    pub legacy: Vec<String>,
    /// Networks of links that are not ours, and the configured `lan`.
    pub attached: Vec<IpNet>,
    pub lan: Vec<IpNet>,
    /// Addresses that must be inside the tunnel: gateway and resolvers.
    pub inside: Vec<IpAddr>,
    /// Links that pvpn made.
    pub ours: Vec<String>,
}

pub fn look(seen: &Seen) -> Vec<Finding> {
    let mut findings = vec![vpn(seen), rules(seen)];
    findings.extend(firewall(seen));
    findings.extend([mtu(seen), lan(seen)]);
    findings
}

/// Other tunnels that take more than single networks.
fn vpn(seen: &Seen) -> Finding {
    let is_tunnel = |l: &&Link| {
        l.up && (l.is_wireguard() || matches!(l.kind.as_deref(), Some("tun" | "ppp")))
            && !seen.ours.contains(&l.name)
    };
    let takes_all = |l: &&Link| {
        seen.routes
            .iter()
            .any(|r| r.kind == RouteKind::Unicast && r.to.prefix <= 1 && r.device.as_deref() == Some(&l.name))
    };
    let all: Vec<&str> = seen.links.iter().filter(is_tunnel).filter(takes_all).map(|l| &*l.name).collect();
    let others: Vec<&str> = seen.links.iter().filter(is_tunnel).map(|l| &*l.name).collect();
    match (all.is_empty(), others.is_empty()) {
        (false, _) => Finding::failed(
            "vpn",
            format!("another VPN takes all traffic: {}", all.join(", ")),
            "end it, or keep it from setting a default route",
        ),
        (true, false) => {
            Finding::ok("vpn", format!("{} beside ours, none with a default route", others.join(", ")))
        }
        (true, true) => Finding::ok("vpn", "no other"),
    }
}

/// Rules that come before ours and lead to tables of others.
fn rules(seen: &Seen) -> Finding {
    let is_before = |r: &&Rule| {
        r.protocol != OUR_PROTOCOL
            && r.priority < REST
            && matches!(r.action, RuleAction::Table(t) if !COMMON_TABLES.contains(&t))
    };
    let found: Vec<String> = seen.rules.iter().filter(is_before).map(ToString::to_string).collect();
    if found.is_empty() {
        return Finding::ok("rules", format!("nobody's come before ours ({OWN} to {REST})"));
    }
    Finding::failed(
        "rules",
        format!("policy rules come before ours: {}", found.join(" | ")),
        "end the program that made them, or have it use a priority above 4214",
    )
}

/// Chains of others that drop what nobody accepted.
fn firewall(seen: &Seen) -> Vec<Finding> {
    let dropping = |hook: u32| -> Vec<String> {
        let chains = seen.chains.iter().filter(|c| c.drops && c.hook == Some(hook) && c.table != TABLE);
        chains.map(|c| format!("{} {} {}", c.family_name(), c.table, c.name)).collect()
    };
    let (input, output) = (dropping(INPUT), dropping(OUTPUT));
    let mut findings = Vec::new();
    if !output.is_empty() {
        findings.push(Finding::failed(
            "firewall",
            format!("another firewall drops what leaves: {}", output.join(", ")),
            "have it accept UDP to the server's port and everything by wgp* (`ufw allow out on wgpnl`)",
        ));
    }
    if !input.is_empty() {
        findings.push(Finding::failed(
            "firewall",
            format!("another firewall drops what comes in: {}; so the forwarded port is closed", input.join(", ")),
            "have it accept what comes by the tunnel, pvpn lets in the forwarded port alone (`ufw allow in on wgpnl`)",
        ));
    }
    if !seen.legacy.is_empty() {
        let tables = seen.legacy.join(", ");
        findings.push(Finding::unknown(
            "firewall",
            format!("rules of iptables-legacy are loaded ({tables}), see `iptables-legacy-save`"),
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("firewall", "no other drops what nobody accepts"));
    }
    findings
}

fn mtu(seen: &Seen) -> Finding {
    let by_default = |l: &&Link| {
        !l.loopback
            && !seen.ours.contains(&l.name)
            && seen.routes.iter().any(|r| r.to.prefix == 0 && r.device.as_deref() == Some(&l.name))
    };
    let links: Vec<&Link> = seen.links.iter().filter(by_default).collect();
    let text = |l: &&Link| format!("{} {}", l.name, l.mtu);
    match links.iter().find(|l| l.mtu < MTU_LEAST) {
        Some(link) => Finding::failed(
            "mtu",
            format!("{} carries {} bytes, too few for IPv6 inside a tunnel", link.name, link.mtu),
            format!("raise it to {MTU_LEAST} or more"),
        ),
        None if links.is_empty() => Finding::failed(
            "network",
            "there is no default route, so no server can be reached",
            "connect the machine: cable, WLAN, DHCP",
        ),
        None => Finding::ok("mtu", links.iter().map(text).collect::<Vec<_>>().join(", ")),
    }
}

/// A LAN that holds the tunnel's gateway keeps its packets: 10.0.0.0/8 swallows 10.2.0.1.
fn lan(seen: &Seen) -> Finding {
    for (nets, what, advice) in [
        (&seen.lan, "lan in config.ini", "name smaller networks in [network] lan"),
        (&seen.attached, "an attached network", "give the LAN another range at the router"),
    ] {
        let clash = nets.iter().find_map(|n| Some((n, seen.inside.iter().find(|a| n.contains(**a))?)));
        if let Some((net, inside)) = clash {
            return Finding::failed("lan", format!("{what}, {net}, holds the tunnel's own {inside}"), advice);
        }
    }
    let nets: Vec<String> = seen.attached.iter().map(ToString::to_string).collect();
    Finding::ok("lan", if nets.is_empty() { "no network attached".to_owned() } else { nets.join(", ") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, kind: Option<&str>, mtu: u32) -> Link {
        Link {
            index: 1,
            name: name.to_owned(),
            kind: kind.map(str::to_owned),
            mtu,
            up: true,
            lower_up: true,
            loopback: name == "lo",
            is_port: false,
            address: Vec::new(),
        }
    }

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn chain(table: &str, hook: u32, drops: bool) -> BaseChain {
        BaseChain { family: 2, table: table.to_owned(), name: "c".to_owned(), hook: Some(hook), drops }
    }

    /// A Pi at a router, nothing else.
    fn pi() -> Seen {
        Seen {
            links: vec![link("lo", None, 65536), link("eth0", None, 1500)],
            routes: vec![Route::by("eth0", net("0.0.0.0/0"), 254)],
            rules: Vec::new(),
            chains: Vec::new(),
            legacy: Vec::new(),
            attached: vec![net("192.168.1.0/24")],
            lan: Vec::new(),
            inside: vec!["10.2.0.1".parse().unwrap()],
            ours: Vec::new(),
        }
    }

    fn failed(seen: &Seen) -> Vec<String> {
        look(seen).into_iter().filter(Finding::is_failed).map(|f| f.name).collect()
    }

    #[test]
    fn a_plain_pi_has_nothing_wrong() {
        assert!(failed(&pi()).is_empty());
    }

    #[test]
    fn another_vpn_counts_when_it_takes_everything() {
        let mut seen = pi();
        seen.links.push(link("wg0", Some("wireguard"), 1420));
        assert!(failed(&seen).is_empty());
        seen.routes.push(Route::by("wg0", net("0.0.0.0/1"), 254));
        assert_eq!(failed(&seen), ["vpn"]);
        seen.ours.push("wg0".to_owned());
        assert!(failed(&seen).is_empty());
    }

    #[test]
    fn rules_of_others_before_ours_are_named() {
        let mut seen = pi();
        let theirs = |priority, table| Rule { protocol: 0, ..Rule::to_table(true, priority, table) };
        seen.rules =
            vec![theirs(32766, 254), theirs(5270, 52), theirs(0, 255), Rule::to_table(true, 4214, 4214)];
        assert!(failed(&seen).is_empty());
        seen.rules.push(theirs(100, 52));
        assert_eq!(failed(&seen), ["rules"]);
    }

    #[test]
    fn firewalls_of_others_that_drop_are_named() {
        let mut seen = pi();
        seen.chains = vec![chain(TABLE, OUTPUT, true), chain("filter", INPUT, false)];
        assert!(failed(&seen).is_empty());
        seen.chains.push(chain("filter", INPUT, true));
        assert_eq!(failed(&seen), ["firewall"]);
        seen.chains.push(chain("filter", OUTPUT, true));
        assert_eq!(failed(&seen), ["firewall", "firewall"]);
    }

    #[test]
    fn a_lan_that_swallows_the_gateway_is_named() {
        let mut seen = pi();
        seen.attached.push(net("10.0.0.0/8"));
        assert_eq!(failed(&seen), ["lan"]);
        seen.attached.pop();
        seen.lan.push(net("10.0.0.0/8"));
        assert_eq!(failed(&seen), ["lan"]);
    }

    #[test]
    fn a_link_too_small_and_no_way_out_are_named() {
        let mut seen = pi();
        seen.links[1].mtu = 1300;
        assert_eq!(failed(&seen), ["mtu"]);
        seen.routes.clear();
        assert_eq!(failed(&seen), ["network"]);
    }
}
