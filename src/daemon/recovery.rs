//! What the daemon makes of a changed network: the tunnel is heard from soon, the lease is asked for, a pause between
//! two attempts ends, and no server is blamed for a cable.

use super::connection::Up;
use super::monitor::{self, Monitor};
use super::repair::{self, Found, Part, Way};
use super::{Action, Daemon, lease, phase, publish};
use crate::status::{Area, Snapshot};
use crate::time::{Duration, Instant};

impl Daemon {
    /// The connection in use: its interface, what it was made of, and whether names are asked of it.
    pub fn in_use(&self) -> Option<(&str, &phase::Ready, bool)> {
        self.up.as_ref().map(|up| (up.interface.as_str(), &up.ready, up.wish.dns))
    }

    /// Looked, and found no way to the server.
    pub(super) fn has_no_way(&self) -> bool {
        self.way == Some(None)
    }

    pub(super) fn handle_inspected(&mut self, now: Instant, found: Found) {
        let (remade, raised) = (found.remade, found.raised);
        let way = found.parts.contains(&Part::Network).then(|| found.way.clone());
        self.repair.handle(now, repair::Input::Found(Box::new(found)));
        if remade {
            self.reopen_sockets();
        }
        let is_other_way = way.is_some_and(|way| self.note_way(way));
        if is_other_way || remade || raised {
            self.disturb(now);
        }
    }

    /// Whether this is another way than before, and one at all.
    fn note_way(&mut self, way: Option<Way>) -> bool {
        let before = self.way.replace(way.clone());
        match (before, way) {
            (None, _) => false,
            (Some(before), way) if before == way => false,
            (_, None) => {
                log::warn!("network: there is no way out");
                false
            }
            (_, Some(way)) => {
                let said = |word: &str, addr: Option<std::net::IpAddr>| {
                    addr.map_or_else(String::new, |a| format!(" {word} {a}"))
                };
                let (via, from) = (said("via", way.gateway), said("from", way.source));
                log::info!("network: the way out is {}{via}{from}", way.device);
                true
            }
        }
    }

    pub(super) fn handle_resumed(&mut self, now: Instant, slept: Duration) {
        log::info!("network: the machine slept for {} s", slept.as_secs());
        for part in [Part::Network, Part::Ruleset, Part::Resolver] {
            self.repair.handle(now, repair::Input::Changed(part));
        }
        self.disturb(now);
    }

    pub(super) fn write_run_files(&mut self, now: Instant) {
        self.publisher.handle(now, publish::Input::Lost(publish::Target::File));
        self.write_record(now);
    }

    /// The way to the server is another one.
    fn disturb(&mut self, now: Instant) {
        let settings = self.monitor_settings();
        if let Some(up) = &mut self.up {
            if up.monitor.is_over() {
                up.monitor = Monitor::new(settings, now);
            }
            self.monitor(now, monitor::Input::Disturbed);
            self.holder.handle(now, lease::Input::Reconnected);
            self.repair.handle(now, repair::Input::Disturbed);
        }
        self.phase.handle(now, phase::Input::Retry);
    }

    pub(super) fn reopen_sockets(&mut self) {
        let configured = self.config.port_forwarding.gateway;
        if let Some(Up { interface, .. }) = &self.up {
            let interface = interface.clone();
            let (gateway, source) = self.up.as_ref().map(|up| up.gateway(configured)).unwrap_or_default();
            self.actions.push_back(Action::OpenSockets { interface, source, gateway });
        }
    }

    /// Does what `repair` asks for.
    pub(super) fn recover(&mut self, now: Instant) {
        if self.up.is_none() || self.making.is_some() {
            self.repair.handle(now, repair::Input::Gone);
        }
        while let Some(action) = self.repair.poll_action() {
            let interface = self.interface().map(str::to_owned);
            match (action, interface) {
                (repair::Action::Inspect(parts), _) if self.ending.is_none() => {
                    self.actions.push_back(Action::Inspect(parts));
                }
                (repair::Action::Look, Some(interface)) => self.actions.push_back(Action::Look(interface)),
                (repair::Action::ReaddPeer, Some(interface)) => {
                    self.actions.push_back(Action::Restart(interface))
                }
                _ => {}
            }
        }
    }

    pub(super) fn describe_repairs(&self, now: Instant, s: &mut Snapshot) {
        s.monitor.repairs = self.repair.count();
        if let Some((part, text)) = self.repair.trouble(now) {
            let area = match part {
                Part::Network => Area::Tunnel,
                Part::Ruleset => Area::Killswitch,
                Part::Resolver => Area::Dns,
            };
            s.problem(area, text);
        }
        if self.up.is_some() && self.has_no_way() {
            s.problem(Area::Tunnel, "there is no way to the server: no route, or no carrier");
        }
    }
}
