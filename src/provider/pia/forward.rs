//! getSignature and bindPort as values: requests to the gateway inside the tunnel and what its replies mean
//! (pia-foss/manual-connections `port_forwarding.sh`).
//!
//! A [`Grant`] is the gateway's payload and signature word for word. Together they bind its port on any forwarding server
//! until the payload ends, about two months on; nothing of them is ever rebuilt from its parts.

use super::account::{WORDS_MOST, clock_hint, is_page};
use crate::address::SYSTEM_PORTS;
use crate::config::secret::Secret;
use crate::time::{Duration, UnixTime, secs};
use crate::wire::http::{HttpError, Reply, Request, Route, Trust, percent_encode, plain};
use crate::wire::json::{Value, quote};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

/// Below `pia/`.
pub const FILE_NAME: &str = "port.json";
/// Where gateways are asked.
const GATEWAY_PORT: u16 = 19_999;
/// Several round trips through a tunnel that works, and short enough to notice one that does not; chosen.
pub const CALL_TIMEOUT: Duration = secs(10);
const BODY_MOST: u64 = 64 << 10;

/// With padding and without (sheets of several clients show both).
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A port that PIA has signed for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    payload: Secret,
    signature: Secret,
    pub port: u16,
    pub expires_at: UnixTime,
}

impl Grant {
    /// `None` where the payload is not one: base64 of an object with `port` and `expires_at`.
    pub fn parse(payload: &str, signature: &str) -> Option<Grant> {
        let json = Zeroizing::new(BASE64.decode(payload).ok()?);
        let inner = Value::parse(json.as_slice()).ok()?;
        let port = inner.at("port").number().and_then(|n| u16::try_from(n).ok());
        let port = port.filter(|n| !SYSTEM_PORTS.contains(n))?;
        let expires_at = UnixTime::parse(inner.at("expires_at").text()?)?;
        let is_signed = !signature.is_empty();
        is_signed.then(|| Grant {
            payload: Secret::new(payload),
            signature: Secret::new(signature),
            port,
            expires_at,
        })
    }

    /// The text of `port.json`.
    pub fn emit(&self) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(1024));
        out.push_str("{\"version\":1,\"payload\":");
        quote(&mut out, self.payload.reveal());
        out.push_str(",\"signature\":");
        quote(&mut out, self.signature.reveal());
        out.push_str("}\n");
        out
    }

    /// Reads `port.json` back.
    pub fn read(file: &Value) -> Option<Grant> {
        Grant::parse(file.at("payload").text()?, file.at("signature").text()?)
    }
}

/// Whom to ask: the server connected to, by the name it had at addKey, at its address inside the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    pub server_vip: IpAddr,
    pub cn: String,
    /// Inside the tunnel.
    pub route: Route,
}

impl Gateway {
    /// Asks for a port.
    pub fn signature_request(&self, token: &Secret) -> Request {
        self.request(format!("getSignature?token={}", percent_encode(token.reveal())))
    }

    /// Binds a port, or keeps it bound.
    pub fn bind_request(&self, grant: &Grant) -> Request {
        let (payload, signature) =
            (percent_encode(grant.payload.reveal()), percent_encode(grant.signature.reveal()));
        self.request(format!("bindPort?payload={payload}&signature={signature}"))
    }

    /// Trusts nobody: whoever sends it knows whom (`trust.rs`), since that may be a matter of configuration.
    fn request(&self, call: String) -> Request {
        Request {
            route: self.route.clone(),
            trust: Trust::Only { anchors: Vec::new(), name_from_cn: true },
            connect_to: Some(SocketAddr::new(self.server_vip, GATEWAY_PORT)),
            timeout: CALL_TIMEOUT,
            body_limit: BODY_MOST,
            ..Request::get(format!("https://{}:{GATEWAY_PORT}/{call}", self.cn))
        }
    }
}

/// Why a gateway did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No reply, or none of a gateway: says nothing about port or token.
    Away(String),
    /// It takes us for a stranger: the request did not come through the tunnel, or is for another server.
    Stranger,
    /// The login token is over.
    Token,
    /// The port is taken on this server.
    Busy,
    /// It said no, in these words.
    Refused(String),
}

impl Refusal {
    /// For `status` and the log.
    pub fn text(&self) -> String {
        match self {
            Refusal::Away(why) => format!("PIA's gateway does not answer: {why}"),
            Refusal::Stranger => {
                "PIA's gateway takes this for another connection (Unauthorized client)".to_owned()
            }
            Refusal::Token => "PIA's gateway refuses the token".to_owned(),
            Refusal::Busy => "the port is taken on this server".to_owned(),
            Refusal::Refused(why) => format!("PIA's gateway refuses: {why}"),
        }
    }
}

/// Reads the reply to [`Gateway::signature_request`].
pub fn parse_signature(reply: &Result<Reply, HttpError>) -> Result<Grant, Refusal> {
    let body = accepted(reply)?;
    let parts = body.at("payload").text().zip(body.at("signature").text());
    let grant = parts.and_then(|(payload, signature)| Grant::parse(payload, signature));
    grant.ok_or_else(|| Refusal::Away("its answer has no port in it".to_owned()))
}

/// Reads the reply to [`Gateway::bind_request`].
pub fn parse_bound(reply: &Result<Reply, HttpError>) -> Result<(), Refusal> {
    accepted(reply).map(|_| ())
}

/// The body of a reply that says OK.
fn accepted(reply: &Result<Reply, HttpError>) -> Result<Value, Refusal> {
    let reply = reply.as_ref().map_err(|why| Refusal::Away(clock_hint(why)))?;
    let status = reply.status;
    let page = || Refusal::Away(format!("HTTP {status} without a gateway's words"));
    if is_page(reply) || status >= 500 {
        return Err(page());
    }
    let body = Value::parse(reply.body.as_slice()).unwrap_or(Value::Null);
    if status == 200 && body.at("status").text() == Some("OK") {
        return Ok(body);
    }
    let message = plain(body.at("message").text().unwrap_or_default(), WORDS_MOST);
    let says = |word: &str| message.to_ascii_lowercase().contains(word);
    Err(match status {
        _ if says("unauthorized client") => Refusal::Stranger,
        409 => Refusal::Busy,
        _ if says("is busy") => Refusal::Busy,
        401 | 403 => Refusal::Token,
        _ if says("login") || says("token") => Refusal::Token,
        _ if body.at("status").text().is_none() => page(),
        _ if message.is_empty() => Refusal::Refused(format!("HTTP {status}")),
        _ => Refusal::Refused(message),
    })
}

#[cfg(test)]
mod tests;
