//! Connection tracking entries over nfnetlink (linux/netfilter/nfnetlink_conntrack.h).

use super::nlmsg::{Attr, Malformed, Message, attrs_behind, nfgenmsg};
use std::net::IpAddr;

/// NFNL_SUBSYS_CTNETLINK, in the upper byte of a message kind.
const SUBSYSTEM: u16 = 1 << 8;
const IPCTNL_MSG_CT_GET: u16 = 1;
const IPCTNL_MSG_CT_DELETE: u16 = 2;
const NFGENMSG_LEN: usize = 4;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_MARK: u16 = 8;
const CTA_MARK_MASK: u16 = 21;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V6_SRC: u16 = 3;
const NLA_F_NESTED: u16 = 0x8000;

/// A tracked flow, with what it takes to delete it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    pub mark: u32,
    /// Who began it.
    pub source: Option<IpAddr>,
    /// Who answers.
    pub reply_source: Option<IpAddr>,
    family: u8,
    /// The attributes by which the kernel finds it again, as they came.
    identity: Vec<(u16, Vec<u8>)>,
}

/// Asks for all flows of both families.
pub fn dump() -> Message {
    Message::new(SUBSYSTEM | IPCTNL_MSG_CT_GET, 0, &nfgenmsg(0, 0))
}

pub fn parse(payload: &[u8]) -> Result<Flow, Malformed> {
    let family = *payload.first().ok_or(Malformed)?;
    let mut flow = Flow { mark: 0, source: None, reply_source: None, family, identity: Vec::new() };
    for attr in attrs_behind(payload, NFGENMSG_LEN)? {
        let attr = attr?;
        match attr.kind {
            CTA_TUPLE_ORIG => {
                flow.source = source(&attr)?;
                flow.identity.push((attr.kind | NLA_F_NESTED, attr.payload.to_vec()));
            }
            CTA_TUPLE_REPLY => flow.reply_source = source(&attr)?,
            CTA_MARK => flow.mark = attr.be32()?,
            CTA_ID | CTA_ZONE => flow.identity.push((attr.kind, attr.payload.to_vec())),
            _ => {}
        }
    }
    Ok(flow)
}

/// Deletes just this flow: one that took its place meanwhile has another id.
pub fn delete(flow: &Flow) -> Message {
    let mut m = Message::new(SUBSYSTEM | IPCTNL_MSG_CT_DELETE, 0, &nfgenmsg(flow.family, 0));
    for (kind, payload) in &flow.identity {
        m.put(*kind, payload);
    }
    m
}

/// Deletes all flows without a mark, in one go.
pub fn delete_unmarked() -> Message {
    let mut m = Message::new(SUBSYSTEM | IPCTNL_MSG_CT_DELETE, 0, &nfgenmsg(0, 0));
    m.put(CTA_MARK, &0_u32.to_be_bytes());
    m.put(CTA_MARK_MASK, &u32::MAX.to_be_bytes());
    m
}

fn source(tuple: &Attr<'_>) -> Result<Option<IpAddr>, Malformed> {
    for attr in tuple.attrs() {
        let attr = attr?;
        if attr.kind != CTA_TUPLE_IP {
            continue;
        }
        for attr in attr.attrs() {
            let attr = attr?;
            if matches!(attr.kind, CTA_IP_V4_SRC | CTA_IP_V6_SRC) {
                return attr.ip().map(Some);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::nlmsg::{attrs_behind, frames};

    // A conntrack dump of Linux 6.18: UDP 127.0.0.1:7000 to port 7001 with mark 0x1076, and ::1 to port 7002 unmarked.
    const V4: &[u8] = include_bytes!("../../tests/data/netlink/flow-v4.bin");
    const V6: &[u8] = include_bytes!("../../tests/data/netlink/flow-v6.bin");

    fn payload(capture: &[u8]) -> &[u8] {
        frames(capture).next().unwrap().unwrap().payload
    }

    #[test]
    fn flows_are_read_with_mark_and_both_ends() {
        let flow = parse(payload(V4)).unwrap();
        let local = Some("127.0.0.1".parse().unwrap());
        assert_eq!((flow.mark, flow.source, flow.reply_source), (0x1076, local, local));
        let flow = parse(payload(V6)).unwrap();
        assert_eq!((flow.mark, flow.source), (0, Some("::1".parse().unwrap())));
    }

    #[test]
    fn a_flow_is_deleted_by_its_own_tuple_and_id() {
        let mut bytes = Vec::new();
        delete(&parse(payload(V4)).unwrap()).emit(1, &mut bytes).unwrap();
        let attrs_of = |b: &[u8]| -> Vec<(u16, Vec<u8>)> {
            attrs_behind(b, NFGENMSG_LEN).unwrap().flatten().map(|a| (a.kind, a.payload.to_vec())).collect()
        };
        let (ours, theirs) = (attrs_of(payload(&bytes)), attrs_of(payload(V4)));
        assert_eq!(ours.iter().map(|a| a.0).collect::<Vec<_>>(), [CTA_TUPLE_ORIG, CTA_ID]);
        assert!(ours.iter().all(|a| theirs.contains(a)));
        assert_eq!(payload(&bytes)[0], 2, "the family is IPv4");
    }

    #[test]
    fn every_truncation_and_mutation_is_an_answer_or_malformed() {
        for capture in [V4, V6] {
            let payload = payload(capture);
            assert_eq!(parse(&payload[..3]), Err(Malformed));
            for len in 0..payload.len() {
                let _ = parse(&payload[..len]);
            }
            for at in 0..payload.len() {
                for byte in [0, 0x7f, 0xff] {
                    let mut b = payload.to_vec();
                    b[at] = byte;
                    if let Ok(flow) = parse(&b) {
                        assert!(delete(&flow).emit(1, &mut Vec::new()).is_ok());
                    }
                }
            }
        }
    }
}
