//! Session tokens: JWT, HS256 only (RFC 8725).

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::token_crypto;
use crate::{
    clock::Timestamp,
    domain::{Id, Session},
    secret::{Purpose, RootSecret, Secret},
};

/// The claims of a token. Times are whole seconds since 1970. A token with a claim of another type is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id in decimal digits.
    pub sub: String,
    /// The session.
    pub jti: Uuid,
    /// When it was issued; not checked, because clocks may be set back.
    pub iat: u64,
    /// When it expires: it is refused from that second on.
    pub exp: u64,
    /// When it becomes valid; tokens of this server have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
}

/// The session that a verified token names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresentedSession {
    /// The user.
    pub owner: Id,
    /// The session.
    pub jti: Uuid,
    /// The token's `exp`.
    pub ends: Timestamp,
}

/// Signs and reads tokens.
pub struct SessionTokens {
    signing: EncodingKey,
    checking: DecodingKey,
    validation: Validation,
}

impl SessionTokens {
    /// Signs and reads tokens under the server's secret.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        token_crypto::install();
        let key = secret.derive(Purpose::SessionTokens);
        let mut validation = Validation::new(Algorithm::HS256);
        // The library reads the system clock and accepts a token in the second of its `exp`, so `exp` is checked here.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        Self {
            signing: EncodingKey::from_secret(key.expose()),
            checking: DecodingKey::from_secret(key.expose()),
            validation,
        }
    }

    /// The token of a session.
    #[must_use]
    pub fn issue(&self, session: &Session, now: Timestamp) -> Secret<String> {
        let (sub, exp) = (session.owner.to_string(), session.expires_at.as_secs());
        self.sign(&Claims { sub, jti: session.jti, iat: now.as_secs(), exp, nbf: None })
    }

    /// The token with these claims.
    ///
    /// # Panics
    /// Never: claims can be written as JSON and signed.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Secret<String> {
        let token = encode(&Header::new(Algorithm::HS256), claims, &self.signing);
        Secret::new(token.expect("claims can be written as JSON and signed"))
    }

    /// The session that the token names, if its signature is right and it has not expired. Whether the session exists
    /// is not checked.
    #[must_use]
    pub fn read(&self, token: &str, now: Timestamp) -> Option<PresentedSession> {
        let data = decode::<Claims>(token, &self.checking, &self.validation).ok()?;
        let claims = data.claims;
        let is_current = now.as_secs() < claims.exp && claims.nbf.is_none_or(|nbf| nbf <= now.as_secs());
        // RFC 7515, section 4.1.11: a token with a critical header that is not understood is invalid.
        let ends = Timestamp::from_secs(claims.exp);
        let session = PresentedSession { owner: Id::parse(&claims.sub)?, jti: claims.jti, ends };
        (data.header.crit.is_none() && is_current).then_some(session)
    }
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use ring::hmac;
    use serde_json::{Value, json};

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn tokens() -> SessionTokens {
        SessionTokens::new(&RootSecret::from_bytes([3; 32]))
    }

    fn reads(header: &Header, claims: &Value) -> bool {
        tokens().read(&signed(header, claims), NOW).is_some()
    }

    /// Signs without the library, so that the token may name algorithms that the library does not know.
    fn signed(header: &Header, claims: &Value) -> String {
        let algorithm = match header.alg {
            Algorithm::HS384 => hmac::HMAC_SHA384,
            Algorithm::HS512 => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let key = hmac::Key::new(algorithm, RootSecret::from_bytes([3; 32]).derive(Purpose::SessionTokens).expose());
        let header = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(header).unwrap());
        let message = format!("{header}.{}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, message.as_bytes()));
        format!("{message}.{signature}")
    }

    fn claims(change: impl FnOnce(&mut Value)) -> Value {
        let mut claims = json!({"sub": "7", "jti": Uuid::nil(), "iat": 1000, "exp": 1001});
        change(&mut claims);
        claims
    }

    #[test]
    fn a_token_is_valid_until_the_second_of_its_expiry() {
        let hs256 = Header::new(Algorithm::HS256);
        assert!(reads(&hs256, &claims(|_| {})));
        assert!(!reads(&hs256, &claims(|claims| claims["exp"] = json!(1000))));
        assert!(!reads(&hs256, &claims(|claims| claims["exp"] = json!(999))));
    }

    #[test]
    fn claims_of_another_type_are_refused() {
        let hs256 = Header::new(Algorithm::HS256);
        for exp in [json!("2000"), json!(-1), json!(2000.5), json!(1e300), json!([2000]), Value::Null] {
            assert!(!reads(&hs256, &claims(|claims| claims["exp"] = exp.clone())), "{exp}");
        }
        for sub in [json!(" 1"), json!("01"), json!(1.0), json!(1), json!(["1"]), json!("0"), json!("4294967297")] {
            assert!(!reads(&hs256, &claims(|claims| claims["sub"] = sub.clone())), "{sub}");
        }
        for absent in ["sub", "jti", "iat", "exp"] {
            let without = claims(|claims| drop(claims.as_object_mut().unwrap().remove(absent)));
            assert!(!reads(&hs256, &without), "{absent}");
        }
        assert!(!reads(&hs256, &claims(|claims| claims["nbf"] = json!(1001))));
        assert!(reads(&hs256, &claims(|claims| claims["nbf"] = json!(1000))));
    }

    #[test]
    fn other_algorithms_and_critical_headers_are_refused() {
        assert!(!reads(&Header::new(Algorithm::HS384), &claims(|_| {})));
        assert!(!reads(&Header::new(Algorithm::HS512), &claims(|_| {})));
        let mut critical = Header::new(Algorithm::HS256);
        critical.crit = Some(vec!["exp".to_owned()]);
        assert!(!reads(&critical, &claims(|_| {})));
    }

    #[test]
    fn a_token_of_another_installation_is_refused() {
        let other = SessionTokens::new(&RootSecret::from_bytes([4; 32]));
        let claims = Claims { sub: "7".to_owned(), jti: Uuid::nil(), iat: 1000, exp: 1001, nbf: None };
        assert!(tokens().read(other.sign(&claims).expose(), NOW).is_none());
    }
}
