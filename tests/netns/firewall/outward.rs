//! What leaves past the tunnel. The egress hook is not used, so that the rules for the machine's own packets stand
//! alone.

use super::frame::Frame;
use super::policies::{ENDPOINT, blocked, connected, connecting, loosened, open, with_first, without};
use super::world::{BARE, Ear, NEIGHBOUR, PI, World, bound, marked, plain, send_syn, send_udp};
use super::{NOTHING, in_world};
use crate::run;
use nix::sys::socket::{self, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage};
use pvpn::firewall::ruleset::Point;
use pvpn::firewall::ruleset::rule::{Match, Rule, Then};
use pvpn::firewall::{OWN_MARK, Policy, TUNNEL_MARK};
use pvpn::sys::socket::Egress;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

fn hookless(policy: Policy) -> Policy {
    policy.with_links(Vec::new())
}

#[test]
fn l1_plain_packets_to_the_vpn_server_need_the_mark() {
    in_world("outward::l1_plain_packets_to_the_vpn_server_need_the_mark", |world| {
        for policy in [connecting(), connected()].map(hookless) {
            world.load(&policy);
            assert_eq!(world.leaves(|| send_udp(ENDPOINT, &bound())), NOTHING);
            assert_eq!(world.leaves(|| send_udp(ENDPOINT, &marked(0x1078))), NOTHING);
            assert_eq!(world.leaves(|| send_udp(ENDPOINT, &marked(TUNNEL_MARK))), ["udp 203.0.113.11:51820"]);
        }
        world.load_rules(&loosened(&hookless(connected()), |m| matches!(m, Match::Mark(_))));
        assert_eq!(world.leaves(|| send_udp(ENDPOINT, &bound())), ["udp 203.0.113.11:51820"]);
    });
}

#[test]
fn l2_the_mark_is_good_for_udp_alone() {
    in_world("outward::l2_the_mark_is_good_for_udp_alone", |world| {
        let tcp = || send_syn(ENDPOINT, &marked(TUNNEL_MARK));
        world.load(&hookless(connected()));
        assert_eq!(world.leaves(tcp), NOTHING);
        world.load_rules(&loosened(&hookless(connected()), |m| matches!(m, Match::Ports { .. })));
        assert_eq!(world.leaves(tcp), ["tcp 203.0.113.11:51820"]);
    });
}

#[test]
fn l9_the_mark_is_good_for_the_pinned_endpoint_alone() {
    in_world("outward::l9_the_mark_is_good_for_the_pinned_endpoint_alone", |world| {
        world.load(&hookless(connected()));
        for elsewhere in ["203.0.113.12:51820", "203.0.113.11:51821", "[2001:db8:1::5]:51820"] {
            assert_eq!(world.leaves(|| send_udp(elsewhere, &marked(TUNNEL_MARK))), NOTHING, "{elsewhere}");
        }
        world.load_rules(&loosened(&hookless(connected()), |m| matches!(m, Match::To(_))));
        let spoofed = "203.0.113.12:51820";
        assert_eq!(world.leaves(|| send_udp(spoofed, &marked(TUNNEL_MARK))), ["udp 203.0.113.12:51820"]);
    });
}

#[test]
fn l13_the_exit_of_a_multihop_server_is_reached_through_its_entry_alone() {
    in_world("outward::l13_the_exit_of_a_multihop_server_is_reached_through_its_entry_alone", |world| {
        // Secure Core: one is entered at ENDPOINT and leaves to the internet elsewhere.
        let exit = "203.0.113.99:51820";
        let to_exit = || {
            send_udp(exit, &plain());
            send_udp(exit, &bound());
            send_udp(exit, &marked(TUNNEL_MARK));
            send_syn("203.0.113.99:443", &bound());
        };
        for policy in [connecting(), connected()].map(hookless) {
            world.load(&policy);
            assert_eq!(world.leaves(to_exit), NOTHING);
            assert_eq!(world.leaves(|| send_udp(ENDPOINT, &marked(TUNNEL_MARK))), ["udp 203.0.113.11:51820"]);
        }
        // Were the exit taken for an endpoint as well, its traffic would pass by the entry.
        let mut both = connected();
        both.tunnels[0].endpoints.push(exit.parse().unwrap());
        world.load(&hookless(both));
        assert_eq!(world.leaves(to_exit), ["udp 203.0.113.99:51820"]);
    });
}

#[test]
fn own_sockets_pass_while_they_are_needed_and_belong_to_root() {
    in_world("outward::own_sockets_pass_while_they_are_needed_and_belong_to_root", |world| {
        let api = || send_syn("203.0.113.80:443", &marked(OWN_MARK));
        let needed = hookless(blocked()).with_own_sockets(true);
        assert_eq!(world.load(&needed).leaves(api), ["tcp 203.0.113.80:443"]);
        // The owner is known to the egress hook as well.
        let hooked = blocked().with_own_sockets(true);
        assert_eq!(world.load(&hooked).leaves(api), ["tcp 203.0.113.80:443"]);
        assert_eq!(world.load(&hookless(blocked())).leaves(api), NOTHING);

        // The story has one user. That a rule for another one stops root shows that the owner is looked at.
        let mut rules = pvpn::firewall::ruleset::Ruleset::of(&needed);
        for m in rules.tables.iter_mut().flat_map(|t| &mut t.chains).flat_map(|c| &mut c.rules) {
            m.matches.iter_mut().for_each(|m| {
                if *m == Match::Uid(0) {
                    *m = Match::Uid(1000)
                }
            });
        }
        assert_eq!(world.load_rules(&rules).leaves(api), NOTHING);
    });
}

#[test]
fn l7_an_injected_route_ends_in_a_drop() {
    in_world("outward::l7_an_injected_route_ends_in_a_drop", |world| {
        // DHCP option 121 names the network that the tunnel takes, and half of all others.
        run("ip route add 198.51.100.0/25 via 192.168.1.1");
        run("ip route add 0.0.0.0/1 via 192.168.1.1");
        let probes = || {
            send_udp("198.51.100.7:4242", &plain());
            send_udp("8.8.8.8:4242", &plain());
        };
        world.load(&hookless(connected()));
        assert_eq!(world.leaves(probes), NOTHING);
        world.load_rules(&without(&hookless(connected()), "closed"));
        assert_eq!(world.leaves(probes), ["udp 198.51.100.7:4242", "udp 8.8.8.8:4242"]);
    });
}

#[test]
fn l11_a_socket_bound_to_the_link_gets_nowhere() {
    in_world("outward::l11_a_socket_bound_to_the_link_gets_nowhere", |world| {
        let probes = || {
            send_udp("198.51.100.7:4242", &bound());
            send_syn("198.51.100.7:443", &bound());
            send_udp("[2606:4700::1111]:4242", &bound());
            send_raw(1, "8.8.8.8:0", &[8, 0, 0xf7, 0xff, 0, 0, 0, 0]);
        };
        for policy in [blocked(), connecting(), connected()].map(hookless) {
            assert_eq!(world.load(&policy).leaves(probes), NOTHING);
        }
        world.load_rules(&without(&hookless(connected()), "closed"));
        assert_eq!(world.leaves(probes).len(), 3, "the echo request is not tagged");
    });
}

#[test]
fn l10_a_flow_that_was_allowed_does_not_outlive_its_policy() {
    in_world("outward::l10_a_flow_that_was_allowed_does_not_outlive_its_policy", |world| {
        let socket = flow_past_the_tunnel(world);
        let more = || drop(socket.send_to(b"pvpn", "8.8.8.8:4242"));
        for policy in [blocked(), connecting(), connected()].map(hookless) {
            assert_eq!(world.load(&policy).leaves(more), NOTHING);
        }
        // The rule that many firewalls begin with.
        let established = Rule::new("established", [Match::Established], Then::Accept);
        world.load_rules(&with_first(&hookless(connected()), &Point::Output, &established));
        assert_eq!(world.leaves(more), ["udp 8.8.8.8:4242"]);
    });
}

/// A socket bound to the link whose flow has seen packets both ways under an open policy.
fn flow_past_the_tunnel(world: &mut World) -> UdpSocket {
    world.load(&open());
    let fd = socket_of(SockType::Datagram, None, &bound());
    let socket = UdpSocket::from(fd);
    let first = || drop(socket.send_to(b"pvpn", "8.8.8.8:4242"));
    assert_eq!(world.leaves(first), ["udp 8.8.8.8:4242"]);
    let port = socket.local_addr().unwrap().port();
    world.arrives("isp", &Frame::udp(BARE, 4242, PI, port));
    socket.set_nonblocking(false).unwrap();
    assert_eq!(socket.recv(&mut [0; 8]).unwrap(), 4);
    socket
}

#[test]
fn l15_ipv6_is_closed_but_for_discovery_on_the_link() {
    in_world("outward::l15_ipv6_is_closed_but_for_discovery_on_the_link", |world| {
        let beyond = || {
            send_udp("[2606:4700::1111]:4242", &bound());
            send_discovery("2606:4700::1111", 255);
            send_discovery("fe80::1", 64);
        };
        world.load(&hookless(Policy::blocked(vec!["192.168.1.0/24".parse().unwrap()])));
        assert_eq!(world.leaves(beyond), NOTHING);
        assert_eq!(world.leaves(|| send_discovery("fe80::1", 255)), ["icmp6 135 fe80::1"]);
        world.load_rules(&without(&hookless(blocked()), "closed"));
        let leaked = ["udp [2606:4700::1111]:4242", "icmp6 135 2606:4700::1111", "icmp6 135 fe80::1"];
        assert_eq!(world.leaves(beyond), leaked);
    });
}

#[test]
fn the_allow_list_leaves_under_every_closed_policy() {
    in_world("outward::the_allow_list_leaves_under_every_closed_policy", |world| {
        let broadcast = Egress { mark: None, ..bound() };
        for policy in [blocked(), connecting(), connected()] {
            world.load(&policy);
            let lan = || {
                send_udp(&format!("{NEIGHBOUR}:4242"), &plain());
                send_syn(&format!("{NEIGHBOUR}:22"), &plain());
                send_udp("224.0.0.251:5353", &bound());
                send_udp("[ff02::fb]:5353", &bound());
            };
            let passed = [
                "udp 192.168.1.66:4242",
                "tcp 192.168.1.66:22",
                "udp 224.0.0.251:5353",
                "udp [ff02::fb]:5353",
            ];
            assert_eq!(world.leaves(lan), passed);
            assert_eq!(
                world.leaves(|| send_from(68, "198.51.100.1:67", &broadcast)),
                ["udp 198.51.100.1:67"]
            );
            assert_eq!(
                world.leaves(|| send_from(546, "[ff02::1:2]:547", &broadcast)),
                ["udp [ff02::1:2]:547"]
            );
            // Neither is what it looks like without the client's own port.
            assert_eq!(world.leaves(|| send_udp("198.51.100.1:67", &broadcast)), NOTHING);
            assert_eq!(world.leaves(|| send_udp("224.0.0.251:5354", &broadcast)), NOTHING);
        }
    });
}

#[test]
fn mdns_is_for_the_lan_and_not_for_an_uplinks_other_customers() {
    in_world("outward::mdns_is_for_the_lan_and_not_for_an_uplinks_other_customers", |world| {
        run("ip addr add 203.0.113.200/24 dev eth0");
        let from = |source: &str| Egress { source: Some(source.parse().unwrap()), ..bound() };
        let announce = |source| move || send_udp("224.0.0.251:5353", &from(source));
        for policy in [blocked(), connected()].into_iter().flat_map(|p| [hookless(p.clone()), p]) {
            world.load(&policy);
            assert_eq!(world.leaves(announce(PI)), ["udp 224.0.0.251:5353"]);
            assert_eq!(world.leaves(announce("203.0.113.200")), NOTHING);
        }
        world.load_rules(&loosened(&connected(), |m| matches!(m, Match::From(_))));
        assert_eq!(world.leaves(announce("203.0.113.200")), ["udp 224.0.0.251:5353"]);
    });
}

#[test]
fn reports_of_group_membership_stay_here() {
    in_world("outward::reports_of_group_membership_stay_here", |world| {
        // As the kernel's own MLD report goes (RFC 3810), by a raw socket.
        let report = || send_raw(58, "[ff02::16]:0", &[&[143, 0, 0, 0, 0, 0, 0, 0], &b"pvpn"[..]].concat());
        let private = || vec!["192.168.1.0/24".parse().unwrap()];
        assert_eq!(world.load(&Policy::blocked(private())).leaves(report), NOTHING);
        world.load_rules(&without(&Policy::blocked(private()), "closed"));
        assert_eq!(world.leaves(report), ["icmp6 143 ff02::16"]);
    });
}

/// To a neighbour, who is asked to send it on.
const BY_A_NEIGHBOUR: [&str; 2] = ["udp 192.168.1.66:4242", "protocol 43 fe80::1"];

#[test]
fn a_packet_for_beyond_the_lan_does_not_pass_for_one_to_it() {
    in_world("outward::a_packet_for_beyond_the_lan_does_not_pass_for_one_to_it", |world| {
        let frames = [
            Frame::udp(PI, 4242, NEIGHBOUR, 4242).by_way_to(BARE),
            Frame::udp("2001:db8::10", 4242, "fe80::1", 4242).by_way_to("2606:4700::1111"),
        ];
        let whole = || frames.iter().for_each(send_whole);
        let past = || frames.iter().for_each(|frame| Ear::on("eth0").send(frame));
        for policy in [blocked(), connecting(), connected()] {
            assert_eq!(world.load(&hookless(policy.clone())).leaves(whole), NOTHING);
            assert_eq!(world.load(&policy).leaves(past), NOTHING);
        }
        world.load_rules(&without(&hookless(connected()), "source route"));
        assert_eq!(world.leaves(whole), BY_A_NEIGHBOUR);
        world.load_rules(&without(&connected(), "source route"));
        assert_eq!(world.leaves(past), BY_A_NEIGHBOUR);
    });
}

#[test]
fn l8_a_public_range_is_lan_only_by_the_owners_word() {
    in_world("outward::l8_a_public_range_is_lan_only_by_the_owners_word", |world| {
        let attached = ["8.8.8.0/24".parse().unwrap(), "192.168.1.0/24".parse().unwrap()];
        let probe = || send_udp("8.8.8.8:4242", &bound());
        world.load(&Policy::blocked(pvpn::firewall::lan(None, Some(&attached))));
        assert_eq!(world.leaves(probe), NOTHING);
        world.load(&Policy::blocked(pvpn::firewall::lan(Some(&attached), None)));
        assert_eq!(world.leaves(probe), ["udp 8.8.8.8:4242"]);
    });
}

fn socket_of(kind: SockType, protocol: Option<SockProtocol>, egress: &Egress) -> std::os::fd::OwnedFd {
    pvpn::sys::socket::open(true, kind, SockFlag::SOCK_NONBLOCK, protocol, egress).unwrap()
}

/// Sends a datagram from this port.
fn send_from(port: u16, to: &str, egress: &Egress) {
    let to: SocketAddr = to.parse().unwrap();
    let fd = pvpn::sys::socket::open(to.is_ipv4(), SockType::Datagram, SockFlag::SOCK_NONBLOCK, None, egress)
        .unwrap();
    let any: SocketAddr = if to.is_ipv4() { ([0, 0, 0, 0], port).into() } else { ([0u16; 8], port).into() };
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(any)).unwrap();
    let _ = socket::sendto(fd.as_raw_fd(), b"pvpn", &SockaddrStorage::from(to), MsgFlags::empty());
}

/// Sends the body of an IP packet from a raw socket bound to the link.
fn send_raw(protocol: i32, to: &str, body: &[u8]) {
    let to: SocketAddr = to.parse().unwrap();
    let protocol = if protocol == 1 { SockProtocol::Icmp } else { SockProtocol::IcmpV6 };
    let fd = pvpn::sys::socket::open(
        to.is_ipv4(),
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK,
        Some(protocol),
        &bound(),
    )
    .unwrap();
    let _ = socket::sendto(fd.as_raw_fd(), body, &SockaddrStorage::from(to), MsgFlags::empty());
}

/// Sends a packet, header and all, from a raw socket bound to the link.
fn send_whole(frame: &Frame) {
    let (ipv4, _, to, _) = frame.packet().unwrap();
    let fd = pvpn::sys::socket::open(
        ipv4,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK,
        Some(SockProtocol::Raw),
        &bound(),
    )
    .unwrap();
    let to = SockaddrStorage::from(SocketAddr::new(to, 0));
    let _ = socket::sendto(fd.as_raw_fd(), &frame.0[14..], &to, MsgFlags::empty());
}

/// Sends a tagged neighbour solicitation from a raw socket.
fn send_discovery(to: &str, hop_limit: u8) {
    let fd = pvpn::sys::socket::open(
        false,
        SockType::Raw,
        SockFlag::SOCK_NONBLOCK,
        Some(SockProtocol::IcmpV6),
        &bound(),
    )
    .unwrap();
    socket::setsockopt(&fd, socket::sockopt::Ipv6Ttl, &i32::from(hop_limit)).unwrap();
    let to = SocketAddr::new(to.parse().unwrap(), 0);
    let body = [&[135, 0, 0, 0, 0, 0, 0, 0][..], b"pvpn"].concat();
    let _ = socket::sendto(fd.as_raw_fd(), &body, &SockaddrStorage::from(to), MsgFlags::empty());
}
