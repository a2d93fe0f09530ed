//! HMAC-SHA-256 for the crate `jsonwebtoken`, which signs and verifies with the provider that it is given.

use jsonwebtoken::{
    Algorithm,
    crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils},
    errors::{ErrorKind, Result},
    signature::{Error, Signer, Verifier},
};
use ring::hmac;

/// HS256 and no other algorithm.
static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |algorithm, key| Ok(Hs256::new(*algorithm, key.as_bytes())?),
    verifier_factory: |algorithm, key| Ok(Hs256::new(*algorithm, key.try_get_as_bytes()?)?),
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use HS256 of this module, in the whole process; later calls change nothing.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(algorithm: Algorithm, key: &[u8]) -> Result<Box<Self>> {
        if algorithm == Algorithm::HS256 {
            Ok(Box::new(Self(hmac::Key::new(hmac::HMAC_SHA256, key))))
        } else {
            Err(ErrorKind::InvalidAlgorithm.into())
        }
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, EncodingKey};

    use super::*;

    const KEY: &[u8] = b"Jefe";
    const MESSAGE: &[u8] = b"what do ya want for nothing?";

    #[test]
    fn a_signature_is_the_one_of_rfc_4231() {
        let signature =
            (PROVIDER.signer_factory)(&Algorithm::HS256, &EncodingKey::from_secret(KEY)).unwrap().sign(MESSAGE);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(data_encoding::HEXLOWER.encode(&signature), expected);
    }

    #[test]
    fn a_signature_that_is_changed_or_cut_is_refused() {
        let verifier = (PROVIDER.verifier_factory)(&Algorithm::HS256, &DecodingKey::from_secret(KEY)).unwrap();
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), MESSAGE).as_ref().to_vec();
        assert!(verifier.verify(MESSAGE, &signature).is_ok());
        for position in 0..signature.len() {
            let mut changed = signature.clone();
            changed[position] ^= 1;
            assert!(verifier.verify(MESSAGE, &changed).is_err(), "byte {position} is changed");
            assert!(verifier.verify(MESSAGE, &signature[..position].to_vec()).is_err(), "cut at {position}");
        }
    }

    #[test]
    fn no_other_algorithm_is_supported() {
        use Algorithm::{ES256, ES384, EdDSA, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
        for other in [HS384, HS512, ES256, ES384, RS256, RS384, RS512, PS256, PS384, PS512, EdDSA] {
            assert!((PROVIDER.signer_factory)(&other, &EncodingKey::from_secret(KEY)).is_err(), "{other:?}");
            assert!((PROVIDER.verifier_factory)(&other, &DecodingKey::from_secret(KEY)).is_err(), "{other:?}");
        }
    }
}
