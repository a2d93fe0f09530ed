//! User name and password on every request, and the API keys that clients send in their stead.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::harness::{ADMIN_PASSWORD, Request, Server, ServerBuilder, basic, password_of};

/// The `Authorization` header of these very bytes.
fn encoded(bytes: &[u8]) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(bytes))
}

fn status(server: &Server, authorization: &str) -> u16 {
    server.with(authorization).get("/users/me").status
}

fn make(server: &Server, username: &str, password: &str) {
    server.admin().post("/users", &json!({"username": username, "password": password})).expect(201);
}

/// The whole key of that user, with those scopes, as text.
fn key_of(server: &Server, username: &str, scopes: &[&str]) -> String {
    server.key(username, scopes).authorization.expect("a key is a credential")
}

#[test]
fn the_right_password_is_admitted_by_a_scheme_in_any_case() {
    let server = Server::start();
    let me = server.admin().get("/users/me").json();
    let right = basic("admin", ADMIN_PASSWORD);

    for scheme in ["Basic ", "basic ", "BASIC ", "bAsIc ", "Basic    "] {
        let reply = server.with(&right.replace("Basic ", scheme)).get("/users/me");
        assert_eq!((reply.status, reply.json()), (200, me.clone()), "{scheme:?}");
    }
}

#[test]
fn white_space_inside_the_base64_is_ignored() {
    let server = Server::start();
    let (username, password) =
        ("folding", "a password that is long enough for a line of base64 to be folded by its client");
    make(&server, username, password);
    let right = basic(username, password);
    let (line, rest) = right.split_at("Basic ".len() + 76);

    for folded in [format!("{line} {rest}"), format!("{line}\t {rest}"), right.replace('=', " =")] {
        assert_eq!(status(&server, &folded), 200, "{folded}");
    }
    assert_eq!(status(&server, &format!("{line} x{rest}")), 401);
}

#[test]
fn the_name_is_matched_without_regard_to_case_and_the_password_with() {
    let server = Server::start();

    assert_eq!(status(&server, &basic("ADMIN", ADMIN_PASSWORD)), 200);
    for (username, password) in [
        ("admin", ADMIN_PASSWORD.to_uppercase()),
        ("admin ", ADMIN_PASSWORD.to_owned()),
        (" admin", ADMIN_PASSWORD.to_owned()),
        ("\u{ff41}dmin", ADMIN_PASSWORD.to_owned()),
        ("1", ADMIN_PASSWORD.to_owned()),
    ] {
        assert_eq!(status(&server, &basic(username, &password)), 401, "{username}:{password}");
    }
}

#[test]
fn what_is_not_a_user_name_and_a_password_is_refused() {
    let server = Server::start();
    let right = format!("admin:{ADMIN_PASSWORD}");
    let headers = [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic :".to_owned(),
        format!("Basic {right}"),
        format!("Basic {}!", BASE64_STANDARD.encode(&right)),
        format!("Basic {0} {0}", BASE64_STANDARD.encode(&right)),
        encoded(b"admin"),
        encoded(b":"),
        encoded(b"admin:"),
        encoded(format!(":{ADMIN_PASSWORD}").as_bytes()),
        encoded(format!("admin{ADMIN_PASSWORD}").as_bytes()),
        encoded(format!("admin\0:{ADMIN_PASSWORD}").as_bytes()),
        encoded(format!("admin:{ADMIN_PASSWORD}\0").as_bytes()),
        encoded(format!("admin:{ADMIN_PASSWORD}\r\n").as_bytes()),
        encoded(format!("\nadmin:{ADMIN_PASSWORD}").as_bytes()),
        encoded(format!("admin:{ADMIN_PASSWORD} ").as_bytes()),
        encoded(&[b"admin:".as_slice(), &[b'x'; 1025]].concat()),
        encoded(b"\xff\xfe:\xff\xfe"),
    ];

    for header in headers {
        let reply = server.with(&header).get("/users/me");
        let challenges = reply.all_headers("www-authenticate");
        assert_eq!((reply.status, challenges), (401, vec![r#"Basic realm="Lodge", charset="UTF-8""#]), "{header}");
    }
}

#[test]
fn it_is_split_at_the_first_colon_so_a_password_may_have_colons() {
    let server = Server::start();
    make(&server, "ann", "::open: sesame:");

    assert_eq!(status(&server, &basic("ann", "::open: sesame:")), 200);
    assert_eq!(status(&server, &basic("ann::open", " sesame:")), 401);
    assert_eq!(status(&server, &basic("ann", "open: sesame:")), 401);
}

#[test]
fn a_user_name_has_no_colon() {
    let server = Server::start();

    let reply = server.admin().post("/users", &json!({"username": "ann:a", "password": "open sesame"})).expect(422);

    assert_eq!(reply.json()["details"], json!({"username": [{"error": "invalid", "value": "ann:a"}]}));
}

#[test]
fn a_password_may_come_in_utf_8_or_in_latin_1() {
    let server = Server::start();
    make(&server, "ann", "\u{e9}t\u{e9} \u{e0} la plage");
    make(&server, "ben", "\u{20ac} 17 \u{1f511}");

    assert_eq!(status(&server, &encoded("ann:\u{e9}t\u{e9} \u{e0} la plage".as_bytes())), 200);
    assert_eq!(status(&server, &encoded(b"ann:\xe9t\xe9 \xe0 la plage")), 200);
    assert_eq!(status(&server, &encoded("ben:\u{20ac} 17 \u{1f511}".as_bytes())), 200);
    for wrong in [b"ann:\xe8t\xe9 \xe0 la plage".as_slice(), b"ann:ete a la plage", b"ann:\xef\xbf\xbdt\xef\xbf\xbd"] {
        assert_eq!(status(&server, &encoded(wrong)), 401, "{wrong:?}");
    }
}

#[test]
fn two_keyboards_write_the_same_password() {
    let server = Server::start();
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
    make(&server, "ann", composed);
    make(&server, "ben", decomposed);

    for (username, password) in [("ann", composed), ("ann", decomposed), ("ben", composed), ("ben", decomposed)] {
        assert_eq!(status(&server, &basic(username, password)), 200, "{username}:{password:?}");
    }
    assert_eq!(status(&server, &basic("ann", "cafe au lait")), 401);
}

#[test]
fn a_wrong_password_is_refused_also_right_after_the_right_one() {
    let server = ServerBuilder::new().variable("LODGE_THROTTLE_AFTER", "0").start();
    let right = password_of("ann");
    server.id_of("ann");
    let wrong = [format!("{right}x"), right[1..].to_owned(), right.to_uppercase(), ADMIN_PASSWORD.to_owned()];

    for wrong in wrong {
        assert_eq!(status(&server, &basic("ann", &right)), 200);
        assert_eq!(status(&server, &basic("ann", &wrong)), 401, "{wrong}");
        assert_eq!(status(&server, &basic("ann", &wrong)), 401, "{wrong}, again");
        assert_eq!(status(&server, &basic("ben", &right)), 401);
    }
    assert_eq!(status(&server, &basic("ann", &right)), 200);
}

#[test]
fn the_old_password_is_refused_from_the_moment_it_is_changed() {
    let server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));
    let (first, second, third) = (password_of("ann"), "open sesame", "open barley");

    for (by, old, new) in [
        (server.user("ann"), first.as_str(), second),
        (server.admin(), second, third),
        (server.with(&basic("ann", third)), third, first.as_str()),
    ] {
        assert_eq!(status(&server, &basic("ann", old)), 200);
        by.put(&path, &json!({"password": new})).expect(200);
        assert_eq!([old, new].map(|password| status(&server, &basic("ann", password))), [401, 200], "{old}");
    }
}

#[test]
fn a_deleted_user_is_refused_from_that_moment_also_under_a_name_made_again() {
    let server = Server::start();
    let id = server.id_of("ann");
    let old = basic("ann", &password_of("ann"));
    assert_eq!(status(&server, &old), 200);

    server.admin().delete(&format!("/users/{id}")).expect(204);

    assert_eq!(status(&server, &old), 401);
    make(&server, "ann", "open sesame");
    assert_eq!(status(&server, &old), 401);
    assert_eq!(status(&server, &basic("ann", "open sesame")), 200);
}

#[test]
fn two_authorization_headers_are_refused_even_if_both_are_right() {
    let server = Server::start();
    let password = basic("ann", &password_of("ann"));
    let (session, key) = (server.sign_in("ann"), key_of(&server, "ann", &["* / *"]));
    let credentials = [password.as_str(), &session, &key, "", "Basic", "Bearer x"];

    for first in credentials {
        for second in credentials {
            let request = Request::new("GET", "/users/me").header("authorization", first);
            assert_eq!(server.with(second).send(&request).status, 401, "{first} and {second}");
        }
    }
    assert_eq!([password, session, key].map(|credential| status(&server, &credential)), [200; 3]);
}

#[test]
fn a_key_yields_the_same_bare_as_by_a_scheme() {
    let server = Server::start();
    let key = key_of(&server, "ann", &["users / show", "api_keys / index"]);
    let forms = [key.clone(), format!("Bearer {key}"), format!("bearer {key}"), format!("Token {key}")];
    let replies_to = |form: &String| -> Vec<(u16, Value)> {
        let replies = ["/users/me", "/users/me/api_keys", "/users", "/users/me/configurations"];
        replies.map(|path| server.with(form).get(path)).map(|reply| (reply.status, reply.json())).to_vec()
    };

    let bare = replies_to(&key);

    assert_eq!(bare.iter().map(|(status, _)| *status).collect::<Vec<_>>(), [200, 200, 403, 403]);
    for form in forms {
        assert_eq!(replies_to(&form), bare, "{form}");
    }
}

#[test]
fn a_key_is_no_password_and_no_user_name() {
    let server = Server::start();
    let key = key_of(&server, "ann", &["* / *"]);

    for header in [basic("ann", &key), basic(&key, ""), basic(&key, &key), basic(&key, "x"), format!("Basic {key}")] {
        assert_eq!(status(&server, &header), 401, "{header}");
    }
}

#[test]
fn a_mistyped_key_is_refused() {
    let server = Server::start();
    let key = key_of(&server, "ann", &["* / *"]);
    let mistyped = (0..key.len()).map(|position| {
        let other = if key[position..].starts_with('x') { "y" } else { "x" };
        [&key[..position], other, &key[position + 1..]].concat()
    });
    let (prefix, rest) = key.split_once('_').expect("a key begins with its prefix");
    let odd = [
        key.to_uppercase(),
        key.to_lowercase(),
        format!("{}_{rest}", prefix.to_uppercase()),
        rest.to_owned(),
        format!("{prefix}_"),
        format!("{key}A"),
        format!("{key}="),
        key[..key.len() - 1].to_owned(),
        format!("{key}{key}"),
        format!("{prefix}_{}", "A".repeat(70)),
    ];

    for wrong in mistyped.chain(odd) {
        assert_eq!(status(&server, &wrong), 401, "{wrong}");
        assert_eq!(status(&server, &format!("Bearer {wrong}")), 401, "Bearer {wrong}");
    }
    assert_eq!(status(&server, &key), 200);
}

#[test]
fn a_key_is_never_read_as_a_token_nor_a_token_as_a_key() {
    let server = Server::start();
    let key = key_of(&server, "ann", &["* / *"]);
    let session = server.sign_in("ann");
    let token = session.strip_prefix("Bearer ").expect("a token comes with its scheme");
    let (prefix, rest) = key.split_once('_').expect("a key begins with its prefix");
    let chimeras = [
        format!("{prefix}_{token}"),
        format!("{key}.{token}"),
        format!("{key}.."),
        format!("{token}{key}"),
        format!("{}.{}.{}", &rest[..20], &rest[20..40], &rest[40..]),
        format!("..{key}"),
    ];

    for chimera in chimeras {
        assert_eq!(status(&server, &chimera), 401, "{chimera}");
        assert_eq!(status(&server, &format!("Bearer {chimera}")), 401, "Bearer {chimera}");
    }
}

#[test]
fn a_key_is_refused_from_the_moment_that_it_or_its_owner_is_deleted() {
    let server = Server::start();
    let owner = server.user("ann");
    let (first, second) = (key_of(&server, "ann", &["users / show"]), key_of(&server, "ann", &["users / show"]));
    let ids: Vec<_> = owner.get("/users/me/api_keys").json()["api_keys"]
        .as_array()
        .expect("keys are a list")
        .iter()
        .map(|key| key["id"].clone())
        .collect();

    owner.delete(&format!("/users/me/api_keys/{}", ids[0])).expect(204);
    assert_eq!([&first, &second].map(|key| status(&server, key)), [401, 200]);

    server.admin().delete(&format!("/users/{}", server.id_of("ann"))).expect(204);
    assert_eq!([&first, &second].map(|key| status(&server, key)), [401, 401]);
}
