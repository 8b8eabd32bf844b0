use super::*;

/// `ip route add 10.0.0.0/8 via 192.0.2.1` in an empty namespace, iproute2 6.1 on Linux 6.18, seen with
/// `strace -xx -e write=all` (x86-64, little endian).
const REQUEST: [u8; 44] = [
    0x2c, 0, 0, 0, 0x18, 0, 5, 6, 0xa7, 0xf6, 0, 0x6b, 0, 0, 0, 0, 2, 8, 0, 0, 0xfe, 3, 0, 1, 0, 0, 0, 0, 8,
    0, 1, 0, 0x0a, 0, 0, 0, 8, 0, 5, 0, 0xc0, 0, 2, 1,
];

/// The kernel's answer to it: ENETUNREACH with an extended ACK behind the repeated request.
fn refusal() -> Vec<u8> {
    let mut b =
        vec![0x60, 0, 0, 0, 2, 0, 0, 2, 0xa7, 0xf6, 0, 0x6b, 0xfc, 0x36, 0, 0, 0x9b, 0xff, 0xff, 0xff];
    b.extend_from_slice(&REQUEST);
    b.extend_from_slice(&[0x20, 0, 1, 0]);
    b.extend_from_slice(b"Nexthop has invalid gateway\0");
    b
}

/// `ip link set lo mtu 70000 up` with capped ACKs on: success, the request's header alone repeated.
const DONE: [u8; 36] = [
    36, 0, 0, 0, 2, 0, 0, 1, 0xa6, 0xf6, 0, 0x6b, 0xe9, 0x36, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0, 0x10, 0, 5, 0,
    0xa6, 0xf6, 0, 0x6b, 0, 0, 0, 0,
];

#[test]
fn a_message_is_built_byte_for_byte_like_iproute2() {
    let mut m = Message::new(0x18, NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE, &REQUEST[16..28]);
    m.put_ip(1, "10.0.0.0".parse().unwrap()).put_ip(5, "192.0.2.1".parse().unwrap());
    let mut bytes = vec![0xa5; 3];
    m.emit(0x6b00_f6a7, &mut bytes).unwrap();
    assert_eq!(bytes[3..], REQUEST);
}

#[test]
fn strings_and_odd_lengths_are_padded_and_nests_know_their_length() {
    let mut m = Message::new(0x20, 0, &[9]);
    m.nest(18, |m| {
        m.put_str(1, "wg").put_u8(2, 7);
    });
    m.put(3, &[1, 2]);
    let mut bytes = Vec::new();
    m.emit(1, &mut bytes).unwrap();
    assert_eq!(
        bytes[HEADER_LEN..],
        [
            9, 0, 0, 0, 20, 0, 18, 0x80, 7, 0, 1, 0, b'w', b'g', 0, 0, 5, 0, 2, 0, 7, 0, 0, 0, 6, 0, 3, 0, 1,
            2, 0, 0
        ]
    );
    let frame = frames(&bytes).next().unwrap().unwrap();
    let mut behind = attrs_behind(frame.payload, 1).unwrap();
    let nest = behind.next().unwrap().unwrap();
    assert_eq!((nest.kind, nest.attrs().count()), (18, 2));
    assert_eq!(nest.attrs().next().unwrap().unwrap().string(), "wg");
    assert_eq!(behind.next().unwrap().unwrap().payload, [1, 2]);
    assert!(behind.next().is_none());
}

#[test]
fn what_outgrows_an_attribute_is_refused_when_emitted() {
    let mut flat = Message::new(1, 0, &[]);
    flat.put(1, &[0; 65_532]);
    assert_eq!(flat.emit(1, &mut Vec::new()), Err(TooLong));
    let mut nested = Message::new(1, 0, &[]);
    nested.nest(1, |m| {
        m.put(2, &[0; 40_000]).put(2, &[0; 40_000]);
    });
    assert_eq!(nested.emit(1, &mut Vec::new()), Err(TooLong));
    let mut most = Message::new(1, 0, &[]);
    most.put(1, &[0; 65_531]);
    assert_eq!(most.emit(1, &mut Vec::new()), Ok(()));
}

#[test]
fn a_refusal_carries_errno_and_the_kernels_words() {
    let bytes = refusal();
    let frame = frames(&bytes).next().unwrap().unwrap();
    assert_eq!((frame.kind, frame.seq), (NLMSG_ERROR, 0x6b00_f6a7));
    let text = Some("Nexthop has invalid gateway".to_owned());
    assert_eq!(frame.ack(), Ok(Ack { errno: 101, text, offset: None }));
}

#[test]
fn a_capped_ack_is_success() {
    let frame = frames(&DONE).next().unwrap().unwrap();
    assert_eq!(frame.ack(), Ok(Ack::default()));
}

#[test]
fn two_messages_in_one_datagram_are_both_seen() {
    let both = [&DONE[..], &refusal()].concat();
    let errnos: Vec<i32> = frames(&both).map(|f| f.unwrap().ack().unwrap().errno).collect();
    assert_eq!(errnos, [0, 101]);
}

#[test]
fn every_truncation_is_malformed_and_ends_the_iteration() {
    let whole = refusal();
    for len in 1..whole.len() {
        let cut: Vec<_> = frames(&whole[..len]).collect();
        assert_eq!(cut, [Err(Malformed)], "{len} bytes");
    }
    let payload = &REQUEST[28..];
    for len in (1..payload.len()).filter(|n| *n != 8) {
        assert_eq!(attrs(&payload[..len]).last(), Some(Err(Malformed)), "{len} bytes");
    }
    for len in 4..80 {
        let frame = Frame { kind: NLMSG_ERROR, flags: NLM_F_ACK_TLVS, seq: 1, payload: &whole[16..16 + len] };
        let whole_tlvs_missing = len == 4 + 44;
        assert_eq!(frame.ack().is_ok(), whole_tlvs_missing, "{len} bytes");
    }
}

#[test]
fn lengths_that_lie_are_malformed() {
    for (len, kind) in [(0u16, 1u16), (3, 1), (9, 1), (0xffff, 1)] {
        let mut b = [0u8; 8];
        b[..2].copy_from_slice(&len.to_ne_bytes());
        b[2..4].copy_from_slice(&kind.to_ne_bytes());
        assert_eq!(attrs(&b).collect::<Vec<_>>(), [Err(Malformed)]);
    }
    let mut huge = DONE;
    huge[..4].copy_from_slice(&u32::MAX.to_ne_bytes());
    assert_eq!(frames(&huge).collect::<Vec<_>>(), [Err(Malformed)]);
    let number = Attr { kind: 1, payload: &[1, 2, 3] };
    assert_eq!(
        (number.u16(), number.u32(), number.u64(), number.ip().is_err()),
        (Err(Malformed), Err(Malformed), Err(Malformed), true)
    );
}

#[test]
fn a_batch_names_its_subsystem_in_network_order() {
    let mut bytes = Vec::new();
    batch_begin(10).emit(5, &mut bytes).unwrap();
    batch_end(10).emit(6, &mut bytes).unwrap();
    assert_eq!(bytes[..20], [20, 0, 0, 0, 0x10, 0, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
    assert_eq!(bytes[20..40], [20, 0, 0, 0, 0x11, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10]);
}

#[test]
fn random_bytes_never_panic_and_never_loop() {
    let mut seed = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for _ in 0..20_000 {
        let mut b = refusal();
        for _ in 0..1 + random() % 6 {
            let at = random() as usize % b.len();
            b[at] = random() as u8;
        }
        b.truncate(random() as usize % (b.len() + 1));
        for frame in frames(&b).flatten() {
            let _ = frame.ack();
            for attr in attrs(frame.payload).flatten() {
                let _ = (attr.string(), attr.ip(), attr.u64());
                assert!(attr.attrs().count() <= attr.payload.len());
            }
        }
    }
}
