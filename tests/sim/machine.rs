//! A machine around the real [`Daemon`]: it performs what is asked for, well or badly, now or later, and holds every
//! turn to what was promised.

#[path = "perform.rs"]
mod perform;
#[path = "servers.rs"]
mod servers;

use crate::gateway::Gateway;
use crate::random::Random;
use crate::torrent::Torrent;
use pvpn::config::{Config, load};
use pvpn::daemon::clients::{ClientId, SERVICE};
use pvpn::daemon::control::Ask;
use pvpn::daemon::phase::Choice;
use pvpn::daemon::record::Record;
use pvpn::daemon::repair::Part;
use pvpn::daemon::sync::{self, Sync};
use pvpn::daemon::{Daemon, Event, LeaseEvent, Signal, Surroundings};
use pvpn::error::Error;
use pvpn::time::{Duration, Instant, UnixTime, millis, secs};
use servers::{ready, wish};
use std::collections::BTreeMap;
use std::path::Path;

/// The one who asks last in a story.
pub const PERSON: ClientId = 1_000_000;
/// Wall clock at boot.
const WALL: u64 = 1_780_000_000;
/// `connect` answers by then, `disconnect` by then (contract).
const CONNECT: Duration = secs(60);
const DISCONNECT: Duration = secs(10);
/// The longest sleep of a supervisor that holds a port.
const SLEEP_MOST: Duration = secs(60);
/// Servers by country, and the last byte of their address.
const SERVERS: [(&str, u8); 4] = [("NL", 11), ("NL", 13), ("CH", 12), ("DE", 14)];

struct Waiting {
    asked_at: Instant,
    limit: Duration,
}

pub struct Machine {
    seed: u64,
    random: Random,
    now: Instant,
    daemon: Option<Daemon>,
    /// Answers on their way.
    air: Vec<(Instant, Event)>,
    alive: [bool; SERVERS.len()],
    /// Percent of what is asked for that fails.
    failing: u64,
    gateway: Gateway,
    torrent: Torrent,
    /// Whether the machine is to be closed, as written down, and whether somebody said that it may be opened.
    closed: bool,
    may_open: bool,
    record: Option<Box<Record>>,
    /// Interface and server of the tunnel that was linked, and of the one in use.
    linked: Option<(String, u8)>,
    used: Option<(String, u8)>,
    file: Option<u16>,
    waiting: BTreeMap<ClientId, Waiting>,
    next_client: ClientId,
    ending: bool,
    wanted: bool,
    bytes: (u64, u64),
    trace: Vec<String>,
}

impl Machine {
    pub fn new(seed: u64) -> Machine {
        let mut random = Random::new(seed);
        let now = Instant::BOOT + random.between(secs(10), secs(1000));
        let mut machine = Machine {
            seed,
            random,
            now,
            daemon: None,
            air: Vec::new(),
            alive: [true; SERVERS.len()],
            failing: 10,
            gateway: Gateway::new(40123),
            torrent: Torrent::new(6881),
            closed: false,
            may_open: false,
            record: None,
            linked: None,
            used: None,
            file: None,
            waiting: BTreeMap::new(),
            next_client: 1,
            ending: false,
            wanted: false,
            bytes: (0, 0),
            trace: Vec::new(),
        };
        machine.begin();
        machine
    }

    fn config() -> Config {
        let home = Path::new("/root");
        let text = "[qbittorrent]\nurl = http://127.0.0.1:8080\n[network]\nlan = 192.168.1.0/24\n";
        load::parse(text, home, home).expect("a valid configuration")
    }

    /// A supervisor begins; one that finds a record adopts.
    fn begin(&mut self) {
        let config = Machine::config();
        let settings = sync::Settings::new(&config.qbittorrent, None);
        let sync = Sync::new(settings, sync::Memory::default(), self.now);
        let is_service = self.random.percent(50);
        let mut daemon = Daemon::new(config, is_service, self.closed, Surroundings::default(), sync);
        self.ending = false;
        let adopts = self.used.is_some();
        if let (Some(record), Some((_, last))) = (self.record.clone(), self.used.clone()) {
            let ready = ready(last);
            daemon.adopt(self.now, self.wall(), *record, ready);
        }
        self.daemon = Some(daemon);
        self.note("begins");
        self.handle(Event::Wake);
        if is_service && !adopts {
            self.connect(SERVICE);
        }
    }

    fn wall(&self) -> UnixTime {
        UnixTime(WALL + self.now.since_boot().as_secs())
    }

    fn note(&mut self, words: &str) {
        if self.trace.len() > 60 {
            self.trace.remove(0);
        }
        self.trace.push(format!("{:?} {words}", self.now));
    }

    fn check(&self, holds: bool, words: &str) {
        assert!(holds, "seed {}, {:?}: {words}\n{}", self.seed, self.now, self.trace.join("\n"));
    }

    /// Something happens: mostly time passes.
    pub fn step(&mut self) {
        if self.daemon.is_none() {
            let pause = self.random.between(millis(100), secs(5));
            self.now = self.now + pause;
            return self.begin();
        }
        match self.random.below(100) {
            0..=49 => self.next_event(),
            50..=64 => {
                let time = self.random.between(millis(10), secs(20));
                self.pass(time);
            }
            65..=70 => self.person_asks(),
            71..=74 => self.handle(Event::Stirred),
            75..=79 => {
                let server = self.random.below(SERVERS.len() as u64) as usize;
                self.alive[server] = self.random.percent(50);
                let words = format!("server {} lives: {}", SERVERS[server].1, self.alive[server]);
                self.note(&words);
            }
            80..=82 => self.failing = self.random.below(60),
            83..=87 => {
                let part = [Part::Network, Part::Ruleset, Part::Resolver][self.random.below(3) as usize];
                self.handle(Event::Changed(part));
            }
            88..=90 => {
                let slept = self.random.between(secs(2), secs(50_000));
                self.now = self.now + slept;
                // Whoever waits sleeps as well.
                self.waiting.values_mut().for_each(|w| w.asked_at = w.asked_at + slept);
                self.note(&format!("slept {slept:?}"));
                self.handle(Event::Resumed(slept));
            }
            91..=92 => self.handle(Event::RunFilesGone),
            93..=95 => self.strange_event(),
            _ => {
                let down = self.random.between(secs(1), secs(100));
                self.torrent.down.push((self.now, self.now + down));
            }
        }
    }

    /// Answers that nobody waits for.
    fn strange_event(&mut self) {
        let event = match self.random.below(7) {
            0 => Event::Chosen { round: 0, result: Ok(Choice::default()) },
            1 => Event::Echo { seq: self.random.below(5) as u16 },
            2 => Event::Named(false),
            3 => Event::Looked(None),
            4 => Event::Lease(LeaseEvent::SocketFailed("refused".to_owned())),
            5 => Event::ClientGone(self.random.below(30)),
            _ => {
                let config = Machine::config();
                let settings = sync::Settings::new(&config.qbittorrent, None);
                Event::Config(Box::new(config), Box::new(settings))
            }
        };
        if let Event::ClientGone(id) = &event {
            self.waiting.remove(id);
        }
        self.handle(event);
    }

    fn person_asks(&mut self) {
        let id = self.next_client;
        self.next_client += 1;
        match self.random.below(12) {
            0..=5 => self.connect(id),
            6 => {
                let ks = [None, Some(true), Some(false)][self.random.below(3) as usize];
                self.disconnect(id, ks);
            }
            7 | 8 => {
                let on = self.random.percent(70);
                self.say_killswitch(on);
                self.wait(id, secs(5));
                self.handle(Event::Client(id, Ask::Killswitch { on }));
            }
            9 => {
                let id = self.waiting.keys().next().copied().unwrap_or(id);
                self.handle(Event::Client(id, Ask::Cancel));
            }
            10 => {
                self.note("SIGUSR1");
                self.handle(Event::Signal(Signal::Leave));
            }
            _ => self.handle(Event::Client(id, Ask::Status)),
        }
    }

    fn say_killswitch(&mut self, on: bool) {
        self.note(&format!("kill switch {on}"));
        self.may_open |= !on;
    }

    fn wait(&mut self, id: ClientId, limit: Duration) {
        self.waiting.insert(id, Waiting { asked_at: self.now, limit });
    }

    fn connect(&mut self, id: ClientId) {
        let (cc, _) = SERVERS[self.random.below(SERVERS.len() as u64) as usize];
        let ks = self.random.percent(40);
        self.note(&format!("client {id}: connect {cc}, kill switch {ks}"));
        self.wanted = true;
        if id != SERVICE {
            self.wait(id, CONNECT);
        }
        self.handle(Event::Client(id, Ask::Connect(Box::new(wish(cc, ks)))));
    }

    pub fn ask_to_connect(&mut self, id: ClientId) {
        if self.daemon.is_none() {
            self.begin();
        }
        self.connect(id);
    }

    fn disconnect(&mut self, id: ClientId, ks: Option<bool>) {
        self.note(&format!("client {id}: disconnect, kill switch {ks:?}"));
        if let Some(on) = ks {
            self.say_killswitch(on);
        }
        (self.ending, self.wanted) = (true, false);
        self.wait(id, DISCONNECT);
        self.handle(Event::Client(id, Ask::Disconnect { ks }));
    }

    /// Time passes, with everything that becomes due meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.next_at().is_some_and(|at| at <= end) {
            self.next_event();
        }
        self.now = end.max(self.now);
        self.check_waits();
    }

    fn next_at(&self) -> Option<Instant> {
        let timer = self.daemon.as_ref()?.poll_timeout().map(|(at, _)| at);
        timer.into_iter().chain(self.air.iter().map(|(at, _)| *at)).min()
    }

    fn next_event(&mut self) {
        let Some(at) = self.next_at() else {
            self.check(!self.is_owing(), "waits for ever");
            return;
        };
        self.now = at.max(self.now);
        self.gateway.advance(self.now);
        self.torrent.advance(self.now);
        if let Some(i) = self.air.iter().position(|(at, _)| *at <= self.now) {
            let (_, event) = self.air.remove(i);
            return self.handle(event);
        }
        let before = self.timeout();
        let actions = self.handle_counted(Event::Wake);
        let after = self.timeout();
        let moved = actions > 0 || after.is_none_or(|(at, _)| at > self.now);
        self.check(moved, &format!("woken for nothing: {before:?}, then {after:?}"));
        self.check_waits();
    }

    fn timeout(&self) -> Option<(Instant, &'static str)> {
        self.daemon.as_ref().and_then(Daemon::poll_timeout)
    }

    /// Whether something is owed that needs a wake-up: a tunnel or a wish for one, or somebody waits.
    fn is_owing(&self) -> bool {
        self.daemon.is_some() && (self.used.is_some() || self.wanted || !self.waiting.is_empty())
    }

    pub fn check_waits(&self) {
        for (id, waiting) in &self.waiting {
            let waited = self.now.since(waiting.asked_at);
            self.check(waited <= waiting.limit + secs(1), &format!("client {id} waits for {waited:?}"));
        }
        if let (Some((at, why)), Some(_)) = (self.timeout(), &self.used) {
            self.check(at.since(self.now) <= SLEEP_MOST, &format!("sleeps until {at:?} for {why}"));
        }
    }

    fn handle(&mut self, event: Event) {
        self.handle_counted(event);
    }

    /// Lets the daemon have it and performs what follows; how much that was.
    fn handle_counted(&mut self, event: Event) -> usize {
        let (mut events, mut actions) = (vec![event], 0);
        while let Some(event) = events.pop() {
            let (now, wall) = (self.now, self.wall());
            let Some(daemon) = &mut self.daemon else { break };
            daemon.handle(now, wall, event);
            while let Some(action) = self.daemon.as_mut().and_then(Daemon::poll_action) {
                actions += 1;
                self.check(actions < 500, "spins");
                if let Some(answer) = self.perform(action) {
                    let Some(daemon) = &mut self.daemon else { break };
                    daemon.handle(now, wall, answer);
                }
            }
            let Some(daemon) = &self.daemon else { break };
            // What `status` says can be said at any moment.
            let _ = daemon.snapshot(now);
        }
        actions
    }

    fn fails(&mut self) -> bool {
        self.random.percent(self.failing)
    }

    fn done(&mut self) -> Result<(), Error> {
        if self.random.percent(self.failing / 5) { Err(Error::failed("made up")) } else { Ok(()) }
    }

    fn later(&mut self, most: Duration, event: Event) {
        let delay = self.random.between(millis(1), most);
        self.air.push((self.now + delay, event));
    }

    /// Nothing fails any more, but that one of two servers of the same country may stay dead.
    pub fn heal(&mut self) {
        self.note("the world is well");
        (self.alive, self.failing) = ([true; SERVERS.len()], 0);
        self.alive[0] = self.random.percent(50);
        self.torrent.down.clear();
    }

    /// A supervisor runs that is to be connected.
    pub fn is_wanted(&self) -> bool {
        self.daemon.is_some() && self.wanted
    }

    /// Everything that a person wants of a connected machine.
    pub fn check_well(&self) {
        let status = self.daemon.as_ref().map(|d| d.snapshot(self.now).emit()).unwrap_or_default();
        for part in [
            "\"state\":\"connected\"",
            "\"state\":\"held\",\"number\":40123",
            "\"state\":\"synced\"",
            "\"listen_port\":40123",
        ] {
            self.check(status.contains(part), &format!("no {part} in {status}"));
        }
        self.check(self.is_served(), "on a dead server");
        self.check(self.file == Some(40123), &format!("the port file says {:?}", self.file));
    }
}
