//! The key pair of a connection: an Ed25519 seed from which both what the API signs (the public key as PEM) and what
//! WireGuard uses (X25519) come (ProtonVPN/go-vpn-lib `ed25519`).

use crate::config::secret::{Secret, SecretKey};
use crate::provider::key;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

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
        key::private(self.0.reveal())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::digest::{SHA512, digest};

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

    #[test]
    fn the_published_public_keys_belong_to_the_seeds() {
        for ((seed, ..), (public, fingerprint)) in VECTORS.into_iter().zip(PUBLIC) {
            let seed = Seed::parse(seed).unwrap();
            let (_, key) = key::from_seed(seed.0.reveal()).unwrap();
            assert_eq!(key.to_string(), public);
            assert_eq!(STANDARD.encode(digest(&SHA512, &key.0)), fingerprint);
        }
    }

    #[test]
    fn the_seed_is_not_the_wireguard_key() {
        for (seed, ..) in VECTORS {
            assert_ne!(Seed::parse(seed).unwrap().wireguard_key().reveal_text().reveal(), seed);
        }
    }
}
