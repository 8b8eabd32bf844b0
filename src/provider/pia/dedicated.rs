//! A dedicated address: a server of PIA's that lends one account one address for a time
//! (thrnz/docker-wireguard-pia `wg-gen.sh`, pia-foss/desktop `daemon.cpp`).
//!
//! Its token, `dip_token`, is exchanged at the account site for the server's address and name, once a day as PIA's
//! application does, and is what addKey is asked with. The server is one more in the list, in the region
//! `dedicated-ip`; all else is as with the others. Trouble with it is said and leaves the list as it is.

use super::regions::{self, Host, Region};
use super::{Pia, account};
use crate::config::secret::Secret;
use crate::error::{Error, Result};
use crate::provider::Server;
use crate::time::UnixTime;
use crate::wire::http::plain;
use crate::wire::json::{Value, quote};
use std::fmt::Write as _;

/// Name and region of the server in lists and in the configuration.
pub const REGION: &str = "dedicated-ip";
pub(super) const FILE_NAME: &str = "dedicated.json";
const FRESH_SECS: u64 = 86_400;

/// What the account site says of the address.
#[derive(Debug, PartialEq)]
struct Dedicated {
    /// The region it stands in.
    region: String,
    host: Host,
    expires_at: UnixTime,
}

impl Pia<'_> {
    /// The server of the dedicated address, where one is configured.
    pub(super) fn dedicated_server(&mut self, listed: &[Region]) -> Option<Server> {
        let token = self.config.dip_token.clone()?;
        let dedicated = self.dedicated(&token).map_err(|e| log::warn!("pia: dedicated address: {e}")).ok()?;
        let home = listed.iter().find(|r| r.id == dedicated.region);
        let region = Region {
            id: REGION.to_owned(),
            name: home.map_or_else(|| dedicated.region.clone(), |r| r.name.clone()),
            country: home.and_then(|r| r.country),
            // No region of the United States forwards ports, and the list has no flag for this server.
            forwards: !dedicated.region.starts_with("us_"),
            is_virtual: home.is_some_and(|r| r.is_virtual),
            is_offline: false,
            is_on_request: false,
            wireguard: vec![dedicated.host],
            meta: home.map_or_else(Vec::new, |r| r.meta.clone()),
            port: home.map_or(regions::WIREGUARD_PORT, |r| r.port),
        };
        regions::servers(&[region]).pop()
    }

    fn dedicated(&mut self, dip_token: &Secret) -> Result<Dedicated> {
        let wall = self.clock.wall();
        let kept = self.store.read_json(FILE_NAME)?;
        // Another token is another address.
        let kept = kept.filter(|file| file.at("dip_token").text() == Some(dip_token.reveal()));
        let read_at = kept.as_ref().and_then(|file| file.at("read_at").number()).unwrap_or(0);
        let known = kept.as_ref().and_then(|file| parse(file, wall).ok());
        if read_at <= wall.0 && wall.0 - read_at < FRESH_SECS {
            if let Some(known) = known {
                return Ok(known);
            }
        }
        match (self.ask_for(dip_token), known) {
            (Ok(reply), _) => {
                let found = parse(&reply, wall)?;
                self.store.write(FILE_NAME, emit(&found, dip_token, wall).as_bytes())?;
                Ok(found)
            }
            (Err(why), Some(known)) => {
                log::warn!("pia: dedicated address: {why}; what was known of it goes on");
                Ok(known)
            }
            (Err(why), None) => Err(why),
        }
    }

    /// The account site's word on this token. A login token refused is replaced once.
    fn ask_for(&mut self, dip_token: &Secret) -> Result<Value> {
        let token = self.current_token()?;
        let reply = match self.site().dedicated_ip(&token.secret, dip_token) {
            Err(account::Failure::Refused) if !token.is_fresh => {
                let fresh = self.replace_token(&token.secret)?;
                self.site().dedicated_ip(&fresh, dip_token)
            }
            other => other,
        };
        let reply = reply?;
        Ok(reply.items().first().cloned().unwrap_or(Value::Null))
    }
}

/// Reads an object of the answer, or of the file, which has the same members.
fn parse(object: &Value, wall: UnixTime) -> Result<Dedicated> {
    let text = |key| object.at(key).text().unwrap_or_default();
    let status = text("status");
    let expires_at = UnixTime(object.at("dip_expire").number().unwrap_or(u64::MAX));
    if status != "active" || expires_at <= wall {
        let word = if status == "active" { "expired" } else { status };
        return Err(Error::failed(format!("dip_token: PIA calls it {}", plain(word, account::WORDS_MOST))));
    }
    let host = text("ip").parse().ok().map(|address| Host { address, cn: text("cn").to_owned() });
    let host = host.filter(|h| regions::is_word(&h.cn));
    let host = host.ok_or_else(|| Error::failed("dip_token: PIA names no server for it"))?;
    Ok(Dedicated { region: text("id").to_owned(), host, expires_at })
}

fn emit(found: &Dedicated, dip_token: &Secret, wall: UnixTime) -> zeroize::Zeroizing<String> {
    let mut out = zeroize::Zeroizing::new(String::with_capacity(512));
    let _ = write!(out, "{{\"version\":1,\"read_at\":{},\"status\":\"active\"", wall.0);
    if found.expires_at.0 != u64::MAX {
        let _ = write!(out, ",\"dip_expire\":{}", found.expires_at.0);
    }
    let address = found.host.address.to_string();
    let members = [
        ("id", found.region.as_str()),
        ("ip", &address),
        ("cn", &found.host.cn),
        ("dip_token", dip_token.reveal()),
    ];
    for (key, text) in members {
        let _ = write!(out, ",\"{key}\":");
        quote(&mut out, text);
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Dedicated> {
        parse(&Value::parse(text.as_bytes()).unwrap(), UnixTime(1_780_000_000))
    }

    const ACTIVE: &str = r#"{"id":"swiss","dip_token":"DIPx","dip_expire":1790000000,"groups":["wg"],
        "ip":"203.0.113.7","cn":"zurich406","status":"active"}"#;

    #[test]
    fn an_active_address_is_read_and_kept_as_it_was_read() {
        let found = read(ACTIVE).unwrap();
        assert_eq!((found.region.as_str(), found.host.cn.as_str()), ("swiss", "zurich406"));
        let file = emit(&found, &Secret::new("DIPx"), UnixTime(7));
        assert_eq!(read(&file).unwrap(), found);
    }

    #[test]
    fn one_that_is_over_or_makes_no_sense_is_none() {
        for (from, to) in [
            ("active", "expired"),
            ("active", "invalid"),
            ("1790000000", "1770000000"),
            ("203.0.113.7", "fd00::1"),
            ("zurich406", "a/b"),
            ("\"cn\"", "\"x\""),
        ] {
            read(&ACTIVE.replace(from, to)).unwrap_err();
        }
        read("null").unwrap_err();
    }
}
