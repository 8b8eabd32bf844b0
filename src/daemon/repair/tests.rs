use super::*;

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

fn actions(repair: &mut Repair) -> Vec<Action> {
    std::iter::from_fn(|| repair.poll_action()).collect()
}

fn changed(repair: &mut Repair, ms: u64, part: Part) -> Vec<Action> {
    repair.handle(at(ms), Input::Changed(part));
    actions(repair)
}

fn wake(repair: &mut Repair, ms: u64) -> Vec<Action> {
    repair.handle(at(ms), Input::Wake);
    actions(repair)
}

fn found(part: Part, taken: bool) -> Input {
    let taken = if taken { vec![(part, "1 rule was taken away".to_owned())] } else { Vec::new() };
    Input::Found(Box::new(Found { parts: vec![part], taken, ..Found::default() }))
}

#[test]
fn several_changes_are_one_look_once_it_is_quiet() {
    let mut repair = Repair::default();
    assert_eq!(changed(&mut repair, 1000, Part::Network), []);
    assert_eq!(changed(&mut repair, 1150, Part::Network), []);
    assert_eq!(repair.poll_timeout(), Some(at(1350)));
    assert_eq!(wake(&mut repair, 1200), []);
    assert_eq!(wake(&mut repair, 1350), [Action::Inspect(vec![Part::Network])]);
    assert_eq!(repair.poll_timeout(), None);
}

#[test]
fn what_is_being_changed_is_looked_into_again_and_is_no_repair() {
    let mut repair = Repair::default();
    changed(&mut repair, 1000, Part::Resolver);
    assert_eq!(wake(&mut repair, 1200), [Action::Inspect(vec![Part::Resolver])]);
    let unfinished = vec![Part::Resolver];
    let input = Found { parts: unfinished.clone(), unfinished, ..Found::default() };
    repair.handle(at(1200), Input::Found(Box::new(input)));
    assert_eq!((repair.count(), repair.poll_timeout()), (0, Some(at(1400))));
    assert_eq!(wake(&mut repair, 1400), [Action::Inspect(vec![Part::Resolver])]);
    repair.handle(at(1400), found(Part::Resolver, true));
    assert_eq!((repair.count(), repair.poll_timeout()), (1, None));
}

#[test]
fn a_stream_of_changes_is_looked_into_every_second() {
    let mut repair = Repair::default();
    let mut looks = Vec::new();
    for ms in (0..5000).step_by(50) {
        if !changed(&mut repair, ms, Part::Network).is_empty() {
            looks.push(ms);
        }
    }
    assert_eq!(looks, [1000, 2050, 3100, 4150]);
}

#[test]
fn the_rule_set_is_looked_into_at_once_and_our_own_load_ends_there() {
    let mut repair = Repair::default();
    assert_eq!(changed(&mut repair, 1000, Part::Ruleset), [Action::Inspect(vec![Part::Ruleset])]);
    repair.handle(at(1000), found(Part::Ruleset, true));
    assert_eq!(repair.count(), 1);
    // What we loaded is heard of as well.
    assert_eq!(changed(&mut repair, 1001, Part::Ruleset), []);
    assert_eq!(wake(&mut repair, 1200), [Action::Inspect(vec![Part::Ruleset])]);
    repair.handle(at(1200), found(Part::Ruleset, false));
    assert_eq!((repair.count(), repair.poll_timeout()), (1, None));
}

/// Takes something away as soon as it is put back, for `ms`; when it was put back.
fn quarrel(repair: &mut Repair, part: Part, ms: u64) -> Vec<u64> {
    let mut repaired = Vec::new();
    let mut now = 0;
    changed(repair, 0, part);
    while now < ms {
        if !wake(repair, now).is_empty() || now == 0 && part == Part::Ruleset {
            repaired.push(now);
            repair.handle(at(now), found(part, true));
            changed(repair, now, part);
        }
        now = repair.poll_timeout().map_or(ms, |t| t.since_boot().as_millis() as u64).max(now + 1);
    }
    repaired
}

#[test]
fn a_quarrel_slows_down_to_a_minute_and_becomes_a_problem() {
    let mut repair = Repair::default();
    let repaired = quarrel(&mut repair, Part::Network, 600_000);
    let gaps: Vec<u64> = repaired.windows(2).map(|w| (w[1] - w[0]) / 1000).collect();
    assert_eq!(gaps[..10], [0, 0, 0, 1, 2, 4, 8, 16, 32, 60]);
    assert!(gaps[10..].iter().all(|g| *g == 60), "{gaps:?}");
    let (part, text) = repair.trouble(at(600_000)).unwrap();
    assert_eq!(part, Part::Network);
    assert!(text.contains("put back"), "{text}");
    // Peace.
    assert_eq!(repair.trouble(at(600_000 + 180_000)), None);
    wake(&mut repair, 800_000);
    repair.handle(at(800_000), found(Part::Network, false));
    assert_eq!(changed(&mut repair, 900_000, Part::Network), []);
    wake(&mut repair, 900_200);
    repair.handle(at(900_200), found(Part::Network, true));
    assert_eq!(repair.trouble(at(900_200)), None);
}

#[test]
fn the_rule_set_is_never_left_away_longer_than_a_second() {
    let mut repair = Repair::default();
    let repaired = quarrel(&mut repair, Part::Ruleset, 120_000);
    assert!(repaired.windows(2).all(|w| w[1] - w[0] <= 1000), "{repaired:?}");
    assert!(repaired.len() < 140, "{}", repaired.len());
    assert_eq!(repair.trouble(at(120_000)).unwrap().0, Part::Ruleset);
}

#[test]
fn three_repairs_are_no_quarrel() {
    let mut repair = Repair::default();
    for n in 0..3 {
        changed(&mut repair, n * 10_000, Part::Network);
        wake(&mut repair, n * 10_000 + 200);
        repair.handle(at(n * 10_000 + 200), found(Part::Network, true));
    }
    assert_eq!((repair.count(), repair.trouble(at(30_000))), (3, None));
}

#[test]
fn what_could_not_be_put_back_is_said_once_and_tried_again() {
    let mut repair = Repair::default();
    changed(&mut repair, 0, Part::Network);
    assert_eq!(wake(&mut repair, 200).len(), 1);
    let failed = vec![(Part::Network, "add rule: Operation not permitted".to_owned())];
    let input = Input::Found(Box::new(Found { parts: vec![Part::Network], failed, ..Found::default() }));
    repair.handle(at(200), input);
    assert_eq!(
        repair.trouble(at(200)),
        Some((Part::Network, "add rule: Operation not permitted".to_owned()))
    );
    assert_eq!(repair.poll_timeout(), Some(at(1200)));
    assert_eq!(wake(&mut repair, 1200), [Action::Inspect(vec![Part::Network])]);
    repair.handle(at(1200), found(Part::Network, false));
    assert_eq!((repair.trouble(at(1200)), repair.poll_timeout()), (None, None));
}

#[test]
fn after_a_disturbance_a_silent_peer_is_added_again_until_something_comes() {
    let mut repair = Repair::default();
    repair.handle(at(0), Input::Disturbed);
    assert_eq!(actions(&mut repair), [Action::Look]);
    repair.handle(at(0), Input::Received(500));
    assert_eq!(wake(&mut repair, 1500), [Action::Look]);
    repair.handle(at(1500), Input::Received(500));
    assert_eq!(actions(&mut repair), [Action::ReaddPeer]);
    assert_eq!(wake(&mut repair, 4500), [Action::Look]);
    repair.handle(at(4500), Input::Received(92));
    assert_eq!((actions(&mut repair), repair.poll_timeout()), (vec![], None));
}

#[test]
fn a_peer_that_answers_after_a_disturbance_keeps_its_session() {
    let mut repair = Repair::default();
    repair.handle(at(0), Input::Disturbed);
    repair.handle(at(0), Input::Received(500));
    repair.handle(at(300), Input::Received(620));
    assert_eq!((actions(&mut repair), repair.poll_timeout()), (vec![Action::Look], None));
}

#[test]
fn a_peer_that_stays_silent_is_left_to_the_monitor() {
    let mut repair = Repair::default();
    repair.handle(at(0), Input::Disturbed);
    let mut readds = 0;
    while let Some(due) = repair.poll_timeout() {
        for action in actions(&mut repair) {
            match action {
                Action::ReaddPeer => readds += 1,
                _ => repair.handle(due, Input::Received(0)),
            }
        }
        assert!(due < at(120_000), "it ends");
        repair.handle(due, Input::Wake);
        if repair.poll_timeout() == Some(due) {
            break;
        }
    }
    assert_eq!(readds, READDS_MOST);
}
