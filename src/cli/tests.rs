//! Tests of the command line.

use super::*;

fn read(line: &str) -> Result<Invocation> {
    parse(line.split(' ').filter(|w| !w.is_empty()).map(OsString::from))
}

fn command(line: &str) -> Command {
    read(line).unwrap().command
}

fn connect(line: &str) -> Connect {
    match command(line) {
        Command::Connect(connect) => connect,
        other => panic!("{other:?}"),
    }
}

fn init(line: &str) -> Init {
    match command(line) {
        Command::Init(init) => *init,
        other => panic!("{other:?}"),
    }
}

fn refusal(line: &str) -> String {
    let e = read(line).unwrap_err();
    assert_eq!(e.exit(), Exit::Usage, "{line}");
    assert!(!e.to_string().contains('\n'), "{e}");
    e.to_string()
}

#[test]
fn global_flags_count_before_and_after_the_command() {
    for line in ["--config-dir /c -vv -q status", "status -v --quiet --config-dir=/c --verbose"] {
        let global = read(line).unwrap().global;
        assert_eq!(global, Global { config_dir: Some("/c".into()), verbose: 2, quiet: true }, "{line}");
    }
}

#[test]
fn every_flag_of_connect_is_understood_in_each_spelling() {
    let line = "connect --provider file -c nl,CH --city Zurich --sc --p2p -f api -t 70 -l 30 --dns false --ks=true \
                --server NL#12 --foreground --yes";
    let got = connect(line);
    assert_eq!(got.filter.provider, Some(ProviderKind::File));
    assert_eq!(got.filter.cc, Some(vec![Country::parse("NL").unwrap(), Country::parse("CH").unwrap()]));
    assert_eq!(got.filter.city.as_deref(), Some("Zurich"));
    assert!(got.filter.secure_core && got.filter.p2p && got.foreground && got.yes);
    assert_eq!((got.filter.fastest, got.filter.threshold), (Some(Fastest::Api), Some(70)));
    assert_eq!(
        (got.latency_cutoff, got.dns, got.ks),
        (Some(crate::time::millis(30)), Some(false), Some(true))
    );
    assert_eq!(got.server.as_deref(), Some("NL#12"));
    for line in
        ["c --country NL --securecore -t70", "c --cc=NL --sc --threshold=70", "c -cNL --securecore -t=70"]
    {
        let got = connect(line).filter;
        assert_eq!(got.cc, Some(vec![Country::parse("NL").unwrap()]), "{line}");
        assert!(got.secure_core, "{line}");
        assert_eq!(got.threshold, Some(70), "{line}");
    }
    assert_eq!(connect("connect"), Connect::default());
    assert_eq!(connect("c --ks true --ks false").ks, Some(false));
}

#[test]
fn every_command_and_alias_is_understood() {
    assert_eq!(command("d --ks false"), Command::Disconnect { ks: Some(false) });
    assert_eq!(command("disconnect"), Command::Disconnect { ks: None });
    assert_eq!(command("s --json"), Command::Status { json: true, check: false });
    assert_eq!(command("status --check"), Command::Status { json: false, check: true });
    assert_eq!(command("killswitch on --yes"), Command::Killswitch { what: Killswitch::On, yes: true });
    assert_eq!(command("killswitch status"), Command::Killswitch { what: Killswitch::Status, yes: false });
    assert_eq!(command("check --drop --yes"), Command::Check { json: false, drop: true, yes: true });
    assert_eq!(command("doctor --bundle f"), Command::Doctor { bundle: Some("f".into()) });
    assert_eq!(command("logout --provider pia"), Command::Logout { provider: Some(ProviderKind::Pia) });
    let Command::List { filter, json } = command("list --fastest ping --json") else { panic!() };
    assert_eq!((filter.fastest, json), (Some(Fastest::Ping), true));
}

#[test]
fn help_and_version_are_there_on_every_level() {
    assert_eq!(command("--help"), Command::Help(None));
    assert_eq!(command("-h"), Command::Help(None));
    assert_eq!(command("help"), Command::Help(None));
    assert_eq!(command("help help"), Command::Help(None));
    assert_eq!(command("-V"), Command::Version);
    assert_eq!(command("--version"), Command::Version);
    for spec in spec::COMMANDS {
        for line in
            [format!("{} --help", spec.name), format!("help {}", spec.name), format!("-h {}", spec.name)]
        {
            assert_eq!(command(&line), Command::Help(Some(spec)), "{line}");
        }
    }
    assert_eq!(command("help c"), Command::Help(spec::find("connect")));
}

#[test]
fn a_refusal_says_which_and_what_is_allowed() {
    for (line, says) in [
        ("", "which command? `pvpn help` lists them"),
        ("conect", "unknown command 'conect'; there are init, connect, disconnect, status, list,"),
        ("status --jsn", "unknown flag --jsn for status; there are --json, --check, --config-dir,"),
        (
            "--json status",
            "unknown flag --json before a command; there are --config-dir, --verbose, --quiet, --help, --version",
        ),
        ("status -x", "unknown flag -x for status"),
        ("connect --ks maybe", "--ks cannot be 'maybe'; it must be true or false"),
        ("connect --ks", "--ks needs a value: true or false"),
        ("--config-dir= status", "--config-dir cannot be ''; it must be a path"),
        ("connect -t 0", "--threshold cannot be '0'; it must be a number from 1 to 100"),
        ("connect -t 101", "--threshold cannot be '101'"),
        ("connect --fastest quick", "--fastest cannot be 'quick'; it must be ping or api"),
        ("connect --provider mullvad", "--provider cannot be 'mullvad'; it must be proton, pia or file"),
        ("connect --cc Netherlands", "--cc cannot be 'Netherlands'; it must be two-letter country codes"),
        ("connect NL", "unexpected argument 'NL' after connect"),
        ("connect --p2p=true", "--p2p"),
        ("killswitch", "killswitch needs a word: on, off or status"),
        ("killswitch close", "'killswitch close' is unknown; there are on, off, status"),
        ("killswitch on off", "unexpected argument 'off' after killswitch"),
        ("logout --provider file", "--provider cannot be 'file'; it must be proton or pia"),
        ("help nothing", "unknown command 'nothing'"),
    ] {
        assert!(refusal(line).contains(says), "{line}: {}", refusal(line));
    }
}

#[test]
fn init_takes_parts_and_answers() {
    let got = init(
        "init --pia --qb --pia-user p1 --pia-region swiss,nl --qb-enable false --qb-url http://h:1 --lan 10.0.0.0/8 \
         --wireguard-port 443 --proton-login code --threshold-default 80 --non-interactive",
    );
    assert!(got.pia && got.qb && !got.proton && !got.network && got.non_interactive);
    assert_eq!(got.pia_region.unwrap(), ["swiss", "nl"]);
    assert_eq!(
        (got.qb_enable, got.wireguard_port, got.threshold_default),
        (Some(false), Some(443), Some(80))
    );
    assert_eq!(got.proton_login, Some(ProtonLogin::Code));
    assert_eq!(got.lan.unwrap()[0].to_string(), "10.0.0.0/8");
    assert_eq!(got.idle, ["lan", "wireguard-port", "proton-login", "threshold-default"]);
    assert!(init("init --lan 10.0.0.0/8 --qb-enable false --pia-pass -").idle.is_empty());
}

#[test]
fn a_dash_reads_a_line_of_standard_input_in_the_order_of_the_flags() {
    let mut got = init("init --qb-pass - --proton-pass=open --proton-2fa=- --pia-pass -");
    let mut lines = ["one\n", "two\r\n", "three"].into_iter();
    got.read_stdin(|| Ok(lines.next().unwrap_or_default().to_owned())).unwrap();
    let said = |flag: &str| got.secret(flag).map(|s| s.reveal().to_owned());
    assert_eq!(said("qb-pass").as_deref(), Some("one"));
    assert_eq!(said("proton-pass").as_deref(), Some("open"));
    assert_eq!(said("proton-2fa").as_deref(), Some("two"));
    assert_eq!(said("pia-pass").as_deref(), Some("three"));
    assert_eq!(said("qb-api-key"), None);
    let mut dry = init("init --qb-api-key -");
    let e = dry.read_stdin(|| Ok(String::new())).unwrap_err();
    assert_eq!(
        (e.exit(), e.to_string().as_str()),
        (Exit::Usage, "standard input has no line for --qb-api-key")
    );
}

#[test]
fn no_secret_is_shown_in_a_refusal_or_a_debug_text() {
    assert!(!refusal("init --pia-pass correct horse").contains("horse"));
    assert!(!refusal("init --pia-pas=hunter2").contains("hunter2"));
    assert!(!format!("{:?}", read("init --pia-pass hunter2").unwrap()).contains("hunter2"));
    let all: Vec<_> = spec::secret_flags().collect();
    assert_eq!(all, ["proton-pass", "proton-2fa", "pia-pass", "qb-pass", "qb-api-key"]);
}

#[test]
fn no_argument_vector_panics() {
    let words = [
        "connect",
        "init",
        "help",
        "-",
        "--",
        "-c",
        "--cc",
        "=",
        "--ks=",
        "-vvv",
        "--pia-pass",
        "",
        "--=",
        "ü",
    ];
    let mut state = 0x9e37_79b9_u64;
    for _ in 0..20_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let line = (0..5).map(|n| OsString::from(words[(state >> (n * 8)) as usize % words.len()]));
        let _ = parse(line);
    }
}

/// The generated files of `pkg/`: `UPDATE=1 cargo test --lib generated` writes them.
#[test]
fn the_generated_files_of_pkg_are_up_to_date() {
    let pkg = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pkg");
    for (path, text) in [
        ("doc/pvpn.8", man::page()),
        ("completions/pvpn.bash", complete::bash()),
        ("completions/_pvpn", complete::zsh()),
        ("completions/pvpn.fish", complete::fish()),
    ] {
        let path = pkg.join(path);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == text, "{} is out of date: UPDATE=1 cargo test --lib generated", path.display());
    }
}

#[test]
fn help_pages_fit_a_terminal_and_name_every_flag() {
    let pages = spec::COMMANDS.iter().map(|c| help::page(Some(c))).chain([help::page(None)]);
    for page in pages {
        for line in page.lines() {
            assert!(line.chars().count() <= 80 && !line.ends_with(' '), "{line:?}");
        }
    }
    for command in spec::COMMANDS {
        let page = help::page(Some(command));
        for flag in command.flags.iter().chain(spec::GLOBAL) {
            assert!(page.contains(&format!("--{}", flag.long)), "{} in {}", flag.long, command.name);
        }
        assert!(page.contains("EXAMPLES") && page.contains("EXIT CODES"), "{}", command.name);
    }
}

#[test]
fn the_exit_codes_of_the_help_are_those_of_the_program() {
    let codes: Vec<u8> = spec::EXITS.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, Exit::ALL.map(Exit::code));
}
