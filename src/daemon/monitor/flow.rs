//! Whether traffic flows through the tunnel, and whether it stopped flowing in one direction.
//!
//! Samples of the interface's counters come every 16 s on an idle tunnel, and twice a second while it is busy. A busy
//! tunnel that receives nothing for two seconds is *suspicious* when something was sent meanwhile, and also when a
//! download had been going on: a machine that only receives sends nothing once the acknowledgements stop. Suspicion is
//! cheap, it costs one answered echo; whoever holds this decides by probing.
//!
//! An idle tunnel may be *stirred*: a first packet is sent into it. Then one more sample is due, [`FLAT`] later, and a
//! tunnel that received nothing meanwhile is as suspicious, so that nobody waits for a tick to learn of a dead server.

use crate::time::{Duration, Instant, millis, secs};

/// The idle tick, at most four wake-ups a minute of the contract's six, and two where a lease is renewed every 30 s.
pub const IDLE_INTERVAL: Duration = secs(16);
/// A wake-up for another reason is used when no more than this is missing: two clocks then soon tick together.
pub const IDLE_SLACK: Duration = secs(8);
/// Chosen: a death is seen within half a second of the two that make it suspicious.
pub const BUSY_INTERVAL: Duration = millis(500);
/// The contract's "received bytes stay flat for 2 s".
const FLAT: Duration = secs(2);
/// Busy sampling ends after this long without traffic, and a fresh tunnel begins with it; chosen.
const LULL: Duration = secs(8);
/// More than this between two idle samples is somebody's traffic. Ours, all in one interval and with WireGuard's 32 bytes
/// and padding, comes to half of it: a renewal (320), an echo (192), a question for a name (208), a handshake (240) and
/// keepalives (64). What is lost and asked again finds room in the rest.
const IDLE_BYTES: u64 = 2000;
/// More than this between two busy samples goes on; chosen: one small packet and its overhead.
const BUSY_BYTES: u64 = 100;

/// The interface's counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
}

impl Counters {
    fn sum(self) -> u64 {
        self.rx_bytes.saturating_add(self.tx_bytes)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// Somebody sent into the idle tunnel.
    Stirred {
        at: Instant,
        /// The counters of the last idle sample, and the received bytes of the first one since.
        idle: Counters,
        received: Option<u64>,
    },
    Busy {
        moved_at: Instant,
        /// When something was last received, and what had been sent by then.
        received_at: Instant,
        sent_then: u64,
        /// Whether the received bytes were traffic, so that their end alone is suspicious. Once.
        downloading: bool,
    },
}

/// What a sample showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Nothing,
    /// The tunnel was idle and is not any more.
    Began,
    /// For `flat` nothing was received.
    Suspicious {
        flat: Duration,
        sent_bytes: u64,
    },
    /// What was sent into an idle tunnel is unanswered for `flat`.
    Unanswered {
        flat: Duration,
    },
}

#[derive(Clone, Debug)]
pub struct Flow {
    last: Option<(Instant, Counters)>,
    state: State,
    next_at: Instant,
}

impl Flow {
    pub fn new(now: Instant) -> Flow {
        let state = State::Busy { moved_at: now, received_at: now, sent_then: 0, downloading: false };
        Flow { last: None, state, next_at: now }
    }

    pub fn poll_timeout(&self) -> Instant {
        self.next_at
    }

    pub fn is_busy(&self) -> bool {
        matches!(self.state, State::Busy { .. })
    }

    /// Nothing flows: somebody's packet into the tunnel is worth a word, to [`Flow::stir`].
    pub fn is_idle(&self) -> bool {
        self.state == State::Idle
    }

    pub fn counters(&self) -> Option<Counters> {
        self.last.map(|(_, counters)| counters)
    }

    /// Whether a sample is due, or welcome since somebody is awake anyway.
    pub fn wants_sample(&self, now: Instant) -> bool {
        self.next_at <= now + self.slack()
    }

    /// How much earlier than planned something may be done for want of another wake-up.
    pub fn slack(&self) -> Duration {
        if self.is_idle() { IDLE_SLACK } else { Duration::ZERO }
    }

    /// Somebody sent a packet. A sample is due at once, and another one when an answer should have come.
    pub fn stir(&mut self, now: Instant) {
        if self.is_idle() {
            let idle = self.counters().unwrap_or_default();
            self.state = State::Stirred { at: now, idle, received: None };
            self.next_at = now;
        }
    }

    /// Traffic was seen by other means: sampling becomes busy at once.
    pub fn wake_up(&mut self, now: Instant) {
        if self.is_busy() {
            return;
        }
        let sent_then = self.counters().map_or(0, |c| c.tx_bytes);
        self.state = State::Busy { moved_at: now, received_at: now, sent_then, downloading: false };
        self.next_at = now;
    }

    pub fn handle_sample(&mut self, now: Instant, counters: Counters) -> Finding {
        let before = self.last.replace((now, counters)).map_or(counters, |(_, before)| before);
        if counters.rx_bytes < before.rx_bytes || counters.tx_bytes < before.tx_bytes {
            // Counters that fell back belong to a link or peer made anew.
            *self = Flow { last: Some((now, counters)), ..Flow::new(now) };
        }
        let received = counters.rx_bytes.saturating_sub(before.rx_bytes);
        let moved = received + counters.tx_bytes.saturating_sub(before.tx_bytes);
        let mut finding = Finding::Nothing;
        match &mut self.state {
            State::Idle if moved >= IDLE_BYTES => {
                self.wake_up(now);
                finding = Finding::Began;
            }
            State::Idle => {}
            State::Stirred { at, idle, received: base } => match *base {
                None => *base = Some(counters.rx_bytes),
                Some(_) if now.since(*at) < FLAT => {}
                Some(base) => {
                    let (flat, was) = (now.since(*at), *idle);
                    self.state = State::Idle;
                    if counters.rx_bytes == base {
                        finding = Finding::Unanswered { flat };
                    } else if counters.sum().saturating_sub(was.sum()) >= IDLE_BYTES {
                        self.wake_up(now);
                    }
                }
            },
            State::Busy { moved_at, received_at, sent_then, downloading } => {
                if moved >= BUSY_BYTES {
                    *moved_at = now;
                }
                if received > 0 {
                    (*received_at, *sent_then) = (now, counters.tx_bytes);
                    *downloading |= received >= IDLE_BYTES;
                }
                let flat = now.since(*received_at);
                let sent_bytes = counters.tx_bytes.saturating_sub(*sent_then);
                if flat >= FLAT && (sent_bytes >= BUSY_BYTES || *downloading) {
                    *downloading = false;
                    finding = Finding::Suspicious { flat, sent_bytes };
                }
                if now.since(*moved_at) >= LULL {
                    self.state = State::Idle;
                }
            }
        }
        self.skip(now);
        finding
    }

    /// A sample could not be taken: another try at the next tick.
    pub fn skip(&mut self, now: Instant) {
        self.next_at = match self.state {
            State::Idle => now + IDLE_INTERVAL,
            State::Busy { .. } => now + BUSY_INTERVAL,
            State::Stirred { at, .. } if now < at + FLAT => at + FLAT,
            State::Stirred { .. } => now + FLAT,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_tunnel_is_watched_closely_and_an_idle_one_rarely() {
        let mut flow = Flow::new(at(0));
        let mut samples = 0;
        while flow.poll_timeout() < at(600_000) {
            let now = flow.poll_timeout();
            assert_eq!(flow.handle_sample(now, Counters::default()), Finding::Nothing);
            samples += 1;
        }
        assert!(!flow.is_busy());
        assert_eq!(samples, 16 + 37);
    }

    #[test]
    fn sending_without_receiving_is_suspicious_after_two_seconds() {
        let mut flow = Flow::new(at(0));
        for i in 0..10 {
            assert_eq!(flow.handle_sample(at(i * 500), counters(i * 5000, i * 500)), Finding::Nothing);
        }
        for i in 10..13 {
            assert_eq!(flow.handle_sample(at(i * 500), counters(45_000, i * 500)), Finding::Nothing);
        }
        let finding = flow.handle_sample(at(6500), counters(45_000, 6500));
        assert_eq!(finding, Finding::Suspicious { flat: secs(2), sent_bytes: 2000 });
    }

    #[test]
    fn a_download_that_stops_is_suspicious_once_though_nothing_is_sent() {
        let mut flow = Flow::new(at(0));
        for i in 0..4 {
            flow.handle_sample(at(i * 500), counters(i * 100_000, i * 4000));
        }
        let mut findings = Vec::new();
        for i in 4..40 {
            findings.push(flow.handle_sample(at(i * 500), counters(300_000, 12_000)));
        }
        findings.retain(|f| *f != Finding::Nothing);
        assert_eq!(findings, [Finding::Suspicious { flat: secs(2), sent_bytes: 0 }]);
        assert!(!flow.is_busy());
    }

    #[test]
    fn our_own_packets_do_not_keep_an_idle_tunnel_busy() {
        let mut flow = Flow::new(at(0));
        flow.handle_sample(at(0), counters(0, 0));
        flow.handle_sample(at(8000), counters(0, 0));
        let mut sent = 0;
        for i in 1..40 {
            flow.handle_sample(at(i * 15_000), counters(sent, sent));
            // All that is ours, and a renewal whose answers were lost.
            sent += (320 + 192 + 208 + 240 + 64) / 2 + 160;
        }
        assert!(!flow.is_busy());
        assert_eq!(flow.handle_sample(at(600_000), counters(sent + 3000, sent + 900)), Finding::Began);
    }

    #[test]
    fn counters_that_fall_back_begin_afresh() {
        let mut flow = Flow::new(at(0));
        flow.handle_sample(at(0), counters(9_000_000, 9_000_000));
        flow.handle_sample(at(9000), counters(9_000_000, 9_000_000));
        assert_eq!(flow.handle_sample(at(24_000), counters(0, 148)), Finding::Nothing);
        assert!(flow.is_busy());
    }

    #[test]
    fn a_packet_into_an_idle_tunnel_that_nobody_answers_is_noticed_after_two_seconds() {
        let mut flow = idle();
        flow.stir(at(20_000));
        assert!(flow.wants_sample(at(20_000)));
        assert_eq!(flow.handle_sample(at(20_000), counters(500, 596)), Finding::Nothing);
        assert_eq!(flow.handle_sample(at(21_000), counters(500, 692)), Finding::Nothing, "somebody looked");
        assert_eq!(flow.poll_timeout(), at(22_000));
        let finding = flow.handle_sample(at(22_000), counters(500, 692));
        assert_eq!(finding, Finding::Unanswered { flat: secs(2) });
        assert!(flow.is_idle());
    }

    #[test]
    fn a_stirred_tunnel_that_answers_goes_back_to_rest_or_on_to_be_busy() {
        for (received, is_busy) in [(596, false), (9000, true)] {
            let mut flow = idle();
            flow.stir(at(20_000));
            flow.stir(at(20_001));
            assert_eq!(flow.handle_sample(at(20_001), counters(500, 596)), Finding::Nothing);
            assert_eq!(flow.handle_sample(at(22_000), counters(received, 600)), Finding::Nothing);
            assert_eq!((flow.is_busy(), flow.is_idle()), (is_busy, !is_busy));
        }
    }

    /// A flow that came to rest, with 500 bytes in each direction.
    fn idle() -> Flow {
        let mut flow = Flow::new(at(0));
        flow.handle_sample(at(0), counters(500, 500));
        flow.handle_sample(at(8000), counters(500, 500));
        assert!(flow.is_idle());
        flow
    }

    fn at(ms: u64) -> Instant {
        Instant::BOOT + millis(ms)
    }

    fn counters(rx_bytes: u64, tx_bytes: u64) -> Counters {
        Counters { rx_bytes, tx_bytes }
    }
}
