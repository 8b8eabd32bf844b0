//! The decision: which of the shortlisted servers to take, in which order to try the others, and why.
//!
//! The smallest round trip wins; each lost probe counts [`LOSS`] against it. Those within [`TIE`] of the best are as good as
//! it, and the provider's order decides among them. A server in use is kept unless another is clearly faster. Those that
//! have failed stand behind the others, the latest failure last: where all have, the one that just died is not the next.

use super::filter::Shortlist;
use super::memory::Memory;
use super::probe::Measured;
use crate::provider::Server;
use crate::time::{Duration, Instant, millis};
use std::collections::HashMap;

/// By what a server was chosen: the `by` of `status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Ping,
    Api,
    /// A person named it.
    Name,
    /// There was one candidate.
    Only,
    /// The one in use was kept.
    Kept,
}

impl By {
    pub const fn name(self) -> &'static str {
        match self {
            By::Ping => "ping",
            By::Api => "api",
            By::Name => "name",
            By::Only => "only",
            By::Kept => "kept",
        }
    }
}

/// `choice` of `status --json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    pub by: By,
    /// How many it was chosen from: measured ones by ping, all that match otherwise.
    pub candidates: usize,
    pub reason: String,
}

/// Servers in the order to try them, best first, never empty, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    pub servers: Vec<&'a Server>,
    pub choice: Choice,
}

/// A measured server and what was measured.
pub type Sample<'a> = (&'a Server, Measured);

/// What a lost probe adds to the round trip. Chosen: two of three lost cost 4 %, so that chance losses on a bad line
/// do not push a server more than 10 % faster behind another.
const LOSS: f64 = 0.02;
/// Round trips this close are alike; chosen, near what repeated measurements of one server differ by.
const TIE: f64 = 0.03;
const TIE_LEAST: Duration = Duration::from_micros(100);
/// "Clearly faster" than the server in use: by a fifth and by 5 ms. Chosen.
const KEEP: f64 = 0.8;
const KEEP_LEAST: Duration = millis(5);

/// Decides. `samples` is what was measured of [`Shortlist::sample`], empty if nothing was; `in_use` the id of the
/// server whose connection is healthy, if any.
pub fn decide<'a>(
    list: &Shortlist<'a>,
    samples: &[Sample<'a>],
    in_use: Option<&str>,
    memory: &Memory,
    now: Instant,
) -> Decision<'a> {
    let weights = weigh(samples, memory, now);
    let weight = |s: &Server| weights.get(s.id.as_str()).copied();
    let least =
        list.servers.iter().filter(|s| !memory.has_failed(&s.id, now)).filter_map(|s| weight(s)).min();
    let is_tied =
        |w: Duration| least.is_some_and(|least| w <= least.mul_f64(1.0 + TIE).max(least + TIE_LEAST));
    let mut order: Vec<(usize, &Server)> = list.servers.iter().copied().enumerate().collect();
    order.sort_by_key(|&(nth, s)| {
        let speed = weight(s).map_or(Duration::MAX, |w| if is_tied(w) { Duration::ZERO } else { w });
        let failed_at = memory.failed_at(&s.id, now);
        (failed_at.is_some(), nth >= list.alike, failed_at, speed, nth)
    });
    let kept = order.iter().position(|(_, s)| Some(s.id.as_str()) == in_use).filter(|&at| {
        let (best, current) = (order[0].1, order[at].1);
        let slow = weight(current).or_else(|| memory.rtt(&current.id, now));
        order[at].0 < list.alike
            && !memory.has_failed(&current.id, now)
            && !weight(best).zip(slow).is_some_and(is_clearly_faster)
    });
    if let Some(at) = kept {
        order[..=at].rotate_right(1);
    }
    let servers: Vec<&Server> = order.into_iter().map(|(_, s)| s).collect();
    let choice = explain(list, samples, servers[0], weight(servers[0]), kept.is_some());
    Decision { servers, choice }
}

/// Whether the first of two round trips is worth leaving a server for that has the second.
pub(super) fn is_clearly_faster((fast, slow): (Duration, Duration)) -> bool {
    fast <= slow.mul_f64(KEEP) && fast + KEEP_LEAST <= slow
}

/// Round trips by id, losses counted in. When nobody answered: those remembered.
pub(super) fn weigh<'a>(samples: &[Sample<'a>], memory: &Memory, now: Instant) -> HashMap<&'a str, Duration> {
    let weighed = |(s, m): &Sample<'a>| {
        let factor = 1.0 + LOSS * f64::from(m.lost());
        m.rtt.map(|rtt| (s.id.as_str(), rtt.mul_f64(factor)))
    };
    let weights: HashMap<_, _> = samples.iter().filter_map(weighed).collect();
    if !weights.is_empty() {
        return weights;
    }
    samples.iter().filter_map(|(s, _)| Some((s.id.as_str(), memory.rtt(&s.id, now)?))).collect()
}

fn explain(
    list: &Shortlist<'_>,
    samples: &[Sample<'_>],
    best: &Server,
    weight: Option<Duration>,
    kept: bool,
) -> Choice {
    let answered = samples.iter().filter(|(_, m)| m.rtt.is_some()).count();
    let measured = samples.iter().find(|(s, _)| s.id == best.id).and_then(|(_, m)| m.rtt);
    let (name, all, asked) = (&best.name, list.servers.len(), samples.len());
    let (by, candidates, reason) = match (kept, measured) {
        _ if list.named => (By::Name, all, format!("{name} was asked for by name")),
        _ if all == 1 => (By::Only, 1, format!("{name} is the only server that matches")),
        (true, Some(rtt)) => {
            (By::Kept, asked, format!("{name} is kept at {}: none is clearly faster", ms(rtt)))
        }
        (true, None) => (By::Kept, all, format!("{name} is kept: none is known to be clearly faster")),
        (false, Some(rtt)) => {
            let reason =
                format!("{name} answered in {}, best of {answered} that answered of {asked} asked", ms(rtt));
            (By::Ping, asked, reason)
        }
        (false, None) if answered > 0 => (
            By::Api,
            all,
            format!("{name}: what answered has failed lately, so the provider's order of {all} decides"),
        ),
        (false, None) if asked > 0 && weight.is_some() => {
            (By::Api, all, format!("{name}: none of {asked} answered a ping, so earlier round trips decide"))
        }
        (false, None) if asked > 0 => (
            By::Api,
            all,
            format!("{name}: none of {asked} answered a ping, so the provider's order of {all} decides"),
        ),
        (false, None) => (By::Api, all, format!("{name} is first of {all} by {}", ranked_by(best))),
    };
    Choice { by, candidates, reason }
}

/// By what the provider's list puts a server first.
fn ranked_by(s: &Server) -> String {
    match (s.score, s.load) {
        (Some(score), Some(load)) => format!("score {score:.2}, load {load} %"),
        (Some(score), None) => format!("score {score:.2}"),
        (None, Some(load)) => format!("load {load} %"),
        (None, None) => "name".to_owned(),
    }
}

fn ms(d: Duration) -> String {
    format!("{:.1} ms", d.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests;
