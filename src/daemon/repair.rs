//! What others take away, noticed and put back: when to look, how often at most, and what the network's own changes
//! mean for the tunnel.
//!
//! A change that is heard of is looked into once things are quiet for [`QUIET`], at the latest after [`MOST`]; the rule
//! set at once, since packets pass meanwhile. Our own changes are heard as well: then nothing is found missing, and
//! that is all. What is missing is put back and counted. Somebody who takes it away again and again is met ever more
//! slowly, up to [`PAUSE_MOST`], so that two programs don't spend a machine on a quarrel; from [`QUARREL`] times in a
//! row on it is a problem that a person has to solve. The rule set alone is never left away longer than [`GUARD_MOST`].
//!
//! When the way out changes (cable, Wi-Fi, a lease with another gateway, resume) the server has to be heard from soon:
//! a peer from which nothing comes is added again, which begins its handshake at once.

use crate::time::{Duration, Instant, millis, secs};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Programs change several things in a row; chosen.
const QUIET: Duration = millis(200);
/// A stream of changes does not put off the look longer than this; chosen.
const MOST: Duration = secs(1);
/// The first and the longest pause of a quarrel; chosen.
const PAUSE_FIRST: Duration = secs(1);
const PAUSE_MOST: Duration = secs(60);
/// The longest pause for the rule set: it guards; chosen.
const GUARD_MOST: Duration = secs(1);
/// Repairs in a row that nobody has to hear of; chosen.
const QUARREL: u32 = 3;
/// After this long without a repair the next one is the first of a row; chosen: twice the longest pause.
const ROW: Duration = secs(120);
/// A peer from which nothing comes is added again after this (the contract's issue 3 names 1.5 s), doubling.
const SILENCE: Duration = millis(1500);
/// How often, before the monitor alone judges; chosen: up to 24 s.
const READDS_MOST: u32 = 4;

/// What may be taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Link, peer, addresses, routes, policy rules.
    Network,
    Ruleset,
    Resolver,
}

impl Part {
    const ALL: [Part; 3] = [Part::Network, Part::Ruleset, Part::Resolver];
}

/// The way of the encrypted packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    pub device: String,
    pub gateway: Option<IpAddr>,
    pub source: Option<IpAddr>,
}

/// What a look found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub parts: Vec<Part>,
    /// What was away and is put back, as the beginning of a sentence: "2 rules were taken away".
    pub taken: Vec<(Part, String)>,
    /// What somebody is in the midst of changing: looked into again once that may be over.
    pub unfinished: Vec<Part>,
    /// What could not be put back, and why.
    pub failed: Vec<(Part, String)>,
    /// Looked at with [`Part::Network`]; `None`: there is none.
    pub way: Option<Way>,
    /// The link was made anew: sockets bound to it are dead.
    pub remade: bool,
    /// The link was down, so its sessions are gone.
    pub raised: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Something of this kind was changed, by us or by others.
    Changed(Part),
    Found(Box<Found>),
    /// The way to the server is another one, or the machine slept: a sign of life is awaited.
    Disturbed,
    /// What the tunnel has received.
    Received(u64),
    /// There is no tunnel, or another one is being made.
    Gone,
    Wake,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look, and put back; answered by [`Input::Found`].
    Inspect(Vec<Part>),
    /// Read the device; answered by [`Input::Received`].
    Look,
    /// Take the peer away and add it again.
    ReaddPeer,
}

/// One part's clock.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// First change that was not looked into yet, and when that is due.
    pending: Option<(Instant, Instant)>,
    not_before: Option<Instant>,
    row: u32,
    repaired_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Bytes received when the wait began.
    base: Option<u64>,
    readds: u32,
    due_at: Instant,
    /// The next look decides.
    decides: bool,
}

/// The machine.
#[derive(Debug, Default)]
pub struct Repair {
    slots: [Slot; 3],
    count: u32,
    failure: Option<String>,
    waiting: Option<Waiting>,
    actions: VecDeque<Action>,
}

impl Repair {
    /// How often something was put back.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// What a person should know.
    pub fn trouble(&self, now: Instant) -> Option<(Part, String)> {
        let quarrel = Part::ALL.iter().find(|p| self.slots[**p as usize].quarrels(now));
        let what = |part: Part| match part {
            Part::Network => "the tunnel's link, routes or rules",
            Part::Ruleset => "pvpn's firewall rules",
            Part::Resolver => "the resolver file",
        };
        let quarrel = quarrel.map(|part| {
            let row = self.slots[*part as usize].row;
            (
                *part,
                format!(
                    "another program changes {} again and again; put back {row} times in a row",
                    what(*part)
                ),
            )
        });
        let failure = self.failure.clone().map(|text| (Part::Network, text));
        quarrel.or(failure)
    }

    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let looks = self.slots.iter().filter_map(Slot::due_at);
        looks.chain(self.waiting.map(|w| w.due_at)).min()
    }

    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Changed(part) => self.slots[part as usize].note_change(now, part),
            Input::Found(found) => self.handle_found(now, &found),
            Input::Disturbed => {
                self.waiting = Some(Waiting { base: None, readds: 0, due_at: now + SILENCE, decides: false });
                self.actions.push_back(Action::Look);
            }
            Input::Received(bytes) => self.handle_received(now, bytes),
            Input::Gone => self.waiting = None,
            Input::Wake => {
                if let Some(w) = self.waiting.as_mut().filter(|w| w.due_at <= now) {
                    w.due_at = now + SILENCE; // should the look not come
                    w.decides = true;
                    self.actions.push_back(Action::Look);
                }
            }
        }
        self.inspect_due(now);
    }

    fn inspect_due(&mut self, now: Instant) {
        let is_due = |p: &Part| self.slots[*p as usize].due_at().is_some_and(|at| at <= now);
        let due: Vec<Part> = Part::ALL.into_iter().filter(is_due).collect();
        if due.is_empty() {
            return;
        }
        for part in &due {
            let slot = &mut self.slots[*part as usize];
            slot.pending = None;
            slot.not_before = Some(now + QUIET);
        }
        self.actions.push_back(Action::Inspect(due));
    }
}

impl Repair {
    fn handle_found(&mut self, now: Instant, found: &Found) {
        if found.parts.contains(&Part::Network) {
            self.failure = None;
        }
        for part in &found.parts {
            let failure = found.failed.iter().find(|(p, _)| p == part);
            if let Some((_, text)) = failure {
                if self.failure.as_ref() != Some(text) {
                    log::error!("repair: {text}");
                }
                self.failure = Some(text.clone());
            }
            let is_taken = found.taken.iter().any(|(p, _)| p == part);
            let slot = &mut self.slots[*part as usize];
            if is_taken || failure.is_some() {
                slot.note_repair(now, *part);
            }
            if found.unfinished.contains(part) {
                slot.note_change(now, *part);
            }
            if failure.is_some() {
                // Nobody may tell when it can be done: it is tried again.
                slot.pending = Some((now, now + PAUSE_FIRST));
            }
        }
        if !found.taken.is_empty() {
            self.count += 1;
            let words: Vec<&str> = found.taken.iter().map(|(_, w)| w.as_str()).collect();
            log::warn!("repair: {} by another program; put back", words.join(", "));
        }
    }

    fn handle_received(&mut self, now: Instant, bytes: u64) {
        let Some(waiting) = &mut self.waiting else { return };
        match waiting.base {
            None => waiting.base = Some(bytes),
            Some(base) if bytes > base => self.waiting = None,
            Some(_) if !waiting.decides => {}
            Some(_) if waiting.readds >= READDS_MOST => self.waiting = None,
            Some(_) => {
                waiting.readds += 1;
                // A peer begins to count anew.
                waiting.base = Some(0);
                waiting.due_at = now + SILENCE * (1 << waiting.readds);
                waiting.decides = false;
                self.actions.push_back(Action::ReaddPeer);
            }
        }
    }
}

impl Slot {
    fn note_change(&mut self, now: Instant, part: Part) {
        let first = self.pending.map_or(now, |(first, _)| first);
        let due = if part == Part::Ruleset { now } else { (now + QUIET).min(first + MOST) };
        self.pending = Some((first, due));
    }

    fn due_at(&self) -> Option<Instant> {
        let (_, due) = self.pending?;
        Some(self.not_before.map_or(due, |at| at.max(due)))
    }

    fn note_repair(&mut self, now: Instant, part: Part) {
        let goes_on = self.repaired_at.is_some_and(|at| now.since(at) < ROW);
        self.row = if goes_on { self.row.saturating_add(1) } else { 1 };
        self.repaired_at = Some(now);
        let most = if part == Part::Ruleset { GUARD_MOST } else { PAUSE_MOST };
        if self.row > QUARREL {
            let doubled = PAUSE_FIRST * (1 << (self.row - QUARREL - 1).min(6));
            self.not_before = Some(now + doubled.min(most));
        }
    }

    fn quarrels(&self, now: Instant) -> bool {
        self.row > QUARREL && self.repaired_at.is_some_and(|at| now.since(at) < ROW)
    }
}

#[cfg(test)]
mod tests;
