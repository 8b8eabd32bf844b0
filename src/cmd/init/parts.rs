//! The questions of each part.

use super::webui::Offer;
use super::{ProtonTrial, Session};
use crate::cli::ProtonLogin;
use crate::config::keys;
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};

/// How often a refused login is asked again: Proton asks for human verification after more (`proton-api.md` 1.5).
const TRIES: u32 = 3;

impl Session<'_> {
    pub(super) fn proton(&mut self) -> Result<()> {
        let s = "protonvpn";
        self.flag(s, "wireguard_port", self.args.wireguard_port.map(|p| p.to_string()))?;
        self.flag(s, "session_dir", self.args.session_dir.as_ref().map(|d| d.display().to_string()))?;
        let login = self.proton_login()?;
        if login == ProtonLogin::Code {
            return self.try_proton(login, None).or_else(|e| self.settle(e));
        }
        let had_pass = self.doc.find(s, "pass").is_some_and(|e| !e.is_unset());
        for attempt in 1..=TRIES {
            let user = self.args.proton_user.clone().filter(|_| attempt == 1);
            self.user(s, "Proton user name", "--proton-user", user)?;
            let given = self.args.secret("proton-pass").cloned().filter(|_| attempt == 1);
            self.pass(s, "Proton password", "--proton-pass", given)?;
            let second = self.args.secret("proton-2fa").cloned().filter(|_| attempt == 1);
            match self.try_proton(login, second.as_ref()) {
                Ok(()) => return self.leave_password_out(had_pass),
                Err(e) if self.may_retry(&e, attempt) => self.say(&format!("{e}")),
                Err(e) => return self.settle(e),
            }
        }
        Ok(())
    }

    fn proton_login(&mut self) -> Result<ProtonLogin> {
        if let Some(login) = self.args.proton_login {
            return Ok(login);
        }
        let has_pass = self.args.secret("proton-pass").is_some();
        let Some(ask) = self.ask.as_mut().filter(|_| !has_pass) else { return Ok(ProtonLogin::Password) };
        loop {
            let question = "Log in by password, or by a code approved on another device (password, code)";
            match ask.line(question, "password")?.as_str() {
                "password" => return Ok(ProtonLogin::Password),
                "code" => return Ok(ProtonLogin::Code),
                _ => ask.say("password or code"),
            }
        }
    }

    fn try_proton(&mut self, login: ProtonLogin, second_factor: Option<&Secret>) -> Result<()> {
        let config = self.config()?;
        self.say("Logging in to Proton ...");
        let trial = ProtonTrial { config: &config, login, second_factor };
        let plan = match &mut self.ask {
            Some(ask) => self.trial.proton(&trial, Some(&mut **ask))?,
            None => self.trial.proton(&trial, None)?,
        };
        self.say(&plan);
        Ok(())
    }

    /// After a login the session's tokens refresh themselves; a password that was there before stays.
    fn leave_password_out(&mut self, had_pass: bool) -> Result<()> {
        if had_pass || self.ask.is_none() || self.args.secret("proton-pass").is_some() {
            return Ok(());
        }
        let question = "Keep the password in config.ini? The session lives on without it (yes, no)";
        if !self.yes(question, false)? {
            self.doc.remove("protonvpn", "pass");
        }
        Ok(())
    }

    pub(super) fn pia(&mut self) -> Result<()> {
        let s = "pia";
        for attempt in 1..=TRIES {
            let user = self.args.pia_user.clone().filter(|_| attempt == 1);
            self.user(s, "PIA user name (p and digits)", "--pia-user", user)?;
            let given = self.args.secret("pia-pass").cloned().filter(|_| attempt == 1);
            self.pass(s, "PIA password", "--pia-pass", given)?;
            let config = self.config()?;
            self.say("Logging in to PIA ...");
            match self.trial.pia(&config) {
                Ok(()) => break,
                Err(e) if self.may_retry(&e, attempt) => self.say(&format!("{e}")),
                Err(e) => {
                    self.settle(e)?;
                    break;
                }
            }
        }
        let region = self.args.pia_region.as_ref().map(|r| r.join(", "));
        self.answer(
            s,
            "region",
            "Regions in order of preference (empty: the fastest that forwards ports)",
            region,
        )
    }

    pub(super) fn qbittorrent(&mut self) -> Result<()> {
        let s = "qbittorrent";
        let enable = self.args.qb_enable.map(|b| b.to_string());
        self.answer(s, "enable", "Tell qBittorrent the port (true, false)", enable)?;
        self.flag(s, "user", self.args.qb_user.clone())?;
        self.flag_secret(s, "pass", "qb-pass")?;
        self.flag_secret(s, "api_key", "qb-api-key")?;
        self.answer_if(s, "url", "Address of its WebUI", self.args.qb_url.clone())?;
        for attempt in 1..=TRIES {
            let settings = self.config()?.qbittorrent;
            if !settings.enable {
                return Ok(());
            }
            match self.trial.qbittorrent(&settings) {
                Ok(version) => {
                    self.say(&format!("qBittorrent {version} answers"));
                    return Ok(());
                }
                Err(e) if self.may_retry(&e, attempt) => {
                    self.say(&format!("{e}"));
                    if attempt == 1 && self.offer_webui(&settings.url, Offer::LetIn)? {
                        return Ok(());
                    }
                    self.user(s, "Its user name", "--qb-user", None)?;
                    self.pass(s, "Its password", "--qb-pass", None)?;
                }
                Err(e) if e.exit() == Exit::Failed && self.offer_webui(&settings.url, Offer::SwitchOn)? => {
                    return Ok(());
                }
                // It may well be started later: said, but no failure.
                Err(e) => {
                    self.say(&format!("Not checked: {e}"));
                    log::warn!("init: qbittorrent not checked: {e}");
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn network(&mut self) -> Result<()> {
        let s = "network";
        let a = self.args;
        let question = "Close the kill switch on connect (true, false)";
        self.answer(s, "ks_default", question, a.ks_default.map(|b| b.to_string()))?;
        let question = "Use the provider's resolver while connected (true, false)";
        self.answer(s, "dns_default", question, a.dns_default.map(|b| b.to_string()))?;
        let question = "Leave out servers with more load than this percentage";
        self.answer(s, "threshold_default", question, a.threshold_default.map(|n| n.to_string()))?;
        let lan = a.lan.as_ref().map(|l| l.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
        self.answer(s, "lan", "Networks that stay reachable (empty: the directly attached private ones)", lan)
    }

    /// Whether a person is there to try other credentials.
    fn may_retry(&self, e: &Error, attempt: u32) -> bool {
        e.exit() == Exit::LoginRefused && self.ask.is_some() && attempt < TRIES
    }

    /// A provider that cannot be reached leaves the answers unchecked; everything else ends the run unwritten.
    fn settle(&mut self, e: Error) -> Result<()> {
        if e.exit() != Exit::Provider {
            return Err(e);
        }
        self.keep_unchecked(e);
        Ok(())
    }

    /// A value given by a flag.
    fn flag(&mut self, section: &str, key: &str, given: Option<String>) -> Result<()> {
        given.map_or(Ok(()), |value| self.set(section, key, &value))
    }

    fn flag_secret(&mut self, section: &str, key: &str, flag: &str) -> Result<()> {
        self.args.secret(flag).cloned().map_or(Ok(()), |value| self.set(section, key, value.reveal()))
    }

    /// A value by its flag, else by a question; nothing when neither is there.
    fn answer(&mut self, section: &str, key: &str, question: &str, given: Option<String>) -> Result<()> {
        if given.is_some() || self.ask.is_none() {
            return self.flag(section, key, given);
        }
        let before = self.before(section, key);
        let answer = self.asked(section, key, question, &before)?;
        if answer == before { Ok(()) } else { self.set(section, key, &answer) }
    }

    /// As [`Session::answer`], asked only while qBittorrent is enabled.
    fn answer_if(&mut self, section: &str, key: &str, question: &str, given: Option<String>) -> Result<()> {
        if given.is_none() && !self.config()?.qbittorrent.enable {
            return Ok(());
        }
        self.answer(section, key, question, given)
    }

    /// What holds without an answer: the file's value, else the default.
    fn before(&self, section: &str, key: &str) -> String {
        let set = self.doc.find(section, key).filter(|e| !e.is_unset()).map(|e| e.value.to_owned());
        set.or_else(|| keys::find(section, key).map(|k| k.default.to_owned())).unwrap_or_default()
    }

    /// Asks until the answer is one the key allows; empty is one.
    pub(super) fn asked(&mut self, section: &str, key: &str, question: &str, before: &str) -> Result<String> {
        let kind = keys::find(section, key).map_or(keys::Kind::Text, |k| k.kind);
        loop {
            let Some(ask) = &mut self.ask else { return Ok(before.to_owned()) };
            let answer = ask.line(question, before)?;
            if answer.is_empty() || kind.parse(&answer).is_some() {
                return Ok(answer);
            }
            ask.say(&format!("It must be {}", kind.allowed()));
        }
    }

    pub(super) fn yes(&mut self, question: &str, default: bool) -> Result<bool> {
        let Some(ask) = &mut self.ask else { return Ok(default) };
        loop {
            match ask.line(question, if default { "yes" } else { "no" })?.to_ascii_lowercase().as_str() {
                "yes" | "y" | "true" => return Ok(true),
                "no" | "n" | "false" => return Ok(false),
                _ => ask.say("yes or no"),
            }
        }
    }

    /// The user's name: by the flag, by a question, or as the file says.
    fn user(&mut self, section: &str, question: &str, flag: &str, given: Option<String>) -> Result<()> {
        self.answer(section, "user", question, given)?;
        self.needed(section, "user", flag)
    }

    /// The password: by the flag, typed, or as the file says. Typing nothing keeps what is there.
    fn pass(&mut self, section: &str, question: &str, flag: &str, given: Option<Secret>) -> Result<()> {
        let has_file = self.doc.find(section, "pass_file").is_some_and(|e| !e.is_unset());
        let typed = match (&given, &mut self.ask) {
            (None, Some(ask)) if !has_file => ask.secret(question)?,
            _ => given.unwrap_or_default(),
        };
        if !typed.is_empty() {
            self.set(section, "pass", typed.reveal())?;
            self.doc.remove(section, "pass_file");
        }
        if has_file { Ok(()) } else { self.needed(section, "pass", flag) }
    }

    fn needed(&self, section: &str, key: &str, flag: &str) -> Result<()> {
        match self.doc.find(section, key).is_some_and(|e| !e.is_unset()) {
            true => Ok(()),
            false => Err(Error::new(Exit::Usage, format!("[{section}] has no {key}: give {flag}"))),
        }
    }
}
