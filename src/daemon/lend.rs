//! What a command has for as long as it stays connected: pvpn's own sockets outside a closed kill switch, or a tunnel
//! that carries nothing. Both end with the connection, or when it has lasted too long.

use super::clients::ClientId;
use super::control::{Loan, Tell};
use super::{Action, Daemon};
use crate::error::Exit;
use crate::time::{Duration, Instant, secs};

/// A login that a person is asked for; chosen: a code to be approved on another device lives ten minutes.
pub const OUTSIDE: Duration = secs(660);
/// `check --drop` takes five seconds; chosen, twice that.
const DROP: Duration = secs(10);

/// What is lent, to whom, and until when.
#[derive(Debug, Default)]
pub(super) struct Lent(Vec<(ClientId, Loan, Instant)>);

impl Lent {
    pub fn has(&self, what: Loan) -> bool {
        self.0.iter().any(|(_, loan, _)| *loan == what)
    }

    /// Whether this client had the way out: it may have logged in or out.
    pub fn give_back(&mut self, id: ClientId) -> bool {
        let had_outside = self.0.iter().any(|(client, loan, _)| *client == id && *loan == Loan::Outside);
        self.0.retain(|(client, ..)| *client != id);
        had_outside
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.0.iter().map(|(.., until)| *until).min()
    }

    pub fn wake(&mut self, now: Instant) {
        self.0.retain(|(.., until)| now < *until);
    }
}

impl Daemon {
    /// The rules are asked for before the client hears of it.
    pub(super) fn lend(&mut self, now: Instant, id: ClientId, what: Loan) {
        if what == Loan::Drop && (self.up.is_none() || !self.killswitch) {
            let text = "there is nothing to show: no tunnel is up, or the kill switch is off";
            self.actions.push_back(Action::Tell(id, Tell::Done(Exit::Failed, text.to_owned())));
            return;
        }
        let until = now
            + match what {
                Loan::Outside => OUTSIDE,
                Loan::Drop => DROP,
            };
        log::info!("daemon: {} for a command", what.word());
        self.lent.0.retain(|(client, loan, _)| (*client, *loan) != (id, what));
        self.lent.0.push((id, what, until));
        self.refresh_policy();
        self.actions.push_back(Action::Tell(id, Tell::Say(what.word().to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loan_ends_with_its_client_or_its_time() {
        let mut lent = Lent::default();
        lent.0.push((1, Loan::Drop, Instant::BOOT + DROP));
        lent.0.push((2, Loan::Outside, Instant::BOOT + OUTSIDE));
        assert!(lent.give_back(2) && !lent.give_back(2));
        assert!(lent.has(Loan::Drop) && !lent.has(Loan::Outside));
        assert_eq!(lent.poll_timeout(), Some(Instant::BOOT + DROP));
        lent.wake(Instant::BOOT + DROP - secs(1));
        assert!(lent.has(Loan::Drop));
        lent.wake(Instant::BOOT + DROP);
        assert!(!lent.has(Loan::Drop));
        assert_eq!(lent.poll_timeout(), None);
    }
}
