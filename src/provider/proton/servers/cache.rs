//! `servers.json`: the list as kept on disk, with what a conditional request needs. Tables as in memory, so that the
//! file is a sixth of the API's body; anything that can not be read back is fetched again.

use super::{Logical, Physical, ServerList};
use crate::config::secret::PublicKey;
use crate::provider::Country;
use crate::time::UnixTime;
use crate::wire::json::{JsonError, Reader, quote};
use std::fmt::Write as _;
use std::io::Read;
use std::net::Ipv4Addr;

/// Raised when the format changes: an older file counts as none.
const VERSION: u32 = 1;

/// Chosen: as many writes as a list needs are few, and the memory is small.
const PIECE: usize = 64 << 10;

/// When and under which validator the list came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// `Last-Modified` of the list.
    pub last_modified: Option<String>,
    /// When the list was last known to be current.
    pub checked_at: UnixTime,
    /// When the loads were.
    pub loads_at: UnixTime,
}

impl ServerList {
    /// The file's text, in pieces of about [`PIECE`]: whole it is as long as the list itself.
    pub fn emit<E>(&self, stamp: &Stamp, keep: &mut dyn FnMut(&str) -> Result<(), E>) -> Result<(), E> {
        let mut out = String::with_capacity(PIECE + 4096);
        let mut pass_on = |out: &mut String, least: usize| {
            if out.len() < least {
                return Ok(());
            }
            let kept = keep(out);
            out.clear();
            kept
        };
        let _ = write!(out, "{{\"version\":{VERSION},\"last_modified\":");
        quote(&mut out, stamp.last_modified.as_deref().unwrap_or_default());
        let _ = write!(out, ",\"checked_at\":{},\"loads_at\":{}", stamp.checked_at.0, stamp.loads_at.0);
        out.push_str(",\"texts\":[");
        for place in 0..self.texts.ends.len() {
            separate(&mut out, place);
            // Positions fit: see `Texts::push`.
            quote(&mut out, self.texts.at(place as u32));
            pass_on(&mut out, PIECE)?;
        }
        out.push_str("],\"keys\":[");
        for (place, key) in self.keys.iter().enumerate() {
            separate(&mut out, place);
            let _ = write!(out, "\"{key}\"");
            pass_on(&mut out, PIECE)?;
        }
        out.push_str("],\"servers\":[");
        for (place, l) in self.logicals.iter().enumerate() {
            separate(&mut out, place);
            self.emit_logical(&mut out, l);
            pass_on(&mut out, PIECE)?;
        }
        out.push_str("]}\n");
        pass_on(&mut out, 0)
    }

    fn emit_logical(&self, out: &mut String, l: &Logical) {
        let load = l.load.map_or(-1, i16::from);
        let _ = write!(
            out,
            "[\"{:x}\",{},{},{},{},{},{load},{},{},\"{}\",\"{}\"",
            l.id,
            l.name,
            l.domain,
            l.city,
            l.features,
            l.tier,
            l.score,
            u8::from(l.is_up),
            l.exit.as_ref().map_or("", Country::as_str),
            l.host.as_ref().map_or("", Country::as_str),
        );
        let first = l.first as usize;
        for p in self.physicals.get(first..first + usize::from(l.count)).unwrap_or_default() {
            let (up, ipv6) = (u8::from(p.is_up), u8::from(p.has_ipv6));
            let exit = p.exit.map_or(0, u32::from);
            let _ = write!(out, ",{},{exit},{},{up},{ipv6}", u32::from(p.entry), p.key);
        }
        out.push(']');
    }

    /// Reads the file back; `None` where it is of another version or does not hold together.
    pub fn read(source: impl Read) -> Result<Option<(ServerList, Stamp)>, JsonError> {
        const KEYS: [&str; 7] =
            ["version", "last_modified", "checked_at", "loads_at", "texts", "keys", "servers"];
        let mut r = Reader::new(source);
        let (mut list, mut stamp) = (ServerList::empty(), Stamp::default());
        let mut version = None;
        if r.enter_object()? {
            while let Some(key) = r.next_key(&KEYS)? {
                match key {
                    0 => version = r.number()?,
                    1 => stamp.last_modified = r.string()?.filter(|t| !t.is_empty()).map(str::to_owned),
                    2 => stamp.checked_at = time(r.number()?),
                    3 => stamp.loads_at = time(r.number()?),
                    4 if r.enter_array()? => {
                        while r.next_item()? {
                            list.texts.push(r.string()?.unwrap_or_default());
                        }
                    }
                    5 if r.enter_array()? => {
                        while r.next_item()? {
                            list.keys.extend(r.string()?.and_then(PublicKey::parse));
                        }
                    }
                    6 if r.enter_array()? => {
                        while r.next_item()? {
                            list.read_row(&mut r)?;
                        }
                    }
                    4..=6 => {}
                    _ => r.skip()?,
                }
            }
        }
        r.end()?;
        list.shrink();
        let whole = version == Some(f64::from(VERSION)) && list.holds_together();
        Ok(whole.then_some((list, stamp)))
    }

    /// Id, eight numbers, two countries, then five numbers for each physical server.
    fn read_row<R: Read>(&mut self, r: &mut Reader<R>) -> Result<(), JsonError> {
        let first = self.physicals.len();
        let (mut id, mut numbers, mut countries, mut physical) = (0, [0.0; 8], [None; 2], [0.0; 5]);
        let mut place = 0;
        if !r.enter_array()? {
            return Ok(());
        }
        while r.next_item()? {
            match place {
                0 => id = r.string()?.and_then(|t| u64::from_str_radix(t, 16).ok()).unwrap_or(0),
                1..=8 => numbers[place - 1] = r.number()?.unwrap_or(0.0),
                9..=10 => countries[place - 9] = r.string()?.and_then(Country::parse),
                _ => {
                    let column = (place - 11) % physical.len();
                    physical[column] = r.number()?.unwrap_or(0.0);
                    if column == physical.len() - 1 {
                        self.physicals.push(Physical::read(physical));
                    }
                }
            }
            place += 1;
        }
        // Whole numbers written by `emit_logical`; `as` ends at the bounds of each type.
        let [name, domain, city, features, tier, load, score, up] = numbers;
        self.logicals.push(Logical {
            id,
            score,
            name: name as u32,
            domain: domain as u32,
            city: city as u32,
            first: first as u32,
            count: u16::try_from(self.physicals.len() - first).unwrap_or(0),
            features: features as u16,
            exit: countries[0],
            host: countries[1],
            tier: tier as u8,
            load: (load >= 0.0).then_some(load as u8),
            is_up: up != 0.0,
        });
        Ok(())
    }

    fn holds_together(&self) -> bool {
        let (texts, keys) = (self.texts.ends.len(), self.keys.len());
        self.physicals.iter().all(|p| (p.key as usize) < keys)
            && self
                .logicals
                .iter()
                .all(|l| [l.name, l.domain, l.city].iter().all(|at| (*at as usize) < texts))
    }
}

impl Physical {
    /// Whole numbers written by `emit_logical`; `as` ends at the bounds of each type.
    fn read([entry, exit, key, up, ipv6]: [f64; 5]) -> Physical {
        Physical {
            entry: Ipv4Addr::from(entry as u32),
            exit: Some(Ipv4Addr::from(exit as u32)).filter(|a| !a.is_unspecified()),
            key: key as u32,
            is_up: up != 0.0,
            has_ipv6: ipv6 != 0.0,
        }
    }
}

fn separate(out: &mut String, place: usize) {
    if place > 0 {
        out.push(',');
    }
}

fn time(n: Option<f64>) -> UnixTime {
    // Whole and positive: written by `emit`; `as` ends at the bounds.
    UnixTime(n.unwrap_or(0.0) as u64)
}
