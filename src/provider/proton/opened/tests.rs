use super::super::scene::Scene;
use super::*;
use crate::config::secret::{PublicKey, SecretKey};
use crate::config::wgconf;
use crate::provider::{Features, ProviderKind};

const WISHES: Wishes = Wishes { netshield: 1, vpn_accelerator: false, port_forwarding: true };

fn server() -> Server {
    Server {
        provider: ProviderKind::Proton,
        id: "US-TX#211@203.0.113.11".to_owned(),
        name: "US-TX#211".to_owned(),
        host: None,
        country: None,
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features { p2p: true, forwards: Some(true), ..Features::default() },
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

fn account(max_tier: u8) -> Account {
    Account {
        plan: "Proton Free".to_owned(),
        max_tier,
        max_connect: 1,
        is_locked: false,
        read_at: Default::default(),
    }
}

#[test]
fn the_conf_reads_back_as_the_same_tunnel() {
    let scene = Scene::new("conf");
    let proton = scene.proton("");
    let key = KeyFile { user: String::new(), seed: Seed::new([7; 32]), certificate: None };
    for has_ipv6 in [false, true] {
        let entry =
            Entry { public_key: PublicKey([9; 32]), address: Ipv4Addr::new(203, 0, 113, 11), has_ipv6 };
        let tunnel = proton.tunnel(&key, &entry);
        assert_eq!((tunnel.carries(true), tunnel.carries(false)), (true, has_ipv6));
        let text = conf_text(&server(), &tunnel, Some(WISHES), "pvpn box");
        assert!(text.contains("# Key for pvpn box\n# NetShield = 1\n"), "{}", *text);
        assert!(text.contains("# NAT-PMP (Port Forwarding) = on\n# VPN Accelerator = off\n"));
        assert!(text.contains("\n[Peer]\n# US-TX#211\n"));
        let again = wgconf::parse(&text).unwrap();
        assert_eq!(again.tunnel, tunnel);
    }
}

#[test]
fn the_tunnels_key_is_not_the_seed() {
    let scene = Scene::new("seed");
    let key = KeyFile { user: String::new(), seed: Seed::new([7; 32]), certificate: None };
    let entry = Entry { public_key: PublicKey([9; 32]), address: Ipv4Addr::LOCALHOST, has_ipv6: false };
    let tunnel = scene.proton("").tunnel(&key, &entry);
    assert_ne!(tunnel.private_key, SecretKey::new([7; 32]));
}

#[test]
fn file_names_are_plain() {
    assert_eq!(conf_name("NL#12"), "NL-12.conf");
    assert_eq!(conf_name("FR#13-TOR"), "FR-13-TOR.conf");
    assert_eq!(conf_name("../etc/x y"), "---etc-x-y.conf");
}

#[test]
fn a_port_is_promised_only_where_plan_server_and_certificate_allow_it() {
    let held = |server: &Server, tier, forwards| {
        let certificate = Certificate {
            wishes: WISHES,
            forwards,
            issued_at: Default::default(),
            renew_at: Default::default(),
            expires_at: Default::default(),
        };
        match port_hold(server, &account(tier), Some(&certificate)) {
            PortHold::NatPmp { gateway } => gateway.to_string(),
            PortHold::Unavailable(why) => why,
            PortHold::Pia { .. } => panic!("PIA"),
        }
    };
    let plain = Server { features: Features { forwards: Some(false), ..Features::default() }, ..server() };
    assert_eq!(held(&server(), 2, None), "10.2.0.1");
    assert_eq!(held(&server(), 2, Some(true)), "10.2.0.1");
    assert_eq!(held(&server(), 0, None), "the plan (Proton Free) has no P2P servers and forwards no port");
    assert_eq!(held(&plain, 2, None), "US-TX#211 is not a P2P server: it forwards no port");
    assert_eq!(held(&server(), 2, Some(false)), "Proton gave the certificate without port forwarding");
}
