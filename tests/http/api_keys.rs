//! API keys: their attributes, their life, and that they are not readable in the store.

use std::{fs, path::Path};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, ServerBuilder},
    http::expectations::{at_once, invalid},
};

pub const ALL: &str = "/users/me/api_keys";

/// A key as its creation returned it.
pub struct Key {
    pub created: Value,
    /// A client with the key.
    pub client: Client,
}

impl Key {
    /// Makes a key of the client's, with these scopes.
    #[track_caller]
    pub fn create(owner: &Client, allowed: &[&str]) -> Self {
        Self::from_body(owner, &json!({"api_key_scopes": scopes(allowed)}))
    }

    #[track_caller]
    pub fn from_body(owner: &Client, body: &Value) -> Self {
        let created = owner.post(ALL, body).expect(201).json();
        let client = owner.with(created["key"].as_str().unwrap());
        Self { created, client }
    }

    pub fn path(&self) -> String {
        format!("{ALL}/{}", self.created["id"])
    }

    pub fn text(&self) -> &str {
        self.created["key"].as_str().unwrap()
    }

    /// The key as it is shown to a caller who must not see it.
    pub fn masked(&self) -> Value {
        let mut masked = self.created.clone();
        masked["key"] = json!(format!("lodge_********{}", &self.text()[self.text().len() - 4..]));
        masked
    }
}

/// Scopes as the API shows them, each given as `controller / action`.
pub fn scopes(allowed: &[&str]) -> Value {
    let halves = allowed.iter().map(|scope| scope.split_once(" / ").unwrap());
    halves.map(|(controller, action)| json!({"controller": controller, "action": action})).collect()
}

/// The key as it is in the list: without its scopes.
pub fn listed(created: &Value) -> Value {
    let mut listed = created.clone();
    listed.as_object_mut().unwrap().remove("api_key_scopes");
    listed
}

#[test]
fn a_key_is_created_shown_listed_changed_and_removed() {
    let server = Server::start();
    let ann = server.user("ann");
    let body = json!({"name": "backup", "api_key_scopes": scopes(&["users / show", "files / *"])});

    let key = Key::from_body(&ann, &body);
    let changed = ann.put(&key.path(), &json!({"name": "copy", "api_key_scopes": scopes(&["users / *"])})).expect(200);

    let text = key.text();
    let expected =
        json!({"id": 1, "key": text, "name": "backup", "api_key_scopes": scopes(&["users / show", "files / *"])});
    assert_eq!(key.created, expected);
    let expected = json!({"id": 1, "key": text, "name": "copy", "api_key_scopes": scopes(&["users / *"])});
    assert_eq!(changed.json(), expected);
    assert_eq!(ann.get(&key.path()).expect(200).json(), expected);
    let listed = json!({"id": 1, "key": text, "name": "copy"});
    assert_eq!(ann.get(ALL).json(), json!({"api_keys": [listed], "count": 1}));
    ann.delete(&key.path()).expect(204);
    ann.get(&key.path()).expect(404);
    ann.delete(&key.path()).expect(404);
    assert_eq!(ann.get(ALL).json(), json!({"api_keys": [], "count": 0}));
}

#[test]
fn a_key_has_the_prefix_and_url_safe_characters_and_no_two_are_alike() {
    let server = Server::start();
    let ann = server.session("ann");

    let keys: Vec<_> = (0..20).map(|_| Key::create(&ann, &[])).collect();

    let mut texts: Vec<_> = keys.iter().map(|key| key.text().to_owned()).collect();
    for text in &texts {
        let rest = text.strip_prefix("lodge_").unwrap();
        assert!(rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{text}");
    }
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), 20);
}

#[test]
fn a_name_is_optional_and_of_any_characters() {
    let server = Server::start();
    let ann = server.user("ann");
    let longest = "é".repeat(255);
    for name in ["a", " ", "😀", "\u{202e}abc", "<b>", "日本語", "a", longest.as_str()] {
        let key = Key::from_body(&ann, &json!({"name": name}));

        assert_eq!(
            key.created,
            json!({"id": key.created["id"], "key": key.text(), "name": name, "api_key_scopes": []})
        );
        assert_eq!(ann.get(&key.path()).expect(200).json(), key.created);
    }
    for body in [json!({}), json!({"name": null}), json!({"name": ""})] {
        let key = Key::from_body(&ann, &body);

        let nameless = json!({"id": key.created["id"], "key": key.text(), "api_key_scopes": []});
        assert_eq!(key.created, nameless, "{body}");
        ann.put(&key.path(), &json!({"name": "soon gone"})).expect(200);
        let expected = if body == json!({}) { json!("soon gone") } else { json!(null) };
        assert_eq!(ann.put(&key.path(), &body).expect(200).json()["name"], expected, "{body}");
    }
}

#[test]
fn an_invalid_attribute_is_reported_and_nothing_is_created_or_changed() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::from_body(&ann, &json!({"name": "backup", "api_key_scopes": scopes(&["users / show"])}));
    let distinct: Vec<_> = (0..257).map(|number| format!("files / action_{number}")).collect();
    let distinct: Vec<_> = distinct.iter().map(String::as_str).collect();
    let invalid_as = |value: &str| json!({"error": "invalid", "value": value});
    let wrong = [
        (
            "name",
            json!("é".repeat(256)),
            json!({"error": "too_long", "count": 255}),
            "Name is too long (maximum is 255 characters)",
        ),
        ("name", json!("a\0"), invalid_as("a\0"), "Name is invalid"),
        ("name", json!("a\r\nb"), invalid_as("a\r\nb"), "Name is invalid"),
        ("name", json!(7), invalid_as("7"), "Name is invalid"),
        ("name", json!(["a"]), invalid_as("[\"a\"]"), "Name is invalid"),
        (
            "api_key_scopes",
            scopes(&distinct),
            json!({"error": "too_long", "count": 256}),
            "Api key scopes is too long (maximum is 256 characters)",
        ),
        ("api_key_scopes", json!("*"), invalid_as("*"), "Api key scopes is invalid"),
        ("api_key_scopes", json!(""), invalid_as(""), "Api key scopes is invalid"),
        ("api_key_scopes", json!({}), invalid_as("{}"), "Api key scopes is invalid"),
        ("api_key_scopes", json!(7), invalid_as("7"), "Api key scopes is invalid"),
    ];
    for (attribute, value, problem, message) in wrong {
        let created = ann.post(ALL, &json!({attribute: value}));
        let updated = ann.put(&key.path(), &json!({attribute: value}));

        let expected = invalid(attribute, &problem, message);
        assert_eq!((created.status, created.json()), (422, expected.clone()), "{attribute} {value}");
        assert_eq!((updated.status, updated.json()), (422, expected), "{attribute} {value}");
    }
    assert_eq!(ann.get(&key.path()).json(), key.created);
    assert_eq!(ann.get(ALL).json()["count"], 1);
    Key::create(&ann, &distinct[..256]);
}

#[test]
fn a_malformed_scope_is_refused() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show"]);
    let long = "a".repeat(65);
    let words =
        ["", " ", " users", "users ", "Users", "users/", "us-ers", "1users", "_users", "**", "u*", "é", "users\0"];
    let halves = words.into_iter().chain([long.as_str()]).flat_map(|word| {
        [json!({"controller": word, "action": "show"}), json!({"controller": "users", "action": word})]
    });
    let shapes = [
        json!("users / show"),
        json!(null),
        json!(7),
        json!([]),
        json!(["users", "show"]),
        json!({}),
        json!({"controller": "users"}),
        json!({"action": "show"}),
        json!({"controller": "users", "action": null}),
        json!({"controller": 7, "action": "show"}),
        json!({"controller": ["users"], "action": "show"}),
        json!({"Controller": "users", "Action": "show"}),
    ];
    for scope in halves.chain(shapes) {
        let body = json!({"api_key_scopes": [{"controller": "files", "action": "index"}, scope]});

        let replies = [ann.post(ALL, &body), ann.put(&key.path(), &body)];

        for reply in replies {
            let problem = json!({"error": "invalid", "value": body["api_key_scopes"].to_string()});
            let expected = invalid("api_key_scopes", &problem, "Api key scopes is invalid");
            assert_eq!((reply.status, reply.json()), (422, expected), "{body}");
        }
    }
    assert_eq!(ann.get(&key.path()).json(), key.created);
    assert_eq!(ann.get(ALL).json()["count"], 1);
}

#[test]
fn scopes_known_here_or_not_are_kept_and_duplicates_merged() {
    let server = Server::start();
    let ann = server.user("ann");
    let longest = format!("{0} / {0}", "a".repeat(64));
    let given = ["files / index", "* / index", "files / *", "* / *", "a1_ / z_9", longest.as_str()];
    let twice: Vec<_> = given.into_iter().chain(given).collect();
    let with_more = json!([{"controller": "files", "action": "index", "id": 7, "name": null}]);

    let key = Key::create(&ann, &twice);
    let updated = ann.put(&key.path(), &json!({"api_key_scopes": scopes(&twice)})).expect(200).json();
    let with_unknown_members = ann.post(ALL, &json!({"api_key_scopes": with_more})).expect(201).json();

    assert_eq!(key.created["api_key_scopes"], scopes(&given));
    assert_eq!(updated, key.created);
    assert_eq!(with_unknown_members["api_key_scopes"], scopes(&["files / index"]));
}

#[test]
fn absent_scopes_are_kept_and_given_ones_replace_them() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show", "files / index"]);
    let steps = [
        (json!({}), scopes(&["users / show", "files / index"])),
        (json!({"name": "n"}), scopes(&["users / show", "files / index"])),
        (json!({"api_key_scopes": scopes(&["users / index"])}), scopes(&["users / index"])),
        (json!({"api_key_scopes": []}), json!([])),
        (json!({}), json!([])),
        (json!({"api_key_scopes": scopes(&["* / *"])}), scopes(&["* / *"])),
        (json!({"api_key_scopes": null}), json!([])),
    ];
    for (body, expected) in steps {
        let updated = ann.put(&key.path(), &body).expect(200).json();

        assert_eq!(updated["api_key_scopes"], expected, "{body}");
        assert_eq!(ann.get(&key.path()).json(), updated);
    }
}

#[test]
fn scopes_that_are_taken_from_a_key_are_gone_at_once() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show"]);
    key.client.get("/users/me").expect(200);

    ann.put(&key.path(), &json!({"api_key_scopes": []})).expect(200);

    let refused = key.client.get("/users/me").expect(403);
    assert_eq!(refused.json(), json!({"error": "This API key lacks the scope users / show."}));
}

#[test]
fn unknown_and_read_only_members_are_ignored() {
    let server = Server::start();
    let ann = server.user("ann");
    let ignored = json!({
        "id": 77, "key": "lodge_mine", "count": 5, "created_at": "x", "user_id": 1,
        "digest": "x", "owner": 1, "expires_at": null
    });

    let key = Key::from_body(&ann, &ignored);
    let updated = ann.put(&key.path(), &ignored).expect(200).json();
    let sent_back = ann.put(&key.path(), &key.created).expect(200).json();

    assert_eq!(key.created, json!({"id": 1, "key": key.text(), "api_key_scopes": []}));
    assert_ne!(key.text(), "lodge_mine");
    assert_eq!((&updated, &sent_back), (&key.created, &key.created));
}

#[test]
fn the_number_of_a_users_keys_is_bounded() {
    let server = ServerBuilder::new().flag("--max-api-keys", "2").start();
    let (ann, bob) = (server.session("ann"), server.session("bob"));

    let statuses = at_once(10, |_| ann.post(ALL, &json!({})).status);
    let refused = ann.post(ALL, &json!({})).expect(422).json();

    assert_eq!(refused["details"], json!({"base": [{"error": "too_long", "count": 2}]}));
    assert_eq!(refused["messages"].as_array().unwrap().len(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2);
    let first = ann.get(ALL).json()["api_keys"][0]["id"].clone();
    ann.delete(&format!("{ALL}/{first}")).expect(204);
    Key::create(&ann, &[]);
    Key::create(&bob, &[]);
}

#[test]
fn the_key_of_another_user_is_reported_like_an_unknown_one() {
    let server = Server::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    let key = Key::create(&bob, &["users / show"]);
    let never = ann.get(&format!("{ALL}/999")).expect(404).json();
    let strange =
        ["0", "-1", "00", "01", "+1", "1.0", "1e1", "0x1", "99999999999999999999", "2147483648", "%00", "1%20"];
    let strange = strange.map(|segment| format!("{ALL}/{segment}"));
    for client in [ann, server.admin(), server.key("admin", &["api_keys / *"])] {
        for path in strange.iter().chain([&key.path()]) {
            let replies = [client.get(path), client.put(path, &json!({"name": "mine"})), client.delete(path)];

            for reply in replies {
                assert_eq!((reply.status, reply.json()), (404, never.clone()), "{path}");
            }
        }
    }
    assert_eq!(bob.get(&key.path()).expect(200).json(), key.created);
}

#[test]
fn a_removed_key_is_refused_at_once() {
    let server = Server::start();
    let ann = server.user("ann");
    let (key, other) = (Key::create(&ann, &["users / show"]), Key::create(&ann, &["users / show"]));
    key.client.get("/users/me").expect(200);

    ann.delete(&key.path()).expect(204);

    key.client.get("/users/me").expect(401);
    other.client.get("/users/me").expect(200);
}

#[test]
fn the_keys_of_a_removed_user_are_refused() {
    let server = Server::start();
    let key = Key::create(&server.user("ann"), &["users / show"]);

    server.admin().delete(&format!("/users/{}", server.id_of("ann"))).expect(204);

    key.client.get("/users/me").expect(401);
}

#[test]
fn a_mistyped_key_is_refused() {
    let server = Server::start();
    let key = Key::create(&server.user("ann"), &["users / show"]);
    let text = key.text();
    let body = text.strip_prefix("lodge_").unwrap();
    let swapped_case: String = body
        .chars()
        .map(|c| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    let mistyped = [
        text.to_uppercase(),
        text.to_lowercase(),
        format!("lodge_{swapped_case}"),
        format!("LODGE_{body}"),
        format!("Lodge_{body}"),
        format!("{text}="),
        format!("{text}A"),
        text[..text.len() - 1].to_owned(),
        key.masked()["key"].as_str().unwrap().to_owned(),
        "lodge_".to_owned(),
        body.to_owned(),
    ];
    for wrong in mistyped {
        server.with(&wrong).get("/users/me").expect(401);
        server.with(&format!("Bearer {wrong}")).get("/users/me").expect(401);
    }
    server.with(&format!("Bearer {text}")).get("/users/me").expect(200);
}

#[test]
fn keys_survive_a_restart_and_their_ids_are_never_used_again() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let (key, last) = (Key::create(&ann, &["users / show"]), Key::create(&ann, &[]));
    ann.delete(&last.path()).expect(204);

    server.restart();

    let ann = server.user("ann");
    assert_eq!(ann.get(&key.path()).expect(200).json(), key.created);
    server.with(key.text()).get("/users/me").expect(200);
    assert_eq!(Key::create(&ann, &[]).created["id"], 3);
}

#[test]
fn a_key_outlives_a_change_of_its_owners_password() {
    let server = Server::start();
    let key = Key::create(&server.user("ann"), &["users / show"]);
    let path = format!("/users/{}", server.id_of("ann"));

    server.user("ann").put(&path, &json!({"password": "she moved to town"})).expect(200);

    key.client.get("/users/me").expect(200);
}

#[test]
fn no_file_of_the_store_has_a_key_or_its_secret_part() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let key = Key::from_body(&ann, &json!({"name": "the marked one", "api_key_scopes": scopes(&["users / show"])}));
    server.with(key.text()).get("/users/me").expect(200);
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&key.text()["lodge_".len()..]).unwrap();
    let secret = &bytes[16..48];
    let hexadecimal: Vec<u8> = secret.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    // From the 23rd character on, the text is of the secret part alone.
    let written = &key.text()["lodge_".len() + 22.."lodge_".len() + 64];
    let forms = [
        secret.to_vec(),
        secret[..16].to_vec(),
        secret[16..].to_vec(),
        written.as_bytes().to_vec(),
        BASE64_STANDARD.encode(secret).as_bytes()[..42].to_vec(),
        BASE64_URL_SAFE_NO_PAD.encode(secret).as_bytes()[..42].to_vec(),
        hexadecimal.to_ascii_uppercase(),
        hexadecimal,
    ];

    assert!(server.stop().success());
    let stored = contents(&server.data_dir().join("store"));

    assert!(has(&stored, b"the marked one"), "the store is looked for in the wrong place");
    for form in forms {
        assert!(!has(&stored, &form), "{}", String::from_utf8_lossy(&form));
    }
    assert!(!server.log().contains(written));
}

fn contents(path: &Path) -> Vec<Vec<u8>> {
    if path.is_file() {
        return vec![fs::read(path).unwrap()];
    }
    fs::read_dir(path).unwrap().flat_map(|entry| contents(&entry.unwrap().path())).collect()
}

fn has(files: &[Vec<u8>], wanted: &[u8]) -> bool {
    files.iter().any(|file| file.windows(wanted.len()).any(|window| window == wanted))
}
