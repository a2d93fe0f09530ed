//! The `Authorization` headers of a request, one a line; or after `{`, the header and the claims of a token that is
//! rightly signed, one a line.
#![no_main]

use std::sync::LazyLock;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use libfuzzer_sys::fuzz_target;
use lodge::{
    auth::{Credential, SessionTokens},
    clock::Timestamp,
    domain::Username,
    secret::{Purpose, RootSecret},
};
use ring::hmac;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

struct Keys {
    tokens: SessionTokens,
    signing: hmac::Key,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let secret = RootSecret::from_bytes([3; 32]);
    let signing = hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::SessionTokens).expose());
    Keys { tokens: SessionTokens::new(&secret), signing }
});

fuzz_target!(|bytes: &[u8]| {
    let lines: Vec<_> = bytes.split(|byte| *byte == b'\n').collect();
    match lines.as_slice() {
        [header, claims] if header.starts_with(b"{") => signed(header, claims),
        _ => sent(&lines),
    }
});

fn sent(headers: &[&[u8]]) {
    let Ok(credential) = Credential::parse(headers.iter().copied()) else { return };
    assert_eq!(headers.len(), 1, "two headers were read as one credential");
    match credential {
        Credential::Basic(username, password) => {
            assert!(!username.is_empty() && !username.contains([':', '\0', '\r', '\n']));
            let _ = Username::parse(&username);
            let password = str::from_utf8(password.as_bytes()).expect("a password is a text");
            let again = format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")));
            let Ok(Credential::Basic(name, word)) = Credential::parse([again.as_bytes()].into_iter()) else {
                panic!("{again} is not read a second time");
            };
            assert_eq!((name, word.as_bytes()), (username, password.as_bytes()));
        }
        Credential::ApiKey(key) => {
            let shown = headers[0].rsplit(|byte| *byte == b' ').find(|part| !part.is_empty()).unwrap_or_default();
            assert_eq!(shown.len(), "lodge_".len() + 70);
            let digest = ring::digest::digest(&ring::digest::SHA256, shown);
            assert_eq!(key.digest().0, digest.as_ref(), "a key is looked up as another one than was shown");
        }
        Credential::SessionToken(token) => drop(KEYS.tokens.read(token.expose(), NOW)),
    }
}

/// A token that is signed with the server's own key is accepted only with all claims of a token.
fn signed(header: &[u8], claims: &[u8]) {
    let message = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = hmac::sign(&KEYS.signing, message.as_bytes());
    let token = format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
    let Some(session) = KEYS.tokens.read(&token, NOW) else { return };

    // Unknown members are skipped without a check of their characters.
    let (Ok(header), Ok(claims)) = (serde_json::from_slice::<Value>(header), serde_json::from_slice::<Value>(claims))
    else {
        return;
    };
    assert_eq!(header["alg"], "HS256");
    assert!(header["crit"].is_null());
    assert_eq!(claims["sub"], session.owner.to_string());
    assert!(claims["jti"].as_str().is_some_and(|text| text.parse() == Ok(session.jti)));
    assert_eq!(claims["exp"].as_u64(), Some(session.ends.as_secs()));
    assert!(session.ends > NOW);
    assert!(claims["iat"].is_u64());
}
