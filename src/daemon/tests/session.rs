//! What the supervisor does about a session that runs out, and what it leaves alone meanwhile.

use super::*;
use crate::provider::Upkeep;
use crate::status::{Area, Verdict};

const PROTON: ProviderKind = ProviderKind::Proton;

fn proton(cc: &str, last: u8) -> Ready {
    let mut ready = ready(cc, last);
    ready.connection.server.provider = PROTON;
    ready
}

fn kept(due_at: u64, problem: Option<&str>) -> Event {
    let found = Upkeep {
        due_at: Some(UnixTime(WALL.0 + due_at)),
        logged_in: Some(problem.is_none()),
        problem: problem.map(str::to_owned),
        failed: None,
    };
    Event::Kept(PROTON, Ok(found))
}

impl Story {
    fn by_proton() -> Story {
        let mut s = story(false);
        let wish = Wish { provider: PROTON, ..wish("NL", true) };
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish))));
        s.choose(&proton("NL", 11));
        s.shake();
        s.handle(Event::Wake);
        s
    }

    fn health(&self) -> Verdict {
        self.daemon.snapshot(self.now).health.session
    }

    fn wake_after(&mut self, seconds: u64) -> usize {
        self.now = self.now + crate::time::secs(seconds);
        self.wall = UnixTime(self.wall.0 + seconds);
        self.seen.clear();
        self.handle(Event::Wake);
        self.seen.iter().filter(|w| *w == "Keep").count()
    }
}

#[test]
fn a_renewal_lets_our_own_sockets_out_for_as_long_as_it_takes_and_touches_no_tunnel() {
    let mut s = Story::by_proton();
    assert!(s.seen.contains(&"Keep".to_owned()));
    assert!(!s.last().own_sockets, "a look at the files asks nobody");
    s.handle(kept(3600, None));
    assert_eq!(s.health(), Verdict::Ok);
    assert_eq!(s.wake_after(3599), 0);
    assert_eq!(s.wake_after(1), 1);
    assert!(s.last().own_sockets && s.last().killswitch);
    assert!(s.position("Load closed") < s.position("Keep"), "let out before it is sent");
    s.seen.clear();
    s.handle(kept(90_000, None));
    assert!(!s.last().own_sockets);
    assert_eq!(s.seen, ["Load closed"]);
    assert_eq!(s.daemon.state_word(), State::Connected);
}

#[test]
fn what_is_wrong_stands_among_the_problems_until_it_is_cured() {
    let mut s = Story::by_proton();
    s.handle(kept(0, Some("it has ended: log in with `pvpn init --proton`")));
    let snapshot = s.daemon.snapshot(s.now);
    assert_eq!(snapshot.health.session, Verdict::Bad);
    let problem = snapshot.problems.iter().find(|p| p.area == Area::Session).unwrap();
    assert!(problem.text.contains("pvpn init --proton"));
    s.handle(Event::Client(2, Ask::Disconnect { ks: None }));
    assert!(s.daemon.snapshot(s.now).problems.iter().all(|p| p.area != Area::Session));
}

#[test]
fn a_renewal_waits_while_a_server_is_being_taken() {
    let mut s = Story::by_proton();
    s.handle(kept(60, None));
    let wish = Wish { provider: PROTON, ..wish("CH", true) };
    s.handle(Event::Client(2, Ask::Connect(Box::new(wish))));
    assert_eq!(s.wake_after(120), 0);
    assert!(s.daemon.poll_timeout().is_none_or(|(_, why)| why != "session"), "nor is it a reason to wake");
    s.choose(&proton("CH", 12));
    s.shake();
    s.handle(Event::Wake);
    assert!(s.seen.contains(&"Keep".to_owned()));
}

#[test]
fn a_command_that_was_let_out_may_have_logged_in() {
    let mut s = Story::by_proton();
    s.handle(kept(0, Some("it has ended")));
    s.handle(Event::Client(2, Ask::Lend(control::Loan::Outside)));
    s.seen.clear();
    s.handle(Event::ClientGone(2));
    assert!(s.seen.contains(&"Keep".to_owned()), "{:?}", s.seen);
    s.handle(kept(3600, None));
    assert_eq!(s.health(), Verdict::Ok);
}

#[test]
fn what_the_plan_can_not_do_is_said_before_connecting() {
    let s = Story::by_proton();
    let said: Vec<&str> = s
        .told
        .iter()
        .filter_map(|(_, tell)| match tell {
            Tell::Say(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    assert!(said.contains(&"made up"), "{said:?}");
}

#[test]
fn a_file_has_no_session() {
    let mut s = Story::connected(true);
    assert!(!s.seen.contains(&"Keep".to_owned()));
    assert_eq!(s.health(), Verdict::Off);
    assert_eq!(s.wake_after(90_000), 0);
}

#[test]
fn the_first_round_for_another_server_asks_nobody_for_what_can_wait() {
    let mut s = Story::by_proton();
    let hurried = |s: &mut Story| {
        let mut found = None;
        while let Some(action) = s.daemon.poll_action() {
            if let Action::Choose { hurry, .. } = action {
                found = Some(hurry);
            }
        }
        found
    };
    s.daemon.phase.handle(s.now, phase::Input::Begin(phase::Purpose::Replace("it is silent".to_owned())));
    s.daemon.handle(s.now, s.wall, Event::Wake);
    assert_eq!(hurried(&mut s), Some(true));
    let round = s.daemon.round;
    s.daemon.handle(s.now, s.wall, Event::Chosen { round, result: Err(Error::new(Exit::NoServer, "none")) });
    s.now = s.now + crate::time::secs(2);
    s.daemon.handle(s.now, s.wall, Event::Wake);
    assert_eq!(hurried(&mut s), Some(false), "it was in vain: the list may be too old");
}

#[test]
fn an_answer_under_way_is_let_in_until_the_supervisor_ends() {
    let disconnected = |provider| {
        let mut s = story(true);
        let wish = Wish { provider, ..wish("NL", true) };
        s.handle(Event::Client(1, Ask::Connect(Box::new(wish))));
        s.handle(Event::Signal(Signal::Disconnect));
        assert!(s.seen.contains(&"Exit".to_owned()));
        s
    };
    let mut s = disconnected(PROTON);
    assert!(s.daemon.has_errands() && s.last().own_sockets, "it may be what a refresh token was spent for");
    s.daemon.end_errands();
    s.perform();
    assert!(!s.last().own_sockets && s.last().killswitch);

    let mut s = disconnected(PROTON);
    let round = s.daemon.round;
    s.handle(Event::Chosen { round, result: Err(Error::new(Exit::Provider, "no route to it")) });
    assert!(!s.daemon.has_errands() && !s.last().own_sockets);

    let s = disconnected(ProviderKind::File);
    assert!(!s.daemon.has_errands() && !s.last().own_sockets, "a file is asked nothing");
}

#[test]
fn a_renewal_under_way_is_not_forgotten_by_a_disconnect() {
    let mut s = Story::by_proton();
    s.handle(kept(60, None));
    assert!(!s.daemon.has_errands());
    assert_eq!(s.wake_after(60), 1);
    s.handle(Event::Signal(Signal::Disconnect));
    assert!(s.daemon.has_errands() && s.last().own_sockets);
    s.handle(kept(90_000, None));
    assert!(!s.daemon.has_errands() && !s.last().own_sockets);
}
