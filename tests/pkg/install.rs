//! `install.sh`, `uninstall.sh` and the Debian package, in a directory that stands for the machine.

use super::{Scratch, has, run, text, top};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// What `install.sh` lays out under DESTDIR, with modes.
const LAID_OUT: &str = "\
0644 etc/NetworkManager/conf.d/90-pvpn.conf
0755 etc/init.d/pvpn
0755 etc/init.d/pvpn-killswitch
0644 etc/systemd/network/00-pvpn.network
0644 etc/systemd/networkd.conf.d/90-pvpn.conf
0644 etc/systemd/system/nftables.service.d/pvpn.conf
0644 etc/systemd/system/pvpn-killswitch.service
0644 etc/systemd/system/pvpn.service
0644 etc/udev/rules.d/90-pvpn.rules
0700 root/.pvpn-cli/
0700 root/.pvpn-cli/pvpn/
0755 usr/local/bin/pvpn
0644 usr/local/libexec/pvpn/directories
0755 usr/local/libexec/pvpn/supervised
0755 usr/local/libexec/pvpn/uninstall.sh
0644 usr/local/share/bash-completion/completions/pvpn
0644 usr/local/share/doc/pvpn/config.ini.example
0644 usr/local/share/doc/pvpn/examples/backup.cron
0644 usr/local/share/doc/pvpn/examples/cron
0644 usr/local/share/doc/pvpn/examples/dhcpcd.conf
0644 usr/local/share/doc/pvpn/examples/qbittorrent-after-pvpn.conf
0644 usr/local/share/fish/vendor_completions.d/pvpn.fish
0644 usr/local/share/man/man8/pvpn.8
0644 usr/local/share/zsh/site-functions/_pvpn
";

/// The pages in `pkg/doc` are installed as they are, whichever there are.
fn expected() -> Vec<String> {
    let mut lines: Vec<String> = LAID_OUT.lines().map(str::to_owned).collect();
    for entry in fs::read_dir(top().join("pkg/doc")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") {
            lines.push(format!("0644 usr/local/share/doc/pvpn/{name}"));
        }
    }
    by_path(lines)
}

fn by_path(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_by(|a, b| a[5..].cmp(&b[5..]));
    lines
}

/// Files with modes; directories only where theirs matters.
fn laid_out(dest: &Path) -> Vec<String> {
    fn walk(dest: &Path, dir: &Path, lines: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            let path = entry.path();
            let name = path.strip_prefix(dest).unwrap().display().to_string();
            if path.is_dir() {
                if mode != 0o755 {
                    lines.push(format!("{mode:04o} {name}/"));
                }
                walk(dest, &path, lines);
            } else {
                lines.push(format!("{mode:04o} {name}"));
            }
        }
    }
    let mut lines = Vec::new();
    walk(dest, dest, &mut lines);
    by_path(lines)
}

fn script(name: &str, dest: &Path) -> Command {
    let mut command = Command::new("sh");
    command.arg(top().join("pkg").join(name)).env("DESTDIR", dest).env_remove("PREFIX").env_remove("INIT");
    command
}

/// A file that stands for the binary.
fn binary(scratch: &Scratch) -> std::path::PathBuf {
    let path = scratch.path().join("pvpn");
    fs::write(&path, "#!/bin/sh\n").unwrap();
    path
}

#[test]
fn install_lays_out_exactly_these_files_and_twice_is_the_same() {
    let scratch = Scratch::new("install");
    let (dest, binary) = (scratch.path().join("dest"), binary(&scratch));
    for _ in 0..2 {
        run(script("install.sh", &dest).arg(&binary));
        assert_eq!(laid_out(&dest), expected());
    }
}

#[test]
fn uninstall_leaves_no_file_but_a_configuration_that_is_worth_keeping() {
    let scratch = Scratch::new("uninstall");
    let (dest, binary) = (scratch.path().join("dest"), binary(&scratch));
    run(script("install.sh", &dest).arg(&binary));
    for _ in 0..2 {
        run(&mut script("uninstall.sh", &dest));
        assert_eq!(laid_out(&dest), Vec::<String>::new());
    }
    run(script("install.sh", &dest).arg(&binary));
    let config = dest.join("root/.pvpn-cli/pvpn/config.ini");
    fs::write(&config, "[vpn]\n").unwrap();
    run(script("install.sh", &dest).arg(&binary));
    assert_eq!(fs::read_to_string(&config).unwrap(), "[vpn]\n");
    let said = run(&mut script("uninstall.sh", &dest));
    assert!(said.contains("stays in"), "{said}");
    assert!(config.exists());
    run(script("uninstall.sh", &dest).arg("--purge"));
    assert_eq!(laid_out(&dest), Vec::<String>::new());
}

/// Directories below `dir`, by path.
fn directories(dir: &Path) -> Vec<String> {
    let said = run(Command::new("find").arg(dir).args(["-mindepth", "1", "-type", "d", "-printf", "%P\\n"]));
    let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn uninstall_takes_away_the_directories_that_install_made_and_no_other() {
    let scratch = Scratch::new("directories");
    let (dest, binary) = (scratch.path().join("dest"), binary(&scratch));
    // Empty ones of the machine's own, some of which are written into.
    for dir in ["etc/init.d", "root", "usr/local/libexec", "usr/local/share/man/man8"] {
        fs::create_dir_all(dest.join(dir)).unwrap();
    }
    let before = directories(&dest);
    for _ in 0..2 {
        run(script("install.sh", &dest).arg(&binary));
    }
    run(&mut script("uninstall.sh", &dest));
    assert_eq!(directories(&dest), before);
    // One of ours that holds another's file is left to it.
    run(script("install.sh", &dest).arg(&binary));
    fs::write(dest.join("usr/local/share/fish/vendor_completions.d/other.fish"), "").unwrap();
    run(&mut script("uninstall.sh", &dest));
    assert_eq!(laid_out(&dest), ["0644 usr/local/share/fish/vendor_completions.d/other.fish"]);
}

/// dash, for one, ends by a signal without the EXIT trap.
#[test]
fn an_install_that_is_interrupted_can_be_undone_whole() {
    let scratch = Scratch::new("interrupted");
    let (dest, binary) = (scratch.path().join("dest"), binary(&scratch));
    fs::create_dir_all(dest.join("usr")).unwrap();
    let before = directories(&dest);
    let cp = "case $1 in */_pvpn) cat \"$1\" >\"$2\"; kill -INT $PPID ;; *) cat \"$1\" >\"$2\" ;; esac";
    let path = scratch.fakes(&[("cp", cp)]);
    let output = script("install.sh", &dest).arg(&binary).env("PATH", path).output().unwrap();
    assert!(!output.status.success());
    let left = laid_out(&dest);
    assert!(left.iter().any(|l| l.ends_with("/completions/pvpn")), "{left:?}");
    assert!(!left.iter().any(|l| l.ends_with(".new")), "{left:?}");
    run(&mut script("uninstall.sh", &dest));
    assert_eq!(directories(&dest), before);
}

#[test]
fn services_name_the_program_where_prefix_puts_it_and_roots_own_home() {
    let scratch = Scratch::new("prefix");
    let (dest, binary) = (scratch.path().join("dest"), binary(&scratch));
    fs::create_dir_all(dest.join("etc")).unwrap();
    fs::write(dest.join("etc/passwd"), "toor:x:0:0::/var/toor:/bin/sh\n").unwrap();
    run(script("install.sh", &dest).arg(&binary).env("PREFIX", "/opt/pvpn"));
    let read = |path: &str| fs::read_to_string(dest.join(path)).unwrap();
    let unit = read("etc/systemd/system/pvpn.service");
    assert!(unit.contains("\nExecStart=/opt/pvpn/bin/pvpn connect --foreground\n"), "{unit}");
    assert!(unit.contains("\nReadWritePaths=-/var/toor/.pvpn-cli\n"), "{unit}");
    assert!(unit.contains("\nRequiresMountsFor=/var/toor\n"), "{unit}");
    assert!(read("etc/init.d/pvpn").contains("\ncommand=/opt/pvpn/libexec/pvpn/supervised\n"));
    assert!(read("etc/init.d/pvpn-killswitch").contains("/opt/pvpn/bin/pvpn killswitch restore\n"));
    assert!(read("etc/udev/rules.d/90-pvpn.rules").contains("/opt/pvpn/bin/pvpn --quiet killswitch cover\""));
    assert!(dest.join("var/toor/.pvpn-cli/pvpn").is_dir());
    let mut own = Command::new("sh");
    run(own.arg(dest.join("opt/pvpn/libexec/pvpn/uninstall.sh")).env("DESTDIR", &dest));
    assert_eq!(laid_out(&dest), ["0644 etc/passwd"]);
}

#[test]
fn arguments_that_are_not_understood_change_nothing() {
    let scratch = Scratch::new("arguments");
    let dest = scratch.path().join("dest");
    for (name, arg) in [("install.sh", "--yes"), ("install.sh", "/nonexistent"), ("uninstall.sh", "all")] {
        let output = script(name, &dest).arg(arg).output().unwrap();
        assert!(!output.status.success() && text(&output).contains(arg), "{}", text(&output));
    }
    assert!(run(script("install.sh", &dest).arg("--help")).contains("PREFIX"));
    assert!(run(script("uninstall.sh", &dest).arg("--help")).contains("--purge"));
    assert!(!dest.exists());
}

#[test]
fn a_debian_package_comes_out_the_same_twice() {
    if !["dpkg-deb", "readelf"].into_iter().all(has) {
        return;
    }
    let scratch = Scratch::new("deb");
    let build = |dir: &str| {
        let mut command = Command::new(top().join("pkg/deb/build"));
        // A small binary that needs libc alone, as pvpn does.
        command.arg("/bin/true").arg(scratch.path().join(dir));
        run(&mut command).trim().to_owned()
    };
    let (one, two) = (build("one"), build("two"));
    assert!(fs::read(&one).unwrap() == fs::read(&two).unwrap(), "{one} and {two} differ");
    let fields = run(Command::new("dpkg-deb").args(["-f", &one]));
    for field in [concat!("Version: ", env!("CARGO_PKG_VERSION")), "Depends: libc6 (>= 2."] {
        assert!(fields.contains(field), "{fields}");
    }
    let contents = run(Command::new("dpkg-deb").args(["-c", &one]));
    for path in [
        " ./usr/bin/pvpn\n",
        " ./lib/systemd/system/pvpn-killswitch.service\n",
        " ./lib/udev/rules.d/90-pvpn.rules\n",
    ] {
        assert!(contents.contains(path), "{contents}");
    }
    assert!(!contents.contains("./root") && !contents.contains("uninstall.sh"), "{contents}");
}
