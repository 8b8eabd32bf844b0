use super::*;
use crate::time::secs;

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn peer(n: u8) -> PeerConfig {
    PeerConfig {
        public_key: PublicKey([n; 32]),
        preshared_key: Some(SecretKey::new([5; 32])),
        endpoint: Some("203.0.113.11:51820".parse().unwrap()),
        keepalive: Some(secs(25)),
        allowed_ips: vec![net("0.0.0.0/0"), net("::/0")],
    }
}

fn config(peers: Vec<PeerConfig>) -> DeviceConfig {
    DeviceConfig { private_key: SecretKey::new([9; 32]), listen_port: None, fwmark: 0x1076, peers }
}

/// What a kernel shows that holds this.
fn shown(config: &DeviceConfig) -> Device {
    let peers = config.peers.iter().map(|p| PeerState {
        public_key: p.public_key,
        preshared_key: p.preshared_key.clone(),
        endpoint: p.endpoint,
        last_handshake: Some(secs(1_780_000_000)),
        rx_bytes: 1,
        tx_bytes: 2,
        keepalive: p.keepalive,
        allowed_ips: p.allowed_ips.iter().rev().copied().collect(),
    });
    Device {
        index: 7,
        name: "wgpnl".to_owned(),
        private_key: Some(config.private_key.clone()),
        public_key: Some(PublicKey([8; 32])),
        listen_port: 43_210,
        fwmark: config.fwmark,
        peers: peers.collect(),
    }
}

#[test]
fn a_device_that_is_so_already_needs_no_change() {
    let config = config(vec![peer(1), peer(2)]);
    assert!(config.is_shown_by(&shown(&config)));
}

#[test]
fn a_port_that_the_kernel_chose_is_kept_and_a_wanted_one_set() {
    let mut config = config(vec![peer(1)]);
    let device = shown(&config);
    config.listen_port = Some(51_820);
    let change = DeviceChange { listen_port: Some(51_820), ..DeviceChange::default() };
    assert_eq!(config.change_from(&device), change);
}

#[test]
fn every_difference_of_a_peer_is_seen() {
    let config = config(vec![peer(1)]);
    type Edit = fn(&mut PeerState);
    let edits: [Edit; 6] = [
        |p| p.preshared_key = None,
        |p| p.endpoint = Some("203.0.113.12:51820".parse().unwrap()),
        |p| p.endpoint = None,
        |p| p.keepalive = None,
        |p| p.allowed_ips.truncate(1),
        |p| p.allowed_ips.push(IpNet { addr: [10, 0, 0, 0].into(), prefix: 8 }),
    ];
    for (i, edit) in edits.into_iter().enumerate() {
        let mut device = shown(&config);
        edit(&mut device.peers[0]);
        assert_eq!(config.change_from(&device).peers, [PeerChange::Set(peer(1))], "edit {i}");
    }
}

#[test]
fn counters_and_host_bits_are_no_difference() {
    let mut config = config(vec![peer(1)]);
    let mut device = shown(&config);
    device.peers[0].rx_bytes = 99;
    config.peers[0].allowed_ips = vec![net("0.0.0.7/0"), net("::/0"), net("::/0")];
    assert!(config.is_shown_by(&device));
}

#[test]
fn an_equal_peer_is_not_named_when_another_takes_a_place() {
    let device = shown(&config(vec![peer(1), peer(2)]));
    let change = config(vec![peer(1), peer(3)]).change_from(&device);
    assert_eq!(change.peers, [PeerChange::Set(peer(3)), PeerChange::Remove(PublicKey([2; 32]))]);
    assert_eq!((change.private_key, change.fwmark), (None, None));
}

#[test]
fn a_peer_without_endpoint_keeps_the_one_it_roamed_to() {
    let mut config = config(vec![peer(1)]);
    let device = shown(&config);
    config.peers[0].endpoint = None;
    assert!(config.is_shown_by(&device));
}

#[test]
fn other_keys_and_marks_are_set() {
    let device = shown(&config(vec![peer(1)]));
    let other = DeviceConfig { private_key: SecretKey::new([1; 32]), fwmark: 9, ..config(vec![peer(1)]) };
    let change = other.change_from(&device);
    assert_eq!((change.private_key, change.fwmark), (Some(SecretKey::new([1; 32])), Some(9)));
    assert!(change.peers.is_empty());
}

#[test]
fn a_restart_removes_before_it_adds() {
    let change = DeviceChange::restart(peer(1));
    assert_eq!(change.peers, [PeerChange::Remove(PublicKey([1; 32])), PeerChange::Set(peer(1))]);
}
