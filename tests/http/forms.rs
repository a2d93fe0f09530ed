//! Forms as bodies of requests: what is read, and what is refused.

use lodge::api::BodyKind;
use serde_json::json;

use crate::{
    harness::Server,
    http::bodies::{SMALL_LIMIT, operations_with, request_of},
};

#[test]
fn a_form_is_declared_as_one_in_utf_8_or_not_read() {
    let server = Server::start();
    let form = BodyKind::Form.media_type();
    let (latin_1, utf_16) = (format!("{form}; charset=iso-8859-1"), format!("{form};charset=utf-16"));
    let refused: [&[&str]; 9] = [
        &[],
        &[""],
        &["application/json"],
        &["text/plain"],
        &["multipart/form-data; boundary=x"],
        &["application/x-www-form-urlencoded2"],
        &[&latin_1],
        &[&utf_16],
        &[form, form],
    ];

    for operation in operations_with(BodyKind::Form) {
        for content_types in refused {
            let request = request_of(operation).body("token=a.b.c");
            let request = content_types.iter().fold(request, |request, value| request.header("Content-Type", value));

            let reply = server.admin().send(&request).expect(415);

            let error = "The body must be application/x-www-form-urlencoded in UTF-8.";
            assert_eq!(reply.json(), json!({"error": error}), "{} {content_types:?}", operation.id);
        }
        for declared in [form, "Application/X-WWW-Form-URLEncoded", &format!("{form}; charset=\"UTF-8\"")] {
            let request = request_of(operation).header("Content-Type", declared).body("token=a.b.c");

            server.admin().send(&request).expect(200);
        }
    }
}

#[test]
fn a_form_that_readers_could_understand_differently_is_refused_by_every_operation() {
    let server = Server::start();
    let badly_encoded = "A name or a value of the form is not percent-encoded UTF-8.";
    let many = (0..33).map(|number| format!("x{number}=1")).collect::<Vec<_>>().join("&");
    let cases: [(&[u8], &str); 9] = [
        (b"token=a.b.c&token=a.b.c", "A name is given twice in the form."),
        (b"token=a.b.c&x=1&%78=2", "A name is given twice in the form."),
        (b"token=%", badly_encoded),
        (b"token=a.b.c&x=%4g", badly_encoded),
        (b"token=%ff", badly_encoded),
        (b"token=\xe4", badly_encoded),
        (b"token=a.b.c&x%c3=1", badly_encoded),
        (b"{\"token\":\"%\"}", badly_encoded),
        (many.as_bytes(), "The form has more than 32 fields."),
    ];

    for operation in operations_with(BodyKind::Form) {
        for (form, error) in cases {
            let reply = server.admin().send(&request_of(operation).body_of(BodyKind::Form, form)).expect(400);

            assert_eq!(reply.json(), json!({"error": error}), "{} {:?}", operation.id, String::from_utf8_lossy(form));
        }
    }
}

#[test]
fn a_form_of_exactly_its_limit_is_read() {
    let server = Server::start();
    let padded = |length: usize| format!("token=a.b.c&x={}", "x".repeat(length - "token=a.b.c&x=".len()));

    for operation in operations_with(BodyKind::Form) {
        let send = |length| server.admin().send(&request_of(operation).body_of(BodyKind::Form, padded(length)));

        assert_eq!((send(SMALL_LIMIT + 1).status, send(SMALL_LIMIT).status), (413, 200), "{}", operation.id);
    }
}
