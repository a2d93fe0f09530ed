//! The modules depend on each other in one direction alone.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Each may use those behind it, and the leaves.
const LAYERS: [&str; 10] =
    ["commands", "server", "admin_socket", "api", "backup", "service", "auth", "audit", "store", "domain"];
const LEAVES: [&str; 10] =
    ["clock", "config", "directory", "error_chain", "files", "logging", "random", "secret", "system", "tls"];

#[test]
fn no_arrow_points_upwards() {
    let mut arrows = 0;
    for (module, file) in sources() {
        for used in used_modules(&fs::read_to_string(&file).unwrap()) {
            arrows += 1;
            assert!(may_use(&module, &used), "{} uses `crate::{used}`", file.display());
        }
    }
    assert!(arrows > 50, "the arrows were found: {arrows}");
}

/// Whoever serves requests writes through `AppState::write`, which leaves an entry in the audit log.
#[test]
fn requests_change_nothing_without_an_entry_in_the_audit_log() {
    let mut writes = BTreeMap::new();
    for (module, file) in sources() {
        let text: String = fs::read_to_string(&file).unwrap().split_whitespace().collect();
        let found = ["store.write", "store().write", "write_blocking"].map(|write| text.matches(write).count());
        if ["api", "server", "admin_socket", "service", "auth"].contains(&module.as_str()) && found != [0, 0, 0] {
            writes.insert(file.file_name().unwrap().to_string_lossy().into_owned(), found);
        }
    }
    // Sessions that are over are swept by nobody in particular.
    assert_eq!(
        writes,
        [("audited_write.rs", [2, 0, 0]), ("sessions.rs", [1, 0, 0])]
            .map(|(file, found)| (file.to_owned(), found))
            .into()
    );
}

#[test]
fn only_the_store_names_its_libraries() {
    for (module, file) in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for library in ["sled::Config", "sled::Db", "bincode::"] {
            assert!(module == "store" || !text.contains(library), "{} names {library}", file.display());
        }
        for framework in ["actix_web::http", "serde_json"] {
            let is_outside = ["api", "server", "commands", "admin_socket", "backup", "audit"].contains(&module.as_str());
            let is_test =
                text.find("#[cfg(test)]").is_some_and(|tests| text.find(framework).is_some_and(|at| at > tests));
            assert!(is_outside || is_test || !text.contains(framework), "{} names {framework}", file.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let tests = files_below(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests")));
    for file in sources().into_iter().map(|(_, file)| file).chain(tests) {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}

fn may_use(module: &str, used: &str) -> bool {
    let height = |module: &str| LAYERS.iter().position(|layer| *layer == module);
    match (height(module), height(used)) {
        (Some(from), Some(to)) => to >= from,
        // Settings are made of rules and costs, which are the business of who enforces them.
        (None, Some(_)) => {
            ["main", "lib"].contains(&module) || (module == "config" && ["audit", "auth", "store"].contains(&used))
        }
        (Some(_) | None, None) => LEAVES.contains(&used),
    }
}

/// Every source file, with the top-level module that it belongs to.
fn sources() -> Vec<(String, PathBuf)> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
    let module = |file: &Path| {
        let first = file.strip_prefix(root).unwrap().components().next().unwrap();
        first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
    };
    files_below(root).into_iter().map(|file| (module(&file), file)).collect()
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The modules behind each `crate::`, those in braces included.
fn used_modules(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, found) in text.match_indices("crate::") {
        let rest = &text[at + found.len()..];
        match rest.strip_prefix('{') {
            Some(list) => modules.extend(first_words_of_items(list)),
            None => modules.push(first_word(rest)),
        }
    }
    modules
}

fn first_words_of_items(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut item = String::new();
    let mut items = Vec::new();
    for character in list.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ => {}
        }
        if depth == 0 && character != ',' {
            item.push(character);
        }
    }
    items.push(item);
    items.iter().map(|item| first_word(item.trim())).filter(|word| !word.is_empty()).collect()
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|character| character.is_ascii_alphanumeric() || *character == '_').collect()
}
