//! The qBittorrents that run, and where each keeps its settings: by its arguments, its variables and its directory, as
//! it reads them itself (its src/app/cmdoptions.cpp, src/base/profile_p.cpp). `--profile=DIR` and `--configuration=NAME`
//! lead away from the home of whoever runs it, and so do `QBT_PROFILE`, `QBT_CONFIGURATION_NAME` and XDG_CONFIG_HOME.

use crate::sys::user;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const FOLDER: &str = "qBittorrent";
const FILE: &str = "qBittorrent.conf";

/// One that runs, or ran a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pub uid: u32,
    pub user: String,
    pub settings: PathBuf,
}

/// Those that run. What cannot be read of one is taken as not being there.
pub fn all() -> Vec<Process> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.filter_map(|dir| one(&dir)).collect()
}

fn one(dir: &Path) -> Option<Process> {
    if !is_qbittorrent(&fs::read_to_string(dir.join("comm")).ok()?) {
        return None;
    }
    let uid = fs::metadata(dir).ok()?.uid();
    let (user, home) = user::of(uid).unwrap_or_else(|| (format!("user {uid}"), PathBuf::from("/")));
    let words = |name: &str| {
        let bytes = fs::read(dir.join(name)).unwrap_or_default();
        bytes.split(|b| *b == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let cwd = dir.join("cwd").read_link().unwrap_or_else(|_| home.clone());
    let settings = settings(&Start { arguments: words("cmdline"), variables: words("environ"), cwd, home });
    Some(Process { uid, user, settings })
}

/// How one was started.
struct Start {
    arguments: Vec<String>,
    /// `NAME=value` each.
    variables: Vec<String>,
    cwd: PathBuf,
    /// Of its user, by the user database.
    home: PathBuf,
}

impl Start {
    /// The last `--NAME=value` among the arguments, else the variable's value; empty is none.
    fn option(&self, argument: &str, variable: &str) -> Option<&str> {
        let given = self.arguments.iter().rev().find_map(|a| a.strip_prefix("--")?.strip_prefix(argument));
        let value = given.and_then(|rest| rest.strip_prefix('=')).or_else(|| self.variable(variable))?;
        let quoted = ['\'', '"'].into_iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q));
        Some(quoted.unwrap_or(value)).filter(|value| !value.is_empty())
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .iter()
            .find_map(|v| v.strip_prefix(name)?.strip_prefix('='))
            .filter(|value| !value.is_empty())
    }
}

fn settings(start: &Start) -> PathBuf {
    let folder = match start.option("configuration", "QBT_CONFIGURATION_NAME") {
        Some(name) => format!("{FOLDER}_{name}"),
        None => FOLDER.to_owned(),
    };
    if let Some(profile) = start.option("profile", "QBT_PROFILE") {
        return start.cwd.join(profile).join(folder).join("config").join(FILE);
    }
    let home = start.variable("HOME").map_or(start.home.as_path(), Path::new);
    // XDG Base Directory Specification: one that is not absolute does not count.
    let config = start.variable("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    config.unwrap_or_else(|| home.join(".config")).join(folder).join(FILE)
}

/// Whether `/proc/PID/comm` names a qBittorrent, whichever it is; names are cut at 15 characters (proc_pid_comm(5)).
fn is_qbittorrent(comm: &str) -> bool {
    matches!(comm.trim_end(), "qbittorrent" | "qbittorrent-nox")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str], variables: &[&str]) -> String {
        let words = |all: &[&str]| all.iter().map(|w| (*w).to_owned()).collect();
        let start = Start {
            arguments: words(arguments),
            variables: words(variables),
            cwd: "/srv".into(),
            home: "/home/lab".into(),
        };
        settings(&start).display().to_string()
    }

    #[test]
    fn its_settings_are_where_its_arguments_and_variables_say() {
        for (arguments, variables, path) in [
            (&["qbittorrent-nox"][..], &[][..], "/home/lab/.config/qBittorrent/qBittorrent.conf"),
            (&[], &["HOME=/var/lib/qb"], "/var/lib/qb/.config/qBittorrent/qBittorrent.conf"),
            (&[], &["XDG_CONFIG_HOME=/etc/lab", "HOME=/x"], "/etc/lab/qBittorrent/qBittorrent.conf"),
            (&[], &["XDG_CONFIG_HOME=lab"], "/home/lab/.config/qBittorrent/qBittorrent.conf"),
            (&["--profile=/srv/qb"], &[], "/srv/qb/qBittorrent/config/qBittorrent.conf"),
            (&["--profile=qb/"], &[], "/srv/qb/qBittorrent/config/qBittorrent.conf"),
            (&["--profile='/a b'"], &[], "/a b/qBittorrent/config/qBittorrent.conf"),
            (&["--configuration=nox", "-d"], &[], "/home/lab/.config/qBittorrent_nox/qBittorrent.conf"),
            (&[], &["QBT_PROFILE=/p"], "/p/qBittorrent/config/qBittorrent.conf"),
            (
                &["--profile=/q", "--configuration=two"],
                &["QBT_PROFILE=/p", "QBT_CONFIGURATION_NAME=one"],
                "/q/qBittorrent_two/config/qBittorrent.conf",
            ),
            (&["--profiled=/q"], &["QBT_PROFILE="], "/home/lab/.config/qBittorrent/qBittorrent.conf"),
        ] {
            assert_eq!(of(arguments, variables), path, "{arguments:?} {variables:?}");
        }
    }
}
