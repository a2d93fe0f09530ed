//! Files with secrets, settings and certificates as orchestrators, editors and package scripts leave them.

use std::{
    fs,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use rcgen::{CertificateParams, KeyPair};
use rustix::fs::{XattrFlags, setxattr};
use tempfile::TempDir;

use super::run_to_its_end;
use crate::harness::{ServerBuilder, copy_lodge, is_root};

/// The server's user and group, a group that it is not in, and how it is named in an access control list.
const USER: u32 = 65_532;
const GROUP: u32 = 65_531;
const FOREIGN_GROUP: u32 = 65_530;

/// What a server has gone past its files with: its address is in use.
const SERVED: Option<i32> = Some(14);

/// A certificate for localhost with its key, each in PEM.
fn pair() -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A volume with a secret and a pair for TLS, all of them root's, beside a data directory of the server's user.
struct Volume(TempDir);

impl Volume {
    fn new() -> Self {
        let volume = Self(TempDir::new().unwrap());
        copy_lodge(&volume.path("lodge"));
        for directory in ["", "data", "..2026"] {
            fs::create_dir_all(volume.path(directory)).unwrap();
            fs::set_permissions(volume.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
        }
        chown(volume.path("data"), Some(USER), Some(USER)).unwrap();
        let (certificate, key) = pair();
        fs::write(volume.path("..2026/cert.pem"), certificate).unwrap();
        fs::write(volume.path("..2026/key.pem"), key).unwrap();
        fs::write(volume.path("..2026/secret"), [7; 32]).unwrap();
        // As Kubernetes does it.
        symlink("..2026", volume.path("..data")).unwrap();
        for name in ["cert.pem", "key.pem", "secret"] {
            symlink(Path::new("..data").join(name), volume.path(name)).unwrap();
        }
        volume
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Gives both files with secrets to root, that group and that mode.
    fn protect(&self, gid: u32, mode: u32) {
        for name in ["..2026/key.pem", "..2026/secret"] {
            chown(self.path(name), Some(0), Some(gid)).unwrap();
            fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// The exit code and what is reported of a server with these files.
    fn serve(&self, flags: &[&str], variables: &[(&str, &Path)]) -> (Option<i32>, String) {
        let mut command = Command::new(self.path("lodge"));
        command.env_clear().envs(variables.iter().copied()).current_dir("/").uid(USER).gid(GROUP);
        command.env("LODGE_SCRYPT_COST", "10").env("LODGE_BALLAST", "0B").env("LODGE_DATA_DIR", self.path("data"));
        let files = [("--secret-file", "secret"), ("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")];
        for (flag, name) in files.iter().filter(|(flag, _)| flags.contains(flag)) {
            command.arg(flag).arg(self.path(name));
        }
        let output = run_to_its_end(&mut command);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

const SECRET: [&str; 1] = ["--secret-file"];
const TLS: [&str; 2] = ["--tls-cert", "--tls-key"];
const BOTH: [&str; 3] = ["--secret-file", "--tls-cert", "--tls-key"];

#[test]
fn secrets_of_root_are_read_through_links_if_only_the_servers_group_can_read_them() {
    if !is_root("secrets of root") {
        return;
    }
    let volume = Volume::new();
    for mode in [0o440, 0o640] {
        volume.protect(GROUP, mode);
        let (code, report) = volume.serve(&BOTH, &[]);
        assert_eq!(code, SERVED, "{mode:o}: {report}");
    }

    volume.protect(GROUP, 0o444);
    for (flags, expected) in [(&SECRET[..], 13), (&TLS, 2)] {
        let (code, report) = volume.serve(flags, &[]);
        assert_eq!(code, Some(expected), "{report}");
        assert!(report.contains("(mode 444)") && report.contains("`defaultMode: 0440` with `fsGroup`"), "{report}");
    }
}

#[test]
fn credentials_of_systemd_are_read_only_in_its_directory() {
    if !is_root("credentials of systemd") {
        return;
    }
    let volume = Volume::new();
    volume.protect(FOREIGN_GROUP, 0o400);
    for name in ["..2026/key.pem", "..2026/secret"] {
        // Of root's own the mode shows the mask of the list in the place of the group's rights: 0440.
        setxattr(volume.path(name), "system.posix_acl_access", &readable_by(USER), XattrFlags::empty()).unwrap();
        assert_eq!(fs::metadata(volume.path(name)).unwrap().permissions().mode() & 0o777, 0o440);
    }

    let credentials = volume.path("..data");
    let (code, report) = volume.serve(&BOTH, &[("CREDENTIALS_DIRECTORY", &credentials)]);
    assert_eq!(code, SERVED, "{report}");
    let elsewhere = volume.path("data");
    for (flags, expected) in [(&SECRET[..], 13), (&TLS, 2)] {
        let (code, report) = volume.serve(flags, &[("CREDENTIALS_DIRECTORY", &elsewhere)]);
        assert_eq!(code, Some(expected), "{report}");
        assert!(report.contains("can be read by others (mode 440)"), "{report}");
    }
}

/// An access control list that lets that user read beside the owner, as `posix_acl_xattr.h` of Linux lays it out.
fn readable_by(uid: u32) -> Vec<u8> {
    const READ: u16 = 4;
    let no_id = u32::MAX;
    let entries = [(0x01, READ, no_id), (0x02, READ, uid), (0x04, 0, no_id), (0x10, READ, no_id), (0x20, 0, no_id)];
    let entry = |(tag, rights, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2_u32.to_le_bytes().to_vec()].into_iter().chain(entries.map(entry)).flatten().collect()
}

#[test]
fn files_with_byte_order_marks_and_line_ends_of_any_kind_are_read_as_they_are_meant() {
    let (certificate, key) = pair();
    for end in ["\n", "\r\n", "\r"] {
        let builder = ServerBuilder::new().without_variable("LODGE_ADMIN_PASSWORD");
        let written = |name: &str, text: &str| {
            let path = builder.data_dir().with_file_name(name);
            fs::write(&path, format!("\u{feff}{}", text.replace('\n', end))).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let password = written("password", "a house with a view\n");
        let (certificate, key) = (written("cert.pem", &certificate), written("key.pem", &key));
        // TOML has no line ends of old Macintoshes.
        let settings =
            "throttle-after = 0\nmax-configurations = 7\n".replace('\n', if end == "\r" { "\n" } else { end });
        let file = builder.data_dir().with_file_name("lodge.toml");
        fs::write(&file, format!("\u{feff}{settings}")).unwrap();
        let server = builder
            .flag("--config", file.to_str().unwrap())
            .flag("--admin-password-file", &password)
            .flag("--tls-cert", &certificate)
            .flag("--tls-key", &key)
            .start_unasked();

        let port = server.address.port();
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--insecure", "--max-time", "60", "--user", "admin:a house with a view"]);
        let output = curl.arg(format!("https://127.0.0.1:{port}/api/v2/users/me")).output().unwrap();

        let answer = String::from_utf8(output.stdout).unwrap();
        assert!(answer.contains(r#""username":"admin""#), "{end:?}: {answer}");
        assert!(server.log().contains("guessing is not slowed down (--throttle-after)"), "{}", server.log());
    }
}
