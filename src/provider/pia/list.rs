//! The signed server list: the last one whose signature held, from disk while it is fresh or the site is away.
//!
//! The body is a line of JSON, an empty line, and base64 of PIA's signature over exactly that line without its newline.
//! `servers.json` is the body as it came, and a line of our own that says when; its signature is checked again
//! whenever it is read, since what the tunnel is made of comes from it.

use super::Pia;
use super::account::{clock_hint, is_page};
use super::regions::{self, Region};
use super::trust::Trusted;
use crate::error::{Error, Exit, Result};
use crate::time::{Duration, UnixTime, secs};
use crate::wire::http::{HttpError, Reply, Request};
use crate::wire::json::Value;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const FILE_NAME: &str = "servers.json";
/// 150 KB in 2026; room for several times that.
const LIST_MOST: usize = 4 << 20;
/// PIA's applications ask every ten minutes; slower, since a server missing from the next list is not gone.
const FRESH_SECS: u64 = 6 * 3600;
const FETCH_TIMEOUT: Duration = secs(15);

/// A list whose signature holds.
pub struct SignedList {
    pub regions: Vec<Region>,
    /// When it came.
    pub fetched_at: UnixTime,
}

impl Pia<'_> {
    /// Sees to it that there is a list: the one kept while it is fresh, else PIA's, else again the one kept.
    pub(super) fn load_list(&mut self, refresh: bool) -> Result<SignedList> {
        let wall = self.clock.wall();
        let kept = self.kept_list();
        let is_fresh = |l: &SignedList| l.fetched_at <= wall && wall.0 - l.fetched_at.0 < FRESH_SECS;
        let kept = match kept {
            Some(kept) if !refresh && is_fresh(&kept) => return Ok(kept),
            kept => kept,
        };
        match (self.fetch_list(wall), kept) {
            (Ok(list), _) => Ok(list),
            (Err(why), Some(kept)) => {
                let hours = wall.0.saturating_sub(kept.fetched_at.0) / 3600;
                log::warn!("pia: {why}; using the server list of {hours} h ago");
                Ok(kept)
            }
            (Err(why), None) => Err(why.context("read PIA's server list")),
        }
    }

    fn fetch_list(&mut self, wall: UnixTime) -> Result<SignedList> {
        let failed = |what: String| Error::new(Exit::Provider, what);
        let away = |why: &HttpError| failed(format!("PIA's list is not reachable: {}", clock_hint(why)));
        log::info!("pia: reading the server list");
        let request = Request {
            trust: self.trusted.web.clone(),
            timeout: FETCH_TIMEOUT,
            body_limit: LIST_MOST as u64,
            ..Request::get(&self.config.serverlist_url)
        };
        let response = self.http.send(&request).map_err(|e| away(&e))?;
        let reply = Reply::read(response).map_err(|e| failed(format!("read PIA's list: {e}")))?;
        if reply.status != 200 || is_page(&reply) {
            return Err(failed(format!("PIA's list is out of order (HTTP {})", reply.status)));
        }
        let regions = verified(&reply.body, &self.trusted).map_err(failed)?;
        log::debug!("pia: {} regions listed", regions.len());
        let stamp = format!("\n{{\"fetched_at\":{}}}\n", wall.0);
        let kept = [reply.body.trim_ascii_end(), b"\n", stamp.as_bytes()].concat();
        if let Err(why) = self.store.write(FILE_NAME, &kept) {
            log::warn!("pia: {why}");
        }
        Ok(SignedList { regions, fetched_at: wall })
    }

    fn kept_list(&self) -> Option<SignedList> {
        let bytes = self.store.read(FILE_NAME, LIST_MOST + 128).ok()??;
        let (body, stamp) = split_stamp(&bytes);
        match verified(body, &self.trusted) {
            Ok(regions) => Some(SignedList { regions, fetched_at: stamp }),
            Err(why) => {
                log::warn!("pia: {}: {why}, reading the list afresh", self.store.path(FILE_NAME).display());
                None
            }
        }
    }
}

/// The body and when it came; a file without our line came at no known time.
fn split_stamp(bytes: &[u8]) -> (&[u8], UnixTime) {
    let trimmed = bytes.trim_ascii_end();
    let begin = trimmed.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let stamp = Value::parse(&trimmed[begin..]).ok();
    match stamp.as_ref().and_then(|s| s.at("fetched_at").number()) {
        Some(at) if begin > 0 => (&bytes[..begin], UnixTime(at)),
        _ => (bytes, UnixTime(0)),
    }
}

/// The regions of a body whose signature holds, or in words why not.
fn verified(body: &[u8], trusted: &Trusted) -> std::result::Result<Vec<Region>, String> {
    let unsigned = || "PIA's list has no signature".to_owned();
    let end = body.iter().position(|b| *b == b'\n').ok_or_else(unsigned)?;
    let (json, rest) = body.split_at(end);
    let text: Vec<u8> = rest.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if text.is_empty() {
        return Err(unsigned());
    }
    let signature =
        STANDARD.decode(&text).map_err(|_| "the signature of PIA's list is not base64".to_owned())?;
    if !trusted.has_signed(json, &signature) {
        return Err("the signature of PIA's list does not hold".to_owned());
    }
    let regions = regions::parse(json).map_err(|e| format!("PIA's list: {e}"))?;
    match regions.iter().any(|r| !r.wireguard.is_empty()) {
        true => Ok(regions),
        false => Err("PIA's list has no WireGuard servers".to_owned()),
    }
}

#[cfg(test)]
mod tests;
