//! Assertions: what they state, for how long, and after what changes there are none.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use lodge::domain::{Scope, Scopes};
use proptest::{prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::{
    escalation::any_scopes,
    test_app::{Answer, NOW, PASSWORD, TestApp, basic},
};

/// Assertions last for a minute.
const MINUTE: u64 = 60;

/// An application with an administrator, which signs assertions for the service `files`.
struct Scene(TestApp);

impl Scene {
    async fn new() -> Self {
        let test_app =
            TestApp::with(&["--throttle-after", "0", "--max-api-keys", "100000", "--assertion-audience", "files"])
                .await;
        test_app.state.keep_assertion_keys().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        Self(test_app)
    }

    async fn by_password(&self, method: &'static str, path: &str, body: Value) -> Value {
        let (status, answer) = self.0.send(Some(&basic("ann", PASSWORD)), &(method, path.to_owned(), body)).await;
        assert!(status < 300, "{answer}");
        answer
    }

    async fn key(&self, scopes: &Scopes, expires_at: Value) -> String {
        let scopes: Vec<_> =
            scopes.iter().map(|scope| json!({"controller": scope.controller(), "action": scope.action()})).collect();
        let key =
            self.by_password("POST", "/users/me/api_keys", json!({"api_key_scopes": scopes, "expires_at": expires_at}));
        key.await["key"].as_str().unwrap().to_owned()
    }

    async fn asked(&self, credential: &str, query: &str) -> Answer {
        let asked = ("GET", format!("/forward-auth?{query}"), Value::Null);
        self.0.answer(&[("Authorization", credential.to_owned())], &asked).await
    }

    /// The claims of the assertion that a proxy gets.
    async fn claims(&self, credential: &str) -> Value {
        let answer = self.asked(credential, "scope=any&aud=files").await;
        claims_in(answer.header("x-lodge-assertion").unwrap())
    }
}

fn claims_in(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap_or_else(|| panic!("{token:?} is no token"));
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}

fn full_access() -> Scopes {
    Scopes::new(vec![Scope::everything()]).unwrap()
}

#[tokio::test]
async fn an_assertion_ends_after_a_minute_or_with_its_key() {
    let scene = Scene::new().await;
    let now = NOW.as_secs();

    for (expires_in, lasts) in
        [(None, MINUTE), (Some(3600), MINUTE), (Some(MINUTE), MINUTE), (Some(59), 59), (Some(1), 1)]
    {
        let end = expires_in.map(|secs| lodge::clock::Timestamp::from_secs(now + secs).to_string());
        let key = scene.key(&full_access(), json!(end)).await;
        // The second comes from the cache.
        for _ in 0..2 {
            let claims = scene.claims(&key).await;
            assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + lasts)), "{expires_in:?}");
        }
    }
}

#[tokio::test]
async fn an_assertion_ends_with_the_former_value_of_a_key() {
    let scene = Scene::new().await;
    let key = scene.key(&full_access(), Value::Null).await;
    scene.by_password("POST", "/users/me/api_keys/1/rotate", json!({"overlap": 30})).await;

    assert_eq!(scene.claims(&key).await["exp"], json!(NOW.as_secs() + 30));
}

#[tokio::test]
async fn an_assertion_ends_with_the_session_and_with_the_account() {
    let scene = Scene::new().await;
    scene.0.take_in(2, "ben", PASSWORD).await;
    let sign_in = ("POST", "/users/sign_in".to_owned(), json!({"user": {"username": "ben", "password": PASSWORD}}));
    let session = scene.0.answer(&[], &sign_in).await.header("authorization").unwrap().to_owned();
    let end = NOW.as_secs() + 24 * 3600;
    scene.0.set_clock(lodge::clock::Timestamp::from_secs(end - 20));

    assert_eq!(scene.claims(&session).await["exp"], json!(end));
    let of_account = lodge::clock::Timestamp::from_secs(end - 10);
    scene.by_password("PUT", "/users/2", json!({"expired_at": of_account.to_string()})).await;
    for credential in [session, basic("ben", PASSWORD)] {
        assert_eq!(scene.claims(&credential).await["exp"], json!(end - 10));
    }
}

#[tokio::test]
async fn nothing_is_signed_for_a_credential_that_is_revoked_or_refused() {
    let scene = Scene::new().await;
    let index = Scopes::new(vec![Scope::parse("files", "index").unwrap()]).unwrap();
    let key = scene.key(&index, Value::Null).await;
    scene.claims(&key).await;

    let lacking = scene.asked(&key, "scope=files/show&aud=files").await;
    assert_eq!((lacking.status, lacking.header("x-lodge-assertion")), (403, None));
    scene.by_password("DELETE", "/users/me/api_keys/1", Value::Null).await;
    let revoked = scene.asked(&key, "scope=any&aud=files").await;
    assert_eq!((revoked.status, revoked.header("x-lodge-assertion")), (401, None));
}

#[tokio::test]
async fn a_scope_that_is_taken_from_a_key_is_in_no_further_assertion() {
    let scene = Scene::new().await;
    let scope = |action| Scope::parse("files", action).unwrap();
    let key = scene.key(&Scopes::new(vec![scope("index"), scope("show")]).unwrap(), Value::Null).await;
    assert_eq!(scene.claims(&key).await["scope"], "files/index files/show");

    let fewer = json!({"api_key_scopes": [{"controller": "files", "action": "show"}]});
    scene.by_password("PUT", "/users/me/api_keys/1", fewer).await;

    assert_eq!(scene.claims(&key).await["scope"], "files/show");
}

#[test]
fn an_assertion_has_no_more_scopes_than_the_credential() {
    let runtime = actix_web::rt::System::new();
    let scene = runtime.block_on(Scene::new());
    TestRunner::new(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })
        .run(&any_scopes(), |scopes| {
            let key = runtime.block_on(scene.key(&scopes, Value::Null));
            let claims = runtime.block_on(scene.claims(&key));
            let claimed: Vec<_> = claims["scope"].as_str().unwrap().split_whitespace().collect();
            for scope in &claimed {
                let status = runtime.block_on(scene.asked(&key, &format!("scope={scope}"))).status;
                prop_assert_eq!(status, 200, "{} is claimed", scope);
            }
            prop_assert_eq!(claimed.len(), scopes.iter().count());
            let is_full = scopes.are_full_access();
            prop_assert_eq!(&claims["groups"], &json!(if is_full { vec!["admin"] } else { vec![] }));
            Ok(())
        })
        .unwrap();
}

#[tokio::test]
async fn scopes_that_are_too_long_for_a_header_are_asserted_in_a_body_alone() {
    let scene = Scene::new().await;
    let scope = |number: usize| Scope::parse(&format!("controller_{number:03}"), "index").unwrap();
    let scopes =
        |count| Scopes::new((0..count).map(scope).chain([Scope::parse("assertions", "create").unwrap()]).collect());
    // Each has 21 characters with its space, the last one 17.
    let fitting = scene.key(&scopes(96).unwrap(), Value::Null).await;
    let long = scene.key(&scopes(97).unwrap(), Value::Null).await;

    let fits = scene.asked(&fitting, "scope=any&aud=files").await;
    assert!((2000..4096).contains(&fits.header("x-lodge-assertion").unwrap().len()), "{:?}", fits.headers);
    let none = scene.asked(&long, "scope=any&aud=files").await;
    assert_eq!((none.status, none.header("x-lodge-assertion")), (200, Some("")));

    let (status, answer) = scene.0.send(Some(&long), &("POST", "/assertions?aud=files".to_owned(), Value::Null)).await;
    assert_eq!(
        (status, claims_in(answer["assertion"].as_str().unwrap())["scope"].as_str().unwrap().len()),
        (201, 97 * 21 + 17)
    );
}

#[tokio::test]
async fn without_a_stored_key_nothing_is_signed() {
    let test_app = TestApp::with(&["--assertion-audience", "files"]).await;
    test_app.take_in(1, "ann", PASSWORD).await;
    let scene = Scene(test_app);
    let ann = basic("ann", PASSWORD);

    let admitted = scene.asked(&ann, "scope=any&aud=files").await;
    assert_eq!((admitted.status, admitted.header("x-lodge-assertion")), (200, Some("")));
    let (status, _) = scene.0.send(Some(&ann), &("POST", "/assertions?aud=files".to_owned(), Value::Null)).await;
    assert_eq!(status, 503);
}
