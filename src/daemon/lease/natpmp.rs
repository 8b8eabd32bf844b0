//! The NAT-PMP holder (RFC 6886, and Proton's use of it): one external port for UDP and TCP, held for as long as the
//! tunnel lives.
//!
//! A *round* asks for both protocols until both are granted; between rounds it rests until half of the lease's life is
//! over. The first round asks as Proton's gateway wants it (internal 0, external 1, TCP after UDP). A gateway that
//! refuses that with result 2 is asked for internal = external instead, and so is every gateway from the first renewal
//! on, so that an application listens on the number the world sees. A refusal, silence and garbage only mean asking
//! again: no answer ever takes a number back.
//!
//! Where this differs from RFC 6886: retries stop doubling at 2 s (section 3.1 goes on to 64 s, longer than the lease)
//! and never end; a lease is renewed for the number it has, not for the one first suggested.

mod round;

#[cfg(test)]
mod tests;

use super::{Action, Input, PortState, View};
use crate::address::SYSTEM_PORTS;
use crate::time::{Duration, Instant, millis, secs};
use crate::wire::natpmp::{self, Answer, Mapped, Protocol, Refusal, Reply, Request, Subject};
use log::{debug, info, trace, warn};
use round::{Round, Settled};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// What is asked for: Proton grants no more (proton-api.md section 7).
const LIFETIME: Duration = secs(60);
/// Renewal at half life (RFC 6886 section 3.3), but no later than this: a gateway that lost its table is noticed then.
const RENEW_MOST: Duration = secs(60);
/// Half of the shortest lease that can be told.
const RENEW_LEAST: Duration = millis(500);
/// RFC 6886 section 3.1, doubling ...
const RETRY_FIRST: Duration = millis(250);
/// ... but no further while there is hope: 64 s would lose 3 % of the time.
const RETRY_MOST: Duration = secs(2);
/// After a refusal; chosen: refusals come in minutes, and two datagrams every two seconds hurt nobody.
const REFUSED_PAUSE: Duration = secs(2);
/// How long a round without success asks that often; chosen.
const LIVELY: Duration = secs(600);
/// Between two requests when that time is over; the contract's "at most 15 s apart".
const SLOW_MOST: Duration = secs(15);
/// Without any grant for this long, `log_fallback` is read (contract), and again after `LOG_AGAIN` (chosen).
const LOG_FIRST: Duration = secs(30);
const LOG_AGAIN: Duration = secs(60);
/// The external address is asked for again at the next renewal; chosen.
const EXTERNAL_AGE: Duration = secs(300);
/// A gateway whose epoch makes no sense is not believed more often than this; chosen.
const RESTART_LEAST: Duration = secs(10);
const _: () = assert!(LIFETIME.as_secs() / 2 / RETRY_MOST.as_secs() >= 12); // a dozen tries fit into half a life

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Answers from any other host are ignored.
    pub gateway: IpAddr,
    /// `[qbittorrent] port`: what a gateway that refuses internal port 0 is asked for.
    pub own_port: u16,
    /// Whether `[port_forwarding] log_fallback` is set.
    pub log_fallback: bool,
}

/// The number, and on whose word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    /// None was ever granted; `refused` is why none will be, as far as known.
    None { refused: Option<Refusal> },
    /// Granted by the gateway before this one, or read from a log: published, but this gateway did not grant it.
    Carried { number: u16, since: Instant },
    /// Granted by this gateway.
    Granted { number: u16, since: Instant, expires_at: Instant },
}

#[derive(Debug)]
enum State {
    Asking(Round),
    Resting { renew_at: Instant },
}

/// The gateway's clock (RFC 6886 section 3.6).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    secs: u32,
    heard_at: Instant,
}

/// The machine. Made for one gateway; another server gets another one, made with the number carried over.
#[derive(Debug)]
pub struct NatPmp {
    settings: Settings,
    number: Number,
    state: State,
    epoch: Option<Epoch>,
    restarted_at: Option<Instant>,
    external: Option<(IpAddr, Instant)>,
    /// When the log is read for want of a grant.
    log_at: Option<Instant>,
    /// Why the socket last failed, until the gateway says something.
    socket_error: Option<String>,
    logged: PortState,
    actions: VecDeque<Action>,
}

impl NatPmp {
    /// Begins on a server; `carried` is the number published so far, with its age.
    pub fn new(settings: Settings, now: Instant, carried: Option<(u16, Instant)>) -> NatPmp {
        let number = match carried {
            Some((number, since)) => Number::Carried { number, since },
            None => Number::None { refused: None },
        };
        NatPmp::begin(settings, now, number, Round::first(now))
    }

    /// Takes over, on the same server, the lease of a supervisor that ended: doubtful until the gateway confirms it.
    pub fn adopt(settings: Settings, now: Instant, number: u16, since: Instant) -> NatPmp {
        let granted = Number::Granted { number, since, expires_at: now };
        NatPmp::begin(settings, now, granted, Round::exact(number, now))
    }

    fn begin(settings: Settings, now: Instant, number: Number, round: Round) -> NatPmp {
        let log_at = settings.log_fallback.then_some(now + LOG_FIRST);
        let mut lease = NatPmp {
            settings,
            number,
            state: State::Asking(round),
            epoch: None,
            restarted_at: None,
            external: None,
            log_at,
            socket_error: None,
            logged: PortState::Asking,
            actions: VecDeque::new(),
        };
        lease.logged = lease.view(now).state;
        lease.send_due(now);
        lease
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Wake => self.handle_wake(now),
            Input::Reconnected => self.ask_afresh(now, "the tunnel is back"),
            Input::Datagram { from, bytes } => self.handle_datagram(now, from, bytes),
            Input::SocketFailed(why) => {
                // ECONNREFUSED says that the gateway's daemon is away, not that the port is lost.
                debug!("lease: socket: {why}; asking goes on");
                self.socket_error = Some(why.to_owned());
            }
            Input::Log(text) => self.handle_log(now, text),
            Input::Reply { .. } | Input::Grant(_) | Input::Token(_) => {}
        }
        self.log_change(now);
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Input::Wake`] is owed; the machine always owes something.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let asking = match &self.state {
            State::Asking(round) => round.poll_timeout(),
            State::Resting { renew_at } => Some(*renew_at),
        };
        [asking, self.log_at].into_iter().flatten().min()
    }

    pub fn view(&self, now: Instant) -> View {
        let refused = match &self.state {
            State::Asking(round) => round.refusal(),
            State::Resting { .. } => None,
        };
        let (state, number, since, expires_at) = match self.number {
            Number::None { refused: Some(_) } => (PortState::Unavailable, None, None, None),
            Number::None { refused: None } => (PortState::Asking, None, None, None),
            Number::Carried { number, since } => (PortState::Doubtful, Some(number), Some(since), None),
            Number::Granted { number, since, expires_at } => {
                let confirmed = now < expires_at && refused.is_none();
                let state = if confirmed { PortState::Held } else { PortState::Doubtful };
                (state, Some(number), Some(since), Some(expires_at))
            }
        };
        let text = self.text(state, refused);
        View {
            state,
            number,
            since,
            expires_at,
            exit_address: self.external.map(|(address, _)| address),
            text,
        }
    }

    /// What a person should know about this state.
    fn text(&self, state: PortState, refused: Option<Refusal>) -> Option<String> {
        let refused = match self.number {
            Number::None { refused: Some(r) } => Some(r),
            _ => refused,
        };
        let gateway = self.settings.gateway;
        match (state, refused, &self.socket_error) {
            (PortState::Held, ..) => match &self.state {
                State::Resting { .. } => None,
                State::Asking(round) => round.complaint(),
            },
            (_, Some(refused), _) => Some(refused.to_string()),
            (_, None, Some(why)) => Some(format!("the gateway {gateway} does not answer: {why}")),
            (_, None, None) => Some(format!("the gateway {gateway} has not answered")),
        }
    }

    fn handle_wake(&mut self, now: Instant) {
        if self.log_at.is_some_and(|at| at <= now) {
            debug!("lease: no grant yet: looking into the log file");
            self.log_at = Some(now + LOG_AGAIN);
            self.actions.push_back(Action::ReadLog);
        }
        if let State::Resting { renew_at } = self.state {
            if renew_at <= now {
                self.ask_afresh(now, "half of the lease's life is over");
            }
        } else {
            self.send_due(now);
        }
    }

    /// Begins a round for the number there is, at once.
    fn ask_afresh(&mut self, now: Instant, why: &str) {
        let round = match self.number {
            Number::Granted { number, .. } => Round::exact(number, now),
            Number::Carried { .. } | Number::None { .. } => Round::first(now),
        };
        debug!("lease: asking {}: {why}", round.wish());
        self.state = State::Asking(round);
        self.send_due(now);
    }

    fn send_due(&mut self, now: Instant) {
        let lease_lives = matches!(self.number, Number::Granted { expires_at, .. } if now < expires_at);
        let State::Asking(round) = &mut self.state else { return };
        let requests = round.poll_requests(now, lease_lives);
        let is_known = self.external.is_some_and(|(_, at)| now.since(at) < EXTERNAL_AGE);
        if !requests.is_empty() && !is_known {
            self.actions.push_back(Action::SendDatagram(Request::ExternalAddress.emit()));
        }
        for request in requests {
            trace!("lease: sending {request:?}");
            self.actions.push_back(Action::SendDatagram(request.emit()));
        }
    }

    fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &[u8]) {
        if from != SocketAddr::new(self.settings.gateway, natpmp::PORT) {
            debug!("lease: ignoring {} bytes from {from}: not the gateway", bytes.len());
            return;
        }
        let Ok(reply) = natpmp::parse(bytes) else {
            debug!("lease: ignoring {} bytes from the gateway: not NAT-PMP", bytes.len());
            return;
        };
        trace!("lease: heard {reply:?}");
        self.socket_error = None;
        self.watch_epoch(now, &reply);
        match reply.answer {
            Answer::ExternalAddress(address) if !address.is_unspecified() => {
                let address = IpAddr::V4(address);
                if self.external.is_none_or(|(before, _)| before != address) {
                    info!("lease: the server's exit address is {address}");
                }
                self.external = Some((address, now));
            }
            Answer::ExternalAddress(_) | Answer::Refused(Subject::ExternalAddress, _) => {}
            Answer::Mapped(protocol, mapped) => self.handle_mapped(now, protocol, mapped),
            Answer::Refused(Subject::Map(protocol), refusal) => self.handle_refused(now, protocol, refusal),
        }
    }

    /// Asks at once when the gateway's clock fell back: it has lost its table (RFC 6886 sections 3.6 and 3.7).
    fn watch_epoch(&mut self, now: Instant, reply: &Reply) {
        let heard = Epoch { secs: reply.epoch_secs, heard_at: now };
        let Some(before) = self.epoch.replace(heard) else { return };
        let elapsed = now.since(before.heard_at).as_secs();
        let expected = u64::from(before.secs).saturating_add(elapsed * 7 / 8);
        // A clock that stands still, at 0 mostly, is none and tells nothing.
        if u64::from(heard.secs) + 2 >= expected || heard.secs == before.secs {
            return;
        }
        if self.restarted_at.is_some_and(|at| now.since(at) < RESTART_LEAST) {
            debug!("lease: epoch {} after {}: the gateway's clock makes no sense", heard.secs, before.secs);
            return;
        }
        info!("lease: the gateway restarted (epoch {} after {}): asking at once", heard.secs, before.secs);
        self.restarted_at = Some(now);
        self.external = None;
        match &mut self.state {
            State::Resting { .. } => self.ask_afresh(now, "the gateway restarted"),
            State::Asking(round) => {
                round.forget_grants(now);
                self.send_due(now);
            }
        }
    }

    fn handle_mapped(&mut self, now: Instant, protocol: Protocol, mapped: Mapped) {
        let published = self.published();
        let State::Asking(round) = &mut self.state else {
            debug!("lease: ignoring a late answer for {protocol} {}", mapped.external);
            return;
        };
        match round.handle_grant(now, protocol, mapped, published) {
            Settled::No => self.send_due(now),
            Settled::Yes { number, lifetime } => self.hold(now, number, lifetime),
            Settled::Apart { release } => {
                for request in release {
                    self.actions.push_back(Action::SendDatagram(request.emit()));
                }
                self.send_due(now);
            }
        }
    }

    fn handle_refused(&mut self, now: Instant, protocol: Protocol, refusal: Refusal) {
        let (own, granted_here) = match self.number {
            Number::None { .. } => (self.settings.own_port, false),
            Number::Carried { number, .. } => (number, false),
            Number::Granted { number, .. } => (number, true),
        };
        let State::Asking(round) = &mut self.state else { return };
        debug!("lease: {protocol} refused: {refusal}");
        let final_word = round.handle_refusal(now, protocol, refusal, own, granted_here);
        if let (Some(refusal), Number::None { refused }) = (final_word, &mut self.number) {
            *refused = Some(refusal);
        }
        self.send_due(now);
    }

    fn hold(&mut self, now: Instant, number: u16, lifetime: Duration) {
        let renew = (lifetime / 2).min(RENEW_MOST).max(RENEW_LEAST);
        let before = self.published();
        let since = match self.number {
            Number::Granted { since, .. } | Number::Carried { since, .. } if before == Some(number) => since,
            _ => now,
        };
        let renew_text = format!("renew in {} s", renew.as_secs());
        match before {
            None => info!("lease: port {number} granted, {renew_text}"),
            Some(old) if old != number => info!("lease: port {old} -> {number}, {renew_text}"),
            Some(_) => debug!("lease: port {number} confirmed, {renew_text}"),
        }
        self.number = Number::Granted { number, since, expires_at: now + lifetime };
        self.state = State::Resting { renew_at: now + renew };
        self.log_at = None;
    }

    fn published(&self) -> Option<u16> {
        match self.number {
            Number::None { .. } => None,
            Number::Carried { number, .. } | Number::Granted { number, .. } => Some(number),
        }
    }

    fn handle_log(&mut self, now: Instant, text: &str) {
        let before = self.published();
        match (self.number, last_logged_port(text)) {
            (Number::Granted { .. }, _) => {}
            (_, None) => debug!("lease: the log file names no port"),
            (_, Some(port)) if before == Some(port) => debug!("lease: the log file still names port {port}"),
            (_, Some(port)) => {
                info!("lease: port {port} from the log file, not confirmed by the gateway");
                self.number = Number::Carried { number: port, since: now };
            }
        }
    }

    fn log_change(&mut self, now: Instant) {
        let view = self.view(now);
        if view.state == self.logged {
            return;
        }
        let text = view.text.unwrap_or_default();
        match (view.state, view.number) {
            (PortState::Doubtful, Some(n)) => {
                warn!("lease: port {n} is doubtful, kept and asked for: {text}")
            }
            (PortState::Held, Some(n)) if self.logged == PortState::Doubtful => {
                info!("lease: port {n} is held")
            }
            (PortState::Unavailable, _) => warn!("lease: no port: {text}"),
            _ => {}
        }
        self.logged = view.state;
    }
}

/// The last `Port pair N->N` of a log, as Proton's own program writes it; the second number is the external one.
fn last_logged_port(text: &str) -> Option<u16> {
    let (_, after) = text.rsplit_once("Port pair ")?;
    let (_, external) = after.lines().next()?.split_once("->")?;
    let digits: String = external.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|n| !SYSTEM_PORTS.contains(n))
}
