//! What outlives a reboot, in `/var/lib/pvpn` (0700): whether the kill switch is closed and with which rules, the highest
//! wall clock seen (and qBittorrent's earlier settings: `daemon/sync/memory.rs`). Each is a small file of mode 0600,
//! replaced as a whole and synced.

use crate::address::{IpNet, PRIVATE};
use crate::error::{Doing, Error, Result};
use crate::sys::files::{Durable, FileImage, Files};
use crate::time::UnixTime;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

pub const STATE_DIR: &str = "/var/lib/pvpn";
const KILLSWITCH: &str = "/var/lib/pvpn/killswitch";
/// The same until the next boot, where the disk does not take it.
const KILLSWITCH_FOR_NOW: &str = "/run/pvpn/killswitch";
const CLOCK: &str = "/var/lib/pvpn/clock";
/// Each holds less than 1 KiB; more is none of ours (chosen).
const LIMIT: usize = 1 << 16;
const PRIVATE_MODE: u32 = 0o600;

/// A closed kill switch, and what stays open around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillSwitch {
    pub lan: Vec<IpNet>,
}

/// Whether the kill switch is closed; `None` = open. A file that can't be understood counts as closed, with the private
/// networks as `lan`: the owner is never locked out, and nothing opens by accident.
pub fn load_killswitch(files: &dyn Files) -> Result<Option<KillSwitch>> {
    let is_on = |text: &String| text.lines().next() != Some("off");
    let text = match load(files, KILLSWITCH)?.filter(is_on) {
        None => load(files, KILLSWITCH_FOR_NOW)?,
        on => on,
    };
    let Some(text) = text else { return Ok(None) };
    let lan = text.lines().find_map(|l| l.strip_prefix("lan ")).and_then(|nets| {
        nets.split(' ').map(str::parse).collect::<std::result::Result<Vec<IpNet>, _>>().ok()
    });
    Ok(Some(KillSwitch { lan: lan.unwrap_or_else(|| PRIVATE.to_vec()) }))
}

/// Remembers it over reboots. Closing: before the rules are loaded; opening: before they are taken away. So a crash
/// between the two is finished by the next recovery. Opening needs no room on the disk. A closed one for which there is
/// none is an error, and holds until the next boot.
pub fn store_killswitch(files: &dyn Files, killswitch: Option<&KillSwitch>) -> Result<()> {
    let Some(closed) = killswitch else {
        return [KILLSWITCH, KILLSWITCH_FOR_NOW].iter().try_for_each(|path| {
            files.put(Path::new(path), &FileImage::Absent).doing(|| format!("remove {path}"))
        });
    };
    let mut text = "on\nlan".to_owned();
    for net in &closed.lan {
        // Writing into a String does not fail.
        let _ = write!(text, " {net}");
    }
    text.push('\n');
    let (path, for_now) = (Path::new(KILLSWITCH), Path::new(KILLSWITCH_FOR_NOW));
    let stored = files.replace(path, text.as_bytes(), PRIVATE_MODE, Durable::Yes);
    let second = match &stored {
        Ok(()) => files.remove(for_now),
        Err(_) => files.replace(for_now, text.as_bytes(), PRIVATE_MODE, Durable::No),
    };
    if let Err(e) = second {
        log::warn!("killswitch: {KILLSWITCH_FOR_NOW}: {e}");
    }
    stored.doing(|| format!("write {KILLSWITCH}"))
}

/// The highest wall clock that a handshake was accepted with. WireGuard peers reject a clock behind it
/// (whitepaper section 5.1).
pub fn load_clock(files: &dyn Files) -> Result<Option<UnixTime>> {
    let text = load(files, CLOCK)?;
    Ok(text.and_then(|t| t.trim().parse().ok()).map(UnixTime))
}

/// Remembers this wall clock in place of the one remembered.
pub fn store_clock(files: &dyn Files, highest: UnixTime) -> Result<()> {
    store(files, CLOCK, &format!("{}\n", highest.0))
}

fn load(files: &dyn Files, path: &str) -> Result<Option<String>> {
    match files.read(Path::new(path), LIMIT) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::from(e).context(format!("read {path}"))),
    }
}

fn store(files: &dyn Files, path: &str, text: &str) -> Result<()> {
    files
        .replace(Path::new(path), text.as_bytes(), PRIVATE_MODE, Durable::Yes)
        .doing(|| format!("write {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::files::fake::FakeFiles;

    #[test]
    fn the_kill_switch_is_remembered_over_a_power_cut() {
        let files = FakeFiles::new(&[]);
        assert_eq!(load_killswitch(&files), Ok(None));
        for lan in [vec!["192.168.1.0/24", "fd00::/8"], vec!["10.0.0.0/8"]] {
            let closed = KillSwitch { lan: lan.iter().map(|n| n.parse().unwrap()).collect() };
            store_killswitch(&files, Some(&closed)).unwrap();
            files.power_cut();
            assert_eq!(load_killswitch(&files), Ok(Some(closed)));
        }
        store_killswitch(&files, None).unwrap();
        files.power_cut();
        assert_eq!(load_killswitch(&files), Ok(None));
    }

    #[test]
    fn one_that_the_disk_does_not_take_is_closed_until_the_next_boot() {
        let files = FakeFiles::new(&[]);
        let closed = KillSwitch { lan: vec!["10.0.0.0/8".parse().unwrap()] };
        files.protect(true);
        assert!(store_killswitch(&files, Some(&closed)).is_err());
        files.protect(false);
        files.write(KILLSWITCH_FOR_NOW, "on\nlan 10.0.0.0/8\n");
        assert_eq!(load_killswitch(&files), Ok(Some(closed.clone())));
        store_killswitch(&files, Some(&closed)).unwrap();
        assert_eq!(files.text(KILLSWITCH_FOR_NOW), None);
        files.write(KILLSWITCH_FOR_NOW, "on\n");
        store_killswitch(&files, None).unwrap();
        assert_eq!(load_killswitch(&files), Ok(None));
    }

    #[test]
    fn a_file_that_makes_no_sense_is_closed_with_the_private_networks() {
        for text in ["", "\0\0\0\n", "on\n", "on\nlan x\n", "on\nlan \n", "offf\n"] {
            let files = FakeFiles::new(&[(KILLSWITCH, text)]);
            let closed = load_killswitch(&files).unwrap().unwrap();
            assert_eq!(closed.lan, PRIVATE, "{text:?}");
        }
    }

    #[test]
    fn the_highest_clock_is_remembered_over_a_power_cut() {
        let files = FakeFiles::new(&[]);
        assert_eq!(load_clock(&files), Ok(None));
        for seen in [5, 9, 3] {
            store_clock(&files, UnixTime(seen)).unwrap();
            files.power_cut();
            assert_eq!(load_clock(&files), Ok(Some(UnixTime(seen))));
        }
    }
}
