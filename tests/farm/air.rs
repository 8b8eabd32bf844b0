//! A farm on a scripted clock: the prober and the choice meet delays, noise, losses, doubles and forgeries that are the
//! same in every run, however busy the machine is.

use pvpn::provider::{Endpoint, Features, ProviderKind, Server};
use pvpn::select::memory::Memory;
use pvpn::select::probe::{Measured, Plan, Prober};
use pvpn::select::{Shortlist, decide};
use pvpn::time::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};

/// xorshift64, from a spread seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            random.next();
        }
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

/// A reply on its way.
#[derive(Clone)]
pub struct Reply {
    pub at: Instant,
    pub from: IpAddr,
    pub seq: u16,
    pub payload: Vec<u8>,
}

/// Forty servers; the true round trip of each.
pub struct Farm {
    pub delays: Vec<Duration>,
    random: Random,
}

impl Farm {
    /// 20 to 220 ms.
    pub fn new(seed: u64) -> Farm {
        let mut random = Random::new(seed);
        let delays = (0..40).map(|_| Duration::from_micros(20_000 + random.below(200_000))).collect();
        Farm { delays, random }
    }

    /// What comes of one probe: `script` turns the honest reply, up to a tenth late, into what arrives.
    pub fn measure(&mut self, script: impl Fn(&mut Random, Reply) -> Vec<Reply>) -> Vec<Measured> {
        let hosts: Vec<IpAddr> = (0..self.delays.len()).map(host).collect();
        let mut cookies = Random::new(99);
        let mut now = Instant::BOOT;
        let mut prober = Prober::new(&hosts, Plan::default(), || cookies.next(), now);
        let mut air: Vec<Reply> = Vec::new();
        while let Some(wake_at) = prober.poll_timeout(now) {
            while let Some(probe) = prober.poll_transmit(now) {
                let index = hosts.iter().position(|h| *h == probe.to).unwrap();
                let noise = 1.0 + self.random.below(1_000) as f64 / 10_000.0;
                let at = now + self.delays[index].mul_f64(noise);
                let honest = Reply { at, from: probe.to, seq: probe.seq, payload: probe.payload.to_vec() };
                air.extend(script(&mut self.random, honest));
            }
            let wake_at = prober.poll_timeout(now).unwrap_or(wake_at);
            now = air.iter().map(|r| r.at).chain([wake_at]).min().unwrap().max(now);
            let (due, later) = air.into_iter().partition(|r: &Reply| r.at <= now);
            air = later;
            for reply in due {
                prober.handle_reply(reply.at, reply.from, reply.seq, &reply.payload);
            }
        }
        prober.into_measured()
    }

    /// The true round trip of the server that is chosen, and the best one.
    pub fn choose(&mut self, script: impl Fn(&mut Random, Reply) -> Vec<Reply>) -> (Duration, Duration) {
        let servers: Vec<Server> = (0..self.delays.len()).map(server).collect();
        let list = Shortlist { servers: servers.iter().collect(), alike: servers.len(), named: false };
        let samples: Vec<_> = list.servers.iter().copied().zip(self.measure(script)).collect();
        let decision = decide(&list, &samples, None, &Memory::default(), Instant::BOOT);
        let chosen: usize = decision.servers[0].id.parse().unwrap();
        (self.delays[chosen], *self.delays.iter().min().unwrap())
    }
}

pub fn host(n: usize) -> IpAddr {
    IpAddr::from([10, 0, 1, n as u8])
}

/// The `n`th of a provider's list.
pub fn server(n: usize) -> Server {
    Server {
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
    }
}
