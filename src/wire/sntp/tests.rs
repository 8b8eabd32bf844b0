use super::*;

/// Laid out by hand after RFC 4330 section 4: leap 0, version 4, mode 4, stratum 2, poll 6, precision -24; root delay,
/// dispersion, reference 192.0.2.5; reference, originate, receive and transmit timestamps of 2026-05-28T20:26:40Z.
const REPLY: [u8; LENGTH] = [
    0x24, 0x02, 0x06, 0xe8, 0x00, 0x00, 0x01, 0x10, 0x00, 0x00, 0x00, 0x20, 0xc0, 0x00, 0x02, 0x05, //
    0xed, 0xc2, 0xb5, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, //
    0xed, 0xc2, 0xb9, 0x80, 0x10, 0x00, 0x00, 0x00, 0xed, 0xc2, 0xb9, 0x80, 0x20, 0x00, 0x00, 0x00,
];
const NONCE: u64 = 0x0123_4567_89ab_cdef;

fn with(at: usize, bytes: &[u8]) -> [u8; LENGTH] {
    let mut b = REPLY;
    b[at..at + bytes.len()].copy_from_slice(bytes);
    b
}

#[test]
fn a_request_is_a_client_s_with_nothing_but_its_timestamp() {
    let b = emit_request(NONCE);
    assert_eq!(b[0], 0x23);
    assert_eq!(b[1..40], [0; 39]);
    assert_eq!(b[40..], NONCE.to_be_bytes());
}

#[test]
fn a_reply_tells_when_it_was_sent() {
    let seconds = u64::from(u32::from_be_bytes([0xed, 0xc2, 0xb9, 0x80])) - UNIX;
    assert_eq!(parse_reply(&REPLY, NONCE), Ok(seconds));
    assert_eq!(parse_reply(&[&REPLY[..], &[0; 20]].concat(), NONCE), Ok(seconds), "with an authenticator");
}

#[test]
fn after_2036_the_next_era_begins() {
    assert_eq!(parse_reply(&with(40, &[0, 0, 0, 1]), NONCE), Ok(ERA + 1 - UNIX));
    assert_eq!(parse_reply(&with(40, &[0x7f, 0xff, 0xff, 0xff]), NONCE), Ok(ERA + 0x7fff_ffff - UNIX));
}

#[test]
fn what_answers_another_request_is_not_heard() {
    assert_eq!(parse_reply(&REPLY, NONCE + 1), Err(Refused::Malformed));
    assert_eq!(parse_reply(&with(24, &[0; 8]), NONCE), Err(Refused::Malformed));
    assert_eq!(parse_reply(&emit_request(NONCE), NONCE), Err(Refused::Malformed), "our own, reflected");
    for n in 0..LENGTH {
        assert_eq!(parse_reply(&REPLY[..n], NONCE), Err(Refused::Malformed), "{n} bytes");
    }
}

#[test]
fn a_server_that_does_not_know_is_not_believed() {
    assert_eq!(parse_reply(&with(0, &[0xe4]), NONCE), Err(Refused::Unsynchronized));
    assert_eq!(parse_reply(&with(1, &[16]), NONCE), Err(Refused::Unsynchronized));
    assert_eq!(parse_reply(&with(40, &[0; 8]), NONCE), Err(Refused::Unsynchronized));
    assert_eq!(parse_reply(&with(40, &[0x80, 0, 0, 0]), NONCE), Err(Refused::Unsynchronized), "1968");
    let kiss = with(12, b"RATE");
    let mut kiss: [u8; LENGTH] = kiss;
    kiss[1] = 0;
    assert_eq!(parse_reply(&kiss, NONCE), Err(Refused::Kiss(*b"RATE")));
}

#[test]
fn no_input_panics() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..20_000 {
        let mut b = REPLY;
        for _ in 0..3 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            b[seed as usize % LENGTH] = (seed >> 32) as u8;
        }
        let _ = parse_reply(&b[..seed as usize % (LENGTH + 1)], NONCE);
        let _ = parse_reply(&b, NONCE);
    }
}
