//! Tests of the provider of files.

use super::*;
use crate::sys::files::fake::FakeFiles;
use std::path::Path;

const PRIVATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PUBLIC: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

fn conf(comment: &str, nat_pmp: &str, dns: &str) -> String {
    format!(
        "[Interface]\n{nat_pmp}\nPrivateKey = {PRIVATE}\nAddress = 10.2.0.2/32\n{dns}\n[Peer]\n{comment}\n\
         PublicKey = {PUBLIC}\nAllowedIPs = 0.0.0.0/0\nEndpoint = 203.0.113.11:51820\n"
    )
}

fn provider(files: Vec<(&str, String)>, port: &str) -> FileProvider<FakeFiles> {
    let text = format!("[port_forwarding]\n{port}\n");
    let config = load::parse(&text, Path::new("/c"), Path::new("/r")).unwrap();
    let disk = FakeFiles::default();
    for (name, text) in files {
        disk.write(&format!("/c/wireguard/{name}"), &text);
    }
    FileProvider::new(&config, disk)
}

#[test]
fn a_server_is_named_by_its_comment_else_by_its_file() {
    let mut p = provider(
        vec![
            ("us-nyc.conf", conf("", "", "DNS = 10.64.0.1")),
            ("notes.txt", "hello".into()),
            (".x.conf.swp.conf", "x".into()),
            ("wg0.conf", conf("# NL#12", "# NAT-PMP (Port Forwarding) = on", "DNS = 10.2.0.1")),
            ("home.conf", conf("", "# NAT-PMP = off", "DNS = 10.2.0.1")),
        ],
        "",
    );
    let servers = p.list_servers(false).unwrap();
    let rows: Vec<String> = servers
        .iter()
        .map(|s| format!("{} {} {:?} {:?} {}", s.id, s.name, s.country, s.features.forwards, s.features.p2p))
        .collect();
    assert_eq!(
        rows,
        [
            "home.conf home None Some(false) false",
            "us-nyc.conf us-nyc Some(US) None false",
            "wg0.conf NL#12 Some(NL) Some(true) true",
        ]
    );
}

#[test]
fn a_port_is_asked_of_the_configured_gateway_else_of_the_first_resolver() {
    let hold = |nat_pmp: &str, dns: &str, config: &str| {
        let mut p = provider(vec![("a.conf", conf("", nat_pmp, dns))], config);
        let server = p.list_servers(false).unwrap().remove(0);
        p.open(&server).unwrap().port
    };
    let nat_pmp = |gateway: &str| PortHold::NatPmp { gateway: gateway.parse().unwrap() };
    assert_eq!(hold("# NAT-PMP = on", "DNS = 10.2.0.1, 10.2.0.9", ""), nat_pmp("10.2.0.1"));
    assert_eq!(hold("", "DNS = 10.2.0.1", ""), nat_pmp("10.2.0.1"));
    assert_eq!(hold("", "", "gateway = 10.9.0.1"), nat_pmp("10.9.0.1"));
    let unavailable = |hold| match hold {
        PortHold::Unavailable(why) => why,
        other => panic!("{other:?}"),
    };
    assert!(unavailable(hold("# NAT-PMP = off", "DNS = 10.2.0.1", "")).contains("NAT-PMP is off"));
    assert!(unavailable(hold("", "", "")).contains("no gateway"));
    // Whether one is asked for at all may change while the tunnel is up.
    assert_eq!(hold("", "DNS = 10.2.0.1", "enable = false"), nat_pmp("10.2.0.1"));
}

#[test]
fn a_broken_file_does_not_keep_the_others_from_working() {
    let mut p =
        provider(vec![("a.conf", "[Interface]\nPostUp = x\n".into()), ("b.conf", conf("", "", ""))], "");
    assert_eq!(p.list_servers(false).unwrap().len(), 1);
    assert_eq!(p.said.len(), 1);
    assert!(p.said[0].starts_with("/c/wireguard/a.conf:2: PostUp would run a program"), "{}", p.said[0]);
}

#[test]
fn no_file_and_no_readable_file_are_errors_that_say_what_to_do() {
    let e = provider(vec![], "").list_servers(false).unwrap_err();
    assert_eq!(e.to_string(), "no .conf in /c/wireguard: put the files of your provider there");
    assert_eq!(e.exit(), Exit::NoServer);
    let e = provider(vec![("a.conf", "x".into())], "").list_servers(false).unwrap_err();
    assert!(e.to_string().starts_with("no readable .conf: /c/wireguard/a.conf:1: "), "{e}");
    assert_eq!(e.exit(), Exit::NoServer);
}

#[test]
fn a_file_that_went_away_is_said() {
    let mut p = provider(vec![("a.conf", conf("", "", "")), ("b.conf", conf("", "", ""))], "");
    let server = p.list_servers(false).unwrap().remove(0);
    p.files.remove(Path::new("/c/wireguard/a.conf")).unwrap();
    assert_eq!(p.open(&server).unwrap_err().to_string(), "/c/wireguard/a.conf is gone");
}
