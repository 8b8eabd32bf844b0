//! A farm on a real kernel: a private namespace in which 10.0.0.0/8 is local, the kernel answers no echo, and a thread
//! answers for all of it by a script.

use super::air::Random;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::socket::{
    ControlMessage, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, recv, sendmsg,
};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use pvpn::select::probe::{Measured, Plan};
use pvpn::sys::Clock;
use pvpn::sys::clock::System;
use pvpn::sys::measure::{Onlooker, Target, measure};
use pvpn::sys::socket::{Egress, open};
use pvpn::time::{Duration, Instant, millis};
use pvpn::wire::checksum;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Runs `story` in a private namespace. `test` is the full name of the calling test.
pub fn in_farm(test: &str, story: impl FnOnce()) {
    const INSIDE: &str = "PVPN_TEST_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        run("ip route add local 10.0.0.0/8 dev lo");
        std::fs::write("/proc/sys/net/ipv4/icmp_echo_ignore_all", "1").unwrap();
        return story();
    }
    // One farm at a time: a thousand answers in a few milliseconds want a core to themselves.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let this = std::env::current_exe().unwrap();
    let mut again = Command::new("unshare");
    again.arg("-rn").arg(this).args(["--exact", test, "--nocapture"]).env(INSIDE, "1");
    let output = again.output().expect("unshare(1) of util-linux");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned()).concat();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

pub fn run(line: &str) {
    let mut words = line.split_whitespace();
    assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
}

/// A reply that a host is to send.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reply {
    pub after: Duration,
    pub from: Ipv4Addr,
    pub message: Vec<u8>,
}

/// Answers for the whole farm, until the process ends: `script` turns each request into replies.
pub fn answer(script: impl Fn(u64, Reply) -> Vec<Reply> + Send + 'static) {
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

pub fn send(socket: &OwnedFd, reply: &Reply) {
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

/// The `n`th host.
pub fn host(n: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0100 + n as u32)
}

pub fn index(addr: Ipv4Addr) -> usize {
    (addr.to_bits() - 0x0a00_0100) as usize
}

pub fn probe(targets: &[Target], plan: &Plan) -> Vec<Measured> {
    measure(targets, plan, &Egress::outside(), &mut Onlooker { progress: &mut |_, _| {} }).unwrap()
}

/// The first `n` hosts, by ICMP alone.
pub fn hosts(n: usize) -> Vec<Target> {
    (0..n).map(|n| Target { addr: IpAddr::V4(host(n)), tcp: None }).collect()
}

/// Somebody else's replies, from the farm's own addresses, as fast as a thread can send them.
pub fn flood() {
    let socket =
        open(true, SockType::Raw, SockFlag::empty(), Some(SockProtocol::Icmp), &Egress::plain()).unwrap();
    thread::spawn(move || {
        let mut random = Random::new(7);
        loop {
            let mut message = vec![0; 8 + 16];
            message[4..8].copy_from_slice(&random.next().to_be_bytes()[..4]);
            let from = host(random.below(40) as usize);
            send(&socket, &Reply { after: Duration::ZERO, from, message });
        }
    });
}
