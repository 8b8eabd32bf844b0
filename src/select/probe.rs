//! The round-trip prober: echo requests to many hosts at once, decided here, sent elsewhere.
//!
//! Probes go out in rounds, one to each target a round, evenly paced, so that a hiccup of the line does not hit all
//! probes of one target. A reply counts when its address, sequence number and cookie are those of a probe under way;
//! each target has its own random cookie, so no host can answer for another, not even with a forged address. The
//! smallest round trip of a target is its result: everything but the way itself only adds.
//!
//! A machine that cannot keep that pace (an emulated one, three thousand probes) is in a hurry from the second round on:
//! whoever has answered and is not among the best [`BEST`] is not asked again, and whoever is silent only once an answer is
//! not likely to come any more. So each target is still asked at least once, a lost probe is made good, the best are told
//! apart by three, and the time stays that of one round.
//!
//! It ends when all have answered all, when nothing is likely to come any more (the longest answer so far and a
//! margin after the last probe), when one is under the cutoff, or when the time is up. Sans-IO: send what
//! [`Prober::poll_transmit`] gives, feed [`Prober::handle_reply`], sleep until [`Prober::poll_timeout`].

use crate::time::{Duration, Instant, millis, secs};
use std::net::IpAddr;

/// How a measurement goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Probes for each target.
    pub probes: u8,
    /// Bound of the whole measurement.
    pub limit: Duration,
    /// End at the first round trip of at most this.
    pub cutoff: Option<Duration>,
}

impl Default for Plan {
    /// Three probes within two seconds, as the design card says.
    fn default() -> Plan {
        Plan { probes: 3, limit: secs(2), cutoff: None }
    }
}

/// From the first probe to the last, for up to 1,000 targets asked three times; chosen: with [`MARGIN`] it stays under
/// the half second that the contract allows beyond the longest answer.
const SENDING: Duration = millis(240);
/// The longest pause between two probes, for a handful of targets; chosen: 40 targets three times take 60 ms.
const PAUSE_MOST: Duration = Duration::from_micros(500);
/// The shortest one, for thousands of targets; chosen: about 6 Mbit/s, which a home line carries.
const PAUSE_LEAST: Duration = Duration::from_micros(80);
/// Waited for beyond the longest answer after the last probe; chosen.
const MARGIN: Duration = millis(180);
/// Further behind the pace than this is a hurry; chosen: with a round of as much again beyond the pace, and the longest
/// answer, it stays under the same half second.
const LATE: Duration = millis(100);
/// How many of the best are asked three times even in a hurry; chosen: as many as a choice measures.
const BEST: usize = 40;
/// Probes due within one tick leave together: a poll(2) timeout counts in milliseconds.
const TICK: Duration = millis(1);
/// What a probe carries: index of the target, then its cookie.
pub const PAYLOAD: usize = 12;

/// The pause between two of so many probes.
fn pause(probes: usize) -> Duration {
    (SENDING / u32::try_from(probes.max(1)).unwrap_or(u32::MAX)).clamp(PAUSE_LEAST, PAUSE_MOST)
}

impl Plan {
    /// For a whole list of so many targets: the time to send all, and two seconds more.
    pub fn for_all(targets: usize) -> Plan {
        let plan = Plan::default();
        let probes = targets.saturating_mul(usize::from(plan.probes));
        let sending = pause(probes).saturating_mul(u32::try_from(probes).unwrap_or(u32::MAX));
        Plan { limit: plan.limit.saturating_add(sending), ..plan }
    }
}

/// A probe to send right away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Which of all probes it is, for [`Prober::handle_refusal`].
    pub nth: usize,
    pub to: IpAddr,
    pub seq: u16,
    pub payload: [u8; PAYLOAD],
}

/// What is known of one target.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    pub sent: u8,
    pub received: u8,
    /// The smallest round trip.
    pub rtt: Option<Duration>,
}

impl Measured {
    pub fn lost(&self) -> u8 {
        self.sent.saturating_sub(self.received)
    }
}

struct Target {
    addr: IpAddr,
    cookie: u64,
    measured: Measured,
}

/// One measurement of many targets.
pub struct Prober {
    targets: Vec<Target>,
    plan: Plan,
    /// When each probe under way was sent, round by round; `None` before that and after its answer.
    sent_at: Vec<Option<Instant>>,
    began_at: Instant,
    last_sent_at: Instant,
    /// The next probe of all targets' rounds: those before it have been sent, or left out in a hurry.
    next: usize,
    in_a_hurry: bool,
    /// Targets that have answered.
    answered: usize,
    /// Answers still possible from probes sent.
    outstanding: usize,
    longest: Option<Duration>,
    cut: bool,
}

impl Prober {
    /// `random` gives each target its cookie and must be unpredictable to them. An address that comes twice is two
    /// targets, each with its own probes.
    pub fn new(targets: &[IpAddr], plan: Plan, mut random: impl FnMut() -> u64, now: Instant) -> Prober {
        let target = |&addr: &IpAddr| Target { addr, cookie: random(), measured: Measured::default() };
        Prober {
            targets: targets.iter().map(target).collect(),
            plan,
            sent_at: vec![None; targets.len() * usize::from(plan.probes)],
            began_at: now,
            last_sent_at: now,
            next: 0,
            in_a_hurry: false,
            answered: 0,
            outstanding: 0,
            longest: None,
            cut: false,
        }
    }

    /// The next probe that is due. It counts as sent at `now`, so read the clock for each.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        self.leave_out(now);
        if self.is_done(now) || self.next == self.total() || now < self.due_at(self.next) {
            return None;
        }
        let (nth, index) = (self.next, self.next % self.targets.len());
        let seq = nth as u16; // the low bits: a reply must also carry the index of its target
        let target = &mut self.targets[index];
        target.measured.sent += 1;
        self.sent_at[nth] = Some(now);
        self.next += 1;
        self.outstanding += 1;
        self.last_sent_at = now;
        let mut payload = [0; PAYLOAD];
        payload[..4].copy_from_slice(&(index as u32).to_be_bytes());
        payload[4..].copy_from_slice(&target.cookie.to_be_bytes());
        Some(Transmit { nth, to: target.addr, seq, payload })
    }

    /// A probe could not be sent (no route, a full queue): it counts as lost and nothing is waited for.
    pub fn handle_refusal(&mut self, nth: usize) {
        if self.sent_at.get_mut(nth).and_then(Option::take).is_some() {
            self.outstanding -= 1;
        }
    }

    /// An echo reply that arrived `at`. Whether it belongs to a probe under way; late, doubled and foreign ones change
    /// nothing.
    pub fn handle_reply(&mut self, at: Instant, from: IpAddr, seq: u16, payload: &[u8]) -> bool {
        let Some((index, nth)) = self.find(seq, payload).filter(|&(i, _)| self.targets[i].addr == from)
        else {
            return false;
        };
        let Some(sent_at) = self.sent_at[nth].take() else { return false };
        let rtt = at.since(sent_at);
        let target = &mut self.targets[index];
        self.answered += usize::from(target.measured.received == 0);
        target.measured.received += 1;
        target.measured.rtt = Some(target.measured.rtt.map_or(rtt, |least| least.min(rtt)));
        self.outstanding -= 1;
        self.longest = self.longest.max(Some(rtt));
        self.cut |= self.plan.cutoff.is_some_and(|cutoff| rtt <= cutoff);
        true
    }

    /// When to come back if nothing is heard; `None` once done.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        if self.is_done(now) {
            return None;
        }
        let due = if self.next < self.total() { self.due_at(self.next) } else { self.ends_at() };
        Some(due.min(self.began_at + self.plan.limit))
    }

    pub fn is_done(&self, now: Instant) -> bool {
        let all_sent = self.next == self.total();
        self.cut
            || now >= self.began_at + self.plan.limit
            || all_sent && (self.outstanding == 0 || now >= self.ends_at())
    }

    /// Probes sent that may still be answered.
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// How many targets have answered, and how many there are.
    pub fn answered(&self) -> (usize, usize) {
        (self.answered, self.targets.len())
    }

    /// What was measured, in the order of the targets.
    pub fn into_measured(self) -> Vec<Measured> {
        self.targets.into_iter().map(|t| t.measured).collect()
    }

    fn total(&self) -> usize {
        self.sent_at.len()
    }

    /// When the `n`th probe is due: by the pace, and in a hurry not before an answer to the first one is overdue.
    fn due_at(&self, n: usize) -> Instant {
        let index = n % self.targets.len();
        let overdue_at = match (self.targets[index].measured.rtt, self.sent_at[index], self.longest) {
            (None, Some(first_at), Some(longest)) if self.in_a_hurry => first_at + longest + MARGIN,
            _ => Instant::BOOT,
        };
        self.paced_at(n).max(overdue_at)
    }

    /// When the pace is kept, cut to whole ticks.
    fn paced_at(&self, n: usize) -> Instant {
        let micros = (pause(self.total()) * u32::try_from(n).unwrap_or(u32::MAX)).as_micros() as u64;
        self.began_at + Duration::from_micros(micros - micros % TICK.as_micros() as u64)
    }

    /// Moves on to the next probe that is worth sending.
    fn leave_out(&mut self, now: Instant) {
        let again = (self.targets.len()..self.total()).contains(&self.next);
        self.in_a_hurry |= again && now >= self.paced_at(self.next) + LATE;
        while self.in_a_hurry && self.next < self.total() && self.is_settled(self.next % self.targets.len()) {
            self.next += 1;
        }
    }

    /// Whether it has answered, and enough others were faster.
    fn is_settled(&self, index: usize) -> bool {
        let Some(rtt) = self.targets[index].measured.rtt else { return false };
        let is_faster = |t: &&Target| t.measured.rtt.is_some_and(|other| other < rtt);
        self.targets.iter().filter(is_faster).take(BEST).count() == BEST
    }

    /// After all are sent: when no answer is to be expected any more. Never before somebody has answered.
    fn ends_at(&self) -> Instant {
        match self.longest {
            Some(longest) => self.last_sent_at + longest + MARGIN,
            None => self.began_at + self.plan.limit,
        }
    }

    /// The target of the probe with this sequence number and payload, and which of all probes it is.
    fn find(&self, seq: u16, payload: &[u8]) -> Option<(usize, usize)> {
        let payload: &[u8; PAYLOAD] = payload.try_into().ok()?;
        let (index, cookie) = payload.split_first_chunk::<4>()?;
        let index = u32::from_be_bytes(*index) as usize;
        self.targets.get(index).filter(|t| t.cookie.to_be_bytes() == cookie)?;
        let nth = (index..self.total()).step_by(self.targets.len()).find(|&nth| nth as u16 == seq)?;
        Some((index, nth))
    }
}

#[cfg(test)]
mod tests;
