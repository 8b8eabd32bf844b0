//! The password hash of Proton's SRP, versions 3 and 4: bcrypt, then expanded with the modulus
//! (ProtonMail/go-srp `hash.go`). Older versions need the user's name and are refused by Proton's own Linux client.

use super::modulus::SIZE;
use super::srp::expand_hash;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD, STANDARD};
use blowfish::Blowfish;
use std::fmt;
use zeroize::Zeroizing;

/// bcrypt's cost (go-srp `hash.go`).
const COST: u32 = 10;
/// bcrypt reads no more of a password, its final NUL included; Proton's clients cut silently as well.
const LENGTH_MOST: usize = 72;
const SALT_END: &[u8; 6] = b"proton";
/// bcrypt's own base64 alphabet.
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);
/// What bcrypt encrypts: "OrpheanBeholderScryDoubt" (Provos and Mazieres, "A Future-Adaptable Password Scheme", 1999).
const MAGIC: &[u8; 24] = b"OrpheanBeholderScryDoubt";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPassword {
    /// Hash version 0 to 2, or one above 4.
    Version(u64),
    Salt,
    /// bcrypt would end at it.
    Nul,
}

impl fmt::Display for BadPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadPassword::Version(v) if *v < 3 => {
                write!(
                    f,
                    "the account's password hash is of version {v}: sign in once on account.proton.me to upgrade it"
                )
            }
            BadPassword::Version(v) => write!(f, "the account's password hash is of unknown version {v}"),
            BadPassword::Salt => f.write_str("the password's salt is not base64"),
            BadPassword::Nul => f.write_str("the password holds a NUL byte"),
        }
    }
}

/// The number x of the exchange, little-endian.
pub fn hash(
    password: &[u8],
    salt: &str,
    version: u64,
    modulus: &[u8; SIZE],
) -> Result<Zeroizing<[u8; SIZE]>, BadPassword> {
    if !(3..=4).contains(&version) {
        return Err(BadPassword::Version(version));
    }
    let mut salted = STANDARD.decode(salt).map_err(|_| BadPassword::Salt)?;
    salted.extend_from_slice(SALT_END);
    let salt16 = salted.first_chunk::<16>().ok_or(BadPassword::Salt)?;
    let text = bcrypt_text(password, *salt16)?;
    Ok(Zeroizing::new(expand_hash(&[text.as_bytes(), modulus])))
}

/// `$2y$10$`, 22 characters of salt, 31 of hash.
fn bcrypt_text(password: &[u8], salt: [u8; 16]) -> Result<Zeroizing<String>, BadPassword> {
    if password.contains(&0) {
        return Err(BadPassword::Nul);
    }
    let mut key = Zeroizing::new(Vec::with_capacity(password.len() + 1));
    key.extend_from_slice(password);
    key.push(0);
    key.truncate(LENGTH_MOST);
    let hash = bcrypt(&key, &salt);
    // The 24th byte of the result is dropped, as every bcrypt does.
    let hash_text = Zeroizing::new(BCRYPT_BASE64.encode(&hash[..23]));
    let mut text = Zeroizing::new(String::with_capacity(60));
    text.push_str("$2y$10$");
    text.push_str(&BCRYPT_BASE64.encode(salt));
    text.push_str(&hash_text);
    Ok(text)
}

/// The hash of `key`, which is a password with its NUL, 1 to 72 bytes.
fn bcrypt(key: &[u8], salt: &[u8; 16]) -> Zeroizing<[u8; 24]> {
    let mut cipher = Blowfish::bc_init_state();
    cipher.salted_expand_key(salt, key);
    for _ in 0..1 << COST {
        cipher.bc_expand_key(key);
        cipher.bc_expand_key(salt);
    }
    let mut out = Zeroizing::new(*MAGIC);
    for block in out.chunks_exact_mut(8) {
        let mut halves =
            [0, 4].map(|at| u32::from_be_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]]));
        for _ in 0..64 {
            halves = cipher.bc_encrypt(halves);
        }
        block[..4].copy_from_slice(&halves[0].to_be_bytes());
        block[4..].copy_from_slice(&halves[1].to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(password: &str, salt: &str) -> String {
        let mut salt = STANDARD.decode(salt).unwrap();
        salt.extend_from_slice(SALT_END);
        bcrypt_text(password.as_bytes(), *salt.first_chunk().unwrap()).unwrap().to_string()
    }

    #[test]
    fn the_published_hashes_come_out() {
        assert_eq!(
            text("abc123", "yKlc5/CvObfoiw=="),
            "$2y$10$wIja39AtMZdmg1/wZ1PtZegkN22Ep9u51r4dbXpRxMQM/jVLCq6dO"
        );
        let eighty = "0123456789".repeat(8);
        for (password, end) in [
            ("correct horse battery", "C0tStjssXGVUC.jrGGem9HgYIw5VeQq"),
            ("a", "DneJebP/sE0syaB/G/QNtfaBMsKst4O"),
            ("", "OlBBHR4oMFxfecicOzvnxL/TJO.0moC"),
            ("pässwörd-Ж-✓", "7kdt21cFz3ppAoyhorfmWBw408/FSMe"),
            (&eighty, "6q1u3JAAXDL8dC.BQMP2iAp3Vc150Zq"),
            (&eighty[..72], "6q1u3JAAXDL8dC.BQMP2iAp3Vc150Zq"),
        ] {
            let expected = format!("$2y$10$1rA2NjxPhdBV2V/wZ1PtZe{end}");
            assert_eq!(text(password, "3tC4PlzRjfDX4Q=="), expected, "{password}");
        }
    }

    #[test]
    fn go_srps_hashes_come_out() {
        // ProtonMail/go-srp `hash_test.go`.
        for expected in [
            "$2y$10$/.3KXCwRnsrxURMGxN7.R.GLpVq0zyBbI9wgS0wB2U/g2btx1RYoy",
            "$2y$10$4DZHd6WZX4fEaWKtCfYddeZfcryISo9eEMgbA90O.Wnnz1s1VKmKC",
        ] {
            let mut salt = [0; 16];
            BCRYPT_BASE64.decode_slice(&expected[7..29], &mut salt).unwrap();
            assert_eq!(*bcrypt_text(b"test!!!", salt).unwrap(), expected);
        }
    }

    #[test]
    fn the_first_exchanges_password_hash_comes_out() {
        use super::super::vectors::{FIRST_HASHED, FIRST_MODULUS};
        let modulus = STANDARD.decode(FIRST_MODULUS).unwrap();
        for version in [3, 4] {
            let hashed = hash(b"abc123", "yKlc5/CvObfoiw==", version, modulus.as_slice().try_into().unwrap());
            assert_eq!(STANDARD.encode(hashed.unwrap().as_ref()), FIRST_HASHED);
        }
    }

    #[test]
    fn what_can_not_be_hashed_is_said() {
        let n = [0; SIZE];
        assert_eq!(hash(b"a", "yKlc5/CvObfoiw==", 2, &n), Err(BadPassword::Version(2)));
        assert_eq!(hash(b"a", "yKlc5/CvObfoiw==", 5, &n), Err(BadPassword::Version(5)));
        assert_eq!(hash(b"a", "!", 4, &n), Err(BadPassword::Salt));
        assert_eq!(hash(b"a", "", 4, &n), Err(BadPassword::Salt));
        assert_eq!(hash(b"a\0b", "yKlc5/CvObfoiw==", 4, &n), Err(BadPassword::Nul));
        assert!(BadPassword::Version(1).to_string().contains("account.proton.me"));
    }
}
