//! Links and other files that a server's user may put into the data directory to mislead root.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::SystemTime,
};

use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    process::Uid,
    thread::set_thread_res_uid,
};

use crate::{
    backups::{back_up, contents, lodge, run, text},
    harness::{Server, is_root},
};

/// The ids of the directory's owner and of another user, who need not exist.
pub const OWNER: u32 = 65_532;
const THIRD: u32 = 65_533;

/// A file of root's and of root's group, and the directory that it is in, which everybody may look into.
struct Valuable {
    directory: PathBuf,
    file: PathBuf,
}

/// Long enough for a secret.
const CONTENT: &str = "root's, and nobody else's business";
const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

/// How something is put into a place in the data directory.
type Plant = fn(&Valuable, &Path);

/// What is put where.
const PLANTS: [(&str, Plant); 20] = [
    ("lock", link_to_file),
    ("lodge.sock", link_to_file),
    ("secret", link_to_file),
    ("store", link_to_directory),
    ("store/index", link_to_directory),
    ("store/index/db", link_to_file),
    ("store/index/conf", link_to_file),
    ("store/index/blobs", link_to_directory),
    ("store/journal", link_to_directory),
    ("store/journal/segment-00000000000000000001", link_to_file),
    ("store/checkpoints", link_to_directory),
    ("store/index.new", link_to_directory),
    ("audit", link_to_directory),
    ("audit/audit-999999999999.jsonl", link_to_file),
    ("backups", link_to_directory),
    ("lock", second_name),
    ("store/journal/segment-00000000000000000001", second_name),
    ("secret", third_users),
    ("store/index/conf", third_users),
    ("store/index/db", pipe),
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

/// What a process of the owner exchanges for a link while root works.
const SWAPPED: [&str; 7] = ["lock", "secret", "store", "store/journal", "store/index", "audit", "backups"];

#[test]
fn root_follows_no_link_out_of_another_users_directory() {
    let Some(place) = Place::new() else { return };

    let mut touched = Vec::new();
    for (name, plant) in PLANTS {
        for command in place.commands() {
            place.reset();
            let planted = place.server.data_dir().join(name);
            let _ = fs::rename(&planted, place.server.directory().join("aside"));
            plant(&place.valuable, &planted);
            let output = lodge(&place.server, &command);
            if !place.valuable.is_untouched() || output.code.is_none() || (output.out + &output.err).contains(CONTENT) {
                touched.push((name, command.join(" "), output.err));
            }
        }
    }

    assert_eq!(touched, []);
    place.reset();
    lodge(&place.server, &["verify"]).expect(0);
}

#[test]
fn links_that_the_owner_creates_while_root_works_are_not_followed() {
    let Some(place) = Place::new() else { return };

    let (mut touched, mut swaps) = (Vec::new(), BTreeMap::<_, usize>::new());
    for name in SWAPPED {
        for command in place.commands() {
            place.reset();
            let swapped = place.server.data_dir().join(name);
            let link = place.server.data_dir().join(".link");
            let plant = if swapped.is_dir() { link_to_directory } else { link_to_file };
            plant(&place.valuable, &link);
            let (count, output) = while_swapping(&swapped, &link, || lodge(&place.server, &command));
            *swaps.entry(name).or_default() += count;
            if !place.valuable.is_untouched() || (output.out + &output.err).contains(CONTENT) {
                touched.push((name, command.join(" "), output.err));
            }
        }
    }

    assert_eq!(touched, []);
    assert!(swaps.values().all(|count| *count > 0), "{swaps:?}");
}

/// Does the work while a thread with the owner's rights exchanges two names over and over, and counts how often.
fn while_swapping<T>(one: &Path, other: &Path, work: impl FnOnce() -> T) -> (usize, T) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        let swapping = scope.spawn(|| {
            set_thread_res_uid(None::<Uid>, Uid::from_raw(OWNER), None::<Uid>).unwrap();
            let swap = || renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).is_ok();
            let mut swaps = 0;
            while !is_done.load(Ordering::Relaxed) {
                swaps += usize::from(swap());
            }
            swaps
        });
        let done = work();
        is_done.store(true, Ordering::Relaxed);
        (swapping.join().unwrap(), done)
    })
}

/// A stopped server whose data directory is the owner's, and what is root's beside it.
struct Place {
    server: Server,
    backup: PathBuf,
    pristine: PathBuf,
    valuable: Valuable,
}

impl Place {
    /// None without root, who alone can try this.
    fn new() -> Option<Self> {
        let (server, backup) = stopped_server_of_owner()?;
        let pristine = server.directory().join("pristine");
        fs::rename(server.data_dir(), &pristine).unwrap();
        let valuable = Valuable::in_directory(&server.directory().join("etc"));
        Some(Self { server, backup, pristine, valuable })
    }

    fn commands(&self) -> [Vec<&str>; 7] {
        [
            vec!["verify"],
            vec!["audit"],
            vec!["audit", "--verify"],
            vec!["backup", "another"],
            vec!["backup", "another", "--with-secret"],
            vec!["restore", text(&self.backup)],
            vec!["secret", "rotate", "--yes"],
        ]
    }

    /// Makes the data directory what it was at first.
    fn reset(&self) {
        for name in ["data", "aside"] {
            let path = self.server.directory().join(name);
            let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
        }
        run(Command::new("cp").arg("-a").args([&self.pristine, &self.server.data_dir()])).expect(0);
    }
}

impl Valuable {
    fn in_directory(directory: &Path) -> Self {
        fs::create_dir(directory).unwrap();
        let valuable = Self { file: directory.join("passwd"), directory: directory.to_owned() };
        fs::write(&valuable.file, CONTENT).unwrap();
        for (path, mode) in [(&valuable.directory, 0o775), (&valuable.file, 0o660)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
        valuable.mark_unread();
        valuable
    }

    /// Whether the directory has the file alone, with its content, which nobody has read, and both are root's as they were.
    fn is_untouched(&self) -> bool {
        let metadata = [&self.directory, &self.file].map(|path| fs::metadata(path).unwrap());
        let is_unread = metadata[1].accessed().unwrap() == LONG_AGO;
        let rights = metadata.map(|metadata| (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777));
        let inside: Vec<_> = fs::read_dir(&self.directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        let content = fs::read(&self.file).unwrap();
        self.mark_unread();
        let is_as_it_was = rights == [(0, 0, 0o775), (0, 0, 0o660)] && content == CONTENT.as_bytes();
        is_unread && is_as_it_was && inside == [self.file.clone()]
    }

    /// File systems that note when a file is read do so if it was not read since its last change.
    fn mark_unread(&self) {
        let file = fs::File::options().write(true).open(&self.file).unwrap();
        file.set_times(fs::FileTimes::new().set_accessed(LONG_AGO)).unwrap();
    }
}

/// A stopped server with a backup beside its data directory, which is the owner's. The directory's group is still root's, as
/// where only its user was changed. `None` without root, who alone can try this.
pub fn stopped_server_of_owner() -> Option<(Server, PathBuf)> {
    if !is_root("root in another user's directory") {
        return None;
    }
    let mut server = Server::start();
    let backup = back_up(&server, "backup");
    server.stop();
    fs::create_dir_all(server.data_dir().join("backups")).unwrap();
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    give_to_owner(&server);
    Some((server, backup))
}

/// Gives all that is in the server's data directory to the owner, and to the owner's group what is below it.
fn give_to_owner(server: &Server) {
    for path in contents(&server.data_dir()).keys() {
        lchown(path, Some(OWNER), Some(OWNER)).unwrap();
    }
    chown(server.data_dir(), Some(OWNER), Some(0)).unwrap();
}
