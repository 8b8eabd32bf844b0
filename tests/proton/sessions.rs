//! What a session lives through, and what is never seen of it.

use super::*;
use pvpn::error::Exit;
use pvpn::provider::Provider as _;
use std::os::unix::fs::PermissionsExt as _;

#[test]
fn eight_users_at_once_spend_each_refresh_token_once() {
    in_namespace("sessions::eight_users_at_once_spend_each_refresh_token_once", || {
        let world = World::new("at-once");
        world.log_in();
        for _ in 0..3 {
            world.change(r#"{"expire_access":true}"#);
            let refreshes = world.count("POST /auth/refresh");
            let config = world.config("");
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        let http = Client::new(Vec::new());
                        let mut proton = Proton::new(&config, &http, &Disk, &System).unwrap();
                        assert_eq!(proton.list_servers(true).unwrap().len(), 7);
                    });
                }
            });
            assert_eq!(world.count("POST /auth/refresh"), refreshes + 1);
        }
        world.assert_no_violation();
    });
}

#[test]
fn a_dead_session_names_the_command_or_logs_in_anew() {
    in_namespace("sessions::a_dead_session_names_the_command_or_logs_in_anew", || {
        let world = World::new("dead");
        world.log_in();
        let over = r#"{"expire_access":true,"expire_refresh":true}"#;
        world.change(over);
        let lost = refusal(world.proton("").list_servers(true));
        assert_eq!(lost.exit(), Exit::LoginRefused);
        assert!(lost.to_string().contains("has ended: log in with `pvpn init --proton`"), "{lost}");
        assert!(!world.has_session());
        let keys = "user = tester@example.org\npass = correct horse battery staple\n";
        assert_eq!(world.proton(keys).list_servers(true).unwrap().len(), 7);
        assert!(world.has_session());
    });
}

#[test]
fn a_logout_ends_the_session_there_and_here() {
    in_namespace("sessions::a_logout_ends_the_session_there_and_here", || {
        let world = World::new("logout");
        let mut proton = world.log_in();
        world.change(r#"{"expire_access":true}"#);
        proton.log_out().unwrap();
        let report = world.report();
        assert!(report.at("access").items().is_empty() && report.at("refresh").items().is_empty());
        assert!(!world.has_session());
        world.assert_no_violation();
    });
}

#[test]
fn a_renewal_keeps_the_key() {
    in_namespace("sessions::a_renewal_keeps_the_key", || {
        let world = World::new("renewal");
        world.change(r#"{"certificate_life":8000}"#);
        let mut proton = world.log_in();
        let server = proton.list_servers(false).unwrap().into_iter().find(|s| s.name == "NL#12").unwrap();
        let before = proton.open(&server).unwrap();
        let due_in = proton.look().unwrap().due_at.unwrap().0 - world.clock.wall().0;
        assert!((5990..=6000).contains(&due_in), "{due_in}");
        world.clock.skip(secs(6001));
        let kept = proton.renew().unwrap();
        assert_eq!((kept.problem, kept.failed, kept.logged_in), (None, None, Some(true)));
        assert_eq!(world.count("POST /vpn/v1/certificate"), 2);
        assert_eq!(world.report().at("certificates").items().len(), 1);
        assert_eq!(proton.open(&server).unwrap().tunnel, before.tunnel);
        world.assert_no_violation();
    });
}

/// The program with directories of its own for what a machine keeps.
fn foreground(dir: &Path) -> Child {
    let line = "mount -t tmpfs none /run && mount -t tmpfs none /var/lib && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", line, "sh", env!("CARGO_BIN_EXE_pvpn"), "--config-dir"]).arg(dir);
    command.args(["connect", "--foreground", "--provider", "proton"]).env_remove("NOTIFY_SOCKET");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_refresh_token_that_is_spent_while_we_are_told_to_end_is_not_the_last_one() {
    in_namespace(
        "sessions::a_refresh_token_that_is_spent_while_we_are_told_to_end_is_not_the_last_one",
        || {
            let world = World::new("told-to-end");
            world.log_in();
            let text = format!(
                "[protonvpn]\napi_url = https://127.0.0.1:{}\nca_file = {}/ca.pem\n[qbittorrent]\nenable = false\n",
                world.port,
                world.dir.display()
            );
            std::fs::write(world.dir.join("config.ini"), text).unwrap();
            std::fs::remove_file(world.dir.join("proton/servers.json")).unwrap_or_default();
            world.change(r#"{"expire_access":true,"faults":[{"path":"/auth/refresh","kind":"late"}]}"#);
            let mut pvpn = foreground(&world.dir);
            while world.count("POST /auth/refresh") == 0 {
                assert!(pvpn.try_wait().unwrap().is_none(), "it ended before it asked");
            }
            let pid = nix::unistd::Pid::from_raw(i32::try_from(pvpn.id()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
            pvpn.wait().unwrap();
            world.change(r#"{"expire_access":true}"#);
            assert_eq!(world.proton("").list_servers(true).unwrap().len(), 7);
            assert_eq!(world.count("POST /auth/refresh"), 2);
        },
    );
}

static LOG: Mutex<String> = Mutex::new(String::new());

/// Keeps every line of pvpn's own at every level; the real logger drops what is not ours as well.
struct Everything;

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target().starts_with("pvpn") {
            let line = format!("{} {}\n", record.level(), record.args());
            LOG.lock().unwrap().push_str(&line);
        }
    }

    fn flush(&self) {}
}

/// Each secret as text, base64, hex and decimal bytes.
fn spellings(secret: &str) -> Vec<String> {
    use base64::Engine as _;
    let bytes = secret.as_bytes();
    let hex = |upper: bool| -> String {
        bytes.iter().map(|b| if upper { format!("{b:02X}") } else { format!("{b:02x}") }).collect()
    };
    let decimal = bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
    vec![secret.to_owned(), base64, hex(false), hex(true), decimal]
}

#[test]
fn no_secret_shows_in_a_log_an_error_or_a_file_of_others() {
    in_namespace("sessions::no_secret_shows_in_a_log_an_error_or_a_file_of_others", || {
        log::set_logger(&Everything).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
        let world = World::new("secrets");
        world.change(r#"{"second_factor":1}"#);
        let secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        let known = Credentials { totp_secret: Some(Secret::new(secret)), ..world.known() };
        let mut proton = world.proton("");
        proton.log_in(LoginBy::Password, &known, &mut Typed::default()).unwrap();
        let first = world.report();
        let server = proton.list_servers(false).unwrap().into_iter().find(|s| s.name == "NL#12").unwrap();
        let opened = proton.open(&server).unwrap();
        world.change(r#"{"expire_access":true}"#);
        proton.list_servers(true).unwrap();
        let second = world.report();
        let mut errors = String::new();
        for fault in [
            r#"{"path":"/vpn/v1/logicals","kind":"code","status":422,"code":9001,"details":{"HumanVerificationToken":"h-v-token"}}"#,
            r#"{"path":"/auth/refresh","kind":"lose"}"#,
        ] {
            world.change(&format!("{{\"expire_access\":true,\"faults\":[{fault}]}}"));
            let _ = std::fs::remove_file(world.dir.join("proton/servers.json"));
            errors.push_str(&refusal(world.proton("").list_servers(true)).to_string());
        }
        let mut person = Typed::default();
        let _ = world.proton("").log_in(LoginBy::Code, &Credentials::default(), &mut person);
        let selectors = world.report();
        let key = opened.tunnel.private_key.reveal_text();
        let mut secrets =
            vec!["correct horse battery staple", secret, key.reveal(), "openvpn-password", "h-v-token"];
        for report in [&first, &second] {
            for list in ["access", "refresh", "spent", "half"] {
                secrets.extend(report.at(list).items().iter().filter_map(Value::text));
            }
        }
        secrets.extend(selectors.at("forks").items().iter().filter_map(|f| f.at("selector").text()));
        let seed = std::fs::read_to_string(world.dir.join("proton/key.json")).unwrap();
        let seed = Value::parse(seed.as_bytes()).unwrap();
        secrets.extend(seed.at("seed").text());
        assert!(secrets.len() > 10);
        let log = LOG.lock().unwrap().clone();
        assert!(log.lines().count() > 20, "{log}");
        let debug = format!("{opened:?}");
        for spelling in secrets.iter().flat_map(|s| spellings(s)) {
            for (place, text) in [("log", &log), ("error", &errors), ("debug", &debug)] {
                assert!(!text.contains(&spelling), "{spelling} in the {place}:\n{text}");
            }
        }
        assert_private(&world.dir.join("proton"));
        assert_private(&world.dir.join("wireguard"));
        world.assert_no_violation();
    });
}

fn assert_private(dir: &Path) {
    for path in std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).chain([dir.to_owned()]) {
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
    }
}
