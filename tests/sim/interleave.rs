//! Random interleavings of time, answers and faults: whatever happens, in whatever order, some things always hold.

use crate::random::Random;
use crate::world::gateway_address;
use pvpn::daemon::lease::natpmp::{NatPmp, Settings};
use pvpn::daemon::lease::{Action, Input, PortState};
use pvpn::time::{Instant, millis, secs};

#[test]
fn no_interleaving_panics_stalls_spins_or_publishes_what_was_never_granted() {
    for seed in 1..=400 {
        Story::new(seed).run(600);
    }
}

struct Story {
    seed: u64,
    random: Random,
    now: Instant,
    lease: NatPmp,
    /// Requests on their way.
    air: Vec<Vec<u8>>,
    granted: Vec<u16>,
    published: Option<u16>,
}

impl Story {
    fn new(seed: u64) -> Story {
        let mut random = Random::new(seed);
        let now = Instant::BOOT + random.between(secs(0), secs(1000));
        let settings =
            Settings { gateway: gateway_address().ip(), own_port: 6881, log_fallback: random.percent(50) };
        let (lease, granted) = match random.below(3) {
            0 => (NatPmp::new(settings, now, None), vec![]),
            1 => (NatPmp::new(settings, now, Some((777, now))), vec![777]),
            _ => (NatPmp::adopt(settings, now, 777, now), vec![777]),
        };
        Story { seed, random, now, lease, air: Vec::new(), granted, published: None }
    }

    fn run(mut self, steps: u32) {
        for _ in 0..steps {
            self.step();
            self.collect();
            self.check();
        }
    }

    fn step(&mut self) {
        match self.random.below(10) {
            0..=3 => self.wake_in_time(),
            4..=6 => self.answer(),
            7 => {
                // Early, late by up to a day, or garbage.
                let most = [millis(50), secs(90), secs(86_400)][self.random_below(3)];
                self.now = self.now + self.random.between(secs(0), most);
                self.lease.handle(self.now, Input::Wake);
            }
            8 => {
                let bytes: Vec<u8> =
                    (0..self.random.below(20)).map(|_| self.random.below(256) as u8).collect();
                // Whatever it is, it is not a grant: those begin with 0, 129 or 130, 0, 0.
                if bytes.get(2..4) != Some(&[0, 0]) {
                    self.lease.handle(self.now, Input::Datagram { from: gateway_address(), bytes: &bytes });
                }
            }
            _ => match self.random.below(3) {
                0 => self.lease.handle(self.now, Input::SocketFailed("connection refused")),
                1 => self.lease.handle(self.now, Input::Reconnected),
                _ => {
                    self.granted.push(4711);
                    self.lease.handle(self.now, Input::Log("Port pair 4711->4711"));
                }
            },
        }
    }

    fn random_below(&mut self, n: u64) -> usize {
        self.random.below(n) as usize
    }

    /// A wake-up in time leads to something, and the next one is later.
    fn wake_in_time(&mut self) {
        let at = self.lease.poll_timeout().expect("the lease always owes something").max(self.now);
        self.now = at;
        self.lease.handle(at, Input::Wake);
        let next = self.lease.poll_timeout().expect("the lease always owes something");
        assert!(next > at, "seed {}: woken for nothing at {at:?}", self.seed);
    }

    /// One of the requests is answered, well or badly, or never.
    fn answer(&mut self) {
        if self.air.is_empty() {
            return;
        }
        let i = self.random_below(self.air.len() as u64);
        let request = if self.random.percent(80) { self.air.swap_remove(i) } else { self.air[i].clone() };
        let epoch = (self.random.below(1 << 20) as u32).to_be_bytes();
        let bytes = if request.len() == 2 {
            [&[0, 128, 0, 0][..], &epoch, &[203, 0, 113, 9]].concat()
        } else if self.random.percent(30) {
            [&[0, request[1] + 128, 0, self.random.below(7) as u8 + 1][..], &epoch].concat()
        } else {
            let external = 1 + self.random.below(5) as u16 + if self.random.percent(50) { 40_000 } else { 0 };
            let external =
                if self.random.percent(60) { u16::from_be_bytes([request[6], request[7]]) } else { external };
            let lifetime = [0, 1, 30, 60, 60, 60, 7200, u32::MAX][self.random_below(8)];
            if lifetime > 0 && external != 0 {
                self.granted.push(external);
            }
            let head = [0, request[1] + 128, 0, 0];
            [&head[..], &epoch, &request[4..6], &external.to_be_bytes(), &lifetime.to_be_bytes()].concat()
        };
        self.lease.handle(self.now, Input::Datagram { from: gateway_address(), bytes: &bytes });
    }

    fn collect(&mut self) {
        while let Some(action) = self.lease.poll_action() {
            match action {
                Action::SendDatagram(bytes) => self.air.push(bytes),
                Action::ReadLog => {}
                other => panic!("seed {}: {other:?}", self.seed),
            }
        }
        let surplus = self.air.len().saturating_sub(20);
        self.air.drain(..surplus);
    }

    fn check(&mut self) {
        let view = self.lease.view(self.now);
        let wait = self.lease.poll_timeout().expect("the lease always owes something").since(self.now);
        assert!(wait <= secs(60), "seed {}: waits {wait:?}", self.seed);
        if let Some(number) = view.number {
            assert!(self.granted.contains(&number), "seed {}: {number} was never granted", self.seed);
        }
        assert!(
            self.published.is_none() || view.number.is_some(),
            "seed {}: a number once granted was taken back",
            self.seed
        );
        self.published = view.number;
        let fits = match view.state {
            PortState::Held | PortState::Doubtful => view.number.is_some(),
            PortState::Asking | PortState::Unavailable => view.number.is_none(),
            PortState::Off => false,
        };
        assert!(fits, "seed {}: {view:?}", self.seed);
    }
}
