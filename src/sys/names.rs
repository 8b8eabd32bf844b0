//! Programs that answer the machine's names beside the resolver file, and are told of the tunnel's servers:
//! systemd-resolved over D-Bus (org.freedesktop.resolve1(5)), resolvconf and openresolv by their own program, which both
//! call `resolvconf` (resolvconf(8)).
//!
//! Forgetting what is forgotten already is `Ok`, and so is telling a resolved that does not run.

#[cfg(test)]
pub mod fake;

use super::dbus::{Bus, CallError};
use super::notify;
use super::signal::reset_in_child;
use crate::dns::LinkNames;
use crate::time::{Duration, millis};
use crate::wire::dbus::{Arg, Target, parse_link_servers};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Who is told of a tunnel's name servers.
pub trait Names {
    /// The servers that resolved asks by the link of this index; `None`: there is no resolved.
    fn resolved_servers(&self, index: u32) -> io::Result<Option<Vec<IpAddr>>>;

    /// Has resolved ask these servers, by the link of this index, for every name.
    fn tell_resolved(&self, index: u32, names: &LinkNames) -> io::Result<()>;

    /// Has resolved forget what it was told about this link.
    fn revert_resolved(&self, index: u32) -> io::Result<()>;

    /// Adds a record of this name with this text, a resolv.conf(5).
    fn add_resolvconf(&self, record: &str, text: &str) -> io::Result<()>;

    /// Deletes the record of this name.
    fn delete_resolvconf(&self, record: &str) -> io::Result<()>;
}

const MANAGER: Target = Target {
    destination: "org.freedesktop.resolve1",
    path: "/org/freedesktop/resolve1",
    interface: "org.freedesktop.resolve1.Manager",
};
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Both packages install it in one of these (Debian; elsewhere as well).
const RESOLVCONF: [&str; 2] = ["/usr/sbin/resolvconf", "/sbin/resolvconf"];
/// Their scripts run hooks of other packages; chosen: half of `disconnect`'s 10 s.
const RESOLVCONF_TIMEOUT: Duration = Duration::from_secs(5);
const RESOLVCONF_LOOK: Duration = millis(5);

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Programs;

impl Names for Programs {
    fn resolved_servers(&self, index: u32) -> io::Result<Option<Vec<IpAddr>>> {
        let Some(mut bus) = Bus::open()? else { return Ok(None) };
        let property = [Arg::Text(MANAGER.interface.to_owned()), Arg::Text("DNS".to_owned())];
        let reply = match bus.call(&Target { interface: PROPERTIES, ..MANAGER }, "Get", &property) {
            Ok(body) => body,
            Err(e) => return gone_is_fine(Err(e)).map(|()| None),
        };
        let all = parse_link_servers(&reply).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        let is_its = |of: i32| u32::try_from(of) == Ok(index);
        Ok(Some(all.into_iter().filter(|(of, _)| is_its(*of)).map(|(_, server)| server).collect()))
    }

    fn tell_resolved(&self, index: u32, names: &LinkNames) -> io::Result<()> {
        let link = Arg::Int(index.try_into().map_err(|_| io::ErrorKind::InvalidInput)?);
        let servers = names.servers.iter().map(|ip| match ip {
            IpAddr::V4(v4) => (libc::AF_INET, v4.octets().to_vec()),
            IpAddr::V6(v6) => (libc::AF_INET6, v6.octets().to_vec()),
        });
        // `.` as a routing domain takes every name away from the servers of other links.
        let mut domains = vec![(".".to_owned(), true)];
        domains.extend(names.search.iter().map(|d| (d.clone(), false)));
        let Some(mut bus) = Bus::open()? else { return Ok(()) };
        let mut call = |member: &str, args: &[Arg]| gone_is_fine(bus.call(&MANAGER, member, args).map(drop));
        call("SetLinkDNS", &[link.clone(), Arg::Addresses(servers.collect())])?;
        call("SetLinkDomains", &[link.clone(), Arg::Names(domains)])?;
        call("SetLinkDefaultRoute", &[link.clone(), Arg::Bool(true)])?;
        // The servers are inside the tunnel and speak plain DNS there, whatever resolved.conf wants of others.
        call("SetLinkDNSOverTLS", &[link, Arg::Text("no".to_owned())])?;
        // What other servers said is not given out any more.
        call("FlushCaches", &[])
    }

    fn revert_resolved(&self, index: u32) -> io::Result<()> {
        let link = Arg::Int(index.try_into().map_err(|_| io::ErrorKind::InvalidInput)?);
        let Some(mut bus) = Bus::open()? else { return Ok(()) };
        gone_is_fine(bus.call(&MANAGER, "RevertLink", &[link]).map(drop))?;
        gone_is_fine(bus.call(&MANAGER, "FlushCaches", &[]).map(drop))
    }

    fn add_resolvconf(&self, record: &str, text: &str) -> io::Result<()> {
        // openresolv: before all others, and instead of them; Debian's knows one record beside the others, and reads no
        // further than its name.
        run_resolvconf(&["-a", record, "-m", "0", "-x"], text)
    }

    fn delete_resolvconf(&self, record: &str) -> io::Result<()> {
        match run_resolvconf(&["-d", record], "") {
            // It was removed meanwhile, its records with it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// A resolved that does not run, a link it does not know, and a call that an older one lacks are nothing to fail by.
fn gone_is_fine(result: Result<(), CallError>) -> io::Result<()> {
    const FINE: [&str; 5] = [
        "org.freedesktop.DBus.Error.NameHasNoOwner",
        "org.freedesktop.DBus.Error.ServiceUnknown",
        "org.freedesktop.DBus.Error.UnknownMethod",
        "org.freedesktop.resolve1.NoSuchLink",
        "org.freedesktop.resolve1.LinkBusy",
    ];
    match result {
        Err(CallError::Refused { name, .. }) if FINE.contains(&name.as_str()) => {
            log::debug!("dns: systemd-resolved: {name}");
            Ok(())
        }
        Err(CallError::Refused { name, text }) => Err(io::Error::other(format!("{name}: {text}"))),
        Err(CallError::Io(e)) => Err(e),
        Ok(()) => Ok(()),
    }
}

/// The program, unless it is resolved's own under that name.
fn resolvconf() -> io::Result<PathBuf> {
    let is_one = |path: &&Path| {
        path.canonicalize().is_ok_and(|p| p.file_name().is_some_and(|name| name != "resolvectl"))
    };
    let found = RESOLVCONF.map(Path::new).into_iter().find(is_one);
    found.map(Path::to_owned).ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no resolvconf program"))
}

fn run_resolvconf(args: &[&str], text: &str) -> io::Result<()> {
    let mut command = Command::new(resolvconf()?);
    command.args(args).current_dir("/").env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let status = run(&mut command, text)?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("resolvconf {}: {status}", args.join(" ")))),
    }
}

/// Runs it to its end with this standard input; killed with its children when it takes too long.
fn run(command: &mut Command, input: &str) -> io::Result<ExitStatus> {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    for name in notify::VARIABLES {
        command.env_remove(name);
    }
    // SAFETY: `reset_in_child` calls only async-signal-safe functions and allocates nothing.
    unsafe { command.pre_exec(reset_in_child) };
    let mut child = command.spawn()?;
    // Shorter than a pipe's buffer, so this does not wait; who does not read it does not need it.
    let _ = child.stdin.take().map_or(Ok(()), |mut pipe| pipe.write_all(input.as_bytes()));
    let ended = wait(&mut child, RESOLVCONF_TIMEOUT);
    if !matches!(ended, Ok(Some(_))) {
        if let Ok(pid) = i32::try_from(child.id()) {
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
            let _ = child.wait();
        }
    }
    ended?.ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// Looks until it has ended; `None`: the time is up. It is over in some ten milliseconds.
fn wait(child: &mut Child, timeout: Duration) -> io::Result<Option<ExitStatus>> {
    let mut left = timeout;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(RESOLVCONF_LOOK);
        left = left.saturating_sub(RESOLVCONF_LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> Result<(), CallError> {
        Err(CallError::Refused { name: name.to_owned(), text: "why".to_owned() })
    }

    #[test]
    fn who_is_not_there_needs_not_be_told() {
        assert!(gone_is_fine(refused("org.freedesktop.DBus.Error.NameHasNoOwner")).is_ok());
        let e = gone_is_fine(refused("org.freedesktop.DBus.Error.AccessDenied")).unwrap_err();
        assert_eq!(e.to_string(), "org.freedesktop.DBus.Error.AccessDenied: why");
        assert!(gone_is_fine(Err(CallError::Io(io::ErrorKind::TimedOut.into()))).is_err());
    }

    #[test]
    fn a_program_gets_its_text_and_is_ended_with_its_children_when_it_hangs() {
        let mut reads = Command::new("sh");
        assert!(
            run(
                reads.args(["-c", "read line; test \"$line\" = 'nameserver 10.2.0.1'"]),
                "nameserver 10.2.0.1\n"
            )
            .unwrap()
            .success()
        );
        let mut fails = Command::new("false");
        assert!(!run(&mut fails, "").unwrap().success());
        let mut hangs = Command::new("sleep").arg("1000").process_group(0).spawn().unwrap();
        assert_eq!(wait(&mut hangs, Duration::ZERO).unwrap(), None);
        hangs.kill().unwrap();
        hangs.wait().unwrap();
    }
}
