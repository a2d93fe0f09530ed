//! Lists of more users than one step of a search reads.

use std::sync::atomic::Ordering;

use lodge::{
    clock::Timestamp,
    doctor::Hashing,
    domain::{Id, Page, PasswordHash, SystemId, User, Username},
    service::{Serving, status},
    store::{PutError, Tables},
};
use serde_json::Value;

use crate::test_app::{NOW, PASSWORD, TestApp, basic, settings};

/// Beside the administrator.
const USERS: u32 = 1200;

/// The number in a user's name, which has another order than the ids.
fn scattered(id: u32) -> u32 {
    id * 7919 % 10_007
}

async fn with_users() -> TestApp {
    let test_app = TestApp::build().await;
    test_app.take_in(1, "admin", PASSWORD).await;
    let write = test_app.store.write(|txn| {
        for id in (2..2 + USERS).filter_map(Id::new) {
            let name = Username::parse(&format!("U{:05}", scattered(id.get()))).unwrap();
            let user = User::new(id, name, PasswordHash::new(String::new()), Timestamp::from_millis(NOW.as_millis()));
            txn.put(&User { group_id: SystemId::new((id.get() % 3).into()).ok(), ..user })?;
        }
        Ok::<_, PutError>(())
    });
    write.await.unwrap();
    test_app
}

async fn ids(test_app: &TestApp, query: &str) -> (Vec<u32>, Value) {
    let admin = basic("admin", PASSWORD);
    let request = ("GET", format!("/users?{query}"), Value::Null);
    let (status, list) = test_app.send(Some(&admin), &request).await;
    assert_eq!(status, 200, "{query}: {list}");
    let ids = list["users"].as_array().unwrap().iter().map(|user| user["id"].as_u64().unwrap());
    (ids.map(|id| u32::try_from(id).unwrap()).collect(), list["count"].clone())
}

#[tokio::test]
async fn every_page_of_a_long_list_is_the_same_part_of_the_whole_order() {
    let test_app = with_users().await;
    let all: Vec<u32> = (2..2 + USERS).collect();
    let mut by_name = all.clone();
    by_name.sort_by_key(|id| scattered(*id));
    by_name.insert(0, 1);
    let reversed: Vec<u32> = by_name.iter().rev().copied().collect();
    let in_group: Vec<u32> = reversed.iter().copied().filter(|id| *id != 1 && id % 3 == 1).collect();
    let mut by_group = all;
    by_group.sort_by_key(|id| (id % 3, *id));
    by_group.insert(0, 1);

    for (query, expected) in [
        ("sort_by=username", &by_name),
        ("sort_by=username:desc", &reversed),
        ("sort_by=username:desc&group_id=1", &in_group),
        ("sort_by=group_id", &by_group),
    ] {
        for offset in [0, 1, 499, 500, 501, 999, 1000, 1190, 1200, 1201] {
            let (found, count) = ids(&test_app, &format!("{query}&limit=200&offset={offset}")).await;
            let page: Vec<_> = expected.iter().skip(offset).take(200).copied().collect();
            assert_eq!((found, count), (page, expected.len().into()), "{query} from {offset}");
        }
    }
    assert_eq!(ids(&test_app, "username=u00000").await.0, Vec::<u32>::new());
    let some = format!("username=U{:05}", scattered(700));
    assert_eq!(ids(&test_app, &some).await, (vec![700], 1.into()));
}

#[tokio::test]
async fn a_long_list_is_read_in_short_pieces_and_not_where_requests_are_served() {
    let test_app = with_users().await;
    let read = || [&test_app.listed_here, &test_app.longest_piece].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(read(), [0, 0]);
    for query in
        ["username=~u0", "sort_by=username:desc", "sort_by=email&limit=1000", "is_admin=false&include=activity"]
    {
        ids(&test_app, query).await;
        assert_eq!(read(), [0, 500], "{query}");
    }
    // Those of the page alone are read together.
    ids(&test_app, "limit=1000").await;
    assert_eq!(read()[1], 1000);
}

#[tokio::test]
async fn what_a_search_keeps_is_charged_and_refused_beyond_the_memory_that_there_is() {
    let test_app = with_users().await;
    let admin = basic("admin", PASSWORD);
    let status = async |query: &str| {
        let request = ("GET", format!("/users?{query}"), Value::Null);
        test_app.send(Some(&admin), &request).await.0
    };
    let (first, last) = ("sort_by=created_at&limit=1", "sort_by=created_at&limit=1&offset=1200");

    let held = test_app.hold_memory_but(64 << 10);
    let with_little = [status(first).await, status(last).await, status("username=~u0&limit=1").await];
    drop(held);

    assert_eq!(with_little, [200, 503, 200]);
    assert_eq!([status(first).await, status(last).await], [200, 200]);
    let _all = test_app.hold_memory_but(64 << 20);
    assert_eq!(status(last).await, 200, "what was charged has been given back");
}

#[tokio::test]
async fn the_status_examines_the_accounts_of_every_page_and_the_memory_for_hashes() {
    let test_app = with_users().await;
    let last = Id::new(1 + USERS).unwrap();
    let write = test_app.store.write(move |txn| {
        let user = txn.user(last)?.unwrap();
        txn.put(&User { user_id: SystemId::new(1_999_999_999).ok(), group_id: None, ..user })
    });
    write.await.unwrap();
    let impossible = Hashing::Impossible { problem: "60 MiB are not enough".to_owned(), advice: "more".to_owned() };
    let settings = settings("the keys to the house");
    let serving = Serving::new(&settings, impossible, None, test_app.state.clock.reading());
    assert!(settings.admin_password.is_some() && serving.settings.admin_password.is_none());
    assert!(test_app.state.serving.set(serving).is_ok());

    let admin = basic("admin", PASSWORD);
    let (_, shown) = test_app.send(Some(&admin), &("GET", "/status".to_owned(), Value::Null)).await;

    let of_admin = status::accounts(&test_app.state, Page { limit: 1, offset: 0 }).unwrap();
    assert_eq!(of_admin.map(|accounts| accounts.len()), Some(0), "one without ids is not kept");
    let findings = shown["findings"].as_array().unwrap();
    let problems = |check: &str| -> Vec<_> {
        let of_check = findings.iter().filter(|finding| finding["check"] == check);
        of_check.map(|finding| finding["problem"].as_str().unwrap()).collect()
    };
    assert_eq!(problems("memory"), ["60 MiB are not enough"]);
    let expected = format!("the account `U{:05}` has the user_id 1999999999, which", scattered(last.get()));
    assert!(problems("accounts").iter().any(|problem| problem.starts_with(&expected)), "{:?}", problems("accounts"));
}
