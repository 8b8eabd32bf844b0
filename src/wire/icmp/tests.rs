use super::*;

/// fping 5.1 asking 127.0.0.1 and ::1 with 12 bytes, captured on loopback of Linux 6.18 with AF_PACKET: IP headers
/// included, as they were seen.
const REQUEST: &str = "45000028972a40004001a5a87f0000017f0000010800b32d44d20000000000000000000000000000";
const REPLY: &str = "45000028972b00004001e5a77f0000017f0000010000bb2d44d20000000000000000000000000000";
const REQUEST_6: &str = "6002acc200143a40000000000000000000000000000000010000000000000000000000000000000180003adc44d30000000000000000000000000000";
const REPLY_6: &str = "6000907e00143a400000000000000000000000000000000100000000000000000000000000000001810039dc44d30000000000000000000000000000";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn echo(id: u16) -> Echo<'static> {
    Echo { id, seq: 0, payload: &[0; 12] }
}

#[test]
fn requests_are_those_that_fping_sends() {
    assert_eq!(emit_request(true, &echo(0x44d2)), bytes(REQUEST)[20..]);
    let mut v6 = bytes(REQUEST_6)[40..].to_vec();
    v6[2..4].fill(0); // the kernel's to fill in
    assert_eq!(emit_request(false, &echo(0x44d3)), v6);
}

#[test]
fn replies_are_read_from_what_the_kernel_hands_out() {
    let reply = bytes(REPLY);
    assert_eq!(parse_ipv4(&reply).and_then(parse_reply_v4), Ok(echo(0x44d2)));
    assert_eq!(parse_reply_v6(&bytes(REPLY_6)[40..]), Ok(echo(0x44d3)));
    assert_eq!(parse_reply_v4(&bytes(REQUEST)[20..]), Err(Malformed));
    assert_eq!(parse_reply_v6(&bytes(REQUEST_6)[40..]), Err(Malformed));
}

#[test]
fn a_flipped_bit_is_caught_by_the_checksum() {
    let reply = bytes(REPLY)[20..].to_vec();
    for bit in 0..reply.len() * 8 {
        let mut b = reply.clone();
        b[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(parse_reply_v4(&b), Err(Malformed), "bit {bit}");
    }
}

#[test]
fn options_and_lying_lengths_of_the_ip_header_are_minded() {
    let mut b = bytes(REPLY);
    b.splice(20..20, [1; 4]); // four "no operation" options
    (b[0], b[3]) = (0x46, 44);
    assert_eq!(parse_ipv4(&b).and_then(parse_reply_v4), Ok(echo(0x44d2)));
    b.push(0xa5); // padding of a short frame
    assert_eq!(parse_ipv4(&b).and_then(parse_reply_v4), Ok(echo(0x44d2)));
    for (at, value) in [(0, 0x41), (0, 0x66), (3, 10), (3, 200), (9, 17)] {
        let mut b = b.clone();
        b[at] = value;
        assert_eq!(parse_ipv4(&b), Err(Malformed), "byte {at} = {value:#x}");
    }
}

#[test]
fn no_truncation_panics_or_passes() {
    let (v4, v6) = (bytes(REPLY), bytes(REPLY_6));
    for n in 0..v4.len() {
        assert!(parse_ipv4(&v4[..n]).is_err(), "{n}");
    }
    for n in 0..HEADER {
        assert!(parse_reply_v4(&v4[20..20 + n]).is_err() && parse_reply_v6(&v6[40..40 + n]).is_err(), "{n}");
    }
}

#[test]
fn mangled_packets_never_panic() {
    let mut state = 0xd1b5_4a32_d192_ed03_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..50_000 {
        let mut b = bytes(REPLY);
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % b.len();
            b[at] = random() as u8;
        }
        b.truncate(random() as usize % (b.len() + 1));
        let _ = parse_ipv4(&b).and_then(parse_reply_v4);
        let _ = parse_reply_v6(&b);
    }
}
