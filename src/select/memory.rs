//! What earlier connections and measurements told of servers: round trips and failures, both fading with time.
//!
//! A failure counts half after [`FAILURE_HALF_LIFE`]; while it counts more than half, the server stands behind all
//! that have none. A round trip is believed for [`RTT_LIFE`]. Times count from boot, so a memory is void after a reboot:
//! keep its text in `/run`, if at all.

use crate::time::{Duration, Instant, secs};
use std::collections::HashMap;
use std::fmt::Write;

/// Chosen: a server that did not answer is left alone for about half an hour, unless there is no other.
pub const FAILURE_HALF_LIFE: Duration = secs(30 * 60);
/// However often it failed: it is left alone for an hour and a half at most. Chosen: an outage of everything, in which each
/// server fails each time, is no word about any of them.
const FAILURES_MOST: f64 = 4.0;
/// Chosen: ways through the Internet change over hours.
const RTT_LIFE: Duration = secs(6 * 60 * 60);
/// Servers kept; the longest unheard of go first. Chosen: twelve samples.
const ENTRIES_MOST: usize = 500;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Entry {
    rtt: Option<(Duration, Instant)>,
    /// Failures, each already faded, as of the instant.
    failures: Option<(f64, Instant)>,
}

/// Servers by their id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    entries: HashMap<String, Entry>,
}

impl Memory {
    /// A round trip was measured.
    pub fn note_rtt(&mut self, id: &str, rtt: Duration, now: Instant) {
        self.entry(id).rtt = Some((rtt, now));
    }

    /// A connection to it failed, or was given up as unhealthy.
    pub fn note_failure(&mut self, id: &str, now: Instant) {
        let failures = (self.failures(id, now) + 1.0).min(FAILURES_MOST);
        self.entry(id).failures = Some((failures, now));
    }

    /// A connection to it carried traffic: earlier failures are forgiven.
    pub fn note_success(&mut self, id: &str) {
        if let Some(entry) = self.entries.get_mut(id) {
            entry.failures = None;
        }
    }

    /// The last round trip, while it is believed.
    pub fn rtt(&self, id: &str, now: Instant) -> Option<Duration> {
        let (rtt, at) = self.entries.get(id)?.rtt?;
        (now.since(at) <= RTT_LIFE).then_some(rtt)
    }

    /// Failures, faded: one counts 0.5 after a half life.
    pub fn failures(&self, id: &str, now: Instant) -> f64 {
        let Some((count, at)) = self.entries.get(id).and_then(|e| e.failures) else { return 0.0 };
        count * (-now.since(at).as_secs_f64() / FAILURE_HALF_LIFE.as_secs_f64()).exp2()
    }

    /// Whether it is to be avoided while there are others.
    pub fn has_failed(&self, id: &str, now: Instant) -> bool {
        self.failures(id, now) > 0.5
    }

    /// When it failed last, while it is to be avoided.
    pub fn failed_at(&self, id: &str, now: Instant) -> Option<Instant> {
        self.entries.get(id)?.failures.map(|(_, at)| at).filter(|_| self.has_failed(id, now))
    }

    fn entry(&mut self, id: &str) -> &mut Entry {
        if self.entries.len() >= ENTRIES_MOST && !self.entries.contains_key(id) {
            let heard_at = |e: &Entry| e.rtt.map(|r| r.1).max(e.failures.map(|f| f.1));
            let oldest = self.entries.iter().min_by_key(|(_, e)| heard_at(e)).map(|(id, _)| id.clone());
            oldest.and_then(|id| self.entries.remove(&id));
        }
        self.entries.entry(id.to_owned()).or_default()
    }

    /// One line a server: id, round trip and its instant, failures and their instant; tabs between, microseconds,
    /// `-` for none.
    pub fn emit(&self) -> String {
        let mut lines: Vec<String> = Vec::with_capacity(self.entries.len());
        for (id, entry) in self.entries.iter().filter(|(id, _)| !id.contains(['\t', '\n'])) {
            let mut line = id.clone();
            let micros = |at: Instant| at.since_boot().as_micros();
            let _ = match entry.rtt {
                Some((rtt, at)) => write!(line, "\t{}\t{}", rtt.as_micros(), micros(at)),
                None => write!(line, "\t-\t-"),
            };
            let _ = match entry.failures {
                Some((count, at)) => writeln!(line, "\t{count}\t{}", micros(at)),
                None => writeln!(line, "\t-\t-"),
            };
            lines.push(line);
        }
        lines.sort();
        lines.concat()
    }

    /// Parses what [`Memory::emit`] wrote; lines that are something else, or that speak of later, are left out.
    pub fn parse(text: &str, now: Instant) -> Memory {
        let entry = |line: &str| {
            let fields: [&str; 5] = line.split('\t').collect::<Vec<_>>().try_into().ok()?;
            let micros = |t: &str| t.parse().ok().map(Duration::from_micros);
            let at = |t: &str| micros(t).map(Instant::from_boot).filter(|at| *at <= now);
            let count = fields[3].parse().ok().filter(|c: &f64| (0.0..=FAILURES_MOST).contains(c));
            Some((
                fields[0].to_owned(),
                Entry { rtt: micros(fields[1]).zip(at(fields[2])), failures: count.zip(at(fields[4])) },
            ))
        };
        Memory { entries: text.lines().filter_map(entry).take(ENTRIES_MOST).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::millis;

    fn at(minutes: u64) -> Instant {
        Instant::BOOT + secs(60 * minutes)
    }

    #[test]
    fn a_failure_fades_and_is_forgiven_after_success() {
        let mut memory = Memory::default();
        memory.note_failure("a", at(0));
        assert!(memory.has_failed("a", at(29)) && !memory.has_failed("a", at(31)));
        memory.note_failure("a", at(30));
        assert!((memory.failures("a", at(30)) - 1.5).abs() < 1e-9);
        memory.note_success("a");
        assert_eq!(memory.failures("a", at(30)), 0.0);
        assert!(!memory.has_failed("b", at(0)));
    }

    #[test]
    fn a_round_trip_is_believed_for_six_hours() {
        let mut memory = Memory::default();
        memory.note_rtt("a", millis(12), at(0));
        assert_eq!(memory.rtt("a", at(360)), Some(millis(12)));
        assert_eq!(memory.rtt("a", at(361)), None);
    }

    #[test]
    fn the_text_gives_back_what_was_remembered_and_nonsense_is_left_out() {
        let mut memory = Memory::default();
        memory.note_rtt("NL#12 a", millis(12), at(1));
        memory.note_failure("CH#1", at(2));
        memory.note_failure("CH#1", at(3));
        assert_eq!(Memory::parse(&memory.emit(), at(3)), memory);
        let nonsense = "x\ty\n\n\u{0}\t\t\t\t\t\nNL#1\t-\t-\tNaN\t1\nNL#2\t1\t99999999999999\t-\t-\n";
        let nothing = Memory::parse(nonsense, at(3));
        assert_eq!((nothing.rtt("NL#2", at(3)), nothing.failures("NL#1", at(3))), (None, 0.0));
        // Cut off anywhere, it is a memory all the same.
        let text = memory.emit();
        for end in 0..text.len() {
            Memory::parse(&text[..end], at(3));
        }
    }

    #[test]
    fn however_often_it_failed_an_hour_and_a_half_is_enough() {
        let mut memory = Memory::default();
        for _ in 0..100 {
            memory.note_failure("a", at(0));
        }
        assert!(memory.has_failed("a", at(89)) && !memory.has_failed("a", at(91)));
    }

    #[test]
    fn the_longest_unheard_of_goes_first() {
        let mut memory = Memory::default();
        for n in 0..=ENTRIES_MOST as u64 {
            memory.note_rtt(&n.to_string(), millis(n), at(n));
        }
        assert_eq!(memory.entries.len(), ENTRIES_MOST);
        assert!(!memory.entries.contains_key("0") && memory.entries.contains_key("1"));
    }
}
