//! The owner and the mode of the data directory.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::process::geteuid;

use super::{Check, Finding, Severity, unobserved};

/// A data directory, and the user who examines it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Directory {
    is_dir: bool,
    owner: u32,
    mode: u32,
    /// The user with whose rights this process works: the owner, if root runs it on another user's directory.
    user: u32,
}

impl Directory {
    pub(super) fn observe(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
        Ok(Self { is_dir: metadata.is_dir(), owner, mode, user: geteuid().as_raw() })
    }
}

pub(super) fn findings(path: &Path, observed: io::Result<Directory>) -> Vec<Finding> {
    let finding = |severity, problem: String, advice: String| {
        let problem = format!("the data directory {} {problem}", path.display());
        Finding::new(severity, Check::DataDirectory, problem, advice)
    };
    let directory = match observed {
        Ok(directory) => directory,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "`lodge serve` creates it; if a server has been used, name its directory with --data-dir";
            return vec![finding(Severity::Note, "does not exist".to_owned(), advice.to_owned())];
        }
        Err(error) => return vec![unobserved(Check::DataDirectory, path, &error)],
    };
    if !directory.is_dir {
        let advice = "name a directory with --data-dir";
        return vec![finding(Severity::Error, "is not a directory".to_owned(), advice.to_owned())];
    }
    [owner(path, &directory), mode(path, &directory)]
        .into_iter()
        .flatten()
        .map(|(severity, problem, advice)| finding(severity, problem, advice))
        .collect()
}

fn owner(path: &Path, directory: &Directory) -> Option<(Severity, String, String)> {
    let Directory { owner, user, .. } = *directory;
    if owner != user {
        let problem = format!("belongs to another user of this system (uid {owner}), not to this one (uid {user})");
        let advice = format!("run lodge as its owner, or make it this user's: chown -R {user} {}", path.display());
        return Some((Severity::Error, problem, advice));
    }
    let advice = format!(
        "run the server as a user of its own, and make the directory that user's: chown -R USER {}",
        path.display()
    );
    (owner == 0)
        .then(|| (Severity::Warning, "belongs to root, so the server has all of root's rights".to_owned(), advice))
}

fn mode(path: &Path, Directory { mode, .. }: &Directory) -> Option<(Severity, String, String)> {
    let permissions = mode & 0o777;
    let problem = format!("has the mode {permissions:03o}");
    let advice = format!("chmod 700 {}", path.display());
    if permissions & 0o700 != 0o700 {
        return Some((Severity::Error, format!("{problem}: its owner cannot use it"), advice));
    }
    (permissions & 0o077 != 0).then(|| (Severity::Warning, format!("{problem}: it is open to other users"), advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: Directory = Directory { is_dir: true, owner: 1000, mode: 0o700, user: 1000 };

    fn of(directory: Directory) -> Vec<(Severity, String)> {
        let findings = findings(Path::new("/var/lib/lodge"), Ok(directory));
        findings.into_iter().map(|finding| (finding.severity, finding.problem)).collect()
    }

    #[test]
    fn a_private_directory_of_the_servers_user_is_sound() {
        assert_eq!(of(SOUND), []);
    }

    #[test]
    fn another_users_directory_is_an_error_and_roots_a_warning() {
        let foreign = "belongs to another user of this system (uid 7), not to this one (uid 1000)";
        assert_eq!(
            of(Directory { owner: 7, ..SOUND }),
            [(Severity::Error, format!("the data directory /var/lib/lodge {foreign}"))]
        );
        let roots = "the data directory /var/lib/lodge belongs to root, so the server has all of root's rights";
        assert_eq!(of(Directory { owner: 0, user: 0, ..SOUND }), [(Severity::Warning, roots.to_owned())]);
    }

    #[test]
    fn a_directory_that_is_open_to_others_is_a_warning_and_one_closed_to_its_owner_an_error() {
        for mode in [0o750, 0o701, 0o2770, 0o755] {
            let problem = format!(
                "the data directory /var/lib/lodge has the mode {:03o}: it is open to other users",
                mode & 0o777
            );
            assert_eq!(of(Directory { mode, ..SOUND }), [(Severity::Warning, problem)]);
        }
        let problem = "the data directory /var/lib/lodge has the mode 500: its owner cannot use it";
        assert_eq!(of(Directory { mode: 0o500, ..SOUND }), [(Severity::Error, problem.to_owned())]);
    }

    #[test]
    fn a_missing_directory_is_a_note_and_a_file_or_an_unreadable_one_an_error() {
        let severity = |observed| findings(Path::new("data"), observed)[0].severity;

        assert_eq!(severity(Err(io::ErrorKind::NotFound.into())), Severity::Note);
        assert_eq!(severity(Err(io::ErrorKind::PermissionDenied.into())), Severity::Error);
        assert_eq!(severity(Ok(Directory { is_dir: false, ..SOUND })), Severity::Error);
    }
}
