//! The group of Proton's SRP: a 2048-bit prime that comes as a PGP clear-signed message (RFC 4880 section 7) from one
//! known key. Without the signature a hostile endpoint could choose a weak group and work out the password.
//!
//! Only what Proton sends is understood: one line of base64 and one version 4 text signature, EdDSA over SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};
use std::fmt;

/// Bytes of the prime and of every number in the exchange.
pub const SIZE: usize = 256;

/// Ed25519 key `proton@srp.modulus`, fingerprint 248097092b458509c508dac0350585c4e9518f26 (ProtonMail/go-srp `srp.go`).
const SIGNER: [u8; 32] = [
    0x16, 0xea, 0xd6, 0x5d, 0x7c, 0x23, 0x4d, 0xe9, 0xaa, 0x8c, 0x3e, 0xc2, 0x5e, 0x35, 0xd5, 0xc8, 0xa7,
    0xf4, 0xa1, 0xfe, 0xe7, 0xf4, 0x2b, 0x66, 0x2f, 0xcb, 0xfd, 0x7a, 0x79, 0x33, 0x82, 0x01,
];

const HEAD: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n";
const SIGNATURE: &str = "\n-----BEGIN PGP SIGNATURE-----\n";
const END: &str = "\n-----END PGP SIGNATURE-----";

/// Why a modulus is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadModulus {
    /// It is no clear-signed message of the one known form.
    Form,
    /// The signature is not by Proton's key, or not of this text.
    Signature,
}

impl fmt::Display for BadModulus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadModulus::Form => "the SRP modulus is not a signed message",
            BadModulus::Signature => "the SRP modulus is not signed by Proton",
        })
    }
}

/// Verifies the signature and returns the prime, little-endian.
pub fn parse(message: &str) -> Result<[u8; SIZE], BadModulus> {
    let message = message.replace("\r\n", "\n");
    let rest = message.strip_prefix(HEAD).ok_or(BadModulus::Form)?;
    let (text, rest) = rest.split_once(SIGNATURE).ok_or(BadModulus::Form)?;
    let (armor, tail) = rest.split_once(END).ok_or(BadModulus::Form)?;
    let one_line = !text.contains('\n') && text.trim() == text;
    if !one_line || !tail.trim_matches('\n').is_empty() {
        return Err(BadModulus::Form);
    }
    let packet = dearmor(armor).ok_or(BadModulus::Form)?;
    let signature = Signature::parse(&packet).ok_or(BadModulus::Form)?;
    signature.verify(text.as_bytes(), &SIGNER)?;
    let bytes = STANDARD.decode(text).map_err(|_| BadModulus::Form)?;
    bytes.as_slice().try_into().map_err(|_| BadModulus::Form)
}

/// The packet inside ASCII armor: header lines, an empty line, base64, a checksum (RFC 4880 section 6).
fn dearmor(armor: &str) -> Option<Vec<u8>> {
    let body = match armor.split_once("\n\n") {
        Some((_headers, body)) => body,
        None => armor.strip_prefix('\n')?,
    };
    let (base64, checksum) = body.rsplit_once("\n=")?;
    let bytes = STANDARD.decode(base64.replace('\n', "")).ok()?;
    let crc = STANDARD.decode(checksum).ok()?;
    (crc == crc24(&bytes).to_be_bytes()[1..]).then_some(bytes)
}

/// RFC 4880 section 6.1.
fn crc24(bytes: &[u8]) -> u32 {
    let mut crc = 0xb7_04ce;
    for byte in bytes {
        crc ^= u32::from(*byte) << 16;
        for _ in 0..8 {
            crc <<= 1;
            if crc & 0x100_0000 != 0 {
                crc ^= 0x186_4cfb;
            }
        }
    }
    crc & 0xff_ffff
}

/// A version 4 signature packet (RFC 4880 section 5.2.3).
struct Signature<'a> {
    /// From the version to the end of the hashed subpackets: they are signed along with the text.
    hashed: &'a [u8],
    /// First two bytes of the digest.
    digest_head: [u8; 2],
    /// r and s.
    rs: [u8; 64],
}

impl Signature<'_> {
    fn parse(packet: &[u8]) -> Option<Signature<'_>> {
        // Tag 2 in the newer packet format, a length of one byte.
        let [0xc2, length @ 0..=191, body @ ..] = packet else { return None };
        // Version 4, canonical text, EdDSA, SHA-256.
        let [4, 1, 22, 8, high, low, ..] = body else { return None };
        let hashed_end = 6 + usize::from(u16::from_be_bytes([*high, *low]));
        let (hashed, rest) = body.split_at_checked(hashed_end)?;
        let [high, low, rest @ ..] = rest else { return None };
        let (_unhashed, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        let [d0, d1, rest @ ..] = rest else { return None };
        let (r, rest) = integer(rest)?;
        let (s, rest) = integer(rest)?;
        let mut rs = [0; 64];
        rs[..32].copy_from_slice(&r);
        rs[32..].copy_from_slice(&s);
        let whole = body.len() == usize::from(*length) && rest.is_empty();
        whole.then_some(Signature { hashed, digest_head: [*d0, *d1], rs })
    }

    fn verify(&self, text: &[u8], signer: &[u8; 32]) -> Result<(), BadModulus> {
        let mut signed = Vec::from(text);
        signed.extend_from_slice(self.hashed);
        signed.extend_from_slice(&[4, 0xff]);
        // The hashed part is shorter than a packet, which is shorter than 192 bytes.
        signed.extend_from_slice(&(self.hashed.len() as u32).to_be_bytes());
        let digest = digest(&SHA256, &signed);
        if digest.as_ref()[..2] != self.digest_head {
            return Err(BadModulus::Signature);
        }
        UnparsedPublicKey::new(&ED25519, signer)
            .verify(digest.as_ref(), &self.rs)
            .map_err(|_| BadModulus::Signature)
    }
}

/// A multiprecision integer (RFC 4880 section 3.2) of at most 32 bytes, padded to 32, and what follows it.
fn integer(bytes: &[u8]) -> Option<([u8; 32], &[u8])> {
    let [high, low, rest @ ..] = bytes else { return None };
    let length = usize::from(u16::from_be_bytes([*high, *low])).div_ceil(8);
    let (digits, rest) = rest.split_at_checked(length)?;
    let mut padded = [0; 32];
    padded.get_mut(32usize.checked_sub(length)?..)?.copy_from_slice(digits);
    Some((padded, rest))
}

#[cfg(test)]
mod tests {
    use super::super::vectors::{FIRST_MODULUS, FIRST_SIGNATURE, SECOND_MESSAGE};
    use super::*;

    fn first() -> String {
        format!(
            "{HEAD}{FIRST_MODULUS}{SIGNATURE}Version: ProtonMail\nComment: https://protonmail.com\n\n{FIRST_SIGNATURE}{END}\n"
        )
    }

    #[test]
    fn the_published_messages_verify() {
        let modulus = parse(&first()).unwrap();
        assert_eq!(STANDARD.encode(modulus), FIRST_MODULUS);
        assert!(parse(SECOND_MESSAGE).is_ok());
        assert!(parse(SECOND_MESSAGE.trim_end()).is_ok());
        assert!(parse(&SECOND_MESSAGE.replace('\n', "\r\n")).is_ok());
    }

    #[test]
    fn a_changed_text_or_signature_is_refused() {
        let text = first().replacen("W2z5", "W2z6", 1);
        assert_eq!(parse(&text), Err(BadModulus::Signature));
        // A signature changed together with its checksum: another r.
        let mut packet = dearmor(&format!("\n{FIRST_SIGNATURE}")).unwrap();
        let last = packet.len() - 1;
        packet[last] ^= 1;
        let crc = STANDARD.encode(&crc24(&packet).to_be_bytes()[1..]);
        let forged = format!("{HEAD}{FIRST_MODULUS}{SIGNATURE}\n{}\n={crc}{END}\n", STANDARD.encode(&packet));
        assert_eq!(parse(&forged), Err(BadModulus::Signature));
        packet[last] ^= 1;
        let crc = STANDARD.encode(&crc24(&packet).to_be_bytes()[1..]);
        let same = format!("{HEAD}{FIRST_MODULUS}{SIGNATURE}\n{}\n={crc}{END}\n", STANDARD.encode(&packet));
        assert!(parse(&same).is_ok());
    }

    #[test]
    fn each_changed_signature_character_is_refused() {
        let start = first().find(FIRST_SIGNATURE).unwrap();
        for at in (start..start + FIRST_SIGNATURE.len()).filter(|at| first().as_bytes()[*at] != b'\n') {
            let mut text = first().into_bytes();
            text[at] = if text[at] == b'A' { b'B' } else { b'A' };
            assert!(parse(std::str::from_utf8(&text).unwrap()).is_err(), "{at}");
        }
    }

    #[test]
    fn another_signer_is_refused() {
        let packet = dearmor(&format!("\n{FIRST_SIGNATURE}")).unwrap();
        let signature = Signature::parse(&packet).unwrap();
        assert_eq!(signature.verify(FIRST_MODULUS.as_bytes(), &SIGNER), Ok(()));
        let mut other = SIGNER;
        other[0] ^= 1;
        assert_eq!(signature.verify(FIRST_MODULUS.as_bytes(), &other), Err(BadModulus::Signature));
    }

    #[test]
    fn text_around_the_message_is_refused() {
        for bad in [
            format!("{}more", first()),
            format!("{}{}", first(), first()),
            format!("x{}", first()),
            first().replacen("\n\n", "\n\nAAAA\n", 1),
            first().replace("SHA256", "SHA512"),
        ] {
            assert!(parse(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_truncation_panics_or_passes() {
        let text = first();
        // Without the final line end it is whole.
        for cut in 0..text.len() - 1 {
            assert!(parse(&text[..cut]).is_err(), "{cut}");
        }
        let packet = dearmor(&format!("\n{FIRST_SIGNATURE}")).unwrap();
        for cut in 0..packet.len() {
            assert!(Signature::parse(&packet[..cut]).is_none(), "{cut}");
        }
    }
}
