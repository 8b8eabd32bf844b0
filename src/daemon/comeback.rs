//! When a better server is tried again, after faults led to another one.
//!
//! A try is a choice like any other, with the tunnel in use up all the while; only a server that is better and well
//! (`select::outlook`) is switched to. The first comes half an hour after the better server was left, by when its
//! failure has faded; each that finds it ill, and each return that did not last, doubles the pause. A switch ends the
//! connections of torrents with their peers, so it waits for a lull, for an hour at most. While nothing better is known
//! of nothing is tried, and nothing wakes the supervisor.

use super::phase::{self, Purpose};
use super::{Action, Daemon};
use crate::select::memory::FAILURE_HALF_LIFE;
use crate::time::{Duration, Instant, secs};

/// Before the first try.
const PAUSE_FIRST: Duration = FAILURE_HALF_LIFE;
/// Between two tries at most; chosen: three switches a day by a server that always fails again.
const PAUSE_MOST: Duration = secs(8 * 3600);
/// A lull is waited for so long; chosen.
const LULL_WAIT: Duration = secs(3600);
/// While no try can be made (another attempt runs, no way out); chosen.
const POSTPONED: Duration = secs(300);
/// A connection that lasted this long was no mistake; chosen: four first pauses.
pub const STEADY: Duration = secs(2 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing better is known of, since then.
    Home {
        since: Instant,
    },
    Away {
        try_at: Instant,
    },
    /// For a lull.
    Waiting {
        until: Instant,
    },
    Trying,
}

#[derive(Debug)]
pub struct Comeback {
    state: State,
    /// Tries that brought nothing lasting, in a row.
    tries: u32,
}

impl Default for Comeback {
    fn default() -> Comeback {
        Comeback { state: State::Home { since: Instant::BOOT }, tries: 0 }
    }
}

impl Comeback {
    /// A connection came up. `second`: a better server was left or passed over because of faults.
    pub fn connected(&mut self, now: Instant, second: bool, by_choice: bool) {
        let was_steady = matches!(self.state, State::Home { since } if since + STEADY <= now);
        if by_choice || was_steady {
            self.tries = 0;
        } else if self.state == State::Trying {
            self.tries = self.tries.saturating_add(1);
        }
        self.state = if second { self.away(now) } else { State::Home { since: now } };
    }

    /// Goes on where an earlier supervisor stood: see [`Comeback::tries`].
    pub fn adopt(&mut self, now: Instant, tries: Option<u32>) {
        self.tries = tries.unwrap_or(0);
        self.state = if tries.is_some() { self.away(now) } else { State::Home { since: now } };
    }

    /// For the next supervisor; `None`: there is nothing to come back to.
    pub fn tries(&self) -> Option<u32> {
        (!matches!(self.state, State::Home { .. })).then_some(self.tries)
    }

    pub fn is_trying(&self) -> bool {
        self.state == State::Trying
    }

    /// The server in use is the best there is.
    pub fn settle(&mut self, now: Instant) {
        self.state = State::Home { since: now };
    }

    /// The better server is not well yet.
    pub fn fail(&mut self, now: Instant) {
        self.tries = self.tries.saturating_add(1);
        self.state = self.away(now);
    }

    /// Another attempt came in the way of a try: the same again later.
    pub fn interrupt(&mut self, now: Instant) {
        if self.is_trying() {
            self.state = State::Away { try_at: now + POSTPONED };
        }
    }

    /// Whether to try. `is_calm`: no traffic flows; `is_free`: a try can be made.
    pub fn wake(&mut self, now: Instant, is_calm: bool, is_free: bool) -> bool {
        let until = match self.state {
            State::Away { try_at } if try_at <= now => now + LULL_WAIT,
            State::Waiting { until } => until,
            _ => return false,
        };
        if !is_free {
            self.state = State::Away { try_at: now + POSTPONED };
            return false;
        }
        if !is_calm && now < until {
            self.state = State::Waiting { until };
            return false;
        }
        self.state = State::Trying;
        true
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Away { try_at } => Some(try_at),
            State::Waiting { until } => Some(until),
            State::Home { .. } | State::Trying => None,
        }
    }

    fn away(&self, now: Instant) -> State {
        let pause = PAUSE_FIRST.saturating_mul(1 << self.tries.min(8)).min(PAUSE_MOST);
        State::Away { try_at: now + pause }
    }
}

impl Daemon {
    /// Begins a try when it is time.
    pub(super) fn come_back(&mut self, now: Instant) {
        let Some(up) = &self.up else { return };
        let is_calm = !up.monitor.is_busy();
        let is_free = !self.phase.is_running()
            && !up.monitor.is_over()
            && self.ending.is_none()
            && !self.has_no_way()
            && !self.clients.is_anybody_waiting();
        if self.comeback.wake(now, is_calm, is_free) {
            log::info!("daemon: looking whether a better server than {} is well again", up.server().name);
            self.phase.handle(now, phase::Input::Begin(Purpose::Return));
        }
    }

    /// What a choice says of the server in use: whether it stays.
    pub(super) fn stays(&mut self, now: Instant, choice: &phase::Choice) -> bool {
        let Some(up) = &mut self.up else { return false };
        let is_same = choice.ranked.first().is_some_and(|s| s.id == up.ready.connection.server.id);
        let keeps_dns = self.wish.as_ref().is_some_and(|w| w.dns == up.wish.dns);
        match self.phase.purpose() {
            Some(Purpose::Return) if is_same && choice.second => {
                log::info!("daemon: {}", choice.reason);
                self.comeback.fail(now);
            }
            Some(Purpose::Return) if is_same => {
                log::info!("daemon: {}", choice.reason);
                self.comeback.settle(now);
            }
            Some(Purpose::Switch) if is_same && keeps_dns && !up.monitor.is_over() => {
                up.choice = choice.clone();
                up.wish = self.wish.clone().unwrap_or_else(|| up.wish.clone());
                self.comeback.connected(now, choice.second, true);
                self.say(format!("already connected: {}", choice.reason));
            }
            _ => return false,
        }
        self.write_record(now);
        true
    }

    /// Takes over what a choice measured, for the choices to come.
    pub(super) fn remember(&mut self, now: Instant, measured: &[(String, Duration)]) {
        for (id, rtt) in measured {
            self.memory.note_rtt(id, *rtt, now);
        }
        if !measured.is_empty() {
            self.keep_memory();
        }
    }

    pub(super) fn keep_memory(&mut self) {
        self.actions.push_back(Action::KeepMemory(Box::new(self.memory.clone())));
    }
}

#[cfg(test)]
mod tests;
