//! The supervisor as one sans-IO machine: events in, actions out, and the moment it wants to be woken.
//!
//! It owns the parts that each keep one promise: `phase` gets from a wish to a tunnel that answers, `lease` holds the
//! port, `publish` tells it, `sync` keeps qBittorrent so, `monitor` says when a server is dead, `clients` answers the
//! commands that wait. [`run`] holds the sockets, the only `poll(2)`, and performs what is asked for here.

pub mod clients;
pub mod clock;
mod comeback;
mod connection;
pub mod control;
mod ending;
mod event;
mod judge;
pub mod lease;
pub mod lend;
pub mod monitor;
pub mod names;
pub mod phase;
mod policy;
mod port;
pub mod publish;
pub mod record;
mod recovery;
pub mod repair;
pub mod run;
pub mod session;
mod snapshot;
pub mod sync;
pub mod wish;

use crate::change::state::KillSwitch;
use crate::config::Config;
use crate::error::Error;
use crate::firewall::Policy;
use crate::select::memory::Memory;
use crate::time::{Instant, UnixTime};
use clients::{ClientId, Clients};
use connection::{Making, Up};
use control::{Ask, Tell};
use ending::Ending;
use lease::Holder;
use phase::{Phase, Purpose, Ready};
use publish::Publisher;
use std::collections::VecDeque;
use sync::Sync;
use wish::Wish;

pub use ending::{STAYS_BOUND, killswitch_words};
pub use event::{Action, Event, LeaseEvent, Look, Signal, Surroundings};

/// The supervisor.
#[derive(Debug)]
pub struct Daemon {
    config: Config,
    /// `--foreground`: keeps trying, and outlives a failed connect.
    is_service: bool,
    surroundings: Surroundings,
    killswitch: bool,
    wish: Option<Wish>,
    phase: Phase,
    /// Of the last question to a worker.
    round: u64,
    /// Questions to providers that are not answered yet.
    errands: u32,
    making: Option<Making>,
    up: Option<Up>,
    holder: Holder,
    /// When the port was granted, as it is shown.
    port_since: Option<UnixTime>,
    publisher: Publisher,
    sync: Sync,
    clients: Clients,
    lent: lend::Lent,
    memory: Memory,
    comeback: comeback::Comeback,
    repair: repair::Repair,
    clock: clock::Clock,
    /// A server is chosen once the clock is right.
    waits_for_clock: bool,
    names: names::Names,
    session: session::Session,
    /// The way out as it was seen last; outer `None`: not looked yet.
    way: Option<Option<repair::Way>>,
    reconnects: u32,
    state: crate::status::State,
    state_since: UnixTime,
    last_error: Option<Error>,
    /// Why the configuration on disk is not the one in force.
    config_trouble: Option<Error>,
    loaded: Option<Policy>,
    policy_trouble: Option<String>,
    /// Why a reboot would find the kill switch as it was before.
    forgotten: Option<Error>,
    /// Whether the rules in force are those of a closed kill switch.
    closed: bool,
    /// Links on which packet sockets are not stopped.
    unguarded: Vec<String>,
    /// When rules that the kernel refused are tried again.
    reload_at: Option<Instant>,
    /// Commands that wait for the rules to be in force.
    switching: Vec<(ClientId, bool)>,
    ending: Option<Ending>,
    /// What the kill switch is to be after disconnecting, if that was said.
    closing: Option<bool>,
    is_ready: bool,
    wall: UnixTime,
    actions: VecDeque<Action>,
}

impl Daemon {
    pub fn new(
        config: Config,
        is_service: bool,
        killswitch: bool,
        surroundings: Surroundings,
        sync: Sync,
    ) -> Daemon {
        Daemon {
            config,
            is_service,
            surroundings,
            killswitch,
            wish: None,
            phase: Phase::default(),
            round: 0,
            errands: 0,
            making: None,
            up: None,
            holder: Holder::Off,
            port_since: None,
            publisher: Publisher::new(None),
            sync,
            clients: Clients::default(),
            lent: lend::Lent::default(),
            memory: Memory::default(),
            comeback: comeback::Comeback::default(),
            repair: repair::Repair::default(),
            clock: clock::Clock::new(None),
            waits_for_clock: false,
            names: names::Names::default(),
            session: session::Session::default(),
            way: None,
            reconnects: 0,
            state: if killswitch {
                crate::status::State::Blocked
            } else {
                crate::status::State::Disconnected
            },
            state_since: UnixTime::default(),
            last_error: None,
            config_trouble: None,
            loaded: None,
            policy_trouble: None,
            forgotten: None,
            closed: killswitch,
            unguarded: Vec::new(),
            reload_at: None,
            switching: Vec::new(),
            ending: None,
            closing: None,
            is_ready: false,
            wall: UnixTime::default(),
            actions: VecDeque::new(),
        }
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The interface in use.
    pub fn interface(&self) -> Option<&str> {
        self.up.as_ref().map(|up| up.interface.as_str())
    }

    /// The connection whose handshake is awaited.
    pub fn making(&self) -> Option<&Ready> {
        self.making.as_ref().map(|m| &m.ready)
    }

    /// What earlier supervisors learned of servers.
    pub fn recall(&mut self, memory: Memory) {
        self.memory = memory;
    }

    /// `wall` is shown, and compared with dates of the provider's: deadlines of pvpn's own are counted from `now`.
    pub fn handle(&mut self, now: Instant, wall: UnixTime, event: Event) {
        self.wall = wall;
        if let Event::Chosen { .. } | Event::Opened { .. } | Event::Kept(..) = event {
            self.errands = self.errands.saturating_sub(1);
        }
        match event {
            Event::Client(id, ask) => self.handle_ask(now, id, ask),
            Event::ClientGone(id) => {
                self.clients.forget(id);
                if self.lent.give_back(id) {
                    self.begin_session(now);
                }
            }
            Event::Signal(Signal::Disconnect) => self.disconnect(now, None),
            Event::Signal(Signal::Leave) => self.leave(),
            Event::Config(config, qbittorrent) => self.handle_config(now, *config, *qbittorrent),
            Event::ConfigFailed(e) => self.config_trouble = Some(e),
            Event::Surroundings(found) => self.handle_surroundings(found),
            Event::Chosen { round, .. } | Event::Opened { round, .. } if round != self.round => {
                log::debug!("daemon: an overtaken answer is ignored");
            }
            Event::Chosen { result, .. } => self.handle_chosen(now, result),
            Event::Opened { result, .. } => self.phase.handle(now, phase::Input::Opened(result)),
            Event::Linked(result) => self.phase.handle(now, phase::Input::Linked(result)),
            Event::Looked(look) => self.handle_look(now, look),
            Event::Echo { seq } => self.monitor(now, monitor::Input::Echo { seq }),
            Event::Committed(result) => self.handle_committed(now, result),
            Event::PolicyLoaded(result) => self.handle_loaded(now, result),
            Event::Remembered(result) => self.handle_remembered(result),
            Event::Lease(event) => self.handle_lease(now, event),
            Event::Published(target, result) => {
                self.publisher.handle(now, publish::Input::Done(target, result));
            }
            Event::QbittorrentReply { id, reply } => self.sync.handle(now, sync::Input::Reply { id, reply }),
            Event::Listening(seen) => self.sync.handle(now, sync::Input::Listening(seen)),
            Event::TornDown(result) => self.torn_down(result),
            Event::Changed(part) => self.repair.handle(now, repair::Input::Changed(part)),
            Event::Inspected(found) => self.handle_inspected(now, *found),
            Event::RunFilesGone => self.write_run_files(now),
            Event::Resumed(slept) => self.handle_resumed(now, slept),
            Event::Clock(input) => self.handle_clock(now, input),
            Event::Kept(provider, result) => {
                self.session.handle(now, wall, session::Input::Done(provider, result));
            }
            Event::Named(answered) => self.names.handle(now, names::Input::Answered(answered)),
            Event::Stirred => self.monitor(now, monitor::Input::Traffic),
            Event::Wake => self.wake(now),
        }
        self.settle(now);
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next moment something is due, and what.
    pub fn poll_timeout(&self) -> Option<(Instant, &'static str)> {
        [
            (self.phase.poll_timeout(), "phase"),
            (self.holder.poll_timeout(), "lease"),
            (self.publisher.poll_timeout(), "publish"),
            (self.sync.poll_timeout(), "qbittorrent"),
            (self.restoring_until(), "restore"),
            (self.reload_at, "policy"),
            (self.up.as_ref().and_then(|up| up.monitor.poll_timeout()), "monitor"),
            (self.clients.poll_timeout(), "client"),
            (self.repair.poll_timeout(), "repair"),
            (self.clock.poll_timeout(), "clock"),
            (self.names.poll_timeout(), "dns"),
            (self.session_timeout(), "session"),
            (self.lent.poll_timeout(), "loan"),
            (self.up.as_ref().and_then(|_| self.comeback.poll_timeout()), "comeback"),
        ]
        .into_iter()
        .filter_map(|(at, why)| Some((at?, why)))
        .min_by_key(|(at, _)| *at)
    }

    fn wake(&mut self, now: Instant) {
        self.reload_when_due(now);
        self.phase.handle(now, phase::Input::Wake);
        self.holder.handle(now, lease::Input::Wake);
        self.publisher.handle(now, publish::Input::Wake);
        self.sync.handle(now, sync::Input::Wake);
        self.monitor(now, monitor::Input::Wake);
        self.repair.handle(now, repair::Input::Wake);
        self.names.handle(now, names::Input::Wake);
        self.lent.wake(now);
        self.wake_session(now);
        self.come_back(now);
    }

    /// Lets what one part decided reach the others, until nothing moves any more.
    fn settle(&mut self, now: Instant) {
        self.keep_time(now);
        // What has to be let out is let out before anybody is told to send it.
        self.refresh_policy();
        while let Some(action) = self.phase.poll_action() {
            self.handle_phase(now, action);
        }
        while let Some(action) = self.holder.poll_action() {
            self.actions.push_back(Action::Lease(action));
        }
        self.publish(now);
        self.judge(now);
        self.recover(now);
        self.ask_names();
        self.keep_session();
        while let Some(action) = self.sync.poll_action() {
            self.actions.push_back(Action::Sync(action));
        }
        self.end_restoring(now);
        self.answer_clients(now);
        self.refresh_policy();
        self.refresh_state();
    }

    fn handle_ask(&mut self, now: Instant, id: ClientId, ask: Ask) {
        match ask {
            Ask::Connect(wish) => self.connect(now, id, *wish),
            Ask::Disconnect { ks } => {
                self.clients.wait_for_end(id);
                self.disconnect(now, ks);
            }
            Ask::Killswitch { on } => self.switch(id, on),
            Ask::Status => {
                // Whoever looks often sees what qBittorrent does at the moment.
                self.sync.handle(now, sync::Input::Refresh);
                let text = self.snapshot(now).emit();
                self.actions.push_back(Action::Tell(id, Tell::Status(text)));
            }
            Ask::Lend(what) => self.lend(now, id, what),
            Ask::Cancel => self.cancel(now, id),
        }
    }

    /// A person's, or the service's own, wish to be connected. `id` waits for how it ends.
    pub fn connect(&mut self, now: Instant, id: ClientId, wish: Wish) {
        if self.ending.is_some() {
            let e = Error::failed("the supervisor is about to end; try again");
            self.actions.push_back(Action::Tell(id, Tell::failed(&e)));
            return;
        }
        if wish.ks && !self.killswitch {
            self.change_killswitch(true);
        }
        let is_up = self.up.is_some();
        self.clients.wait_for_connect(id, now, !is_up);
        let forwarding = self.config.port_forwarding.enable;
        let meets = |up: &Up| up.meets(&wish, forwarding) && up.wish.dns == wish.dns;
        let stays = self.up.as_ref().is_some_and(meets) && !self.phase.is_running();
        if let (Some(up), true) = (&mut self.up, stays) {
            up.wish = wish.clone();
        }
        self.wish = Some(wish);
        self.comeback.interrupt(now);
        if stays {
            self.clients
                .say(&mut self.actions, "already connected to a server that meets the request".to_owned());
            self.clients.connected(now);
            return;
        }
        let purpose = if is_up { Purpose::Switch } else { Purpose::First { forever: self.is_service } };
        self.phase.handle(now, phase::Input::Begin(purpose));
    }

    fn handle_config(&mut self, now: Instant, config: Config, qbittorrent: sync::Settings) {
        let before = std::mem::replace(&mut self.config, config);
        self.config_trouble = None;
        let settings = self.monitor_settings();
        self.monitor(now, monitor::Input::Settings(settings));
        self.sync.handle(now, sync::Input::Settings(qbittorrent));
        self.take_up_forwarding(now, before.port_forwarding);
        self.begin_session(now);
    }

    fn handle_surroundings(&mut self, found: Surroundings) {
        if found != self.surroundings {
            log::debug!("daemon: the machine's links or addresses changed");
            self.surroundings = found;
        }
    }

    fn change_killswitch(&mut self, on: bool) {
        if on != self.killswitch {
            log::info!("killswitch: {}", if on { "closed" } else { "open" });
        }
        self.killswitch = on;
        let closed = on.then(|| KillSwitch { lan: self.lan() });
        self.actions.push_back(Action::Remember(closed));
    }
}

#[cfg(test)]
mod tests;
