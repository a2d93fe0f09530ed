//! What a server's user may have put into the data directory for root to stumble over.

use std::{
    fs,
    os::unix::fs::{MetadataExt, chown, lchown, symlink},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

use crate::{
    backups::{back_up, contents, lodge, text},
    harness::Server,
};

/// Whose the directory is, and somebody else; that they have the ids is not needed.
const OWNER: u32 = 65_532;
const THIRD: u32 = 65_533;

/// A file of root's, and the directory that it is in.
struct Valuable {
    directory: PathBuf,
    file: PathBuf,
}

/// How something is put into a place in the data directory.
type Plant = fn(&Valuable, &Path);

/// What is put where, and what root says it is.
const PLANTS: [(&str, &str, Plant); 17] = [
    ("lock", "a symbolic link", link_to_file),
    ("door", "a symbolic link", link_to_file),
    ("secret", "a symbolic link", link_to_file),
    ("store", "a symbolic link", link_to_directory),
    ("store/db", "a symbolic link", link_to_file),
    ("store/conf", "a symbolic link", link_to_file),
    ("store/blobs", "a symbolic link", link_to_directory),
    ("store/witness", "a symbolic link", link_to_file),
    ("store/witness.unfinished", "a symbolic link", link_to_file),
    ("audit", "a symbolic link", link_to_directory),
    ("audit/audit-999999999999.jsonl", "a symbolic link", link_to_file),
    ("backups", "a symbolic link", link_to_directory),
    ("lock", "a file with a second name", second_name),
    ("store/witness", "a file with a second name", second_name),
    ("secret", "a third user's", third_users),
    ("store/conf", "a third user's", third_users),
    ("store/db", "neither a file nor a directory", pipe),
];

fn link_to_file(valuable: &Valuable, place: &Path) {
    symlink(&valuable.file, place).unwrap();
    lchown(place, Some(OWNER), Some(OWNER)).unwrap();
}

fn link_to_directory(valuable: &Valuable, place: &Path) {
    symlink(&valuable.directory, place).unwrap();
    lchown(place, Some(OWNER), Some(OWNER)).unwrap();
}

fn second_name(valuable: &Valuable, place: &Path) {
    fs::hard_link(&valuable.file, place).unwrap();
}

fn third_users(_: &Valuable, place: &Path) {
    fs::write(place, "a third user's").unwrap();
    chown(place, Some(THIRD), Some(THIRD)).unwrap();
}

fn pipe(_: &Valuable, place: &Path) {
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, place, kind, mode, 0).unwrap();
    chown(place, Some(OWNER), Some(OWNER)).unwrap();
}

#[test]
fn root_opens_nothing_that_leads_out_of_somebody_elses_directory() {
    if !geteuid().is_root() {
        assert!(std::env::var_os("LODGE_TEST_EVERYTHING").is_none(), "only root can try this");
        eprintln!("left out: root in another user's directory: this is not root");
        return;
    }
    let mut server = Server::start();
    let backup = back_up(&server, "backup");
    server.stop();
    for path in contents(&server.data_dir()).keys() {
        chown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    let directory = server.directory().join("etc");
    fs::create_dir(&directory).unwrap();
    let valuable = Valuable { file: directory.join("passwd"), directory };
    fs::write(&valuable.file, "root's").unwrap();
    let aside = server.directory().join("aside");
    let commands: [&[&str]; 6] = [
        &["verify"],
        &["audit"],
        &["audit", "--verify"],
        &["backup", "another"],
        &["restore", text(&backup)],
        &["secret", "rotate", "--yes"],
    ];

    let mut not_refused = Vec::new();
    for (name, what, plant) in PLANTS {
        let place = server.data_dir().join(name);
        let is_moved = fs::rename(&place, &aside).is_ok();
        plant(&valuable, &place);
        let refusal = format!(
            "lodge: {} is {what}, and the data directory belongs to another user of this system; run lodge as that user\n",
            place.display()
        );
        for command in commands {
            let said = lodge(&server, command);
            if (said.code, &said.err) != (Some(10), &refusal) || !is_untouched(&valuable) {
                not_refused.push((name, command.join(" "), said.code, said.err));
            }
        }
        fs::remove_file(&place).unwrap();
        if is_moved {
            fs::rename(&aside, &place).unwrap();
        }
    }

    assert_eq!(not_refused, []);
    lodge(&server, &["verify"]).expect(0);
}

/// Whether the directory has the file alone, with its content, and both are root's.
fn is_untouched(valuable: &Valuable) -> bool {
    let owners = [&valuable.directory, &valuable.file].map(|path| fs::metadata(path).unwrap().uid());
    let inside: Vec<_> = fs::read_dir(&valuable.directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    owners == [0, 0] && inside == [valuable.file.clone()] && fs::read_to_string(&valuable.file).unwrap() == "root's"
}
