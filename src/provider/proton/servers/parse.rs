//! Reads `/vpn/v1/logicals` and `/vpn/v1/loads` as a stream (types: tn3w/ProtonVPN-IPs, counted over real entries).
//! One server that makes no sense is left out; a list that ends in the middle is no list.

use super::{Index, Logical, Physical, ServerList, TextAt, hash_id};
use crate::config::secret::PublicKey;
use crate::provider::Country;
use crate::wire::json::{JsonError, Reader};
use std::collections::HashMap;
use std::io::Read;

/// Keys of the envelope.
const ENVELOPE: [&str; 2] = ["Code", "LogicalServers"];
const LOGICAL: [&str; 11] = [
    "Name",
    "ExitCountry",
    "HostCountry",
    "Domain",
    "City",
    "Tier",
    "Features",
    "Score",
    "ID",
    "Status",
    "Servers",
];
/// Beyond [`LOGICAL`]: also a key of the loads.
const LOAD: &str = "Load";
const PHYSICAL: [&str; 5] = ["EntryIP", "ExitIP", "X25519PublicKey", "Status", "EntryIPv6"];
const LOADS: [&str; 4] = ["ID", "Load", "Score", "Status"];

/// What `Code` says; anything but success means that this is not the list.
const CODE_OK: f64 = 1000.0;

impl ServerList {
    /// Reads the whole list.
    pub fn parse(source: impl Read) -> Result<ServerList, JsonError> {
        let mut list = ServerList::empty();
        let mut known = Known { texts: Index::new(), keys: Index::new(), none: list.texts.push("") };
        each_logical(source, |r| list.read_logical(r, &mut known))?;
        list.sort();
        list.shrink();
        Ok(list)
    }

    /// Takes over load, score and status by id; ids that are not in the list are passed over. The count of servers
    /// changed.
    pub fn merge_loads(&mut self, source: impl Read) -> Result<usize, JsonError> {
        let places: HashMap<u64, usize> =
            self.logicals.iter().enumerate().map(|(at, l)| (l.id, at)).collect();
        // Nothing is taken over from a reply that is cut.
        let mut changes: Vec<(usize, Load)> = Vec::with_capacity(self.logicals.len());
        each_logical(source, |r| {
            let mut load = Load::default();
            let mut id = None;
            if !r.enter_object()? {
                return Ok(());
            }
            while let Some(key) = r.next_key(&LOADS)? {
                match key {
                    0 => id = r.string()?.map(hash_id),
                    1 => load.load = percent(r.number()?),
                    2 => load.score = r.number()?,
                    3 => load.is_up = r.number()?.map(|n| n != 0.0),
                    _ => r.skip()?,
                }
            }
            if let Some(at) = id.and_then(|id| places.get(&id)) {
                changes.push((*at, load));
            }
            Ok(())
        })?;
        for (at, load) in &changes {
            if let Some(logical) = self.logicals.get_mut(*at) {
                logical.load = load.load.or(logical.load);
                logical.score = load.score.unwrap_or(logical.score);
                logical.is_up = load.is_up.unwrap_or(logical.is_up);
            }
        }
        Ok(changes.len())
    }

    fn read_logical<R: Read>(
        &mut self,
        r: &mut Reader<R>,
        Known { texts, keys, none }: &mut Known,
    ) -> Result<(), JsonError> {
        const KEYS: [&str; 12] = {
            let mut keys = [LOAD; 12];
            let mut at = 0;
            while at < LOGICAL.len() {
                keys[at] = LOGICAL[at];
                at += 1;
            }
            keys
        };
        let first = self.physicals.len();
        let mut name = None;
        // Without a score it comes last, without a tier it is for paid plans.
        let mut l = Logical {
            id: 0,
            score: f64::MAX,
            name: *none,
            domain: *none,
            city: *none,
            first: u32::try_from(first).unwrap_or(u32::MAX),
            count: 0,
            features: 0,
            exit: None,
            host: None,
            tier: super::PAID_TIER,
            load: None,
            is_up: true,
        };
        if !r.enter_object()? {
            return Ok(());
        }
        while let Some(key) = r.next_key(&KEYS)? {
            match key {
                0 => name = r.string()?.filter(|n| is_name(n)).map(|n| self.texts.push(n)),
                1 => l.exit = r.string()?.and_then(Country::parse),
                2 => l.host = r.string()?.and_then(Country::parse),
                3 => l.domain = texts.text(&mut self.texts, r.string()?.unwrap_or_default()),
                4 => l.city = texts.text(&mut self.texts, r.string()?.unwrap_or_default()),
                5 => l.tier = r.number()?.map_or(l.tier, small),
                // Bits above 15 mean nothing here.
                6 => l.features = r.number()?.unwrap_or(0.0) as u32 as u16,
                7 => l.score = r.number()?.unwrap_or(l.score),
                8 => l.id = r.string()?.map_or(0, hash_id),
                9 => l.is_up = r.number()?.is_none_or(|n| n != 0.0),
                10 => self.read_physicals(r, keys)?,
                11 => l.load = percent(r.number()?),
                _ => r.skip()?,
            }
        }
        let count = self.physicals.len() - first;
        match (name, u16::try_from(count)) {
            (Some(name), Ok(1..)) => {
                // Both are in range: the match above.
                (l.name, l.count) = (name, count as u16);
                self.logicals.push(l);
            }
            _ => self.physicals.truncate(first),
        }
        Ok(())
    }

    fn read_physicals<R: Read>(&mut self, r: &mut Reader<R>, keys: &mut Index) -> Result<(), JsonError> {
        if !r.enter_array()? {
            return Ok(());
        }
        while r.next_item()? {
            let (mut entry, mut exit, mut public_key) = (None, None, None);
            let (mut is_up, mut has_ipv6) = (true, false);
            if !r.enter_object()? {
                continue;
            }
            while let Some(key) = r.next_key(&PHYSICAL)? {
                match key {
                    0 => entry = r.string()?.and_then(|a| a.parse().ok()),
                    1 => exit = r.string()?.and_then(|a| a.parse().ok()),
                    2 => public_key = r.string()?.and_then(PublicKey::parse),
                    3 => is_up = r.number()?.is_none_or(|n| n != 0.0),
                    4 => has_ipv6 = r.string()?.is_some_and(|a| !a.is_empty()),
                    _ => r.skip()?,
                }
            }
            if let Some((entry, public_key)) = entry.zip(public_key) {
                let key = keys.key(&mut self.keys, public_key);
                self.physicals.push(Physical { entry, exit, key, is_up, has_ipv6 });
            }
        }
        Ok(())
    }
}

/// It becomes a comment in a `.conf`, where a newline would begin a setting.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}

/// What was stored so far, to be stored once.
struct Known {
    texts: Index,
    keys: Index,
    /// The place of the empty text.
    none: TextAt,
}

#[derive(Default)]
struct Load {
    load: Option<u8>,
    score: Option<f64>,
    is_up: Option<bool>,
}

/// Calls `each` at every item of `LogicalServers`. A document without that array, or with another code than success,
/// is malformed.
fn each_logical<R: Read>(
    source: R,
    mut each: impl FnMut(&mut Reader<R>) -> Result<(), JsonError>,
) -> Result<(), JsonError> {
    let mut r = Reader::new(source);
    let (mut is_ok, mut found) = (true, false);
    if r.enter_object()? {
        while let Some(key) = r.next_key(&ENVELOPE)? {
            match key {
                0 => is_ok = r.number()? == Some(CODE_OK),
                1 if r.enter_array()? => {
                    found = true;
                    while r.next_item()? {
                        each(&mut r)?;
                    }
                }
                1 => {}
                _ => r.skip()?,
            }
        }
    }
    r.end()?;
    if is_ok && found { Ok(()) } else { Err(JsonError::Malformed(0)) }
}

fn percent(n: Option<f64>) -> Option<u8> {
    // A load that is no percentage is none.
    n.filter(|n| (0.0..=100.0).contains(n)).map(|n| n as u8)
}

fn small(n: f64) -> u8 {
    // `as` ends at the bounds of the type.
    n as u8
}
