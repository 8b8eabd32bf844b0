//! The blocking work of connecting, as jobs for a worker: choose a server, open a connection to it.

use super::super::phase::{Choice, Ready};
use super::super::session::Work;
use super::super::wish::Wish;
use super::super::{Event, LeaseEvent};
use crate::config::secret::Secret;
use crate::config::{Config, Fastest};
use crate::error::{Error, Exit, Result};
use crate::provider::file::FileProvider;
use crate::provider::pia::{self, Pia};
use crate::provider::proton::Proton;
use crate::provider::{Endpoint, Provider, ProviderKind, Server};
use crate::select::memory::Memory;
use crate::select::probe::Plan;
use crate::select::{self, By, Outlook, Sample};
use crate::sys::files::Disk;
use crate::sys::http::{Client, Http};
use crate::sys::resolve::{self, Resolver};
use crate::sys::socket::Egress;
use crate::sys::{Clock, clock, measure};
use crate::time::{Duration, secs};
use crate::wire::http::{HttpError, Reply, Request};
use std::net::{IpAddr, SocketAddr};

/// Bound of resolving one endpoint name.
const RESOLVE: Duration = secs(5);

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
        ProviderKind::Pia => with_pia(config, |pia| ask(pia)),
    }
}

/// Runs `ask` with the provider PIA over the real network and files.
pub fn with_pia<T>(config: &Config, ask: impl FnOnce(&mut Pia<'_>) -> Result<T>) -> Result<T> {
    let http = Client::new(resolve::outside_servers());
    ask(&mut Pia::new(config, &http, &Disk, &clock::System)?)
}

/// Sends a request of the port's holder through the tunnel.
pub fn ask_gateway(config: Config, id: u64, request: Request) -> impl FnOnce() -> Event + Send {
    move || {
        // An address inside the tunnel needs no resolver.
        let sent = pia::trust::server_trust(&config.pia, &Disk).map_err(|e| HttpError::Tls(e.to_string()));
        let reply = sent.and_then(|trust| {
            let response = Client::new(Vec::new()).send(&Request { trust, ..request })?;
            Reply::read(response).map_err(|e| HttpError::Protocol(e.to_string()))
        });
        Event::Lease(LeaseEvent::Reply { id, reply })
    }
}

/// A token for the port's holder, another than the refused one.
pub fn find_token(config: Config, refused: Option<Secret>) -> impl FnOnce() -> Event + Send {
    move || {
        let token = with_pia(&config, |pia| match &refused {
            Some(refused) => pia.replace_token(refused),
            None => pia.token(),
        });
        Event::Lease(LeaseEvent::Token(token))
    }
}

/// How session and key are, after what is due was renewed if that is wanted.
pub fn keep(provider: ProviderKind, config: Config, work: Work) -> impl FnOnce() -> Event + Send {
    move || {
        let found = with_provider(&config, provider, |p| match work {
            Work::Look => p.look(),
            Work::Renew => p.renew(),
        });
        Event::Kept(provider, found)
    }
}

/// What a connection is made by.
pub struct How {
    pub config: Config,
    /// Traffic stands still: nothing is asked that can wait.
    pub hurry: bool,
}

impl How {
    fn with_provider<T>(
        &self,
        kind: ProviderKind,
        ask: impl FnOnce(&mut dyn Provider) -> Result<T>,
    ) -> Result<T> {
        with_provider(&self.config, kind, |p| {
            if self.hurry {
                p.hurry();
            }
            ask(p)
        })
    }
}

/// What is asked of the selector.
#[derive(Debug)]
pub struct Question {
    pub wish: Wish,
    pub memory: Memory,
    /// The healthy server in use.
    pub current: Option<Server>,
    /// Whether to come back from it to a better one.
    pub returns: bool,
}

/// Lists, filters, measures where there is something to choose, and ranks.
pub fn choose(round: u64, how: How, question: Question) -> impl FnOnce() -> Event + Send {
    move || Event::Chosen { round, result: ranked(&how, &question) }
}

fn ranked(how: &How, question: &Question) -> Result<Choice> {
    let Question { wish, memory, current, returns } = question;
    let entry = wish.server.as_deref().and_then(entry_address);
    let wanted = wish.wanted(how.config.port_forwarding.enable);
    let servers = how.with_provider(wish.provider, |p| {
        if let Some(entry) = entry {
            p.prefer_entry(entry);
        }
        let mut passed = Vec::new();
        select::sift(p, &wanted, &mut |s| passed.push(s))?;
        Ok(passed)
    })?;
    let list = select::shortlist(&servers, &wanted)?;
    let sample = match (wish.fastest, current) {
        _ if wish.server.is_some() => Vec::new(),
        (Fastest::Api, _) => Vec::new(),
        (Fastest::Ping, Some(current)) if *returns => select::rivals(&list, current, &wanted),
        (Fastest::Ping, _) => list.sample(),
    };
    // Whether the better one is well is asked of all of them.
    let began_at = clock::System.now();
    let measured = measure(&sample, wish.latency_cutoff.filter(|_| !returns));
    let now = clock::System.now();
    let rtts = measured.iter().filter_map(|(s, m)| Some((s.id.clone(), m.rtt?))).collect();
    let outlook = |of: &Server| select::outlook(&list, &measured, of, &wanted, memory, now);
    if let (Some(current), true) = (current, returns) {
        return Ok(way_back(current, outlook(current), measured.len(), rtts));
    }
    let decision = select::decide(&list, &measured, current.as_ref().map(|s| s.id.as_str()), memory, now);
    let took = match measured.len() {
        0 => String::new(),
        _ => format!("; measured in {:.1} s", now.since(began_at).as_secs_f64()),
    };
    Ok(Choice {
        second: outlook(decision.servers[0]) != Outlook::Best,
        ranked: decision.servers.iter().take(RANKED_MOST).map(|s| (*s).clone()).collect(),
        by: decision.choice.by.name().to_owned(),
        candidates: decision.choice.candidates,
        reason: decision.choice.reason + &took,
        measured: rtts,
    })
}

/// The server in use first, unless a better one is well.
fn way_back(
    current: &Server,
    outlook: Outlook<'_>,
    candidates: usize,
    measured: Vec<(String, Duration)>,
) -> Choice {
    let (to, reason) = match outlook {
        Outlook::Back(server) => {
            (server, format!("{} is well again and better than {}", server.name, current.name))
        }
        Outlook::Later => (current, format!("{} goes on: what is better is not well yet", current.name)),
        Outlook::Best => (current, format!("{} goes on: none is better", current.name)),
    };
    Choice {
        second: outlook == Outlook::Later,
        ranked: vec![to.clone()],
        by: if measured.is_empty() { By::Api } else { By::Ping }.name().to_owned(),
        candidates,
        reason,
        measured,
    }
}

fn measure<'a>(sample: &[&'a Server], cutoff: Option<Duration>) -> Vec<Sample<'a>> {
    if sample.is_empty() {
        return Vec::new();
    }
    log::info!("select: measuring {} servers", sample.len());
    let plan = Plan { cutoff, ..Plan::default() };
    let resolver = Resolver::new(resolve::outside_servers(), Egress::outside());
    let mut alone = measure::Onlooker { progress: &mut |_, _| {} };
    match measure::measure_servers(sample, &plan, &Egress::outside(), &resolver, &mut alone) {
        Ok(found) => sample.iter().copied().zip(found).collect(),
        Err(e) => {
            log::warn!("select: cannot measure: {e}");
            Vec::new()
        }
    }
}

/// The address in `203.0.113.11` or `203.0.113.11:51820`.
fn entry_address(name: &str) -> Option<IpAddr> {
    name.parse().ok().or_else(|| name.parse::<SocketAddr>().ok().map(|at| at.ip()))
}

/// Candidates kept for one attempt; chosen: more than can be tried before the list is chosen afresh.
const RANKED_MOST: usize = 20;

/// Logs in where needed, and resolves endpoint names outside the tunnel.
pub fn open(round: u64, how: How, server: Server) -> impl FnOnce() -> Event + Send {
    move || Event::Opened { round, result: Box::new(opened(&how, &server)) }
}

fn opened(how: &How, server: &Server) -> Result<Ready> {
    let connection = how.with_provider(server.provider, |p| p.open(server))?;
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
