//! Strings of a JSON document: kept with their escapes resolved, or passed over (RFC 8259 section 7).

use super::{Reader, Result};
use std::io::Read;
use std::ops::Range;

/// Where a string is until the next call.
pub(super) enum Place {
    /// As it stands in the document.
    Buffer(Range<usize>),
    /// It had escapes, or came in pieces.
    Text,
}

impl Place {
    #[inline(always)]
    pub(super) fn of<'a>(&self, buffer: &'a [u8], text: &'a [u8]) -> &'a [u8] {
        match self {
            Place::Buffer(range) => &buffer[range.clone()],
            Place::Text => text,
        }
    }
}

impl<R: Read> Reader<R> {
    /// Reads a string, its escapes resolved. Its first quote is the next byte.
    pub(super) fn read_string(&mut self) -> Result<Place> {
        self.at += 1;
        let (start, length) = (self.at, plain_length(&self.buffer[self.at..self.end]));
        let stop = start + length;
        if stop < self.end && self.buffer[stop] == b'"' {
            self.at = stop + 1;
            return Ok(Place::Buffer(start..stop));
        }
        self.gather_string()?;
        Ok(Place::Text)
    }

    /// Reads a string from behind its first quote into `text`.
    fn gather_string(&mut self) -> Result<()> {
        self.text.clear();
        loop {
            self.byte()?;
            let rest = &self.buffer[self.at..self.end];
            let plain = plain_length(rest);
            self.text.extend_from_slice(&rest[..plain]);
            let stop = rest.get(plain).copied();
            self.at += plain + usize::from(stop.is_some());
            match stop {
                Some(b'"') => return Ok(()),
                Some(_) => self.read_escape()?,
                None => {}
            }
        }
    }

    fn read_escape(&mut self) -> Result<()> {
        let escape = self.byte()?;
        self.at += 1;
        self.text.push(match escape {
            b'"' | b'\\' | b'/' => escape,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.read_unicode(),
            _ => return Err(self.malformed()),
        });
        Ok(())
    }

    /// `\uXXXX`, with its second half where it is the first of a pair (RFC 8259 section 7). A lone half becomes U+FFFD.
    fn read_unicode(&mut self) -> Result<()> {
        let mut code = self.read_hex4()?;
        while (0xd800..0xdc00).contains(&code) {
            if self.byte()? != b'\\' {
                break;
            }
            self.at += 1;
            if self.byte()? != b'u' {
                self.push_char(0xfffd);
                return self.read_escape();
            }
            self.at += 1;
            let low = self.read_hex4()?;
            if (0xdc00..0xe000).contains(&low) {
                code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
            } else {
                self.push_char(0xfffd);
                code = low;
            }
        }
        self.push_char(code);
        Ok(())
    }

    fn read_hex4(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = char::from(self.byte()?).to_digit(16).ok_or_else(|| self.malformed())?;
            self.at += 1;
            code = code << 4 | digit;
        }
        Ok(code)
    }

    fn push_char(&mut self, code: u32) {
        let c = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Passes over a string without keeping it.
    pub(super) fn pass_string(&mut self) -> Result<()> {
        self.at += 1;
        loop {
            self.byte()?;
            let rest = &self.buffer[self.at..self.end];
            let plain = plain_length(rest);
            let stop = rest.get(plain).copied();
            self.at += plain + usize::from(stop.is_some());
            match stop {
                Some(b'"') => return Ok(()),
                Some(_) => {
                    self.byte()?;
                    self.at += 1;
                }
                None => {}
            }
        }
    }
}

/// Bytes before the first quote or backslash. Eight at a time, since half of a server list is inside strings: a byte
/// of `word ^ repeated` is zero where it matches, and subtracting one from each borrows into its high bit there.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let (mut rest, mut length) = (bytes, 0);
    while let Some((eight, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let holds = |stop: u8| {
            let differs = word ^ (ONES * u64::from(stop));
            differs.wrapping_sub(ONES) & !differs & HIGHS
        };
        let found = holds(b'"') | holds(b'\\');
        if found != 0 {
            // A borrow only spoils bytes above the first match, which is the lowest.
            return length + found.trailing_zeros() as usize / 8;
        }
        (rest, length) = (after, length + 8);
    }
    let tail = rest.iter().position(|b| matches!(b, b'"' | b'\\'));
    length + tail.unwrap_or(rest.len())
}
