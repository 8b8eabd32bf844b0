//! Whose servers the machine asks for names: ours in the resolver file, and those told who answer by other ways, as long
//! as the tunnel is up.

use super::super::phase::Ready;
use super::super::repair::{Found, Part};
use super::Supervisor;
use crate::change::{RESOLVER, Step};
use crate::dns::resolv_conf::{ResolvConf, is_ours};
use crate::dns::{BACKUP, Content, LinkNames, Owner, RESOLV_CONF, RESOLVCONF_RECORD, UPLINKS};
use crate::error::{Doing, Result};
use crate::sys::Machine;
use crate::sys::files::{FileImage, Files};
use crate::time::{Duration, secs};
use std::net::IpAddr;
use std::path::Path;

/// A resolver file is some lines; chosen.
const TEXT_MOST: usize = 1 << 16;
/// A file that stays empty this long is not being written; chosen: between a shell's `>` and the first write of the
/// program behind it are a fork and an exec.
const EMPTY_MOST: Duration = secs(2);

impl Supervisor {
    /// The tunnel's resolver, or the machine's own back. Who cannot be told is no reason to stay without a tunnel: it is
    /// said, and tried again when the change of the file is looked into.
    pub(super) fn set_resolver(&mut self, interface: &str, ready: &Ready, dns: bool) -> Result<()> {
        let tunnel = &ready.connection.tunnel;
        if !dns || tunnel.dns.is_empty() {
            return self.changes.undo(&self.sys, RESOLVER);
        }
        if let Err(e) = self.tell_others(interface, ready) {
            log::error!("dns: {e}");
        }
        let text = self.resolver_text(ready);
        self.changes.apply(&self.sys, RESOLVER, &[Step::ReplaceResolver { text }])
    }

    /// Looks whether the resolver file and resolved say what they shall, and puts that back.
    pub(super) fn inspect_resolver(&mut self, found: &mut Found) -> Result<()> {
        let Some((interface, ready, true)) = self.daemon.in_use() else { return Ok(()) };
        if ready.connection.tunnel.dns.is_empty() || self.daemon.making().is_some() {
            return Ok(());
        }
        let (interface, ready) = (interface.to_owned(), ready.clone());
        let text = self.resolver_text(&ready);
        let there = self.sys.files().read(Path::new(RESOLV_CONF), TEXT_MOST);
        if self.is_being_written(there.as_deref().is_ok_and(<[u8]>::is_empty)) {
            found.unfinished.push(Part::Resolver);
            return Ok(());
        }
        if there.is_ok_and(|b| b == text.as_bytes()) {
            if self.resolved_forgot(&interface, &ready)? {
                self.tell_others(&interface, &ready)?;
                found.taken.push((Part::Resolver, "systemd-resolved's servers were changed".to_owned()));
            }
            return Ok(());
        }
        self.set_resolver(&interface, &ready, true)?;
        found.taken.push((Part::Resolver, "the resolver file was rewritten".to_owned()));
        Ok(())
    }

    /// Whether somebody who cut the file is about to write it, as a shell's `>` does: renamed over at that moment, the
    /// text would go into a file without a name, and be lost for the way back.
    fn is_being_written(&mut self, is_empty: bool) -> bool {
        let now = self.now();
        let since = self.watcher.emptied_at.filter(|_| is_empty);
        let is_early = is_empty && since.is_none_or(|at| now.since(at) < EMPTY_MOST);
        self.watcher.emptied_at = is_early.then_some(since.unwrap_or(now));
        is_early
    }

    /// systemd-resolved where it runs, for nsswitch and many a program ask it directly; resolvconf where the resolver
    /// file is its, so that those it tells ask the tunnel's servers too.
    fn tell_others(&mut self, interface: &str, ready: &Ready) -> Result<()> {
        let tunnel = &ready.connection.tunnel;
        let names = LinkNames { servers: tunnel.dns.clone(), search: tunnel.search_domains.clone() };
        if self.resolved_forgot(interface, ready)? {
            let link = interface.to_owned();
            self.changes.apply(&self.sys, RESOLVER, &[Step::TellResolved { link, names }])?;
        }
        if owner(self.sys.files()) == Owner::Resolvconf {
            let text = ResolvConf {
                servers: tunnel.dns.clone(),
                search: tunnel.search_domains.clone(),
                ..ResolvConf::default()
            };
            let record = RESOLVCONF_RECORD.to_owned();
            let step = Step::AddResolvconf { record, text: text.emit_lines() };
            self.changes.apply(&self.sys, RESOLVER, &[step])?;
        }
        Ok(())
    }

    /// Whether resolved runs and asks others by our link. What it lists in its files tells nothing: it reads ours as well.
    fn resolved_forgot(&self, interface: &str, ready: &Ready) -> Result<bool> {
        if !self.sys.files().exists(Path::new(UPLINKS)) {
            return Ok(false);
        }
        let links = self.sys.net().links().doing(|| "list links")?;
        let Some(link) = links.iter().find(|l| l.name == interface) else { return Ok(false) };
        let told = self.sys.names().resolved_servers(link.index).doing(|| "ask systemd-resolved")?;
        // In either order, and one that a file names twice counts once.
        let wanted = &ready.connection.tunnel.dns;
        let is_told = |told: &Vec<IpAddr>| {
            wanted.iter().all(|s| told.contains(s)) && told.iter().all(|s| wanted.contains(s))
        };
        Ok(told.is_some_and(|told| !is_told(&told)))
    }

    /// What the resolver file shall say. From our own file follows the same text again.
    fn resolver_text(&self, ready: &Ready) -> String {
        let tunnel = &ready.connection.tunnel;
        let earlier = self.sys.files().read(Path::new(RESOLV_CONF), TEXT_MOST).unwrap_or_default();
        let earlier = ResolvConf::parse(&String::from_utf8_lossy(&earlier));
        ResolvConf::for_tunnel(&tunnel.dns, &tunnel.search_domains, &earlier).emit()
    }
}

/// Who writes the resolver file, ours set aside.
pub fn owner(files: &dyn Files) -> Owner {
    let owners = [RESOLV_CONF, BACKUP].map(|path| {
        let text = files.read(Path::new(path), TEXT_MOST).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        match files.image(Path::new(path)) {
            _ if is_ours(text.as_bytes()) => Owner::Pvpn,
            Ok(FileImage::Regular { .. }) => Owner::of(Content::File(&text)),
            Ok(FileImage::Symlink { target, .. }) => {
                Owner::of(Content::Symlink { target: &target, text: &text })
            }
            Ok(FileImage::Absent) | Err(_) => Owner::Nobody,
        }
    });
    owners.into_iter().find(|o| *o != Owner::Pvpn).unwrap_or(Owner::Nobody)
}
