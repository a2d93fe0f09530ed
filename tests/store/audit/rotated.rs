//! Entries that were written under former secrets, which a rotation has sealed.

use super::*;

const THEIRS: [u8; 32] = [8; 32];
const LATEST: [u8; 32] = [9; 32];

/// With forty entries under the first secret, all but ten in files, and then under others.
fn rotated(secrets: &[[u8; 32]]) -> Log {
    let mut log = Log::with(40);
    for (number, secret) in (50..).zip(secrets) {
        log.rotate(*secret, number);
        log.is_whole();
    }
    log.record(61..=65);
    log.is_whole();
    log
}

fn seal_of(log: &Log) -> PathBuf {
    log.directory.path().join("audit/seal")
}

/// Rewrites a file from that line on, chained as the server would under that secret.
fn forge_file(log: &Log, secret: [u8; 32], from: u64, change: impl Fn(u64) -> Event) {
    let forged = Log::empty_under(secret, RetentionPolicy { size_bytes: 1 << 20, ..RULES });
    forged.record(1..=from - 1);
    let chain = forged.audit.chain.clone();
    (from..=40).for_each(|number| chain.record(&forged.store, change(number)).unwrap());
    forged.bring_to_files();
    let all = lines(&forged.files()[0]);
    let mut number = 0;
    for file in log.files() {
        let count = lines(&file).len();
        let ours = lines(&file).into_iter().enumerate();
        let text: String = ours.map(|(at, line)| all.get(number + at).unwrap_or(&line).clone() + "\n").collect();
        fs::write(&file, text).unwrap();
        number += count;
    }
    (1..=40).for_each(|number| log.put(number, Some(&forged.entry(number))));
}

#[test]
fn any_change_of_a_line_from_before_a_new_secret_is_detected_with_its_entry() {
    for secrets in [&[THEIRS][..], &[THEIRS, LATEST]] {
        let changed = rotated(secrets);
        changed.change_lines(7, |lines, at| lines[at] = lines[at].replace("event 7", "event 8"));
        changed.names("entry 7 ");

        let unsigned = rotated(secrets);
        unsigned.change_lines(7, |lines, at| change_digit(&mut lines[at], "mac"));
        unsigned.names("entry 7 ");

        let removed = rotated(secrets);
        removed.change_lines(6, |lines, at| drop(lines.remove(at)));
        removed.names("entry 6:");

        let added = rotated(secrets);
        added.change_lines(6, |lines, at| lines.insert(at, lines[at].clone()));
        added.names("entry 7:");

        let moved = rotated(secrets);
        moved.change_lines(2, |lines, at| lines.swap(at, at + 1));
        moved.names("entry 2:");

        let cut = rotated(secrets);
        cut.change_lines(30, Vec::truncate);
        cut.names("entry 30 is missing in the files");

        let gone = rotated(secrets);
        fs::remove_file(&gone.files()[0]).unwrap();
        gone.names("entry 1:");
    }
}

#[test]
fn any_change_of_a_row_from_before_a_new_secret_is_detected_with_its_entry() {
    for number in [7, 35, 40] {
        let edited = rotated(&[THEIRS]);
        let entry = edited.entry(number);
        edited.put(number, Some(&AuditEntry { event: event(99), ..entry }));
        edited.names(&format!("entry {number} "));

        let removed = rotated(&[THEIRS]);
        removed.put(number, None);
        removed.names(&format!("entry {number}"));
    }
    let swapped = rotated(&[THEIRS]);
    let (first, second) = (swapped.entry(35), swapped.entry(36));
    swapped.put(35, Some(&AuditEntry { id: 35, ..second }));
    swapped.put(36, Some(&AuditEntry { id: 36, ..first }));
    swapped.names("entry 35 ");
}

#[test]
fn the_former_secret_is_not_enough_to_rewrite_what_was_sealed() {
    let log = rotated(&[THEIRS]);
    forge_file(&log, SECRET, 41, event);
    log.is_whole();

    forge_file(&log, SECRET, 7, |number| event(number + 100));

    log.names("entry 7 ");
}

#[test]
fn a_seal_that_is_changed_missing_or_of_another_secret_is_noticed() {
    let changed = rotated(&[THEIRS]);
    let mut bytes = fs::read(seal_of(&changed)).unwrap();
    bytes[7 * 32] ^= 1;
    fs::write(seal_of(&changed), bytes).unwrap();
    changed.names("entry 7 ");

    let cut = rotated(&[THEIRS]);
    fs::write(seal_of(&cut), &fs::read(seal_of(&cut)).unwrap()[..30 * 32]).unwrap();
    cut.names("entry 30 ");

    let missing = rotated(&[THEIRS]);
    fs::remove_file(seal_of(&missing)).unwrap();
    missing.names("entry 1 ");
    missing.names("the file `seal` is missing");

    let other = rotated(&[LATEST]);
    let log = rotated(&[THEIRS]);
    fs::copy(seal_of(&other), seal_of(&log)).unwrap();
    log.names("entry 1 ");
}

#[test]
fn a_lost_secret_leaves_a_log_that_can_still_be_verified() {
    let mut log = Log::with(40);
    log.audit = Audit::new(&RootSecret::from_bytes(THEIRS));
    log.names("under another secret");

    log.rotate(THEIRS, 50);

    assert_eq!(log.report(), Report { first: 1, last: 42, key_since: 41, fault: None });
    let seal = fs::metadata(seal_of(&log)).unwrap();
    assert_eq!((seal.len(), seal.permissions().mode() & 0o777), (41 * 32, 0o600));
    log.change_lines(7, |lines, at| lines[at] = lines[at].replace("event 7", "event 8"));
    log.names("entry 7 ");
}

#[test]
fn a_seal_that_is_prepared_leaves_the_one_in_force() {
    let log = rotated(&[THEIRS]);

    drop(log.log_reader().prepare_seal(&chain(LATEST), &log.store).unwrap());

    log.is_whole();
}

#[test]
fn a_seal_goes_once_nothing_of_what_it_seals_is_kept() {
    let mut log = Log::empty(RetentionPolicy { size_bytes: 1 << 20, ..RULES });
    log.record(1..=40);
    log.bring_to_files();
    log.rotate(THEIRS, 50);
    let few = RetentionPolicy { size_bytes: 200_000, keep: 2, ..RULES };
    log.audit = Audit::new(&RootSecret::from_bytes(THEIRS));
    log.audit.keep_in(Files::open(&log.directory.path().join("audit"), few, log.state().exported).unwrap());
    log.bring_to_files();
    assert!(seal_of(&log).exists());

    log.record(1..=MAX_ROWS + 100);
    log.bring_to_files();
    log.bring_to_files();

    assert!(log.state().dropped.id > 42 && log.state().pruned.id > 42);
    assert!(!seal_of(&log).exists());
    log.is_whole();
}

#[test]
fn a_row_that_outlives_its_file_is_verified_too() {
    let mut log = Log::empty(RetentionPolicy { keep: 2, ..RULES });
    log.record(1..=40);
    log.bring_to_files();
    log.rotate(THEIRS, 50);
    let dropped = log.state().dropped.id;
    assert!(dropped > 7, "{dropped}");
    log.is_whole();

    log.put(7, Some(&AuditEntry { event: event(99), ..log.entry(7) }));

    log.names("entry 7 in the store");
}
