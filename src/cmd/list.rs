//! `list`: what matches, by name, by the provider's score, or measured and sorted.

use super::outside::Outside;
use super::place;
use super::waiting::Waiting;
use crate::cli;
use crate::cli::Global;
use crate::config::{Config, Fastest};
use crate::daemon::run::with_provider;
use crate::error::{Doing, Error, Exit, Result};
use crate::provider::{Provider, ProviderKind, Server};
use crate::select::probe::{Measured, Plan};
use crate::select::{Wanted, natural, sift};
use crate::status::Paint;
use crate::status::listing::{Listing, Order, Shape};
use crate::sys::clock::System;
use crate::sys::measure::{Onlooker, measure_servers};
use crate::sys::resolve::{self, Resolver};
use crate::sys::socket::Egress;
use crate::sys::{Clock, terminal, user};
use crate::time::Duration;
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};

/// A terminal that does not tell its width; chosen: the least there is.
const WIDTH: usize = 80;

/// Needs no root for servers from files that may be read, unless it is to measure.
pub fn run(global: &Global, filter: &cli::Filter, json: bool) -> Result<Exit> {
    let place = place(global);
    let (config, found) = place.config().map_err(|e| needs_root(e, &place.dir))?;
    let kind = match filter.provider {
        Some(kind) => kind,
        None => config.guess_provider(&found)?,
    };
    if kind != ProviderKind::File || filter.fastest == Some(Fastest::Ping) {
        super::need_root("list, but for .conf files that are not measured,")?;
    }
    let _outside = match (kind, filter.fastest) {
        (ProviderKind::File, None | Some(Fastest::Api)) => None,
        _ => Some(Outside::open(&config.dir)?),
    };
    let shape = match (json, io::stdout().is_terminal()) {
        (true, _) => Shape::Json,
        (false, true) => {
            let paint = if terminal::has_colours() { Paint::Colour } else { Paint::Plain };
            Shape::Table { width: terminal::columns().unwrap_or(WIDTH), paint }
        }
        (false, false) => Shape::Tabs,
    };
    let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
    let measure = &mut |servers: &[&Server]| {
        let began_at = System.now();
        let measured = measure_all(servers, &resolver)?;
        say_how_it_went(global, &measured, System.now().since(began_at));
        Ok(measured)
    };
    let waiting = (kind != ProviderKind::File).then(|| Waiting::show("reading the server list"));
    let listing = with_provider(&config, kind, |p| list(p, filter, &config, measure));
    drop(waiting);
    let listing = listing?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = listing.emit(shape, &mut |text| out.write_all(text.as_bytes())).and_then(|()| out.flush());
    match written {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).doing(|| "write to standard output"),
        _ => Ok(Exit::Done),
    }
}

/// Somebody else's configuration, or none of one's own, is root's matter; a mistake in a file that can be read is not.
fn needs_root(e: Error, dir: &std::path::Path) -> Error {
    let can_read = std::fs::File::open(dir.join(crate::config::load::FILE_NAME)).is_ok();
    if user::is_root() || can_read {
        return e;
    }
    Error::new(Exit::NotPermitted, format!("{e}; or run it with sudo"))
}

/// What to print, sorted; one server is looked at at a time, but for measuring. `measure` is asked for round trips with
/// `--fastest ping` alone: `fastest` of the configuration is how `connect` chooses, not how a list is sorted.
pub fn list(
    provider: &mut dyn Provider,
    filter: &cli::Filter,
    config: &Config,
    measure: &mut dyn FnMut(&[&Server]) -> Result<Vec<Measured>>,
) -> Result<Listing> {
    let wanted = Wanted::to_list(filter, config);
    let mut listing = Listing::default();
    // The servers of a PIA region are as good as each other: it is one row, with the first or fastest of them.
    let mut regions = HashSet::new();
    let mut is_first = |s: &Server| s.region.as_ref().is_none_or(|region| regions.insert(region.clone()));
    if filter.fastest != Some(Fastest::Ping) {
        let keep = &mut |s: Server| {
            if is_first(&s) {
                listing.push(&s, None);
            }
        };
        sift(provider, &wanted, keep)?;
        listing.sort(if filter.fastest == Some(Fastest::Api) { Order::Score } else { Order::Name });
        return Ok(listing);
    }
    let mut matching = Vec::new();
    sift(provider, &wanted, &mut |s| matching.push(s))?;
    matching.sort_by(|a, b| natural(&a.name, &b.name));
    let matching: Vec<&Server> = matching.iter().collect();
    let mut rows: Vec<_> = matching.iter().zip(measure(&matching)?).map(|(s, m)| (*s, m.rtt)).collect();
    rows.sort_by_key(|(_, rtt)| (rtt.is_none(), *rtt));
    rows.into_iter().filter(|(s, _)| is_first(s)).for_each(|(s, rtt)| listing.push(s, rtt));
    listing.sort(Order::Rtt);
    Ok(listing)
}

/// Measures all of them outside the tunnel, with progress on standard error if that is a terminal. `resolver` finds
/// the servers that are listed by name.
pub fn measure_all(servers: &[&Server], resolver: &Resolver) -> Result<Vec<Measured>> {
    let mut progress = Progress::new();
    let plan = Plan::for_all(servers.len());
    progress.show(0, servers.len());
    let mut show = |answered, all| progress.show(answered, all);
    let mut onlooker = Onlooker { progress: &mut show };
    let measured = measure_servers(servers, &plan, &Egress::outside(), resolver, &mut onlooker);
    progress.clear();
    measured.doing(|| "measure round trips")
}

/// That nobody answered explains an order that is not what was asked for; the rest is for a terminal alone.
fn say_how_it_went(global: &Global, measured: &[Measured], took: Duration) {
    let (answered, all) = (measured.iter().filter(|m| m.rtt.is_some()).count(), measured.len());
    if answered == 0 {
        super::note(global, &format!("none of {all} answered a ping, so the provider's order decides"));
    } else if io::stderr().is_terminal() {
        let took = took.as_secs_f64();
        super::note(global, &format!("{answered} of {all} answered a ping; measured in {took:.1} s"));
    }
}

/// One line that rewrites itself.
struct Progress {
    on_terminal: bool,
}

impl Progress {
    fn new() -> Progress {
        Progress { on_terminal: io::stderr().is_terminal() }
    }

    fn show(&mut self, answered: usize, all: usize) {
        self.write(&format!("\rmeasuring: {answered} of {all} answered"));
    }

    fn clear(&mut self) {
        self.write(terminal::clear_line());
    }

    fn write(&mut self, text: &str) {
        if self.on_terminal {
            let mut err = io::stderr();
            // A terminal that is gone has nobody to tell.
            let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        }
    }
}

#[cfg(test)]
mod tests;
