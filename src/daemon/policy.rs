//! Which policy the state of the supervisor asks for. Loaded whenever it differs from the one in force.

use super::connection::Up;
use super::control::Loan;
use super::{Action, Daemon};
use crate::address::IpNet;
use crate::firewall::{self, DnsPolicy, Policy, TunnelPolicy};

impl Daemon {
    pub fn lan(&self) -> Vec<IpNet> {
        firewall::lan(self.config.network.lan.as_deref(), Some(&self.surroundings.attached))
    }

    /// What may pass in this state. `None`: no rules at all.
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
    /// asks the provider, or the time is asked.
    fn needs_outside(&self) -> bool {
        (self.phase.is_running() && !self.waits_for_clock)
            || self.lent.has(Loan::Outside)
            || self.clock.is_asking()
    }

    /// Asks for the policy of this state to be loaded, unless it was asked for last.
    pub(super) fn refresh_policy(&mut self) {
        let policy = self.policy();
        if self.loaded.as_ref() != Some(&policy) {
            self.loaded = Some(policy.clone());
            self.actions.push_back(Action::Load(Box::new(policy)));
        }
    }
}
