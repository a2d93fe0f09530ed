//! `lodge verify`: checks that the store is consistent.

use std::io::{self, IsTerminal, Write};

use super::{Failure, failure::asked, on_stopped_store};
use crate::{
    admin_socket,
    api::operations::PREFIX,
    config::DataArguments,
    output,
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

fn of_stopped_server(arguments: &DataArguments) -> Result<Findings, Failure> {
    let mut every_10_000 = |rows| {
        if rows % 10_000 == 0 {
            progress(rows);
        }
    };
    on_stopped_store(&arguments.data_dir, |_, store| Ok(verify::verify(store, &mut every_10_000)?))
}

/// Shows the progress on a terminal.
fn progress(rows: u64) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r{rows} rows read\r").and_then(|()| terminal.flush());
    }
}
