//! Session tokens: the one that the server issued is good, and everything else that looks like one is not.

use std::{collections::BTreeMap, io::ErrorKind, net::TcpListener};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use lodge::secret::{Purpose, RootSecret};
use ring::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Request, Server, ServerBuilder, pause};

/// Signs tokens with the server's own key, as the server does and as it never would.
pub struct Mint {
    key: Vec<u8>,
}

impl Mint {
    /// The mint of that server.
    pub fn of(server: &Server) -> Self {
        let secret =
            RootSecret::open(&server.data_dir().join("secret"), false).expect("the server has made its secret");
        Self::from_root(&secret)
    }

    /// A token with a plain HS256 header.
    pub fn token(&self, claims: &Value) -> String {
        self.signed(hmac::HMAC_SHA256, &json!({"alg": "HS256", "typ": "JWT"}), claims)
    }

    fn from_root(secret: &RootSecret) -> Self {
        Self { key: secret.derive(Purpose::SessionTokens).expose().to_vec() }
    }

    /// A token with that header, signed with HMAC-SHA-256 whatever it names.
    pub fn with_header(&self, header: &Value, claims: &Value) -> String {
        self.signed(hmac::HMAC_SHA256, header, claims)
    }

    fn signed(&self, algorithm: hmac::Algorithm, header: &Value, claims: &Value) -> String {
        let key = hmac::Key::new(algorithm, &self.key);
        join(&unsigned(header, claims), |message| hmac::sign(&key, message).as_ref().to_vec())
    }
}

/// The claims of the token in an `Authorization` header.
pub fn claims_of(authorization: &str) -> Value {
    part_of(authorization, 1)
}

fn part_of(authorization: &str, position: usize) -> Value {
    let encoded = token_of(authorization).split('.').nth(position).expect("a token has three parts");
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(encoded).expect("a part is in base64url");
    serde_json::from_slice(&bytes).expect("a part is JSON")
}

fn token_of(authorization: &str) -> &str {
    authorization.strip_prefix("Bearer ").expect("a token comes with its scheme")
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

fn join(message: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(sign(message.as_bytes())))
}

/// A new key for ES256.
fn key_pair() -> EcdsaKeyPair {
    let (algorithm, rng) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
    let key = EcdsaKeyPair::generate_pkcs8(algorithm, &rng).expect("a key can be made");
    EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &rng).expect("a key that was made can be read")
}

/// A live session of `ann`, and what is needed to forge its token.
struct Session {
    server: Server,
    mint: Mint,
    token: String,
    claims: Value,
}

impl Session {
    fn open() -> Self {
        let server = Server::start();
        let authorization = server.sign_in("ann");
        let (token, claims) = (token_of(&authorization).to_owned(), claims_of(&authorization));
        Self { mint: Mint::of(&server), server, token, claims }
    }

    /// The session's claims with one of them replaced.
    fn claims_with(&self, name: &str, value: &Value) -> Value {
        let mut claims = self.claims.clone();
        claims[name] = value.clone();
        claims
    }

    fn claims_without(&self, name: &str) -> Value {
        let mut claims = self.claims.clone();
        claims.as_object_mut().expect("claims are an object").remove(name);
        claims
    }

    fn status_of(&self, token: &str) -> u16 {
        self.server.with(&format!("Bearer {token}")).get("/users/me").status
    }

    #[track_caller]
    fn assert_refused(&self, what: &str, token: &str) {
        let reply = self.server.with(&format!("Bearer {token}")).get("/users/me");
        let challenges = reply.all_headers("www-authenticate");
        assert_eq!((reply.status, challenges), (401, vec![r#"Bearer realm="Lodge""#]), "{what}: {token}");
    }

    #[track_caller]
    fn assert_admitted(&self, what: &str, token: &str) {
        assert_eq!(self.status_of(token), 200, "{what}: {token}");
    }
}

#[test]
fn a_token_names_its_session_its_user_and_its_end_and_nothing_else() {
    let server = Server::start();

    let authorization = server.sign_in("ann");

    let claims = claims_of(&authorization);
    let issued = claims["iat"].as_u64().expect("iat is an integer");
    let jti = claims["jti"].as_str().and_then(|jti| Uuid::parse_str(jti).ok()).expect("jti is a UUID");
    let expected = json!({"sub": server.id_of("ann").to_string(), "jti": jti, "iat": issued, "exp": issued + 86_400});
    assert_eq!(claims, expected);
    assert_eq!(part_of(&authorization, 0), json!({"typ": "JWT", "alg": "HS256"}));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let session = Session::open();

    for algorithm in ["none", "None", "NONE", "nOnE"] {
        let header = json!({"alg": algorithm, "typ": "JWT"});
        let unsigned = unsigned(&header, &session.claims);
        session.assert_refused("without a signature", &format!("{unsigned}."));
        session.assert_refused("with our signature", &session.mint.with_header(&header, &session.claims));
    }
    let (message, _) = session.token.rsplit_once('.').expect("a token has three parts");
    session.assert_refused("its signature cut off", &format!("{message}."));
}

#[test]
fn another_algorithm_than_hs256_is_refused_however_it_is_signed() {
    let session = Session::open();

    for algorithm in ["RS256", "ES256", "PS256", "EdDSA", "HS384", "HS512", "hs256", "HS1", ""] {
        let header = json!({"alg": algorithm, "typ": "JWT"});
        session.assert_refused(algorithm, &session.mint.with_header(&header, &session.claims));
    }
    for (name, algorithm) in [("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        let header = json!({"alg": name, "typ": "JWT"});
        session.assert_refused(name, &session.mint.signed(algorithm, &header, &session.claims));
    }
    for header in [json!({"typ": "JWT"}), json!({"alg": null}), json!({"alg": ["HS256"]}), json!([]), json!("HS256")] {
        session.assert_refused("a strange header", &session.mint.with_header(&header, &session.claims));
    }
}

#[test]
fn a_token_under_another_key_is_refused() {
    let session = Session::open();
    let root = std::fs::read(session.server.data_dir().join("secret")).expect("the secret can be read");
    let pair = key_pair();
    let strange = RootSecret::from_bytes([0; 32]);
    let mints = [
        ("an empty key", Mint { key: Vec::new() }),
        ("a guessed key", Mint { key: b"secret".to_vec() }),
        ("a public key", Mint { key: pair.public_key().as_ref().to_vec() }),
        ("another secret", Mint::from_root(&strange)),
        ("the secret itself", Mint { key: root }),
    ];

    for (what, mint) in mints {
        session.assert_refused(what, &mint.token(&session.claims));
    }
    session.assert_admitted("our key", &session.mint.token(&session.claims));
}

#[test]
fn a_token_of_another_installation_is_refused() {
    let session = Session::open();
    let other = Server::start();

    let theirs = other.sign_in("ann");

    session.assert_refused("theirs", token_of(&theirs));
    session.assert_refused("ours under their key", &Mint::of(&other).token(&session.claims));
    assert_eq!(other.with(&theirs).get("/users/me").status, 200);
}

#[test]
fn a_key_that_the_token_brings_along_is_never_used() {
    let session = Session::open();
    let pair = key_pair();
    let point = pair.public_key().as_ref();
    let [x, y] = [&point[1..33], &point[33..]].map(|half| BASE64_URL_SAFE_NO_PAD.encode(half));
    let header = json!({"alg": "ES256", "jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}});
    let rng = SystemRandom::new();
    let sign = |message: &[u8]| pair.sign(&rng, message).expect("a message can be signed").as_ref().to_vec();
    let own = Mint { key: b"an attacker's key".to_vec() };
    let oct = json!({"alg": "HS256", "jwk": {"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(&own.key)}});

    session.assert_refused("a public key", &join(&unsigned(&header, &session.claims), sign));
    session.assert_refused("a symmetric key", &own.with_header(&oct, &session.claims));
}

#[test]
fn where_the_token_claims_its_key_to_be_is_never_read() {
    let session = Session::open();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.set_nonblocking(true).expect("a listener need not block");
    let url = format!("http://{}/key", listener.local_addr().expect("a listener has an address"));
    let jwk = json!({"kty": "oct", "k": BASE64_URL_SAFE_NO_PAD.encode(b"another key")});
    let headers = [
        json!({"alg": "HS256", "kid": "../../../dev/null"}),
        json!({"alg": "HS256", "jku": url}),
        json!({"alg": "HS256", "x5u": url}),
        json!({"alg": "HS256", "jwk": jwk}),
    ];

    for header in headers {
        session.assert_admitted("signed by us all the same", &session.mint.with_header(&header, &session.claims));
        let other = Mint { key: Vec::new() };
        session.assert_refused("signed with another key", &other.with_header(&header, &session.claims));
    }

    assert_eq!(listener.accept().map_err(|error| error.kind()).err(), Some(ErrorKind::WouldBlock));
}

#[test]
fn a_token_with_any_single_bit_changed_is_refused() {
    let session = Session::open();
    let own = session.server.with(&format!("Bearer {}", session.token));

    let mut refused = BTreeMap::<u16, usize>::new();
    for position in 0..session.token.len() {
        // A header cannot hold control characters.
        for flipped in (0..8).map(|bit| session.token.as_bytes()[position] ^ (1 << bit)).filter(|byte| *byte > b' ') {
            let mut token = session.token.clone().into_bytes();
            token[position] = flipped;
            let authorization = [b"Bearer ".as_slice(), &token].concat();
            let request = Request::new("GET", "/users/me").header("Authorization", authorization);
            let reply = session.server.anonymous().try_send(&request).expect("the server answers");
            assert!(reply.status == 401 || flipped == 0x7f, "{position}: {:?}", String::from_utf8_lossy(&token));
            *refused.entry(reply.status).or_default() += 1;
        }
    }

    assert!(refused[&401] > 5 * session.token.len(), "{refused:?}");
    assert_eq!(own.get("/users/me").status, 200);
}

#[test]
fn a_token_has_expired_in_the_second_of_its_exp() {
    let session = Session::open();
    let issued = session.claims["iat"].as_u64().expect("iat is an integer");

    for over in [issued, issued - 1, 1, 0] {
        session.assert_refused("over", &session.mint.token(&session.claims_with("exp", &json!(over))));
    }
    let longer = session.claims_with("exp", &json!(issued + 3600));
    session.assert_admitted("not yet over", &session.mint.token(&longer));
}

#[test]
fn an_expired_session_is_refused_whatever_its_token_claims() {
    let server = ServerBuilder::new().flag("--session-lifetime", "1s").start();
    let authorization = server.sign_in("ann");
    let mut longer = claims_of(&authorization);
    longer["exp"] = json!(longer["iat"].as_u64().expect("iat is an integer") + 3600);
    let status = |authorization: &str| server.with(authorization).get("/users/me").status;
    let longer = format!("Bearer {}", Mint::of(&server).token(&longer));

    while status(&authorization) != 401 {
        pause();
    }

    assert_eq!(status(&longer), 401);
}

#[test]
fn a_claim_that_is_missing_or_of_another_type_is_refused() {
    let session = Session::open();
    let exp = session.claims["exp"].clone();
    let ends =
        [json!(exp.to_string()), json!(-1), json!(4e9 + 0.5), json!(1e300), json!([exp]), json!({}), json!(null)];

    for end in ends {
        session.assert_refused("exp", &session.mint.token(&session.claims_with("exp", &end)));
    }
    for name in ["sub", "jti", "iat", "exp"] {
        session.assert_refused(name, &session.mint.token(&session.claims_without(name)));
    }
    for claims in [json!([]), json!("claims"), json!(null), json!({})] {
        session.assert_refused("not claims", &session.mint.token(&claims));
    }
}

#[test]
fn a_token_that_is_not_valid_yet_or_has_critical_headers_is_refused() {
    let session = Session::open();
    let not_yet = session.claims_with("nbf", &session.claims["exp"]);
    let critical = [json!(["exp"]), json!(["b64"]), json!([]), json!("exp"), json!(["http://example.com/unknown"])];

    session.assert_refused("nbf", &session.mint.token(&not_yet));
    for crit in critical {
        let header = json!({"alg": "HS256", "crit": crit, "b64": true, "exp": 1});
        session.assert_refused("crit", &session.mint.with_header(&header, &session.claims));
    }
}

#[test]
fn a_token_with_a_future_iat_is_valid_because_clocks_are_set() {
    let session = Session::open();

    let ahead = session.claims_with("iat", &session.claims["exp"]);

    session.assert_admitted("iat ahead", &session.mint.token(&ahead));
}

#[test]
fn a_session_is_its_own_users_alone_and_named_in_one_spelling() {
    let session = Session::open();
    let own = session.claims["sub"].as_str().expect("sub is a string").to_owned();
    let number: u32 = own.parse().expect("sub is a number");
    let spellings = [format!(" {own}"), format!("{own} "), format!("0{own}"), format!("+{own}"), format!("{own}.0")];
    let types = [json!(number), json!(f64::from(number)), json!([own]), json!({"id": own}), json!(null), json!(true)];
    let others = ["1", "0", "-1", "2147483647", "2147483648", "4294967298", "18446744073709551618", "ann", "", "*"]
        .map(|it| json!(it));

    for sub in spellings.iter().map(|it| json!(it)).chain(types).chain(others) {
        session.assert_refused("sub", &session.mint.token(&session.claims_with("sub", &sub)));
    }
}

#[test]
fn a_session_that_is_not_stored_is_refused() {
    let session = Session::open();
    let others = claims_of(&session.server.sign_in("ben"))["jti"].clone();
    let unknown = json!("6f1c2a50-9a3e-4c38-9a0b-0d6a4f1f5b11");

    for jti in [others, unknown, json!(Uuid::nil()), json!(""), json!("1"), json!(1), json!(null), json!([])] {
        session.assert_refused("jti", &session.mint.token(&session.claims_with("jti", &jti)));
    }
}

#[test]
fn a_token_of_another_shape_is_refused() {
    let session = Session::open();
    let parts: Vec<_> = session.token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("a token has three parts") };
    let plain_base64 = BASE64_STANDARD.encode(&session.token);
    let jwe_header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"dir","enc":"A256GCM"}"#);
    let shapes = [
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{}.{signature}", session.token)),
        ("a dot after it", format!("{}.", session.token)),
        ("a dot before", format!(".{}", session.token)),
        ("no claims", format!("{header}..{signature}")),
        ("dots alone", "..".to_owned()),
        ("padding", format!("{}=", session.token)),
        ("padded claims", format!("{header}.{claims}==.{signature}")),
        ("a blank inside", format!("{header}.{claims}. {signature}")),
        (
            "a blank in a part",
            format!("{header}.{}", session.token.split_at(header.len() + 5).1.replacen('.', " .", 1)),
        ),
        ("plain base64", plain_base64),
        ("parts exchanged", format!("{claims}.{header}.{signature}")),
        ("twice", format!("{0},{0}", session.token)),
        ("JWE", format!("{jwe_header}..AAAAAAAAAAAAAAAA.{claims}.{signature}")),
        ("JWE of the token's parts", format!("{header}.{claims}.{signature}.{claims}.{signature}")),
        ("5,000 characters", format!("{header}.{}.{signature}", "A".repeat(5000))),
    ];

    for (what, token) in shapes {
        session.assert_refused(what, &token);
    }
    session.assert_admitted("as it was issued", &session.token);
}

#[test]
fn a_token_in_the_other_alphabet_of_base64_is_refused() {
    let session = Session::open();
    let tokens = (0..).map(|issued| session.mint.token(&session.claims_with("iat", &json!(issued))));
    let token =
        tokens.into_iter().find(|token| token.contains(['-', '_'])).expect("some signature has such a character");

    session.assert_admitted("URL-safe", &token);
    session.assert_refused("not URL-safe", &token.replace('-', "+").replace('_', "/"));
}

#[test]
fn a_token_of_a_mebibyte_is_refused_and_harms_nobody() {
    let session = Session::open();
    let huge = Request::new("GET", "/users/me").header("Authorization", format!("Bearer a.{}.c", "A".repeat(1 << 20)));

    // A server that closes before it has read everything may lose its answer on the way.
    if let Ok(reply) = session.server.anonymous().try_send(&huge) {
        assert!([400, 401, 431].contains(&reply.status), "{}", reply.status);
    }

    session.assert_admitted("the next request", &session.token);
}

#[test]
fn a_token_anywhere_but_in_the_authorization_header_is_not_seen() {
    let Session { server, token, .. } = Session::open();
    let bearer = format!("Bearer {token}");
    let query = |name: &str| Request::new("GET", &format!("/users/me?{name}={token}"));
    let header = |name: &str, value: &str| Request::new("GET", "/users/me").header(name, value);
    let requests = [
        query("token"),
        query("access_token"),
        query("authorization"),
        query("jwt"),
        header("Cookie", &format!("Authorization={token}; token={token}; session={token}")),
        header("Proxy-Authorization", &bearer),
        header("X-Authorization", &bearer),
        header("X-Auth-Token", &token),
        Request::new("DELETE", "/users/sign_out").json(&json!({"token": token, "access_token": token})),
        Request::new("POST", "/users/me/configurations").json(&json!({"Authorization": bearer, "key": "theme"})),
    ];

    for request in requests {
        assert_eq!(server.anonymous().send(&request).status, 401, "{request:?}");
    }
    assert_eq!(server.with(&bearer).get("/users/me").status, 200);
}

#[test]
fn a_scheme_goes_in_any_case_and_with_any_number_of_blanks() {
    let Session { server, token, .. } = Session::open();
    let key = server.key("ann", &["users / show"]).authorization.expect("a key is a credential");
    let good = |it: &str| {
        let with_scheme =
            ["Bearer", "bearer", "BEARER", "Token", "token", "tOkEn"].map(|scheme| format!("{scheme} {it}"));
        let odd = [it.to_owned(), format!("Bearer    {it}"), format!("  Bearer {it}  ")];
        [with_scheme.to_vec(), odd.to_vec()].concat()
    };
    let bad = |it: &str| {
        let short = ["", "Bearer", "Bearer ", "Token", "Digest", "Bearer null", "Bearer undefined"].map(str::to_owned);
        let odd =
            [format!("Bearer{it}"), format!("Bearer,{it}"), format!("Bearer {it} {it}"), format!("Bearer \"{it}\"")];
        let more =
            [format!("Bearer Bearer {it}"), format!("Digest {it}"), format!("JWT {it}"), format!("Bearer: {it}")];
        [short.to_vec(), odd.to_vec(), more.to_vec()].concat()
    };
    let status = |authorization: &String| server.with(authorization).get("/users/me").status;

    for credential in [&token, &key] {
        for authorization in good(credential) {
            assert_eq!(status(&authorization), 200, "{authorization:?}");
        }
        for authorization in bad(credential) {
            assert_eq!(status(&authorization), 401, "{authorization:?}");
        }
    }
    for blank in ["\t", " \t", "\t ", "\u{a0}"] {
        let [token, key] = [&token, &key].map(|it| status(&format!("Bearer{blank}{it}")));
        assert_eq!(token, key, "{blank:?}");
        assert!([200, 401].contains(&token), "{blank:?}: {token}");
    }
}
