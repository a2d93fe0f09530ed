//! Accounts: their attributes, and the violations of invalid ones.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Request, Server, basic},
    http::expectations::{at_once, invalid},
};

const PASSWORD: &str = "a long and fine one";

/// Makes an account with an attribute of every kind.
fn create_eve(admin: &Client) -> Value {
    let body = json!({"username": "eve", "password": PASSWORD, "email": "eve@home", "user_id": 7, "group_id": 8});
    admin.post("/users", &body).expect(201).json()
}

fn path_of(user: &Value) -> String {
    format!("/users/{}", user["id"])
}

#[track_caller]
fn assert_is_time(value: &Value) {
    let text = value.as_str().unwrap();
    let form: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(form, "0000-00-00T00:00:00.000Z", "{text}");
}

#[test]
fn a_user_is_shown_with_the_attributes_that_it_has_and_nothing_else() {
    let server = Server::start();
    let admin = server.admin();

    let ann = admin.post("/users", &json!({"username": "Ann", "password": PASSWORD})).expect(201).json();

    assert_is_time(&ann["created_at"]);
    let created_at = &ann["created_at"];
    let expected =
        json!({"id": 2, "username": "Ann", "is_admin": false, "created_at": created_at, "updated_at": created_at});
    assert_eq!(ann, expected);
    assert_eq!(admin.get("/users/2").expect(200).json(), ann);
    assert_eq!(server.with(&basic("Ann", PASSWORD)).get("/users/me").expect(200).json(), ann);
    assert_eq!(admin.get("/users?offset=1").json(), json!({"users": [ann], "count": 2}));
}

#[test]
fn a_user_has_every_attribute_that_it_was_given() {
    let server = Server::start();
    let max_email = format!("{}@b", "é".repeat(252));
    let given = [
        json!({"username": "Ann.B-c+d@e", "email": "ann@home", "user_id": 0, "group_id": 0, "is_admin": true}),
        json!({"username": "_", "email": max_email, "user_id": 2_147_483_647, "group_id": 7, "is_admin": false}),
        json!({"username": "b", "is_admin": true, "expired_at": "2300-01-01T00:00:00.000Z", "source_type": "cli_ldap"}),
        json!({"username": "c", "is_admin": false, "expired_at": "1970-01-01T00:00:00.001Z", "source_type": "web_app"}),
        json!({"username": "d", "is_admin": false, "suspended": true, "source_type": "cli_linux_multi_user"}),
        json!({"username": "7a", "email": "a@b", "user_id": 7, "group_id": 2_147_483_647, "is_admin": false}),
        json!({"username": "a".repeat(64), "email": "a@b", "user_id": 7, "group_id": 7, "is_admin": true}),
    ];
    for attributes in given {
        let mut body = attributes.clone();
        body["password"] = json!(PASSWORD);

        let user = server.admin().post("/users", &body).expect(201).json();

        let mut expected = attributes;
        for made in ["id", "created_at", "updated_at"] {
            expected[made] = user[made].clone();
        }
        assert_eq!(user, expected);
        assert_eq!(server.admin().get(&path_of(&user)).json(), expected);
    }
}

/// Invalid attributes of a user, each with the problem and the sentence that report it.
fn wrong_attributes() -> Vec<(&'static str, Value, Value, &'static str)> {
    let at_least_0 = json!({"error": "greater_than_or_equal_to", "count": 0});
    let at_most_2_31 = json!({"error": "less_than_or_equal_to", "count": 2_147_483_647});
    let too_long = |count: usize| json!({"error": "too_long", "count": count});
    let beyond_64 = "Username is too long (maximum is 64 characters)";
    let beyond_254 = "Email is too long (maximum is 254 characters)";
    let beyond_1024 = "Password is too long (maximum is 1024 bytes)";
    let user_beyond = "User must be less than or equal to 2147483647";
    let group_beyond = "Group must be less than or equal to 2147483647";
    let mut rows = vec![
        ("username", json!(""), json!({"error": "blank"}), "Username can't be blank"),
        ("username", json!(null), json!({"error": "blank"}), "Username can't be blank"),
        ("username", json!("a".repeat(65)), too_long(64), beyond_64),
        ("email", json!(format!("{}@b", "a".repeat(253))), too_long(254), beyond_254),
        ("email", json!(format!("{}@b", "a".repeat(398))), too_long(254), beyond_254),
        ("password", json!(""), json!({"error": "blank"}), "Password can't be blank"),
        (
            "password",
            json!("7 bytes"),
            json!({"error": "too_short", "count": 8}),
            "Password is too short (minimum is 8 bytes)",
        ),
        ("password", json!("Z".repeat(1025)), too_long(1024), beyond_1024),
        ("user_id", json!(-1), at_least_0.clone(), "User must be greater than or equal to 0"),
        ("group_id", json!(-1), at_least_0, "Group must be greater than or equal to 0"),
    ];
    for beyond in [1_u64 << 31, 1 << 32, 1 << 53] {
        rows.push(("user_id", json!(beyond), at_most_2_31.clone(), user_beyond));
        rows.push(("group_id", json!(beyond), at_most_2_31.clone(), group_beyond));
    }
    // A password is never repeated.
    for password in [json!("password"), json!("PassWord1"), json!("a\tb\tc\td\te"), json!(12_345_678), json!(["a"])] {
        rows.push(("password", password, json!({"error": "invalid"}), "Password is invalid"));
    }
    rows.extend(invalid_texts());
    rows.extend(invalid_types());
    rows
}

fn invalid_texts() -> impl Iterator<Item = (&'static str, Value, Value, &'static str)> {
    let usernames = ["12", "-a", ".a", "+a", "@a", "a b", " a", "a:b", "a/b", "a\0", "a\n", "é", "аdmin", "ａdmin"];
    let unseen = ["\u{202e}ann", "ann\u{200b}", "\u{feff}ann"];
    let emails = ["ann", "@", "ann@", "@home", "a@b@c", "a b@c", "a@b ", "a@b\r\n", "a@\u{a0}b"];
    let times = ["soon", "2300-01-01", "2300-02-29T00:00:00Z", "2300-01-01T00:00:00", "1969-12-31T23:59:59Z", "0"];
    let sources = ["web", "WEB_APP", "cli_ldap ", "unknown"];
    let problem = |text: &str| json!({"error": "invalid", "value": text});
    let newer = times.into_iter().map(|text| ("expired_at", text, "Expired at is invalid"));
    let newer = newer.chain(sources.map(|text| ("source_type", text, "Source type is invalid")));
    let newer = newer.map(move |(attribute, text, message)| (attribute, json!(text), problem(text), message));
    let usernames = usernames.into_iter().chain(unseen);
    let usernames = usernames.map(move |text| ("username", json!(text), problem(text), "Username is invalid"));
    newer
        .chain(usernames)
        .chain(emails.into_iter().map(move |text| ("email", json!(text), problem(text), "Email is invalid")))
}

fn invalid_types() -> impl Iterator<Item = (&'static str, Value, Value, &'static str)> {
    let row = |(attribute, value, message): (_, Value, _)| {
        let listed = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (attribute, value, json!({"error": "invalid", "value": listed}), message)
    };
    let rows = [
        ("username", json!(7), "Username is invalid"),
        ("username", json!(true), "Username is invalid"),
        ("username", json!(["ann"]), "Username is invalid"),
        ("username", json!({"name": "ann"}), "Username is invalid"),
        ("email", json!(7), "Email is invalid"),
        ("email", json!(false), "Email is invalid"),
        ("email", json!(["a@b"]), "Email is invalid"),
        ("user_id", json!("7"), "User is invalid"),
        ("user_id", json!(1.5), "User is invalid"),
        ("user_id", json!(true), "User is invalid"),
        ("group_id", json!("7"), "Group is invalid"),
        ("group_id", json!([7]), "Group is invalid"),
        ("is_admin", json!("true"), "Is admin is invalid"),
        ("is_admin", json!(""), "Is admin is invalid"),
        ("is_admin", json!(1), "Is admin is invalid"),
        ("is_admin", json!({}), "Is admin is invalid"),
        ("expired_at", json!(4_102_444_800_u64), "Expired at is invalid"),
        ("expired_at", json!(false), "Expired at is invalid"),
        ("suspended", json!(7), "Suspended is invalid"),
        ("suspended", json!(""), "Suspended is invalid"),
        ("source_type", json!(0), "Source type is invalid"),
        ("source_type", json!(["web_app"]), "Source type is invalid"),
    ];
    rows.into_iter().map(row)
}

#[test]
fn an_invalid_attribute_is_reported_and_nothing_is_created_or_changed() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);
    for (attribute, value, problem, message) in wrong_attributes() {
        let mut whole = json!({"username": "bob", "password": PASSWORD});
        whole[attribute] = value.clone();

        let created = admin.post("/users", &whole);
        let updated = admin.put(&path_of(&eve), &json!({attribute: value}));

        let expected = invalid(attribute, &problem, message);
        assert_eq!((created.status, created.json()), (422, expected.clone()), "{whole}");
        assert_eq!((updated.status, updated.json()), (422, expected), "{attribute} {value}");
    }
    assert_eq!(admin.get("/users?offset=1").json(), json!({"users": [eve], "count": 2}));
}

#[test]
fn a_uid_is_a_plain_integer_and_never_wraps() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);
    for attribute in ["user_id", "group_id"] {
        for wrong in ["-2147483648", "4294967303", "18446744073709551616", "18446744073709551623", "1e3", "7.5", "-1e9"]
        {
            let body = format!("{{\"{attribute}\": {wrong}}}");

            let reply = admin.send(&Request::new("PUT", &path_of(&eve)).json_bytes(body)).expect(422);

            let details = reply.json()["details"].clone();
            let listed: Vec<_> = details.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(listed, [attribute], "{wrong}");
        }
    }
    assert_eq!(admin.get(&path_of(&eve)).json(), eve);
}

#[test]
fn all_violations_are_reported_at_once_in_the_order_of_the_attributes() {
    let server = Server::start();
    let everything_wrong = json!({
        "is_admin": "yes", "email": "nowhere", "password": "short", "username": "ADMIN",
        "group_id": 1_u64 << 31, "user_id": -1
    });

    let reply = server.admin().post("/users", &everything_wrong).expect(422);
    let nothing = server.admin().post("/users", &json!({})).expect(422);

    let expected = json!({
        "details": {
            "user_id": [{"error": "greater_than_or_equal_to", "count": 0}],
            "group_id": [{"error": "less_than_or_equal_to", "count": 2_147_483_647}],
            "username": [{"error": "taken", "value": "ADMIN"}],
            "password": [{"error": "too_short", "count": 8}],
            "email": [{"error": "invalid", "value": "nowhere"}],
            "is_admin": [{"error": "invalid", "value": "yes"}],
        },
        "messages": [
            "User must be greater than or equal to 0",
            "Group must be less than or equal to 2147483647",
            "Username has already been taken",
            "Password is too short (minimum is 8 bytes)",
            "Email is invalid",
            "Is admin is invalid",
        ],
    });
    assert_eq!(reply.json(), expected);
    let blank = json!({
        "details": {"username": [{"error": "blank"}], "password": [{"error": "blank"}]},
        "messages": ["Username can't be blank", "Password can't be blank"],
    });
    assert_eq!(nothing.json(), blank);
}

#[test]
fn a_password_is_of_characters_of_any_kind() {
    let server = Server::start();
    let longest = "Z".repeat(1024);
    let passwords = ["8 bytes.", "éàüö", " 😀 leading and trailing ", "with:a:colon", longest.as_str()];
    for (number, password) in passwords.into_iter().enumerate() {
        let username = format!("user-{number}");

        server.admin().post("/users", &json!({"username": username, "password": password})).expect(201);

        server.with(&basic(&username, password)).get("/users/me").expect(200);
        server
            .with(&basic(&username, password.trim_end_matches(['.', 'ö', ' ', 'n', 'Z'])))
            .get("/users/me")
            .expect(401);
    }
}

#[test]
fn a_password_is_not_the_user_name() {
    let server = Server::start();
    let eve = create_eve(&server.admin());

    let created = server.admin().post("/users", &json!({"username": "Longfellow", "password": "lONGfellow"}));
    let updated = server.admin().put(&path_of(&eve), &json!({"username": "Longfellow", "password": "longfellow"}));

    let expected = invalid("password", &json!({"error": "invalid"}), "Password is invalid");
    assert_eq!((created.status, created.json()), (422, expected.clone()));
    assert_eq!((updated.status, updated.json()), (422, expected));
}

#[test]
fn null_or_an_empty_text_clears_an_optional_attribute() {
    let server = Server::start();
    let admin = server.admin();
    for (number, nothing) in [json!(null), json!("")].into_iter().enumerate() {
        let cleared = json!({
            "email": nothing, "user_id": nothing, "group_id": nothing, "expired_at": nothing, "source_type": nothing
        });
        let end = "2300-01-01T00:00:00.000Z";
        let given = json!({
            "email": "a@b", "user_id": 7, "group_id": 8, "expired_at": end, "source_type": "cli_ldap"
        });
        let mut whole = cleared.clone();
        whole["username"] = json!(format!("user-{number}"));
        whole["password"] = json!(PASSWORD);

        let created = admin.post("/users", &whole).expect(201).json();
        let updated = admin.put(&path_of(&created), &given).expect(200).json();
        let again = admin.put(&path_of(&created), &cleared).expect(200).json();

        assert_eq!((&updated["email"], &updated["expired_at"]), (&json!("a@b"), &json!(end)));
        for user in [created, again] {
            let names: Vec<_> = user.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, ["id", "username", "is_admin", "created_at", "updated_at"], "{nothing}");
        }
    }
}

#[test]
fn null_or_false_ends_a_suspension() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);
    for nothing in [json!(null), json!(false)] {
        let suspended = admin.put(&path_of(&eve), &json!({"suspended": true})).expect(200).json();
        assert_eq!(suspended["suspended"], true);
        assert_eq!(admin.put(&path_of(&eve), &json!({"email": "a@b"})).expect(200).json()["suspended"], true);

        let resumed = admin.put(&path_of(&eve), &json!({"suspended": nothing})).expect(200).json();

        assert_eq!(resumed.get("suspended"), None);
    }
}

#[test]
fn activity_is_answered_on_request_alone() {
    let server = Server::start();
    let (ann, path) = (server.user("ann"), format!("/users/{}", server.id_of("ann")));
    let plain = ann.get("/users/me").expect(200).json();
    assert_eq!(ann.get("/users/me?include=activity").expect(200).json(), plain, "nobody has signed in");

    server.session("ann");

    for (client, path) in [(&ann, "/users/me"), (&ann, path.as_str()), (&server.admin(), path.as_str())] {
        let mut with_activity = client.get(&format!("{path}?include=activity")).expect(200).json();
        let signed_in = with_activity.as_object_mut().unwrap().remove("last_sign_in_at").unwrap();
        assert_is_time(&signed_in);
        assert!(signed_in.as_str().unwrap().ends_with(":00.000Z"), "{signed_in}");
        assert_eq!(with_activity, plain);
        assert_eq!(client.get(path).expect(200).json(), plain);
        assert_eq!(client.get(&format!("{path}?include=other")).expect(200).json(), plain);
    }
}

#[test]
fn an_end_is_answered_in_utc_with_milliseconds_however_it_was_given() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);
    for given in ["2300-01-01T00:00:00Z", "2300-01-01T01:30:00.0004+01:30", "2299-12-31t16:00:00.000-08:00"] {
        let updated = admin.put(&path_of(&eve), &json!({"expired_at": given})).expect(200).json();

        assert_eq!(updated["expired_at"], "2300-01-01T00:00:00.000Z", "{given}");
    }
}

#[test]
fn null_for_is_admin_is_false() {
    let server = Server::start();
    let body = json!({"username": "eve", "password": PASSWORD, "is_admin": null});
    let eve = server.admin().post("/users", &body).expect(201).json();
    let promoted = server.admin().put(&path_of(&eve), &json!({"is_admin": true})).expect(200).json();

    let demoted = server.admin().put(&path_of(&eve), &json!({"is_admin": null})).expect(200).json();

    let listed = [&eve, &promoted, &demoted].map(|user| user["is_admin"].clone());
    assert_eq!(listed, [json!(false), json!(true), json!(false)]);
}

#[test]
fn a_null_password_is_blank_on_create_and_keeps_the_old_one_on_update() {
    let server = Server::start();
    let eve = create_eve(&server.admin());

    let created = server.admin().post("/users", &json!({"username": "bob", "password": null})).expect(422);
    let updated = server.admin().put(&path_of(&eve), &json!({"password": null})).expect(200);

    assert_eq!(created.json(), invalid("password", &json!({"error": "blank"}), "Password can't be blank"));
    assert_eq!(updated.json(), eve);
    server.with(&basic("eve", PASSWORD)).get("/users/me").expect(200);
}

#[test]
fn a_record_that_is_sent_back_as_it_was_read_changes_nothing() {
    let server = Server::start();
    let eve = create_eve(&server.admin());
    let herself = server.with(&basic("eve", PASSWORD));
    for (client, body) in [(server.admin(), &eve), (herself.clone(), &eve), (server.admin(), &json!({}))] {
        let updated = client.put(&path_of(&eve), body).expect(200).json();

        assert_eq!(updated, eve);
        assert_eq!(client.get(&path_of(&eve)).json(), eve);
    }
    assert_eq!(herself.put(&path_of(&eve), &json!({})).expect(200).json(), eve);
}

#[test]
fn a_change_moves_updated_at_and_keeps_every_absent_member() {
    let server = Server::start();
    let eve = create_eve(&server.admin());

    let updated = server.admin().put(&path_of(&eve), &json!({"password": "another fine one"})).expect(200).json();

    assert_is_time(&updated["updated_at"]);
    assert!(updated["updated_at"].as_str() > eve["updated_at"].as_str(), "{updated}");
    let mut expected = eve;
    expected["updated_at"] = updated["updated_at"].clone();
    assert_eq!(updated, expected);
}

#[test]
fn unknown_and_read_only_members_are_ignored() {
    let server = Server::start();
    let admin = server.admin();
    let ignored = json!({
        "id": 77, "key": "k", "count": 9, "created_at": "2001-01-01T00:00:00.000Z", "updated_at": 7,
        "password_hash": "x", "scopes": ["*"], "__proto__": {"is_admin": true}, "constructor": null,
        "role": "admin", "user": {"is_admin": true},
    });
    let mut whole = ignored.clone();
    whole["username"] = json!("eve");
    whole["password"] = json!(PASSWORD);

    let created = admin.post("/users", &whole).expect(201).json();
    let updated = admin.put(&path_of(&created), &ignored).expect(200).json();
    let by_oneself = server.with(&basic("eve", PASSWORD)).put(&path_of(&created), &ignored).expect(200).json();

    let created_at = &created["created_at"];
    assert_ne!(created_at, &ignored["created_at"]);
    let expected =
        json!({"id": 2, "username": "eve", "is_admin": false, "created_at": created_at, "updated_at": created_at});
    assert_eq!([created, updated, by_oneself], [expected.clone(), expected.clone(), expected]);
}

#[test]
fn a_user_name_is_unique_without_regard_to_case() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);
    for taken in ["admin", "ADMIN", "Admin"] {
        let created = admin.post("/users", &json!({"username": taken, "password": PASSWORD}));
        let renamed = admin.put(&path_of(&eve), &json!({"username": taken}));

        let problem = json!({"error": "taken", "value": taken});
        let expected = invalid("username", &problem, "Username has already been taken");
        assert_eq!((created.status, created.json()), (422, expected.clone()));
        assert_eq!((renamed.status, renamed.json()), (422, expected));
    }
}

#[test]
fn a_user_may_be_renamed_to_its_own_name_in_another_case() {
    let server = Server::start();
    let eve = create_eve(&server.admin());

    let renamed = server.admin().put(&path_of(&eve), &json!({"username": "EVE"})).expect(200).json();

    assert_eq!(renamed["username"], "EVE");
    assert_eq!(server.with(&basic("Eve", PASSWORD)).get("/users/me").expect(200).json(), renamed);
}

#[test]
fn a_renamed_user_leaves_its_old_name_to_others() {
    let server = Server::start();
    let admin = server.admin();
    let eve = create_eve(&admin);

    admin.put(&path_of(&eve), &json!({"username": "bob"})).expect(200);

    server.with(&basic("eve", PASSWORD)).get("/users/me").expect(401);
    assert_eq!(server.with(&basic("bob", PASSWORD)).get("/users/me").expect(200).id(), 2);
    assert_eq!(create_eve(&admin)["id"], 3);
}

#[test]
fn of_many_who_create_one_name_at_once_exactly_one_succeeds() {
    let server = Server::start();
    let admin = server.session("admin");
    let spelled = ["ann", "Ann", "ANN"];

    let replies = at_once(100, |number| {
        admin.post("/users", &json!({"username": spelled[number % spelled.len()], "password": PASSWORD}))
    });

    let (made, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 201);
    assert_eq!(made.len(), 1);
    // A hash is computed for each name that is still free, and only so many may wait for theirs.
    assert!(refused.iter().all(|reply| [422, 503].contains(&reply.status)));
    assert_eq!(admin.get("/users?offset=1").json(), json!({"users": [made[0].json()], "count": 2}));
}

#[test]
fn an_id_is_never_used_again_even_after_a_restart() {
    let mut server = Server::start();
    let last = create_eve(&server.admin());
    server.admin().delete(&path_of(&last)).expect(204);
    let next = create_eve(&server.admin());
    server.admin().delete(&path_of(&next)).expect(204);

    server.restart();
    let after_restart = create_eve(&server.admin());

    assert_eq!([&last, &next, &after_restart].map(|user| user["id"].clone()), [json!(2), json!(3), json!(4)]);
    server.admin().get("/users/2").expect(404);
}
