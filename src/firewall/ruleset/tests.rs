use super::nets::{Ip, Nets};
use super::rule::{Match, Transport};
use super::*;
use crate::address::PRIVATE;
use crate::wire::nlmsg::{attrs_behind, frames};

#[test]
fn an_open_machine_without_a_tunnel_has_no_rules() {
    assert_eq!(Ruleset::of(&Policy::open(Vec::new())), Ruleset::none());
    assert_eq!(Ruleset::none().to_string(), "");
}

#[test]
fn what_is_not_there_is_not_deleted() {
    assert!(Ruleset::none().batch(&Present::default()).is_empty());
    let present = Present { tables: Family::ALL.to_vec(), chains: Vec::new() };
    assert_eq!(
        Ruleset::none().batch(&present),
        [nft::delete_table(Family::Inet, TABLE), nft::delete_table(Family::Netdev, TABLE)]
    );
}

#[test]
fn a_table_that_stays_is_never_deleted_and_a_stale_chain_goes() {
    let rules = Ruleset::of(&Policy::blocked(PRIVATE.to_vec()).with_links(vec!["eth0".to_owned()]));
    let present = Present {
        tables: Family::ALL.to_vec(),
        chains: vec![(Family::Netdev, "eth0".to_owned()), (Family::Netdev, "usb0".to_owned())],
    };
    let batch = rules.batch(&present);
    for family in Family::ALL {
        assert!(!batch.contains(&nft::delete_table(family, TABLE)));
    }
    let gone = |chain| nft::delete_chain(Place { family: Family::Netdev, table: TABLE, chain });
    assert!(batch.contains(&gone("usb0")) && !batch.contains(&gone("eth0")));
}

#[test]
fn every_filter_chain_of_a_closed_machine_ends_in_a_drop() {
    let rules = Ruleset::of(&Policy::blocked(PRIVATE.to_vec()).with_links(vec!["eth0".to_owned()]));
    let mut closed = 0;
    for chain in rules.tables.iter().flat_map(|t| &t.chains).filter(|c| c.closed) {
        let last = chain.rules.last().unwrap();
        assert_eq!((last.matches.len(), last.then), (0, Then::Drop), "{}", chain.hook.name());
        closed += 1;
    }
    assert_eq!(closed, 4);
}

/// What `nft` sent for the rules of [`as_captured`], which stand in the file as text.
const NFT_BATCH: &str = include_str!("tests/nft_batch.hex");

#[test]
fn a_transaction_is_byte_for_byte_what_nft_sends() {
    let captured: Vec<Vec<u8>> =
        NFT_BATCH.lines().filter(|l| !l.starts_with('#')).map(|l| comparable(&unhex(l))).collect();
    let mut ours = as_captured().batch(&Present::default());
    ours.swap(1, 2); // the chain, then the flush
    let ours: Vec<Vec<u8>> = ours.iter().map(|m| comparable(&emitted(m))).collect();
    // The messages around the transaction are the socket's.
    let [_, captured @ .., _] = &captured[..] else { panic!("no batch") };
    assert_eq!(ours.len(), captured.len());
    for (i, (ours, captured)) in ours.iter().zip(captured).enumerate() {
        assert_eq!(ours, captured, "message {i}");
    }
}

fn as_captured() -> Ruleset {
    let to = |net: &str| {
        let nets: Vec<crate::address::IpNet> = net.split_whitespace().map(|n| n.parse().unwrap()).collect();
        Match::To(Nets::of(Ip::of(nets[0].addr), &nets).unwrap())
    };
    let udp = |from, port| Match::Ports { transport: Transport::Udp, from, to: Some(port) };
    let tunnel = || Match::FlowMark(0x1076);
    let rules = [
        ("loopback", vec![Match::Output("lo".to_owned())], Then::Accept),
        ("encrypted", vec![Match::Mark(0x1076), to("203.0.113.11"), udp(None, 51820)], Then::Accept),
        ("own sockets", vec![Match::Mark(0x1077), Match::Uid(0)], Then::Accept),
        ("DHCP", vec![Match::Family(Ip::V6), udp(Some(546), 547)], Then::Accept),
        ("segment size", vec![Match::Output("wgp0".to_owned()), Match::Syn], Then::ClampSegments),
        ("LAN", vec![to("10.0.0.0/8 192.168.1.0/24")], Then::Accept),
        ("LAN", vec![to("fe80::/10")], Then::Accept),
        ("encrypted", vec![tunnel(), Match::EstablishedOrRelated], Then::Accept),
        ("encrypted", vec![tunnel()], Then::RestoreMark),
        ("names", vec![Match::ToPort(vec![53, 853])], Then::Drop),
    ];
    let rules = rules.map(|(why, matches, then)| Rule::new(why, matches, then)).to_vec();
    let chains = vec![Chain::closed(Point::Output, rules)];
    Ruleset { tables: vec![Table { family: Family::Inet, chains }] }
}

/// A message without its sequence number and, where it makes a set, without what `nft` notes down for itself.
fn comparable(message: &[u8]) -> Vec<u8> {
    const NEWSET: u16 = nft::SUBSYSTEM << 8 | 9;
    const USERDATA: u16 = 13;
    let frame = frames(message).next().unwrap().unwrap();
    let mut bytes = [frame.kind.to_be_bytes(), frame.flags.to_be_bytes()].concat();
    bytes.extend_from_slice(&frame.payload[..4]);
    for attr in attrs_behind(frame.payload, 4).unwrap().map(Result::unwrap) {
        if frame.kind != NEWSET || attr.kind != USERDATA {
            bytes.extend_from_slice(&attr.kind.to_be_bytes());
            bytes.extend_from_slice(attr.payload);
        }
    }
    bytes
}

fn emitted(message: &Message) -> Vec<u8> {
    let mut message = message.clone();
    message.flags |= crate::wire::nlmsg::NLM_F_REQUEST;
    let mut bytes = vec![0xa5; 4];
    message.emit(7, &mut bytes).unwrap();
    bytes.split_off(4)
}

fn unhex(line: &str) -> Vec<u8> {
    (0..line.len()).step_by(2).map(|i| u8::from_str_radix(&line[i..i + 2], 16).unwrap()).collect()
}
