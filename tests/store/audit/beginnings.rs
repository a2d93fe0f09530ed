//! Where a log does not simply continue: under another secret, in another store, after what is known of it.

use lodge::{
    audit::{carry_over, continue_after_files, page},
    domain::Page,
};
use serde_json::{Value, json};

use super::*;

const OTHER_SECRET: [u8; 32] = [8; 32];

impl Log {
    /// The files of this one with the store of another, as replacing the directory `store` leaves them.
    fn with_store_of(self, other: Self) -> Self {
        let (Self { directory, audit, .. }, Self { memory, store, .. }) = (self, other);
        Self { memory, store, audit, directory }
    }

    /// As it is when the server has been started under that secret.
    fn started_under(self, secret: [u8; 32]) -> Self {
        let audit = Audit::new(&RootSecret::from_bytes(secret));
        let exported = state(&self.store).unwrap().unwrap_or_default().exported;
        let files = Files::open(&self.directory.path().join("audit"), RULES, exported).unwrap();
        let now = Timestamp::from_secs(1000);
        runtime().block_on(continue_after_files(&audit.chain, &self.log_reader(), &self.store, now)).unwrap();
        audit.keep_in(files);
        Self { audit, ..self }
    }

    /// Continues it in a new store, with an entry under that secret if one is given.
    fn carried_over(&self, by: Option<[u8; 32]>, is_readable: bool) -> (Store, Report) {
        let (heir, files) = (Self::empty(RULES), self.log_reader());
        let entry = by.map(|secret| (chain(secret), event(41)));
        let former = is_readable.then_some(&self.store);
        runtime().block_on(carry_over(former, &files, &heir.store, entry)).unwrap();
        let report = verify(&chain(by.unwrap_or(SECRET)), &files, &heir.store).unwrap();
        (heir.store, report)
    }

    fn details(&self, of: u64) -> Vec<String> {
        self.entry(of).event.subject.details
    }

    fn printed_ids(&self) -> Vec<u64> {
        self.printed().iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect()
    }
}

#[test]
fn a_new_key_is_reported_and_proves_the_earlier_entries() {
    let log = Log::with(40);
    let mut log = Log { audit: Audit::new(&RootSecret::from_bytes(OTHER_SECRET)), ..log };
    log.names("under another secret");

    log.rotate(OTHER_SECRET, 41);

    assert_eq!(log.report(), Report { first: 1, last: 42, key_since: 41, fault: None });
    assert_eq!(log.entry(41).event.action, Action::ContinueLog);
    assert_eq!(log.details(41), ["another secret"]);
    assert_eq!(log.entry(42).event, event(41));
    log.change_lines(7, |lines, at| lines[at] = lines[at].replace("event 7", "event 8"));
    log.names("entry 7 ");
}

#[test]
fn a_log_that_was_rewritten_without_the_secret_continues_unsealed() {
    let cut = Log::with(40);
    (39..=40).for_each(|number| cut.put(number, None));
    let last = LogPosition::after(&cut.entry(38));
    cut.put_state(&AuditState { last, key_id: [0; 16], ..cut.state() });
    let edited = Log::under(OTHER_SECRET, 40);

    for (log, end) in [(cut, 38), (edited, 40)] {
        let log = log.started_under(SECRET);
        log.record(1..=5);
        log.bring_to_files();
        let mut log = log.started_under(SECRET);
        log.record(6..=7);

        log.names(&format!("the log up to entry {end} may have been changed"));
        log.names(&format!("as entry {} reports", end + 1));
        assert_eq!(log.details(end + 1), ["the log up to here was written under another secret, or was changed"]);
        assert_eq!(log.state().last.id, end + 8);

        log.rotate([9; 32], 8);
        assert_eq!(log.report(), Report { first: 1, last: end + 10, key_since: end + 9, fault: None });
    }
}

#[test]
fn a_log_without_an_entry_begins_whole_whatever_else_is_in_its_state() {
    let log = Log::empty(RULES);
    let mac = [9; 32];
    log.put_state(&AuditState {
        last: LogPosition { id: 0, mac },
        dropped: LogPosition { id: 7, mac },
        ..AuditState::default()
    });

    log.record(1..=3);

    assert_eq!(log.report(), Report { first: 1, last: 3, key_since: 1, fault: None });
}

#[test]
fn a_store_with_fewer_entries_than_the_files_continues_after_them_and_is_reported() {
    for (store, knew) in [(Log::empty(RULES), 0), (Log::with(20), 20)] {
        let mut log = Log::with(40).with_store_of(store).started_under(SECRET);

        log.record(1..=5);
        log.bring_to_files();

        assert_eq!(log.details(31), [format!("the store knew of {knew} entries, and the files end with entry 30")]);
        assert_eq!(log.printed_ids(), (1..=36).collect::<Vec<_>>());
        let AuditState { last, exported, pruned, .. } = log.state();
        assert_eq!((last.id, exported, pruned.id), (36, last, 30));
        assert_eq!(after(&log.store, 0, 1).unwrap()[0].id, 31);
        log.names("the log up to entry 30 may have been changed");

        log.rotate(OTHER_SECRET, 6);
        assert_eq!(log.report(), Report { first: 1, last: 38, key_since: 37, fault: None });
        log.change_lines(7, |lines, at| lines[at] = lines[at].replace("event 7", "event 8"));
        log.names("entry 7 ");
    }
}

#[test]
fn of_files_without_a_store_only_entries_that_the_key_proves_are_part_of_the_log() {
    let mut foreign = Log::under(OTHER_SECRET, 40).with_store_of(Log::empty(RULES)).started_under(SECRET);
    foreign.rotate([9; 32], 1);
    assert_eq!(foreign.report(), Report { first: 31, last: 33, key_since: 32, fault: None });
    assert_eq!(foreign.printed_ids(), [31, 32, 33]);

    // Nothing but an entry that is gone could vouch for the first that is left.
    let shortened = Log::with(40);
    let oldest = shortened.files().remove(0);
    let gone = lines(&oldest).len() as u64;
    fs::remove_file(oldest).unwrap();
    let mut shortened = shortened.with_store_of(Log::empty(RULES)).started_under(SECRET);
    shortened.rotate(OTHER_SECRET, 1);
    assert_eq!(shortened.report(), Report { first: gone + 2, last: 33, key_since: 32, fault: None });
    assert_eq!(shortened.printed_ids(), (gone + 2..=33).collect::<Vec<_>>());
}

#[test]
fn the_log_continues_in_another_store_and_where_it_cannot_it_begins_after_what_is_known() {
    let log = Log::with(40);
    let goes_on = |by, is_readable| log.carried_over(by, is_readable).1;
    let whole = |first, last, key_since| Report { first, last, key_since, fault: None };

    assert_eq!(goes_on(Some(SECRET), true), whole(1, 41, 1));
    // Without the old store the ten entries that were in no file yet are lost, and the log records that it begins anew.
    assert_eq!(goes_on(Some(SECRET), false), whole(1, 32, 31));
    assert_eq!(goes_on(Some(OTHER_SECRET), false), whole(31, 32, 31));
    log.put(35, None);
    assert_eq!(goes_on(Some(SECRET), true), whole(41, 42, 41));
}

#[test]
fn a_log_that_continues_in_another_store_under_another_secret_is_unsealed() {
    let (_, report) = Log::with(40).carried_over(Some(OTHER_SECRET), true);

    assert!(report.fault.is_some_and(|fault| fault.contains("the log up to entry 40 may have been changed")));
}

#[test]
fn without_a_secret_the_log_is_carried_over_as_it_is() {
    let log = Log::with(40);

    let (heir, report) = log.carried_over(None, true);

    assert_eq!(report, Report { first: 1, last: 40, key_since: 1, fault: None });
    assert_eq!(state(&heir).unwrap(), Some(log.state()));
    assert_eq!(state(&Log::empty(RULES).carried_over(None, true).0).unwrap(), None);
}

#[test]
fn a_crash_before_the_first_line_of_a_file_hides_none_of_the_others() {
    let log = Log::with(40);
    fs::write(log.directory.path().join("audit/audit-000000000031.jsonl"), "{\"id\":31").unwrap();

    let (_, report) = log.carried_over(Some(SECRET), false);

    assert_eq!(report, Report { first: 1, last: 32, key_since: 31, fault: None });
}

#[test]
fn a_damaged_old_file_stops_nothing_but_the_removal_of_files() {
    let log = Log::empty(RetentionPolicy { keep: 2, ..RULES });
    log.record(1..=20);
    log.bring_to_files();
    let oldest = log.files().remove(0);
    fs::write(&oldest, "no entry\n").unwrap();

    log.record(21..=40);
    log.bring_to_files();

    assert_eq!(log.state().exported, log.state().last);
    assert!(log.files().len() > 3, "{:?}", log.files());
    fs::remove_file(oldest).unwrap();
    log.bring_to_files();
    assert_eq!(log.files().len(), 2);
}

#[test]
fn what_is_no_longer_part_of_the_log_is_not_printed() {
    let log = Log::empty(RetentionPolicy { keep: 2, ..RULES });
    log.record(1..=40);
    log.bring_to_files();
    let before = log.printed();
    let oldest = log.files().remove(0);
    let first = format!("\"id\":{},", log.report().first);
    let text = fs::read_to_string(&oldest).unwrap();
    let forged = text.lines().next().unwrap().replacen(&first, "\"id\":1,", 1).replace("event", "\u{9b}2J");
    fs::write(&oldest, format!("{forged}\n{text}")).unwrap();
    log.is_whole();
    assert_eq!(log.printed(), before);

    let rows = Log::with(40).with_store_of(Log::empty(RULES)).started_under(SECRET);
    rows.record(1..=2);
    rows.put(5, Some(&Log::with(20).entry(5)));
    let filter = Filter { action: Some("server / start".to_owned()), ..Filter::default() };
    let slice = page(&rows.store, &filter, Page { limit: 10, offset: 0 }).unwrap();
    let ids: Vec<_> = slice.records.iter().map(|entry| entry.id).collect();
    assert_eq!((ids, slice.count), (vec![32, 33], 2));
}

#[test]
fn control_characters_in_the_files_are_escaped() {
    let log = Log::with(40);

    log.change_lines(7, |lines, at| lines[at] = "\u{1b}[2J".to_owned());
    log.change_lines(8, |lines, at| lines[at] = lines[at].replace("event 8", "\u{9b}2J"));

    let printed = log.printed();
    assert_eq!(printed[6], "\\u001b[2J");
    assert_eq!(serde_json::from_str::<Value>(&printed[7]).unwrap()["details"], json!(["\u{9b}2J"]));
    assert!(!printed.iter().any(|line| line.contains(char::is_control)), "{printed:?}");
}
