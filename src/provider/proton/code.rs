//! Logging in with a code, as Proton's TV apps do: a short code is shown, the person approves it where they are logged
//! in already, and the API hands over a session. No password, no second factor, no CAPTCHA
//! (ProtonVPN/android-app `tv/login/*`, ProtonMail/WebClients `containers/vpn/tv/*`).

use super::api::{Api, BUDGET, Call, Code, Failure, Identity};
use super::login::Ask;
use super::session::Session;
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use crate::time::{Duration, secs};
use crate::wire::json::Value;

/// The approval page only offers TV apps, so the session is a TV's (values: unshackle-dl/unshackle `proton.py`).
const TV_APP_VERSION: &str = "android_tv-vpn@5.18.75.1+play";
const TV_USER_AGENT: &str = "ProtonVPN/5.18.75.1 (Android 11; NVIDIA SHIELD Android TV)";
/// Clients the approval page knows (WebClients `containers/vpn/tv`).
const TV_CLIENTS: [&str; 3] = ["android_tv-vpn", "apple_tv-vpn", "vega_tv-vpn"];

/// Between two looks, and how long a code lives (android-app `PollSessionFork.kt`).
const POLL_INTERVAL: Duration = secs(5);
const CODE_LIFE: Duration = secs(600);

/// As what a code login shows itself: the configured identity where that is a TV's.
pub fn identity(configured: &Identity) -> Identity {
    match client(configured) {
        Some(_) => configured.clone(),
        None => Identity { app_version: TV_APP_VERSION.to_owned(), user_agent: TV_USER_AGENT.to_owned() },
    }
}

fn client(who: &Identity) -> Option<&'static str> {
    let name = who.app_version.split('@').next()?;
    TV_CLIENTS.into_iter().find(|c| *c == name)
}

/// Shows a code by `ask`, waits for its approval and returns the session, not yet on disk.
pub fn login(api: &Api<'_>, configured: &Identity, user: &str, ask: &mut dyn Ask) -> Result<Session> {
    let who = identity(configured);
    api.begin(BUDGET);
    let (fork, guest) =
        start(api, &who).map_err(|f| Error::from(f).context("ask Proton for a login code"))?;
    let (Some(selector), Some(code)) = (fork.at("Selector").text(), fork.at("UserCode").text()) else {
        return Err(Error::new(Exit::Provider, "Proton gave no login code"));
    };
    let client = client(&who).unwrap_or(TV_CLIENTS[0]);
    ask.show_code(code, &format!("https://account.proton.me/vpn/tv/code/{code}?clientId={client}"));
    let ends_at = api.clock().now() + CODE_LIFE;
    loop {
        api.clock().sleep(POLL_INTERVAL);
        if !ask.keep_waiting() {
            return Err(Error::new(Exit::Interrupted, "the code was not approved"));
        }
        if api.clock().now() >= ends_at {
            return Err(over());
        }
        api.begin(BUDGET);
        match poll(api, &who, selector, guest.as_ref()) {
            Ok(reply) => {
                return Session::parse(&reply, user, None, &who, api.clock().wall())
                    .ok_or_else(|| Error::new(Exit::Provider, "Proton's code login came without tokens"));
            }
            Err(f) if f.is(Code::Gone) => return Err(over()),
            Err(f) if is_pending(&f) => {}
            Err(f @ Failure::Refused(_)) => {
                return Err(Error::from(f).context("log in to Proton with a code"));
            }
            // Nothing is lost while the network or the API is away for a moment.
            Err(f) => log::debug!("proton: code login: {f}"),
        }
    }
}

fn over() -> Error {
    Error::new(Exit::LoginRefused, "the code was not approved in time: begin again for another")
}

/// Not approved yet: HTTP 422 with a code that says nothing else.
fn is_pending(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(r) if r.status == 422 && matches!(r.code, Code::Other(_)))
}

/// A session without an account; some doors open only with one.
struct Guest {
    uid: Secret,
    access_token: Secret,
}

fn start(api: &Api<'_>, who: &Identity) -> std::result::Result<(Value, Option<Guest>), Failure> {
    match api.call(who, &call("/auth/v4/sessions/forks", None)) {
        Err(f) if f.status() == Some(401) => {}
        other => return Ok((other?, None)),
    }
    let reply = api.call(who, &Call::post("/auth/v4/sessions", String::new()))?;
    let text = |key| reply.at(key).text().map(Secret::new);
    let guest = text("UID").zip(text("AccessToken")).map(|(uid, access_token)| Guest { uid, access_token });
    Ok((api.call(who, &call("/auth/v4/sessions/forks", guest.as_ref()))?, guest))
}

fn poll(
    api: &Api<'_>,
    who: &Identity,
    selector: &str,
    guest: Option<&Guest>,
) -> std::result::Result<Value, Failure> {
    api.call(who, &call(&format!("/auth/v4/sessions/forks/{selector}"), guest))
}

fn call<'c>(path: &'c str, guest: Option<&'c Guest>) -> Call<'c> {
    let call = Call { headers: vec![("x-pm-locale", "en".to_owned())], ..Call::get(path) };
    match guest {
        Some(guest) => call.by(&guest.uid, &guest.access_token),
        None => call,
    }
}

#[cfg(test)]
mod tests;
