//! The servers of the model, as a folder of `.conf` files would name them.

use super::SERVERS;
use pvpn::config::Fastest;
use pvpn::config::secret::{PublicKey, SecretKey};
use pvpn::daemon::phase::Ready;
use pvpn::daemon::wish::Wish;
use pvpn::provider::{Connection, Country, Endpoint, Features, PortHold, ProviderKind, Server};
use pvpn::tunnel::{Peer, Table, Tunnel};
use std::net::SocketAddr;

pub fn wish(cc: &str, ks: bool) -> Wish {
    Wish {
        provider: ProviderKind::File,
        cc: Country::parse(cc).into_iter().collect(),
        city: None,
        regions: vec![],
        server: None,
        secure_core: false,
        p2p: false,
        fastest: Fastest::Ping,
        threshold: 60,
        latency_cutoff: None,
        dns: true,
        ks,
    }
}

pub fn endpoint(last: u8) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, last], 51820))
}

pub fn last_byte(server: &Server) -> u8 {
    server.id.parse().expect("a server of this file")
}

pub fn server(last: u8) -> Server {
    let cc = SERVERS.iter().find(|(_, l)| *l == last).map_or("NL", |(cc, _)| *cc);
    Server {
        provider: ProviderKind::File,
        id: last.to_string(),
        name: format!("{cc}#{last}"),
        host: None,
        country: Country::parse(cc),
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr(endpoint(last)),
        tcp_probe: None,
        exit_address: None,
    }
}

pub fn ready(last: u8) -> Ready {
    let peer = Peer {
        public_key: PublicKey([last; 32]),
        preshared_key: None,
        endpoint: Some(Endpoint::Addr(endpoint(last))),
        allowed_ips: vec!["0.0.0.0/0".parse().expect("a network")],
        keepalive: None,
    };
    let tunnel = Tunnel {
        private_key: SecretKey::new([1; 32]),
        addresses: vec!["10.2.0.2/32".parse().expect("an address")],
        dns: vec![[10, 2, 0, 1].into()],
        search_domains: vec![],
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![peer],
    };
    let port = PortHold::NatPmp { gateway: [10, 2, 0, 1].into() };
    Ready {
        connection: Connection { server: server(last), tunnel, port },
        endpoints: vec![Some(endpoint(last))],
    }
}
