//! D-Bus messages, as far as a caller needs them: method calls out, replies and errors in (D-Bus specification 0.43,
//! "Message Protocol" and "Marshalling"). Little-endian only, which is what we send and therefore what is answered by
//! every bus that forwards bodies unchanged; a big-endian message is [`Malformed`].
//!
//! Of a reply only what a caller decides by is read: which call it answers, an error's name with its text, and of bodies
//! the one kind that resolved's list of servers has.

use std::fmt;
use std::net::IpAddr;

/// Longest message taken; chosen: the specification allows 128 MiB, replies to our calls are a few hundred bytes.
pub const MESSAGE_MOST: usize = 64 << 10;
/// The part of the header that says how long the whole is.
pub const PREFIX: usize = 16;

const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const VERSION: u8 = 1;
/// Do not start a service that does not run.
const NO_AUTO_START: u8 = 2;

// Header fields.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

/// Not a message of this specification, or not all of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed D-Bus message")
    }
}

impl std::error::Error for Malformed {}

/// Where a call goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub destination: &'static str,
    pub path: &'static str,
    pub interface: &'static str,
}

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    Int(i32),
    Bool(bool),
    Text(String),
    /// `a(iay)`: address family and bytes of each.
    Addresses(Vec<(i32, Vec<u8>)>),
    /// `a(sb)`: names with a flag each.
    Names(Vec<(String, bool)>),
}

impl Arg {
    fn signature(&self) -> &'static str {
        match self {
            Arg::Int(_) => "i",
            Arg::Bool(_) => "b",
            Arg::Text(_) => "s",
            Arg::Addresses(_) => "a(iay)",
            Arg::Names(_) => "a(sb)",
        }
    }
}

/// What came back, or what else the bus says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The call of this serial is done, with this body.
    Done { serial: u32, body: Vec<u8> },
    /// It failed: the error's name, and its text if there is one.
    Failed { serial: u32, name: String, text: String },
    /// Signals, and calls to us.
    Other,
}

/// A method call with this serial (never 0).
pub fn emit_call(serial: u32, target: &Target, member: &str, args: &[Arg]) -> Vec<u8> {
    let mut body = Writer::default();
    args.iter().for_each(|arg| body.arg(arg));
    let signature: String = args.iter().map(Arg::signature).collect();

    let mut w = Writer::default();
    w.0.extend([b'l', METHOD_CALL, NO_AUTO_START, VERSION]);
    w.u32(body.0.len() as u32); // a few hundred bytes
    w.u32(serial);
    w.array(8, |w| {
        w.field(PATH, "o", target.path);
        w.field(MEMBER, "s", member);
        w.field(INTERFACE, "s", target.interface);
        w.field(DESTINATION, "s", target.destination);
        if !signature.is_empty() {
            w.align(8);
            w.0.push(SIGNATURE);
            w.signature("g");
            w.signature(&signature);
        }
    });
    w.align(8);
    w.0.extend(body.0);
    w.0
}

/// How long the message is that begins with these bytes.
pub fn message_len(prefix: &[u8; PREFIX]) -> Result<usize, Malformed> {
    let [b'l', _, _, VERSION, ..] = prefix else { return Err(Malformed) };
    let word = |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
    let fields = (word(12) as usize).checked_next_multiple_of(8).ok_or(Malformed)?;
    let len = PREFIX.checked_add(fields).and_then(|n| n.checked_add(word(4) as usize)).ok_or(Malformed)?;
    if len <= MESSAGE_MOST { Ok(len) } else { Err(Malformed) }
}

/// Parses one whole message.
pub fn parse(b: &[u8]) -> Result<Incoming, Malformed> {
    let prefix: &[u8; PREFIX] = b.first_chunk().ok_or(Malformed)?;
    if message_len(prefix)? != b.len() {
        return Err(Malformed);
    }
    let kind = prefix[1];
    let mut r = Reader { b, at: 12 };
    let fields_end = PREFIX + r.u32()? as usize;
    let (mut serial, mut name, mut signature) = (None, None, None);
    while r.at < fields_end {
        r.align(8)?;
        let code = r.u8()?;
        match (code, r.signature()?) {
            (REPLY_SERIAL, "u") => serial = Some(r.u32()?),
            (ERROR_NAME, "s") => name = Some(r.text()?),
            (SIGNATURE, "g") => signature = Some(r.signature()?),
            (_, "s" | "o") => drop(r.text()?),
            (_, "g") => drop(r.signature()?),
            (_, "u") => drop(r.u32()?),
            _ => return Err(Malformed),
        }
    }
    if r.at > fields_end {
        return Err(Malformed);
    }
    r.align(8)?;
    Ok(match kind {
        METHOD_RETURN => Incoming::Done { serial: serial.ok_or(Malformed)?, body: b[r.at..].to_vec() },
        ERROR => Incoming::Failed {
            serial: serial.ok_or(Malformed)?,
            name: name.ok_or(Malformed)?.to_owned(),
            text: match signature {
                Some(s) if s.starts_with('s') => r.text()?.to_owned(),
                _ => String::new(),
            },
        },
        _ => Incoming::Other,
    })
}

/// Parses a body that is a variant of `a(iiay)`: servers with the index of their link, 0 for none, and addresses that
/// are neither IPv4 nor IPv6 left out (org.freedesktop.resolve1(5), property DNS).
pub fn parse_link_servers(body: &[u8]) -> Result<Vec<(i32, IpAddr)>, Malformed> {
    let mut r = Reader { b: body, at: 0 };
    if r.signature()? != "a(iiay)" {
        return Err(Malformed);
    }
    let len = r.u32()? as usize;
    r.align(8)?;
    let end = r.at.checked_add(len).filter(|end| *end == body.len()).ok_or(Malformed)?;
    let mut servers = Vec::new();
    while r.at < end {
        r.align(8)?;
        let (index, _family) = (r.u32()?.to_le_bytes(), r.u32()?);
        let len = r.u32()? as usize;
        let address = r.take(len)?;
        let v4 = <[u8; 4]>::try_from(address).map(IpAddr::from).ok();
        if let Some(address) = v4.or_else(|| <[u8; 16]>::try_from(address).map(IpAddr::from).ok()) {
            servers.push((i32::from_le_bytes(index), address));
        }
    }
    Ok(servers)
}

/// Marshals; alignment counts from the first byte.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, n: u32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }

    fn i32(&mut self, n: i32) {
        self.align(4);
        self.0.extend(n.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.u32(text.len() as u32); // names, all short
        self.0.extend(text.bytes());
        self.0.push(0);
    }

    fn signature(&mut self, text: &str) {
        self.0.push(text.len() as u8); // those of `Arg`, all short
        self.0.extend(text.bytes());
        self.0.push(0);
    }

    fn field(&mut self, code: u8, kind: &str, text: &str) {
        self.align(8);
        self.0.push(code);
        self.signature(kind);
        self.text(text);
    }

    /// An array: its length in bytes counts from the first element, not from the padding before it.
    fn array(&mut self, align: usize, elements: impl FnOnce(&mut Writer)) {
        self.u32(0);
        let len_at = self.0.len() - 4;
        self.align(align);
        let begin = self.0.len();
        elements(self);
        let len = (self.0.len() - begin) as u32; // bounded by its elements
        self.0[len_at..len_at + 4].copy_from_slice(&len.to_le_bytes());
    }

    fn arg(&mut self, arg: &Arg) {
        match arg {
            Arg::Int(n) => self.i32(*n),
            Arg::Bool(b) => self.u32(u32::from(*b)),
            Arg::Text(text) => self.text(text),
            Arg::Addresses(all) => self.array(8, |w| {
                for (family, bytes) in all {
                    w.align(8);
                    w.i32(*family);
                    w.array(1, |w| w.0.extend(bytes));
                }
            }),
            Arg::Names(all) => self.array(8, |w| {
                for (name, flag) in all {
                    w.align(8);
                    w.text(name);
                    w.u32(u32::from(*flag));
                }
            }),
        }
    }
}

struct Reader<'a> {
    b: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(n).ok_or(Malformed)?;
        let taken = self.b.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let padding = self.at.next_multiple_of(to) - self.at;
        self.take(padding).map(drop)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.align(4)?;
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    fn terminated(&mut self, len: usize) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.take(len)?).map_err(|_| Malformed)?;
        if self.u8()? == 0 { Ok(text) } else { Err(Malformed) }
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = self.u32()? as usize;
        self.terminated(len)
    }

    fn signature(&mut self) -> Result<&'a str, Malformed> {
        let len = usize::from(self.u8()?);
        self.terminated(len)
    }
}

#[cfg(test)]
mod tests;
