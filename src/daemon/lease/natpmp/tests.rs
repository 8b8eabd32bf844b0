use super::*;
use crate::daemon::lease::PortState::*;

#[test]
fn the_first_request_is_the_one_protons_gateway_wants() {
    let mut lease = lease(at(0));
    assert_eq!(sent(&mut lease), ["address", "udp 0 1"]);
    assert_eq!(hear(&mut lease, 50, udp(0, 40123)), ["address", "tcp 0 1"]);
    assert_eq!(state(&lease, 50), (Asking, None));
    assert_eq!(hear(&mut lease, 100, tcp(0, 40123)), NOTHING);
    assert_eq!(state(&lease, 100), (Held, Some(40123)));
    assert_eq!(lease.poll_timeout(), Some(at(30_075)));
}

#[test]
fn held_port_survives_a_lost_renewal() {
    let mut lease = held(4242);
    assert_eq!(wake(&mut lease, 30_000), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    assert_eq!(wake(&mut lease, 30_250), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    assert_eq!(hear(&mut lease, 30_300, udp(4242, 4242)), NOTHING);
    assert_eq!(wake(&mut lease, 30_550), ["address", "tcp 4242 4242"]); // half a second later TCP alone again
    assert_eq!(hear(&mut lease, 30_700, tcp(4242, 4242)), NOTHING);
    assert_eq!(state(&lease, 30_700), (Held, Some(4242)));
}

#[test]
fn retries_double_to_two_seconds_while_the_lease_lives_and_to_fifteen_at_most_for_ever() {
    let mut lease = held(4242);
    let mut sent_at = Vec::new();
    let mut now = at(30_000);
    while now < at(3_600_000) {
        lease.handle(now, Input::Wake);
        if !sent(&mut lease).is_empty() {
            sent_at.push(now);
        }
        now = lease.poll_timeout().unwrap().max(now);
    }
    let gaps: Vec<u128> = sent_at.windows(2).map(|w| w[1].since(w[0]).as_millis()).collect();
    assert_eq!(gaps[..6], [250, 500, 1000, 2000, 2000, 2000]);
    assert_eq!(gaps.last(), Some(&15_000));
    assert!(gaps.iter().all(|g| *g <= 15_000));
    assert_eq!(state(&lease, 3_600_000), (Doubtful, Some(4242)));
    assert_eq!(lease.view(at(3_600_000)).expires_at, Some(at(60_000)));
    // The gateway is back after an hour and the number is the same: nothing changed for anybody.
    now = lease.poll_timeout().unwrap();
    lease.handle(now, Input::Wake);
    let ms = now.since_boot().as_millis() as u64;
    hear(&mut lease, ms + 20, udp(4242, 4242));
    hear(&mut lease, ms + 30, tcp(4242, 4242));
    assert_eq!(state(&lease, ms + 30), (Held, Some(4242)));
    assert_eq!(lease.view(now).since, Some(at(0)));
}

#[test]
fn a_refused_renewal_is_doubtful_and_asked_again_for_the_same_number() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    hear(&mut lease, 30_010, refused(1, 2));
    assert_eq!(hear(&mut lease, 30_010, refused(2, 2)), NOTHING);
    assert_eq!(state(&lease, 30_010), (Doubtful, Some(4242)));
    assert_eq!(wake(&mut lease, 32_010), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    hear(&mut lease, 32_020, udp(4242, 4242));
    hear(&mut lease, 32_020, tcp(4242, 4242));
    assert_eq!(state(&lease, 32_020), (Held, Some(4242)));
}

#[test]
fn a_gateway_that_refuses_internal_port_zero_is_asked_for_qbittorrents_own_port() {
    let mut lease = lease(at(0));
    sent(&mut lease);
    assert_eq!(hear(&mut lease, 10, refused(1, 2)), ["address", "udp 6881 6881", "tcp 6881 6881"]);
    hear(&mut lease, 20, udp(6881, 6881));
    hear(&mut lease, 20, tcp(6881, 6881));
    assert_eq!(state(&lease, 20), (Held, Some(6881)));
}

#[test]
fn a_gateway_that_refuses_both_ways_makes_ports_unavailable_and_is_asked_on() {
    let mut lease = lease(at(0));
    sent(&mut lease);
    hear(&mut lease, 10, refused(1, 2));
    hear(&mut lease, 20, refused(1, 2));
    assert_eq!(state(&lease, 20), (Asking, None));
    hear(&mut lease, 20, refused(2, 2));
    assert_eq!(state(&lease, 20), (Unavailable, None));
    let text = lease.view(at(20)).text.unwrap();
    assert_eq!(text, "this server does not forward ports: choose one marked p2p");
    assert_eq!(wake(&mut lease, 2020), ["address", "udp 0 1"]); // from the start again
    hear(&mut lease, 2030, udp(0, 5150));
    hear(&mut lease, 2040, tcp(0, 5150));
    assert_eq!(state(&lease, 2040), (Held, Some(5150)));
}

#[test]
fn results_three_and_four_are_waited_out() {
    for result in [3, 4] {
        let mut lease = lease(at(0));
        sent(&mut lease);
        assert_eq!(hear(&mut lease, 10, refused(1, result)), NOTHING);
        assert_eq!(state(&lease, 10), (Asking, None));
        assert_eq!(wake(&mut lease, 2010), ["address", "udp 0 1"]);
    }
}

#[test]
fn a_translated_grant_is_released_and_asked_for_as_it_is_seen() {
    let mut lease = lease(at(0));
    sent(&mut lease);
    hear(&mut lease, 10, refused(1, 2));
    hear(&mut lease, 20, udp(6881, 7001));
    let asked = hear(&mut lease, 20, tcp(6881, 7001));
    assert_eq!(asked, ["release udp 6881", "release tcp 6881", "address", "udp 7001 7001", "tcp 7001 7001"]);
    assert_eq!(state(&lease, 20), (Asking, None));
    assert_eq!(hear(&mut lease, 30, mapped(1, 6881, 7001, 0)), NOTHING); // the release confirmed
    hear(&mut lease, 30, udp(7001, 7001));
    hear(&mut lease, 30, tcp(7001, 7001));
    assert_eq!(state(&lease, 30), (Held, Some(7001)));
}

#[test]
fn a_gateway_that_always_translates_is_not_asked_for_ever() {
    let mut lease = lease(at(0));
    sent(&mut lease);
    hear(&mut lease, 10, refused(1, 2));
    let mut internal = 6881;
    for _ in 0..=4 {
        hear(&mut lease, 20, udp(internal, internal + 1));
        hear(&mut lease, 20, tcp(internal, internal + 1));
        internal += 1;
    }
    assert_eq!(state(&lease, 20), (Held, Some(internal)));
}

#[test]
fn the_lost_protocol_is_asked_for_the_surviving_port() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    hear(&mut lease, 30_010, udp(4242, 4242));
    let asked = hear(&mut lease, 30_010, tcp(4242, 5150));
    assert_eq!(asked, ["release tcp 4242", "address", "tcp 4242 4242"]);
    hear(&mut lease, 30_020, tcp(4242, 4242));
    assert_eq!(state(&lease, 30_020), (Held, Some(4242)));
}

#[test]
fn when_the_published_number_is_gone_for_one_protocol_both_follow_the_other() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    hear(&mut lease, 30_000, tcp(4242, 5150));
    hear(&mut lease, 30_000, udp(4242, 4242));
    hear(&mut lease, 30_000, tcp(4242, 5150));
    let asked = hear(&mut lease, 30_000, tcp(4242, 5150));
    assert_eq!(asked, ["release udp 4242", "release tcp 4242", "address", "udp 5150 5150", "tcp 5150 5150"]);
    hear(&mut lease, 30_000, udp(5150, 5150));
    hear(&mut lease, 30_000, tcp(5150, 5150));
    assert_eq!(state(&lease, 30_000), (Held, Some(5150)));
}

#[test]
fn another_number_from_the_gateway_is_followed() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    hear(&mut lease, 30_000, udp(4242, 4243));
    assert_eq!(state(&lease, 30_000), (Held, Some(4242)));
    hear(&mut lease, 30_000, tcp(4242, 4243));
    assert_eq!(sent(&mut lease), NOTHING);
    hear(&mut lease, 30_001, udp(4243, 4243));
    hear(&mut lease, 30_001, tcp(4243, 4243));
    assert_eq!(state(&lease, 30_001), (Held, Some(4243)));
    assert_eq!(lease.view(at(30_001)).since, Some(at(30_001)));
}

#[test]
fn an_epoch_that_falls_back_means_asking_at_once() {
    let mut lease = held(4242);
    let mut address = ADDRESS.to_vec();
    address[7] = 200;
    assert_eq!(hear_bytes(&mut lease, 100, address.clone()), NOTHING);
    address[7] = 3;
    assert_eq!(hear_bytes(&mut lease, 5000, address.clone()), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    address[7] = 0;
    assert_eq!(hear_bytes(&mut lease, 10_000, address), NOTHING); // a clock that makes no sense is not believed twice
}

#[test]
fn a_gateway_whose_clock_stands_still_is_none_that_restarts_all_the_time() {
    let mut lease = held(4242); // at 0 by the gateway's clock
    let mut bytes = udp(4242, 4242);
    bytes[7] = 0;
    wake(&mut lease, 30_000);
    assert_eq!(hear_bytes(&mut lease, 30_010, bytes), NOTHING);
    assert_eq!(lease.restarted_at, None);
}

#[test]
fn the_shortest_lease_is_renewed_in_time_and_the_longest_is_not_believed() {
    let granted = |lifetime: [u8; 4]| {
        let mut lease = lease(at(0));
        for opcode in [1, 2] {
            let mut bytes = mapped(opcode, 0, 4242, 60);
            bytes[12..].copy_from_slice(&lifetime);
            hear(&mut lease, 0, bytes);
        }
        (lease.poll_timeout(), lease.view(at(0)).expires_at)
    };
    assert_eq!(granted([0, 0, 0, 1]), (Some(at(500)), Some(at(1000))));
    assert_eq!(granted([255; 4]), (Some(at(60_000)), Some(at(7_200_000))));
}

#[test]
fn answers_from_others_and_garbage_change_nothing() {
    let mut lease = lease(at(0));
    sent(&mut lease);
    let before = format!("{lease:?}");
    for from in ["10.2.0.9:5351", "10.2.0.1:5350", "[::1]:5351"] {
        lease.handle(at(10), Input::Datagram { from: from.parse().unwrap(), bytes: &udp(0, 666) });
    }
    for bytes in [&b""[..], b"\0\x81", &[0xa5; 16], &[0; 16]] {
        lease.handle(at(10), Input::Datagram { from: gateway(), bytes });
    }
    for number in [0, 22, 1023] {
        // No such port, and the machine's own.
        lease.handle(at(10), Input::Datagram { from: gateway(), bytes: &udp(0, number) });
    }
    assert_eq!(state(&lease, 10), (Asking, None));
    lease.epoch = None;
    assert_eq!(format!("{lease:?}"), before);
}

#[test]
fn an_answer_for_another_internal_port_is_not_ours() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    hear(&mut lease, 30_010, udp(9999, 9999));
    hear(&mut lease, 30_010, tcp(9999, 9999));
    assert_eq!(state(&lease, 30_010), (Held, Some(4242)));
}

#[test]
fn a_refused_socket_changes_nothing() {
    let mut lease = held(4242);
    wake(&mut lease, 30_000);
    lease.handle(at(30_001), Input::SocketFailed("connection refused"));
    assert_eq!(sent(&mut lease), NOTHING);
    assert_eq!(state(&lease, 30_001), (Held, Some(4242)));
    assert_eq!(state(&lease, 60_000), (Doubtful, Some(4242)));
    let text = lease.view(at(60_000)).text.unwrap();
    assert_eq!(text, "the gateway 10.2.0.1 does not answer: connection refused");
}

#[test]
fn the_log_file_is_read_when_nothing_is_granted_for_thirty_seconds() {
    let settings = Settings { log_fallback: true, ..settings() };
    let mut lease = NatPmp::new(settings, at(0), None);
    let mut read_at = None;
    while read_at.is_none() {
        let now = lease.poll_timeout().unwrap();
        lease.handle(now, Input::Wake);
        while let Some(action) = lease.poll_action() {
            if matches!(action, Action::ReadLog) {
                read_at = Some(now);
            }
        }
    }
    assert_eq!(read_at, Some(at(30_000)));
    lease.handle(at(30_000), Input::Log("x Port pair 11->11\nPort pair 40123->40123 granted\nPort pai"));
    assert_eq!(state(&lease, 30_000), (Doubtful, Some(40123)));
    lease.handle(at(30_001), Input::Log("Port pair ->\n"));
    assert_eq!(state(&lease, 30_001), (Doubtful, Some(40123)));
}

#[test]
fn a_granted_port_is_never_replaced_by_the_log() {
    let mut lease = held(4242);
    lease.handle(at(1), Input::Log("Port pair 5150->5150"));
    assert_eq!(state(&lease, 1), (Held, Some(4242)));
}

#[test]
fn a_supervisor_that_takes_over_asks_for_the_number_it_found() {
    let mut lease = NatPmp::adopt(settings(), at(90_000), 4242, at(0));
    assert_eq!(state(&lease, 90_000), (Doubtful, Some(4242)));
    assert_eq!(sent(&mut lease), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    hear(&mut lease, 90_010, udp(4242, 4242));
    hear(&mut lease, 90_010, tcp(4242, 4242));
    assert_eq!(state(&lease, 90_010), (Held, Some(4242)));
    assert_eq!(lease.view(at(90_010)).since, Some(at(0)));
}

#[test]
fn on_another_server_the_number_stays_published_and_is_wished_for() {
    let mut lease = NatPmp::new(settings(), at(0), Some((4242, at(0))));
    assert_eq!(state(&lease, 0), (Doubtful, Some(4242)));
    assert_eq!(sent(&mut lease), ["address", "udp 0 1"]);
    assert_eq!(hear(&mut lease, 10, refused(1, 2)), ["address", "udp 4242 4242", "tcp 4242 4242"]);
    hear(&mut lease, 20, refused(1, 2));
    hear(&mut lease, 20, refused(2, 2));
    assert_eq!(state(&lease, 20), (Doubtful, Some(4242)));
}

#[test]
fn the_external_address_is_asked_for_until_it_is_known() {
    let mut lease = held(4242);
    assert_eq!(lease.view(at(0)).exit_address, None);
    hear(&mut lease, 1, ADDRESS.to_vec());
    assert_eq!(lease.view(at(1)).exit_address, Some("11.22.33.44".parse().unwrap()));
    assert_eq!(wake(&mut lease, 30_000), ["udp 4242 4242", "tcp 4242 4242"]);
    // Again at times: the way out may change.
    assert_eq!(wake(&mut lease, 301_000), ["address", "udp 4242 4242", "tcp 4242 4242"]);
}

const NOTHING: [&str; 0] = [];
const ADDRESS: [u8; 12] = [0, 128, 0, 0, 0, 0, 0, 9, 11, 22, 33, 44];

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

fn gateway() -> SocketAddr {
    "10.2.0.1:5351".parse().unwrap()
}

fn settings() -> Settings {
    Settings { gateway: gateway().ip(), own_port: 6881, log_fallback: false }
}

fn lease(now: Instant) -> NatPmp {
    NatPmp::new(settings(), now, None)
}

/// Granted at boot for a minute.
fn held(number: u16) -> NatPmp {
    let mut lease = lease(at(0));
    hear(&mut lease, 0, udp(0, number));
    hear(&mut lease, 0, tcp(0, number));
    assert_eq!(state(&lease, 0), (Held, Some(number)));
    lease
}

fn state(lease: &NatPmp, ms: u64) -> (PortState, Option<u16>) {
    let view = lease.view(at(ms));
    (view.state, view.number)
}

fn wake(lease: &mut NatPmp, ms: u64) -> Vec<String> {
    lease.handle(at(ms), Input::Wake);
    sent(lease)
}

/// The gateway, whose table is as old as the machine, says this.
fn hear(lease: &mut NatPmp, ms: u64, mut bytes: Vec<u8>) -> Vec<String> {
    bytes[4..8].copy_from_slice(&(ms as u32 / 1000).to_be_bytes());
    hear_bytes(lease, ms, bytes)
}

fn hear_bytes(lease: &mut NatPmp, ms: u64, bytes: Vec<u8>) -> Vec<String> {
    lease.handle(at(ms), Input::Datagram { from: gateway(), bytes: &bytes });
    sent(lease)
}

fn udp(internal: u16, external: u16) -> Vec<u8> {
    mapped(1, internal, external, 60)
}

fn tcp(internal: u16, external: u16) -> Vec<u8> {
    mapped(2, internal, external, 60)
}

fn mapped(opcode: u8, internal: u16, external: u16, lifetime: u8) -> Vec<u8> {
    let ([i, n], [e, x]) = (internal.to_be_bytes(), external.to_be_bytes());
    vec![0, 128 + opcode, 0, 0, 0, 0, 0, 9, i, n, e, x, 0, 0, 0, lifetime]
}

fn refused(opcode: u8, result: u8) -> Vec<u8> {
    vec![0, 128 + opcode, 0, result, 0, 0, 0, 9]
}

/// What the machine sends, in words.
fn sent(lease: &mut NatPmp) -> Vec<String> {
    std::iter::from_fn(|| lease.poll_action())
        .map(|action| match action {
            Action::SendDatagram(b) if b.len() == 2 => "address".to_owned(),
            Action::SendDatagram(b) => {
                let port = |i: usize| u16::from_be_bytes([b[i], b[i + 1]]);
                let protocol = ["", "udp", "tcp"][usize::from(b[1])];
                match b[11] {
                    0 => format!("release {protocol} {}", port(4)),
                    _ => format!("{protocol} {} {}", port(4), port(6)),
                }
            }
            other => format!("{other:?}"),
        })
        .collect()
}
