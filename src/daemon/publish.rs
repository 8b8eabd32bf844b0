//! Who is told the forwarded port, and when: only on a change of the number, once each, in the order file, second file,
//! firewall, `on_change`, qBittorrent. The file comes first because scripts wait for it, the firewall before those
//! who will listen, qBittorrent last since it announces the number to the world.
//!
//! One effect is out at a time. One that failed is tried again on its own clock and holds nobody up; one that was
//! overtaken by another change is done with the number of the day.

use crate::time::{Duration, Instant, secs};
use log::{debug, info, warn};
use std::collections::VecDeque;

/// First pause after a failure, doubling ...
const RETRY_FIRST: Duration = secs(1);
/// ... up to this; both chosen: a full disk is noticed within minutes of being cleared.
const RETRY_MOST: Duration = secs(120);

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `/run/pvpn/forwarded_port`
    File,
    /// `[port_forwarding] file`
    SecondFile,
    /// The hole in the firewall, open or closed.
    Firewall,
    /// `[port_forwarding] on_change`; not run when there is no number any more.
    Hook,
    Qbittorrent,
}

const ORDER: [Target; 5] =
    [Target::File, Target::SecondFile, Target::Firewall, Target::Hook, Target::Qbittorrent];

impl Target {
    pub const fn name(self) -> &'static str {
        match self {
            Target::File => "port file",
            Target::SecondFile => "second port file",
            Target::Firewall => "firewall",
            Target::Hook => "on_change",
            Target::Qbittorrent => "qBittorrent",
        }
    }
}

/// To be done by the caller, each answered with [`Input::Done`] (at once, where there is nothing to do).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    WritePortFile(u16),
    RemovePortFile,
    WriteSecondFile(u16),
    RemoveSecondFile,
    /// `None` closes the hole.
    OpenFirewall(Option<u16>),
    RunHook(u16),
    /// Handed over to the machine of `sync.rs`, which converges by itself.
    TellQbittorrent(Option<u16>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The number to publish, as often as one likes.
    Number(Option<u16>),
    /// How the action for this target ended.
    Done(Target, Result<(), String>),
    /// Somebody removed what this target was told: it is told again.
    Lost(Target),
    Wake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It has been told this.
    Told(Option<u16>),
    /// The action is out.
    Telling {
        number: Option<u16>,
        failures: u32,
    },
    Failed {
        retry_at: Instant,
        failures: u32,
    },
}

#[derive(Debug)]
pub struct Publisher {
    number: Option<u16>,
    states: [State; ORDER.len()],
    actions: VecDeque<Action>,
}

impl Publisher {
    /// `told` is what everybody was told already: nothing at a first start, the port file's number when this supervisor
    /// takes over a running tunnel.
    pub fn new(told: Option<u16>) -> Publisher {
        Publisher { number: told, states: [State::Told(told); ORDER.len()], actions: VecDeque::new() }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Number(number) if number != self.number => {
                debug!("port: publishing {number:?} instead of {:?}", self.number);
                self.number = number;
                // A change is worth a try at once, whatever failed before.
                for state in &mut self.states {
                    if let State::Failed { retry_at, .. } = state {
                        *retry_at = now;
                    }
                }
            }
            Input::Done(target, result) => self.handle_done(now, target, result),
            Input::Lost(target) => {
                for (t, state) in ORDER.into_iter().zip(&mut self.states) {
                    match state {
                        _ if t != target => {}
                        State::Told(told) if *told == self.number => *state = State::Told(None),
                        State::Failed { retry_at, .. } => *retry_at = now,
                        State::Told(_) | State::Telling { .. } => {}
                    }
                }
            }
            Input::Number(_) | Input::Wake => {}
        }
        self.begin_next(now);
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When a failed effect is tried again.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let retries = self.states.iter().filter_map(|state| match state {
            State::Failed { retry_at, .. } => Some(*retry_at),
            State::Told(_) | State::Telling { .. } => None,
        });
        // While one is out, its answer is what goes on.
        (!self.is_telling()).then(|| retries.min()).flatten()
    }

    /// Those who could not be told, for `problems`.
    pub fn failing(&self) -> impl Iterator<Item = Target> {
        ORDER.into_iter().zip(self.states).filter_map(|(target, state)| match state {
            State::Failed { .. } => Some(target),
            State::Telling { failures, .. } if failures > 0 => Some(target),
            State::Told(_) | State::Telling { .. } => None,
        })
    }

    fn is_telling(&self) -> bool {
        self.states.iter().any(|s| matches!(s, State::Telling { .. }))
    }

    fn handle_done(&mut self, now: Instant, target: Target, result: Result<(), String>) {
        for (t, state) in ORDER.into_iter().zip(&mut self.states) {
            let State::Telling { number, failures } = *state else { continue };
            if t != target {
                continue;
            }
            *state = match &result {
                Ok(()) => {
                    if failures > 0 {
                        info!("port: {} told after {failures} failures", target.name());
                    }
                    State::Told(number)
                }
                Err(why) => {
                    let pause = (RETRY_FIRST * (1 << failures.min(10))).min(RETRY_MOST);
                    if failures == 0 {
                        warn!("port: {}: {why}; trying on", target.name());
                    } else {
                        debug!("port: {}: {why}; again in {} s", target.name(), pause.as_secs());
                    }
                    State::Failed { retry_at: now + pause, failures: failures.saturating_add(1) }
                }
            };
        }
    }

    /// Sends the first effect that is due, unless one is out.
    fn begin_next(&mut self, now: Instant) {
        while !self.is_telling() {
            let number = self.number;
            let due = ORDER.into_iter().zip(&mut self.states).find_map(|(target, state)| match *state {
                State::Told(told) if told != number => Some((target, state, 0)),
                State::Failed { retry_at, failures } if retry_at <= now => Some((target, state, failures)),
                _ => None,
            });
            let Some((target, state, failures)) = due else { return };
            match action(target, number) {
                Some(action) => {
                    *state = State::Telling { number, failures };
                    self.actions.push_back(action);
                }
                None => *state = State::Told(number),
            }
        }
    }
}

fn action(target: Target, number: Option<u16>) -> Option<Action> {
    Some(match (target, number) {
        (Target::File, Some(n)) => Action::WritePortFile(n),
        (Target::File, None) => Action::RemovePortFile,
        (Target::SecondFile, Some(n)) => Action::WriteSecondFile(n),
        (Target::SecondFile, None) => Action::RemoveSecondFile,
        (Target::Firewall, n) => Action::OpenFirewall(n),
        (Target::Hook, Some(n)) => Action::RunHook(n),
        (Target::Hook, None) => return None,
        (Target::Qbittorrent, n) => Action::TellQbittorrent(n),
    })
}

#[cfg(test)]
mod tests {
    use super::Action::*;
    use super::*;

    #[test]
    fn a_change_is_told_once_to_everybody_in_order() {
        let mut p = Publisher::new(None);
        p.handle(at(0), Input::Number(Some(4242)));
        let told = [
            WritePortFile(4242),
            WriteSecondFile(4242),
            OpenFirewall(Some(4242)),
            RunHook(4242),
            TellQbittorrent(Some(4242)),
        ];
        assert_eq!(perform(&mut p, at(0), &[]), told);
        p.handle(at(1), Input::Number(Some(4242)));
        assert_eq!(perform(&mut p, at(1), &[]), []);
        assert_eq!(p.poll_timeout(), None);
    }

    #[test]
    fn each_waits_for_the_one_before() {
        let mut p = Publisher::new(None);
        p.handle(at(0), Input::Number(Some(4242)));
        assert_eq!(p.poll_action(), Some(WritePortFile(4242)));
        assert_eq!(p.poll_action(), None);
        p.handle(at(0), Input::Done(Target::Hook, Ok(()))); // nobody asked for that
        assert_eq!(p.poll_action(), None);
        p.handle(at(0), Input::Done(Target::File, Ok(())));
        assert_eq!(p.poll_action(), Some(WriteSecondFile(4242)));
    }

    #[test]
    fn a_failed_effect_is_retried_on_its_own_clock() {
        let mut p = Publisher::new(None);
        p.handle(at(0), Input::Number(Some(4242)));
        assert_eq!(perform(&mut p, at(0), &[Target::SecondFile]).len(), 5);
        assert_eq!(p.failing().collect::<Vec<_>>(), [Target::SecondFile]);
        for due in [1, 3, 7, 15, 31, 63, 127, 247, 367] {
            assert_eq!(p.poll_timeout(), Some(at(due)));
            p.handle(at(due), Input::Wake);
            assert_eq!(perform(&mut p, at(due), &[Target::SecondFile]), [WriteSecondFile(4242)]);
        }
        p.handle(at(487), Input::Wake);
        assert_eq!(perform(&mut p, at(487), &[]), [WriteSecondFile(4242)]);
        assert_eq!((p.poll_timeout(), p.failing().count()), (None, 0));
    }

    #[test]
    fn a_number_that_changes_meanwhile_is_told_next() {
        let mut p = Publisher::new(None);
        p.handle(at(0), Input::Number(Some(1)));
        assert_eq!(p.poll_action(), Some(WritePortFile(1)));
        p.handle(at(0), Input::Number(Some(2)));
        assert_eq!(p.poll_action(), None);
        p.handle(at(0), Input::Done(Target::File, Ok(())));
        let rest = perform(&mut p, at(0), &[]);
        assert_eq!(rest[0], WritePortFile(2));
        assert!(rest.iter().all(|a| !format!("{a:?}").contains('1')), "{rest:?}");
    }

    #[test]
    fn a_supervisor_that_takes_over_tells_nobody_what_they_know() {
        let mut p = Publisher::new(Some(4242));
        p.handle(at(0), Input::Number(Some(4242)));
        assert_eq!(perform(&mut p, at(0), &[]), []);
    }

    #[test]
    fn without_a_number_the_file_and_the_hole_go_and_no_hook_runs() {
        let mut p = Publisher::new(Some(4242));
        p.handle(at(0), Input::Number(None));
        let told = [RemovePortFile, RemoveSecondFile, OpenFirewall(None), TellQbittorrent(None)];
        assert_eq!(perform(&mut p, at(0), &[]), told);
    }

    fn at(s: u64) -> Instant {
        Instant::BOOT + secs(s)
    }

    /// Performs all there is; those for `failing` fail.
    fn perform(p: &mut Publisher, now: Instant, failing: &[Target]) -> Vec<Action> {
        let mut seen = Vec::new();
        while let Some(action) = p.poll_action() {
            seen.push(action);
            let target = match action {
                WritePortFile(_) | RemovePortFile => Target::File,
                WriteSecondFile(_) | RemoveSecondFile => Target::SecondFile,
                OpenFirewall(_) => Target::Firewall,
                RunHook(_) => Target::Hook,
                TellQbittorrent(_) => Target::Qbittorrent,
            };
            let result = if failing.contains(&target) { Err("no such directory".to_owned()) } else { Ok(()) };
            p.handle(now, Input::Done(target, result));
        }
        seen
    }
}
