//! What an attempt is for, and what it works with.

use crate::provider::{Connection, Server};
use crate::time::Duration;
use std::net::SocketAddr;

/// Why an attempt runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Nothing carries traffic. `forever`: as a service, keep trying.
    First { forever: bool },
    /// A person asked for another server while one carries traffic.
    Switch,
    /// The server in use is bad, for this reason.
    Replace(String),
    /// A better server than the one in use may be well again.
    Return,
}

impl Purpose {
    pub fn is_endless(&self) -> bool {
        matches!(self, Purpose::First { forever: true } | Purpose::Replace(_))
    }
}

/// Servers in the order to try them, and why that order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Choice {
    pub ranked: Vec<Server>,
    /// `ping`, `api`, `name` or `only`.
    pub by: String,
    /// How many there were to choose from.
    pub candidates: usize,
    pub reason: String,
    /// A server better than the first of `ranked` was passed over because it is not well.
    pub second: bool,
    /// Round trips measured for it, by server id.
    pub measured: Vec<(String, Duration)>,
}

/// A connection whose endpoints are addresses.
#[derive(Clone, Debug)]
pub struct Ready {
    pub connection: Connection,
    /// One for each peer, in order; `None` where the peer names none.
    pub endpoints: Vec<Option<SocketAddr>>,
}
