//! Commands that are ended while they wait, on a real kernel in a namespace of its own: they end with exit 130 and leave
//! nothing open behind them.

#[path = "netns/namespace.rs"]
mod namespace;

use namespace::{in_namespace, run};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

const PVPN: &str = env!("CARGO_BIN_EXE_pvpn");
const DIR: &str = "/var/lib/conf";
/// Looks at the rules before a story is given up; each is a process of some milliseconds.
const PATIENCE: usize = 2000;

/// A PIA that takes every connection and answers nothing, and a closed machine that may ask it.
fn closed_machine() -> TcpListener {
    run("ip link set lo up");
    run("mount -t tmpfs tmpfs /run");
    run("mount -t tmpfs tmpfs /var/lib");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap();
    fs::create_dir_all(DIR).unwrap();
    let config = format!(
        "[pia]\nuser = p1234567\npass = one\ntoken_url = https://{at}/\nserverlist_url = https://{at}/\n\
         [qbittorrent]\nenable = false\n[network]\nlan = 10.0.0.0/8\n"
    );
    fs::write(format!("{DIR}/config.ini"), config).unwrap();
    run(&format!("chmod -R go= {DIR}"));
    assert!(command(&["killswitch", "on", "--yes"]).status().unwrap().success());
    silent
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PVPN);
    command.args(["--config-dir", DIR]).args(args).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped());
    command
}

/// The rules of the closed machine as they stand; whether pvpn's own sockets may leave by them.
fn lets_own_sockets_out() -> bool {
    let rules = run("nft list chain inet pvpn output");
    assert!(rules.contains("policy drop") && rules.contains("comment \"closed\""), "{rules}");
    rules.contains("comment \"own sockets\"")
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    assert!((0..PATIENCE).any(|_| is_so()), "never so: {what}");
}

fn end(mut child: Child, signal: Signal) -> (ExitStatus, String) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap(), said)
}

const WAITING: [&[&str]; 2] =
    [&["list", "--provider", "pia"], &["init", "--pia", "--pia-pass", "two", "--non-interactive"]];

#[test]
fn a_command_that_is_interrupted_in_a_request_takes_its_way_out_along() {
    in_namespace("a_command_that_is_interrupted_in_a_request_takes_its_way_out_along", || {
        let _silent = closed_machine();
        assert!(!lets_own_sockets_out());
        for args in WAITING {
            for signal in [Signal::SIGINT, Signal::SIGTERM] {
                let child = command(args).spawn().unwrap();
                until("its own sockets may leave", lets_own_sockets_out);
                let (status, said) = end(child, signal);
                assert!(!lets_own_sockets_out(), "{args:?}, {signal}");
                assert_eq!((status.code(), said.as_str()), (Some(130), "pvpn: interrupted\n"), "{args:?}");
            }
        }
        let config = fs::read_to_string(format!("{DIR}/config.ini")).unwrap();
        assert!(config.contains("pass = one\n"), "{config}");
    });
}

/// A script's lock is free when the script ends, whatever was started under it.
#[test]
fn what_goes_on_in_the_background_holds_nothing_of_its_callers_open() {
    in_namespace("what_goes_on_in_the_background_holds_nothing_of_its_callers_open", || {
        let _silent = closed_machine();
        let connect = format!("{PVPN} --config-dir {DIR} connect --provider pia --yes 2>/dev/null");
        let script = format!("exec 9>/run/held; flock -n 9 && exec {connect}");
        let mut child = Command::new("sh").args(["-c", &script]).stdin(Stdio::null()).spawn().unwrap();
        until("it asks for the list of servers", lets_own_sockets_out);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(UnixStream::connect("/run/pvpn/control.sock").is_ok(), "the supervisor goes on");
        let held = File::open("/run/held").unwrap();
        assert!(Flock::lock(held, FlockArg::LockExclusiveNonblock).is_ok());
        assert!(command(&["disconnect", "--ks", "false"]).status().unwrap().success());
    });
}

#[test]
fn a_crash_leaves_no_core_with_secrets_in_it() {
    in_namespace("a_crash_leaves_no_core_with_secrets_in_it", || {
        let _silent = closed_machine();
        let shell = |words: &str| {
            let mut shell = Command::new("sh");
            shell.current_dir(DIR).args(["-c", &format!("ulimit -c unlimited; {words}")]);
            shell.stdout(Stdio::null()).stderr(Stdio::piped());
            shell
        };
        if !shell("kill -ABRT $$").status().unwrap().core_dumped() {
            println!("skipped: this machine makes no core files");
            return;
        }
        let child = shell(&format!("exec {PVPN} --config-dir {DIR} list --provider pia")).spawn().unwrap();
        until("its own sockets may leave", lets_own_sockets_out);
        assert!(!end(child, Signal::SIGABRT).0.core_dumped());
    });
}

#[test]
fn a_command_that_is_killed_in_a_request_does_so_too() {
    in_namespace("a_command_that_is_killed_in_a_request_does_so_too", || {
        let _silent = closed_machine();
        for args in WAITING {
            for signal in [Signal::SIGKILL, Signal::SIGHUP] {
                let child = command(args).spawn().unwrap();
                until("its own sockets may leave", lets_own_sockets_out);
                assert_eq!(end(child, signal).0.signal(), Some(signal as i32));
                until("they may not any more", || !lets_own_sockets_out());
            }
        }
        // Whoever comes next waits for that.
        let child = command(WAITING[0]).spawn().unwrap();
        until("its own sockets may leave", lets_own_sockets_out);
        end(child, Signal::SIGKILL);
        assert!(command(&["disconnect", "--ks", "true"]).status().unwrap().success());
        assert!(!lets_own_sockets_out());
    });
}

#[test]
fn a_doctor_that_waits_for_an_answer_ends_the_same_way() {
    in_namespace("a_doctor_that_waits_for_an_answer_ends_the_same_way", || {
        let silent = closed_machine();
        let config = format!("[qbittorrent]\nurl = http://{}\n", silent.local_addr().unwrap());
        fs::write(format!("{DIR}/config.ini"), config).unwrap();
        let child = command(&["doctor"]).spawn().unwrap();
        let _asked = silent.accept().unwrap();
        let (status, said) = end(child, Signal::SIGINT);
        assert_eq!((status.code(), said.as_str()), (Some(130), "pvpn: interrupted\n"));
    });
}

#[test]
fn the_wait_for_another_pvpn_ends_with_an_interrupt() {
    in_namespace("the_wait_for_another_pvpn_ends_with_an_interrupt", || {
        let _silent = closed_machine();
        let lock = File::open("/run/pvpn/lock").unwrap();
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).unwrap();
        let commands: [&[&str]; 4] = [
            &["disconnect", "--ks", "false"],
            &["killswitch", "off"],
            &["connect", "--provider", "pia"],
            &["connect", "--provider", "pia", "--foreground"],
        ];
        for (args, signal) in
            commands.into_iter().zip([Signal::SIGINT, Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1])
        {
            let mut child = command(args).spawn().unwrap();
            let mut said = BufReader::new(child.stderr.take().unwrap());
            let mut line = String::new();
            while !line.ends_with("waiting for another pvpn to end\n") {
                assert_ne!(said.read_line(&mut line).unwrap(), 0, "{args:?}: {line}");
            }
            kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
            line.clear();
            said.read_to_string(&mut line).unwrap();
            assert_eq!(line, "pvpn: interrupted: nothing was begun\n", "{args:?}");
            assert_eq!(child.wait().unwrap().code(), Some(130), "{args:?}");
        }
        assert!(!lets_own_sockets_out());
        // Once it is free, the same is done.
        drop(lock);
        assert!(command(commands[0]).status().unwrap().success());
    });
}
