//! `sys::sent` against the kernel: whose packets through which link are heard.

use crate::{in_namespace, run};
use pvpn::sys::sent::Sent;
use std::net::UdpSocket;

#[test]
fn only_what_is_sent_through_the_interface_is_heard_and_its_end_is_told() {
    in_namespace("sent::only_what_is_sent_through_the_interface_is_heard_and_its_end_is_told", || {
        run("ip link set lo up");
        // Without IPv6 the kernel itself sends nothing through a link that comes up.
        run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1");
        for (name, peer, subnet) in [("wgp0", "far0", 2), ("eth0", "far1", 3)] {
            run(&format!("ip link add {name} type veth peer {peer}"));
            run(&format!("ip addr add 10.{subnet}.0.2/24 dev {name}"));
            run(&format!("ip link set {peer} up"));
            run(&format!("ip link set {name} up"));
            run(&format!("ip neigh add 10.{subnet}.0.1 lladdr 02:00:00:00:00:01 dev {name}"));
        }
        let send = |to: &str| {
            UdpSocket::bind("0.0.0.0:0").unwrap().send_to(b"hello", to).unwrap();
        };
        let sent = Sent::open("wgp0").unwrap();
        assert!(!sent.take().unwrap());
        send("10.3.0.1:9");
        send("127.0.0.1:9");
        assert!(!sent.take().unwrap(), "by another way");
        // What comes in by the interface: sent at its far end.
        run("ip addr add 10.4.0.1/24 dev far0");
        run("ip neigh add 10.4.0.9 lladdr 02:00:00:00:00:02 dev far0");
        send("10.4.0.9:9");
        assert!(!sent.take().unwrap(), "received, not sent");
        send("10.2.0.1:9");
        send("10.2.0.1:9");
        assert!(sent.take().unwrap());
        assert!(!sent.take().unwrap(), "told once");
        send("10.2.0.1:9");
        sent.discard();
        assert!(!sent.take().unwrap(), "our own");
        run("ip link delete wgp0");
        assert!(sent.take().is_err());
        assert!(Sent::open("wgp0").is_err());
    });
}
