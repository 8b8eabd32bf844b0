//! The wall clock, as far as the tunnel depends on it. A WireGuard server rejects, silently, a handshake that is dated
//! before the last one it accepted (whitepaper section 5.1), and no certificate is valid in 1970.
//!
//! A clock behind the highest one that a handshake was accepted with, or before pvpn was written, is provably wrong. It
//! is said, no handshake is begun with it, and one SNTP query is sent at a time, since on a closed machine nobody else
//! can ask. A believable answer steps the clock; one that confirms the clock shows that the highest one seen was wrong,
//! and takes its place. Nothing here or elsewhere counts time with the wall clock, so that a jump by years
//! changes only what is said here.

use super::{Daemon, phase};
use crate::error::Error;
use crate::time::{Duration, Instant, UnixTime, millis, secs};
use std::collections::VecDeque;

/// So little behind is caught up with before a handshake is given up; chosen.
const SLACK: u64 = 60;
/// How often the highest clock is stored; chosen: an SD card wears.
const STORE_EVERY: Duration = secs(3600);
/// Between two queries, doubling: RFC 4330 section 10 allows one in 15 s.
const ASK_FIRST: Duration = secs(15);
const ASK_MOST: Duration = secs(900);
/// The pause before the first query; chosen: NTP on an open machine, or a client that just set the clock, comes first.
const SETTLE: Duration = millis(200);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A handshake was accepted with this clock.
    Accepted,
    /// The server's answer, as the time it is while this is handled.
    Answer(Result<UnixTime, String>),
    /// The clock could not be set.
    NotSet(String),
    Wake,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Ask a time server once, for the `nth` time from 0; answered by [`Input::Answer`].
    Ask {
        nth: usize,
    },
    Set(UnixTime),
    /// Remember the highest clock.
    Store(UnixTime),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Right,
    /// A time server is asked again and again. `asking`: the last query is not answered yet.
    Wrong {
        due_at: Instant,
        pause: Duration,
        asked: usize,
        asking: bool,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Clock {
    highest: Option<UnixTime>,
    stored: Option<(Instant, UnixTime)>,
    state: State,
    text: Option<String>,
    actions: VecDeque<Action>,
}

impl Clock {
    /// `highest`: what was stored last.
    pub fn new(highest: Option<UnixTime>) -> Clock {
        Clock { highest, stored: None, state: State::Right, text: None, actions: VecDeque::new() }
    }

    /// A handshake would be rejected.
    pub fn is_wrong(&self) -> bool {
        self.state != State::Right
    }

    /// Whether our own sockets are needed for it.
    pub fn is_asking(&self) -> bool {
        matches!(self.state, State::Wrong { asking: true, .. })
    }

    /// The first query brought nothing: a person who waits is told.
    pub fn is_hopeless(&self) -> bool {
        matches!(self.state, State::Wrong { asked, .. } if asked > 1)
    }

    /// What a person should know.
    pub fn trouble(&self, wall: UnixTime) -> Option<String> {
        if !self.is_wrong() {
            return None;
        }
        let why = match self.highest {
            Some(highest) if highest > UnixTime::FIRST => {
                format!("behind the {highest} of the last handshake")
            }
            _ => "older than pvpn itself".to_owned(),
        };
        let then = self.text.as_ref().map_or_else(|| "asking a time server".to_owned(), Clone::clone);
        Some(format!("the clock shows {wall}, {why}; no server would shake hands ({then})"))
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Right => None,
            State::Wrong { due_at, .. } => Some(due_at),
        }
    }

    pub fn handle(&mut self, now: Instant, wall: UnixTime, input: Input) {
        match input {
            Input::Accepted => self.accept(now, wall),
            Input::Answer(answer) => self.handle_answer(now, wall, answer),
            Input::NotSet(why) => self.text = Some(format!("it could not be set: {why}")),
            Input::Wake => {}
        }
        self.judge(now, wall);
    }

    fn accept(&mut self, now: Instant, wall: UnixTime) {
        if self.highest.is_none_or(|highest| wall > highest) {
            self.highest = Some(wall);
            if self.stored.is_none_or(|(at, _)| now.since(at) >= STORE_EVERY) {
                self.store(now, wall);
            }
        }
    }

    fn store(&mut self, now: Instant, wall: UnixTime) {
        self.stored = Some((now, wall));
        self.actions.push_back(Action::Store(wall));
    }

    /// Stores what the next handshake has to be later than, before the supervisor ends.
    pub fn close(&mut self) {
        if let (Some(highest), Some((at, stored))) = (self.highest, self.stored) {
            if stored < highest {
                self.store(at, highest);
            }
        }
    }

    fn handle_answer(&mut self, now: Instant, wall: UnixTime, answer: Result<UnixTime, String>) {
        let State::Wrong { asking, .. } = &mut self.state else { return };
        *asking = false;
        match answer {
            Ok(time) if time < UnixTime::FIRST => {
                self.text = Some(format!("a time server says {time}: not believed"))
            }
            Ok(time) => {
                self.text = None;
                if wall.0.abs_diff(time.0) > SLACK {
                    log::warn!("clock: {wall} -> {time}, as a time server says");
                    self.actions.push_back(Action::Set(time));
                }
                if self.highest.is_some_and(|highest| highest > time) {
                    log::warn!("clock: an earlier one was ahead of the time, and is forgotten");
                    self.highest = Some(time);
                    self.store(now, time);
                }
            }
            Err(e) => {
                log::debug!("clock: {e}");
                self.text = Some(format!("no time server answers: {e}"));
            }
        }
    }

    fn judge(&mut self, now: Instant, wall: UnixTime) {
        let floor = self.highest.unwrap_or_default().max(UnixTime::FIRST);
        let is_behind = wall.0 + SLACK < floor.0;
        match &mut self.state {
            State::Right if is_behind => {
                self.state = State::Wrong { due_at: now + SETTLE, pause: ASK_FIRST, asked: 0, asking: false };
                let text = self.trouble(wall).unwrap_or_default();
                log::error!("clock: {text}");
            }
            State::Wrong { .. } if !is_behind => {
                log::info!("clock: {wall}: handshakes are possible");
                (self.state, self.text) = (State::Right, None);
            }
            State::Wrong { due_at, pause, asked, asking } if *due_at <= now => {
                self.actions.push_back(Action::Ask { nth: *asked });
                *due_at = now + *pause;
                *pause = (*pause * 2).min(ASK_MOST);
                *asked += 1;
                *asking = true;
            }
            _ => {}
        }
    }
}

impl Daemon {
    /// The highest wall clock that an earlier supervisor stored.
    pub fn remember_clock(&mut self, highest: Option<UnixTime>) {
        self.clock = Clock::new(highest);
    }

    /// Lets the clock be judged, and whatever waits for it go on.
    pub(super) fn keep_time(&mut self, now: Instant) {
        self.clock.handle(now, self.wall, Input::Wake);
        self.ask_the_time();
        if !self.phase.is_running() {
            self.waits_for_clock = false;
        }
        if !self.waits_for_clock {
            return;
        }
        if !self.clock.is_wrong() {
            self.waits_for_clock = false;
            self.choose();
        } else if self.clock.is_hopeless() && self.phase.purpose().is_some_and(|p| !p.is_endless()) {
            self.waits_for_clock = false;
            let e = Error::failed(self.clock.trouble(self.wall).unwrap_or_default());
            self.phase.handle(now, phase::Input::Chosen(Err(e)));
        }
    }

    /// The supervisor ends.
    pub(super) fn close_clock(&mut self) {
        self.clock.close();
        self.ask_the_time();
    }

    fn ask_the_time(&mut self) {
        while let Some(action) = self.clock.poll_action() {
            match action {
                Action::Ask { nth } => {
                    // The rules let the question out first.
                    self.refresh_policy();
                    self.actions.push_back(super::Action::AskTime { nth });
                }
                Action::Set(time) => self.actions.push_back(super::Action::SetClock(time)),
                Action::Store(time) => self.actions.push_back(super::Action::StoreClock(time)),
            }
        }
    }

    /// Whether a server may be chosen, and a handshake begun. If not, it is begun when the clock is right.
    pub(super) fn may_shake_hands(&mut self) -> bool {
        self.waits_for_clock = self.clock.is_wrong();
        if let Some(text) = self.clock.trouble(self.wall) {
            self.say(text);
        }
        !self.waits_for_clock
    }

    pub(super) fn handle_clock(&mut self, now: Instant, input: Input) {
        self.clock.handle(now, self.wall, input);
        self.ask_the_time();
    }
}

#[cfg(test)]
mod tests;
