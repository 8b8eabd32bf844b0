//! The forwarded port: whoever holds it, the rest of pvpn sees one [`Holder`].
//!
//! A number once granted stays published until a gateway grants another or the person disconnects: refusals, silence and
//! garbage from the gateway mean "unknown" and change at most the state, to [`PortState::Doubtful`]. A number that no
//! gateway granted is never published. There are two holders, NAT-PMP (`lease/natpmp.rs`) and PIA's signed port
//! (`lease/pia.rs`); a server known to forward nothing, and a configuration that wants no port, have a holder as well,
//! so that callers need not tell the cases apart.

pub mod natpmp;
pub mod pia;

pub use crate::status::PortState;

use crate::config::secret::Secret;
use crate::error::Error;
use crate::provider::pia::forward::Grant;
use crate::time::{Instant, UnixTime};
use crate::wire::http::{HttpError, Reply, Request};
use natpmp::NatPmp;
use pia::Pia;
use std::net::{IpAddr, SocketAddr};

/// What is known about the port, for `status`, the publisher and the verdicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub state: PortState,
    /// The number to publish. Stays through `Doubtful`.
    pub number: Option<u16>,
    pub since: Option<Instant>,
    /// When the gateway forgets it; in the past once a lease ran out unanswered.
    pub expires_at: Option<Instant>,
    /// What the gateway calls its external address.
    pub exit_address: Option<IpAddr>,
    /// What a person should know: why there is no port, or why it is in doubt.
    pub text: Option<String>,
}

impl View {
    fn empty(state: PortState, text: Option<String>) -> View {
        View { state, number: None, since: None, expires_at: None, exit_address: None, text }
    }
}

/// What the caller is to do.
#[derive(Clone, Debug)]
pub enum Action {
    /// Send this to the gateway's NAT-PMP port, from the tunnel's interface and address.
    SendDatagram(Vec<u8>),
    /// Read the end of the file `[port_forwarding] log_fallback`; answer with [`Input::Log`].
    ReadLog,
    /// Send this, trusting PIA's authority; answer with [`Input::Reply`] of the same id.
    Send { id: u64, request: Request },
    /// Read the signed port that is on disk; answer with [`Input::Grant`].
    ReadGrant,
    /// Keep it there, or forget what is.
    KeepGrant(Option<Grant>),
    /// Find a token, another than the one a gateway refused; answer with [`Input::Token`].
    Token { refused: Option<Secret> },
}

/// What happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// The time of `poll_timeout` came; harmless at any other time.
    Wake,
    /// The tunnel carries traffic again to the same server (resume, link up, another way out): ask at once. Another server,
    /// and another key on the same one, get another holder.
    Reconnected,
    /// A datagram came in on the NAT-PMP socket.
    Datagram { from: SocketAddr, bytes: &'a [u8] },
    /// The NAT-PMP socket failed (ECONNREFUSED, ENETUNREACH, EPERM), said in words.
    SocketFailed(&'a str),
    /// The end of the log file; an unreadable one is empty.
    Log(&'a str),
    /// The answer to [`Action::Send`].
    Reply { id: u64, wall: UnixTime, reply: Result<Reply, HttpError> },
    /// The answer to [`Action::ReadGrant`].
    Grant(Option<Grant>),
    /// The answer to [`Action::Token`].
    Token(Result<Secret, Error>),
}

/// How the port of this connection is held.
#[derive(Debug)]
pub enum Holder {
    /// `[port_forwarding] enable = false`.
    Off,
    /// The server forwards none, for this reason.
    Unavailable(String),
    NatPmp(Box<NatPmp>),
    Pia(Box<Pia>),
}

impl Holder {
    pub fn handle(&mut self, now: Instant, input: Input) {
        match self {
            Holder::Off | Holder::Unavailable(_) => {}
            Holder::NatPmp(h) => h.handle(now, input),
            Holder::Pia(h) => h.handle(now, input),
        }
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        match self {
            Holder::Off | Holder::Unavailable(_) => None,
            Holder::NatPmp(h) => h.poll_action(),
            Holder::Pia(h) => h.poll_action(),
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Holder::Off | Holder::Unavailable(_) => None,
            Holder::NatPmp(h) => h.poll_timeout(),
            Holder::Pia(h) => h.poll_timeout(),
        }
    }

    pub fn view(&self, now: Instant) -> View {
        match self {
            Holder::Off => View::empty(PortState::Off, None),
            Holder::Unavailable(why) => View::empty(PortState::Unavailable, Some(why.clone())),
            Holder::NatPmp(h) => h.view(now),
            Holder::Pia(h) => h.view(now),
        }
    }
}
