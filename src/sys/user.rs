//! Who runs us, and where their files are. HOME is not asked: services have none, and sudo may keep the caller's.

use nix::unistd::geteuid;
use std::env;
use std::fs;
use std::path::PathBuf;

/// CAP_NET_ADMIN (linux/capability.h).
const CAP_NET_ADMIN: u32 = 12;

/// The user database, read by ourselves: glibc's own look-up loads modules at run time, which a static binary that runs
/// under another glibc cannot (getpwnam(3), nsswitch.conf(5)). Root is always in this file.
const PASSWD: &str = "/etc/passwd";

/// The effective user's home by the user database; `None` when it has no such user.
pub fn home() -> Option<PathBuf> {
    let uid = geteuid().to_string();
    home_where(&passwd(), |_, id| id == uid)
}

/// The name and home of the person who ran us by sudo.
pub fn sudo_user() -> Option<(String, PathBuf)> {
    let name = env::var("SUDO_USER").ok()?;
    let home = home_where(&passwd(), |login, _| login == name)?;
    Some((name, home))
}

/// Every user with a home, by name.
pub fn all() -> Vec<(String, PathBuf)> {
    let text = passwd();
    let names = text.lines().filter_map(|l| l.split(':').next()).filter(|name| !name.is_empty());
    names.filter_map(|name| Some((name.to_owned(), home_where(&text, |login, _| login == name)?))).collect()
}

/// The name and home of a user id.
pub fn of(uid: u32) -> Option<(String, PathBuf)> {
    let (text, uid) = (passwd(), uid.to_string());
    let name = text.lines().find_map(|l| {
        let mut fields = l.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == uid).then(|| name.to_owned())
    })?;
    let home = home_where(&text, |_, id| id == uid)?;
    Some((name, home))
}

fn passwd() -> String {
    fs::read(PASSWD).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The home of the first line whose name and user id are wanted (passwd(5): `name:password:uid:gid:gecos:home:shell`).
fn home_where(text: &str, is_wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, uid, home) = (fields.next()?, fields.nth(1)?, fields.nth(2)?);
        (is_wanted(name, uid) && home.starts_with('/')).then(|| PathBuf::from(home))
    })
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
    fn a_line_of_the_user_database_has_its_home_in_the_sixth_field() {
        let text = "root:x:0:0:root:/root:/bin/bash\n+nis\nbroken:x\npi:x:1000:1000:,,,:/home/pi:/bin/bash\nno:x:7:7:::\n";
        let home = |uid: &str| home_where(text, |_, id| id == uid);
        assert_eq!(home("0"), Some(PathBuf::from("/root")));
        assert_eq!(home("1000"), Some(PathBuf::from("/home/pi")));
        assert_eq!(home("7"), None);
        assert_eq!(home_where(text, |name, _| name == "pi"), Some(PathBuf::from("/home/pi")));
        assert_eq!(home_where("", |_, _| true), None);
    }

    #[test]
    fn the_home_is_that_of_the_user_database() {
        assert!(home().is_some_and(|dir| dir.is_absolute()));
    }
}
