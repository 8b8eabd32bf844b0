//! What the supervisor asks for, done well or badly, at once or later.

use super::servers::{last_byte, ready, server};
use super::{Machine, SERVERS};
use pvpn::daemon::clients::ClientId;
use pvpn::daemon::control::Tell;
use pvpn::daemon::phase::Choice;
use pvpn::daemon::repair::{Found, Part, Way};
use pvpn::daemon::wish::Wish;
use pvpn::daemon::{Action, Event, LeaseEvent, Look, clock, lease, publish, sync};
use pvpn::error::{Error, Exit};
use pvpn::firewall::Policy;
use pvpn::provider::Server;
use pvpn::time::{millis, secs};
use std::net::SocketAddr;

impl Machine {
    /// Those that come often tell little.
    fn note_action(&mut self, action: &Action) {
        use Action::{Lease, Look, Ping, Sync};
        if !matches!(action, Look(_) | Lease(_) | Ping { .. } | Sync(_)) {
            self.note(&format!("{action:?}").chars().take(90).collect::<String>());
        }
    }

    pub fn perform(&mut self, action: Action) -> Option<Event> {
        self.note_action(&action);
        match action {
            Action::Tell(id, tell) => self.hear(id, tell),
            Action::Choose { round, wish, .. } => {
                let result = self.choice(&wish);
                self.later(secs(4), Event::Chosen { round, result });
            }
            Action::Open { round, server, .. } => {
                let last = last_byte(&server);
                let result = if self.fails() { Err(failure(&mut self.random)) } else { Ok(ready(last)) };
                self.later(secs(4), Event::Opened { round, result: Box::new(result) });
            }
            Action::Load(policy) => return Some(Event::PolicyLoaded(self.load(&policy))),
            Action::Remember(closed) => {
                let closed = closed.is_some();
                self.check(closed || self.may_open || !self.closed, "opened, and nobody said so");
                self.closed = closed;
                self.may_open &= !closed;
                return Some(Event::Remembered(self.done()));
            }
            Action::Link { interface, ready, in_place } => {
                let result = self.done();
                if in_place {
                    // The peer in use is another one from here on, or from the end of it.
                    self.check(self.used.as_ref().is_some_and(|(i, _)| *i == interface), "in place of what");
                }
                if result.is_ok() {
                    self.linked = Some((interface, last_byte(&ready.connection.server)));
                }
                return Some(Event::Linked(result));
            }
            Action::Look(interface) => return Some(Event::Looked(self.look(&interface))),
            Action::Ping { seq } => {
                self.bytes.1 += 96;
                if self.is_served() && !self.random.percent(self.failing / 3) {
                    self.bytes.0 += 96;
                    self.later(millis(80), Event::Echo { seq });
                }
            }
            Action::Commit { interface, ready, .. } => {
                let linked = self.linked.clone();
                self.check(
                    linked.as_ref().is_some_and(|(i, _)| *i == interface),
                    "commits what was not linked",
                );
                let result = self.done();
                if result.is_ok() {
                    self.used = Some((interface, last_byte(&ready.connection.server)));
                    self.linked = None;
                    self.bytes = (0, 0);
                }
                return Some(Event::Committed(result));
            }
            Action::Drop { .. } => self.linked = None,
            Action::Lease(action) => self.perform_lease(action),
            Action::Publish(action) => return self.publish(&action),
            Action::Sync(action) => return self.perform_sync(action),
            Action::Record(record) => self.record = record,
            Action::Inspect(parts) => return Some(self.inspect(parts)),
            Action::AskTime { .. } => {
                let answer = clock::Input::Answer(Err("no answer".to_owned()));
                self.later(secs(2), Event::Clock(answer));
            }
            Action::AskName { .. } => {
                let answered = !self.fails();
                self.later(secs(1), Event::Named(answered));
            }
            Action::TearDown => {
                (self.used, self.linked) = (None, None);
                let result = self.done();
                return Some(Event::TornDown(result));
            }
            Action::Exit(exit) => self.end(exit),
            _ => {}
        }
        None
    }

    fn end(&mut self, exit: Exit) {
        self.note(&format!("ends with {exit:?}"));
        self.daemon = None;
        self.air.clear();
        // Their connections end with it.
        self.waiting.clear();
        self.may_open = false;
        self.wanted &= self.used.is_some();
    }

    fn hear(&mut self, id: ClientId, tell: Tell) {
        if let Tell::Done(exit, text) = tell {
            self.note(&format!("client {id}: {exit:?}, {text}"));
            let closed = self.closed || exit != Exit::Done || !text.ends_with("kill switch on");
            self.check(closed, "told to be closed, and is not");
            self.waiting.remove(&id);
        }
    }

    fn choice(&mut self, wish: &Wish) -> Result<Choice, Error> {
        if self.fails() {
            return Err(failure(&mut self.random));
        }
        let fits = |cc: &str| wish.cc.iter().any(|c| c.as_str() == cc);
        let mut ranked: Vec<Server> =
            SERVERS.iter().filter(|(cc, _)| fits(cc)).map(|(_, last)| server(*last)).collect();
        if self.random.percent(30) {
            ranked.reverse();
        }
        Ok(Choice { candidates: ranked.len(), ranked, ..Choice::default() })
    }

    fn load(&mut self, policy: &Policy) -> Result<(), Error> {
        self.check(policy.killswitch || !self.closed || self.may_open, "an open policy on a closed machine");
        for tunnel in policy.tunnels.iter().filter(|t| t.open && policy.killswitch) {
            let used = self.used.as_ref().is_some_and(|(i, _)| *i == tunnel.interface);
            self.check(used, &format!("{} carries traffic before its handshake", tunnel.interface));
            let port = tunnel.forwarded_port;
            let granted = port.is_none_or(|p| self.gateway.granted.contains(&p));
            self.check(granted, &format!("port {port:?} is let in, and was never granted"));
        }
        let result = self.done();
        if result.is_err() {
            // What could not be closed may be open, and is said.
            self.may_open = true;
        }
        result
    }

    fn serves(&self, last: u8) -> bool {
        SERVERS.iter().zip(self.alive).any(|((_, l), alive)| *l == last && alive)
    }

    pub fn is_served(&self) -> bool {
        self.used.as_ref().is_some_and(|(_, last)| self.serves(*last)) && self.linked.is_none()
    }

    fn look(&mut self, interface: &str) -> Option<Look> {
        if self.random.percent(self.failing / 10) {
            return None;
        }
        let shown = self.linked.as_ref().or(self.used.as_ref()).filter(|(i, _)| i == interface);
        let (_, last) = shown?;
        let handshake = self.serves(*last).then(|| self.wall());
        let traffic = if self.random.percent(50) { self.random.below(5000) } else { 0 };
        self.bytes.1 += traffic;
        if handshake.is_some() {
            self.bytes.0 += traffic;
        }
        Some(Look { handshake, mtu: Some(1420), rx_bytes: self.bytes.0, tx_bytes: self.bytes.1 })
    }

    fn perform_lease(&mut self, action: lease::Action) {
        let lease::Action::SendDatagram(bytes) = action else { return };
        if !self.is_served() || self.fails() {
            return;
        }
        if let Some(answer) = self.gateway.answer(self.now, &bytes) {
            let from = SocketAddr::from(([10, 2, 0, 1], 5351));
            self.later(millis(90), Event::Lease(LeaseEvent::Datagram { from, bytes: answer }));
        }
    }

    fn publish(&mut self, action: &publish::Action) -> Option<Event> {
        use publish::{Action, Target};
        let fails = self.random.percent(self.failing / 3);
        let target = match action {
            Action::WritePortFile(n) => {
                self.check(self.gateway.granted.contains(n), &format!("{n} was never granted"));
                if !fails {
                    self.file = Some(*n);
                }
                Target::File
            }
            Action::RemovePortFile => {
                // Only the end takes a port away that was granted once.
                self.check(
                    self.file.is_none() || self.used.is_some() || !self.wanted,
                    "the port is taken away",
                );
                self.file = None;
                Target::File
            }
            Action::WriteSecondFile(_) | Action::RemoveSecondFile => Target::SecondFile,
            Action::OpenFirewall(_) => Target::Firewall,
            Action::RunHook(_) => Target::Hook,
            Action::TellQbittorrent(_) => Target::Qbittorrent,
        };
        let result = if fails { Err("no space left on device".to_owned()) } else { Ok(()) };
        Some(Event::Published(target, result))
    }

    fn perform_sync(&mut self, action: sync::Action) -> Option<Event> {
        match action {
            sync::Action::Send { id, request } => {
                let reply = self.torrent.answer(self.now, &request);
                self.later(millis(50), Event::QbittorrentReply { id, reply });
                None
            }
            sync::Action::CheckListening { address, port } => {
                let seen = self.torrent.listens(self.now, &address.to_string(), port);
                Some(Event::Listening(Some(seen)))
            }
            sync::Action::Store(_) => None,
        }
    }

    fn inspect(&mut self, parts: Vec<Part>) -> Event {
        let taken = parts.iter().filter(|_| self.random.percent(20));
        let taken = taken.map(|p| (*p, "something was taken away".to_owned())).collect();
        let way = (!self.random.percent(self.failing / 2)).then(|| Way {
            device: "eth0".to_owned(),
            gateway: Some(([192, 168, 1, 1]).into()),
            source: None,
        });
        if way.is_none() {
            // Netlink tells when there is one again.
            self.later(secs(20), Event::Changed(Part::Network));
        }
        let remade = self.random.percent(3);
        Event::Inspected(Box::new(Found { parts, taken, way, remade, ..Found::default() }))
    }
}

fn failure(random: &mut crate::random::Random) -> Error {
    let exits = [Exit::Provider, Exit::NoServer, Exit::Failed, Exit::NoHandshake, Exit::LoginRefused];
    Error::new(exits[random.below(exits.len() as u64) as usize], "made up")
}
