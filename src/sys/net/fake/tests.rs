use super::*;
use crate::sys::netlink::errno;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

#[test]
fn a_fresh_machine_prints_what_dhcp_set_up() {
    let text = "\
address 192.168.1.2/24 dev eth0
link eth0 mtu 1500 up
link lo mtu 65536 up
route 0.0.0.0/0 via 192.168.1.1 dev eth0 table 254
route 192.168.1.0/24 dev eth0 src 192.168.1.2 table 254
rule -4 0: from all lookup 255
rule -4 32766: from all lookup 254
rule -4 32767: from all lookup 253
rule -6 0: from all lookup 255
rule -6 32766: from all lookup 254
";
    assert_eq!(FakeNet::new().to_string(), text);
}

#[test]
fn surprise_calls_fail_as_in_linux() {
    let fake = FakeNet::new();
    let route = Route::by("wgpnl", net("0.0.0.0/0"), 4214);
    assert_eq!(errno(&fake.replace_route(&route).unwrap_err()), Some(libc::ENODEV));
    fake.add_wireguard_link("wgpnl", 1420).unwrap();
    assert_eq!(errno(&fake.add_wireguard_link("wgpnl", 1420).unwrap_err()), Some(libc::EEXIST));
    assert_eq!(errno(&fake.replace_route(&route).unwrap_err()), Some(libc::ENETDOWN));
    fake.set_link_up("wgpnl", true).unwrap();
    fake.replace_route(&route).unwrap();
    assert!(fake.set_wireguard("eth0", &DeviceChange::default()).is_err());
    assert_eq!(errno(&fake.set_mtu("wgpxx", 1420).unwrap_err()), Some(libc::ENODEV));
}

#[test]
fn a_deleted_link_takes_along_what_stood_on_it() {
    let fake = FakeNet::new();
    let before = fake.to_string();
    fake.add_wireguard_link("wgpnl", 1420).unwrap();
    fake.set_link_up("wgpnl", true).unwrap();
    fake.add_address(&Address { device: "wgpnl".to_owned(), net: net("10.2.0.2/32") }).unwrap();
    fake.replace_route(&Route::by("wgpnl", net("0.0.0.0/0"), 4214)).unwrap();
    assert_ne!(fake.to_string(), before);
    fake.delete_link("wgpnl").unwrap();
    fake.delete_link("wgpnl").unwrap();
    assert_eq!(fake.to_string(), before);
}

#[test]
fn packets_follow_rules_by_mark() {
    let fake = FakeNet::new();
    let world = "203.0.113.9".parse().unwrap();
    fake.replace_route(&Route::unreachable(net("0.0.0.0/0"), 4214)).unwrap();
    let others = Rule { mark: Some((0x1076, u32::MAX)), invert: true, ..Rule::to_table(true, 4214, 4214) };
    fake.add_rule(&others).unwrap();
    assert_eq!(errno(&fake.route_to(world, 0).unwrap_err()), Some(libc::ENETUNREACH));
    assert_eq!(fake.route_to(world, 0x1076).unwrap().device, "eth0");
}

#[test]
fn the_chosen_call_fails_and_changes_nothing() {
    let fake = FakeNet::new();
    let before = fake.to_string();
    fake.with(|s| s.failing_call = Some(0));
    assert_eq!(errno(&fake.add_wireguard_link("wgpnl", 1420).unwrap_err()), Some(libc::EIO));
    assert_eq!(fake.to_string(), before);
    fake.add_wireguard_link("wgpnl", 1420).unwrap();
    assert_eq!(fake.with(|s| s.calls.len()), 2);
}
