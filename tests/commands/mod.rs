//! The command line: first start, settings, refusals, and how the server ends.

mod accounts;
mod apply;
mod doctor;
mod explain;
mod files;
mod generated;
mod initial_password;
mod keys;
mod proxy_config;
mod resources;

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use crate::harness::{ADMIN_PASSWORD, Server, ServerBuilder, basic, copy_lodge, is_root};
use rustix::process::Signal;
use serde_json::json;

/// A server whose administrator has a random password.
fn server_with_random_password() -> Server {
    ServerBuilder::new().without_variable("LODGE_ADMIN_PASSWORD").start()
}

fn initial_password(server: &Server) -> String {
    fs::read_to_string(server.data_dir().join("initial-admin-password")).unwrap().trim_end().to_owned()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Runs what is expected to end by itself; a server that is about to serve does so too, because its address is in use.
fn run_to_its_end(command: &mut Command) -> Output {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    command.env("LODGE_LISTEN", taken.local_addr().unwrap().to_string()).output().unwrap()
}

/// Runs `lodge serve` with these flags, which is expected to end by itself.
fn refused(builder: &ServerBuilder, flags: &[&str]) -> (Option<i32>, String) {
    let Output { status, stderr, stdout } = run_to_its_end(builder.command(&["serve"]).args(flags));
    assert_eq!(String::from_utf8_lossy(&stdout), "");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn the_first_start_writes_a_random_password_to_a_private_file_and_only_its_name_to_the_log() {
    let server = server_with_random_password();
    let password = initial_password(&server);

    server.with(&basic("admin", &password)).get("/users").expect(200);

    assert_eq!(mode(&server.data_dir().join("initial-admin-password")), 0o600);
    assert!(password.len() >= 20, "{password}");
    let log = server.whole_log();
    assert!(log.contains("initial-admin-password") && !log.contains(&password), "{log}");
}

#[test]
fn the_random_password_is_not_to_be_seen_in_the_list_of_processes() {
    let server = server_with_random_password();
    let password = initial_password(&server);

    for file in ["cmdline", "environ"] {
        let seen = fs::read(format!("/proc/{}/{file}", server.pid())).unwrap();
        assert!(!String::from_utf8_lossy(&seen).contains(&password), "{file}");
    }
}

#[test]
fn it_listens_on_loopback_unless_set_otherwise() {
    let help = ServerBuilder::new().command(&["serve", "--help"]).env_remove("LODGE_LISTEN").output().unwrap();

    let help = String::from_utf8(help.stdout).unwrap();

    let listen = help.split("--listen").nth(1).unwrap().split("--").next().unwrap();
    assert!(listen.contains("127.0.0.1:3000"), "{listen}");
}

#[test]
fn two_installations_have_different_random_passwords() {
    let (one, other) = (server_with_random_password(), server_with_random_password());
    assert_ne!(initial_password(&one), initial_password(&other));
}

#[test]
fn the_password_file_is_removed_when_that_password_is_changed() {
    let server = server_with_random_password();
    let file = server.data_dir().join("initial-admin-password");
    let admin = server.with(&basic("admin", &initial_password(&server)));

    admin.put("/users/1", &json!({"email": "admin@example.org"})).expect(200);
    admin.post("/users", &json!({"username": "ann", "password": "a house with a view"})).expect(201);
    admin.put("/users/2", &json!({"password": "a house with two views"})).expect(200);
    assert!(file.exists());

    admin.put("/users/1", &json!({"password": "a house with a view"})).expect(200);
    assert!(!file.exists());
}

#[test]
fn the_password_file_is_removed_with_the_administrator_who_has_that_password() {
    let server = server_with_random_password();
    let file = server.data_dir().join("initial-admin-password");
    let admin = server.with(&basic("admin", &initial_password(&server)));
    let other = json!({"username": "ann", "password": "a house with a view", "is_admin": true});
    admin.post("/users", &other).expect(201);
    assert!(file.exists());

    admin.delete("/users/1").expect(204);

    assert!(!file.exists());
}

#[test]
fn a_password_file_that_a_crash_left_is_removed_at_the_next_start() {
    let mut server = server_with_random_password();
    let file = server.data_dir().join("initial-admin-password");
    let password = initial_password(&server);
    server.restart();
    assert!(file.exists(), "the password is still the one in the file");

    server.with(&basic("admin", &password)).put("/users/1", &json!({"password": "a house with a view"})).expect(200);
    fs::write(&file, password).unwrap();
    server.restart();

    assert!(!file.exists());
}

#[test]
fn the_first_password_can_be_given_in_a_file() {
    let builder = ServerBuilder::new().without_variable("LODGE_ADMIN_PASSWORD");
    let file = builder.data_dir().with_file_name("password");
    fs::write(&file, "a house with a view\n").unwrap();

    let server = builder.flag("--admin-password-file", file.to_str().unwrap()).start();

    server.with(&basic("admin", "a house with a view")).get("/users/me").expect(200);
    assert!(!server.data_dir().join("initial-admin-password").exists());
}

#[test]
fn a_first_password_that_no_account_may_have_stops_the_start() {
    for password in ["sh0rt!", "password1", "a\u{1}house with a view", &"x".repeat(1025)] {
        let builder = ServerBuilder::new().variable("LODGE_ADMIN_PASSWORD", password);

        let (code, stderr) = refused(&builder, &[]);

        assert_eq!(code, Some(2), "{password}: {stderr}");
        assert!(stderr.contains("the administrator's password is refused"), "{stderr}");
        assert!(!stderr.contains(password), "{stderr}");
    }
}

#[test]
fn a_start_that_was_stopped_by_its_password_can_be_made_again() {
    let builder = ServerBuilder::new().variable("LODGE_ADMIN_PASSWORD", "short");
    assert_eq!(refused(&builder, &[]).0, Some(2));

    let server = builder.variable("LODGE_ADMIN_PASSWORD", ADMIN_PASSWORD).start();

    assert_eq!(server.admin().get("/users").json()["count"], 1);
}

#[test]
fn a_password_given_to_a_store_with_users_is_ignored_and_logged_so() {
    let mut server = Server::start();
    server.set_variable("LODGE_ADMIN_PASSWORD", "another house altogether");

    server.restart();

    server.admin().get("/users/me").expect(200);
    server.with(&basic("admin", "another house altogether")).get("/users/me").expect(401);
    assert!(server.log().contains("the given administrator's password is ignored"));
}

#[test]
fn wrong_settings_are_named_all_at_once_and_nothing_is_opened() {
    let builder = ServerBuilder::new().variable("LODGE_MAX_API_KEYS", "none");

    let flags =
        ["--session-lifetime", "never", "--body-limit", "7", "--log", "loud=please", "--admin-password-file", "/-"];
    let (code, stderr) = refused(&builder.without_variable("LODGE_ADMIN_PASSWORD"), &flags);

    assert_eq!(code, Some(2), "{stderr}");
    for flag in ["--session-lifetime", "--body-limit", "--log", "--max-api-keys", "--admin-password-file"] {
        assert!(stderr.contains(flag), "{flag}: {stderr}");
    }
}

#[test]
fn wrong_settings_leave_no_data_directory() {
    let builder = ServerBuilder::new();
    refused(&builder, &["--scrypt-cost", "99"]);
    assert!(!builder.data_dir().exists());
}

#[test]
fn settings_come_from_a_file_too_and_the_environment_wins() {
    let builder = ServerBuilder::new().variable("LODGE_MAX_API_KEYS", "2");
    let file = builder.data_dir().with_file_name("lodge.toml");
    fs::write(&file, "max-configurations = 1\nmax_api_keys = 1\n").unwrap();
    let server = builder.flag("--config", file.to_str().unwrap()).start();
    let admin = server.admin();

    admin.post("/users/me/configurations", &json!({"key": "a"})).expect(201);
    admin.post("/users/me/configurations", &json!({"key": "b"})).expect(422);
    admin.post("/users/me/api_keys", &json!({})).expect(201);
    admin.post("/users/me/api_keys", &json!({})).expect(201);
    admin.post("/users/me/api_keys", &json!({})).expect(422);
}

#[test]
fn serve_is_the_default_command() {
    let builder = ServerBuilder::new();
    let mut command = builder.command(&[]);
    let refused = command.args(["--scrypt-cost", "99"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("--scrypt-cost"));
}

#[test]
fn empty_variables_count_as_unset() {
    let help = ServerBuilder::new().command(&["--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let variables = help.split(|character: char| !character.is_ascii_uppercase() && character != '_');
    let variables: BTreeSet<_> = variables.filter(|word| word.starts_with("LODGE_")).collect();
    assert!(variables.len() > 30 && variables.contains("LODGE_ADMIN_PASSWORD"), "{variables:?}");
    let needed = ["LODGE_DATA_DIR", "LODGE_LISTEN", "LODGE_SCRYPT_COST", "LODGE_BALLAST"];

    let empty = variables.iter().filter(|name| !needed.contains(name));
    let server = empty.fold(ServerBuilder::new(), |builder, name| builder.variable(name, "")).start();

    server.with(&basic("admin", &initial_password(&server))).get("/users/me").expect(200);
    // By default the data directory is `data`, which the server uses.
    let second = server.command(&["serve"]).envs(needed.map(|name| (name, ""))).output().unwrap();
    assert_eq!(second.status.code(), Some(11), "{}", String::from_utf8_lossy(&second.stderr));
    let locks = server.command(&["locks"]).env("LODGE_DATA_DIR", "").output().unwrap();
    assert_eq!(locks.status.code(), Some(0), "{}", String::from_utf8_lossy(&locks.stderr));
}

#[test]
fn a_second_server_on_the_same_directory_is_refused_and_named() {
    let server = Server::start();

    let second = run_to_its_end(&mut server.command(&["serve"]));

    assert_eq!(second.status.code(), Some(11));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another lodge is using the data directory"));
    assert_eq!(server.admin().get("/users").json()["count"], 1);
}

#[test]
fn a_directory_that_cannot_be_used_is_refused_by_name() {
    let builder = ServerBuilder::new();
    fs::write(builder.data_dir(), "a file").unwrap();

    let (code, stderr) = refused(&builder, &[]);

    assert_eq!(code, Some(10), "{stderr}");
    assert!(stderr.contains("is not a directory") && stderr.contains("data"), "{stderr}");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let builder = ServerBuilder::new();
    fs::create_dir(builder.data_dir()).unwrap();
    if !is_root("a directory of another user") {
        return;
    }
    std::os::unix::fs::chown(builder.data_dir(), Some(65534), None).unwrap();

    let (code, stderr) = refused(&builder, &[]);

    assert_eq!(code, Some(16), "{stderr}");
    assert!(stderr.contains("belongs to another user"), "{stderr}");
}

#[test]
fn a_directory_of_root_is_refused_with_what_can_be_done() {
    if !is_root("a directory of root") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let [lodge, data] = ["lodge", "data"].map(|name| place.path().join(name));
    copy_lodge(&lodge);
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(0), Some(65_532)).unwrap();
    for (path, mode) in [(place.path(), 0o755), (&lodge, 0o755), (&data, 0o2775)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    let mut command = Command::new(&lodge);
    command.env_clear().current_dir("/").uid(65_532).gid(65_532).arg("--data-dir").arg(&data);
    let refused = run_to_its_end(&mut command);

    let (stderr, data) = (String::from_utf8(refused.stderr).unwrap(), data.display());
    assert_eq!(refused.status.code(), Some(16), "{stderr}");
    for advice in [format!("--data-dir {data}/lodge"), "fsGroup".to_owned(), format!("chown 65532 {data}")] {
        assert!(stderr.contains(&advice), "{stderr}");
    }
}

#[test]
fn an_address_in_use_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let (code, stderr) = refused(&ServerBuilder::new(), &["--listen", &address]);

    assert_eq!(code, Some(14), "{stderr}");
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn a_store_without_its_secret_does_not_start_and_is_not_changed() {
    let mut server = Server::start();
    let secret = server.data_dir().join("secret");
    let kept = fs::read(&secret).unwrap();
    assert_eq!(mode(&secret), 0o600);
    assert!(server.stop().success());

    for (spoil, word) in [("missing", "is missing"), ("short", "needs at least 32"), ("open", "can be read by others")]
    {
        fs::write(&secret, if spoil == "short" { &kept[..31] } else { &kept }).unwrap();
        fs::set_permissions(&secret, fs::Permissions::from_mode(if spoil == "open" { 0o644 } else { 0o600 })).unwrap();
        if spoil == "missing" {
            fs::remove_file(&secret).unwrap();
        }
        let output = run_to_its_end(&mut server.command(&["serve"]));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(13), "{stderr}");
        assert!(stderr.contains(word), "{stderr}");
    }

    fs::write(&secret, kept).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    server.start_again();
    server.admin().get("/users/me").expect(200);
}

#[test]
fn everything_in_the_data_directory_is_the_owners_alone() {
    let server = server_with_random_password();
    server.files().iter().for_each(|path| {
        let allowed = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(path), allowed, "{}", path.display());
    });
}

#[test]
fn a_signal_lets_a_running_request_end_and_the_server_exits_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start();
        let body = json!({"key": "theme", "value": "dark"}).to_string();
        let head = format!(
            "POST /api/v2/users/me/configurations HTTP/1.1\r\nHost: lodge\r\nAuthorization: {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
            basic("admin", ADMIN_PASSWORD),
            body.len()
        );
        let mut connection = TcpStream::connect(server.address).unwrap();
        connection.write_all(head.as_bytes()).unwrap();
        let mut interim = [0; 25];
        connection.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n", "the request is running");

        server.signal(signal);
        server.wait_for_log("stopping");
        connection.write_all(body.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();

        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
        assert_eq!(server.wait().code(), Some(0));
        server.start_again();
        server.admin().get("/users/me/configurations/theme").expect(200);
    }
}

#[test]
fn a_signal_ends_idle_connections_at_once() {
    let mut server = Server::start();
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    connection.write_all(b"HEAD /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n").unwrap();
    let mut status = [0; 15];
    connection.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");

    server.signal(Signal::TERM);

    // It fails at its timeout if the connection is kept as long as requests may run.
    connection.read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn health_succeeds_only_with_a_ready_server() {
    let mut server = Server::start();
    let address = server.address.to_string();
    // Where there is no local socket, the address is asked.
    fs::remove_file(server.socket()).unwrap();
    let health = |server: &Server| server.command(&["health", "--listen", &address]).output().unwrap().status.code();

    assert_eq!(health(&server), Some(0));
    server.kill();
    assert_eq!(health(&server), Some(1));
}

#[test]
fn health_takes_the_settings_of_the_server_from_its_file_too_and_tries_every_address() {
    let builder = ServerBuilder::new();
    let server = builder.start();
    fs::remove_file(server.socket()).unwrap();
    let file = server.directory().join("lodge.toml");
    let health = |listen: String, through: &str| {
        fs::write(&file, format!("listen = \"{listen}\"\nadmin-password-file = \"/nowhere\"\n")).unwrap();
        let mut command = server.command(&["health"]);
        command.env_remove("LODGE_LISTEN");
        match through {
            "variable" => command.env("LODGE_CONFIG", &file),
            _ => command.arg("--config").arg(&file),
        };
        command.output().unwrap().status.code()
    };
    let port = server.address.port();

    assert_eq!(health(format!("127.0.0.1:{port}"), "variable"), Some(0));
    assert_eq!(health(format!("127.0.0.1:{port}"), "flag"), Some(0));
    assert_eq!(health(format!("localhost:{port}"), "flag"), Some(0), "whichever of its addresses comes first");
    assert_eq!(health(format!("[::]:{port}"), "flag"), Some(0), "where IPv6 is off, IPv4 is asked");
    assert_eq!(health("127.0.0.1:1".to_owned(), "flag"), Some(1));
}

#[test]
fn a_store_of_a_newer_lodge_is_refused_with_both_numbers() {
    use lodge::store::{
        engine::{Changes, Engine, Tree},
        sled::Sled,
    };
    let mut server = Server::start();
    assert!(server.stop().success());
    let store = server.data_dir().join("store");
    let sled = Sled::open(&store.join("index"), 1 << 20).unwrap();
    let integrity = crate::harness::older::set_format(&sled, 9, 1);
    let of = |key: &str| ((Tree::Meta, key.as_bytes().to_vec()), sled.get(Tree::Meta, key.as_bytes()).unwrap());
    crate::harness::journal::append(&store, &Changes::from([of("format"), of("integrity")]), &integrity);
    drop(sled);

    let output = run_to_its_end(&mut server.command(&["serve"]));

    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(12), "{stderr}");
    assert!(stderr.contains("has format 9; this server reads up to 5"), "{stderr}");
}
