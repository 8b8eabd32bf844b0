//! An inverse as data, and its line in the journal.
//!
//! What always holds: undoing what is gone already is `Ok`, undoing twice gives the same as once, and what somebody
//! else has put in the place of ours stays theirs.

use super::journal::BadLine;
use super::words::{Line, Words};
use super::{resolver, state};
use crate::error::{Doing, Result};
use crate::firewall::Policy;
use crate::firewall::ruleset::Ruleset;
use crate::sys::Machine;
use crate::wire::rtnl::{Address, Route, Rule};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

/// How one step is taken back.
#[derive(Clone, Debug, PartialEq)]
pub enum Undo {
    /// The link goes, with its addresses, peers and routes.
    DeleteLink(String),
    SetLinkDown(String),
    SetMtu {
        link: String,
        mtu: u32,
    },
    DeleteAddress(Address),
    AddAddress(Address),
    /// Ours goes; the one it replaced comes back if its link still exists.
    Route {
        ours: Route,
        was: Option<Route>,
    },
    AddRoute(Route),
    DeleteRule(Rule),
    AddRule(Rule),
    /// `path` is below `/proc/sys`. Only while the value is still ours.
    Sysctl {
        path: String,
        ours: u32,
        was: u32,
    },
    /// Kill switch off: no rules of ours. On: the rules of a machine without a tunnel; owed until it is off.
    Firewall,
    /// The resolver file as its owner had it, or has written it since.
    Resolver {
        was_absent: bool,
    },
    /// systemd-resolved forgets what it was told about this link; it does so by itself when the link goes.
    Resolved(String),
    /// resolvconf deletes the record of this name.
    Resolvconf(String),
}

/// What became of an inverse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Undone,
    /// It stays owed: the firewall of a closed machine.
    Owed,
}

impl Undo {
    /// Whether it still means something after a reboot: files do, the kernel's state is gone.
    pub fn outlives_reboot(&self) -> bool {
        matches!(self, Undo::Resolver { .. })
    }

    /// Whether deleting this link takes it back as well.
    pub fn goes_with(&self, deleted: &str) -> bool {
        match self {
            Undo::SetLinkDown(link) | Undo::SetMtu { link, .. } => link == deleted,
            Undo::DeleteAddress(a) | Undo::AddAddress(a) => a.device == deleted,
            Undo::Route { ours, was: None } => ours.device.as_deref() == Some(deleted),
            Undo::Resolved(link) => link == deleted,
            Undo::AddRoute(route) => route.device.as_deref() == Some(deleted),
            _ => false,
        }
    }

    /// Takes the step back.
    pub fn undo(&self, sys: &dyn Machine) -> Result<Outcome> {
        let net = sys.net();
        match self {
            Undo::Firewall => return undo_firewall(sys),
            Undo::DeleteLink(link) => net.delete_link(link),
            Undo::SetLinkDown(link) => gone_is_fine(net.set_link_up(link, false)),
            Undo::SetMtu { link, mtu } => gone_is_fine(net.set_mtu(link, *mtu)),
            Undo::DeleteAddress(address) => net.delete_address(address),
            Undo::AddAddress(address) => gone_is_fine(net.add_address(address)),
            Undo::Route { ours, was: None } => net.delete_route(ours),
            Undo::Route { ours, was: Some(was) } => undo_route(sys, ours, was),
            Undo::AddRoute(route) => gone_is_fine(net.replace_route(route)),
            Undo::DeleteRule(rule) => net.delete_rule(rule),
            Undo::AddRule(rule) => net.add_rule(rule),
            Undo::Sysctl { path, ours, was } => undo_sysctl(sys, path, *ours, *was),
            Undo::Resolver { was_absent } => resolver::undo(sys.files(), *was_absent),
            Undo::Resolved(link) => undo_resolved(sys, link),
            Undo::Resolvconf(record) => sys.names().delete_resolvconf(record),
        }
        .doing(|| format!("undo {}", self.words()))?;
        Ok(Outcome::Undone)
    }

    /// For a person: what is there because of the step.
    pub fn words(&self) -> String {
        match self {
            Undo::DeleteLink(link) => format!("link {link}"),
            Undo::SetLinkDown(link) => format!("link {link} up"),
            Undo::SetMtu { link, mtu } => format!("link {link} mtu (was {mtu})"),
            Undo::DeleteAddress(a) => format!("address {} dev {}", a.net, a.device),
            Undo::AddAddress(a) => format!("no address {} dev {}", a.net, a.device),
            Undo::Route { ours, .. } => format!("route {ours}"),
            Undo::AddRoute(route) => format!("no route {route}"),
            Undo::DeleteRule(rule) => format!("rule {rule}"),
            Undo::AddRule(rule) => format!("no rule {rule}"),
            Undo::Sysctl { path, ours, was } => format!("sysctl {path} {ours} (was {was})"),
            Undo::Firewall => "firewall".to_owned(),
            Undo::Resolver { .. } => format!("resolver {}", crate::dns::RESOLV_CONF),
            Undo::Resolved(link) => format!("systemd-resolved told of {link}"),
            Undo::Resolvconf(record) => format!("resolvconf record {record}"),
        }
    }
}

/// For calls that need a link which may be gone.
fn gone_is_fine(result: io::Result<()>) -> io::Result<()> {
    crate::sys::netlink::tolerate(result, &[libc::ENODEV, libc::ENXIO, libc::ENOENT, libc::ENETDOWN])
}

fn undo_route(sys: &dyn Machine, ours: &Route, was: &Route) -> io::Result<()> {
    let links = sys.net().links()?;
    if was.device.as_ref().is_some_and(|name| !links.iter().any(|l| l.name == *name)) {
        return sys.net().delete_route(ours);
    }
    let routes = sys.net().routes()?;
    let theirs = routes.iter().any(|r| r.replaces(ours) && (&r.device, r.kind) != (&ours.device, ours.kind));
    if theirs { Ok(()) } else { gone_is_fine(sys.net().replace_route(was)) }
}

fn undo_resolved(sys: &dyn Machine, link: &str) -> io::Result<()> {
    let links = sys.net().links()?;
    let found = links.iter().find(|l| l.name == link);
    found.map_or(Ok(()), |l| sys.names().revert_resolved(l.index))
}

fn undo_sysctl(sys: &dyn Machine, path: &str, ours: u32, was: u32) -> io::Result<()> {
    match read_sysctl(sys, path) {
        Ok(value) if value == ours => {
            sys.files().write_in_place(&sysctl_path(path), was.to_string().as_bytes())
        }
        Ok(_) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// The rules of a machine without a tunnel: none, or `Blocked`.
fn undo_firewall(sys: &dyn Machine) -> Result<Outcome> {
    let Some(closed) = state::load_killswitch(sys.files())? else {
        let none = Ruleset::none();
        sys.net().load_ruleset(&none).doing(|| "undo firewall")?;
        return Ok(Outcome::Undone);
    };
    let blocked = Policy::blocked(closed.lan);
    let hooked = blocked.clone().with_links(physical_links(sys)?);
    // A kernel before 5.16 has no netdev egress hook: closed without it is better than what is loaded.
    let loaded = sys.net().load_ruleset(&Ruleset::of(&hooked));
    loaded.or_else(|_| sys.net().load_ruleset(&Ruleset::of(&blocked))).doing(|| "undo firewall: block")?;
    Ok(Outcome::Owed)
}

/// Links that lead out of the machine, for the netdev egress hook.
pub fn physical_links(sys: &dyn Machine) -> Result<Vec<String>> {
    let links = sys.net().links().doing(|| "list links")?;
    Ok(links.into_iter().filter(|l| l.leads_out()).map(|l| l.name).collect())
}

/// A number below `/proc/sys`.
pub(super) fn read_sysctl(sys: &dyn Machine, path: &str) -> io::Result<u32> {
    let bytes = sys.files().read(&sysctl_path(path), 64)?;
    let text = std::str::from_utf8(&bytes).unwrap_or_default();
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a number"))
}

pub(super) fn sysctl_path(path: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(path)
}

impl fmt::Display for Undo {
    /// The line of the journal: words between single blanks, `-` for none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undo::DeleteLink(link) => write!(f, "delete-link {link}"),
            Undo::SetLinkDown(link) => write!(f, "set-link-down {link}"),
            Undo::SetMtu { link, mtu } => write!(f, "set-mtu {link} {mtu}"),
            Undo::DeleteAddress(a) => write!(f, "delete-address {} {}", a.device, a.net),
            Undo::AddAddress(a) => write!(f, "add-address {} {}", a.device, a.net),
            Undo::Route { ours, was: None } => write!(f, "delete-route {}", Line(ours)),
            Undo::Route { ours, was: Some(was) } => write!(f, "put-route {} {}", Line(ours), Line(was)),
            Undo::AddRoute(route) => write!(f, "add-route {}", Line(route)),
            Undo::DeleteRule(rule) => write!(f, "delete-rule {}", Line(rule)),
            Undo::AddRule(rule) => write!(f, "add-rule {}", Line(rule)),
            Undo::Sysctl { path, ours, was } => write!(f, "sysctl {path} {ours} {was}"),
            Undo::Firewall => f.write_str("firewall"),
            Undo::Resolver { was_absent: false } => f.write_str("resolver"),
            Undo::Resolver { was_absent: true } => f.write_str("resolver-absent"),
            Undo::Resolved(link) => write!(f, "resolved {link}"),
            Undo::Resolvconf(record) => write!(f, "resolvconf {record}"),
        }
    }
}

impl FromStr for Undo {
    type Err = BadLine;

    fn from_str(line: &str) -> std::result::Result<Undo, BadLine> {
        let mut words = Words(line.split(' '));
        let undo = match words.word()? {
            "delete-link" => Undo::DeleteLink(words.value()?),
            "set-link-down" => Undo::SetLinkDown(words.value()?),
            "set-mtu" => Undo::SetMtu { link: words.value()?, mtu: words.value()? },
            "delete-address" => Undo::DeleteAddress(words.address()?),
            "add-address" => Undo::AddAddress(words.address()?),
            "delete-route" => Undo::Route { ours: words.route()?, was: None },
            "put-route" => Undo::Route { ours: words.route()?, was: Some(words.route()?) },
            "add-route" => Undo::AddRoute(words.route()?),
            "delete-rule" => Undo::DeleteRule(words.rule()?),
            "add-rule" => Undo::AddRule(words.rule()?),
            "sysctl" => Undo::Sysctl { path: words.value()?, ours: words.value()?, was: words.value()? },
            "firewall" => Undo::Firewall,
            "resolver" => Undo::Resolver { was_absent: false },
            "resolver-absent" => Undo::Resolver { was_absent: true },
            "resolved" => Undo::Resolved(words.value()?),
            "resolvconf" => Undo::Resolvconf(words.value()?),
            _ => return Err(BadLine),
        };
        words.end().map(|()| undo)
    }
}
