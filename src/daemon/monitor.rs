//! Whether the server still serves.
//!
//! Slowly, every `interval`: an echo through the tunnel to its gateway. A check without an answer, or with one slower
//! than `latency_threshold`, is bad, and `failures` bad ones in a row end the connection. Each check tries thrice, so
//! that one lost packet is not a verdict. A gateway that has never answered an echo is not judged by echo: the age of
//! the handshake decides, since our echoes keep WireGuard shaking hands with a server that lives.
//!
//! Quickly, while traffic flows: [`flow`] notices that nothing is received any more, three echoes within half a second
//! confirm it, and the server is given up about four seconds after its last packet. Where the gateway answers no echo,
//! the handshake is begun anew instead, which a server that lives answers within a round trip. On an idle tunnel the
//! first packet that somebody sends is told ([`Input::Traffic`]), so that a server which died unnoticed is given up as
//! quickly once it is needed.
//!
//! Only the tunnel is judged here: a dead resolver or qBittorrent changes no server.

pub mod flow;
mod reason;
mod shake;

#[cfg(test)]
mod tests;

use crate::status::Verdict;
use crate::time::{Duration, Instant, millis, secs};
use flow::{Counters, Finding, Flow};
use log::{debug, info, warn};
pub use reason::Reason;
use shake::Shake;
use std::collections::VecDeque;

/// Echoes of one check or confirmation (the contract's "three probes").
const ECHOES: u32 = 3;
/// Between the echoes of a confirmation; chosen: three round trips to a far server fit.
const CONFIRM_SPACING: Duration = millis(250);
/// The last echo of a confirmation is waited for this long at most; chosen.
const CONFIRM_PATIENCE: Duration = millis(750);
/// WireGuard's REJECT_AFTER_TIME: a session older than this carries nothing.
const HANDSHAKE_LIFE: Duration = secs(180);
/// More than keepalives and handshakes in one sample; chosen.
const ANSWER_BYTES: u64 = 1000;

/// `[monitor]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub interval: Duration,
    pub failures: u32,
    pub latency_threshold: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an ICMP echo request through the tunnel to its gateway.
    SendEcho { seq: u16 },
    /// Read the device; answer with [`Input::Sample`].
    TakeSample,
    /// Take the peer away and add it again, so that the handshake is begun at once.
    ReaddPeer,
    /// The server is dead. The monitor says nothing more; the next connection gets another one.
    SwitchServer(Reason),
}

/// What the device shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sample {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub handshake_age: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Wake,
    /// An echo reply of ours came in from the gateway.
    Echo {
        seq: u16,
    },
    /// `None`: the device could not be read.
    Sample(Option<Sample>),
    /// Somebody's packet went into an idle tunnel.
    Traffic,
    /// The route to the server changed, or the machine was suspended: check at once.
    Disturbed,
    Settings(Settings),
}

/// For `status`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub rtt: Option<Duration>,
    pub bad_checks: u32,
    pub ping: Verdict,
    pub handshake: Verdict,
    pub sample: Option<Sample>,
}

/// Why echoes are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// `late` is an answer slower than the threshold.
    Check { late: Option<Duration> },
    /// Nothing was received since then, and this much before.
    Confirm { since: Instant, rx_bytes: u64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Resting,
    /// Echoes `first_seq..` are out; the next one, or the verdict, is due.
    Probing {
        why: Why,
        sent: u32,
        due_at: Instant,
    },
    /// No echo came back: the next sample decides.
    Deciding {
        why: Why,
        due_at: Instant,
    },
    /// A gateway that answers no echo: the handshake is begun anew, for the second time with `again`.
    Shaking(Shake),
    /// Given up.
    Over,
}

#[derive(Debug)]
pub struct Monitor {
    settings: Settings,
    flow: Flow,
    state: State,
    check_at: Instant,
    seq: u16,
    /// When each of the last echoes was sent.
    sent_at: VecDeque<(u16, Instant)>,
    answered: bool,
    rtt: Option<Duration>,
    bad_checks: u32,
    sample: Option<Sample>,
    /// One-sided traffic is accepted until then.
    accepted_until: Instant,
    actions: VecDeque<Action>,
}

impl Monitor {
    /// Begins when traffic flows through the tunnel, with a check at once.
    pub fn new(settings: Settings, now: Instant) -> Monitor {
        Monitor {
            settings,
            flow: Flow::new(now),
            state: State::Resting,
            check_at: now,
            seq: 0,
            sent_at: VecDeque::new(),
            answered: false,
            rtt: None,
            bad_checks: 0,
            sample: None,
            accepted_until: now,
            actions: VecDeque::new(),
        }
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        if self.state == State::Over {
            return;
        }
        match input {
            Input::Wake => self.handle_wake(now),
            Input::Echo { seq } => self.handle_echo(now, seq),
            Input::Sample(Some(sample)) => self.handle_sample(now, sample),
            Input::Sample(None) => self.flow.skip(now),
            Input::Traffic => {
                self.flow.stir(now);
                self.handle_wake(now);
            }
            Input::Disturbed => {
                self.check_at = now;
                self.handle_wake(now);
            }
            Input::Settings(settings) => {
                self.check_at = self.check_at.min(now + settings.interval);
                self.settings = settings;
            }
        }
    }

    /// Somebody's packet into the tunnel would be news: [`Input::Traffic`].
    pub fn wants_traffic(&self) -> bool {
        self.state != State::Over && self.flow.is_idle()
    }

    /// The server was given up: nothing more comes from here.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Traffic flows.
    pub fn is_busy(&self) -> bool {
        self.flow.is_busy()
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Over => None,
            State::Resting => Some(self.check_at.min(self.flow.poll_timeout())),
            State::Probing { due_at, .. }
            | State::Deciding { due_at, .. }
            | State::Shaking(Shake { due_at, .. }) => Some(due_at.min(self.flow.poll_timeout())),
        }
    }

    pub fn view(&self) -> View {
        let ping = match (self.answered, self.bad_checks) {
            (false, _) => Verdict::Unknown,
            (true, 0) => Verdict::Ok,
            (true, _) => Verdict::Bad,
        };
        let handshake = match self.sample.map(|s| s.handshake_age) {
            None => Verdict::Unknown,
            Some(Some(age)) if age <= HANDSHAKE_LIFE + self.settings.interval => Verdict::Ok,
            Some(_) => Verdict::Bad,
        };
        View { rtt: self.rtt, bad_checks: self.bad_checks, ping, handshake, sample: self.sample }
    }

    fn handle_wake(&mut self, now: Instant) {
        if self.flow.wants_sample(now) {
            self.take_sample(now);
        }
        match self.state {
            State::Resting if self.check_at <= now + self.check_slack() => {
                self.check_at = now + self.settings.interval;
                self.probe(now, Why::Check { late: None });
            }
            State::Probing { why, sent, due_at } if due_at <= now && sent < ECHOES => {
                self.send_echo(now, why, sent);
            }
            State::Probing { why, due_at, .. } if due_at <= now => {
                self.state = State::Deciding { why, due_at: now + secs(1) };
                self.take_sample(now);
            }
            State::Deciding { due_at, .. } if due_at <= now => {
                debug!("monitor: the device can't be read: no verdict");
                self.state = State::Resting;
                self.handle_wake(now); // a check may have waited for this
            }
            State::Shaking(shake) if shake.due_at <= now => {
                self.state = State::Shaking(Shake { due_at: now + secs(1), ..shake });
                self.take_sample(now);
            }
            _ => {}
        }
    }

    /// A check of an idle tunnel may come early, so that it needs no wake-up of its own.
    fn check_slack(&self) -> Duration {
        self.flow.slack().min(self.settings.interval / 6)
    }

    fn take_sample(&mut self, now: Instant) {
        self.flow.skip(now); // should it not come
        self.actions.push_back(Action::TakeSample);
    }

    fn probe(&mut self, now: Instant, why: Why) {
        self.send_echo(now, why, 0);
    }

    fn send_echo(&mut self, now: Instant, why: Why, sent: u32) {
        self.seq = self.seq.wrapping_add(1);
        if self.sent_at.len() >= ECHOES as usize {
            self.sent_at.pop_front();
        }
        self.sent_at.push_back((self.seq, now));
        self.actions.push_back(Action::SendEcho { seq: self.seq });
        let threshold = self.settings.latency_threshold;
        let patience = match why {
            Why::Check { .. } => threshold,
            Why::Confirm { .. } if sent + 1 < ECHOES => CONFIRM_SPACING,
            Why::Confirm { .. } => threshold.min(CONFIRM_PATIENCE),
        };
        self.state = State::Probing { why, sent: sent + 1, due_at: now + patience };
    }

    fn handle_echo(&mut self, now: Instant, seq: u16) {
        let Some((_, sent_at)) = self.sent_at.iter().find(|(s, _)| *s == seq) else {
            debug!("monitor: ignoring an echo nobody waits for");
            return;
        };
        let rtt = now.since(*sent_at);
        if !self.answered {
            debug!("monitor: the gateway answers echoes, in {} ms", rtt.as_millis());
        }
        (self.answered, self.rtt) = (true, Some(rtt));
        match &mut self.state {
            State::Probing { why: Why::Check { late }, .. }
            | State::Deciding { why: Why::Check { late }, .. } => {
                if rtt <= self.settings.latency_threshold {
                    self.forgive();
                    self.state = State::Resting;
                } else {
                    *late = Some(rtt);
                }
            }
            State::Probing { why: Why::Confirm { .. }, .. }
            | State::Deciding { why: Why::Confirm { .. }, .. } => {
                debug!("monitor: the server lives");
                self.state = State::Resting;
            }
            State::Shaking(_) => {
                debug!("monitor: the gateway answers after all");
                self.state = State::Resting;
            }
            State::Resting | State::Over => {}
        }
    }

    fn forgive(&mut self) {
        if self.bad_checks > 0 {
            info!("monitor: well again after {} bad checks", self.bad_checks);
        }
        self.bad_checks = 0;
    }

    fn handle_sample(&mut self, now: Instant, sample: Sample) {
        let before = self.sample.replace(sample).map_or(sample.rx_bytes, |s| s.rx_bytes);
        if sample.rx_bytes.saturating_sub(before) > ANSWER_BYTES {
            self.accepted_until = now; // it goes both ways again
        }
        let counters = Counters { rx_bytes: sample.rx_bytes, tx_bytes: sample.tx_bytes };
        let finding = self.flow.handle_sample(now, counters);
        match (self.state, finding) {
            (State::Deciding { why: Why::Check { late }, .. }, _) => self.conclude_check(late, sample),
            (State::Deciding { why: Why::Confirm { since, rx_bytes }, .. }, _) => {
                if sample.rx_bytes == rx_bytes {
                    self.give_up(Reason::Silent { flat: now.since(since) });
                } else {
                    debug!("monitor: bytes came in meanwhile: the server lives");
                    self.state = State::Resting;
                }
            }
            (State::Shaking(shake), _) => self.handle_shaking(now, shake, sample),
            (State::Resting, Finding::Began) if self.answered => {
                debug!("monitor: traffic begins: is anybody there?");
                self.probe(now, Why::Confirm { since: now, rx_bytes: sample.rx_bytes });
            }
            (State::Resting, Finding::Suspicious { flat, sent_bytes }) => {
                self.suspect(now, flat, sent_bytes, sample.rx_bytes);
            }
            (State::Resting, Finding::Unanswered { flat }) if self.answered => {
                self.suspect(now, flat, 0, sample.rx_bytes);
            }
            // Without echoes a packet without an answer says little: what follows it is watched.
            (_, Finding::Unanswered { .. }) => self.flow.wake_up(now),
            _ => {}
        }
    }

    /// No echo of a check came back in time.
    fn conclude_check(&mut self, late: Option<Duration>, sample: Sample) {
        self.state = State::Resting;
        if !self.answered {
            return match sample.handshake_age {
                Some(age) if age > HANDSHAKE_LIFE => self.give_up(Reason::NoHandshake { age }),
                _ => debug!("monitor: this gateway has answered no echo yet: not judged by it"),
            };
        }
        self.bad_checks += 1;
        let checks = self.bad_checks;
        match late {
            Some(rtt) => info!("monitor: bad check {checks}: answered after {} ms", rtt.as_millis()),
            None => info!("monitor: bad check {checks}: no answer"),
        }
        if checks >= self.settings.failures {
            self.give_up(late.map_or(Reason::NoEcho { checks }, |rtt| Reason::Slow { rtt, checks }));
        }
    }

    fn give_up(&mut self, reason: Reason) {
        warn!("monitor: {reason}: another server is taken");
        self.state = State::Over;
        self.actions.push_back(Action::SwitchServer(reason));
    }
}
