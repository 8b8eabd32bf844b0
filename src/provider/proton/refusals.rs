//! Logins that were refused, on disk, for all processes: repeated logins are what brings CAPTCHAs and locks accounts.
//!
//! A service that starts again and again, or a supervisor in need of a server, tries what the configuration has. After
//! a few refusals in a row of the same credentials nobody does so for ever longer. Other credentials are tried at once,
//! and so is what a person types into `init`, whose success ends it.

use super::login::Credentials;
use super::{Proton, Trouble};
use crate::error::{Error, Exit, Result};
use crate::time::UnixTime;
use crate::wire::json::{Value, quote};
use ring::digest::{Context, SHA256};

const FILE: &str = "login.json";
/// As many as a person with a typing error may want; chosen.
const FREE: u64 = 3;
/// From then on between two logins, doubling up to a day; chosen: Proton's limits last hours.
const PAUSE_SECS: u64 = 900;
const PAUSE_MOST_SECS: u64 = 86_400;

/// `login.json`.
struct Refusals {
    /// In a row, of what `sign` stands for.
    count: u64,
    last_at: UnixTime,
    /// Which credentials: two bytes of a hash, enough to notice a change, too few to guess by.
    sign: String,
    text: String,
}

impl Refusals {
    fn read(file: &Value) -> Option<Refusals> {
        Some(Refusals {
            count: file.at("count").number()?,
            last_at: UnixTime(file.at("last_at").number()?),
            sign: file.at("sign").text()?.to_owned(),
            text: file.at("text").text()?.to_owned(),
        })
    }

    fn emit(&self) -> String {
        let mut out = format!("{{\"version\":1,\"count\":{},\"last_at\":{}", self.count, self.last_at.0);
        for (key, text) in [("sign", &self.sign), ("text", &self.text)] {
            out.push_str(&format!(",\"{key}\":"));
            quote(&mut out, text);
        }
        out.push_str("}\n");
        out
    }

    /// Seconds until the next login; 0 = at once. A clock set back is no reason to wait longer.
    fn left(&self, wall: UnixTime) -> u64 {
        let Some(paid) = self.count.checked_sub(FREE) else { return 0 };
        let pause = (PAUSE_SECS << paid.min(16)).min(PAUSE_MOST_SECS);
        self.last_at.0.saturating_add(pause).saturating_sub(wall.0).min(pause)
    }
}

fn sign(known: &Credentials) -> String {
    let mut hash = Context::new(&SHA256);
    hash.update(known.user.as_bytes());
    for secret in [&known.password, &known.totp_code, &known.totp_secret] {
        hash.update(&[0]);
        hash.update(secret.as_ref().map_or(&[], |s| s.reveal().as_bytes()));
    }
    hash.finish().as_ref().iter().take(2).map(|b| format!("{b:02x}")).collect()
}

impl Proton<'_> {
    /// What refused these very credentials last, if anything did.
    pub(super) fn last_refusal(&self, known: &Credentials) -> Result<Option<String>> {
        Ok(self.refusals(known)?.map(|r| r.text))
    }

    fn refusals(&self, known: &Credentials) -> Result<Option<Refusals>> {
        let refusals = self.store.read_json(FILE)?.and_then(|file| Refusals::read(&file));
        Ok(refusals.filter(|r| r.sign == sign(known)))
    }

    /// Whether an unattended login may be made. Of several processes at once the second to come asks here again.
    pub(super) fn may_log_in(&self, known: &Credentials) -> Result<()> {
        let Some(refusals) = self.refusals(known)? else { return Ok(()) };
        match refusals.left(self.clock().wall()) {
            0 => Ok(()),
            left => {
                let text = format!(
                    "{}; not tried again for {} min: `pvpn init --proton` does so at once",
                    refusals.text,
                    left.div_ceil(60)
                );
                Err(Error::new(Exit::LoginRefused, text))
            }
        }
    }

    pub(super) fn note_refusal(&mut self, known: &Credentials, why: &Error) -> Result<()> {
        self.refused = Some(why.clone());
        let count = self.refusals(known)?.map_or(0, |r| r.count);
        let last_at = self.clock().wall();
        let refusals =
            Refusals { count: count.saturating_add(1), last_at, sign: sign(known), text: why.to_string() };
        self.store.write(FILE, refusals.emit().as_bytes())
    }

    pub(super) fn forget_refusals(&mut self) -> Result<()> {
        self.refused = None;
        self.store.remove(FILE)
    }

    /// What to tell where there is no session, and whether a login without a person may change that.
    pub(super) fn without_session(&self, why: &'static str) -> Result<(String, bool)> {
        let known = self.credentials()?;
        if known.user.is_empty() || known.password.is_none() {
            return Ok((Error::from(Trouble::NotLoggedIn(why)).to_string(), false));
        }
        Ok(match self.last_refusal(&known)? {
            Some(text) => (format!("{text}; log in with `pvpn init --proton`"), false),
            None => (why.to_owned(), true),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(count: u64) -> Refusals {
        Refusals { count, last_at: UnixTime(1000), sign: "00ff".to_owned(), text: "no \"way\"".to_owned() }
    }

    #[test]
    fn the_first_refusals_are_free_and_then_pauses_double_to_a_day() {
        assert_eq!([1, 2].map(|n| refused(n).left(UnixTime(1000))), [0, 0]);
        assert_eq!([3, 4, 5, 99].map(|n| refused(n).left(UnixTime(1000))), [900, 1800, 3600, 86_400]);
        assert_eq!(refused(3).left(UnixTime(1899)), 1);
        assert_eq!(refused(3).left(UnixTime(1900)), 0);
        assert_eq!(refused(3).left(UnixTime(0)), 900, "a clock set back");
    }

    #[test]
    fn other_credentials_have_another_sign_and_the_file_reads_back() {
        use crate::config::secret::Secret;
        let known = |pass: &str, code: Option<&str>| Credentials {
            user: "me".to_owned(),
            password: Some(Secret::new(pass)),
            totp_code: code.map(Secret::new),
            ..Credentials::default()
        };
        let signs = [known("a", None), known("b", None), known("a", Some("123456"))].map(|k| sign(&k));
        assert!(signs[0] != signs[1] && signs[0] != signs[2], "{signs:?}");
        let again = Refusals::read(&Value::parse(refused(7).emit().as_bytes()).unwrap()).unwrap();
        assert_eq!((again.count, again.text.as_str()), (7, "no \"way\""));
    }
}
