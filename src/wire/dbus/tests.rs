//! Captured by strace from `busctl` (systemd 252) and dbus-daemon 1.14 on a bus of their own, without resolved.

use super::*;

const HELLO: &[u8] =
    b"l\x01\0\x01\0\0\0\0\x01\0\0\0m\0\0\0\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\0\0\0\x03\
    \x01s\0\x05\0\0\0Hello\0\0\0\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x06\x01\
    s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0";
const SET_LINK_DNS: &[u8] =
    b"l\x01\x06\x010\0\0\0\x02\0\0\0\xa5\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/resolve\
    1\0\0\0\0\0\0\0\x03\x01s\0\x0a\0\0\0SetLinkDNS\0\0\0\0\0\0\x02\x01s\0 \0\0\0org.freed\
    esktop.resolve1.Manager\0\0\0\0\0\0\0\0\x06\x01s\0\x18\0\0\0org.freedesktop.resolve1\0\
    \0\0\0\0\0\0\0\x08\x01g\0\x07ia(iay)\0\0\0\0\x07\0\0\0(\0\0\0\x02\0\0\0\x04\0\0\0\x0a\
    \x02\0\x01\0\0\0\0\x0a\0\0\0\x10\0\0\0\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01";
const SET_LINK_DOMAINS: &[u8] =
    b"l\x01\x06\x010\0\0\0\x02\0\0\0\xa4\0\0\0\x01\x01o\0\x19\0\0\0/org/freedesktop/resolve\
    1\0\0\0\0\0\0\0\x03\x01s\0\x0e\0\0\0SetLinkDomains\0\0\x02\x01s\0 \0\0\0org.freedeskt\
    op.resolve1.Manager\0\0\0\0\0\0\0\0\x06\x01s\0\x18\0\0\0org.freedesktop.resolve1\0\0\0\
    \0\0\0\0\0\x08\x01g\0\x06ia(sb)\0\0\0\0\0\x07\0\0\0(\0\0\0\x01\0\0\0.\0\0\0\x01\0\0\0\
    \0\0\0\0\x0c\0\0\0corp.example\0\0\0\0\0\0\0\0";
const HELLO_REPLY: &[u8] =
    b"l\x02\x01\x01\x09\0\0\0\x01\0\0\0=\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x05\x01u\0\x01\
    \0\0\0\x08\x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x04\0\0\0\
    :1.0\0";
const NAME_ACQUIRED: &[u8] =
    b"l\x04\x01\x01\x09\0\0\0\x02\0\0\0\x8d\0\0\0\x01\x01o\0\x15\0\0\0/org/freedesktop/DBus\
    \0\0\0\x02\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0\x03\x01s\0\x0c\0\0\0NameAcqui\
    red\0\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x08\x01g\0\x01s\0\0\x07\x01s\0\x14\0\0\0\
    org.freedesktop.DBus\0\0\0\0\x04\0\0\0:1.0\0";
const NO_OWNER: &[u8] =
    b"l\x03\x01\x013\0\0\0\x03\0\0\0u\0\0\0\x06\x01s\0\x04\0\0\0:1.0\0\0\0\0\x04\x01s\0)\0\0\
    \0org.freedesktop.DBus.Error.NameHasNoOwner\0\0\0\0\0\0\0\x05\x01u\0\x02\0\0\0\x08\x01\
    g\0\x01s\0\0\x07\x01s\0\x14\0\0\0org.freedesktop.DBus\0\0\0\0.\0\0\0Name \x22org.free\
    desktop.resolve1\x22 does not exist\0";

const BUS: Target = Target {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
const RESOLVE1: Target = Target {
    destination: "org.freedesktop.resolve1",
    path: "/org/freedesktop/resolve1",
    interface: "org.freedesktop.resolve1.Manager",
};

/// As captured, but with our flags: `busctl` sends others.
fn with_flags(captured: &[u8]) -> Vec<u8> {
    let mut b = captured.to_vec();
    b[2] = NO_AUTO_START;
    b
}

#[test]
fn calls_are_marshalled_as_busctl_does() {
    assert_eq!(emit_call(1, &BUS, "Hello", &[]), with_flags(HELLO));
    let v6 = "fd00::1".parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec();
    let servers = Arg::Addresses(vec![(2, vec![10, 2, 0, 1]), (10, v6)]);
    assert_eq!(emit_call(2, &RESOLVE1, "SetLinkDNS", &[Arg::Int(7), servers]), with_flags(SET_LINK_DNS));
    let domains = Arg::Names(vec![(".".to_owned(), true), ("corp.example".to_owned(), false)]);
    assert_eq!(
        emit_call(2, &RESOLVE1, "SetLinkDomains", &[Arg::Int(7), domains]),
        with_flags(SET_LINK_DOMAINS)
    );
}

#[test]
fn a_call_knows_its_own_length() {
    let args = [Arg::Int(-1), Arg::Bool(true), Arg::Text("no".to_owned())];
    let call = emit_call(3, &RESOLVE1, "SetLinkDefaultRoute", &args);
    assert_eq!(message_len(call.first_chunk().unwrap()), Ok(call.len()));
    assert_eq!(parse(&call), Ok(Incoming::Other));
}

#[test]
fn replies_and_errors_are_read() {
    let body = b"\x04\0\0\0:1.0\0".to_vec();
    assert_eq!(parse(HELLO_REPLY), Ok(Incoming::Done { serial: 1, body }));
    assert_eq!(parse(NAME_ACQUIRED), Ok(Incoming::Other));
    assert_eq!(
        parse(NO_OWNER),
        Ok(Incoming::Failed {
            serial: 2,
            name: "org.freedesktop.DBus.Error.NameHasNoOwner".to_owned(),
            text: "Name \"org.freedesktop.resolve1\" does not exist".to_owned(),
        })
    );
}

#[test]
fn every_shorter_and_every_longer_message_is_malformed() {
    for whole in [HELLO_REPLY, NO_OWNER] {
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), Err(Malformed), "{len}");
        }
        assert_eq!(parse(&[whole, &[0]].concat()), Err(Malformed));
    }
    let mut endless = *HELLO_REPLY.first_chunk().unwrap();
    endless[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(message_len(&endless), Err(Malformed));
    endless[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(message_len(&endless), Err(Malformed));
}

#[test]
fn a_reply_with_any_bytes_changed_is_read_or_refused() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..20_000 {
        let mut b = if next() % 2 == 0 { HELLO_REPLY.to_vec() } else { NO_OWNER.to_vec() };
        for _ in 0..next() % 4 + 1 {
            let at = next() as usize % b.len();
            b[at] = next() as u8;
        }
        let _ = parse(&b);
    }
}

/// Laid out by hand after the specification: 192.168.1.1 by link 2, fd00::1 by link 7, an address of 3 bytes.
fn servers() -> Vec<u8> {
    let mut b = b"\x07a(iiay)\0".to_vec();
    b.resize(12, 0);
    b.extend([68, 0, 0, 0]);
    b.extend([2, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 192, 168, 1, 1]);
    b.extend([7, 0, 0, 0, 10, 0, 0, 0, 16, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    b.resize(b.len() + 4, 0);
    b.extend([7, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 1, 2, 3]);
    let len = (b.len() - 16) as u8;
    b[12] = len;
    b
}

#[test]
fn servers_come_with_the_link_they_belong_to() {
    let found = parse_link_servers(&servers()).unwrap();
    assert_eq!(found, [(2, "192.168.1.1".parse().unwrap()), (7, "fd00::1".parse().unwrap())]);
    assert_eq!(parse_link_servers(b"\x07a(iiay)\0\0\0\0\0\0\0\0"), Ok(Vec::new()));
    assert_eq!(parse_link_servers(b"\x01s\0\0\x01\0\0\0a\0"), Err(Malformed));
    for len in 0..servers().len() {
        assert_eq!(parse_link_servers(&servers()[..len]), Err(Malformed), "{len}");
    }
}
