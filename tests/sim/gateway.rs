//! A NAT-PMP gateway like Proton's: it chooses the number, grants it for as long as it likes to, and has bad hours. It
//! reads and writes bytes by itself, so that no mistake of the codec under test hides in it.

use crate::random::Random;
use pvpn::time::{Duration, Instant, secs};

/// What it does in a bad hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers every mapping with this result.
    Refuses(u8),
    /// Answers nothing.
    Silent,
}

#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// Loses its table and its clock.
    Restart,
    /// Has another number from then on.
    Rotate,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    internal: u16,
    external: u16,
    expires_at: Instant,
}

#[derive(Clone)]
pub struct Gateway {
    pub number: u16,
    started_at: Instant,
    /// UDP and TCP.
    mappings: [Option<Mapping>; 2],
    moods: Vec<(Instant, Instant, Mood)>,
    events: Vec<(Instant, Event)>,
    /// Numbers it ever granted.
    pub granted: Vec<u16>,
    pub changes: u32,
}

impl Gateway {
    pub fn new(number: u16) -> Gateway {
        Gateway {
            number,
            started_at: Instant::BOOT,
            mappings: [None; 2],
            moods: Vec::new(),
            events: Vec::new(),
            granted: Vec::new(),
            changes: 0,
        }
    }

    /// Refuses for one to five minutes, about every hour, in one way or another.
    pub fn with_refusals(mut self, random: &mut Random, until: Instant) -> Gateway {
        let mut at = Instant::BOOT + random.between(secs(0), secs(3600));
        while at < until {
            let end = at + random.between(secs(60), secs(300));
            let mood = [Mood::Refuses(2), Mood::Refuses(3), Mood::Refuses(4), Mood::Silent]
                [random.below(4) as usize];
            self.moods.push((at, end, mood));
            at = end + random.between(secs(1800), secs(5400));
        }
        self
    }

    pub fn with_event(mut self, at: Instant, event: Event) -> Gateway {
        self.events.push((at, event));
        self
    }

    pub fn mood(&self, now: Instant) -> Option<Mood> {
        self.moods.iter().find(|(from, to, _)| *from <= now && now < *to).map(|(_, _, mood)| *mood)
    }

    /// Whether a client could hold a port.
    pub fn offers(&self, now: Instant) -> bool {
        self.mood(now).is_none()
    }

    /// Whether packets to `number` arrive there, by both protocols.
    pub fn serves(&self, now: Instant, number: u16) -> bool {
        self.mappings.iter().all(|m| {
            m.is_some_and(|m| {
                m.expires_at > now && m.external == number && (m.internal == 0 || m.internal == number)
            })
        })
    }

    /// When what it offers or serves changes by itself.
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        let moods = self.moods.iter().flat_map(|(from, to, _)| [*from, *to]);
        let expiries = self.mappings.iter().flatten().map(|m| m.expires_at);
        let events = self.events.iter().map(|(at, _)| *at);
        moods.chain(expiries).chain(events).filter(|at| *at > now).min()
    }

    pub fn advance(&mut self, now: Instant) {
        while let Some(i) = self.events.iter().position(|(at, _)| *at <= now) {
            self.mappings = [None; 2];
            match self.events.remove(i).1 {
                Event::Restart => self.started_at = now,
                Event::Rotate => {
                    self.number = self.number.wrapping_add(101).max(1024);
                    self.changes += 1;
                }
            }
        }
    }

    pub fn answer(&mut self, now: Instant, request: &[u8]) -> Option<Vec<u8>> {
        let epoch = (now.since(self.started_at).as_secs() as u32).to_be_bytes();
        let mood = self.mood(now);
        if mood == Some(Mood::Silent) {
            return None;
        }
        match *request {
            [0, 0] => Some([&[0, 128, 0, 0][..], &epoch, &[203, 0, 113, 9]].concat()),
            [0, op @ (1 | 2), 0, 0, i0, i1, e0, e1, l0, l1, l2, l3] => {
                let internal = u16::from_be_bytes([i0, i1]);
                let lifetime = u32::from_be_bytes([l0, l1, l2, l3]);
                if let Some(Mood::Refuses(result)) = mood {
                    let head = [0, 128 + op, 0, result];
                    return Some([&head[..], &epoch, &[i0, i1, e0, e1, l0, l1, l2, l3]].concat());
                }
                let external = if lifetime == 0 { 0 } else { self.number };
                self.map(now, op, internal, lifetime);
                let [x0, x1] = external.to_be_bytes();
                Some([&[0, 128 + op, 0, 0][..], &epoch, &[i0, i1, x0, x1, l0, l1, l2, l3]].concat())
            }
            _ => panic!("a gateway never sees {request:?} from a client"),
        }
    }

    fn map(&mut self, now: Instant, op: u8, internal: u16, lifetime: u32) {
        let slot = &mut self.mappings[usize::from(op - 1)];
        if lifetime == 0 {
            *slot = None;
            return;
        }
        let expires_at = now + Duration::from_secs(lifetime.into());
        *slot = Some(Mapping { internal, external: self.number, expires_at });
        if !self.granted.contains(&self.number) {
            self.granted.push(self.number);
        }
    }
}
