//! The prober against a farm of servers on a real kernel: a private namespace in which 10.0.0.0/8 is local, the kernel
//! answers no echo, and a thread answers for all of it with scripted delays, losses, doubles and forgeries.

use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendmsg,
};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use pvpn::provider::{Endpoint, Features, ProviderKind, Server};
use pvpn::select::memory::Memory;
use pvpn::select::probe::{Measured, Plan};
use pvpn::select::{Shortlist, decide};
use pvpn::sys::Clock;
use pvpn::sys::clock::System;
use pvpn::sys::icmp::EchoSocket;
use pvpn::sys::measure::{Target, measure};
use pvpn::sys::socket::{Egress, open};
use pvpn::time::{Duration, Instant, millis, secs};
use pvpn::wire::checksum;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `story` in a private namespace. `test` is the name of the calling test.
fn in_farm(test: &str, story: impl FnOnce()) {
    const INSIDE: &str = "PVPN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        run("ip route add local 10.0.0.0/8 dev lo");
        std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        return story();
    }
    // One farm at a time: each wants the machine's attention for its answers to come when they should.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-rn").arg(this).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare(1) of util-linux");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn run(line: &str) {
    let mut words = line.split_whitespace();
    assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A reply that a host is to send.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Reply {
    after: Duration,
    from: Ipv4Addr,
    message: Vec<u8>,
}

/// Answers for the whole farm, until the process ends: `script` turns each request into replies.
fn answer(script: impl Fn(u64, Reply) -> Vec<Reply> + Send + 'static) {
    let socket =
        open(true, SockType::Raw, SockFlag::SOCK_NONBLOCK, Some(SockProtocol::Icmp), &Egress::plain())
            .unwrap();
    setsockopt(&socket, sockopt::RcvBuf, &(4 << 20)).ok(); // a burst of a thousand requests
    thread::spawn(move || {
        let mut due: BinaryHeap<Reverse<(Instant, Reply)>> = BinaryHeap::new();
        let mut count = 0;
        loop {
            let now = System.now();
            while due.peek().is_some_and(|Reverse((at, _))| *at <= now) {
                let Some(Reverse((_, reply))) = due.pop() else { break };
                send(&socket, &reply);
            }
            let mut b = [0; 256];
            while let Ok(n) = recv(socket.as_raw_fd(), &mut b, MsgFlags::empty()) {
                let Some(reply) = reply(&b[..n]) else { continue };
                count += 1;
                let heard_at = System.now();
                due.extend(script(count, reply).into_iter().map(|r| Reverse((heard_at + r.after, r))));
            }
            let pause = due.peek().map_or(millis(1_000), |Reverse((at, _))| at.since(System.now()));
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            ppoll(&mut fds, Some(TimeSpec::from_duration(pause)), None).ok();
        }
    });
}

/// The reply of an echo request's receiver, at once.
fn reply(packet: &[u8]) -> Option<Reply> {
    let from = Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(16..20)?).ok()?);
    let mut message = packet.get(20..).filter(|m| m.first() == Some(&8))?.to_vec();
    message[0] = 0;
    Some(Reply { after: Duration::ZERO, from, message })
}

fn send(socket: &OwnedFd, reply: &Reply) {
    let mut message = reply.message.clone();
    message[2..4].fill(0);
    let sum = checksum::internet(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let source = libc::in_addr { s_addr: u32::from_ne_bytes(reply.from.octets()) };
    let info =
        libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
    let to = SockaddrStorage::from(SocketAddr::from(([127, 0, 0, 1], 0)));
    let control = [ControlMessage::Ipv4PacketInfo(&info)];
    sendmsg(socket.as_raw_fd(), &[IoSlice::new(&message)], &control, MsgFlags::empty(), Some(&to)).unwrap();
}

/// The `n`th host; its delay comes from [`delay`].
fn host(n: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0100 + n as u32)
}

fn index(addr: Ipv4Addr) -> usize {
    (addr.to_bits() - 0x0a00_0100) as usize
}

fn targets(n: usize) -> Vec<Target> {
    (0..n).map(|n| Target { addr: IpAddr::V4(host(n)), tcp: None }).collect()
}

fn probe(n: usize) -> Vec<Measured> {
    measure(&targets(n), &Plan::default(), &Egress::outside(), &mut |_, _| true).unwrap()
}

/// Delays of a farm of forty, 20 to 220 ms.
fn delays(seed: u64) -> Vec<Duration> {
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    for _ in 0..8 {
        random.next();
    }
    (0..40).map(|_| Duration::from_micros(20_000 + random.below(200_000))).collect()
}

/// The server that `decide` takes after a measurement, by its place in the farm.
fn choose(n: usize) -> usize {
    let server = |n: usize| Server {
        provider: ProviderKind::Proton,
        id: n.to_string(),
        name: format!("NL#{n}"),
        host: None,
        country: None,
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr(SocketAddr::from((host(n), 51820))),
        tcp_probe: None,
        exit_address: None,
    };
    let servers: Vec<Server> = (0..n).map(server).collect();
    let list = Shortlist { servers: servers.iter().collect(), alike: n, named: false };
    let samples: Vec<_> = list.servers.iter().copied().zip(probe(n)).collect();
    decide(&list, &samples, None, &Memory::default(), System.now()).servers[0].id.parse().unwrap()
}

/// How often a measurement is repeated whose outcome hangs on how busy the machine is.
const TRIES: usize = 5;

/// Runs twenty farms, one after the other, each with delays of its own.
fn twenty_farms(script: fn(u64, Reply, &[Duration]) -> Vec<Reply>) {
    let seed = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(1));
    let current = seed.clone();
    answer(move |count, reply| {
        let delays = delays(current.load(std::sync::atomic::Ordering::SeqCst));
        script(count, reply, &delays)
    });
    for farm in 1..=20 {
        seed.store(farm, std::sync::atomic::Ordering::SeqCst);
        let delays = delays(farm);
        let best = *delays.iter().min().unwrap();
        let mut chosen = Duration::MAX;
        // A machine at work elsewhere sends its answers late; a chooser that is wrong is wrong each time.
        let is_right = (0..TRIES).any(|_| {
            chosen = delays[choose(delays.len())];
            chosen <= best.mul_f64(1.1)
        });
        assert!(is_right, "farm {farm}: chose {chosen:?}, the best is {best:?}");
    }
}

fn honest(reply: Reply, delays: &[Duration]) -> Reply {
    Reply { after: delays[index(reply.from)], ..reply }
}

/// Whether this probe is lost, by a hash of its number: a fifth are.
fn is_lost(count: u64) -> bool {
    let mut random = Random(count.wrapping_mul(0xd1b5_4a32_d192_ed03) | 1);
    random.next();
    random.below(5) == 0
}

#[test]
fn the_choice_is_within_a_tenth_of_the_best_in_twenty_farms() {
    in_farm("the_choice_is_within_a_tenth_of_the_best_in_twenty_farms", || {
        twenty_farms(|_, reply, delays| vec![honest(reply, delays)]);
    });
}

#[test]
fn it_is_so_with_a_fifth_of_the_replies_lost() {
    in_farm("it_is_so_with_a_fifth_of_the_replies_lost", || {
        twenty_farms(
            |count, reply, delays| if is_lost(count) { vec![] } else { vec![honest(reply, delays)] },
        );
    });
}

#[test]
fn it_is_so_with_replies_doubled_reordered_and_forged() {
    in_farm("it_is_so_with_replies_doubled_reordered_and_forged", || {
        twenty_farms(|count, reply, delays| {
            let reply = honest(reply, delays);
            let late = Reply { after: reply.after + millis(count % 40), ..reply.clone() };
            // The slowest host answers at once with its neighbour's address, and its neighbour's number.
            let mut forged = Reply { after: Duration::ZERO, from: host(0), ..reply.clone() };
            forged.message[12..16].fill(0);
            let stolen = Reply { after: Duration::ZERO, from: host(39), ..reply.clone() };
            let forger = if index(reply.from) == 39 { forged } else { stolen };
            vec![late, forger, reply]
        });
    });
}

#[test]
fn a_thousand_servers_are_measured_in_the_longest_answer_and_half_a_second() {
    in_farm("a_thousand_servers_are_measured_in_the_longest_answer_and_half_a_second", || {
        // Every tenth is silent, the others take 20 to 320 ms.
        let delay = |n: usize| millis(20 + (n as u64 * 37) % 300);
        answer(move |_, reply| match index(reply.from) {
            n if n % 10 == 0 => vec![],
            n => vec![Reply { after: delay(n), ..reply }],
        });
        let timed = || {
            let began_at = System.now();
            let measured = probe(1_000);
            let took = System.now().since(began_at);
            let longest = measured.iter().filter_map(|m| m.rtt).max().unwrap();
            (took, longest, measured)
        };
        let (mut took, mut longest, mut measured) = timed();
        for _ in 1..TRIES {
            if took <= longest + millis(500) {
                break;
            }
            (took, longest, measured) = timed();
        }
        assert!(took <= longest + secs(2), "took {took:?}, longest answer {longest:?}");
        for (n, m) in measured.iter().enumerate() {
            assert_eq!(m.rtt.is_none(), n % 10 == 0, "host {n}: {m:?}");
            assert!(m.rtt.is_none_or(|rtt| rtt >= delay(n)), "host {n}: {m:?}");
        }
        println!("1,000 servers in {took:?}, longest answer {longest:?}");
    });
}

#[test]
fn a_flood_of_foreign_replies_changes_nothing() {
    in_farm("a_flood_of_foreign_replies_changes_nothing", || {
        let delay = |n: usize| millis(20 + n as u64 * 5);
        answer(move |_, reply| vec![Reply { after: delay(index(reply.from)), ..reply }]);
        // Somebody else's replies, from the farm's own addresses, as fast as a thread can send them.
        let socket =
            open(true, SockType::Raw, SockFlag::empty(), Some(SockProtocol::Icmp), &Egress::plain()).unwrap();
        thread::spawn(move || {
            let mut random = Random(7);
            loop {
                let mut message = vec![0; 8 + 16];
                message[4..8].copy_from_slice(&random.next().to_be_bytes()[..4]);
                let from = host(random.below(40) as usize);
                send(&socket, &Reply { after: Duration::ZERO, from, message });
            }
        });
        let fastest_of = |measured: &[Measured]| (0..40).min_by_key(|&n: &usize| measured[n].rtt).unwrap();
        let mut measured = probe(40);
        for _ in 1..TRIES {
            if delay(fastest_of(&measured)) <= delay(0).mul_f64(1.5) {
                break;
            }
            measured = probe(40);
        }
        for (n, m) in measured.iter().enumerate() {
            assert!(m.received >= 2, "host {n}: {m:?}");
            assert!(m.rtt.is_some_and(|rtt| rtt >= delay(n)), "host {n}: {m:?}");
        }
        let fastest = fastest_of(&measured);
        assert!(delay(fastest) <= delay(0).mul_f64(1.5), "the fastest is {fastest}");
        // Not one of them wakes a socket that has nothing under way.
        let idle = EchoSocket::open(true, &Egress::outside()).unwrap();
        let mut fds = [PollFd::new(idle.as_fd(), PollFlags::POLLIN)];
        assert_eq!(ppoll(&mut fds, Some(TimeSpec::from_duration(millis(100))), None).unwrap(), 0);
    });
}
