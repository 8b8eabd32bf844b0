//! The server list: 18,000 logical servers in a few tables, about a seventh of the JSON they come from.
//!
//! Names of hosts and cities and public keys are kept once each and pointed to. A logical server has one or more
//! physical ones; the list shows each logical server once, at one of its enabled physical ones.

mod cache;
mod parse;

pub use cache::Stamp;

use super::account::{Account, PAID_TIER};
use crate::config::secret::PublicKey;
use crate::provider::{Country, Endpoint, Features, ProviderKind, Server};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

// Bits of `Features` (python-proton-vpn-api-core `servers/types.py`, android-app).
const SECURE_CORE: u16 = 1;
const TOR: u16 = 2;
const P2P: u16 = 4;
const STREAMING: u16 = 8;
const IPV6: u16 = 16;
const RESTRICTED: u16 = 32;

/// Place of a text in [`Texts`].
type TextAt = u32;

/// Texts one after another, each once.
#[derive(Default)]
struct Texts {
    bytes: String,
    ends: Vec<u32>,
}

impl Texts {
    fn push(&mut self, text: &str) -> TextAt {
        self.bytes.push_str(text);
        self.ends.push(u32::try_from(self.bytes.len()).unwrap_or(u32::MAX));
        // The list is bounded by the body limit, so positions fit.
        (self.ends.len() - 1) as u32
    }

    fn at(&self, place: TextAt) -> &str {
        let place = place as usize;
        let start = place.checked_sub(1).map_or(Some(0), |p| self.ends.get(p).copied()).unwrap_or(0);
        let end = self.ends.get(place).copied().unwrap_or(start);
        self.bytes.get(start as usize..end as usize).unwrap_or_default()
    }
}

/// Finds what was stored before; dropped when the list is complete.
struct Index {
    hasher: RandomState,
    places: HashMap<u64, u32, BuildHasherDefault<Hashed>>,
}

/// A number that is a hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Only numbers are hashed with this.
        bytes.iter().for_each(|b| self.0 = self.0 << 8 | u64::from(*b));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Index {
    fn new() -> Index {
        Index { hasher: RandomState::new(), places: HashMap::default() }
    }

    fn text(&mut self, texts: &mut Texts, text: &str) -> TextAt {
        let hash = self.hasher.hash_one(text);
        match self.places.get(&hash) {
            Some(place) if texts.at(*place) == text => *place,
            _ => {
                let place = texts.push(text);
                self.places.insert(hash, place);
                place
            }
        }
    }

    fn key(&mut self, keys: &mut Vec<PublicKey>, key: PublicKey) -> u32 {
        let hash = self.hasher.hash_one(key);
        match self.places.get(&hash) {
            Some(place) if keys.get(*place as usize) == Some(&key) => *place,
            _ => {
                keys.push(key);
                let place = (keys.len() - 1) as u32;
                self.places.insert(hash, place);
                place
            }
        }
    }
}

/// What a person chooses by name.
#[derive(Clone, Copy)]
struct Logical {
    /// Hash of the API's 88 characters, to merge loads by.
    id: u64,
    score: f64,
    name: TextAt,
    domain: TextAt,
    city: TextAt,
    first: u32,
    count: u16,
    features: u16,
    exit: Option<Country>,
    /// The country of the hardware, where that is another one.
    host: Option<Country>,
    tier: u8,
    load: Option<u8>,
    is_up: bool,
}

/// What answers at an address.
#[derive(Clone, Copy)]
struct Physical {
    entry: Ipv4Addr,
    exit: Option<Ipv4Addr>,
    key: u32,
    is_up: bool,
    has_ipv6: bool,
}

/// All servers the API named, offline ones included.
pub struct ServerList {
    texts: Texts,
    keys: Vec<PublicKey>,
    logicals: Vec<Logical>,
    physicals: Vec<Physical>,
}

/// What [`ServerList::find`] knows beyond a [`Server`].
pub struct Entry {
    pub public_key: PublicKey,
    pub address: Ipv4Addr,
    pub has_ipv6: bool,
}

/// How the list is shown.
pub struct View<'v> {
    /// `None` where the account is not known: nothing is left out.
    pub account: Option<&'v Account>,
    pub port: u16,
    /// Of several physical servers this one is shown.
    pub prefer: Option<IpAddr>,
    /// Picks among several; any number.
    pub dice: u32,
}

impl ServerList {
    fn empty() -> ServerList {
        ServerList { texts: Texts::default(), keys: Vec::new(), logicals: Vec::new(), physicals: Vec::new() }
    }

    /// Logical servers, offline ones included.
    pub fn len(&self) -> usize {
        self.logicals.len()
    }

    pub fn is_empty(&self) -> bool {
        self.logicals.is_empty()
    }

    /// Shows every server that is up and within the account's tier, in the order of their names.
    pub fn visit(&self, view: &View<'_>, mut each: impl FnMut(Server)) {
        for logical in &self.logicals {
            let allowed = view.account.is_none_or(|a| logical.tier <= a.max_tier);
            if let Some(physical) = self.pick(logical, view).filter(|_| allowed && logical.is_up) {
                each(self.server(logical, physical, view));
            }
        }
    }

    /// The entry behind a server shown before; `None` where it left the list or is down.
    pub fn find(&self, name: &str, address: IpAddr) -> Option<Entry> {
        let logical = self.logicals.iter().find(|l| l.is_up && self.texts.at(l.name) == name)?;
        let physical = self.enabled(logical).find(|p| IpAddr::V4(p.entry) == address)?;
        let public_key = *self.keys.get(physical.key as usize)?;
        Some(Entry { public_key, address: physical.entry, has_ipv6: physical.has_ipv6 })
    }

    fn enabled(&self, logical: &Logical) -> impl Iterator<Item = &Physical> + Clone {
        let first = logical.first as usize;
        let all = self.physicals.get(first..first + usize::from(logical.count)).unwrap_or_default();
        all.iter().filter(|p| p.is_up)
    }

    fn pick(&self, logical: &Logical, view: &View<'_>) -> Option<&Physical> {
        let enabled = self.enabled(logical);
        let is_preferred = |p: &&Physical| Some(IpAddr::V4(p.entry)) == view.prefer;
        if let Some(physical) = enabled.clone().find(is_preferred) {
            return Some(physical);
        }
        let count = enabled.clone().count();
        let dice = view.dice as usize ^ logical.id as usize;
        enabled.clone().nth(dice.checked_rem(count)?)
    }

    fn server(&self, logical: &Logical, physical: &Physical, view: &View<'_>) -> Server {
        let bit = |b: u16| logical.features & b != 0;
        let paid = view.account.is_none_or(Account::may_forward) && logical.tier <= PAID_TIER;
        let text = |at| Some(self.texts.at(at)).filter(|t| !t.is_empty()).map(str::to_owned);
        let name = self.texts.at(logical.name);
        Server {
            provider: ProviderKind::Proton,
            id: format!("{name}@{}", physical.entry),
            name: name.to_owned(),
            host: text(logical.domain),
            country: logical.exit,
            city: text(logical.city),
            region: None,
            load: logical.load,
            score: Some(logical.score),
            features: Features {
                secure_core: bit(SECURE_CORE),
                p2p: bit(P2P),
                tor: bit(TOR),
                streaming: bit(STREAMING),
                ipv6: bit(IPV6),
                forwards: Some(paid && bit(P2P) && !bit(SECURE_CORE | TOR | RESTRICTED)),
                virtual_location: logical.host.is_some_and(|h| Some(h) != logical.exit),
                on_request: false,
            },
            endpoint: Endpoint::Addr(SocketAddr::new(IpAddr::V4(physical.entry), view.port)),
            tcp_probe: None,
            exit_address: self.exit(logical, physical.entry).map(IpAddr::V4),
        }
    }

    /// Where this entry comes out, if that is one place: entry and key are all that a handshake tells a shared node.
    fn exit(&self, logical: &Logical, entry: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut exits = self.enabled(logical).filter(|p| p.entry == entry).map(|p| p.exit);
        let first = exits.next()?;
        first.filter(|_| exits.all(|exit| exit == first))
    }

    /// Orders by name as people count: `NL#2` before `NL#12`.
    fn sort(&mut self) {
        let texts = &self.texts;
        self.logicals.sort_by_cached_key(|l| natural(texts.at(l.name)));
    }

    fn shrink(&mut self) {
        self.logicals.shrink_to_fit();
        self.physicals.shrink_to_fit();
        self.keys.shrink_to_fit();
        self.texts.bytes.shrink_to_fit();
        self.texts.ends.shrink_to_fit();
    }
}

/// What comes before the number, the number, and the rest.
fn natural(name: &str) -> (&str, u64, &str) {
    let (prefix, rest) = name.split_at(name.bytes().position(|b| b == b'#').unwrap_or(name.len()));
    let digits = rest.bytes().skip(1).take_while(u8::is_ascii_digit);
    let number = digits.fold(0_u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    (prefix, number, rest)
}

/// FNV-1a, 64 bits: the same in every run, since the cache keeps it.
fn hash_id(id: &str) -> u64 {
    id.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
