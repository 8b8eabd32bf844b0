//! What others change: heard over netlink and inotify, looked into when `daemon/repair.rs` says so, and put back.
//!
//! What is missing is what a fresh plan of the running tunnel would do. Taken away by others is what the plan for the
//! networks of the last look asks for as well; the rest follows from a network that changed, and is no repair. The rule
//! set is known by its fingerprint after each load of ours; when its table goes, it is loaded before anything is looked
//! at.

use super::super::Event;
use super::super::phase::Ready;
use super::super::repair::{Found, Part, Way};
use super::{CONTROL, PORT_FILE, RECORD, STATUS, Supervisor, kernel, start};
use crate::address::IpNet;
use crate::change::recover::RUN_DIR;
use crate::change::{Step, TUNNELS};
use crate::dns::{BACKUP, RESOLV_CONF, TOLD, UPLINKS};
use crate::error::{Doing, Result};
use crate::firewall::ruleset::Ruleset;
use crate::firewall::{OWN_MARK, SYSCTLS};
use crate::sys::Machine;
use crate::sys::inotify::{Hears, Watch};
use crate::sys::net::{Changed, Monitor, find};
use crate::sys::netlink::Socket;
use crate::sys::nft;
use crate::time::{Duration, Instant, millis};
use crate::tunnel::plan::{Plan, Want, plan_tunnel};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// Sleeping shorter than this is none; chosen: the clocks are not read at the same time.
const SLEPT_LEAST: Duration = Duration::from_secs(2);
/// Below it, what `sysctl` writes can be heard like files.
const KERNEL: &str = "/proc/sys";
/// Where a way out is looked for while no server is known: no host has this address (RFC 5737).
const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Our table is put back unseen no sooner than this after the last time; chosen: somebody who takes it away in a loop is
/// then met as `daemon/repair.rs` meets a quarrel.
const AFRESH_LEAST: Duration = millis(50);

/// What is known of the machine as we left it.
#[derive(Default)]
pub struct Watcher {
    files: Option<Watch>,
    nft: Option<Socket>,
    /// Fingerprint of our tables after the last load; `None`: none.
    rules: Option<u64>,
    /// When our table was last put back unseen, and whether that was looked into.
    afresh_at: Option<Instant>,
    is_afresh: bool,
    /// What was outside the tunnel at the last plan.
    pub lan: Vec<IpNet>,
    /// Where the resolver file's symlink leads.
    target: Option<PathBuf>,
    /// Since when the resolver file is empty.
    pub emptied_at: Option<Instant>,
    slept: Duration,
}

impl Watcher {
    pub fn new() -> Watcher {
        let files = Watch::new().inspect_err(|e| log::error!("run: watch files: {e}")).ok();
        let mut watcher = Watcher { files, slept: crate::sys::clock::suspended(), ..Watcher::default() };
        watcher.add(Path::new("/etc"), Hears::Changes);
        watcher.add(Path::new(RUN_DIR), Hears::Removals);
        for dir in kernel_dirs() {
            watcher.add(&dir, Hears::Changes);
        }
        watcher.follow_symlink();
        watcher
    }

    pub fn files(&self) -> Option<BorrowedFd<'_>> {
        self.files.as_ref().map(AsFd::as_fd)
    }

    fn add(&mut self, dir: &Path, hears: Hears) {
        if let Some(Err(e)) = self.files.as_mut().map(|files| files.add(dir, hears)) {
            log::warn!("run: watch {}: {e}", dir.display());
        }
    }

    /// The owner's file, wherever a symlink leads: its text says whom pvpn itself asks.
    fn follow_symlink(&mut self) {
        let leads = |path: &str| fs::symlink_metadata(path).is_ok_and(|m| m.is_symlink());
        let link = [RESOLV_CONF, BACKUP].into_iter().find(|path| leads(path));
        self.target = link.and_then(|path| fs::canonicalize(path).ok());
        let dir = self.target.as_deref().and_then(Path::parent).filter(|dir| *dir != Path::new("/etc"));
        if let Some(dir) = dir.map(Path::to_owned) {
            self.add(&dir, Hears::Changes);
        }
        // Whoever asks systemd-resolved by other ways than a file has to be heard of as well.
        for dir in Path::new(UPLINKS).parent().into_iter().chain([Path::new(TOLD)]).filter(|dir| dir.exists())
        {
            self.add(dir, Hears::Changes);
        }
    }

    fn state(&mut self) -> std::io::Result<Option<nft::State>> {
        let socket = match &mut self.nft {
            Some(socket) => socket,
            none => none.insert(nft::open()?),
        };
        nft::state(socket)
    }

    /// Our table is gone: these rules, before anything else.
    fn load_afresh(&mut self, now: Instant, rules: &Ruleset) {
        if self.afresh_at.is_some_and(|at| now.since(at) < AFRESH_LEAST) {
            return;
        }
        let Some(socket) = &mut self.nft else { return };
        match nft::load_afresh(socket, rules) {
            Ok(()) => (self.afresh_at, self.is_afresh) = (Some(now), true),
            // Looking into it comes next, and says what fails.
            Err(e) => log::debug!("firewall: put the rules back: {e}"),
        }
    }

    /// Our tables are as they shall be. The links whose packet sockets they stop; `None` where that cannot be read.
    pub fn note_rules(&mut self) -> Option<Vec<String>> {
        match self.state() {
            Ok(state) => {
                self.rules = state.as_ref().map(|s| s.fingerprint);
                Some(state.map(|s| s.egress_links).unwrap_or_default())
            }
            Err(e) => {
                log::warn!("firewall: read the rules back: {e}");
                None
            }
        }
    }
}

impl Supervisor {
    /// Links, addresses, routes, rules or tables changed: by us, or by others.
    pub(super) fn read_changes(&mut self) {
        let Some(monitor) = &self.monitor else { return };
        let changed = monitor.poll_changes().unwrap_or_else(|e| {
            log::error!("run: read netlink: {e}");
            self.monitor = Monitor::open().inspect_err(|e| log::error!("run: watch the network: {e}")).ok();
            vec![Changed::Link, Changed::Ruleset]
        });
        if changed.contains(&Changed::OurTable) {
            let rules = Ruleset::of(&self.daemon.policy());
            if !rules.tables.is_empty() {
                self.watcher.load_afresh(self.now(), &rules);
            }
        }
        if changed.iter().any(|c| !matches!(c, Changed::Ruleset | Changed::OurTable)) {
            self.look_around();
            self.handle(Event::Changed(Part::Network));
        }
        if changed.contains(&Changed::Ruleset) {
            self.handle(Event::Changed(Part::Ruleset));
        }
    }

    pub(super) fn read_files(&mut self) {
        let Some(files) = &self.watcher.files else { return };
        let paths = match files.poll_changes() {
            Ok(paths) => paths,
            Err(e) => {
                log::error!("run: watch files: {e}");
                self.watcher.files = None;
                return;
            }
        };
        let is_resolver = |p: &PathBuf| {
            [RESOLV_CONF, UPLINKS, "/etc"].map(Path::new).contains(&p.as_path())
                || p.starts_with(TOLD)
                || Some(p) == self.watcher.target.as_ref()
        };
        if paths.iter().any(is_resolver) {
            self.watcher.follow_symlink();
            self.look_around();
            self.handle(Event::Changed(Part::Resolver));
        }
        if paths.iter().any(|p| p.starts_with(KERNEL)) {
            self.handle(Event::Changed(Part::Network));
        }
        let is_gone = |p: &PathBuf| p.starts_with(RUN_DIR) && !p.exists();
        if paths.iter().any(is_gone) {
            self.make_run_files_anew();
        }
    }

    /// Somebody removed the control socket, another file of ours, or all of `/run/pvpn`; or we ourselves one that is
    /// not needed, and then nothing is to be done.
    fn make_run_files_anew(&mut self) {
        if let Err(e) = self.sys.files().create_dir(Path::new(RUN_DIR), 0o755) {
            return log::error!("run: make {RUN_DIR}: {e}");
        }
        self.watcher.add(Path::new(RUN_DIR), Hears::Removals);
        if !Path::new(CONTROL).exists() {
            match self.server.listen_again(Path::new(CONTROL)) {
                Ok(()) => log::warn!("control: {CONTROL} was removed; made anew"),
                Err(e) => log::error!("control: listen at {CONTROL}: {e}"),
            }
            start::write_pid(self.sys.files());
        }
        if !Path::new(STATUS).exists() {
            self.snapshot.clear();
        }
        if self.daemon.in_use().is_some() && ![PORT_FILE, RECORD].iter().all(|p| Path::new(p).exists()) {
            self.handle(Event::RunFilesGone);
        }
    }

    /// Whether the machine was suspended since the last turn.
    pub(super) fn look_for_sleep(&mut self) {
        let slept = crate::sys::clock::suspended();
        let more = slept.saturating_sub(self.watcher.slept);
        self.watcher.slept = slept;
        if more >= SLEPT_LEAST {
            self.handle(Event::Resumed(more));
        }
    }

    /// Looks whether these parts are as they shall be, and puts back what is missing.
    pub(super) fn inspect(&mut self, parts: Vec<Part>) -> Event {
        let mut found = Found { parts: parts.clone(), ..Found::default() };
        for part in parts {
            let done = match part {
                Part::Ruleset => self.inspect_rules(&mut found),
                Part::Network => self.inspect_network(&mut found),
                Part::Resolver => self.inspect_resolver(&mut found),
            };
            if let Err(e) = done {
                found.failed.push((part, e.to_string()));
            }
        }
        Event::Inspected(Box::new(found))
    }

    fn inspect_rules(&mut self, found: &mut Found) -> Result<()> {
        let rules = self.watcher.state().doing(|| "read the firewall's rules")?.map(|s| s.fingerprint);
        let is_afresh = std::mem::take(&mut self.watcher.is_afresh);
        if rules == self.watcher.rules && !is_afresh {
            return Ok(());
        }
        let policy = self.daemon.policy();
        self.load_policy(&policy)?;
        // What slipped out meanwhile does not go on as an established flow.
        self.forget_flows();
        let how = if rules.is_none() || is_afresh { "taken away" } else { "changed" };
        found.taken.push((Part::Ruleset, format!("the firewall's rules were {how}")));
        Ok(())
    }

    fn inspect_network(&mut self, found: &mut Found) -> Result<()> {
        // A tunnel that is being made has plans of its own.
        let in_use = self.daemon.in_use().filter(|_| self.daemon.making().is_none());
        let in_use = in_use.map(|(interface, ready, _)| (interface.to_owned(), ready.clone()));
        if let Some((interface, ready)) = &in_use {
            self.mend_tunnel(interface, ready, found)?;
        }
        found.way = self.way(in_use.as_ref().map(|(_, ready)| ready));
        Ok(())
    }

    fn mend_tunnel(&mut self, interface: &str, ready: &Ready, found: &mut Found) -> Result<()> {
        let there = find(&self.sys, interface, &ready.endpoints, ready.connection.tunnel.mark())
            .doing(|| "look at the machine")?;
        let (before, lan) = (self.watcher.lan.clone(), self.daemon.lan());
        let want = |lan| Want {
            tunnel: &ready.connection.tunnel,
            interface,
            endpoints: &ready.endpoints,
            lan,
            is_ours: self.changes.links().any(|l| l == interface),
        };
        let mut plan = plan_tunnel(&want(&lan), &there)?;
        let mut lowered = self.lowered()?;
        lowered.retain(|step| !plan.shared.contains(step));
        plan.shared.extend(lowered.iter().cloned());
        if !ready.connection.tunnel.is_full() {
            // An adopted tunnel that takes only some networks does not know its routes.
            for steps in [&mut plan.routes, &mut plan.shared] {
                steps.retain(|s| !matches!(s, Step::DeleteRoute(_) | Step::DeleteRule(_)));
            }
        }
        if plan.is_empty() {
            self.watcher.lan = lan;
            return Ok(());
        }
        let mut earlier = if before == lan { plan.clone() } else { plan_tunnel(&want(&before), &there)? };
        earlier.shared.extend(lowered);
        found.taken.extend(taken(&plan, &earlier).map(|words| (Part::Network, words)));
        found.remade = plan.device.iter().any(|s| matches!(s, Step::AddLink { .. }));
        found.raised = plan.device.iter().any(|s| matches!(s, Step::SetLinkUp(_)));
        self.changes.apply(&self.sys, interface, &plan.device)?;
        self.changes.apply(&self.sys, interface, &plan.routes)?;
        self.changes.apply(&self.sys, TUNNELS, &plan.shared)?;
        self.watcher.lan = lan;
        Ok(())
    }

    /// The kernel settings that somebody lowered, to be raised again.
    fn lowered(&self) -> Result<Vec<Step>> {
        let mut lowered = Vec::new();
        for step in kernel::settings() {
            if step.inverse(&self.sys)?.is_some() {
                lowered.push(step);
            }
        }
        Ok(lowered)
    }

    /// The way that the encrypted packets take; none without carrier.
    fn way(&self, ready: Option<&Ready>) -> Option<Way> {
        let endpoint = ready.and_then(|r| r.endpoints.iter().flatten().next());
        let to = endpoint.map_or(ANYWHERE, |e| e.ip());
        let mark = ready.map_or(OWN_MARK, |r| r.connection.tunnel.mark());
        let net = self.sys.net();
        let path = net.route_to(to, mark).ok()?;
        let links = net.links().ok()?;
        let carries = links.iter().any(|l| l.name == path.device && l.up && l.lower_up);
        carries.then_some(Way { device: path.device, gateway: path.gateway, source: path.source })
    }
}

/// Where the settings are that a tunnel needs.
fn kernel_dirs() -> Vec<PathBuf> {
    let files = SYSCTLS.iter().map(|s| Path::new(KERNEL).join(s.path));
    let mut dirs: Vec<PathBuf> = files.filter_map(|f| f.parent().map(Path::to_owned)).collect();
    dirs.dedup();
    dirs
}

/// What of a plan is there no more, in words: "2 rules and 1 route were taken away".
fn taken(plan: &Plan, earlier: &Plan) -> Option<String> {
    const NOUNS: [&str; 6] = ["link", "peer setting", "address", "route", "rule", "kernel setting"];
    let mut counts = [0_usize; NOUNS.len()];
    let both =
        [(&plan.device, &earlier.device), (&plan.routes, &earlier.routes), (&plan.shared, &earlier.shared)];
    let added = plan.device.iter().any(|s| matches!(s, Step::AddLink { .. }));
    for (steps, before) in both {
        for step in steps.iter().filter(|s| before.contains(s)) {
            match step {
                Step::AddLink { .. } => counts[0] += 1,
                Step::SetLinkUp(_) if !added => counts[0] += 1,
                Step::SetWireguard { .. } if !added => counts[1] += 1,
                Step::AddAddress(_) => counts[2] += 1,
                Step::ReplaceRoute(_) => counts[3] += 1,
                Step::AddRule(_) => counts[4] += 1,
                Step::RaiseSysctl { .. } => counts[5] += 1,
                _ => {}
            }
        }
    }
    let named = NOUNS.iter().zip(counts).filter(|(_, n)| *n > 0);
    let words: Vec<String> = named
        .map(|(noun, n)| match (n, noun.ends_with('s')) {
            (1, _) => format!("1 {noun}"),
            (n, true) => format!("{n} {noun}es"),
            (n, false) => format!("{n} {noun}s"),
        })
        .collect();
    let verb = if counts.iter().sum::<usize>() == 1 { "was" } else { "were" };
    (!words.is_empty()).then(|| format!("{} {verb} taken away", words.join(", ")))
}

#[cfg(test)]
mod tests;
