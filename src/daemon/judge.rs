//! The monitor's verdicts put into action.

use super::phase::{self, Purpose};
use super::{Action, Daemon, Look, clock, comeback, monitor, names, repair, sync};
use crate::time::{Instant, secs};

/// An adopted tunnel's handshake is not taken to be older than this, whatever a clock that was set since says; chosen:
/// WireGuard's REKEY_AFTER_TIME, so that an adopted tunnel is not condemned unheard.
const HANDSHAKE_MOST: u64 = 120;

impl Daemon {
    pub(super) fn handle_look(&mut self, now: Instant, look: Option<Look>) {
        if self.making.is_some() {
            let shaken = look.is_some_and(|l| l.handshake.is_some());
            return self.phase.handle(now, phase::Input::Looked { shaken });
        }
        let Some(up) = &mut self.up else { return };
        let Some(look) = look else { return self.monitor(now, monitor::Input::Sample(None)) };
        if look.handshake != up.look.handshake {
            // The kernel counts by the wall clock, which may have been set since.
            let by_wall = look.handshake.map_or(0, |at| self.wall.0.saturating_sub(at.0));
            let age = if up.looked_at.is_none() { secs(by_wall.min(HANDSHAKE_MOST)) } else { secs(0) };
            up.shaken_at = now - age;
            self.clock.handle(now, self.wall, clock::Input::Accepted);
        }
        up.look = look.clone();
        up.looked_at = Some(now);
        self.repair.handle(now, repair::Input::Received(look.rx_bytes));
        let sample = monitor::Sample {
            rx_bytes: look.rx_bytes,
            tx_bytes: look.tx_bytes,
            handshake_age: look.handshake.map(|_| now.since(up.shaken_at)),
        };
        self.monitor(now, monitor::Input::Sample(Some(sample)));
    }

    /// The idle tunnel, into which a packet of somebody would be news: [`super::Event::Stirred`].
    pub fn idle_tunnel(&self) -> Option<&str> {
        let up = self.up.as_ref().filter(|up| up.monitor.wants_traffic())?;
        (self.making.is_none() && self.ending.is_none()).then_some(&up.interface)
    }

    pub(super) fn monitor_settings(&self) -> monitor::Settings {
        let m = &self.config.monitor;
        monitor::Settings {
            interval: m.interval,
            failures: m.failures,
            latency_threshold: m.latency_threshold,
        }
    }

    pub(super) fn monitor(&mut self, now: Instant, input: monitor::Input) {
        if let Some(up) = &mut self.up {
            up.monitor.handle(now, input);
        }
    }

    /// Does what the monitor asks for; another server is taken when it says so.
    pub(super) fn judge(&mut self, now: Instant) {
        let mut checks = false;
        while let Some(up) = &mut self.up {
            let Some(action) = up.monitor.poll_action() else { break };
            let interface = up.interface.clone();
            match action {
                monitor::Action::SendEcho { seq } => {
                    self.actions.push_back(Action::Ping { seq });
                    checks = true;
                }
                // While another link is made its handshake is what is looked at.
                monitor::Action::TakeSample if self.making.is_some() => {}
                monitor::Action::TakeSample => self.actions.push_back(Action::Look(interface)),
                monitor::Action::ReaddPeer => self.actions.push_back(Action::Restart(interface)),
                monitor::Action::SwitchServer(reason) => self.replace(now, &reason.to_string()),
            }
        }
        if checks {
            self.names.handle(now, names::Input::Check);
        }
        while let Some(action) = self.phase.poll_action() {
            self.handle_phase(now, action);
        }
    }

    pub(super) fn replace(&mut self, now: Instant, reason: &str) {
        // A try to come back is over when what it would leave dies.
        let is_in_the_way = self.phase.is_running() && self.phase.purpose() != Some(&Purpose::Return);
        if is_in_the_way || self.ending.is_some() {
            return;
        }
        if self.has_no_way() {
            // No server is to blame: the way back brings another monitor.
            return log::warn!("monitor: {reason}; there is no way out, so the server stays");
        }
        log::warn!("monitor: {reason}; taking another server");
        if let Some(up) = &self.up {
            let id = &up.ready.connection.server.id;
            if up.since + comeback::STEADY <= now {
                self.memory.note_success(id);
            }
            self.memory.note_failure(id, now);
            self.keep_memory();
        }
        self.comeback.interrupt(now);
        self.sync.handle(now, sync::Input::Healthy(false));
        self.phase.handle(now, phase::Input::Begin(Purpose::Replace(reason.to_owned())));
        self.refresh_policy();
    }
}
