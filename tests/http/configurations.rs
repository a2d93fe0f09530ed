//! Configurations: their attributes, and the ways to name one.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, ServerBuilder},
    http::expectations::{at_once, invalid},
};

const ALL: &str = "/users/me/configurations";

/// The path of a configuration by its key, with every byte escaped that may be.
fn by_key(key: &str) -> String {
    let escaped = key
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    format!("{ALL}/{}", escaped.collect::<String>())
}

fn by_id(configuration: &Value) -> String {
    format!("{ALL}/{}", configuration["id"])
}

fn create(client: &Client, key: &str, value: &str) -> Value {
    client.post(ALL, &json!({"key": key, "value": value})).expect(201).json()
}

fn taken(key: &str) -> Value {
    invalid("key", &json!({"error": "taken", "value": key}), "Key has already been taken")
}

#[test]
fn a_configuration_is_created_shown_listed_changed_and_removed() {
    let server = Server::start();
    let ann = server.user("ann");

    let created = create(&ann, "theme", "dark");
    let changed = ann.put(&by_id(&created), &json!({"key": "look", "value": "bright"})).expect(200).json();

    assert_eq!(created, json!({"id": 1, "key": "theme", "value": "dark"}));
    assert_eq!(changed, json!({"id": 1, "key": "look", "value": "bright"}));
    ann.get(&by_key("theme")).expect(404);
    assert_eq!(ann.get(&by_id(&created)).expect(200).json(), changed);
    assert_eq!(ann.get(&by_key("look")).expect(200).json(), changed);
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [changed], "count": 1}));
    ann.delete(&by_key("look")).expect(204);
    ann.get(&by_id(&created)).expect(404);
    ann.delete(&by_id(&created)).expect(404);
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [], "count": 0}));
}

#[test]
fn a_key_of_any_characters_names_its_configuration() {
    let server = Server::start();
    let ann = server.user("ann");
    let longest = "é".repeat(255);
    let keys = [
        "a/b",
        "a b",
        " ",
        "a.b.c",
        "...",
        "../..",
        "a+b",
        "%41",
        "%2F",
        "a%",
        "100%",
        "a?b#c",
        "a&b=c",
        "[x]",
        "a\\b",
        "a;b",
        "me",
        "-",
        "-1",
        "+1",
        "1.0",
        "1e1",
        "0x1",
        "1 ",
        "é",
        "e\u{301}",
        "日本語",
        "😀",
        "\u{202e}abc",
        "١٢",
        "\"'<>",
        &longest,
    ];
    for key in keys {
        let created = create(&ann, key, "old");

        let changed = ann.put(&by_key(key), &json!({"value": key})).expect(200).json();

        assert_eq!(changed, json!({"id": created["id"], "key": key, "value": key}));
        assert_eq!(ann.get(&by_key(key)).expect(200).json(), changed);
        assert_eq!(ann.get(&by_id(&created)).expect(200).json(), changed);
    }
    assert_eq!(ann.get("/users/me/configurations?limit=0").json()["count"], keys.len());
    for key in keys {
        ann.delete(&by_key(key)).expect(204);
    }
    assert_eq!(ann.get(ALL).json()["count"], 0);
}

#[test]
fn a_name_in_the_path_is_decoded_once_and_strictly() {
    let server = Server::start();
    let ann = server.user("ann");
    for key in ["%41", "A", "a+b", "a b", "...", ".a", "a.b", "%2F", "/", "a:b@c!$&'()*,;=~"] {
        create(&ann, key, key);
    }
    let found = [
        ("%2541", "%41"),
        ("A", "A"),
        ("%41", "A"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("a%2bb", "a+b"),
        ("a%20b", "a b"),
        ("...", "..."),
        ("%2E%2e.", "..."),
        (".a", ".a"),
        ("%2ea", ".a"),
        ("a.b", "a.b"),
        ("%252F", "%2F"),
        ("%2F", "/"),
        ("%2f", "/"),
        ("a:b@c!$&'()*,;=~", "a:b@c!$&'()*,;=~"),
    ];
    for (segment, key) in found {
        let shown = ann.get(&format!("{ALL}/{segment}")).expect(200).json();

        assert_eq!((&shown["key"], &shown["value"]), (&json!(key), &json!(key)), "{segment}");
    }
    for segment in ["%", "%4", "%4g", "%zz", "A%", "%ff", "%c3%28", "%c0%af", "%ed%a0%80", "%+1", "%252541", "a%252Bb"]
    {
        ann.get(&format!("{ALL}/{segment}")).expect(404);
    }
}

#[test]
fn a_name_of_digits_only_is_an_id() {
    let server = Server::start();
    let ann = server.user("ann");
    let first = create(&ann, "theme", "");
    for key in ["1", "2", "007", "99999999999999999999"] {
        create(&ann, key, "never found by its key");
    }

    let shown = ann.get(&format!("{ALL}/1")).expect(200).json();
    let escaped = ann.get(&format!("{ALL}/%31")).expect(200).json();

    assert_eq!((shown, escaped), (first.clone(), first));
    assert_eq!(ann.get(&format!("{ALL}/2")).expect(200).json()["key"], "1");
    for segment in ["007", "00", "0", "01", "99999999999999999999", "4294967297", "2147483648"] {
        ann.get(&format!("{ALL}/{segment}")).expect(404);
        ann.put(&format!("{ALL}/{segment}"), &json!({"value": "x"})).expect(404);
        ann.delete(&format!("{ALL}/{segment}")).expect(404);
    }
}

#[test]
fn the_configuration_of_another_user_is_reported_like_an_unknown_one() {
    let server = Server::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    let theme = create(&bob, "theme", "dark");
    let never = ann.get(&format!("{ALL}/999")).expect(404).json();
    let strange = ["0", "-1", "00", "+1", "1.0", "1e1", "0x1", "99999999999999999999", "%00", "1%20", "999", "never"];
    let strange = strange.map(|segment| format!("{ALL}/{segment}"));
    for client in [ann, server.admin(), server.key("admin", &["* / *"])] {
        for path in strange.iter().chain([&by_id(&theme), &by_key("theme")]) {
            let replies = [client.get(path), client.put(path, &json!({"value": "mine"})), client.delete(path)];

            for reply in replies {
                assert_eq!((reply.status, reply.json()), (404, never.clone()), "{path}");
            }
        }
    }
    assert_eq!(bob.get(&by_id(&theme)).expect(200).json(), theme);
}

#[test]
fn an_invalid_attribute_is_reported_and_nothing_is_created_or_changed() {
    let server = Server::start();
    let ann = server.user("ann");
    let theme = create(&ann, "theme", "dark");
    let invalid_key = |value: &str| json!({"error": "invalid", "value": value});
    let too_long = |count: usize| json!({"error": "too_long", "count": count});
    let wrong = [
        ("key", json!(""), json!({"error": "blank"}), "Key can't be blank"),
        ("key", json!(null), json!({"error": "blank"}), "Key can't be blank"),
        ("key", json!("é".repeat(256)), too_long(255), "Key is too long (maximum is 255 characters)"),
        ("key", json!("a\0"), invalid_key("a\0"), "Key is invalid"),
        ("key", json!("a\r\nb"), invalid_key("a\r\nb"), "Key is invalid"),
        ("key", json!("\u{7f}"), invalid_key("\u{7f}"), "Key is invalid"),
        ("key", json!("\u{85}"), invalid_key("\u{85}"), "Key is invalid"),
        ("key", json!("."), invalid_key("."), "Key is invalid"),
        ("key", json!(".."), invalid_key(".."), "Key is invalid"),
        ("key", json!(7), invalid_key("7"), "Key is invalid"),
        ("key", json!(["theme"]), invalid_key("[\"theme\"]"), "Key is invalid"),
        ("value", json!("x".repeat(65_537)), too_long(65_536), "Value is too long (maximum is 65536 bytes)"),
        ("value", json!("é".repeat(32_769)), too_long(65_536), "Value is too long (maximum is 65536 bytes)"),
        ("value", json!(7), json!({"error": "invalid"}), "Value is invalid"),
        ("value", json!(false), json!({"error": "invalid"}), "Value is invalid"),
        ("value", json!({"a": 1}), json!({"error": "invalid"}), "Value is invalid"),
    ];
    for (attribute, value, problem, message) in wrong {
        let mut whole = json!({"key": "another", "value": ""});
        whole[attribute] = value.clone();

        let created = ann.post(ALL, &whole);
        let updated = ann.put(&by_id(&theme), &json!({attribute: value}));

        let expected = invalid(attribute, &problem, message);
        assert_eq!((created.status, created.json()), (422, expected.clone()), "{whole}");
        assert_eq!((updated.status, updated.json()), (422, expected), "{attribute} {value}");
    }
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [theme], "count": 1}));
}

#[test]
fn all_violations_are_reported_at_once_in_the_order_of_the_attributes() {
    let server = Server::start();
    let ann = server.user("ann");
    create(&ann, "theme", "dark");

    let reply = ann.post(ALL, &json!({"value": "x".repeat(65_537), "key": "theme"})).expect(422);
    let nothing = ann.post(ALL, &json!({})).expect(422);

    let expected = json!({
        "details": {
            "key": [{"error": "taken", "value": "theme"}],
            "value": [{"error": "too_long", "count": 65_536}],
        },
        "messages": ["Key has already been taken", "Value is too long (maximum is 65536 bytes)"],
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(nothing.json(), invalid("key", &json!({"error": "blank"}), "Key can't be blank"));
}

#[test]
fn a_value_is_given_back_as_it_came() {
    let server = Server::start();
    let ann = server.user("ann");
    let controls = "\u{1}".repeat(65_536);
    let widest = "😀".repeat(16_384);
    let values = [
        "",
        "<script>alert(1)</script>",
        "{\"a\": [1, null]}",
        "\\ \" / \u{2028}",
        "a\0b\r\n\u{feff}",
        &widest,
        controls.as_str(),
    ];
    for (number, value) in values.into_iter().enumerate() {
        let key = format!("key-{number}");

        let created = create(&ann, &key, value);

        assert_eq!(created, json!({"id": number + 1, "key": key, "value": value}));
        assert!(ann.get(&by_key(&key)).expect(200).json() == created, "{key}");
        ann.put(&by_key(&key), &json!({"value": value})).expect(200);
    }
}

#[test]
fn a_value_is_empty_unless_given() {
    let server = Server::start();
    let ann = server.user("ann");

    let absent = ann.post(ALL, &json!({"key": "absent"})).expect(201).json();
    let null = ann.post(ALL, &json!({"key": "null", "value": null})).expect(201).json();
    let cleared = create(&ann, "cleared", "dark");
    let cleared = ann.put(&by_id(&cleared), &json!({"value": null})).expect(200).json();

    assert_eq!(absent, json!({"id": 1, "key": "absent", "value": ""}));
    assert_eq!(null, json!({"id": 2, "key": "null", "value": ""}));
    assert_eq!(cleared, json!({"id": 3, "key": "cleared", "value": ""}));
}

#[test]
fn an_absent_member_keeps_its_value_and_unknown_ones_are_ignored() {
    let server = Server::start();
    let ann = server.user("ann");
    let ignored = json!({"id": 77, "count": 5, "owner": 1, "user_id": 1, "__proto__": {}, "created_at": 7});
    let mut whole = ignored.clone();
    whole["key"] = json!("theme");
    whole["value"] = json!("dark");

    let theme = ann.post(ALL, &whole).expect(201).json();

    assert_eq!(theme, json!({"id": 1, "key": "theme", "value": "dark"}));
    for body in [&json!({}), &ignored, &theme, &json!({"key": "theme"}), &json!({"value": "dark"})] {
        assert_eq!(ann.put(&by_key("theme"), body).expect(200).json(), theme, "{body}");
    }
    let renamed = ann.put(&by_id(&theme), &json!({"key": "look"})).expect(200).json();
    assert_eq!(renamed, json!({"id": 1, "key": "look", "value": "dark"}));
    ann.get(&format!("{ALL}/77")).expect(404);
}

#[test]
fn a_key_is_unique_for_its_user_and_case_sensitive() {
    let server = Server::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    let theme = create(&ann, "theme", "dark");
    let other_case = create(&ann, "THEME", "loud");

    let created = ann.post(ALL, &json!({"key": "theme", "value": "bright"}));
    let renamed = ann.put(&by_id(&other_case), &json!({"key": "theme"}));

    assert_eq!((created.status, created.json()), (422, taken("theme")));
    assert_eq!((renamed.status, renamed.json()), (422, taken("theme")));
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [theme, other_case], "count": 2}));
    create(&bob, "theme", "his own");
    let swapped = ann.put(&by_id(&theme), &json!({"key": "Theme"})).expect(200).json();
    assert_eq!(ann.get(&by_key("Theme")).expect(200).json(), swapped);
    ann.get(&by_key("theme")).expect(404);
}

#[test]
fn of_many_who_create_one_key_at_once_exactly_one_succeeds() {
    let server = Server::start();
    let ann = server.session("ann");

    let replies = at_once(50, |number| ann.post(ALL, &json!({"key": "theme", "value": number.to_string()})));

    let (made, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(made.len(), 1);
    for reply in refused {
        assert_eq!((reply.status, reply.json()), (422, taken("theme")));
    }
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [made[0].json()], "count": 1}));
}

#[test]
fn the_number_of_a_users_configurations_is_bounded() {
    let server = ServerBuilder::new().flag("--max-configurations", "3").start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));

    let statuses = at_once(10, |number| ann.post(ALL, &json!({"key": format!("key-{number}")})).status);
    let refused = ann.post(ALL, &json!({"key": "more"}));

    let problem = json!({"error": "too_long", "count": 3});
    let mut expected = refused.json();
    expected["details"] = json!({"base": [problem]});
    assert_eq!((refused.status, refused.json()), (422, expected));
    assert_eq!(refused.json()["messages"].as_array().unwrap().len(), 1);
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 3);
    assert_eq!(ann.get(ALL).json()["count"], 3);
    let first = ann.get(ALL).json()["configurations"][0].clone();
    ann.put(&by_id(&first), &json!({"value": "still changes"})).expect(200);
    ann.delete(&by_id(&first)).expect(204);
    create(&ann, "more", "");
    create(&bob, "more", "");
}

#[test]
fn configurations_survive_a_restart_and_their_ids_are_never_used_again() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let theme = create(&ann, "theme/1", "dark");
    let last = create(&ann, "last", "");
    ann.delete(&by_id(&last)).expect(204);

    server.restart();

    let ann = server.user("ann");
    assert_eq!(ann.get(ALL).json(), json!({"configurations": [theme], "count": 1}));
    assert_eq!(ann.get(&by_key("theme/1")).expect(200).json(), theme);
    assert_eq!(ann.post(ALL, &json!({"key": "theme/1"})).expect(422).json(), taken("theme/1"));
    assert_eq!(create(&ann, "last", ""), json!({"id": 3, "key": "last", "value": ""}));
}
