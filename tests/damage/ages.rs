//! One store at several moments of its life, with what it had then.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    damage::damages::Random,
    harness::{Client, Request, Server},
};

const OWNERS: [&str; 4] = ["admin", "ann", "bob", "cid"];
const EVERYTHING: [&str; 3] = ["/users/me", "/users/me/configurations?limit=1000", "/users/me/api_keys?limit=1000"];

/// What the server answers to those who ask for all they have; the first is the list of users.
pub type Holdings = Vec<(u16, Value)>;

/// The store at one moment.
pub struct Age {
    pub name: &'static str,
    /// A copy of the data directory.
    pub data: PathBuf,
    pub holdings: Holdings,
    /// Whether the server was stopped, and so has written its index to the disk.
    pub is_stopped: bool,
}

/// A store that was made and changed by a real server, at several moments.
pub struct Lives {
    server: Server,
    askers: Vec<Client>,
    ages: Vec<Age>,
    _directory: TempDir,
}

impl Lives {
    /// Has a server write some hundred records of every kind, and keeps copies of its directory as they grow.
    pub fn live() -> Self {
        let mut server = Server::start();
        let mut askers: Vec<_> = OWNERS.iter().map(|owner| owner_of(&server, owner)).collect();
        askers.push(server.session("ann"));
        let directory = TempDir::new().unwrap();
        let mut ages = Vec::new();
        for (number, name) in ["a new store", "a grown store", "an old store"].into_iter().enumerate() {
            write(&server, number);
            ages.push(age(name, &mut server, &askers, directory.path()));
        }
        ages.push(killed_age(&mut server, &askers, directory.path()));
        server.kill();
        Self { server, askers, ages, _directory: directory }
    }

    /// An age, and one before it; neither the first nor the same.
    pub fn any_with_an_older(&self, random: &mut Random) -> (&Age, &Age) {
        let chosen = 1 + random.below(self.ages.len() - 1);
        (&self.ages[chosen], &self.ages[random.below(chosen)])
    }

    /// A command on that data directory.
    pub fn command(&self, verb: &[&str], data: &Path) -> Command {
        let mut command = self.server.command(verb);
        command.env("LODGE_DATA_DIR", data);
        command
    }

    /// What the server at that address has.
    pub fn holdings(&self, address: SocketAddr) -> Holdings {
        holdings(&self.askers, address)
    }
}

fn owner_of(server: &Server, owner: &str) -> Client {
    if owner == "admin" { server.admin() } else { server.user(owner) }
}

/// Every owner gets, changes and loses settings and keys; some users come and one goes.
fn write(server: &Server, age: usize) {
    for owner in OWNERS {
        let client = owner_of(server, owner);
        for number in 0..10 {
            let value = format!("{age} {number} ").repeat(1 + number * number);
            client.post("/users/me/configurations", &json!({"key": format!("{age}/{number}"), "value": value}));
        }
        client.put(&format!("/users/me/configurations/{age}%2F3"), &json!({"value": "changed"}));
        client.delete(&format!("/users/me/configurations/{age}%2F4"));
        server.key(owner, &["configurations / index"]);
        server.key(owner, &["* / *"]);
        server.sign_in(owner);
    }
    for number in 0..5 {
        server.user(&format!("guest-{age}-{number}"));
    }
    let gone = server.id_of(&format!("guest-{age}-0"));
    server.admin().delete(&format!("/users/{gone}")).expect(204);
}

fn age(name: &'static str, server: &mut Server, askers: &[Client], directory: &Path) -> Age {
    assert!(server.stop().success());
    copied(name, server, askers, directory)
}

/// An age whose server was killed.
fn killed_age(server: &mut Server, askers: &[Client], directory: &Path) -> Age {
    write(server, 9);
    server.kill();
    server.start_again();
    server.kill();
    Age { is_stopped: false, ..copied("a store of a killed server", server, askers, directory) }
}

fn copied(name: &'static str, server: &mut Server, askers: &[Client], directory: &Path) -> Age {
    let data = directory.join(name);
    copy(&server.data_dir(), &data);
    server.start_again();
    Age { name, data, holdings: holdings(askers, server.address), is_stopped: true }
}

fn holdings(askers: &[Client], address: SocketAddr) -> Holdings {
    let ask = |requester: &Client, path: &str| {
        let mut requester = requester.clone();
        requester.address = address;
        let reply = requester.try_send(&Request::new("GET", path)).unwrap();
        (reply.status, reply.json())
    };
    let users = ask(&askers[0], "/users?limit=1000");
    let own = askers.iter().flat_map(|requester| EVERYTHING.map(|path| ask(requester, path)));
    [users].into_iter().chain(own).collect()
}

/// Copies a directory with all that is in it, but for sockets.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (kind, target) = (entry.file_type().unwrap(), to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target);
        } else if kind.is_file() {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
