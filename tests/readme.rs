//! The README's tour does what it promises.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

const README: &str = include_str!("../README.md");
const NEXT: &str = "=== the next command ===";

#[test]
fn the_tour_answers_as_the_readme_shows() {
    let directory = TempDir::new().unwrap();
    let (_server, address) = start_in(&directory);
    let steps = steps();
    assert!(steps.len() > 10, "the tour was found: {}", steps.len());

    let answers = run(&directory, &steps, &address);

    let documented: Vec<_> = steps.iter().map(|(command, answer)| (command, normalized(answer))).collect();
    let given: Vec<_> =
        steps.iter().map(|(command, _)| command).zip(answers.iter().map(|answer| normalized(answer))).collect();
    assert_eq!(given, documented);
}

/// Between these the README has the table of settings.
const TABLE: [&str; 2] = ["<!-- settings -->\n\n", "\n<!-- /settings -->"];

/// With `LODGE_UPDATE_README` set, the table is written anew instead.
#[test]
fn the_table_of_settings_is_the_one_that_follows_from_their_declarations() {
    let (before, rest) = README.split_once(TABLE[0]).unwrap();
    let (table, after) = rest.split_once(TABLE[1]).unwrap();
    let declared = lodge::config::readme_table();
    if std::env::var_os("LODGE_UPDATE_README").is_some() {
        let readme = [before, TABLE[0], &declared, TABLE[1], after].concat();
        fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"), readme).unwrap();
        return;
    }
    assert_eq!(table, declared, "`LODGE_UPDATE_README=1 cargo test --test readme settings` writes it");
}

#[test]
fn every_flag_of_the_help_is_in_the_readme_with_its_variable() {
    let help = Command::new(env!("CARGO_BIN_EXE_lodge")).arg("--help").env_clear().output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = || help.split(|character: char| !character.is_ascii_alphanumeric() && !"-_".contains(character));

    let settings: Vec<_> = words().filter(|word| word.starts_with("--") || word.starts_with("LODGE_")).collect();
    assert!(settings.len() > 20, "{help}");

    for setting in settings.into_iter().filter(|setting| !["--help", "--version"].contains(setting)) {
        assert!(README.contains(&format!("`{setting}`")), "{setting}");
    }
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start_in(directory: &TempDir) -> (Killed, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lodge"));
    command
        .args(["--listen", "127.0.0.1:0", "--scrypt-cost", "10", "--log", "error"])
        .env_clear()
        .current_dir(directory);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("lodge is listening on http://").unwrap().to_owned();
    (Killed(child), address)
}

/// The tour's commands, each with what the README shows as its answer.
fn steps() -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let has_nginx = has_nginx();
    let of_nginx = |block: &'static str| block.strip_prefix("console tour nginx\n").filter(|_| has_nginx);
    let blocks = README.split("```");
    let blocks = blocks.filter_map(|block| block.strip_prefix("console tour\n").or_else(|| of_nginx(block)));
    for line in blocks.flat_map(str::lines) {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push((command.to_owned(), String::new())),
            (None, Some((_, answer))) => {
                answer.push_str(if answer.is_empty() { "" } else { "\n" });
                answer.push_str(line);
            }
            (None, None) => panic!("the tour begins with a command"),
        }
    }
    steps
}

fn run(directory: &TempDir, steps: &[(String, String)], address: &str) -> Vec<String> {
    let [proxy, service] = [free_port(), free_port()];
    let commands = steps.iter().map(|(command, _)| command.replace("127.0.0.1:3000", address));
    let commands = commands.map(|command| command.replace("8080", &proxy).replace("8000", &service));
    let script: Vec<_> = commands.map(|command| format!("{command}\necho\necho '{NEXT}'\n")).collect();
    let script = script.concat();
    let lodge = Path::new(env!("CARGO_BIN_EXE_lodge")).parent().unwrap();
    let path = format!("{}:{}", lodge.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.env("PATH", path);
    let mut shell =
        shell.arg("-eu").current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    assert!(output.status.success());
    let output = String::from_utf8(output.stdout).unwrap();
    let answers: Vec<_> = output.split(NEXT).map(|answer| answer.trim().to_owned()).collect();
    assert_eq!(fs::read_dir(directory).unwrap().count(), 1, "the tour leaves only the data");
    answers[..steps.len()].to_vec()
}

/// Whether the steps with nginx are tested, which take root.
fn has_nginx() -> bool {
    let is_there = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_ok();
    let is_possible = is_there && rustix::process::geteuid().is_root();
    if !is_possible {
        assert!(std::env::var_os("LODGE_TEST_EVERYTHING").is_none(), "nginx is missing, or this is not root");
        eprintln!("left out: the tour with nginx: it is missing, or this is not root");
    }
    is_possible
}

fn free_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

/// The answer with its times, keys and ids of sessions made alike.
fn normalized(answer: &str) -> String {
    answer.trim().split('"').map(words_alike).collect::<Vec<_>>().join("\"")
}

fn words_alike(part: &str) -> String {
    part.split(' ').map(alike).collect::<Vec<_>>().join(" ")
}

fn alike(word: &str) -> &str {
    let is_time = word.len() == 24 && word.starts_with("20") && word.ends_with('Z');
    let is_key = word.len() == 76 && word.starts_with("lodge_");
    let is_id = word.len() == 36 && word.matches('-').count() == 4;
    match (is_time, is_key, is_id) {
        (true, _, _) => "(time)",
        (_, true, _) => "(key)",
        (_, _, true) => "(id)",
        (false, false, false) => word,
    }
}
