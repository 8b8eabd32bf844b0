//! What people use today, as a model (gluetun 3.41 as its users describe it): UDP and then TCP are renewed every 45 s on
//! RFC 6886's ladder of nine tries, and the first refusal or the end of the ladder tears the tunnel down, the port with
//! it. A tunnel needs ten seconds to come back.

use crate::gateway::Gateway;
use crate::random::Random;
use pvpn::time::{Duration, Instant, millis, secs};

const RENEW: Duration = secs(45);
const RECONNECT: Duration = secs(10);

pub struct Outcome {
    pub offered: Duration,
    pub available: Duration,
    pub tear_downs: u32,
}

struct Rival {
    now: Instant,
    random: Random,
    loss_percent: u64,
    gateway: Gateway,
    published: Option<u16>,
    outcome: Outcome,
}

/// Runs the model until `end` against this gateway.
pub fn run(seed: u64, loss_percent: u64, gateway: Gateway, end: Instant) -> Outcome {
    let outcome = Outcome { offered: secs(0), available: secs(0), tear_downs: 0 };
    let random = Random::new(seed);
    let mut rival = Rival { now: Instant::BOOT, random, loss_percent, gateway, published: None, outcome };
    while rival.now < end {
        match rival.renew() {
            Some(number) => {
                rival.published = Some(number);
                rival.wait(RENEW);
            }
            None => {
                rival.published = None;
                rival.outcome.tear_downs += 1;
                rival.wait(RECONNECT);
            }
        }
    }
    rival.outcome
}

impl Rival {
    fn renew(&mut self) -> Option<u16> {
        let number = self.ask(1)?;
        (self.ask(2)? == number).then_some(number)
    }

    fn ask(&mut self, op: u8) -> Option<u16> {
        let [hi, lo] = self.published.unwrap_or(1).to_be_bytes();
        let (i0, i1) = if self.published.is_some() { (hi, lo) } else { (0, 0) };
        let request = [0, op, 0, 0, i0, i1, hi, lo, 0, 0, 0, 60];
        let mut pause = millis(250);
        for _ in 0..9 {
            let lost = self.random.percent(self.loss_percent);
            let answer = if lost { None } else { self.gateway.answer(self.now, &request) };
            if let Some(answer) = answer.filter(|_| !self.random.percent(self.loss_percent)) {
                return (answer[3] == 0).then(|| u16::from_be_bytes([answer[10], answer[11]]));
            }
            self.wait(pause);
            pause *= 2;
        }
        None
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let next = self.gateway.next_change(self.now).map_or(end, |at| at.min(end));
            let passed = next.since(self.now);
            if self.gateway.offers(self.now) {
                self.outcome.offered += passed;
                if self.published.is_some_and(|n| self.gateway.serves(self.now, n)) {
                    self.outcome.available += passed;
                }
            }
            self.now = next;
            self.gateway.advance(next);
        }
    }
}
