//! DNS and DNS over TLS: the resolver in use and no other.

use super::policies::{blocked, connected, connecting, own_resolver, without};
use super::world::{bound, plain, send_syn, send_udp};
use super::{NOTHING, in_world};

#[test]
fn l12_the_lans_resolver_is_out_of_bounds() {
    in_world("names::l12_the_lans_resolver_is_out_of_bounds", |world| {
        let ask = || {
            send_udp("192.168.1.1:53", &plain());
            send_syn("192.168.1.1:53", &plain());
            send_syn("192.168.1.1:853", &plain());
            send_udp("192.168.1.1:853", &bound());
        };
        for policy in [blocked(), connecting(), connected()] {
            assert_eq!(world.load(&policy).leaves(ask), NOTHING);
            assert_eq!(world.leaves(|| send_udp("192.168.1.1:54", &plain())), ["udp 192.168.1.1:54"]);
        }
        world.load_rules(&without(&connected(), "names"));
        let leaked =
            ["udp 192.168.1.1:53", "tcp 192.168.1.1:53", "tcp 192.168.1.1:853", "udp 192.168.1.1:853"];
        assert_eq!(world.leaves(ask), leaked);
    });
}

#[test]
fn l14_inside_the_tunnel_only_its_resolver_is_asked() {
    in_world("names::l14_inside_the_tunnel_only_its_resolver_is_asked", |world| {
        let around = || {
            send_udp("198.51.100.53:53", &plain());
            send_syn("198.51.100.53:53", &plain());
            send_syn("198.51.100.53:853", &plain());
            send_udp("[2a07:b944::53]:53", &plain());
        };
        world.load(&connected());
        assert_eq!(world.enters_tunnel(around), NOTHING);
        let ask = || {
            send_udp("10.2.0.1:53", &plain());
            send_syn("10.2.0.1:853", &plain());
        };
        assert_eq!(world.enters_tunnel(ask), ["udp 10.2.0.1:53", "tcp 10.2.0.1:853"]);
        assert_eq!(
            world.enters_tunnel(|| send_udp("198.51.100.53:4242", &plain())),
            ["udp 198.51.100.53:4242"]
        );
        world.load_rules(&without(&connected(), "names"));
        assert_eq!(world.enters_tunnel(around).len(), 4);
    });
}

#[test]
fn the_tunnels_resolver_is_not_asked_past_the_tunnel() {
    in_world("names::the_tunnels_resolver_is_not_asked_past_the_tunnel", |world| {
        // The LAN has the resolver's address as well.
        let mut policy = connected();
        policy.lan.push("10.0.0.0/8".parse().unwrap());
        assert_eq!(world.load(&policy).leaves(|| send_udp("10.2.0.1:53", &bound())), NOTHING);
        assert_eq!(world.leaves(|| send_udp("10.2.0.1:54", &bound())), ["udp 10.2.0.1:54"]);
    });
}

#[test]
fn the_machines_own_resolvers_stay_usable_when_asked_for() {
    in_world("names::the_machines_own_resolvers_stay_usable_when_asked_for", |world| {
        world.load(&own_resolver());
        let ask = || {
            send_udp("192.168.1.1:53", &plain());
            send_syn("9.9.9.9:853", &plain());
            send_udp("[2620:fe::fe]:53", &plain());
        };
        assert_eq!(world.leaves(ask), ["udp 192.168.1.1:53", "tcp 9.9.9.9:853", "udp [2620:fe::fe]:53"]);
        let others = || {
            send_udp("192.168.1.2:53", &plain());
            send_udp("8.8.8.8:53", &plain());
            send_udp("9.9.9.9:443", &plain());
        };
        assert_eq!(world.leaves(others), NOTHING);
        assert_eq!(world.enters_tunnel(|| send_udp("198.51.100.53:53", &plain())), NOTHING);
    });
}
