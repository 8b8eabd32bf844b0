//! Who runs us, and where their files are. HOME is not asked: services have none, and sudo may keep the caller's.

use nix::unistd::{User, geteuid};
use std::env;
use std::fs;
use std::path::PathBuf;

/// CAP_NET_ADMIN (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// The effective user's home by the user database; `None` when it has no such user.
pub fn home() -> Option<PathBuf> {
    User::from_uid(geteuid()).ok().flatten().map(|user| user.dir)
}

/// The name and home of the person who ran us by sudo.
pub fn sudo_user() -> Option<(String, PathBuf)> {
    let name = env::var("SUDO_USER").ok()?;
    let user = User::from_name(&name).ok().flatten()?;
    Some((name, user.dir))
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Whether this process may change the network.
pub fn has_net_admin() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| has_capability(&status, CAP_NET_ADMIN))
}

/// Whether `CapEff` of this `/proc/PID/status` text has the capability (proc_pid_status(5)).
fn has_capability(status: &str, capability: u32) -> bool {
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:"));
    line.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> capability & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_read_from_the_effective_set() {
        // Debian bookworm: root's shell, a user's shell, and a unit with CAP_NET_ADMIN alone.
        for (hex, has) in
            [("000001ffffffffff", true), ("0000000000000000", false), ("0000000000001000", true), ("", false)]
        {
            let status = format!("Name:\tpvpn\nCapPrm:\t000001ffffffffff\nCapEff:\t{hex}\n");
            assert_eq!(has_capability(&status, CAP_NET_ADMIN), has, "{hex}");
        }
        assert!(!has_capability("Name:\tpvpn\n", CAP_NET_ADMIN));
    }

    #[test]
    fn the_home_is_that_of_the_user_database() {
        assert!(home().is_some_and(|dir| dir.is_absolute()));
    }
}
