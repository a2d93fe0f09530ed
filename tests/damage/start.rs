//! Running a server that may refuse to start, with an end to all patience.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a start or an end may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What became of a start.
pub enum Started {
    Serving(Serving),
    Ended(Ended),
}

/// A server that serves. It is killed when this is dropped.
pub struct Serving {
    pub address: SocketAddr,
    child: Running,
    log: Receiver<String>,
}

/// A server that has ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub log: String,
}

struct Running(Child);

/// Runs the command until it serves or ends; a panic, and a start without an end, are errors.
pub fn serve(mut command: Command) -> Result<Started, String> {
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap());
    let stdout = child.0.stdout.take().unwrap();
    let stderr = child.0.stderr.take().unwrap();
    let line = beside(move || {
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        line
    });
    let log = beside(move || read_whole(stderr));
    let line = line.recv_timeout(TIMEOUT).map_err(|error| hangs("neither serves nor ends", error))?;
    let address = line.trim().rsplit_once("//").and_then(|(_, address)| address.parse().ok());
    match address {
        Some(address) => Ok(Started::Serving(Serving { address, child, log })),
        None => ended(child, &log).map(Started::Ended),
    }
}

impl Serving {
    /// Stops the server, and returns its log.
    pub fn stop(self) -> Result<String, String> {
        let pid = Pid::from_raw(i32::try_from(self.child.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = ended(self.child, &self.log)?;
        if ended.code == Some(0) { Ok(ended.log) } else { Err(format!("it ends so: {ended:?}")) }
    }
}

impl Running {
    fn wait(&mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The log is at its end when the process is.
fn ended(mut child: Running, log: &Receiver<String>) -> Result<Ended, String> {
    let log = log.recv_timeout(TIMEOUT).map_err(|error| hangs("does not end", error))?;
    let code = child.wait().code();
    if log.contains("stack backtrace") || log.contains("thread '") || code == Some(101) {
        return Err(format!("it panics ({code:?}): {log}"));
    }
    Ok(Ended { code, log })
}

fn hangs(what: &str, error: RecvTimeoutError) -> String {
    format!("the server {what} within {TIMEOUT:?}: {error}")
}

fn read_whole(mut from: impl Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(work()));
    receiver
}
