use super::super::probe::Measured;
use super::*;
use crate::config::Fastest;
use crate::provider::{Country, Endpoint, Features, ProviderKind};
use crate::time::{Duration, millis, secs};

const NOW: Instant = Instant::from_boot(secs(100_000));

fn server(region: &str, n: u8, cc: &str) -> Server {
    Server {
        provider: ProviderKind::Pia,
        id: format!("{region}/{n}"),
        name: region.to_owned(),
        host: Some(format!("{region}{n}")),
        country: Country::parse(cc),
        city: Some(format!("City of {region}")),
        region: Some(region.to_owned()),
        load: None,
        score: None,
        features: Features { forwards: Some(region != "us"), p2p: region != "us", ..Features::default() },
        endpoint: Endpoint::Addr(format!("203.0.113.{n}:1337").parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

/// Two servers of swiss, one of each other.
fn all() -> Vec<Server> {
    vec![server("swiss", 1, "CH"), server("swiss", 2, "CH"), server("uk", 3, "GB"), server("us", 4, "US")]
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
        forwarding: true,
        fastest: Fastest::Ping,
        latency_cutoff: None,
    }
}

fn regions(names: &[&str]) -> Wanted {
    Wanted { regions: names.iter().map(|n| (*n).to_owned()).collect(), ..any() }
}

fn countries(names: &[&str]) -> Wanted {
    Wanted { countries: names.iter().map(|n| Country::parse(n).unwrap()).collect(), ..any() }
}

fn failed(ids: &[&str], ago: Duration) -> Memory {
    let mut memory = Memory::default();
    for id in ids {
        memory.note_failure(id, Instant::from_boot(NOW.since(Instant::BOOT + ago)));
    }
    memory
}

/// The outlook in words; `rtts` in ms by id, 0 for no answer, below zero for one of three lost.
fn seen(current: usize, wanted: &Wanted, rtts: &[(&str, i64)], memory: &Memory) -> String {
    let servers = all();
    let list = shortlist(&servers, wanted).unwrap();
    let sample = |s: &&'static str| servers.iter().find(|server| server.id == **s).unwrap();
    let samples: Vec<Sample<'_>> = rtts
        .iter()
        .map(|(id, ms)| {
            let received = match ms {
                0 => 0,
                1.. => 3,
                _ => 2,
            };
            let rtt = (received > 0).then(|| millis(ms.unsigned_abs()));
            let id: &'static str = Box::leak((*id).to_owned().into_boxed_str());
            (sample(&id), Measured { sent: 3, received, rtt })
        })
        .collect();
    match outlook(&list, &samples, &servers[current], wanted, memory, NOW) {
        Outlook::Best => "best".into(),
        Outlook::Later => "later".into(),
        Outlook::Back(s) => s.id.clone(),
    }
}

#[test]
fn each_part_of_a_wish_is_met_or_not() {
    let swiss = &all()[0];
    let named = |name: &str| Wanted { server: Some(name.into()), ..any() };
    let city = |name: &str| Wanted { city: Some(name.into()), ..any() };
    for wanted in [any(), countries(&["GB", "CH"]), regions(&["uk", "Swiss"]), city("city of swiss")] {
        assert!(meets(swiss, &wanted), "{wanted:?}");
    }
    for name in ["swiss", "SWISS1", "swiss/1", "203.0.113.1"] {
        assert!(meets(swiss, &named(name)), "{name}");
    }
    assert!(meets(swiss, &Wanted { p2p: true, ..any() }));
    let others = [countries(&["GB"]), regions(&["uk"]), city("London"), named("uk"), named("203.0.113.3")];
    for wanted in others {
        assert!(!meets(swiss, &wanted), "{wanted:?}");
    }
    assert!(!meets(swiss, &Wanted { secure_core: true, ..any() }));
    assert!(!meets(&all()[3], &Wanted { p2p: true, ..any() }));
    let loaded = Server { load: Some(70), ..swiss.clone() };
    assert!(!meets(&loaded, &Wanted { threshold: Some(60), ..any() }));
    assert!(meets(swiss, &Wanted { threshold: Some(60), ..any() }), "its load is not known");
}

#[test]
fn the_first_choice_is_the_first_of_the_places_asked_for() {
    let swiss = &all()[0];
    for wanted in [any(), regions(&["swiss", "uk"]), countries(&["CH"])] {
        assert!(is_first_choice(swiss, &wanted), "{wanted:?}");
    }
    for wanted in [regions(&["uk", "swiss"]), countries(&["GB", "CH"])] {
        assert!(!is_first_choice(swiss, &wanted), "{wanted:?}");
    }
}

#[test]
fn a_preferred_region_is_gone_back_to_once_its_failures_fade_and_it_answers() {
    let wanted = regions(&["swiss", "uk"]);
    let both = ["swiss/1", "swiss/2"];
    let calm = [("swiss/1", 30), ("swiss/2", 20), ("uk/3", 5)];
    assert_eq!(seen(2, &wanted, &calm, &failed(&both, secs(1700))), "later");
    assert_eq!(seen(2, &wanted, &calm, &failed(&both, secs(1900))), "swiss/2");
    assert_eq!(seen(2, &wanted, &calm, &failed(&["swiss/2"], secs(60))), "swiss/1");
    let lossy = [("swiss/1", -30), ("swiss/2", -20), ("uk/3", 5)];
    assert_eq!(seen(2, &wanted, &lossy, &failed(&both, secs(1900))), "later");
    assert_eq!(seen(1, &wanted, &calm, &Memory::default()), "best");
}

#[test]
fn who_never_answered_a_probe_is_tried_by_handshake_and_who_did_is_waited_for() {
    let wanted = regions(&["swiss", "uk"]);
    let silent = [("swiss/1", 0), ("swiss/2", 0), ("uk/3", 5)];
    assert_eq!(seen(2, &wanted, &silent, &Memory::default()), "swiss/1");
    let mut memory = Memory::default();
    for id in ["swiss/1", "swiss/2"] {
        memory.note_rtt(id, millis(20), NOW);
    }
    assert_eq!(seen(2, &wanted, &silent, &memory), "later");
    assert_eq!(seen(2, &wanted, &[], &memory), "swiss/1", "nothing was measured");
}

#[test]
fn a_faster_one_of_equals_is_gone_back_to_only_if_it_is_clearly_faster() {
    let near = [("swiss/1", 9), ("swiss/2", 12), ("uk/3", 40)];
    assert_eq!(seen(2, &any(), &near, &Memory::default()), "swiss/1");
    assert_eq!(seen(1, &any(), &near, &Memory::default()), "best");
    assert_eq!(seen(2, &any(), &near, &failed(&["swiss/1", "swiss/2"], secs(60))), "later");
    assert_eq!(seen(2, &any(), &[], &Memory::default()), "best", "nothing is known of their speed");
}

#[test]
fn a_server_without_ports_is_left_for_one_that_forwards_and_a_named_one_for_none() {
    let all = [("swiss/1", 90), ("swiss/2", 90), ("uk/3", 40), ("us/4", 5)];
    assert_eq!(seen(3, &any(), &all, &Memory::default()), "uk/3");
    let named = Wanted { server: Some("us".into()), ..any() };
    assert_eq!(seen(3, &named, &[], &Memory::default()), "best");
}

#[test]
fn those_who_may_be_better_are_measured_with_the_one_in_use() {
    let servers = all();
    let ids = |wanted: &Wanted, current: usize| {
        let list = shortlist(&servers, wanted).unwrap();
        let rivals = rivals(&list, &servers[current], wanted);
        rivals.iter().map(|s| s.id.clone()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(&regions(&["swiss", "uk"]), 2), "swiss/1 swiss/2 uk/3");
    assert_eq!(ids(&regions(&["uk", "swiss"]), 2), "uk/3");
    assert_eq!(ids(&any(), 3), "swiss/1 swiss/2 uk/3 us/4");
}
