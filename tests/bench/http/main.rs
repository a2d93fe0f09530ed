//! How fast the server is: each figure beside what it is measured against, side by side in one run.
//!
//! `cargo bench --bench http` measures everything, `cargo bench --bench http -- reads growth` these sections alone. It
//! needs wrk, and nothing else should be running.

mod bare;
mod growth;
mod load;
mod reads;
mod report;
mod seed;
mod server;
mod writes;

use std::{env, fs, path::Path};

use report::{Figure, Goal, Report};

/// How often everything is measured; the middle counts.
const ROUNDS: usize = 5;

type Section = fn(&Path, &mut Report);

const SECTIONS: [(&str, Section); 5] = [
    ("size", size),
    ("hashes", writes::hashes),
    ("reads", reads::measure),
    ("writes", writes::measure),
    ("growth", growth::measure),
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare"
    {
        return bare::serve(Path::new(file)).unwrap();
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut report = Report::default();
    Report::print_headings();
    for (name, measure) in SECTIONS {
        if arguments.is_empty() || arguments.iter().any(|argument| argument == name) {
            measure(directory.path(), &mut report);
        }
    }
    report.save(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench/report.html"));
}

fn size(_: &Path, report: &mut Report) {
    report.add(Figure {
        name: "stripped binary".to_owned(),
        measured: String::new(),
        against: String::new(),
        value: megabytes(fs::metadata(env!("CARGO_BIN_EXE_lodge")).unwrap().len()),
        unit: " MB",
        goal: Some(Goal::AtMost(15.0)),
    });
}

#[expect(clippy::cast_precision_loss, reason = "no size here is beyond 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
