//! The disk is full.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    net::TcpListener,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use rustix::fs::statvfs;

use crate::{
    disks::{
        disk::{Disk, is_equipped},
        writer::{WriteOutcome, Writer, stored},
    },
    harness::{Reply, Server, ServerBuilder, pause, run},
};

const DISK_BYTES: u64 = 48 << 20;
const RESERVE: (&str, u64) = ("8MiB", 8 << 20);
const FULL: &str = "The disk is almost full; nothing can be changed until there is room.";
/// How many writes may be accepted on a disk that has almost no room left.
const MAX_WRITES: usize = 2_000;
/// How long the server may take to notice that there is room again.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn a_full_disk_stops_only_writes_which_are_accepted_again_when_there_is_room() {
    if !is_equipped("full disks", &["mount", "umount"]) {
        return;
    }
    let disk = Disk::memory(DISK_BYTES);
    let mut server = server_on(&disk);
    let mut writer = Writer::new("ann");
    for _ in 0..50 {
        assert!(matches!(writer.write(&server.admin()), WriteOutcome::Acknowledged), "{}", server.log());
    }

    let filler = Filler::leave(&disk, RESERVE.1 + (2 << 20));
    let reply = write_until_refused(&server, &mut writer);
    assert_is_full(&reply);
    server.wait_for_log("the disk is almost full");
    assert_nothing_is_lost(&server, &mut writer);

    filler.fill_to_the_last_byte();
    assert_is_full(&write_until_refused(&server, &mut writer));
    assert_nothing_is_lost(&server, &mut writer);

    server.restart();
    server.wait_for_log("the ballast was deleted");
    assert_nothing_is_lost(&server, &mut writer);
    assert_is_full(&write_until_refused(&server, &mut writer));

    filler.remove();
    write_until_accepted(&server, &mut writer);
    assert!(disk.path().join("data/store/ballast").exists(), "the ballast is back");
    assert_nothing_is_lost(&server, &mut writer);
    server.restart();
    assert_nothing_is_lost(&server, &mut writer);
}

#[test]
fn what_a_file_has_is_not_made_on_a_full_disk_and_no_file_of_a_key_is_left() {
    if !is_equipped("apply on a full disk", &["mount", "umount"]) {
        return;
    }
    let disk = Disk::memory(DISK_BYTES);
    let server = server_on(&disk);
    let mut writer = Writer::new("ann");
    let filler = Filler::leave(&disk, RESERVE.1 + (2 << 20));
    assert_is_full(&write_until_refused(&server, &mut writer));
    let file = server.directory().join("accounts.toml");
    fs::write(&file, "users = [{ username = 'admin', api_keys = [{ name = 'a', write_to = 'a.key' }] }]").unwrap();
    let apply = |flags: &[&str]| run(server.command(&["apply", file.to_str().unwrap()]).args(flags));

    apply(&["--dry-run"]).expect(2);
    let refused = apply(&[]).expect(1);

    assert_eq!(refused.err, format!("lodge: {FULL}\n"));
    assert!(!server.directory().join("a.key").exists());
    filler.remove();
    write_until_accepted(&server, &mut writer);
    apply(&[]).expect(0);
    let value = fs::read_to_string(server.directory().join("a.key")).unwrap();
    server.with(value.trim()).get("/users/me/api_key").expect(200);
}

#[test]
fn a_server_that_is_killed_on_a_full_disk_starts_again_with_everything() {
    if !is_equipped("kills on full disks", &["mount", "umount"]) {
        return;
    }
    let disk = Disk::memory(DISK_BYTES);
    let mut server = server_on(&disk);
    let mut writer = Writer::new("ann");
    let filler = Filler::leave(&disk, RESERVE.1 + (6 << 20));
    write_until_refused(&server, &mut writer);
    filler.fill_to_the_last_byte();

    server.kill();
    server.start_again();

    assert_nothing_is_lost(&server, &mut writer);
    assert_is_full(&write_until_refused(&server, &mut writer));
}

#[test]
fn a_server_starts_with_the_defaults_on_a_fresh_volume_of_100_mb_and_says_how_little_is_too_little() {
    if !is_equipped("small disks", &["mount", "umount"]) {
        return;
    }
    let (small, short) = (Disk::memory(100_000_000), Disk::memory(100_000_000));
    let _filler = Filler::leave(&short, 20 << 20);
    let on = |disk: &Disk| {
        let data_dir = disk.path().join("data");
        ServerBuilder::new().variable("LODGE_DATA_DIR", data_dir.to_str().unwrap()).without_variable("LODGE_BALLAST")
    };

    let server = on(&small).start();
    server.user("ann").get("/users/me").expect(200);
    server.wait_for_log("the disk is small: 25");

    // A server that starts all the same ends because its address is in use.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let refused = on(&short).command(&["serve"]).env("LODGE_LISTEN", address).output().unwrap();
    let report = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(17), "{report}");
    assert!(report.contains("--disk-reserve"), "{report}");
}

#[test]
fn a_server_starts_where_fallocate_is_refused() {
    if !is_equipped("file systems without fallocate", &["strace"]) {
        return;
    }
    for error in ["ENOSYS", "EOPNOTSUPP", "EINVAL", "EPERM", "EINTR:when=1..3"] {
        let builder = ServerBuilder::new().variable("LODGE_BALLAST", "1MiB");
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fallocate"]);
        command.args(["-e", &format!("inject=fallocate:error={error}")]);
        let plain = builder.command(&["serve"]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(builder.data_dir().parent().unwrap());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));

        // A server that starts ends because its address is in use.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let output = command.env("LODGE_LISTEN", taken.local_addr().unwrap().to_string()).output().unwrap();

        let report = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(14), "{error}: {report}");
        assert_eq!(fs::metadata(builder.data_dir().join("store/ballast")).unwrap().len(), 1 << 20, "{error}");
    }
}

fn server_on(disk: &Disk) -> Server {
    let data_dir = disk.path().join("data");
    ServerBuilder::new()
        .variable("LODGE_DATA_DIR", data_dir.to_str().unwrap())
        .variable("LODGE_DISK_RESERVE", RESERVE.0)
        .variable("LODGE_BALLAST", "8MiB")
        .start()
}

/// A file that takes the room.
struct Filler(PathBuf);

impl Filler {
    /// Takes all room but so many bytes.
    fn leave(disk: &Disk, bytes: u64) -> Self {
        let filler = Self(disk.path().join("filler"));
        let room = statvfs(disk.path()).unwrap();
        let available = room.f_bavail * room.f_frsize;
        assert!(available > bytes, "{available} bytes are left on an empty disk");
        let zeros = vec![0; usize::try_from(available - bytes).unwrap()];
        fs::write(&filler.0, zeros).unwrap();
        filler
    }

    fn fill_to_the_last_byte(&self) {
        let mut file = File::options().append(true).open(&self.0).unwrap();
        let error = loop {
            if let Err(error) = file.write_all(&[0; 4096]) {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    fn remove(&self) {
        fs::remove_file(&self.0).unwrap();
    }
}

fn write_until_refused(server: &Server, writer: &mut Writer) -> Reply {
    let admin = server.admin();
    for _ in 0..MAX_WRITES {
        match writer.write(&admin) {
            WriteOutcome::Acknowledged => {}
            WriteOutcome::Refused(reply) => return reply,
            WriteOutcome::Unanswered => panic!("the server is gone: {}", server.log()),
        }
    }
    panic!("{MAX_WRITES} writes were accepted on a full disk")
}

fn write_until_accepted(server: &Server, writer: &mut Writer) {
    let deadline = Instant::now() + TIMEOUT;
    while !matches!(writer.write(&server.admin()), WriteOutcome::Acknowledged) {
        assert!(Instant::now() < deadline, "there is room, and no write is accepted: {}", server.log());
        pause();
    }
}

#[track_caller]
fn assert_is_full(reply: &Reply) {
    let refusal =
        (reply.status, reply.header("retry-after").is_some(), reply.json()["error"].as_str().map(str::to_owned));
    assert_eq!(refusal, (503, true, Some(FULL.to_owned())));
}

#[track_caller]
fn assert_nothing_is_lost(server: &Server, writer: &mut Writer) {
    let lost = writer.settle(&stored(&server.admin()));
    assert!(lost.is_empty(), "{lost:#?}");
}
