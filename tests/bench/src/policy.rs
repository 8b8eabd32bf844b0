//! Changes of the kill switch's rules: from connecting to connected and back, as a switch of servers does it.

use pvpn::firewall::ruleset::Ruleset;
use pvpn::firewall::{DnsPolicy, Policy, TUNNEL_MARK, TunnelPolicy};
use pvpn::sys::nft;
use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

fn policies() -> Result<[Ruleset; 2], Box<dyn Error>> {
    let tunnel = TunnelPolicy {
        interface: "wgpnl".to_owned(),
        addresses: vec!["10.2.0.2/32".parse().map_err(|_| "address")?],
        mark: TUNNEL_MARK,
        endpoints: vec!["203.0.113.11:51820".parse()?],
        full: true,
        open: true,
        forwarded_port: Some(40123),
        mss_clamp: true,
    };
    let lan = vec!["192.168.1.0/24".parse().map_err(|_| "network")?];
    let dns = DnsPolicy::Tunnel(vec!["10.2.0.1".parse()?]);
    let connecting = Policy::connecting(lan.clone(), tunnel.clone()).with_own_sockets(true);
    Ok([connecting, Policy::connected(lan, tunnel, dns)].map(|p| Ruleset::of(&p)))
}

pub fn change(count: usize) -> Result<(), Box<dyn Error>> {
    let mut socket = nft::open()?;
    let rulesets = policies()?;
    for ruleset in rulesets.iter().cycle().take(count) {
        let begun = Instant::now();
        nft::load(&mut socket, ruleset)?;
        println!("{:.3}", begun.elapsed().as_secs_f64() * 1e3);
    }
    println!("{}", rulesets[1].tables.iter().flat_map(|t| &t.chains).map(|c| c.rules.len()).sum::<usize>());
    Ok(())
}

pub fn build_hot() -> Result<(), Box<dyn Error>> {
    for ruleset in policies()? {
        black_box(ruleset.batch(&Default::default()));
    }
    Ok(())
}
