//! The blocking work of connecting, as jobs for a worker: choose a server, open a connection to it.

use super::super::Event;
use super::super::phase::{Choice, Ready};
use super::super::wish::Wish;
use crate::config::{Config, Fastest};
use crate::error::{Error, Exit, Result};
use crate::provider::file::FileProvider;
use crate::provider::proton::Proton;
use crate::provider::{Endpoint, Provider, ProviderKind, Server};
use crate::select::memory::Memory;
use crate::select::probe::Plan;
use crate::select::{self, Wanted};
use crate::sys::files::Disk;
use crate::sys::http::Client;
use crate::sys::resolve::{self, Resolver};
use crate::sys::socket::Egress;
use crate::sys::{Clock, clock, measure};
use crate::time::{Duration, secs};
use std::net::SocketAddr;

/// Bound of resolving one endpoint name.
const RESOLVE: Duration = secs(5);

/// What the wish means to the selector.
pub fn wanted(config: &Config, wish: &Wish) -> Wanted {
    Wanted {
        countries: wish.cc.clone(),
        city: wish.city.clone(),
        regions: if wish.cc.is_empty() { config.pia.region.clone() } else { Vec::new() },
        server: wish.server.clone(),
        secure_core: wish.secure_core,
        p2p: wish.p2p,
        threshold: Some(wish.threshold),
        forwarding: config.port_forwarding.enable,
        fastest: wish.fastest,
        latency_cutoff: wish.latency_cutoff,
    }
}

/// Runs `ask` with the provider of this kind over the real network and files.
pub fn with_provider<T>(
    config: &Config,
    kind: ProviderKind,
    ask: impl FnOnce(&mut dyn Provider) -> Result<T>,
) -> Result<T> {
    match kind {
        ProviderKind::File => ask(&mut FileProvider::new(config, Disk)),
        ProviderKind::Proton => {
            let http = Client::new(resolve::outside_servers());
            ask(&mut Proton::new(config, &http, &Disk, &clock::System)?)
        }
        ProviderKind::Pia => Err(Error::new(Exit::Usage, "this pvpn was built without PIA")),
    }
}

/// Lists, filters, measures where there is something to choose, and ranks.
pub fn choose(
    config: Config,
    wish: Wish,
    memory: Memory,
    current: Option<Server>,
) -> impl FnOnce() -> Event + Send {
    move || Event::Chosen(ranked(&config, &wish, memory, current.as_ref()))
}

fn ranked(config: &Config, wish: &Wish, mut memory: Memory, current: Option<&Server>) -> Result<Choice> {
    let clock = clock::System;
    let servers = with_provider(config, wish.provider, |p| p.list_servers(false))?;
    let wanted = wanted(config, wish);
    let list = select::shortlist(&servers, &wanted)?;
    let sample = match wish.fastest {
        Fastest::Ping if wish.server.is_none() => list.sample(),
        _ => Vec::new(),
    };
    let mut measured = Vec::new();
    if !sample.is_empty() {
        log::info!("select: measuring {} servers", sample.len());
        let plan = Plan { cutoff: wish.latency_cutoff, ..Plan::default() };
        let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
        match measure::measure_servers(&sample, &plan, &Egress::outside(), &resolver, &mut |_, _| true) {
            Ok(found) => measured = sample.iter().copied().zip(found).collect(),
            Err(e) => log::warn!("select: cannot measure: {e}"),
        }
    }
    let now = clock.now();
    for (server, found) in &measured {
        if let Some(rtt) = found.rtt {
            memory.note_rtt(&server.id, rtt, now);
        }
    }
    let decision = select::decide(&list, &measured, current.map(|s| s.id.as_str()), &memory, now);
    Ok(Choice {
        ranked: decision.servers.iter().take(RANKED_MOST).map(|s| (*s).clone()).collect(),
        by: if wish.server.is_some() { "name".to_owned() } else { decision.choice.by.name().to_owned() },
        candidates: decision.choice.candidates,
        reason: decision.choice.reason,
    })
}

/// Candidates kept for one attempt; chosen: more than can be tried before the list is chosen afresh.
const RANKED_MOST: usize = 20;

/// Logs in where needed, and resolves endpoint names outside the tunnel.
pub fn open(config: Config, server: Server) -> impl FnOnce() -> Event + Send {
    move || Event::Opened(Box::new(opened(&config, &server)))
}

fn opened(config: &Config, server: &Server) -> Result<Ready> {
    let connection = with_provider(config, server.provider, |p| p.open(server))?;
    let endpoints = connection
        .tunnel
        .peers
        .iter()
        .map(|p| p.endpoint.as_ref().map(resolved).transpose())
        .collect::<Result<Vec<Option<SocketAddr>>>>()?;
    if endpoints.iter().all(Option::is_none) {
        return Err(Error::new(Exit::BadConfig, format!("{}: no peer has an Endpoint", server.name)));
    }
    Ok(Ready { connection, endpoints })
}

fn resolved(endpoint: &Endpoint) -> Result<SocketAddr> {
    match endpoint {
        Endpoint::Addr(addr) => Ok(*addr),
        Endpoint::Name { host, port } => {
            let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
            let found = resolver
                .resolve(host, RESOLVE)
                .map_err(|e| Error::new(Exit::NoHandshake, format!("resolve endpoint {host}: {e}")))?;
            // IPv4 first: an IPv6 route may be there without reaching anywhere.
            let addr = found.iter().find(|a| a.is_ipv4()).or(found.first());
            let addr = addr.ok_or_else(|| {
                Error::new(Exit::NoHandshake, format!("resolve endpoint {host}: it has no address"))
            })?;
            Ok(SocketAddr::new(*addr, *port))
        }
    }
}
