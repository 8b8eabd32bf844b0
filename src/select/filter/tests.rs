use super::*;
use crate::config::Fastest;
use crate::provider::{Endpoint, Features, ProviderKind};

fn server(name: &str, change: impl FnOnce(&mut Server)) -> Server {
    let mut server = Server {
        provider: ProviderKind::Proton,
        id: format!("id-{name}"),
        name: name.to_owned(),
        host: None,
        country: Country::parse(&name[..2]),
        city: None,
        region: None,
        load: None,
        score: None,
        features: Features::default(),
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    };
    change(&mut server);
    server
}

fn any() -> Wanted {
    Wanted {
        countries: Vec::new(),
        city: None,
        regions: Vec::new(),
        server: None,
        secure_core: false,
        p2p: false,
        threshold: None,
        forwarding: false,
        fastest: Fastest::Ping,
        latency_cutoff: None,
    }
}

fn countries(list: &[&str]) -> Wanted {
    Wanted { countries: list.iter().map(|c| Country::parse(c).unwrap()).collect(), ..any() }
}

fn names(servers: &[Server], wanted: &Wanted) -> Vec<String> {
    shortlist(servers, wanted).unwrap().servers.iter().map(|s| s.name.clone()).collect()
}

fn refusal(servers: &[Server], wanted: &Wanted) -> String {
    shortlist(servers, wanted).unwrap_err().to_string()
}

fn scored(name: &str, score: f64, load: u8, forwards: bool) -> Server {
    server(name, |s| {
        (s.score, s.load) = (Some(score), Some(load));
        s.features.forwards = Some(forwards);
        s.features.p2p = forwards;
    })
}

#[test]
fn the_order_is_score_then_load_then_name() {
    let list = [
        scored("NL#12", 2.0, 40, true),
        scored("NL#3", 1.0, 90, true),
        scored("NL#2", 2.0, 10, true),
        server("NL#10", |_| ()),
        server("NL#9", |_| ()),
    ];
    assert_eq!(names(&list, &any()), ["NL#3", "NL#2", "NL#12", "NL#9", "NL#10"]);
}

#[test]
fn countries_come_in_the_order_of_preference() {
    let list = [scored("CH#1", 1.0, 1, true), scored("NL#1", 9.0, 1, true), scored("DE#1", 0.1, 1, true)];
    assert_eq!(names(&list, &countries(&["nl", "ch"])), ["NL#1", "CH#1"]);
    assert_eq!(shortlist(&list, &countries(&["NL", "CH"])).unwrap().alike, 1);
    assert_eq!(names(&list, &countries(&["SE", "CH"])), ["CH#1"]);
    assert_eq!(refusal(&list, &countries(&["SE"])), "no server matches: --cc SE removed the last 3 servers");
}

#[test]
fn servers_that_forward_ports_come_first_while_the_port_is_wanted() {
    let list = [scored("NL#1", 1.0, 1, false), scored("NL#2", 5.0, 1, true), server("NL#3", |_| ())];
    let wanted = Wanted { forwarding: true, ..any() };
    assert_eq!(names(&list, &wanted), ["NL#2", "NL#3", "NL#1"]);
    assert_eq!(names(&list[..1], &wanted), ["NL#1"]);
    assert_eq!(names(&list, &any()), ["NL#1", "NL#2", "NL#3"]);
}

#[test]
fn p2p_keeps_only_servers_known_to_be_so_and_none_that_does_not_forward() {
    let mut odd = scored("NL#4", 1.0, 1, false);
    odd.features.p2p = true;
    let list = [server("NL#1", |_| ()), scored("NL#2", 1.0, 1, false), odd];
    let wanted = Wanted { p2p: true, forwarding: true, ..any() };
    assert!(refusal(&list, &wanted).contains("forwards no ports, which removed the one server left"));
    assert_eq!(names(&list, &Wanted { p2p: true, ..any() }), ["NL#4"]);
    assert!(refusal(&list[..2], &wanted).contains("--p2p removed the last 2 servers"));
}

#[test]
fn detours_come_last_unless_asked_for_and_secure_core_alone_is_exact() {
    let core = server("CH-NL#1", |s| (s.features.secure_core, s.score) = (true, Some(0.1)));
    let tor = server("CH#9-TOR", |s| (s.features.tor, s.score) = (true, Some(0.1)));
    let list = [core, tor, scored("CH#1", 3.0, 1, false)];
    assert_eq!(names(&list, &any())[0], "CH#1");
    assert_eq!(shortlist(&list, &any()).unwrap().alike, 1);
    assert_eq!(names(&list, &Wanted { secure_core: true, ..any() }), ["CH-NL#1"]);
    assert!(
        refusal(&list[2..], &Wanted { secure_core: true, ..any() })
            .contains("--sc removed the one server left")
    );
}

#[test]
fn a_filter_without_data_removes_nothing_and_one_with_data_does() {
    let files = [server("NL#1", |_| ()), server("home", |_| ())];
    let wanted =
        Wanted { threshold: Some(1), city: Some("Amsterdam".into()), regions: vec!["swiss".into()], ..any() };
    assert_eq!(names(&files, &wanted), ["NL#1", "home"]);
    let loads = [scored("NL#1", 1.0, 61, true), scored("NL#2", 2.0, 60, true)];
    let wanted = Wanted { threshold: Some(60), ..any() };
    assert_eq!(names(&loads, &wanted), ["NL#2"]);
    assert_eq!(
        refusal(&loads[..1], &wanted),
        "no server matches: --threshold 60 removed the one server left"
    );
    assert!(refusal(&files[1..], &countries(&["NL"])).contains("--cc NL"));
}

#[test]
fn cities_are_read_as_people_write_them() {
    let list = [
        server("BR#1", |s| s.city = Some("São Paulo".into())),
        server("CH#1", |s| s.city = Some("Zürich".into())),
        server("CH#2", |_| ()),
    ];
    let city = |c: &str| Wanted { city: Some(c.into()), ..any() };
    assert_eq!(names(&list, &city("sao paulo")), ["BR#1"]);
    assert_eq!(names(&list, &city("ZURICH")), ["CH#1"]);
    assert!(refusal(&list, &city("Bern")).contains("--city Bern removed the last 3 servers"));
}

#[test]
fn a_server_is_named_in_many_ways_and_place_and_load_do_not_matter_then() {
    let list = [
        scored("NL#1", 1.0, 99, true),
        server("NL#2", |s| {
            s.host = Some("node-nl-01.example.net".into());
            s.endpoint = Endpoint::Addr("[2001:db8::7]:51820".parse().unwrap());
        }),
        server("home", |s| {
            s.id = "nl-31.conf".into();
            s.endpoint = Endpoint::Name { host: "vpn.example".into(), port: 1 };
        }),
    ];
    let named = |n: &str| Wanted { server: Some(n.into()), threshold: Some(5), ..countries(&["CH"]) };
    for (name, is) in [
        ("nl#1", "NL#1"),
        ("203.0.113.11", "NL#1"),
        ("203.0.113.11:51820", "NL#1"),
        ("NODE-nl-01.example.net", "NL#2"),
        ("2001:db8::7", "NL#2"),
        ("id-NL#2", "NL#2"),
        ("vpn.example", "home"),
        ("nl-31.conf", "home"),
        ("nl-31", "home"),
    ] {
        assert_eq!(names(&list, &named(name)), [is], "{name}");
        assert!(shortlist(&list, &named(name)).unwrap().sample().is_empty());
    }
    let error = Error::from(shortlist(&list, &named("NL#7")).unwrap_err());
    assert_eq!(error.exit(), Exit::NoServer);
    assert_eq!(error.to_string(), "no server matches: --server NL#7 is none of 3");
    assert!(refusal(&list, &Wanted { p2p: true, ..named("home") }).contains("--p2p"));
}

#[test]
fn regions_come_in_the_order_of_preference_by_id_or_name() {
    let region =
        |name: &str| server(name, |s| (s.provider, s.region) = (ProviderKind::Pia, Some(name.to_owned())));
    let list = [region("nl_amsterdam"), region("swiss"), region("de-frankfurt")];
    let wanted = Wanted { regions: vec!["Swiss".into(), "nl_amsterdam".into()], ..any() };
    assert_eq!(names(&list, &wanted), ["swiss", "nl_amsterdam"]);
    let nowhere = Wanted { regions: vec!["mars".into()], ..any() };
    assert_eq!(refusal(&list, &nowhere), "no server matches: region mars removed the last 3 servers");
}

#[test]
fn a_region_is_found_by_its_name_for_people_and_by_the_city_in_it() {
    let region = |id: &str, name: &str| {
        server(id, |s| {
            (s.provider, s.region, s.city) = (ProviderKind::Pia, Some(id.to_owned()), Some(name.to_owned()));
        })
    };
    let list =
        [region("de-frankfurt", "DE Frankfurt"), region("swiss", "Switzerland"), region("uk", "UK London")];
    for (asked, found) in [("Switzerland", "swiss"), ("de frankfurt", "de-frankfurt"), ("UK London", "uk")] {
        assert_eq!(names(&list, &Wanted { regions: vec![asked.into()], ..any() }), [found]);
    }
    for (asked, found) in [("London", "uk"), ("frankfurt", "de-frankfurt"), ("switzerland", "swiss")] {
        assert_eq!(names(&list, &Wanted { city: Some(asked.into()), ..any() }), [found]);
    }
}

#[test]
fn the_sample_is_bounded_and_holds_the_best_of_each_city() {
    let list: Vec<Server> = (0..300)
        .map(|n| {
            server(&format!("NL#{n}"), |s| {
                s.score = Some(f64::from(n));
                s.city = Some(if n < 290 { "Amsterdam" } else { "Rotterdam" }.to_owned());
            })
        })
        .collect();
    let short = shortlist(&list, &any()).unwrap();
    let sample: Vec<&str> = short.sample().iter().map(|s| s.name.as_str()).collect();
    assert_eq!(sample.len(), 40);
    assert_eq!(sample[..4], ["NL#0", "NL#290", "NL#1", "NL#291"]);
}

#[test]
fn without_scores_every_region_is_in_the_sample() {
    let list: Vec<Server> =
        (0..160).map(|n| server(&format!("xx{n}"), |s| s.region = Some(format!("xx{n}")))).collect();
    assert_eq!(shortlist(&list, &any()).unwrap().sample().len(), 160);
}

#[test]
fn nothing_to_choose_is_nothing_to_measure_and_an_empty_list_is_said() {
    let one = [server("NL#1", |_| ())];
    assert!(shortlist(&one, &any()).unwrap().sample().is_empty());
    assert_eq!(refusal(&[], &any()), "no server matches: the list is empty");
}

#[test]
fn what_its_provider_does_not_pick_by_itself_comes_last_unless_it_is_named() {
    let region = |name: &str, on_request: bool| {
        server(name, |s| (s.region, s.features.on_request) = (Some(name.to_owned()), on_request))
    };
    let list = [region("nl-so", true), region("nl_x", false), region("se_x", false)];
    assert_eq!(names(&list, &any()), ["nl_x", "se_x", "nl-so"]);
    assert_eq!(names(&list, &countries(&["NL"])), ["nl_x", "nl-so"]);
    let asked = Wanted { regions: vec!["nl-so".into(), "se_x".into()], ..any() };
    assert_eq!(names(&list, &asked), ["nl-so", "se_x"]);
}
