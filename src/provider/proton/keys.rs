//! The key pair of a connection: an Ed25519 seed from which both what the API signs (the public key as PEM) and what
//! WireGuard uses (X25519) come (ProtonVPN/go-vpn-lib `ed25519`).

use crate::config::secret::{Secret, SecretKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA512, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use zeroize::Zeroizing;

/// DER in front of a raw Ed25519 public key in a SubjectPublicKeyInfo (RFC 8410 section 10.1).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The seed.
#[derive(Clone, PartialEq, Eq)]
pub struct Seed(SecretKey);

impl Seed {
    pub fn new(bytes: [u8; 32]) -> Seed {
        Seed(SecretKey::new(bytes))
    }

    /// 44 characters of base64, as in the key file.
    pub fn parse(text: &str) -> Option<Seed> {
        SecretKey::parse(text).map(Seed)
    }

    /// Base64, for the key file.
    pub fn reveal_text(&self) -> Secret {
        self.0.reveal_text()
    }

    /// The public key as the API wants it: PEM of the SubjectPublicKeyInfo with line ends of one byte. `None` never
    /// happens for a seed of 32 bytes.
    pub fn public_pem(&self) -> Option<String> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.0.reveal()).ok()?;
        let mut der = SPKI_HEAD.to_vec();
        der.extend_from_slice(pair.public_key().as_ref());
        Some(format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)))
    }

    /// The WireGuard private key: the scalar of the signature key (RFC 8032 section 5.1.5), clamped. The seed itself
    /// as key would shake hands and then carry nothing.
    pub fn wireguard_key(&self) -> SecretKey {
        let hash = digest(&SHA512, self.0.reveal());
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&hash.as_ref()[..32]);
        key[0] &= 248;
        key[31] &= 127;
        key[31] |= 64;
        SecretKey::new(*key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seed, base64 of the SubjectPublicKeyInfo, WireGuard private key: ProtonVPN/go-vpn-lib `ed25519_test.go`,
    /// ProtonVPN/python-proton-vpn-api-core `key_mgr.py`, and the bytes 00 to 1f.
    const VECTORS: [(&str, &str, &str); 3] = [
        (
            "nWgN8wX/WxDbW6Dcy2xHiBL99IqtCOmW0Zoo87MuslY=",
            "MCowBQYDK2VwAyEAS5Ckco6UeuqtjCrl+fbP1a91G32dyOgWE+Rh7fZkjIk=",
            "uDiY1T9gYZO90r2fC63At9T2CnV1X8/NfWaQ/v/gT2g=",
        ),
        (
            "rNW3dL5A3dUrQX3ZKbVAFLjSFJdvDU5JzjrRrnI+cos=",
            "MCowBQYDK2VwAyEAAoqBxaQgj21lzBd9YG0iotoSoHLXQDYS2LdDtiE6Jtk=",
            "GIbDx5QIf9aqrbIjI5jgNEQ6O7oqCse7mqkmM7Mrk3g=",
        ),
        (
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "MCowBQYDK2VwAyEAA6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "OJTupJxYCu+BaTV2K+BJVZ1tFEDe3hLmoSXxhB//jm8=",
        ),
    ];

    #[test]
    fn keys_convert_as_published() {
        for (seed, spki, wireguard) in VECTORS {
            let seed = Seed::parse(seed).unwrap();
            let pem = format!("-----BEGIN PUBLIC KEY-----\n{spki}\n-----END PUBLIC KEY-----\n");
            assert_eq!(seed.public_pem(), Some(pem));
            assert_eq!(seed.wireguard_key().reveal_text().reveal(), wireguard);
        }
    }

    /// WireGuard public key and fingerprint (SHA-512 of it) of the same seeds.
    const PUBLIC: [(&str, &str); 3] = [
        (
            "rOlcPIA3XfKRPckHo3cTO+CeNdtIy8y57JzRAf5YOhE=",
            "HhYdQO237CH9ak1lYunl7RYTOMcRnFOXP17b8SimPzezrlYb5ALpn8bTy3pcBeC4PxOPP671Tf7HAyL9efsiqg==",
        ),
        (
            "rmBHhgPYrSqI1pdF5AVI/ONhixN58XIHBBbrkxJFjEU=",
            "a3CzIFFDKF5w4CtPDaz8mWZWzljRb+SqGTkvktCqznMhUemScDonoinYDz8ncOfQw7WI0Ek5aombSVSITnQDTw==",
        ),
        (
            "RwHQhIhFH1RaQJ+1iuPlhYHKQKw/fxFGmM1x3qxzygE=",
            "Ze+xiTL0dIX35A3BZGHWxlQ4t/41sVlq6Nz93C1Q9AQMI9c8FMn2cI6UzOJntv4S1eiuz2p82WXpjrxBElFRiA==",
        ),
    ];

    /// The X25519 public key that belongs to an Ed25519 one: u = (1 + y) / (1 - y) (RFC 7748 section 4.1).
    fn montgomery(ed25519: &[u8]) -> [u8; 32] {
        use crypto_bigint::modular::{MontyForm, MontyParams};
        use crypto_bigint::{Odd, U256};
        let p = U256::from_be_hex("7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed");
        let params = MontyParams::new_vartime(Odd::new(p).unwrap());
        let mut y: [u8; 32] = ed25519.try_into().unwrap();
        y[31] &= 127;
        let y = MontyForm::new(&U256::from_le_slice(&y), params);
        let one = MontyForm::one(params);
        let inverse = (one - y).pow(&p.wrapping_sub(&U256::from_u32(2)));
        ((one + y) * inverse).retrieve().to_le_bytes()
    }

    #[test]
    fn the_published_public_keys_belong_to_the_seeds() {
        for ((seed, ..), (public, fingerprint)) in VECTORS.into_iter().zip(PUBLIC) {
            let seed = Seed::parse(seed).unwrap();
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.0.reveal()).unwrap();
            let key = montgomery(pair.public_key().as_ref());
            assert_eq!(STANDARD.encode(key), public);
            assert_eq!(STANDARD.encode(digest(&SHA512, &key)), fingerprint);
        }
    }

    #[test]
    fn the_seed_is_not_the_wireguard_key() {
        for (seed, ..) in VECTORS {
            assert_ne!(Seed::parse(seed).unwrap().wireguard_key().reveal_text().reveal(), seed);
        }
    }
}
