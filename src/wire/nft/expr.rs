//! Expressions, the steps of a rule: each loads register 1, changes it, compares it (and ends the rule where the
//! comparison fails), or acts. Numbers that the kernel keeps in host byte order (marks, uid, conntrack state) are
//! compared in it; what comes from packets is in network order.

use super::super::nlmsg::Message;
use super::{Place, RULE_TABLE};

/// Where a load begins to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Base {
    Link = 0,
    Network = 1,
    Transport = 2,
}

/// NFT_META_*: what the kernel knows of a packet beside its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Meta {
    /// Ethertype as the kernel took it, two bytes.
    Protocol = 1,
    Mark = 3,
    InputName = 6,
    OutputName = 7,
    /// ARPHRD_*, two bytes in host order.
    OutputType = 9,
    /// The user that owns the socket.
    SocketUid = 10,
    /// 2 = IPv4, 10 = IPv6; one byte.
    Family = 15,
    /// One byte.
    Transport = 16,
}

/// NFT_CT_*: what connection tracking knows of the packet's flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Ct {
    State = 0,
    /// 0 = as the flow began, 1 = reply; one byte.
    Direction = 1,
    Status = 2,
    Mark = 3,
    /// The port to which the flow's first packet was sent, before any translation.
    OriginalPort = 12,
}

/// NF_CT_STATE_BIT for established and related (NFT's `ct state`).
pub const STATE_ESTABLISHED_RELATED: u32 = 0x6;
/// The same for established alone.
pub const STATE_ESTABLISHED: u32 = 0x2;
/// IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h).
pub const STATUS_DST_NAT: u32 = 0x20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    Meta(Meta),
    Ct(Ct),
    Payload {
        base: Base,
        offset: u32,
        len: u32,
    },
    /// Two bytes of an IPv6 fragment header that hold the offset; ends the rule where there is none.
    FragmentOffset6,
    /// Whether there is an IPv6 routing header; one byte.
    HasRoutingHeader6,
    /// Keeps these bits.
    Mask(Vec<u8>),
    Cmp {
        equal: bool,
        value: Vec<u8>,
    },
    /// Whether the register is one of a set's elements.
    Lookup {
        set: Set,
        inverted: bool,
    },
    /// Loads the segment size that fits the packet's route.
    RouteSegmentSize,
    /// Writes the register into the TCP option, when that lowers it.
    SetSegmentSize,
    SetMark,
    SetCtMark,
    Accept,
    Drop,
}

// linux/netfilter/nf_tables.h
const NFT_REG_VERDICT: u32 = 0;
const NFT_REG_1: u32 = 1;
const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const NF_DROP: u32 = 0;
const NF_ACCEPT: u32 = 1;
const NFT_CMP_EQ: u32 = 0;
const NFT_CMP_NEQ: u32 = 1;
const NFT_LOOKUP_F_INV: u32 = 1;
const NFT_RT_TCPMSS: u32 = 3;
const NFT_BYTEORDER_HTON: u32 = 1;
const NFT_EXTHDR_OP_TCPOPT: u32 = 1;
const IP_CT_DIR_ORIGINAL: u8 = 0;
const TCPOPT_MAXSEG: u8 = 2; // RFC 9293 section 3.2
const IPPROTO_FRAGMENT: u8 = 44; // RFC 8200 section 4.5
const IPPROTO_ROUTING: u8 = 43; // RFC 8200 section 4.4
const NFT_EXTHDR_F_PRESENT: u32 = 1;

impl Expr {
    /// Appends the expression to a rule's list. `set_id` is the number of the set which a lookup looks into.
    pub(super) fn emit(&self, list: &mut Message, set_id: u32) {
        match self {
            Expr::Meta(key) => load(list, "meta", 2, *key as u32),
            Expr::Ct(Ct::OriginalPort) => element(list, "ct", |m| {
                m.put_be32(2, Ct::OriginalPort as u32).put_be32(1, NFT_REG_1).put_u8(3, IP_CT_DIR_ORIGINAL);
            }),
            Expr::Ct(key) => load(list, "ct", 2, *key as u32),
            Expr::Payload { base, offset, len } => element(list, "payload", |m| {
                m.put_be32(1, NFT_REG_1).put_be32(2, *base as u32).put_be32(3, *offset).put_be32(4, *len);
            }),
            Expr::FragmentOffset6 => element(list, "exthdr", |m| {
                m.put_be32(1, NFT_REG_1).put_u8(2, IPPROTO_FRAGMENT).put_be32(3, 2).put_be32(4, 2);
            }),
            Expr::HasRoutingHeader6 => element(list, "exthdr", |m| {
                m.put_be32(1, NFT_REG_1).put_u8(2, IPPROTO_ROUTING).put_be32(3, 0).put_be32(4, 1);
                m.put_be32(5, NFT_EXTHDR_F_PRESENT);
            }),
            Expr::Mask(mask) => element(list, "bitwise", |m| {
                m.put_be32(1, NFT_REG_1).put_be32(2, NFT_REG_1).put_be32(3, mask.len() as u32);
                data(m, 4, mask);
                data(m, 5, &vec![0; mask.len()]);
            }),
            Expr::Cmp { equal, value } => element(list, "cmp", |m| {
                m.put_be32(1, NFT_REG_1).put_be32(2, if *equal { NFT_CMP_EQ } else { NFT_CMP_NEQ });
                data(m, 3, value);
            }),
            Expr::Lookup { inverted, .. } => element(list, "lookup", |m| {
                m.put_be32(2, NFT_REG_1).put_str(1, SET_NAME).put_be32(4, set_id);
                if *inverted {
                    m.put_be32(5, NFT_LOOKUP_F_INV);
                }
            }),
            Expr::RouteSegmentSize => {
                load(list, "rt", 2, NFT_RT_TCPMSS);
                element(list, "byteorder", |m| {
                    m.put_be32(1, NFT_REG_1).put_be32(2, NFT_REG_1).put_be32(3, NFT_BYTEORDER_HTON);
                    m.put_be32(4, 2).put_be32(5, 2);
                });
            }
            Expr::SetSegmentSize => element(list, "exthdr", |m| {
                m.put_be32(7, NFT_REG_1).put_u8(2, TCPOPT_MAXSEG).put_be32(3, 2).put_be32(4, 2);
                m.put_be32(6, NFT_EXTHDR_OP_TCPOPT);
            }),
            Expr::SetMark => store(list, "meta", 3, Meta::Mark as u32),
            Expr::SetCtMark => store(list, "ct", 4, Ct::Mark as u32),
            Expr::Accept => verdict(list, NF_ACCEPT),
            Expr::Drop => verdict(list, NF_DROP),
        }
    }
}

fn element(list: &mut Message, name: &str, fill: impl FnOnce(&mut Message)) {
    list.nest(LIST_ELEM, |m| {
        m.put_str(EXPR_NAME, name).nest(EXPR_DATA, fill);
    });
}

fn load(list: &mut Message, name: &str, key_attr: u16, key: u32) {
    element(list, name, |m| {
        m.put_be32(key_attr, key).put_be32(1, NFT_REG_1);
    });
}

fn store(list: &mut Message, name: &str, register_attr: u16, key: u32) {
    element(list, name, |m| {
        m.put_be32(2, key).put_be32(register_attr, NFT_REG_1);
    });
}

fn data(m: &mut Message, attr: u16, value: &[u8]) {
    m.nest(attr, |m| {
        m.put(DATA_VALUE, value);
    });
}

fn verdict(list: &mut Message, code: u32) {
    element(list, "immediate", |m| {
        m.put_be32(1, NFT_REG_VERDICT).nest(2, |m| {
            m.nest(DATA_VERDICT, |m| {
                m.put_be32(VERDICT_CODE, code);
            });
        });
    });
}

/// What a set's elements are, with nft's number for the type and its length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Ipv4,
    Ipv6,
    EtherType,
    Transport,
    Port,
    IcmpV6Type,
    InterfaceName,
}

impl SetKind {
    /// `enum datatypes` of nft's sources.
    const fn number(self) -> u32 {
        match self {
            SetKind::Ipv4 => 7,
            SetKind::Ipv6 => 8,
            SetKind::EtherType => 10,
            SetKind::Transport => 12,
            SetKind::Port => 13,
            SetKind::IcmpV6Type => 29,
            SetKind::InterfaceName => 41,
        }
    }

    const fn len(self) -> u32 {
        match self {
            SetKind::Ipv4 => 4,
            SetKind::Ipv6 | SetKind::InterfaceName => 16,
            SetKind::EtherType | SetKind::Port => 2,
            SetKind::Transport | SetKind::IcmpV6Type => 1,
        }
    }
}

/// An anonymous constant set. With `interval`, elements are in turn the first value of a range and the first value
/// behind it; a range that reaches the greatest value has no such end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub kind: SetKind,
    pub elements: Vec<Element>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    Value(Vec<u8>),
    /// The first value in a range, and the first one behind it unless the range ends with the greatest.
    Range(Vec<u8>, Option<Vec<u8>>),
}

/// The kernel puts a free number in the place of `%d`.
const SET_NAME: &str = "__set%d";
// Attributes of NEWSET and NEWSETELEM, and flags.
const SET_NAME_ATTR: u16 = 2;
const SET_FLAGS: u16 = 3;
const SET_KEY_TYPE: u16 = 4;
const SET_KEY_LEN: u16 = 5;
const SET_DESC: u16 = 9;
const SET_ID: u16 = 10;
const SET_USERDATA: u16 = 13;
const DESC_SIZE: u16 = 1;
const NFT_SET_ANONYMOUS: u32 = 0x1;
const NFT_SET_CONSTANT: u32 = 0x2;
const NFT_SET_INTERVAL: u32 = 0x4;
const ELEMS_SET: u16 = 2;
const ELEMS: u16 = 3;
const ELEMS_SET_ID: u16 = 4;
const ELEM_KEY: u16 = 1;
const ELEM_FLAGS: u16 = 3;
const NFT_SET_ELEM_INTERVAL_END: u32 = 0x1;
/// NFTNL_UDATA_SET_KEYBYTEORDER, four bytes: 1 = host, 2 = network. `nft list` prints by it.
const UDATA_BYTE_ORDER: [u8; 2] = [0, 4];

impl Set {
    /// Fills the two messages that make the set and its elements.
    pub(super) fn emit(&self, place: Place<'_>, id: u32, blank: [Message; 2]) -> [Message; 2] {
        let [mut set, mut elements] = blank;
        let values = self.values();
        let interval = if self.is_interval() { NFT_SET_INTERVAL } else { 0 };
        let order: u32 = if matches!(self.kind, SetKind::InterfaceName | SetKind::Transport) { 1 } else { 2 };

        set.put_str(RULE_TABLE, place.table).put_str(SET_NAME_ATTR, SET_NAME);
        set.put_be32(SET_FLAGS, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | interval);
        set.put_be32(SET_KEY_TYPE, self.kind.number()).put_be32(SET_KEY_LEN, self.kind.len());
        set.put_be32(SET_ID, id).nest(SET_DESC, |m| {
            m.put_be32(DESC_SIZE, values.len() as u32);
        });
        set.put(SET_USERDATA, &[&UDATA_BYTE_ORDER[..], &order.to_ne_bytes()].concat());

        elements.put_str(RULE_TABLE, place.table).put_str(ELEMS_SET, SET_NAME);
        elements.put_be32(ELEMS_SET_ID, id).nest(ELEMS, |m| {
            for (i, (value, is_end)) in (1u16..).zip(&values) {
                m.nest(i, |m| {
                    if *is_end {
                        m.put_be32(ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
                    }
                    data(m, ELEM_KEY, value);
                });
            }
        });
        [set, elements]
    }

    fn is_interval(&self) -> bool {
        self.elements.iter().any(|e| matches!(e, Element::Range(..)))
    }

    /// Elements as the kernel wants them, each with whether it ends a range. Like `nft`, what lies below the first
    /// range is ended as well.
    fn values(&self) -> Vec<(Vec<u8>, bool)> {
        let zero = vec![0; self.kind.len() as usize];
        let mut values = Vec::new();
        for element in &self.elements {
            match element {
                Element::Value(v) => values.push((v.clone(), false)),
                Element::Range(first, behind) => {
                    if values.is_empty() && *first != zero {
                        values.push((zero.clone(), true));
                    }
                    values.push((first.clone(), false));
                    values.extend(behind.clone().map(|b| (b, true)));
                }
            }
        }
        values
    }
}
