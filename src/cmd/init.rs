//! `init`: a few questions, answered by a person or by flags, tried out, and written into `config.ini`. Only the
//! chosen parts are touched; comments, order and every other key of the file stay as they are. A key is written when
//! it was given as a flag, or when the answer is not what already holds.
//!
//! A refused login is asked again at most three times and never written; a provider or WebUI that cannot be reached
//! is said, and the answers are kept.

mod parts;
mod process;
mod start;
mod trial;
mod webui;

use crate::cli::{Init, ProtonLogin};
use crate::config::ini::Document;
use crate::config::secret::Secret;
use crate::config::{Config, Qbittorrent, load};
use crate::error::{Error, Exit, Result};
use crate::provider::ProviderKind;
use std::fmt;
use std::path::Path;

pub use crate::sys::terminal::Ask;
pub use start::start;
pub use webui::Local;

/// What `init` tries while it asks. An error's exit says what to do: 10 and a refusal of the WebUI ask again, others
/// keep the answers.
pub trait Trial {
    /// Logs in and keeps the session; says what the plan allows. `ask` is there for a second factor and to show a
    /// code; `None` when nothing may be asked.
    fn proton(&mut self, login: &ProtonTrial<'_>, ask: Option<&mut dyn Ask>) -> Result<String>;
    /// Logs in with the user and password of `[pia]` and keeps the token.
    fn pia(&mut self, config: &Config) -> Result<()>;
    /// The version of the qBittorrent behind this WebUI; exit 10 when it refuses the credentials.
    fn qbittorrent(&mut self, settings: &Qbittorrent) -> Result<String>;
    /// The settings files of the qBittorrents that run and of this machine's users, the caller's first.
    fn local_qbittorrents(&mut self) -> Vec<Local>;
    /// Writes one of them; it keeps its owner and mode.
    fn write_qbittorrent(&mut self, path: &Path, text: &str) -> Result<()>;
}

/// A login to be tried.
pub struct ProtonTrial<'a> {
    /// With the answers so far: user, password, API address, session directory.
    pub config: &'a Config,
    pub login: ProtonLogin,
    pub second_factor: Option<&'a Secret>,
}

/// What there is to write, and what went wrong without being fatal.
pub struct Outcome {
    /// The text of `config.ini`, to be written with mode 0600 into a directory of mode 0700.
    pub text: String,
    /// The first trial that could not be made; the command ends with its exit after writing.
    pub unchecked: Option<Error>,
}

impl fmt::Debug for Outcome {
    /// The text holds passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "config.ini of {} bytes, unchecked: {:?}", self.text.len(), self.unchecked)
    }
}

/// The parts of the file a run touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts {
    proton: bool,
    pia: bool,
    qb: bool,
    network: bool,
    /// No part was chosen: the provider is asked for first.
    all: bool,
}

/// One run of `init`.
struct Session<'a> {
    args: &'a Init,
    dir: &'a Path,
    home: &'a Path,
    doc: Document,
    ask: Option<&'a mut dyn Ask>,
    trial: &'a mut dyn Trial,
    unchecked: Option<Error>,
}

/// Asks, tries, and returns the text to write. `text` is the file as it is, empty when there is none; `place` is the
/// configuration directory and the home; `ask` is `None` with `--non-interactive`. The secrets of `args` have been read
/// (`Init::read_stdin`).
pub fn run<'a>(
    args: &'a Init,
    text: &str,
    place: (&'a Path, &'a Path),
    ask: Option<&'a mut dyn Ask>,
    trial: &'a mut dyn Trial,
) -> Result<Outcome> {
    let (dir, home) = place;
    let bad = |f| Error::new(Exit::BadConfig, format!("{}:{f}", dir.join(load::FILE_NAME).display()));
    load::parse(text, dir, home).map_err(bad)?;
    let doc = Document::parse(text).map_err(bad)?;
    let mut session = Session { args, dir, home, doc, ask, trial, unchecked: None };
    let parts = session.parts()?;
    if parts.proton {
        session.proton()?;
    }
    if parts.pia {
        session.pia()?;
    }
    if parts.qb {
        session.qbittorrent()?;
    }
    if parts.network {
        session.network()?;
    }
    Ok(Outcome { text: session.doc.emit(), unchecked: session.unchecked })
}

impl Session<'_> {
    /// The chosen parts. Without a choice all of them, the provider being asked for, or taken from the flags.
    fn parts(&mut self) -> Result<Parts> {
        let a = self.args;
        let chosen = Parts { proton: a.proton, pia: a.pia, qb: a.qb, network: a.network, all: false };
        if a.proton || a.pia || a.qb || a.network {
            for flag in &a.idle {
                log::warn!("init: --{flag} changes nothing: its part was not chosen");
            }
            return Ok(chosen);
        }
        let proton = a.proton_login.is_some() || a.proton_user.is_some() || a.secret("proton-pass").is_some();
        let pia = a.pia_user.is_some() || a.secret("pia-pass").is_some();
        let mut parts = Parts { proton, pia, qb: true, network: true, all: true };
        let provider = match (proton, pia) {
            (true, false) => ProviderKind::Proton,
            (false, true) => ProviderKind::Pia,
            (true, true) => return Ok(parts),
            (false, false) if self.ask.is_none() => return Ok(parts),
            (false, false) => self.choose_provider()?,
        };
        parts.proton = provider == ProviderKind::Proton;
        parts.pia = provider == ProviderKind::Pia;
        self.set("vpn", "provider", provider.name())?;
        Ok(parts)
    }

    fn choose_provider(&mut self) -> Result<ProviderKind> {
        let before = self.config()?.provider.unwrap_or(ProviderKind::Proton).name();
        let answer =
            self.asked("vpn", "provider", "Provider (proton, pia, or file for wireguard/*.conf)", before)?;
        let provider = answer.parse().unwrap_or(ProviderKind::File);
        if provider == ProviderKind::File {
            let folder = self.dir.join(crate::provider::file::DIR_NAME);
            self.say(&format!("Put the .conf files of your provider into {}", folder.display()));
        }
        Ok(provider)
    }

    /// The settings as they would be read with the answers so far.
    fn config(&self) -> Result<Config> {
        load::parse(&self.doc.emit(), self.dir, self.home).map_err(|f| Error::failed(f.text))
    }

    fn say(&mut self, text: &str) {
        if let Some(ask) = &mut self.ask {
            ask.say(text);
        }
    }

    /// Writes a key; one that says so already is left alone.
    fn set(&mut self, section: &str, key: &str, value: &str) -> Result<()> {
        if self.doc.find(section, key).is_some_and(|e| e.value == value && (e.is_unset() == value.is_empty()))
        {
            return Ok(());
        }
        self.doc.set(section, key, value).map_err(|f| Error::new(Exit::Usage, f.text))
    }

    /// Keeps what a trial could not find out, for the end; the first one counts.
    fn keep_unchecked(&mut self, error: Error) {
        self.say(&format!("Not checked: {error}"));
        self.unchecked.get_or_insert(error);
    }
}

#[cfg(test)]
mod tests;
