//! `logout`: ends a provider's session, there and here.

use crate::error::Result;
use crate::provider::proton::Proton;

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
