//! Measures many hosts at once: drives the prober over one ICMP socket a family, then times TCP connections to those
//! that stayed silent and have a port to try. Blocks until done, never longer than the plan's limit.

use super::Clock;
use super::clock::System;
use super::icmp::{EchoSocket, Inbox, Reply};
use super::resolve::Resolver;
use super::socket::{self, Egress};
use crate::provider::{Endpoint, Server};
use crate::select::probe::{Measured, Plan, Prober};
use crate::time::{Duration, Instant, millis, secs};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd;

/// A host to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub addr: IpAddr,
    /// Where to connect when it answers no echo.
    pub tcp: Option<SocketAddr>,
}

/// Who waits for a measurement.
pub struct Onlooker<'o> {
    /// Hears how many of how many have answered, whenever that changes.
    pub progress: &'o mut dyn FnMut(usize, usize),
}

/// Most time for finding the addresses of servers that are listed by name. Chosen.
const RESOLVE_MOST: Duration = secs(3);
/// Sent or received at once, before the other is looked at. Chosen: beyond that a call of the kernel for all that came costs
/// little beside what it does.
const BATCH: usize = 32;
/// Read between two looks at the clock: a flood must not keep probes from leaving. Chosen.
const BATCHES_A_TURN: usize = 4;
/// How long answers are let gather after the first; chosen: a wake-up for several, and nobody waits noticeably longer ...
const GATHER: Duration = millis(2);
/// ... unless so few are to come that each may be the last. Chosen.
const FEW: usize = 8;
/// Share of the limit that ICMP may use when there are TCP targets to try after it.
const ICMP_SHARE: f64 = 0.6;

/// Measures servers, in their order, by this way out: each address once, names resolved before; a name that has no
/// address is not measured.
pub fn measure_servers(
    servers: &[&Server],
    plan: &Plan,
    egress: &Egress,
    resolver: &Resolver,
    onlooker: &mut Onlooker<'_>,
) -> io::Result<Vec<Measured>> {
    let ends_at = System.now() + RESOLVE_MOST;
    let mut targets: Vec<Target> = Vec::new();
    let mut known: HashMap<IpAddr, usize> = HashMap::new();
    let mut index = |server: &&Server| {
        let addr = match &server.endpoint {
            Endpoint::Addr(addr) => addr.ip(),
            Endpoint::Name { host, .. } => {
                let left = ends_at.since(System.now());
                *resolver.resolve(host, left).ok()?.first()?
            }
        };
        Some(*known.entry(addr).or_insert_with(|| {
            targets.push(Target { addr, tcp: server.tcp_probe });
            targets.len() - 1
        }))
    };
    let indices: Vec<Option<usize>> = servers.iter().map(&mut index).collect();
    let measured = measure(&targets, plan, egress, onlooker)?;
    Ok(indices.into_iter().map(|i| i.map_or(Measured::default(), |i| measured[i])).collect())
}

/// Measures all targets, in their order, by this way out.
pub fn measure(
    targets: &[Target],
    plan: &Plan,
    egress: &Egress,
    onlooker: &mut Onlooker<'_>,
) -> io::Result<Vec<Measured>> {
    let ends_at = System.now() + plan.limit;
    let tcp = targets.iter().any(|t| t.tcp.is_some());
    let limit = if tcp { plan.limit.mul_f64(ICMP_SHARE) } else { plan.limit };
    let addrs: Vec<IpAddr> = targets.iter().map(|t| t.addr).collect();
    let mut measured = match ping(&addrs, &Plan { limit, ..*plan }, egress, onlooker) {
        // Without any ICMP socket the TCP targets still tell.
        Err(e) if tcp && e.kind() == io::ErrorKind::PermissionDenied => {
            vec![Measured::default(); addrs.len()]
        }
        other => other?,
    };
    if plan.cutoff.is_none_or(|cutoff| measured.iter().all(|m| m.rtt.is_none_or(|rtt| rtt > cutoff))) {
        connect_silent(targets, &mut measured, egress, ends_at)?;
    }
    Ok(measured)
}

/// One measurement by ICMP.
fn ping(
    addrs: &[IpAddr],
    plan: &Plan,
    egress: &Egress,
    onlooker: &mut Onlooker<'_>,
) -> io::Result<Vec<Measured>> {
    let open = |ipv4: bool| {
        addrs.iter().any(|a| a.is_ipv4() == ipv4).then(|| EchoSocket::open(ipv4, egress)).transpose()
    };
    let sockets: Vec<EchoSocket> = [open(true)?, open(false)?].into_iter().flatten().collect();
    let mut cookies = random(addrs.len()).into_iter();
    let mut prober = Prober::new(addrs, *plan, || cookies.next().unwrap_or_default(), System.now());
    let mut inbox = Inbox::new(BATCH);
    let mut told = 0;
    while !prober.is_done(System.now()) {
        send_due(&mut prober, &sockets);
        let Some(wake_at) = prober.poll_timeout(System.now()) else { break };
        sleep(&prober, &sockets, wake_at)?;
        for socket in &sockets {
            for _ in 0..BATCHES_A_TURN {
                let hear = &mut |r: Reply<'_>| {
                    prober.handle_reply(r.at, r.from, r.seq, r.payload);
                };
                if !socket.receive_many(&mut inbox, hear)? {
                    break;
                }
            }
        }
        let (answered, all) = prober.answered();
        if answered != told {
            (onlooker.progress)(answered, all);
        }
        told = answered;
    }
    Ok(prober.into_measured())
}

/// Sends what is due, each by a call of its own: of a batch that is handed over at once nobody knows when each left, and in
/// an emulated machine that is milliseconds.
fn send_due(prober: &mut Prober, sockets: &[EchoSocket]) {
    for _ in 0..BATCH {
        let Some(probe) = prober.poll_transmit(System.now()) else { break };
        let socket = sockets.iter().find(|s| s.is_ipv4() == probe.to.is_ipv4());
        if !matches!(socket.map(|s| s.send(probe.to, probe.seq, &probe.payload)), Some(Ok(()))) {
            prober.handle_refusal(probe.nth);
        }
    }
}

/// Sleeps until there is something to do. While the next probe is to leave soon nobody is woken for an answer: it can wait,
/// since its time is the kernel's. Else the first answer ends it, and [`GATHER`] more if more are to come.
fn sleep(prober: &Prober, sockets: &[EchoSocket], until: Instant) -> io::Result<()> {
    let now = System.now();
    if until <= now {
        return Ok(());
    }
    if until <= now + GATHER {
        wait(Vec::new(), until)?;
        return Ok(());
    }
    let fds = sockets.iter().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)).collect();
    let ready = wait(fds, until)?;
    if prober.outstanding() > FEW && ready.contains(&true) {
        wait(Vec::new(), until.min(System.now() + GATHER))?;
    }
    Ok(())
}

/// A connection under way.
struct Attempt {
    index: usize,
    stream: TcpStream,
    began_at: Instant,
}

/// Times one TCP connection to each silent target that has a port to try, all at once.
fn connect_silent(
    targets: &[Target],
    measured: &mut [Measured],
    egress: &Egress,
    ends_at: Instant,
) -> io::Result<()> {
    let mut attempts = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let Some(tcp) = target.tcp.filter(|_| measured[index].rtt.is_none()) else { continue };
        let began_at = System.now();
        if let Ok(stream) = socket::tcp_begin(tcp, egress) {
            measured[index].sent += 1;
            attempts.push(Attempt { index, stream, began_at });
        }
    }
    while !attempts.is_empty() {
        let fds = attempts.iter().map(|a| PollFd::new(a.stream.as_fd(), PollFlags::POLLOUT)).collect();
        let ready = wait(fds, ends_at)?;
        let now = System.now();
        let mut ready = ready.into_iter();
        attempts.retain(|a| {
            let is_ready = ready.next().unwrap_or(false);
            if is_ready && socket::connected(&a.stream).is_ok() {
                let m = &mut measured[a.index];
                (m.sent, m.received, m.rtt) = (1, 1, Some(now.since(a.began_at)));
            }
            !is_ready
        });
        // After the look: what was ready in time counts, however late this thread ran.
        if now >= ends_at {
            break;
        }
    }
    Ok(())
}

/// Waits for these descriptors or the instant; which are ready. A signal ends the wait early.
fn wait(mut fds: Vec<PollFd<'_>>, until: Instant) -> io::Result<Vec<bool>> {
    let left = until.since(System.now());
    // Rounded up: waking a millisecond early would only mean to wait again.
    let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    match poll(&mut fds, left) {
        Ok(_) => Ok(fds.iter().map(|fd| fd.any().unwrap_or(false)).collect()),
        Err(nix::errno::Errno::EINTR) => Ok(vec![false; fds.len()]),
        Err(e) => Err(e.into()),
    }
}

/// Unpredictable numbers; zeros should the kernel have none, which costs only the protection against forgers.
fn random(count: usize) -> Vec<u64> {
    let mut b = vec![[0; 8]; count];
    SystemRandom::new().fill(b.as_flattened_mut()).ok();
    b.into_iter().map(u64::from_be_bytes).collect()
}
