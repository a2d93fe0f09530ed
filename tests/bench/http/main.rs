//! How fast the server is: each figure beside what it is measured against, side by side in one run.
//!
//! `cargo bench --bench http` measures everything, `cargo bench --bench http -- reads growth` these sections alone. It
//! needs wrk, and nothing else should be running. That is the default build; with `--profile packaged --features jemalloc`
//! it is the packaged one.

mod bare;
#[path = "../common/mod.rs"]
mod common;
mod console;
mod floods;
mod growth;
mod large;
mod load;
mod neighbours;
mod reads;
mod seed;
mod server;
mod writes;

use std::{env, fs, path::Path};

use common::{
    Section, measure,
    report::{Figure, Goal, Report},
};

/// The bare server and the bare crates have what the server has.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const SECTIONS: [(&str, Section); 8] = [
    ("size", size),
    ("hashes", writes::hashes),
    ("reads", reads::measure),
    ("writes", writes::measure),
    ("floods", floods::measure),
    ("large", large::measure),
    ("growth", growth::measure),
    ("console", console::measure),
];

fn main() {
    let arguments: Vec<_> = env::args().skip(1).collect();
    if let [flag, file] = arguments.as_slice()
        && flag == "--bare"
    {
        return bare::serve(Path::new(file)).unwrap();
    }
    measure(&SECTIONS, "report.html");
}

fn size(_: &Path, report: &mut Report) {
    let size = megabytes(fs::metadata(env!("CARGO_BIN_EXE_lodge")).unwrap().len());
    report.add(Figure::alone("stripped binary".to_owned(), size, " MB", Some(Goal::AtMost(15.0))));
}

#[expect(clippy::cast_precision_loss, reason = "no size here is beyond 2^52")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
