//! The units for systemd.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{ROOT, missing};
use crate::harness::{is_possible, run};

/// The greatest exposure that systemd may find in the service, in tenths.
const MAX_EXPOSURE: &str = "20";

#[test]
fn the_service_is_hardened() {
    if !is_possible("the_service_is_hardened", missing("systemd-analyze")) {
        return;
    }
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["security", "--offline=true", "--no-pager", "--threshold", MAX_EXPOSURE]).arg(unit("lodge.service"));

    run(&mut analyze).expect(0);
}

#[test]
fn systemd_has_no_complaint_about_the_units_with_and_without_credentials() {
    if !is_possible("systemd_has_no_complaint_about_the_units", missing("systemd-analyze")) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let beside = |name: &str| directory.path().join(name);
    let service = read("lodge.service").replace("/usr/bin/lodge", env!("CARGO_BIN_EXE_lodge"));
    fs::write(beside("lodge.service"), service).unwrap();
    fs::write(beside("lodge.socket"), read("lodge.socket")).unwrap();
    let verify = || {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--man=no", "--recursive-errors=no"]);
        let output = run(analyze.args(["lodge.service", "lodge.socket"].map(beside))).expect(0);
        assert_eq!(output.err, "");
    };

    verify();
    fs::create_dir(beside("lodge.service.d")).unwrap();
    let credentials = read("credentials.conf");
    let uncommented: Vec<_> = credentials
        .lines()
        .map(|line| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
            setting.unwrap_or(line)
        })
        .collect();
    assert!(uncommented.iter().filter(|line| line.starts_with("LoadCredential=")).count() == 4, "{credentials}");
    fs::write(beside("lodge.service.d/credentials.conf"), uncommented.join("\n")).unwrap();
    verify();
}

fn read(name: &str) -> String {
    fs::read_to_string(unit(name)).unwrap()
}

fn unit(name: &str) -> PathBuf {
    Path::new(ROOT).join(".packaging/systemd").join(name)
}
