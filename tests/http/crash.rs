//! The server is killed in the midst of writes, again and again, on one and the same directory.

mod holdings;
mod writer;

use std::{
    collections::BTreeMap,
    fs, hint,
    os::unix::process::ExitStatusExt,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use lodge::store::{
    DiskReserve, Store,
    engine::Tree,
    verify::{Findings, verify},
};
use rustix::process::Signal;

use self::{holdings::Holdings, writer::Writer};
use crate::harness::{Server, ServerBuilder, random_below, repetitions};

const WRITERS: [&str; 6] = ["ann", "bob", "cid", "dot", "eve", "fay"];
/// How often the server is killed, unless `LODGE_TEST_KILLS` is set.
const KILLS: usize = 15;
/// How many writes are acknowledged at most before the server is killed.
const MAX_WRITES: usize = 300;
/// The maximum number of turns between a write and the kill that follows it: the time of a commit or two.
const MAX_TURNS: usize = 100_000;

#[test]
fn after_every_kill_acknowledged_writes_exist_and_others_are_whole_or_absent() {
    // The writers try many credentials that are worth nothing any more.
    let mut server = ServerBuilder::new().variable("LODGE_THROTTLE_AFTER", "0").start();
    let mut writers = WRITERS.map(|name| Writer::new(&server, name));

    for _ in 0..kills() {
        write_until_killed(&server, &mut writers);
        assert_eq!(server.wait().signal(), Some(Signal::KILL.as_raw()));
        server.start_again();
        settle(&server, &mut writers);
    }

    assert!(server.stop().success());
    let records = records(&writers);
    for (controller, tree) in [("users", Tree::Users), ("api_keys", Tree::ApiKeys)] {
        let [made, destroyed] =
            ["create", "destroy"].map(|action| recorded(&server, &format!("{controller} / {action}")));
        assert_eq!(made - destroyed, records[&tree], "{made} {controller} were made and {destroyed} destroyed");
    }
    let verified = server.command(&["audit", "--verify"]).output().unwrap();
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(findings(&server), Findings { records, ..Findings::default() });
    assert_eq!(fs::read_dir(server.data_dir().join("store/index/blobs")).unwrap().count(), 0);
}

fn kills() -> usize {
    repetitions("LODGE_TEST_KILLS", KILLS)
}

/// All write at once until so many writes are acknowledged, and then to the end of the server.
fn write_until_killed(server: &Server, writers: &mut [Writer]) {
    let moment = 1 + random_below(MAX_WRITES);
    let acknowledged = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in writers {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                while writer.write(server) {
                    if acknowledged.fetch_add(1, Ordering::SeqCst) + 1 == moment {
                        (0..random_below(MAX_TURNS)).for_each(|_| hint::spin_loop());
                        server.signal(Signal::KILL);
                    }
                }
            });
        }
    });
    assert!(acknowledged.into_inner() >= moment, "the server was not killed: {}", server.log());
}

/// How many entries of that action are in the audit log: one for each change that is there, and none for any other.
fn recorded(server: &Server, action: &str) -> u64 {
    let output = server.command(&["audit", "--action", action]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout.split(|byte| *byte == b'\n').count() as u64 - 1
}

fn settle(server: &Server, writers: &mut [Writer]) {
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(move || writer.settle(server));
        }
    });
}

/// What the store reports of itself; sessions are not counted, since a sign-in that was not answered may have made one.
fn findings(server: &Server) -> Findings {
    let store = Store::open(&server.data_dir().join("store"), 1 << 20, DiskReserve::NONE).unwrap();
    let mut findings = verify(&store, &mut |_| {}).unwrap();
    findings.records.remove(&Tree::Sessions);
    findings
}

/// How many records there are by what the writers hold, the administrator `admin` and themselves among them.
fn records(writers: &[Writer]) -> BTreeMap<Tree, u64> {
    let sum = |count: fn(&Holdings) -> usize| writers.iter().map(|writer| count(&writer.held)).sum::<usize>() as u64;
    let people = sum(|held| held.people.len());
    let configurations = sum(|held| held.configurations.len());
    let of_people = sum(|held| held.people.values().map(|person| person.configurations.len()).sum());
    let mut records = BTreeMap::from([(Tree::Users, 1 + writers.len() as u64 + people)]);
    records.insert(Tree::Configurations, configurations + of_people);
    records.insert(Tree::ApiKeys, sum(|held| held.api_keys.len()));
    records
}
