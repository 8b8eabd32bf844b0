use super::*;

fn at(s: u64) -> Instant {
    Instant::BOOT + secs(s)
}

fn on() -> Names {
    let mut names = Names::default();
    names.handle(at(0), Input::Reset(Verdict::Unknown));
    names
}

/// How many questions this leads to.
fn hear(names: &mut Names, s: u64, input: Input) -> usize {
    names.handle(at(s), input);
    std::iter::from_fn(|| names.poll_action()).count()
}

#[test]
fn an_answered_check_is_one_question_and_no_wake_up() {
    let mut names = on();
    for s in [0, 60, 120] {
        assert_eq!(hear(&mut names, s, Input::Check), 1);
        assert_eq!(hear(&mut names, s, Input::Check), 0, "one at a time");
        assert_eq!(hear(&mut names, s, Input::Answered(true)), 0);
        assert_eq!((names.verdict(), names.poll_timeout()), (Verdict::Ok, None));
    }
}

#[test]
fn three_silent_questions_are_a_verdict_and_one_answer_takes_it_back() {
    let mut names = on();
    assert_eq!(hear(&mut names, 0, Input::Check), 1);
    assert_eq!(hear(&mut names, 1, Input::Wake), 0);
    assert_eq!(hear(&mut names, 2, Input::Wake), 1);
    assert_eq!(hear(&mut names, 4, Input::Wake), 1);
    assert_eq!(names.verdict(), Verdict::Unknown);
    assert_eq!(hear(&mut names, 6, Input::Wake), 0);
    assert_eq!((names.verdict(), names.poll_timeout()), (Verdict::Bad, None));
    assert_eq!(hear(&mut names, 7, Input::Answered(true)), 0);
    assert_eq!(names.verdict(), Verdict::Bad, "an answer that nobody waits for");
    hear(&mut names, 60, Input::Check);
    hear(&mut names, 60, Input::Answered(true));
    assert_eq!(names.verdict(), Verdict::Ok);
}

#[test]
fn one_lost_datagram_is_no_verdict() {
    let mut names = on();
    hear(&mut names, 0, Input::Check);
    assert_eq!(hear(&mut names, 2, Input::Wake), 1);
    hear(&mut names, 3, Input::Answered(true));
    assert_eq!((names.verdict(), names.poll_timeout()), (Verdict::Ok, None));
}

#[test]
fn refusals_are_a_verdict_at_once() {
    let mut names = on();
    assert_eq!(hear(&mut names, 0, Input::Check), 1);
    assert_eq!(hear(&mut names, 0, Input::Answered(false)), 1);
    assert_eq!(hear(&mut names, 0, Input::Answered(false)), 1);
    assert_eq!(hear(&mut names, 0, Input::Answered(false)), 0);
    assert_eq!(names.verdict(), Verdict::Bad);
}

#[test]
fn where_the_machine_s_own_resolver_is_used_nobody_is_asked() {
    let mut names = Names::default();
    assert_eq!(hear(&mut names, 0, Input::Check), 0);
    assert_eq!((names.verdict(), names.poll_timeout()), (Verdict::Off, None));
}
