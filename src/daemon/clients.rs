//! Commands that wait for the supervisor: who they are, what they wait for, and when they have waited long enough.
//!
//! `connect` returns when traffic flows, the port is held or known to be unavailable, and qBittorrent is told; each
//! wait has the bound that the contract gives it. The supervisor's own first connect, when it runs as a service, is
//! [`SERVICE`]: nobody reads its replies, the log says the same.

use super::control::Tell;
use super::lease::PortState;
use super::sync::SyncState;
use super::{Action, Daemon, killswitch_words, phase};
use crate::error::{Error, Exit};
use crate::status;
use crate::time::{Duration, Instant, secs};
use std::collections::VecDeque;

/// One connection to the control socket.
pub type ClientId = u64;

/// The service itself.
pub const SERVICE: ClientId = 0;

/// A server that forwards ports grants one by then, or `connect` ends with exit 12 (contract).
pub(super) const PORT: Duration = secs(30);
/// qBittorrent is told by then, or `connect` ends with exit 4 (contract).
const QBITTORRENT: Duration = secs(10);
/// All of a connect, however its waits add up: the contract's 60 s, less what the answer takes.
const CONNECT: Duration = secs(56);

#[derive(Debug)]
enum Wait {
    /// For traffic. `is_first`: there was no tunnel before.
    Connect { begun_at: Instant, is_first: bool },
    /// Traffic flows since then; for the port, then for qBittorrent.
    Settle { begun_at: Instant, is_first: bool, connected_at: Instant, port_at: Option<Instant> },
    /// For the end of the supervisor.
    End,
}

/// Everybody who waits.
#[derive(Debug, Default)]
pub(super) struct Clients {
    waiting: Vec<(ClientId, Wait)>,
}

impl Clients {
    pub fn wait_for_connect(&mut self, id: ClientId, now: Instant, is_first: bool) {
        self.forget(id);
        self.waiting.push((id, Wait::Connect { begun_at: now, is_first }));
    }

    pub fn wait_for_end(&mut self, id: ClientId) {
        self.forget(id);
        self.waiting.push((id, Wait::End));
    }

    pub fn forget(&mut self, id: ClientId) {
        self.waiting.retain(|(i, _)| *i != id);
    }

    pub fn is_anybody_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn say(&self, actions: &mut VecDeque<Action>, text: String) {
        for (id, wait) in &self.waiting {
            if !matches!(wait, Wait::End) {
                actions.push_back(Action::Tell(*id, Tell::Say(text.clone())));
            }
        }
    }

    /// Traffic flows.
    pub fn connected(&mut self, now: Instant) {
        for (_, wait) in &mut self.waiting {
            if let Wait::Connect { begun_at, is_first } = *wait {
                *wait = Wait::Settle { begun_at, is_first, connected_at: now, port_at: None };
            }
        }
    }

    pub fn fail_connects(&mut self, actions: &mut VecDeque<Action>, e: &Error) {
        self.waiting.retain(|(id, wait)| {
            let fails = !matches!(wait, Wait::End);
            if fails {
                actions.push_back(Action::Tell(*id, Tell::failed(e)));
            }
            !fails
        });
    }

    /// Who has waited for traffic long enough is told so; the attempt goes on.
    fn expire_connects(&mut self, now: Instant, actions: &mut VecDeque<Action>, trouble: Option<&Error>) {
        self.waiting.retain(|(id, wait)| {
            let Wait::Connect { begun_at, .. } = wait else { return true };
            let is_over = *id != SERVICE && now >= *begun_at + CONNECT;
            if is_over {
                let why =
                    trouble.map_or_else(|| "the provider has not answered yet".to_owned(), Error::to_string);
                let text = format!("not connected in {} s: {why}; trying goes on", CONNECT.as_secs());
                let exit = trouble.map_or(Exit::Failed, Error::exit);
                actions.push_back(Action::Tell(*id, Tell::Done(exit, text)));
            }
            !is_over
        });
    }

    pub fn end(&mut self, actions: &mut VecDeque<Action>, result: &Result<String, Error>) {
        for (id, _) in self.waiting.drain(..) {
            let tell = match result {
                Ok(text) => Tell::Done(Exit::Done, text.clone()),
                Err(e) => Tell::failed(e),
            };
            actions.push_back(Action::Tell(id, tell));
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.waiting
            .iter()
            .filter_map(|(id, wait)| match wait {
                Wait::Settle { begun_at, port_at: Some(at), .. } => {
                    Some((*at + QBITTORRENT).min(*begun_at + CONNECT))
                }
                Wait::Settle { begun_at, connected_at, port_at: None, .. } => {
                    Some((*connected_at + PORT).min(*begun_at + CONNECT))
                }
                Wait::Connect { begun_at, .. } if *id != SERVICE => Some(*begun_at + CONNECT),
                Wait::Connect { .. } | Wait::End => None,
            })
            .min()
    }
}

impl Daemon {
    /// Ctrl-C at a command: what its request began is undone. A switch that is over stays, there being no way back.
    pub(super) fn cancel(&mut self, now: Instant, id: ClientId) {
        let wait = self.clients.waiting.iter().find(|(i, _)| *i == id).map(|(_, wait)| wait);
        let (undoes, text) = match wait {
            Some(Wait::Connect { .. }) => return self.phase.handle(now, phase::Input::Cancel),
            Some(Wait::Settle { is_first, .. }) if *is_first && !self.is_service => (true, "interrupted"),
            Some(Wait::Settle { .. }) => (false, "interrupted; the connection stays"),
            Some(Wait::End) | None => return,
        };
        if undoes {
            self.say_if_closed();
        }
        self.clients.forget(id);
        self.actions.push_back(Action::Tell(id, Tell::Done(Exit::Interrupted, text.to_owned())));
        if undoes {
            self.disconnect(now, None);
        }
    }

    /// For those whose request has come to nothing: it may have closed the machine, and opens it no more.
    pub(super) fn say_if_closed(&mut self) {
        if self.killswitch {
            self.clients.say(&mut self.actions, killswitch_words(true).to_owned());
        }
    }

    /// Ends the waits that are over.
    pub(super) fn answer_clients(&mut self, now: Instant) {
        let trouble = self.phase.trouble();
        self.clients.expire_connects(now, &mut self.actions, trouble);
        if self.up.is_none() {
            return;
        }
        let view = self.holder.view(now);
        let qbittorrent = self.qbittorrent_told();
        let summary = self.summary(now);
        let mut waiting = std::mem::take(&mut self.clients.waiting);
        waiting.retain_mut(|(id, wait)| {
            let Wait::Settle { begun_at, connected_at, port_at, .. } = wait else { return true };
            let is_over = now >= *begun_at + CONNECT;
            let is_settled = view.state != PortState::Asking;
            if is_settled && port_at.is_none() {
                *port_at = Some(now);
            }
            let tell = match port_at {
                None if is_over || now >= *connected_at + PORT => Tell::Done(
                    Exit::NoPort,
                    format!("{summary}; no port granted in {} s, asking goes on", PORT.as_secs()),
                ),
                None => return true,
                Some(_) if qbittorrent => Tell::Done(Exit::Done, summary.clone()),
                Some(at) if is_over || now >= *at + QBITTORRENT => {
                    let why =
                        self.sync.view().text.clone().unwrap_or_else(|| "it does not take it".to_owned());
                    Tell::Done(
                        Exit::Problems,
                        format!("{summary}; qBittorrent is not told: {why}; trying goes on"),
                    )
                }
                Some(_) => return true,
            };
            self.actions.push_back(Action::Tell(*id, tell));
            false
        });
        self.clients.waiting = waiting;
    }

    /// Whether qBittorrent has what it is to have, or is not to be told.
    fn qbittorrent_told(&self) -> bool {
        let view = self.sync.view();
        matches!(view.state, SyncState::Synced | SyncState::Off)
    }

    /// One line: server, interface, port, kill switch.
    pub(super) fn summary(&self, now: Instant) -> String {
        let Some(up) = &self.up else { return "not connected".to_owned() };
        let view = self.holder.view(now);
        let port = match (view.number, view.state) {
            (Some(n), _) => format!("port {n}"),
            (None, PortState::Unavailable) => {
                format!("no port: {}", view.text.as_deref().unwrap_or("not available"))
            }
            (None, PortState::Off) => "port forwarding off".to_owned(),
            (None, _) => "no port".to_owned(),
        };
        let ks = if self.killswitch { "kill switch on" } else { "kill switch off" };
        format!("connected to {} by {}, {port}, {ks}", up.server().name, up.interface)
    }

    /// Tells of a change of state: `status.json`, `on_state`, the service manager.
    pub(super) fn refresh_state(&mut self) {
        let state = self.state_word();
        let changed = state != self.state;
        if changed {
            self.state = state;
            self.state_since = self.wall;
            self.actions.push_back(Action::StateHook(match state {
                status::State::Connected => "connected",
                status::State::Connecting => "connecting",
                status::State::Blocked => "blocked",
                status::State::Disconnected => "disconnected",
            }));
        }
        // A provider that is away never stalls a boot: whoever waits for the service goes on after the first try.
        let is_ready = self.up.is_some()
            || (self.killswitch && self.policy_trouble.is_none())
            || self.phase.trouble().is_some();
        if is_ready && !self.is_ready {
            self.is_ready = true;
            self.actions.push_back(Action::Ready);
        }
    }
}
