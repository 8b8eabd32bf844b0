use super::*;
use crate::config::secret::{PublicKey, SecretKey};
use crate::time::secs;
use crate::tunnel::Mtu;
use crate::tunnel::device::{PeerChange, PeerState};
use crate::tunnel::{Peer, Table};

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

/// Like a Proton file: IPv4 only, everything routed.
fn tunnel(peer: u8, allowed: &[&str]) -> Tunnel {
    Tunnel {
        private_key: SecretKey::new([9; 32]),
        addresses: vec![net("10.2.0.2/32")],
        dns: vec!["10.2.0.1".parse().unwrap()],
        search_domains: Vec::new(),
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![Peer {
            public_key: PublicKey([peer; 32]),
            preshared_key: None,
            endpoint: None,
            allowed_ips: allowed.iter().map(|s| net(s)).collect(),
            keepalive: Some(secs(25)),
        }],
    }
}

fn endpoint() -> [Option<SocketAddr>; 1] {
    [Some("203.0.113.11:51820".parse().unwrap())]
}

fn want<'a>(tunnel: &'a Tunnel, endpoints: &'a [Option<SocketAddr>], lan: &'a [IpNet]) -> Want<'a> {
    Want { tunnel, interface: "wgpnl", endpoints, lan, is_ours: true }
}

fn fresh() -> Found {
    Found { endpoint_mtu: Some(1500), has_ipv6: true, allows_ipv6: true, ..Found::default() }
}

fn text(steps: &[Step]) -> String {
    steps.iter().map(|s| format!("{s}\n")).collect()
}

/// What the machine shows after the plan was applied to `found`.
fn applied(want: &Want<'_>, found: &Found) -> Found {
    let mut after = found.clone();
    let plan = plan_tunnel(want, found).unwrap();
    for step in [plan.device, plan.routes, plan.shared].concat() {
        apply(&mut after, step);
    }
    after
}

fn apply(found: &mut Found, step: Step) {
    match step {
        Step::AddLink { link, mtu } => found.links.push(Link {
            index: 7,
            name: link,
            kind: Some("wireguard".to_owned()),
            mtu,
            up: false,
            lower_up: false,
            loopback: false,
            is_port: false,
            address: Vec::new(),
        }),
        Step::SetWireguard { change, .. } => {
            let device = found.device.get_or_insert_with(Device::blank);
            device.private_key = change.private_key.or(device.private_key.take());
            device.fwmark = change.fwmark.unwrap_or(device.fwmark);
            for peer in change.peers {
                match peer {
                    PeerChange::Remove(key) => device.peers.retain(|p| p.public_key != key),
                    PeerChange::Set(p) => device.peers.push(PeerState {
                        public_key: p.public_key,
                        preshared_key: p.preshared_key,
                        endpoint: p.endpoint,
                        last_handshake: None,
                        rx_bytes: 0,
                        tx_bytes: 0,
                        keepalive: p.keepalive,
                        allowed_ips: p.allowed_ips,
                    }),
                }
            }
        }
        Step::SetMtu { mtu, .. } => found.links.iter_mut().for_each(|l| l.mtu = mtu),
        Step::SetLinkUp(_) => found.links.iter_mut().for_each(|l| l.up = true),
        Step::AddAddress(a) => found.addresses.push(a),
        Step::DeleteAddress(a) => found.addresses.retain(|b| *b != a),
        Step::ReplaceRoute(r) => {
            found.routes.retain(|f| !f.replaces(&r));
            found.routes.push(Route { metric: r.kernel_metric(), ..r });
        }
        Step::DeleteRoute(r) => found.routes.retain(|f| *f != r),
        Step::AddRule(r) => found.rules.push(r),
        Step::DeleteRule(r) => found.rules.retain(|f| *f != r),
        Step::RaiseSysctl { at_least: 2, .. } => found.is_strict = false,
        Step::RaiseSysctl { .. } => found.checks_marks = true,
        other => panic!("{other}"),
    }
}

#[test]
fn a_full_tunnel_comes_up_link_first_and_rules_last() {
    let (tunnel, endpoint) = (tunnel(1, &["0.0.0.0/0", "::/0"]), endpoint());
    let plan = plan_tunnel(&want(&tunnel, &endpoint, &[net("192.168.1.0/24")]), &fresh()).unwrap();
    let device = "\
link wgpnl mtu 1420
wireguard wgpnl
address 10.2.0.2/32 dev wgpnl
link wgpnl up
";
    assert_eq!(text(&plan.device), device);
    assert_eq!(text(&plan.routes), "route 0.0.0.0/0 dev wgpnl table 4214\n");
    let shared = "\
sysctl net/ipv4/conf/all/src_valid_mark at least 1
route unreachable ::/0 table 4214
rule -4 4210: from all fwmark 0x1077 lookup 254
rule -4 4211: from all ipproto 17 sport 68 dport 67 lookup 254
rule -4 4213: from all to 169.254.0.0/16 lookup 254
rule -4 4213: from all to 192.168.1.0/24 lookup 254
rule -4 4213: from all to 224.0.0.0/4 lookup 254
rule -4 4213: from all to 255.255.255.255/32 lookup 254
rule -4 4214: not from all fwmark 0x1076 lookup 4214
rule -6 4210: from all fwmark 0x1077 lookup 254
rule -6 4211: from all ipproto 17 sport 546 dport 547 lookup 254
rule -6 4213: from all to fe80::/10 lookup 254
rule -6 4213: from all to ff00::/8 lookup 254
rule -6 4214: not from all fwmark 0x1076 lookup 4214
";
    assert_eq!(text(&plan.shared), shared);
}

#[test]
fn what_is_so_already_is_left_alone() {
    let endpoint = endpoint();
    for allowed in [&["0.0.0.0/0", "::/0"][..], &["10.0.0.0/8"], &["0.0.0.0/1", "128.0.0.0/1"]] {
        let mut tunnel = tunnel(1, allowed);
        tunnel.addresses.push(net("2a07:b944::2:2/128"));
        let lan = [net("10.0.0.0/8"), net("fd00::/8")];
        let want = want(&tunnel, &endpoint, &lan);
        let after = applied(&want, &fresh());
        assert_eq!(plan_tunnel(&want, &after).unwrap(), Plan::default(), "{allowed:?}");
    }
}

#[test]
fn another_server_on_the_same_interface_changes_only_the_peer() {
    let endpoint = endpoint();
    let (first, second) = (tunnel(1, &["0.0.0.0/0"]), tunnel(2, &["0.0.0.0/0"]));
    let after = applied(&want(&first, &endpoint, &[]), &fresh());
    let plan = plan_tunnel(&want(&second, &endpoint, &[]), &after).unwrap();
    assert_eq!((plan.routes.len(), plan.shared.len()), (0, 0));
    let [Step::SetWireguard { change, .. }] = &plan.device[..] else { panic!("{:?}", plan.device) };
    assert_eq!((&change.private_key, change.fwmark), (&None, None));
    assert!(matches!(&change.peers[..], [PeerChange::Set(p), PeerChange::Remove(PublicKey(k))]
        if p.public_key.0 == [2; 32] && *k == [1; 32]));
}

#[test]
fn a_second_interface_takes_the_default_route_and_shares_the_rules() {
    let (endpoint, old, new) = (endpoint(), tunnel(1, &["0.0.0.0/0"]), tunnel(2, &["0.0.0.0/0"]));
    let mut found = applied(&want(&old, &endpoint, &[]), &fresh());
    found.device = None;
    let want = Want { interface: "wgpau", is_ours: false, ..want(&new, &endpoint, &[]) };
    let plan = plan_tunnel(&want, &found).unwrap();
    assert_eq!(text(&plan.device).lines().next(), Some("link wgpau mtu 1420"));
    assert_eq!(text(&plan.routes), "route 0.0.0.0/0 dev wgpau table 4214\n");
    assert_eq!(plan.shared, []);
}

#[test]
fn a_server_with_ipv6_turns_unreachable_into_a_way_and_back() {
    let endpoint = endpoint();
    let mut both = tunnel(2, &["0.0.0.0/0", "::/0"]);
    both.addresses.push(net("2a07:b944::2:2/128"));
    let only_v4 = tunnel(1, &["0.0.0.0/0", "::/0"]);
    let found = applied(&want(&only_v4, &endpoint, &[]), &fresh());
    let plan = plan_tunnel(&want(&both, &endpoint, &[]), &found).unwrap();
    assert_eq!(text(&plan.routes), "route ::/0 dev wgpnl table 4214\n");
    assert_eq!(plan.shared, []);
    let found = applied(&want(&both, &endpoint, &[]), &found);
    let plan = plan_tunnel(&want(&only_v4, &endpoint, &[]), &found).unwrap();
    assert_eq!(text(&plan.routes), "");
    assert_eq!(text(&plan.shared), "route unreachable ::/0 table 4214\n");
    assert!(text(&plan.device).contains("no address 2a07:b944::2:2/128 dev wgpnl"));
}

#[test]
fn a_lan_that_changes_adds_its_rule_before_the_old_one_goes() {
    let (endpoint, tunnel) = (endpoint(), tunnel(1, &["0.0.0.0/0"]));
    let found = applied(&want(&tunnel, &endpoint, &[net("192.168.1.0/24")]), &fresh());
    let plan = plan_tunnel(&want(&tunnel, &endpoint, &[net("192.168.7.0/24")]), &found).unwrap();
    let shared = "\
rule -4 4213: from all to 192.168.7.0/24 lookup 254
no rule -4 4213: from all to 192.168.1.0/24 lookup 254
";
    assert_eq!(text(&plan.shared), shared);
}

#[test]
fn a_hand_flush_is_put_back_and_nothing_else() {
    let (endpoint, tunnel) = (endpoint(), tunnel(1, &["0.0.0.0/0", "::/0"]));
    let want = want(&tunnel, &endpoint, &[]);
    let whole = applied(&want, &fresh());
    let mut found = whole.clone();
    found.routes.retain(|r| r.to.is_ipv4());
    found.rules.retain(|r| r.priority != 4214);
    let after = applied(&want, &found);
    assert_eq!(plan_tunnel(&want, &found).unwrap().shared.len(), 3);
    assert_eq!(plan_tunnel(&want, &after).unwrap(), Plan::default());
    found.addresses.clear();
    assert_eq!(text(&plan_tunnel(&want, &found).unwrap().device), "address 10.2.0.2/32 dev wgpnl\n");
}

#[test]
fn anothers_link_is_never_touched() {
    let (endpoint, tunnel) = (endpoint(), tunnel(1, &["0.0.0.0/0"]));
    let found = applied(&want(&tunnel, &endpoint, &[]), &fresh());
    let theirs = Want { is_ours: false, ..want(&tunnel, &endpoint, &[]) };
    let conflict = plan_tunnel(&theirs, &found).unwrap_err();
    assert_eq!(
        conflict.to_string(),
        "a link called wgpnl is there already and is none of pvpn's; see [network] interface"
    );
}

#[test]
fn the_mtu_follows_the_way_to_the_endpoint() {
    let mut tunnel = tunnel(1, &["0.0.0.0/0"]);
    assert_eq!(mtu(&tunnel, Some(1500)), 1420);
    assert_eq!(mtu(&tunnel, Some(1492)), 1412); // PPPoE
    assert_eq!(mtu(&tunnel, Some(9000)), 1420);
    assert_eq!(mtu(&tunnel, None), 1420);
    assert_eq!(mtu(&tunnel, Some(1280)), 1200);
    assert_eq!(mtu(&tunnel, Some(60)), 576);
    tunnel.addresses.push(net("2a07:b944::2:2/128"));
    assert_eq!(mtu(&tunnel, Some(1280)), 1280);
    tunnel.mtu = Mtu::new(1300);
    assert_eq!(mtu(&tunnel, Some(1492)), 1300);
}

#[test]
fn without_ipv6_in_the_kernel_nothing_asks_for_it() {
    let endpoint = endpoint();
    let mut tunnel = tunnel(1, &["0.0.0.0/0", "::/0"]);
    tunnel.addresses.push(net("2a07:b944::2:2/128"));
    let none = Found { has_ipv6: false, allows_ipv6: false, ..fresh() };
    let plan = plan_tunnel(&want(&tunnel, &endpoint, &[net("fd00::/8")]), &none).unwrap();
    let all = text(&[plan.device, plan.routes, plan.shared].concat());
    assert!(!all.contains("-6 ") && !all.contains("::"), "{all}");
    // Switched off for new links only: the family is refused, not sent bare.
    let off = Found { allows_ipv6: false, ..fresh() };
    let plan = plan_tunnel(&want(&tunnel, &endpoint, &[]), &off).unwrap();
    assert!(!text(&plan.device).contains("2a07"));
    assert!(text(&plan.shared).contains("route unreachable ::/0 table 4214"));
}

#[test]
fn with_routes_of_the_owners_own_the_gateways_answers_pass_a_strict_reverse_path_check() {
    let strict = Found { is_strict: true, ..fresh() };
    for table in [Table::Off, Table::Number(77)] {
        let (tunnel, endpoint) = (Tunnel { table, ..tunnel(1, &["0.0.0.0/0"]) }, endpoint());
        let want = want(&tunnel, &endpoint, &[]);
        let plan = plan_tunnel(&want, &strict).unwrap();
        assert!(text(&plan.device).contains("sysctl net/ipv4/conf/wgpnl/rp_filter at least 2\n"));
        assert!(plan_tunnel(&want, &applied(&want, &strict)).unwrap().is_empty());
        assert!(!text(&plan_tunnel(&want, &fresh()).unwrap().device).contains("sysctl"));
    }
    // The rules of a full tunnel lead back by the link.
    let (full, endpoint) = (tunnel(1, &["0.0.0.0/0"]), endpoint());
    let plan = plan_tunnel(&want(&full, &endpoint, &[]), &strict).unwrap();
    assert!(!text(&plan.device).contains("sysctl"));
}
