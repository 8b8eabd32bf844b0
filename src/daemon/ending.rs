//! How the supervisor ends: by `disconnect`, after a failed first connect, or leaving everything to the next one.

use super::connection::Making;
use super::lease::Holder;
use super::{Action, Daemon, comeback, names, phase, publish, session, sync};
use crate::error::{Error, Exit};
use crate::provider::ProviderKind;
use crate::time::{Duration, Instant, secs};

/// Giving qBittorrent its port back may take this long of `disconnect`'s 10 s; chosen.
const RESTORE: Duration = secs(4);

/// In the last line of `disconnect`, where that is so.
pub const STAYS_BOUND: &str = "qBittorrent stays bound to the tunnel; ";

/// The end of the last line of `disconnect`.
pub fn killswitch_words(on: bool) -> &'static str {
    if on { "kill switch on: the machine is closed" } else { "kill switch off" }
}

/// How the supervisor ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// qBittorrent is given its port back, until then at the latest.
    Restoring { until: Instant },
    /// Disconnecting; clients that asked are told.
    TearingDown,
    /// Nothing but `Exit` is left to do.
    Over,
}

impl Daemon {
    /// `disconnect [--ks]`: what waits is told when it is done.
    pub(super) fn disconnect(&mut self, now: Instant, ks: Option<bool>) {
        if self.ending.is_some() {
            // Whoever speaks last before the end decides.
            self.closing = ks.or(self.closing);
            return;
        }
        if self.phase.is_running() {
            self.phase.handle(now, phase::Input::Cancel);
            while let Some(action) = self.phase.poll_action() {
                if let phase::Action::Drop { .. } = action {
                    self.handle_phase(now, action);
                }
            }
        }
        self.clients
            .fail_connects(&mut self.actions, &Error::new(Exit::Interrupted, "disconnected meanwhile"));
        if let Some(on) = ks {
            self.closing = Some(on);
        }
        self.ending = Some(Ending::Restoring { until: now + RESTORE });
        self.sync.handle(now, sync::Input::Restore);
    }

    /// Whether an answer of Proton's is under way: the question may have spent the session's refresh token, which is good
    /// once, so that the session is lost with the answer.
    pub fn has_errands(&self) -> bool {
        self.errands > 0 && self.wish.as_ref().is_some_and(|wish| wish.provider == ProviderKind::Proton)
    }

    /// Nobody waits for those answers any longer.
    pub fn end_errands(&mut self) {
        self.errands = 0;
        if self.ending == Some(Ending::Over) && self.up.is_none() {
            self.refresh_policy();
        }
    }

    pub(super) fn restoring_until(&self) -> Option<Instant> {
        match self.ending {
            Some(Ending::Restoring { until }) => Some(until),
            _ => None,
        }
    }

    /// Goes on to the tear-down once qBittorrent is as it shall be, or has had its time.
    pub(super) fn end_restoring(&mut self, now: Instant) {
        let Some(until) = self.restoring_until() else { return };
        let view = self.sync.view();
        let is_over = view.restored || self.sync.poll_timeout().is_none() || now >= until;
        if is_over {
            self.change_killswitch(self.closing.unwrap_or(self.killswitch));
            self.ending = Some(Ending::TearingDown);
            self.tear_down();
        }
    }

    pub(super) fn tear_down(&mut self) {
        self.close_clock();
        self.names = names::Names::default();
        self.session = session::Session::default();
        self.up = None;
        self.making = None;
        self.comeback = comeback::Comeback::default();
        self.holder = Holder::Off;
        self.actions.push_back(Action::CloseSockets);
        self.actions.push_back(Action::Publish(publish::Action::RemovePortFile));
        self.actions.push_back(Action::Publish(publish::Action::RemoveSecondFile));
        self.refresh_policy();
        self.actions.push_back(Action::Record(None));
        self.actions.push_back(Action::TearDown);
    }

    pub(super) fn torn_down(&mut self, result: Result<(), Error>) {
        let result = result.map(|()| {
            let words = killswitch_words(self.killswitch);
            let is_bound = self.config.qbittorrent.enable && !self.config.qbittorrent.unbind;
            let bound = if is_bound { STAYS_BOUND } else { "" };
            format!("disconnected; {bound}{words}")
        });
        self.clients.end(&mut self.actions, &result);
        self.ending = Some(Ending::Over);
        let exit = match (&result, &self.last_error) {
            (Err(e), _) => e.exit(),
            (Ok(_), Some(e)) if self.is_service => e.exit(),
            (Ok(_), _) => Exit::Done,
        };
        self.actions.push_back(Action::Snapshot);
        self.actions.push_back(Action::Exit(exit));
    }

    /// SIGUSR1: the next supervisor adopts everything.
    pub(super) fn leave(&mut self) {
        if self.ending.is_none() {
            log::info!("supervisor: leaving the tunnel to the next one");
            self.ending = Some(Ending::Over);
            self.close_clock();
            // What is half made is not handed over: the record names the tunnel in use.
            if let Some(making) = self.making.take() {
                let Making { interface, in_place, .. } = making;
                self.actions.push_back(Action::Drop { interface, in_place });
            }
            self.actions.push_back(Action::Exit(Exit::Done));
        }
    }
}
