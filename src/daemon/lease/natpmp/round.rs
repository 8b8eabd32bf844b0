//! One round of asking: until UDP and TCP have the same external port.
//!
//! Each protocol has its own ladder of retries, so that a lost answer of one is not paid for by the other. A protocol
//! whose number differs from the other's, or whose gateway would translate the number, is asked again for the number
//! that survives; its stray mapping is released first, since a gateway keeps one mapping per internal port and would
//! only repeat it (RFC 6886 section 3.3; seen with miniupnpd 2.3.1).

use super::{LIFETIME, LIVELY, REFUSED_PAUSE, RETRY_FIRST, RETRY_MOST, SLOW_MOST};
use crate::address::SYSTEM_PORTS;
use crate::time::{Duration, Instant, secs};
use crate::wire::natpmp::{Mapped, Protocol, Refusal, Request};
use log::debug;

/// What RFC 6886 section 3.3 recommends, and 120 times what is asked for: a gateway that promises more and falls silent is
/// doubtful all the same.
const LIFETIME_MOST: Duration = secs(7200);
/// After this many repairs what there is gets published, since half a port is better than none; chosen.
const REPAIRS_MOST: u32 = 4;
/// Repairs towards the first number before the other one is tried; chosen.
const REPAIRS_ONE_WAY: u32 = 2;

/// A pair of ports as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ask {
    internal: u16,
    external: u16,
}

impl Ask {
    /// What Proton's gateway wants first (proton-api.md section 7): it chooses the number and does not translate it.
    const FIRST: Ask = Ask { internal: 0, external: 1 };

    fn exact(number: u16) -> Ask {
        Ask { internal: number, external: number }
    }

    /// Whether this answers that: a gateway repeats the internal port, unless it was left to the gateway.
    fn is_answered_by(self, mapped: Mapped) -> bool {
        self.internal == 0 || self.internal == mapped.internal
    }
}

/// One protocol's part.
#[derive(Clone, Copy, Debug)]
enum Half {
    /// TCP, until UDP has its number.
    Waiting,
    Asked {
        ask: Ask,
        tries: u32,
        retry_at: Instant,
        refused: Option<Refusal>,
    },
    Granted {
        mapped: Mapped,
        granted_at: Instant,
    },
}

impl Half {
    fn asked(ask: Ask, at: Instant) -> Half {
        Half::Asked { ask, tries: 0, retry_at: at, refused: None }
    }

    fn refusal(&self) -> Option<Refusal> {
        match self {
            Half::Asked { refused, .. } => *refused,
            Half::Waiting | Half::Granted { .. } => None,
        }
    }

    fn retry_at(&self) -> Option<Instant> {
        match self {
            Half::Asked { retry_at, .. } => Some(*retry_at),
            Half::Waiting | Half::Granted { .. } => None,
        }
    }
}

/// What a grant led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// The other protocol is still out.
    No,
    Yes {
        number: u16,
        lifetime: Duration,
    },
    /// The numbers do not fit: these mappings are released, then asking goes on.
    Apart {
        release: Vec<Request>,
    },
}

#[derive(Clone, Debug)]
pub struct Round {
    wish: Ask,
    udp: Half,
    tcp: Half,
    began_at: Instant,
    repairs: u32,
}

impl Round {
    /// Asks as Proton's gateway wants it the first time.
    pub fn first(now: Instant) -> Round {
        let udp = Half::asked(Ask::FIRST, now);
        Round { wish: Ask::FIRST, udp, tcp: Half::Waiting, began_at: now, repairs: 0 }
    }

    /// Asks for this number, internal and external.
    pub fn exact(number: u16, now: Instant) -> Round {
        let ask = Ask::exact(number);
        let (udp, tcp) = (Half::asked(ask, now), Half::asked(ask, now));
        Round { wish: ask, udp, tcp, began_at: now, repairs: 0 }
    }

    /// For the log.
    pub fn wish(&self) -> String {
        match self.wish {
            Ask::FIRST => "for any port".to_owned(),
            ask => format!("for port {}", ask.external),
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.udp.retry_at(), self.tcp.retry_at()].into_iter().flatten().min()
    }

    /// The refusal that stands, if the last word of a protocol was one.
    pub fn refusal(&self) -> Option<Refusal> {
        self.udp.refusal().or(self.tcp.refusal())
    }

    /// What is wrong with a lease that is held all the same.
    pub fn complaint(&self) -> Option<String> {
        (self.repairs > 0).then(|| "UDP and TCP have different ports: asking for the same one".to_owned())
    }

    fn half(&mut self, protocol: Protocol) -> &mut Half {
        match protocol {
            Protocol::Udp => &mut self.udp,
            Protocol::Tcp => &mut self.tcp,
        }
    }

    /// The requests that are due, counted as sent.
    pub fn poll_requests(&mut self, now: Instant, lease_lives: bool) -> Vec<Request> {
        self.reopen_aged(now);
        let lively = lease_lives || now.since(self.began_at) < LIVELY;
        let most = if lively { RETRY_MOST } else { SLOW_MOST };
        let mut requests = Vec::new();
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let Half::Asked { ask, tries, retry_at, .. } = self.half(protocol) else { continue };
            if *retry_at > now {
                continue;
            }
            let doublings = (*tries).min(8);
            *retry_at = now + (RETRY_FIRST * (1 << doublings)).min(most);
            *tries = tries.saturating_add(1);
            if *tries > 1 {
                debug!("lease: no answer for {protocol}, try {tries}");
            }
            requests.push(map(protocol, *ask));
        }
        requests
    }

    /// A grant that waits too long for its other half is confirmed again before it runs out.
    fn reopen_aged(&mut self, now: Instant) {
        for half in [&mut self.udp, &mut self.tcp] {
            if let Half::Granted { mapped, granted_at } = *half {
                if now.since(granted_at) >= lifetime(mapped) / 2 {
                    *half = Half::asked(Ask::exact(mapped.external), now);
                }
            }
        }
    }

    /// The gateway lost its table: what was granted is asked for again.
    pub fn forget_grants(&mut self, now: Instant) {
        for half in [&mut self.udp, &mut self.tcp] {
            match half {
                Half::Granted { mapped, .. } => *half = Half::asked(Ask::exact(mapped.external), now),
                Half::Asked { tries, retry_at, .. } => (*tries, *retry_at) = (0, now),
                Half::Waiting => {}
            }
        }
    }

    /// Takes a grant in; `published` is the number that should survive.
    pub fn handle_grant(
        &mut self,
        now: Instant,
        protocol: Protocol,
        mapped: Mapped,
        published: Option<u16>,
    ) -> Settled {
        let Half::Asked { ask, .. } = *self.half(protocol) else { return Settled::No };
        if !ask.is_answered_by(mapped) || SYSTEM_PORTS.contains(&mapped.external) || mapped.lifetime_secs == 0
        {
            debug!("lease: ignoring an answer for {protocol}: {mapped:?} is no grant of what was asked for");
            return Settled::No;
        }
        *self.half(protocol) = Half::Granted { mapped, granted_at: now };
        match (&mut self.udp, &mut self.tcp) {
            (Half::Granted { mapped: udp, granted_at: u }, Half::Granted { mapped: tcp, granted_at: t }) => {
                let (udp, tcp) = (*udp, *tcp);
                let ends_at = (*u + lifetime(udp)).min(*t + lifetime(tcp));
                self.settle(now, udp, tcp, ends_at, published)
            }
            (Half::Granted { .. }, tcp @ Half::Waiting) => {
                *tcp = Half::asked(ask, now);
                Settled::No
            }
            (Half::Asked { tries, retry_at, .. }, _) | (_, Half::Asked { tries, retry_at, .. }) => {
                // The gateway is awake: what the other one waits for was lost.
                (*tries, *retry_at) = ((*tries).min(1), (*retry_at).min(now + RETRY_FIRST));
                Settled::No
            }
            _ => Settled::No,
        }
    }

    fn settle(
        &mut self,
        now: Instant,
        udp: Mapped,
        tcp: Mapped,
        ends_at: Instant,
        published: Option<u16>,
    ) -> Settled {
        let same = udp.external == tcp.external;
        if same && !is_translated(udp) && !is_translated(tcp) {
            return Settled::Yes { number: udp.external, lifetime: ends_at.since(now) };
        }
        let udp_first = published != Some(tcp.external);
        if self.repairs >= REPAIRS_MOST {
            debug!("lease: UDP {udp:?} and TCP {tcp:?} stay apart after {} repairs", self.repairs);
            let number = if udp_first { udp.external } else { tcp.external };
            return Settled::Yes { number, lifetime: ends_at.since(now) };
        }
        let udp_survives = udp_first == (self.repairs < REPAIRS_ONE_WAY);
        let number = if udp_survives { udp.external } else { tcp.external };
        self.repairs += 1;
        debug!("lease: UDP {udp:?}, TCP {tcp:?}: asking for {number} in both");
        let mut release = Vec::new();
        for (protocol, mapped) in [(Protocol::Udp, udp), (Protocol::Tcp, tcp)] {
            if mapped.external == number && !is_translated(mapped) {
                continue;
            }
            if mapped.internal != 0 {
                release.push(unmap(protocol, mapped.internal));
            }
            *self.half(protocol) = Half::asked(Ask::exact(number), now);
        }
        Settled::Apart { release }
    }

    /// Takes a refusal in. Returns it when it is this gateway's last word on both ways of asking.
    pub fn handle_refusal(
        &mut self,
        now: Instant,
        protocol: Protocol,
        refusal: Refusal,
        own: u16,
        granted_here: bool,
    ) -> Option<Refusal> {
        let lively = now.since(self.began_at) < LIVELY;
        let again_at = now + if lively { REFUSED_PAUSE } else { SLOW_MOST };
        let udp_granted = match self.udp {
            Half::Granted { mapped, .. } => Some(mapped.external),
            _ => None,
        };
        let Half::Asked { ask, tries, retry_at, refused } = self.half(protocol) else { return None };
        if *ask == Ask::FIRST && refusal == Refusal::NotAuthorised {
            if let Some(number) = udp_granted {
                *ask = Ask::exact(number);
            } else {
                // miniupnpd refuses internal port 0 so.
                debug!("lease: asking for port {own} by its number");
                *self = Round { began_at: self.began_at, ..Round::exact(own, now) };
                return None;
            }
        }
        (*tries, *retry_at, *refused) = (0, again_at, Some(refusal));
        if matches!(refusal, Refusal::Version | Refusal::Opcode) {
            return Some(refusal);
        }
        let both = [self.udp.refusal(), self.tcp.refusal()] == [Some(Refusal::NotAuthorised); 2];
        if both && (!granted_here || !lively) {
            debug!("lease: both ways of asking are refused; beginning again");
            let udp = Half::Asked { ask: Ask::FIRST, tries: 0, retry_at: again_at, refused: Some(refusal) };
            *self = Round { began_at: self.began_at, udp, ..Round::first(now) };
        }
        both.then_some(refusal)
    }
}

fn lifetime(mapped: Mapped) -> Duration {
    Duration::from_secs(mapped.lifetime_secs.into()).min(LIFETIME_MOST)
}

/// Whether packets to the external number arrive at another one. Internal port 0 stands for "as it is" (Proton).
fn is_translated(mapped: Mapped) -> bool {
    mapped.internal != 0 && mapped.internal != mapped.external
}

fn map(protocol: Protocol, ask: Ask) -> Request {
    let lifetime_secs = LIFETIME.as_secs() as u32;
    Request::Map { protocol, internal: ask.internal, external: ask.external, lifetime_secs }
}

fn unmap(protocol: Protocol, internal: u16) -> Request {
    Request::Map { protocol, internal, external: 0, lifetime_secs: 0 }
}
