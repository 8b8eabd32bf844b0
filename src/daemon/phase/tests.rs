use super::*;
use crate::provider::{Connection, Endpoint, Features, PortHold, ProviderKind};
use crate::tunnel::{Table, Tunnel};

const BEGIN: Instant = Instant::from_boot(secs(100));

fn at(ms: u64) -> Instant {
    BEGIN + millis(ms)
}

fn server(name: &str) -> Server {
    Server {
        provider: ProviderKind::File,
        id: name.to_owned(),
        name: name.to_owned(),
        host: None,
        country: None,
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

fn ready(name: &str) -> Box<Result<Ready, Error>> {
    let tunnel = Tunnel {
        private_key: crate::config::secret::SecretKey::new([1; 32]),
        addresses: vec![],
        dns: vec![],
        search_domains: vec![],
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![],
    };
    let port = PortHold::Unavailable("none".to_owned());
    let connection = Connection { server: server(name), tunnel, port };
    Box::new(Ok(Ready { connection, endpoints: vec![] }))
}

fn choice(names: &[&str]) -> Result<Choice, Error> {
    Ok(Choice {
        ranked: names.iter().map(|n| server(n)).collect(),
        candidates: names.len(),
        ..Choice::default()
    })
}

/// Everything there is to do, in one word each.
fn actions(phase: &mut Phase) -> Vec<String> {
    std::iter::from_fn(|| phase.poll_action())
        .map(|action| match action {
            Action::Say(_) => "say".to_owned(),
            Action::Choose => "choose".to_owned(),
            Action::Open(s) => format!("open {}", s.name),
            Action::Link(r) => format!("link {}", r.connection.server.name),
            Action::Look => "look".to_owned(),
            Action::Restart => "restart".to_owned(),
            Action::Commit => "commit".to_owned(),
            Action::Drop { server, bad } => format!("drop {}{}", server.name, if bad { " bad" } else { "" }),
            Action::Finish(Ok(())) => "done".to_owned(),
            Action::Finish(Err(e)) => format!("failed {}", e.exit().code()),
        })
        .collect()
}

fn begun(purpose: Purpose, names: &[&str]) -> Phase {
    let mut phase = Phase::default();
    phase.handle(at(0), Input::Begin(purpose));
    assert_eq!(actions(&mut phase), ["choose"]);
    phase.handle(at(0), Input::Chosen(choice(names)));
    phase
}

/// Up to the first look for a handshake.
fn shaking(purpose: Purpose, names: &[&str]) -> Phase {
    let mut phase = begun(purpose, names);
    assert_eq!(actions(&mut phase), [format!("open {}", names[0])]);
    phase.handle(at(0), Input::Opened(ready(names[0])));
    assert_eq!(actions(&mut phase), [format!("link {}", names[0])]);
    phase.handle(at(0), Input::Linked(Ok(())));
    assert_eq!(actions(&mut phase), ["look"]);
    phase
}

/// Wakes it whenever it wants to be woken, until then.
fn wake_until(phase: &mut Phase, end: Instant) -> Vec<(Instant, String)> {
    let mut seen = Vec::new();
    while let Some(now) = phase.poll_timeout().filter(|t| *t <= end) {
        phase.handle(now, Input::Wake);
        seen.extend(actions(phase).into_iter().map(|a| (now, a)));
    }
    seen
}

const FIRST: Purpose = Purpose::First { forever: false };

#[test]
fn an_answered_handshake_is_committed_and_ends_the_attempt() {
    let mut phase = shaking(FIRST, &["a"]);
    assert_eq!(phase.poll_timeout(), Some(at(20)));
    phase.handle(at(20), Input::Wake);
    phase.handle(at(20), Input::Looked { shaken: false });
    assert_eq!(actions(&mut phase), ["look"]);
    phase.handle(at(40), Input::Looked { shaken: true });
    assert_eq!(actions(&mut phase), ["commit"]);
    phase.handle(at(41), Input::Committed(Ok(())));
    assert_eq!(actions(&mut phase), ["done"]);
    assert!(!phase.is_running());
    assert_eq!(phase.poll_timeout(), None);
}

#[test]
fn an_unanswered_handshake_is_begun_anew_and_then_the_next_server_is_tried() {
    let mut phase = shaking(FIRST, &["a", "b"]);
    let seen = wake_until(&mut phase, at(4500));
    let restarts: Vec<_> = seen.iter().filter(|(_, a)| a == "restart").map(|(t, _)| *t).collect();
    assert_eq!(restarts, [at(1500), at(3000)]);
    let end: Vec<_> =
        seen.iter().filter(|(t, a)| *t >= at(4200) && a != "look").map(|(_, a)| a.as_str()).collect();
    assert_eq!(end, ["say", "drop a bad", "open b"]);
}

#[test]
fn a_person_is_told_when_no_server_answers() {
    let mut phase = shaking(FIRST, &["a"]);
    let seen = wake_until(&mut phase, at(60_000));
    assert_eq!(seen.last().unwrap(), &(at(12_000), "failed 14".to_owned()));
    assert!(!phase.is_running());
}

#[test]
fn a_replacement_goes_on_for_ever_and_never_fast() {
    let mut phase = begun(Purpose::Replace("dead".into()), &[]);
    let mut pauses = Vec::new();
    let mut now = at(0);
    for _ in 0..8 {
        let until = phase.poll_timeout().unwrap();
        pauses.push(until.since(now).as_secs());
        now = until;
        phase.handle(now, Input::Wake);
        assert!(actions(&mut phase).contains(&"choose".to_owned()));
        phase.handle(now, Input::Chosen(Err(Error::new(Exit::Provider, "away"))));
    }
    assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn a_refused_login_ends_even_a_service() {
    let mut phase = begun(Purpose::First { forever: true }, &["a", "b"]);
    assert_eq!(actions(&mut phase), ["open a"]);
    phase.handle(at(1), Input::Opened(Box::new(Err(Error::new(Exit::LoginRefused, "no")))));
    assert_eq!(actions(&mut phase), ["failed 10"]);
}

#[test]
fn a_server_that_cannot_be_opened_is_passed_over() {
    let mut phase = begun(FIRST, &["a", "b"]);
    assert_eq!(actions(&mut phase), ["open a"]);
    phase.handle(at(1), Input::Opened(Box::new(Err(Error::new(Exit::Provider, "429")))));
    assert_eq!(actions(&mut phase), ["say", "open b"]);
}

#[test]
fn cancelling_takes_back_what_was_made_and_says_interrupted() {
    let mut phase = shaking(Purpose::Switch, &["a"]);
    phase.handle(at(10), Input::Cancel);
    assert_eq!(actions(&mut phase), ["drop a", "failed 130"]);
    let mut early = begun(Purpose::Switch, &["a"]);
    assert_eq!(actions(&mut early), ["open a"]);
    early.handle(at(10), Input::Cancel);
    assert_eq!(actions(&mut early), ["failed 130"]);
    // The answer of the worker comes late and means nothing.
    early.handle(at(11), Input::Opened(ready("a")));
    assert_eq!(actions(&mut early), Vec::<String>::new());
}

#[test]
fn a_second_wish_takes_the_place_of_the_first() {
    let mut phase = shaking(FIRST, &["a"]);
    phase.handle(at(10), Input::Begin(Purpose::Switch));
    assert_eq!(actions(&mut phase), ["drop a", "choose"]);
}

#[test]
fn what_the_kernel_refuses_is_not_tried_with_another_server() {
    let mut phase = begun(FIRST, &["a", "b"]);
    phase.handle(at(0), Input::Opened(ready("a")));
    phase.handle(at(1), Input::Linked(Err(Error::failed("no WireGuard"))));
    assert_eq!(actions(&mut phase)[2..], ["drop a", "failed 1"]);
}

#[test]
fn something_always_happens_next() {
    // Whatever stage an attempt is in, either an answer is owed by the caller or a wake-up is due.
    let mut phase = shaking(Purpose::Replace("dead".into()), &["a", "b"]);
    for _ in 0..10_000 {
        let Some(now) = phase.poll_timeout() else { break };
        phase.handle(now, Input::Wake);
        if actions(&mut phase).iter().any(|a| a.starts_with("open")) {
            break;
        }
    }
    assert_eq!(phase.server().map(|s| s.name.as_str()), Some("b"));
}
