//! Tests of the `.conf` reader. The files are made up in the shapes of the providers' web pages; keys are of bytes
//! in a row, addresses those of documentation (RFC 5737, RFC 3849).

use super::*;
use crate::config::wgconf;

const PRIVATE: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const PUBLIC: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const PRESHARED: &str = "QEFCQ0RFRkdISUpLTE1OT1BRUlNUVVZXWFlaW1xdXl8=";

/// Shape: `reference/proton-api.md` section 6.4.
fn proton() -> String {
    format!(
        "[Interface]\n# Key for my-cli-host\n# Bouncing = 0\n# NetShield = 0\n# Moderate NAT = off\n\
         # NAT-PMP (Port Forwarding) = on\n# VPN Accelerator = on\nPrivateKey = {PRIVATE}\n\
         Address = 10.2.0.2/32, 2a07:b944::2:2/128\nDNS = 10.2.0.1, 2a07:b944::2:1\n\n[Peer]\n# NL#12\n\
         PublicKey = {PUBLIC}\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 203.0.113.11:51820\n\n\
         # Endpoint = [2001:db8::11]:51820\nPersistentKeepalive = 25\n"
    )
}

fn interface(lines: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.2.0.2\n{lines}\n[Peer]\nPublicKey = {PUBLIC}\n\
         AllowedIPs = 0.0.0.0/0\nEndpoint = 203.0.113.11:51820\n"
    )
}

fn peer(lines: &str) -> String {
    format!(
        "[Interface]\nPrivateKey = {PRIVATE}\nAddress = 10.2.0.2\n[Peer]\nPublicKey = {PUBLIC}\n{lines}\n"
    )
}

fn fault(text: &str) -> String {
    wgconf::parse(text).unwrap_err().to_string()
}

#[test]
fn a_file_of_protons_page_is_understood_with_its_comments() {
    let conf = wgconf::parse(&proton()).unwrap();
    assert_eq!(conf.name.as_deref(), Some("NL#12"));
    assert_eq!(conf.nat_pmp, Some(true));
    assert_eq!(conf.key_for.as_deref(), Some("my-cli-host"));
    let t = &conf.tunnel;
    assert_eq!(joined(&t.addresses), "10.2.0.2/32 2a07:b944::2:2/128");
    assert_eq!(t.dns.len(), 2);
    assert_eq!(t.peers[0].endpoint.as_ref().unwrap().to_string(), "203.0.113.11:51820");
    assert_eq!(t.peers[0].keepalive, Some(secs(25)));
    assert!(t.is_full() && t.carries(true) && t.carries(false));
}

fn joined(nets: &[IpNet]) -> String {
    nets.iter().map(IpNet::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_whole_grammar_is_read_in_any_case_with_lists_and_repetition() {
    let text = format!(
        "\u{feff}[INTERFACE]\r\nprivatekey={PRIVATE}\r\nADDRESS = 10.2.0.2/24,2001:db8::2/64 # two\r\n\
         Address = 10.3.0.2\r\nDNS = 10.2.0.1, example.net\r\ndns = 2001:db8::1,home.arpa\r\nMTU = 1380\r\n\
         Table = 0x4d2\r\nFwMark = 0xCA6C\r\nListenPort = 51821\r\nSaveConfig = true\r\n[peer]\r\n\
         PUBLICKEY = {PUBLIC}\r\nPresharedKey = {PRESHARED}\r\nAllowedIPs = 10.0.0.0/8, 192.0.2.7/24\r\n\
         AllowedIPs = 2001:db8::/32, 10.0.0.0/8\r\nEndpoint = vpn.example.net:443\r\n\
         PersistentKeepalive = off\r\n[Peer]\r\nPublicKey = {PRESHARED}\r\nAllowedIPs =\r\n\
         Endpoint = [2001:db8::7]:51820\r\nPersistentKeepalive = 65535\r\n"
    );
    let conf = wgconf::parse(&text).unwrap();
    let t = &conf.tunnel;
    assert_eq!(joined(&t.addresses), "10.2.0.2/24 2001:db8::2/64 10.3.0.2/32");
    assert_eq!(t.search_domains, ["example.net", "home.arpa"]);
    assert_eq!((t.dns.len(), t.mtu.unwrap().bytes()), (2, 1380));
    assert_eq!((t.table, t.fwmark, t.listen_port), (Table::Number(1234), Some(0xca6c), Some(51821)));
    assert_eq!(joined(&t.peers[0].allowed_ips), "10.0.0.0/8 192.0.2.0/24 2001:db8::/32");
    assert!(t.peers[0].preshared_key.is_some() && t.peers[0].keepalive.is_none());
    assert_eq!(t.peers[0].endpoint, Some(Endpoint::Name { host: "vpn.example.net".into(), port: 443 }));
    assert_eq!(t.peers[1].endpoint.as_ref().unwrap().to_string(), "[2001:db8::7]:51820");
    assert_eq!(t.peers[1].keepalive, Some(secs(65535)));
    assert_eq!(conf.notes.len(), 1);
    assert_eq!((conf.name, conf.nat_pmp), (None, None));
}

#[test]
fn off_means_none() {
    let conf = wgconf::parse(&interface("Table = OFF\nFwMark = off\nListenPort = 0")).unwrap();
    assert_eq!((conf.tunnel.table, conf.tunnel.fwmark, conf.tunnel.listen_port), (Table::Off, None, None));
    let conf = wgconf::parse(&interface("Table = auto\nFwMark = 51820")).unwrap();
    assert_eq!((conf.tunnel.table, conf.tunnel.fwmark), (Table::Auto, Some(51820)));
}

#[test]
fn the_comment_above_the_peers_key_is_the_name() {
    let named = |lines: &str| {
        let text = peer("Endpoint = 192.0.2.1:1").replace("PublicKey", &format!("{lines}\nPublicKey"));
        wgconf::parse(&text).unwrap().name
    };
    assert_eq!(named("# CH-US#1"), Some("CH-US#1".into()));
    assert_eq!(named("#NL#12\n\n# Endpoint = [2001:db8::1]:1"), Some("NL#12".into()));
    assert_eq!(named("# \x1b[31mred\x07"), Some("[31mred".into()));
    assert_eq!(named("#"), None);
    assert_eq!(wgconf::parse(&peer("# below\nEndpoint = 192.0.2.1:1")).unwrap().name, None);
}

#[test]
fn port_forwarding_is_read_leniently() {
    let said = |line: &str| wgconf::parse(&interface(line)).unwrap().nat_pmp;
    assert_eq!(said("#NAT-PMP (Port Forwarding)=ON"), Some(true));
    assert_eq!(said("  ## nat-pmp = off"), Some(false));
    assert_eq!(said("# Port Forwarding = on"), Some(true));
    assert_eq!(said("# Moderate NAT = on"), None);
    assert_eq!(said("# NAT-PMP (Port Forwarding) = perhaps"), None);
}

#[test]
fn two_halves_of_a_family_are_the_whole_of_it() {
    let allowed = |line: &str| {
        let text = interface("").replace("AllowedIPs = 0.0.0.0/0", &format!("AllowedIPs = {line}"));
        let tunnel = parse(&text).unwrap().tunnel;
        (joined(&tunnel.peers[0].allowed_ips), tunnel.is_full())
    };
    assert_eq!(allowed("0.0.0.0/1, 128.0.0.0/1"), ("0.0.0.0/0".to_owned(), true));
    assert_eq!(allowed("8000::/1, 128.0.0.0/1, ::/1, 0.0.0.0/1"), ("0.0.0.0/0 ::/0".to_owned(), true));
    assert_eq!(allowed("0.0.0.0/0, 0.0.0.0/1, 128.0.0.0/1"), ("0.0.0.0/0".to_owned(), true));
    assert_eq!(allowed("0.0.0.0/1, 128.0.0.0/2"), ("0.0.0.0/1 128.0.0.0/2".to_owned(), false));
}

#[test]
fn hooks_are_refused_with_a_word() {
    for hook in ["PreUp", "PostUp", "PREDOWN", "postdown"] {
        let text = fault(&interface(&format!("{hook} = rm -rf /")));
        assert!(text.starts_with(&format!("4: {hook} would run a program")), "{text}");
    }
}

#[test]
fn faults_name_the_line_and_what_is_allowed_but_no_value() {
    let bad = PRIVATE.replace("AAE", "A!E");
    for (text, says) in [
        (interface(&format!("PrivateKey = {bad}")), "4: a key must be 44 characters of base64".to_owned()),
        (interface("Jc = 4"), "4: unknown key jc in [Interface]; there are PrivateKey, Address".into()),
        (interface(&format!("{PRIVATE} = x")), "4: unknown key".into()),
        (interface("MTU = 100"), "4: MTU must be a number from 576".into()),
        (interface("MTU = 1200\nAddress = 2001:db8::2"), "4: an MTU below 1280 carries no IPv6".into()),
        (interface("Table = nowhere"), "4: Table must be auto, off or a number".into()),
        (interface("FwMark = 0xzz"), "4: FwMark must be off".into()),
        (interface("Address = 10.2.0.2/33"), "4: Address must be".into()),
        (interface("DNS = a b"), "4: DNS must be".into()),
        (interface("nonsense"), "4: neither `Key = value`".into()),
        (interface("[Interface"), "4: a section has no closing ]".into()),
        (interface("[Other]"), "4: unknown section".into()),
        (peer("AllowedIPs = 0.0.0.0/0/0"), "6: AllowedIPs must be".into()),
        (peer("Endpoint = 192.0.2.1"), "6: Endpoint must be".into()),
        (peer("Endpoint = 192.0.2.1:0"), "6: Endpoint must be".into()),
        (peer("Endpoint = 192.0.2.256:1"), "6: Endpoint must be".into()),
        (peer("Endpoint = 2001:db8::1:51820"), "6: Endpoint must be".into()),
        (peer("PersistentKeepalive = 65536"), "6: PersistentKeepalive must be off".into()),
        (peer(""), "no [Peer] has an Endpoint".into()),
        (format!("[Peer]\nPublicKey = {PUBLIC}\n"), "[Interface] has no PrivateKey".into()),
        (format!("[Interface]\nPrivateKey = {PRIVATE}\n"), "[Interface] has no Address".into()),
        (interface("[Peer]"), "4: [Peer] has no PublicKey".into()),
        ("PrivateKey = x\n".into(), "1: a key before [Interface]".into()),
        (String::new(), "[Interface] has no PrivateKey".into()),
    ] {
        let said = fault(&text);
        assert!(said.contains(&says), "{said} for {text}");
        assert!(!said.contains(&PRIVATE[..8]) && !said.contains(&bad[..8]), "{said}");
    }
}

#[test]
fn what_is_emitted_reads_back_the_same() {
    let full = interface("DNS = 10.2.0.1, example.net\nMTU = 1380\nTable = 7\nFwMark = 0x7\nListenPort = 5")
        + &format!("PresharedKey = {PRESHARED}\nPersistentKeepalive = 25\n");
    for text in [proton(), full, interface("Table = off\n# NAT-PMP = off")] {
        let conf = wgconf::parse(&text).unwrap();
        let again = emit(&conf);
        assert_eq!(wgconf::parse(again.reveal()).unwrap(), conf, "{}", again.reveal());
    }
}

#[test]
fn no_debug_text_shows_a_key() {
    let text = format!("{:?}", wgconf::parse(&proton()).unwrap());
    assert!(!text.contains(&PRIVATE[..8]) && !text.contains("[0, 1, 2"), "{text}");
}

#[test]
fn no_truncation_and_no_mutation_panics() {
    let whole = proton() + &peer("PresharedKey = x\nEndpoint = [::1%lo]:1");
    for end in 0..whole.len() {
        let _ = whole.get(..end).map(wgconf::parse);
    }
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize
    };
    let alphabet: Vec<char> = "[]=#,:/.0 9aA\n\r\tü%-".chars().collect();
    for _ in 0..3_000 {
        let mut text: Vec<char> = proton().chars().collect();
        for _ in 0..6 {
            let at = random() % text.len();
            text[at] = alphabet[random() % alphabet.len()];
        }
        if let Ok(conf) = wgconf::parse(&text.into_iter().collect::<String>()) {
            assert_eq!(wgconf::parse(emit(&conf).reveal()).unwrap().tunnel, conf.tunnel);
        }
    }
}
