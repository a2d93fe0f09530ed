//! Keys that sign assertions: pairs of a private and a public key, sealed under a key that is derived from the server's secret.
//!
//! What is stored is a nonce of 12 bytes and the private key in PKCS #8, encrypted and authenticated with ChaCha20-Poly1305
//! (RFC 8439).

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    digest,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use zeroize::Zeroizing;

use crate::{
    config::SigningAlgorithm,
    random::random_bytes,
    secret::{Purpose, RootSecret},
};

/// A key that signs.
pub struct SigningKey {
    pair: Pair,
    id: String,
    public: PublicKey,
}

enum Pair {
    // Boxed, because it is several times as large as the other.
    Es256(Box<EcdsaKeyPair>, SystemRandom),
    EdDsa(Ed25519KeyPair),
}

/// The public half of a key; its numbers are in base64url (RFC 7518, section 6.2.1; RFC 8037, section 2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of P-256.
    P256 {
        /// Its first coordinate.
        x: String,
        /// Its second coordinate.
        y: String,
    },
    /// A key of Ed25519.
    Ed25519 {
        /// The key.
        x: String,
    },
}

/// Seals private keys, and opens those that it has sealed.
pub struct KeySeal(LessSafeKey);

impl SigningKey {
    /// A new key, and the same sealed.
    ///
    /// # Panics
    /// If the system's generator of random numbers fails, without which nothing is secure.
    #[must_use]
    pub fn generate(algorithm: SigningAlgorithm, seal: &KeySeal) -> (Self, Vec<u8>) {
        const GENERATES: &str = "the system gives random bytes";
        let rng = SystemRandom::new();
        let made = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&rng),
        };
        let made = made.expect(GENERATES);
        let key = Self::from_pkcs8(made.as_ref()).expect("a key that was just made can be read");
        (key, seal.seal(made.as_ref()))
    }

    /// The sealed key; `None` if it was sealed under another secret or is damaged.
    #[must_use]
    pub fn open(sealed: &[u8], seal: &KeySeal) -> Option<Self> {
        seal.open(sealed).and_then(|private| Self::from_pkcs8(&private))
    }

    fn from_pkcs8(private: &[u8]) -> Option<Self> {
        let rng = SystemRandom::new();
        let pair = match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private, &rng) {
            Ok(pair) => Pair::Es256(Box::new(pair), rng),
            Err(_) => Pair::EdDsa(Ed25519KeyPair::from_pkcs8(private).ok()?),
        };
        let public = pair.public_key();
        Some(Self { pair, id: public.thumbprint(), public })
    }

    /// The name of its public half in the published set, and in the header of what it signs.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Es256(..) => SigningAlgorithm::Es256,
            Pair::EdDsa(_) => SigningAlgorithm::EdDsa,
        }
    }

    /// Its public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of a message, 64 bytes (RFC 7518, section 3.4; RFC 8037, section 3.1).
    ///
    /// # Panics
    /// If the system's generator of random numbers fails.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature = match &self.pair {
            Pair::Es256(pair, rng) => pair.sign(rng, message).expect("the system gives random bytes"),
            Pair::EdDsa(pair) => pair.sign(message),
        };
        signature.as_ref().to_vec()
    }
}

impl Pair {
    fn public_key(&self) -> PublicKey {
        let encoded = |number: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(number);
        match self {
            Self::Es256(pair, _) => {
                // An uncompressed point: 4 and both coordinates (SEC 1, section 2.3.3).
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                PublicKey::P256 { x: encoded(x), y: encoded(y) }
            }
            Self::EdDsa(pair) => PublicKey::Ed25519 { x: encoded(pair.public_key().as_ref()) },
        }
    }
}

impl PublicKey {
    /// SHA-256 of its required members, in base64url (RFC 7638).
    fn thumbprint(&self) -> String {
        let members = match self {
            Self::P256 { x, y } => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        };
        BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
    }
}

impl KeySeal {
    /// Seals under a key that is derived from the server's secret.
    ///
    /// # Panics
    /// Never: a derived key has the length that the cipher needs.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, secret.derive(Purpose::AssertionKeys).expose());
        Self(LessSafeKey::new(key.expect("a derived key has 32 bytes")))
    }

    fn seal(&self, private: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_LEN] = random_bytes();
        let mut sealed = private.to_vec();
        let done = self.0.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed);
        done.expect("a key is far shorter than what the cipher can encrypt");
        [nonce.as_slice(), &sealed].concat()
    }

    fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut private = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let length = self.0.open_in_place(nonce, Aad::empty(), &mut private).ok()?.len();
        private.truncate(length);
        Some(private)
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

    use super::*;

    const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa];

    fn seal_of(secret: u8) -> KeySeal {
        KeySeal::new(&RootSecret::from_bytes([secret; 32]))
    }

    fn decoded(text: &str) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn is_signed_by(public: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
        match public {
            PublicKey::P256 { x, y } => {
                let point = [&[4], decoded(x).as_slice(), &decoded(y)].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
            PublicKey::Ed25519 { x } => UnparsedPublicKey::new(&ED25519, decoded(x)).verify(message, signature).is_ok(),
        }
    }

    #[test]
    fn a_key_that_is_opened_again_is_the_same() {
        for algorithm in BOTH {
            let (key, sealed) = SigningKey::generate(algorithm, &seal_of(7));
            let opened = SigningKey::open(&sealed, &seal_of(7)).unwrap();

            let signature = opened.sign(b"a message");

            assert_eq!((opened.id(), opened.algorithm()), (key.id(), algorithm));
            assert!(is_signed_by(key.public(), b"a message", &signature));
            assert!(!is_signed_by(key.public(), b"another message", &signature));
        }
    }

    #[test]
    fn a_key_of_another_secret_or_one_that_is_damaged_is_not_opened() {
        for algorithm in BOTH {
            let (_, sealed) = SigningKey::generate(algorithm, &seal_of(7));
            assert!(SigningKey::open(&sealed, &seal_of(8)).is_none());
            for place in 0..sealed.len() {
                let mut damaged = sealed.clone();
                damaged[place] ^= 1;
                assert!(SigningKey::open(&damaged, &seal_of(7)).is_none(), "{place}");
                assert!(SigningKey::open(&sealed[..place], &seal_of(7)).is_none(), "{place}");
            }
        }
    }

    #[test]
    fn a_sealed_key_has_nothing_of_the_private_one() {
        let (_, sealed) = SigningKey::generate(SigningAlgorithm::Es256, &seal_of(7));
        let private = seal_of(7).open(&sealed).unwrap();
        let is_in_it = |part: &[u8]| sealed.windows(part.len()).any(|window| window == part);
        assert!(private.chunks(8).all(|part| part.len() < 8 || !is_in_it(part)));
    }

    /// RFC 8037, appendix A.3.
    #[test]
    fn the_id_is_the_thumbprint_of_rfc_7638() {
        let public = PublicKey::Ed25519 { x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo".to_owned() };
        assert_eq!(public.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
