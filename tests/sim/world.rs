//! The real machines, joined as the supervisor joins them, in a modelled world with a scripted clock.

use crate::gateway::Gateway;
use crate::random::Random;
use crate::torrent::Torrent;
use pvpn::config::Resume;
use pvpn::daemon::lease::natpmp::{self, NatPmp};
use pvpn::daemon::lease::{self, Holder};
use pvpn::daemon::monitor::{self, Monitor};
use pvpn::daemon::publish::{self, Publisher, Target};
use pvpn::daemon::sync::{self, Desired, Sync};
use pvpn::qbittorrent::Auth;
use pvpn::time::{Duration, Instant, millis, secs};
use pvpn::wire::http::{HttpError, Reply};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Why the process woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    LeaseTimer,
    LeaseAnswer,
    PublishTimer,
    SyncTimer,
    SyncAnswer,
    MonitorTimer,
    MonitorAnswer,
}

enum Packet {
    Request(Vec<u8>),
    Answer(Vec<u8>),
    Echo(u16),
    Reply(u64, Result<Reply, HttpError>),
}

#[derive(Default)]
pub struct Counts {
    pub offered: Duration,
    pub available: Duration,
    pub datagrams: u32,
    pub published: Vec<u16>,
    pub hooks: Vec<u16>,
    pub wakes: BTreeMap<Why, u32>,
}

impl Counts {
    /// Percent of the time the gateway offered a port.
    pub fn availability(&self) -> f64 {
        100.0 * self.available.as_secs_f64() / self.offered.as_secs_f64()
    }
}

pub struct World {
    pub now: Instant,
    random: Random,
    loss_percent: u64,
    /// Of a hundred effects so many fail.
    pub failing_percent: u64,
    pub gateway: Gateway,
    pub torrent: Torrent,
    pub holder: Holder,
    publisher: Publisher,
    sync: Sync,
    monitor: Monitor,
    bytes: (u64, u64),
    air: Vec<(Instant, Packet)>,
    pub file: Option<u16>,
    pub counts: Counts,
}

impl World {
    pub fn new(seed: u64, loss_percent: u64, gateway: Gateway) -> World {
        let now = Instant::BOOT;
        let settings =
            natpmp::Settings { gateway: gateway_address().ip(), own_port: 6881, log_fallback: false };
        let qb = sync::Settings {
            enable: true,
            url: "http://127.0.0.1:8080".to_owned(),
            auth: Auth::None,
            port: 6881,
            resume: Resume::Stalled,
            unbind: false,
        };
        let checks = monitor::Settings { interval: secs(60), failures: 3, latency_threshold: millis(500) };
        let mut world = World {
            now,
            random: Random::new(seed),
            loss_percent,
            failing_percent: 0,
            gateway,
            torrent: Torrent::new(6881),
            holder: Holder::NatPmp(Box::new(NatPmp::new(settings, now, None))),
            publisher: Publisher::new(None),
            sync: Sync::new(qb, sync::Memory { earlier: None, stopped: Vec::new() }, now),
            monitor: Monitor::new(checks, now),
            bytes: (0, 0),
            air: Vec::new(),
            file: None,
            counts: Counts::default(),
        };
        world.sync.handle(now, sync::Input::Desired(Some(desired(None))));
        world.sync.handle(now, sync::Input::Healthy(true));
        world.settle();
        world
    }

    pub fn run_until(&mut self, end: Instant) {
        loop {
            let timers = self.timers();
            let timer = timers.iter().map(|(at, _)| *at).min();
            let air = self.air.iter().map(|(at, _)| *at).min();
            let next = [timer, air, self.gateway.next_change(self.now)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.pass(next.max(self.now));
            if let Some(i) = self.air.iter().position(|(at, _)| *at <= self.now) {
                let (_, packet) = self.air.remove(i);
                self.deliver(packet);
            } else if timer.is_some_and(|at| at <= self.now) {
                self.wake_all(&timers);
            }
            self.settle();
        }
        self.pass(end);
    }

    /// The clock goes on, and what held meanwhile is booked.
    fn pass(&mut self, to: Instant) {
        let time = to.since(self.now);
        if self.gateway.offers(self.now) {
            self.counts.offered += time;
            let number = self.holder.view(self.now).number;
            if number.is_some_and(|n| self.gateway.serves(self.now, n)) {
                self.counts.available += time;
            }
        }
        self.now = to;
        self.gateway.advance(to);
        self.torrent.advance(to);
    }

    fn timers(&self) -> Vec<(Instant, Why)> {
        [
            (self.holder.poll_timeout(), Why::LeaseTimer),
            (self.publisher.poll_timeout(), Why::PublishTimer),
            (self.sync.poll_timeout(), Why::SyncTimer),
            (self.monitor.poll_timeout(), Why::MonitorTimer),
        ]
        .into_iter()
        .filter_map(|(at, why)| Some((at?, why)))
        .collect()
    }

    fn wake_all(&mut self, timers: &[(Instant, Why)]) {
        if let Some((_, why)) = timers.iter().filter(|(at, _)| *at <= self.now).min_by_key(|(_, why)| *why) {
            *self.counts.wakes.entry(*why).or_default() += 1;
        }
        let now = self.now;
        self.holder.handle(now, lease::Input::Wake);
        self.publisher.handle(now, publish::Input::Wake);
        self.welcome();
    }

    /// Whoever can use a wake-up of another gets it.
    fn welcome(&mut self) {
        self.sync.handle(self.now, sync::Input::Wake);
        self.monitor.handle(self.now, monitor::Input::Wake);
    }

    fn deliver(&mut self, packet: Packet) {
        let now = self.now;
        let why = match packet {
            Packet::Request(bytes) => {
                if let Some(answer) = self.gateway.answer(now, &bytes) {
                    self.send(Packet::Answer(answer));
                }
                return;
            }
            Packet::Answer(bytes) => {
                let from = gateway_address();
                self.holder.handle(now, lease::Input::Datagram { from, bytes: &bytes });
                self.bytes.0 += 96;
                Why::LeaseAnswer
            }
            Packet::Echo(seq) => {
                self.monitor.handle(now, monitor::Input::Echo { seq });
                self.bytes.0 += 96;
                Why::MonitorAnswer
            }
            Packet::Reply(id, reply) => {
                self.sync.handle(now, sync::Input::Reply { id, reply });
                Why::SyncAnswer
            }
        };
        *self.counts.wakes.entry(why).or_default() += 1;
        self.welcome();
    }

    fn send(&mut self, packet: Packet) {
        if !self.random.percent(self.loss_percent) {
            let delay = self.random.between(millis(5), millis(120));
            self.air.push((self.now + delay, packet));
        }
    }

    /// Performs everything that is asked for.
    fn settle(&mut self) {
        let mut quiet = 0;
        while quiet < 2 {
            quiet += 1;
            while let Some(action) = self.holder.poll_action() {
                quiet = 0;
                self.perform_lease(action);
            }
            let number = self.holder.view(self.now).number;
            self.publisher.handle(self.now, publish::Input::Number(number));
            while let Some(action) = self.publisher.poll_action() {
                quiet = 0;
                self.perform_publish(action);
            }
            while let Some(action) = self.sync.poll_action() {
                quiet = 0;
                self.perform_sync(action);
            }
            while let Some(action) = self.monitor.poll_action() {
                quiet = 0;
                self.perform_monitor(action);
            }
        }
    }

    fn perform_lease(&mut self, action: lease::Action) {
        match action {
            lease::Action::SendDatagram(bytes) => {
                self.counts.datagrams += 1;
                self.bytes.1 += 96;
                self.send(Packet::Request(bytes));
            }
            other => panic!("a NAT-PMP lease without a log file asked for {other:?}"),
        }
    }

    fn perform_publish(&mut self, action: publish::Action) {
        let fails = self.random.percent(self.failing_percent);
        let target = match action {
            publish::Action::WritePortFile(_) | publish::Action::RemovePortFile => Target::File,
            publish::Action::WriteSecondFile(_) | publish::Action::RemoveSecondFile => Target::SecondFile,
            publish::Action::OpenFirewall(_) => Target::Firewall,
            publish::Action::RunHook(_) => Target::Hook,
            publish::Action::TellQbittorrent(_) => Target::Qbittorrent,
        };
        if !fails {
            match action {
                publish::Action::WritePortFile(n) => {
                    self.file = Some(n);
                    self.counts.published.push(n);
                }
                publish::Action::RemovePortFile => self.file = None,
                publish::Action::RunHook(n) => self.counts.hooks.push(n),
                publish::Action::TellQbittorrent(n) => {
                    self.sync.handle(self.now, sync::Input::Desired(Some(desired(n))));
                }
                _ => {}
            }
        }
        let result = if fails { Err("no space left on device".to_owned()) } else { Ok(()) };
        self.publisher.handle(self.now, publish::Input::Done(target, result));
    }

    fn perform_sync(&mut self, action: sync::Action) {
        match action {
            sync::Action::Send { id, request } => {
                let reply = self.torrent.answer(self.now, &request);
                self.air.push((self.now + millis(3), Packet::Reply(id, reply)));
            }
            sync::Action::CheckListening { address, port } => {
                let seen = self.torrent.listens(self.now, &address.to_string(), port);
                self.sync.handle(self.now, sync::Input::Listening(Some(seen)));
            }
            sync::Action::Store(_) => {}
        }
    }

    fn perform_monitor(&mut self, action: monitor::Action) {
        match action {
            monitor::Action::SendEcho { seq } => {
                self.bytes.1 += 96;
                self.air.push((self.now + millis(20), Packet::Echo(seq)));
            }
            monitor::Action::TakeSample => {
                let age = Duration::from_secs(self.now.since_boot().as_secs() % 120);
                let sample = monitor::Sample {
                    rx_bytes: self.bytes.0,
                    tx_bytes: self.bytes.1,
                    handshake_age: Some(age),
                };
                self.monitor.handle(self.now, monitor::Input::Sample(Some(sample)));
            }
            other => panic!("nothing is wrong with the server, yet {other:?}"),
        }
    }
}

pub fn gateway_address() -> SocketAddr {
    SocketAddr::from(([10, 2, 0, 1], 5351))
}

fn desired(port: Option<u16>) -> Desired {
    Desired { port, interface: "wgpnl".to_owned(), address: [10, 2, 0, 2].into() }
}
