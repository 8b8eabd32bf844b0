//! `status`: asks the supervisor; without root, or without a supervisor, reads what it wrote last and what the kernel
//! shows. Never takes longer than two seconds.

use super::{older, print};
use crate::daemon::control::{Ask, Tell};
use crate::daemon::record::Record;
use crate::daemon::run::{self, CONTROL, RECORD, STATUS};
use crate::error::{Exit, Result};
use crate::status::{Area, Interface, Paint, PortState, ServerInfo, Snapshot, State, UNCONFIRMED, Verdict};
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Files};
use crate::sys::net::{Kernel, Net};
use crate::sys::{Clock, clock, nft, terminal};
use crate::time::{Duration, UnixTime, millis};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A supervisor that does not answer by then is not waited for (contract: 2 s in all).
const ANSWER: Duration = millis(1200);
const STATUS_MOST: usize = 1 << 20;

pub fn run(json: bool, check: bool) -> Result<Exit> {
    let snapshot = current();
    if !check {
        let text = if json { snapshot.emit() } else { snapshot.text(clock::System.wall(), paint()) };
        print(&text)?;
    }
    Ok(snapshot.exit())
}

fn paint() -> Paint {
    if terminal::has_colours() { Paint::Colour } else { Paint::Plain }
}

/// How it is.
pub fn current() -> Snapshot {
    let is_silent = match asked() {
        Ok(Some(mut snapshot)) => {
            older::say(&mut snapshot);
            return snapshot;
        }
        Ok(None) => false,
        Err(Silent) => true,
    };
    let Some(mut snapshot) = written().or_else(adoptable) else {
        let mut snapshot = Snapshot::new(State::Disconnected);
        believe_the_rules(&mut snapshot, rules_are_closed());
        return snapshot;
    };
    count(&mut snapshot);
    match run::pid(&Disk) {
        Some(pid) => {
            older::say(&mut snapshot);
            if is_silent {
                let text = format!(
                    "the supervisor does not answer: if it stays so, end it (kill -9 {pid}); `pvpn connect` adopts the \
                     tunnel"
                );
                snapshot.problem(Area::Supervisor, text);
            }
        }
        None => {
            without_supervisor(&mut snapshot);
            believe_the_rules(&mut snapshot, rules_are_closed());
        }
    }
    snapshot
}

/// A supervisor listens but gives no answer.
pub(super) struct Silent;

/// The supervisor's own word; only root may ask.
pub(super) fn asked() -> std::result::Result<Option<Snapshot>, Silent> {
    let Ok(Some(mut connection)) = Connection::open(Path::new(CONTROL)) else { return Ok(None) };
    // One that goes at this moment is none.
    if connection.send(&Ask::Status.emit()).is_err() {
        return Ok(None);
    }
    let lines = match connection.read_lines(ANSWER) {
        Ok(lines) => lines,
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            return Err(Silent);
        }
        Err(_) => return Ok(None),
    };
    Ok(lines.iter().find_map(|line| match Tell::parse(line)? {
        Tell::Status(text) => Snapshot::parse(&text),
        Tell::Say(_) | Tell::Done(..) => None,
    }))
}

/// What was written last, as old as it is.
fn written() -> Option<Snapshot> {
    let bytes = Disk.read(Path::new(STATUS), STATUS_MOST).ok()?;
    let mut snapshot = Snapshot::parse(&String::from_utf8_lossy(&bytes))?;
    let at = fs::metadata(STATUS).ok().and_then(|m| u64::try_from(m.mtime()).ok()).map(UnixTime);
    age(&mut snapshot, at, clock::System.wall());
    Some(snapshot)
}

/// Where that is gone: what root may read of the tunnel that the next supervisor adopts.
fn adoptable() -> Option<Snapshot> {
    let bytes = Disk.read(Path::new(RECORD), STATUS_MOST).ok()?;
    let record = Record::parse(&String::from_utf8_lossy(&bytes))?;
    let mut snapshot = Snapshot::new(State::Connected);
    snapshot.since_at = Some(record.since.0);
    snapshot.server = Some(ServerInfo::from(&record.server));
    snapshot.interface = Some(Interface {
        name: record.interface,
        addresses: record.addresses.iter().map(ToString::to_string).collect(),
        mtu: None,
        handshake_age_s: None,
        rx_bytes: None,
        tx_bytes: None,
    });
    Some(snapshot)
}

/// What the kernel's rules say of the kill switch; `None` for whom the kernel does not tell: that takes CAP_NET_ADMIN.
fn rules_are_closed() -> Option<bool> {
    let state = nft::open().and_then(|mut socket| nft::state(&mut socket)).ok()?;
    Some(state.is_some_and(|s| s.closed))
}

/// Nobody watches over the rules: what was written last may be wrong, the kernel is not.
fn believe_the_rules(snapshot: &mut Snapshot, closed: Option<bool>) {
    let Some(closed) = closed else { return };
    let was = snapshot.killswitch.on.replace(closed);
    if snapshot.state == State::Blocked && !closed {
        snapshot.state = State::Disconnected;
    } else if snapshot.state == State::Disconnected && closed {
        snapshot.state = State::Blocked;
    }
    if was == Some(true) && !closed {
        let text = "somebody took the rules of the kill switch away: `pvpn killswitch on` closes it again";
        snapshot.problem(Area::Killswitch, text);
    }
}

/// Ages go on while nobody writes.
fn age(snapshot: &mut Snapshot, written: Option<UnixTime>, now: UnixTime) {
    let passed = written.map_or(0, |at| now.0.saturating_sub(at.0));
    if let Some(age) = snapshot.interface.as_mut().and_then(|i| i.handshake_age_s.as_mut()) {
        *age = age.saturating_add(passed);
    }
    let port = &mut snapshot.port;
    if let Some(left) = port.expires_s.as_mut() {
        *left = left.saturating_sub(passed);
        // Whoever should have had it confirmed by then has not written it down.
        if *left == 0 && port.state == PortState::Held {
            port.state = PortState::Doubtful;
            snapshot.health.port = Verdict::Bad;
            snapshot.problem(Area::Port, UNCONFIRMED);
        }
    }
}

/// The link's counters, which everybody may read.
fn count(snapshot: &mut Snapshot) {
    let Some(interface) = &mut snapshot.interface else { return };
    let read = |what: &str| {
        let path = format!("/sys/class/net/{}/statistics/{what}", interface.name);
        fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<u64>().ok())
    };
    let (rx, tx) = (read("rx_bytes"), read("tx_bytes"));
    interface.rx_bytes = rx.or(interface.rx_bytes);
    interface.tx_bytes = tx.or(interface.tx_bytes);
}

/// The supervisor is dead: the kernel says whether the tunnel is there.
fn without_supervisor(snapshot: &mut Snapshot) {
    let name = snapshot.interface.as_ref().map(|i| i.name.clone());
    let is_up = name.as_ref().is_some_and(|name| {
        Kernel::new().links().is_ok_and(|links| links.iter().any(|l| l.name == *name && l.up))
    });
    let was_at_work = matches!(snapshot.state, State::Connected | State::Connecting);
    if is_up {
        snapshot.state = State::Connected;
        snapshot.problem(Area::Supervisor, "the supervisor is not running: `pvpn connect` adopts the tunnel");
        let health = &mut snapshot.health;
        health.handshake = Verdict::Unknown;
        health.ping = Verdict::Unknown;
        health.dns = Verdict::Unknown;
        return;
    }
    let on = snapshot.killswitch.on;
    let mut left = Snapshot::new(if on == Some(true) { State::Blocked } else { State::Disconnected });
    left.killswitch = snapshot.killswitch.clone();
    left.since_at = snapshot.since_at;
    if was_at_work {
        left.problem(
            Area::Supervisor,
            "the supervisor ended without disconnecting: run `pvpn connect` again",
        );
    }
    *snapshot = left;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_ran_out_unwatched_is_doubtful() {
        let mut snapshot = Snapshot::new(State::Connected);
        snapshot.port.state = PortState::Held;
        snapshot.port.number = Some(40123);
        snapshot.port.expires_s = Some(44);
        age(&mut snapshot, Some(UnixTime(100)), UnixTime(143));
        assert_eq!((snapshot.port.state, snapshot.exit()), (PortState::Held, Exit::Done));
        age(&mut snapshot, Some(UnixTime(143)), UnixTime(144));
        assert_eq!((snapshot.port.state, snapshot.exit()), (PortState::Doubtful, Exit::Problems));
        assert_eq!((snapshot.port.number, snapshot.health.port), (Some(40123), Verdict::Bad));
        // A number that never runs out is none of this.
        let mut endless = Snapshot::new(State::Connected);
        endless.port.state = PortState::Held;
        age(&mut endless, Some(UnixTime(0)), UnixTime(144));
        assert_eq!(endless.port.state, PortState::Held);
    }
}
