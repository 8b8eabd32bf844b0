//! Time-based one-time passwords (RFC 6238): six digits over SHA-1 in steps of 30 s, as Proton's second factor uses
//! them.

use crate::time::UnixTime;
use ring::hmac;
use zeroize::{Zeroize, Zeroizing};

/// Length of a step, and of one code's life (RFC 6238 section 5.2).
pub const STEP_SECS: u64 = 30;

/// The shared secret, decoded.
pub struct TotpKey(Zeroizing<Vec<u8>>);

impl TotpKey {
    /// Base32 (RFC 4648 section 6) in either case, with or without blanks, dashes and padding, or an `otpauth://`
    /// address with a `secret`. `None` for anything else.
    pub fn parse(text: &str) -> Option<TotpKey> {
        let text = text.trim();
        let secret = match text.strip_prefix("otpauth://") {
            Some(rest) => rest.split_once('?')?.1.split('&').find_map(|p| p.strip_prefix("secret="))?,
            None => text,
        };
        let mut key = Zeroizing::new(Vec::with_capacity(secret.len()));
        let (mut bits, mut count) = (0u32, 0);
        for c in secret.trim_end_matches('=').bytes().filter(|c| !matches!(c, b' ' | b'-')) {
            let five = match c.to_ascii_uppercase() {
                c @ b'A'..=b'Z' => c - b'A',
                c @ b'2'..=b'7' => c - b'2' + 26,
                _ => return None,
            };
            bits = bits << 5 | u32::from(five);
            count += 5;
            if count >= 8 {
                count -= 8;
                // The low byte is what is meant.
                key.push((bits >> count) as u8);
            }
        }
        bits.zeroize();
        (!key.is_empty()).then_some(TotpKey(key))
    }

    /// The code of the step that holds `at`.
    pub fn code(&self, at: UnixTime) -> Zeroizing<String> {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &(at.0 / STEP_SECS).to_be_bytes());
        let tag = tag.as_ref();
        // RFC 4226 section 5.3: the low nibble of the 20th byte is at most 15, so four bytes follow it.
        let offset = usize::from(tag[19] & 15);
        let word = u32::from_be_bytes([tag[offset], tag[offset + 1], tag[offset + 2], tag[offset + 3]]);
        Zeroizing::new(format!("{:06}", (word & 0x7fff_ffff) % 1_000_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `12345678901234567890` (RFC 6238 appendix B).
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    #[test]
    fn the_codes_of_the_rfc_come_out() {
        let key = TotpKey::parse(SECRET).unwrap();
        assert_eq!(key.0.as_slice(), b"12345678901234567890");
        // Appendix B has eight digits; six are their end.
        for (at, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(*key.code(UnixTime(at)), code, "{at}");
        }
    }

    #[test]
    fn secrets_are_read_as_people_copy_them() {
        for text in [
            "gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
            " GEZDGNBV-GY3TQOJQ-GEZDGNBV-GY3TQOJQ\n",
            "otpauth://totp/Proton:me?issuer=Proton&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=6",
        ] {
            assert!(
                TotpKey::parse(text).is_some_and(|k| k.0.as_slice() == b"12345678901234567890"),
                "{text}"
            );
        }
        assert!(TotpKey::parse("MY======").is_some_and(|k| k.0.as_slice() == b"f"));
        for bad in ["", "1", "A", "not base32!", "otpauth://totp/x", "otpauth://totp/x?issuer=y"] {
            assert!(TotpKey::parse(bad).is_none(), "{bad}");
        }
    }
}
