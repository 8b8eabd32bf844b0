//! Tests of reading `config.ini`.

use super::super::keys::KEYS;
use super::*;

/// The example of the contract, which is also that of the earlier Python pvpn, kept byte for byte.
const CONTRACT: &str = include_str!("contract.ini");

fn read(text: &str) -> std::result::Result<Config, Fault> {
    parse(text, Path::new("/etc/p"), Path::new("/root"))
}

fn fault(text: &str) -> String {
    read(text).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_example_of_the_contract_is_read_as_it_stands() {
    let c = read(CONTRACT).unwrap();
    assert_eq!(c.provider, Some(ProviderKind::Proton));
    assert!(c.connect.cc.is_empty() && c.connect.latency_cutoff.is_none());
    assert!(c.proton.user.is_none() && c.proton.pass.is_none() && c.proton.totp_code.is_none());
    assert_eq!(c.proton.session_dir, Path::new("/etc/p/proton"));
    assert_eq!(c.proton.wireguard_port, 51820);
    assert_eq!(c.pia.region, ["swiss", "nl_amsterdam"]);
    assert_eq!(c.qbittorrent.url, "http://127.0.0.1:8080");
    assert_eq!(c.network.lan.unwrap()[0].to_string(), "192.168.1.0/24");
    assert_eq!(c.network.interface, "wgp{cc}");
    assert_eq!(c.monitor.interval, secs(60));
}

#[test]
fn every_key_of_the_example_is_in_the_table_and_every_default_agrees_with_it() {
    let doc = Document::parse(CONTRACT).unwrap();
    for entry in doc.entries() {
        let key = keys::find(entry.section, entry.key).unwrap();
        // What a person fills in has no default.
        let filled = ["provider", "region", "lan"].contains(&entry.key);
        if !entry.is_unset() && !filled {
            assert_eq!(entry.value, key.default, "{} in [{}]", entry.key, entry.section);
        }
    }
}

#[test]
fn nothing_set_means_the_defaults_of_the_contract() {
    let c = read("").unwrap();
    assert_eq!(c.provider, None);
    assert_eq!(c.connect.fastest, Fastest::Ping);
    assert_eq!(c.proton.api_url, "https://vpn-api.proton.me");
    assert!(c.proton.vpn_accelerator && c.qbittorrent.enable && c.port_forwarding.enable);
    assert!(c.network.dns_default && !c.network.ks_default && !c.qbittorrent.unbind);
    assert_eq!((c.network.threshold_default, c.qbittorrent.port, c.monitor.failures), (60, 6881, 3));
    assert_eq!(c.monitor.latency_threshold, millis(500));
    assert_eq!(c.qbittorrent.resume, Resume::Stalled);
    assert!(c.network.lan.is_none() && c.port_forwarding.gateway.is_none());
    assert!(c.check.ip_url.starts_with("https://"));
}

#[test]
fn every_default_is_a_value_its_key_allows() {
    for key in KEYS {
        assert!(SECTIONS.contains(&key.section), "{}", key.section);
        assert!(key.default.is_empty() || key.kind.parse(key.default).is_some(), "{}", key.name);
        let twins = KEYS.iter().filter(|k| k.section == key.section && k.name == key.name);
        assert_eq!(twins.count(), 1, "{}", key.name);
    }
}

#[test]
fn unknown_names_are_errors_that_say_what_there_is() {
    assert_eq!(
        fault("[connect]\n\ncountry = NL\n"),
        "3: unknown key country in [connect]; there are cc, city, server, sc, p2p, fastest, latency_cutoff"
    );
    assert!(
        fault("[proton]\n").starts_with("1: unknown section [proton]; there are vpn, connect, protonvpn,")
    );
    assert!(fault("[pia]\nmy long pass phrase = x\n").starts_with("2: unknown key (not a name) in [pia]"));
}

#[test]
fn bad_values_are_errors_that_say_what_is_allowed() {
    for (text, says) in [
        ("[connect]\nfastest = fast", "2: fastest in [connect] is 'fast'; it must be ping or api"),
        ("[connect]\nsc = yes", "2: sc in [connect] is 'yes'; it must be true or false"),
        (
            "[connect]\ncc = NL CH",
            "2: cc in [connect] is 'NL CH'; it must be two-letter country codes, separated by commas",
        ),
        ("[protonvpn]\nnetshield = 3", "2: netshield in [protonvpn] is '3'; it must be a number from 0 to 2"),
        (
            "[qbittorrent]\nport = +80",
            "2: port in [qbittorrent] is '+80'; it must be a number from 1 to 65535",
        ),
        ("[network]\nthreshold_default = 0", "a number from 1 to 100"),
        ("[network]\ninterface = a/b", "an interface name of at most 15 characters"),
        ("[network]\ninterface = abcdefghijklmn{cc}", "an interface name of at most 15 characters"),
        ("[port_forwarding]\ngateway = gw", "an IPv4 or IPv6 address"),
        ("[vpn]\nprovider = Proton", "it must be proton, pia or file"),
    ] {
        assert!(fault(text).contains(says), "{}", fault(text));
    }
}

#[test]
fn a_public_network_is_never_lan() {
    for net in ["0.0.0.0/0", "8.8.8.0/24", "192.0.0.0/8", "::/0", "2001:db8::/32", "192.168.1.0/24, 1.1.1.1"]
    {
        assert!(fault(&format!("[network]\nlan = {net}")).contains("private networks"), "{net}");
    }
    let c = read("[network]\nlan = 192.168.1.7/24, fd00::/8, 100.64.0.0/10, 169.254.0.0/16").unwrap();
    assert_eq!(c.network.lan.unwrap()[0].to_string(), "192.168.1.0/24");
}

#[test]
fn no_error_shows_a_secret() {
    for text in [
        "[pia]\npass = hunter2\npass_file = /x",
        "[qbittorrent]\nurl = ftp://me:hunter2@h",
        "[pia]\npass = \"hunter2",
        "[pia]\npass = hunter2\npass = hunter2",
    ] {
        assert!(!fault(text).contains("hunter2"), "{}", fault(text));
    }
    assert!(!format!("{:?}", read("[pia]\npass = hunter2").unwrap()).contains("hunter2"));
}

#[test]
fn an_error_names_the_file_and_leads_to_exit_78() {
    let load =
        |bytes: &'static [u8]| load(Path::new("/etc/p"), Path::new("/root"), &move |_| Ok(bytes.to_vec()));
    let e = load(b"[vpn]\nx = 1\n").unwrap_err();
    assert_eq!(e.to_string(), "/etc/p/config.ini:2: unknown key x in [vpn]; there are provider");
    assert_eq!(e.exit(), Exit::BadConfig);
    let e = load(b"[vpn]\n\xff\n").unwrap_err();
    assert_eq!(e.to_string(), "/etc/p/config.ini:2: not UTF-8 text");
    let gone = |_: &Path| Err(io::ErrorKind::NotFound.into());
    assert!(super::load(Path::new("/etc/p"), Path::new("/root"), &gone).is_ok());
    let closed = |_: &Path| Err(io::ErrorKind::PermissionDenied.into());
    let e = super::load(Path::new("/etc/p"), Path::new("/root"), &closed).unwrap_err();
    assert!(e.to_string().starts_with("read /etc/p/config.ini: "), "{e}");
}

#[test]
fn paths_are_below_the_directory_or_the_home() {
    let c =
        read("[pia]\nca_file = ca.pem\n[port_forwarding]\nfile = ~/port\n[protonvpn]\nsession_dir = /s\n")
            .unwrap();
    assert_eq!(c.pia.ca_file.unwrap(), Path::new("/etc/p/ca.pem"));
    assert_eq!(c.port_forwarding.file.unwrap(), Path::new("/root/port"));
    assert_eq!(c.proton.session_dir, Path::new("/s"));
}

#[test]
fn the_directory_is_the_flags_then_the_environments_then_the_homes() {
    let home = Path::new("/root");
    assert_eq!(config_dir(Some(Path::new("/a")), Some("/b".into()), home), Path::new("/a"));
    assert_eq!(config_dir(None, Some("/b".into()), home), Path::new("/b"));
    assert_eq!(config_dir(None, Some("".into()), home), Path::new("/root/.pvpn-cli/pvpn"));
    assert_eq!(config_dir(None, None, home), Path::new("/root/.pvpn-cli/pvpn"));
}

#[test]
fn the_provider_is_the_one_that_is_set_up() {
    let files = Found { conf_files: true, ..Found::default() };
    let session = Found { proton_session: true, ..files };
    let guess = |text: &str, found: &Found| read(text).unwrap().guess_provider(found);
    assert_eq!(guess("", &files), Ok(ProviderKind::File));
    assert_eq!(guess("", &session), Ok(ProviderKind::Proton));
    assert_eq!(guess("[pia]\nuser = p1", &files), Ok(ProviderKind::Pia));
    assert_eq!(guess("[protonvpn]\nuser = ..", &files), Ok(ProviderKind::File));
    assert_eq!(guess("[vpn]\nprovider = file\n[pia]\nuser = p1", &session), Ok(ProviderKind::File));
    assert!(guess("[pia]\nuser = p1", &session).unwrap_err().to_string().starts_with("both proton and pia"));
    let missing = |found| guess("", &found).unwrap_err().to_string();
    let ways = ": run `pvpn init`, or put a WireGuard .conf into /etc/p/wireguard";
    assert_eq!(missing(Found::default()), format!("no configuration in /etc/p{ways}"));
    let empty = Found { config: true, ..Found::default() };
    assert_eq!(missing(empty), format!("no provider is set up in /etc/p{ways}"));
}

#[test]
fn what_lies_in_the_directory_is_found() {
    let c = read("[protonvpn]\nsession_dir = /s").unwrap();
    let there = |path: &Path| path == Path::new("/s/session.json");
    let names = |_: &Path| vec![OsString::from(".a.conf"), OsString::from("b.conf")];
    let found = Found::look(&c, &there, &names);
    assert_eq!(found, Found { proton_session: true, conf_files: true, ..Found::default() });
    assert!(Found::look(&c, &|_| false, &|_| vec!["a.txt".into()]).is_nothing());
}

#[test]
fn a_configuration_in_the_home_of_the_sudo_user_is_named() {
    let e = no_configuration(Path::new("/root/x"), Some(("ann", Path::new("/home/ann/.pvpn-cli/pvpn"))));
    assert!(e.to_string().contains("--config-dir /home/ann/.pvpn-cli/pvpn"), "{e}");
    assert_eq!(e.exit(), Exit::BadConfig);
}

#[test]
fn a_pass_file_is_read_when_it_is_needed() {
    let path = Path::new("/run/pass");
    let reads = |bytes: &'static [u8]| password(None, Some(path), &move |_| Ok(bytes.to_vec()));
    assert_eq!(reads(b"hunter2\r\nnote\n").unwrap(), Some(Secret::new("hunter2")));
    assert!(reads(b"\n").unwrap_err().to_string().contains("/run/pass"));
    let never = |_: &Path| -> io::Result<Vec<u8>> { panic!("read") };
    assert_eq!(password(Some(&Secret::new("x")), None, &never).unwrap(), Some(Secret::new("x")));
    assert_eq!(password(None, None, &never).unwrap(), None);
}
