//! `list`: what matches, by name, by the provider's score, or measured and sorted.

use super::outside::Outside;
use super::{place, print};
use crate::cli;
use crate::cli::Global;
use crate::config::{Config, Fastest};
use crate::daemon::run::with_provider;
use crate::error::{Doing, Error, Exit, Result};
use crate::provider::{ProviderKind, Server};
use crate::select::probe::{Measured, Plan};
use crate::select::{Wanted, by_list, natural, shortlist};
use crate::status::Paint;
use crate::status::listing::{Row, emit_json, table, tabs};
use crate::sys::measure::{Onlooker, measure_servers};
use crate::sys::resolve::{self, Resolver};
use crate::sys::signal::Signals;
use crate::sys::socket::Egress;
use crate::sys::{terminal, user};
use crate::time::Duration;
use std::collections::HashSet;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

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
    let servers = with_provider(&config, kind, |p| p.list_servers(false))?;
    let shape = match (json, io::stdout().is_terminal()) {
        (true, _) => Shape::Json,
        (false, true) => {
            let paint = if terminal::has_colours() { Paint::Colour } else { Paint::Plain };
            Shape::Table { width: terminal::columns().unwrap_or(WIDTH), paint }
        }
        (false, false) => Shape::Tabs,
    };
    let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
    let text = list(&servers, filter, &config, shape, &mut |s| measure_all(s, &resolver))?;
    print(&text)
}

/// Somebody else's configuration, or none of one's own, is root's matter; a mistake in a file that can be read is not.
fn needs_root(e: Error, dir: &std::path::Path) -> Error {
    let can_read = std::fs::File::open(dir.join(crate::config::load::FILE_NAME)).is_ok();
    if user::is_root() || can_read {
        return e;
    }
    Error::new(Exit::NotPermitted, format!("{e}; or run it with sudo"))
}

/// How the rows are printed.
#[derive(Clone, Copy)]
pub enum Shape {
    Table { width: usize, paint: Paint },
    Tabs,
    Json,
}

/// The text to print. `measure` is asked for round trips with `--fastest ping` alone: `fastest` of the configuration
/// is how `connect` chooses, not how a list is sorted.
pub fn list(
    servers: &[Server],
    filter: &cli::Filter,
    config: &Config,
    shape: Shape,
    measure: &mut dyn FnMut(&[&Server]) -> Result<Vec<Measured>>,
) -> Result<String> {
    let mut matching = shortlist(servers, &Wanted::to_list(filter, config))?.servers;
    matching.sort_by(|a, b| natural(&a.name, &b.name));
    let mut rows: Vec<(&Server, Option<Duration>)> = match filter.fastest {
        Some(Fastest::Ping) => {
            let measured = measure(&matching)?;
            matching.into_iter().zip(measured.into_iter().map(|m| m.rtt)).collect()
        }
        _ => matching.into_iter().map(|s| (s, None)).collect(),
    };
    match filter.fastest {
        Some(Fastest::Ping) => {
            rows.sort_by(|(a, x), (b, y)| {
                (x.is_none(), x).cmp(&(y.is_none(), y)).then_with(|| by_list(a, b))
            });
        }
        Some(Fastest::Api) => rows.sort_by(|(a, _), (b, _)| by_list(a, b)),
        None => (),
    }
    let mut regions = HashSet::new();
    // The servers of a PIA region are as good as each other: it is one row, with the first of them.
    rows.retain(|(s, _)| s.region.as_ref().is_none_or(|region| regions.insert(region)));
    let rows: Vec<Row> = rows.into_iter().map(|(s, rtt)| Row::new(s, rtt)).collect();
    Ok(match shape {
        Shape::Table { width, paint } => table(&rows, width, paint),
        Shape::Tabs => tabs(&rows),
        Shape::Json => emit_json(&rows),
    })
}

/// Measures all of them outside the tunnel, with progress on standard error if that is a terminal. `resolver` finds
/// the servers that are listed by name.
pub fn measure_all(servers: &[&Server], resolver: &Resolver) -> Result<Vec<Measured>> {
    let mut progress = Progress::new();
    let plan = Plan::for_all(servers.len());
    // Ctrl-C ends the wait, not the process: what was opened for the probes is closed again.
    let signals = Signals::block_endings().doing(|| "block signals")?;
    let mut show = |answered, all| progress.show(answered, all);
    let mut onlooker = Onlooker { progress: &mut show, stop: Some(signals.as_fd()) };
    let measured = measure_servers(servers, &plan, &Egress::outside(), resolver, &mut onlooker);
    progress.clear();
    match measured {
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(Error::new(Exit::Interrupted, "interrupted")),
        measured => measured.doing(|| "measure round trips"),
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

    /// Leaves no trace of the line (ECMA-48, erase in line).
    fn clear(&mut self) {
        self.write("\r\x1b[K");
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
