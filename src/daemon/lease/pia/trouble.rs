//! What becomes of failures: who is asked next, and when.

use super::{BIND_INTERVAL, Pia, RETRY_MOST, Task};
use crate::daemon::lease::Action;
use crate::provider::pia::forward::Refusal;
use crate::time::{Duration, Instant, secs};
use log::{debug, warn};

/// Between tries, doubling from here ...
const RETRY_FIRST: Duration = secs(1);
/// ... to here for the first [`LIVELY`] tries, a gateway being ready some seconds after its tunnel, and then to
/// [`RETRY_MOST`].
const RETRY_SOON: Duration = secs(5);
const LIVELY: u32 = 12;
/// After a refusal; PIA's desktop application waits as long before it asks for another signature.
const REFUSED_PAUSE: Duration = secs(5);
/// When signature after signature is refused, or there is no token: doubling from `REFUSED_PAUSE` to this.
const ACCOUNT_PAUSE_MOST: Duration = secs(300);
/// A port taken on this server is tried so often before it is given up for another; chosen: our own binding of before
/// a reconnect may stand for a moment.
const BUSY_MOST: u32 = 2;

impl Pia {
    pub(super) fn fail(&mut self, now: Instant, task: Task, why: Refusal) {
        debug!("lease: {task:?}: {}", why.text());
        self.tries = self.tries.saturating_add(1);
        self.is_adopted = false;
        match (task, why) {
            (Task::Ask, Refusal::Token) => {
                let refused = self.token.take();
                if self.token_replaced {
                    return self.fail_account(now, Refusal::Token);
                }
                self.token_replaced = true;
                self.log_in(now, refused);
            }
            (Task::Ask | Task::BindOffered, why) if self.is_renewing() => self.put_off(now, &why),
            (Task::Ask, why) => {
                let is_refusal = matches!(why, Refusal::Refused(_) | Refusal::Busy);
                self.trouble = Some(why);
                if is_refusal { self.rest_longer(now) } else { self.retry(now, task) }
            }
            (Task::Bind, Refusal::Busy) if self.refusals < BUSY_MOST => {
                self.refusals += 1;
                self.trouble = Some(Refusal::Busy);
                self.rest(now, task, REFUSED_PAUSE);
            }
            (_, why @ (Refusal::Busy | Refusal::Refused(_) | Refusal::Token)) => {
                self.give_up_grant(now, task, why);
            }
            (_, why) => {
                self.trouble = Some(why);
                self.retry(now, task);
            }
        }
    }

    /// The gateway will not have this signature: only another helps.
    fn give_up_grant(&mut self, now: Instant, task: Task, why: Refusal) {
        if task == Task::Bind {
            warn!("lease: the kept port is refused ({}), asking for another", why.text());
            (self.grant, self.expires_at) = (None, None);
            self.refusals = 0;
            self.actions.push_back(Action::KeepGrant(None));
        }
        let is_busy = why == Refusal::Busy;
        if task == Task::BindOffered {
            self.offered = None;
        }
        self.trouble = Some(why);
        // Another number is not taken because this one is.
        if is_busy && self.refusals == 0 {
            self.refusals = 1;
            return self.start(now, self.renewal());
        }
        self.rest_longer(now);
    }

    fn is_renewing(&self) -> bool {
        self.grant.is_some() && self.bound_at.is_some()
    }

    /// No other signature: the one there is goes on, and its next turn is another try.
    fn put_off(&mut self, now: Instant, why: &Refusal) {
        let text = format!("the port ends soon, and there is no other: {}", why.text());
        if self.complaint.replace(text).is_none() {
            warn!("lease: no other signature: {}; the present one goes on", why.text());
        }
        if !matches!(why, Refusal::Away(_)) {
            self.offered = None;
        }
        let due = self.bound_at.map_or(now, |at| at + BIND_INTERVAL);
        self.rest(now, Task::Bind, due.since(now));
    }

    /// No token, or none that is good.
    pub(super) fn fail_account(&mut self, now: Instant, why: Refusal) {
        if self.is_renewing() {
            return self.put_off(now, &why);
        }
        self.trouble = Some(why);
        self.rest_longer(now);
    }

    /// Asks again after a pause that grows with each refusal.
    fn rest_longer(&mut self, now: Instant) {
        let pause = REFUSED_PAUSE.saturating_mul(1 << self.refusals.min(8)).min(ACCOUNT_PAUSE_MOST);
        self.refusals = self.refusals.saturating_add(1);
        self.rest(now, self.renewal(), pause);
    }

    fn retry(&mut self, now: Instant, task: Task) {
        let most = if self.tries <= LIVELY { RETRY_SOON } else { RETRY_MOST };
        let pause = RETRY_FIRST.saturating_mul(1 << self.tries.saturating_sub(1).min(8)).min(most);
        self.rest(now, task, pause);
    }
}
