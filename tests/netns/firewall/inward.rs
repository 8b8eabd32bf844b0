//! What comes in: by the link to the ISP and the LAN, and through the tunnel.

use super::frame::Frame;
use super::policies::{ENDPOINT, blocked, connected, connecting, let_in, open, without, without_in};
use super::world::{
    BARE, Ear, NEIGHBOUR, PI, TUNNEL_ADDRESS, TUNNELLED, World, marked, plain, send_udp, write_sysctl,
};
use super::{NOTHING, in_world};
use crate::run;
use pvpn::firewall::ruleset::{Point, Ruleset};
use pvpn::firewall::{OWN_MARK, SYSCTLS, TUNNEL_MARK};
use pvpn::sys::socket::Egress;
use std::net::UdpSocket;

const PORT: u16 = 6000;
const FORWARDED: u16 = 40123;

#[test]
fn l3_the_tunnels_address_is_deaf_on_other_links() {
    in_world("inward::l3_the_tunnels_address_is_deaf_on_other_links", |world| {
        let knock = Frame::udp(NEIGHBOUR, 4242, TUNNEL_ADDRESS, PORT);
        let knock6 = Frame::udp("fe80::99", 4242, "2a07:b944::2:2", PORT);
        let knock_forwarded = Frame::udp(NEIGHBOUR, 4242, TUNNEL_ADDRESS, FORWARDED);
        for policy in [connected(), connecting(), open()] {
            world.load(&policy);
            assert!(!world.reaches(PORT, "isp", &knock));
            assert!(!world.reaches(PORT, "isp", &knock6));
            assert!(!world.reaches(FORWARDED, "isp", &knock_forwarded));
            world.load_rules(&without(&policy, "tunnel address"));
            assert!(world.reaches(PORT, "isp", &knock));
            assert!(world.reaches(PORT, "isp", &knock6));
        }
        // The machine itself may use any of its addresses.
        world.load(&connected());
        let heard = UdpSocket::bind((TUNNEL_ADDRESS, PORT)).unwrap();
        UdpSocket::bind((PI, 0)).unwrap().send_to(b"pvpn", (TUNNEL_ADDRESS, PORT)).unwrap();
        assert_eq!(heard.recv(&mut [0; 8]).unwrap(), 4);
    });
}

#[test]
fn l4_nobody_on_the_lan_learns_the_tunnels_address() {
    in_world("inward::l4_nobody_on_the_lan_learns_the_tunnels_address", |world| {
        world.load(&connected());
        let answers = |world: &World| {
            let ear = Ear::on("isp");
            ear.send(&Frame::arp_request(NEIGHBOUR, TUNNEL_ADDRESS));
            // The marker of another deed comes out after the answer.
            world.leaves(|| {});
            std::iter::from_fn(|| ear.next()).filter(is_arp_reply).count()
        };
        assert_eq!(answers(world), 1, "the kernel's default");
        for sysctl in SYSCTLS {
            write_sysctl(sysctl.path.strip_prefix("net/").unwrap(), &sysctl.at_least.to_string());
        }
        assert_eq!(answers(world), 0);
    });
}

fn is_arp_reply(frame: &Frame) -> bool {
    frame.0[12..14] == [8, 6] && frame.0[20..22] == [0, 2]
}

#[test]
fn from_outside_the_lan_nothing_comes_in_by_the_link() {
    in_world("inward::from_outside_the_lan_nothing_comes_in_by_the_link", |world| {
        let outside = Frame::udp(BARE, 4242, PI, PORT);
        for policy in [blocked(), connecting(), connected()] {
            world.load(&policy);
            assert!(world.reaches(PORT, "isp", &Frame::udp(NEIGHBOUR, 4242, PI, PORT)));
            assert!(!world.reaches(PORT, "isp", &outside));
            assert!(!world.reaches(FORWARDED, "isp", &Frame::udp(BARE, 4242, PI, FORWARDED)));
            assert!(!world.reaches(PORT, "isp", &Frame::udp("2606:4700::1111", 4242, "2001:db8::10", PORT)));
        }
        world.load_rules(&without(&connected(), "closed"));
        assert!(world.reaches(PORT, "isp", &outside));
    });
}

#[test]
fn dhcp_answers_come_in_from_anywhere() {
    in_world("inward::dhcp_answers_come_in_from_anywhere", |world| {
        world.load(&blocked());
        assert!(world.reaches(68, "isp", &Frame::udp("198.51.100.1", 67, PI, 68)));
        assert!(!world.reaches(68, "isp", &Frame::udp("198.51.100.1", 4242, PI, 68)));
        assert!(world.reaches(546, "isp", &Frame::udp("fe80::99", 547, "2001:db8::10", 546)));

        // Not through the tunnel, whose server nobody has asked for an address.
        let through_tunnel = Frame::udp("198.51.100.1", 67, TUNNEL_ADDRESS, 68);
        assert!(!world.load(&connected()).reaches(68, "far", &through_tunnel));
        assert!(world.load_rules(&without(&connected(), "unasked")).reaches(68, "far", &through_tunnel));
    });
}

#[test]
fn through_the_tunnel_comes_the_forwarded_port_and_what_was_asked_for() {
    in_world("inward::through_the_tunnel_comes_the_forwarded_port_and_what_was_asked_for", |world| {
        let unasked = Frame::udp(TUNNELLED, 4242, TUNNEL_ADDRESS, PORT);
        // An address of the LAN, which only the tunnel's server can have forged.
        let forged = Frame::udp(NEIGHBOUR, 4242, TUNNEL_ADDRESS, PORT);
        let forwarded = Frame::udp(TUNNELLED, 4242, TUNNEL_ADDRESS, FORWARDED);
        for policy in [connected(), open()] {
            world.load(&policy);
            assert!(!world.reaches(PORT, "far", &unasked));
            assert!(!world.reaches(PORT, "far", &forged));
            assert!(world.reaches(FORWARDED, "far", &forwarded));
            assert!(answered(world, &Egress::plain(), TUNNELLED, "far", TUNNEL_ADDRESS));
        }
        world.load(&connecting());
        assert!(!world.reaches(FORWARDED, "far", &forwarded));
        world.load_rules(&without(&connected(), "unasked"));
        assert!(world.reaches(PORT, "far", &forged));
        world.load_rules(&without(&open(), "unasked"));
        assert!(world.reaches(PORT, "far", &unasked));
    });
}

#[test]
fn answers_to_marked_packets_come_in_and_to_others_do_not() {
    in_world("inward::answers_to_marked_packets_come_in_and_to_others_do_not", |world| {
        world.load(&connected().with_own_sockets(true));
        let (server, _) = ENDPOINT.split_once(':').unwrap();
        assert!(answered(world, &marked(TUNNEL_MARK), server, "isp", PI));
        assert!(answered(world, &marked(OWN_MARK), BARE, "isp", PI));
        world.load_rules(&without_in(
            &connected().with_own_sockets(true),
            &Point::Postrouting,
            "own sockets",
        ));
        assert!(!answered(world, &marked(OWN_MARK), BARE, "isp", PI), "nothing tells the flow's mark");
    });
}

/// Whether an answer to a datagram to port 51820 of `to`, written to the far end of a link, is heard.
fn answered(world: &World, egress: &Egress, to: &str, far: &str, pi: &str) -> bool {
    let fd = pvpn::sys::socket::open(
        true,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_NONBLOCK,
        None,
        egress,
    );
    let socket = UdpSocket::from(fd.unwrap());
    assert_eq!(socket.send_to(b"pvpn", (to, 51820)).unwrap(), 4);
    let port = socket.local_addr().unwrap().port();
    world.arrives(far, &Frame::udp(to, 51820, pi, port));
    // What arrives after it has arrived, so has this.
    assert!(world.reaches(PORT, "isp", &Frame::udp(NEIGHBOUR, 4242, PI, PORT)));
    socket.recv(&mut [0; 8]).is_ok()
}

#[test]
fn a_strict_reverse_path_check_lets_the_servers_packets_in() {
    in_world("inward::a_strict_reverse_path_check_lets_the_servers_packets_in", |world| {
        // Full-tunnel routing: all but marked packets goes into the tunnel.
        run("ip route add default dev wgp0 table 4214");
        run("ip rule add not fwmark 0x1076 lookup 4214");
        run("ip rule add lookup main suppress_prefixlength 0 priority 100");
        for link in ["all", "eth0", "wgp0"] {
            write_sysctl(&format!("ipv4/conf/{link}/rp_filter"), "1");
        }
        write_sysctl("ipv4/conf/all/src_valid_mark", "1");
        let (server, _) = ENDPOINT.split_once(':').unwrap();
        world.load(&connected());
        assert!(answered(world, &marked(TUNNEL_MARK), server, "isp", PI));
        assert_eq!(world.enters_tunnel(|| send_udp("8.8.8.8:4242", &plain())), ["udp 8.8.8.8:4242"]);

        world.load_rules(&without_in(&connected(), &Point::Prerouting, "encrypted"));
        assert!(!answered(world, &marked(TUNNEL_MARK), server, "isp", PI), "the mark is not restored");
        world.load(&connected());
        write_sysctl("ipv4/conf/all/src_valid_mark", "0");
        assert!(!answered(world, &marked(TUNNEL_MARK), server, "isp", PI), "the mark is not looked at");
    });
}

#[test]
fn a_port_let_in_is_open_and_answers_alone_leave_by_it() {
    in_world("inward::a_port_let_in_is_open_and_answers_alone_leave_by_it", |world| {
        let knock = Frame::udp(BARE, 4242, PI, 51821);
        world.load(&connected());
        assert!(!world.reaches(51821, "isp", &knock));
        world.load(&let_in());
        assert!(world.reaches(51821, "isp", &knock));

        let service = UdpSocket::bind((PI, 51821)).unwrap();
        world.arrives("isp", &knock);
        service.recv(&mut [0; 8]).unwrap();
        assert_eq!(world.leaves(|| drop(service.send_to(b"pvpn", "8.8.8.8:4242"))), ["udp 8.8.8.8:4242"]);
        assert_eq!(world.leaves(|| drop(service.send_to(b"pvpn", "8.8.8.8:4243"))), NOTHING);
        world.load(&connected());
        assert_eq!(world.leaves(|| drop(service.send_to(b"pvpn", "8.8.8.8:4242"))), NOTHING);
    });
}

#[test]
fn with_the_kill_switch_open_only_the_tunnel_is_guarded() {
    in_world("inward::with_the_kill_switch_open_only_the_tunnel_is_guarded", |world| {
        world.load(&open());
        let bare = || {
            send_udp("8.8.8.8:53", &plain());
            send_udp("[2606:4700::1111]:853", &plain());
        };
        assert_eq!(world.leaves(bare), ["udp 8.8.8.8:53", "udp [2606:4700::1111]:853"]);
        assert!(world.reaches(PORT, "isp", &Frame::udp(BARE, 4242, PI, PORT)));
        assert!(Ruleset::of(&open()).tables.len() == 1, "no egress chains");
    });
}
