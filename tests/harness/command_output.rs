//! Commands that are run to their end.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// The output and the exit code of a command.
pub struct CommandOutput {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl CommandOutput {
    /// Itself, if it ended like that.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> CommandOutput {
    run_with_input(command, "")
}

/// Runs a command to its end with that standard input.
pub fn run_with_input(command: &mut Command, input: &str) -> CommandOutput {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that needs no input may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    CommandOutput { code: status.code(), out: text(stdout), err: text(stderr) }
}
