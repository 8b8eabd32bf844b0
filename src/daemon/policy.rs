//! Which policy the state of the supervisor asks for. Loaded whenever it differs from the one in force.

use super::clients::ClientId;
use super::connection::Up;
use super::control::Loan;
use super::control::Tell;
use super::{Action, Daemon, phase};
use crate::address::IpNet;
use crate::error::{Error, Exit};
use crate::firewall::{self, DnsPolicy, Policy, TunnelPolicy};
use crate::time::{Duration, Instant, secs};

/// Until rules that the kernel refused are tried again; chosen.
const RELOAD: Duration = secs(2);

impl Daemon {
    pub fn lan(&self) -> Vec<IpNet> {
        firewall::lan(self.config.network.lan.as_deref(), Some(&self.surroundings.attached))
    }

    /// What may pass in this state.
    pub(super) fn policy(&self) -> Policy {
        let mut tunnels: Vec<TunnelPolicy> = self.up.iter().map(|up| self.tunnel_policy(up)).collect();
        if let Some(making) = &self.making {
            let to = making.policy();
            match tunnels.iter_mut().find(|t| t.interface == to.interface) {
                // In place: both endpoints may be spoken to, the addresses are the later ones.
                Some(same) => {
                    same.endpoints.extend(to.endpoints);
                    same.addresses.extend(to.addresses);
                }
                None => tunnels.push(to),
            }
        }
        if !self.killswitch {
            return Policy::open(tunnels);
        }
        Policy {
            tunnels,
            dns: self.dns_policy(),
            own_sockets: self.needs_outside(),
            links: self.surroundings.links.clone(),
            ..Policy::blocked(self.lan())
        }
    }

    fn tunnel_policy(&self, up: &Up) -> TunnelPolicy {
        let open = !self.lent.has(Loan::Drop);
        TunnelPolicy { open, forwarded_port: up.open_port, ..up.policy() }
    }

    fn dns_policy(&self) -> DnsPolicy {
        match (&self.up, &self.wish) {
            (_, Some(wish)) if !wish.dns => DnsPolicy::Machine(self.surroundings.resolvers.clone()),
            (Some(up), _) if up.ready.connection.tunnel.dns.is_empty() => {
                DnsPolicy::Machine(self.surroundings.resolvers.clone())
            }
            (Some(up), _) => DnsPolicy::Tunnel(up.ready.connection.tunnel.dns.clone()),
            (None, _) => DnsPolicy::None,
        }
    }

    /// Whether pvpn's own sockets have something to do outside: while a server is being chosen and reached, a command
    /// asks the provider, the time is asked, or the session renewed.
    fn needs_outside(&self) -> bool {
        (self.phase.is_running() && !self.waits_for_clock)
            || self.lent.has(Loan::Outside)
            || self.clock.is_asking()
            || self.session.is_renewing()
            || (self.ending.is_some() && self.has_errands())
    }

    /// Asks for the policy of this state to be loaded, unless it was asked for last.
    pub(super) fn refresh_policy(&mut self) {
        let policy = self.policy();
        if self.loaded.as_ref() != Some(&policy) {
            self.loaded = Some(policy.clone());
            self.reload_at = None;
            self.actions.push_back(Action::Load(Box::new(policy)));
        }
    }

    /// The rules are in force, or not: then nothing that relies on them goes on, and a kill switch that was open stays
    /// open, for the person is told that it could not be closed.
    pub(super) fn handle_loaded(&mut self, now: Instant, result: Result<(), Error>) {
        let Err(e) = result else {
            self.closed = self.killswitch;
            self.policy_trouble = None;
            return self.answer_switching(Ok(()));
        };
        log::error!("firewall: {e}");
        self.policy_trouble = Some(e.to_string());
        self.reload_at = Some(now + RELOAD);
        if self.killswitch && !self.closed {
            self.change_killswitch(false);
        }
        if self.phase.is_running() && self.up.is_none() {
            self.phase.handle(now, phase::Input::Fail(e.clone().context("close the firewall")));
        }
        self.answer_switching(Err(e));
    }

    /// Links on which the kernel has no egress hook, so that packet sockets are not stopped.
    pub fn note_unguarded(&mut self, links: Vec<String>) {
        if links != self.unguarded && !links.is_empty() {
            log::warn!("firewall: packet sockets on {} are not stopped: no egress hook", links.join(", "));
        }
        self.unguarded = links;
    }

    fn answer_switching(&mut self, result: Result<(), Error>) {
        for (id, on) in std::mem::take(&mut self.switching) {
            let word = if on { "kill switch on" } else { "kill switch off" };
            let tell = match (&result, &self.forgotten) {
                (Ok(()), None) => Tell::Done(Exit::Done, word.to_owned()),
                (Ok(()), Some(e)) => Tell::Done(Exit::Failed, format!("{word}, but {e}")),
                (Err(e), _) => Tell::failed(e),
            };
            self.actions.push_back(Action::Tell(id, tell));
        }
    }

    /// `killswitch on|off`: answered when the rules are in force.
    pub(super) fn switch(&mut self, id: ClientId, on: bool) {
        self.change_killswitch(on);
        if self.ending.is_some() {
            // A disconnect that is under way leaves it so.
            self.closing = Some(on);
        }
        self.switching.push((id, on));
    }

    /// Rules that are in force already are answered for here, others when they are loaded.
    pub(super) fn handle_remembered(&mut self, result: Result<(), Error>) {
        self.forgotten = result.err().map(|e| {
            let after = if self.killswitch { "a reboot may open it" } else { "a reboot may close it again" };
            e.context(format!("the kill switch is not remembered: {after}; make room in /var/lib/pvpn"))
        });
        if let Some(e) = &self.forgotten {
            log::error!("killswitch: {e}");
        }
        if self.loaded.as_ref() == Some(&self.policy()) && self.reload_at.is_none() {
            self.answer_switching(Ok(()));
        }
    }

    /// Tries again what the kernel refused.
    pub(super) fn reload_when_due(&mut self, now: Instant) {
        if self.reload_at.is_some_and(|at| now >= at) {
            self.loaded = None;
        }
    }
}
