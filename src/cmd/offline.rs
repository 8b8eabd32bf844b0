//! What commands do when no supervisor runs: put files back that a power cut left changed, undo what a dead supervisor
//! left, open or close the kill switch.

use crate::address::{IpNet, PRIVATE};
use crate::change::state::{self, KillSwitch};
use crate::change::{self, Changes, FIREWALL, Step, recover};
use crate::daemon::Surroundings;
use crate::daemon::record::Record;
use crate::daemon::run::{self, RECORD, STATUS};
use crate::error::{Doing, Error, Result};
use crate::firewall::ruleset::Ruleset;
use crate::firewall::{self, DnsPolicy, OWN_MARK, Policy, TUNNEL_MARK, TunnelPolicy};
use crate::status::{Snapshot, State};
use crate::sys::files::{Durable, Lock};
use crate::sys::net::Flows;
use crate::sys::{Machine as _, System, nft};
use std::path::{Path, PathBuf};

/// The machine, with the lock that a supervisor would hold.
pub struct Machine {
    sys: System,
    changes: Changes,
    _lock: Lock,
}

/// At boot, before any interface is up: files that a power cut left changed go back, and a kill switch that was closed
/// is closed again; whether it is. Whatever fails, a machine that was closed is closed, and so is one of which that
/// cannot be read.
pub fn restore(lock: Result<Lock>, config_dir: &Path) -> Result<bool> {
    let restored = lock.and_then(Machine::locked).and_then(|mut machine| machine.restore(config_dir));
    restored.map_err(|e| fail_closed(&System::new(), e))
}

/// Loads the rules of a closed machine, unless it is known to have been open.
fn fail_closed(sys: &dyn crate::sys::Machine, e: Error) -> Error {
    if let Ok(None) = state::load_killswitch(sys.files()) {
        return e;
    }
    let links = change::physical_links(sys).unwrap_or_default();
    let policy = Policy::blocked(PRIVATE.to_vec()).with_links(links);
    match sys.net().load_ruleset(&Ruleset::of(&policy)) {
        Ok(()) => e.context("closed all the same, lan means all private ranges"),
        Err(why) => e.context(format!("the kill switch is not closed: {why}; it cannot be, because")),
    }
}

fn rules() -> std::io::Result<Option<nft::State>> {
    nft::state(&mut nft::open()?)
}

impl Machine {
    /// Puts files back that were changed before the last boot.
    pub fn locked(lock: Lock) -> Result<Machine> {
        let sys = System::new();
        let changes = recover::files(&sys)?;
        Ok(Machine { sys, changes, _lock: lock })
    }

    /// Whether a supervisor died while it had a tunnel.
    pub fn has_record(&self) -> bool {
        self.sys.files().exists(Path::new(RECORD))
    }

    /// Undoes everything; whether the kill switch is on afterwards.
    pub fn disconnect(&mut self, ks: Option<bool>, config_dir: &Path) -> Result<bool> {
        let was_on = state::load_killswitch(self.sys.files())?.is_some();
        let wanted = ks.unwrap_or(was_on);
        let remembered = self.remember(wanted, config_dir);
        // Opening is for good or not at all; the tunnel goes in any case.
        let on = wanted || (was_on && remembered.is_err());
        if on {
            self.load(&self.policy(on, None, config_dir))?;
        } else if !self.changes.has(FIREWALL) && matches!(rules(), Ok(Some(_))) {
            // No journal tells of them: [`fail_closed`], or /run was cleared.
            self.load(&Policy::open(Vec::new()))?;
        }
        self.changes.undo_all(&self.sys)?;
        self.forget_flows();
        let files = self.sys.files();
        let places = match run::load_config(files, config_dir) {
            Ok(config) => run::port_places(&config).collect(),
            Err(_) => vec![PathBuf::from(run::PORT_FILE)],
        };
        // Nor does a supervisor that was killed remove what leads to it.
        let left = [RECORD, run::CONTROL, run::PID].map(Path::new);
        for path in places.iter().map(PathBuf::as_path).chain(left) {
            files.remove(path).doing(|| format!("remove {}", path.display()))?;
        }
        self.write_status(if on { State::Blocked } else { State::Disconnected }, on, config_dir);
        if was_on && wanted { Ok(on) } else { remembered.map(|()| on) }
    }

    /// Opens or closes; a tunnel that a dead supervisor left goes on.
    pub fn switch(&mut self, on: bool, config_dir: &Path) -> Result<()> {
        let record = self.record();
        let remembered = self.remember(on, config_dir);
        if !on {
            remembered.clone()?;
        }
        let policy = self.policy(on, record.as_ref(), config_dir);
        self.load(&policy)?;
        self.forget_flows();
        if !on && record.is_none() {
            self.changes.undo(&self.sys, FIREWALL)?;
        }
        match (record.is_some(), on) {
            (true, _) => {}
            (false, true) => self.write_status(State::Blocked, on, config_dir),
            (false, false) => self.write_status(State::Disconnected, on, config_dir),
        }
        remembered.doing(|| "kill switch on, but a reboot may open it")
    }

    /// Closed again, if it was closed; a tunnel that a dead supervisor left goes on.
    fn restore(&mut self, config_dir: &Path) -> Result<bool> {
        let on = state::load_killswitch(self.sys.files())?.is_some();
        let record = self.record();
        if on {
            self.load(&self.policy(true, record.as_ref(), config_dir))?;
        }
        if record.is_none() {
            self.write_status(if on { State::Blocked } else { State::Disconnected }, on, config_dir);
        }
        Ok(on)
    }

    /// Loads the rules of a closed machine again, so that they name the links that have come meanwhile. Opens and closes
    /// nothing: rules that are not loaded, most likely since the boot service is yet to come, stay away.
    pub fn cover(&mut self, config_dir: &Path) -> Result<()> {
        let is_closed = state::load_killswitch(self.sys.files())?.is_some();
        let seen = rules().doing(|| "read the firewall's rules")?;
        if is_closed && seen.is_some_and(|rules| rules.closed) {
            self.load(&self.policy(true, self.record().as_ref(), config_dir))?;
        }
        Ok(())
    }

    /// While a command asks a provider, the kill switch being closed.
    pub fn let_ourselves_out(&mut self, own_sockets: bool, config_dir: &Path) -> Result<()> {
        let policy = self.policy(true, self.record().as_ref(), config_dir).with_own_sockets(own_sockets);
        self.load(&policy)
    }

    fn remember(&self, on: bool, config_dir: &Path) -> Result<()> {
        let closed = on.then(|| KillSwitch { lan: self.lan(config_dir) });
        state::store_killswitch(self.sys.files(), closed.as_ref())
    }

    /// What was under way before the change does not go on as an established flow.
    fn forget_flows(&self) {
        let ours = self.record().map(|r| r.policy().mark).filter(|mark| *mark != 0);
        let ours = [OWN_MARK, TUNNEL_MARK].into_iter().chain(ours).collect();
        if let Err(e) = self.sys.net().flush_conntrack(&Flows::Unmarked(ours)) {
            log::warn!("firewall: forget tracked flows: {e}");
        }
    }

    fn load(&mut self, policy: &Policy) -> Result<()> {
        self.changes.apply(&self.sys, FIREWALL, &[Step::LoadRuleset(Ruleset::of(policy))])
    }

    fn surroundings(&self) -> Surroundings {
        run::surroundings(&self.sys, &self.changes).unwrap_or_default()
    }

    /// As a supervisor has it; a configuration that cannot be read leaves the owner every private range.
    fn lan(&self, config_dir: &Path) -> Vec<IpNet> {
        match run::load_config(self.sys.files(), config_dir) {
            Ok(config) => firewall::lan(config.network.lan.as_deref(), Some(&self.surroundings().attached)),
            Err(_) => PRIVATE.to_vec(),
        }
    }

    fn policy(&self, on: bool, record: Option<&Record>, config_dir: &Path) -> Policy {
        let around = self.surroundings();
        let tunnels: Vec<TunnelPolicy> = record.map(Record::policy).into_iter().collect();
        if !on {
            return Policy::open(tunnels);
        }
        let dns = match record {
            Some(r) if r.wish.dns && !r.dns.is_empty() => DnsPolicy::Tunnel(r.dns.clone()),
            Some(_) => DnsPolicy::Machine(around.resolvers),
            None => DnsPolicy::None,
        };
        Policy { tunnels, dns, links: around.links, ..Policy::blocked(self.lan(config_dir)) }
    }

    /// The tunnel that a dead supervisor left, if its link is there.
    fn record(&self) -> Option<Record> {
        let text = self.sys.files().read(Path::new(RECORD), 1 << 16).ok()?;
        let record = Record::parse(&String::from_utf8_lossy(&text))?;
        let links = self.sys.net().links().ok()?;
        links.iter().any(|l| l.name == record.interface).then_some(record)
    }

    fn write_status(&self, state: State, on: bool, config_dir: &Path) {
        let mut snapshot = Snapshot::new(state);
        snapshot.killswitch.on = Some(on);
        snapshot.killswitch.lan = self.lan(config_dir).iter().map(ToString::to_string).collect();
        let written =
            self.sys.files().replace(Path::new(STATUS), snapshot.emit().as_bytes(), 0o644, Durable::No);
        if let Err(e) = written {
            log::warn!("status: write {STATUS}: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fake::FakeMachine;
    use crate::sys::files::fake::FakeFiles;
    use crate::sys::net::fake::FakeNet;

    const STATE: &str = "/var/lib/pvpn/killswitch";

    fn rules_after_failure(sys: &FakeMachine) -> usize {
        let e = fail_closed(sys, Error::failed("read-only file system"));
        assert!(e.to_string().contains("read-only file system"), "{e}");
        sys.kernel().with(|state| state.ruleset.len())
    }

    #[test]
    fn a_failure_at_boot_closes_what_was_closed_or_cannot_be_read() {
        let closed = FakeMachine::new(FakeNet::new(), FakeFiles::new(&[(STATE, "on\nlan 10.0.0.0/8\n")]));
        assert!(rules_after_failure(&closed) > 0);
        let garbled = FakeMachine::new(FakeNet::new(), FakeFiles::new(&[(STATE, "\0\0")]));
        assert!(rules_after_failure(&garbled) > 0);
        let unreadable =
            FakeMachine::new(FakeNet::new(), FakeFiles::new(&[(STATE, &"off\n".repeat(1 << 15))]));
        assert!(state::load_killswitch(crate::sys::Machine::files(&unreadable)).is_err());
        assert!(rules_after_failure(&unreadable) > 0);
    }

    #[test]
    fn a_failure_at_boot_leaves_an_open_machine_open() {
        for files in [FakeFiles::new(&[]), FakeFiles::new(&[(STATE, "off\n")])] {
            assert_eq!(rules_after_failure(&FakeMachine::new(FakeNet::new(), files)), 0);
        }
    }
}
