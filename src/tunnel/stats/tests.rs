use super::*;

fn at(ms: u64) -> Instant {
    Instant::BOOT + millis(ms)
}

/// Feeds a sample every half second: what was received and sent since the one before.
fn feed(traffic: &mut Traffic, from_ms: u64, deltas: &[(u64, u64)]) -> u64 {
    let (mut ms, mut sum) = (from_ms, traffic.last.map(|(_, c)| c).unwrap_or_default());
    for (rx, tx) in deltas {
        sum = Counters { rx_bytes: sum.rx_bytes + rx, tx_bytes: sum.tx_bytes + tx };
        traffic.handle_sample(at(ms), sum);
        ms += 500;
    }
    ms
}

#[test]
fn a_download_whose_server_dies_is_noticed_after_two_seconds() {
    let mut traffic = Traffic::new();
    let died = feed(&mut traffic, 0, &[(0, 0), (90_000, 3_000), (90_000, 3_000)]);
    feed(&mut traffic, died, &[(0, 3_000), (0, 1_500), (0, 1_500)]);
    assert!(!traffic.is_one_sided(), "1.5 s are not enough");
    feed(&mut traffic, died + 1_500, &[(0, 1_500)]);
    assert!(traffic.is_one_sided());
}

#[test]
fn a_single_byte_back_clears_the_suspicion() {
    let mut traffic = Traffic::new();
    let next = feed(&mut traffic, 0, &[(0, 0), (0, 900), (0, 900), (0, 900)]);
    let next = feed(&mut traffic, next, &[(32, 900), (0, 900), (0, 900), (0, 900)]);
    assert!(!traffic.is_one_sided());
    feed(&mut traffic, next, &[(0, 900)]);
    assert!(traffic.is_one_sided());
}

#[test]
fn keepalives_and_handshakes_without_answer_are_the_monitors_business() {
    let mut traffic = Traffic::new();
    feed(&mut traffic, 0, &[(0, 0), (0, 32), (0, 148), (0, 32), (0, 148), (0, 32), (0, 32)]);
    assert!(!traffic.is_one_sided());
    assert_eq!(traffic.poll_timeout(), Some(at(3_000) + IDLE_INTERVAL));
}

#[test]
fn one_burst_that_nobody_has_to_answer_is_no_sign() {
    let mut traffic = Traffic::new();
    let later = feed(&mut traffic, 0, &[(0, 0), (0, 5_000), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]);
    assert!(!traffic.is_one_sided());
    let later = later + 60_000;
    feed(&mut traffic, later, &[(0, 5_000)]);
    assert!(!traffic.is_one_sided(), "the burst a minute ago is forgotten");
}

#[test]
fn an_idle_tunnel_is_looked_at_four_times_a_minute_and_a_busy_one_closely() {
    let mut traffic = Traffic::new();
    assert_eq!(traffic.poll_timeout(), None);
    feed(&mut traffic, 0, &[(0, 0)]);
    assert_eq!(traffic.poll_timeout(), Some(at(15_000)));
    feed(&mut traffic, 15_000, &[(9_000, 9_000)]);
    assert_eq!(traffic.poll_timeout(), Some(at(15_500)));
    feed(&mut traffic, 15_500, &[(0, 0)]);
    assert_eq!(traffic.poll_timeout(), Some(at(30_500)));
}

#[test]
fn the_idle_time_before_a_burst_is_not_counted_as_silence() {
    let mut traffic = Traffic::new();
    feed(&mut traffic, 0, &[(0, 0)]);
    feed(&mut traffic, 15_000, &[(0, 900), (0, 900)]);
    assert!(!traffic.is_one_sided());
}

#[test]
fn counters_that_fall_back_begin_afresh() {
    let mut traffic = Traffic::new();
    feed(&mut traffic, 0, &[(0, 0), (0, 900), (0, 900), (0, 900), (0, 900), (0, 900)]);
    assert!(traffic.is_one_sided());
    traffic.handle_sample(at(3_000), Counters::default());
    assert!(!traffic.is_one_sided());
}
