//! A pull parser for JSON (RFC 8259) over any [`Read`], and a small tree for short replies.
//!
//! A list of 13 MB is read through one buffer of 32 KiB: the caller names the keys it wants, everything else is passed
//! over without a copy. Types are the caller's wish, not the document's: a value of another type than asked for is
//! skipped and reported as `None`, so that a `null` where a string was expected spoils nothing. Where it differs from
//! the RFC: numbers are not checked beyond their characters, text that is not UTF-8 is replaced, and nesting deeper
//! than [`DEPTH_MOST`] is an error.

use std::fmt;
use std::io::{self, Read};

/// Levels of nesting that are followed: chosen, a server list has five.
pub const DEPTH_MOST: u32 = 60;

/// Bytes read from the source at once: chosen, two pages of a pipe.
const BUFFER: usize = 32 * 1024;

/// Why a document can not be read. Never holds any of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It ends in the middle.
    Truncated,
    /// The byte at this offset does not belong there.
    Malformed(u64),
    TooDeep,
    /// Reading failed.
    Read(String),
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonError::Truncated => f.write_str("JSON ends in the middle"),
            JsonError::Malformed(at) => write!(f, "not JSON at byte {at}"),
            JsonError::TooDeep => f.write_str("JSON nested too deep"),
            JsonError::Read(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for JsonError {}

type Result<T> = std::result::Result<T, JsonError>;

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

/// The parser. After an error it must not be asked again.
pub struct Reader<R> {
    source: R,
    buffer: Box<[u8]>,
    /// What of `buffer` is still unread: from `at` to `end`.
    at: usize,
    end: usize,
    /// Bytes of the source before `buffer`.
    passed: u64,
    text: Vec<u8>,
    /// The last string that was not UTF-8, as far as it was.
    replaced: String,
    /// One bit a level, innermost lowest: set for an object.
    levels: u64,
    depth: u32,
    /// No value has been read on this level yet, so no comma is due.
    fresh: bool,
}

impl<R: Read> Reader<R> {
    pub fn new(source: R) -> Reader<R> {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Reader {
            source,
            buffer,
            at: 0,
            end: 0,
            passed: 0,
            text: Vec::new(),
            replaced: String::new(),
            levels: 0,
            depth: 0,
            fresh: true,
        }
    }

    /// The kind of the next value, which stays unread.
    pub fn peek(&mut self) -> Result<Kind> {
        Ok(match self.look()? {
            b'{' => Kind::Object,
            b'[' => Kind::Array,
            b'"' => Kind::String,
            b't' | b'f' => Kind::Bool,
            b'n' => Kind::Null,
            b'-' | b'0'..=b'9' => Kind::Number,
            _ => return Err(self.malformed()),
        })
    }

    /// Enters an object; anything else is skipped and answered `false`.
    pub fn enter_object(&mut self) -> Result<bool> {
        self.enter(b'{')
    }

    /// Enters an array; anything else is skipped and answered `false`.
    pub fn enter_array(&mut self) -> Result<bool> {
        self.enter(b'[')
    }

    /// The next key of the object entered last: its place in `keys`, or `keys.len()` for any other. `None` leaves the
    /// object. Its value must be read or skipped before the next call.
    pub fn next_key(&mut self, keys: &[&str]) -> Result<Option<usize>> {
        let Some(place) = self.next_name()? else { return Ok(None) };
        let key = place.of(&self.buffer, &self.text);
        let key = keys.iter().position(|k| k.len() == key.len() && k.as_bytes() == key).unwrap_or(keys.len());
        self.colon()?;
        Ok(Some(key))
    }

    /// The same, by its name.
    fn next_member_name(&mut self) -> Result<Option<String>> {
        let Some(place) = self.next_name()? else { return Ok(None) };
        let key = String::from_utf8_lossy(place.of(&self.buffer, &self.text)).into_owned();
        self.colon()?;
        Ok(Some(key))
    }

    #[inline(always)]
    fn next_name(&mut self) -> Result<Option<Place>> {
        if !self.next_member(b'}')? {
            return Ok(None);
        }
        if self.look()? != b'"' {
            return Err(self.malformed());
        }
        self.read_string().map(Some)
    }

    /// Whether the array entered last has another item, which must be read or skipped; `false` leaves the array.
    pub fn next_item(&mut self) -> Result<bool> {
        self.next_member(b']')
    }

    /// The next value if it is a string, valid until the next call.
    pub fn string(&mut self) -> Result<Option<&str>> {
        if self.look()? != b'"' {
            self.skip()?;
            return Ok(None);
        }
        self.fresh = false;
        let place = self.read_string()?;
        let bytes = place.of(&self.buffer, &self.text);
        Ok(Some(match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(_) => {
                self.replaced = String::from_utf8_lossy(bytes).into_owned();
                &self.replaced
            }
        }))
    }

    /// The next value if it is a number, also one as a string; `true` and `false` are 1 and 0.
    pub fn number(&mut self) -> Result<Option<f64>> {
        match self.peek()? {
            Kind::Number => {
                self.read_word()?;
                if let Some(n) = small_number(&self.text) {
                    return Ok(Some(f64::from(n)));
                }
                let number = std::str::from_utf8(&self.text).ok().and_then(|t| t.parse().ok());
                number.map(Some).ok_or_else(|| self.malformed())
            }
            Kind::Bool => {
                let truth = self.look()? == b't';
                self.skip()?;
                Ok(Some(f64::from(u8::from(truth))))
            }
            Kind::String => Ok(self.string()?.and_then(|t| t.parse().ok()).filter(|n: &f64| n.is_finite())),
            Kind::Object | Kind::Array | Kind::Null => self.skip().map(|()| None),
        }
    }

    /// Passes over the next value, whatever it is.
    pub fn skip(&mut self) -> Result<()> {
        let outer = self.depth;
        loop {
            match self.peek()? {
                Kind::Object => self.open(true)?,
                Kind::Array => self.open(false)?,
                Kind::String => {
                    self.pass_string()?;
                    self.fresh = false;
                }
                Kind::Number => self.read_word()?,
                Kind::Bool | Kind::Null => self.read_literal()?,
            }
            while self.depth > outer {
                let in_object = self.levels & 1 == 1;
                if !self.next_member(if in_object { b'}' } else { b']' })? {
                    continue;
                }
                if in_object {
                    if self.look()? != b'"' {
                        return Err(self.malformed());
                    }
                    self.pass_string()?;
                    self.colon()?;
                }
                break;
            }
            if self.depth == outer {
                return Ok(());
            }
        }
    }

    /// Fails unless nothing but blanks is left.
    pub fn end(&mut self) -> Result<()> {
        loop {
            match self.byte() {
                Ok(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Ok(_) => return Err(self.malformed()),
                Err(JsonError::Truncated) => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn enter(&mut self, open: u8) -> Result<bool> {
        if self.look()? != open {
            return self.skip().map(|()| false);
        }
        self.open(open == b'{').map(|()| true)
    }

    fn open(&mut self, object: bool) -> Result<()> {
        if self.depth == DEPTH_MOST {
            return Err(JsonError::TooDeep);
        }
        self.at += 1;
        self.depth += 1;
        self.levels = self.levels << 1 | u64::from(object);
        self.fresh = true;
        Ok(())
    }

    /// Steps over a comma to the next member, or over `close` out of the level.
    fn next_member(&mut self, close: u8) -> Result<bool> {
        let next = self.look()?;
        if next == close {
            // A caller that leaves one level too many has misread the document.
            self.depth = self.depth.checked_sub(1).ok_or_else(|| self.malformed())?;
            self.at += 1;
            self.levels >>= 1;
            self.fresh = false;
            return Ok(false);
        }
        if !self.fresh {
            if next != b',' {
                return Err(self.malformed());
            }
            self.at += 1;
            if self.look()? == close {
                return Err(self.malformed());
            }
        }
        Ok(true)
    }

    fn colon(&mut self) -> Result<()> {
        if self.look()? != b':' {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    /// The next byte that is no blank, left in place. Inlined, as is [`Reader::byte`]: half of the instructions of reading
    /// a list were these two, called, where the release profile is for size (callgrind).
    #[inline(always)]
    fn look(&mut self) -> Result<u8> {
        match self.buffer[self.at..self.end].first() {
            Some(b) if *b > b' ' => Ok(*b),
            _ => self.look_further(),
        }
    }

    #[inline(never)]
    fn look_further(&mut self) -> Result<u8> {
        loop {
            match self.byte()? {
                b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
                other => return Ok(other),
            }
        }
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8> {
        if self.at == self.end {
            self.fill()?;
        }
        Ok(self.buffer[self.at])
    }

    /// Replaces the buffer, which is used up, by what comes next: at least one byte.
    fn fill(&mut self) -> Result<()> {
        self.passed += self.end as u64;
        (self.at, self.end) = (0, 0);
        let read = loop {
            match self.source.read(&mut self.buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match read {
            Ok(0) => Err(JsonError::Truncated),
            Ok(n) => {
                self.end = n;
                Ok(())
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Err(JsonError::Truncated),
            Err(e) => Err(JsonError::Read(e.to_string())),
        }
    }

    /// Reads the characters of a number into `text`; a document may end with one.
    fn read_word(&mut self) -> Result<()> {
        self.text.clear();
        self.fresh = false;
        loop {
            let rest = &self.buffer[self.at..self.end];
            let length = rest.iter().position(|b| !is_word(*b)).unwrap_or(rest.len());
            self.text.extend_from_slice(&rest[..length]);
            self.at += length;
            if self.at < self.end {
                return Ok(());
            }
            match self.fill() {
                Ok(()) => {}
                Err(JsonError::Truncated) if self.depth == 0 => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    fn read_literal(&mut self) -> Result<()> {
        self.read_word()?;
        let known = matches!(self.text.as_slice(), b"true" | b"false" | b"null");
        if known { Ok(()) } else { Err(self.malformed()) }
    }

    fn malformed(&self) -> JsonError {
        JsonError::Malformed(self.passed + self.at as u64)
    }
}

/// What numbers and the three literals are made of.
fn is_word(b: u8) -> bool {
    matches!(b, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')
}

/// Digits alone, as most numbers are: the general way costs ten times as much.
fn small_number(text: &[u8]) -> Option<u32> {
    let is_small = text.len() <= 9 && text.iter().all(u8::is_ascii_digit) && !text.is_empty();
    is_small.then(|| text.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')))
}

mod strings;
mod tree;
use strings::Place;
pub use tree::{Value, quote};

#[cfg(test)]
mod tests;
