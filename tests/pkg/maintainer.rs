//! What the Debian package's scripts do, with programs of ours in the place of the machine's.

use super::{Scratch, run, text, top};
use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const NOTE: &str = "echo \"${0##*/} $*\" >>asked";

/// Runs a maintainer script, `pvpn` and `ischroot` ending with these codes; what was asked of whom.
fn maintain(words: &[&str], pvpn: u8, ischroot: u8) -> (Output, String) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let scratch = Scratch::new(&format!("maintainer-{}", RUNS.fetch_add(1, Relaxed)));
    let codes =
        [("pvpn", pvpn), ("ischroot", ischroot)].map(|(name, code)| (name, format!("{NOTE}; exit {code}")));
    let mut fakes: Vec<(&str, &str)> = codes.iter().map(|(name, text)| (*name, text.as_str())).collect();
    fakes.extend(
        ["rc-service", "rc-update", "systemctl", "deb-systemd-invoke", "deb-systemd-helper"]
            .map(|n| (n, NOTE)),
    );
    let path = scratch.fakes(&fakes);
    let script =
        fs::read_to_string(top().join("pkg/deb").join(words[0])).unwrap().replace("/usr/bin/pvpn", "pvpn");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).args(words).current_dir(scratch.path()).env("PATH", path);
    let output = command.output().unwrap();
    (output, fs::read_to_string(scratch.path().join("asked")).unwrap_or_default())
}

#[test]
fn removing_opens_the_machine_or_fails() {
    let (output, asked) = maintain(&["prerm", "remove"], 0, 1);
    assert!(output.status.success() && asked.contains("pvpn --quiet disconnect --ks false\n"), "{asked}");
    let (output, _) = maintain(&["prerm", "remove"], 1, 1);
    assert!(!output.status.success() && text(&output).contains("could not be opened"), "{}", text(&output));
    let (output, asked) = maintain(&["prerm", "upgrade", "2"], 1, 1);
    assert!(output.status.success() && asked.is_empty(), "{asked}");
}

#[test]
fn removing_it_from_a_chroot_opens_no_other_machine() {
    let (output, asked) = maintain(&["prerm", "remove"], 1, 0);
    assert!(output.status.success() && !asked.contains("disconnect"), "{asked}");
}

/// postinst can't tell a package that comes back from one that is upgraded, and changes no runlevels then.
#[test]
fn removing_leaves_the_boot_service_in_its_runlevels() {
    let (_, asked) = maintain(&["prerm", "remove"], 0, 1);
    assert!(!asked.contains("rc-update"), "{asked}");
    let (_, asked) = maintain(&["postinst", "configure", "0.1.0"], 0, 1);
    assert!(!asked.contains("rc-update"), "{asked}");
    let (_, asked) = maintain(&["postinst", "configure", ""], 0, 1);
    assert!(asked.contains("rc-update --quiet add pvpn-killswitch boot\n"), "{asked}");
}

/// systemd makes a unit of a script in /etc/init.d that has none, and the scripts stay until the purge.
#[test]
fn removing_masks_the_units_and_a_later_install_takes_that_back() {
    let (_, asked) = maintain(&["postrm", "remove"], 0, 1);
    assert!(asked.contains("deb-systemd-helper mask pvpn.service pvpn-killswitch.service\n"), "{asked}");
    let (_, asked) = maintain(&["postinst", "configure", "0.1.0"], 0, 1);
    assert!(asked.starts_with("deb-systemd-helper unmask pvpn.service pvpn-killswitch.service\n"), "{asked}");
}

#[test]
fn what_removing_leaves_in_a_runlevel_starts_nothing_and_is_no_failure() {
    for (script, start) in [("pvpn", "supervise_start"), ("pvpn-killswitch", "ebegin")] {
        let gone = format!(
            "{start}() {{ echo started; }}; eend() {{ :; }}; . ./{script}; command=/nonexistent/pvpn; start"
        );
        let dir = top().join("pkg/openrc");
        let text =
            fs::read_to_string(dir.join(script)).unwrap().replace("/usr/bin/pvpn", "/nonexistent/pvpn");
        let scratch = Scratch::new(&format!("removed-{script}"));
        fs::write(scratch.path().join(script), &text).unwrap();
        assert_eq!(run(Command::new("sh").args(["-c", &gone]).current_dir(scratch.path())), "", "{script}");
        let there = gone.replace("/nonexistent/pvpn", "/bin/true");
        fs::write(scratch.path().join(script), text.replace("/nonexistent/pvpn", "/bin/true")).unwrap();
        assert_eq!(run(Command::new("sh").args(["-c", &there]).current_dir(scratch.path())), "started\n");
    }
}
