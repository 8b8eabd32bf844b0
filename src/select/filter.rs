//! Filters, and the order of what they leave.

use super::names::{folded, is_in_city, is_named, natural};
use super::wanted::Wanted;
use crate::error::{Error, Exit};
use crate::provider::{Country, Provider, Server};
use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// The filter that removed the last servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    Server,
    Country,
    City,
    Region,
    SecureCore,
    P2p,
    Forwarding,
    Load,
}

/// No server matches: which filter removed the last ones, and how many those were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoServer {
    pub filter: Option<Filter>,
    pub removed: usize,
    /// What was asked of that filter.
    pub value: String,
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, n) = (&self.value, self.removed);
        let left = if n == 1 { "the one server left".to_owned() } else { format!("the last {n} servers") };
        match self.filter {
            None => f.write_str("no server matches: the list is empty"),
            Some(Filter::Server) => write!(f, "no server matches: --server {value} is none of {n}"),
            Some(Filter::Country) => write!(f, "no server matches: --cc {value} removed {left}"),
            Some(Filter::City) => write!(f, "no server matches: --city {value} removed {left}"),
            Some(Filter::Region) => write!(f, "no server matches: region {value} removed {left}"),
            Some(Filter::SecureCore) => write!(f, "no server matches: --sc removed {left}"),
            Some(Filter::P2p) => write!(f, "no server matches: --p2p removed {left}"),
            Some(Filter::Forwarding) => {
                write!(f, "no server matches: --p2p allows none that forwards no ports, which removed {left}")
            }
            Some(Filter::Load) => write!(f, "no server matches: --threshold {value} removed {left}"),
        }
    }
}

impl From<NoServer> for Error {
    fn from(e: NoServer) -> Error {
        Error::new(Exit::NoServer, e.to_string())
    }
}

/// The servers that match, best first as far as the list itself tells; never empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortlist<'a> {
    pub servers: Vec<&'a Server>,
    /// How many at the head are equally preferred, so that a measurement may reorder them.
    pub alike: usize,
    /// Whether a person named the server: nothing is measured then.
    pub named: bool,
}

/// Default sample of a measurement; `product.md` and the design card.
const SAMPLE: usize = 40;
/// Sample where the list has no scores to choose by (PIA: about 160 regions); chosen: each region or city once.
const SAMPLE_UNSCORED: usize = 250;

/// What a list has data for: a filter without any removes nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    regions: bool,
    cities: bool,
    loads: bool,
}

impl Known {
    fn note(&mut self, s: &Server) {
        self.regions |= s.region.is_some();
        self.cities |= s.city.is_some();
        self.loads |= s.load.is_some();
    }

    /// Whether a filter of this wish depends on it.
    fn matters(wanted: &Wanted) -> bool {
        wanted.city.is_some() || wanted.threshold.is_some() || !wanted.regions.is_empty()
    }
}

/// The filters, for one server at a time.
struct Sieve<'w> {
    wanted: &'w Wanted,
    filters: Vec<Filter>,
    /// How many came to each filter, and behind the last.
    came: Vec<usize>,
}

impl<'w> Sieve<'w> {
    fn new(wanted: &'w Wanted, known: Known) -> Sieve<'w> {
        let filters = filters(known, wanted);
        let came = vec![0; filters.len() + 1];
        Sieve { wanted, filters, came }
    }

    fn admits(&mut self, s: &Server) -> bool {
        let stopped = self.filters.iter().position(|&filter| !passes(s, filter, self.wanted));
        let last = stopped.unwrap_or(self.filters.len());
        self.came.iter_mut().take(last + 1).for_each(|n| *n += 1);
        stopped.is_none()
    }

    /// Whether any was admitted; else what removed the last ones.
    fn verdict(&self) -> Result<(), NoServer> {
        match self.came.iter().position(|&n| n == 0) {
            None => Ok(()),
            // Nobody came at all.
            Some(0) => Err(NoServer { filter: None, removed: 0, value: String::new() }),
            Some(nth) => {
                let filter = self.filters[nth - 1];
                let (removed, value) = (self.came[nth - 1], asked(filter, self.wanted));
                Err(NoServer { filter: Some(filter), removed, value })
            }
        }
    }
}

/// Keeps the servers that pass. A long list is looked at one server at a time; twice, where a filter has to know first
/// what there is data for.
pub fn sift(provider: &mut dyn Provider, wanted: &Wanted, keep: &mut dyn FnMut(Server)) -> Result<(), Error> {
    let mut known = Known::default();
    if Known::matters(wanted) {
        provider.visit_servers(false, &mut |s| known.note(&s))?;
    }
    let mut sieve = Sieve::new(wanted, known);
    provider.visit_servers(false, &mut |s| {
        if sieve.admits(&s) {
            keep(s);
        }
    })?;
    Ok(sieve.verdict()?)
}

/// Filters and orders.
pub fn shortlist<'a>(servers: &'a [Server], wanted: &Wanted) -> Result<Shortlist<'a>, NoServer> {
    let mut known = Known::default();
    servers.iter().for_each(|s| known.note(s));
    let mut sieve = Sieve::new(wanted, known);
    let mut left: Vec<&Server> = servers.iter().filter(|s| sieve.admits(s)).collect();
    sieve.verdict()?;
    left.sort_by(|a, b| preference(a, wanted).cmp(&preference(b, wanted)).then_with(|| by_list(a, b)));
    let best = preference(left[0], wanted);
    let alike = left.iter().take_while(|s| preference(s, wanted) == best).count();
    Ok(Shortlist { servers: left, alike, named: wanted.server.is_some() })
}

impl<'a> Shortlist<'a> {
    /// Whom to measure for a choice: a bounded sample of the most preferred, the best of each city first. Nobody if
    /// there is nothing to choose, so that `connect` to the one there is begins at once.
    pub fn sample(&self) -> Vec<&'a Server> {
        let alike = &self.servers[..self.alike];
        if self.named || alike.len() < 2 {
            return Vec::new();
        }
        let most = if alike.iter().any(|s| s.score.is_some()) { SAMPLE } else { SAMPLE_UNSCORED };
        let mut seen = HashMap::new();
        let mut nth_of_its_place = |s: &Server| {
            let count = seen.entry((s.country, s.region.clone(), s.city.clone())).or_insert(0_usize);
            *count += 1;
            *count
        };
        let mut ranked: Vec<_> = alike.iter().map(|&s| (nth_of_its_place(s), s)).collect();
        ranked.sort_by_key(|&(nth, _)| nth); // stable: by the list within each
        ranked.into_iter().take(most).map(|(_, s)| s).collect()
    }
}

/// The filters that were asked for and that the list has data for, in the order of the error a person expects.
fn filters(known: Known, wanted: &Wanted) -> Vec<Filter> {
    if wanted.server.is_some() {
        let all =
            [(Filter::Server, true), (Filter::SecureCore, wanted.secure_core), (Filter::P2p, wanted.p2p)];
        return all.into_iter().filter_map(|(f, on)| on.then_some(f)).collect();
    }
    [
        (Filter::Country, !wanted.countries.is_empty()),
        (Filter::City, wanted.city.is_some() && (known.regions || known.cities)),
        (Filter::Region, !wanted.regions.is_empty() && known.regions),
        (Filter::SecureCore, wanted.secure_core),
        (Filter::P2p, wanted.p2p),
        (Filter::Forwarding, wanted.p2p && wanted.forwarding),
        (Filter::Load, wanted.threshold.is_some() && known.loads),
    ]
    .into_iter()
    .filter_map(|(f, on)| on.then_some(f))
    .collect()
}

fn passes(s: &Server, filter: Filter, wanted: &Wanted) -> bool {
    match filter {
        Filter::Server => wanted.server.as_deref().is_none_or(|name| is_named(s, name)),
        Filter::Country => s.country.is_some_and(|c| wanted.countries.contains(&c)),
        Filter::City => wanted.city.as_deref().is_none_or(|city| is_in_city(s, city)),
        Filter::Region => region_index(s, wanted).is_some(),
        Filter::SecureCore => s.features.secure_core,
        Filter::P2p => s.features.p2p,
        Filter::Forwarding => s.features.forwards != Some(false),
        Filter::Load => s.load.zip(wanted.threshold).is_none_or(|(load, most)| load <= most),
    }
}

fn asked(filter: Filter, wanted: &Wanted) -> String {
    match filter {
        Filter::Server => wanted.server.clone().unwrap_or_default(),
        Filter::Country => wanted.countries.iter().map(Country::to_string).collect::<Vec<_>>().join(", "),
        Filter::City => wanted.city.clone().unwrap_or_default(),
        Filter::Region => wanted.regions.join(", "),
        Filter::Load => wanted.threshold.unwrap_or_default().to_string(),
        Filter::SecureCore | Filter::P2p | Filter::Forwarding => String::new(),
    }
}

fn region_index(s: &Server, wanted: &Wanted) -> Option<usize> {
    let is_it = |r: &String| {
        let r = folded(r);
        let names = [s.region.as_ref(), Some(&s.name), s.city.as_ref()];
        names.into_iter().flatten().any(|name| folded(name) == r)
    };
    wanted.regions.iter().position(is_it)
}

/// Which of two is preferred whatever their speed; smaller is better. Servers with a second hop or Tor behind them
/// come last unless asked for: the round trip to their entry says nothing about them. So do those that their provider
/// does not pick by itself.
pub(super) fn preference(s: &Server, wanted: &Wanted) -> (u8, u8, usize, usize) {
    let forwards = match s.features.forwards {
        _ if !wanted.forwarding => 0,
        Some(true) => 0,
        None => 1,
        Some(false) => 2,
    };
    let region = region_index(s, wanted);
    let detour = u8::from(
        s.features.tor
            || s.features.secure_core && !wanted.secure_core
            || s.features.on_request && region.is_none(),
    );
    let country = s.country.and_then(|c| wanted.countries.iter().position(|&w| w == c)).unwrap_or(usize::MAX);
    (forwards, detour, country, region.unwrap_or(usize::MAX))
}

/// The provider's own order: score, then load, then name; what has no data comes after what has.
pub fn by_list(a: &Server, b: &Server) -> Ordering {
    by_score((a.score, a.load), (b.score, b.load)).then_with(|| natural(&a.name, &b.name))
}

/// As [`by_list`], by score and load alone.
pub fn by_score(a: (Option<f64>, Option<u8>), b: (Option<f64>, Option<u8>)) -> Ordering {
    let known = |score: Option<f64>| (score.is_none(), score.unwrap_or_default());
    let (a_score, b_score) = (known(a.0), known(b.0));
    (a_score.0.cmp(&b_score.0))
        .then(a_score.1.total_cmp(&b_score.1))
        .then((a.1.is_none(), a.1).cmp(&(b.1.is_none(), b.1)))
}

#[cfg(test)]
mod tests;
