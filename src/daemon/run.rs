//! The supervisor as a process: the only `poll(2)`, and the performance of what the [`Daemon`] asks for.
//!
//! One turn: everything that is readable becomes an event, then actions are performed until none is left, an answer
//! being the next event; then wait. Whatever blocks runs on the two lanes of `sys::worker`.

mod ask;
mod farewell;
mod idle;
mod jobs;
mod kernel;
mod memory;
mod port;
mod resolver;
mod start;
mod watch;

use super::control::{Ask, Tell};
use super::{Action, Daemon, Event, Signal, clients};
use crate::change::{Changes, state};
use crate::config::Config;
use crate::error::Exit;
use crate::sys::child::Children;
use crate::sys::clock::Steps;
use crate::sys::control::{Heard, Server};
use crate::sys::files::{Durable, Lock};
use crate::sys::net::Monitor;
use crate::sys::notify::Notify;
use crate::sys::poll::{Interest, Poll};
use crate::sys::signal::{self, Signals};
use crate::sys::worker::{Lane, Workers};
use crate::sys::{self, Machine, System};
use crate::time::Instant;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

pub use jobs::with_provider;
pub use kernel::surroundings;
pub use port::{PORT_FILE, QBITTORRENT, places as port_places};
pub use resolver::owner as resolver_owner;
pub use start::{PID, Start, is_alive, load_config, pid, qbittorrent_settings, run};

/// One object on one line, for everybody (0644).
pub const STATUS: &str = "/run/pvpn/status.json";
pub const CONTROL: &str = "/run/pvpn/control.sock";
/// What the next supervisor adopts (0600).
pub const RECORD: &str = "/run/pvpn/tunnel.json";

/// What became readable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Signal,
    Worker,
    Listener,
    Client(clients::ClientId),
    Route,
    Netfilter,
    Files,
    ClockStep,
    Name,
    Sent,
    NatPmp,
    Echo,
}

/// The supervisor with everything it holds open.
pub struct Supervisor {
    sys: System,
    daemon: Daemon,
    changes: Changes,
    server: Server,
    workers: Workers<Event>,
    signals: Signals,
    monitor: Option<Monitor>,
    sockets: port::Sockets,
    children: Children,
    notify: Notify,
    poll: Poll,
    /// The device as it was before its peer was changed in place.
    previous: Option<crate::tunnel::device::Device>,
    watcher: watch::Watcher,
    steps: Option<Steps>,
    /// The question to the tunnel's resolver that is not answered yet.
    asking: Option<ask::Question>,
    /// Open while the tunnel is idle.
    listening: Option<idle::Listening>,
    watchdog_at: Option<Instant>,
    /// Whether writing `status.json` failed, so that it is said once.
    is_snapshot_lost: bool,
    snapshot: String,
    end: Option<Exit>,
    _lock: Lock,
}

impl Supervisor {
    fn now(&self) -> Instant {
        self.sys.clock().now()
    }

    fn handle(&mut self, event: Event) {
        let (now, wall) = (self.now(), self.sys.clock().wall());
        self.daemon.handle(now, wall, event);
    }

    /// Performs until nothing is left, then waits; until the supervisor is to end.
    fn turn_until_end(&mut self) -> Exit {
        self.tell_watchdog(self.now());
        loop {
            while let Some(action) = self.daemon.poll_action() {
                log::trace!("run: {action:?}");
                if let Some(event) = self.perform(action) {
                    self.handle(event);
                }
                self.part_with_clients();
                if let Some(exit) = self.end {
                    return exit;
                }
            }
            self.write_snapshot();
            self.listen_for_traffic();
            let deadline = self.daemon.poll_timeout();
            if let Err(e) = self.wait(deadline) {
                log::error!("run: poll: {e}");
                return Exit::Failed;
            }
        }
    }

    fn wait(&mut self, deadline: Option<(Instant, &'static str)>) -> std::io::Result<()> {
        let mut fds: Vec<(Source, BorrowedFd<'_>, Interest)> = vec![
            (Source::Signal, self.signals.as_fd(), Interest::Read),
            (Source::Worker, self.workers.as_fd(), Interest::Read),
        ];
        fds.extend(self.server.listener().map(|fd| (Source::Listener, fd, Interest::Read)));
        fds.extend(self.server.clients().map(|(id, fd, has_output)| {
            (Source::Client(id), fd, if has_output { Interest::Both } else { Interest::Read })
        }));
        if let Some(monitor) = &self.monitor {
            let [route, netfilter] = monitor.fds();
            fds.push((Source::Route, route, Interest::Read));
            fds.push((Source::Netfilter, netfilter, Interest::Read));
        }
        fds.extend(self.watcher.files().map(|fd| (Source::Files, fd, Interest::Read)));
        fds.extend(self.steps.iter().map(|s| (Source::ClockStep, s.as_fd(), Interest::Read)));
        fds.extend(self.asking.iter().map(|q| (Source::Name, q.as_fd(), Interest::Read)));
        fds.extend(self.listening.iter().filter_map(|l| Some((Source::Sent, l.fd()?, Interest::Read))));
        fds.extend(self.sockets.natpmp().map(|fd| (Source::NatPmp, fd, Interest::Read)));
        fds.extend(self.sockets.echo().map(|fd| (Source::Echo, fd, Interest::Read)));
        let child_at = self.children.poll_timeout();
        let until = [deadline.map(|(at, _)| at), child_at, self.watchdog_at].into_iter().flatten().min();
        let ready = self.poll.wait(&fds, until)?;
        if let (true, Some((_, why))) = (ready.is_empty(), deadline) {
            log::debug!("run: woken for {why}");
        }
        for (source, _) in ready {
            self.read(source);
        }
        let now = self.now();
        self.children.handle_timeout(now);
        self.tell_watchdog(now);
        self.look_for_sleep();
        self.part_with_clients();
        self.handle(Event::Wake);
        Ok(())
    }

    /// Whoever is gone or was dropped waits for nothing and has nothing lent any more.
    fn part_with_clients(&mut self) {
        for id in self.server.take_gone() {
            self.handle(Event::ClientGone(id));
        }
    }

    fn read(&mut self, source: Source) {
        match source {
            Source::Signal => self.read_signals(),
            Source::Worker => {
                for event in self.workers.poll_answers() {
                    let had_list = matches!(event, Event::Chosen { .. } | Event::Kept(..));
                    self.handle(event);
                    if had_list {
                        sys::memory::give_back();
                    }
                }
            }
            Source::Listener => self.server.accept(),
            Source::Client(id) => self.read_client(id),
            Source::Route | Source::Netfilter => self.read_changes(),
            Source::Files => self.read_files(),
            Source::ClockStep => self.read_clock_step(),
            Source::Name => self.read_name(),
            Source::Sent => self.read_sent(),
            Source::NatPmp => {
                for event in self.sockets.read_natpmp() {
                    self.handle(Event::Lease(event));
                }
            }
            Source::Echo => {
                for seq in self.sockets.read_echo() {
                    self.handle(Event::Echo { seq });
                }
            }
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read() {
            match signal {
                signal::Signal::Terminate | signal::Signal::Interrupt => {
                    self.notify.stopping();
                    self.handle(Event::Signal(Signal::Disconnect));
                }
                signal::Signal::HandOver => self.handle(Event::Signal(Signal::Leave)),
                signal::Signal::Reload => self.reload(),
                signal::Signal::Child => {
                    for ended in self.children.reap().iter().filter(|e| !e.status.success()) {
                        log::warn!("hook: {ended}");
                    }
                }
            }
        }
    }

    /// Reads `config.ini` again; one that cannot be read changes nothing and is said.
    fn reload(&mut self) {
        let old: &Config = self.daemon.config();
        match start::load_config(self.sys.files(), &old.dir) {
            Ok(config) => {
                log::info!("config: read again");
                let qbittorrent = start::qbittorrent_settings(self.sys.files(), &config);
                self.handle(Event::Config(Box::new(config), Box::new(qbittorrent)));
            }
            Err(e) => {
                log::error!("config: {e}");
                self.handle(Event::ConfigFailed(e));
            }
        }
    }

    fn read_client(&mut self, id: clients::ClientId) {
        match self.server.read(id) {
            Heard::Gone => self.server.drop_client(id),
            Heard::Lines(lines) => {
                for line in lines {
                    self.hear(id, &line);
                }
                self.server.flush(id);
            }
        }
    }

    fn hear(&mut self, id: clients::ClientId, line: &str) {
        match Ask::parse(line) {
            Some(ask) => {
                log::debug!("control: {}", line.split(' ').next().unwrap_or_default());
                if matches!(ask, Ask::Connect(_)) {
                    self.reload();
                }
                if matches!(ask, Ask::Status) {
                    self.look_for_status();
                }
                self.handle(Event::Client(id, ask));
            }
            None => {
                let tell = Tell::Done(Exit::Usage, "the supervisor does not know this request".to_owned());
                self.server.send(id, &tell.emit(), true);
            }
        }
    }

    /// Fresh counters for whoever asks how it is.
    fn look_for_status(&mut self) {
        if self.daemon.making().is_some() {
            return;
        }
        if let Some(interface) = self.daemon.interface().map(str::to_owned) {
            let look = self.look(&interface);
            self.handle(Event::Looked(look));
        }
    }

    fn tell(&mut self, id: clients::ClientId, tell: &Tell) {
        if id == clients::SERVICE {
            match tell {
                Tell::Done(Exit::Done, text) => log::info!("daemon: {text}"),
                Tell::Done(exit, text) => log::warn!("daemon: {text} (exit {})", exit.code()),
                Tell::Say(_) | Tell::Status(_) => {}
            }
            return;
        }
        let ends = !matches!(tell, Tell::Say(_));
        self.server.send(id, &tell.emit(), ends);
    }

    fn perform(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Tell(id, tell) => self.tell(id, &tell),
            Action::Choose { round, hurry, wish, memory, current, returns } => {
                let how = jobs::How { config: self.daemon.config().clone(), hurry };
                let current = current.map(|c| *c);
                let question = jobs::Question { wish: *wish, memory: *memory, current, returns };
                self.workers.start(Lane::Outside, jobs::choose(round, how, question));
            }
            Action::KeepMemory(memory) => memory::store(self.sys.files(), &memory),
            Action::Open { round, hurry, server } => {
                let how = jobs::How { config: self.daemon.config().clone(), hurry };
                let job = jobs::open(round, how, *server);
                self.workers.start(Lane::Outside, job);
            }
            Action::Load(policy) => return Some(Event::PolicyLoaded(self.load_policy(&policy))),
            Action::Remember(closed) => {
                let stored = state::store_killswitch(self.sys.files(), closed.as_ref());
                return Some(Event::Remembered(stored));
            }
            Action::Link { interface, ready, in_place } => {
                return Some(Event::Linked(self.make_link(&interface, &ready, in_place)));
            }
            Action::Look(interface) => return Some(Event::Looked(self.look(&interface))),
            Action::Ping { seq } => self.quietly(|s| s.sockets.ping(seq)),
            Action::Restart(interface) => self.restart_peer(&interface),
            Action::Commit { interface, ready, old, dns } => {
                return Some(Event::Committed(self.commit(&interface, &ready, old.as_deref(), dns)));
            }
            Action::Drop { interface, in_place } => self.drop_link(&interface, in_place),
            Action::ForgetFlows => self.forget_flows(),
            Action::OpenSockets { interface, source, gateway } => {
                self.sockets.open(&interface, source, gateway);
            }
            Action::CloseSockets => self.sockets.close(),
            Action::Keep { provider, work } => {
                let job = jobs::keep(provider, self.daemon.config().clone(), work);
                self.workers.start(Lane::Outside, job);
            }
            Action::Lease(action) => return self.quietly(|s| s.perform_lease(action)),
            Action::Publish(action) => return self.perform_publish(action),
            Action::Withdraw(path) => self.withdraw(&path),
            Action::Sync(action) => return self.perform_sync(action),
            Action::Record(record) => self.write_record(record.as_deref()),
            Action::Snapshot => self.write_snapshot(),
            Action::StateHook(word) => self.run_state_hook(word),
            Action::Ready => self.notify.ready(),
            Action::Inspect(parts) => return Some(self.inspect(parts)),
            Action::AskTime { nth } => self.workers.start(Lane::Outside, ask::time(nth)),
            Action::SetClock(time) => return self.set_clock(time),
            Action::StoreClock(time) => self.store_clock(time),
            Action::AskName { interface, server, source } => {
                return self.quietly(|s| s.ask_name(&interface, server, source));
            }
            Action::TearDown => return Some(Event::TornDown(self.tear_down())),
            Action::Exit(exit) => {
                self.write_snapshot();
                self.await_errands();
                self.end = Some(exit);
            }
        }
        None
    }

    fn write_record(&mut self, record: Option<&super::record::Record>) {
        let files = self.sys.files();
        let done = match record {
            Some(r) => files.replace(Path::new(RECORD), r.emit().as_bytes(), 0o600, Durable::No),
            None => files.remove(Path::new(RECORD)),
        };
        if let Err(e) = done {
            log::error!("run: write {RECORD}: {e}");
        }
    }

    /// Writes `status.json` when it says something else than the file.
    fn write_snapshot(&mut self) {
        let text = self.daemon.snapshot(self.now()).emit();
        if text == self.snapshot {
            return;
        }
        match self.sys.files().replace(Path::new(STATUS), text.as_bytes(), 0o644, Durable::No) {
            Ok(()) => (self.snapshot, self.is_snapshot_lost) = (text, false),
            Err(e) if !self.is_snapshot_lost => {
                log::error!("run: write {STATUS}: {e}");
                self.is_snapshot_lost = true;
            }
            Err(_) => {}
        }
    }

    /// The loop turns: the service manager hears of it in time, and with no wake-up of its own where there are others.
    fn tell_watchdog(&mut self, now: Instant) {
        let Some(interval) = self.notify.watchdog_interval() else { return };
        if self.watchdog_at.is_none_or(|at| now + interval / 2 >= at) {
            self.notify.watchdog();
            self.watchdog_at = Some(now + interval);
        }
    }
}
