use super::*;
use crate::sys::fake::FakeMachine;
use crate::sys::files::fake::FakeFiles;
use crate::sys::net::fake::FakeNet;

fn machine(settings: &[(&str, &str)]) -> FakeMachine {
    FakeMachine::new(FakeNet::new(), FakeFiles::new(settings))
}

#[test]
fn a_fresh_machine_has_no_device_and_says_what_its_path_carries() {
    let sys = machine(&[("/proc/sys/net/ipv6/conf/default/disable_ipv6", "0\n")]);
    let endpoints =
        [None, Some("203.0.113.11:51820".parse().unwrap()), Some("[2001:db8::1]:51820".parse().unwrap())];
    let found = find(&sys, "wgpnl", &endpoints, 0x1076).unwrap();
    assert_eq!((found.device, found.endpoint_mtu), (None, Some(1500)));
    assert!(found.has_ipv6 && found.allows_ipv6 && !found.checks_marks);
}

#[test]
fn a_device_is_read_and_settings_count() {
    let sys = machine(&[
        ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1\n"),
        ("/proc/sys/net/ipv4/conf/all/src_valid_mark", "1\n"),
    ]);
    sys.kernel().add_wireguard_link("wgpnl", 1420).unwrap();
    sys.kernel().with(|s| s.rules.retain(|r| r.ipv4));
    let found = find(&sys, "wgpnl", &[], 0x1076).unwrap();
    assert_eq!(found.device.unwrap().name, "wgpnl");
    assert!(!found.has_ipv6 && !found.allows_ipv6 && found.checks_marks);
    assert_eq!(found.endpoint_mtu, None);
}

#[test]
fn the_reverse_path_check_is_the_greater_of_two_settings() {
    let check = |settings: &[(&str, &str)]| {
        let paths: Vec<(String, &str)> = settings
            .iter()
            .map(|(link, n)| (format!("/proc/sys/net/ipv4/conf/{link}/rp_filter"), *n))
            .collect();
        let paths: Vec<(&str, &str)> = paths.iter().map(|(path, n)| (path.as_str(), *n)).collect();
        find(&machine(&paths), "wgpnl", &[], 0x1076).unwrap().is_strict
    };
    assert!(!check(&[]));
    assert!(check(&[("all", "1"), ("default", "0")]));
    assert!(check(&[("all", "0"), ("default", "1")]));
    assert!(!check(&[("all", "0"), ("default", "0")]));
    assert!(!check(&[("all", "0"), ("default", "1"), ("wgpnl", "0")]));
    assert!(!check(&[("all", "1"), ("default", "1"), ("wgpnl", "2")]));
    assert!(!check(&[("all", "2"), ("default", "1")]));
}
