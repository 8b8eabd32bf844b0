use super::*;

/// As PIA sends it, cut down to two regions (list of 2026-07-29, pia-foss/mobile-android), and odd ones beside them.
const LIST: &str = r#"{"groups":{"wg":[{"name":"wireguard","ports":[1337]}],"meta":[{"name":"meta","ports":[443,8080]}],
"ovpnudp":[{"name":"openvpn_udp","ports":[8080,853,123,53]}],"ikev2":[{"name":"ikev2","ports":[500,4500]}]},
"regions":[
{"id":"swiss","name":"Switzerland","country":"CH","auto_region":true,"dns":"switzerland.pvt.site","port_forward":true,
 "geo":false,"offline":false,"servers":{
  "wg":[{"ip":"195.177.93.243","cn":"Server-12621-0a"},{"ip":"195.177.93.140","cn":"Server-12619-0a"}],
  "meta":[{"ip":"195.177.93.250","cn":"Server-12621-0a"},{"ip":"195.177.93.32","cn":"Server-12619-0a"}],
  "ovpnudp":[{"ip":"195.177.93.88","cn":"Server-12621-0a","van":true}]}},
{"id":"us_atlanta","name":"US Atlanta","country":"US","auto_region":true,"dns":"us-atlanta.pvt.site",
 "port_forward":false,"geo":false,"offline":false,"servers":{
  "wg":[{"ip":"72.9.243.3","cn":"Server-10759-2a"}],"meta":[{"ip":"72.9.243.18","cn":"Server-10759-2a"}]}},
{"id":"be-so","name":"BE Belgium Streaming Optimized","country":"BE","auto_region":false,"port_forward":true,"geo":true,"servers":{
  "awg":[{"ip":"192.0.2.1","cn":"x","port":9}],"wg":[{"ip":"192.0.2.2","cn":"brussels402"}]}},
{"id":"gone","name":"Gone","country":"NL","port_forward":true,"offline":true,"servers":{"wg":[{"ip":"192.0.2.3","cn":"a"}]}},
{"id":"none","name":"None","country":"NL","port_forward":true,"servers":{}},
{"id":"odd","country":7,"servers":{"wg":[{"ip":"not an address","cn":"a"},{"ip":"192.0.2.4","cn":"a/../b"},{"ip":"2001:db8::1","cn":"a"},
  {"cn":"a"},{"ip":"192.0.2.5"},null,7]}},
{"id":"../escape","servers":{"wg":[{"ip":"192.0.2.6","cn":"a"}]}},
{"name":"nameless","servers":{"wg":[{"ip":"192.0.2.7","cn":"a"}]}},
null, 7, []]}"#;

fn listed() -> Vec<Server> {
    servers(&parse(LIST.as_bytes()).unwrap())
}

#[test]
fn each_wireguard_server_is_one_with_its_region_as_name() {
    let all = listed();
    let ids: Vec<&str> = all.iter().map(|s| s.id.as_str()).collect();
    let expected =
        ["swiss/Server-12621-0a", "swiss/Server-12619-0a", "us_atlanta/Server-10759-2a", "be-so/brussels402"];
    assert_eq!(ids, expected);
    let s = &all[1];
    assert_eq!(
        (s.provider, s.name.as_str(), s.region.as_deref()),
        (ProviderKind::Pia, "swiss", Some("swiss"))
    );
    assert_eq!((s.city.as_deref(), s.host.as_deref()), (Some("Switzerland"), Some("Server-12619-0a")));
    assert_eq!(s.country.unwrap().as_str(), "CH");
    assert_eq!(s.endpoint.to_string(), "195.177.93.140:1337");
    // The meta address of the same server, not of the first.
    assert_eq!(s.tcp_probe, Some("195.177.93.32:443".parse().unwrap()));
    assert_eq!((s.load, s.score, s.exit_address), (None, None, None));
}

#[test]
fn the_flags_of_the_list_become_features() {
    let all = listed();
    assert_eq!(all[0].features.words(), ["p2p", "port-forwarding"]);
    assert_eq!((all[2].features.forwards, all[2].features.words()), (Some(false), vec![]));
    assert_eq!(all[3].features.words(), ["p2p", "streaming", "port-forwarding", "virtual"]);
    assert_eq!(all[3].tcp_probe, None);
    assert!(all[3].features.on_request && !all[0].features.on_request);
}

#[test]
fn the_port_is_the_lists_wherever_it_stands_in_it() {
    let regions = r#""regions":[{"id":"a","servers":{"wg":[{"ip":"192.0.2.1","cn":"b"}]}}]"#;
    let port = |groups: &str| {
        let [before, after] = [format!("{{{groups},{regions}}}"), format!("{{{regions},{groups}}}")];
        let ports = [before, after].map(|t| parse(t.as_bytes()).unwrap()[0].port);
        assert_eq!(ports[0], ports[1]);
        ports[0]
    };
    assert_eq!(port(r#""groups":{"wg":[{"ports":[51820,7],"name":"w"}]}"#), 51_820);
    for odd in [
        r#""groups":null"#,
        r#""groups":{"wg":[]}"#,
        r#""groups":{"wg":[{"ports":["x"]}]}"#,
        r#""groups":{"wg":[{"ports":[0]}]}"#,
        r#""groups":{"wg":[{"ports":[65536]}]}"#,
        r#""groups":{"wg":[{"ports":7},7]}"#,
        r#""groups":{"wg":{"ports":[1]}}"#,
    ] {
        assert_eq!(port(odd), 1337, "{odd}");
    }
}

#[test]
fn no_shorter_list_is_one_and_none_panics() {
    for n in 0..LIST.len() {
        assert!(parse(&LIST.as_bytes()[..n]).is_err(), "{n} bytes");
    }
    assert!(parse(format!("{LIST}x").as_bytes()).is_err());
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..3_000 {
        let mut b = LIST.as_bytes().to_vec();
        for _ in 0..4 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let at = state as usize % b.len();
            b[at] = (state >> 32) as u8;
        }
        if let Ok(regions) = parse(&b) {
            servers(&regions);
        }
    }
}
