//! A log that 0.3.0 wrote: its entries stay as they are, can be verified, and others follow them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;

const WRITTEN: &str = include_str!("../../data/audit-log-0.3.0.json");

/// A log of twenty entries, nine of them under a former secret, the last four in no file.
#[derive(Deserialize)]
struct Written {
    state: String,
    rows: BTreeMap<u64, String>,
    files: BTreeMap<String, Vec<String>>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn written() -> Written {
    serde_json::from_str(WRITTEN).unwrap()
}

/// The log as it is before anything is written to it.
fn taken_over() -> Log {
    let Written { state, rows, files } = written();
    let log = Log::empty(RULES);
    let state = ((Tree::Meta, b"audit".to_vec()), Some(bytes(&state)));
    let rows = rows.into_iter().map(|(id, row)| ((Tree::Audit, id.to_be_bytes().to_vec()), Some(bytes(&row))));
    log.memory.commit(&rows.chain([state]).collect()).unwrap();
    let directory = log.directory.path().join("audit");
    for (name, lines) in files {
        fs::write(directory.join(name), lines.join("\n") + "\n").unwrap();
    }
    log.audit_again()
}

impl Log {
    /// As it is after another start.
    fn audit_again(self) -> Self {
        let audit = Audit::new(&RootSecret::from_bytes(SECRET));
        let directory = self.directory.path().join("audit");
        audit.keep_in(Files::open(&directory, RULES, self.state().exported).unwrap());
        Self { audit, ..self }
    }
}

/// The golden log, and the same once others follow and once a rotation has sealed it.
fn in_every_state() -> [Log; 3] {
    let [followed, mut rotated] = [taken_over(), taken_over()];
    followed.record(21..=25);
    followed.bring_to_files();
    followed.record(26..=27);
    rotated.rotate([9; 32], 21);
    rotated.record(22..=23);
    [taken_over(), followed, rotated]
}

#[test]
fn every_entry_is_still_there_as_it_was_and_is_verified() {
    let before: Vec<String> = written().files.into_values().flatten().collect();
    let ends = [20, 27, 24];
    for (log, last) in in_every_state().into_iter().zip(ends) {
        log.is_whole();
        assert_eq!((log.report().first, log.report().last), (1, last));
        let printed = log.printed();
        assert_eq!(printed[..before.len()], before);
        assert_eq!(printed.len() as u64, last);
    }
}

#[test]
fn any_change_of_a_line_is_detected_with_its_entry() {
    for number in [3, 12] {
        for member in ["link", "mac"] {
            for log in in_every_state() {
                log.change_lines(number, |lines, at| change_digit(&mut lines[at], member));
                // What was under a former secret had only its link.
                let is_former = number == 3 && member == "mac" && !log.directory.path().join("audit/seal").exists();
                if is_former { log.is_whole() } else { log.names(&format!("entry {number} ")) }
            }
        }
        for log in in_every_state() {
            log.change_lines(number, |lines, at| lines[at] = lines[at].replace("server / start", "server / stop"));
            log.names(&format!("entry {number} "));
        }
    }
    for log in in_every_state() {
        log.change_lines(3, |lines, at| drop(lines.remove(at)));
        log.names("entry 3:");
    }
}

#[test]
fn any_change_of_a_row_is_detected_with_its_entry() {
    for number in [3, 12, 19] {
        for log in in_every_state() {
            let entry = log.entry(number);
            log.put(number, Some(&AuditEntry { event: event(99), ..entry }));
            log.names(&format!("entry {number} "));
        }
    }
}

#[test]
fn an_end_that_is_made_to_fit_is_noticed() {
    let log = taken_over();
    log.put(20, None);
    log.put_state(&AuditState { last: LogPosition::after(&log.entry(19)), ..log.state() });
    log.names("which ends with entry 19, was changed");

    // An entry of today's in the shape of 0.3.0, which needs no more than the last link.
    let log = taken_over();
    let entry = log.entry(20);
    log.put(21, Some(&AuditEntry { id: 21, event: event(99), ..entry }));
    log.names("entry 21 ");
}

#[test]
fn beside_a_new_store_the_files_are_part_of_the_log() {
    for log in in_every_state() {
        let secret = if log.directory.path().join("audit/seal").exists() { [9; 32] } else { SECRET };
        let in_files: usize = log.files().iter().map(|file| lines(file).len()).sum();
        let heir = Log::empty_under(secret, RULES);
        let heir = Log { directory: log.directory, ..heir };
        let files = heir.log_reader();
        let entry = Some((chain(secret), event(99)));
        runtime().block_on(lodge::audit::carry_over(None, &files, &heir.store, entry)).unwrap();

        let last = in_files as u64 + 2;
        assert_eq!(heir.report(), Report { first: 1, last, key_since: last - 1, fault: None });
    }
}
