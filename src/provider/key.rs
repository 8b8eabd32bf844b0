//! A WireGuard key pair from an Ed25519 seed, with what ring offers. ring does not let an X25519 private key out, so
//! the pair is made from an Ed25519 seed: the private key is the clamped hash that signs (RFC 8032 section 5.1.5), the
//! public key the signature key's point in Montgomery form (RFC 7748 section 4.1). Both are one point on one curve.

use crate::config::secret::{PublicKey, SecretKey};
use crate::error::{Error, Result};
use crypto_bigint::modular::{MontyForm, MontyParams};
use crypto_bigint::{Odd, U256};
use ring::digest::{SHA512, digest};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

/// 2^255 - 19 (RFC 7748 section 4.1).
const PRIME: U256 = U256::from_be_hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");

/// A fresh pair.
pub fn generate() -> Result<(SecretKey, PublicKey)> {
    from_seed(&*draw_seed()?).ok_or_else(|| Error::failed("make a WireGuard key"))
}

pub fn draw_seed() -> Result<Zeroizing<[u8; 32]>> {
    let mut seed = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(seed.as_mut_slice()).map_err(|_| Error::failed("no random numbers"))?;
    Ok(seed)
}

/// The pair of this seed. `None` never happens for 32 bytes.
pub fn from_seed(seed: &[u8; 32]) -> Option<(SecretKey, PublicKey)> {
    let signer = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
    let public = montgomery(signer.public_key().as_ref().try_into().ok()?)?;
    Some((private(seed), PublicKey(public)))
}

/// The scalar of the signature key, clamped.
pub fn private(seed: &[u8; 32]) -> SecretKey {
    let hash = digest(&SHA512, seed);
    let mut key = Zeroizing::new([0; 32]);
    key.copy_from_slice(&hash.as_ref()[..32]);
    key[0] &= 248;
    key[31] &= 127;
    key[31] |= 64;
    SecretKey::new(*key)
}

/// u = (1 + y) / (1 - y); public, so its time may vary.
fn montgomery(edwards: [u8; 32]) -> Option<[u8; 32]> {
    let params = MontyParams::new_vartime(Option::<Odd<U256>>::from(Odd::new(PRIME))?);
    let mut y = edwards;
    y[31] &= 127; // the sign of x
    let y = MontyForm::new(&U256::from_le_slice(&y), params);
    let one = MontyForm::one(params);
    let inverse = (one - y).pow(&PRIME.wrapping_sub(&U256::from_u32(2))); // Fermat
    Some(((one + y) * inverse).retrieve().to_le_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    /// Seed, private key, and the public key that `wg pubkey` (wireguard-tools) makes of it.
    const PAIRS: [(&str, &str, &str); 3] = [
        (
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "OJTupJxYCu+BaTV2K+BJVZ1tFEDe3hLmoSXxhB//jm8=",
            "RwHQhIhFH1RaQJ+1iuPlhYHKQKw/fxFGmM1x3qxzygE=",
        ),
        (
            "//////////////////////////////////////////8=",
            "IM1pNYZHFqeddN1fq72JZDBAUcpBoxxGWRWOu3w9C1c=",
            "0fo/AYJr2LeOBXwIbHsix61DWMqRgJnNe35dOs1+KFs=",
        ),
        (
            "h0gVhWVll2XlJ1YUKWFjhUXEqFzzN8TfPWDhoWjTWcw=",
            "cONKsTCyp12cqBXErHfadkRbEUqPUz5LJVFb3hxpxFA=",
            "xYXsc3x1XekIZoi6jV/KIMrtknt+Kwn6xIO0Ut51yFs=",
        ),
    ];

    #[test]
    fn the_public_key_is_what_wireguard_computes() {
        for (seed, private, public) in PAIRS {
            let seed: [u8; 32] = STANDARD.decode(seed).unwrap().try_into().unwrap();
            let (made, key) = from_seed(&seed).unwrap();
            assert_eq!(made.reveal_text().reveal(), private);
            assert_eq!(key.to_string(), public);
        }
    }

    #[test]
    fn no_two_pairs_are_alike() {
        let (a, b) = (generate().unwrap(), generate().unwrap());
        assert_ne!(a.0, b.0);
        assert_ne!(a.1, b.1);
    }
}
