//! HTTP requests as values. A request says by which way it leaves ([`Route`]), whom it trusts ([`Trust`]) and how
//! long it may take; a reply of any status is a reply, only transport failures are errors.

use crate::time::Duration;
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Delete,
}

/// By which way a connection leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Outside the tunnel, marked with `firewall::OWN_MARK`; names are resolved by pvpn's own marked resolver.
    Outside,
    /// Inside the tunnel: bound to this interface and source address.
    Tunnel { interface: String, source: IpAddr },
    /// As the machine's routes say: loopback and LAN (qBittorrent's WebUI).
    Local,
}

/// Whose certificates are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The built-in web roots, and the certificates of this PEM text as well.
    Web { extra_pem: Option<Vec<u8>> },
    /// Only these anchors. `name_from_cn`: a leaf without any SAN is matched by its subject's CN (PIA's older
    /// servers), everything else checked as usual.
    Only { anchors: Vec<Anchor>, name_from_cn: bool },
    /// Whoever answers, by any certificate: for an address of loopback alone, where plain HTTP is heard by as few.
    ThisMachine,
}

/// A trust anchor, all in DER and without the outer SEQUENCE header, as webpki wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub subject: Vec<u8>,
    /// SubjectPublicKeyInfo.
    pub spki: Vec<u8>,
    /// The names it may speak for (RFC 5280 section 4.2.1.10), where it says so.
    pub name_constraints: Option<Vec<u8>>,
}

/// One request. The body and the secret-bearing parts never reach a log.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    /// Absolute, `http` or `https`; percent-encoded already.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Option<Vec<u8>>,
    pub route: Route,
    pub trust: Trust,
    /// Connect here instead of resolving the host of `url`; SNI and `Host` stay those of `url`.
    pub connect_to: Option<SocketAddr>,
    /// From the first byte sent to the last one read.
    pub timeout: Duration,
    /// Reading more than this of the body is an error.
    pub body_limit: u64,
    pub redirects: u8,
}

impl Request {
    /// A GET outside the tunnel trusting the web roots: 10 s, 1 MiB, no redirects.
    pub fn get(url: impl Into<String>) -> Request {
        Request {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            route: Route::Outside,
            trust: Trust::Web { extra_pem: None },
            connect_to: None,
            timeout: Duration::from_secs(10),
            body_limit: 1 << 20,
            redirects: 0,
        }
    }

    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        let mut r = Request::get(url);
        r.method = Method::Post;
        r.body = Some(body.into());
        r.header("Content-Type", content_type)
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Request {
        self.headers.push((name.to_owned(), value.into()));
        self
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters: safe in a query and in a form.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(b.into()),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// As short as what is taken for a token may be: with a digit, or without one. Chosen: Proton's have 32 characters, PIA's
/// more, and no word of a sentence is as long.
const TOKEN_LEAST: usize = 20;
const TOKEN_LEAST_LETTERS: usize = 32;

/// Foreign text for a terminal or a log: its first `most` characters, nothing that moves the cursor, no final full stop,
/// and `***` for tokens, since who refuses one may say it back.
pub fn plain(text: &str, most: usize) -> String {
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let is_edge = |c: char| !(c.is_ascii_alphanumeric() || "-_+=%~".contains(c));
    let masked = |part: &str| {
        let word = part.trim_end_matches(is_edge);
        let has_digit = word.contains(|c: char| c.is_ascii_digit());
        let is_token = word.len() >= if has_digit { TOKEN_LEAST } else { TOKEN_LEAST_LETTERS };
        if is_token { part.replacen(word, "***", 1) } else { part.to_owned() }
    };
    let text: String = text.split_inclusive(is_edge).map(masked).collect();
    let text: String = text.chars().take(most).collect();
    text.trim().trim_end_matches('.').to_owned()
}

/// An address for a terminal or a log: without query, and without the user and password that may stand before the host
/// (RFC 3986 section 3.2.1).
pub fn shown(url: &str) -> String {
    let url = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}

impl fmt::Debug for Request {
    /// Method and address without query: queries, headers and bodies carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.method, shown(&self.url))
    }
}

/// A reply of any status.
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decompressed. Reading ends with an error at the request's time or size limit.
    pub body: Box<dyn Read + Send>,
}

impl Response {
    /// First value of this header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The whole body as text, bytes that are not UTF-8 replaced.
    pub fn text(&mut self) -> io::Result<String> {
        let mut bytes = Vec::new();
        self.body.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// A reply read to its end: what the machines of the supervisor are handed.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Reads the body; ends with an error at the request's time or size limit.
    pub fn read(mut response: Response) -> io::Result<Reply> {
        let mut body = Vec::new();
        response.body.read_to_end(&mut body)?;
        Ok(Reply { status: response.status, headers: response.headers, body })
    }

    /// The body as text, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }
}

impl fmt::Debug for Reply {
    /// Status and length: headers and bodies carry secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}

/// Why no reply came, as far as callers choose by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The name does not resolve, with what was asked.
    Resolve(String),
    /// Refused, unreachable, reset, or the time is up.
    Connect(String),
    TimedOut,
    /// The certificate is not acceptable or the TLS handshake failed.
    Tls(String),
    /// What came is not HTTP, or over the size limit.
    Protocol(String),
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HttpError::Resolve(s) | HttpError::Connect(s) | HttpError::Tls(s) | HttpError::Protocol(s) => {
                f.write_str(s)
            }
            HttpError::TimedOut => f.write_str("timed out"),
        }
    }
}

impl std::error::Error for HttpError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_not_move_the_cursor() {
        assert_eq!(plain("a\x1b[2Jb\nc...  ", 100), "a[2Jbc");
        assert_eq!(plain(&"é".repeat(300), 5), "ééééé");
    }

    #[test]
    fn an_address_is_shown_without_what_only_its_host_should_see() {
        for (url, seen) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://me:pa@ss@127.0.0.1:8080/ui/@x?k=v", "http://127.0.0.1:8080/ui/@x"),
            ("me@host", "me@host"),
        ] {
            assert_eq!(shown(url), seen);
        }
        assert_eq!(format!("{:?}", Request::get("https://u:p@h/a?t=1")), "Get https://h/a");
    }

    #[test]
    fn a_token_in_foreign_text_is_not_shown() {
        let shown = |text: &str| plain(text, 60);
        let token = "9f86d081884c7d659a2feaa0c55ad015";
        assert_eq!(shown(&format!("bad token: {token}.")), "bad token: ***");
        assert_eq!(shown(token), "***");
        assert_eq!(shown(&format!("{{\"t\":\"{token}\",pt={token}}}")), "{\"t\":\"***\",***}");
        assert_eq!(shown(&format!("9f86d081884c7d659a2f\n{token}")), "***");
        assert_eq!(shown(&"q".repeat(32)), "***");
        // None of it stands at the edge where the text is cut either.
        assert_eq!(
            shown(&format!("{} {token}", "word ".repeat(11).trim())),
            format!("{} ***", "word ".repeat(11).trim())
        );
        for words in
            ["see https://protonvpn.com/support/two-factor", "Incorrect login credentials, code 8002"]
        {
            assert_eq!(shown(words), words);
        }
    }
}
