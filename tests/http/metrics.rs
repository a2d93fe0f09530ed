//! `/metrics`, with a credential and on a listener of its own.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, TcpListener},
    process::Output,
};

use serde_json::{Value, json};

use crate::harness::{Metrics, Reply, Request, Server, ServerBuilder, exchange_raw, wait_until};

/// The metrics that an administrator is shown.
#[track_caller]
fn metrics(server: &Server) -> Metrics {
    Metrics::parse(&server.admin().get("/metrics").expect(200).text())
}

/// Where the server serves metrics without a credential, as its status reports it.
fn open_address(server: &Server) -> SocketAddr {
    let status = server.admin().get("/status").expect(200).json();
    let addresses = status["addresses"].as_array().unwrap().iter().filter_map(Value::as_str);
    let mut open = addresses.filter_map(|address| address.strip_prefix("http://")?.strip_suffix("/metrics"));
    open.next().unwrap().parse().unwrap()
}

fn open(server: &Server, request: &Request) -> Reply {
    server.anonymous().at(open_address(server)).send(request)
}

/// The exit code of `lodge serve` with these flags, which must refuse them, and what it printed. It ends in any case, because
/// its own address is in use.
fn refused(flags: &[&str]) -> (Option<i32>, String) {
    let (builder, taken) = (ServerBuilder::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let mut command = builder.command(&["serve"]);
    command.env("LODGE_LISTEN", taken.local_addr().unwrap().to_string()).args(flags);
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn requests_are_counted_by_operation_and_status_with_their_durations() {
    let server = Server::start();
    let ann = server.user("ann");
    let before = metrics(&server);

    for _ in 0..3 {
        ann.get("/users/me").expect(200);
    }
    server.anonymous().get("/users/me").expect(401);
    server.anonymous().get("/nothing").expect(404);
    server.anonymous().send(&Request::whole("GET", "/healthz")).expect(200);

    let after = metrics(&server);
    let grown = |series: &str| after.of(series) - before.find(series).unwrap_or(0);
    let requests = |operation, status| {
        grown(&format!("lodge_http_requests_total{{operation=\"{operation}\",status=\"{status}\"}}"))
    };
    assert_eq!(requests("show_current_user", 200), 3);
    assert_eq!(requests("show_current_user", 401), 1);
    assert_eq!(requests("none", 404), 1);
    assert_eq!(requests("/healthz", 200), 1);
    assert_eq!(requests("show_metrics", 200), 1, "the one before");
    assert_eq!(grown("lodge_http_request_seconds_count{operation=\"show_current_user\",status=\"2xx\"}"), 3);
    assert!(after.sum("lodge_http_request_seconds_sum{operation=\"show_current_user\",status=\"2xx\"}") > 0.0);
}

#[test]
fn commits_rows_and_the_stores_size_are_those_of_the_store() {
    let server = Server::start();
    server.session("ann");
    let before = metrics(&server);

    for number in 0..4 {
        let body = json!({"key": format!("theme-{number}"), "value": "dark"});
        server.user("ann").post("/users/me/configurations", &body).expect(201);
    }

    let after = metrics(&server);
    let grown = |series| after.of(series) - before.of(series);
    assert_eq!(after.of("lodge_rows{table=\"users\"}"), 2);
    assert_eq!(after.of("lodge_rows{table=\"sessions\"}"), 1);
    assert_eq!(grown("lodge_rows{table=\"configurations\"}"), 4);
    // Other writes may be among them, as those of the audit log.
    assert!(grown("lodge_commit_seconds_count") >= 4 && grown("lodge_commit_group_writes_sum") >= 4);
    assert!(grown("lodge_sync_seconds_count") >= 4 && after.sum("lodge_sync_seconds_sum") > 0.0);
    assert!(after.of("lodge_store_bytes") > 0);
}

#[test]
fn failed_attempts_and_lockouts_are_counted() {
    let server = ServerBuilder::new().flag("--throttle-after", "2").start();
    let guess = || {
        server.anonymous().post("/users/sign_in", &json!({"user": {"username": "admin", "password": "a wrong one"}}))
    };
    let key = server.key("admin", &["metrics / show"]);
    let read = || Metrics::parse(&key.get("/metrics").expect(200).text());
    let before = read();

    assert_eq!([guess(), guess(), guess()].map(|reply| reply.status), [401, 401, 429]);

    let after = read();
    let failed = |outcome| {
        let series = format!("lodge_failed_attempts_total{{action=\"sessions / create\",outcome=\"{outcome}\"}}");
        after.of(&series) - before.of(&series)
    };
    assert_eq!([failed("refused"), failed("had_to_wait")], [2, 1]);
    assert_eq!([before.of("lodge_lockouts"), after.of("lodge_lockouts")], [0, 1]);
    assert_eq!(after.of("lodge_password_hashes_waiting"), 0);
    assert_eq!(after.of("lodge_password_hashes_refused_total"), 0);
}

#[test]
fn connections_memory_and_the_build_are_shown() {
    let server = ServerBuilder::new().flag("--max-connections", "64").flag("--transfer-memory", "64MiB").start();

    let metrics = metrics(&server);

    assert_eq!(metrics.of("lodge_connections_max{listener=\"api\"}"), 64);
    assert_eq!(metrics.of("lodge_memory_budget_bytes{listener=\"api\"}"), 64 << 20);
    assert!(metrics.of("lodge_connections{listener=\"api\"}") >= 1);
    assert_eq!(metrics.of("lodge_connections{listener=\"local\"}"), 0);
    assert_eq!(metrics.of(&format!("lodge_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1);
    assert_eq!(metrics.find("lodge_backup_age_seconds"), None);
    assert_eq!(metrics.find("lodge_certificate_end_timestamp_seconds"), None);
}

#[test]
fn the_age_of_the_newest_backup_and_the_end_of_the_certificate_are_shown_where_there_is_one() {
    let builder = ServerBuilder::new();
    let backups = builder.data_dir().with_file_name("backups");
    let builder = builder.flag("--backup-dir", backups.to_str().unwrap()).flag("--backup-every", "1h");
    let builder = builder.flag("--tls-self-signed", "127.0.0.1").flag("--metrics-listen", "127.0.0.1:0");
    let mut server = builder.start_unasked();
    let read = |server: &Server| {
        let reply = server.local().send(&Request::whole("GET", "/metrics")).expect(200);
        Metrics::parse(&reply.text())
    };

    wait_until("a backup was made", || read(&server).find("lodge_backup_age_seconds").is_some());
    server.restart();

    let metrics = read(&server);
    assert!(metrics.of("lodge_backup_age_seconds") < 3600, "also after a restart");
    let end = metrics.of("lodge_certificate_end_timestamp_seconds");
    assert!(end > 1_700_000_000 && end < 5_000_000_000, "{end}");
}

#[test]
fn no_label_comes_from_a_client() {
    let server = Server::start();
    let hostile = "hostile\"} 1 lodge_up";
    for (method, path) in [
        ("GET", "/hostile%22%7D"),
        ("HOSTILE", "/api/v2/users/me"),
        ("GET", "/api/v2/users/hostile"),
        ("GET", "/metrics/hostile"),
        ("OPTIONS", "/api/v2/hostile?hostile=1"),
    ] {
        server.admin().try_send(&Request::whole(method, path)).unwrap();
    }
    exchange_raw(server.address, b"HOSTILE\x01 / HTTP/1.1\r\n\r\n").unwrap();
    let sign_in = json!({"user": {"username": hostile, "password": "hostile enough"}});
    server.anonymous().post("/users/sign_in", &sign_in).expect(401);
    server.user("hostile").post("/users/me/configurations", &json!({"key": hostile, "value": hostile})).expect(201);

    let text = server.admin().get("/metrics").expect(200).text();

    assert!(!text.to_lowercase().contains("hostile"), "{text}");
    let metrics = Metrics::parse(&text);
    let names = ["action", "le", "listener", "operation", "outcome", "status", "table", "version"];
    assert_eq!(metrics.label_names(), names.into_iter().collect());
    let document = server.anonymous().send(&Request::whole("GET", "/openapi.json")).json();
    let paths = document["paths"].as_object().unwrap().values();
    let ids =
        paths.flat_map(|methods| methods.as_object().unwrap().values()).map(|row| row["operationId"].as_str().unwrap());
    let known: BTreeSet<_> = ids.chain(["none", "/healthz", "/openapi.json"]).collect();
    assert!(metrics.values("operation").is_subset(&known), "{:?}", metrics.values("operation"));
    assert!(metrics.of("lodge_http_requests_total{operation=\"none\",status=\"404\"}") >= 2);
}

#[test]
fn only_administrators_with_the_scope_see_the_metrics() {
    let server = Server::start();

    for path in ["/metrics", "/api/v2/metrics"] {
        let get = Request::whole("GET", path);
        server.anonymous().send(&get).expect(401);
        server.user("ann").send(&get).expect(403);
        server.key("ann", &["metrics / show"]).send(&get).expect(403);
        server.key("admin", &["users / index"]).send(&get).expect(403);
        server.key("admin", &["metrics / show"]).send(&get).expect(200);
        server.session("admin").send(&get).expect(200);
        server.admin().send(&get).expect(200);
        server.local().send(&get).expect(200);
        assert_eq!(
            server.admin().send(&Request::whole("POST", path)).expect(405).header("allow"),
            Some("GET, HEAD, OPTIONS")
        );
        assert_eq!(server.admin().send(&Request::whole("HEAD", path)).expect(200).text(), "");
    }
}

#[test]
fn a_listener_for_metrics_serves_them_without_a_credential_and_nothing_else() {
    let server = ServerBuilder::new().flag("--metrics-listen", "127.0.0.1:0").start();

    let text = open(&server, &Request::whole("GET", "/metrics")).expect(200).text();

    let metrics = Metrics::parse(&text);
    assert_eq!(metrics.of("lodge_connections_max{listener=\"metrics\"}"), 16);
    for path in ["/", "/healthz", "/openapi.json", "/api/v2/metrics", "/api/v2/users/me", "/api/v2/backups"] {
        let asked = server.admin().at(open_address(&server)).try_send(&Request::whole("GET", path));
        assert_eq!(asked.unwrap().status, 404, "{path}");
    }
    assert_eq!(open(&server, &Request::whole("POST", "/metrics")).expect(405).header("allow"), Some("GET, HEAD"));
    assert_eq!(open(&server, &Request::whole("HEAD", "/metrics")).expect(200).text(), "");
    let again = Metrics::parse(&open(&server, &Request::whole("GET", "/metrics?a=b")).expect(200).text());
    assert_eq!(again.of("lodge_http_requests_total{operation=\"scrape\",status=\"200\"}"), 2);
}

#[test]
fn a_listener_for_metrics_that_other_machines_reach_has_to_be_asked_for() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9464"] {
        let (code, printed) = refused(&["--metrics-listen", address]);
        let why = "and need no credential there; give --metrics-public if they may";
        assert_eq!(
            (code, printed.contains(&format!("--metrics-listen: other machines reach {address}, {why}"))),
            (Some(2), true),
            "{printed}"
        );
    }
    let (code, printed) = refused(&["--metrics-listen", "localhost:9464"]);
    assert_eq!(code, Some(2));
    assert!(printed.contains("`localhost:9464` is not an IP address with a port, such as 127.0.0.1:9464"), "{printed}");

    let server =
        ServerBuilder::new().flag("--metrics-listen", "0.0.0.0:0").variable("LODGE_METRICS_PUBLIC", "true").start();

    let address = SocketAddr::from(([127, 0, 0, 1], open_address(&server).port()));
    server.anonymous().at(address).send(&Request::whole("GET", "/metrics")).expect(200);
}

#[test]
fn an_address_for_metrics_that_is_in_use_ends_the_start() {
    let server = Server::start();

    let (code, printed) = refused(&["--metrics-listen", &server.address.to_string()]);

    assert_eq!(code, Some(14), "{printed}");
    assert!(printed.contains(&format!("the address {} cannot be listened on", server.address)), "{printed}");
}
