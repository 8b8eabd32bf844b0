//! `check`: proves the promises from inside, on the person's own machine. What it sends past the tunnel goes to
//! documentation addresses (RFC 5737, RFC 3849), which belong to nobody and identify nobody.

mod attempt;
mod drop;
mod look;

use super::waiting::interruptible;
use super::{place, print, status, supervisor};
use crate::change::state;
use crate::cli::Global;
use crate::config::Config;
use crate::daemon::control::{Ask, Loan};
use crate::error::{Doing, Error, Exit, Result};
use crate::status::finding::{Finding, emit_json, lines};
use crate::status::{Interface, Paint, Snapshot, State};
use crate::sys::files::Disk;
use crate::sys::http::Client;
use crate::sys::net::Net;
use crate::sys::{Machine, System, terminal};
use crate::wire::frame::Allowed;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;

/// What was asked for.
#[derive(Clone, Copy)]
pub struct Flags {
    pub json: bool,
    pub drop: bool,
    pub yes: bool,
}

/// The machine while a tunnel is up.
pub struct Scene {
    sys: System,
    snapshot: Snapshot,
    interface: Interface,
    /// Number and name of each link that is neither loopback nor a tunnel's.
    links: Vec<(u32, String)>,
    allowed: Allowed,
}

pub fn run(global: &Global, flags: Flags) -> Result<Exit> {
    super::need_root("check")?;
    let scene = Scene::look()?;
    let (config, _) = place(global).config()?;
    if flags.drop {
        let question = "this takes the tunnel's traffic away for five seconds; go on?";
        super::confirm(flags.yes, question)?;
    }
    let _ending = interruptible(|| ())?;
    let mut findings = prove(&scene, &config);
    if flags.drop {
        findings.push(scene.drop_traffic()?);
    }
    let paint = if terminal::has_colours() { Paint::Colour } else { Paint::Plain };
    print(&if flags.json { emit_json(&findings) } else { lines(&findings, paint) })?;
    Ok(if findings.iter().any(Finding::is_failed) { Exit::Problems } else { Exit::Done })
}

fn prove(scene: &Scene, config: &Config) -> Vec<Finding> {
    let http = Client::new(Vec::new());
    let mut findings = vec![look::killswitch(scene)];
    wait("what address the world sees");
    findings.push(look::address(scene, &http, &config.check.ip_url));
    wait("whether anything gets past the tunnel");
    findings.push(attempt::bound(scene));
    wait("which resolver answers");
    findings.push(look::resolver(scene, &config.check.ip_url));
    wait("");
    findings.extend([look::ipv6(scene), look::routes(scene), look::port(scene)]);
    findings
}

/// Shows what is waited for, on a terminal, in a line that goes away.
fn wait(what: &str) {
    let mut err = io::stderr();
    if err.is_terminal() {
        let text = if what.is_empty() { String::new() } else { format!("looking {what} ...") };
        // A terminal that is gone has nobody to tell (ECMA-48, erase in line).
        let _ = write!(err, "\r\x1b[K{text}").and_then(|()| err.flush());
    }
}

impl Scene {
    /// Exit 3 when no tunnel is up.
    fn look() -> Result<Scene> {
        let not_connected =
            || Error::new(Exit::Disconnected, "check: not connected; run `pvpn connect` first");
        let snapshot = status::current();
        if snapshot.state != State::Connected {
            return Err(not_connected());
        }
        let interface = snapshot.interface.clone().ok_or_else(not_connected)?;
        let sys = System::new();
        let links = sys.net().links().doing(|| "list links")?;
        let physical = links.iter().filter(|l| !l.loopback && !l.is_wireguard() && l.up);
        let links = physical.map(|l| (l.index, l.name.clone())).collect();
        let device = sys.net().wireguard(&interface.name).doing(|| format!("read {}", interface.name))?;
        let endpoints = device.peers.iter().filter_map(|p| p.endpoint).collect();
        let lan = snapshot.killswitch.lan.iter().filter_map(|net| net.parse().ok()).collect();
        Ok(Scene { sys, snapshot, interface, links, allowed: Allowed { endpoints, lan } })
    }

    fn net(&self) -> &dyn Net {
        self.sys.net()
    }

    /// Whether it is to be closed: rules that somebody took away are no excuse.
    fn is_closed(&self) -> bool {
        let is_remembered = || state::load_killswitch(&Disk).ok().flatten().is_some();
        self.snapshot.killswitch.on == Some(true) || is_remembered()
    }

    /// Our address in the tunnel, IPv4 where there is one.
    fn source(&self) -> Option<IpAddr> {
        let addresses = self.interface.addresses.iter();
        let parsed: Vec<IpAddr> = addresses.filter_map(|a| a.split('/').next()?.parse().ok()).collect();
        parsed.iter().find(|a| a.is_ipv4()).or(parsed.first()).copied()
    }

    fn drop_traffic(&self) -> Result<Finding> {
        if !self.is_closed() {
            return Ok(Finding::unknown(
                "drop",
                "the kill switch is off: nothing is closed that could be shown",
            ));
        }
        let lent = supervisor::hold(&Ask::Lend(Loan::Drop))?
            .ok_or_else(|| Error::failed("no supervisor runs; run `pvpn connect`"))?;
        wait("five seconds without the tunnel's traffic");
        let seen = drop::watch(self);
        drop::end(lent);
        wait("");
        Ok(drop::judge(seen))
    }
}
