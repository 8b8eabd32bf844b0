//! The binary from outside, as a person or a script meets it: pages, exit codes, pipes, and what others may read of a
//! running command. Nothing here touches the machine's own state: what changes something runs in namespaces.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const PVPN: &str = env!("CARGO_BIN_EXE_pvpn");
const KEY: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

/// Runs pvpn with these words and an environment of its own.
fn pvpn(words: &[&str]) -> Output {
    command(words).output().unwrap()
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(PVPN);
    command.args(words).env_clear().stdin(Stdio::null());
    command
}

/// As nobody: a user without rights, home or configuration. `None` when this test is not root itself.
fn as_nobody(words: &[&str]) -> Option<Output> {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return None;
    }
    // The build directory may be closed to others.
    let copy = Dir::new("binary");
    let path = copy.0.join("pvpn");
    // By a process of its own: a child of another test could inherit our descriptor, and then nobody can run the copy.
    assert!(Command::new("cp").arg(PVPN).arg(&path).status().unwrap().success());
    fs::set_permissions(&copy.0, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(path).args(words);
    Some(command.env_clear().env("PATH", "/usr/bin:/bin").stdin(Stdio::null()).output().unwrap())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory of one test, gone with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!(
            "pvpn-cli-{name}-{}-{:?}",
            std::process::id(),
            std::thread::current().id()
        ));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    /// A configuration directory with two made-up servers, readable by all.
    fn with_servers(name: &str) -> Dir {
        let dir = Dir::new(name);
        let folder = dir.0.join("wireguard");
        fs::create_dir_all(&folder).unwrap();
        for (file, server, endpoint) in
            [("ch.conf", "CH#7", "203.0.113.7:51820"), ("nl.conf", "NL#12", "203.0.113.12:51820")]
        {
            let text = format!(
                "[Interface]\nPrivateKey = {KEY}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1\n\n[Peer]\n# {server}\n\
                 PublicKey = {KEY}\nAllowedIPs = 0.0.0.0/0\nEndpoint = {endpoint}\n"
            );
            fs::write(folder.join(file), text).unwrap();
        }
        dir
    }

    fn text(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn help_is_there_on_every_level_and_needs_nothing() {
    for words in [&["--help"][..], &["-h"], &["help"]] {
        let page = pvpn(words);
        assert_eq!((code(&page), err(&page).as_str()), (0, ""));
        assert!(out(&page).contains("COMMANDS"));
    }
    let commands = "init connect c disconnect d status s list killswitch check doctor logout";
    for command in commands.split(' ') {
        let (before, behind) = (pvpn(&["help", command]), pvpn(&[command, "--help"]));
        assert_eq!((code(&before), code(&behind)), (0, 0), "{command}");
        assert_eq!(out(&before), out(&behind), "{command}");
        assert!(out(&before).contains("EXAMPLES"), "{command}");
    }
    assert!(
        !out(&pvpn(&["help", "killswitch"])).contains("restore"),
        "the boot service's word is on no page"
    );
}

#[test]
fn the_version_is_that_of_the_package() {
    for words in [&["-V"][..], &["--version"], &["status", "--version"]] {
        assert_eq!(out(&pvpn(words)), format!("pvpn {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn a_slip_in_the_words_is_one_line_and_exit_2() {
    for words in [
        &["conect"][..],
        &[],
        &["status", "--jsn"],
        &["connect", "--ks", "maybe"],
        &["connect", "-t", "101"],
        &["list", "--cc", "NLD"],
        &["list", "--provider", "nord"],
        &["killswitch"],
        &["killswitch", "maybe"],
        &["disconnect", "now"],
        &["logout", "--provider", "file"],
        &["init", "--proton-pass"],
    ] {
        let slip = pvpn(words);
        assert_eq!(code(&slip), 2, "{words:?}: {}", err(&slip));
        assert_eq!(err(&slip).lines().count(), 1, "{words:?}: {}", err(&slip));
        assert!(err(&slip).starts_with("pvpn: "), "{words:?}");
        assert_eq!(out(&slip), "");
    }
}

#[test]
fn whoever_is_not_root_is_told_so_by_exit_77() {
    for words in [
        &["connect"][..],
        &["disconnect"],
        &["killswitch", "on"],
        &["killswitch", "off"],
        &["killswitch", "restore"],
        &["killswitch", "cover"],
        &["check"],
        &["doctor"],
        &["logout", "--provider", "proton"],
        &["list", "--provider", "proton"],
        &["list"],
        &["init", "--non-interactive", "--qb-enable", "false"],
    ] {
        let Some(refused) = as_nobody(words) else { return };
        assert_eq!(code(&refused), 77, "{words:?}: {}", err(&refused));
        assert!(err(&refused).contains("sudo"), "{words:?}: {}", err(&refused));
    }
    for (words, allowed) in [
        (&["status"][..], &[0, 3, 4, 5, 6][..]),
        (&["killswitch", "status"], &[0, 3]),
        (&["--version"], &[0]),
    ] {
        let Some(done) = as_nobody(words) else { return };
        assert!(allowed.contains(&code(&done)), "{words:?}: {}", err(&done));
    }
}

#[test]
fn without_a_configuration_the_exit_is_78_and_the_next_step_is_named() {
    let dir = Dir::new("empty");
    let missing = pvpn(&["--config-dir", dir.text(), "list"]);
    assert_eq!(code(&missing), if is_root() { 78 } else { 77 });
    assert!(err(&missing).contains("pvpn init"), "{}", err(&missing));
    fs::write(dir.0.join("config.ini"), "[vpn]\nprovider = file\n[network]\nks_defalt = true\n").unwrap();
    let wrong = pvpn(&["--config-dir", dir.text(), "list"]);
    assert_eq!(code(&wrong), 78, "{}", err(&wrong));
    assert!(err(&wrong).contains("config.ini:4:"), "{}", err(&wrong));
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn servers_are_listed_by_tabs_in_a_pipe_and_as_json_by_flag() {
    let dir = Dir::with_servers("list");
    let list = |words: &[&str]| pvpn(&[&["--config-dir", dir.text(), "list"], words].concat());
    let plain = list(&[]);
    assert_eq!(code(&plain), 0, "{}", err(&plain));
    assert_eq!(
        out(&plain),
        "CH#7\tCH\t-\t-\t-\t203.0.113.7:51820\t-\nNL#12\tNL\t-\t-\t-\t203.0.113.12:51820\t-\n"
    );
    assert_eq!(out(&list(&["-c", "nl"])), "NL#12\tNL\t-\t-\t-\t203.0.113.12:51820\t-\n");
    let json = out(&list(&["--json", "--country=CH"]));
    assert_eq!(
        json,
        "[{\"provider\":\"file\",\"name\":\"CH#7\",\"country\":\"CH\",\"city\":null,\"features\":[],\"load\":null,\
         \"endpoint\":\"203.0.113.7:51820\",\"rtt_ms\":null}]\n"
    );
    let none = list(&["--cc", "SE"]);
    assert_eq!((code(&none), out(&none).as_str()), (11, ""), "{}", err(&none));
    let by_environment = command(&["list"]).env("PVPN_CONFIG_DIR", dir.text()).output().unwrap();
    assert_eq!(out(&by_environment), out(&plain));
}

#[test]
fn files_that_all_may_read_are_listed_without_root() {
    let dir = Dir::with_servers("nobody");
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    let Some(listed) = as_nobody(&["--config-dir", dir.text(), "list"]) else { return };
    assert_eq!(code(&listed), 0, "{}", err(&listed));
    assert_eq!(out(&listed).lines().count(), 2);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o700)).unwrap();
    let Some(refused) = as_nobody(&["--config-dir", dir.text(), "list"]) else { return };
    assert_eq!(code(&refused), 77, "{}", err(&refused));
}

#[test]
fn init_by_flags_writes_a_private_file_and_keeps_the_rest() {
    let dir = Dir::new("init");
    let below = dir.0.join("a/pvpn");
    let init = |words: &[&str]| {
        pvpn(&[&["--config-dir", below.to_str().unwrap(), "init", "--non-interactive"], words].concat())
    };
    let nothing = init(&[]);
    assert_eq!(code(&nothing), 2, "{}", err(&nothing));
    let first =
        init(&["--qb-enable", "false", "--lan", "192.168.1.0/24", "--qb-user=me", "--qb-pass=hidden-one"]);
    assert_eq!(code(&first), 0, "{}", err(&first));
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&below), mode(&below.join("config.ini"))), (0o700, 0o600));
    let text = fs::read_to_string(below.join("config.ini")).unwrap();
    assert!(text.contains("lan = 192.168.1.0/24") && text.contains("pass = hidden-one"), "{text}");
    assert!(!err(&first).contains("hidden-one"));
    fs::write(below.join("config.ini"), format!("# mine\n{text}\n; the end\n")).unwrap();
    let again = init(&["--network", "--threshold-default", "40"]);
    assert_eq!(code(&again), 0, "{}", err(&again));
    let later = fs::read_to_string(below.join("config.ini")).unwrap();
    assert!(
        later.starts_with("# mine\n")
            && later.contains("; the end")
            && later.contains("threshold_default = 40")
    );
    assert!(later.contains("pass = hidden-one"), "{later}");
    assert_eq!(mode(&below.join("config.ini")), 0o600, "also when it was not before");
}

#[test]
fn a_secret_of_the_command_line_is_wiped_while_it_runs() {
    let dir = Dir::new("argv");
    // It waits for the line of standard input, so its arguments can be looked at meanwhile.
    let mut child = Command::new(PVPN)
        .args(["--config-dir", dir.text(), "init", "--non-interactive", "--qb-pass", "hidden-two"])
        .args(["--pia-pass=hidden-three", "--proton-pass", "-", "--qb-enable", "false"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let cmdline = format!("/proc/{}/cmdline", child.id());
    let wiped = (0..1_000_000).any(|_| {
        let seen = fs::read(&cmdline).unwrap_or_default();
        let seen = String::from_utf8_lossy(&seen).into_owned();
        let is_there = seen.contains("--qb-pass") && seen.starts_with(PVPN);
        std::thread::yield_now();
        is_there && !seen.contains("hidden")
    });
    let seen = String::from_utf8_lossy(&fs::read(&cmdline).unwrap()).into_owned();
    drop(child.stdin.take());
    let ended = child.wait_with_output().unwrap();
    assert!(wiped, "{seen}");
    assert!(!seen.contains("hidden"), "{seen}");
    assert!(!err(&ended).contains("hidden"), "{}", err(&ended));
}

#[test]
fn init_makes_the_folder_into_which_it_says_files_go() {
    let dir = Dir::new("init-folder");
    fs::write(dir.0.join("config.ini"), "[vpn]\nprovider = file\n").unwrap();
    let said =
        pvpn(&["--config-dir", dir.text(), "init", "--non-interactive", "--network", "--ks-default", "true"]);
    let folder = dir.0.join("wireguard");
    assert!(err(&said).contains(&format!("into {}", folder.display())), "{}", err(&said));
    assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o700);
}

/// Runs a script in namespaces with no network but `lo`, and with `/run` and `/var/lib` of its own.
fn in_a_machine_of_its_own(script: &str) -> Option<Output> {
    let all = format!(
        "set -e; mount -t tmpfs none /run; mount -t tmpfs none /var/lib; PVPN={PVPN}; export PVPN_CONFIG_DIR=/run/config\n\
         {script}"
    );
    let done = Command::new("unshare").args(["-rnm", "sh", "-c", &all]).stdin(Stdio::null()).output().ok()?;
    // Where such namespaces are forbidden there is nothing to show.
    let is_forbidden = err(&done).contains("unshare:") || err(&done).contains("mount:");
    (!is_forbidden).then_some(done)
}

#[test]
fn where_nothing_ran_yet_status_and_check_exit_with_3() {
    let script = "
        rc=0; $PVPN status --json || rc=$?; echo \"$rc\"
        rc=0; $PVPN status --check || rc=$?; echo \"$rc\"
        rc=0; $PVPN killswitch status || rc=$?; echo \"$rc\"
        mkdir -p $PVPN_CONFIG_DIR; echo '[vpn]' > $PVPN_CONFIG_DIR/config.ini
        rc=0; $PVPN check 2>&1 || rc=$?; echo \"$rc\"
        rc=0; $PVPN disconnect || rc=$?; echo \"$rc\"";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    let text = out(&done);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].contains("\"state\":\"disconnected\""), "{text}{}", err(&done));
    assert_eq!(lines[1..5], ["3", "3", "off", "3"], "{text}{}", err(&done));
    assert!(lines[5].contains("not connected") && lines[6] == "3", "{text}");
    assert_eq!(lines.last(), Some(&"0"), "{text}{}", err(&done));
}

#[test]
fn a_closed_kill_switch_is_restored_and_fails_closed() {
    let script = "
        rules() { nft list ruleset | grep -c drop || true; }
        $PVPN killswitch restore 2>/dev/null; rules
        $PVPN killswitch on >/dev/null; rm -rf /run/pvpn; nft flush ruleset
        $PVPN killswitch restore 2>/dev/null; rules
        nft flush ruleset; rm -rf /run/pvpn; : > /run/pvpn
        rc=0; $PVPN killswitch restore 2>/dev/null || rc=$?; echo \"rc $rc\"; rules
        rm /run/pvpn; rc=0; $PVPN killswitch status || rc=$?
        $PVPN killswitch off >/dev/null; rules";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    if err(&done).contains("nft: not found") {
        return;
    }
    let text = out(&done);
    let lines: Vec<&str> = text.lines().collect();
    let count = |n: usize| lines[n].parse::<u32>().unwrap();
    assert_eq!(count(0), 0, "{text}{}", err(&done));
    assert!(count(1) > 0, "closed again: {text}{}", err(&done));
    assert_eq!(lines[2], "rc 1");
    assert!(count(3) > 0, "closed although something failed: {text}");
    assert_eq!(lines.last(), Some(&"0"), "{text}{}", err(&done));
}

/// As rules stand that were loaded because something failed at boot, or when /run was cleared since.
#[test]
fn disconnect_opens_a_closed_machine_of_which_no_journal_tells() {
    let script = "
        $PVPN killswitch on --yes >/dev/null 2>&1; nft list ruleset | grep -c drop
        rm -rf /run/pvpn; $PVPN disconnect --ks false; nft list ruleset | grep -c drop || true
        $PVPN killswitch status || true";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    if err(&done).contains("nft: not found") {
        return;
    }
    let text = out(&done);
    let lines: Vec<&str> = text.lines().collect();
    assert_ne!(lines[0], "0", "{text}{}", err(&done));
    assert_eq!(lines[1..], ["disconnected; kill switch off", "0", "off"], "{text}{}", err(&done));
}

#[test]
fn a_doctors_report_names_no_address_and_is_private() {
    let script = "
        mkdir -p $PVPN_CONFIG_DIR/wireguard; chmod 700 $PVPN_CONFIG_DIR
        printf '[protonvpn]\\nuser = someone@example.org\\npass = hidden-four\\n' > $PVPN_CONFIG_DIR/config.ini
        echo 'warn x: hidden-four at 203.0.113.99 and 2001:db8::99' > $PVPN_CONFIG_DIR/pvpn.log
        ip link set lo up 2>/dev/null || true
        rc=0; $PVPN -q doctor --bundle /run/report || rc=$?; echo \"rc $rc\"
        mkfifo /run/pipe; grep -c '== versions' /run/pipe >/run/seen & $PVPN -q doctor --bundle /run/pipe >/run/lines || true; wait
        test -p /run/pipe && cat /run/seen
        stat -c %a /run/report; cat /run/report";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    let text = out(&done);
    let (before, report) = text.split_once("== versions").expect(&text);
    assert!(before.contains("rc 4\n1\n600\n"), "what is no file is written into: {text}{}", err(&done));
    assert!(before.lines().next().is_some_and(|l| l.starts_with("ok rights:")), "{before}");
    for hidden in ["hidden-four", "someone@example.org", "203.0.113.99", "2001:db8::99", "127.0.0.1"] {
        assert!(!report.contains(hidden), "{hidden}: {report}");
    }
    assert!(report.contains("== log\nwarn x: *** at <ip-"), "{report}");
}

/// sshd's variable stands in the environment of the shell alone: sudo takes it from what it runs.
#[test]
fn a_person_who_came_by_ssh_is_not_cut_off_without_a_word() {
    let script = "
        mkdir -p $PVPN_CONFIG_DIR; echo '[network]' > $PVPN_CONFIG_DIR/config.ini
        try() { rc=0; \"$@\" 2>&1 >/dev/null | grep -c 'refused without --yes' || true; $PVPN killswitch status || true; }
        sudo='env -u SSH_CONNECTION -u SSH_CLIENT PVPN_CONFIG_DIR=/run/config'
        export SSH_CONNECTION='203.0.113.9 50000 10.0.0.1 22'
        try $PVPN killswitch on
        sh -c \"$sudo $PVPN killswitch on; true\" 2>&1 | grep -c 203.0.113.9 || true
        echo '[vpn' > $PVPN_CONFIG_DIR/config.ini
        try $PVPN killswitch on
        export SSH_CONNECTION='192.168.7.9 50000 10.0.0.1 22'
        try $PVPN killswitch on; $PVPN killswitch off
        export SSH_CONNECTION='203.0.113.9 50000 10.0.0.1 22'
        try $PVPN killswitch on --yes";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    let text = out(&done);
    let wanted = "1 off 1 1 off 0 on kill switch off 0 on";
    assert_eq!(text.split_whitespace().collect::<Vec<_>>().join(" "), wanted, "{text}{}", err(&done));
}

#[test]
fn without_a_supervisor_disconnect_takes_the_port_from_every_place_it_was_published_in() {
    let script = "
        mkdir -p $PVPN_CONFIG_DIR /run/pvpn /run/second
        echo '[port_forwarding]\nfile = /run/second/port' > $PVPN_CONFIG_DIR/config.ini
        echo 40123 | tee /run/pvpn/forwarded_port > /run/second/port
        : > /run/pvpn/supervisor.pid
        $PVPN disconnect; ls /run/second /run/pvpn";
    let Some(done) = in_a_machine_of_its_own(script) else { return };
    let text = out(&done);
    assert!(text.contains("lock"), "{text}{}", err(&done));
    assert!(!text.contains("port\n") && !text.contains("supervisor"), "{text}{}", err(&done));
}
