//! What follows on suspicion: echoes where the gateway answers them, else a handshake begun anew, which a server that
//! lives answers within a round trip.

use super::{Action, Monitor, Reason, Sample, State, Why};
use crate::time::{Duration, Instant, millis, secs};
use log::debug;

/// An unanswered handshake is begun anew after this (contract), once.
const HANDSHAKE_PATIENCE: Duration = millis(1500);
/// How long one-sided traffic lasts before a gateway that answers no echo has its handshake renewed; chosen: many
/// protocols only send for a while.
const MUTE_FLAT: Duration = secs(4);
/// How long one-sided traffic is accepted after such a handshake was answered; chosen.
const MUTE_PAUSE: Duration = secs(120);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shake {
    /// Since when nothing was received.
    pub since: Instant,
    pub begun_at: Instant,
    pub again: bool,
    pub due_at: Instant,
}

impl Monitor {
    pub(super) fn suspect(&mut self, now: Instant, flat: Duration, sent_bytes: u64, rx_bytes: u64) {
        let since = now - flat;
        if self.answered {
            debug!("monitor: {sent_bytes} bytes sent, none received for {} ms: probing", flat.as_millis());
            self.probe(now, Why::Confirm { since, rx_bytes });
        } else if flat >= MUTE_FLAT && sent_bytes > 0 && self.accepted_until <= now {
            debug!("monitor: one-sided for {} ms, no echo to ask by: new handshake", flat.as_millis());
            self.shake(now, since, false);
        }
    }

    fn shake(&mut self, now: Instant, since: Instant, again: bool) {
        let due_at = now + HANDSHAKE_PATIENCE;
        self.state = State::Shaking(Shake { since, begun_at: now, again, due_at });
        self.actions.push_back(Action::ReaddPeer);
        self.seq = self.seq.wrapping_add(1);
        self.actions.push_back(Action::SendEcho { seq: self.seq }); // something to shake hands for
    }

    pub(super) fn handle_shaking(&mut self, now: Instant, shake: Shake, sample: Sample) {
        let is_over = now.since(shake.begun_at) >= HANDSHAKE_PATIENCE;
        if sample.handshake_age.is_some_and(|age| age <= now.since(shake.begun_at)) {
            debug!("monitor: the server shakes hands: one-sided traffic is accepted for a while");
            self.accepted_until = now + MUTE_PAUSE;
            self.state = State::Resting;
        } else if is_over && shake.again {
            self.give_up(Reason::Silent { flat: now.since(shake.since) });
        } else if is_over {
            self.shake(now, shake.since, true);
        }
    }
}
