//! `lodge verify`: checks that the store is consistent.

use std::io::{self, IsTerminal, Write};

use super::{Failure, failure::asked};
use crate::{
    admin_socket,
    api::operations::PREFIX,
    config::DataArguments,
    directory::{DataDirectory, store_in},
    output,
    service::replace::CACHE_BYTES,
    store::{
        engine::Tree,
        verify::{self, Findings},
    },
};

pub(super) fn verify(arguments: &DataArguments) -> Result<(), Failure> {
    let findings = match admin_socket::connect(&arguments.data_dir).map_err(asked)? {
        Some(server) => admin_socket::send(server, "GET", &format!("{PREFIX}/store/verification"), None)
            .and_then(|response| response.lines::<Findings>(&mut io::sink(), &mut progress))
            .map_err(Failure::Asked)?,
        None => of_stopped_server(arguments)?,
    };
    if !findings.faults.is_empty() {
        return Err(Failure::Unsound(findings.faults.join("; ")));
    }
    for note in &findings.notes {
        output::line(format_args!("note: {note}"));
    }
    if findings.were_rows_left_out {
        output::line(format_args!("the journal and the checkpoints are consistent"));
        return Ok(());
    }
    let count = |tree| findings.records.get(&tree).copied().unwrap_or(0);
    output::line(format_args!(
        "the store is consistent: {} users, {} configurations, {} API keys, {} sessions",
        count(Tree::Users),
        count(Tree::Configurations),
        count(Tree::ApiKeys),
        count(Tree::Sessions)
    ));
    Ok(())
}

/// Changes nothing: the directory is locked as it is, and what the storage library would change is copied.
fn of_stopped_server(arguments: &DataArguments) -> Result<Findings, Failure> {
    let directory = DataDirectory::take_unchanged(&arguments.data_dir)?;
    let path = store_in(directory.path());
    if !path.exists() {
        return Err(Failure::Refused(format!("there is no store in {}", directory.path().display())));
    }
    let mut every_10_000 = |rows| {
        if rows % 10_000 == 0 {
            progress(rows);
        }
    };
    Ok(verify::verify_stopped(&path, CACHE_BYTES, &mut every_10_000)?)
}

/// Shows the progress on a terminal.
fn progress(rows: u64) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r{rows} rows read\r").and_then(|()| terminal.flush());
    }
}
