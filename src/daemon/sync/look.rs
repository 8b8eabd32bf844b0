//! Asking the kernel whether anything listens: on the port after a write and every 16 s, and on the WebUI's own socket
//! while it can't be reached, which costs no request.

use super::cycle::{Cycle, Listening, PENDING_PAUSE, SETTLE};
use super::{ANSWER_TIMEOUT, Action, Activity, Goal, LOOK_INTERVAL, Socket, Sync, SyncState};
use crate::time::{Duration, Instant, secs};
use crate::wire::http::HttpError;
use log::{debug, warn};
use std::net::Ipv4Addr;

/// A rebind that did not help is not repeated sooner; chosen.
const REBIND_INTERVAL: Duration = secs(300);

impl Sync {
    pub(super) fn look(&mut self, now: Instant, socket: Socket) {
        let at = match (socket, &self.goal) {
            // Another machine's sockets can't be seen.
            (Socket::Peers, _) if self.ui.local_socket().is_none() => None,
            (Socket::Peers, Goal::Tunnel(desired)) => {
                let port = desired.port.or(self.view.listen_port);
                port.map(|port| (desired.address, port))
            }
            (Socket::Everywhere, _) => self.view.listen_port.map(|port| (Ipv4Addr::LOCALHOST.into(), port)),
            (Socket::Peers, _) => None,
            (Socket::WebUi, _) => self.ui.local_socket(),
        };
        let Some((address, port)) = at else { return self.handle_listening(now, socket, None) };
        self.activity = Activity::Looking { socket, give_up_at: now + ANSWER_TIMEOUT };
        self.actions.push_back(Action::CheckListening { address, port });
    }

    pub(super) fn look_while_refused(&mut self, now: Instant) {
        let Activity::Refused { look_at, .. } = &mut self.activity else { return };
        *look_at = now + LOOK_INTERVAL;
        if let Some((address, port)) = self.ui.local_socket() {
            self.actions.push_back(Action::CheckListening { address, port });
        }
    }

    pub(super) fn handle_refused_look(&mut self, now: Instant, seen: Option<bool>) {
        let Activity::Refused { was_down, .. } = &mut self.activity else { return };
        match seen {
            Some(false) => *was_down = true,
            Some(true) if *was_down => {
                self.logins_refused = 0;
                self.begin(now, "qBittorrent restarted");
            }
            Some(true) | None => {}
        }
    }

    pub(super) fn handle_listening(&mut self, now: Instant, socket: Socket, seen: Option<bool>) {
        if socket == Socket::WebUi {
            return match seen {
                Some(false) => {
                    self.handle_failure(now, &HttpError::Connect("nothing listens there".to_owned()))
                }
                Some(true) | None => self.begin(now, "the WebUI may be back"),
            };
        }
        if socket == Socket::Everywhere {
            let is_told = std::mem::replace(&mut self.everywhere, seen == Some(true));
            // Once: another program may have the port there.
            if self.everywhere && !is_told {
                return self.begin(now, "it listens outside the tunnel too");
            }
            self.activity = Activity::Resting { looked_at: now };
            return;
        }
        let routine = self.cycle.listening == Listening::Answered;
        self.view.listening = seen;
        match seen {
            Some(true) if routine => self.look(now, Socket::Everywhere),
            Some(false) if routine => self.begin(now, "nothing listens on the port"),
            None if routine => self.begin_brief(now),
            Some(false) if self.wish().is_some_and(|w| w.listen_port.is_some()) => self.handle_deaf(now),
            Some(_) | None => {
                self.cycle.listening = Listening::Answered;
                self.advance(now);
            }
        }
    }

    fn begin_brief(&mut self, now: Instant) {
        debug!("qbittorrent: reading its preferences: the kernel shows no sockets of it");
        self.cycle = Cycle { brief: true, ..Cycle::default() };
        self.advance(now);
    }

    /// The settings are right and nothing listens. Where neither port nor address was written, there is little to wait for:
    /// its socket is that of a link that is gone, and it keeps it.
    fn handle_deaf(&mut self, now: Instant) {
        self.cycle.looks += 1;
        let looks = if self.cycle.moved { &SETTLE[..] } else { &SETTLE[..2] };
        if let Some(pause) = looks.get(self.cycle.looks) {
            self.activity = Activity::Settling { until: now + *pause };
            return;
        }
        if self.rebound_at.is_none_or(|at| now.since(at) >= REBIND_INTERVAL) {
            warn!("qbittorrent: the port is set but nothing listens on it: setting it anew");
            self.rebound_at = Some(now);
            self.cycle.rebinding = true;
            return self.advance(now);
        }
        let text = "the port is set but nothing listens on it".to_owned();
        self.wait(now, SyncState::Pending, PENDING_PAUSE, text);
    }
}
