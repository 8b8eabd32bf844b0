//! The holder of PIA's port: a signature kept for two months, bound anew every ten minutes and after every reconnect
//! (pia-foss/manual-connections `port_forwarding.sh`, pia-foss/desktop `portforwardrequest.cpp`).
//!
//! What is on disk is bound first, so that the number survives servers and boots; a signature is asked for when there is
//! none, when a gateway refuses the one there is, and in its last week. Until another is bound, the one there is stays
//! bound and published. Only a gateway's own words change anything: silence, web pages and "Unauthorized client" (the
//! request came by another way than the tunnel) say nothing about the port. Whether the week has come is judged when a
//! gateway answers: its certificate then vouches that the wall clock is about right.
//!
//! Each failure of a token leads to one login; more are up to the provider, which counts them.

#[cfg(test)]
mod tests;
mod trouble;

use super::{Action, Input, PortState, View};
use crate::config::secret::Secret;
use crate::error::Error;
use crate::provider::pia::forward::{CALL_TIMEOUT, Gateway, Grant, Refusal, parse_bound, parse_signature};
use crate::time::{Duration, Instant, UnixTime, secs};
use crate::wire::http::{HttpError, Reply, Request};
use log::{debug, info, warn};
use std::collections::VecDeque;

/// A port is forgotten so long after its last good bind (people's measurements at pia-foss/manual-connections).
const BIND_LIFE: Duration = secs(20 * 60);
/// Between two binds; PIA's script takes 15 min, which leaves one chance.
const BIND_INTERVAL: Duration = secs(10 * 60);
/// As PIA's applications: a new signature in the last week of the old one.
const RENEW_BEFORE_SECS: u64 = 7 * 86_400;
/// Between two tries while a gateway is silent, at most.
const RETRY_MOST: Duration = secs(30);
/// After this without an answer a request counts as lost: its own limit, and that of one of qBittorrent's before it.
const ANSWER_TIMEOUT: Duration = secs(6 * CALL_TIMEOUT.as_secs());
/// A login may wait for its turn among the provider's other work.
const TOKEN_TIMEOUT: Duration = secs(120);
const _: () = {
    let left =
        (BIND_LIFE.as_secs() - BIND_INTERVAL.as_secs()) / (RETRY_MOST.as_secs() + CALL_TIMEOUT.as_secs());
    assert!(left >= 12); // a dozen tries fit before the port is forgotten
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// Bind the signature there is.
    Bind,
    /// Ask for one.
    Ask,
    /// Bind the one just given.
    BindOffered,
}

#[derive(Debug)]
enum State {
    /// What is on disk is awaited.
    Reading,
    /// A token is awaited.
    LoggingIn {
        until: Instant,
    },
    /// A gateway's answer is awaited. `overtaken`: it went by the tunnel of before, and only its end is.
    Waiting {
        task: Task,
        id: u64,
        until: Instant,
        overtaken: bool,
    },
    Resting {
        task: Task,
        until: Instant,
    },
}

/// The published number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Number {
    port: u16,
    since: Instant,
}

/// The machine. Made for one server connected to.
#[derive(Debug)]
pub struct Pia {
    gateway: Gateway,
    state: State,
    token: Option<Secret>,
    /// A refused token was replaced, and no signature given since.
    token_replaced: bool,
    grant: Option<Grant>,
    offered: Option<Grant>,
    number: Option<Number>,
    /// Bound by another, at a time unknown; nothing was heard since.
    is_adopted: bool,
    /// The last good bind on this server.
    bound_at: Option<Instant>,
    /// How long before its end the signature is to be replaced.
    margin_secs: u64,
    /// Why it could not be.
    complaint: Option<String>,
    /// When the signature ends, by this clock.
    expires_at: Option<Instant>,
    /// Failures in a row, and the last one.
    tries: u32,
    refusals: u32,
    trouble: Option<Refusal>,
    logged: PortState,
    actions: VecDeque<Action>,
}

impl Pia {
    /// Begins on a server; `carried` is the number published so far, with its age.
    pub fn new(gateway: Gateway, carried: Option<(u16, Instant)>) -> Pia {
        let number = carried.map(|(port, since)| Number { port, since });
        Pia {
            gateway,
            state: State::Reading,
            token: None,
            token_replaced: false,
            grant: None,
            offered: None,
            number,
            is_adopted: false,
            bound_at: None,
            margin_secs: RENEW_BEFORE_SECS,
            complaint: None,
            expires_at: None,
            tries: 0,
            refusals: 0,
            trouble: None,
            logged: if number.is_some() { PortState::Doubtful } else { PortState::Asking },
            actions: VecDeque::from([Action::ReadGrant]),
        }
    }

    /// The same server, and what an earlier supervisor bound there: held until the first bind of ours fails.
    pub fn adopted(self) -> Pia {
        let is_adopted = self.number.is_some();
        Pia { is_adopted, logged: if is_adopted { PortState::Held } else { self.logged }, ..self }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Grant(kept) => {
                if matches!(self.state, State::Reading) {
                    self.grant = kept;
                    self.begin(now);
                }
            }
            Input::Token(result) => self.handle_token(now, result),
            Input::Reply { id, wall, reply } => self.handle_reply(now, id, wall, reply),
            Input::Wake => self.handle_wake(now),
            Input::Reconnected => self.handle_reconnected(now),
            Input::Datagram { .. } | Input::SocketFailed(_) | Input::Log(_) => {}
        }
        self.log_change(now);
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Wake`] is owed.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Reading => None,
            State::LoggingIn { until } | State::Waiting { until, .. } | State::Resting { until, .. } => {
                Some(until)
            }
        }
    }

    pub fn view(&self, now: Instant) -> View {
        let is_bound = self.is_adopted || self.bound_at.is_some_and(|at| now < at + BIND_LIFE);
        let is_refused = !matches!(self.trouble, None | Some(Refusal::Away(_) | Refusal::Token));
        let state = match self.number {
            None => PortState::Asking,
            Some(_) if is_bound && !is_refused => PortState::Held,
            Some(_) => PortState::Doubtful,
        };
        let text = match state {
            PortState::Held => self.complaint.clone(),
            _ => self.trouble.as_ref().map(Refusal::text),
        };
        View {
            state,
            number: self.number.map(|n| n.port),
            since: self.number.map(|n| n.since),
            expires_at: self.expires_at,
            exit_address: None,
            text,
        }
    }

    fn begin(&mut self, now: Instant) {
        let task = if self.grant.is_some() { Task::Bind } else { self.renewal() };
        self.start(now, task);
    }

    /// How to get another port: one signed already is not asked for again.
    fn renewal(&self) -> Task {
        if self.offered.is_some() { Task::BindOffered } else { Task::Ask }
    }

    fn handle_wake(&mut self, now: Instant) {
        match self.state {
            State::Resting { task, until } if until <= now => self.start(now, task),
            State::Waiting { until, overtaken: true, .. } if until <= now => self.begin(now),
            State::Waiting { task, until, .. } if until <= now => {
                self.fail(now, task, Refusal::Away("no answer from the worker".to_owned()));
            }
            State::LoggingIn { until } if until <= now => {
                self.fail(now, Task::Ask, Refusal::Away("no token from the provider".to_owned()));
            }
            _ => {}
        }
    }

    /// The gateway may have forgotten us: bind at once. One request runs at a time, so whatever is under way ends first.
    fn handle_reconnected(&mut self, now: Instant) {
        (self.tries, self.refusals) = (0, 0);
        debug!("lease: the tunnel is back");
        match &mut self.state {
            State::Reading | State::LoggingIn { .. } => {}
            State::Waiting { overtaken, .. } => *overtaken = true,
            State::Resting { .. } => self.begin(now),
        }
    }

    fn start(&mut self, now: Instant, task: Task) {
        let request = match (task, &self.grant, &self.offered, &self.token) {
            (Task::Bind, Some(grant), ..) | (Task::BindOffered, _, Some(grant), _) => {
                self.gateway.bind_request(grant)
            }
            (_, _, _, Some(token)) => {
                return self.send(now, Task::Ask, self.gateway.signature_request(token));
            }
            (_, _, _, None) => return self.log_in(now, None),
        };
        self.send(now, task, request);
    }

    fn send(&mut self, now: Instant, task: Task, request: Request) {
        // Answers to an earlier holder or request must not pass for this one's.
        let id = u64::try_from(now.since_boot().as_nanos()).unwrap_or(u64::MAX);
        self.state = State::Waiting { task, id, until: now + ANSWER_TIMEOUT, overtaken: false };
        self.actions.push_back(Action::Send { id, request });
    }

    fn log_in(&mut self, now: Instant, refused: Option<Secret>) {
        self.state = State::LoggingIn { until: now + TOKEN_TIMEOUT };
        self.actions.push_back(Action::Token { refused });
    }

    fn handle_token(&mut self, now: Instant, result: Result<Secret, Error>) {
        if !matches!(self.state, State::LoggingIn { .. }) {
            return;
        }
        match result {
            Ok(token) => {
                self.token = Some(token);
                self.start(now, Task::Ask);
            }
            Err(why) => self.fail_account(now, Refusal::Refused(why.to_string())),
        }
    }

    fn handle_reply(&mut self, now: Instant, id: u64, wall: UnixTime, reply: Result<Reply, HttpError>) {
        let State::Waiting { task, id: expected, overtaken, .. } = self.state else { return };
        if id != expected {
            return debug!("lease: ignoring an answer that comes too late");
        }
        if overtaken {
            // A signature is good wherever it came from.
            let signed = if task == Task::Ask { parse_signature(&reply).ok() } else { None };
            self.offered = signed.or(self.offered.take());
            return self.begin(now);
        }
        match task {
            Task::Ask => match parse_signature(&reply) {
                Ok(grant) => {
                    debug!("lease: PIA signed port {}", grant.port);
                    (self.token_replaced, self.offered) = (false, Some(grant));
                    self.start(now, Task::BindOffered);
                }
                Err(why) => self.fail(now, task, why),
            },
            Task::Bind | Task::BindOffered => match parse_bound(&reply) {
                Ok(()) => self.handle_bound(now, wall, task),
                Err(why) => self.fail(now, task, why),
            },
        }
    }

    fn handle_bound(&mut self, now: Instant, wall: UnixTime, task: Task) {
        let is_other = task == Task::BindOffered;
        if is_other {
            self.grant = self.offered.take();
            self.actions.push_back(Action::KeepGrant(self.grant.clone()));
        }
        self.is_adopted = false;
        let Some(grant) = &self.grant else { return };
        let (port, left) = (grant.port, grant.expires_at.0.saturating_sub(wall.0));
        if is_other {
            // A signature of a life shorter than usual is not replaced at once.
            (self.margin_secs, self.complaint) = (RENEW_BEFORE_SECS.min(left / 2), None);
        }
        (self.tries, self.refusals, self.trouble, self.bound_at) = (0, 0, None, Some(now));
        self.expires_at = Some(now + secs(left));
        if left > 0 || self.number.is_some() {
            self.publish(now, port, left / 86_400);
        }
        let rest = left.saturating_sub(self.margin_secs);
        if rest == 0 && !is_other {
            debug!("lease: {} days left, asking for another signature", left / 86_400);
            return self.start(now, self.renewal());
        }
        self.rest(now, Task::Bind, BIND_INTERVAL.min(secs(rest).max(RETRY_MOST)));
    }

    fn publish(&mut self, now: Instant, port: u16, days: u64) {
        match self.number {
            Some(n) if n.port == port => return,
            Some(old) => info!("lease: port {} -> {port}, {days} days left", old.port),
            None => info!("lease: port {port} held, {days} days left"),
        }
        self.number = Some(Number { port, since: now });
    }

    fn rest(&mut self, now: Instant, task: Task, time: Duration) {
        self.state = State::Resting { task, until: now + time };
    }

    fn log_change(&mut self, now: Instant) {
        let View { state, number, text, .. } = self.view(now);
        if state == self.logged {
            return;
        }
        self.logged = state;
        match (state, number, text) {
            (PortState::Doubtful, Some(port), why) => {
                warn!("lease: port {port} in doubt: {}", why.unwrap_or_default());
            }
            (PortState::Held, Some(port), _) => debug!("lease: port {port} confirmed"),
            _ => {}
        }
    }
}
