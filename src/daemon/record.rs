//! What the next supervisor needs to adopt a running tunnel, written to `/run/pvpn/tunnel.json` (0600) whenever it
//! changes. Keys are not in it: the kernel has them. Everything the kernel can tell is read from the kernel.

use super::wish::{Text as WishText, Wish};
use crate::address::IpNet;
use crate::config::secret::PublicKey;
use crate::firewall::TunnelPolicy;
use crate::provider::{Country, Endpoint, Features, PortHold, Server};
use crate::time::UnixTime;
use crate::tunnel::Table;
use miniserde::{Deserialize, Serialize, json};
use std::net::{IpAddr, SocketAddr};

/// A connection that carries traffic.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub wish: Wish,
    pub server: Server,
    pub interface: String,
    pub addresses: Vec<IpNet>,
    pub dns: Vec<IpAddr>,
    pub endpoints: Vec<SocketAddr>,
    /// Of the peers, which tell this tunnel from one that was half put in its place; none in a record of an earlier version.
    pub peers: Vec<PublicKey>,
    pub mark: u32,
    /// Whether packets are chosen by rules.
    pub full: bool,
    pub table: Table,
    pub hold: PortHold,
    /// The port published last.
    pub port: Option<u16>,
    pub port_since: UnixTime,
    pub since: UnixTime,
    pub reconnects: u32,
    /// While there is a better server to come back to (`comeback.rs`).
    pub comeback_tries: Option<u32>,
    pub choice_by: String,
    pub choice_candidates: usize,
    pub choice_reason: String,
}

#[derive(Serialize, Deserialize)]
struct Text {
    wish: WishText,
    server: ServerText,
    interface: String,
    addresses: Vec<String>,
    dns: Vec<String>,
    endpoints: Vec<String>,
    peers: Option<Vec<String>>,
    mark: u32,
    full: bool,
    table: Option<String>,
    hold: HoldText,
    port: Option<u16>,
    port_since: u64,
    since: u64,
    reconnects: u32,
    comeback_tries: Option<u32>,
    choice_by: String,
    choice_candidates: usize,
    choice_reason: String,
}

#[derive(Serialize, Deserialize)]
struct ServerText {
    provider: String,
    id: String,
    name: String,
    host: Option<String>,
    country: Option<String>,
    city: Option<String>,
    region: Option<String>,
    load: Option<u8>,
    score: Option<f64>,
    secure_core: bool,
    p2p: bool,
    tor: bool,
    streaming: bool,
    ipv6: bool,
    forwards: Option<bool>,
    virtual_location: bool,
    on_request: Option<bool>,
    endpoint_host: String,
    endpoint_port: u16,
    tcp_probe: Option<String>,
    exit_address: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct HoldText {
    kind: String,
    /// The gateway, or PIA's `server_vip`.
    gateway: Option<String>,
    /// PIA's `cn`, or why there is no port.
    text: Option<String>,
}

impl Record {
    /// Whether the peers that the kernel shows are the recorded ones. A supervisor that was killed while it changed
    /// them in place left a tunnel to another server than the recorded one.
    pub fn has_peers(&self, shown: &[PublicKey]) -> bool {
        let is_there = |key: &PublicKey| shown.contains(key);
        self.peers.is_empty() || (self.peers.len() == shown.len() && self.peers.iter().all(is_there))
    }

    /// The tunnel as the firewall sees it.
    pub fn policy(&self) -> TunnelPolicy {
        TunnelPolicy {
            interface: self.interface.clone(),
            addresses: self.addresses.clone(),
            mark: self.mark,
            endpoints: self.endpoints.clone(),
            full: self.full,
            open: true,
            forwarded_port: self.port,
            mss_clamp: true,
        }
    }

    pub fn emit(&self) -> String {
        json::to_string(&Text {
            wish: self.wish.emit(),
            server: emit_server(&self.server),
            interface: self.interface.clone(),
            addresses: words(&self.addresses),
            dns: words(&self.dns),
            endpoints: words(&self.endpoints),
            peers: Some(words(&self.peers)),
            mark: self.mark,
            full: self.full,
            table: Some(emit_table(self.table)),
            hold: match &self.hold {
                PortHold::Unavailable(why) => hold("none", None, Some(why.clone())),
                PortHold::NatPmp { gateway } => hold("natpmp", Some(*gateway), None),
                PortHold::Pia { server_vip, cn } => hold("pia", Some(*server_vip), Some(cn.clone())),
            },
            port: self.port,
            port_since: self.port_since.0,
            since: self.since.0,
            reconnects: self.reconnects,
            comeback_tries: self.comeback_tries,
            choice_by: self.choice_by.clone(),
            choice_candidates: self.choice_candidates,
            choice_reason: self.choice_reason.clone(),
        })
    }

    /// `None` for a text that no supervisor of this version wrote: the tunnel is then taken down by its journal.
    pub fn parse(text: &str) -> Option<Record> {
        let t: Text = json::from_str(text).ok()?;
        Some(Record {
            wish: Wish::parse(&t.wish)?,
            server: parse_server(&t.server)?,
            interface: t.interface,
            addresses: values(&t.addresses)?,
            dns: values(&t.dns)?,
            endpoints: values(&t.endpoints)?,
            peers: t.peers.unwrap_or_default().iter().map(|k| PublicKey::parse(k)).collect::<Option<_>>()?,
            mark: t.mark,
            full: t.full,
            // A record of an earlier version does not tell.
            table: match t.table {
                Some(word) => parse_table(&word)?,
                None if t.full => Table::Auto,
                None => Table::Off,
            },
            hold: match (t.hold.kind.as_str(), t.hold.gateway, t.hold.text) {
                ("none", _, text) => PortHold::Unavailable(text?),
                ("natpmp", gateway, _) => PortHold::NatPmp { gateway: gateway?.parse().ok()? },
                ("pia", vip, cn) => PortHold::Pia { server_vip: vip?.parse().ok()?, cn: cn? },
                _ => return None,
            },
            port: t.port,
            port_since: UnixTime(t.port_since),
            since: UnixTime(t.since),
            reconnects: t.reconnects,
            comeback_tries: t.comeback_tries,
            choice_by: t.choice_by,
            choice_candidates: t.choice_candidates,
            choice_reason: t.choice_reason,
        })
    }
}

fn hold(kind: &str, gateway: Option<IpAddr>, text: Option<String>) -> HoldText {
    HoldText { kind: kind.to_owned(), gateway: gateway.map(|g| g.to_string()), text }
}

fn words<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(T::to_string).collect()
}

fn values<T: std::str::FromStr>(words: &[String]) -> Option<Vec<T>> {
    words.iter().map(|w| w.parse().ok()).collect()
}

/// As `Table` of a .conf has it.
fn emit_table(table: Table) -> String {
    match table {
        Table::Auto => "auto".to_owned(),
        Table::Off => "off".to_owned(),
        Table::Number(n) => n.to_string(),
    }
}

fn parse_table(word: &str) -> Option<Table> {
    Some(match word {
        "auto" => Table::Auto,
        "off" => Table::Off,
        number => Table::Number(number.parse().ok()?),
    })
}

fn emit_server(s: &Server) -> ServerText {
    let (endpoint_host, endpoint_port) = match &s.endpoint {
        Endpoint::Addr(a) => (a.ip().to_string(), a.port()),
        Endpoint::Name { host, port } => (host.clone(), *port),
    };
    ServerText {
        provider: s.provider.name().to_owned(),
        id: s.id.clone(),
        name: s.name.clone(),
        host: s.host.clone(),
        country: s.country.map(|c| c.to_string()),
        city: s.city.clone(),
        region: s.region.clone(),
        load: s.load,
        score: s.score,
        secure_core: s.features.secure_core,
        p2p: s.features.p2p,
        tor: s.features.tor,
        streaming: s.features.streaming,
        ipv6: s.features.ipv6,
        forwards: s.features.forwards,
        virtual_location: s.features.virtual_location,
        on_request: Some(s.features.on_request),
        endpoint_host,
        endpoint_port,
        tcp_probe: s.tcp_probe.map(|a| a.to_string()),
        exit_address: s.exit_address.map(|a| a.to_string()),
    }
}

fn parse_server(t: &ServerText) -> Option<Server> {
    let endpoint = match t.endpoint_host.parse::<IpAddr>() {
        Ok(addr) => Endpoint::Addr(SocketAddr::new(addr, t.endpoint_port)),
        Err(_) => Endpoint::Name { host: t.endpoint_host.clone(), port: t.endpoint_port },
    };
    Some(Server {
        provider: t.provider.parse().ok()?,
        id: t.id.clone(),
        name: t.name.clone(),
        host: t.host.clone(),
        country: t.country.as_deref().and_then(Country::parse),
        city: t.city.clone(),
        region: t.region.clone(),
        load: t.load,
        score: t.score,
        features: Features {
            secure_core: t.secure_core,
            p2p: t.p2p,
            tor: t.tor,
            streaming: t.streaming,
            ipv6: t.ipv6,
            forwards: t.forwards,
            virtual_location: t.virtual_location,
            on_request: t.on_request.unwrap_or(false),
        },
        endpoint,
        tcp_probe: t.tcp_probe.as_deref().and_then(|a| a.parse().ok()),
        exit_address: t.exit_address.as_deref().and_then(|a| a.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fastest;
    use crate::provider::ProviderKind;

    fn record(hold: PortHold, endpoint: Endpoint) -> Record {
        Record {
            wish: Wish {
                provider: ProviderKind::File,
                cc: vec![],
                city: None,
                regions: vec![],
                server: None,
                secure_core: false,
                p2p: false,
                fastest: Fastest::Ping,
                threshold: 60,
                latency_cutoff: None,
                dns: true,
                ks: true,
            },
            server: Server {
                provider: ProviderKind::File,
                id: "nl.conf".into(),
                name: "NL#12".into(),
                host: None,
                country: Country::parse("NL"),
                city: None,
                region: None,
                load: Some(31),
                score: Some(1.5),
                features: Features { p2p: true, forwards: Some(true), ..Features::default() },
                endpoint,
                tcp_probe: None,
                exit_address: Some("203.0.113.11".parse().unwrap()),
            },
            interface: "wgpnl".into(),
            addresses: vec!["10.2.0.2/32".parse().unwrap()],
            dns: vec!["10.2.0.1".parse().unwrap()],
            endpoints: vec!["203.0.113.11:51820".parse().unwrap()],
            peers: vec![PublicKey([7; 32])],
            mark: 0x1076,
            full: true,
            table: Table::Auto,
            hold,
            port: Some(40123),
            port_since: UnixTime(1_780_000_003),
            since: UnixTime(1_780_000_000),
            reconnects: 2,
            comeback_tries: Some(3),
            choice_by: "ping".into(),
            choice_candidates: 40,
            choice_reason: "12.4 ms, the least of 40".into(),
        }
    }

    #[test]
    fn a_record_survives_the_supervisor() {
        let gateway: IpAddr = "10.2.0.1".parse().unwrap();
        for hold in [
            PortHold::Unavailable("no p2p".into()),
            PortHold::NatPmp { gateway },
            PortHold::Pia { server_vip: gateway, cn: "zurich406".into() },
        ] {
            for endpoint in [
                Endpoint::Addr("[2001:db8::1]:51820".parse().unwrap()),
                Endpoint::Name { host: "nl.example.org".into(), port: 51820 },
            ] {
                for table in [Table::Auto, Table::Off, Table::Number(51_820)] {
                    let r = Record { table, ..record(hold.clone(), endpoint.clone()) };
                    assert_eq!(Record::parse(&r.emit()), Some(r));
                }
            }
        }
    }

    #[test]
    fn a_device_with_another_peer_is_not_the_recorded_one() {
        let r = record(PortHold::Unavailable("no p2p".into()), Endpoint::Name { host: "a".into(), port: 1 });
        let key = |n| PublicKey([n; 32]);
        assert!(r.has_peers(&[key(7)]));
        for others in [&[][..], &[key(8)], &[key(7), key(8)]] {
            assert!(!r.has_peers(others));
        }
        let earlier = r.emit().replace("\"peers\":[", "\"unknown\":[");
        assert!(Record::parse(&earlier).unwrap().has_peers(&[key(8)]), "it does not tell");
    }

    #[test]
    fn a_text_of_another_version_is_no_record() {
        assert_eq!(Record::parse(""), None);
        assert_eq!(Record::parse("{\"interface\":\"wgpnl\"}"), None);
    }
}
