//! The arithmetic of Proton's SRP-6a: proves to the server that we know the password, and checks that it does too
//! (ProtonMail/go-srp `srp.go`, `hash.go`).
//!
//! Numbers travel little-endian in exactly 256 bytes; g is 2. Powers and products with secrets take the same time for
//! every value; secrets are wiped when done, and so is the stack the arithmetic used. Where go-srp raises to
//! `a + u * x` modulo N - 1, the same number is reached here as `base^a * (base^x)^u`, without an even modulus.

use super::modulus::SIZE;
use crypto_bigint::modular::{MontyForm, MontyParams};
use crypto_bigint::subtle::ConstantTimeEq as _;
use crypto_bigint::{Odd, U2048};
use ring::digest::{Context, SHA512};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

type Params = MontyParams<{ U2048::LIMBS }>;
type Element = MontyForm<{ U2048::LIMBS }>;

/// Bases of the Miller-Rabin test of (N - 1) / 2; chosen: N is signed, so this guards against a slip of the signer.
const WITNESSES: [u32; 5] = [2, 3, 5, 7, 11];

/// Why an exchange can not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrpError {
    /// N is no safe prime of 2048 bits with generator 2.
    WeakGroup,
    /// B or u is not one an honest server sends.
    BadEphemeral,
}

impl fmt::Display for SrpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SrpError::WeakGroup => "the SRP modulus is not a safe prime of 2048 bits",
            SrpError::BadEphemeral => "the server's SRP ephemeral is out of range",
        })
    }
}

/// "expandHash": SHA-512 four times over `parts` with a counter at the end.
pub fn expand_hash(parts: &[&[u8]]) -> [u8; SIZE] {
    let mut out = [0; SIZE];
    for (counter, chunk) in (0u8..).zip(out.chunks_exact_mut(64)) {
        let mut context = Context::new(&SHA512);
        parts.iter().for_each(|part| context.update(part));
        context.update(&[counter]);
        chunk.copy_from_slice(context.finish().as_ref());
    }
    out
}

/// What the client sends, and what it expects back.
pub struct Proofs {
    /// A.
    pub ephemeral: [u8; SIZE],
    /// M1.
    pub proof: [u8; SIZE],
    expected: Zeroizing<[u8; SIZE]>,
}

impl Proofs {
    /// Whether the server proved that it knows the verifier of our password.
    pub fn accept(&self, server_proof: &[u8]) -> bool {
        self.expected.as_slice().ct_eq(server_proof).into()
    }
}

/// The secret of one exchange, a.
pub struct Secret(Zeroizing<U2048>);

impl Secret {
    /// Uniform below 2^2048; drawn again by the caller's `fill` for each exchange. A value too small to hide 2^a is
    /// refused, as go-srp does.
    pub fn draw(mut fill: impl FnMut(&mut [u8]) -> bool) -> Option<Secret> {
        let mut bytes = Zeroizing::new([0; SIZE]);
        if !fill(bytes.as_mut_slice()) {
            return None;
        }
        let secret = Secret::from_be_bytes(&bytes);
        (secret.0.bits() > 64).then_some(secret)
    }

    /// For draws and vectors.
    pub fn from_be_bytes(bytes: &[u8; SIZE]) -> Secret {
        Secret(Zeroizing::new(U2048::from_be_slice(bytes)))
    }
}

/// Computes both proofs from the server's N and B, the hashed password and our secret; all numbers little-endian.
pub fn prove(
    modulus: &[u8; SIZE],
    server_ephemeral: &[u8; SIZE],
    hashed_password: &[u8; SIZE],
    secret: &Secret,
) -> Result<Proofs, SrpError> {
    let group = Group::new(modulus)?;
    let proofs = group.prove(server_ephemeral, hashed_password, secret);
    scrub_stack();
    proofs
}

struct Group {
    modulus: [u8; SIZE],
    n: U2048,
    params: Params,
}

impl Group {
    /// Checks what go-srp checks: 2048 bits, N mod 8 = 3, (N - 1) / 2 probably prime, 2 of order N - 1 or half of it.
    fn new(modulus: &[u8; SIZE]) -> Result<Group, SrpError> {
        let n = U2048::from_le_slice(modulus);
        if n.bits_vartime() != U2048::BITS || modulus[0] % 8 != 3 {
            return Err(SrpError::WeakGroup);
        }
        let odd = Option::<Odd<U2048>>::from(Odd::new(n)).ok_or(SrpError::WeakGroup)?;
        let params = Params::new_vartime(odd);
        let half = n.shr_vartime(1);
        // With (N - 1) / 2 prime, 2^((N - 1) / 2) = -1 proves N prime (Pocklington).
        let minus_one = n.wrapping_sub(&U2048::ONE);
        let proves_n = element(2, params).pow(&half).retrieve() == minus_one;
        if !proves_n || !is_probably_prime(&half) {
            return Err(SrpError::WeakGroup);
        }
        Ok(Group { modulus: *modulus, n, params })
    }

    fn prove(
        &self,
        server_ephemeral: &[u8; SIZE],
        hashed_password: &[u8; SIZE],
        secret: &Secret,
    ) -> Result<Proofs, SrpError> {
        let b = U2048::from_le_slice(server_ephemeral);
        if b <= U2048::ONE || b >= self.n.wrapping_sub(&U2048::ONE) {
            return Err(SrpError::BadEphemeral);
        }
        let two = element(2, self.params);
        let ephemeral = two.pow(&secret.0).retrieve().to_le_bytes();
        let mut two_bytes = [0; SIZE];
        two_bytes[0] = 2;
        let k = U2048::from_le_slice(&expand_hash(&[&two_bytes, &self.modulus]));
        let u = U2048::from_le_slice(&expand_hash(&[&ephemeral, server_ephemeral]));
        if u == U2048::ZERO {
            return Err(SrpError::BadEphemeral);
        }
        let x = Zeroizing::new(U2048::from_le_slice(hashed_password));
        let mut verifier = two.pow(&x);
        let mut base = Element::new(&b, self.params) - Element::new(&k, self.params) * verifier;
        let mut by_password = base.pow(&x).pow(&u);
        let mut shared = base.pow(&secret.0) * by_password;
        let key = Zeroizing::new(shared.retrieve().to_le_bytes());
        for power in [&mut verifier, &mut base, &mut by_password, &mut shared] {
            power.as_montgomery_mut().zeroize();
        }
        let proof = expand_hash(&[&ephemeral, server_ephemeral, key.as_ref()]);
        let expected = Zeroizing::new(expand_hash(&[&ephemeral, &proof, key.as_ref()]));
        Ok(Proofs { ephemeral, proof, expected })
    }
}

fn element(n: u32, params: Params) -> Element {
    Element::new(&U2048::from_u32(n), params)
}

/// Miller-Rabin over [`WITNESSES`]; `n` is public.
fn is_probably_prime(n: &U2048) -> bool {
    let Some(odd) = Option::<Odd<U2048>>::from(Odd::new(*n)) else { return false };
    let params = Params::new_vartime(odd);
    let minus_one = n.wrapping_sub(&U2048::ONE);
    let twos = minus_one.trailing_zeros_vartime();
    let rest = minus_one.shr_vartime(twos);
    WITNESSES.iter().all(|w| {
        let mut power = element(*w, params).pow(&rest);
        let mut squares = 1;
        let passes = |p: &Element| p.retrieve() == minus_one;
        if power.retrieve() == U2048::ONE {
            return true;
        }
        while !passes(&power) && squares < twos {
            power = power.square();
            squares += 1;
        }
        passes(&power)
    })
}

/// Overwrites the stack below, where the arithmetic left copies of its tables: sixteen powers of 256 bytes a call.
#[inline(never)]
fn scrub_stack() {
    let mut deep = [0xa5u8; 32 * 1024];
    deep.zeroize();
}

#[cfg(test)]
mod tests {
    use super::super::vectors::*;
    use super::super::{modulus, password};
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::digest::{SHA256, digest};

    fn bytes(text: &str) -> [u8; SIZE] {
        STANDARD.decode(text).unwrap().as_slice().try_into().unwrap()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn head_and_hash(bytes: &[u8]) -> (String, String) {
        (hex(&bytes[..16]), hex(digest(&SHA256, bytes).as_ref()))
    }

    #[test]
    fn expand_hash_matches_its_vectors() {
        // ProtonMail/go-srp `hash_test.go`.
        assert_eq!(hex(&expand_hash(&[b""])[..8]), "b8244d028981d693");
        assert_eq!(hex(&expand_hash(&[b"a", b"bc"])[..8]), "7ce05eda233e545a");
    }

    #[test]
    fn the_first_exchange_gives_the_published_proofs() {
        let proofs = prove(
            &bytes(FIRST_MODULUS),
            &bytes(FIRST_EPHEMERAL),
            &bytes(FIRST_HASHED),
            &Secret::from_be_bytes(&secret()),
        )
        .unwrap();
        assert_eq!(STANDARD.encode(proofs.ephemeral), FIRST_CLIENT_EPHEMERAL);
        assert_eq!(STANDARD.encode(proofs.proof), FIRST_CLIENT_PROOF);
        assert!(proofs.accept(&bytes(FIRST_SERVER_PROOF)));
    }

    #[test]
    fn a_wrong_or_missing_server_proof_is_not_accepted() {
        let proofs = prove(
            &bytes(FIRST_MODULUS),
            &bytes(FIRST_EPHEMERAL),
            &bytes(FIRST_HASHED),
            &Secret::from_be_bytes(&secret()),
        )
        .unwrap();
        let right = bytes(FIRST_SERVER_PROOF);
        let mut wrong = right;
        wrong[255] ^= 1;
        for bad in [&wrong[..], &[], &right[..255], &proofs.proof[..]] {
            assert!(!proofs.accept(bad));
        }
    }

    #[test]
    fn the_second_exchange_gives_the_published_digests() {
        let n = modulus::parse(SECOND_MESSAGE).unwrap();
        let hashed = password::hash(b"correct horse battery", "3tC4PlzRjfDX4Q==", 4, &n).unwrap();
        assert_eq!(
            head_and_hash(hashed.as_ref()),
            (
                "497bb7d7d8a6ea81a90f6e9b09806a4a".to_owned(),
                "56bfb937b4fb253e4f516d49aa388c1da549095657cd8148b62a0c396cfffc2c".to_owned()
            )
        );
        let proofs = prove(&n, &bytes(SECOND_EPHEMERAL), &hashed, &Secret::from_be_bytes(&secret())).unwrap();
        for (got, head, hash) in [
            (
                &proofs.ephemeral,
                "185f9db20f1fbcf5544f8c1479a35858",
                "6ddc1ae646713844abfab4d2e86045267622b7b8624c9b2b080a3803b076d565",
            ),
            (
                &proofs.proof,
                "5aef2e270884f335d49dd02ef48dae19",
                "3f0dfb8a4a2b7144fcad66d345ca2094ea7ed65fca8a0394b42aa8bd15edec58",
            ),
            (
                &*proofs.expected,
                "100053d39d26c08dbec2230e665fddf4",
                "18e16492e79691c7859dc75c4f401ba75daea9c6586886c4c28d9aeddf88e4ef",
            ),
        ] {
            assert_eq!(head_and_hash(got), (head.to_owned(), hash.to_owned()));
        }
    }

    #[test]
    fn weak_groups_are_refused() {
        let good = bytes(FIRST_MODULUS);
        let mut short = good;
        short[255] &= 0x7f;
        let mut even = good;
        even[0] &= 0xf8;
        let mut composite = good;
        composite[1] ^= 1;
        for weak in [short, even, composite, [0; SIZE], [0xff; SIZE]] {
            assert_eq!(Group::new(&weak).err(), Some(SrpError::WeakGroup));
        }
        assert!(Group::new(&good).is_ok());
    }

    #[test]
    fn ephemerals_out_of_range_are_refused() {
        let n = bytes(FIRST_MODULUS);
        let (mut one, mut minus_one) = ([0; SIZE], n);
        one[0] = 1;
        minus_one[0] -= 1;
        for bad in [[0; SIZE], one, minus_one, n, [0xff; SIZE]] {
            let proofs = prove(&n, &bad, &bytes(FIRST_HASHED), &Secret::from_be_bytes(&secret()));
            assert_eq!(proofs.err(), Some(SrpError::BadEphemeral));
        }
    }

    #[test]
    fn small_secrets_are_refused() {
        assert!(Secret::draw(|_| true).is_none());
        assert!(Secret::draw(|_| false).is_none());
        assert!(
            Secret::draw(|b| {
                b.fill(7);
                true
            })
            .is_some()
        );
    }
}
