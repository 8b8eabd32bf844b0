//! Whom PIA's parts are trusted by: the account site and the list's site by the web's roots, the VPN servers by PIA's
//! own authority alone, the list's content by PIA's signing key. Each can be replaced by configuration.
//!
//! The authority's subject and key are those of PIA's `ca.rsa.4096.crt` (pia-foss/manual-connections), the signing key
//! that of pia-foss/desktop `daemon/src/environment.cpp`: both are constants of the protocol. Only a trust anchor is
//! made of them; webpki never looks at the certificate itself, nor at its end in 2034.

use crate::config;
use crate::error::{Doing as _, Error, Exit, Result};
use crate::sys::files::Files;
use crate::sys::http::anchors_from_pem;
use crate::wire::http::{Anchor, Trust};
use crate::wire::x509::{parse_public_key, parse_sequence};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use std::path::Path;

/// A certificate or key file longer than this is a mistake; chosen.
const FILE_MOST: usize = 256 << 10;

/// Subject of the authority: C=US, ST=CA, L=LosAngeles, O=OU=CN=name=Private Internet Access, with its address.
const CA_SUBJECT: &str = "\
MIHoMQswCQYDVQQGEwJVUzELMAkGA1UECBMCQ0ExEzARBgNVBAcTCkxvc0FuZ2VsZXMxIDAeBgNVBAoTF1ByaXZhdGUgSW50\
ZXJuZXQgQWNjZXNzMSAwHgYDVQQLExdQcml2YXRlIEludGVybmV0IEFjY2VzczEgMB4GA1UEAxMXUHJpdmF0ZSBJbnRlcm5l\
dCBBY2Nlc3MxIDAeBgNVBCkTF1ByaXZhdGUgSW50ZXJuZXQgQWNjZXNzMS8wLQYJKoZIhvcNAQkBFiBzZWN1cmVAcHJpdmF0\
ZWludGVybmV0YWNjZXNzLmNvbQ==";

/// SubjectPublicKeyInfo of the authority, RSA-4096.
const CA_SPKI: &str = "\
MIICIjANBgkqhkiG9w0BAQEFAAOCAg8AMIICCgKCAgEAtWSGO6ZqoFsvxpKCPrFtfVA9N9N3WoewBl3YH3ubxXDfVz/bJCBk\
1/mpljT6M4gdQs0N7hH1Mi/IERu+cCD86Q/Dyf/5JyBg54fzvpVRfOMsMGcNvwMuv/7D2hWy4N4Un0pXZQUzU5hfRKeQeetg\
A3ZAsX3wRIrg0JJTTWHnORyCZD6opJ8D03LT9Smwo8EWqxDbk2+MNYWEKl6oIcpQngF7bsINtKXuUCQG4cw8cmzx/zE+ABsd\
Fdk7FUKlrJnZI0N8LCycZalYWgwa90xvKCeAKfqMD9bVVIU6VGV8u64Z7tAV8PADSNosLG5a38GBnKWnu0DNgpHyWdaa1QI+\
bj4G2PJUNi0MKIYEP1ng/XdEVa8kfDlpqnH/lb8K69XIjukrC9zYhP4o/EJSEfVcjxxrlE3cL02g8kl/qqmDiDSskfdppaSg\
xGti9D7k9ddhTOO1EciaCFEZ3/J0RFigBle4ZJs+Sb1j+nZfy6ctxb4XTGkkP3z5kj63NKwj31mznCKNJQZiv3+PXwocVMxD\
yf7WNq5zlsIJ6A3bt094pc1JnmuJcUvZdfoGRjrzLnxRo3OZ4YyJQv0E5XWJX48xvsHs9izugUuMCGHQR3K98eSuH9lX0ESG\
0VrvJenxdHQnq/PVhX1HoNgmYuM4RuFTw3SBze1mbhDPf2UggbrDcUMCAwEAAQ==";

/// SubjectPublicKeyInfo that signs the server list, RSA-2048; unchanged from list version 4 to 6.
const LIST_SPKI: &str = "\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAzLYHwX5Ug/oUObZ5eH5PrEwmfj4E/YEfSKLgFSsyRGGsVmmjiXBm\
SbX2s3xbj/ofuvYtkMkP/VPFHy9E/8oxY+cRjPzydxz46LPY7jpEw1NHZjOyTeUero5e1nkLhiQqO/cMVYmUnuVcuFfZyZvc\
8Apx5fBrIp2oWpF/G9tpUZfUUJaaHiXDtuYP8o8VhYtyjuUu3h7rkQFoMxvuoOFH6nkc0VQmBsHvCfq4T9v8gyiBtQRy543l\
eapTBMT34mxVIQ4ReGLPVit/6sNLoGLbgSnGe9Bk/a5V/5vlqeemWF0hgoRtUxMtU1hFbe7e8tSq1j+mu0SHMyKHiHd+OsmU\
IQIDAQAB";

/// Who may speak as what.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The account site and the list's site.
    pub web: Trust,
    /// The VPN servers, on ports 1337 and 19999.
    pub servers: Trust,
    list_key: Vec<u8>,
}

impl Trusted {
    /// PIA's own, but for what the configuration replaces. A file that is missing or holds something else is exit 78.
    pub fn load(config: &config::Pia, files: &dyn Files) -> Result<Trusted> {
        let read = |key: &str, path: &Path| {
            let bytes = files.read(path, FILE_MOST);
            bytes.doing(|| format!("read {key} {}", path.display())).map_err(|e| e.with_exit(Exit::BadConfig))
        };
        let extra_pem = config.ca_file.as_deref().map(|path| read("ca_file", path)).transpose()?;
        let list_key = match config.serverlist_key_file.as_deref() {
            Some(path) => {
                let bytes = read("serverlist_key_file", path)?;
                public_key(&bytes).ok_or_else(|| bad(path, "is no public key, as SPKI in PEM or DER"))?
            }
            None => own_list_key(),
        };
        Ok(Trusted { web: Trust::Web { extra_pem }, servers: server_trust(config, files)?, list_key })
    }

    /// Whether `signature` is PIA's over exactly these bytes (PKCS#1 v1.5, SHA-256).
    pub fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.list_key).verify(bytes, signature).is_ok()
    }
}

/// Whom the VPN servers are trusted by: PIA's authority, or the one of `server_ca_file`. Leaves of before 2021 have no
/// alternative name, hence the common name as a last resort.
pub fn server_trust(config: &config::Pia, files: &dyn Files) -> Result<Trust> {
    let anchors = match config.server_ca_file.as_deref() {
        Some(path) => {
            let pem = files.read(path, FILE_MOST);
            let pem = pem
                .doing(|| format!("read server_ca_file {}", path.display()))
                .map_err(|e| e.with_exit(Exit::BadConfig))?;
            anchors_from_pem(&pem).map_err(|e| bad(path, &e.to_string()))?
        }
        None => own_anchors(),
    };
    Ok(Trust::Only { anchors, name_from_cn: true })
}

/// PIA's authority.
fn own_anchors() -> Vec<Anchor> {
    let content = |text| decoded(text).and_then(|der| Some(parse_sequence(&der).ok()?.to_vec()));
    let anchor = content(CA_SUBJECT).zip(content(CA_SPKI));
    anchor.map(|(subject, spki)| Anchor { subject, spki, name_constraints: None }).into_iter().collect()
}

fn own_list_key() -> Vec<u8> {
    decoded(LIST_SPKI).and_then(|der| public_key(&der)).unwrap_or_default()
}

/// The RSAPublicKey of a SubjectPublicKeyInfo in DER, or in PEM (RFC 7468 section 13).
fn public_key(bytes: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
    const END: &str = "-----END PUBLIC KEY-----";
    let from_pem = || {
        let (_, rest) = std::str::from_utf8(bytes).ok()?.split_once(BEGIN)?;
        let (body, _) = rest.split_once(END)?;
        decoded(&body.split_whitespace().collect::<String>())
    };
    let der = from_pem().unwrap_or_else(|| bytes.to_vec());
    parse_public_key(&der).ok().map(<[u8]>::to_vec)
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

fn bad(path: &Path, what: &str) -> Error {
    Error::new(Exit::BadConfig, format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest::{SHA256, digest};

    fn sha256(der: &[u8]) -> String {
        digest(&SHA256, der).as_ref().iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn the_constants_are_those_pia_publishes() {
        // Fingerprints as `openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum` gives them.
        let ca = decoded(CA_SPKI).unwrap();
        assert_eq!(sha256(&ca), "82e3562d34740b664d948aa254b1e46ec1bf1cb4d3fa4215da431c0eb5f40bca");
        let list = decoded(LIST_SPKI).unwrap();
        assert_eq!(sha256(&list), "d765bfaff4cac2a98c82f597b1a7c26ba20423000e3c551f63683b999fc7851f");
        let [anchor] = &own_anchors()[..] else { panic!() };
        assert_eq!((anchor.subject.len(), anchor.spki.len()), (235 - 3, 550 - 4));
        assert!(String::from_utf8_lossy(&anchor.subject).ends_with("secure@privateinternetaccess.com"));
        assert_eq!(own_list_key(), list[24..]);
    }

    #[test]
    fn a_key_is_read_as_der_and_as_pem() {
        let der = decoded(LIST_SPKI).unwrap();
        let pem = format!("# note\n-----BEGIN PUBLIC KEY-----\n{LIST_SPKI}\n-----END PUBLIC KEY-----\n");
        assert_eq!(public_key(&der), Some(own_list_key()));
        assert_eq!(public_key(pem.as_bytes()), Some(own_list_key()));
        for bad in [&b""[..], b"hello", &der[1..], &der[..der.len() - 1]] {
            assert_eq!(public_key(bad), None);
        }
    }

    #[test]
    fn nothing_unsigned_passes() {
        let trusted = Trusted {
            web: Trust::Web { extra_pem: None },
            servers: Trust::Only { anchors: own_anchors(), name_from_cn: true },
            list_key: own_list_key(),
        };
        assert!(!trusted.has_signed(b"{}", &[0; 256]));
        assert!(!trusted.has_signed(b"{}", b""));
    }
}
