//! The last moment of a supervisor: what a worker asks the provider may be paid for by a token that is good once.

use super::super::Action;
use super::{Source, Supervisor};
use crate::sys::poll::Interest;
use crate::sys::worker::Lane;
use crate::time::{Duration, secs};
use std::os::fd::AsFd;

/// Who ends waits this long for an answer that is under way; chosen: an answer takes less, and with qBittorrent's time it
/// is less than `disconnect` may take.
const FAREWELL: Duration = secs(4);

impl Supervisor {
    /// A refresh token is spent when it is sent, and what comes for it is to reach the disk. The rules let it in for as
    /// long, and are those of the end afterwards.
    pub(super) fn await_errands(&mut self) {
        let until = self.now() + FAREWELL;
        while self.daemon.has_errands() && self.workers.is_busy(Lane::Outside) && self.now() < until {
            let worker = [(Source::Worker, self.workers.as_fd(), Interest::Read)];
            if self.poll.wait(&worker, Some(until)).is_err() {
                break;
            }
            for event in self.workers.poll_answers() {
                self.handle(event);
            }
        }
        self.daemon.end_errands();
        while let Some(action) = self.daemon.poll_action() {
            let Action::Load(policy) = action else { continue };
            if let Err(e) = self.load_policy(&policy) {
                log::error!("firewall: {e}");
            }
        }
    }
}
