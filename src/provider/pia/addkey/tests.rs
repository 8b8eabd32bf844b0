use super::*;
use crate::wire::http::Route;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// As a server of PIA's answers (pia-foss/manual-connections, values altered).
const REPLY: &str = r#"{
    "status": "OK",
    "server_key": "l/tE7Z6CdVt2fFIL0EJ1mEmVQwTJPHKdYw1gLqUkHF4=",
    "server_port": 1337,
    "server_ip": "203.0.113.7",
    "server_vip": "10.44.128.1",
    "peer_ip": "10.44.229.219",
    "peer_pubkey": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    "dns_servers": ["10.0.0.243", "10.0.0.242"]
}"#;

fn key() -> PublicKey {
    PublicKey::parse(KEY).unwrap()
}

fn read(status: u16, body: &str) -> Result<Added, Failure> {
    parse(&Reply { status, headers: Vec::new(), body: body.into() }, &key())
}

fn nobody() -> Trust {
    Trust::Only { anchors: Vec::new(), name_from_cn: true }
}

#[test]
fn the_request_goes_to_the_address_under_the_name_with_everything_escaped() {
    let token = Secret::new("ab+/=&c");
    let at = "203.0.113.7:1337".parse().unwrap();
    let request = request("zurich406", at, &By::Token(&token), &key(), nobody());
    assert_eq!(
        request.url,
        "https://zurich406:1337/addKey?pt=ab%2B%2F%3D%26c&pubkey=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8%3D"
    );
    assert_eq!((request.connect_to, &request.route, request.redirects), (Some(at), &Route::Outside, 0));
    assert!(!format!("{request:?}").contains("ab"));
}

#[test]
fn a_dedicated_address_asks_with_its_own_token() {
    let dip_token = Secret::new("DIPabc");
    let by = By::DedicatedIp { dip_token: &dip_token, address: "203.0.113.7".parse().unwrap() };
    let request = request("zurich406", "203.0.113.7:1337".parse().unwrap(), &by, &key(), nobody());
    assert!(!request.url.contains("pt=") && request.url.contains("?pubkey="));
    // `printf dedicated_ip_DIPabc:203.0.113.7 | base64`
    let basic = "Basic ZGVkaWNhdGVkX2lwX0RJUGFiYzoyMDMuMC4xMTMuNw==".to_owned();
    assert_eq!(request.headers, [("Authorization".to_owned(), basic)]);
}

#[test]
fn an_answer_becomes_a_tunnel_of_ipv4_alone() {
    let added = read(200, REPLY).unwrap();
    assert_eq!(added.server_vip, Some("10.44.128.1".parse().unwrap()));
    let tunnel = tunnel(&added, SecretKey::new([1; 32]), "203.0.113.9".parse().unwrap());
    assert_eq!(tunnel.addresses, ["10.44.229.219/32".parse().unwrap()]);
    let dns: [IpAddr; 2] = ["10.0.0.243".parse().unwrap(), "10.0.0.242".parse().unwrap()];
    assert_eq!(tunnel.dns, dns);
    let peer = &tunnel.peers[0];
    assert_eq!(peer.public_key.to_string(), "l/tE7Z6CdVt2fFIL0EJ1mEmVQwTJPHKdYw1gLqUkHF4=");
    // The address of the list, whose certificate was checked, not the one the answer names.
    assert_eq!(peer.endpoint.as_ref().unwrap().to_string(), "203.0.113.9:1337");
    assert_eq!(peer.keepalive, Some(secs(25)));
    assert!(tunnel.is_full() && tunnel.carries(true) && !tunnel.carries(false));
    assert_eq!((tunnel.mtu, tunnel.fwmark, tunnel.listen_port), (None, None, None));
}

#[test]
fn older_and_leaner_answers_do() {
    let older = REPLY.replace("10.44.229.219", "10.44.229.219/32");
    assert_eq!(read(200, &older).unwrap().peer_ip, Ipv4Addr::new(10, 44, 229, 219));
    let lean = REPLY.replace("dns_servers", "x").replace("server_vip", "y").replace("peer_pubkey", "z");
    let added = read(200, &lean).unwrap();
    assert_eq!((added.server_vip, added.dns.len()), (None, 0));
    let resolvers = tunnel(&added, SecretKey::new([1; 32]), Ipv4Addr::LOCALHOST).dns;
    assert_eq!(resolvers, RESOLVERS);
}

#[test]
fn only_words_about_the_login_are_a_refused_token() {
    for (status, body) in [
        (200, r#"{"status":"ERROR","message":"Login failed!"}"#),
        (401, r#"{"status":"ERROR","message":"Login failed!"}"#),
        (401, ""),
        (403, "{}"),
    ] {
        assert_eq!(read(status, body), Err(Failure::Refused), "{body}");
    }
    for (status, body) in [
        (401, "<html>"),
        (403, " \n<!DOCTYPE html>"),
        (500, r#"{"status":"ERROR","message":"out of addresses"}"#),
        (200, r#"{"status":"ERROR"}"#),
        (200, "[]"),
        (504, "upstream timeout"),
    ] {
        assert!(matches!(read(status, body), Err(Failure::Other { .. })), "{body}");
    }
}

#[test]
fn an_answer_that_misses_something_or_is_for_another_key_is_none() {
    for (what, instead) in [
        (KEY, "l/tE7Z6CdVt2fFIL0EJ1mEmVQwTJPHKdYw1gLqUkHF4="),
        ("l/tE7Z6CdVt2fFIL0EJ1mEmVQwTJPHKdYw1gLqUkHF4=", "short"),
        ("1337,", "0,"),
        ("1337,", "65536,"),
        ("1337,", "\"1337x\","),
        ("10.44.229.219", "fd00::1"),
        ("peer_ip", "ip"),
        ("\"OK\"", "\"ok?\""),
    ] {
        assert!(read(200, &REPLY.replace(what, instead)).is_err(), "{instead}");
    }
    for n in 0..REPLY.len() {
        assert!(read(200, &REPLY[..n]).is_err(), "{n} bytes");
    }
}

#[test]
fn foreign_text_does_not_move_the_cursor() {
    let error = read(200, "{\"status\":\"ERROR\",\"message\":\"no\\u001b[2J room.\"}").unwrap_err();
    assert_eq!(error.to_string(), "no[2J room (HTTP 200)");
}
