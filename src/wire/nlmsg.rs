//! Netlink messages and attributes (linux/netlink.h; RFC 3549 section 2.3; netlink(7)): what rtnetlink, nfnetlink,
//! sock_diag and generic netlink have in common.
//!
//! A [`Message`] is built without sequence number; the socket gives it one when it is sent. Numbers are in host byte
//! order unless the name says `be` (nfnetlink wants big endian). An attribute holds at most 65,531 bytes: a message
//! with a longer one is remembered as too long and refused by [`Message::emit`], so builders need no error path.
//!
//! Reading: [`frames`] cuts a datagram into messages, [`attrs`] a payload into attributes. Both yield `Result`s and
//! end after the first `Err`, and no input panics.

use std::net::IpAddr;

/// Bytes of `struct nlmsghdr`.
pub const HEADER_LEN: usize = 16;
/// Bytes of `struct nlattr`.
const ATTR_LEN: usize = 4;
/// Most messages are shorter, so that they are made without being moved; chosen.
const BODY_MOSTLY: usize = 256;

// Message kinds (linux/netlink.h).
pub const NLMSG_ERROR: u16 = 2;
pub const NLMSG_DONE: u16 = 3;

// Request flags.
pub const NLM_F_REQUEST: u16 = 0x1;
pub const NLM_F_ACK: u16 = 0x4;
pub const NLM_F_DUMP: u16 = 0x300;
pub const NLM_F_REPLACE: u16 = 0x100;
pub const NLM_F_EXCL: u16 = 0x200;
pub const NLM_F_CREATE: u16 = 0x400;
pub const NLM_F_APPEND: u16 = 0x800;

// Reply flags.
/// What is dumped changed meanwhile: the dump must be repeated.
pub const NLM_F_DUMP_INTR: u16 = 0x10;
/// The acknowledged request's payload was left out.
const NLM_F_CAPPED: u16 = 0x100;
/// Attributes follow the acknowledged request.
const NLM_F_ACK_TLVS: u16 = 0x200;

const NLMSGERR_ATTR_MSG: u16 = 1;
const NLMSGERR_ATTR_OFFS: u16 = 2;

/// NLA_F_NESTED and NLA_F_NET_BYTEORDER: two flags above an attribute's kind.
const KIND_MASK: u16 = 0x3fff;
const NLA_F_NESTED: u16 = 0x8000;

// nfnetlink (linux/netfilter/nfnetlink.h).
const NFNL_MSG_BATCH_BEGIN: u16 = 0x10;
const NFNL_MSG_BATCH_END: u16 = 0x11;

/// What came is shorter than it says, or a number has another size than its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A message or attribute outgrew its length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// A message to be sent: its kind, its flags, the family's fixed header and the attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub kind: u16,
    pub flags: u16,
    body: Vec<u8>,
    too_long: bool,
}

impl Message {
    /// `header` is the family's fixed part: `rtmsg`, `nfgenmsg`, `genlmsghdr` and so on.
    pub fn new(kind: u16, flags: u16, header: &[u8]) -> Message {
        let mut m = Message { kind, flags, body: Vec::with_capacity(BODY_MOSTLY), too_long: false };
        m.body.extend_from_slice(header);
        m.pad();
        m
    }

    /// An attribute with these bytes.
    pub fn put(&mut self, kind: u16, payload: &[u8]) -> &mut Message {
        self.put_parts(kind, &[payload])
    }

    pub fn put_u8(&mut self, kind: u16, n: u8) -> &mut Message {
        self.put(kind, &[n])
    }

    pub fn put_u16(&mut self, kind: u16, n: u16) -> &mut Message {
        self.put(kind, &n.to_ne_bytes())
    }

    pub fn put_u32(&mut self, kind: u16, n: u32) -> &mut Message {
        self.put(kind, &n.to_ne_bytes())
    }

    pub fn put_be32(&mut self, kind: u16, n: u32) -> &mut Message {
        self.put(kind, &n.to_be_bytes())
    }

    /// A string with the zero byte the kernel expects behind it.
    pub fn put_str(&mut self, kind: u16, s: &str) -> &mut Message {
        self.put_parts(kind, &[s.as_bytes(), &[0]])
    }

    /// Four or sixteen bytes in network order.
    pub fn put_ip(&mut self, kind: u16, addr: IpAddr) -> &mut Message {
        match addr {
            IpAddr::V4(a) => self.put(kind, &a.octets()),
            IpAddr::V6(a) => self.put(kind, &a.octets()),
        }
    }

    /// An attribute that holds the attributes which `fill` puts into it.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Message)) -> &mut Message {
        let start = self.body.len();
        self.put(kind | NLA_F_NESTED, &[]);
        fill(self);
        match u16::try_from(self.body.len() - start) {
            Ok(len) => self.body[start..start + 2].copy_from_slice(&len.to_ne_bytes()),
            Err(_) => self.too_long = true,
        }
        self
    }

    /// Appends the whole message, padded to four bytes, to `into`.
    pub fn emit(&self, seq: u32, into: &mut Vec<u8>) -> Result<(), TooLong> {
        let len = u32::try_from(HEADER_LEN + self.body.len()).map_err(|_| TooLong)?;
        if self.too_long {
            return Err(TooLong);
        }
        into.extend_from_slice(&len.to_ne_bytes());
        into.extend_from_slice(&self.kind.to_ne_bytes());
        into.extend_from_slice(&self.flags.to_ne_bytes());
        into.extend_from_slice(&seq.to_ne_bytes());
        into.extend_from_slice(&0u32.to_ne_bytes());
        into.extend_from_slice(&self.body);
        Ok(())
    }

    fn put_parts(&mut self, kind: u16, parts: &[&[u8]]) -> &mut Message {
        let len = ATTR_LEN + parts.iter().map(|p| p.len()).sum::<usize>();
        let Ok(len) = u16::try_from(len) else {
            self.too_long = true;
            return self;
        };
        self.body.extend_from_slice(&len.to_ne_bytes());
        self.body.extend_from_slice(&kind.to_ne_bytes());
        parts.iter().for_each(|p| self.body.extend_from_slice(p));
        self.pad();
        self
    }

    fn pad(&mut self) {
        self.body.resize(padded(self.body.len()), 0);
    }
}

/// `struct nfgenmsg`: address family (0 = unspecified, 1 = inet, 2 = IPv4, 5 = netdev, 10 = IPv6), version 0 and a
/// resource id.
pub fn nfgenmsg(family: u8, resource: u16) -> [u8; 4] {
    let [hi, lo] = resource.to_be_bytes();
    [family, 0, hi, lo]
}

/// What opens a transaction of this nfnetlink subsystem (10 = nftables).
pub fn batch_begin(subsystem: u16) -> Message {
    Message::new(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, &nfgenmsg(0, subsystem))
}

/// What commits it.
pub fn batch_end(subsystem: u16) -> Message {
    Message::new(NFNL_MSG_BATCH_END, NLM_F_REQUEST, &nfgenmsg(0, subsystem))
}

/// One message as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub kind: u16,
    pub flags: u16,
    pub seq: u32,
    pub payload: &'a [u8],
}

/// Cuts a datagram into its messages.
pub fn frames(datagram: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, Malformed>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let frame = parse_frame(&mut rest);
        if frame.is_err() {
            rest = &[];
        }
        Some(frame)
    })
}

fn parse_frame<'a>(rest: &mut &'a [u8]) -> Result<Frame<'a>, Malformed> {
    let (head, _) = rest.split_first_chunk::<HEADER_LEN>().ok_or(Malformed)?;
    let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, ..] = *head;
    let len = u32::from_ne_bytes([l0, l1, l2, l3]) as usize;
    let payload = rest.get(HEADER_LEN..len).ok_or(Malformed)?;
    *rest = rest.get(padded(len)..).unwrap_or_default();
    Ok(Frame {
        kind: u16::from_ne_bytes([k0, k1]),
        flags: u16::from_ne_bytes([f0, f1]),
        seq: u32::from_ne_bytes([s0, s1, s2, s3]),
        payload,
    })
}

/// How a request or a dump ended.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Ack {
    /// Positive errno; 0 = done.
    pub errno: i32,
    /// The kernel's own words (extended ACK).
    pub text: Option<String>,
    /// Where in the request the offending attribute stands.
    pub offset: Option<u32>,
}

impl Frame<'_> {
    /// Parses an NLMSG_ERROR or NLMSG_DONE message.
    pub fn ack(&self) -> Result<Ack, Malformed> {
        let (code, rest) = self.payload.split_first_chunk::<4>().ok_or(Malformed)?;
        let mut ack = Ack { errno: i32::from_ne_bytes(*code).saturating_neg(), ..Ack::default() };
        if self.flags & NLM_F_ACK_TLVS == 0 {
            return Ok(ack);
        }
        for attr in attrs(rest.get(self.echo_len(rest)?..).ok_or(Malformed)?) {
            let attr = attr?;
            match attr.kind {
                NLMSGERR_ATTR_MSG => ack.text = Some(attr.string()),
                NLMSGERR_ATTR_OFFS => ack.offset = Some(attr.u32()?),
                _ => {}
            }
        }
        Ok(ack)
    }

    /// How much of the request an error message repeats before its attributes; NLMSG_DONE repeats nothing.
    fn echo_len(&self, rest: &[u8]) -> Result<usize, Malformed> {
        if self.kind != NLMSG_ERROR {
            return Ok(0);
        }
        if self.flags & NLM_F_CAPPED != 0 {
            return Ok(HEADER_LEN);
        }
        let len = rest.first_chunk::<4>().ok_or(Malformed)?;
        Ok(padded(u32::from_ne_bytes(*len) as usize))
    }
}

/// One attribute as it came; `kind` without the nested and byte-order flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    pub kind: u16,
    pub payload: &'a [u8],
}

/// Cuts a payload into its attributes.
pub fn attrs(payload: &[u8]) -> impl Iterator<Item = Result<Attr<'_>, Malformed>> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let attr = parse_attr(&mut rest);
        if attr.is_err() {
            rest = &[];
        }
        Some(attr)
    })
}

fn parse_attr<'a>(rest: &mut &'a [u8]) -> Result<Attr<'a>, Malformed> {
    let [l0, l1, k0, k1] = *rest.first_chunk::<ATTR_LEN>().ok_or(Malformed)?;
    let len = usize::from(u16::from_ne_bytes([l0, l1]));
    let payload = rest.get(ATTR_LEN..len).ok_or(Malformed)?;
    *rest = rest.get(padded(len)..).unwrap_or_default();
    Ok(Attr { kind: u16::from_ne_bytes([k0, k1]) & KIND_MASK, payload })
}

/// The attributes behind a family's fixed header of `header_len` bytes.
pub fn attrs_behind(
    payload: &[u8],
    header_len: usize,
) -> Result<impl Iterator<Item = Result<Attr<'_>, Malformed>>, Malformed> {
    payload.get(padded(header_len)..).map(attrs).ok_or(Malformed)
}

impl<'a> Attr<'a> {
    fn array<const N: usize>(&self) -> Result<[u8; N], Malformed> {
        self.payload.try_into().map_err(|_| Malformed)
    }

    pub fn u8(&self) -> Result<u8, Malformed> {
        self.array().map(u8::from_ne_bytes)
    }

    pub fn u16(&self) -> Result<u16, Malformed> {
        self.array().map(u16::from_ne_bytes)
    }

    pub fn u32(&self) -> Result<u32, Malformed> {
        self.array().map(u32::from_ne_bytes)
    }

    pub fn u64(&self) -> Result<u64, Malformed> {
        self.array().map(u64::from_ne_bytes)
    }

    pub fn be32(&self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Four or sixteen bytes in network order.
    pub fn ip(&self) -> Result<IpAddr, Malformed> {
        self.array::<4>().map(IpAddr::from).or_else(|_| self.array::<16>().map(IpAddr::from))
    }

    /// Text up to the first zero byte; what is not UTF-8 is replaced.
    pub fn string(&self) -> String {
        let end = self.payload.iter().position(|&b| b == 0).unwrap_or(self.payload.len());
        String::from_utf8_lossy(&self.payload[..end]).into_owned()
    }

    /// The attributes inside.
    pub fn attrs(&self) -> impl Iterator<Item = Result<Attr<'a>, Malformed>> {
        attrs(self.payload)
    }
}

/// The next multiple of four (NLMSG_ALIGN, NLA_ALIGN); saturating, since lengths come from outside.
fn padded(len: usize) -> usize {
    len.saturating_add(3) & !3
}

#[cfg(test)]
mod tests;
