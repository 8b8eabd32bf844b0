use super::*;

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

fn host(n: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, n])
}

/// A scripted network: each host's round trip in milliseconds, `None` for silence.
struct Farm {
    prober: Prober,
    way: Vec<Option<u64>>,
    /// Replies on their way: when, from whom, what.
    under_way: Vec<(Instant, IpAddr, u16, Vec<u8>)>,
    sent: usize,
    /// What the machine takes to send a probe.
    cost: Duration,
}

fn random() -> impl FnMut() -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

fn farm(way: &[Option<u64>], plan: Plan) -> Farm {
    let hosts: Vec<IpAddr> =
        (0..way.len()).map(|n| IpAddr::from([10, 0, (n / 250) as u8, (n % 250) as u8])).collect();
    let prober = Prober::new(&hosts, plan, random(), at(0));
    Farm { prober, way: way.to_vec(), under_way: vec![], sent: 0, cost: Duration::ZERO }
}

impl Farm {
    /// Runs to the end, `alter` may change or multiply each reply; gives the end and the results.
    fn run(mut self, alter: impl Fn(usize, Reply) -> Vec<Reply>) -> (Instant, Vec<Measured>) {
        let mut now = at(0);
        while let Some(wake_at) = self.prober.poll_timeout(now) {
            for _ in 0..32 {
                let Some(probe) = self.prober.poll_transmit(now) else { break };
                let index = u32::from_be_bytes(probe.payload[..4].try_into().unwrap()) as usize;
                if let Some(rtt) = self.way[index] {
                    let reply = (now + millis(rtt), probe.to, probe.seq, probe.payload.to_vec());
                    self.under_way.extend(alter(self.sent, reply));
                }
                self.sent += 1;
                now = now + self.cost;
            }
            let wake_at = self.prober.poll_timeout(now).unwrap_or(wake_at);
            now = self.under_way.iter().map(|r| r.0).chain([wake_at]).min().unwrap().max(now);
            let (due, later) = std::mem::take(&mut self.under_way).into_iter().partition(|r| r.0 <= now);
            self.under_way = later;
            for (at, from, seq, payload) in due {
                self.prober.handle_reply(at, from, seq, &payload);
            }
        }
        (now, self.prober.into_measured())
    }
}

type Reply = (Instant, IpAddr, u16, Vec<u8>);

fn honest(_: usize, reply: Reply) -> Vec<Reply> {
    vec![reply]
}

fn rtts(measured: &[Measured]) -> Vec<Option<u64>> {
    measured.iter().map(|m| m.rtt.map(|d| d.as_millis() as u64)).collect()
}

#[test]
fn each_target_gets_its_own_round_trip_and_the_end_comes_with_the_last_answer() {
    let way = [Some(12), Some(80), Some(7)];
    let (end, measured) = farm(&way, Plan::default()).run(honest);
    assert_eq!(rtts(&measured), way);
    assert!(measured.iter().all(|m| (m.sent, m.received) == (3, 3)));
    assert!(end <= at(80 + 5), "{end:?}");
}

#[test]
fn a_thousand_targets_end_half_a_second_after_the_longest_answer_with_silent_ones_among_them() {
    let way: Vec<Option<u64>> = (0..1_000).map(|n| (n % 10 != 0).then_some(5 + n % 300)).collect();
    let (end, measured) = farm(&way, Plan::default()).run(honest);
    assert_eq!(rtts(&measured), way);
    assert!(end <= at(304 + 500), "{end:?}");
}

#[test]
fn a_slow_machine_asks_the_best_and_the_silent_again_and_keeps_the_time() {
    let slow = |way: &[Option<u64>]| {
        let cost = Duration::from_micros(350);
        Farm { cost, ..farm(way, Plan::for_all(way.len())) }.run(honest)
    };
    let way: Vec<Option<u64>> = (0..1_000).map(|n| Some(20 + n * 7 % 290)).collect();
    let (end, measured) = slow(&way);
    assert_eq!(rtts(&measured), way);
    assert!(end <= at(309 + 500), "{end:?}");
    let mut ranked = measured.clone();
    ranked.sort_by_key(|m| m.rtt);
    assert!(ranked[..BEST].iter().all(|m| (m.sent, m.received) == (3, 3)));
    assert!(ranked[100..].iter().all(|m| (m.sent, m.received) == (1, 1)));
    // With silent ones: nobody is given up after one probe.
    let way: Vec<Option<u64>> = (0..1_000).map(|n| (n % 10 != 0).then_some(20 + n * 7 % 290)).collect();
    let (end, measured) = slow(&way);
    assert_eq!(rtts(&measured), way);
    assert!(measured.iter().all(|m| m.rtt.is_some() || m.sent == 3));
    assert!(end <= at(1_700), "{end:?}");
}

#[test]
fn a_slow_machine_makes_good_what_was_lost() {
    let way: Vec<Option<u64>> = (0..1_000).map(|n| Some(20 + n * 7 % 290)).collect();
    let farm = Farm { cost: Duration::from_micros(350), ..farm(&way, Plan::for_all(1_000)) };
    let (_, measured) = farm.run(|nth, reply| if nth < 1_000 && nth % 3 == 0 { vec![] } else { vec![reply] });
    assert_eq!(rtts(&measured), way);
}

#[test]
fn few_targets_are_asked_three_times_however_slow_the_machine() {
    let way: Vec<Option<u64>> = (0..40).map(|n| Some(20 + n * 5)).collect();
    let farm = Farm { cost: millis(8), ..farm(&way, Plan::default()) };
    let (_, measured) = farm.run(honest);
    assert!(measured.iter().all(|m| (m.sent, m.received) == (3, 3)));
}

#[test]
fn silence_of_all_ends_at_the_limit() {
    let (end, measured) = farm(&[None; 5], Plan::default()).run(honest);
    assert_eq!((end, measured[0]), (at(2_000), Measured { sent: 3, received: 0, rtt: None }));
    let (end, measured) = farm(&[], Plan::default()).run(honest);
    assert_eq!((end, measured.len()), (at(0), 0));
}

#[test]
fn the_smallest_of_three_counts_and_losses_are_counted() {
    let (_, measured) = farm(&[Some(20)], Plan::default()).run(|nth, (at, from, seq, payload)| match nth {
        0 => vec![(at + millis(30), from, seq, payload)],
        1 => vec![],
        _ => vec![(at, from, seq, payload)],
    });
    assert_eq!(measured, [Measured { sent: 3, received: 2, rtt: Some(millis(20)) }]);
    assert_eq!(measured[0].lost(), 1);
}

#[test]
fn doubled_and_reordered_replies_change_nothing() {
    let way = [Some(30), Some(10), Some(20)];
    let (_, measured) = farm(&way, Plan::default()).run(|_, reply| {
        let late = (reply.0 + millis(1), reply.1, reply.2, reply.3.clone());
        vec![late, reply.clone(), reply]
    });
    assert_eq!(rtts(&measured), way);
    assert!(measured.iter().all(|m| m.received == 3));
}

#[test]
fn a_host_cannot_answer_for_another() {
    let (_, measured) = farm(&[Some(50), Some(5)], Plan::default()).run(|nth, reply| {
        let mut forged = reply.clone();
        if nth % 2 == 1 {
            forged.1 = host(0); // the second host claims the first one's address ...
            forged.3[..4].fill(0); // ... and index, but has only its own cookie
            forged.2 -= 1;
            return vec![forged, reply];
        }
        let mut foreign = reply.clone();
        (foreign.0, foreign.1) = (at(1), host(1)); // the right cookie from the wrong host
        vec![foreign, reply]
    });
    assert_eq!(rtts(&measured), [Some(50), Some(5)]);
}

#[test]
fn mangled_and_foreign_replies_change_nothing() {
    let mut prober = Prober::new(&[host(1), host(2)], Plan::default(), random(), at(0));
    let probe = prober.poll_transmit(at(0)).unwrap();
    let mut noise = random();
    for _ in 0..50_000 {
        let len = noise() as usize % 24;
        let payload: Vec<u8> = (0..len).map(|_| noise() as u8).collect();
        assert!(!prober.handle_reply(at(1), host(noise() as u8 % 3), noise() as u16, &payload));
        let mut near = probe.payload;
        near[noise() as usize % PAYLOAD] ^= 1 << (noise() % 8);
        assert!(!prober.handle_reply(at(1), probe.to, probe.seq, &near));
    }
    assert!(!prober.handle_reply(at(1), probe.to, probe.seq.wrapping_add(1), &probe.payload));
    assert!(prober.handle_reply(at(1), probe.to, probe.seq, &probe.payload));
    assert!(!prober.handle_reply(at(2), probe.to, probe.seq, &probe.payload));
}

#[test]
fn the_first_one_under_the_cutoff_ends_it() {
    let plan = Plan { cutoff: Some(millis(15)), ..Plan::default() };
    let (end, measured) = farm(&[Some(40), Some(10), None], plan).run(honest);
    assert_eq!(rtts(&measured)[1], Some(10));
    assert!(end <= at(15), "{end:?}");
}

#[test]
fn probes_of_one_target_leave_apart_and_a_refused_one_is_not_waited_for() {
    let mut prober = Prober::new(&[host(1), host(2)], Plan::default(), random(), at(0));
    let first = prober.poll_transmit(at(0)).unwrap();
    prober.handle_refusal(first.nth);
    prober.handle_refusal(first.nth);
    assert!(!prober.handle_reply(at(0), first.to, first.seq, &first.payload));
    let second = prober.poll_transmit(at(0)).unwrap();
    assert_eq!((first.to, second.to), (host(1), host(2)));
    assert_eq!(prober.poll_transmit(at(0)), None);
    assert_eq!(prober.poll_timeout(at(0)), Some(at(1)));
    assert_eq!(prober.poll_transmit(at(1)).unwrap().to, host(1));
}
