//! What the supervisor does when the network, the clock or the resolver fails under it.

use super::*;
use crate::status::{Area, Verdict};
use repair::{Found, Part, Way};

fn way(gateway: &str) -> Option<Way> {
    Some(Way { device: "eth0".to_owned(), gateway: gateway.parse().ok(), source: None })
}

fn inspected(way: Option<Way>) -> Event {
    Event::Inspected(Box::new(Found { parts: vec![Part::Network], way, ..Found::default() }))
}

impl Story {
    fn does(&mut self, ms: u64, event: Event, word: &str) -> bool {
        self.after(ms, event).iter().any(|w| w == word)
    }

    fn problem(&self, area: Area) -> Option<String> {
        let problems = self.daemon.snapshot(self.now).problems;
        problems.into_iter().find(|p| p.area == area).map(|p| p.text)
    }

    /// Connected, with the looks that follow over.
    fn settled() -> Story {
        let mut s = Story::connected(true);
        s.after(2000, Event::Wake);
        s.handle(inspected(way("192.168.1.1")));
        s.handle(Event::Echo { seq: 1 });
        s.handle(Event::Named(true));
        s
    }
}

#[test]
fn a_change_is_looked_into_once_it_is_quiet_and_the_rules_at_once() {
    let mut s = Story::settled();
    assert!(!s.does(5000, Event::Changed(Part::Network), "Inspect"));
    assert!(s.does(200, Event::Wake, "Inspect"));
    assert!(s.does(5000, Event::Changed(Part::Ruleset), "Inspect"));
}

#[test]
fn what_was_put_back_is_counted_and_nothing_else_happens() {
    let mut s = Story::settled();
    let taken = vec![(Part::Network, "2 rules were taken away".to_owned())];
    let found = Found { parts: vec![Part::Network], taken, way: way("192.168.1.1"), ..Found::default() };
    assert_eq!(s.after(1000, Event::Inspected(Box::new(found))), Vec::<String>::new());
    let snapshot = s.daemon.snapshot(s.now);
    assert_eq!((snapshot.monitor.repairs, snapshot.problems.len()), (1, 0));
}

#[test]
fn a_link_made_anew_gets_its_sockets_and_its_handshake() {
    let mut s = Story::settled();
    let found =
        Found { parts: vec![Part::Network], way: way("192.168.1.1"), remade: true, ..Found::default() };
    let done = s.after(1000, Event::Inspected(Box::new(found)));
    assert!(done.contains(&"OpenSockets".to_owned()) && done.contains(&"Look".to_owned()), "{done:?}");
}

#[test]
fn another_way_out_has_the_server_asked_at_once_and_the_peer_added_again_if_it_is_silent() {
    let mut s = Story::settled();
    assert!(!s.does(1000, inspected(way("192.168.1.1")), "Ping"), "the same way");
    assert!(s.does(1000, inspected(way("192.168.1.254")), "Ping"));
    let silent = || Event::Looked(Some(Look { handshake: Some(WALL), rx_bytes: 7, ..Look::default() }));
    s.handle(silent());
    assert!(s.does(1500, Event::Wake, "Look"));
    assert!(s.does(0, silent(), "Restart"));
}

#[test]
fn a_cable_is_no_servers_fault() {
    for is_out in [true, false] {
        let mut s = Story::settled();
        s.after(1000, inspected(if is_out { None } else { way("192.168.1.1") }));
        s.seen.clear();
        s.daemon.replace(s.now, "no answer to 3 checks");
        s.handle(Event::Wake);
        assert_eq!(s.seen.contains(&"Choose".to_owned()), !is_out);
        let snapshot = s.daemon.snapshot(s.now);
        assert_eq!(snapshot.health.link, if is_out { Verdict::Bad } else { Verdict::Ok });
        assert_eq!(s.problem(Area::Tunnel).is_some_and(|t| t.contains("no way")), is_out);
    }
}

#[test]
fn a_network_that_comes_up_ends_the_pause_of_a_service() {
    let mut s = story(true);
    s.daemon.is_service = true;
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
    s.handle(inspected(None));
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::Provider, "no network")) });
    assert!(!s.does(100, inspected(None), "Choose"));
    assert!(s.does(100, inspected(way("192.168.1.1")), "Choose"));
}

#[test]
fn a_machine_that_slept_looks_at_everything() {
    let mut s = Story::settled();
    let done = s.after(0, Event::Resumed(crate::time::secs(3600)));
    assert!(done.contains(&"Inspect".to_owned()) && done.contains(&"Ping".to_owned()), "{done:?}");
    assert!(s.does(200, Event::Wake, "Inspect"));
}

#[test]
fn no_handshake_is_begun_with_a_wrong_clock_and_one_answer_sets_it() {
    let mut s = story(true);
    s.wall = UnixTime(12);
    let connect = || Event::Client(1, Ask::Connect(Box::new(wish("NL", true))));
    assert!(!s.does(0, connect(), "Choose"));
    assert_eq!(s.daemon.state_word(), State::Connecting);
    assert!(s.problem(Area::Clock).is_some_and(|t| t.contains("1970-01-01")));
    assert!(!s.last().own_sockets, "nobody to ask yet");
    let done = s.after(200, Event::Wake);
    assert_eq!(done, ["Load closed", "AskTime"]);
    assert!(s.last().own_sockets);
    let answer = Event::Clock(clock::Input::Answer(Ok(WALL)));
    assert!(s.does(500, answer, "SetClock"));
    s.wall = WALL;
    assert!(s.does(1, Event::Wake, "Choose"));
    assert_eq!(s.problem(Area::Clock), None);
    // The right clock needs no question.
    let mut right = story(true);
    let done = right.after(0, connect());
    assert!(done.contains(&"Choose".to_owned()) && !done.contains(&"AskTime".to_owned()), "{done:?}");
}

#[test]
fn a_person_with_a_wrong_clock_is_told_and_a_service_waits() {
    for is_service in [false, true] {
        let mut s = story(true);
        s.daemon.is_service = is_service;
        s.wall = UnixTime(12);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
        for ms in [200, 5000, 10_000] {
            s.after(ms, Event::Wake);
            s.handle(Event::Clock(clock::Input::Answer(Err("no answer".to_owned()))));
        }
        assert_eq!(s.done(1), if is_service { None } else { Some(Exit::Failed) });
        assert!(!s.seen.contains(&"Choose".to_owned()));
    }
}

#[test]
fn a_clock_that_jumps_by_years_while_connected_moves_no_deadline() {
    let mut s = Story::settled();
    for wall in [WALL.0 + 315_576_000, WALL.0, WALL.0 + 1] {
        s.wall = UnixTime(wall);
        let before = s.daemon.up.as_ref().and_then(|up| up.monitor.poll_timeout());
        let done = s.after(0, Event::Wake);
        assert_eq!(s.daemon.up.as_ref().and_then(|up| up.monitor.poll_timeout()), before);
        assert!(!done.iter().any(|w| w == "Choose" || w == "AskTime"), "{done:?}");
        assert_eq!(s.daemon.state_word(), State::Connected);
    }
    // Far enough back, a server would not shake hands: said, and asked once.
    s.wall = UnixTime(12);
    s.after(0, Event::Wake);
    assert!(s.problem(Area::Clock).is_some());
    assert!(s.does(200, Event::Wake, "AskTime"));
    assert_eq!(s.daemon.state_word(), State::Connected);
}

#[test]
fn the_clock_of_the_latest_handshake_is_stored_at_connect_and_at_the_end() {
    let mut s = Story::connected(true);
    let look = |at: u64| Event::Looked(Some(Look { handshake: Some(UnixTime(at)), ..Look::default() }));
    assert!(s.does(0, look(WALL.0), "StoreClock"));
    s.wall = UnixTime(WALL.0 + 130);
    assert!(!s.does(130_000, look(WALL.0 + 130), "StoreClock"));
    let done = s.after(0, Event::Signal(Signal::Leave));
    assert_eq!(done, ["StoreClock", "Exit"]);
}

#[test]
fn a_dead_resolver_is_said_and_changes_no_server() {
    let mut s = Story::settled();
    assert_eq!(s.daemon.snapshot(s.now).health.dns, Verdict::Ok);
    let mut asked = 0;
    for _ in 0..200 {
        let done = s.after(500, Event::Wake);
        asked += done.iter().filter(|w| *w == "AskName").count();
        assert!(!done.contains(&"Choose".to_owned()));
        let sent = s.daemon.up.as_ref().map_or(0, |_| done.iter().filter(|w| *w == "Ping").count());
        for seq in 0..u16::try_from(sent).unwrap() * 10 {
            s.handle(Event::Echo { seq });
        }
    }
    assert_eq!(s.daemon.snapshot(s.now).health.dns, Verdict::Bad);
    assert!(s.problem(Area::Dns).is_some_and(|t| t.contains("10.2.0.1")));
    assert!((3..=9).contains(&asked), "{asked} questions in 100 s");
}

#[test]
fn with_the_machines_own_resolver_the_verdict_is_off() {
    let mut s = story(true);
    let plain = Wish { dns: false, ..wish("NL", true) };
    s.handle(Event::Client(1, Ask::Connect(Box::new(plain))));
    s.choose(&ready("NL", 11));
    s.shake();
    let done = s.after(1000, Event::Wake);
    assert!(!done.contains(&"AskName".to_owned()));
    let health = s.daemon.snapshot(s.now).health;
    assert_eq!((health.dns, health.session), (Verdict::Off, Verdict::Off));
}

#[test]
fn a_kill_switch_that_cannot_be_remembered_is_on_but_not_done() {
    let mut s = Story::connected(true);
    s.handle(Event::Client(3, Ask::Killswitch { on: true }));
    s.handle(Event::Remembered(Err(Error::failed("No space left on device"))));
    assert_eq!((s.done(3), s.last().killswitch), (Some(Exit::Failed), true));
    let problems = s.daemon.snapshot(s.now).problems;
    assert!(problems.iter().any(|p| p.text.contains("a reboot may open it")), "{problems:?}");
    s.handle(Event::Client(4, Ask::Killswitch { on: true }));
    s.handle(Event::Remembered(Ok(())));
    assert_eq!(s.done(4), Some(Exit::Done));
}

#[test]
fn networks_that_hold_the_endpoint_are_chosen_by_rules_and_their_answers_need_the_mark() {
    let by_rules = |net: &str| {
        let mut ready = ready("NL", 11);
        ready.connection.tunnel.peers[0].allowed_ips = vec![net.parse().unwrap()];
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", true)))));
        s.choose(&ready);
        s.last().tunnels[0].full
    };
    assert_eq!(["0.0.0.0/0", "203.0.0.0/8", "10.0.0.0/8"].map(by_rules), [true, true, false]);
}
