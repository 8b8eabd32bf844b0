//! L17 and L16: packets of containers and virtual machines.

use super::frame::Frame;
use super::policies::{blocked, connected, connecting, open, without, without_in};
use super::world::{BARE, NEIGHBOUR, PI, POD, TUNNEL_ADDRESS, TUNNELLED, World, write_sysctl};
use super::{NOTHING, in_world};
use crate::run;
use pvpn::firewall::Policy;
use pvpn::firewall::ruleset::Point;
use std::path::Path;

fn hookless(policy: Policy) -> Policy {
    policy.with_links(Vec::new())
}

#[test]
fn l17_a_container_gets_out_through_the_tunnel_alone() {
    in_world("forwarded::l17_a_container_gets_out_through_the_tunnel_alone", |world| {
        let bare = |world: &World| world.leaves(|| world.arrives("pod", &Frame::udp(POD, 4242, BARE, 4242)));
        let inside = |world: &World| {
            world.enters_tunnel(|| world.arrives("pod", &Frame::udp(POD, 4242, TUNNELLED, 4242)))
        };
        for policy in [blocked(), connecting(), connected()].map(hookless) {
            assert_eq!(bare(world.load(&policy)), NOTHING);
        }
        assert_eq!(inside(world.load(&connected())), ["udp 198.51.100.7:4242"]);
        assert_eq!(inside(world.load(&connecting())), NOTHING);
        world.load_rules(&without(&hookless(connected()), "closed"));
        assert_eq!(bare(world), ["udp 8.8.8.8:4242"]);
    });
}

#[test]
fn l17_an_address_of_the_lan_does_not_let_a_container_out() {
    in_world("forwarded::l17_an_address_of_the_lan_does_not_let_a_container_out", |world| {
        // Both ends must be of the LAN: one alone would be every container there is.
        let within = |world: &World| {
            let frame = Frame::udp(POD, 4242, NEIGHBOUR, 4242);
            world.leaves(|| world.arrives("pod", &frame))
        };
        assert_eq!(within(world.load(&connected())), ["udp 192.168.1.66:4242"]);
        let to_pod = Frame::udp(BARE, 4242, POD, 4242);
        assert_eq!(world.reaches_pod(|| world.arrives("isp", &to_pod)), NOTHING);
        world.load_rules(&without(&connected(), "closed"));
        assert_eq!(world.reaches_pod(|| world.arrives("isp", &to_pod)), ["udp 172.17.0.2:4242"]);
    });
}

#[test]
fn a_containers_packet_for_beyond_the_lan_does_not_pass_for_one_to_it() {
    in_world("forwarded::a_containers_packet_for_beyond_the_lan_does_not_pass_for_one_to_it", |world| {
        write_sysctl("ipv4/conf/all/accept_source_route", "1");
        // A neighbour is to send it on, or the Pi itself, which changes the destination behind this chain.
        let [by_neighbour, by_pi] =
            [NEIGHBOUR, "172.17.0.1"].map(|way| Frame::udp(POD, 4242, way, 4242).by_way_to(BARE));
        let both = |world: &World| {
            world.leaves(|| [&by_neighbour, &by_pi].into_iter().for_each(|f| world.arrives("pod", f)))
        };
        for policy in [blocked(), connecting(), connected()].map(hookless) {
            assert_eq!(both(world.load(&policy)), NOTHING);
        }
        world.load_rules(&without(&hookless(connected()), "source route"));
        assert_eq!(both(world), ["udp 192.168.1.66:4242", "udp 8.8.8.8:4242"]);
    });
}

#[test]
fn a_container_asks_the_resolver_in_use_for_names() {
    in_world("forwarded::a_container_asks_the_resolver_in_use_for_names", |world| {
        let asks = |world: &World| {
            let mut seen = Vec::new();
            for resolver in ["10.2.0.1", "198.51.100.53"] {
                let frame = Frame::udp(POD, 4242, resolver, 53);
                seen.extend(world.enters_tunnel(|| world.arrives("pod", &frame)));
            }
            let lan = Frame::udp(POD, 4242, "192.168.1.1", 53);
            seen.extend(world.leaves(|| world.arrives("pod", &lan)));
            seen
        };
        assert_eq!(asks(world.load(&connected())), ["udp 10.2.0.1:53"]);
        world.load_rules(&without(&connected(), "names"));
        assert_eq!(asks(world), ["udp 10.2.0.1:53", "udp 198.51.100.53:53", "udp 192.168.1.1:53"]);
    });
}

#[test]
fn through_the_tunnel_a_container_gets_answers_and_its_published_port() {
    in_world("forwarded::through_the_tunnel_a_container_gets_answers_and_its_published_port", |world| {
        run("nft add table ip docker");
        run("nft add chain ip docker prerouting { type nat hook prerouting priority dstnat ; }");
        run("nft add rule ip docker prerouting udp dport 40123 dnat to 172.17.0.2:6881");
        run("nft add rule ip docker prerouting udp dport 8080 dnat to 172.17.0.2:80");
        let comes = |world: &World, frame: &Frame| world.reaches_pod(|| world.arrives("far", frame));
        let unasked = Frame::udp(TUNNELLED, 4242, POD, 4242);
        let forwarded = Frame::udp(TUNNELLED, 4243, TUNNEL_ADDRESS, 40123);
        let web = Frame::udp(TUNNELLED, 4244, TUNNEL_ADDRESS, 8080);
        for policy in [connected(), open()] {
            world.load(&policy);
            assert_eq!(comes(world, &unasked), NOTHING);
            assert_eq!(comes(world, &web), NOTHING);
            assert_eq!(comes(world, &forwarded), ["udp 172.17.0.2:6881"]);
            world.arrives("pod", &Frame::udp(POD, 4245, TUNNELLED, 4245));
            assert_eq!(comes(world, &Frame::udp(TUNNELLED, 4245, POD, 4245)), ["udp 172.17.0.2:4245"]);
        }
        assert_eq!(comes(world.load(&connecting()), &forwarded), NOTHING);
        world.load_rules(&without(&open(), "unasked"));
        assert_eq!(comes(world, &web), ["udp 172.17.0.2:80"]);
    });
}

#[test]
fn a_resolver_in_a_container_serves_the_lan() {
    in_world("forwarded::a_resolver_in_a_container_serves_the_lan", |world| {
        run("nft add table ip docker");
        run("nft add chain ip docker prerouting { type nat hook prerouting priority dstnat ; }");
        run("nft add rule ip docker prerouting udp dport 53 dnat to 172.17.0.2:53");
        world.load(&connected());
        let ask =
            |world: &World, from| world.reaches_pod(|| world.arrives("isp", &Frame::udp(from, 4242, PI, 53)));
        assert_eq!(ask(world, NEIGHBOUR), ["udp 172.17.0.2:53"]);
        assert_eq!(ask(world, BARE), NOTHING);
        let answer = Frame::udp(POD, 53, NEIGHBOUR, 4242);
        let answers = |world: &World| world.leaves(|| world.arrives("pod", &answer));
        assert_eq!(answers(world), ["udp 192.168.1.66:4242"]);

        // Also where the owner's LAN does not name the container's network: but nothing else is let pass for that.
        let mut policy = connected();
        policy.lan = vec!["192.168.1.0/24".parse().unwrap()];
        world.load(&policy);
        assert_eq!(ask(world, NEIGHBOUR), ["udp 172.17.0.2:53"]);
        assert_eq!(answers(world), ["udp 192.168.1.66:4242"]);
        assert_eq!(ask(world, BARE), NOTHING);
        let other = Frame::udp(POD, 54, NEIGHBOUR, 4242);
        assert_eq!(world.leaves(|| world.arrives("pod", &other)), NOTHING);
    });
}

#[test]
fn l16_segments_are_cut_to_what_fits_the_tunnel() {
    in_world("forwarded::l16_segments_are_cut_to_what_fits_the_tunnel", |world| {
        let segment_size = |world: &World| {
            let syn = Frame::syn(POD, 4242, TUNNELLED, 443);
            let frames = world.frames("wgp0", "far", || world.arrives("pod", &syn));
            let (_, protocol, _, tcp) = frames[0].packet().unwrap();
            assert_eq!((protocol, tcp[20], tcp[21]), (6, 2, 4), "the option of RFC 9293 section 3.2");
            u16::from_be_bytes([tcp[22], tcp[23]])
        };
        for policy in [connected(), open()] {
            assert_eq!(segment_size(world.load(&policy)), 1380, "1420 less two headers of 20 bytes");
        }
        world.load_rules(&without_in(&connected(), &Point::Postrouting, "segment size"));
        assert_eq!(segment_size(world), 1460);
    });
}

#[test]
fn l17_a_bridged_machine_gets_as_far_as_the_lan() {
    in_world("forwarded::l17_a_bridged_machine_gets_as_far_as_the_lan", |world| {
        run("ip link add br0 type bridge");
        run("ip link add vm0 type veth peer name vm");
        for setting in
            ["ipv6/conf/vm/disable_ipv6", "ipv6/conf/vm0/disable_ipv6", "ipv6/conf/br0/disable_ipv6"]
        {
            write_sysctl(setting, "1");
        }
        for port in ["eth0", "vm0"] {
            run(&format!("ip link set {port} master br0"));
        }
        for link in ["br0", "vm0", "vm"] {
            run(&format!("ip link set {link} up"));
        }
        // To the router's station, past the routes and chains of the Pi.
        let sends = |world: &World, to: &str| {
            let frame = Frame::udp("192.168.1.50", 4242, to, 4242).at_station(1);
            world.leaves(|| super::world::Ear::on("vm").send(&frame))
        };
        let hook = Point::Egress("eth0".to_owned());
        // Without and with br_netfilter, which shows bridged packets to the forward chain.
        for (call_chains, chain) in [("0", hook.clone()), ("1", Point::Forward)] {
            if Path::new("/proc/sys/net/bridge").exists() {
                write_sysctl("bridge/bridge-nf-call-iptables", call_chains);
            } else if call_chains == "1" {
                break;
            }
            for policy in [blocked(), connecting(), connected()] {
                world.load(&policy);
                assert_eq!(sends(world, BARE), NOTHING);
                assert_eq!(sends(world, NEIGHBOUR), ["udp 192.168.1.66:4242"]);
            }
            // The other chain stands alone, or is not asked.
            world.load_rules(&without_in(&connected(), &chain, "closed"));
            assert_eq!(sends(world, BARE).is_empty(), call_chains == "1");
        }
        world.load_rules(&without(&connected(), "closed"));
        assert_eq!(sends(world, BARE), ["udp 8.8.8.8:4242"]);
    });
}
