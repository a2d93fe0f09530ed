//! Backups, restores, the secret's rotation, upgrades and damage: what an operator does with a server's data.

mod container;
mod damage;
mod hostile;
mod kills;
mod locks;
mod moment;
mod planted;
mod privileges;
mod restore;
mod rotate;
mod schedule;
mod socket;
mod stopped;
mod upgrade;

use std::{
    collections::BTreeMap,
    fs, hint,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use crate::harness::{CommandOutput, Server, ServerBuilder, random_below, run};

/// Runs `lodge` with these arguments on the server's directory.
fn lodge(server: &Server, arguments: &[&str]) -> CommandOutput {
    run(&mut server.command(arguments))
}

/// Makes a backup of the server, running or not, beside its data directory.
#[track_caller]
fn back_up(server: &Server, name: &str) -> PathBuf {
    let file = server.directory().join(name);
    lodge(server, &["backup", text(&file)]).expect(0);
    file
}

/// A server with what is in the backup, in a new directory, with this secret.
#[track_caller]
fn restored(file: &Path, secret: &Path) -> Server {
    let builder = ServerBuilder::new();
    run(&mut builder.command(&["restore", text(file)])).expect(0);
    fs::copy(secret, builder.data_dir().join("secret")).unwrap();
    builder.start()
}

fn secret_of(server: &Server) -> PathBuf {
    server.data_dir().join("secret")
}

fn store_of(server: &Server) -> PathBuf {
    server.data_dir().join("store")
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The names of all users of a running server.
#[track_caller]
fn usernames(server: &Server) -> Vec<String> {
    let users = server.admin().get("/users?limit=1000").expect(200).json();
    let users = users["users"].as_array().unwrap();
    users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
}

/// Everything in a directory: the bytes of each file, and each directory with nothing.
fn contents(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            contents.insert(path, Vec::new());
        } else {
            contents.insert(path.clone(), fs::read(&path).unwrap_or_default());
        }
    }
    contents
}

/// What in the data directory began with that name.
fn entries_beginning(directory: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let begins = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with(beginning);
    entries.filter(begins).collect()
}

/// Starts the command and kills it within `most`, at a random moment.
pub fn run_and_kill(command: &mut Command, most: Duration) {
    let micros = usize::try_from(most.as_micros()).unwrap().max(1);
    let moment = Duration::from_micros(random_below(micros) as u64);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while begun.elapsed() < moment {
        hint::spin_loop();
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
