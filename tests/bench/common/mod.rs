//! What all benchmarks share: sections, rounds, the report, and what the stores are filled with.

pub mod commits;
pub mod population;
pub mod report;

use std::{env, path::Path};

use self::report::Report;

/// How often everything is measured; the middle counts.
pub const ROUNDS: usize = 5;

/// Measures in an empty directory of its own.
pub type Section = fn(&Path, &mut Report);

/// Measures the sections that the command line names, or all of them, and writes that page below `target/bench`.
///
/// # Panics
/// If there is no section of such a name.
pub fn measure(sections: &[(&str, Section)], page: &str) {
    let wanted: Vec<_> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    for name in &wanted {
        assert!(sections.iter().any(|(section, _)| section == name), "there is no section {name}");
    }
    let mut report = Report::default();
    Report::print_headings();
    for (name, measure) in sections {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            measure(directory.path(), &mut report);
        }
    }
    report.save(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("../bench").join(page));
}
