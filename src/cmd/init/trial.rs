//! What `init` tries, for real: logins over the network, the WebUI over loopback or the LAN.

use super::process::{self, Process};
use super::webui::{SETTINGS, is_below};
use super::{Ask, Local, ProtonTrial, Trial};
use crate::cli::ProtonLogin;
use crate::cmd::outside::Outside;
use crate::cmd::waiting::Waiting;
use crate::cmd::webui;
use crate::config::secret::Secret;
use crate::config::{Config, Qbittorrent, load};
use crate::daemon::sync;
use crate::error::{Doing, Error, Result};
use crate::provider::pia::Pia;
use crate::provider::proton::{self, LoginBy, Proton};
use crate::sys::files::{Disk, FileImage, Files};
use crate::sys::http::Client;
use crate::sys::{clock, resolve, terminal, user};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A `pass_file` longer than this is a mistake; chosen.
const PASS_FILE_MOST: usize = 64 << 10;
/// qBittorrent's settings are some kilobytes; chosen.
const SETTINGS_MOST: usize = 1 << 20;

/// The real [`Trial`].
pub struct Real {
    dir: PathBuf,
    /// Somebody is asked, and told what is tried.
    is_asked: bool,
    /// Those that ran at any look: one that was stopped meanwhile tells nobody where its settings are.
    seen: Vec<Process>,
}

impl Real {
    pub fn new(dir: &Path, is_asked: bool) -> Real {
        Real { dir: dir.to_owned(), is_asked, seen: Vec::new() }
    }

    /// For those who are not told otherwise.
    fn show(&self, what: &str) -> Option<Waiting> {
        (!self.is_asked).then(|| Waiting::show(what))
    }
}

impl Trial for Real {
    fn proton(&mut self, login: &ProtonTrial<'_>, ask: Option<&mut dyn Ask>) -> Result<String> {
        let _outside = Outside::open(&self.dir)?;
        let _waiting = self.show("logging in to Proton");
        let http = Client::new(resolve::outside_servers());
        let mut proton = Proton::new(login.config, &http, &Disk, &clock::System)?;
        let mut known = proton.credentials()?;
        if let Some(code) = login.second_factor {
            known.totp_code = Some(code.clone());
        }
        let by = match login.login {
            ProtonLogin::Password => LoginBy::Password,
            ProtonLogin::Code => LoginBy::Code,
        };
        let account = match ask {
            Some(ask) => proton.log_in(by, &known, &mut Person { ask })?,
            None => proton.log_in(by, &known, &mut Nobody)?,
        };
        let limits = account.limits().map_or(String::new(), |text| format!("; {text}"));
        Ok(format!("Logged in to Proton, plan {}{limits}", account.plan))
    }

    fn pia(&mut self, config: &Config) -> Result<()> {
        let _outside = Outside::open(&self.dir)?;
        let _waiting = self.show("logging in to PIA");
        let http = Client::new(resolve::outside_servers());
        Pia::new(config, &http, &Disk, &clock::System)?.log_in()
    }

    fn qbittorrent(&mut self, settings: &Qbittorrent) -> Result<String> {
        let read = |path: &std::path::Path| Disk.read(path, PASS_FILE_MOST);
        let pass = load::password(settings.pass.as_ref(), settings.pass_file.as_deref(), &read)
            .doing(|| "[qbittorrent]")?;
        let known = sync::Settings::new(settings, pass);
        let _waiting = Waiting::show("asking qBittorrent for its version");
        webui::version(&Client::new(Vec::new()), &known.url, &known.auth)
    }

    fn local_qbittorrents(&mut self) -> Vec<Local> {
        let running = process::all();
        let fresh = running.iter().filter(|p| !self.seen.contains(p)).cloned().collect::<Vec<_>>();
        self.seen.extend(fresh);
        let by_process = self.seen.iter().map(|p| (p.user.clone(), of_process(p)));
        let by_home = user::all().into_iter().map(|(user, home)| (user, below(&home)));
        let mut found: Vec<(String, PathBuf)> =
            by_process.chain(by_home).filter_map(|(user, path)| Some((user, path?))).collect();
        // Who called us by sudo is meant first.
        let caller = user::sudo_user().map(|(name, _)| name);
        found.sort_by_key(|(name, _)| Some(name) != caller.as_ref());
        let mut paths = HashSet::new();
        found.retain(|(_, path)| paths.insert(path.clone()));
        let found = found.into_iter().filter_map(|(user, path)| {
            let owner = fs::metadata(&path).ok()?.uid();
            let text = String::from_utf8(Disk.read(&path, SETTINGS_MOST).ok()?).ok()?;
            // One whose settings are not found may be this one.
            let is_it = |p: &Process| match p.settings.canonicalize() {
                Ok(settings) => settings == path,
                Err(_) => p.uid == owner,
            };
            let is_running = running.iter().any(is_it);
            Some(Local { user, path, text, is_running })
        });
        found.collect()
    }

    fn write_qbittorrent(&mut self, path: &Path, text: &str) -> Result<()> {
        let doing = || format!("write {}", path.display());
        let FileImage::Regular { uid, gid, mode, .. } = Disk.image(path).doing(doing)? else {
            return Err(Error::failed(format!("{} is no file", path.display())));
        };
        Disk.put(path, &FileImage::Regular { bytes: text.as_bytes().to_vec(), uid, gid, mode }).doing(doing)
    }
}

/// The file of a user's qBittorrent that is started without arguments.
fn below(home: &Path) -> Option<PathBuf> {
    home.join(SETTINGS).canonicalize().ok().filter(|path| is_below(home, path))
}

/// The file of one that runs. Elsewhere than at home, it counts where its user may write it: root writes nothing on
/// behalf of somebody who could not.
fn of_process(process: &Process) -> Option<PathBuf> {
    let path = process.settings.canonicalize().ok()?;
    let is_its = |path: &Path| fs::metadata(path).is_ok_and(|meta| meta.uid() == process.uid);
    (path.is_file() && is_its(&path) && path.parent().is_some_and(is_its)).then_some(path)
}

/// The person at the terminal, as the login asks. A refused password is asked for by `init` itself.
struct Person<'a> {
    ask: &'a mut dyn Ask,
}

impl proton::Ask for Person<'_> {
    fn password(&mut self, user: &str, refused: bool) -> Option<Secret> {
        if refused {
            return None;
        }
        self.typed(&format!("Proton password of {user}"))
    }

    fn second_factor(&mut self, refused: bool) -> Option<Secret> {
        self.typed(if refused { "Wrong or used; the next second-factor code" } else { "Second-factor code" })
    }

    fn show_code(&mut self, code: &str, url: &str) {
        self.ask.say(&format!("Open {url} where you are logged in, and approve the code {code}"));
    }
}

impl Person<'_> {
    fn typed(&mut self, question: &str) -> Option<Secret> {
        self.ask.secret(question).ok().filter(|typed| !typed.is_empty())
    }
}

/// `--non-interactive`: a code login still has to show its code.
struct Nobody;

impl proton::Ask for Nobody {
    fn password(&mut self, _: &str, _: bool) -> Option<Secret> {
        None
    }

    fn second_factor(&mut self, _: bool) -> Option<Secret> {
        None
    }

    fn show_code(&mut self, code: &str, url: &str) {
        // Standard error may be closed; the login then ends by its own limit.
        let _ = terminal::eprint(&format!(
            "{}Open {url} where you are logged in, and approve the code {code}\n",
            terminal::clear_line()
        ));
    }
}
