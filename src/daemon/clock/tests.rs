use super::*;

const TRUE: u64 = 1_790_000_000;

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

fn actions(clock: &mut Clock) -> Vec<Action> {
    std::iter::from_fn(|| clock.poll_action()).collect()
}

fn hear(clock: &mut Clock, ms: u64, wall: u64, input: Input) -> Vec<Action> {
    clock.handle(at(ms), UnixTime(wall), input);
    actions(clock)
}

fn wake(clock: &mut Clock, ms: u64, wall: u64) -> Vec<Action> {
    hear(clock, ms, wall, Input::Wake)
}

#[test]
fn without_a_battery_one_server_is_asked_and_the_clock_is_stepped() {
    let mut clock = Clock::new(Some(UnixTime(TRUE - 86_400)));
    assert_eq!(wake(&mut clock, 0, 12), []);
    assert!(clock.is_wrong() && !clock.is_asking());
    assert_eq!(wake(&mut clock, 200, 12), [Action::Ask { nth: 0 }]);
    assert!(clock.is_asking());
    let text = clock.trouble(UnixTime(12)).unwrap();
    assert!(text.starts_with("the clock shows 1970-01-01T00:00:12Z, behind the 2026-"), "{text}");
    let set = hear(&mut clock, 900, 12, Input::Answer(Ok(UnixTime(TRUE))));
    assert_eq!(set, [Action::Set(UnixTime(TRUE))]);
    assert!(clock.is_wrong(), "until it is set");
    assert_eq!(wake(&mut clock, 901, TRUE), []);
    assert_eq!((clock.is_wrong(), clock.trouble(UnixTime(TRUE)), clock.poll_timeout()), (false, None, None));
}

#[test]
fn a_clock_ahead_of_the_highest_or_a_little_behind_asks_nobody() {
    for (highest, wall) in
        [(None, TRUE), (Some(TRUE), TRUE + 10_000_000), (Some(TRUE), TRUE - 60), (Some(5), TRUE)]
    {
        let mut clock = Clock::new(highest.map(UnixTime));
        assert_eq!(wake(&mut clock, 0, wall), []);
        assert_eq!((clock.is_wrong(), clock.poll_timeout()), (false, None), "{highest:?} {wall}");
    }
}

#[test]
fn without_a_memory_a_clock_older_than_pvpn_is_wrong() {
    let mut clock = Clock::new(None);
    wake(&mut clock, 0, 1_700_000_000);
    assert!(clock.trouble(UnixTime(1_700_000_000)).unwrap().contains("older than pvpn itself"));
}

#[test]
fn ntp_that_comes_first_is_good_enough() {
    let mut clock = Clock::new(Some(UnixTime(TRUE)));
    wake(&mut clock, 0, 12);
    assert_eq!(wake(&mut clock, 100, TRUE + 5), []);
    assert!(!clock.is_wrong());
}

#[test]
fn silence_is_asked_again_ever_more_slowly_and_a_person_is_told() {
    let mut clock = Clock::new(Some(UnixTime(TRUE)));
    wake(&mut clock, 0, 12);
    let mut asked = Vec::new();
    while asked.len() < 10 {
        let due = clock.poll_timeout().unwrap().since_boot().as_millis() as u64;
        assert!(!clock.is_hopeless() || asked.len() > 1);
        asked.extend(wake(&mut clock, due, 12).iter().map(|_| due / 1000));
        hear(&mut clock, due + 5000, 12, Input::Answer(Err("timed out".to_owned())));
        assert!(!clock.is_asking());
    }
    assert_eq!(asked, [0, 15, 45, 105, 225, 465, 945, 1845, 2745, 3645]);
    assert!(clock.is_hopeless());
    assert!(clock.trouble(UnixTime(12)).unwrap().ends_with("(no time server answers: timed out)"));
}

#[test]
fn an_answer_that_confirms_the_clock_shows_that_an_earlier_one_was_wrong() {
    let mut clock = Clock::new(Some(UnixTime(TRUE + 300_000_000)));
    wake(&mut clock, 0, TRUE);
    wake(&mut clock, 200, TRUE);
    assert_eq!(
        hear(&mut clock, 900, TRUE, Input::Answer(Ok(UnixTime(TRUE + 2)))),
        [Action::Store(UnixTime(TRUE + 2))]
    );
    assert!(!clock.is_wrong());
}

#[test]
fn an_unbelievable_answer_steps_nothing() {
    let mut clock = Clock::new(None);
    wake(&mut clock, 0, 12);
    wake(&mut clock, 200, 12);
    assert_eq!(hear(&mut clock, 900, 12, Input::Answer(Ok(UnixTime(86_400)))), []);
    assert!(clock.is_wrong());
    // Nor does one that nobody asked for.
    let mut right = Clock::new(None);
    assert_eq!(hear(&mut right, 0, TRUE, Input::Answer(Ok(UnixTime(TRUE + 99_999)))), []);
}

#[test]
fn a_clock_that_cannot_be_set_is_said() {
    let mut clock = Clock::new(None);
    wake(&mut clock, 0, 12);
    wake(&mut clock, 200, 12);
    hear(&mut clock, 900, 12, Input::Answer(Ok(UnixTime(TRUE))));
    hear(&mut clock, 900, 12, Input::NotSet("Operation not permitted".to_owned()));
    assert!(clock.trouble(UnixTime(12)).unwrap().contains("could not be set: Operation not permitted"));
    assert!(clock.is_wrong() && !clock.is_asking());
}

#[test]
fn the_highest_clock_is_stored_at_connect_hourly_and_at_the_end() {
    let mut clock = Clock::new(None);
    let mut stored = Vec::new();
    for minute in 0..150 {
        let wall = TRUE + minute * 60;
        stored.extend(hear(&mut clock, minute * 60_000, wall, Input::Accepted).iter().map(|_| minute));
    }
    assert_eq!(stored, [0, 60, 120]);
    clock.close();
    clock.close();
    assert_eq!(actions(&mut clock), [Action::Store(UnixTime(TRUE + 149 * 60))]);
}

#[test]
fn years_forward_and_back_while_connected_end_in_one_question() {
    let mut clock = Clock::new(Some(UnixTime(TRUE)));
    hear(&mut clock, 0, TRUE, Input::Accepted);
    let ahead = TRUE + 10 * 31_557_600;
    hear(&mut clock, 1000, ahead, Input::Accepted);
    assert!(!clock.is_wrong());
    wake(&mut clock, 2000, TRUE + 2);
    assert!(clock.is_wrong());
    assert_eq!(wake(&mut clock, 2200, TRUE + 2), [Action::Ask { nth: 0 }]);
    hear(&mut clock, 2500, TRUE + 2, Input::Answer(Ok(UnixTime(TRUE + 2))));
    assert_eq!((clock.is_wrong(), clock.poll_timeout()), (false, None));
}
