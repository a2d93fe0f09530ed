//! Files that are no sound backup, by accident or by intent.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use crate::{
    backups::{
        container::{container, joined, lines, packed, text as unpacked, with_footer},
        contents, entries_beginning, lodge,
        restore::with_one_of_each,
        text, usernames,
    },
    harness::Server,
};

/// A stopped server with one of each record, and the lines of its backup.
struct Target {
    server: Server,
    backup: PathBuf,
    lines: Vec<Value>,
}

impl Target {
    fn new() -> Self {
        let (mut server, _) = with_one_of_each();
        server.stop();
        let backup = crate::backups::back_up(&server, "sound.backup");
        // The backup left an entry in the audit log; sled brings its own index up to it when it is opened next, as by this
        // command, which only lists what it would end.
        lodge(&server, &["secret", "rotate"]).expect(1);
        let lines = lines(&backup);
        Self { server, backup, lines }
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let file = self.server.directory().join("hostile.backup");
        fs::write(&file, bytes).unwrap();
        file
    }

    /// Refuses the file, and the store and what is beside it are as before.
    #[track_caller]
    fn refuses(&self, bytes: &[u8], why: &str) {
        let file = self.write(bytes);
        let before = contents(&self.server.data_dir());
        let output = lodge(&self.server, &["restore", text(&file)]).expect(18);
        assert!(output.err.contains(why), "{why}: {}", output.err);
        let after = contents(&self.server.data_dir());
        let unfinished = self.server.data_dir().join("store.new");
        let paths = before.keys().chain(after.keys()).filter(|path| !path.starts_with(&unfinished));
        let changed: Vec<_> = paths.filter(|path| before.get(*path) != after.get(*path)).collect();
        assert!(changed.is_empty(), "{why}: {changed:?} changed");
    }

    /// Refuses the backup with its records changed by `change`.
    #[track_caller]
    fn refuses_changed(&self, why: &str, change: impl FnOnce(&mut Vec<Value>)) {
        let mut lines = self.lines.clone();
        change(&mut lines);
        self.refuses(&container(&lines), why);
    }

    /// Refuses the backup with another value in the first record of that kind.
    #[track_caller]
    fn refuses_value(&self, why: &str, kind: &str, member: &str, value: Value) {
        self.refuses_changed(why, |lines| {
            let line = lines.iter_mut().rfind(|line| line.get(kind).is_some()).unwrap();
            assert!(line[kind].get(member).is_some(), "{line}");
            line[kind][member] = value;
        });
    }
}

fn copy(lines: &mut Vec<Value>, kind: &str, changes: &[(&str, Value)]) {
    let at = lines.iter().rposition(|line| line.get(kind).is_some()).unwrap();
    let mut line = lines[at].clone();
    for (member, value) in changes {
        assert!(line[kind].get(member).is_some(), "{line}");
        line[kind][member] = value.clone();
    }
    lines.insert(at + 1, line);
}

#[test]
fn the_helper_writes_a_valid_backup() {
    let target = Target::new();
    let file = target.write(&container(&target.lines));
    lodge(&target.server, &["restore", text(&file)]).expect(0);
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let target = Target::new();
    let whole = fs::read(&target.backup).unwrap();
    for length in 0..whole.len() {
        let file = target.write(&whole[..length]);
        assert!(lodge::backup::check(&file).is_err(), "{length} of {} bytes", whole.len());
    }
    for length in [0, 1, 4, 10, whole.len() / 2, whole.len() - 4, whole.len() - 1] {
        target.refuses(&whole[..length], "the backup");
    }
}

#[test]
fn a_file_with_a_changed_byte_is_refused_or_has_the_same_contents() {
    let target = Target::new();
    let whole = fs::read(&target.backup).unwrap();
    let output = unpacked(&target.backup);
    let mut refused = 0;
    for at in 0..whole.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let file = target.write(&bytes);
            match lodge::backup::check(&file) {
                Ok(_) => assert_eq!(unpacked(&file), output, "byte {at} ^ {flip}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > whole.len() * 2, "{refused} of {}", whole.len() * 3);
    for at in (0..whole.len()).step_by(whole.len() / 8) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0xff;
        target.refuses(&bytes, "the backup");
    }
}

#[test]
fn a_file_that_is_something_else_is_refused() {
    let target = Target::new();
    let header = target.lines[0].clone();
    let foreign = |change: &dyn Fn(&mut Value)| {
        let mut lines = target.lines.clone();
        change(&mut lines[0]["header"]);
        container(&lines)
    };
    let not_one = "it is not a backup of lodge";

    target.refuses(b"", not_one);
    target.refuses(&[0; 4096], not_one);
    target.refuses(&fs::read("/proc/self/exe").unwrap()[..1 << 20], not_one);
    target.refuses(unpacked(&target.backup).as_bytes(), not_one);
    target.refuses(&packed(""), not_one);
    target.refuses(&packed("{}\n"), not_one);
    target.refuses(&foreign(&|header| header["format"] = json!("hut backup")), not_one);
    target.refuses(&foreign(&|header| header["version"] = json!(3)), "version 3; this lodge reads up to 2");
    target.refuses(&container(&target.lines[1..]), not_one);
    target.refuses(&container(&[header]), "line 2");
}

#[test]
fn a_line_that_does_not_end_is_refused_before_it_is_kept() {
    let target = Target::new();
    let long = format!("{{\"user\":\"{}\"}}", "x".repeat(2 << 20));
    let begin = joined(&target.lines[..2]);

    target.refuses(&packed(&with_footer(&format!("{begin}{long}\n"))), "line 3 is too long");
    target.refuses(&packed(&"x".repeat(1 << 28)), "it is not a backup of lodge");
}

#[test]
fn lines_in_the_wrong_place_and_a_wrong_footer_are_refused() {
    let target = Target::new();
    let lines = &target.lines;
    let text = joined(lines);
    let footer = |change: &dyn Fn(&mut Value)| {
        let whole = with_footer(&text);
        let mut footer: Value = serde_json::from_str(whole.lines().last().unwrap()).unwrap();
        change(&mut footer["footer"]);
        packed(&format!("{text}{footer}\n"))
    };
    let differs = "its records are not those that were written";

    target.refuses(&footer(&|footer| footer["records"] = json!(1)), differs);
    target.refuses(&footer(&|footer| footer["sha256"] = json!("00".repeat(32))), differs);
    target.refuses(&footer(&|footer| footer["sha256"] = json!("")), differs);
    target.refuses(&footer(&|footer| footer["id"] = json!(1)), "cannot be decoded");
    target.refuses(&packed(&text), "it ends too early");
    target.refuses(&packed(with_footer(&text).trim_end()), "it ends too early");
    target.refuses(&packed(&format!("{}{{}}\n", with_footer(&text))), "it continues after its end");
    target.refuses(&[packed(&with_footer(&text)), packed("more")].concat(), "it continues after its end");
    target.refuses(&[packed(&with_footer(&text)), b"more".to_vec()].concat(), "it cannot be unpacked");
    target.refuses_changed("does not belong there", |lines| lines.insert(3, lines[0].clone()));
    target.refuses_changed("does not belong there", |lines| lines.insert(3, lines[1].clone()));
    target.refuses_changed("does not belong there", |lines| lines.push(json!({"secret": "00".repeat(32)})));
    target.refuses_changed("cannot be decoded", |lines| lines.insert(3, json!({"session": {}})));
}

#[test]
fn duplicate_records_and_records_of_unknown_users_are_refused() {
    let target = Target::new();
    let other = json!("00000000-0000-4000-8000-000000000000");
    let digest = json!(vec![0; 32]);
    let twice = "exists twice, or has the name, key or digest of another one";

    target.refuses_changed(twice, |lines| copy(lines, "user", &[("username", json!("zoe"))]));
    target.refuses_changed(twice, |lines| copy(lines, "user", &[("id", json!(77))]));
    target.refuses_changed(twice, |lines| copy(lines, "user", &[("id", json!(77)), ("username", json!("ANN"))]));
    target.refuses_changed(twice, |lines| copy(lines, "configuration", &[("key", json!("other"))]));
    target.refuses_changed(twice, |lines| copy(lines, "configuration", &[("id", json!(77))]));
    let same_id = [("digest", digest), ("identifier", other.clone())];
    target.refuses_changed(twice, |lines| copy(lines, "api_key", &same_id));
    target.refuses_changed(twice, |lines| copy(lines, "api_key", &[("id", json!(77)), ("identifier", other)]));
    target.refuses_value("has no owner", "configuration", "owner", json!(99));
    target.refuses_value("has no owner", "api_key", "owner", json!(99));
    target.refuses_changed("has no owner", |lines| lines.retain(|line| line["user"]["username"] != "ann"));
}

#[test]
fn a_backup_without_a_lasting_administrator_is_refused() {
    let target = Target::new();
    let none = "no administrator is among what can be read, or none that is neither suspended nor has an `expired_at`";
    let change = |member: &'static str, value: Value| {
        move |lines: &mut Vec<Value>| {
            for line in lines.iter_mut().filter(|line| line["user"]["is_admin"] == true) {
                line["user"][member] = value.clone();
            }
        }
    };

    target.refuses_changed(none, change("is_admin", json!(false)));
    target.refuses_changed(none, change("suspended", json!(true)));
    target.refuses_changed(none, change("expired_at", json!(32_503_680_000_000_u64)));
    target.refuses_changed(none, |lines| lines.retain(|line| line.get("header").or(line.get("state")).is_some()));
}

#[test]
fn a_backup_with_a_second_secret_is_refused() {
    let target = Target::new();
    let secret = json!({"secret": "00".repeat(32)});
    target.refuses_changed("line 4 is a second secret", |lines| {
        lines.splice(2..2, [secret.clone(), secret]);
    });
}

#[test]
fn used_identifiers_without_their_one_key_before_the_records_are_refused() {
    let target = Target::new();
    let misplaced = "does not belong there";
    let (key, hash) = (json!({"identifier_key": "00".repeat(32)}), json!({"used_identifier": "00".repeat(16)}));
    let without_key = |lines: &mut Vec<Value>| lines.retain(|line| line.get("identifier_key").is_none());

    target.refuses_changed(misplaced, |lines| {
        without_key(lines);
        lines.insert(2, hash.clone());
    });
    target.refuses_changed(misplaced, |lines| lines.insert(2, key.clone()));
    target.refuses_changed(misplaced, |lines| {
        without_key(lines);
        lines.push(key.clone());
    });
    for wrong in [json!("00"), json!("0g".repeat(16)), json!(7), json!("00".repeat(17))] {
        target.refuses_changed("cannot be decoded", |lines| lines.push(json!({"used_identifier": wrong})));
    }
}

#[test]
fn a_backup_whose_ids_are_used_up_is_refused() {
    let target = Target::new();
    for (sequence, records) in [("users", "users"), ("configurations", "configurations"), ("api_keys", "API keys")] {
        for last in [(1 << 31) - 1, 1 << 31, u64::MAX] {
            let why = format!("the ids of {records} are used up");
            target.refuses_changed(&why, |lines| lines[1]["state"][sequence] = json!(last));
        }
    }
    target.refuses_value("the ids of configurations are used up", "configuration", "id", json!((1_u32 << 31) - 1));
}

#[test]
fn records_of_the_same_id_and_different_owners_are_refused() {
    let target = Target::new();
    let twice = "exists twice, or has the name, key or digest of another one";
    target.refuses_changed(twice, |lines| copy(lines, "configuration", &[("owner", json!(1))]));
}

#[test]
fn keys_of_the_same_id_and_different_owners_are_refused() {
    let target = Target::new();
    let twice = "exists twice, or has the name, key or digest of another one";
    let other = json!("00000000-0000-4000-8000-000000000000");
    let changes = [("owner", json!(1)), ("digest", json!(vec![0; 32])), ("identifier", other)];
    target.refuses_changed(twice, |lines| copy(lines, "api_key", &changes));
}

#[test]
fn records_with_invalid_values_are_refused() {
    let target = Target::new();
    let unsound = "has invalid values";
    let hash = |parameters: &str| {
        let salt = "aM15713r3Xsvxbi31lqr1Q";
        json!(format!("$scrypt${parameters}${salt}$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"))
    };

    for kind in ["user", "configuration", "api_key"] {
        for id in [0, 1_u64 << 31] {
            target.refuses_value(unsound, kind, "id", json!(id));
        }
        target.refuses_value("cannot be decoded", kind, "id", json!(1_u64 << 32));
        target.refuses_value("cannot be decoded", kind, "id", json!(-1));
    }
    for username in ["", "a\u{0}b", "a\nb", "a:b", "x\u{7f}", &"x".repeat(70_000)] {
        target.refuses_value(unsound, "user", "username", json!(username));
    }
    for password in
        [json!(""), json!("secret"), hash("ln=40,r=8,p=1"), hash("ln=20,r=4096,p=1"), hash("ln=10,r=8,p=9999")]
    {
        target.refuses_value(unsound, "user", "password", password);
    }
    target.refuses_value(unsound, "configuration", "key", json!(""));
    target.refuses_value(unsound, "configuration", "value", json!("x".repeat(70_000)));
    target.refuses_value(unsound, "api_key", "name", json!("a\u{7}"));
    target.refuses_value(unsound, "api_key", "expires_at", json!(u64::MAX));
    let former = |last_four: [u8; 4]| json!({"digest": vec![7; 32], "last_four": last_four, "ends": 0});
    target.refuses_value(unsound, "api_key", "former_value", former(*b"a b\n"));
    for networks in [json!([]), json!(["192.0.2.1/24"]), json!(vec!["192.0.2.0/24"; 65])] {
        target.refuses_value("cannot be decoded", "api_key", "allowed_networks", networks);
    }
}

#[test]
fn an_api_key_whose_former_value_is_a_value_already_is_refused() {
    let target = Target::new();
    let digest = target.lines.iter().find_map(|line| line.pointer("/api_key/digest")).unwrap().clone();
    let former = json!({"digest": digest, "last_four": b"last", "ends": 0});

    target.refuses_value("exists twice", "api_key", "former_value", former);
}

#[test]
fn a_refused_file_leaves_the_server_with_everything_it_had_and_nothing_more() {
    let mut target = Target::new();
    let mut lines = target.lines.clone();
    copy(&mut lines, "user", &[("username", json!("zoe"))]);
    let file = target.write(&container(&lines));

    lodge(&target.server, &["restore", text(&file)]).expect(18);
    target.server.start_again();

    assert_eq!(entries_beginning(&target.server.data_dir(), "store."), Vec::<PathBuf>::new());
    assert_eq!(usernames(&target.server), ["admin", "ann"]);
}
