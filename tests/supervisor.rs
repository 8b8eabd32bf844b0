//! The supervisor as a process on a real kernel, in a namespace of its own: what it does when its files, its rules or
//! its clients misbehave. There need be no WireGuard: it stands in `connecting`, its rules closed, and tries on.

#[path = "netns/namespace.rs"]
mod namespace;

use namespace::{in_namespace, run};
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const PVPN: &str = env!("CARGO_BIN_EXE_pvpn");
const CONTROL: &str = "/run/pvpn/control.sock";
const STATUS: &str = "/run/pvpn/status.json";
const DIR: &str = "/var/lib/conf";
/// Questions to a running program before a story is given up; each is a process of some milliseconds.
const PATIENCE: usize = 2000;

struct Supervisor(Child);

impl Supervisor {
    fn start() -> Supervisor {
        configure();
        let mut command = Command::new(PVPN);
        command.args(["--config-dir", DIR, "connect", "--foreground", "--ks", "true", "--yes"]);
        command.args(["--server", "NL#1"]).env_remove("NOTIFY_SOCKET");
        let supervisor = Supervisor(
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(),
        );
        until("its rules are loaded", || has_rules() && Path::new(STATUS).exists());
        supervisor
    }

    fn log(&self, word: &str) -> usize {
        let log = fs::read_to_string(format!("{DIR}/pvpn.log")).unwrap_or_default();
        log.lines().filter(|l| l.contains(word)).count()
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn configure() {
    run("ip link set lo up");
    // So small that a test can fill it.
    run("mount -t tmpfs -o size=256k tmpfs /run");
    run("mount -t tmpfs -o size=1m tmpfs /var/lib");
    fs::create_dir_all(format!("{DIR}/wireguard")).unwrap();
    fs::write(format!("{DIR}/config.ini"), "[qbittorrent]\nenable = false\n[network]\nlan = 10.0.0.0/8\n")
        .unwrap();
    let key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEE=";
    let conf = format!(
        "[Interface]\nPrivateKey = {key}\nAddress = 10.2.0.2/32\nDNS = 10.2.0.1\n[Peer]\n# NL#1\n\
         PublicKey = {key}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 192.0.2.1:51820\n"
    );
    fs::write(format!("{DIR}/wireguard/nl.conf"), conf).unwrap();
    run(&format!("chmod -R go= {DIR}"));
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..PATIENCE {
        if is_so() {
            return;
        }
        // A turn of the supervisor lies between two questions.
        let _ = pvpn(&["status", "--check"]);
    }
    panic!("never so: {what}\n{}", fs::read_to_string(format!("{DIR}/pvpn.log")).unwrap_or_default());
}

fn pvpn(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(PVPN).args(["--config-dir", DIR]).args(args).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn has_rules() -> bool {
    Command::new("nft").args(["list", "chain", "inet", "pvpn", "output"]).output().unwrap().status.success()
}

fn repairs() -> u32 {
    let (_, text) = pvpn(&["status", "--json"]);
    let at = text.split("\"repairs\":").nth(1).unwrap_or_default();
    at.split(['}', ',']).next().unwrap_or_default().parse().unwrap_or(0)
}

/// Against packet sockets: a supervisor sees links come, and without one udev tells.
#[test]
fn a_link_that_appears_is_covered_where_the_rules_are_loaded() {
    in_namespace("a_link_that_appears_is_covered_where_the_rules_are_loaded", || {
        let supervisor = Supervisor::start();
        let is_covered = |link| run("nft list ruleset").contains(&format!("device \"{link}\""));
        run("ip link add early type veth peer name far0");
        until("the supervisor's rules name it", || is_covered("early"));
        drop(supervisor);
        run("ip link add late type veth peer name far1");
        assert!(!is_covered("late"), "there is something to cover");
        for _ in 0..2 {
            assert_eq!(pvpn(&["killswitch", "cover"]), (Some(0), String::new()));
            assert!(is_covered("late") && is_covered("early") && has_rules());
        }
        // Closing is not its business.
        run("nft flush ruleset");
        assert_eq!(pvpn(&["killswitch", "cover"]).0, Some(0));
        assert!(!has_rules());
        assert_eq!(pvpn(&["killswitch", "restore"]).0, Some(0));
        assert!(is_covered("late") && has_rules());
    });
}

#[test]
fn a_flushed_rule_set_is_put_back_and_counted() {
    in_namespace("a_flushed_rule_set_is_put_back_and_counted", || {
        let supervisor = Supervisor::start();
        assert_eq!(repairs(), 0, "what it loads itself is no repair");
        run("nft add table inet neighbour");
        until("the neighbour's table was looked at", || supervisor.log("firewall") > 0);
        run("nft flush ruleset");
        until("the rules are back", || has_rules() && repairs() == 1);
        run("nft flush chain inet pvpn output");
        until("a chain's rules are back", || repairs() == 2);
        assert!(run("nft list chain inet pvpn output").contains("drop"));
        assert_eq!(supervisor.log("by another program; put back"), 2);
        // Without a supervisor nobody does.
        drop(supervisor);
        run("nft flush ruleset");
        assert!(!has_rules());
    });
}

#[test]
fn removed_files_are_made_anew() {
    in_namespace("removed_files_are_made_anew", || {
        let _supervisor = Supervisor::start();
        fs::remove_file(CONTROL).unwrap();
        until("the control socket is back", || UnixStream::connect(CONTROL).is_ok());
        fs::remove_file(STATUS).unwrap();
        until("the snapshot is back", || Path::new(STATUS).exists());
        // What is removed last may be back before the directory goes.
        let _ = fs::remove_dir_all("/run/pvpn");
        until("all of it is back", || UnixStream::connect(CONTROL).is_ok() && Path::new(STATUS).exists());
        fs::rename("/run/pvpn", "/run/away").unwrap();
        until("another directory is there", || UnixStream::connect(CONTROL).is_ok());
    });
}

#[test]
fn a_full_run_stops_nothing_and_is_said_once() {
    in_namespace("a_full_run_stops_nothing_and_is_said_once", || {
        let supervisor = Supervisor::start();
        let mut filler = fs::File::create("/run/filler").unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
        drop(filler);
        for on in ["off", "on", "off", "on"] {
            assert_eq!(pvpn(&["killswitch", on, "--yes"]).0, Some(0));
            assert!(pvpn(&["status", "--json"]).1.starts_with('{'));
        }
        assert_eq!(supervisor.log(&format!("write {STATUS}")), 1);
        fs::remove_file("/run/filler").unwrap();
        assert_eq!(pvpn(&["killswitch", "off"]).0, Some(0));
        until("the snapshot follows", || fs::read_to_string(STATUS).unwrap().contains("\"on\":false"));
    });
}

#[test]
fn a_full_disk_stops_nothing() {
    in_namespace("a_full_disk_stops_nothing", || {
        let mut supervisor = Supervisor::start();
        // Journals, what is remembered and the log lie there.
        fill();
        // Opening needs no room. Closing is done at once, but not for good: an error, and a problem from then on.
        assert_eq!(pvpn(&["killswitch", "off"]).0, Some(0));
        fill();
        assert_eq!(pvpn(&["killswitch", "on", "--yes"]).0, Some(1));
        let status = pvpn(&["status", "--json"]).1;
        assert!(status.starts_with('{') && status.contains("a reboot may open it"), "{status}");
        run("nft flush ruleset");
        until("the rules are back", has_rules);
        fs::remove_file("/var/lib/filler").unwrap();
        assert_eq!(pvpn(&["killswitch", "off"]).0, Some(0));
        assert!(supervisor.0.try_wait().unwrap().is_none(), "it runs on");
        assert!(!Path::new("/var/lib/pvpn/killswitch").exists(), "remembered again");
    });
}

/// Takes what room is left on the disk.
fn fill() {
    let mut filler = fs::File::options().append(true).create(true).open("/var/lib/filler").unwrap();
    while filler.write_all(&[0; 512]).is_ok() {}
}

#[test]
fn a_machine_closed_while_the_disk_is_full_is_opened_by_no_disconnect() {
    in_namespace("a_machine_closed_while_the_disk_is_full_is_opened_by_no_disconnect", || {
        let _supervisor = Supervisor::start();
        assert_eq!(pvpn(&["killswitch", "off"]).0, Some(0));
        fill();
        assert_eq!(pvpn(&["killswitch", "on", "--yes"]).0, Some(1));
        for _ in 0..2 {
            assert_eq!(pvpn(&["disconnect"]).0, Some(0));
            assert!(has_rules());
            assert_eq!(pvpn(&["killswitch", "status"]), (Some(0), "on\n".into()));
        }
        assert_eq!(pvpn(&["disconnect", "--ks", "false"]).0, Some(0));
        assert!(!has_rules());
    });
}

#[test]
fn after_a_crash_a_full_disk_stops_no_disconnect() {
    in_namespace("after_a_crash_a_full_disk_stops_no_disconnect", || {
        drop(Supervisor::start());
        fill();
        let closed = "disconnected; kill switch on: the machine is closed\n";
        assert_eq!(pvpn(&["disconnect"]), (Some(0), closed.into()));
        assert!(has_rules());
        assert_eq!(
            pvpn(&["disconnect", "--ks", "false"]),
            (Some(0), "disconnected; kill switch off\n".into())
        );
        assert!(!has_rules());
        // Closed all the same, but not for good, which is an error; and opened only by who says so.
        for closing in [&["killswitch", "on", "--yes"][..], &["disconnect", "--ks", "true"]] {
            fill();
            assert_eq!(pvpn(closing).0, Some(1));
            assert_eq!(pvpn(&["disconnect"]), (Some(0), closed.into()));
            assert!(has_rules());
            assert_eq!(pvpn(&["killswitch", "off"]).0, Some(0));
            assert!(!has_rules());
        }
    });
}

#[test]
fn a_read_only_run_stops_nothing_and_is_said_once() {
    in_namespace("a_read_only_run_stops_nothing_and_is_said_once", || {
        let supervisor = Supervisor::start();
        // With the lock held it can't be made read-only; but another one can lie over it.
        let mut reached = UnixStream::connect(CONTROL).unwrap();
        run("mount -t tmpfs -o ro tmpfs /run/pvpn");
        let mut line = [0; 1 << 16];
        let mut ask = |words: &str| {
            reached.write_all(format!("{words}\n").as_bytes()).unwrap();
            let n = reached.read(&mut line).unwrap();
            String::from_utf8_lossy(&line[..n]).into_owned()
        };
        assert!(ask("status").starts_with("status "));
        run("nft flush ruleset");
        until("the rules are back", has_rules);
        until("it is said", || supervisor.log(&format!("write {STATUS}")) > 0);
        run("umount /run/pvpn");
        until("the snapshot follows", || {
            repairs() == 1 && fs::read_to_string(STATUS).unwrap().contains("\"repairs\":1")
        });
        assert_eq!(supervisor.log(&format!("write {STATUS}")), 1);
    });
}

#[test]
fn clients_that_send_garbage_never_read_or_hang_leave_the_others_alone() {
    in_namespace("clients_that_send_garbage_never_read_or_hang_leave_the_others_alone", || {
        let _supervisor = Supervisor::start();
        let open = || UnixStream::connect(CONTROL).unwrap();
        let hanging: Vec<UnixStream> = (0..100).map(|_| open()).collect();
        let mut endless = open();
        let _ = endless.write_all(&vec![b'x'; 1 << 20]);
        let mut silent = open();
        silent.set_nonblocking(true).unwrap();
        while silent.write_all(b"status\n").is_ok() {}
        let mut stranger = open();
        stranger.write_all(b"\xff\xfe\0open sesame\n").unwrap();
        let mut reply = String::new();
        stranger.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("done 2 "), "{reply}");
        assert!(pvpn(&["status", "--json"]).1.starts_with('{'));
        drop(hanging);
    });
}

#[test]
fn one_that_hangs_is_said_and_how_to_end_it() {
    in_namespace("one_that_hangs_is_said_and_how_to_end_it", || {
        let supervisor = Supervisor::start();
        let pid = supervisor.0.id();
        run(&format!("kill -STOP {pid}"));
        let (exit, text) = pvpn(&["status", "--json"]);
        assert_eq!(exit, Some(6), "as it was written last: {text}");
        assert!(text.contains(&format!("does not answer: if it stays so, end it (kill -9 {pid})")), "{text}");
        run(&format!("kill -CONT {pid}"));
        until("it answers", || !pvpn(&["status", "--json"]).1.contains("does not answer"));
    });
}

/// What the supervisor of a tunnel to NL#1 leaves when it is killed; `lo` stands for the tunnel's interface.
const TUNNEL: &str = r#"{"wish":{"provider":"file","cc":[],"city":null,"regions":[],"server":null,"secure_core":false,
"p2p":false,"fastest":"ping","threshold":60,"latency_cutoff_ms":null,"dns":true,"ks":false},
"server":{"provider":"file","id":"nl.conf","name":"NL#1","host":null,"country":"NL","city":null,"region":null,"load":null,
"score":null,"secure_core":false,"p2p":false,"tor":false,"streaming":false,"ipv6":false,"forwards":null,
"virtual_location":false,"on_request":false,"endpoint_host":"192.0.2.1","endpoint_port":51820,"tcp_probe":null,
"exit_address":null},"interface":"lo","addresses":["10.2.0.2/32"],"dns":["10.2.0.1"],"endpoints":["192.0.2.1:51820"],
"peers":[],"mark":4214,"full":true,"table":"auto","hold":{"kind":"natpmp","gateway":"10.2.0.1","text":null},"port":null,
"port_since":0,"since":1780000000,"reconnects":0,"comeback_tries":null,"choice_by":"name","choice_candidates":1,
"choice_reason":"by name"}"#;

#[test]
fn a_dead_ones_tunnel_is_shown_without_its_last_snapshot() {
    in_namespace("a_dead_ones_tunnel_is_shown_without_its_last_snapshot", || {
        configure();
        assert_eq!(pvpn(&["status", "--check"]).0, Some(3));
        fs::create_dir_all("/run/pvpn").unwrap();
        fs::write("/run/pvpn/tunnel.json", TUNNEL).unwrap();
        for last in ["", "{\"schema\":1,\"ver", "null"] {
            fs::write(STATUS, last).unwrap();
            let (exit, text) = pvpn(&["status", "--json"]);
            assert_eq!(exit, Some(4), "{text}");
            let (state, name) = ("\"state\":\"connected\",\"since_at\":1780000000", "\"name\":\"NL#1\"");
            assert!(text.contains(state) && text.contains(name), "{text}");
            assert!(
                text.contains("the supervisor is not running: `pvpn connect` adopts the tunnel"),
                "{text}"
            );
        }
        run("ip link set lo down");
        assert_eq!(pvpn(&["status", "--check"]).0, Some(3), "the tunnel is gone");
    });
}

/// The supervisor stays in no directory that could be unmounted.
#[test]
fn a_directory_named_from_where_one_stands_is_the_supervisors_as_well() {
    in_namespace("a_directory_named_from_where_one_stands_is_the_supervisors_as_well", || {
        configure();
        let mut command = Command::new(PVPN);
        command.args(["--config-dir", "conf", "connect", "--server", "nosuch"]).current_dir("/var/lib");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("--server nosuch is none of 1"), "{text}");
        assert!(fs::read_to_string(format!("{DIR}/pvpn.log")).is_ok(), "its log lies there");
    });
}

#[test]
fn the_owner_gets_in_before_an_address_is_there_and_past_a_broken_configuration() {
    in_namespace("the_owner_gets_in_before_an_address_is_there_and_past_a_broken_configuration", || {
        configure();
        let lets_in = |net: &str| run("nft list chain inet pvpn input").contains(net);
        let restored = || {
            run("nft flush ruleset");
            assert_eq!(pvpn(&["killswitch", "restore"]).0, Some(0));
            lets_in("172.16.0.0/12")
        };
        fs::write(format!("{DIR}/config.ini"), "[qbittorrent]\nenable = false\n").unwrap();
        run("ip link add lan type veth peer name far");
        run("ip addr add 192.168.7.5/24 dev lan");
        run("ip addr add fe80::5/64 dev lan nodad");
        assert_eq!(pvpn(&["killswitch", "on", "--yes"]).0, Some(0));
        assert!(lets_in("192.168.7.0/24") && !lets_in("172.16.0.0/12"));
        assert!(!restored());
        run("ip addr del 192.168.7.5/24 dev lan");
        assert!(restored(), "whatever the LAN was when it was closed");
        run("ip addr add 10.3.3.3/24 dev lan");
        assert!(!restored());
        fs::write(format!("{DIR}/config.ini"), "[network\n").unwrap();
        assert!(restored());
    });
}

/// `pvpn connect` by hand, then the service. By hand a second supervisor is refused.
#[test]
fn a_service_takes_over_from_the_supervisor_in_the_background() {
    in_namespace("a_service_takes_over_from_the_supervisor_in_the_background", || {
        configure();
        // An API that takes connections and never answers keeps it at work.
        let api = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let at = api.local_addr().unwrap();
        let conf = format!("[protonvpn]\nuser = a\npass = b\napi_url = https://{at}\n");
        fs::write(format!("{DIR}/config.ini"), conf).unwrap();
        let connect = |flags: &[&str]| {
            let mut command = Command::new(PVPN);
            command.args(["--config-dir", DIR, "connect", "--provider", "proton"]).args(flags);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let mut by_hand = connect(&["--ks", "true", "--yes"]).spawn().unwrap();
        let pid = || fs::read_to_string("/run/pvpn/supervisor.pid").unwrap_or_default();
        until("it is at work", || !pid().is_empty() && has_rules());
        let first = pid();
        let second = connect(&["--foreground"]).env_remove("NOTIFY_SOCKET").status().unwrap();
        assert_eq!((second.code(), pid()), (Some(1), first.clone()));
        let service = Supervisor(connect(&["--foreground"]).env("RC_SVCNAME", "pvpn").spawn().unwrap());
        until("the service is the supervisor", || pid().starts_with(&service.0.id().to_string()));
        assert!(has_rules(), "and the machine is closed");
        by_hand.wait().unwrap();
        assert_eq!(pvpn(&["disconnect", "--ks", "false"]).0, Some(0));
    });
}

/// A supervisor that could not begin takes a moment to end. Whoever comes in it waits, and does what was asked.
#[test]
fn a_command_right_behind_a_failed_one_does_what_it_would_alone() {
    in_namespace("a_command_right_behind_a_failed_one_does_what_it_would_alone", || {
        configure();
        for _ in 0..8 {
            assert_eq!(pvpn(&["connect", "--server", "nosuch", "--ks", "true", "--yes"]).0, Some(11));
            assert_eq!(pvpn(&["connect", "--cc", "ZZ"]).0, Some(11));
            assert_eq!(pvpn(&["killswitch", "on", "--yes"]).0, Some(0));
            assert_eq!(pvpn(&["connect", "--cc", "ZZ"]).0, Some(11));
            assert_eq!(
                pvpn(&["disconnect", "--ks", "false"]),
                (Some(0), "disconnected; kill switch off\n".into())
            );
            assert_eq!(pvpn(&["killswitch", "status"]), (Some(3), "off\n".into()));
        }
    });
}
