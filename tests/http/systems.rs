//! System users and groups, with a name service that the test controls.

use std::{
    fs::{self, File},
    sync::mpsc,
    thread,
    time::Duration,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};

use crate::harness::{Client, Reply, Server, ServerBuilder, compile_preloaded};

const USERS: &str = "/users/-/systems";
const GROUPS: &str = "/groups/-/systems";

/// How long the server may take to ask the name service before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A server whose name service reads the files `passwd` and `group` beside it.
fn server_with_names() -> Server {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().parent().unwrap().to_owned();
    let library = compile_preloaded("name_service.c", &directory);
    let preloaded = builder.variable("LD_PRELOAD", library.to_str().unwrap());
    preloaded.variable("NAME_SERVICE", directory.to_str().unwrap()).start()
}

/// Lets the name service return these lines from now on; `list` is `passwd` or `group`.
fn set_lines(server: &Server, list: &str, lines: impl AsRef<[u8]>) {
    fs::write(server.directory().join(list), lines).unwrap();
}

/// A gate at which the name service waits: opened once it is there, and held until this is dropped.
fn hold_name_service(server: &Server) -> mpsc::Receiver<File> {
    let gate = server.directory().join("gate");
    mknodat(CWD, &gate, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (held, holding) = mpsc::channel();
    thread::spawn(move || held.send(File::options().write(true).open(gate).unwrap()));
    holding
}

fn assert_unavailable(reply: &Reply) {
    assert_eq!(reply.status, 503);
    assert_eq!(reply.json(), json!({"error": "The system's name service does not answer."}));
    let seconds: u32 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
}

#[test]
fn system_users_are_sorted_by_id_then_name_and_have_the_four_members_alone() {
    let server = server_with_names();
    let lines = "zoe:secret:1000:100:Zoe,Room 1,,:/home/zoe:/bin/sh\n\
                 toor:x:0:0::/root:/bin/sh\n\
                 root:x:0:0:root:/root:/bin/sh\n\
                 ann:x:1000:100:\u{c4}nn:/home/ann:/bin/sh\n";
    set_lines(&server, "passwd", lines);

    let reply = server.admin().get(USERS).expect(200);

    let users = json!([
        {"name": "root", "uid": 0, "gid": 0, "info": "root"},
        {"name": "toor", "uid": 0, "gid": 0, "info": ""},
        {"name": "ann", "uid": 1000, "gid": 100, "info": "\u{c4}nn"},
        {"name": "zoe", "uid": 1000, "gid": 100, "info": "Zoe,Room 1,,"},
    ]);
    assert_eq!(reply.json(), json!({"users": users, "count": 4}));
}

#[test]
fn system_groups_are_sorted_by_id_then_name_and_have_the_members_that_they_list_themselves() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:1000:100:Ann:/home/ann:/bin/sh\n");
    set_lines(&server, "group", "users:x:100:\nwheel:secret:10:root,zoe,ann\nadm:x:10:root\n");

    let reply = server.admin().get(GROUPS).expect(200);

    let groups = json!([
        {"name": "adm", "gid": 10, "users": ["root"]},
        {"name": "wheel", "gid": 10, "users": ["root", "zoe", "ann"]},
        {"name": "users", "gid": 100, "users": []},
    ]);
    assert_eq!(reply.json(), json!({"groups": groups, "count": 3}));
}

#[test]
fn users_that_clients_cannot_hold_are_left_out_and_logged_once() {
    let server = server_with_names();
    let lines = b"last:x:2147483647:2147483647::/:/\n\
                  beyond:x:2147483648:1::/:/\n\
                  nobody:x:4294967295:4294967295::/:/\n\
                  group-beyond:x:1:2147483648::/:/\n\
                  caf\xe9:x:2:2::/:/\n\
                  caf\xc3\xa9:x:3:3::/:/\n\
                  +nis:x:4:4::/:/\n\
                  -nis:x:5:5::/:/\n\
                  +:x:0:0::/:/\n\
                  a+b-c:x:6:6::/:/\n";
    set_lines(&server, "passwd", lines);

    let replies = [USERS, USERS].map(|path| server.admin().get(path).expect(200));

    let users = json!([
        {"name": "caf\u{e9}", "uid": 3, "gid": 3, "info": ""},
        {"name": "a+b-c", "uid": 6, "gid": 6, "info": ""},
        {"name": "last", "uid": 2_147_483_647, "gid": 2_147_483_647, "info": ""},
    ]);
    for reply in replies {
        assert_eq!(reply.json(), json!({"users": users, "count": 3}));
    }
    assert_eq!(server.whole_log().matches("left out").count(), 1);
}

#[test]
fn groups_and_members_that_clients_cannot_hold_are_left_out() {
    let server = server_with_names();
    let lines = b"last:x:2147483647:ann\n\
                  beyond:x:2147483648:ann\n\
                  caf\xe9:x:2:ann\n\
                  +nis:x:4:ann\n\
                  -nis:x:5:ann\n\
                  mixed:x:6:ann,b\xe9b\xe9,zoe\n";
    set_lines(&server, "group", lines);

    let reply = server.admin().get(GROUPS).expect(200);

    let groups = json!([
        {"name": "mixed", "gid": 6, "users": ["ann", "zoe"]},
        {"name": "last", "gid": 2_147_483_647, "users": ["ann"]},
    ]);
    assert_eq!(reply.json(), json!({"groups": groups, "count": 2}));
}

/// The C library has no more than the name for such an entry: its other fields are null pointers.
#[test]
fn an_entry_of_nis_with_only_a_name_is_left_out() {
    let server = server_with_names();
    set_lines(&server, "passwd", "root:x:0:0:root:/root:/bin/sh\n+\n-nis\n");
    set_lines(&server, "group", "root:x:0:\n+\n");

    let (groups, users) = (server.admin().get(GROUPS), server.admin().get(USERS));

    assert_eq!(groups.json(), json!({"groups": [{"name": "root", "gid": 0, "users": []}], "count": 1}));
    let root = json!({"name": "root", "uid": 0, "gid": 0, "info": "root"});
    assert_eq!(users.json(), json!({"users": [root], "count": 1}));
}

#[test]
fn the_info_is_shown_lossily_and_its_control_characters_are_escaped() {
    let server = server_with_names();
    set_lines(&server, "passwd", b"ann:x:1:1:Ren\xe9 \x1b[31m\t\"\\\r:/:/\n");

    let reply = server.admin().get(USERS).expect(200);

    assert_eq!(reply.json()["users"][0]["info"], "Ren\u{fffd} \u{1b}[31m\t\"\\\r");
    assert!(!reply.body.iter().any(u8::is_ascii_control));
}

#[test]
fn the_name_service_is_asked_afresh_at_each_request() {
    let server = server_with_names();
    let admin = server.admin();
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n");
    set_lines(&server, "group", "red:x:1:\n");
    let earlier = (admin.get(USERS).json(), admin.get(GROUPS).json());

    set_lines(&server, "passwd", "zoe:x:2:2::/:/\n");
    set_lines(&server, "group", "blue:x:2:zoe\n");
    let later = (admin.get(USERS).json(), admin.get(GROUPS).json());

    let user = |name: &str, id: u32| json!({"name": name, "uid": id, "gid": id, "info": ""});
    let group = |name: &str, id: u32, users: Value| json!({"name": name, "gid": id, "users": users});
    let expected =
        |user: Value, group: Value| (json!({"users": [user], "count": 1}), json!({"groups": [group], "count": 1}));
    assert_eq!(earlier, expected(user("ann", 1), group("red", 1, json!([]))));
    assert_eq!(later, expected(user("zoe", 2), group("blue", 2, json!(["zoe"]))));
}

#[test]
fn a_name_service_that_fails_is_a_503_also_after_some_entries_and_only_as_long_as_it_fails() {
    const EIO: &str = "!errno 5\n";
    const ENOENT: &str = "!errno 2\n";
    let server = server_with_names();
    let admin = server.admin();
    let (user, group) = ("ann:x:1:1::/:/\n", "red:x:1:\n");

    for (users, groups) in [
        (EIO.to_owned(), EIO.to_owned()),
        (ENOENT.to_owned(), ENOENT.to_owned()),
        (format!("{user}{EIO}"), format!("{group}{EIO}")),
        (format!("{user}{EIO}{user}"), format!("{group}{EIO}{group}")),
    ] {
        set_lines(&server, "passwd", users);
        set_lines(&server, "group", groups);

        assert_unavailable(&admin.get(USERS));
        assert_unavailable(&admin.get(GROUPS));
    }

    set_lines(&server, "passwd", user);
    set_lines(&server, "group", group);
    assert_eq!(admin.get(USERS).expect(200).json()["count"], 1);
    assert_eq!(admin.get(GROUPS).expect(200).json()["count"], 1);
}

#[test]
fn a_name_service_that_fails_at_the_beginning_of_a_list_is_a_503() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n");
    set_lines(&server, "group", "red:x:1:\n");
    set_lines(&server, "begin", "13");

    let replies = [USERS, GROUPS].map(|path| server.admin().get(path));

    replies.iter().for_each(assert_unavailable);
}

#[test]
fn a_list_that_is_absent_or_has_no_entry_to_show_is_a_503() {
    let server = server_with_names();
    for lines in [None, Some(""), Some(":x:1:1::/:/\n"), Some("+\n")] {
        if let Some(lines) = lines {
            set_lines(&server, "passwd", lines);
            set_lines(&server, "group", lines);
        }

        let replies = [USERS, GROUPS].map(|path| server.admin().get(path));

        replies.iter().for_each(assert_unavailable);
    }
}

#[test]
fn an_entry_that_two_services_list_appears_once_and_one_without_a_name_never() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:7:1:first:/:/\n:x:8:1::/:/\nzoe:x:7:1::/:/\nann:x:7:2:second:/:/\n");
    set_lines(&server, "group", "red:x:7:ann\n:x:8:\nred:x:7:zoe\nblue:x:7:\n");

    let (users, groups) = (server.admin().get(USERS).json(), server.admin().get(GROUPS).json());

    let ann = json!({"name": "ann", "uid": 7, "gid": 1, "info": "first"});
    let zoe = json!({"name": "zoe", "uid": 7, "gid": 1, "info": ""});
    assert_eq!(users, json!({"users": [ann, zoe], "count": 2}));
    let group = |name: &str, users: Value| json!({"name": name, "gid": 7, "users": users});
    let groups_expected = [group("blue", json!([])), group("red", json!(["ann"]))];
    assert_eq!(groups, json!({"groups": groups_expected, "count": 2}));
}

#[test]
fn however_many_there_are_all_are_on_one_page_whatever_the_query() {
    let server = server_with_names();
    let users = (0..50_000).map(|id| format!("user{id}:x:{id}:{id}::/:/\n")).collect::<Vec<_>>().concat();
    let members: Vec<_> = (0..100_000).map(|id| format!("user{id}")).collect();
    set_lines(&server, "passwd", users);
    set_lines(&server, "group", format!("all:x:1:{}\n", members.join(",")));

    let users = server.admin().get("/users/-/systems?limit=1&offset=7").expect(200).json();
    let groups = server.admin().get("/groups/-/systems?limit=x").expect(200).json();

    assert_eq!(users["count"], 50_000);
    assert_eq!(users["users"].as_array().unwrap().len(), 50_000);
    assert_eq!(users["users"][49_999], json!({"name": "user49999", "uid": 49_999, "gid": 49_999, "info": ""}));
    assert_eq!(groups, json!({"groups": [{"name": "all", "gid": 1, "users": members}], "count": 1}));
}

#[test]
fn nothing_in_a_request_chooses_what_is_read() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n");
    let users = server.admin().get(USERS).expect(200).json();

    for path in ["?file=/etc/shadow", "?path=..%2f..%2fetc%2fpasswd", "?name=root&uid=0", "?service=sss"] {
        assert_eq!(server.admin().get(&format!("{USERS}{path}")).expect(200).json(), users, "{path}");
    }
    for path in ["/users/-/systems/1", "/users/-/systems/..%2fpasswd", "/users/-%2fsystems", "/users/root/systems"] {
        server.admin().get(path).expect(404);
    }
}

#[test]
fn a_standard_user_learns_nothing_of_the_system() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n");
    set_lines(&server, "group", "red:x:1:\n");
    let keys = [server.key("ann", &["* / *"]), server.key("ann", &["users / systems", "groups / systems"])];
    let standard: [Client; 4] = [server.user("ann"), server.session("ann"), keys[0].clone(), keys[1].clone()];

    for client in standard {
        for path in [USERS, GROUPS] {
            let reply = client.get(path).expect(403);

            assert_eq!(reply.json(), server.user("ann").get("/users").expect(403).json());
        }
    }
}

#[test]
fn while_the_name_service_hangs_its_lists_are_a_503_and_all_else_works() {
    let server = server_with_names();
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n!wait\n");
    set_lines(&server, "group", "red:x:1:\n");
    let ann = server.user("ann");
    let ask = |path: &'static str| {
        let admin = server.admin();
        thread::spawn(move || admin.get(path))
    };
    let holding = hold_name_service(&server);

    let users = ask(USERS);
    let held = holding.recv_timeout(TIMEOUT).expect("the name service is asked");
    let groups = ask(GROUPS);
    let me = ann.get("/users/me");
    let created = ann.post("/users/me/configurations", &json!({"key": "theme", "value": "dark"}));
    let refused = [users, groups].map(|asked| asked.join().unwrap());
    drop(held);
    set_lines(&server, "passwd", "ann:x:1:1::/:/\n");
    let later = [USERS, GROUPS].map(|path| server.admin().get(path));

    assert_eq!((me.status, created.status), (200, 201));
    refused.iter().for_each(assert_unavailable);
    for reply in later {
        assert_eq!(reply.expect(200).json()["count"], 1);
    }
}
