//! What is handed out: the Debian package, and the units for systemd.

mod units;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::harness::{is_possible, run};

/// The root of the repository.
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Each file of the package that is not a manual page, with its mode.
const FILES: [(&str, &str); 11] = [
    ("etc/lodge/lodge.toml", "-rw-r--r--"),
    ("usr/bin/lodge", "-rwxr-xr-x"),
    ("usr/lib/systemd/system/lodge.service", "-rw-r--r--"),
    ("usr/lib/systemd/system/lodge.socket", "-rw-r--r--"),
    ("usr/share/bash-completion/completions/lodge", "-rw-r--r--"),
    ("usr/share/doc/lodge/CHANGELOG.md", "-rw-r--r--"),
    ("usr/share/doc/lodge/README.md", "-rw-r--r--"),
    ("usr/share/doc/lodge/copyright", "-rw-r--r--"),
    ("usr/share/doc/lodge/examples/credentials.conf", "-rw-r--r--"),
    ("usr/share/fish/vendor_completions.d/lodge.fish", "-rw-r--r--"),
    ("usr/share/zsh/vendor-completions/_lodge", "-rw-r--r--"),
];

/// The program of that name, as a reason to leave a test out where it is missing.
fn missing(program: &'static str) -> Option<&'static str> {
    Command::new(program).arg("--version").output().is_err().then_some(program)
}

#[test]
fn the_debian_package_has_everything_in_its_place_and_nothing_else() {
    let missing = ["cargo-deb", "dpkg-deb", "dpkg-shlibdeps"].into_iter().find_map(missing);
    if !is_possible("the_debian_package_has_everything_in_its_place_and_nothing_else", missing) {
        return;
    }
    let package = built();
    let directory = tempfile::tempdir().unwrap();
    let [data, control] = ["data", "control"].map(|name| directory.path().join(name));
    dpkg_deb("--extract", &package, &data);
    dpkg_deb("--control", &package, &control);

    assert_files(&package);
    assert_control(&control);
    let file = data.join("etc/lodge/lodge.toml");
    assert!(fs::read_to_string(&file).unwrap().contains("\ndata-dir = \"/var/lib/lodge\"\n"));
    run(Command::new(data.join("usr/bin/lodge")).args(["settings", "check", "--config"]).arg(&file)).expect(0);
}

/// The package with the binary that is tested.
fn built() -> PathBuf {
    let mut command = Command::new(Path::new(ROOT).join(".ci/package"));
    let output = run(command.arg(env!("CARGO_BIN_EXE_lodge")).arg("--fast")).expect(0).out;
    PathBuf::from(output.lines().last().unwrap())
}

fn dpkg_deb(action: &str, package: &Path, to: &Path) {
    run(Command::new("dpkg-deb").arg(action).arg(package).arg(to)).expect(0);
}

fn assert_files(package: &Path) {
    let listed = run(Command::new("dpkg-deb").arg("--contents").arg(package)).expect(0).out;
    let mut files = BTreeMap::new();
    for line in listed.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        assert!(["0/0", "root/root"].contains(&words[1]), "{line}");
        let path = words[5].trim_start_matches("./");
        if words[0].starts_with('d') {
            assert_eq!(words[0], "drwxr-xr-x", "{line}");
        } else {
            files.insert(path.to_owned(), words[0].to_owned());
        }
    }
    let pages: Vec<_> = files.extract_if(.., |path, _| path.starts_with("usr/share/man/man1/")).collect();
    assert!(pages.iter().all(|(path, mode)| path.ends_with(".1.gz") && mode == "-rw-r--r--"), "{pages:?}");
    for page in ["lodge", "lodge-serve", "lodge-user-password"] {
        assert!(pages.iter().any(|(path, _)| *path == format!("usr/share/man/man1/{page}.1.gz")), "{page}");
    }
    assert_eq!(files, FILES.map(|(path, mode)| (path.to_owned(), mode.to_owned())).into());
}

fn assert_control(control: &Path) {
    let fields = fs::read_to_string(control.join("control")).unwrap();
    for field in
        ["Package: lodge\n", &format!("Version: {}-1\n", env!("CARGO_PKG_VERSION")), "Depends: adduser, libc6 ("]
    {
        assert!(fields.contains(field), "{field}: {fields}");
    }
    assert_eq!(fs::read_to_string(control.join("conffiles")).unwrap(), "/etc/lodge/lodge.toml\n");
    for script in ["postinst", "postrm", "prerm"] {
        let path = control.join(script);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755, "{script}");
        run(Command::new("sh").arg("-n").arg(&path)).expect(0);
    }
}
