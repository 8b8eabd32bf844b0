//! What becomes known of the port.

use super::*;
use crate::config::Config;
use crate::config::secret::Secret;
use crate::daemon::lease::{Holder, PortState};
use crate::provider::pia::forward::{Gateway, Grant};
use crate::status::Area;
use crate::time::secs;
use crate::wire::http::{Reply, Route};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const DAY: u64 = 86_400;

fn grant(days: u64) -> Grant {
    let payload = format!("{{\"port\":40123,\"expires_at\":\"{}\"}}", UnixTime(WALL.0 + days * DAY));
    Grant::parse(&STANDARD.encode(payload), "signature").unwrap()
}

impl Story {
    /// Connected, with PIA's holder and this signature on the disk.
    fn pia(days: u64) -> Story {
        let mut s = Story::connected(true);
        let source = "10.2.0.2".parse().unwrap();
        let route = Route::Tunnel { interface: "wgpnl".into(), source };
        let gateway = Gateway { server_vip: "10.44.128.1".parse().unwrap(), cn: "zurich406".into(), route };
        s.daemon.holder = Holder::Pia(Box::new(lease::pia::Pia::new(gateway, None)));
        s.handle(Event::Lease(LeaseEvent::Grant(Some(grant(days)))));
        s
    }

    /// The gateway answers what it was asked last.
    fn gateway(&mut self, status: u16, body: &str) {
        let id = self.lease_id;
        let reply = Ok(Reply { status, headers: Vec::new(), body: body.into() });
        self.handle(Event::Lease(LeaseEvent::Reply { id, reply }));
    }

    fn port_problem(&self) -> Option<String> {
        let problems = self.daemon.snapshot(self.now).problems;
        problems.into_iter().find(|p| p.area == Area::Port).map(|p| p.text)
    }

    fn port(&self) -> (PortState, Option<u16>) {
        let view = self.daemon.holder.view(self.now);
        (view.state, view.number)
    }
}

#[test]
fn the_time_of_a_grant_stays_the_same_whatever_part_of_a_second_it_is() {
    let mut s = Story::pia(60);
    s.gateway(200, r#"{"status":"OK"}"#);
    let shown = |s: &Story| s.daemon.snapshot(s.now).port.since_at;
    assert_eq!(shown(&s), Some(WALL.0));
    // It was granted 0.9 s into a second of the wall clock.
    for (ms, wall) in [(600, 1), (600, 2), (600, 2), (600, 3)] {
        s.wall = UnixTime(WALL.0 + wall);
        s.after(ms, Event::Wake);
        assert_eq!(shown(&s), Some(WALL.0));
    }
    // A clock that is set takes it along.
    s.wall = UnixTime(WALL.0 + 1003);
    s.after(0, Event::Wake);
    assert_eq!(shown(&s), Some(WALL.0 + 1001));
}

#[test]
fn a_port_that_ends_soon_and_cannot_be_renewed_is_a_problem_while_it_is_held() {
    let mut s = Story::pia(6);
    s.gateway(200, r#"{"status":"OK"}"#);
    assert_eq!((s.port(), s.port_problem()), ((PortState::Held, Some(40_123)), None));
    let refused = Error::new(Exit::LoginRefused, "PIA refuses this user and password");
    s.handle(Event::Lease(LeaseEvent::Token(Err(refused))));
    assert_eq!(s.port(), (PortState::Held, Some(40_123)));
    let problem = s.port_problem().unwrap();
    assert!(problem.contains("ends soon") && problem.contains("refuses this user"), "{problem}");
    // It goes on, and is a problem no more once there is another signature.
    s.now = s.now + secs(600);
    s.handle(Event::Wake);
    s.gateway(200, r#"{"status":"OK"}"#);
    s.handle(Event::Lease(LeaseEvent::Token(Ok(Secret::new("t")))));
    let payload =
        STANDARD.encode(format!("{{\"port\":50000,\"expires_at\":\"{}\"}}", UnixTime(WALL.0 + 62 * DAY)));
    s.gateway(200, &format!(r#"{{"status":"OK","payload":"{payload}","signature":"s"}}"#));
    s.gateway(200, r#"{"status":"OK"}"#);
    assert_eq!((s.port(), s.port_problem()), ((PortState::Held, Some(50_000)), None));
}

#[test]
fn a_gateway_that_takes_us_for_another_is_said_in_its_own_words() {
    let mut s = Story::pia(60);
    s.gateway(200, r#"{"status":"OK"}"#);
    s.now = s.now + secs(600);
    s.handle(Event::Wake);
    s.gateway(401, r#"{"status":"ERROR","message":"Unauthorized client"}"#);
    assert_eq!(s.port(), (PortState::Doubtful, Some(40_123)));
    assert!(s.port_problem().unwrap().contains("Unauthorized client"));
}

fn configured(forwarding: &str) -> Config {
    let text = format!("[qbittorrent]\nenable = false\n[port_forwarding]\n{forwarding}\n");
    load::parse(&text, Path::new("/root"), Path::new("/root")).unwrap()
}

impl Story {
    fn reload(&mut self, forwarding: &str) {
        let config = configured(forwarding);
        let settings = sync::Settings::new(&config.qbittorrent, None);
        self.seen.clear();
        self.handle(Event::Config(Box::new(config), Box::new(settings)));
    }

    /// Connected through a gateway of NAT-PMP that was asked for a port.
    fn natpmp() -> Story {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
        let mut ready = ready("NL", 11);
        ready.connection.port = PortHold::NatPmp { gateway: "10.2.0.1".parse().unwrap() };
        s.choose(&ready);
        s.shake();
        s
    }

    /// What came out of a log file, since that takes one event.
    fn grant(&mut self, number: u16) {
        self.now = self.now + secs(31);
        self.handle(Event::Wake);
        self.handle(Event::Lease(LeaseEvent::Log(format!("Port pair {number}->{number}\n"))));
        assert_eq!(self.port().1, Some(number));
    }

    fn published(&mut self, number: Option<u16>) {
        for target in [publish::Target::File, publish::Target::SecondFile, publish::Target::Hook] {
            self.handle(Event::Published(target, Ok(())));
        }
        assert_eq!(self.last().tunnels[0].forwarded_port, number);
    }
}

#[test]
fn forwarding_that_is_switched_off_takes_the_port_away_and_on_again_asks_for_one() {
    let mut s = Story::natpmp();
    s.reload("log_fallback = /l");
    s.grant(40_123);
    s.published(Some(40_123));
    s.reload("log_fallback = /l\nenable = false");
    assert_eq!(s.port(), (PortState::Off, None));
    s.published(None);
    assert_eq!(s.daemon.snapshot(s.now).health.port, crate::status::Verdict::Off);
    s.reload("log_fallback = /l");
    assert_eq!(s.port(), (PortState::Asking, None));
    s.grant(40_124);
}

#[test]
fn a_gateway_that_grants_nothing_for_half_a_minute_is_a_problem_until_it_does() {
    let mut s = Story::natpmp();
    s.reload("");
    s.after(29_000, Event::Wake);
    assert_eq!((s.port().0, s.port_problem()), (PortState::Asking, None));
    s.after(1_000, Event::Wake);
    assert_eq!(s.port(), (PortState::Asking, None));
    let problem = s.port_problem().unwrap();
    assert!(problem.starts_with("no port yet: ") && problem.ends_with("; asking goes on"), "{problem}");
    assert_eq!(s.daemon.snapshot(s.now).health.port, crate::status::Verdict::Bad);
    s.reload("log_fallback = /l");
    s.grant(40_123);
    assert!(!s.port_problem().unwrap_or_default().contains("no port yet"));
}

#[test]
fn another_gateway_is_asked_while_the_number_stays_published() {
    let mut s = Story::natpmp();
    s.reload("log_fallback = /l");
    s.grant(40_123);
    s.reload("log_fallback = /l\ngateway = 10.9.0.1");
    assert_eq!(s.port().1, Some(40_123));
    assert!(s.seen.contains(&"OpenSockets".to_owned()), "{:?}", s.seen);
    let up = s.daemon.up.as_ref().unwrap();
    let (gateway, _) = up.gateway(s.daemon.config.port_forwarding.gateway);
    assert_eq!(gateway, "10.9.0.1".parse().ok());
    assert!(format!("{:?}", s.daemon.holder).contains("gateway: 10.9.0.1"));
    s.reload("log_fallback = /l\ngateway = 10.9.0.1");
    assert!(!s.seen.contains(&"OpenSockets".to_owned()), "nothing has changed: {:?}", s.seen);
}

#[test]
fn a_second_place_that_is_not_named_any_more_loses_the_port_and_another_gets_it() {
    let mut s = Story::natpmp();
    s.reload("log_fallback = /l\nfile = /tmp/one");
    s.grant(40_123);
    s.published(Some(40_123));
    s.reload("log_fallback = /l\nfile = /tmp/two");
    assert!(s.seen.contains(&"Withdraw".to_owned()), "{:?}", s.seen);
    assert!(s.seen.contains(&"Publish".to_owned()), "{:?}", s.seen);
    s.handle(Event::Published(publish::Target::SecondFile, Err("no such directory".to_owned())));
    let problems = s.daemon.snapshot(s.now).problems;
    assert!(
        problems.iter().any(|p| p.area == Area::Port && p.text.contains("second port file")),
        "{problems:?}"
    );
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_problem_until_it_can() {
    let mut s = Story::connected(true);
    s.handle(Event::ConfigFailed(Error::new(Exit::BadConfig, "config.ini:14: unknown section")));
    let snapshot = s.daemon.snapshot(s.now);
    assert_eq!(snapshot.exit(), Exit::Problems);
    assert_eq!(snapshot.problems[0].area, Area::Config);
    assert!(snapshot.problems[0].text.contains("config.ini:14"));
    s.reload("");
    assert!(s.daemon.snapshot(s.now).problems.is_empty());
}
