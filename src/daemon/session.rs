//! The session and the certificate behind the tunnel, renewed while it is up and without touching it.
//!
//! A look at the files, which asks nobody, comes with each tunnel and then once a day: another process may have changed
//! them, and the wall clock may have. What is due is renewed on the internet's worker, but not while a server is being
//! taken, which needs that worker. What fails is tried again ever more slowly; what only a person can cure is said once
//! and looked at, not asked for: logins that repeat themselves are what providers lock accounts for.

use super::{Action, Daemon};
use crate::error::Error;
use crate::provider::{ProviderKind, Upkeep};
use crate::status::{Area, Snapshot, Verdict};
use crate::time::{Duration, Instant, UnixTime, secs};
use std::collections::VecDeque;

/// Between two looks at the files; chosen.
const LOOK: Duration = secs(86_400);
/// While something is wrong: a person may have logged in meanwhile. Chosen.
const LOOK_TROUBLED: Duration = secs(3600);
/// From a failed renewal to the next try, doubling; chosen: certificates are due days before their end.
const RETRY_FIRST: Duration = secs(60);
const RETRY_MOST: Duration = secs(3600);

/// What a worker is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Read the files.
    Look,
    /// Ask the provider for what is due; pvpn's own sockets have to be let out.
    Renew,
}

#[derive(Debug)]
pub enum Input {
    /// A tunnel of this provider is up, or the configuration was read again.
    Begin(ProviderKind),
    /// There is none.
    End,
    /// How the work ended, and whose it was.
    Done(ProviderKind, Result<Upkeep, Error>),
    Wake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Off,
    Working {
        work: Work,
        /// What it finds is out of date already.
        again: bool,
    },
    /// `due_at`: what is to be renewed, by the wall clock, which may be set meanwhile.
    Waiting {
        until: Instant,
        due_at: Option<UnixTime>,
    },
}

/// The machine.
#[derive(Debug)]
pub struct Session {
    state: State,
    provider: Option<ProviderKind>,
    found: Option<Upkeep>,
    /// The pause before the next try, once one failed.
    pause: Option<Duration>,
    actions: VecDeque<(ProviderKind, Work)>,
}

impl Default for Session {
    fn default() -> Session {
        Session { state: State::Off, provider: None, found: None, pause: None, actions: VecDeque::new() }
    }
}

impl Session {
    pub fn verdict(&self) -> Verdict {
        match &self.found {
            _ if self.state == State::Off => Verdict::Off,
            Some(Upkeep { problem: Some(_), .. } | Upkeep { logged_in: Some(false), .. }) => Verdict::Bad,
            Some(Upkeep { logged_in: Some(true), .. }) => Verdict::Ok,
            _ => Verdict::Unknown,
        }
    }

    pub fn problem(&self) -> Option<&str> {
        self.found.as_ref()?.problem.as_deref()
    }

    /// Whether the provider is being asked.
    pub fn is_renewing(&self) -> bool {
        matches!(self.state, State::Working { work: Work::Renew, .. })
    }

    pub fn poll_action(&mut self) -> Option<(ProviderKind, Work)> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    pub fn handle(&mut self, now: Instant, wall: UnixTime, input: Input) {
        match input {
            Input::Begin(ProviderKind::File) | Input::End => *self = Session::default(),
            Input::Begin(provider) => self.begin(provider),
            Input::Done(provider, result) => self.done(now, wall, provider, result),
            Input::Wake => {
                if let State::Waiting { until, due_at } = self.state {
                    // A failed renewal has its own pause, however overdue it is.
                    let is_due =
                        due_at.is_some_and(|at| wall >= at) && (self.pause.is_none() || now >= until);
                    match (is_due, now >= until) {
                        (true, _) => self.work(Work::Renew),
                        (false, true) => self.work(Work::Look),
                        (false, false) => {}
                    }
                }
            }
        }
    }

    fn begin(&mut self, provider: ProviderKind) {
        if self.provider != Some(provider) {
            self.found = None;
        }
        (self.provider, self.pause) = (Some(provider), None);
        match &mut self.state {
            State::Working { again, .. } => *again = true,
            _ => self.work(Work::Look),
        }
    }

    fn work(&mut self, work: Work) {
        let Some(provider) = self.provider else { return };
        self.state = State::Working { work, again: false };
        self.actions.push_back((provider, work));
    }

    fn done(&mut self, now: Instant, wall: UnixTime, provider: ProviderKind, result: Result<Upkeep, Error>) {
        let State::Working { work, again } = self.state else { return };
        if again || self.provider != Some(provider) {
            return self.work(Work::Look);
        }
        let found = result.unwrap_or_else(|e| Upkeep { problem: Some(e.to_string()), ..Upkeep::default() });
        self.say(&found);
        let is_due = found.due_at.is_some_and(|at| wall >= at);
        self.pause = match (work, self.pause) {
            // Renewed, and due all the same: it failed.
            (Work::Renew, None) if is_due => Some(RETRY_FIRST),
            (Work::Renew, Some(pause)) if is_due => Some((pause * 2).min(RETRY_MOST)),
            (Work::Look, pause) if is_due => pause,
            _ => None,
        };
        let look = if found.problem.is_some() { LOOK_TROUBLED } else { LOOK };
        let left = found.due_at.map(|at| secs(at.0.saturating_sub(wall.0)));
        let wait = self.pause.or(left).map_or(look, |wait| wait.min(look));
        self.state = State::Waiting { until: now + wait, due_at: found.due_at };
        self.found = Some(found);
    }

    /// Each change of what is wrong, once.
    fn say(&self, found: &Upkeep) {
        let before = self.found.as_ref();
        match (before.and_then(|f| f.problem.as_ref()), &found.problem) {
            (Some(_), None) => log::info!("session: in order again"),
            (was, Some(problem)) if was != Some(problem) => log::warn!("session: {problem}"),
            _ => {}
        }
        match &found.failed {
            Some(why) if before.is_none_or(|f| f.failed.is_none()) => {
                log::warn!("session: not renewed, what there is goes on: {why}");
            }
            Some(why) => log::debug!("session: not renewed: {why}"),
            None => {}
        }
    }
}

impl Daemon {
    /// Another tunnel, other settings, or none.
    pub(super) fn begin_session(&mut self, now: Instant) {
        let provider = self.up.as_ref().map(|up| up.server().provider);
        let input = provider.map_or(Input::End, Input::Begin);
        self.session.handle(now, self.wall, input);
    }

    /// Whether the internet's worker is free for what can wait, and the clock fit for certificates.
    fn may_renew(&self) -> bool {
        !self.phase.is_running() && !self.clock.is_wrong() && self.ending.is_none()
    }

    pub(super) fn session_timeout(&self) -> Option<Instant> {
        self.session.poll_timeout().filter(|_| self.may_renew())
    }

    pub(super) fn wake_session(&mut self, now: Instant) {
        if self.may_renew() {
            self.session.handle(now, self.wall, Input::Wake);
        }
    }

    pub(super) fn keep_session(&mut self) {
        while let Some((provider, work)) = self.session.poll_action() {
            // The rules let the question out first.
            self.refresh_policy();
            self.errands += 1;
            self.actions.push_back(Action::Keep { provider, work });
        }
    }

    pub(super) fn describe_session(&self, s: &mut Snapshot) {
        s.health.session = self.session.verdict();
        if let Some(problem) = self.session.problem() {
            s.problem(Area::Session, problem);
        }
    }
}

#[cfg(test)]
mod tests;
