//! Units and scripts parse, and say what the promises need.

use super::{Scratch, has, read, run, top};
use pvpn::cli::{self, Command as Verb, Killswitch};
use std::fs;
use std::process::Command;

const UNITS: [&str; 2] = ["pkg/systemd/pvpn.service", "pkg/systemd/pvpn-killswitch.service"];
const OPENRC: [&str; 2] = ["pkg/openrc/pvpn", "pkg/openrc/pvpn-killswitch"];
const SCRIPTS: [&str; 7] = [
    "pkg/install.sh",
    "pkg/uninstall.sh",
    "pkg/openrc/supervised",
    "pkg/deb/build",
    "pkg/deb/postinst",
    "pkg/deb/prerm",
    "pkg/deb/postrm",
];

/// The values of a key in a unit, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    let lines = read(unit).lines().map(str::to_owned).collect::<Vec<_>>();
    lines.iter().filter_map(|l| l.strip_prefix(key)?.strip_prefix('=')).map(str::to_owned).collect()
}

#[test]
fn every_script_is_read_by_a_posix_shell() {
    for script in SCRIPTS.iter().chain(&OPENRC) {
        run(Command::new("sh").arg("-n").arg(top().join(script)));
    }
}

#[test]
fn shellcheck_has_nothing_to_say() {
    if !has("shellcheck") {
        return;
    }
    run(Command::new("shellcheck").args(SCRIPTS.map(|s| top().join(s))));
    // openrc-run sources them: it brings `local`, and reads what looks unused.
    let mut openrc = Command::new("shellcheck");
    run(openrc.args(["-s", "sh", "-e", "SC2034,SC2154,SC3043"]).args(OPENRC.map(|s| top().join(s))));
}

#[test]
fn systemd_reads_the_units_without_a_complaint_about_them() {
    if !has("systemd-analyze") {
        return;
    }
    let units = UNITS.map(|u| top().join(u));
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(units).output().unwrap();
    let said = super::text(&output);
    // That pvpn is not installed where the test runs is no fault of the units.
    let faults: Vec<&str> = said
        .lines()
        .filter(|l| l.contains("pvpn"))
        .filter(|l| !l.contains("/usr/bin/pvpn is not executable"))
        .collect();
    assert!(faults.is_empty(), "{said}");
}

#[test]
fn the_services_run_commands_that_exist() {
    for line in UNITS.iter().flat_map(|u| values(u, "ExecStart")) {
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some("/usr/bin/pvpn"), "{line}");
        let words: Vec<&str> = words.collect();
        // The boot service's own word, which no help page shows.
        if words == ["killswitch", "restore"] {
            continue;
        }
        let parsed = cli::parse(words.iter().map(Into::into)).unwrap();
        assert!(matches!(&parsed.command, Verb::Connect(c) if c.foreground), "{line}");
    }
    let script = read("pkg/openrc/pvpn");
    assert!(script.contains("command_args=\"/usr/bin/pvpn connect --foreground\""), "{script}");
    assert!(read("pkg/openrc/pvpn-killswitch").contains("/usr/bin/pvpn killswitch restore"));
}

#[test]
fn a_restart_leaves_and_a_hopeless_start_is_not_repeated() {
    let unit = UNITS[0];
    assert_eq!(values(unit, "RestartKillSignal"), ["SIGUSR1"]);
    assert_eq!(values(unit, "RestartPreventExitStatus"), ["10 77 78"]);
    assert_eq!(values(unit, "RuntimeDirectoryPreserve"), ["yes"]);
    assert!(read("pkg/openrc/supervised").contains("\n10 | 77 | 78)\n"));
}

/// OpenRC refuses a stop while it is still at starting the service, which a configuration that cannot be read outruns.
#[test]
fn a_hopeless_end_under_openrc_asks_for_the_stop_until_it_is_granted() {
    let scratch = Scratch::new("supervised");
    let path = scratch.fakes(&[
        ("pvpn", "exit $1"),
        ("logger", ""),
        ("sleep", ""),
        // Refuses twice; the third time supervise-daemon would end the script.
        ("rc-service", "echo \"$@\" >>asked; [ $(wc -l <asked) -gt 2 ] || exit 1; kill -TERM $PPID"),
    ]);
    for code in ["10", "77", "78"] {
        let _ = fs::remove_file(scratch.path().join("asked"));
        let mut script = Command::new("timeout");
        script.args(["20", "sh"]).arg(top().join("pkg/openrc/supervised")).args(["pvpn", code]);
        run(script.current_dir(scratch.path()).env("PATH", &path).env_remove("RC_SVCNAME"));
        assert_eq!(
            fs::read_to_string(scratch.path().join("asked")).unwrap(),
            "pvpn stop\n".repeat(3),
            "{code}"
        );
    }
    // Every other end is supervise-daemon's to mend.
    let mut script = Command::new("sh");
    script.arg(top().join("pkg/openrc/supervised")).args(["pvpn", "14"]).env("PATH", &path);
    assert_eq!(script.current_dir(scratch.path()).output().unwrap().status.code(), Some(14));
}

/// Without runlevels `systemctl enable` fails where update-rc.d is, on all of Debian, and enables nothing. With a whole
/// header Debian's OpenRC takes the script for a foreign one and starts nothing.
#[test]
fn the_openrc_scripts_name_runlevels_in_a_header_without_an_end() {
    for script in OPENRC {
        let text = read(script);
        assert!(text.ends_with("\n### BEGIN INIT INFO\n# Default-Start: 2 3 4 5\n"), "{script}");
        assert!(!text.contains("END INIT INFO"), "{script}");
    }
}

#[test]
fn nothing_opens_when_the_boot_service_stops() {
    for key in ["ExecStop", "ExecStopPost"] {
        assert!(values(UNITS[1], key).is_empty());
    }
    let script = read(OPENRC[1]);
    assert!(script.contains("\nstop()\n{\n\treturn 0\n}\n"), "{script}");
    // Debian's OpenRC has no localmount: needing it would keep the service from starting.
    assert!(!script.lines().any(|l| l.trim_start().starts_with("need ")), "{script}");
}

/// Debian's nftables.service would flush the ruleset at shutdown.
#[test]
fn nftables_leaves_our_tables_when_it_stops() {
    let stops = values("pkg/systemd/nftables.service.d.conf", "ExecStop");
    assert_eq!(stops.len(), 2, "{stops:?}");
    assert_eq!(stops[0], "", "the unit's own goes");
    assert!(!read("pkg/systemd/nftables.service.d.conf").contains("nft flush"));
}

/// Containers come and go by virtual links, and a machine that was never closed is none of this rule's business.
#[test]
fn udev_runs_pvpn_for_cards_alone_and_where_the_kill_switch_is_closed() {
    let text = read("pkg/udev/90-pvpn.rules");
    let rules: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let [rule] = rules.as_slice() else { panic!("{rules:?}") };
    let keys: Vec<&str> = rule.split(", ").collect();
    assert!(keys.contains(&"DEVPATH!=\"/devices/virtual/net/*\""), "{rule}");
    assert!(keys.contains(&"TEST==\"/var/lib/pvpn/killswitch\""), "{rule}");
    let program = keys.iter().find_map(|k| k.strip_prefix("RUN+=\"")?.strip_suffix('"')).unwrap();
    let words = program.strip_prefix("/usr/bin/pvpn ").unwrap().split(' ').map(Into::into);
    assert_eq!(cli::parse(words).unwrap().command, Verb::Killswitch { what: Killswitch::Cover, yes: false });
}

#[test]
fn the_sandbox_allows_what_is_written_and_little_else() {
    for unit in UNITS {
        assert_eq!(values(unit, "ProtectSystem"), ["strict"], "{unit}");
        assert_eq!(values(unit, "NoNewPrivileges"), ["yes"], "{unit}");
        assert_eq!(values(unit, "StateDirectory"), ["pvpn"], "{unit}");
        let writable = values(unit, "ReadWritePaths");
        assert!(writable.contains(&"/etc".to_owned()) && writable.contains(&"/proc/sys/net".to_owned()));
        assert!(!writable.iter().any(|p| ["/", "/usr", "/var", "/run", "/root"].contains(&p.as_str())));
        let capabilities = values(unit, "CapabilityBoundingSet").concat();
        for forbidden in ["CAP_SYS_ADMIN", "CAP_SYS_MODULE", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "~"] {
            assert!(!capabilities.contains(forbidden), "{unit}: {capabilities}");
        }
    }
}
