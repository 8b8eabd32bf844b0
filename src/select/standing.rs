//! How a server in use stands: whether it meets a wish, whether it is the first choice, and whether a better one that
//! was left because of faults is well again.
//!
//! Better is who is preferred whatever the speed (a region, a country, a forwarded port), or alike and clearly faster. A
//! better one is gone back to when its failures have faded and all probes to it came back; where a server is not known to
//! answer probes, the handshake decides.

use super::Sample;
use super::decide::{is_clearly_faster, weigh};
use super::filter::{Shortlist, preference, shortlist};
use super::memory::Memory;
use super::wanted::Wanted;
use crate::provider::Server;
use crate::time::Instant;

/// Better servers that are measured at once; chosen: as many as a choice measures.
const MEASURED_MOST: usize = 40;

/// What there is to come back to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outlook<'a> {
    /// No server is better than the one in use.
    Best,
    /// A better one is not well yet.
    Later,
    /// This one is better, and well.
    Back(&'a Server),
}

/// Whether this server passes the filters of the wish.
pub fn meets(server: &Server, wanted: &Wanted) -> bool {
    shortlist(std::slice::from_ref(server), wanted).is_ok()
}

/// Whether no other place is preferred to this server's.
pub fn is_first_choice(server: &Server, wanted: &Wanted) -> bool {
    let (_, _, country, region) = preference(server, wanted);
    (country == 0 || wanted.countries.is_empty()) && (region == 0 || wanted.regions.is_empty())
}

/// Whom to measure before [`outlook`]: who may be better than `current`, and itself.
pub fn rivals<'a>(list: &Shortlist<'a>, current: &Server, wanted: &Wanted) -> Vec<&'a Server> {
    let rank = preference(current, wanted);
    let preferred = list.servers.iter().take_while(|s| preference(s, wanted) < rank);
    let mut chosen: Vec<&Server> = preferred.copied().take(MEASURED_MOST).collect();
    if chosen.is_empty() {
        chosen = list.sample();
    }
    let itself = list.servers.iter().find(|s| s.id == current.id);
    if !chosen.iter().any(|s| s.id == current.id) {
        chosen.extend(itself);
    }
    chosen
}

/// Judges. `samples` is what was measured of [`rivals`], empty if nothing was.
pub fn outlook<'a>(
    list: &Shortlist<'a>,
    samples: &[Sample<'a>],
    current: &Server,
    wanted: &Wanted,
    memory: &Memory,
    now: Instant,
) -> Outlook<'a> {
    if list.named {
        return Outlook::Best;
    }
    let weights = weigh(samples, memory, now);
    let speed = |s: &Server| weights.get(s.id.as_str()).copied().or_else(|| memory.rtt(&s.id, now));
    let rank = preference(current, wanted);
    let is_better = |s: &Server| {
        let its = preference(s, wanted);
        s.id != current.id
            && (its < rank || its == rank && speed(s).zip(speed(current)).is_some_and(is_clearly_faster))
    };
    let is_well = |s: &Server| match samples.iter().find(|(sample, _)| sample.id == s.id) {
        Some((_, m)) if m.received > 0 => m.lost() == 0,
        Some(_) => memory.rtt(&s.id, now).is_none(),
        None => samples.is_empty(),
    };
    let better: Vec<&Server> = list.servers.iter().copied().filter(|s| is_better(s)).collect();
    let well = better.iter().copied().filter(|s| !memory.has_failed(&s.id, now) && is_well(s));
    // The first of equals is the first of the list.
    match well.min_by_key(|s| (preference(s, wanted), speed(s).is_none(), speed(s))) {
        Some(server) => Outlook::Back(server),
        None if better.is_empty() => Outlook::Best,
        None => Outlook::Later,
    }
}

#[cfg(test)]
mod tests;
