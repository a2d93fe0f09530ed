//! The service manager: what it is notified of, and its watchdog.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use rustix::{
    process::Signal,
    time::{ClockId, clock_gettime},
};

use crate::harness::{Server, ServerBuilder, ServiceManager, is_possible, wait_until};

/// The time that a service manager compares that of a reload with.
fn monotonic_microseconds() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[test]
fn the_service_manager_is_notified_of_the_start_each_reload_and_the_stop() {
    let (manager, builder) = ServiceManager::of(ServerBuilder::new());
    let mut server = builder.start();
    assert_eq!(manager.next(), ["STATUS=opening the store"]);
    assert_eq!(manager.next(), ["READY=1".to_owned(), format!("STATUS=serving on http://{}", server.address)]);

    for _ in 0..2 {
        let before = monotonic_microseconds();
        server.signal(Signal::HUP);
        let begun = manager.next();
        assert_eq!(begun[0], "RELOADING=1");
        let at = begun[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!((before..=monotonic_microseconds()).contains(&at), "{before} {at}");
        assert_eq!(manager.next(), ["READY=1"]);
    }

    server.anonymous().get("/scopes").expect(401);
    assert!(server.stop().success());
    assert_eq!(manager.next(), ["STOPPING=1", "STATUS=stopping: running requests may take up to 30 s"]);
    assert!(manager.waiting().is_empty());
}

#[test]
fn a_service_manager_that_is_not_there_is_logged_once_and_stops_nothing() {
    let mut server = ServerBuilder::new().variable("NOTIFY_SOCKET", "/nowhere/notify").start();

    server.admin().get("/users").expect(200);

    assert!(server.stop().success());
    assert_eq!(server.log().matches("the service manager cannot be notified").count(), 1, "{}", server.log());
}

#[test]
fn the_watchdog_of_another_process_is_not_fed() {
    let watched = ServerBuilder::new().variable("WATCHDOG_USEC", "3600000000");
    let (manager, builder) = ServiceManager::of(watched.variable("WATCHDOG_PID", "1"));
    let mut server = builder.start();

    assert!(server.stop().success());

    assert!(manager.waiting().iter().all(|lines| lines[0] != "WATCHDOG=1"));
}

#[test]
fn the_watchdog_is_fed_while_the_workers_answer() {
    let missing = Command::new("strace").arg("-V").output().is_err().then_some("strace");
    if !is_possible("the_watchdog_is_fed_while_the_workers_answer", missing) {
        return;
    }
    let (manager, builder) = ServiceManager::of(ServerBuilder::new().variable("WATCHDOG_USEC", "1000000"));
    let server = builder.start();
    let fed = || while manager.next() != ["WATCHDOG=1"] {};
    fed();
    fed();

    let blocked = Blocked::workers_of(&server);
    let complaints = || server.log().matches("a worker does not answer").count();
    wait_until("there is no sign of life between two complaints", || {
        manager.waiting();
        let before = complaints();
        wait_until("a worker that does not answer is logged", || complaints() > before);
        manager.waiting().is_empty()
    });

    drop(blocked);
    fed();
}

/// Workers of a server that are stopped, until this is dropped, where they wait for something to do.
struct Blocked(Child);

impl Blocked {
    fn workers_of(server: &Server) -> Self {
        let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap().map(|entry| entry.unwrap().path());
        let is_worker = |thread: &PathBuf| fs::read_to_string(thread.join("comm")).unwrap().starts_with("actix-rt");
        let mut strace = Command::new("strace");
        strace.args(["--quiet=all", "--trace=epoll_wait", "--inject=epoll_wait:delay_enter=600s"]);
        for worker in threads.filter(is_worker) {
            strace.arg("--attach").arg(worker.file_name().unwrap());
        }
        Self(strace.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // Threads that are no longer traced go on.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
