//! Which secrets went over the wire to and from each server, and that the server has written none of them down.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex},
};

use aho_corasick::AhoCorasick;
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// Shorter ones are no passwords that an account can have, and are found in texts by chance.
const SHORTEST: usize = 8;

/// Longer ones are looked for by their beginning; the log may have cut them.
const MAX_LENGTH: usize = 64;

/// What no account can have as its password, and every log has as a word.
const WORDS: [&str; 1] = ["password"];

/// What nothing but a secret begins with: a password hash, an API key in full and a session token.
const MARKS: [(&str, usize); 3] = [("$scrypt$", 0), ("lodge_", 70), ("eyJ", 20)];

type Secrets = Arc<Mutex<HashSet<String>>>;

static SERVERS: LazyLock<Mutex<HashMap<SocketAddr, Secrets>>> = LazyLock::new(Mutex::default);

/// The secrets of one server, wherever it has listened.
#[derive(Default)]
pub struct Witnessed(Secrets);

impl Witnessed {
    /// The server listens there from now on.
    pub fn listens_on(&self, address: SocketAddr) {
        SERVERS.lock().unwrap().insert(address, Arc::clone(&self.0));
    }

    /// Adds a secret that did not go over the wire.
    pub fn add(&self, secret: &str) {
        add(&self.0, secret);
    }

    /// Fails if one of these files has one of the secrets in it, or anything that looks like one.
    pub fn assert_not_in(&self, files: &[PathBuf]) {
        let secrets: Vec<_> = self.0.lock().unwrap().iter().cloned().collect();
        let finder = AhoCorasick::new(&secrets).unwrap();
        for file in files {
            let text = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
            let found = finder.find(&text).map(|found| secrets[found.pattern()].as_str());
            if let Some(secret) = found.or_else(|| looks_like_a_secret(&text)) {
                let line = text.lines().find(|line| line.contains(secret)).unwrap_or_default();
                panic!("{} has the secret {secret:?} in the line {line:?}", file.display());
            }
        }
    }
}

/// The files below a directory, if there is such a directory.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Notes the secrets in what goes to a server or comes from it.
pub fn record_traffic(server: SocketAddr, bytes: &[u8]) {
    let Some(secrets) = SERVERS.lock().unwrap().get(&server).cloned() else { return };
    let text = String::from_utf8_lossy(bytes);
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        if name.eq_ignore_ascii_case("authorization") {
            add_credential(&secrets, value.trim());
        }
        if name.eq_ignore_ascii_case("cookie") || name.eq_ignore_ascii_case("set-cookie") {
            let values = value.split(';').filter_map(|pair| pair.split_once("lodge_session="));
            values.for_each(|(_, token)| add(&secrets, token.trim()));
        }
    }
    let form = text.lines().last().into_iter().flat_map(|form| form_urlencoded::parse(form.as_bytes()));
    form.filter(|(name, _)| name == "password").for_each(|(_, secret)| add(&secrets, &secret));
    members(&text, "\"password\"").for_each(|password| add(&secrets, &password));
    let token = text.lines().last().into_iter().flat_map(|form| form_urlencoded::parse(form.as_bytes()));
    token.filter(|(name, _)| name == "token").for_each(|(_, token)| add(&secrets, &token));
    members(&text, "\"key\"").filter(|key| is_whole_key(key)).for_each(|key| add(&secrets, &key));
}

fn add_credential(secrets: &Secrets, value: &str) {
    add(secrets, value);
    let Some((scheme, rest)) = value.split_once(' ') else { return };
    add(secrets, rest.trim());
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = BASE64_STANDARD.decode(rest.trim()).unwrap_or_default();
        let decoded = String::from_utf8_lossy(&decoded);
        let (_, password) = decoded.split_once(':').unwrap_or_default();
        add(secrets, password);
    }
}

fn add(secrets: &Secrets, secret: &str) {
    if secret.len() >= SHORTEST && !WORDS.contains(&secret) {
        secrets.lock().unwrap().insert(secret.chars().take(MAX_LENGTH).collect());
    }
}

/// The texts after each occurrence of that name, in valid JSON or not.
fn members<'a>(text: &'a str, name: &'static str) -> impl Iterator<Item = String> + 'a {
    text.match_indices(name).filter_map(|(at, _)| {
        let value = text[at + name.len()..].trim_start().strip_prefix(':')?;
        serde_json::Deserializer::from_str(value).into_iter::<String>().next()?.ok()
    })
}

fn is_whole_key(text: &str) -> bool {
    text.starts_with("lodge_") && !text.contains('*')
}

fn looks_like_a_secret(text: &str) -> Option<&str> {
    let is_url_safe = |character: char| character.is_ascii_alphanumeric() || "-_".contains(character);
    MARKS.into_iter().find_map(|(mark, length)| {
        text.match_indices(mark).find_map(|(at, _)| {
            let rest = &text[at + mark.len()..];
            let run = rest.find(|character| !is_url_safe(character)).unwrap_or(rest.len());
            (run >= length).then(|| &text[at..at + mark.len() + run])
        })
    })
}
