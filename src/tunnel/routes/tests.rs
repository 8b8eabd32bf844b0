use super::*;
use crate::config::secret::{PublicKey, SecretKey};
use crate::tunnel::Peer;
use crate::tunnel::plan::plan_tunnel;
use std::net::SocketAddr;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn tunnel(table: Table, allowed: &[&str]) -> Tunnel {
    let peer = Peer {
        public_key: PublicKey([1; 32]),
        preshared_key: None,
        endpoint: None,
        allowed_ips: allowed.iter().map(|s| net(s)).collect(),
        keepalive: None,
    };
    Tunnel {
        private_key: SecretKey::new([9; 32]),
        addresses: vec![net("10.2.0.2/32"), net("fd01::2/128")],
        dns: vec!["10.2.0.1".parse().unwrap()],
        search_domains: Vec::new(),
        mtu: None,
        table,
        fwmark: None,
        listen_port: None,
        peers: vec![peer],
    }
}

/// Routes, then what is shared, as text.
fn planned(tunnel: &Tunnel, lan: &[&str]) -> (String, String) {
    let endpoints: [Option<SocketAddr>; 1] = [Some("203.0.113.11:51820".parse().unwrap())];
    let lan: Vec<IpNet> = lan.iter().map(|s| net(s)).collect();
    let want = Want { tunnel, interface: "wgp0", endpoints: &endpoints, lan: &lan, is_ours: true };
    let found = Found { has_ipv6: true, allows_ipv6: true, ..Found::default() };
    let plan = plan_tunnel(&want, &found).unwrap();
    let text = |steps: &[Step]| steps.iter().map(|s| format!("{s}\n")).collect::<String>();
    (text(&plan.routes), text(&plan.shared))
}

#[test]
fn split_networks_are_plain_routes_in_main() {
    let (routes, shared) = planned(&tunnel(Table::Auto, &["10.0.0.0/8", "fd00::/8"]), &[]);
    assert_eq!(routes, "route 10.0.0.0/8 dev wgp0 table 254\nroute fd00::/8 dev wgp0 table 254\n");
    assert_eq!(shared, "");
}

#[test]
fn the_confs_table_is_respected() {
    let (routes, shared) = planned(&tunnel(Table::Number(77), &["0.0.0.0/0"]), &[]);
    assert_eq!((routes.as_str(), shared.as_str()), ("route 0.0.0.0/0 dev wgp0 table 77\n", ""));
    assert_eq!(planned(&tunnel(Table::Off, &["0.0.0.0/0"]), &[]), (String::new(), String::new()));
}

#[test]
fn the_confs_mark_is_respected() {
    let marked = Tunnel { fwmark: Some(0x99), ..tunnel(Table::Auto, &["0.0.0.0/0"]) };
    let (_, shared) = planned(&marked, &[]);
    assert!(shared.contains("rule -4 4214: not from all fwmark 0x99 lookup 4214"));
    assert!(shared.contains("rule -6 4214: not from all fwmark 0x99 lookup 4214"));
}

#[test]
fn halves_that_hold_the_endpoint_go_by_policy() {
    let (routes, shared) = planned(&tunnel(Table::Auto, &["0.0.0.0/1", "128.0.0.0/1"]), &[]);
    assert_eq!(routes, "route 0.0.0.0/1 dev wgp0 table 4214\nroute 128.0.0.0/1 dev wgp0 table 4214\n");
    assert!(shared.contains("not from all fwmark 0x1076 lookup 4214"));
    assert!(!shared.contains("unreachable"));
}

#[test]
fn injected_routes_are_never_looked_at() {
    let (_, shared) = planned(&tunnel(Table::Auto, &["0.0.0.0/0", "::/0"]), &["192.168.1.0/24"]);
    assert!(!shared.contains("suppress"));
    // Whoever looks into main is chosen by mark, by DHCP's ports, or goes no further than the house.
    for line in shared.lines().filter(|l| l.ends_with("lookup 254")) {
        assert!(["fwmark 0x1077", "sport", " to "].iter().any(|s| line.contains(s)), "{line}");
    }
}

#[test]
fn the_tunnels_resolver_wins_over_a_lan_that_holds_its_address() {
    let tunnel = tunnel(Table::Auto, &["0.0.0.0/0"]);
    let (_, shared) = planned(&tunnel, &["10.0.0.0/8"]);
    let inside = shared.find("rule -4 4212: from all to 10.2.0.1/32 lookup 4214").unwrap();
    assert!(inside < shared.find("rule -4 4213: from all to 10.0.0.0/8 lookup 254").unwrap());
    assert!(!planned(&tunnel, &["192.168.1.0/24"]).1.contains("4212"));
}

#[test]
fn a_family_without_an_address_is_refused_even_if_allowed() {
    let mut tunnel = tunnel(Table::Auto, &["0.0.0.0/0", "::/0", "fd00::/8"]);
    tunnel.addresses.truncate(1);
    let (routes, shared) = planned(&tunnel, &[]);
    assert_eq!(routes, "route 0.0.0.0/0 dev wgp0 table 4214\nroute fd00::/8 dev wgp0 table 4214\n");
    assert!(shared.contains("route unreachable ::/0 table 4214"));
}
