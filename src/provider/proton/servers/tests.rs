use super::*;
use crate::time::UnixTime;

/// One entry as the API sends it (tn3w/ProtonVPN-IPs, addresses altered), and odd ones beside it.
const LIST: &str = r#"{"Code":1000,"ResponseMetadata":{"ListIsTruncated":false},"LogicalServers":[
 {"Name":"NL#85","EntryCountry":"NL","ExitCountry":"NL","Domain":"node-nl-47.protonvpn.net","Tier":2,"Features":28,"Region":null,"City":"Amsterdam","State":null,
  "Score":2.9952726917,"HostCountry":null,"OrganizationID":null,"VPNGatewayID":null,
  "ID":"cEBxV2t9_FtWduGivvZpDiFMUk5RtvluabsO-IZzYpVl1SqTE0dNKT3iDBKHka0XJM45sOo8ZvVUBoAYx0d06A==",
  "Location":{"Lat":52.37,"Long":4.89},"Status":1,"Load":37,
  "Servers":[{"EntryIP":"192.0.2.129","ExitIP":"192.0.2.130","Domain":"node-nl-47.protonvpn.net",
   "ID":"TMRNK0HTOsnr2RuXFAE1pcxvgBiFk5nFjqYHE5IgxqxiH2CX_XELv9iQx0GfCD5bnD4tDceYFItPtUDRPPfLAA==",
   "Label":"0","X25519PublicKey":"+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=","Generation":0,"Status":1,"ServicesDown":0,"ServicesDownReason":null}]},
 {"Name":"IS-NL#1","EntryCountry":"IS","ExitCountry":"NL","Domain":"is-nl-01.protonvpn.net","Tier":2,"Features":1,"City":null,"Score":3,"HostCountry":"IS","ID":"sc","Status":1,"Load":5,"State":[],
  "Servers":[{"EntryIP":"192.0.2.5","ExitIP":"192.0.2.6","X25519PublicKey":"+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=","Status":1,"EntryIPv6":"2001:db8::5"}]},
 {"Name":"UK#12","ExitCountry":"UK","Domain":"uk-12.protonvpn.net","Tier":2,"Features":4,"City":"London","Score":1.5,"HostCountry":"DE","ID":"uk12","Status":1,"Load":80,
  "Servers":[{"EntryIP":"192.0.2.20","ExitIP":"192.0.2.21","X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","Status":0},
             {"EntryIP":"192.0.2.22","ExitIP":"192.0.2.23","X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","Status":1},
             {"EntryIP":"192.0.2.24","ExitIP":null,"X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","Status":1}]},
 {"Name":"UK#2","ExitCountry":"UK","Domain":"uk-2.protonvpn.net","Tier":2,"Features":4,"City":"London","Score":1,"ID":"uk2","Status":0,"Load":1,
  "Servers":[{"EntryIP":"192.0.2.30","X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","Status":1}]},
 {"Name":"NL-FREE#3","ExitCountry":"NL","Domain":"nl-free-3.protonvpn.net","Tier":0,"Features":0,"City":"Amsterdam","Score":9,"ID":"free3","Status":1,"Load":"much",
  "Servers":[{"EntryIP":"192.0.2.40","X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=","Status":1}]},
 {"Name":"DE#1","ExitCountry":"DE","Tier":2,"Features":4,"ID":"de1","Status":1,"Load":1,"Servers":{}},
 {"Name":"DE#2","ExitCountry":"DE","Tier":2,"Features":4,"ID":"de2","Status":1,"Load":1,
  "Servers":[{"EntryIP":"not an address","X25519PublicKey":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},{"EntryIP":"192.0.2.50","X25519PublicKey":"short"},null]},
 null, 7]}"#;

fn list() -> ServerList {
    ServerList::parse(LIST.as_bytes()).unwrap()
}

/// The file of this list.
fn text_of(list: &ServerList, stamp: &Stamp) -> String {
    let mut text = String::new();
    let end: Result<(), ()> = list.emit(stamp, &mut |piece| {
        text.push_str(piece);
        Ok(())
    });
    assert!(end.is_ok());
    text
}

fn account(max_tier: u8) -> Account {
    Account { plan: "x".to_owned(), max_tier, max_connect: 1, is_locked: false, read_at: UnixTime(0) }
}

fn shown(list: &ServerList, max_tier: u8, prefer: Option<&str>) -> Vec<Server> {
    let account = account(max_tier);
    let prefer = prefer.map(|a| a.parse().unwrap());
    let mut servers = Vec::new();
    list.visit(&View { account: Some(&account), port: 51820, prefer, dice: 0 }, |s| servers.push(s));
    servers
}

fn names(servers: &[Server]) -> Vec<&str> {
    servers.iter().map(|s| s.name.as_str()).collect()
}

#[test]
fn a_server_is_read_with_all_that_is_known() {
    let servers = shown(&list(), 2, None);
    let nl = servers.iter().find(|s| s.name == "NL#85").unwrap();
    assert_eq!(nl.country, Country::parse("NL"));
    assert_eq!(nl.city.as_deref(), Some("Amsterdam"));
    assert_eq!(nl.host.as_deref(), Some("node-nl-47.protonvpn.net"));
    assert_eq!((nl.load, nl.score), (Some(37), Some(2.9952726917)));
    assert_eq!(nl.endpoint.to_string(), "192.0.2.129:51820");
    assert_eq!(nl.exit_address, Some("192.0.2.130".parse().unwrap()));
    assert_eq!(nl.features.words(), ["p2p", "streaming", "ipv6", "port-forwarding"]);
}

#[test]
fn numbers_that_become_strings_change_nothing() {
    let mut text = LIST.to_owned();
    for key in ["Tier", "Features", "Score", "Load", "Status", "Code"] {
        let parts: Vec<&str> = text.split(&format!("\"{key}\":")).collect();
        let quoted = parts.iter().skip(1).map(|part| {
            let end = part.find([',', '}']).unwrap();
            let (value, rest) = part.split_at(end);
            format!("\"{key}\":\"{}\"{rest}", value.trim_matches('"'))
        });
        text = format!("{}{}", parts[0], quoted.collect::<String>());
    }
    let changed = ServerList::parse(text.as_bytes()).unwrap();
    assert_eq!(shown(&changed, 2, None), shown(&list(), 2, None));
}

#[test]
fn a_name_that_would_be_more_than_a_line_is_none() {
    let text = LIST.replace("NL#85", "NL#85\\n[Peer]\\nEndpoint = 192.0.2.66:1");
    let list = ServerList::parse(text.as_bytes()).unwrap();
    assert_eq!(names(&shown(&list, 2, None)), ["IS-NL#1", "NL-FREE#3", "UK#12"]);
}

#[test]
fn an_entry_that_comes_out_at_several_places_has_no_known_one() {
    let text = LIST.replace("192.0.2.24", "192.0.2.22");
    let list = ServerList::parse(text.as_bytes()).unwrap();
    let exit = |list: &ServerList| {
        let servers = shown(list, 2, Some("192.0.2.22"));
        servers.iter().find(|s| s.name == "UK#12").unwrap().exit_address
    };
    assert_eq!(exit(&list), None);
    assert_eq!(exit(&self::list()), Some("192.0.2.23".parse().unwrap()));
}

#[test]
fn servers_come_in_the_order_of_their_numbers_without_offline_and_senseless_ones() {
    assert_eq!(names(&shown(&list(), 2, None)), ["IS-NL#1", "NL#85", "NL-FREE#3", "UK#12"]);
}

#[test]
fn a_free_account_sees_its_tier_and_no_forwarding() {
    let servers = shown(&list(), 0, None);
    assert_eq!(names(&servers), ["NL-FREE#3"]);
    assert_eq!(servers[0].features.forwards, Some(false));
    assert_eq!(servers[0].load, None);
}

#[test]
fn secure_core_has_no_city_and_forwards_nothing() {
    let servers = shown(&list(), 2, None);
    let sc = &servers[0];
    assert_eq!((sc.city.as_deref(), sc.features.forwards), (None, Some(false)));
    assert!(sc.features.secure_core && sc.features.virtual_location);
    assert_eq!(sc.score, Some(3.0));
}

#[test]
fn only_enabled_physical_servers_are_picked_and_one_can_be_asked_for() {
    for dice in 0..50 {
        let list = list();
        let mut seen = Vec::new();
        list.visit(&View { account: None, port: 1, prefer: None, dice }, |s| seen.push(s));
        let uk = seen.iter().find(|s| s.name == "UK#12").unwrap().endpoint.to_string();
        assert!(["192.0.2.22:1", "192.0.2.24:1"].contains(&uk.as_str()), "{uk}");
    }
    let uk = |prefer| shown(&list(), 2, Some(prefer)).pop().unwrap().endpoint.to_string();
    assert_eq!(uk("192.0.2.24"), "192.0.2.24:51820");
    assert_eq!(uk("192.0.2.22"), "192.0.2.22:51820");
}

#[test]
fn the_british_are_found_by_their_iso_code() {
    let servers = shown(&list(), 2, None);
    let uk = servers.iter().find(|s| s.name == "UK#12").unwrap();
    assert_eq!(uk.country, Country::parse("GB"));
    assert!(uk.features.virtual_location);
}

#[test]
fn an_entry_is_found_again_with_its_key() {
    let list = list();
    let entry = list.find("IS-NL#1", "192.0.2.5".parse().unwrap()).unwrap();
    assert_eq!(entry.public_key.to_string(), "+HCLUCm6PdbDIaKtEM3pOWBEKSB/UdpBwRY5cNl6ZnI=");
    assert!(entry.has_ipv6);
    assert!(list.find("UK#12", "192.0.2.20".parse().unwrap()).is_none(), "down");
    assert!(list.find("UK#2", "192.0.2.30".parse().unwrap()).is_none(), "down");
    assert!(list.find("NL#85", "192.0.2.5".parse().unwrap()).is_none(), "another's address");
}

#[test]
fn a_cut_list_is_no_list() {
    for cut in (0..LIST.len()).step_by(7) {
        assert!(ServerList::parse(&LIST.as_bytes()[..cut]).is_err(), "{cut}");
    }
    for bad in ["", "{}", "[]", "<html>", r#"{"Code":8002,"LogicalServers":[]}"#, r#"{"LogicalServers":{}}"#]
    {
        assert!(ServerList::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(ServerList::parse(&br#"{"Code":1000,"LogicalServers":[]}"#[..]).unwrap().is_empty());
}

#[test]
fn the_cache_reads_back_what_was_kept() {
    let stamp = Stamp {
        last_modified: Some("Sat, 21 Nov 2026 01:00:00 GMT".to_owned()),
        checked_at: UnixTime(1_700_000_000),
        loads_at: UnixTime(1_700_000_100),
    };
    let text = text_of(&list(), &stamp);
    let (again, kept) = ServerList::read(text.as_bytes()).unwrap().unwrap();
    assert_eq!(kept, stamp);
    assert_eq!(shown(&again, 2, None), shown(&list(), 2, None));
    assert_eq!(text_of(&again, &stamp), text);
    assert!(again.find("IS-NL#1", "192.0.2.5".parse().unwrap()).unwrap().has_ipv6);
}

#[test]
fn a_damaged_cache_is_refused_and_never_panics() {
    let text = text_of(&list(), &Stamp::default());
    for cut in (0..text.len() - 1).step_by(3) {
        assert!(ServerList::read(&text.as_bytes()[..cut]).is_err(), "{cut}");
    }
    let other = text.replace("\"version\":1", "\"version\":2");
    assert!(ServerList::read(other.as_bytes()).unwrap().is_none());
    let mut state = 7_u64;
    for _ in 0..2_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bytes = text.clone().into_bytes();
        let at = (state >> 33) as usize % bytes.len();
        bytes[at] = b"0123456789,[]\""[(state >> 20) as usize % 14];
        if let Ok(Some((list, _))) = ServerList::read(bytes.as_slice()) {
            let _ = shown(&list, 2, None);
        }
    }
}

#[test]
fn loads_are_merged_by_id_and_unknown_ids_passed_over() {
    let mut list = list();
    let loads = r#"{"Code":1000,"LogicalServers":[{"ID":"uk2","Load":3,"Score":0.5,"Status":1},{"ID":"nobody","Load":1},
        {"ID":"uk12","Load":101,"Score":null,"Status":0},{"ID":"sc","Load":6,"Score":4}]}"#;
    assert_eq!(list.merge_loads(loads.as_bytes()), Ok(3));
    let servers = shown(&list, 2, None);
    assert_eq!(names(&servers), ["IS-NL#1", "NL#85", "NL-FREE#3", "UK#2"]);
    assert_eq!((servers[3].load, servers[3].score), (Some(3), Some(0.5)));
    assert_eq!((servers[0].load, servers[0].score), (Some(6), Some(4.0)));
}

#[test]
fn cut_loads_change_nothing() {
    let mut list = list();
    let loads = r#"{"Code":1000,"LogicalServers":[{"ID":"uk2","Load":3,"Status":1},{"ID":"#;
    assert!(list.merge_loads(loads.as_bytes()).is_err());
    assert_eq!(shown(&list, 2, None), shown(&self::list(), 2, None));
}

#[test]
fn a_long_list_stays_small() {
    let mut text = String::from(r#"{"Code":1000,"LogicalServers":["#);
    let one = &LIST[LIST.find("{\"Name\":\"NL#85\"").unwrap()..LIST.find("\n {\"Name\":\"IS-NL").unwrap()];
    for n in 0..2_000 {
        text.push_str(
            &one.replace("NL#85", &format!("NL#{n}"))
                .replace("192.0.2.129", &format!("192.0.{}.{}", n / 256, n % 256)),
        );
    }
    text.truncate(text.len() - 1);
    text.push_str("]}");
    let list = ServerList::parse(text.as_bytes()).unwrap();
    assert_eq!(list.len(), 2_000);
    let held = size_of::<Logical>() * list.logicals.capacity()
        + size_of::<Physical>() * list.physicals.capacity()
        + list.texts.bytes.capacity()
        + 4 * list.texts.ends.capacity()
        + 32 * list.keys.capacity();
    assert!(held * 7 < text.len(), "{held} of {}", text.len());
    assert!(text_of(&list, &Stamp::default()).len() * 6 < text.len());
}
