//! What becomes known of the port.

use super::*;
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
