//! Captured with `strace -xx -e read=all -e write=all` around ip(8) of iproute2 6.1 on Linux 6.18 (x86-64, little
//! endian), in a private namespace with a veth called `eth0`.

use super::*;
use crate::wire::nlmsg::{Frame, Message, frames};

const LINK: &[u8] = include_bytes!("../../../tests/data/netlink/newlink-veth.bin");
const ADDRESS_V4: &[u8] = include_bytes!("../../../tests/data/netlink/newaddr-v4.bin");
const ADDRESS_V6: &[u8] = include_bytes!("../../../tests/data/netlink/newaddr-v6.bin");
const ROUTE_DEFAULT: &[u8] = include_bytes!("../../../tests/data/netlink/newroute-default.bin");
const ROUTE_MULTIPATH: &[u8] = include_bytes!("../../../tests/data/netlink/newroute-multipath.bin");
const ROUTE_V6: &[u8] = include_bytes!("../../../tests/data/netlink/newroute-v6.bin");
const ROUTE_UNREACHABLE: &[u8] = include_bytes!("../../../tests/data/netlink/newroute-unreachable-v6.bin");
const RULE_MARK: &[u8] = include_bytes!("../../../tests/data/netlink/newrule-mark.bin");
const RULE_PORTS: &[u8] = include_bytes!("../../../tests/data/netlink/newrule-ports.bin");
const ADD_ADDRESS: &[u8] = include_bytes!("../../../tests/data/netlink/add-address.bin");
const ADD_ROUTE: &[u8] = include_bytes!("../../../tests/data/netlink/add-route.bin");
const ADD_UNREACHABLE: &[u8] = include_bytes!("../../../tests/data/netlink/add-unreachable.bin");
const ADD_RULE: &[u8] = include_bytes!("../../../tests/data/netlink/add-rule.bin");

fn net(s: &str) -> IpNet {
    s.parse().unwrap()
}

fn frame(bytes: &[u8]) -> Frame<'_> {
    frames(bytes).next().unwrap().unwrap()
}

type Attrs = Vec<(u16, Vec<u8>)>;

/// Kind, flags, fixed header, and the attributes sorted: iproute2 writes them in another order.
fn parts(bytes: &[u8], header: usize) -> (u16, u16, Vec<u8>, Attrs) {
    let frame = frame(bytes);
    let attrs = crate::wire::nlmsg::attrs_behind(frame.payload, header).unwrap();
    let mut attrs: Attrs = attrs.map(|a| a.unwrap()).map(|a| (a.kind, a.payload.to_vec())).collect();
    attrs.sort();
    (frame.kind, frame.flags, frame.payload[..header].to_vec(), attrs)
}

/// As the socket sends it: with NLM_F_REQUEST and NLM_F_ACK.
fn sent(message: &Message) -> Vec<u8> {
    let mut message = message.clone();
    message.flags |= crate::wire::nlmsg::NLM_F_REQUEST | crate::wire::nlmsg::NLM_F_ACK;
    let mut bytes = Vec::new();
    message.emit(1, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_link_is_read_among_everything_else_the_kernel_says() {
    let link = link::parse(frame(LINK).payload).unwrap();
    assert_eq!((link.name.as_str(), link.kind.as_deref(), link.mtu), ("eth0", Some("veth"), 1492));
    assert_eq!((link.up, link.lower_up, link.loopback), (true, true, false));
    assert_eq!(link.address, [2, 0, 0, 0, 0, 1]);
    assert!(!link.is_wireguard());
}

#[test]
fn addresses_of_both_families_keep_their_host_bits() {
    assert_eq!(link::parse_address(frame(ADDRESS_V4).payload).unwrap().1, net("192.0.2.2/24"));
    assert_eq!(link::parse_address(frame(ADDRESS_V6).payload).unwrap().1, net("2001:db8::2/64"));
}

#[test]
fn routes_are_read_with_gateway_mtu_and_kind() {
    let default = route::parse(frame(ROUTE_DEFAULT).payload).unwrap();
    assert_eq!(
        (default.route.to, default.route.table, default.mtu),
        (net("0.0.0.0/0"), MAIN_TABLE, Some(1400))
    );
    assert_eq!(default.route.gateway, Some("192.0.2.1".parse().unwrap()));
    assert!(default.oif.is_some() && !default.is_cached);

    let multipath = route::parse(frame(ROUTE_MULTIPATH).payload).unwrap();
    assert_eq!((multipath.route.to, multipath.oif), (net("198.51.100.0/24"), None));

    let v6 = route::parse(frame(ROUTE_V6).payload).unwrap();
    assert_eq!((v6.route.to, v6.route.gateway), (net("::/0"), Some("2001:db8::1".parse().unwrap())));

    let refused = route::parse(frame(ROUTE_UNREACHABLE).payload).unwrap();
    let ours = Route::unreachable(net("::/0"), 4214);
    assert_eq!(refused.route, Route { metric: 1024, ..ours.clone() });
    assert!(refused.route.replaces(&ours) && refused.oif.is_none());
}

#[test]
fn rules_are_read_with_every_selector() {
    let rule = rule::parse(frame(RULE_MARK).payload).unwrap();
    let mark = Some((0x1076, u32::MAX));
    assert_eq!(rule, Rule { mark, invert: true, ..Rule::to_table(true, 4214, 4214) });
    let rule = rule::parse(frame(RULE_PORTS).payload).unwrap();
    let ours = Rule {
        to: Some(net("192.168.1.0/24")),
        ip_protocol: Some(17),
        source_port: Some(68),
        dest_port: Some(67),
        suppress_prefix: Some(3),
        protocol: 0, // unspecified
        ..Rule::to_table(true, 4211, MAIN_TABLE)
    };
    assert_eq!(rule, ours);
    assert_eq!(
        rule.to_string(),
        "-4 4211: from all to 192.168.1.0/24 ipproto 17 sport 68 dport 67 lookup 254 suppress_prefixlength 3"
    );
}

#[test]
fn requests_say_what_iproute2_says() {
    let (index, _) = link::parse_address(frame(ADD_ADDRESS).payload).unwrap();
    let address = Address { device: "eth0".to_owned(), net: net("10.2.0.2/32") };
    assert_eq!(parts(&sent(&link::add_address(index, &address)), 8), parts(ADD_ADDRESS, 8));

    let oif = route::parse(frame(ADD_ROUTE).payload).unwrap().oif;
    let by_link = Route::by("eth0", net("10.9.0.0/16"), 4214);
    assert_eq!(parts(&sent(&route::replace(&by_link, oif)), 12), parts(ADD_ROUTE, 12));

    // It adds where we replace, and leaves the network out where it is everything.
    let ours = sent(&route::replace(&Route::unreachable(net("::/0"), 4214), None));
    let theirs = frame(ADD_UNREACHABLE);
    assert_eq!(route::parse(frame(&ours).payload), route::parse(theirs.payload));

    let mark = Some((0x1076, u32::MAX));
    let rule = Rule { mark, invert: true, ..Rule::to_table(true, 4214, 4214) };
    assert_eq!(rule::parse(frame(&sent(&rule::add(&rule))).payload), rule::parse(frame(ADD_RULE).payload));
    assert_eq!(frame(&sent(&rule::add(&rule))).flags, frame(ADD_RULE).flags);
}

#[test]
fn what_is_written_is_read_back() {
    let rules = [
        Rule { from: Some(net("10.0.0.0/8")), oif: Some("eth0".to_owned()), ..Rule::to_table(true, 0, 7) },
        Rule { to: Some(net("fe80::/10")), mark: Some((1, 0xff)), ..Rule::to_table(false, 4213, MAIN_TABLE) },
        Rule { action: RuleAction::Other(7), iif: Some("lo".to_owned()), ..Rule::to_table(false, 9, 0) },
    ];
    for rule in rules {
        assert_eq!(rule::parse(frame(&sent(&rule::delete(&rule))).payload), Ok(rule));
    }
    let route = Route {
        gateway: Some("192.0.2.1".parse().unwrap()),
        source: Some("192.0.2.2".parse().unwrap()),
        metric: 100,
        ..Route::by("eth0", net("10.0.0.0/8"), 300)
    };
    let parsed = route::parse(frame(&sent(&route::delete(&route, Some(2)))).payload).unwrap();
    assert_eq!((parsed.oif, Route { device: Some("eth0".to_owned()), ..parsed.route }), (Some(2), route));
}

#[test]
fn every_truncation_and_mutation_is_an_answer_or_malformed() {
    let captures =
        [LINK, ADDRESS_V4, ADDRESS_V6, ROUTE_DEFAULT, ROUTE_MULTIPATH, ROUTE_V6, RULE_MARK, RULE_PORTS];
    let read_all = |b: &[u8]| {
        (
            link::parse(b).is_ok(),
            link::parse_address(b).is_ok(),
            route::parse(b).is_ok(),
            rule::parse(b).is_ok(),
        )
    };
    for capture in captures {
        let payload = frame(capture).payload;
        for len in 0..payload.len() {
            read_all(&payload[..len]);
        }
        assert_eq!(read_all(&payload[..7]), (false, false, false, false));
    }
    let mut seed = 0x2545_f491_4f6c_dd1du64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    for round in 0..20_000 {
        let mut b = frame(captures[round % captures.len()]).payload.to_vec();
        for _ in 0..1 + random() % 4 {
            let at = random() as usize % b.len();
            b[at] = random() as u8;
        }
        read_all(&b);
    }
}
