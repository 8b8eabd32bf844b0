//! The sockets inside the tunnel, and who is told the port.

use super::super::{Event, LeaseEvent, lease, publish, sync};
use super::{Supervisor, jobs};
use crate::config::Config;
use crate::provider::pia;
use crate::sys::Machine;
use crate::sys::files::Durable;
use crate::sys::http::{Client, Http};
use crate::sys::icmp::EchoSocket;
use crate::sys::socket::{self, Egress};
use crate::sys::worker::Lane;
use crate::wire::http::{HttpError, Reply};
use crate::wire::natpmp;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// One number and a newline (0644); absent while no port is granted.
pub const PORT_FILE: &str = "/run/pvpn/forwarded_port";
/// qBittorrent's earlier settings (0600).
pub const QBITTORRENT: &str = "/var/lib/pvpn/qbittorrent.json";
/// How much of a log file's end is read.
const LOG_TAIL: usize = 64 << 10;

/// Sockets bound to the tunnel's interface and address.
#[derive(Debug, Default)]
pub struct Sockets {
    natpmp: Option<UdpSocket>,
    echo: Option<EchoSocket>,
    gateway: Option<IpAddr>,
    failure: Option<String>,
}

impl Sockets {
    /// In place of those of an earlier tunnel.
    pub fn open(&mut self, interface: &str, source: Option<IpAddr>, gateway: Option<IpAddr>) {
        self.close();
        self.gateway = gateway;
        let (Some(source), Some(gateway)) = (source, gateway) else { return };
        let egress = Egress::tunnel(interface, source);
        match socket::udp(SocketAddr::new(gateway, natpmp::PORT), &egress) {
            Ok(s) => match s.set_nonblocking(true) {
                Ok(()) => self.natpmp = Some(s),
                Err(e) => self.failure = Some(e.to_string()),
            },
            Err(e) => self.failure = Some(e.to_string()),
        }
        match EchoSocket::open(gateway.is_ipv4(), &egress) {
            Ok(s) => self.echo = Some(s),
            Err(e) => log::warn!("run: open an echo socket: {e}"),
        }
    }

    pub fn close(&mut self) {
        *self = Sockets::default();
    }

    pub fn natpmp(&self) -> Option<BorrowedFd<'_>> {
        self.natpmp.as_ref().map(AsFd::as_fd)
    }

    pub fn echo(&self) -> Option<BorrowedFd<'_>> {
        self.echo.as_ref().map(AsFd::as_fd)
    }

    /// What came on the NAT-PMP socket. It is connected, so the kernel lets only the gateway's datagrams in.
    pub fn read_natpmp(&mut self) -> Vec<LeaseEvent> {
        let mut events = Vec::new();
        let Some(socket) = &self.natpmp else { return events };
        let mut buffer = [0; 64];
        // A turn takes at most this many, so that a flood does not keep the loop from the rest.
        for _ in 0..16 {
            match socket.recv_from(&mut buffer) {
                Ok((n, from)) => events.push(LeaseEvent::Datagram { from, bytes: buffer[..n].to_vec() }),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => events.push(LeaseEvent::SocketFailed(e.to_string())),
            }
        }
        events
    }

    fn send_natpmp(&self, bytes: &[u8]) -> Option<LeaseEvent> {
        let failed = |why: String| Some(LeaseEvent::SocketFailed(why));
        match &self.natpmp {
            None => failed(self.failure.clone().unwrap_or_else(|| "no socket".to_owned())),
            Some(socket) => socket.send(bytes).err().and_then(|e| failed(e.to_string())),
        }
    }

    /// An echo request to the gateway. One that cannot be sent is one without an answer.
    pub fn ping(&self, seq: u16) {
        let (Some(echo), Some(gateway)) = (&self.echo, self.gateway) else { return };
        if let Err(e) = echo.send(gateway, seq, b"pvpn monitor") {
            log::debug!("monitor: send an echo request: {e}");
        }
    }

    /// The sequence numbers that the gateway answered.
    pub fn read_echo(&mut self) -> Vec<u16> {
        let mut answered = Vec::new();
        while answered.len() < 16 {
            let Some(Ok(Some((from, seq)))) = self.echo.as_ref().map(EchoSocket::receive) else { break };
            if Some(from) == self.gateway {
                answered.push(seq);
            }
        }
        answered
    }
}

/// Where the number is written.
pub fn places(config: &Config) -> impl Iterator<Item = PathBuf> {
    [Some(PathBuf::from(PORT_FILE)), config.port_forwarding.file.clone()].into_iter().flatten()
}

impl Supervisor {
    pub(super) fn perform_lease(&mut self, action: lease::Action) -> Option<Event> {
        match action {
            lease::Action::SendDatagram(bytes) => self.sockets.send_natpmp(&bytes).map(Event::Lease),
            lease::Action::ReadLog => {
                let path = self.daemon.config().port_forwarding.log_fallback.clone();
                let text = path.and_then(|p| crate::sys::files::tail(&p, LOG_TAIL).ok()).unwrap_or_default();
                Some(Event::Lease(LeaseEvent::Log(text)))
            }
            lease::Action::Send { id, request } => {
                let job = jobs::ask_gateway(self.daemon.config().clone(), id, request);
                self.workers.start(Lane::Local, job);
                None
            }
            lease::Action::ReadGrant => {
                let kept = pia::kept_port(self.daemon.config(), self.sys.files());
                Some(Event::Lease(LeaseEvent::Grant(kept)))
            }
            lease::Action::KeepGrant(grant) => {
                if let Err(e) = pia::keep_port(self.daemon.config(), self.sys.files(), grant.as_ref()) {
                    log::error!("lease: keep the port: {e}");
                }
                None
            }
            lease::Action::Token { refused } => {
                let job = jobs::find_token(self.daemon.config().clone(), refused);
                self.workers.start(Lane::Outside, job);
                None
            }
        }
    }

    pub(super) fn perform_sync(&mut self, action: sync::Action) -> Option<Event> {
        match action {
            sync::Action::Send { id, request } => {
                self.workers.start(Lane::Local, move || {
                    let reply = Client::new(Vec::new()).send(&request).and_then(|response| {
                        Reply::read(response).map_err(|e| HttpError::Protocol(e.to_string()))
                    });
                    Event::QbittorrentReply { id, reply }
                });
                None
            }
            sync::Action::CheckListening { address, port } => {
                let interface = self.daemon.interface().unwrap_or("lo").to_owned();
                let at = SocketAddr::new(address, port);
                let device = if address.is_loopback() { "lo" } else { interface.as_str() };
                let seen = self.sys.net().is_listening(false, at, device);
                Some(Event::Listening(seen.ok()))
            }
            sync::Action::Store(memory) => {
                let path = Path::new(QBITTORRENT);
                let done = self.sys.files().replace(path, memory.emit().as_bytes(), 0o600, Durable::Yes);
                if let Err(e) = done {
                    log::error!("qbittorrent: write {QBITTORRENT}: {e}");
                }
                None
            }
        }
    }

    pub(super) fn perform_publish(&mut self, action: publish::Action) -> Option<Event> {
        use publish::{Action, Target};
        let config = &self.daemon.config().port_forwarding;
        let (target, result) = match action {
            Action::WritePortFile(n) => (Target::File, self.write_port(Path::new(PORT_FILE), Some(n))),
            Action::RemovePortFile => (Target::File, self.write_port(Path::new(PORT_FILE), None)),
            Action::WriteSecondFile(n) => {
                (Target::SecondFile, self.write_second(config.file.as_deref(), Some(n)))
            }
            Action::RemoveSecondFile => (Target::SecondFile, self.write_second(config.file.as_deref(), None)),
            Action::RunHook(n) => return self.run_port_hook(n),
            // Performed by the daemon itself.
            Action::OpenFirewall(_) => (Target::Firewall, Ok(())),
            Action::TellQbittorrent(_) => (Target::Qbittorrent, Ok(())),
        };
        Some(Event::Published(target, result.map_err(|e| e.to_string())))
    }

    fn write_second(&self, path: Option<&Path>, number: Option<u16>) -> io::Result<()> {
        let Some(path) = path else { return Ok(()) };
        // `/tmp/gluetun/forwarded_port` is gone after each boot, its directory with it.
        if let Some(dir) = path.parent().filter(|dir| number.is_some() && !self.sys.files().exists(dir)) {
            self.sys.files().create_dir(dir, 0o755)?;
        }
        self.write_port(path, number)
    }

    pub(super) fn withdraw(&self, path: &Path) {
        if let Err(e) = self.sys.files().remove(path) {
            log::warn!("port: remove {}: {e}", path.display());
        }
    }

    fn write_port(&self, path: &Path, number: Option<u16>) -> io::Result<()> {
        let files = self.sys.files();
        match number {
            Some(n) => files.replace(path, format!("{n}\n").as_bytes(), 0o644, Durable::No),
            None => files.remove(path),
        }
    }

    fn run_port_hook(&mut self, number: u16) -> Option<Event> {
        let Some(line) = self.daemon.config().port_forwarding.on_change.clone() else {
            return Some(Event::Published(publish::Target::Hook, Ok(())));
        };
        let (number, interface) =
            (number.to_string(), self.daemon.interface().unwrap_or_default().to_owned());
        let words = [("port", number.as_str()), ("interface", interface.as_str())];
        // How it ends is logged; only a program that cannot be started is started again.
        let result = self.run_hook(&line, &words);
        Some(Event::Published(publish::Target::Hook, result))
    }

    pub(super) fn run_state_hook(&mut self, word: &'static str) {
        let Some(line) = self.daemon.config().monitor.on_state.clone() else { return };
        if let Err(e) = self.run_hook(&line, &[("state", word)]) {
            log::warn!("hook: on_state: {e}");
        }
    }

    fn run_hook(&mut self, line: &str, words: &[(&str, &str)]) -> Result<(), String> {
        let now = self.now();
        self.children.start(line, words, now).map_err(|e| e.to_string())
    }
}
