//! The way back to a better server, and which connection is kept.

use super::*;
use crate::daemon::lease::Holder;
use crate::provider::pia::forward::Gateway;
use crate::time::secs;
use crate::wire::http::Route;
use std::net::IpAddr;

/// First NL, then CH.
fn either() -> Wish {
    Wish { cc: vec![Country::parse("NL").unwrap(), Country::parse("CH").unwrap()], ..wish("NL", true) }
}

fn chosen(ready: &Ready, second: bool) -> Choice {
    Choice { ranked: vec![ready.connection.server.clone()], second, ..Choice::default() }
}

impl Story {
    /// Lives for so long on an idle tunnel that works, woken only when the daemon wants; how often that was.
    fn live(&mut self, minutes: u64) -> usize {
        let until = self.now + secs(60 * minutes);
        let mut wakes = 0;
        while let Some((due, _)) = self.daemon.poll_timeout().filter(|(due, _)| *due <= until) {
            (self.now, wakes) = (self.now.max(due), wakes + 1);
            let mut done = self.after(0, Event::Wake);
            while let Some(word) = done.pop() {
                done.extend(match word.as_str() {
                    "Look" => {
                        self.after(0, Event::Looked(Some(Look { handshake: Some(WALL), ..Look::default() })))
                    }
                    "Ping" => self.after(20, Event::Echo { seq: self.seq }),
                    "AskName" => self.after(20, Event::Named(true)),
                    "Choose" => return wakes,
                    _ => Vec::new(),
                });
            }
        }
        self.now = until;
        wakes
    }

    fn answer(&mut self, choice: Choice) -> Vec<String> {
        let round = self.daemon.round;
        self.after(0, Event::Chosen { round, result: Ok(choice) })
    }

    /// NL failed, and CH carries the traffic.
    fn away() -> Story {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(either()))));
        s.choose(&ready("NL", 11));
        s.shake();
        s.daemon.replace(s.now, "no answer to 3 checks");
        s.handle(Event::Wake);
        s.take(&ready("CH", 12), true);
        assert_eq!(s.daemon.interface(), Some("wgpch"));
        s
    }

    /// The choice falls on this one, and it answers.
    fn take(&mut self, to: &Ready, second: bool) {
        self.answer(chosen(to, second));
        let round = self.daemon.round;
        self.handle(Event::Opened { round, result: Box::new(Ok(to.clone())) });
        self.shake();
    }

    fn is_choosing(&self) -> bool {
        self.daemon.phase.is_running()
    }
}

#[test]
fn after_half_an_hour_the_better_server_is_returned_to_with_the_kill_switch_closed_and_the_port_kept() {
    let mut s = Story::away();
    let source: IpAddr = "10.44.0.9".parse().unwrap();
    let route = Route::Tunnel { interface: "wgpch".into(), source };
    let gateway = Gateway { server_vip: "10.44.128.1".parse().unwrap(), cn: "zurich406".into(), route };
    s.daemon.holder = Holder::Pia(Box::new(lease::pia::Pia::new(gateway, Some((40_123, s.now)))));
    let before = s.loaded.len();
    s.live(29);
    assert!(!s.is_choosing());
    s.live(2);
    assert!(s.is_choosing());
    let mut home = ready("NL", 11);
    home.connection.port = PortHold::Pia { server_vip: source, cn: "amsterdam447".into() };
    s.answer(chosen(&home, false));
    let round = s.daemon.round;
    s.handle(Event::Opened { round, result: Box::new(Ok(home)) });
    let open: Vec<(&str, bool)> = s.last().tunnels.iter().map(|t| (t.interface.as_str(), t.open)).collect();
    assert_eq!(open, [("wgpch", true), ("wgpnl", false)]);
    s.shake();
    assert_eq!(s.daemon.interface(), Some("wgpnl"));
    assert_eq!(s.daemon.holder.view(s.now).number, Some(40_123));
    assert!(s.loaded[before..].iter().all(|p| p.killswitch && p.tunnels.iter().any(|t| t.open)));
    let told = s.told.len();
    s.live(24 * 60);
    assert!(!s.is_choosing() && s.told.len() == told, "home again: nothing more is looked for");
}

#[test]
fn a_better_server_that_is_still_ill_costs_nothing_and_is_asked_after_ever_more_rarely() {
    let mut s = Story::away();
    let (current, begun) = (ready("CH", 12), s.now);
    let mut at = Vec::new();
    while s.now.since(begun) < secs(24 * 3600) {
        s.live(60);
        if s.is_choosing() {
            at.push(s.now.since(begun).as_secs() / 60);
            let done = s.answer(chosen(&current, true));
            assert!(!done.iter().any(|w| ["Open", "Link", "Drop"].contains(&w.as_str())), "{done:?}");
        }
    }
    assert_eq!(at, [30, 90, 210, 450, 930, 1410]);
    assert_eq!(s.daemon.interface(), Some("wgpch"));
    assert!(s.daemon.snapshot(s.now).problems.is_empty());
}

#[test]
fn a_try_without_a_handshake_leaves_the_tunnel_in_use_as_it_was() {
    let mut s = Story::away();
    s.live(31);
    s.answer(chosen(&ready("NL", 11), false));
    let round = s.daemon.round;
    s.handle(Event::Opened { round, result: Box::new(Ok(ready("NL", 11))) });
    s.handle(Event::Linked(Ok(())));
    s.after(3100, Event::Wake);
    assert!(s.seen.contains(&"Drop".to_owned()), "{:?}", s.seen);
    assert!(!s.is_choosing());
    assert_eq!((s.daemon.interface(), s.daemon.state_word()), (Some("wgpch"), State::Connected));
    assert!(s.daemon.memory.has_failed("NL.conf", s.now));
    s.live(59);
    assert!(!s.is_choosing(), "twice the pause");
    s.live(2);
    assert!(s.is_choosing());
}

#[test]
fn a_server_that_dies_during_a_try_is_replaced_at_once() {
    let mut s = Story::away();
    s.live(31);
    assert_eq!(s.daemon.phase.purpose(), Some(&phase::Purpose::Return));
    s.daemon.replace(s.now, "nothing received");
    assert!(matches!(s.daemon.phase.purpose(), Some(phase::Purpose::Replace(_))));
    assert!(s.daemon.memory.has_failed("CH.conf", s.now));
}

#[test]
fn a_person_who_connects_during_a_try_is_served_and_told() {
    let mut s = Story::away();
    s.live(31);
    s.handle(Event::Client(7, Ask::Connect(Box::new(either()))));
    s.answer(chosen(&ready("CH", 12), true));
    assert_eq!(s.done(7), Some(Exit::Done));
    assert_eq!(s.daemon.interface(), Some("wgpch"));
    s.live(31);
    assert!(s.is_choosing(), "and the better one is not forgotten");
}

#[test]
fn what_a_person_chose_is_never_left_for_something_better() {
    let mut s = Story::connected(true);
    s.live(7 * 24 * 60);
    assert!(!s.is_choosing());
}

#[test]
fn the_first_connection_remembers_that_a_better_one_did_not_answer() {
    let mut s = story(false);
    s.handle(Event::Client(1, Ask::Connect(Box::new(either()))));
    let (nl, ch) = (ready("NL", 11), ready("CH", 12));
    let servers = [&nl, &ch].map(|r| r.connection.server.clone());
    s.answer(Choice { ranked: servers.to_vec(), ..Choice::default() });
    let round = s.daemon.round;
    let away = Err(Error::new(Exit::Provider, "addKey: timed out"));
    s.handle(Event::Opened { round, result: Box::new(away) });
    let round = s.daemon.round;
    s.handle(Event::Opened { round, result: Box::new(Ok(ch)) });
    s.shake();
    assert!(s.daemon.memory.has_failed("NL.conf", s.now) && !s.daemon.memory.has_failed("CH.conf", s.now));
    s.live(31);
    assert!(s.is_choosing());
}

#[test]
fn an_idle_hour_away_from_the_better_server_has_six_wake_ups_a_minute_at_most() {
    let mut s = Story::away();
    s.live(2);
    let mut wakes = 0;
    for _ in 0..4 {
        wakes += s.live(15);
        if s.is_choosing() {
            s.answer(chosen(&ready("CH", 12), true));
        }
    }
    assert!(wakes <= 6 * 60, "{wakes} in an hour");
}

/// In use: PIA's swiss.
fn pia() -> (Story, Wish) {
    let mut s = story(false);
    let wish = Wish {
        provider: ProviderKind::Pia,
        cc: vec![],
        regions: vec!["swiss".into(), "uk".into()],
        ..wish("NL", false)
    };
    s.handle(Event::Client(1, Ask::Connect(Box::new(wish.clone()))));
    let mut up = ready("CH", 7);
    let server = &mut up.connection.server;
    (server.provider, server.id) = (ProviderKind::Pia, "swiss/zurich406".into());
    (server.name, server.region) = ("swiss".into(), Some("swiss".into()));
    (server.host, server.city) = (Some("zurich406".into()), Some("Switzerland".into()));
    (server.features.p2p, server.features.forwards) = (true, Some(true));
    s.choose(&up);
    s.shake();
    (s, wish)
}

#[test]
fn a_connect_finds_itself_connected_only_if_every_part_of_the_wish_is_met() {
    type Change = fn(&mut Wish);
    let kept: [Change; 6] = [
        |_| (),
        |w| w.p2p = true,
        |w| w.city = Some("switzerland".into()),
        |w| (w.server, w.regions) = (Some("ZURICH406".into()), vec![]),
        |w| (w.cc, w.regions) = (vec![Country::parse("CH").unwrap()], vec![]),
        |w| w.regions = vec![],
    ];
    let left: [Change; 8] = [
        |w| w.provider = ProviderKind::File,
        |w| w.secure_core = true,
        |w| w.city = Some("Geneva".into()),
        |w| w.server = Some("london407".into()),
        |w| (w.cc, w.regions) = (vec![Country::parse("GB").unwrap()], vec![]),
        |w| w.regions = vec!["us_atlanta".into()],
        |w| w.regions = vec!["uk".into(), "swiss".into()],
        |w| w.dns = false,
    ];
    for (stays, changes) in [(true, &kept[..]), (false, &left[..])] {
        for (nth, change) in changes.iter().enumerate() {
            let (mut s, mut wish) = pia();
            change(&mut wish);
            let done = s.after(1000, Event::Client(2, Ask::Connect(Box::new(wish.clone()))));
            assert_eq!(!done.iter().any(|w| w == "Choose"), stays, "{nth}: {wish:?}");
        }
    }
}

#[test]
fn after_a_failover_the_same_wish_is_met_by_what_was_left_of_it() {
    let mut s = Story::away();
    let done = s.after(1000, Event::Client(2, Ask::Connect(Box::new(either()))));
    assert!(!done.iter().any(|w| w == "Choose"));
    assert_eq!(s.done(2), Some(Exit::Done));
}

#[test]
fn a_choice_that_falls_on_the_server_in_use_changes_nothing() {
    let (mut s, wish) = pia();
    let other = Wish { regions: vec!["uk".into(), "swiss".into()], ..wish };
    s.handle(Event::Client(2, Ask::Connect(Box::new(other))));
    let current = s.daemon.up.as_ref().unwrap().ready.clone();
    let done = s.answer(chosen(&current, true));
    assert!(!done.iter().any(|w| ["Open", "Link", "Commit"].contains(&w.as_str())), "{done:?}");
    assert_eq!(s.done(2), Some(Exit::Done));
}

#[test]
fn a_wish_that_could_not_be_met_does_not_outlive_its_failure() {
    let mut s = Story::connected(true);
    let nonsense = Wish { server: Some("XX#1".into()), ..wish("NL", true) };
    s.handle(Event::Client(2, Ask::Connect(Box::new(nonsense))));
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::NoServer, "no server matches")) });
    assert_eq!((s.done(2), s.daemon.state_word()), (Some(Exit::NoServer), State::Connected));
    // What replaces the server in use is what was asked for when it was taken.
    s.daemon.replace(s.now, "no answer to 3 checks");
    assert_eq!(s.daemon.wish.as_ref().unwrap().server, None);
    s.handle(Event::Wake);
    s.take(&ready("NL", 31), false);
    assert_eq!(s.daemon.up.as_ref().unwrap().server().name, "NL#31");
}

#[test]
fn why_a_server_was_chosen_is_said_where_there_was_a_choice() {
    for (by, is_said) in [("ping", true), ("api", true), ("name", false), ("only", false)] {
        let mut s = story(false);
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish("NL", false)))));
        let (round, reason) = (s.daemon.round, "none of 2 answered a ping".to_owned());
        let ranked = vec![ready("NL", 11).connection.server];
        let choice = Choice { by: by.to_owned(), reason: reason.clone(), ranked, ..Choice::default() };
        s.handle(Event::Chosen { round, result: Ok(choice) });
        assert_eq!(s.told.contains(&(1, Tell::Say(reason))), is_said, "{by}");
    }
}
