use super::*;
use crate::error::Exit;
use crate::wire::http::{Request, Route};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

mod months;
mod reconnect;

/// 2026-09-01T00:00:00Z at boot, unless a test says otherwise.
const BOOTED: u64 = 1_788_220_800;
const DAY: u64 = 86_400;

fn at(secs_since_boot: u64) -> Instant {
    Instant::BOOT + secs(secs_since_boot)
}

fn wall(now: Instant) -> UnixTime {
    UnixTime(BOOTED + now.since_boot().as_secs())
}

fn gateway() -> Gateway {
    let source = "10.44.229.219".parse().unwrap();
    Gateway {
        server_vip: "10.44.128.1".parse().unwrap(),
        cn: "zurich406".into(),
        route: Route::Tunnel { interface: "wgpch".into(), source },
    }
}

fn signed(port: u16, ends: UnixTime) -> (String, String) {
    let payload = format!("{{\"token\":\"t\",\"port\":{port},\"expires_at\":\"{ends}\"}}");
    (STANDARD.encode(payload), format!("sig{port}"))
}

fn grant(port: u16, ends_in_days: u64) -> Grant {
    let (payload, signature) = signed(port, UnixTime(BOOTED + ends_in_days * DAY));
    Grant::parse(&payload, &signature).unwrap()
}

fn reply(status: u16, body: &str) -> Result<Reply, HttpError> {
    Ok(Reply { status, headers: Vec::new(), body: body.into() })
}

fn bound() -> Result<Reply, HttpError> {
    reply(200, "{\"status\":\"OK\",\"message\":\"port scheduled for add\"}")
}

fn signature(port: u16, ends_in_days: u64) -> Result<Reply, HttpError> {
    let (payload, signature) = signed(port, UnixTime(BOOTED + ends_in_days * DAY));
    let body = format!("{{\"status\":\"OK\",\"payload\":\"{payload}\",\"signature\":\"{signature}\"}}");
    reply(200, &body)
}

fn refused(status: u16, message: &str) -> Result<Reply, HttpError> {
    reply(status, &format!("{{\"status\":\"ERROR\",\"message\":\"{message}\"}}"))
}

fn silence() -> Result<Reply, HttpError> {
    Err(HttpError::TimedOut)
}

/// The machine with its clock, and what it wants said shortly.
struct Story {
    holder: Pia,
    now: Instant,
    id: u64,
}

fn story(kept: Option<Grant>) -> Story {
    let mut s = Story { holder: Pia::new(gateway(), None), now: at(100), id: 0 };
    assert_eq!(s.wants(), ["read"]);
    s.holder.handle(s.now, Input::Grant(kept));
    s
}

fn call(request: &Request) -> String {
    let call = request.url.strip_prefix("https://zurich406:19999/").unwrap().replace("%3D", "=");
    match call.split_once("&signature=") {
        Some((_, signature)) => format!("bind {signature}"),
        None => call.replace("getSignature?token=", "sign for "),
    }
}

impl Story {
    fn wants(&mut self) -> Vec<String> {
        let mut wants = Vec::new();
        while let Some(action) = self.holder.poll_action() {
            wants.push(match action {
                Action::Send { id, request } => {
                    self.id = id;
                    assert_eq!(request.connect_to, Some("10.44.128.1:19999".parse().unwrap()));
                    assert_eq!(request.route, gateway().route);
                    call(&request)
                }
                Action::ReadGrant => "read".into(),
                Action::KeepGrant(Some(grant)) => format!("keep {}", grant.port),
                Action::KeepGrant(None) => "forget".into(),
                Action::Token { refused: Some(t) } => format!("token but {}", t.reveal()),
                Action::Token { refused: None } => "token".into(),
                other => panic!("{other:?}"),
            });
        }
        wants
    }

    fn hear(&mut self, reply: Result<Reply, HttpError>) -> Vec<String> {
        let (id, wall) = (self.id, wall(self.now));
        self.holder.handle(self.now, Input::Reply { id, wall, reply });
        self.wants()
    }

    fn token(&mut self, token: &str) -> Vec<String> {
        self.holder.handle(self.now, Input::Token(Ok(Secret::new(token))));
        self.wants()
    }

    /// Goes to the next wake-up, and says after how many seconds it came.
    fn wake(&mut self) -> (u64, Vec<String>) {
        let until = self.holder.poll_timeout().unwrap();
        let waited = until.since(self.now).as_secs();
        self.now = self.now.max(until);
        self.holder.handle(self.now, Input::Wake);
        (waited, self.wants())
    }

    fn port(&self) -> (PortState, Option<u16>) {
        let view = self.holder.view(self.now);
        (view.state, view.number)
    }

    fn days_left(&self) -> u64 {
        self.holder.view(self.now).expires_at.unwrap().since(self.now).as_secs() / DAY
    }
}

/// A story in which a kept port is bound.
fn held(port: u16, days: u64) -> Story {
    let mut s = story(Some(grant(port, days)));
    assert_eq!(s.wants(), [format!("bind sig{port}")]);
    assert!(s.hear(bound()).is_empty());
    s
}

use PortState::{Asking, Doubtful, Held};

#[test]
fn the_first_port_is_signed_bound_and_kept() {
    let mut s = story(None);
    assert_eq!(s.wants(), ["token"]);
    assert_eq!(s.token("tok+1"), ["sign for tok%2B1"]);
    assert_eq!(s.hear(signature(40_123, 62)), ["bind sig40123"]);
    assert_eq!(s.port(), (Asking, None));
    assert_eq!(s.hear(bound()), ["keep 40123"]);
    assert_eq!(s.port(), (Held, Some(40_123)));
    assert_eq!(s.days_left(), 61);
}

#[test]
fn a_kept_port_is_bound_without_a_token_and_every_ten_minutes() {
    let mut s = held(40_123, 30);
    assert_eq!(s.port(), (Held, Some(40_123)));
    for _ in 0..3 {
        assert_eq!(s.wake(), (600, vec!["bind sig40123".to_owned()]));
        assert!(s.hear(reply(200, "{\"status\":\"OK\",\"message\":\"timer refreshed\"}")).is_empty());
    }
}

#[test]
fn a_gateway_that_is_not_ready_is_asked_again_within_seconds() {
    let mut s = story(Some(grant(40_123, 30)));
    s.wants();
    let mut waits = Vec::new();
    for _ in 0..14 {
        s.hear(Err(HttpError::Connect("refused".into())));
        waits.push(s.wake().0);
    }
    assert_eq!(waits, [1, 2, 4, 5, 5, 5, 5, 5, 5, 5, 5, 5, 30, 30]);
    s.hear(bound());
    assert_eq!(s.port(), (Held, Some(40_123)));
}

#[test]
fn a_port_stays_published_while_the_gateway_is_silent() {
    let mut s = held(40_123, 30);
    let since = s.holder.view(s.now).since;
    let held_at = s.now;
    while s.now < held_at + secs(3600) {
        s.wake();
        s.hear(silence());
        let state = if s.now < held_at + BIND_LIFE { Held } else { Doubtful };
        assert_eq!(s.port(), (state, Some(40_123)));
    }
    assert!(s.holder.view(s.now).text.unwrap().contains("timed out"));
    s.wake();
    s.hear(bound());
    assert_eq!(s.port(), (Held, Some(40_123)));
    assert_eq!(s.holder.view(s.now).since, since);
}

#[test]
fn unauthorized_client_costs_neither_port_nor_login() {
    let mut s = held(40_123, 30);
    s.wake();
    assert!(s.hear(refused(401, "Unauthorized client")).is_empty());
    assert_eq!(s.port(), (Doubtful, Some(40_123)));
    assert_eq!(s.wake().1, ["bind sig40123"]);
    let mut s = story(None);
    s.wants();
    s.token("a");
    assert!(s.hear(refused(401, "Unauthorized client")).is_empty());
    assert_eq!(s.wake().1, ["sign for a"]);
}

#[test]
fn a_refused_token_leads_to_one_login() {
    let mut s = story(None);
    s.wants();
    assert_eq!(s.token("old"), ["sign for old"]);
    assert_eq!(s.hear(refused(401, "Login failed!")), ["token but old"]);
    assert_eq!(s.token("new"), ["sign for new"]);
    assert!(s.hear(refused(401, "Login failed!")).is_empty());
    // What is on disk may be another process's: asked for, without a login.
    assert_eq!(s.wake(), (5, vec!["token".to_owned()]));
    s.token("new");
    assert_eq!(s.hear(signature(40_123, 62)), ["bind sig40123"]);
}

#[test]
fn without_a_token_asking_slows_down() {
    let mut s = story(None);
    s.wants();
    let mut waits = Vec::new();
    for _ in 0..8 {
        s.holder.handle(s.now, Input::Token(Err(Error::new(Exit::LoginRefused, "wrong password"))));
        waits.push(s.wake().0);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    assert!(s.holder.view(s.now).text.unwrap().contains("wrong password"));
}

#[test]
fn a_port_busy_on_this_server_is_tried_twice_more_and_then_given_up() {
    let busy =
        || reply(409, "{\"status\":\"\",\"message\":\"Port 40123 is busy. Please use another server\"}");
    let mut s = held(40_123, 30);
    s.wake();
    for _ in 0..2 {
        assert!(s.hear(busy()).is_empty());
        assert_eq!(s.port(), (Doubtful, Some(40_123)));
        assert_eq!(s.wake(), (5, vec!["bind sig40123".to_owned()]));
    }
    assert_eq!(s.hear(busy()), ["forget", "token"]);
    s.token("t");
    s.hear(signature(50_000, 62));
    assert_eq!(s.port(), (Doubtful, Some(40_123)));
    assert_eq!(s.hear(bound()), ["keep 50000"]);
    assert_eq!(s.port(), (Held, Some(50_000)));
}

#[test]
fn a_stored_signature_that_is_refused_is_replaced_after_five_seconds() {
    let mut s = story(Some(grant(40_123, 0)));
    s.wants();
    assert_eq!(s.hear(refused(400, "invalid signature")), ["forget"]);
    assert_eq!(s.wake(), (5, vec!["token".to_owned()]));
    s.token("t");
    s.hear(signature(50_000, 62));
    s.hear(bound());
    assert_eq!(s.port(), (Held, Some(50_000)));
}

#[test]
fn fresh_signatures_that_are_refused_are_asked_for_ever_more_slowly() {
    let mut s = story(None);
    s.wants();
    s.token("t");
    let mut waits = Vec::new();
    for _ in 0..8 {
        s.hear(signature(50_000, 62));
        s.hear(refused(400, "no"));
        waits.push(s.wake().0);
    }
    assert_eq!(waits, [5, 10, 20, 40, 80, 160, 300, 300]);
    assert_eq!(s.port(), (Asking, None));
}

#[test]
fn web_pages_and_errors_of_the_server_are_no_word_of_the_gateway() {
    for page in [reply(401, "<html>"), reply(502, "{\"status\":\"ERROR\"}"), reply(200, "{"), reply(404, "")]
    {
        let mut s = held(40_123, 30);
        s.wake();
        assert!(s.hear(page).is_empty());
        assert_eq!(s.port(), (Held, Some(40_123)));
        assert_eq!(s.wake().1, ["bind sig40123"]);
    }
}

#[test]
fn a_wrong_certificate_is_named_and_a_wrong_clock_is_suspected() {
    let mut s = story(Some(grant(40_123, 30)));
    s.wants();
    s.hear(Err(HttpError::Tls("zurich406: invalid peer certificate: certificate expired".into())));
    assert!(s.holder.view(s.now).text.unwrap().contains("clock"));
    s.wake();
    s.hear(Err(HttpError::Tls("zurich406: certificate not valid for name".into())));
    let text = s.holder.view(s.now).text.unwrap();
    assert!(text.contains("not valid for name") && !text.contains("clock"));
}

#[test]
fn the_port_survives_a_wall_clock_that_is_wrong_at_boot() {
    let mut s = story(Some(grant(40_123, 30)));
    s.wants();
    // In 2037 every certificate is over: nothing is decided by such a clock.
    for _ in 0..20 {
        s.hear(Err(HttpError::Tls("zurich406: invalid peer certificate: certificate expired".into())));
        assert_eq!(s.wake().1, ["bind sig40123"]);
    }
    s.hear(bound());
    assert_eq!((s.port(), s.days_left()), ((Held, Some(40_123)), 29));
}

#[test]
fn a_lost_answer_is_missed_after_a_minute() {
    let mut s = story(Some(grant(40_123, 30)));
    s.wants();
    assert_eq!(s.wake(), (60, Vec::new()));
    assert_eq!(s.wake(), (1, vec!["bind sig40123".to_owned()]));
}

#[test]
fn in_its_last_week_a_port_is_replaced_and_goes_on_until_then() {
    let mut s = story(Some(grant(40_123, 6)));
    s.wants();
    assert_eq!(s.hear(bound()), ["token"]);
    assert_eq!(s.port(), (Held, Some(40_123)));
    s.token("t");
    assert!(s.hear(silence()).is_empty());
    assert_eq!(s.port(), (Held, Some(40_123)));
    assert!(s.holder.view(s.now).text.unwrap().starts_with("the port ends soon"));
    let (waited, wants) = s.wake();
    assert_eq!((waited, wants), (600, vec!["bind sig40123".to_owned()]));
    assert_eq!(s.hear(bound()), ["sign for t"]);
    assert_eq!(s.hear(signature(50_000, 68)), ["bind sig50000"]);
    assert_eq!(s.port(), (Held, Some(40_123)));
    assert_eq!(s.hear(bound()), ["keep 50000"]);
    assert_eq!(s.port(), (Held, Some(50_000)));
    assert_eq!(s.holder.view(s.now).text, None);
}

#[test]
fn a_port_that_is_over_is_replaced_before_anybody_is_told_of_it() {
    let mut s = story(Some(grant(40_123, 0)));
    s.wants();
    assert_eq!(s.hear(bound()), ["token"]);
    assert_eq!(s.port(), (Asking, None));
}

#[test]
fn signatures_of_a_short_life_are_not_replaced_at_each_turn() {
    let mut s = story(None);
    s.wants();
    s.token("t");
    s.hear(signature(50_000, 1));
    s.hear(bound());
    for _ in 0..20 {
        assert_eq!(s.wake().1, ["bind sig50000"]);
        assert!(s.hear(bound()).is_empty());
    }
}
