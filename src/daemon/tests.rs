//! The supervisor from its outside: events in, actions out, a scripted clock.

use super::*;
use crate::config::load;
use crate::config::secret::{PublicKey, SecretKey};
use crate::error::Exit;
use crate::firewall::DnsPolicy;
use crate::provider::{Connection, Country, Endpoint, Features, PortHold, ProviderKind, Server};
use crate::status::State;
use crate::time::{millis, secs};
use crate::tunnel::{Peer, Table, Tunnel};
use control::{Ask, Tell};
use phase::{Choice, Ready};
use std::path::Path;

mod clients;
mod comeback;
mod port;
mod recovery;
mod session;

const WALL: UnixTime = UnixTime(1_780_000_000);

struct Story {
    daemon: Daemon,
    now: Instant,
    wall: UnixTime,
    /// Policies in the order they were loaded.
    loaded: Vec<Policy>,
    told: Vec<(ClientId, Tell)>,
    seen: Vec<String>,
    /// Loading rules fails with this.
    broken: bool,
    /// Of the last echo request.
    seq: u16,
    /// Of the last request of the port's holder.
    lease_id: u64,
}

fn story(killswitch: bool) -> Story {
    let home = Path::new("/root");
    let text = "[qbittorrent]\nenable = false\n[network]\nlan = 192.168.1.0/24\n";
    let config = load::parse(text, home, home).unwrap();
    let settings = sync::Settings::new(&config.qbittorrent, None);
    let sync = Sync::new(settings, sync::Memory::default(), Instant::BOOT);
    let daemon = Daemon::new(config, false, killswitch, Surroundings::default(), sync);
    let now = Instant::BOOT + millis(60_000);
    Story {
        daemon,
        now,
        wall: WALL,
        loaded: vec![],
        told: vec![],
        seen: vec![],
        broken: false,
        seq: 0,
        lease_id: 0,
    }
}

fn wish(cc: &str, ks: bool) -> Wish {
    Wish {
        provider: ProviderKind::File,
        cc: vec![Country::parse(cc).unwrap()],
        city: None,
        regions: vec![],
        server: None,
        secure_core: false,
        p2p: false,
        fastest: crate::config::Fastest::Ping,
        threshold: 60,
        latency_cutoff: None,
        dns: true,
        ks,
    }
}

fn ready(cc: &str, last: u8) -> Ready {
    let endpoint = format!("203.0.113.{last}:51820").parse().unwrap();
    let server = Server {
        provider: ProviderKind::File,
        id: format!("{cc}.conf"),
        name: format!("{cc}#{last}"),
        host: None,
        country: Country::parse(cc),
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr(endpoint),
        tcp_probe: None,
        exit_address: None,
    };
    let peer = Peer {
        public_key: PublicKey([last; 32]),
        preshared_key: None,
        endpoint: Some(Endpoint::Addr(endpoint)),
        allowed_ips: vec!["0.0.0.0/0".parse().unwrap()],
        keepalive: None,
    };
    let tunnel = Tunnel {
        private_key: SecretKey::new([1; 32]),
        addresses: vec!["10.2.0.2/32".parse().unwrap()],
        dns: vec!["10.2.0.1".parse().unwrap()],
        search_domains: vec![],
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![peer],
    };
    let port = PortHold::Unavailable("made up".to_owned());
    Ready { connection: Connection { server, tunnel, port }, endpoints: vec![Some(endpoint)] }
}

impl Story {
    fn handle(&mut self, event: Event) {
        self.daemon.handle(self.now, self.wall, event);
        self.perform();
    }

    /// Performs what needs no answer from outside; keeps the rest as words in `seen`.
    fn perform(&mut self) {
        while let Some(action) = self.daemon.poll_action() {
            let word = format!("{action:?}");
            let word = word.split([' ', '(', '{']).next().unwrap_or_default().to_owned();
            match action {
                Action::Load(policy) => {
                    self.seen.push(format!("Load {}", if policy.killswitch { "closed" } else { "open" }));
                    self.loaded.push(*policy);
                    let result = if self.broken { Err(Error::failed("no nftables")) } else { Ok(()) };
                    self.daemon.handle(self.now, self.wall, Event::PolicyLoaded(result));
                }
                Action::Tell(id, tell) => self.told.push((id, tell)),
                Action::Ping { seq } => {
                    self.seq = seq;
                    self.seen.push(word);
                }
                Action::Lease(lease::Action::Send { id, .. }) => {
                    self.lease_id = id;
                    self.seen.push(word);
                }
                Action::TearDown => {
                    self.seen.push(word);
                    self.daemon.handle(self.now, self.wall, Event::TornDown(Ok(())));
                }
                _ => self.seen.push(word),
            }
        }
    }

    /// What is done from here on, because of `event` after `ms`.
    fn after(&mut self, ms: u64, event: Event) -> Vec<String> {
        self.now = self.now + millis(ms);
        self.seen.clear();
        self.handle(event);
        self.seen.clone()
    }

    fn choose(&mut self, ready: &Ready) {
        let choice = Choice { ranked: vec![ready.connection.server.clone()], ..Choice::default() };
        let round = self.daemon.round;
        self.handle(Event::Chosen { round, result: Ok(choice) });
        let round = self.daemon.round;
        self.handle(Event::Opened { round, result: Box::new(Ok(ready.clone())) });
    }

    fn shake(&mut self) {
        self.handle(Event::Linked(Ok(())));
        let look = Look { handshake: Some(WALL), ..Look::default() };
        self.handle(Event::Looked(Some(look)));
        self.handle(Event::Committed(Ok(())));
    }

    fn connected(ks: bool) -> Story {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", ks)))));
        s.choose(&ready("NL", 11));
        s.shake();
        assert_eq!(s.daemon.state_word(), State::Connected);
        s
    }

    fn last(&self) -> &Policy {
        self.loaded.last().unwrap()
    }

    fn done(&self, id: ClientId) -> Option<Exit> {
        self.told.iter().find_map(|(to, tell)| match tell {
            Tell::Done(exit, _) if *to == id => Some(*exit),
            _ => None,
        })
    }

    fn position(&self, word: &str) -> usize {
        self.seen.iter().position(|w| w == word).unwrap_or_else(|| panic!("no {word} in {:?}", self.seen))
    }
}

#[test]
fn the_firewall_is_closed_and_remembered_before_anything_is_asked() {
    let mut s = story(false);
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
    assert!(s.position("Remember") < s.position("Load closed"));
    assert!(s.position("Load closed") < s.position("Choose"));
    assert!(s.last().own_sockets, "the provider has to be asked");
    assert!(s.last().tunnels.is_empty());
}

#[test]
fn the_handshake_is_let_out_before_the_link_is_made_and_traffic_only_after_it() {
    let mut s = story(false);
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
    s.choose(&ready("NL", 11));
    assert_eq!(s.last().tunnels[0].endpoints, ["203.0.113.11:51820".parse().unwrap()]);
    assert!(!s.last().tunnels[0].open);
    let link = s.position("Link");
    assert!(s.seen[..link].iter().filter(|w| *w == "Load closed").count() == 2);
    s.shake();
    assert!(s.last().tunnels[0].open);
    assert!(!s.last().own_sockets, "nobody needs to be asked any more");
    assert_eq!(s.last().dns, DnsPolicy::Tunnel(vec!["10.2.0.1".parse().unwrap()]));
    assert_eq!(s.done(1), Some(Exit::Done));
}

#[test]
fn every_policy_of_a_closed_machine_is_closed() {
    let mut s = Story::connected(true);
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", false)))));
    s.choose(&ready("CH", 12));
    s.shake();
    s.handle(Event::Client(3, Ask::Disconnect { ks: None }));
    assert!(s.loaded.iter().all(|p| p.killswitch), "{:?}", s.loaded);
    assert_eq!(s.done(3), Some(Exit::Done));
}

#[test]
fn rules_that_cannot_be_loaded_end_the_connect_and_leave_the_machine_open() {
    let mut s = story(false);
    s.broken = true;
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
    assert_eq!(s.done(1), Some(Exit::Failed));
    assert!(!s.seen.contains(&"Link".to_owned()));
    assert!(!s.daemon.killswitch);
}

#[test]
fn a_kill_switch_that_cannot_be_closed_is_not_said_to_be_closed() {
    let mut s = Story::connected(false);
    s.broken = true;
    s.handle(Event::Client(2, Ask::Killswitch { on: true }));
    assert_eq!(s.done(2), Some(Exit::Failed));
    assert_eq!(s.daemon.snapshot(s.now).killswitch.on, Some(false));
    s.broken = false;
    s.handle(Event::Client(3, Ask::Killswitch { on: true }));
    assert_eq!(s.done(3), Some(Exit::Done));
    assert!(s.last().killswitch);
}

#[test]
fn a_switch_keeps_the_old_tunnel_open_until_the_other_one_answers() {
    let mut s = Story::connected(true);
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", true)))));
    s.choose(&ready("CH", 12));
    let names: Vec<(&str, bool)> = s.last().tunnels.iter().map(|t| (t.interface.as_str(), t.open)).collect();
    assert_eq!(names, [("wgpnl", true), ("wgpch", false)]);
    s.handle(Event::Client(2, Ask::Cancel));
    let names: Vec<(&str, bool)> = s.last().tunnels.iter().map(|t| (t.interface.as_str(), t.open)).collect();
    assert_eq!(names, [("wgpnl", true)]);
    assert_eq!(s.done(2), Some(Exit::Interrupted));
    assert_eq!(s.daemon.state_word(), State::Connected);
}

#[test]
fn a_server_that_meets_the_request_stays() {
    let mut s = Story::connected(true);
    let before = s.seen.len();
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("NL", true)))));
    assert_eq!(s.done(2), Some(Exit::Done));
    assert!(!s.seen[before..].iter().any(|w| w == "Choose"));
}

#[test]
fn an_overtaken_answer_means_nothing() {
    let mut s = story(false);
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", false)))));
    let old = s.daemon.round;
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", false)))));
    let choice = Choice { ranked: vec![ready("NL", 11).connection.server], ..Choice::default() };
    s.handle(Event::Chosen { round: old, result: Ok(choice) });
    assert!(!s.seen.contains(&"Open".to_owned()));
}

#[test]
fn a_failed_first_connect_undoes_and_ends_with_its_exit_code() {
    let mut s = story(false);
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", false)))));
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::NoServer, "no server matches")) });
    assert_eq!(s.done(1), Some(Exit::NoServer));
    assert!(s.position("TearDown") < s.position("Exit"));
}

#[test]
fn leaving_undoes_nothing() {
    let mut s = Story::connected(true);
    let before = s.seen.len();
    s.handle(Event::Signal(Signal::Leave));
    assert_eq!(s.seen[before..], ["Exit"]);
}

#[test]
fn disconnect_open_forgets_the_kill_switch_before_it_undoes() {
    let mut s = Story::connected(true);
    s.seen.clear();
    s.handle(Event::Client(2, Ask::Disconnect { ks: Some(false) }));
    assert!(s.position("Remember") < s.position("TearDown"));
    assert!(!s.last().killswitch && s.last().tunnels.is_empty());
    assert_eq!(s.done(2), Some(Exit::Done));
}

#[test]
fn half_of_a_switch_is_not_left_to_the_next_supervisor() {
    let mut s = Story::connected(true);
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", true)))));
    s.choose(&ready("CH", 12));
    s.seen.clear();
    s.handle(Event::Signal(Signal::Leave));
    assert_eq!(s.seen[..2], ["Drop", "Exit"]);
}

#[test]
fn a_connect_is_answered_within_its_minute_while_a_service_tries_on() {
    let mut s = story(false);
    s.daemon.is_service = true;
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", false)))));
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::Provider, "no route to it")) });
    assert_eq!(s.done(1), None);
    s.now = s.now + secs(57);
    s.handle(Event::Wake);
    assert_eq!(s.done(1), Some(Exit::Provider));
    assert_eq!(s.daemon.state_word(), State::Connecting);
}

#[test]
fn whoever_speaks_last_before_the_end_decides_about_the_kill_switch() {
    let restoring = |s: &mut Story, ks| {
        let text = "[network]\nlan = 192.168.1.0/24\n";
        let config = load::parse(text, Path::new("/root"), Path::new("/root")).unwrap();
        let settings = sync::Settings::new(&config.qbittorrent, None);
        let earlier = crate::qbittorrent::Preferences::default();
        let memory = sync::Memory { earlier: Some(earlier), stopped: vec![] };
        s.daemon.sync = Sync::new(settings, memory, s.now);
        s.handle(Event::Client(2, Ask::Disconnect { ks }));
        assert!(s.daemon.restoring_until().is_some(), "qBittorrent has not got its port back yet");
    };
    let mut s = Story::connected(true);
    restoring(&mut s, None);
    s.handle(Event::Client(3, Ask::Disconnect { ks: Some(false) }));
    s.now = s.now + secs(5);
    s.handle(Event::Wake);
    assert_eq!((s.done(3), s.last().killswitch), (Some(Exit::Done), false));

    let mut s = Story::connected(true);
    restoring(&mut s, Some(false));
    s.handle(Event::Client(3, Ask::Killswitch { on: true }));
    s.handle(Event::Remembered(Ok(())));
    assert_eq!(s.done(3), Some(Exit::Done));
    s.now = s.now + secs(5);
    s.handle(Event::Wake);
    assert_eq!((s.done(2), s.last().killswitch), (Some(Exit::Done), true));
}

#[test]
fn a_wish_that_fails_does_not_end_the_search_for_a_server_that_lives() {
    let mut s = Story::connected(true);
    while !s.daemon.up.as_ref().unwrap().monitor.is_over() {
        s.now = s.daemon.poll_timeout().unwrap().0;
        s.handle(Event::Wake);
        s.handle(Event::Looked(Some(Look {
            tx_bytes: s.now.since_boot().as_secs() * 1000,
            ..Look::default()
        })));
    }
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish("CH", true)))));
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::NoServer, "no server matches")) });
    assert_eq!(s.done(2), Some(Exit::NoServer));
    assert!(s.daemon.phase.is_running(), "nothing else would ever look for another server");
}
