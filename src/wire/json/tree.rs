//! A JSON document as a tree, for replies of a few kilobytes whose types can't be trusted: every access answers
//! `None` where the value is of another type.

use super::{JsonError, Kind, Reader, Result};
use std::io::Read;

/// A value. It may hold tokens, so it does not print.
#[derive(Clone, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    Array(Vec<Value>),
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Parses one document; text after it is an error.
    pub fn parse(source: impl Read) -> Result<Value> {
        let mut reader = Reader::new(source);
        let value = read(&mut reader)?;
        reader.end()?;
        Ok(value)
    }

    /// The member of this name, the last one where a name comes twice; `Null` where there is none.
    pub fn at(&self, key: &str) -> &Value {
        match self {
            Value::Object(members) => {
                members.iter().rev().find(|(k, _)| k == key).map_or(&Value::Null, |(_, v)| v)
            }
            _ => &Value::Null,
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    /// A whole number that is not negative, also as a string.
    pub fn number(&self) -> Option<u64> {
        match self {
            // The range check makes the conversion exact.
            Value::Number(n) if *n >= 0.0 && *n < 9e15 && n.fract() == 0.0 => Some(*n as u64),
            Value::String(s) => s.parse().ok(),
            _ => None,
        }
    }

    /// `true`, `false`, 1, 0, or one of these as a string.
    pub fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(b) => Some(*b),
            Value::Number(n) => Some(*n != 0.0),
            Value::String(s) => match s.as_str() {
                "true" | "1" | "on" => Some(true),
                "false" | "0" | "off" | "" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }
}

/// Recursion ends at [`super::DEPTH_MOST`], where the reader refuses to enter.
fn read<R: Read>(r: &mut Reader<R>) -> Result<Value> {
    Ok(match r.peek()? {
        Kind::Null => r.skip().map(|()| Value::Null)?,
        Kind::Bool => Value::Bool(r.number()? == Some(1.0)),
        Kind::Number => Value::Number(r.number()?.ok_or(JsonError::Truncated)?),
        Kind::String => Value::String(r.string()?.unwrap_or_default().to_owned()),
        Kind::Array => {
            let mut items = Vec::new();
            r.enter_array()?;
            while r.next_item()? {
                items.push(read(r)?);
            }
            Value::Array(items)
        }
        Kind::Object => {
            let mut members = Vec::new();
            r.enter_object()?;
            while let Some(key) = r.next_member_name()? {
                members.push((key, read(r)?));
            }
            Value::Object(members)
        }
    })
}

/// Appends `text` as a JSON string.
pub fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
