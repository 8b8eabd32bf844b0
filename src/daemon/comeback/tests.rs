use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn at(secs_since_boot: u64) -> Instant {
    Instant::BOOT + secs(secs_since_boot)
}

/// Left a better server at zero.
fn away() -> Comeback {
    let mut comeback = Comeback::default();
    comeback.connected(at(0), true, false);
    comeback
}

/// Wakes it when it wants, as a free machine with this traffic; the seconds of its tries until then.
fn tries(
    comeback: &mut Comeback,
    until: u64,
    is_calm: bool,
    mut end: impl FnMut(&mut Comeback, Instant),
) -> Vec<u64> {
    let mut tries = Vec::new();
    while let Some(due) = comeback.poll_timeout().filter(|due| *due < at(until)) {
        if comeback.wake(due, is_calm, true) {
            tries.push(due.since_boot().as_secs());
            end(comeback, due);
        }
    }
    tries
}

#[test]
fn nothing_is_tried_while_nothing_better_is_known_of() {
    let mut comeback = Comeback::default();
    comeback.connected(at(0), false, true);
    assert_eq!((comeback.poll_timeout(), comeback.tries()), (None, None));
    assert!(!comeback.wake(at(30 * DAY), true, true));
}

#[test]
fn the_first_try_comes_when_the_failure_has_faded_and_the_pause_doubles_to_eight_hours() {
    let all = tries(&mut away(), 3 * DAY, true, Comeback::fail);
    let first: Vec<u64> = all.iter().take(5).map(|t| t / MINUTE).collect();
    assert_eq!(first, [30, 90, 210, 450, 930]);
    assert_eq!(all.len(), 12, "of three days");
    assert!(all.windows(2).skip(4).all(|w| w[1] - w[0] == 8 * HOUR));
}

#[test]
fn a_lull_is_waited_for_for_an_hour_at_most_and_without_a_wake_up_of_its_own() {
    let mut comeback = away();
    assert!(!comeback.wake(at(30 * MINUTE), false, true));
    assert_eq!(comeback.poll_timeout(), Some(at(90 * MINUTE)));
    assert!(!comeback.wake(at(50 * MINUTE), false, true));
    assert!(comeback.wake(at(51 * MINUTE), true, true), "a lull");
    assert_eq!(tries(&mut away(), 2 * HOUR, false, Comeback::fail), [90 * MINUTE]);
}

#[test]
fn a_server_that_always_fails_again_is_returned_to_three_times_a_day_at_most() {
    let mut comeback = away();
    let all = tries(&mut comeback, 10 * DAY, true, |comeback, now| {
        comeback.connected(now, false, false);
        comeback.connected(now + secs(5 * MINUTE), true, false);
    });
    for day in 1..10 {
        let returns = all.iter().filter(|t| (day * DAY..(day + 1) * DAY).contains(t)).count();
        assert!(returns <= 3, "{returns} returns on day {day}");
    }
}

#[test]
fn a_return_that_lasted_makes_the_next_one_as_quick_as_the_first() {
    let mut comeback = away();
    comeback.fail(at(HOUR));
    comeback.fail(at(4 * HOUR));
    assert!(comeback.wake(at(7 * HOUR), true, true));
    comeback.connected(at(7 * HOUR), false, false);
    assert_eq!(comeback.tries(), None);
    comeback.connected(at(9 * HOUR), true, false);
    assert_eq!(comeback.poll_timeout(), Some(at(9 * HOUR + 30 * MINUTE)));
}

#[test]
fn one_found_no_better_is_not_looked_for_again() {
    let mut comeback = away();
    assert!(comeback.wake(at(HOUR), true, true));
    comeback.settle(at(HOUR));
    assert_eq!(comeback.poll_timeout(), None);
}

#[test]
fn a_try_that_cannot_be_made_waits_and_never_spins() {
    let mut comeback = away();
    let mut wakes = 0;
    while let Some(due) = comeback.poll_timeout().filter(|due| *due < at(2 * HOUR)) {
        assert!(!comeback.wake(due, true, false));
        wakes += 1;
    }
    assert_eq!(wakes, 18); // every five minutes of an hour and a half
    assert!(comeback.wake(at(2 * HOUR), true, true));
    comeback.interrupt(at(2 * HOUR));
    assert_eq!(comeback.poll_timeout(), Some(at(2 * HOUR + 5 * MINUTE)));
}

#[test]
fn the_next_supervisor_goes_on_with_the_pause_that_was_reached() {
    let mut comeback = away();
    comeback.fail(at(HOUR));
    let mut next = Comeback::default();
    next.adopt(at(2 * HOUR), comeback.tries());
    assert_eq!(next.poll_timeout(), Some(at(3 * HOUR)));
    next.adopt(at(2 * HOUR), None);
    assert_eq!(next.poll_timeout(), None);
}
