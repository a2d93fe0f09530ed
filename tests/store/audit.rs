//! The audit log by itself: entries come with changes, and whatever is done to them is noticed.

mod beginnings;
mod rotated;
mod version_0_3;

use std::{
    fs,
    ops::ControlFlow,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use lodge::{
    audit::{Audit, Chain, Files, Filter, LogReader, MAX_ROWS, Report, RetentionPolicy, done, verify},
    clock::Timestamp,
    domain::{Action, Actor, AffectedResource, AuditEntry, Event, User},
    secret::RootSecret,
    store::{
        Store, StoreError, Tables,
        audit::{AuditState, LogPosition, after, state},
        engine::{Changes, Engine, KeyRange, Tree},
        memory::Memory,
        record,
    },
};
use rustix::{fs::Mode, process::umask};
use tempfile::TempDir;

use crate::{
    histories::runtime,
    model::Undone,
    values::{id, user},
};

const SECRET: [u8; 32] = [7; 32];
/// So small that some files come together soon.
const RULES: RetentionPolicy = RetentionPolicy { size_bytes: 1500, age: Duration::from_hours(24), keep: 100 };

/// A log in memory, with files in a directory of its own.
struct Log {
    memory: Arc<Memory>,
    store: Store,
    audit: Audit,
    directory: TempDir,
}

fn event(number: u64) -> Event {
    let details = AffectedResource::details(vec![format!("event {number}")]);
    done(Timestamp::from_secs(number), Actor::SERVER, Action::StartServer, details)
}

fn chain(secret: [u8; 32]) -> Chain {
    Chain::new(&RootSecret::from_bytes(secret))
}

impl Log {
    fn empty(policy: RetentionPolicy) -> Self {
        Self::empty_under(SECRET, policy)
    }

    fn empty_under(secret: [u8; 32], policy: RetentionPolicy) -> Self {
        let memory = Arc::new(Memory::default());
        let store = Store::over(Arc::clone(&memory) as Arc<dyn Engine>);
        runtime().block_on(store.initialise()).unwrap();
        let directory = TempDir::new().unwrap();
        let audit = Audit::new(&RootSecret::from_bytes(secret));
        audit.keep_in(Files::open(&directory.path().join("audit"), policy, LogPosition::default()).unwrap());
        Self { memory, store, audit, directory }
    }

    /// With so many entries, all but the last ten in the files.
    fn with(entries: u64) -> Self {
        Self::under(SECRET, entries)
    }

    /// Likewise, under that secret.
    fn under(secret: [u8; 32], entries: u64) -> Self {
        let log = Self::empty_under(secret, RULES);
        log.record(1..=entries - 10);
        log.bring_to_files();
        log.record(entries - 9..=entries);
        log
    }

    fn record(&self, numbers: std::ops::RangeInclusive<u64>) {
        let chain = self.audit.chain.clone();
        let append = move |txn: &mut lodge::store::Txn<'_>| {
            numbers.into_iter().try_for_each(|number| chain.append(txn, event(number)))
        };
        self.store.write_blocking::<_, StoreError>(append).unwrap();
    }

    fn bring_to_files(&self) {
        self.audit.log_reader(&self.store).unwrap();
    }

    /// The files as they are.
    fn log_reader(&self) -> LogReader {
        LogReader::of(&self.directory.path().join("audit")).unwrap()
    }

    /// Verifies what is there, without bringing anything to the files.
    fn report(&self) -> Report {
        verify(&self.audit.chain, &self.log_reader(), &self.store).unwrap()
    }

    /// All lines, as they are printed.
    fn printed(&self) -> Vec<String> {
        let mut printed = Vec::new();
        let mut out = |line: &str| {
            printed.push(line.to_owned());
            Ok(())
        };
        self.log_reader().print(&self.store, &Filter::default(), &mut out).unwrap();
        printed
    }

    /// What `lodge secret rotate` does to it.
    fn rotate(&mut self, secret: [u8; 32], number: u64) {
        self.audit = Audit::new(&RootSecret::from_bytes(secret));
        let files = Files::open(&self.directory.path().join("audit"), RULES, self.state().exported).unwrap();
        self.audit.keep_in(files);
        let chain = self.audit.chain.clone();
        self.log_reader().prepare_seal(&chain, &self.store).unwrap().put_in_place().unwrap();
        self.store.write_blocking(move |txn| chain.begin(txn, "another secret", event(number))).unwrap();
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.report().fault, None);
    }

    #[track_caller]
    fn names(&self, fault: &str) {
        let found = self.report().fault.unwrap_or_else(|| panic!("nothing was noticed instead of {fault:?}"));
        assert!(found.contains(fault), "{found:?} instead of {fault:?}");
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.path().join("audit")).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort();
        files
    }

    /// The file with that entry, and the number of its line.
    fn place_of(&self, wanted: u64) -> (PathBuf, usize) {
        let places = self.files().into_iter().flat_map(|file| {
            let lines = lines(&file).len();
            (0..lines).map(move |line| (file.clone(), line))
        });
        places.into_iter().nth(usize::try_from(wanted - 1).unwrap()).unwrap()
    }

    fn change_lines(&self, of: u64, change: impl FnOnce(&mut Vec<String>, usize)) {
        let (file, line) = self.place_of(of);
        let mut lines = lines(&file);
        change(&mut lines, line);
        fs::write(&file, lines.iter().fold(String::new(), |text, line| text + line + "\n")).unwrap();
    }

    fn entry(&self, wanted: u64) -> AuditEntry {
        after(&self.store, wanted - 1, 1).unwrap().remove(0)
    }

    fn state(&self) -> AuditState {
        state(&self.store).unwrap().unwrap()
    }

    fn put(&self, under: u64, entry: Option<&AuditEntry>) {
        let row = (Tree::Audit, under.to_be_bytes().to_vec());
        self.memory.commit(&Changes::from([(row, entry.map(record::encode))])).unwrap();
    }

    fn put_state(&self, state: &AuditState) {
        let row = (Tree::Meta, b"audit".to_vec());
        self.memory.commit(&Changes::from([(row, Some(record::encode(state)))])).unwrap();
    }
}

/// Changes the first digit of a member with a hash.
fn change_digit(line: &mut String, member: &str) {
    let digit = line.find(&format!("\"{member}\":\"")).unwrap() + member.len() + 4;
    let other = if line.as_bytes()[digit] == b'0' { "1" } else { "0" };
    line.replace_range(digit..=digit, other);
}

fn lines(file: &Path) -> Vec<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_entry_exists_if_and_only_if_its_change_does() {
    let log = Log::empty(RULES);
    let write = |number: u32, fails: bool| {
        let chain = log.audit.chain.clone();
        log.store.write_blocking::<_, Undone>(move |txn| {
            txn.put(&user(number, &format!("user-{number}"))).unwrap();
            chain.append(txn, event(u64::from(number)))?;
            if fails { Err(Undone::Asked) } else { Ok(()) }
        })
    };

    let done: Vec<_> = (1..=6).map(|number| write(number, number % 3 == 0).is_ok()).collect();

    assert_eq!(done, [true, true, false, true, true, false]);
    let events: Vec<_> = after(&log.store, 0, 100).unwrap().into_iter().map(|entry| entry.event).collect();
    assert_eq!(events, [1, 2, 4, 5].map(event));
    let there: Vec<User> = (1..=6).filter_map(|number| log.store.user(id(number)).unwrap()).collect();
    assert_eq!(there.len(), 4);
    log.is_whole();
}

#[test]
fn an_untouched_log_is_whole_in_its_files_in_the_store_and_in_both() {
    let log = Log::with(40);
    log.is_whole();
    assert!(log.files().len() > 3, "{:?}", log.files());
    log.bring_to_files();
    log.is_whole();
    assert_eq!(log.report(), Report { first: 1, last: 40, key_since: 1, fault: None });
}

#[test]
fn any_change_of_a_line_is_detected_with_its_entry() {
    let edits: [(&str, &str); 4] = [
        ("event 7", "event 8"),
        ("server / start", "server / stop"),
        ("00:00:07", "00:00:08"),
        ("\"count\":1", "\"count\": 1"),
    ];
    for (from, to) in edits {
        let log = Log::with(40);
        log.change_lines(7, |lines, at| lines[at] = lines[at].replace(from, to));
        log.names("entry 7 ");
    }
    let log = Log::with(40);
    log.change_lines(7, |lines, at| change_digit(&mut lines[at], "mac"));
    log.names("entry 7 ");
    let log = Log::with(40);
    log.change_lines(7, |lines, at| lines[at] = "{}".to_owned());
    log.names("entry 7:");
}

#[test]
fn lines_that_are_removed_added_or_moved_are_noticed() {
    let removed = Log::with(40);
    removed.change_lines(6, |lines, at| drop(lines.remove(at)));
    removed.names("entry 6:");

    let added = Log::with(40);
    added.change_lines(6, |lines, at| lines.insert(at, lines[at].clone()));
    added.names("entry 7:");

    let moved = Log::with(40);
    moved.change_lines(2, |lines, at| lines.swap(at, at + 1));
    moved.names("entry 2:");
}

#[test]
fn an_end_that_is_cut_off_and_a_file_that_is_gone_are_noticed() {
    let cut = Log::with(40);
    cut.change_lines(30, Vec::truncate);
    cut.names("entry 30 is missing in the files");

    for (gone, first) in [(0, 1), (1, 0)] {
        let log = Log::with(40);
        let files = log.files();
        let missing = if first == 1 { 1 } else { 1 + lines(&files[0]).len() };
        fs::remove_file(&files[gone]).unwrap();
        log.names(&format!("entry {missing}:"));
    }
    let last = Log::with(40);
    let files = last.files();
    let kept: usize = files[..files.len() - 1].iter().map(|file| lines(file).len()).sum();
    fs::remove_file(files.last().unwrap()).unwrap();
    last.names(&format!("entry {} is missing in the files", kept + 1));

    let none = Log::with(40);
    none.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    none.names("entry 1 is missing in the files, and so are all up to 30");
}

#[test]
fn a_line_that_a_kill_left_half_written_is_no_fault_and_is_written_again() {
    let log = Log::with(40);
    let torn = format!("{}{{\"id\":31,\"at\":", fs::read_to_string(log.files().last().unwrap()).unwrap());
    fs::write(log.files().last().unwrap(), torn).unwrap();
    log.is_whole();

    let again = Audit::new(&RootSecret::from_bytes(SECRET));
    again.keep_in(Files::open(&log.directory.path().join("audit"), RULES, log.state().exported).unwrap());
    again.log_reader(&log.store).unwrap();

    log.is_whole();
    assert_eq!(log.files().iter().map(|file| lines(file).len()).sum::<usize>(), 40);
}

#[test]
fn any_change_of_a_row_is_detected_with_its_entry() {
    for number in [7, 35, 40] {
        let edited = Log::with(40);
        let entry = edited.entry(number);
        edited.put(number, Some(&AuditEntry { event: event(99), ..entry }));
        edited.names(&format!("entry {number} "));

        let removed = Log::with(40);
        removed.put(number, None);
        removed.names(&format!("entry {number}"));
    }
    let swapped = Log::with(40);
    let (first, second) = (swapped.entry(35), swapped.entry(36));
    swapped.put(35, Some(&AuditEntry { id: 35, ..second }));
    swapped.put(36, Some(&AuditEntry { id: 36, ..first }));
    swapped.names("entry 35 ");
}

#[test]
fn an_end_that_is_cut_off_in_the_store_is_detected_even_if_the_rest_is_adapted() {
    let fitting = |log: &Log, last: u64| {
        (last + 1..=40).for_each(|number| log.put(number, None));
        let entry = log.entry(last);
        let last = LogPosition::after(&entry);
        log.put_state(&AuditState { last, ..log.state() });
    };
    let log = Log::with(40);
    fitting(&log, 38);
    log.names("which ends with entry 38, was changed");

    // What the server writes after it must not make it whole again.
    log.record(41..=45);
    log.names("was changed");

    let before_the_files = Log::with(40);
    fitting(&before_the_files, 20);
    before_the_files.names("entry 21 is in the files, but not in the store's state of the log");
}

#[test]
fn an_entry_that_is_forged_without_the_secret_is_noticed() {
    let log = Log::with(40);
    let forged = Log::empty(RULES);
    let state = AuditState { key_id: [0; 16], ..log.state() };
    forged.put_state(&state);
    chain([8; 32]).record(&forged.store, event(99)).unwrap();
    let entry = forged.entry(42);
    log.put(41, Some(&AuditEntry { id: 41, ..entry }));
    log.put_state(&AuditState { key_id: log.state().key_id, key_since: 1, ..forged.state() });
    log.names("entry 41 ");
}

#[test]
fn an_entry_of_another_history_under_the_same_secret_is_noticed() {
    let (log, other) = (Log::with(40), Log::empty(RULES));
    other.record(1..=19);
    other.record(21..=21);
    other.record(21..=40);
    assert_eq!(other.entry(35).event, log.entry(35).event);

    log.put(35, Some(&other.entry(35)));

    log.names("entry 35 in the store");
}

#[test]
fn a_file_ends_by_its_size_and_by_its_age_and_the_oldest_go() {
    let by_age = Log::empty(RetentionPolicy { age: Duration::from_secs(10), size_bytes: 1 << 20, keep: 100 });
    by_age.record(1..=35);
    by_age.bring_to_files();
    let held: Vec<_> = by_age.files().iter().map(|file| lines(file).len()).collect();
    assert_eq!(held, [10, 10, 10, 5]);

    let by_size = Log::empty(RetentionPolicy { keep: 3, ..RULES });
    for entries in 0..10 {
        by_size.record(entries * 10 + 1..=entries * 10 + 10);
        by_size.bring_to_files();
    }
    by_size.bring_to_files();
    let files = by_size.files();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|file| fs::metadata(file).unwrap().len() < 2500), "{files:?}");
    by_size.is_whole();
    let first = by_size.report().first;
    assert_eq!(files[0].file_name().unwrap().to_str().unwrap(), format!("audit-{first:012}.jsonl"));
    fs::remove_file(&files[0]).unwrap();
    by_size.names(&format!("entry {first}:"));
}

#[test]
fn the_store_keeps_the_newest_entries_and_the_files_all() {
    let log = Log::empty(RetentionPolicy { size_bytes: 1 << 20, ..RULES });
    let entries = MAX_ROWS + 1500;
    log.record(1..=entries);
    log.bring_to_files();

    let mut rows = 0;
    log.memory
        .scan(Tree::Audit, &KeyRange::all(), &mut |_, _| {
            rows += 1;
            ControlFlow::Continue(())
        })
        .unwrap();

    assert_eq!(rows, MAX_ROWS);
    assert_eq!(log.state().pruned.id, 1500);
    log.is_whole();
    let (log_reader, snapshot) = log.audit.log_reader(&log.store).unwrap();
    let mut printed = 0;
    log_reader
        .print(&snapshot, &Filter::default(), &mut |_| {
            printed += 1;
            Ok(())
        })
        .unwrap();
    assert_eq!(printed, entries);
    fs::remove_file(&log.files()[0]).unwrap();
    log.names("entry 1:");
}

#[test]
fn the_files_are_the_owners_alone_whatever_was_permitted_before() {
    // As it is on most machines; the server's own is stricter.
    umask(Mode::from_raw_mode(0o022));
    let modes = |log: &Log| {
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        (mode(&log.directory.path().join("audit")), mode(log.files().last().unwrap()))
    };
    let log = Log::with(40);
    let made = modes(&log);
    for (path, mode) in [(log.directory.path().join("audit"), 0o755), (log.files().pop().unwrap(), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    Files::open(&log.directory.path().join("audit"), RULES, log.state().exported).unwrap();

    assert_eq!((made, modes(&log)), ((0o700, 0o600), (0o700, 0o600)));
}
