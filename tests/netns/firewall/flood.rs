//! A thousand changes of policy under a flood of packets that no closed policy lets pass: every ordered pair, each change
//! one transaction.

use super::frame::{Frame, TAG};
use super::in_world;
use super::policies::{blocked, connected, connecting, let_in, open, own_resolver, switching};
use super::world::{BARE, Ear, PI, POD, bound, plain, udp_socket};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use pvpn::firewall::ruleset::{Present, Ruleset, TABLE};
use pvpn::wire::nft::{Family, SUBSYSTEM, delete_table};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

const CHANGES: usize = 1_000;

#[test]
fn a_thousand_changes_let_nothing_out() {
    in_world("flood::a_thousand_changes_let_nothing_out", |world| {
        let rules = closed_policies();
        world.load_rules(&rules[0]);
        add_slow_chain();
        let ear = Ear::on("isp");
        let rounds = flooded(true, |round_passed| {
            // Every ordered pair in turn.
            let pairs = (0..rules.len()).flat_map(|from| (0..rules.len()).map(move |to| [from, to]));
            for next in pairs.flatten().cycle().take(CHANGES) {
                world.load_rules(&rules[next]);
                round_passed();
            }
        });
        assert_eq!(leaked(&ear), super::NOTHING);
        assert!(rounds >= CHANGES as u64);
    });
}

#[test]
fn tables_deleted_and_added_again_let_packets_out() {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
        return eprintln!("one CPU: no packet is on its way while a change is made");
    }
    in_world("flood::tables_deleted_and_added_again_let_packets_out", |world| {
        let mut rules = closed_policies();
        for rules in &mut rules {
            // One hook, as one gap would have to be where the other is; and a closed chain's policy is to drop, which
            // covers the gap as well.
            rules.tables.retain(|t| t.family == Family::Inet);
            rules.tables.iter_mut().flat_map(|t| &mut t.chains).for_each(|c| c.closed = false);
        }
        world.load_rules(&rules[0]);
        add_slow_chain();
        let ear = Ear::on("isp");
        flooded(false, |round_passed| {
            for next in (0..rules.len()).cycle().take(CHANGES) {
                // One transaction, but its hooks go and come.
                let mut batch = vec![delete_table(Family::Inet, TABLE)];
                batch.extend(rules[next].batch(&Present::default()));
                world.nft.batch(SUBSYSTEM, &batch).unwrap();
                round_passed();
                if !leaked(&ear).is_empty() {
                    return;
                }
                add_slow_chain();
            }
            panic!("not one packet in {CHANGES} changes");
        });
    });
}

/// From open to each closed policy and back: what leaves while the machine is open is none of the rules' business, but
/// once the change has returned nothing does.
#[test]
fn what_a_change_closes_stays_closed() {
    in_world("flood::what_a_change_closes_stays_closed", |world| {
        let (open, rules) = (Ruleset::of(&open()), closed_policies());
        add_slow_chain();
        let ear = Ear::on("isp");
        let rounds = 4;
        flooded(true, |round_passed| {
            for closed in rules.iter().cycle().take(rules.len() * rounds) {
                world.load_rules(&open);
                // The round that was under way may have been sent already.
                let is_heard = |_| {
                    round_passed();
                    !leaked(&ear).is_empty()
                };
                assert!((0..CHANGES).any(is_heard), "the flood is not heard");
                world.load_rules(closed);
                // The round that was under way; the next one began closed.
                round_passed();
                ear.drain();
                round_passed();
                assert_eq!(leaked(&ear), super::NOTHING);
            }
        });
    });
}

fn leaked(ear: &Ear) -> Vec<String> {
    ear.drain().iter().map(Frame::summary).filter(|s| !s.is_empty()).collect()
}

/// Another program's chain in the same place, between two of ours where there are two: a packet spends most of its
/// time there, and a change most likely finds it there.
fn add_slow_chain() {
    let rule = |chain: &str, what: &str| format!("add rule inet slow {chain} {what}\n").repeat(25);
    let text = [
        "add table inet slow\nadd chain inet slow far\nadd chain inet slow near\n",
        "add chain inet slow output { type filter hook output priority filter; }\n",
        "delete chain inet slow output\n",
        "add chain inet slow output { type filter hook output priority filter; }\n",
        "flush table inet slow\n",
        &rule("far", "meta mark 0xdead drop"),
        &rule("near", "jump far"),
        &rule("output", "jump near"),
    ];
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    nft.stdin.take().unwrap().write_all(text.concat().as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success());
}

fn closed_policies() -> Vec<Ruleset> {
    [blocked(), connecting(), connected(), switching(), own_resolver(), let_in()]
        .iter()
        .map(Ruleset::of)
        .collect()
}

/// Runs `changes` while another thread floods; it is given something to call after each change, which waits until the
/// flood has gone on. How many packets were sent.
fn flooded(with_packet_socket: bool, changes: impl FnOnce(&dyn Fn())) -> u64 {
    let (sent, done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut any = CpuSet::new();
            (0..CpuSet::count()).for_each(|cpu| any.set(cpu).unwrap());
            sched_setaffinity(Pid::from_raw(0), &any).unwrap();
            flood(&sent, &done, with_packet_socket);
        });
        // The flood must end also when a change fails.
        let _end = SetOnDrop(&done);
        changes(&|| {
            let before = sent.load(Relaxed);
            while sent.load(Relaxed) == before {
                std::thread::yield_now();
            }
        });
    });
    sent.load(Relaxed)
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

fn flood(sent: &AtomicU64, done: &AtomicBool, with_packet_socket: bool) {
    let (eth0, pod) = (Ear::deaf("eth0"), Ear::deaf("pod"));
    let frame = Frame::udp(PI, 4242, BARE, 4242);
    let forwarded = Frame::udp(POD, 4242, BARE, 4242).at_station(0x12);
    let sockets = [
        ("8.8.8.8:4242", plain()),
        ("8.8.8.8:4242", bound()),
        ("203.0.113.11:51820", bound()),
        ("[2606:4700::1111]:4242", bound()),
        ("192.168.1.2:53", plain()),
    ]
    .map(|(to, egress)| (udp_socket(to, &egress), to.parse::<SocketAddr>().unwrap()));
    while !done.load(Relaxed) {
        for (socket, to) in &sockets {
            let _ = socket.send_to(TAG, to);
        }
        if with_packet_socket {
            eth0.send(&frame);
        }
        pod.send(&forwarded);
        sent.fetch_add(1, Relaxed);
    }
}
