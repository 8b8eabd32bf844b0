//! How a supervisor begins: signals, lock, what an earlier one left, the control socket, the first wish.

use super::super::Daemon;
use super::super::clients::SERVICE;
use super::super::phase::Ready;
use super::super::record::Record;
use super::super::sync::{self, Sync};
use super::super::wish::Wish;
use super::{CONTROL, RECORD, Supervisor, kernel, memory, port, watch};
use crate::change::{FIREWALL, recover, state};
use crate::config::secret::PublicKey;
use crate::config::{Config, load};
use crate::error::{Doing, Exit, Result};
use crate::provider::Connection;
use crate::sys::child::Children;
use crate::sys::clock::Steps;
use crate::sys::control::Server;
use crate::sys::files::{Durable, Files, Lock};
use crate::sys::net::Monitor;
use crate::sys::notify::Notify;
use crate::sys::poll::Poll;
use crate::sys::signal::Signals;
use crate::sys::worker::Workers;
use crate::sys::{Machine, System, user};
use crate::tunnel::{Mtu, Peer, Tunnel};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Process id and start time of the supervisor, for `status` without root.
pub const PID: &str = "/run/pvpn/supervisor.pid";
/// A configuration longer than this is a mistake; chosen.
const CONFIG_MOST: usize = 1 << 20;

/// What a supervisor begins with.
pub struct Start {
    pub config: Config,
    pub wish: Option<Wish>,
    /// `--foreground`.
    pub is_service: bool,
    /// The command that started it and waits for the outcome of `wish`.
    pub client: Option<UnixStream>,
    pub lock: Lock,
    /// Blocked before the first thread, so that none is lost.
    pub signals: Signals,
}

pub fn load_config(files: &dyn Files, dir: &Path) -> Result<Config> {
    let home = user::home().unwrap_or_default();
    load::load(dir, &home, &|path| files.read(path, CONFIG_MOST))
}

/// `[qbittorrent]` with the password, wherever it lies. One that cannot be read is none, and is said.
pub fn qbittorrent_settings(files: &dyn Files, config: &Config) -> sync::Settings {
    let q = &config.qbittorrent;
    let pass = load::password(q.pass.as_ref(), q.pass_file.as_deref(), &|path| files.read(path, CONFIG_MOST));
    let pass = pass.unwrap_or_else(|e| {
        log::error!("qbittorrent: {e}");
        None
    });
    sync::Settings::new(q, pass)
}

/// Runs until it is told to end; the exit code of the process.
pub fn run(start: Start) -> Result<Exit> {
    let sys = System::new();
    let changes = recover::files(&sys)?;
    let killswitch = state::load_killswitch(sys.files())?.is_some();
    let around = kernel::surroundings(&sys, &changes).unwrap_or_default();
    let mut server = Server::listen(Path::new(CONTROL)).unwrap_or_else(|e| {
        log::error!("control: listen at {CONTROL}: {e}");
        Server::without_listener()
    });
    let client = start.client.and_then(|stream| server.add(stream).ok());
    let monitor = Monitor::open().inspect_err(|e| log::error!("run: watch the network: {e}")).ok();
    write_pid(sys.files());
    let qbittorrent = qbittorrent_settings(sys.files(), &start.config);
    let memory = sys.files().read(Path::new(port::QBITTORRENT), CONFIG_MOST).ok();
    let memory = memory.and_then(|b| sync::Memory::parse(&String::from_utf8_lossy(&b))).unwrap_or_default();
    let sync = Sync::new(qbittorrent, memory, sys.clock().now());
    let mut supervisor = Supervisor {
        daemon: Daemon::new(start.config, start.is_service, killswitch, around, sync),
        sys,
        changes,
        server,
        workers: Workers::new().doing(|| "make the workers")?,
        signals: start.signals,
        monitor,
        sockets: port::Sockets::default(),
        children: Children::default(),
        notify: Notify::from_env(),
        poll: Poll::new().doing(|| "make the timer")?,
        previous: None,
        watcher: watch::Watcher::new(),
        steps: Steps::new().inspect_err(|e| log::warn!("clock: watch it: {e}")).ok(),
        asking: None,
        listening: None,
        watchdog_at: None,
        is_snapshot_lost: false,
        snapshot: String::new(),
        end: None,
        _lock: start.lock,
    };
    match state::load_clock(supervisor.sys.files()) {
        Ok(highest) => supervisor.daemon.remember_clock(highest),
        Err(e) => log::error!("clock: {e}"),
    }
    let seen = memory::load(supervisor.sys.files(), supervisor.now());
    supervisor.daemon.recall(seen);
    supervisor.take_over();
    if let Some(wish) = start.wish {
        let now = supervisor.now();
        supervisor.daemon.connect(now, client.unwrap_or(SERVICE), wish);
        supervisor.look_around();
    }
    let exit = supervisor.turn_until_end();
    let _ = supervisor.sys.files().remove(Path::new(PID));
    let _ = supervisor.sys.files().remove(Path::new(CONTROL));
    Ok(exit)
}

impl Supervisor {
    /// Adopts the tunnel of an earlier supervisor, or undoes what it left.
    fn take_over(&mut self) {
        if let Some((record, ready)) = self.adoptable() {
            let (now, wall) = (self.now(), self.sys.clock().wall());
            self.watcher.lan = self.daemon.lan();
            self.daemon.adopt(now, wall, record, ready);
            return;
        }
        // A port of a tunnel that is gone is held by nobody.
        for path in port::places(self.daemon.config()) {
            self.withdraw(&path);
        }
        if self.changes.owed().next().is_none() {
            return;
        }
        // A kill switch that stays closed is nothing left behind.
        if self.changes.owed().any(|(tag, _)| tag != FIREWALL) {
            log::warn!("change: an earlier supervisor left changes behind; they are undone");
        }
        let policy = self.daemon.policy();
        if policy.killswitch {
            if let Err(e) = self.load_policy(&policy) {
                log::error!("firewall: {e}");
            }
        }
        if let Err(e) = self.tear_down() {
            log::error!("change: {e}");
        }
    }

    /// The recorded tunnel, if its link is there with the recorded peer.
    fn adoptable(&self) -> Option<(Record, Ready)> {
        let text = self.sys.files().read(Path::new(RECORD), 1 << 16).ok()?;
        let record = Record::parse(&String::from_utf8_lossy(&text))?;
        let device = self.sys.net().wireguard(&record.interface).ok()?;
        let links = self.sys.net().links().ok()?;
        let link = links.iter().find(|l| l.name == record.interface && l.up)?;
        let keys: Vec<PublicKey> = device.peers.iter().map(|p| p.public_key).collect();
        let is_ours = self.changes.links().any(|l| l == record.interface) && record.has_peers(&keys);
        let peers: Vec<Peer> = device
            .peers
            .iter()
            .map(|p| Peer {
                public_key: p.public_key,
                preshared_key: p.preshared_key.clone(),
                endpoint: p.endpoint.map(crate::provider::Endpoint::Addr),
                allowed_ips: p.allowed_ips.clone(),
                keepalive: p.keepalive,
            })
            .collect();
        let tunnel = Tunnel {
            private_key: device.private_key?,
            addresses: record.addresses.clone(),
            dns: record.dns.clone(),
            search_domains: Vec::new(),
            mtu: u16::try_from(link.mtu).ok().and_then(Mtu::new),
            table: record.table,
            fwmark: Some(record.mark),
            listen_port: None,
            peers,
        };
        let endpoints = device.peers.iter().map(|p| p.endpoint).collect();
        let connection = Connection { server: record.server.clone(), tunnel, port: record.hold.clone() };
        is_ours.then_some((record, Ready { connection, endpoints }))
    }
}

/// `PID START`, the start time in clock ticks since boot as in /proc/PID/stat.
pub(super) fn write_pid(files: &dyn Files) {
    let text = match started(std::process::id()) {
        Some(ticks) => format!("{} {ticks}\n", std::process::id()),
        None => return,
    };
    if let Err(e) = files.replace(Path::new(PID), text.as_bytes(), 0o644, Durable::No) {
        log::error!("run: write {PID}: {e}");
    }
}

/// Start time of a process (proc_pid_stat(5), field 22); `None` when there is none.
pub fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold blanks and brackets; fields are counted behind its last bracket.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The process id of the supervisor that wrote [`PID`], if it lives.
pub fn pid(files: &dyn Files) -> Option<u32> {
    let text = files.read(Path::new(PID), 64).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let (pid, ticks) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    started(pid).filter(|at| ticks.parse() == Ok(*at)).map(|_| pid)
}

pub fn is_alive(files: &dyn Files) -> bool {
    pid(files).is_some()
}
