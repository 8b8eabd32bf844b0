//! A dead server, seen by its silence: sent bytes grow while received ones stay as they are.
//!
//! WireGuard answers everything sooner or later (a passive keepalive after 10 s), but what people do is answered within
//! a round trip. So bytes that are sent for [`SILENCE`] without one coming back are a reason to probe the tunnel at
//! once, not yet a verdict. Samples are frequent only while something is sent: an idle tunnel wakes nobody.

use crate::time::{Duration, Instant, millis, secs};

/// How long one-sided traffic lasts before it counts (the contract's 10 s leave room for probes and a switch).
pub const SILENCE: Duration = secs(2);
/// After this long without anything sent, an unanswered burst is forgotten. Chosen.
const LULL: Duration = secs(4);
/// Between samples while something is sent. Chosen: four of them make [`SILENCE`].
const BUSY_INTERVAL: Duration = millis(500);
/// Between samples otherwise. Chosen: four wake-ups a minute.
const IDLE_INTERVAL: Duration = secs(15);
/// Less than this between two samples is WireGuard's own: a keepalive (32) and a handshake (148 bytes).
const OWN_BYTES: u64 = 200;

/// The bytes a tunnel has received and sent since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Counters {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
}

/// Watches one tunnel's counters. Feed it a sample whenever [`Traffic::poll_timeout`] says.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    last: Option<(Instant, Counters)>,
    silence: Silence,
    is_busy: bool,
}

/// Since when nothing came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
enum Silence {
    /// Something came back, or nothing was sent.
    #[default]
    None,
    /// The sample before the first one-sided growth, and the latest one-sided growth.
    Since { begun_at: Instant, grown_at: Instant },
}

impl Traffic {
    pub fn new() -> Traffic {
        Traffic::default()
    }

    /// Takes a sample. Counters that fell back belong to a link that was made again: all begins afresh.
    pub fn handle_sample(&mut self, at: Instant, counters: Counters) {
        let Some((before_at, before)) = self.last.replace((at, counters)) else { return };
        if counters.rx_bytes < before.rx_bytes || counters.tx_bytes < before.tx_bytes {
            *self = Traffic { last: self.last, ..Traffic::new() };
            return;
        }
        self.is_busy = counters.tx_bytes - before.tx_bytes >= OWN_BYTES;
        if counters.rx_bytes != before.rx_bytes {
            self.silence = Silence::None;
        } else if self.is_busy {
            // After an idle time the first byte may have been sent at any moment since: the sample counts.
            let first_at = if at.since(before_at) > BUSY_INTERVAL * 2 { at } else { before_at };
            let begun_at = match self.silence {
                Silence::Since { begun_at, grown_at } if at.since(grown_at) < LULL => begun_at,
                _ => first_at,
            };
            self.silence = Silence::Since { begun_at, grown_at: at };
        }
    }

    /// Whether bytes have been sent for [`SILENCE`] without one coming back. One burst without a second one later is
    /// no sign: nobody may have to answer it.
    pub fn is_one_sided(&self) -> bool {
        match self.silence {
            Silence::None => false,
            Silence::Since { begun_at, grown_at } => grown_at.since(begun_at) >= SILENCE,
        }
    }

    /// Begins afresh: the tunnel was probed and lives, or its peer was changed.
    pub fn reset(&mut self) {
        *self = Traffic::new();
    }

    /// When to take the next sample; `None`: at once.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let (at, _) = self.last?;
        let is_watched = self.is_busy || self.silence != Silence::None && !self.is_stale();
        Some(at + if is_watched { BUSY_INTERVAL } else { IDLE_INTERVAL })
    }

    /// A burst long ago that nobody followed up.
    fn is_stale(&self) -> bool {
        match (self.silence, self.last) {
            (Silence::Since { grown_at, .. }, Some((at, _))) => at.since(grown_at) >= LULL,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests;
