//! What is written to a link past the IP stack, or sent another way behind our other chains, meets the egress chain.

use super::frame::Frame;
use super::policies::{blocked, connected, connecting, without_in};
use super::world::{BARE, Ear, NEIGHBOUR, PI, World, marked, plain, send_udp};
use super::{NOTHING, in_world};
use crate::run;
use nix::sys::socket::{self, MsgFlags, SockFlag, SockType, SockaddrStorage, setsockopt, sockopt};
use pvpn::firewall::TUNNEL_MARK;
use pvpn::firewall::ruleset::Point;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

fn eth0() -> Point {
    Point::Egress("eth0".to_owned())
}

#[test]
fn a_packet_socket_gets_no_further_than_other_programs() {
    in_world("packet_sockets::a_packet_socket_gets_no_further_than_other_programs", |world| {
        let frames = [
            Frame::udp(PI, 4242, BARE, 4242),
            Frame::syn(PI, 4242, BARE, 443),
            Frame::udp(PI, 4242, "203.0.113.11", 51820),
            Frame::udp(PI, 4242, "192.168.1.1", 53),
            Frame::icmp(8, PI, BARE, 64),
            Frame::udp("2001:db8::10", 4242, "2606:4700::1111", 4242),
            Frame::icmp(135, "fe80::10", "2606:4700::1111", 255),
            Frame::icmp(135, "fe80::10", "ff02::1:ff00:1", 64),
            // A report of group membership (RFC 3810).
            Frame::icmp(143, "fe80::10", "ff02::16", 1),
            // LLDP.
            Frame::marker().of_kind(0x88cc),
        ];
        let all = |world: &World, ear: &Ear| world.leaves(|| frames.iter().for_each(|f| ear.send(f)));
        for policy in [blocked(), connecting(), connected()] {
            world.load(&policy);
            assert_eq!(all(world, &Ear::on("eth0")), NOTHING);
            assert_eq!(all(world, &past_the_queue()), NOTHING);
        }
        // The rules against names and other frames stand alone.
        let opened = without_in(&connected(), &eth0(), "closed");
        assert_eq!(all(world.load_rules(&opened), &Ear::on("eth0")).len(), frames.len() - 2);
    });
}

/// A packet socket that hands its frames to the driver itself (PACKET_QDISC_BYPASS).
fn past_the_queue() -> Ear {
    let ear = Ear::on("eth0");
    let on: libc::c_int = 1;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    let (level, option) = (libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS);
    // SAFETY: `on` outlives the call and `len` is its size.
    let set = unsafe { libc::setsockopt(ear.fd().as_raw_fd(), level, option, (&raw const on).cast(), len) };
    assert_eq!(set, 0);
    ear
}

#[test]
fn a_packet_socket_keeps_the_allow_list() {
    in_world("packet_sockets::a_packet_socket_keeps_the_allow_list", |world| {
        let frames = [
            (Frame::udp("0.0.0.0", 68, "255.255.255.255", 67), "udp 255.255.255.255:67"),
            (Frame::udp("fe80::10", 546, "ff02::1:2", 547), "udp [ff02::1:2]:547"),
            (Frame::icmp(135, "fe80::10", "ff02::1:ff00:1", 255), "icmp6 135 ff02::1:ff00:1"),
            (Frame::udp(PI, 4242, NEIGHBOUR, 4242), "udp 192.168.1.66:4242"),
            // EAPOL.
            (Frame::marker().of_kind(0x888e), "kind 0x888e"),
        ];
        for policy in [blocked(), connecting(), connected()] {
            world.load(&policy);
            for (frame, summary) in &frames {
                assert_eq!(world.leaves(|| Ear::on("eth0").send(frame)), [*summary]);
            }
        }
    });
}

#[test]
fn a_packet_taken_for_something_else_is_dropped() {
    in_world("packet_sockets::a_packet_taken_for_something_else_is_dropped", |world| {
        const IPV6: u16 = 0x86dd;
        // An IPv4 packet whose bytes, read as IPv6, go to fe80::1, which is of the LAN.
        let lan6 = [&[0xfe, 0x80][..], &[0; 13], &[1]].concat();
        let body = [&[0x10, 0x92, 0x10, 0x92][..], &lan6, &[0; 8]].concat();
        let two_faced = Frame::ip(99, PI, BARE, 64, &body);
        let claims = |world: &World, kind| world.leaves(|| Ear::claiming("eth0", kind).send(&two_faced));
        world.load(&connected());
        for kind in [0x0800, IPV6, 0x0806, 0x888e] {
            assert_eq!(claims(world, kind), NOTHING, "{kind:#06x}");
        }
        world.load_rules(&without_in(&connected(), &eth0(), "disguised"));
        assert_eq!(claims(world, IPV6), ["protocol 99 8.8.8.8"]);
    });
}

#[test]
fn later_fragments_of_encrypted_packets_leave() {
    in_world("packet_sockets::later_fragments_of_encrypted_packets_leave", |world| {
        let big = |world: &World| {
            let fragments = world.frames("eth0", "isp", || send_big("203.0.113.11:51820"));
            fragments.iter().filter(|f| f.packet().is_some_and(|(_, protocol, ..)| protocol == 17)).count()
        };
        assert_eq!(big(world.load(&connected())), 3);
        assert_eq!(big(world.load_rules(&without_in(&connected(), &eth0(), "encrypted, fragment"))), 1);
        assert_eq!(big(world.load(&blocked())), 0);
    });
}

/// Sends a marked datagram of 4,000 bytes, which takes three frames.
fn send_big(to: &str) {
    let to: SocketAddr = to.parse().unwrap();
    let egress = marked(TUNNEL_MARK);
    let fd = pvpn::sys::socket::open(true, SockType::Datagram, SockFlag::empty(), None, &egress).unwrap();
    let _ = socket::sendto(fd.as_raw_fd(), &[0xa5; 4000], &SockaddrStorage::from(to), MsgFlags::empty());
}

#[test]
fn a_packet_that_another_programs_rules_send_another_way_gets_no_further() {
    in_world(
        "packet_sockets::a_packet_that_another_programs_rules_send_another_way_gets_no_further",
        |world| {
            // Split tunnelling by a mark: before our chain, which is still told the tunnel's link, and behind it.
            run("ip rule add fwmark 7 lookup 77 priority 50");
            run("ip route add default via 192.168.1.1 dev eth0 table 77");
            let probe = || send_udp("198.51.100.7:4242", &plain());
            for priority in ["-150", "150"] {
                run("nft add table ip split");
                let chain = format!("{{ type route hook output priority {priority} ; }}");
                run(&format!("nft add chain ip split out {chain}"));
                run("nft add rule ip split out meta mark set 7");
                assert_eq!(world.load(&connected()).leaves(probe), NOTHING, "{priority}");
                world.load_rules(&without_in(&connected(), &eth0(), "closed"));
                assert_eq!(world.leaves(probe), ["udp 198.51.100.7:4242"], "{priority}");
                run("nft delete table ip split");
            }
        },
    );
}

#[test]
fn a_mark_on_a_packet_socket_is_good_for_the_endpoint_alone() {
    in_world("packet_sockets::a_mark_on_a_packet_socket_is_good_for_the_endpoint_alone", |world| {
        world.load(&connected());
        let ear = Ear::on("eth0");
        setsockopt(ear.fd(), sockopt::Mark, &TUNNEL_MARK).unwrap();
        let sends = |to, port| world.leaves(|| ear.send(&Frame::udp(PI, 4242, to, port)));
        assert_eq!(sends("203.0.113.11", 51820), ["udp 203.0.113.11:51820"]);
        assert_eq!(sends("203.0.113.11", 53), NOTHING);
        assert_eq!(sends(BARE, 51820), NOTHING);
    });
}
