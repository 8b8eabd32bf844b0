//! Whether names are resolved through the tunnel: one small question with each check of the monitor, in the same
//! wake-up as its echo. Silence is asked again twice before it is a verdict. It changes no server: a resolver that died
//! is the provider's, and everything but names still works.

use super::{Action, Daemon};
use crate::status::Verdict;
use crate::time::{Duration, Instant, secs};
use std::collections::VecDeque;
use std::net::IpAddr;

/// An answer takes no longer; chosen: a resolver that has to ask others.
const PATIENCE: Duration = secs(2);
/// Questions before silence is a verdict; chosen: one or two datagrams may be lost.
const TRIES: u32 = 3;
/// The name that is asked for (RFC 2606 section 3): cached everywhere, and it says nothing about who asks.
pub const NAME: &str = "example.com";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A check of the tunnel begins.
    Check,
    /// Whether the resolver knew, or knew that there is no such name.
    Answered(bool),
    /// Another tunnel, or none that is asked.
    Reset(Verdict),
    Wake,
}

/// Ask the tunnel's resolver for [`NAME`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask;

/// The machine.
#[derive(Debug)]
pub struct Names {
    verdict: Verdict,
    /// Questions without an answer so far, and until when the last one is waited for.
    asked: Option<(u32, Instant)>,
    actions: VecDeque<Ask>,
}

impl Default for Names {
    fn default() -> Names {
        Names { verdict: Verdict::Off, asked: None, actions: VecDeque::new() }
    }
}

impl Names {
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    pub fn poll_action(&mut self) -> Option<Ask> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asked.map(|(_, until)| until)
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Reset(verdict) => *self = Names { verdict, ..Names::default() },
            Input::Check if self.verdict != Verdict::Off && self.asked.is_none() => self.ask(now, 1),
            Input::Check => {}
            Input::Answered(true) => self.conclude(Verdict::Ok),
            // It answered, though not with a name: no need to wait before the next try.
            Input::Answered(false) => self.ask_again(now),
            Input::Wake if self.asked.is_some_and(|(_, until)| until <= now) => self.ask_again(now),
            Input::Wake => {}
        }
    }

    fn ask(&mut self, now: Instant, tries: u32) {
        self.asked = Some((tries, now + PATIENCE));
        self.actions.push_back(Ask);
    }

    fn ask_again(&mut self, now: Instant) {
        match self.asked {
            Some((tries, _)) if tries < TRIES => self.ask(now, tries + 1),
            Some(_) => self.conclude(Verdict::Bad),
            None => {}
        }
    }

    fn conclude(&mut self, verdict: Verdict) {
        if self.asked.take().is_none() {
            return;
        }
        if verdict != self.verdict {
            match verdict {
                Verdict::Bad => log::warn!("dns: the tunnel's resolver does not answer"),
                _ => log::info!("dns: the tunnel's resolver answers"),
            }
        }
        self.verdict = verdict;
    }
}

impl Daemon {
    /// Whom [`Ask`] asks: the tunnel's first resolver, from our address of its family; none while the machine's own
    /// resolver is used.
    pub fn resolver(&self) -> Option<(IpAddr, IpAddr)> {
        let up = self.up.as_ref().filter(|_| self.wish.as_ref().is_some_and(|w| w.dns))?;
        let tunnel = &up.ready.connection.tunnel;
        let server = *tunnel.dns.first()?;
        let source = tunnel.addresses.iter().map(|a| a.addr).find(|a| a.is_ipv4() == server.is_ipv4())?;
        Some((server, source))
    }

    pub(super) fn reset_names(&mut self, now: Instant) {
        let verdict = if self.resolver().is_some() { Verdict::Unknown } else { Verdict::Off };
        self.names.handle(now, Input::Reset(verdict));
    }

    pub(super) fn ask_names(&mut self) {
        while let Some(Ask) = self.names.poll_action() {
            if let (Some((server, source)), Some(interface)) = (self.resolver(), self.interface()) {
                let interface = interface.to_owned();
                self.actions.push_back(Action::AskName { interface, server, source });
            }
        }
    }
}

#[cfg(test)]
mod tests;
