//! API keys and their former values end at the very moment, wherever they are cached, and limits that shrink count for
//! requests that were admitted before.

use std::net::IpAddr;

use actix_web::rt::System;
use lodge::{
    auth::AuthError,
    domain::Id,
    service::{
        Caller, Forbidden, ServiceError,
        configurations::{self, ConfigurationName},
    },
};
use serde_json::{Value, json};

use crate::test_app::{PASSWORD, TestApp, basic, end, just_before_end};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// An administrator with an API key that permits everything.
struct Scene {
    test_app: TestApp,
    key: String,
}

impl Scene {
    async fn new() -> Self {
        let test_app = TestApp::build().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        let mut scene = Self { test_app, key: String::new() };
        let body = json!({"api_key_scopes": [{"controller": "*", "action": "*"}]});
        scene.by_password("POST", "/users/me/api_keys", body).await["key"].as_str().unwrap().clone_into(&mut scene.key);
        scene
    }

    async fn by_password(&self, method: &'static str, path: &str, body: Value) -> Value {
        let basic = basic("ann", PASSWORD);
        let (status, answer) = self.test_app.send(Some(&basic), &(method, path.to_owned(), body)).await;
        assert!(status < 300, "{answer}");
        answer
    }

    async fn status(&self, key: &str) -> u16 {
        self.test_app.send(Some(key), &("GET", "/users/me".to_owned(), Value::Null)).await.0
    }

    async fn caller(&self, key: &str, address: IpAddr) -> Result<Caller, ServiceError> {
        self.test_app.state.authenticate([key.as_bytes()].into_iter(), address).await
    }
}

/// What a write of the caller's fails with.
async fn write(caller: Caller) -> ServiceError {
    configurations::destroy(&caller.into(), ConfigurationName::Id(Id::FIRST)).await.unwrap_err()
}

#[test]
fn a_key_is_refused_from_the_moment_of_its_end_on_though_it_is_cached() {
    System::new().block_on(async {
        let scene = Scene::new().await;
        scene.by_password("PUT", "/users/me/api_keys/1", json!({"expires_at": end().to_string()})).await;
        assert_eq!(scene.status(&scene.key).await, 200);

        scene.test_app.set_clock(just_before_end());
        assert_eq!(scene.status(&scene.key).await, 200);
        scene.test_app.set_clock(end());
        assert_eq!(scene.status(&scene.key).await, 401);
    });
}

#[test]
fn a_former_value_is_refused_from_the_moment_of_its_end_on_though_it_is_cached() {
    System::new().block_on(async {
        let scene = Scene::new().await;
        let rotated = scene.by_password("POST", "/users/me/api_keys/1/rotate", json!({"overlap": 10})).await;
        let new = rotated["key"].as_str().unwrap();
        let shown = async || scene.by_password("GET", "/users/me/api_keys/1", Value::Null).await;
        let has_former_value = async || shown().await.get("former_value_expires_at").is_some();
        assert_eq!((scene.status(&scene.key).await, scene.status(new).await), (200, 200));

        scene.test_app.set_clock(just_before_end());
        assert_eq!((scene.status(&scene.key).await, scene.status(new).await), (200, 200));
        assert!(has_former_value().await);
        scene.test_app.set_clock(end());
        assert_eq!((scene.status(&scene.key).await, scene.status(new).await), (401, 200));
        assert!(!has_former_value().await);
    });
}

#[test]
fn a_request_that_was_admitted_before_the_end_writes_nothing_after_it() {
    System::new().block_on(async {
        let scene = Scene::new().await;
        scene.by_password("PUT", "/users/me/api_keys/1", json!({"expires_at": end().to_string()})).await;
        let caller = scene.caller(&scene.key, HERE).await.unwrap();

        scene.test_app.set_clock(end());

        assert!(matches!(write(caller).await, ServiceError::Auth(AuthError::Refused(_))));
    });
}

#[test]
fn a_request_that_was_admitted_by_the_value_before_a_rotation_goes_on_within_the_overlap_alone() {
    System::new().block_on(async {
        for (overlap, is_refused) in [(10, false), (0, true)] {
            let scene = Scene::new().await;
            let caller = scene.caller(&scene.key, HERE).await.unwrap();

            scene.by_password("POST", "/users/me/api_keys/1/rotate", json!({"overlap": overlap})).await;

            let failure = write(caller).await;
            assert_eq!(matches!(failure, ServiceError::Auth(AuthError::Refused(_))), is_refused, "{failure:?}");
            assert_eq!(matches!(failure, ServiceError::NotFound), !is_refused, "{failure:?}");
        }
    });
}

#[test]
fn a_request_that_was_admitted_before_the_limits_shrank_writes_nothing() {
    System::new().block_on(async {
        for limits in [json!({"expires_at": end().to_string()}), json!({"allowed_networks": ["127.0.0.0/8"]})] {
            let scene = Scene::new().await;
            let caller = scene.caller(&scene.key, HERE).await.unwrap();

            scene.by_password("PUT", "/users/me/api_keys/1", limits).await;

            let failure = write(caller).await;
            assert!(matches!(failure, ServiceError::Forbidden(Forbidden::LimitsReduced)), "{failure:?}");
        }
    });
}

#[test]
fn a_key_with_networks_is_forbidden_where_the_address_is_unknown_though_it_is_cached() {
    let scene = System::new().block_on(async {
        let scene = Scene::new().await;
        let everywhere = json!({"allowed_networks": ["0.0.0.0/0", "::/0"]});
        scene.by_password("PUT", "/users/me/api_keys/1", everywhere).await;
        assert!(scene.caller(&scene.key, HERE).await.is_ok());

        for unknown in ["0.0.0.0", "::"] {
            let refused = scene.caller(&scene.key, unknown.parse().unwrap()).await;
            assert!(matches!(refused.err(), Some(ServiceError::Forbidden(Forbidden::Network))), "{unknown}");
        }
        scene
    });
    let entries = scene.test_app.audit_entries();
    let refusals = entries.iter().filter(|event| event.action.name() == "credentials / check");
    assert_eq!(refusals.map(|event| event.count).sum::<u64>(), 2);
}
