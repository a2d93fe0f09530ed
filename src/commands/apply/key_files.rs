//! The files for the values of new API keys. They are whole before the keys are made.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    super::Failure,
    document::{ApiKey, Document},
};
use crate::{
    files::{directory_of, ignore_not_found, sync_directory},
    privileges::as_operator,
    secret::Secret,
};

/// Files with values of keys that may not have been made yet. Dropping it removes them, unless they are kept.
pub(super) struct KeyFiles(Vec<KeyFile>);

struct KeyFile {
    path: PathBuf,
    username: String,
    name: String,
}

impl KeyFiles {
    /// Writes the values of the keys that would be made to the files that the document names, and gives them to its keys.
    ///
    /// # Errors
    /// [`Failure::Refused`] if a file is there or cannot be written, or none is named; then there is none left.
    pub(super) fn write(document: &mut Document, planned: &[Value]) -> Result<Self, Failure> {
        let (mut files, mut wrong) = (Self(Vec::new()), Vec::new());
        for change in planned {
            let Some((username, name, value)) = new_key(change) else { continue };
            let Some(api_key) = document.api_key(username, name) else { continue };
            let value = Secret::new(value.to_owned());
            match &api_key.write_to {
                None => wrong.push(format!("{}: `write_to` is missing, for the value of this new key", api_key.place)),
                // Of two commands with the same files, the one that is first at the first of them gets all.
                Some(path) if !wrong.is_empty() => wrong.extend(refuse_existing(path).map_err(at(api_key, path)).err()),
                Some(path) => match write(path, &value) {
                    Ok(()) => files.add(path, username, name),
                    Err(error) => wrong.push(at(api_key, path)(error)),
                },
            }
            api_key.value = Some(value);
        }
        if wrong.is_empty() {
            Ok(files)
        } else {
            Err(Failure::Refused(format!("nothing was changed:\n{}", wrong.join("\n"))))
        }
    }

    fn add(&mut self, path: &Path, username: &str, name: &str) {
        self.0.push(KeyFile { path: path.to_owned(), username: username.to_owned(), name: name.to_owned() });
    }

    /// Keeps the files of the keys that were made.
    pub(super) fn keep(mut self, changed: &[Value]) {
        self.0.retain(|file| !file.is_of_any(changed));
    }

    /// Keeps the files of all but these keys, which are still to be made.
    pub(super) fn keep_others(mut self, missing: &[Value]) {
        self.0.retain(|file| file.is_of_any(missing));
    }

    /// Keeps all files.
    pub(super) fn keep_all(mut self) {
        for KeyFile { path, .. } in self.0.drain(..) {
            log::warn!("{} has the value of a key that may have been made", path.display());
        }
    }
}

impl Drop for KeyFiles {
    fn drop(&mut self) {
        for KeyFile { path, .. } in &self.0 {
            remove(path);
        }
    }
}

impl KeyFile {
    fn is_of_any(&self, changes: &[Value]) -> bool {
        let mut new = changes.iter().filter_map(new_key);
        new.any(|(username, name, _)| self.username.eq_ignore_ascii_case(username) && self.name == name)
    }
}

/// A sentence about the file for the value of that key.
fn at(api_key: &ApiKey, path: &Path) -> impl FnOnce(io::Error) -> String {
    let place = format!("{}: write_to {}", api_key.place, path.display());
    move |error| format!("{place}: {error}")
}

fn refuse_existing(path: &Path) -> io::Result<()> {
    match as_operator(path, || fs::symlink_metadata(path)) {
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
        Err(error) => ignore_not_found(Err(error)),
    }
}

/// Owner, name and value of the API key that a change makes.
fn new_key(change: &Value) -> Option<(&str, &str, &str)> {
    Some((change["username"].as_str()?, change["name"].as_str()?, change["key"].as_str()?))
}

/// Writes a file that was not there, for its owner alone; it is durable when this returns. Nothing is left of one that fails.
fn write(path: &Path, value: &Secret<String>) -> io::Result<()> {
    let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let mut file = as_operator(path, create)?;
    let line = Secret::new(format!("{}\n", value.expose()));
    let written = file.write_all(line.expose().as_bytes()).and_then(|()| file.sync_all());
    let written = written.and_then(|()| as_operator(path, || sync_directory(directory_of(path))));
    written.inspect_err(|_| remove(path))
}

fn remove(path: &Path) {
    if let Err(error) = as_operator(path, || fs::remove_file(path)) {
        log::warn!("{} cannot be removed: {error}", path.display());
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    /// Two files of keys of Ann's, `a` and `b`, and which are there after that was done with them.
    fn left_after(work: impl FnOnce(KeyFiles)) -> [bool; 2] {
        let place = TempDir::new().unwrap();
        let mut files = KeyFiles(Vec::new());
        let paths = ["a", "b"].map(|name| place.path().join(name));
        for (path, name) in paths.iter().zip(["a", "b"]) {
            write(path, &Secret::new("value".to_owned())).unwrap();
            files.add(path, "ann", name);
        }
        work(files);
        paths.map(|path| path.exists())
    }

    #[test]
    fn a_file_is_its_owners_alone() {
        let place = TempDir::new().unwrap();
        let path = place.path().join("key");
        write(&path, &Secret::new("value".to_owned())).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&path).unwrap(), "value\n");
    }

    #[test]
    fn the_files_of_keys_that_were_made_are_kept_and_no_others() {
        let of =
            |username: &str, name: &str, key: Option<&str>| json!({"username": username, "name": name, "key": key});
        let changes = [of("bob", "b", Some("x")), of("Ann", "a", Some("y")), of("ann", "b", None)];

        assert_eq!(left_after(|files| files.keep(&changes)), [true, false]);
        assert_eq!(left_after(|files| files.keep_others(&changes)), [false, true]);
        assert_eq!(left_after(KeyFiles::keep_all), [true, true]);
        assert_eq!(left_after(drop), [false, false]);
    }
}
