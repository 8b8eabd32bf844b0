//! `status`: asks the supervisor; without root, or without a supervisor, reads what it wrote last and what the kernel
//! shows. Never takes longer than two seconds.

use super::{older, print};
use crate::daemon::control::{Ask, Tell};
use crate::daemon::run::{self, CONTROL, STATUS};
use crate::error::{Exit, Result};
use crate::status::{Area, Paint, Snapshot, State, Verdict};
use crate::sys::control::Connection;
use crate::sys::files::{Disk, Files};
use crate::sys::net::{Kernel, Net};
use crate::sys::{Clock, clock, nft, terminal};
use crate::time::{Duration, UnixTime, millis};
use std::fs;
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
    asked().map(say_version).or_else(recorded).unwrap_or_else(|| {
        let mut snapshot = Snapshot::new(State::Disconnected);
        believe_the_rules(&mut snapshot, rules_are_closed());
        snapshot
    })
}

fn say_version(mut snapshot: Snapshot) -> Snapshot {
    older::say(&mut snapshot);
    snapshot
}

/// The supervisor's own word; only root may ask.
pub(super) fn asked() -> Option<Snapshot> {
    let mut connection = Connection::open(Path::new(CONTROL)).ok()??;
    connection.send(&Ask::Status.emit()).ok()?;
    for line in connection.read_lines(ANSWER).ok()? {
        if let Some(Tell::Status(text)) = Tell::parse(&line) {
            return Snapshot::parse(&text);
        }
    }
    None
}

/// What was written last, with what has changed since.
fn recorded() -> Option<Snapshot> {
    let bytes = Disk.read(Path::new(STATUS), STATUS_MOST).ok()?;
    let mut snapshot = Snapshot::parse(&String::from_utf8_lossy(&bytes))?;
    let written = fs::metadata(STATUS).ok().and_then(|m| u64::try_from(m.mtime()).ok()).map(UnixTime);
    age(&mut snapshot, written, clock::System.wall());
    count(&mut snapshot);
    if run::is_alive(&Disk) {
        older::say(&mut snapshot);
    } else {
        without_supervisor(&mut snapshot);
        believe_the_rules(&mut snapshot, rules_are_closed());
    }
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
    if let Some(left) = snapshot.port.expires_s.as_mut() {
        *left = left.saturating_sub(passed);
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
