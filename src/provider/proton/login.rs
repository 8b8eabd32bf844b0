//! Logging in with user name and password: SRP, then the second factor (ProtonMail/go-proton-api `manager_auth.go`).
//!
//! Nothing is kept before the server has proved that it knows the password's verifier. A refused password is asked for
//! again, at most [`TRIES_MOST`] times in all; anything else is never repeated: repeated logins are what brings the
//! CAPTCHA.

use super::api::{Api, BUDGET, Call, Code, Failure, Identity};
use super::session::{Session, scopes};
use super::totp::{STEP_SECS, TotpKey};
use super::{modulus, password, srp};
use crate::config::secret::Secret;
use crate::error::{Error, Exit, Result};
use crate::time::secs;
use crate::wire::json::{Value, quote};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

/// Passwords, and codes, tried in one login (the fact sheet's bound for 8002).
const TRIES_MOST: u32 = 3;

const BY_CODE: &str = "log in with a code instead: `pvpn init --proton --proton-login code`";

/// The person at the terminal. `None` means that there is none, or no answer.
pub trait Ask {
    /// `refused`: the one before was wrong.
    fn password(&mut self, user: &str, refused: bool) -> Option<Secret>;
    /// The six digits of the second factor.
    fn second_factor(&mut self, refused: bool) -> Option<Secret>;
    /// Shows the code of a code login and the address at which to approve it.
    fn show_code(&mut self, code: &str, url: &str);
    /// Asked between two looks whether a code was approved; `false` gives up.
    fn keep_waiting(&mut self) -> bool {
        true
    }
}

/// Nobody to ask.
pub struct Unattended;

impl Ask for Unattended {
    fn password(&mut self, _: &str, _: bool) -> Option<Secret> {
        None
    }

    fn second_factor(&mut self, _: bool) -> Option<Secret> {
        None
    }

    fn show_code(&mut self, _: &str, _: &str) {}
}

/// What is known before anybody is asked.
#[derive(Clone, Default)]
pub struct Credentials {
    pub user: String,
    pub password: Option<Secret>,
    /// A code of the second factor, good for one try.
    pub totp_code: Option<Secret>,
    /// Its base32 secret, to compute codes.
    pub totp_secret: Option<Secret>,
}

/// Logs in and returns the session, not yet on disk. The API's time begins anew after each wait for a person or a code.
pub fn login(api: &Api<'_>, who: &Identity, known: &Credentials, ask: &mut dyn Ask) -> Result<Session> {
    let mut codes = Codes::new(known)?;
    let mut secret = match &known.password {
        Some(password) => password.clone(),
        None => {
            let typed = ask.password(&known.user, false).ok_or_else(|| missing("no password for Proton"))?;
            api.begin(BUDGET);
            typed
        }
    };
    let mut tries = 1;
    loop {
        match sign_in(api, who, &known.user, &secret) {
            Ok((session, factors)) => match second_factor(api, session, &factors, &mut codes, ask)? {
                Some(session) => return Ok(session),
                // The half session is gone: once more from the start.
                None if tries < TRIES_MOST => {}
                None => return Err(missing("Proton ended the login before the second factor")),
            },
            Err(Stop::Refused(f)) if f.is(Code::WrongCredentials) && tries < TRIES_MOST => {
                match ask.password(&known.user, true) {
                    Some(again) => {
                        api.begin(BUDGET);
                        secret = again;
                    }
                    None => return Err(f.into()),
                }
            }
            Err(stop) => return Err(stop.into()),
        }
        tries += 1;
    }
}

fn missing(text: &str) -> Error {
    Error::new(Exit::LoginRefused, text)
}

/// Why a password login ended.
enum Stop {
    Refused(Failure),
    /// The exchange itself is at fault.
    Broken(String),
}

impl From<Failure> for Stop {
    fn from(f: Failure) -> Stop {
        Stop::Refused(f)
    }
}

impl From<Stop> for Error {
    fn from(stop: Stop) -> Error {
        match stop {
            Stop::Refused(f) => Error::from(f).context("log in to Proton"),
            Stop::Broken(why) => Error::new(Exit::LoginRefused, why).context("log in to Proton"),
        }
    }
}

fn broken(why: impl ToString) -> Stop {
    Stop::Broken(why.to_string())
}

/// Which second factors the account has; bits of `2FA.Enabled` (go-proton-api `manager_auth_types.go`).
struct Factors {
    totp: bool,
    key: bool,
}

/// `/auth/info` and `/auth`.
fn sign_in(
    api: &Api<'_>,
    who: &Identity,
    user: &str,
    secret: &Secret,
) -> std::result::Result<(Session, Factors), Stop> {
    let mut body = String::from("{\"Username\":");
    quote(&mut body, user);
    body.push('}');
    let info = api.call(who, &Call::post("/auth/info", body))?;
    let text = |key| info.at(key).text().ok_or_else(|| broken(format!("/auth/info without {key}")));
    let n = modulus::parse(text("Modulus")?).map_err(broken)?;
    let b = number(text("ServerEphemeral")?)
        .ok_or_else(|| broken("the server's ephemeral has a wrong length"))?;
    let version = info.at("Version").number().ok_or_else(|| broken("/auth/info without Version"))?;
    let hashed = password::hash(secret.reveal().as_bytes(), text("Salt")?, version, &n).map_err(broken)?;
    let random = SystemRandom::new();
    let ephemeral =
        srp::Secret::draw(|b| random.fill(b).is_ok()).ok_or_else(|| broken("no random numbers"))?;
    let proofs = srp::prove(&n, &b, &hashed, &ephemeral).map_err(broken)?;
    drop((hashed, ephemeral));
    let mut body = String::from("{\"Username\":");
    quote(&mut body, user);
    for (key, value) in [
        ("ClientEphemeral", STANDARD.encode(proofs.ephemeral)),
        ("ClientProof", STANDARD.encode(proofs.proof)),
        ("SRPSession", text("SRPSession")?.to_owned()),
    ] {
        body.push_str(&format!(",\"{key}\":"));
        quote(&mut body, &value);
    }
    body.push('}');
    let reply = api.call(who, &Call::post("/auth", body))?;
    let proof = reply.at("ServerProof").text().and_then(|p| STANDARD.decode(p).ok()).unwrap_or_default();
    if !proofs.accept(&proof) {
        return Err(broken("the server does not prove that it knows the account: nothing was kept"));
    }
    let session = Session::parse(&reply, user, None, who, api.clock().wall())
        .ok_or_else(|| broken("/auth without tokens"))?;
    Ok((session, factors(&reply)))
}

fn number(base64: &str) -> Option<[u8; modulus::SIZE]> {
    STANDARD.decode(base64).ok()?.as_slice().try_into().ok()
}

/// A second factor is due where the scopes say so, or `2FA.Enabled` does.
fn factors(reply: &Value) -> Factors {
    let enabled = reply.at("2FA").at("Enabled").number().unwrap_or(0);
    let due = scopes(reply).iter().any(|s| s == "twofactor");
    Factors { totp: enabled & 1 != 0 || (due && enabled == 0), key: enabled & 2 != 0 }
}

/// Sends codes until one is right. `None`: the API ended the half session, a login from the start may help.
fn second_factor(
    api: &Api<'_>,
    mut session: Session,
    factors: &Factors,
    codes: &mut Codes<'_>,
    ask: &mut dyn Ask,
) -> Result<Option<Session>> {
    if !factors.totp && !factors.key {
        return Ok(Some(session));
    }
    if !factors.totp {
        end(api, &session);
        return Err(missing(&format!("the account's second factor is a security key only: {BY_CODE}")));
    }
    let mut refused = None;
    while let Some(code) = codes.next(api, ask) {
        let mut body = Zeroizing::new(String::from("{\"TwoFactorCode\":"));
        quote(&mut body, code.reveal());
        body.push('}');
        let call = Call::post("/auth/2fa", body.to_string()).by(&session.uid, &session.access_token);
        match api.call(&session.identity, &call) {
            Ok(reply) => {
                session.scopes = scopes(&reply);
                return Ok(Some(session));
            }
            Err(f) if f.is(Code::WrongCredentials) => refused = Some(f),
            Err(f) if f.status() == Some(401) => return Ok(None),
            Err(f) => {
                end(api, &session);
                return Err(Error::from(f).context("send Proton's second factor"));
            }
        }
    }
    end(api, &session);
    Err(match refused {
        Some(f) => Error::from(f).context("send Proton's second factor"),
        None => missing(
            "the account has a second factor: give a code (--proton-2fa), or 2fa_secret in config.ini",
        ),
    })
}

/// Logs a session out that is of no use, as well as that goes.
fn end(api: &Api<'_>, session: &Session) {
    let call = Call::delete("/auth").by(&session.uid, &session.access_token);
    if let Err(why) = api.call(&session.identity, &call) {
        log::debug!("proton: log out of the unfinished login: {why}");
    }
}

/// The codes to try: the one given, then computed ones, then what a person types.
struct Codes<'k> {
    given: Option<&'k Secret>,
    key: Option<TotpKey>,
    tries: u32,
    /// The step of the last computed code: no code is sent twice.
    step: Option<u64>,
}

impl<'k> Codes<'k> {
    fn new(known: &'k Credentials) -> Result<Codes<'k>> {
        let key = match &known.totp_secret {
            None => None,
            Some(text) => Some(
                TotpKey::parse(text.reveal())
                    .ok_or_else(|| Error::new(Exit::BadConfig, "[protonvpn] 2fa_secret is not base32"))?,
            ),
        };
        Ok(Codes { given: known.totp_code.as_ref(), key, tries: 0, step: None })
    }

    fn next(&mut self, api: &Api<'_>, ask: &mut dyn Ask) -> Option<Secret> {
        if self.tries == TRIES_MOST {
            return None;
        }
        self.tries += 1;
        if let Some(given) = self.given.take() {
            return Some(given.clone());
        }
        let Some(key) = &self.key else {
            let typed = ask.second_factor(self.tries > 1);
            api.begin(BUDGET);
            return typed;
        };
        let mut wall = api.clock().wall();
        if self.step == Some(wall.0 / STEP_SECS) {
            let wait = STEP_SECS - wall.0 % STEP_SECS;
            log::info!("proton: second factor refused, waiting {wait} s for the next code");
            api.clock().sleep(secs(wait));
            api.begin(BUDGET);
            wall = api.clock().wall();
        }
        self.step = Some(wall.0 / STEP_SECS);
        Some(Secret::new(key.code(wall).as_str()))
    }
}

#[cfg(test)]
mod tests;
