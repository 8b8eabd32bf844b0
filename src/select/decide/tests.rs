use super::*;
use crate::provider::{Country, Endpoint, Features, ProviderKind};
use crate::time::secs;

fn server(name: &str, score: f64) -> Server {
    Server {
        provider: ProviderKind::Proton,
        id: name.to_owned(),
        name: name.to_owned(),
        host: None,
        country: Country::parse("NL"),
        city: None,
        region: None,
        load: Some(31),
        score: Some(score),
        features: Features::default(),
        endpoint: Endpoint::Addr("203.0.113.11:51820".parse().unwrap()),
        tcp_probe: None,
        exit_address: None,
    }
}

fn three() -> [Server; 3] {
    [server("a", 1.0), server("b", 2.0), server("c", 3.0)]
}

fn list(servers: &[Server]) -> Shortlist<'_> {
    Shortlist { servers: servers.iter().collect(), alike: servers.len(), named: false }
}

/// Samples with these round trips in tenths of a millisecond and losses.
fn samples<'a>(servers: &'a [Server], measured: &[(Option<u64>, u8)]) -> Vec<Sample<'a>> {
    let one = |(s, &(rtt, lost)): (&'a Server, &(Option<u64>, u8))| {
        (s, Measured { sent: 3, received: 3 - lost, rtt: rtt.map(|t| Duration::from_micros(t * 100)) })
    };
    servers.iter().zip(measured).map(one).collect()
}

const NOW: Instant = Instant::from_boot(secs(10_000));

fn order(
    servers: &[Server],
    measured: &[(Option<u64>, u8)],
    in_use: Option<&str>,
    memory: &Memory,
) -> (String, Choice) {
    let list = list(servers);
    let decision = decide(&list, &samples(servers, measured), in_use, memory, NOW);
    (decision.servers.iter().map(|s| s.name.as_str()).collect(), decision.choice)
}

#[test]
fn the_smallest_round_trip_wins_and_silent_ones_come_last_by_score() {
    let (names, choice) =
        order(&three(), &[(None, 3), (Some(300), 0), (Some(120), 0)], None, &Memory::default());
    assert_eq!(names, "cba");
    assert_eq!((choice.by, choice.candidates), (By::Ping, 3));
    assert_eq!(choice.reason, "c answered in 12.0 ms, best of 2 that answered of 3 asked");
}

#[test]
fn near_ties_are_decided_by_score() {
    let (names, _) =
        order(&three(), &[(Some(206), 0), (Some(300), 0), (Some(201), 0)], None, &Memory::default());
    assert_eq!(names, "acb");
    let (names, _) =
        order(&three(), &[(Some(220), 0), (Some(300), 0), (Some(200), 0)], None, &Memory::default());
    assert_eq!(names, "cab");
}

#[test]
fn a_loss_counts_against_but_less_than_a_tenth() {
    let (names, _) =
        order(&three(), &[(Some(200), 2), (Some(200), 0), (Some(900), 0)], None, &Memory::default());
    assert_eq!(names, "bac");
    let (names, _) =
        order(&three(), &[(Some(200), 2), (Some(230), 0), (Some(900), 0)], None, &Memory::default());
    assert_eq!(names, "abc");
}

#[test]
fn silence_of_all_falls_back_to_the_list_and_says_so() {
    let (names, choice) = order(&three(), &[(None, 3); 3], None, &Memory::default());
    assert_eq!((names.as_str(), choice.by, choice.candidates), ("abc", By::Api, 3));
    assert_eq!(choice.reason, "a: none of 3 answered a ping, so the provider's order of 3 decides");
    let mut memory = Memory::default();
    memory.note_rtt("b", millis(9), NOW);
    assert_eq!(order(&three(), &[(None, 3); 3], None, &memory).0, "bac");
}

#[test]
fn by_the_list_alone_the_reason_is_score_and_load() {
    let (names, choice) = order(&three(), &[], None, &Memory::default());
    assert_eq!(names, "abc");
    assert_eq!((choice.by, choice.reason.as_str()), (By::Api, "a is first of 3 by score 1.00, load 31 %"));
    assert_eq!(order(&three()[..1], &[], None, &Memory::default()).1.by, By::Only);
}

#[test]
fn a_server_that_failed_lately_stands_behind_the_others_until_that_has_faded() {
    let servers = three();
    let mut memory = Memory::default();
    memory.note_failure("c", NOW);
    let measured = [(Some(300), 0), (None, 3), (Some(100), 0)];
    assert_eq!(order(&servers, &measured, None, &memory).0, "abc");
    let list = list(&servers);
    let later = decide(&list, &samples(&servers, &measured), None, &memory, NOW + secs(3_600));
    assert_eq!(later.servers[0].name, "c");
}

#[test]
fn the_one_in_use_is_kept_unless_another_is_clearly_faster() {
    let none = Memory::default();
    let (names, choice) =
        order(&three(), &[(Some(170), 0), (Some(200), 0), (Some(400), 0)], Some("b"), &none);
    assert_eq!((names.as_str(), choice.by), ("bac", By::Kept));
    assert_eq!(choice.reason, "b is kept at 20.0 ms: none is clearly faster");
    let (names, choice) =
        order(&three(), &[(Some(140), 0), (Some(200), 0), (Some(400), 0)], Some("b"), &none);
    assert_eq!((names.as_str(), choice.by), ("abc", By::Ping));
    let short = [(Some(20), 0), (Some(40), 0), (Some(400), 0)]; // half, but by two milliseconds
    assert_eq!(order(&three(), &short, Some("b"), &none).0, "bac");
}

#[test]
fn where_all_have_failed_the_one_that_did_so_last_is_tried_last() {
    let mut memory = Memory::default();
    for (nth, id) in ["b", "a", "c"].into_iter().enumerate() {
        memory.note_failure(id, NOW + secs(nth as u64));
    }
    let servers = three();
    let samples = samples(&servers, &[(Some(300), 0), (Some(200), 0), (Some(100), 0)]);
    let decision = decide(&list(&servers), &samples, None, &memory, NOW + secs(3));
    assert_eq!(decision.servers.iter().map(|s| s.name.as_str()).collect::<String>(), "bac");
}

#[test]
fn a_failed_or_vanished_one_is_not_kept() {
    let mut memory = Memory::default();
    memory.note_failure("b", NOW);
    let measured = [(Some(190), 0), (Some(200), 0), (Some(400), 0)];
    assert_eq!(order(&three(), &measured, Some("b"), &memory).0, "acb");
    assert_eq!(order(&three(), &measured, Some("gone"), &Memory::default()).0, "abc");
}

#[test]
fn less_preferred_servers_stay_behind_however_fast() {
    let servers = three();
    let list = Shortlist { alike: 2, ..list(&servers) };
    let measured = samples(&servers, &[(Some(400), 0), (Some(300), 0), (Some(10), 0)]);
    let decision = decide(&list, &measured, None, &Memory::default(), NOW);
    assert_eq!(decision.servers.iter().map(|s| s.name.as_str()).collect::<String>(), "bac");
}
