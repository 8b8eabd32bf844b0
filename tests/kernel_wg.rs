//! WireGuard in a real kernel: what is set is read back, and a change in place leaves other peers alone. Two devices of
//! one private namespace talk over its loopback. A kernel without WireGuard is said and skipped.
//!
//! `ip` is needed, not `wg`. Everything runs as root of a user namespace, so the module has to be loaded beforehand
//! (`modprobe wireguard`).

#[path = "netns/namespace.rs"]
mod namespace;

use namespace::{in_namespace, run};
use pvpn::address::IpNet;
use pvpn::config::secret::{PublicKey, SecretKey};
use pvpn::sys::net::{Kernel, Net};
use pvpn::sys::netlink::errno;
use pvpn::time::secs;
use pvpn::tunnel::device::{Device, DeviceChange, DeviceConfig, PeerConfig};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const A_PORT: u16 = 51001;
const B_PORT: u16 = 51002;

/// Runs `story` where there is WireGuard.
fn with_wireguard(test: &str, story: impl FnOnce(&Kernel)) {
    in_namespace(test, || {
        run("ip link set lo up");
        let kernel = Kernel::new();
        match kernel.add_wireguard_link("wga", 1420) {
            Err(e) if errno(&e) == Some(libc::EOPNOTSUPP) => println!("skipped: {e}"),
            made => {
                made.unwrap();
                story(&kernel);
            }
        }
    });
}

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

/// The kernel clamps private keys (curve25519), so these are clamped already.
fn secret(n: u8) -> SecretKey {
    let mut key = [n; 32];
    key[0] &= 248;
    key[31] = (key[31] & 127) | 64;
    SecretKey::new(key)
}

fn peer(key: PublicKey, port: u16) -> PeerConfig {
    PeerConfig {
        public_key: key,
        preshared_key: Some(SecretKey::new([5; 32])),
        endpoint: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        keepalive: Some(secs(1)),
        allowed_ips: vec![net("10.99.0.0/16")],
    }
}

fn config(n: u8, port: u16, peers: Vec<PeerConfig>) -> DeviceConfig {
    DeviceConfig { private_key: secret(n), listen_port: Some(port), fwmark: 0x1076, peers }
}

/// Sets the device to this; what the kernel shows then.
fn set(kernel: &Kernel, link: &str, config: &DeviceConfig) -> Device {
    let change = config.change_from(&kernel.wireguard(link).unwrap());
    kernel.set_wireguard(link, &change).unwrap();
    let shown = kernel.wireguard(link).unwrap();
    assert!(config.is_shown_by(&shown), "{shown:?}");
    shown
}

/// Reads the device until it is as wished. The kernel works by itself, so this is the one place that waits.
fn wait_for(kernel: &Kernel, link: &str, what: &str, is_so: impl Fn(&Device) -> bool) -> Device {
    let limit = Instant::now() + Duration::from_secs(90);
    loop {
        let device = kernel.wireguard(link).unwrap();
        if is_so(&device) {
            return device;
        }
        assert!(Instant::now() < limit, "{what}: {device:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// `wga` and `wgb`, each the other's peer, up.
fn pair(kernel: &Kernel) -> (PublicKey, PublicKey) {
    kernel.add_wireguard_link("wgb", 1420).unwrap();
    let a = set(kernel, "wga", &config(1, A_PORT, Vec::new())).public_key.unwrap();
    let b = set(kernel, "wgb", &config(2, B_PORT, Vec::new())).public_key.unwrap();
    set(kernel, "wga", &config(1, A_PORT, vec![peer(b, B_PORT)]));
    set(kernel, "wgb", &config(2, B_PORT, vec![peer(a, A_PORT)]));
    kernel.set_link_up("wga", true).unwrap();
    kernel.set_link_up("wgb", true).unwrap();
    (a, b)
}

#[test]
fn what_is_set_is_read_back() {
    with_wireguard("what_is_set_is_read_back", |kernel| {
        let fresh = kernel.wireguard("wga").unwrap();
        assert_eq!((fresh.private_key, fresh.public_key, fresh.peers.len()), (None, None, 0));
        let v6 = PeerConfig {
            endpoint: Some("[2001:db8::1]:51820".parse().unwrap()),
            preshared_key: None,
            keepalive: None,
            allowed_ips: vec![net("0.0.0.0/0"), net("::/0"), net("10.2.0.0/16")],
            ..peer(PublicKey([4; 32]), 1)
        };
        let quiet = PeerConfig { endpoint: None, allowed_ips: Vec::new(), ..peer(PublicKey([6; 32]), 1) };
        let config = config(1, A_PORT, vec![peer(PublicKey([3; 32]), 7), v6, quiet]);
        let shown = set(kernel, "wga", &config);
        assert_eq!((shown.name.as_str(), shown.listen_port, shown.fwmark), ("wga", A_PORT, 0x1076));
        assert_eq!(shown.peers.len(), 3);
        assert!(shown.peers.iter().all(|p| p.last_handshake.is_none()));
        let link = kernel.links().unwrap().into_iter().find(|l| l.name == "wga").unwrap();
        assert!(link.is_wireguard() && link.index == shown.index && !link.up && link.mtu == 1420);
        kernel.delete_link("wga").unwrap();
        assert_eq!(errno(&kernel.wireguard("wga").unwrap_err()), Some(libc::ENODEV));
    });
}

#[test]
fn refusals_keep_their_errno() {
    with_wireguard("refusals_keep_their_errno", |kernel| {
        assert_eq!(errno(&kernel.add_wireguard_link("wga", 1420).unwrap_err()), Some(libc::EEXIST));
        let change = DeviceChange { fwmark: Some(1), ..DeviceChange::default() };
        assert_eq!(errno(&kernel.set_wireguard("wgx", &change).unwrap_err()), Some(libc::ENODEV));
        assert_eq!(errno(&kernel.set_wireguard("lo", &change).unwrap_err()), Some(libc::EOPNOTSUPP));
        assert_eq!(errno(&kernel.wireguard("lo").unwrap_err()), Some(libc::EOPNOTSUPP));
    });
}

#[test]
fn a_device_that_fills_many_messages_is_read_whole() {
    with_wireguard("a_device_that_fills_many_messages_is_read_whole", |kernel| {
        let many = |n: u32| (0..n).map(|i| IpNet::host(Ipv4Addr::from_bits(0x0a00_0000 + i).into()));
        let mut peers =
            vec![PeerConfig { allowed_ips: many(4_000).collect(), ..peer(PublicKey([200; 32]), 1) }];
        for n in 0..150u8 {
            let key = PublicKey([n + 1; 32]);
            peers.push(PeerConfig {
                allowed_ips: vec![IpNet::host(Ipv4Addr::new(172, 16, n, 1).into())],
                ..peer(key, 1)
            });
        }
        let shown = set(kernel, "wga", &config(1, A_PORT, peers));
        assert_eq!(shown.peers.len(), 151);
    });
}

#[test]
fn peers_shake_hands_and_a_change_in_place_keeps_the_session() {
    with_wireguard("peers_shake_hands_and_a_change_in_place_keeps_the_session", |kernel| {
        let (_, b) = pair(kernel);
        let session = |d: &Device| d.peers.iter().find(|p| p.public_key == b).and_then(|p| p.last_handshake);
        let before = session(&wait_for(kernel, "wga", "a handshake", |d| session(d).is_some()));

        // Another peer comes, goes, and the keepalive of the first changes: its session stays.
        let other = PeerConfig { allowed_ips: vec![net("10.98.0.0/16")], ..peer(PublicKey([3; 32]), 9) };
        let slower = PeerConfig { keepalive: Some(secs(25)), ..peer(b, B_PORT) };
        let mut config = config(1, A_PORT, vec![peer(b, B_PORT), other]);
        assert_eq!(session(&set(kernel, "wga", &config)), before);
        config.peers = vec![slower];
        let shown = set(kernel, "wga", &config);
        assert_eq!((session(&shown), shown.peers.len()), (before, 1));
        assert!(config.change_from(&shown).is_empty());
    });
}

#[test]
fn a_restarted_peer_begins_a_handshake_of_its_own() {
    with_wireguard("a_restarted_peer_begins_a_handshake_of_its_own", |kernel| {
        let (_, b) = pair(kernel);
        let session = |d: &Device| d.peers.iter().find(|p| p.public_key == b).and_then(|p| p.last_handshake);
        let before = session(&wait_for(kernel, "wga", "a handshake", |d| session(d).is_some()));
        kernel.set_wireguard("wga", &DeviceChange::restart(peer(b, B_PORT))).unwrap();
        assert!(kernel.wireguard("wga").unwrap().peers.len() == 1);
        wait_for(kernel, "wga", "another handshake", |d| session(d).is_some_and(|at| Some(at) > before));
    });
}

#[test]
fn addresses_move_from_the_old_peer_to_the_one_that_comes() {
    with_wireguard("addresses_move_from_the_old_peer_to_the_one_that_comes", |kernel| {
        let to_all =
            |n: u8| PeerConfig { allowed_ips: vec![net("0.0.0.0/0")], ..peer(PublicKey([n; 32]), n.into()) };
        set(kernel, "wga", &config(1, A_PORT, vec![to_all(3)]));
        let shown = set(kernel, "wga", &config(1, A_PORT, vec![to_all(4)]));
        assert_eq!(shown.peers.len(), 1);
        assert_eq!(shown.peers[0].allowed_ips, [net("0.0.0.0/0")]);
    });
}
