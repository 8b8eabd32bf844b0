use super::*;

const PROTON: ProviderKind = ProviderKind::Proton;
/// The wall clock at boot.
const WALL: u64 = 1_780_000_000;
const DAY: u64 = 86_400;

struct Story {
    session: Session,
    /// Seconds since boot.
    at: u64,
    /// How far the wall clock was set.
    set: u64,
}

impl Story {
    fn new() -> Story {
        Story { session: Session::default(), at: 0, set: 0 }
    }

    fn wall(&self) -> UnixTime {
        UnixTime(WALL + self.at + self.set)
    }

    /// What is begun by this.
    fn hear(&mut self, input: Input) -> Vec<Work> {
        let (now, wall) = (Instant::BOOT + secs(self.at), self.wall());
        self.session.handle(now, wall, input);
        std::iter::from_fn(|| self.session.poll_action()).map(|(_, work)| work).collect()
    }

    fn found(&mut self, found: Upkeep) -> Vec<Work> {
        let mut work = self.hear(Input::Done(PROTON, Ok(found)));
        work.extend(self.hear(Input::Wake));
        work
    }

    /// Sleeps as long as the machine wants; what it does then.
    fn wait(&mut self) -> (u64, Vec<Work>) {
        let until = self.session.poll_timeout().expect("a moment to wake").since_boot().as_secs();
        let slept = until - self.at;
        self.at = until;
        (slept, self.hear(Input::Wake))
    }
}

fn due(at: u64) -> Upkeep {
    Upkeep { due_at: Some(UnixTime(WALL + at)), logged_in: Some(true), ..Upkeep::default() }
}

fn failed(at: u64) -> Upkeep {
    Upkeep { failed: Some("no route".to_owned()), ..due(at) }
}

fn dead() -> Upkeep {
    let problem = Some("the session has ended: log in with `pvpn init --proton`".to_owned());
    Upkeep { logged_in: Some(false), problem, ..Upkeep::default() }
}

#[test]
fn a_certificate_is_renewed_when_it_is_due_and_looked_at_daily_before() {
    let mut s = Story::new();
    assert_eq!(s.hear(Input::Begin(PROTON)), [Work::Look]);
    assert_eq!(s.session.verdict(), Verdict::Unknown);
    assert!(!s.session.is_renewing(), "a look asks nobody");
    let end = due(2 * DAY + 500);
    assert_eq!(s.found(end.clone()), []);
    assert_eq!(s.session.verdict(), Verdict::Ok);
    for _ in 0..2 {
        assert_eq!(s.wait(), (DAY, vec![Work::Look]));
        assert_eq!(s.found(end.clone()), []);
    }
    assert_eq!(s.wait(), (500, vec![Work::Renew]));
    assert!(s.session.is_renewing());
    assert_eq!(s.session.poll_timeout(), None, "no wake-up while it is at work");
    assert_eq!(s.found(due(300 * DAY)), []);
    assert_eq!(s.wait().0, DAY);
}

#[test]
fn an_api_that_is_down_is_asked_ever_more_seldom_and_the_session_stays_in_order() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    assert_eq!(s.found(due(0)), [Work::Renew]);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(s.found(failed(0)), [], "overdue is no reason for haste");
        assert_eq!((s.session.verdict(), s.session.problem()), (Verdict::Ok, None));
        let (pause, work) = s.wait();
        assert_eq!(work, [Work::Renew]);
        pauses.push(pause);
    }
    assert_eq!(pauses, [60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert_eq!(s.found(due(300 * DAY)), []);
    assert_eq!(s.wait(), (DAY, vec![Work::Look]));
    assert_eq!(s.found(due(0)), [Work::Renew]);
    s.found(failed(0));
    assert_eq!(s.wait().0, 60, "the next trouble begins afresh");
}

#[test]
fn what_only_a_person_can_cure_is_looked_at_and_never_asked_for() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    assert_eq!(s.found(due(0)), [Work::Renew]);
    assert_eq!(s.found(dead()), []);
    for _ in 0..30 * 24 {
        assert_eq!(s.session.verdict(), Verdict::Bad);
        assert!(s.session.problem().unwrap().contains("pvpn init --proton"));
        assert_eq!(s.wait(), (3600, vec![Work::Look]));
        assert_eq!(s.found(dead()), []);
    }
    assert_eq!(s.wait().1, [Work::Look]);
    assert_eq!(s.found(due(DAY * 60)), [], "a person logged in");
    assert_eq!((s.session.verdict(), s.session.problem()), (Verdict::Ok, None));
}

#[test]
fn a_clock_that_is_set_ahead_makes_due_at_the_next_wake_up() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    s.found(due(100 * DAY));
    assert_eq!(s.hear(Input::Wake), []);
    s.set = 100 * DAY;
    assert_eq!(s.hear(Input::Wake), [Work::Renew]);
}

#[test]
fn other_settings_are_looked_at_and_what_was_under_way_counts_for_nothing() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    assert_eq!(s.hear(Input::Begin(PROTON)), []);
    assert_eq!(s.hear(Input::Done(PROTON, Ok(dead()))), [Work::Look]);
    assert_eq!(s.session.problem(), None);
    s.found(due(DAY));
    assert_eq!(s.hear(Input::Begin(PROTON)), [Work::Look]);
    assert_eq!(s.session.verdict(), Verdict::Ok, "what is known of the same provider stays");
    // Another provider's tunnel, while the first one's answer is on its way.
    assert_eq!(s.hear(Input::Begin(ProviderKind::Pia)), []);
    assert_eq!(s.session.verdict(), Verdict::Unknown);
    assert_eq!(s.hear(Input::Done(PROTON, Ok(dead()))), [Work::Look]);
    assert_eq!(s.hear(Input::Done(ProviderKind::Pia, Ok(Upkeep::default()))), []);
    assert_eq!(s.session.verdict(), Verdict::Unknown, "nothing made up");
}

#[test]
fn files_and_no_tunnel_have_no_session_and_no_wake_up() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    s.found(due(DAY));
    for input in [Input::Begin(ProviderKind::File), Input::End] {
        assert_eq!(s.hear(input), []);
        assert_eq!((s.session.verdict(), s.session.poll_timeout()), (Verdict::Off, None));
    }
    assert_eq!(s.hear(Input::Done(PROTON, Ok(dead()))), [], "an answer that comes too late");
}

#[test]
fn files_that_can_not_be_read_are_a_problem_and_read_again() {
    let mut s = Story::new();
    s.hear(Input::Begin(PROTON));
    s.hear(Input::Done(PROTON, Err(Error::failed("read session.json: Input/output error"))));
    assert_eq!(s.session.verdict(), Verdict::Bad);
    assert_eq!(s.wait(), (3600, vec![Work::Look]));
}
