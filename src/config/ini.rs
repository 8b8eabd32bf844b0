//! The text of `config.ini` as lines: `key = value` under `[section]`, read without losing a byte and written back
//! with only the changed values different.
//!
//! `#` or `;` begins a comment at the start of a line or after a blank. A value that begins with a double quote is
//! literal up to the closing one, with `\"` and `\\` for the two characters. A key given twice in a section is a
//! fault; what keys there may be is not decided here (`keys.rs`). No fault repeats a value: it may be a password.

use std::fmt;

/// A line that cannot be read, or a value that cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.text)
    }
}

/// A value as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub line: usize,
    pub section: &'a str,
    pub key: &'a str,
    /// Without quotes and comment.
    pub value: &'a str,
    pub quoted: bool,
}

impl Entry<'_> {
    /// Whether the value says nothing: empty, or the `..` that stands for "yours here" in the example.
    pub fn is_unset(&self) -> bool {
        self.value.is_empty() || (self.value == ".." && !self.quoted)
    }
}

#[derive(Clone, PartialEq, Eq)]
enum Line {
    /// A blank line or a comment.
    Other(String),
    Section {
        raw: String,
        name: String,
    },
    Entry {
        raw: String,
        key: String,
        value: String,
        quoted: bool,
        /// Where in `raw` the value stands, quotes included.
        span: (usize, usize),
    },
}

impl Line {
    fn raw(&self) -> &str {
        match self {
            Line::Other(raw) | Line::Section { raw, .. } | Line::Entry { raw, .. } => raw,
        }
    }
}

/// A file of sections, lossless: an untouched document emits the bytes it was parsed from.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Document {
    lines: Vec<Line>,
    /// Whether the last line ends in a newline.
    is_open: bool,
}

impl Document {
    /// Parses the whole text. A byte order mark is dropped, carriage returns before newlines are kept.
    pub fn parse(text: &str) -> Result<Document, Fault> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_open = !text.is_empty() && !text.ends_with('\n');
        let body = text.strip_suffix('\n').unwrap_or(text);
        let mut doc = Document { lines: Vec::new(), is_open };
        if text.is_empty() {
            return Ok(doc);
        }
        let mut section: Option<String> = None;
        let mut seen: Vec<(String, String, usize)> = Vec::new();
        for (n, raw) in body.split('\n').enumerate() {
            let fault = |text: String| Fault { line: n + 1, text };
            let line = parse_line(raw).map_err(|e| fault(e.to_owned()))?;
            match &line {
                Line::Section { name, .. } => section = Some(name.clone()),
                Line::Entry { key, .. } => {
                    let Some(section) = &section else {
                        return Err(fault(format!("{key} stands before the first [section]")));
                    };
                    if let Some((.., first)) = seen.iter().find(|(s, k, _)| s == section && k == key) {
                        return Err(fault(format!(
                            "{key} in [{section}] is given twice, first in line {first}"
                        )));
                    }
                    seen.push((section.clone(), key.clone(), n + 1));
                }
                Line::Other(_) => {}
            }
            doc.lines.push(line);
        }
        Ok(doc)
    }

    /// The text again.
    pub fn emit(&self) -> String {
        let mut text = self.lines.iter().map(Line::raw).collect::<Vec<_>>().join("\n");
        if !self.lines.is_empty() && !self.is_open {
            text.push('\n');
        }
        text
    }

    /// All values, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut current = "";
        self.lines.iter().enumerate().filter_map(move |(n, line)| match line {
            Line::Section { name, .. } => {
                current = name;
                None
            }
            Line::Entry { key, value, quoted, .. } => {
                Some(Entry { line: n + 1, section: current, key, value, quoted: *quoted })
            }
            Line::Other(_) => None,
        })
    }

    /// The sections with the line each begins in, in the order of the file.
    pub fn sections(&self) -> impl Iterator<Item = (usize, &str)> {
        self.lines.iter().enumerate().filter_map(|(n, line)| match line {
            Line::Section { name, .. } => Some((n + 1, name.as_str())),
            _ => None,
        })
    }

    pub fn find(&self, section: &str, key: &str) -> Option<Entry<'_>> {
        self.entries().find(|e| e.section == section && e.key == key)
    }

    /// Sets a value, quoted where it must be. A key that is there keeps its place and its comment; another is added
    /// at the end of its section, and a section at the end of the file. A value with a control character does not
    /// fit on a line.
    pub fn set(&mut self, section: &str, key: &str, value: &str) -> Result<(), Fault> {
        if value.chars().any(char::is_control) {
            let line = self.find(section, key).map_or(0, |e| e.line);
            return Err(Fault {
                line,
                text: format!("the value of {key} in [{section}] has a control character"),
            });
        }
        let written = quote(value);
        match self.find(section, key).map(|e| e.line - 1) {
            Some(at) => self.replace(at, &written),
            None => self.insert(section, &format!("{key} = {written}")),
        }
        Ok(())
    }

    /// Takes a key's line away, if there is one.
    pub fn remove(&mut self, section: &str, key: &str) {
        if let Some(at) = self.find(section, key).map(|e| e.line - 1) {
            self.lines.remove(at);
        }
    }

    fn replace(&mut self, at: usize, written: &str) {
        let Some(Line::Entry { raw, span, .. }) = self.lines.get(at) else { return };
        let (head, tail) = (&raw[..span.0], &raw[span.1..]);
        let blank = if head.ends_with('=') { " " } else { "" };
        // An empty value's comment begins where the value would: keep a blank between them.
        let gap = if !written.is_empty() && tail.starts_with(['#', ';']) { " " } else { "" };
        let raw = format!("{head}{blank}{written}{gap}{tail}");
        if let Ok(line) = parse_line(&raw) {
            self.lines[at] = line;
        }
    }

    fn insert(&mut self, section: &str, raw: &str) {
        let Ok(line) = parse_line(raw) else { return };
        let Some((start, _)) = self.sections().find(|(_, name)| *name == section) else {
            if self.lines.iter().any(|l| !l.raw().trim().is_empty()) {
                self.lines.push(Line::Other(String::new()));
            }
            self.lines.push(Line::Section { raw: format!("[{section}]"), name: section.to_owned() });
            self.lines.push(line);
            self.is_open = false;
            return;
        };
        // `start` counts from 1, so it is the index of the line after the heading.
        let end = self.lines[start..]
            .iter()
            .position(|l| matches!(l, Line::Section { .. }))
            .map_or(self.lines.len(), |n| start + n);
        let last = self.lines[start..end].iter().rposition(|l| matches!(l, Line::Entry { .. }));
        let at = last.map_or(start, |n| start + n + 1);
        self.is_open &= at < self.lines.len();
        self.lines.insert(at, line);
    }
}

fn parse_line(raw: &str) -> Result<Line, &'static str> {
    let text = raw.trim();
    if text.is_empty() || text.starts_with(['#', ';']) {
        return Ok(Line::Other(raw.to_owned()));
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (name, rest) = rest.split_once(']').ok_or("a section has no closing ]")?;
        if !is_comment_or_nothing(rest) {
            return Err("only a comment may follow a [section]");
        }
        return Ok(Line::Section { raw: raw.to_owned(), name: name.trim().to_owned() });
    }
    let equals = raw.find('=').ok_or("neither `key = value` nor `[section]` nor a comment")?;
    let key = raw[..equals].trim();
    if key.is_empty() {
        return Err("no key before the =");
    }
    let rest = &raw[equals + 1..];
    let start = equals + 1 + (rest.len() - rest.trim_start().len());
    let (value, quoted, end) = parse_value(raw, equals + 1, start)?;
    Ok(Line::Entry { raw: raw.to_owned(), key: key.to_owned(), value, quoted, span: (start, end) })
}

/// The value that begins at `start`, and where it ends; `after` is the place right behind the `=`.
fn parse_value(raw: &str, after: usize, start: usize) -> Result<(String, bool, usize), &'static str> {
    let text = &raw[start..];
    if let Some(inner) = text.strip_prefix('"') {
        let (value, used) = parse_quoted(inner).ok_or("a value has no closing double quote")?;
        let end = start + 1 + used;
        if !is_comment_or_nothing(&raw[end..]) {
            return Err(
                "only a comment may follow a closing double quote (inside quotes write \\\" and \\\\)",
            );
        }
        return Ok((value, true, end));
    }
    let mut blank_before = start > after;
    let mut end = text.len();
    for (at, c) in text.char_indices() {
        if blank_before && matches!(c, '#' | ';') {
            end = at;
            break;
        }
        blank_before = c.is_whitespace();
    }
    let value = text[..end].trim_end();
    Ok((value.to_owned(), false, start + value.len()))
}

/// The text up to the closing quote, and how many bytes of `inner` that took with the quote.
fn parse_quoted(inner: &str) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = inner.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match (c, chars.peek()) {
            ('"', _) => return Some((value, at + 1)),
            ('\\', Some((_, next @ ('"' | '\\')))) => {
                value.push(*next);
                chars.next();
            }
            _ => value.push(c),
        }
    }
    None
}

fn is_comment_or_nothing(rest: &str) -> bool {
    let text = rest.trim_start();
    text.is_empty() || (text.len() < rest.len() && text.starts_with(['#', ';']))
}

/// The value as it is written: in quotes where it would be read back as something else without them.
fn quote(value: &str) -> String {
    let mut blank_before = true;
    let has_comment = value.chars().any(|c| {
        let begins = blank_before && matches!(c, '#' | ';');
        blank_before = c.is_whitespace();
        begins
    });
    let plain = value != ".." && value.trim() == value && !value.starts_with('"') && !has_comment;
    if plain { value.to_owned() } else { format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")) }
}

#[cfg(test)]
mod tests;
