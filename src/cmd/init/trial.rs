//! What `init` tries, for real: logins over the network, the WebUI over loopback or the LAN.

use super::{Ask, ProtonTrial, Trial};
use crate::cli::ProtonLogin;
use crate::cmd::outside::Outside;
use crate::cmd::webui;
use crate::config::secret::Secret;
use crate::config::{Config, Qbittorrent, load};
use crate::daemon::sync;
use crate::error::{Doing, Result};
use crate::provider::pia::Pia;
use crate::provider::proton::{self, LoginBy, Proton};
use crate::sys::files::{Disk, Files};
use crate::sys::http::Client;
use crate::sys::{clock, resolve};
use std::path::PathBuf;

/// A `pass_file` longer than this is a mistake; chosen.
const PASS_FILE_MOST: usize = 64 << 10;

/// The real [`Trial`].
pub struct Real {
    pub dir: PathBuf,
}

impl Trial for Real {
    fn proton(&mut self, login: &ProtonTrial<'_>, ask: Option<&mut dyn Ask>) -> Result<String> {
        let _outside = Outside::open(&self.dir)?;
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
        let http = Client::new(resolve::outside_servers());
        Pia::new(config, &http, &Disk, &clock::System)?.log_in()
    }

    fn qbittorrent(&mut self, settings: &Qbittorrent) -> Result<String> {
        let read = |path: &std::path::Path| Disk.read(path, PASS_FILE_MOST);
        let pass = load::password(settings.pass.as_ref(), settings.pass_file.as_deref(), &read)
            .doing(|| "[qbittorrent]")?;
        let known = sync::Settings::new(settings, pass);
        webui::version(&Client::new(Vec::new()), &known.url, &known.auth)
    }
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
        let _ = crate::sys::terminal::eprint(&format!(
            "Open {url} where you are logged in, and approve the code {code}\n"
        ));
    }
}
