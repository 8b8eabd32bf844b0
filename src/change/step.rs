//! One change of the machine, its inverse read beforehand, and its doing.

use super::resolver;
use super::undo::{Undo, read_sysctl, sysctl_path};
use crate::dns::{LinkNames, RESOLV_CONF};
use crate::error::{Doing, Error, Result};
use crate::firewall::ruleset::Ruleset;
use crate::sys::Machine;
use crate::sys::net::Flows;
use crate::tunnel::device::DeviceChange;
use crate::wire::rtnl::{Address, Link, Route, Rule};
use std::fmt;
use std::io;

/// One change of the machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Makes a WireGuard link, down. A name that is taken is an error.
    AddLink {
        link: String,
        mtu: u32,
    },
    /// Keys, mark and peers of a link of ours. Has no inverse of its own: they go with the link, and a change in place
    /// is taken back by another one, from memory, for the journal holds no keys.
    SetWireguard {
        link: String,
        change: DeviceChange,
    },
    SetMtu {
        link: String,
        mtu: u32,
    },
    SetLinkUp(String),
    AddAddress(Address),
    DeleteAddress(Address),
    /// Adds the route, or puts it in the place of the one with the same network, table and metric.
    ReplaceRoute(Route),
    DeleteRoute(Route),
    AddRule(Rule),
    DeleteRule(Rule),
    /// Raises a kernel setting to at least this value. `path` is below `/proc/sys`; absent ones are passed over.
    RaiseSysctl {
        path: String,
        at_least: u32,
    },
    /// The kernel itself sets this to `becomes` in a later step; what it was is put back in the end.
    KeepSysctl {
        path: String,
        becomes: u32,
    },
    /// Makes our tables hold exactly these rules.
    LoadRuleset(Ruleset),
    /// Deletes connection tracking entries; nothing to undo.
    FlushConntrack(Flows),
    /// Puts this text at [`RESOLV_CONF`], its owner's file beside it.
    ReplaceResolver {
        text: String,
    },
    /// Has systemd-resolved ask these servers for every name, by this link.
    TellResolved {
        link: String,
        names: LinkNames,
    },
    /// Gives resolvconf a record of this name.
    AddResolvconf {
        record: String,
        text: String,
    },
}

impl Step {
    /// How the step is taken back, from what is there before it. `None`: there is nothing to take back, or it is so
    /// already. Changes nothing.
    pub fn inverse(&self, sys: &dyn Machine) -> Result<Option<Undo>> {
        self.read_inverse(sys).doing(|| format!("prepare {self}"))
    }

    fn read_inverse(&self, sys: &dyn Machine) -> io::Result<Option<Undo>> {
        let net = sys.net();
        Ok(match self {
            Step::SetWireguard { .. } | Step::FlushConntrack(_) => None,
            Step::AddLink { link, .. } => match find_link(sys, link)? {
                None => Some(Undo::DeleteLink(link.clone())),
                Some(_) => return Err(io::Error::from_raw_os_error(libc::EEXIST)),
            },
            Step::SetMtu { link, mtu } => find_link(sys, link)?
                .filter(|l| l.mtu != *mtu)
                .map(|l| Undo::SetMtu { link: link.clone(), mtu: l.mtu }),
            Step::SetLinkUp(link) => {
                find_link(sys, link)?.filter(|l| !l.up).map(|_| Undo::SetLinkDown(link.clone()))
            }
            Step::AddAddress(a) => (!net.addresses()?.contains(a)).then(|| Undo::DeleteAddress(a.clone())),
            Step::DeleteAddress(a) => net.addresses()?.contains(a).then(|| Undo::AddAddress(a.clone())),
            Step::ReplaceRoute(route) => {
                let was = net.routes()?.into_iter().find(|r| r.replaces(route));
                // The same one of an earlier call is ours as well: the protocol says so.
                let was = was.filter(|w| (&w.device, w.kind) != (&route.device, route.kind));
                Some(Undo::Route { ours: route.clone(), was })
            }
            Step::DeleteRoute(route) => net.routes()?.contains(route).then(|| Undo::AddRoute(route.clone())),
            // Rules carry our protocol number, so an equal one that is there is ours.
            Step::AddRule(rule) => Some(Undo::DeleteRule(rule.clone())),
            Step::DeleteRule(rule) => net.rules()?.contains(rule).then(|| Undo::AddRule(rule.clone())),
            Step::RaiseSysctl { path, at_least } => match read_sysctl(sys, path) {
                Ok(was) if was < *at_least => Some(Undo::Sysctl { path: path.clone(), ours: *at_least, was }),
                Ok(_) => None,
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            },
            Step::KeepSysctl { path, becomes } => match read_sysctl(sys, path) {
                Ok(was) if was != *becomes => Some(Undo::Sysctl { path: path.clone(), ours: *becomes, was }),
                Ok(_) => None,
                Err(e) if e.kind() == io::ErrorKind::NotFound => None,
                Err(e) => return Err(e),
            },
            Step::LoadRuleset(_) => Some(Undo::Firewall),
            Step::ReplaceResolver { .. } => Some(resolver::inverse(sys.files())?),
            Step::TellResolved { link, .. } => Some(Undo::Resolved(link.clone())),
            Step::AddResolvconf { record, .. } => Some(Undo::Resolvconf(record.clone())),
        })
    }

    /// Does it. What is so already is fine.
    pub fn apply(&self, sys: &dyn Machine) -> Result<()> {
        let net = sys.net();
        match self {
            Step::AddLink { link, mtu } => net.add_wireguard_link(link, *mtu),
            Step::SetWireguard { link, change } => net.set_wireguard(link, change),
            Step::SetMtu { link, mtu } => net.set_mtu(link, *mtu),
            Step::SetLinkUp(link) => net.set_link_up(link, true),
            Step::AddAddress(address) => net.add_address(address),
            Step::DeleteAddress(address) => net.delete_address(address),
            Step::ReplaceRoute(route) => net.replace_route(route),
            Step::DeleteRoute(route) => net.delete_route(route),
            Step::AddRule(rule) => net.add_rule(rule),
            Step::DeleteRule(rule) => net.delete_rule(rule),
            Step::RaiseSysctl { path, at_least } => raise_sysctl(sys, path, *at_least),
            Step::KeepSysctl { .. } => Ok(()),
            Step::LoadRuleset(ruleset) => net.load_ruleset(ruleset),
            Step::FlushConntrack(flows) => net.flush_conntrack(flows).map(drop),
            Step::ReplaceResolver { text } => resolver::apply(sys.files(), text),
            Step::TellResolved { link, names } => match find_link(sys, link) {
                Ok(Some(found)) => sys.names().tell_resolved(found.index, names),
                Ok(None) => Err(io::Error::from_raw_os_error(libc::ENODEV)),
                Err(e) => Err(e),
            },
            Step::AddResolvconf { record, text } => sys.names().add_resolvconf(record, text),
        }
        .map_err(|e| Error::from(e).context(self))
    }
}

fn find_link(sys: &dyn Machine, name: &str) -> io::Result<Option<Link>> {
    Ok(sys.net().links()?.into_iter().find(|l| l.name == name))
}

fn raise_sysctl(sys: &dyn Machine, path: &str, at_least: u32) -> io::Result<()> {
    match read_sysctl(sys, path) {
        Ok(value) if value >= at_least => Ok(()),
        Ok(_) => sys.files().write_in_place(&sysctl_path(path), at_least.to_string().as_bytes()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

impl fmt::Display for Step {
    /// For a person: what is there afterwards. No keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::AddLink { link, mtu } => write!(f, "link {link} mtu {mtu}"),
            Step::SetWireguard { link, .. } => write!(f, "wireguard {link}"),
            Step::SetMtu { link, mtu } => write!(f, "link {link} mtu {mtu}"),
            Step::SetLinkUp(link) => write!(f, "link {link} up"),
            Step::AddAddress(a) => write!(f, "address {} dev {}", a.net, a.device),
            Step::DeleteAddress(a) => write!(f, "no address {} dev {}", a.net, a.device),
            Step::ReplaceRoute(route) => write!(f, "route {route}"),
            Step::DeleteRoute(route) => write!(f, "no route {route}"),
            Step::AddRule(rule) => write!(f, "rule {rule}"),
            Step::DeleteRule(rule) => write!(f, "no rule {rule}"),
            Step::RaiseSysctl { path, at_least } => write!(f, "sysctl {path} at least {at_least}"),
            Step::KeepSysctl { path, .. } => write!(f, "sysctl {path} kept in mind"),
            Step::LoadRuleset(ruleset) if ruleset.tables.is_empty() => f.write_str("firewall gone"),
            Step::LoadRuleset(_) => f.write_str("firewall"),
            Step::FlushConntrack(_) => f.write_str("no earlier flows"),
            Step::ReplaceResolver { .. } => write!(f, "resolver {RESOLV_CONF}"),
            Step::TellResolved { link, .. } => write!(f, "systemd-resolved told of {link}"),
            Step::AddResolvconf { record, .. } => write!(f, "resolvconf record {record}"),
        }
    }
}
