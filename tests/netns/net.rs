//! `sys::net` against the kernel, with `ip` as the judge.

use crate::{in_namespace, run};
use pvpn::address::IpNet;
use pvpn::sys::net::{Changed, Flows, Kernel, Monitor, Net};
use pvpn::sys::netlink::errno;
use pvpn::wire::rtnl::{Address, MAIN_TABLE, Route, RouteKind, Rule};
use std::net::{IpAddr, TcpListener, UdpSocket};

const TABLE: u32 = 4214;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn ip(s: &str) -> IpAddr {
    s.parse().unwrap()
}

/// A namespace with `eth0` at 192.0.2.2/24 and 2001:db8::2/64, default routes by its neighbour, MTU 1492.
fn home() -> Kernel {
    run("ip link set lo up");
    run("ip link add eth0 mtu 1492 type veth peer isp0");
    run("ip link set eth0 up");
    run("ip link set isp0 up");
    run("ip addr add 192.0.2.2/24 dev eth0");
    run("ip -6 addr add 2001:db8::2/64 dev eth0 nodad");
    run("ip route add default via 192.0.2.1");
    run("ip -6 route add default via 2001:db8::1");
    Kernel::new()
}

#[test]
fn links_show_kind_mtu_and_carrier() {
    in_namespace("net::links_show_kind_mtu_and_carrier", || {
        let kernel = home();
        let links = kernel.links().unwrap();
        let link = |name: &str| links.iter().find(|l| l.name == name).unwrap();
        assert!(link("lo").loopback && link("lo").kind.is_none());
        let eth0 = link("eth0");
        assert_eq!((eth0.kind.as_deref(), eth0.mtu), (Some("veth"), 1492));
        assert!(eth0.up && eth0.lower_up && eth0.address.len() == 6);

        kernel.set_link_up("isp0", false).unwrap();
        kernel.set_mtu("eth0", 1280).unwrap();
        let links = kernel.links().unwrap();
        let eth0 = links.iter().find(|l| l.name == "eth0").unwrap();
        assert_eq!((eth0.up, eth0.lower_up, eth0.mtu), (true, false, 1280));
    });
}

#[test]
fn addresses_come_and_go_and_twice_is_fine() {
    in_namespace("net::addresses_come_and_go_and_twice_is_fine", || {
        let kernel = home();
        for text in ["10.2.0.2/32", "2a07:b944::2:2/128"] {
            let address = Address { device: "eth0".to_owned(), net: net(text) };
            kernel.add_address(&address).unwrap();
            kernel.add_address(&address).unwrap();
            assert!(kernel.addresses().unwrap().contains(&address));
            assert!(run("ip addr show dev eth0").contains(text.split('/').next().unwrap()));
            kernel.delete_address(&address).unwrap();
            kernel.delete_address(&address).unwrap();
            assert!(!kernel.addresses().unwrap().contains(&address));
        }
        let missing = Address { device: "wg0".to_owned(), net: net("10.2.0.2/32") };
        assert_eq!(errno(&kernel.add_address(&missing).unwrap_err()), Some(libc::ENODEV));
        kernel.delete_address(&missing).unwrap();
    });
}

#[test]
fn a_route_takes_the_place_of_the_one_before() {
    in_namespace("net::a_route_takes_the_place_of_the_one_before", || {
        let kernel = home();
        for (all, show) in
            [("0.0.0.0/0", "ip route show table 4214"), ("::/0", "ip -6 route show table 4214")]
        {
            let refused = Route::unreachable(net(all), TABLE);
            let by = |link| Route::by(link, net(all), TABLE);
            let shown = |route: &Route| {
                let routes = kernel.routes().unwrap();
                let found: Vec<Route> =
                    routes.into_iter().filter(|r| r.table == TABLE && r.to == route.to).collect();
                assert_eq!(found.len(), 1, "{found:?}");
                assert!(found[0].replaces(route));
                assert_eq!((found[0].kind, &found[0].device), (route.kind, &route.device));
            };
            for route in [&refused, &by("eth0"), &by("isp0"), &by("eth0"), &refused] {
                kernel.replace_route(route).unwrap();
                kernel.replace_route(route).unwrap();
                shown(route);
            }
            assert!(run(show).starts_with("unreachable default"), "{}", run(show));
            assert!(run(show).contains("proto 118"));
            kernel.delete_route(&by("eth0")).unwrap();
            kernel.delete_route(&refused).unwrap();
            kernel.delete_route(&refused).unwrap();
            assert_eq!(run(show), "");
        }
        kernel.delete_route(&Route::by("wg0", net("10.0.0.0/8"), MAIN_TABLE)).unwrap();
        let missing = kernel.replace_route(&Route::by("wg0", net("10.0.0.0/8"), MAIN_TABLE)).unwrap_err();
        assert_eq!(missing.to_string(), "link wg0: No such device (os error 19)");
    });
}

#[test]
fn rules_read_as_they_were_written() {
    in_namespace("net::rules_read_as_they_were_written", || {
        let kernel = home();
        let mark = Some((0x1076, u32::MAX));
        let rules = [
            Rule { mark: Some((0x1077, u32::MAX)), ..Rule::to_table(true, 4200, MAIN_TABLE) },
            Rule {
                ip_protocol: Some(17),
                source_port: Some(68),
                dest_port: Some(67),
                ..Rule::to_table(true, 4201, MAIN_TABLE)
            },
            Rule { to: Some(net("192.168.1.0/24")), ..Rule::to_table(true, 4202, MAIN_TABLE) },
            Rule { to: Some(net("fe80::/10")), ..Rule::to_table(false, 4202, MAIN_TABLE) },
            Rule { mark, invert: true, ..Rule::to_table(true, 4214, TABLE) },
            Rule { mark, invert: true, ..Rule::to_table(false, 4214, TABLE) },
            Rule {
                suppress_prefix: Some(0),
                from: Some(net("10.0.0.0/8")),
                ..Rule::to_table(true, 4203, MAIN_TABLE)
            },
            Rule {
                iif: Some("lo".to_owned()),
                oif: Some("eth0".to_owned()),
                ..Rule::to_table(false, 4204, 7)
            },
        ];
        let before = (kernel.rules().unwrap(), run("ip rule"), run("ip -6 rule"));
        for rule in &rules {
            kernel.add_rule(rule).unwrap();
            kernel.add_rule(rule).unwrap();
        }
        let shown = kernel.rules().unwrap();
        assert_eq!(shown.len(), before.0.len() + rules.len());
        for rule in &rules {
            assert!(shown.contains(rule), "{rule}\n{}", run("ip rule"));
        }
        assert!(
            run("ip rule").contains("not from all fwmark 0x1076 lookup 4214 proto 118"),
            "{}",
            run("ip rule")
        );
        assert!(run("ip rule").contains("ipproto udp sport 68 dport 67 lookup main"));
        for rule in &rules {
            kernel.delete_rule(rule).unwrap();
            kernel.delete_rule(rule).unwrap();
        }
        assert_eq!((kernel.rules().unwrap(), run("ip rule"), run("ip -6 rule")), before);
    });
}

#[test]
fn a_rule_that_differs_in_one_selector_stays() {
    in_namespace("net::a_rule_that_differs_in_one_selector_stays", || {
        let kernel = home();
        let ours = Rule { mark: Some((0x1076, u32::MAX)), ..Rule::to_table(true, 4214, TABLE) };
        kernel.add_rule(&ours).unwrap();
        kernel.delete_rule(&Rule { mark: Some((0x1075, u32::MAX)), ..ours.clone() }).unwrap();
        kernel.delete_rule(&Rule { priority: 4215, ..ours.clone() }).unwrap();
        kernel.delete_rule(&Rule { ipv4: false, ..ours.clone() }).unwrap();
        assert!(kernel.rules().unwrap().contains(&ours));
    });
}

#[test]
fn the_way_out_follows_mark_and_table() {
    in_namespace("net::the_way_out_follows_mark_and_table", || {
        let kernel = home();
        let path = kernel.route_to(ip("203.0.113.11"), 0x1076).unwrap();
        assert_eq!((path.device.as_str(), path.mtu), ("eth0", 1492));
        assert_eq!((path.gateway, path.source), (Some(ip("192.0.2.1")), Some(ip("192.0.2.2"))));
        let path = kernel.route_to(ip("2001:db8:1::1"), 0).unwrap();
        assert_eq!((path.device.as_str(), path.gateway), ("eth0", Some(ip("2001:db8::1"))));
        assert_eq!(kernel.route_to(ip("192.0.2.9"), 0).unwrap().gateway, None);

        run("ip route replace default via 192.0.2.1 mtu 1400");
        assert_eq!(kernel.route_to(ip("203.0.113.11"), 0).unwrap().mtu, 1400);

        let others =
            Rule { mark: Some((0x1076, u32::MAX)), invert: true, ..Rule::to_table(true, 4214, TABLE) };
        kernel.add_rule(&others).unwrap();
        kernel.replace_route(&Route::unreachable(net("0.0.0.0/0"), TABLE)).unwrap();
        assert!(kernel.route_to(ip("203.0.113.11"), 0x1076).is_ok());
        let e = kernel.route_to(ip("203.0.113.11"), 0).unwrap_err();
        assert_eq!(errno(&e), Some(libc::EHOSTUNREACH), "{e}");
    });
}

#[test]
fn every_table_is_read_and_no_route_is_taken_for_ours() {
    in_namespace("net::every_table_is_read_and_no_route_is_taken_for_ours", || {
        let kernel = home();
        run("ip route add 198.51.100.0/24 nexthop dev eth0 nexthop dev isp0");
        run("ip route add blackhole 198.18.0.0/15 table 99 metric 7");
        let routes = kernel.routes().unwrap();
        let found = |to: &str| routes.iter().find(|r| r.to == net(to)).unwrap();
        assert_eq!(found("198.51.100.0/24").device, None);
        let black = found("198.18.0.0/15");
        assert_eq!((black.kind, black.table, black.metric), (RouteKind::Other(6), 99, 7));
        assert!(routes.iter().any(|r| r.to == net("::/0") && r.gateway == Some(ip("2001:db8::1"))));
        assert!(routes.iter().all(|r| r.protocol != 0x76));
    });
}

#[test]
fn changes_are_heard_once_each() {
    in_namespace("net::changes_are_heard_once_each", || {
        let kernel = home();
        let monitor = Monitor::open().unwrap();
        // The link has just come up: what becomes of it and its addresses the kernel tells whenever it is ready.
        let heard = || {
            let changes = monitor.poll_changes().unwrap().into_iter();
            let ours = [Changed::Rule, Changed::Ruleset, Changed::OurTable];
            changes.filter(|c| ours.contains(c)).collect::<Vec<_>>()
        };
        assert_eq!(heard(), []);
        let rule = Rule::to_table(true, 4214, TABLE);
        kernel.add_rule(&rule).unwrap();
        kernel.delete_rule(&rule).unwrap();
        kernel.replace_route(&Route::unreachable(net("::/0"), TABLE)).unwrap();
        let changes = monitor.poll_changes().unwrap();
        assert!(changes.contains(&Changed::Route), "{changes:?}");
        assert_eq!(changes.iter().filter(|c| **c == Changed::Rule).count(), 1, "{changes:?}");
        assert_eq!(heard(), []);
        run("ip addr add 10.9.9.9/32 dev eth0");
        assert!(monitor.poll_changes().unwrap().contains(&Changed::Address));
        run("nft add table inet other");
        assert_eq!(heard(), [Changed::Ruleset]);
        run("nft add table inet pvpn");
        run("nft add table ip pvpn");
        assert_eq!(heard(), [Changed::Ruleset]);
        run("nft delete table ip pvpn");
        assert_eq!(heard(), [Changed::Ruleset]);
        run("nft flush ruleset");
        assert_eq!(heard(), [Changed::Ruleset, Changed::OurTable]);
        run("ip link set eth0 mtu 1400");
        assert!(monitor.poll_changes().unwrap().contains(&Changed::Link));
    });
}

#[test]
fn listening_is_what_the_kernel_says() {
    in_namespace("net::listening_is_what_the_kernel_says", || {
        let kernel = home();
        let at = "192.0.2.2:40123".parse().unwrap();
        let other = "192.0.2.2:40124".parse().unwrap();
        let hears = |udp| kernel.is_listening(udp, at, "eth0").unwrap();
        assert!(!hears(false) && !hears(true));

        let tcp = TcpListener::bind(at).unwrap();
        assert!(hears(false) && !hears(true) && !kernel.is_listening(false, other, "eth0").unwrap());
        drop(tcp);
        let udp = UdpSocket::bind(at).unwrap();
        assert!(!hears(false) && hears(true));
        drop(udp);
        let elsewhere = TcpListener::bind("127.0.0.1:40123").unwrap();
        assert!(!hears(false));
        drop(elsewhere);
        for wildcard in ["0.0.0.0:40123", "[::]:40123"] {
            let tcp = TcpListener::bind(wildcard).unwrap();
            assert!(hears(false), "{wildcard}");
            drop(tcp);
            let udp = UdpSocket::bind(wildcard).unwrap();
            assert!(hears(true), "{wildcard}");
            drop(udp);
        }
        // A connection of one's own from this port is not listening.
        let server = TcpListener::bind("192.0.2.2:1").unwrap();
        let client = std::net::TcpStream::connect("192.0.2.2:1").unwrap();
        let from = client.local_addr().unwrap();
        assert!(!kernel.is_listening(false, from, "eth0").unwrap());
        drop(server);
    });
}

#[test]
fn a_socket_bound_to_another_link_does_not_hear() {
    in_namespace("net::a_socket_bound_to_another_link_does_not_hear", || {
        use nix::sys::socket::{setsockopt, sockopt::BindToDevice};
        let kernel = home();
        let at = "192.0.2.2:40123".parse().unwrap();
        let socket = UdpSocket::bind("0.0.0.0:40123").unwrap();
        setsockopt(&socket, BindToDevice, &"isp0".into()).unwrap();
        assert!(!kernel.is_listening(true, at, "eth0").unwrap());
        assert!(kernel.is_listening(true, at, "isp0").unwrap());
    });
}

#[test]
fn flows_without_our_mark_end() {
    in_namespace("net::flows_without_our_mark_end", || {
        let kernel = home();
        run("nft add table inet t");
        run("nft add chain inet t out { type filter hook output priority 0 ; }");
        run("nft add rule inet t out udp dport 7001 ct mark set 0x1076");
        run("nft add rule inet t out udp dport 7002 ct mark set 0x4000");
        let socket = UdpSocket::bind("127.0.0.1:7000").unwrap();
        for port in [7001, 7002, 7003] {
            socket.send_to(b"x", ("127.0.0.1", port)).unwrap();
        }
        assert_eq!(kernel.flush_conntrack(&Flows::From(ip("192.0.2.77"))).unwrap(), 0);
        assert_eq!(kernel.flush_conntrack(&Flows::Unmarked(vec![0x1076])).unwrap(), 2);
        assert_eq!(kernel.flush_conntrack(&Flows::Unmarked(vec![0x1076])).unwrap(), 0);
        assert_eq!(kernel.flush_conntrack(&Flows::From(ip("127.0.0.1"))).unwrap(), 1);
    });
}

#[test]
fn a_kernel_without_wireguard_says_so_in_one_sentence() {
    in_namespace("net::a_kernel_without_wireguard_says_so_in_one_sentence", || {
        let kernel = home();
        if let Err(e) = kernel.add_wireguard_link("wg0", 1420) {
            let text = "this kernel has no WireGuard (the wireguard module is missing): Operation not supported (os error 95)";
            assert_eq!(e.to_string(), text);
            assert_eq!(kernel.wireguard("wg0").unwrap_err().to_string(), text);
            assert_eq!(kernel.set_wireguard("wg0", &Default::default()).unwrap_err().to_string(), text);
        }
        kernel.delete_link("wg0").unwrap();
        kernel.delete_link("wg0").unwrap();
    });
}

#[test]
fn links_that_lead_out_are_told_from_bridges_and_what_hangs_on_them() {
    in_namespace("net::links_that_lead_out_are_told_from_bridges_and_what_hangs_on_them", || {
        let kernel = home();
        run("ip link add docker0 type bridge");
        run("ip link add pod0 type veth peer pod1");
        run("ip link set pod0 master docker0");
        let links = kernel.links().unwrap();
        let mut out: Vec<&str> = links.iter().filter(|l| l.leads_out()).map(|l| &l.name[..]).collect();
        out.sort_unstable();
        assert_eq!(out, ["eth0", "isp0", "pod1"]);
    });
}
