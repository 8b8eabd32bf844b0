//! Values that must not be seen: passwords, tokens and keys. They print as `***` and are wiped when dropped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;
use zeroize::Zeroize;

/// A password, token or cookie. Compared and printed only by those who call [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    pub fn new(s: impl Into<String>) -> Secret {
        Secret(s.into())
    }

    /// The value itself, for the wire and for files of mode 0600.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A WireGuard private or preshared key: 32 bytes, base64 in text (wg(8), CONFIGURATION FILE FORMAT).
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    pub const fn new(bytes: [u8; 32]) -> SecretKey {
        SecretKey(bytes)
    }

    /// Parses 44 characters of standard base64; `None` for anything else.
    pub fn parse(text: &str) -> Option<SecretKey> {
        decode(text).map(SecretKey)
    }

    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }

    /// The base64 text, for a `.conf` of mode 0600.
    pub fn reveal_text(&self) -> Secret {
        Secret(STANDARD.encode(self.0))
    }
}

impl Drop for SecretKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A WireGuard public key. Not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    pub fn parse(text: &str) -> Option<PublicKey> {
        decode(text).map(PublicKey)
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn decode(text: &str) -> Option<[u8; 32]> {
    if text.len() != 44 {
        return None;
    }
    let mut bytes = STANDARD.decode(text).ok()?;
    let key = bytes.as_slice().try_into().ok();
    bytes.zeroize();
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_print_as_stars() {
        let key = SecretKey::new([7; 32]);
        let text = format!("{:?} {} {:?}", Secret::new("hunter2"), Secret::new("hunter2"), key);
        assert_eq!(text, "*** *** ***");
    }

    #[test]
    fn keys_are_44_characters_of_base64() {
        let text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let key = PublicKey::parse(text).unwrap();
        assert_eq!(key.0[..4], [0, 1, 2, 3]);
        assert_eq!(key.to_string(), text);
        assert_eq!(SecretKey::parse(text).unwrap().reveal_text().reveal(), text);
        for bad in ["", &text[1..], &format!("{text}="), &text.replace('=', "A"), &text.replace('A', "!")] {
            assert!(PublicKey::parse(bad).is_none(), "{bad}");
        }
    }
}
