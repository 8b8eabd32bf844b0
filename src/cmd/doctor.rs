//! `doctor`: what is wrong and what to do about it, without a network where that can be. Nothing is changed but the
//! report that `--bundle` writes.

mod bundle;
mod kernel;
mod network;
mod ports;
mod redact;
mod setup;

use super::waiting::interruptible;
use super::{note, place, print, status};
use crate::change::{Changes, state};
use crate::cli::Global;
use crate::config::Config;
use crate::config::wgconf;
use crate::daemon::run;
use crate::error::{Doing, Error, Exit, Result};
use crate::provider::file::DIR_NAME;
use crate::status::finding::{Finding, lines};
use crate::status::{Paint, Snapshot};
use crate::sys::files::{Disk, Durable, Files};
use crate::sys::http::Client;
use crate::sys::{Machine, System, nft, terminal};
use network::Seen;
use std::net::IpAddr;
use std::path::Path;

/// Proton's gateway inside the tunnel, the same on every server (protonvpn.com, "NAT-PMP").
const PROTON_GATEWAY: [u8; 4] = [10, 2, 0, 1];
/// A `.conf` longer than this is something else; chosen.
const CONF_MOST: usize = 256 << 10;

pub fn run(global: &Global, file: Option<&Path>) -> Result<Exit> {
    super::need_root("doctor")?;
    let _ending = interruptible(|| ())?;
    let dir = place(global).dir;
    let snapshot = status::current();
    let config = setup::load(&dir);
    let mut findings = kernel::look();
    match seen(config.as_ref().ok(), &snapshot, &dir) {
        Ok(seen) => findings.extend(network::look(&seen)),
        Err(e) => findings.push(Finding::unknown("network", e.to_string())),
    }
    findings.push(setup::resolver());
    findings.push(setup::config(&config));
    findings.push(setup::privacy(&dir, nix::unistd::geteuid().as_raw()));
    let forwarded = snapshot.port.number;
    if let Ok(config) = &config {
        findings.push(setup::provider(config));
        findings.extend(setup::qbittorrent(config, forwarded, &Client::new(Vec::new())));
    }
    let is_closed = state::load_killswitch(&Disk).ok().flatten().is_some();
    let is_wanted = is_closed || config.is_ok_and(|c| c.network.ks_default);
    findings.push(setup::boot_service(is_wanted));
    findings.extend(setup::supervisor(&snapshot));
    let paint = if terminal::has_colours() { Paint::Colour } else { Paint::Plain };
    print(&lines(&findings, paint))?;
    if let Some(file) = file {
        write_bundle(file, &dir, &findings, &snapshot)?;
        note(global, &format!("written: {}; look through it before you send it", file.display()));
    }
    Ok(if findings.iter().any(Finding::is_failed) { Exit::Problems } else { Exit::Done })
}

/// The machine as it stands.
fn seen(config: Option<&Config>, snapshot: &Snapshot, dir: &Path) -> Result<Seen> {
    let sys = System::new();
    let net = sys.net();
    let changes = Changes::look(&sys).ok();
    let ours: Vec<String> = changes.iter().flat_map(Changes::links).map(str::to_owned).collect();
    let attached = changes.and_then(|c| run::surroundings(&sys, &c).ok()).map(|s| s.attached);
    let legacy = ["/proc/net/ip_tables_names", "/proc/net/ip6_tables_names"].iter().flat_map(|path| {
        let names = Disk.read(Path::new(path), 4096).unwrap_or_default();
        String::from_utf8_lossy(&names).lines().map(str::to_owned).collect::<Vec<_>>()
    });
    let mut legacy: Vec<String> = legacy.collect();
    legacy.dedup();
    Ok(Seen {
        links: net.links().doing(|| "list links")?,
        routes: net.routes().doing(|| "list routes")?,
        rules: net.rules().doing(|| "list rules")?,
        chains: nft::open().and_then(|mut socket| nft::base_chains(&mut socket)).unwrap_or_default(),
        legacy,
        attached: attached.unwrap_or_default(),
        lan: config.and_then(|c| c.network.lan.clone()).unwrap_or_default(),
        inside: inside(snapshot, dir),
        ours,
    })
}

/// Addresses that only the tunnel may have: the gateway in use, Proton's, those of the `.conf` files.
fn inside(snapshot: &Snapshot, dir: &Path) -> Vec<IpAddr> {
    let mut inside = vec![IpAddr::from(PROTON_GATEWAY)];
    inside.extend(snapshot.dns.servers.iter().filter_map(|a| a.parse::<IpAddr>().ok()));
    for name in Disk.list(&dir.join(DIR_NAME)).unwrap_or_default() {
        let bytes = Disk.read(&dir.join(DIR_NAME).join(name), CONF_MOST).unwrap_or_default();
        if let Ok(conf) = wgconf::parse(&String::from_utf8_lossy(&bytes)) {
            inside.extend(conf.tunnel.dns.iter().filter(|a| !crate::address::IpNet::host(**a).is_private()));
        }
    }
    inside.dedup();
    inside
}

fn write_bundle(file: &Path, dir: &Path, findings: &[Finding], snapshot: &Snapshot) -> Result<()> {
    let read = |path: &str| {
        let text = Disk.read(Path::new(path), 64 << 10).unwrap_or_default();
        String::from_utf8_lossy(&text).trim().to_owned()
    };
    let versions = format!(
        "pvpn {}\nLinux {} {}\n{}",
        env!("CARGO_PKG_VERSION"),
        read("/proc/sys/kernel/osrelease"),
        std::env::consts::ARCH,
        read("/etc/os-release").lines().find(|l| l.starts_with("PRETTY_NAME")).unwrap_or_default(),
    );
    let sys = System::new();
    let parts = [
        ("versions", versions),
        ("doctor", lines(findings, Paint::Plain)),
        ("status", snapshot.emit()),
        ("network", network_text(&sys)),
        ("changes", journal_text(&sys)),
        ("resolver", read(crate::dns::RESOLV_CONF)),
    ];
    let text = bundle::Report { parts: &parts, dir }.emit();
    put_report(file, text.as_bytes()).map_err(Error::from).doing(|| format!("write {}", file.display()))
}

/// `/dev/stdout` and its like are written into; replaced, the machine would lose its device.
fn put_report(file: &Path, text: &[u8]) -> std::io::Result<()> {
    match std::fs::metadata(file) {
        Ok(there) if !there.is_file() => Disk.write_in_place(file, text),
        _ => Disk.replace(file, text, 0o600, Durable::No),
    }
}

fn network_text(sys: &System) -> String {
    let net = sys.net();
    let mut text = String::new();
    let mut list = |title: &str, items: std::io::Result<Vec<String>>| match items {
        Ok(items) => text.extend(items.iter().map(|item| format!("{title} {item}\n"))),
        Err(e) => text.push_str(&format!("{title}: {e}\n")),
    };
    list(
        "link",
        net.links().map(|all| {
            let link = |l: crate::wire::rtnl::Link| {
                let kind = l.kind.as_deref().unwrap_or("-");
                format!("{} kind {kind} mtu {} {}", l.name, l.mtu, if l.up { "up" } else { "down" })
            };
            all.into_iter().map(link).collect()
        }),
    );
    list(
        "address",
        net.addresses().map(|all| all.iter().map(|a| format!("{} {}", a.device, a.net)).collect()),
    );
    list("route", net.routes().map(|all| all.iter().map(ToString::to_string).collect()));
    list("rule", net.rules().map(|all| all.iter().map(ToString::to_string).collect()));
    let state = nft::open().and_then(|mut socket| nft::state(&mut socket));
    list(
        "firewall",
        state.map(|s| {
            s.map(|s| format!("closed {}, egress {}", s.closed, s.egress_links.join(" ")))
                .into_iter()
                .collect()
        }),
    );
    text
}

fn journal_text(sys: &System) -> String {
    match Changes::look(sys) {
        Ok(changes) => changes.owed().map(|(tag, undo)| format!("{tag}: {}\n", undo.words())).collect(),
        Err(e) => e.to_string(),
    }
}
