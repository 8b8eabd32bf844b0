//! The tunnel in use and the one being made: what `phase` asks for is turned into actions here, and what becomes of
//! them is remembered.

use super::monitor::Monitor;
use super::phase::{self, Choice, Purpose, Ready};
use super::record::Record;
use super::wish::Wish;
use super::{Action, Daemon, Ending, Look};
use super::{publish, repair, sync};
use crate::error::{Error, Exit};
use crate::firewall::{TUNNEL_MARK, TunnelPolicy};
use crate::provider::{Country, PortHold, ProviderKind, Server};
use crate::select::{self, By};
use crate::time::{Instant, UnixTime, secs};
use std::net::IpAddr;

/// A link whose handshake is awaited.
#[derive(Debug)]
pub(super) struct Making {
    pub interface: String,
    pub ready: Ready,
    /// The tunnel in use has this name: its peer was changed.
    pub in_place: bool,
}

/// The tunnel that carries the machine's traffic.
#[derive(Debug)]
pub struct Up {
    pub interface: String,
    pub ready: Ready,
    pub choice: Choice,
    pub since_wall: UnixTime,
    pub since: Instant,
    /// What led to it, which is what its replacement shall meet.
    pub wish: Wish,
    /// The port that the firewall lets in.
    pub open_port: Option<u16>,
    pub look: Look,
    pub looked_at: Option<Instant>,
    /// When the latest handshake was first seen, by the clock that never jumps.
    pub shaken_at: Instant,
    pub monitor: Monitor,
}

fn tunnel_policy(interface: &str, ready: &Ready) -> TunnelPolicy {
    let tunnel = &ready.connection.tunnel;
    TunnelPolicy {
        interface: interface.to_owned(),
        addresses: tunnel.addresses.clone(),
        mark: tunnel.fwmark.unwrap_or(TUNNEL_MARK),
        endpoints: ready.endpoints.iter().flatten().copied().collect(),
        full: tunnel.is_by_policy(&ready.endpoints),
        open: false,
        forwarded_port: None,
        mss_clamp: true,
    }
}

impl Making {
    pub fn policy(&self) -> TunnelPolicy {
        tunnel_policy(&self.interface, &self.ready)
    }
}

impl Up {
    pub fn policy(&self) -> TunnelPolicy {
        TunnelPolicy {
            open: true,
            forwarded_port: self.open_port,
            ..tunnel_policy(&self.interface, &self.ready)
        }
    }

    pub fn server(&self) -> &Server {
        &self.ready.connection.server
    }

    /// Whether this server is what the wish asks for. Where the same places are asked for in the same order as before, it
    /// is what was left of them; a changed order asks for the first of them.
    pub fn meets(&self, wish: &Wish, forwarding: bool) -> bool {
        let wanted = wish.wanted(forwarding);
        self.server().provider == wish.provider
            && select::meets(self.server(), &wanted)
            && (self.wish.prefers_as(wish) || select::is_first_choice(self.server(), &wanted))
    }

    /// The address to ask and to ping inside the tunnel, and ours of the same family.
    pub fn gateway(&self, configured: Option<IpAddr>) -> (Option<IpAddr>, Option<IpAddr>) {
        let gateway = match &self.ready.connection.port {
            PortHold::NatPmp { gateway } => configured.or(Some(*gateway)),
            PortHold::Pia { server_vip, .. } => Some(*server_vip),
            PortHold::Unavailable(_) => configured.or(self.ready.connection.tunnel.dns.first().copied()),
        };
        let addresses = &self.ready.connection.tunnel.addresses;
        let family = gateway.is_none_or(|g| g.is_ipv4());
        (gateway, addresses.iter().map(|a| a.addr).find(|a| a.is_ipv4() == family))
    }
}

impl Daemon {
    pub(super) fn handle_phase(&mut self, now: Instant, action: phase::Action) {
        match action {
            phase::Action::Say(text) => self.say(text),
            phase::Action::Choose => self.choose(),
            phase::Action::Open(server) => {
                self.say(format!("connecting to {} at {}", server.name, server.endpoint));
                self.round += 1;
                self.errands += 1;
                let hurry = self.is_hurried();
                self.actions.push_back(Action::Open { round: self.round, hurry, server });
            }
            phase::Action::Link(ready) => self.link(*ready),
            phase::Action::Look => self.push_for_making(Action::Look),
            phase::Action::Restart => self.push_for_making(Action::Restart),
            phase::Action::Commit => self.commit(),
            phase::Action::Drop { server, bad } => {
                if bad {
                    self.memory.note_failure(&server.id, now);
                    self.keep_memory();
                }
                if let Some(making) = self.making.take() {
                    let Making { interface, in_place, .. } = making;
                    self.actions.push_back(Action::Drop { interface, in_place });
                }
            }
            phase::Action::Finish(result) => self.finish(now, result),
        }
    }

    pub(super) fn say(&mut self, text: String) {
        log::info!("daemon: {text}");
        self.clients.say(&mut self.actions, text);
    }

    pub(super) fn choose(&mut self) {
        if !self.may_shake_hands() {
            return;
        }
        let Some(wish) = self.wish.clone() else { return };
        let is_bad = matches!(self.phase.purpose(), Some(Purpose::Replace(_)));
        let returns = self.phase.purpose() == Some(&Purpose::Return);
        let current = self.up.as_ref().filter(|_| !is_bad).map(|up| Box::new(up.server().clone()));
        let memory = Box::new(self.memory.clone());
        self.round += 1;
        self.errands += 1;
        let (round, hurry, wish) = (self.round, self.is_hurried(), Box::new(wish));
        self.actions.push_back(Action::Choose { round, hurry, wish, memory, current, returns });
    }

    /// The server in use is bad, and no round was in vain yet; or all is well with it. What is known has to do.
    fn is_hurried(&self) -> bool {
        match self.phase.purpose() {
            Some(Purpose::Replace(_)) => !self.phase.was_in_vain(),
            purpose => purpose == Some(&Purpose::Return),
        }
    }

    pub(super) fn handle_chosen(&mut self, now: Instant, result: Result<Choice, Error>) {
        if let Ok(choice) = &result {
            self.remember(now, &choice.measured);
            if self.stays(now, choice) {
                return self.phase.handle(now, phase::Input::Stay);
            }
            if [By::Ping, By::Api].iter().any(|by| by.name() == choice.by) {
                self.say(choice.reason.clone());
            }
        }
        self.phase.handle(now, phase::Input::Chosen(result));
    }

    fn push_for_making(&mut self, action: fn(String) -> Action) {
        if let Some(making) = &self.making {
            self.actions.push_back(action(making.interface.clone()));
        }
    }

    fn link(&mut self, ready: Ready) {
        // What the plan or the server cannot do is said before the connection is made.
        if let (PortHold::Unavailable(why), ProviderKind::Proton, true) =
            (&ready.connection.port, ready.connection.server.provider, self.config.port_forwarding.enable)
        {
            self.say(why.clone());
        }
        let interface = interface_name(&self.config.network.interface, ready.connection.server.country);
        let in_place = self.up.as_ref().is_some_and(|up| up.interface == interface);
        self.making = Some(Making { interface: interface.clone(), ready: ready.clone(), in_place });
        // The rules that let the handshake out come first.
        self.refresh_policy();
        self.actions.push_back(Action::Link { interface, ready: Box::new(ready), in_place });
    }

    fn commit(&mut self) {
        let (Some(making), Some(wish)) = (&self.making, &self.wish) else { return };
        let old = self.up.as_ref().map(|up| up.interface.clone()).filter(|old| *old != making.interface);
        self.actions.push_back(Action::Commit {
            interface: making.interface.clone(),
            ready: Box::new(making.ready.clone()),
            old,
            dns: wish.dns,
        });
    }

    pub(super) fn handle_committed(&mut self, now: Instant, result: Result<(), Error>) {
        let made = result.is_ok().then(|| self.making.take()).flatten();
        if let (Some(making), Some(wish)) = (made, self.wish.clone()) {
            let choice = self.phase.choice().cloned().unwrap_or_default();
            let second = self.note_passed_over(now, &choice, making.ready.connection.server.id.as_str());
            let by_choice = matches!(self.phase.purpose(), Some(Purpose::First { .. } | Purpose::Switch));
            self.comeback.connected(now, second, by_choice);
            let carried = self.holder.view(now);
            if self.up.is_some() {
                self.reconnects += 1;
            }
            let up = Up {
                interface: making.interface,
                ready: making.ready,
                choice,
                since_wall: self.wall,
                since: now,
                wish,
                open_port: None,
                look: Look::default(),
                looked_at: None,
                shaken_at: now,
                monitor: Monitor::new(self.monitor_settings(), now),
            };
            self.come_up(now, up, carried.number.map(|n| (n, carried.since.unwrap_or(now))));
        }
        self.phase.handle(now, phase::Input::Committed(result));
    }

    /// Those tried before the one that answered have failed, also where no link was made yet (PIA's addKey): that one
    /// shows that the account is not to blame. Whether there is a better server than it.
    fn note_passed_over(&mut self, now: Instant, choice: &Choice, taken: &str) -> bool {
        let tried = choice.ranked.iter().map(|s| s.id.as_str()).take_while(|id| *id != taken);
        let is_first = choice.ranked.first().is_none_or(|s| s.id == taken);
        for id in tried {
            if !self.memory.has_failed(id, now) {
                self.memory.note_failure(id, now);
            }
        }
        if !is_first {
            self.keep_memory();
        }
        choice.second || !is_first
    }

    /// Takes this tunnel as the one in use.
    fn come_up(&mut self, now: Instant, up: Up, carried: Option<(u16, Instant)>) {
        log::info!(
            "daemon: connected to {} at {} by {}",
            up.server().name,
            up.server().endpoint,
            up.interface
        );
        let (gateway, source) = up.gateway(self.config.port_forwarding.gateway);
        let open_port = self.up.as_ref().and_then(|old| old.open_port);
        self.actions.push_back(Action::OpenSockets { interface: up.interface.clone(), source, gateway });
        self.holder = self.holder_of(now, &up, carried);
        self.up = Some(Up { open_port, ..up });
        self.refresh_policy();
        self.actions.push_back(Action::ForgetFlows);
        self.desire(now);
        self.sync.handle(now, sync::Input::Healthy(true));
        self.repair.handle(now, repair::Input::Changed(repair::Part::Network));
        self.reset_names(now);
        self.begin_session(now);
        self.write_record(now);
    }

    pub(super) fn write_record(&mut self, now: Instant) {
        let Some(up) = &self.up else { return };
        let policy = up.policy();
        let view = self.holder.view(now);
        let record = Record {
            wish: up.wish.clone(),
            server: up.server().clone(),
            interface: up.interface.clone(),
            addresses: policy.addresses,
            dns: up.ready.connection.tunnel.dns.clone(),
            endpoints: policy.endpoints,
            peers: up.ready.connection.tunnel.peers.iter().map(|p| p.public_key).collect(),
            mark: policy.mark,
            full: policy.full,
            table: up.ready.connection.tunnel.table,
            hold: up.ready.connection.port.clone(),
            port: view.number,
            port_since: self.port_since.unwrap_or(self.wall),
            since: up.since_wall,
            reconnects: self.reconnects,
            comeback_tries: self.comeback.tries(),
            choice_by: up.choice.by.clone(),
            choice_candidates: up.choice.candidates,
            choice_reason: up.choice.reason.clone(),
        };
        self.actions.push_back(Action::Record(Some(Box::new(record))));
    }

    /// Takes over a tunnel that an earlier supervisor left: nothing about it is changed.
    pub fn adopt(&mut self, now: Instant, wall: UnixTime, record: Record, ready: Ready) {
        self.wall = wall;
        log::info!("daemon: adopting {} by {}", record.server.name, record.interface);
        let choice = Choice {
            ranked: vec![record.server.clone()],
            by: record.choice_by,
            candidates: record.choice_candidates,
            reason: record.choice_reason,
            ..Choice::default()
        };
        let age = |at: UnixTime| secs(wall.0.saturating_sub(at.0));
        let up = Up {
            interface: record.interface,
            ready,
            choice,
            since_wall: record.since,
            since: now - age(record.since),
            wish: record.wish.clone(),
            open_port: record.port,
            look: Look::default(),
            looked_at: None,
            shaken_at: now,
            monitor: Monitor::new(self.monitor_settings(), now),
        };
        self.wish = Some(record.wish);
        self.reconnects = record.reconnects;
        self.comeback.adopt(now, record.comeback_tries);
        self.publisher = publish::Publisher::new(record.port);
        let (gateway, source) = up.gateway(self.config.port_forwarding.gateway);
        self.actions.push_back(Action::OpenSockets { interface: up.interface.clone(), source, gateway });
        self.holder =
            self.adopted_holder(now, &up, record.port.map(|port| (port, now - age(record.port_since))));
        self.up = Some(up);
        self.desire(now);
        self.sync.handle(now, sync::Input::Healthy(true));
        self.reset_names(now);
        self.begin_session(now);
        for part in [repair::Part::Network, repair::Part::Resolver] {
            self.repair.handle(now, repair::Input::Changed(part));
        }
    }

    fn finish(&mut self, now: Instant, result: Result<(), Error>) {
        match result {
            Ok(()) => {
                self.last_error = None;
                self.clients.connected(now);
            }
            Err(e) if self.comeback.is_trying() && self.up.is_some() => {
                log::info!("daemon: the better server is not well yet: {e}");
                self.comeback.fail(now);
                self.write_record(now);
            }
            Err(e) => {
                if self.up.is_none() {
                    self.say_if_closed();
                }
                self.clients.fail_connects(&mut self.actions, &e);
                // A wish that could not be met is over: the connection there is goes on, with what led to it.
                self.wish = self.up.as_ref().map(|up| up.wish.clone()).or(self.wish.take());
                let stays = self.up.is_some()
                    || (self.is_service && e.exit() == Exit::Interrupted)
                    || self.ending.is_some();
                if !stays {
                    self.last_error = Some(e);
                    self.ending = Some(Ending::TearingDown);
                    self.tear_down();
                } else if self.up.as_ref().is_some_and(|up| up.monitor.is_over()) {
                    // The search for another server, which a person's wish cut short, goes on.
                    self.replace(now, "the server in use was given up before");
                }
            }
        }
    }
}

/// `wgp{cc}` with the country in lower case; without one, `0` stands in its place.
pub fn interface_name(pattern: &str, country: Option<Country>) -> String {
    let cc = country.map_or_else(|| "0".to_owned(), |c| c.as_str().to_ascii_lowercase());
    pattern.replace("{cc}", &cc)
}
