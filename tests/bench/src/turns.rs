//! The supervisor's machine in a world in which everything answers at once: an idle turn of the loop, and a day with
//! two hundred changes of server.

use crate::memory;
use pvpn::config::secret::{PublicKey, SecretKey};
use pvpn::config::{Fastest, load};
use pvpn::daemon::control::{Ask, Tell};
use pvpn::daemon::phase::{Choice, Ready};
use pvpn::daemon::wish::Wish;
use pvpn::daemon::{Action, Daemon, Event, LeaseEvent, Look, Surroundings, lease, publish, repair, sync};
use pvpn::error::Error as Failure;
use pvpn::provider::{Connection, Country, Endpoint, Features, PortHold, ProviderKind, Server};
use pvpn::time::{Instant, UnixTime, secs};
use pvpn::tunnel::{Peer, Table, Tunnel};
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WALL: u64 = 1_780_000_000;
const GATEWAY: &str = "10.2.0.1:5351";

struct Machine {
    daemon: Daemon,
    now: Instant,
    wishes: u64,
    /// Received and sent so far, and what comes with each wake-up.
    bytes: u64,
    traffic: u64,
    connected: u64,
    turns: u64,
}

impl Machine {
    fn new() -> Result<Machine> {
        let home = Path::new("/root");
        let text = "[qbittorrent]\nenable = false\n[network]\nlan = 192.168.1.0/24\n";
        let config = load::parse(text, home, home).map_err(|e| e.to_string())?;
        let settings = sync::Settings::new(&config.qbittorrent, None);
        let sync = sync::Sync::new(settings, sync::Memory::default(), Instant::BOOT);
        let daemon = Daemon::new(config, false, true, Surroundings::default(), sync);
        Ok(Machine {
            daemon,
            now: Instant::BOOT + secs(60),
            wishes: 0,
            bytes: 0,
            traffic: 0,
            connected: 0,
            turns: 0,
        })
    }

    fn wall(&self) -> UnixTime {
        UnixTime(WALL + self.now.since_boot().as_secs())
    }

    fn handle(&mut self, event: Event) -> Result<()> {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            self.daemon.handle(self.now, self.wall(), event);
            while let Some(action) = self.daemon.poll_action() {
                events.extend(self.answer(action)?);
            }
        }
        Ok(())
    }

    /// A person asks for the other country.
    fn switch(&mut self) -> Result<()> {
        self.wishes += 1;
        let cc = ["NL", "CH"][self.wishes as usize % 2];
        let wish = Wish {
            provider: ProviderKind::File,
            cc: vec![Country::parse(cc).ok_or("country")?],
            city: None,
            regions: vec![],
            server: None,
            secure_core: false,
            p2p: false,
            fastest: Fastest::Ping,
            threshold: 60,
            latency_cutoff: None,
            dns: true,
            ks: true,
        };
        self.handle(Event::Client(self.wishes, Ask::Connect(Box::new(wish))))
    }

    /// Sleeps until the machine wants to be woken, for this long in all.
    fn run(&mut self, until: Instant) -> Result<()> {
        while let Some((at, _)) = self.daemon.poll_timeout().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.bytes += self.traffic;
            self.turns += 1;
            self.handle(Event::Wake)?;
        }
        self.now = until;
        Ok(())
    }

    fn answer(&mut self, action: Action) -> Result<Option<Event>> {
        Ok(Some(match action {
            Action::Load(_) => Event::PolicyLoaded(Ok(())),
            Action::Choose { round, .. } => {
                let server = server(["NL", "CH"][self.wishes as usize % 2])?;
                Event::Chosen { round, result: Ok(Choice { ranked: vec![server], ..Choice::default() }) }
            }
            Action::Open { round, server, .. } => Event::Opened {
                round,
                result: Box::new(ready(*server).map_err(|e| Failure::failed(e.to_string()))),
            },
            Action::Link { .. } => Event::Linked(Ok(())),
            Action::Look(_) => Event::Looked(Some(Look {
                handshake: Some(self.wall()),
                rx_bytes: self.bytes,
                tx_bytes: self.bytes,
                ..Look::default()
            })),
            Action::Ping { seq } => Event::Echo { seq },
            Action::Commit { .. } => Event::Committed(Ok(())),
            Action::Inspect(parts) => {
                Event::Inspected(Box::new(repair::Found { parts, ..Default::default() }))
            }
            Action::AskName { .. } => Event::Named(true),
            Action::TearDown => Event::TornDown(Ok(())),
            Action::Lease(lease::Action::SendDatagram(b)) => {
                let bytes = grant(&b).ok_or("a request")?;
                Event::Lease(LeaseEvent::Datagram { from: GATEWAY.parse()?, bytes })
            }
            Action::Publish(publish::Action::WritePortFile(_)) => {
                Event::Published(publish::Target::File, Ok(()))
            }
            Action::Tell(_, Tell::Done(..)) => {
                self.connected += 1;
                return Ok(None);
            }
            _ => return Ok(None),
        }))
    }
}

/// RFC 6886 sections 3.2 and 3.3: the external address, or a port for a minute.
fn grant(request: &[u8]) -> Option<Vec<u8>> {
    let opcode = *request.get(1)?;
    let head = [0, opcode + 128, 0, 0, 0, 0, 0, 9];
    if opcode == 0 {
        return Some([&head[..], &[203, 0, 113, 11]].concat());
    }
    Some([&head, request.get(4..6)?, &40123_u16.to_be_bytes(), &[0, 0, 0, 60]].concat())
}

fn server(cc: &str) -> Result<Server> {
    Ok(Server {
        provider: ProviderKind::File,
        id: format!("{cc}.conf"),
        name: format!("{cc}#1"),
        host: None,
        country: Country::parse(cc),
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr(endpoint(cc)?),
        tcp_probe: None,
        exit_address: None,
    })
}

fn endpoint(cc: &str) -> Result<SocketAddr> {
    Ok(if cc == "NL" { "203.0.113.11:51820" } else { "203.0.113.12:51820" }.parse()?)
}

fn ready(server: Server) -> Result<Ready> {
    let endpoint = endpoint(&server.id[..2])?;
    let peer = Peer {
        public_key: PublicKey([endpoint.ip().to_string().len() as u8; 32]),
        preshared_key: None,
        endpoint: Some(Endpoint::Addr(endpoint)),
        allowed_ips: vec!["0.0.0.0/0".parse().map_err(|_| "network")?],
        keepalive: None,
    };
    let tunnel = Tunnel {
        private_key: SecretKey::new([1; 32]),
        addresses: vec!["10.2.0.2/32".parse().map_err(|_| "address")?],
        dns: vec!["10.2.0.1".parse()?],
        search_domains: vec![],
        mtu: None,
        table: Table::Auto,
        fwmark: None,
        listen_port: None,
        peers: vec![peer],
    };
    let port = PortHold::NatPmp { gateway: "10.2.0.1".parse()? };
    Ok(Ready { connection: Connection { server, tunnel, port }, endpoints: vec![Some(endpoint)] })
}

/// Connected, `turns` wake-ups of an idle supervisor.
pub fn idle(turns: u64) -> Result<()> {
    let mut machine = Machine::new()?;
    machine.switch()?;
    machine.run(machine.now + secs(600))?;
    let end = machine.turns + turns;
    while machine.turns < end {
        let at = machine.daemon.poll_timeout().ok_or("the supervisor waits for nothing")?.0;
        machine.run(at)?;
    }
    Ok(())
}

/// Memory is told after the first hour and at the end, each with the descriptors and the turns of the loop by then.
pub fn soak() -> Result<()> {
    let mut machine = Machine::new()?;
    machine.traffic = 1_000;
    machine.switch()?;
    machine.run(Instant::BOOT + secs(3_600))?;
    let tell = |when: &str, machine: &Machine| -> Result<()> {
        let fds = std::fs::read_dir("/proc/self/fd")?.count();
        println!("{when} {} {fds} {}", memory("smaps_rollup", "Anonymous")?, machine.turns);
        Ok(())
    };
    tell("hour", &machine)?;
    for n in 1..=200 {
        machine.run(Instant::BOOT + secs(3_600 + n * (23 * 3_600 / 200)))?;
        machine.switch()?;
    }
    machine.run(Instant::BOOT + secs(24 * 3_600))?;
    if machine.connected < 201 {
        return Err(format!("{} connects of 201 ended", machine.connected).into());
    }
    tell("day", &machine)
}
