//! The prober against farms of servers: how well it chooses on a scripted clock (`air`), what arrives on a real kernel
//! (`kernel`). How fast it is depends on the machine, so the lab's scenario `farm` says that, and `make bench`.

#[path = "farm/air.rs"]
mod air;
#[path = "farm/kernel.rs"]
mod kernel;

use air::Farm;
use kernel::{Reply, answer, flood, host, hosts, in_farm, index, probe, run};
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use pvpn::select::memory::Memory;
use pvpn::select::probe::{Measured, Plan};
use pvpn::select::{Shortlist, decide};
use pvpn::sys::icmp::EchoSocket;
use pvpn::sys::measure::Target;
use pvpn::sys::socket::Egress;
use pvpn::time::{Duration, Instant, millis, secs};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;

/// Runs twenty farms on the scripted clock.
fn twenty_farms(script: fn(&mut air::Random, air::Reply) -> Vec<air::Reply>) {
    for seed in 1..=20 {
        let (chosen, best) = Farm::new(seed).choose(script);
        assert!(chosen <= best.mul_f64(1.1), "farm {seed}: chose {chosen:?}, the best is {best:?}");
    }
}

#[test]
fn the_choice_is_within_a_tenth_of_the_best_in_twenty_farms() {
    twenty_farms(|_, reply| vec![reply]);
}

#[test]
fn it_is_so_with_a_fifth_of_the_replies_lost() {
    twenty_farms(|random, reply| if random.below(5) == 0 { vec![] } else { vec![reply] });
}

#[test]
fn it_is_so_with_replies_doubled_reordered_and_forged() {
    twenty_farms(|random, reply| {
        let late = air::Reply { at: reply.at + millis(random.below(40)), ..reply.clone() };
        // The last host answers at once to what was asked of others, and for them with cookies that it was not sent.
        let at = if reply.from == air::host(39) { reply.at } else { Instant::BOOT };
        let stolen = air::Reply { at, from: air::host(39), ..reply.clone() };
        let mut forged = air::Reply { at: Instant::BOOT, ..reply.clone() };
        forged.payload[4..].fill(0);
        vec![late, stolen, forged, reply]
    });
}

/// Asks the farm again until all of these have answered: a busy machine sends some answers too late. What has to hold
/// of every measurement, however late, is for the caller to see in each.
fn probe_all(targets: &[Target], each: impl Fn(&[Measured]), is_complete: impl Fn(&[Measured]) -> bool) {
    for _ in 0..TRIES {
        let measured = probe(targets, &patient());
        each(&measured);
        if is_complete(&measured) {
            return;
        }
    }
    panic!("not one complete measurement in {TRIES}");
}

const TRIES: usize = 20;

/// On a busy machine the first answers may take seconds.
fn patient() -> Plan {
    Plan { limit: secs(60), ..Plan::default() }
}

#[test]
fn a_thousand_servers_answer_one_socket_and_the_silent_ones_are_told_apart() {
    in_farm("a_thousand_servers_answer_one_socket_and_the_silent_ones_are_told_apart", || {
        // Every tenth is silent, the others take 20 to 320 ms.
        let delay = |n: usize| millis(20 + (n as u64 * 37) % 300);
        answer(move |_, reply| match index(reply.from) {
            n if n % 10 == 0 => vec![],
            n => vec![Reply { after: delay(n), ..reply }],
        });
        let honest = |measured: &[Measured]| {
            for (n, m) in measured.iter().enumerate() {
                assert!(m.rtt.is_none() || n % 10 != 0, "host {n} is silent: {m:?}");
                assert!(m.rtt.is_none_or(|rtt| rtt >= delay(n)), "host {n}: {m:?}");
            }
        };
        probe_all(&hosts(1_000), honest, |m| m.iter().filter(|m| m.rtt.is_some()).count() == 900);
    });
}

#[test]
fn doubled_reordered_and_forged_replies_count_for_nobody() {
    in_farm("doubled_reordered_and_forged_replies_count_for_nobody", || {
        let delay = |n: usize| millis(20 + n as u64 * 5);
        answer(move |count, reply| {
            let reply = Reply { after: delay(index(reply.from)), ..reply };
            let late = Reply { after: reply.after + millis(count % 40), ..reply.clone() };
            // The slowest host answers at once with another's address, another host with its own to all.
            let mut forged = Reply { after: Duration::ZERO, from: host(0), ..reply.clone() };
            forged.message[12..16].fill(0);
            let stolen = Reply { after: Duration::ZERO, from: host(39), ..reply.clone() };
            let forger = if index(reply.from) == 39 { forged } else { stolen };
            vec![late, forger, reply]
        });
        let honest = |measured: &[Measured]| {
            for (n, m) in measured.iter().enumerate() {
                assert!(m.rtt.is_none_or(|rtt| rtt >= delay(n)), "host {n}: {m:?}");
                assert!(m.received <= m.sent, "host {n}: {m:?}");
            }
        };
        probe_all(&hosts(40), honest, |m| m.iter().all(|m| m.rtt.is_some()));
    });
}

#[test]
fn a_flood_of_foreign_replies_changes_nothing() {
    in_farm("a_flood_of_foreign_replies_changes_nothing", || {
        let delay = |n: usize| millis(20 + n as u64 * 5);
        answer(move |_, reply| vec![Reply { after: delay(index(reply.from)), ..reply }]);
        flood();
        let honest = |measured: &[Measured]| {
            for (n, m) in measured.iter().enumerate() {
                assert!(m.rtt.is_none_or(|rtt| rtt >= delay(n)), "host {n}: {m:?}");
            }
        };
        probe_all(&hosts(40), honest, |m| m.iter().all(|m| m.received >= 2));
        // Not one of them wakes a socket that has nothing under way.
        let idle = EchoSocket::open(true, &Egress::outside()).unwrap();
        let mut fds = [PollFd::new(idle.as_fd(), PollFlags::POLLIN)];
        assert_eq!(ppoll(&mut fds, Some(TimeSpec::from_duration(millis(100))), None).unwrap(), 0);
    });
}

#[test]
fn hosts_silent_to_echoes_are_measured_by_a_tcp_connection() {
    in_farm("hosts_silent_to_echoes_are_measured_by_a_tcp_connection", || {
        // 0 answers echoes, 1 listens, 2 refuses, 3 swallows everything, 4 listens but has no port to try.
        answer(|_, reply| if index(reply.from) == 0 { vec![reply] } else { vec![] });
        let _listener = TcpListener::bind("0.0.0.0:443").unwrap();
        run("nft add table ip farm");
        run("nft add chain ip farm in { type filter hook input priority 0 ; }");
        run("nft add rule ip farm in tcp dport 445 drop");
        let tcp = |n: usize, port| Target {
            addr: IpAddr::V4(host(n)),
            tcp: Some(SocketAddr::from((host(n), port))),
        };
        let targets = [tcp(0, 443), tcp(1, 443), tcp(2, 444), tcp(3, 445), hosts(5)[4]];
        let plan = Plan { limit: millis(500), ..Plan::default() };
        let is_complete = |m: &Vec<Measured>| m[0].rtt.is_some() && m[0].sent == 3 && m[1].rtt.is_some();
        let measured = (0..TRIES).map(|_| probe(&targets, &plan)).find(is_complete);
        let measured = measured.expect("an answered echo and a connection");
        // Counted as one probe, answered: a silence before is not held against it.
        assert_eq!((measured[1].sent, measured[1].received), (1, 1));
        for n in [2, 3, 4] {
            assert_eq!((measured[n].rtt, measured[n].received), (None, 0), "host {n}");
        }
        assert!(measured[0].received >= 1, "{:?}", measured[0]);
    });
}

#[test]
fn when_nobody_answers_the_providers_order_decides_and_says_so() {
    in_farm("when_nobody_answers_the_providers_order_decides_and_says_so", || {
        let servers: Vec<_> = (0..5).map(air::server).collect();
        let list = Shortlist { servers: servers.iter().collect(), alike: 5, named: false };
        let plan = Plan { limit: millis(100), ..Plan::default() };
        let samples: Vec<_> = list.servers.iter().copied().zip(probe(&hosts(5), &plan)).collect();
        let decision = decide(&list, &samples, None, &Memory::default(), Instant::BOOT);
        assert_eq!(decision.servers, list.servers);
        assert_eq!(decision.choice.by.name(), "api");
        assert!(decision.choice.reason.contains("none of 5 answered a ping"), "{}", decision.choice.reason);
    });
}
