//! The modules depend on each other in one direction alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Each may use those after it.
const ORDER: [&str; 28] = [
    "commands",
    "server",
    "admin_socket",
    "api",
    "backup",
    "service",
    "auth",
    "audit",
    "store",
    "doctor",
    "console",
    "domain",
    "config",
    "tls",
    "directory",
    "secret",
    "files",
    "privileges",
    "metrics",
    "logging",
    "output",
    "service_manager",
    "system",
    "memory_limit",
    "clock",
    "random",
    "quick_hash",
    "error_chain",
];

/// The files of `api` from top to bottom: each may use those after it.
const API: [&str; 60] = [
    "fuzzing",
    "entry",
    "console",
    "sign_in_page",
    "sign_in_redirect",
    "worker",
    "public_endpoints",
    "openapi",
    "routes",
    "operations",
    "mount",
    // Handlers.
    "apply",
    "explanation",
    "local",
    "lines",
    "sessions",
    "users",
    "configurations",
    "scopes",
    "api_key_usage",
    "api_keys",
    "audit",
    "locks",
    "metrics",
    "systems",
    "status",
    "forward_auth",
    "introspection",
    "assertions",
    "user_query",
    // What handlers are made of.
    "guard",
    "input",
    "listing",
    "reply",
    "context",
    "turns",
    "head",
    "error",
    "assertion_token",
    // Leaves.
    "scope_catalogue",
    "description",
    "error_body",
    "schema",
    "date_time",
    "json_object",
    "json_response",
    "form",
    "body",
    "account_cache",
    "user_list_cache",
    "response_budget",
    "memory_budget",
    "tls_policy",
    "session_cookie",
    "client_request",
    "forwarded",
    "json",
    "path_segment",
    "demand",
    "query",
];

/// The files of `api` that no other file of it is needed for.
const API_LEAVES: [&str; 3] = ["connection", "cors", "request_id"];

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

#[test]
fn the_files_of_the_api_use_only_files_below_them() {
    let order: Vec<_> = API.iter().chain(&API_LEAVES).copied().collect();
    let height = |file: &str| order.iter().position(|listed| *listed == file);

    let uses = uses_within("api");

    assert_eq!(uses.keys().map(String::as_str).collect::<BTreeSet<_>>(), order.iter().copied().collect());
    for (file, used) in uses {
        for used in used {
            assert!(height(&file) < height(&used), "`api/{file}` uses `api/{used}`, which is above it");
        }
    }
}

#[test]
fn the_files_of_a_folder_do_not_depend_on_each_other_in_circles() {
    let folders: BTreeSet<_> = sources().into_iter().map(|(module, _)| module).collect();

    let circles = folders.into_iter().map(|folder| (folder.clone(), circle(uses_within(&folder))));

    let circular: Vec<_> = circles.filter(|(_, files)| !files.is_empty()).collect();
    assert!(circular.is_empty(), "{circular:?}");
}

/// What serves requests writes through `AppState::write`, which leaves an entry in the audit log.
#[test]
fn requests_change_nothing_without_an_entry_in_the_audit_log() {
    let mut writes = BTreeMap::new();
    for (module, file) in sources() {
        let text: String = fs::read_to_string(&file).unwrap().split_whitespace().collect();
        let found = ["store.write", "store().write", "write_blocking"].map(|write| text.matches(write).count());
        if ["api", "server", "admin_socket", "service", "auth"].contains(&module.as_str()) && found != [0, 0, 0] {
            let source = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).unwrap();
            writes.insert(source.to_string_lossy().into_owned(), found);
        }
    }
    // The sweep of expired sessions and what is recorded of their use are no actions of a caller's.
    let expected = [
        ("service/activity.rs", [1, 0, 0]),
        ("service/context/audited_write.rs", [2, 0, 0]),
        ("service/context/written_activity.rs", [1, 0, 0]),
        ("service/sessions.rs", [1, 0, 0]),
    ];
    assert_eq!(writes, expected.map(|(file, found)| (file.to_owned(), found)).into());
}

#[test]
fn only_the_store_names_its_libraries() {
    for (module, file) in sources() {
        let text = fs::read_to_string(&file).unwrap();
        for library in ["sled::Config", "sled::Db", "bincode::"] {
            assert!(module == "store" || !text.contains(library), "{} names {library}", file.display());
        }
        for framework in ["actix_web::http", "serde_json"] {
            let is_outside =
                ["api", "server", "commands", "admin_socket", "backup", "audit", "logging"].contains(&module.as_str());
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
    let height = |module: &str| ORDER.iter().position(|layer| *layer == module).expect("each module has its place");
    ["main", "lib"].contains(&module) || height(used) >= height(module)
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

/// For each file or folder directly in this folder of `src`, which others of them it uses. Items that `mod.rs` exports count
/// as used from the file that they are in; those that it defines itself belong to the folder as a whole.
fn uses_within(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let files: Vec<_> = sources().into_iter().filter(|(module, _)| module == folder).collect();
    let exports = exports_of(folder);
    for (_, file) in &files {
        let module = module_path(file);
        let Some(name) = module.get(1) else { continue };
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let inner = used_paths(&module, code).into_iter().filter(|path| path[0] == folder);
        let targets = inner.filter_map(|path| path.get(1).map(|item| exports.get(item).unwrap_or(item).clone()));
        graph.entry(name.clone()).or_default().extend(targets);
    }
    let names: BTreeSet<_> = graph.keys().cloned().collect();
    for (name, targets) in &mut graph {
        targets.retain(|target| target != name && names.contains(target));
    }
    graph
}

/// What is left of these files once all are taken out that use none of the rest, or that none of the rest uses.
fn circle(mut graph: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let names: BTreeSet<_> = graph.keys().cloned().collect();
        for targets in graph.values_mut() {
            targets.retain(|target| names.contains(target));
        }
        let all_targets: BTreeSet<_> = graph.values().flatten().cloned().collect();
        graph.retain(|name, targets| !targets.is_empty() && all_targets.contains(name));
        if graph.len() == names.len() {
            return graph;
        }
    }
}

/// The items that a folder's `mod.rs` takes from its files, each with the file's name.
fn exports_of(folder: &str) -> BTreeMap<String, String> {
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src")).join(folder).join("mod.rs");
    let text = fs::read_to_string(file).unwrap_or_default();
    let taken = text.match_indices("use self::").flat_map(|(at, found)| paths(&text[at + found.len()..]));
    taken.map(|path| (path[path.len() - 1].clone(), path[0].clone())).collect()
}

/// The path of a file's module: `["store", "key"]` for `src/store/key.rs`, `["store"]` for `src/store/mod.rs`.
fn module_path(file: &Path) -> Vec<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    let path = file.strip_prefix(root).unwrap().with_extension("");
    let names = path.components().map(|name| name.as_os_str().to_str().unwrap().to_owned());
    names.filter(|name| name != "mod").collect()
}

/// The top-level modules after each `crate::`, those in braces included.
fn used_modules(text: &str) -> Vec<String> {
    let used = text.match_indices("crate::").flat_map(|(at, found)| paths(&text[at + found.len()..]));
    used.map(|path| path[0].clone()).collect()
}

/// The paths after each `crate::` and `super::` in the text of that module, from the root of the crate.
fn used_paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let by_crate = text.match_indices("crate::").flat_map(|(at, found)| paths(&text[at + found.len()..]));
    let firsts = text.match_indices("super::").filter(|(at, _)| !text[..*at].ends_with("super::"));
    let by_super = firsts.flat_map(|(at, _)| {
        let rest = text[at..].trim_start_matches("super::");
        let levels = (text.len() - at - rest.len()) / "super::".len();
        let base = &module[..module.len().saturating_sub(levels)];
        paths(rest).into_iter().map(|path| [base, &path].concat()).collect::<Vec<_>>()
    });
    by_crate.chain(by_super).collect()
}

/// The paths of a use tree: `a::{b, c::d}` has `a::b` and `a::c::d`.
fn paths(tree: &str) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(list) = tree.strip_prefix('{') {
        return items(list).into_iter().flat_map(paths).collect();
    }
    let word = tree.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(tree, |end| &tree[..end]);
    match tree[word.len()..].strip_prefix("::") {
        Some(rest) => paths(rest).into_iter().map(|path| [vec![word.to_owned()], path].concat()).collect(),
        None => vec![vec![word.to_owned()]],
    }
}

/// The items of a list whose opening brace has been read, without those after the closing one.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, character) in list.char_indices() {
        match character {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                items.push(list[start..at].trim());
                start = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
        if character == '}' && start == at + 1 {
            break;
        }
    }
    items.retain(|item| !item.is_empty());
    items
}
