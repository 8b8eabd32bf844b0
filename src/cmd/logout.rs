//! `logout`: ends a provider's session, there and here.

use super::outside::Outside;
use super::waiting::Waiting;
use super::{place, print};
use crate::cli::Global;
use crate::error::{Error, Exit, Result};
use crate::provider::ProviderKind;
use crate::provider::pia::Pia;
use crate::provider::proton::Proton;
use crate::sys::files::Disk;
use crate::sys::http::Client;
use crate::sys::{clock, resolve};

/// `provider`: else the one that is set up.
pub fn run(global: &Global, provider: Option<ProviderKind>) -> Result<Exit> {
    super::need_root("logout")?;
    let (config, found) = place(global).config()?;
    let kind = match provider {
        Some(kind) => kind,
        None => config.guess_provider(&found)?,
    };
    if kind == ProviderKind::File {
        return Err(Error::new(
            Exit::Usage,
            "logout: .conf files have no session; give --provider proton or --provider pia, or remove the files",
        ));
    }
    let _outside = Outside::open(&config.dir)?;
    let http = Client::new(resolve::outside_servers());
    let waiting = Waiting::show("ending the session");
    let ended = match kind {
        ProviderKind::Pia => pia(&mut Pia::new(&config, &http, &Disk, &clock::System)?),
        _ => proton(&mut Proton::new(&config, &http, &Disk, &clock::System)?),
    };
    drop(waiting);
    let text = ended?;
    if global.quiet { Ok(Exit::Done) } else { print(&format!("{text}\n")) }
}

/// As [`proton`].
pub fn pia(pia: &mut Pia<'_>) -> Result<String> {
    let had_token = pia.is_logged_in()?;
    pia.log_out()?;
    Ok(String::from(if had_token { "Logged out of PIA." } else { "Was not logged in to PIA." }))
}

/// Ends Proton's session and returns what to tell the person. Twice over is fine. Exit 13 when Proton could not be
/// told; the tokens are gone from disk all the same.
pub fn proton(proton: &mut Proton<'_>) -> Result<String> {
    let (had_session, had_key) = (proton.is_logged_in()?, proton.has_key()?);
    proton.log_out()?;
    let mut text =
        String::from(if had_session { "Logged out of Proton." } else { "Was not logged in to Proton." });
    if had_key {
        // A session of the VPN's scope may not delete certificates (403, code 9100).
        text.push_str(
            " The key in wireguard/*.conf still works: remove the files, or revoke it on account.proton.me",
        );
        text.push_str(" (Downloads, WireGuard).");
    }
    Ok(text)
}
