//! What the API's refusals mean, and what a person can do about each (codes: ProtonVPN/python-proton-core `api.py`,
//! ProtonMail/go-proton-api `response.go`, ProtonMail/WebClients `packages/shared/lib/errors.ts`).

use super::Failure;
use crate::error::Exit;
use crate::wire::http::plain;
use crate::wire::json::Value;
use std::fmt;

/// The API's codes that something hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// 2028: unusual activity, access limited for a time.
    Limited,
    /// 2064, 5001, 5002: the app version is missing or malformed.
    BadAppVersion,
    /// 5003: the app version is too old.
    OldAppVersion,
    /// 5099: not for accounts with an external address.
    External,
    /// 2500: the key has a certificate already.
    KeyKnown,
    /// 2501: there is no such thing (any more).
    Gone,
    /// 8002: wrong password, or wrong second factor.
    WrongCredentials,
    /// 8005: the token is over.
    TokenOver,
    /// 8100: the account signs in at its organisation.
    SingleSignOn,
    /// 9001, 12087: a person must prove to be one.
    HumanCheck,
    /// 9002: a device must be confirmed.
    DeviceCheck,
    /// 9100, 9101, 9102: the session may not do this.
    Scope,
    /// 10001, 10002, 10003, 12100: the account is failed, deleted, disabled or restricted.
    Account,
    /// 10004: needs a paid plan.
    Plan,
    /// 10013: the refresh token is not valid.
    BadRefresh,
    /// 86300: the organisation has given this member no VPN connections.
    Allocation,
    Other(u64),
}

impl From<u64> for Code {
    fn from(number: u64) -> Code {
        match number {
            2028 => Code::Limited,
            2064 | 5001 | 5002 => Code::BadAppVersion,
            5003 => Code::OldAppVersion,
            5099 => Code::External,
            2500 => Code::KeyKnown,
            2501 => Code::Gone,
            8002 => Code::WrongCredentials,
            8005 => Code::TokenOver,
            8100 => Code::SingleSignOn,
            9001 | 12087 => Code::HumanCheck,
            9002 => Code::DeviceCheck,
            9100..=9102 => Code::Scope,
            10001..=10003 | 12100 => Code::Account,
            10004 => Code::Plan,
            10013 => Code::BadRefresh,
            86300 => Code::Allocation,
            other => Code::Other(other),
        }
    }
}

/// The API said no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: Code,
    /// Its own words, made fit for a terminal.
    pub text: String,
}

/// The way in that needs neither password nor a browser on this machine.
const BY_CODE: &str = "log in with a code instead: `pvpn init --proton --proton-login code`";
const AGAIN: &str = "log in again: `pvpn init --proton`";
const APP: &str = "set a current app_version under [protonvpn] in config.ini";

impl Refusal {
    /// What to do, where there is something.
    fn advice(&self) -> &'static str {
        match self.code {
            Code::Limited => "wait some hours, or sign in by browser from the same network",
            Code::BadAppVersion | Code::OldAppVersion => APP,
            Code::HumanCheck | Code::DeviceCheck | Code::External | Code::SingleSignOn => BY_CODE,
            Code::Scope | Code::TokenOver | Code::BadRefresh => AGAIN,
            Code::Account => "look at the account on account.proton.me",
            Code::Plan => "this needs a paid plan",
            Code::Allocation => "ask your organisation's administrator for a VPN connection",
            Code::Other(_) if self.status == 401 => AGAIN,
            _ => "",
        }
    }

    fn what(&self) -> &'static str {
        match self.code {
            Code::Limited => "Proton limits this account or address for a time",
            Code::BadAppVersion => "Proton does not know this app version",
            Code::OldAppVersion => "Proton supports this app version no more",
            Code::External => "Proton wants another way of login for this account's address",
            Code::WrongCredentials => "wrong user name, password or code",
            Code::SingleSignOn => "this account signs in at its organisation (SSO), not with a password",
            Code::HumanCheck => "Proton wants to see a human first (CAPTCHA), which this program can't show",
            Code::DeviceCheck => "Proton wants this device confirmed in a browser first",
            Code::Scope => "Proton's session may not do this",
            Code::Account => "Proton has closed or restricted this account",
            Code::TokenOver | Code::BadRefresh => "Proton's session has ended",
            Code::Allocation => "the account has no VPN connections",
            Code::Other(_) if self.status == 401 => "Proton does not accept the session",
            _ => "Proton's API refused",
        }
    }

    /// Login refused where credentials, session or account are at fault; else the API fails.
    pub fn exit(&self) -> Exit {
        match self.code {
            Code::BadAppVersion | Code::OldAppVersion | Code::KeyKnown | Code::Gone => Exit::Provider,
            Code::Other(_) if self.status != 401 => Exit::Provider,
            _ => Exit::LoginRefused,
        }
    }

    /// Whether trying again can not help, whatever the status says.
    pub fn is_final(&self) -> bool {
        !matches!(self.code, Code::Other(_))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (HTTP {}", self.what(), self.status)?;
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        f.write_str(")")?;
        match self.advice() {
            "" => Ok(()),
            advice => write!(f, "; {advice}"),
        }
    }
}

/// Reads the envelope of a refusal. JSON without a `Code` is not the API's.
pub fn parse(status: u16, reply: &Value) -> Failure {
    let Some(number) = reply.at("Code").number() else {
        return Failure::NotApi { status, what: "JSON without a code".to_owned() };
    };
    let text = plain(reply.at("Error").text().unwrap_or_default(), 160);
    let text = if text.is_empty() { format!("code {number}") } else { format!("{text}, code {number}") };
    Failure::Refused(Refusal { status, code: Code::from(number), text })
}
