//! The paged lists: users, configurations and API keys are listed in the same way.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, ServerBuilder},
    http::expectations::at_once,
};

/// How often an account is changed while others ask for the list.
const CHANGES: usize = 50;

/// A list, and how something is put on it.
struct List {
    path: &'static str,
    collection: &'static str,
    record: fn(usize) -> Value,
}

const LISTS: [List; 3] = [
    List {
        path: "/users",
        collection: "users",
        record: |number| json!({"username": format!("user-{number}"), "password": "a long and fine one"}),
    },
    List {
        path: "/users/me/configurations",
        collection: "configurations",
        record: |number| json!({"key": format!("key-{number}"), "value": "x"}),
    },
    List {
        path: "/users/me/api_keys",
        collection: "api_keys",
        record: |number| json!({"name": format!("key-{number}")}),
    },
];

impl List {
    fn create(&self, client: &Client, number: usize) -> u64 {
        client.post(self.path, &(self.record)(number)).expect(201).id()
    }

    fn remove(&self, client: &Client, id: u64) {
        client.delete(&format!("{}/{id}", self.path)).expect(204);
    }

    /// The page for that query: the items, and the count beside them.
    fn page(&self, client: &Client, query: &str) -> (Vec<Value>, u64) {
        let body = client.get(&format!("{}{query}", self.path)).expect(200).json();
        assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
        (body[self.collection].as_array().unwrap().clone(), body["count"].as_u64().unwrap())
    }
}

fn ids(items: &[Value]) -> Vec<u64> {
    items.iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

#[test]
fn a_page_is_the_window_that_was_asked_for_with_the_count_of_all() {
    let server = Server::start();
    let admin = server.admin();
    for list in LISTS {
        for number in 0..7 {
            list.create(&admin, number);
        }
        let (all, count) = list.page(&admin, "");
        let length = all.len();
        let windows = [
            ("?limit=3", 0..3),
            ("?limit=3&offset=2", 2..5),
            ("?offset=5", 5..length),
            ("?offset=5&limit=1", 5..6),
            ("?limit=1000000000", 0..length),
            ("?limit=9223372036854775807", 0..length),
            ("?limit=003", 0..3),
            ("?limit=0", 0..0),
            ("?limit=0&offset=3", 0..0),
            ("?offset=7000", 0..0),
            ("?offset=4294967296", 0..0),
            ("?offset=9223372036854775807&limit=9223372036854775807", 0..0),
            ("?", 0..length),
            ("?page=2&limits=1&Limit=1&offset_=x&q=%ff&&=&sort[]=-id", 0..length),
            ("?%6cimit=2", 0..2),
        ];
        for (query, window) in windows {
            let page = list.page(&admin, query);

            assert_eq!(page, (all[window].to_vec(), count), "{}{query}", list.path);
        }
        let sorted = ids(&all);
        assert!(sorted.is_sorted());
        assert_eq!(count, length as u64);
    }
}

#[test]
fn a_limit_or_offset_that_is_no_number_from_0_up_is_refused() {
    let server = Server::start();
    let admin = server.admin();
    let wrong = [
        "-1",
        "-0",
        "+1",
        "abc",
        "1.5",
        "1.0",
        "1e3",
        "0x1",
        "",
        "%201",
        "1%20",
        "%00",
        "1%00",
        "%D9%A1",
        "NaN",
        "null",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999",
        "1,2",
    ];
    for list in LISTS {
        for name in ["limit", "offset"] {
            let valued = wrong.iter().map(|value| format!("{name}={value}"));
            let repeated = ["=1&{}=1", "=1&{}=2", "[]=1", "%5B%5D=1", "[a]=1", ""];
            let repeated = repeated.iter().map(|rest| format!("{name}{}", rest.replace("{}", name)));
            for query in valued.chain(repeated) {
                let reply = admin.get(&format!("{}?{query}", list.path));

                assert_eq!(reply.status, 400, "{}?{query}", list.path);
                assert!(reply.json()["error"].is_string());
            }
        }
    }
}

#[test]
fn pages_one_after_another_are_the_whole_list_without_duplicates_or_holes() {
    let server = Server::start();
    let admin = server.admin();
    for list in LISTS {
        let made: Vec<_> = (0..9).map(|number| list.create(&admin, number)).collect();
        for number in [0, 3, 4, 8] {
            list.remove(&admin, made[number]);
        }
        let (all, count) = list.page(&admin, "");
        for limit in 1..=4 {
            let offsets = (0..10).step_by(limit);

            let pages = offsets.map(|offset| list.page(&admin, &format!("?limit={limit}&offset={offset}")));
            let (items, counts): (Vec<_>, Vec<_>) = pages.unzip();

            assert_eq!(items.concat(), all, "{} by {limit}", list.path);
            assert!(counts.iter().all(|outcomes| *outcomes == count));
        }
        assert!(ids(&all).ends_with(&[made[1], made[2], made[5], made[6], made[7]]));
    }
}

#[test]
fn a_removed_record_leaves_a_gap_and_a_new_one_comes_last() {
    let server = Server::start();
    let admin = server.admin();
    for list in LISTS {
        let made: Vec<_> = (0..4).map(|number| list.create(&admin, number)).collect();
        let (before, count) = list.page(&admin, "");

        list.remove(&admin, made[1]);
        list.remove(&admin, made[3]);
        let new = list.create(&admin, 9);

        let (after, new_count) = list.page(&admin, "");
        let mut expected = ids(&before);
        expected.retain(|id| *id != made[1] && *id != made[3]);
        expected.push(new);
        assert_eq!((ids(&after), new_count), (expected, count - 1), "{}", list.path);
        assert!(new > made[3]);
    }
}

#[test]
fn a_users_lists_neither_show_nor_count_what_is_others() {
    let server = Server::start();
    let (ann, bob) = (server.user("ann"), server.user("bob"));
    for list in &LISTS[1..] {
        let mut anns = Vec::new();
        for number in 0..3 {
            list.create(&bob, number);
            anns.push(list.create(&ann, number));
            list.create(&server.admin(), number);
        }

        let (items, count) = list.page(&ann, "");
        let page = list.page(&ann, "?limit=1&offset=1");

        assert_eq!((ids(&items), count), (anns, 3), "{}", list.path);
        assert_eq!(page, (vec![items[1].clone()], 3));
        assert_eq!(list.page(&ann, "?offset=3"), (Vec::new(), 3));
    }
}

#[test]
fn a_page_has_100_items_unless_told_otherwise_and_1000_at_most() {
    let server = ServerBuilder::new().flag("--max-configurations", "1100").start();
    let ann = server.session("ann");
    let configurations = &LISTS[1];
    at_once(8, |thread| {
        for number in (thread..1001).step_by(8) {
            configurations.create(&ann, number);
        }
    });
    let all: Vec<_> = (1..=1001).collect();
    let windows = [
        ("", 0..100),
        ("?offset=950", 950..1001),
        ("?offset=850", 850..950),
        ("?limit=999", 0..999),
        ("?limit=1000", 0..1000),
        ("?limit=1001", 0..1000),
        ("?limit=1000000000", 0..1000),
        ("?limit=9223372036854775807", 0..1000),
        ("?limit=1001&offset=1", 1..1001),
        ("?limit=1000&offset=1000", 1000..1001),
        ("?limit=1000&offset=1001", 0..0),
    ];
    for (query, window) in windows {
        let (items, count) = configurations.page(&ann, query);

        assert_eq!((ids(&items), count), (all[window].to_vec(), 1001), "{query}");
    }
}

#[test]
fn the_list_of_users_has_a_change_as_soon_as_it_is_answered() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.id_of("ann"));
    let is_over = AtomicBool::new(false);
    let outcomes = thread::scope(|scope| {
        // Whatever is kept of the list is kept anew all the time.
        let ask = || {
            while !is_over.load(Ordering::SeqCst) {
                server.admin().get("/users").expect(200);
            }
        };
        let askers = [scope.spawn(ask), scope.spawn(ask)];
        let changes = (0..CHANGES).map(|number| {
            let email = json!(format!("ann-{number}@example.org"));
            let status = admin.put(&format!("/users/{ann}"), &json!({"email": email})).status;
            (status, admin.get("/users").json()["users"][1]["email"] == email)
        });
        let outcomes: Vec<_> = changes.collect();
        is_over.store(true, Ordering::SeqCst);
        for requester in askers {
            requester.join().unwrap();
        }
        outcomes
    });
    assert_eq!(outcomes, [(200, true); CHANGES]);

    admin.delete(&format!("/users/{ann}")).expect(204);
    assert_eq!(admin.get("/users").json()["count"], 1);
    server.id_of("bob");
    assert_eq!(admin.get("/users").json()["users"][1]["username"], "bob");
}
