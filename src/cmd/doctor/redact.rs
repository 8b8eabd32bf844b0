//! Takes out of a text what must not be shown to strangers: known secrets, whatever looks like a key or a token, and
//! every address. An address is replaced by the same `<ip-N>` wherever it stands, so that a report can still be read.

use std::net::IpAddr;

/// A secret shorter than this is not looked for: it would be found in every word. Chosen; such a value is not shown
/// by any part of a report either.
const SECRET_LEAST: usize = 4;
/// Characters in a row that make a token; chosen: a key has 44, a session id 32, a word fewer.
const TOKEN_LEAST: usize = 28;

/// What was replaced so far, over all parts of one report.
#[derive(Default)]
pub struct Redactor {
    secrets: Vec<String>,
    addresses: Vec<IpAddr>,
    links: Vec<String>,
}

impl Redactor {
    /// With the secrets that are known by name.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Redactor {
        let mut secrets: Vec<String> = secrets.into_iter().filter(|s| s.len() >= SECRET_LEAST).collect();
        // The longest first: one may hold another.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        secrets.dedup();
        Redactor { secrets, ..Redactor::default() }
    }

    pub fn redact(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            text = text.replace(secret.as_str(), "***");
        }
        without_keys(&self.without_addresses(&text))
    }

    fn without_addresses(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = ' ';
        while let Some(c) = rest.chars().next() {
            let found = if before.is_ascii_alphanumeric() { None } else { address_at(rest) };
            let taken = match found {
                Some((address, len)) => {
                    out.push_str(&self.name(&address));
                    len
                }
                None => {
                    out.push(c);
                    c.len_utf8()
                }
            };
            before = rest[..taken].chars().next_back().unwrap_or(' ');
            rest = &rest[taken..];
        }
        out
    }

    fn name(&mut self, address: &Address) -> String {
        match address {
            Address::Ip(ip) if ip.is_unspecified() => "<any>".to_owned(),
            Address::Ip(ip) => format!("<ip-{}>", number(&mut self.addresses, *ip)),
            Address::Link(mac) => format!("<mac-{}>", number(&mut self.links, mac.clone())),
        }
    }
}

enum Address {
    Ip(IpAddr),
    Link(String),
}

/// The longest text of an address (RFC 4291 section 2.2: 45 characters with IPv4 in it).
const ADDRESS_MOST: usize = 45;

/// The address that this text begins with, and its length: the longest one behind which no word goes on.
fn address_at(text: &str) -> Option<(Address, usize)> {
    let run = text.find(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':'))).unwrap_or(text.len());
    (2..=run.min(ADDRESS_MOST)).rev().find_map(|len| {
        let goes_on = text[len..].chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if goes_on { None } else { Some((parse(&text[..len])?, len)) }
    })
}

fn parse(word: &str) -> Option<Address> {
    let mac = is_mac(word).then(|| Address::Link(word.to_ascii_lowercase()));
    mac.or_else(|| word.parse().ok().map(Address::Ip))
}

fn number<T: PartialEq>(known: &mut Vec<T>, one: T) -> usize {
    known.iter().position(|k| *k == one).unwrap_or_else(|| {
        known.push(one);
        known.len() - 1
    }) + 1
}

fn is_mac(word: &str) -> bool {
    let is_byte = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    word.split(':').count() == 6 && word.split(':').all(is_byte)
}

fn without_keys(text: &str) -> String {
    let is_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=' | '-' | '_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c| !is_token(c)).unwrap_or(rest.len());
        out.push_str(if is_key(&rest[..end]) { "<key>" } else { &rest[..end] });
        let mut behind = rest[end..].chars();
        out.extend(behind.next());
        rest = behind.as_str();
    }
    out
}

/// Long and of mixed characters: no path, no sentence, no name of a file.
fn is_key(word: &str) -> bool {
    let longest = word.split('/').map(str::len).max().unwrap_or(0);
    let is_base64 = word.len() >= 43 && word.ends_with('=');
    is_base64 || (longest >= TOKEN_LEAST && word.bytes().any(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(text: &str) -> String {
        Redactor::new(["hunter22".to_owned(), "me@example.org".to_owned()]).redact(text)
    }

    #[test]
    fn addresses_become_numbers_that_stay() {
        assert_eq!(
            redacted("from 192.168.1.2 to 203.0.113.11:51820, 192.168.1.2/24."),
            "from <ip-1> to <ip-2>:51820, <ip-1>/24."
        );
        assert_eq!(
            redacted("2001:db8::1 [2001:db8::1]:51820 fe80::1%eth0"),
            "<ip-1> [<ip-1>]:51820 <ip-2>%eth0"
        );
        assert_eq!(redacted("endpoint=203.0.113.11:51820 (203.0.113.11)"), "endpoint=<ip-1>:51820 (<ip-1>)");
        assert_eq!(
            redacted("at 10.2.0.1: refused; http://10.2.0.1:8080/x"),
            "at <ip-1>: refused; http://<ip-1>:8080/x"
        );
        assert_eq!(redacted("\"endpoint\":\"203.0.113.11:51820\""), "\"endpoint\":\"<ip-1>:51820\"");
        assert_eq!(redacted("0.0.0.0/0 and ::/0"), "<any>/0 and <any>/0");
        assert_eq!(redacted("dc:a6:32:01:02:03"), "<mac-1>");
    }

    #[test]
    fn secrets_and_keys_go_and_words_stay() {
        let key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";
        assert_eq!(
            redacted(&format!("key {key}, pass=hunter22 (me@example.org)")),
            "key <key>, pass=*** (***)"
        );
        assert_eq!(redacted("token 0123456789abcdef0123456789abcdef"), "token <key>");
        for plain in [
            "2026-11-21T02:46:50Z info daemon: connected to NL#12 by wgpnl",
            "/root/.pvpn-cli/pvpn/wireguard/proton-nl-12.conf:3: not a key",
            "pvpn::change 0.1.0, Linux 6.1.0-18-arm64, mtu 1420, table 4214, mark 0x1076",
            "rx_bytes 123 tx_bytes 456 12:30:45",
            "the_highest_clock_seen_never_falls_whatever",
        ] {
            assert_eq!(redacted(plain), plain);
        }
    }

    #[test]
    fn any_text_is_taken_without_a_panic_and_keeps_no_address() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let pieces =
            ["203.0.113.7", "2001:db8::7", ":", "/", "=", " ", "ü", "51820", ".", "x", "-", "+", "\n", "%"];
        for _ in 0..4000 {
            let mut text = String::new();
            for _ in 0..12 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.push_str(pieces[(state % pieces.len() as u64) as usize]);
            }
            let shown = redacted(&format!("{text} | 203.0.113.7:51820 [2001:db8::7]"));
            let (_, tail) = shown.split_once('|').unwrap();
            assert!(!tail.contains("203.0") && !tail.contains("2001:db8"), "{text}: {shown}");
        }
    }
}
