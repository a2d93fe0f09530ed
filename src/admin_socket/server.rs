//! The server's side of the door.

use std::{
    fs,
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::{net::sockopt::socket_peercred, process::geteuid};

use super::{
    Question,
    frame::{DataWriter, Frame},
};
use crate::{
    audit::{self, AuditError, Filter, done},
    backup,
    directory::door_in,
    domain::{Action, Actor, Event},
    error_chain::chain,
    files::ignore_not_found,
    service::{
        AppState,
        locks::{self, LockFilter},
    },
    store::verify::{Findings, verify},
};

/// How many may be inside at once.
const MAX_INSIDE: usize = 8;
/// How long a question may take to be asked, and each piece of an answer to be taken.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The longest question.
const MAX_QUESTION: u64 = 4096;
/// How long the door rests after it could let nobody in.
const REST: Duration = Duration::from_secs(1);
/// Progress is told every so many rows.
const PROGRESS_EVERY: u64 = 10_000;

/// Opens the door of that data directory, which this process has taken. It closes with the process.
///
/// # Errors
/// If the socket cannot be made.
pub fn open(directory: &Path, state: Arc<AppState>) -> io::Result<()> {
    let path = door_in(directory);
    // Whoever left it there is gone: the directory is ours alone.
    ignore_not_found(fs::remove_file(&path))?;
    let listener = bind(directory, &path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    thread::Builder::new().name("door".to_owned()).spawn(move || admit(&listener, &state))?;
    Ok(())
}

/// A socket's name has at most 108 bytes; a longer one is reached through the directory's own descriptor.
fn bind(directory: &Path, path: &Path) -> io::Result<UnixListener> {
    UnixListener::bind(path).or_else(|_| {
        let descriptor = fs::File::open(directory)?;
        UnixListener::bind(super::client::short_name(&descriptor))
    })
}

fn admit(listener: &UnixListener, state: &Arc<AppState>) {
    let inside = Arc::new(AtomicUsize::new(0));
    for visitor in visitors(listener.incoming(), || thread::sleep(REST)) {
        let place = Place::take(&inside);
        if place.is_none() || !is_admitted(&visitor) {
            continue;
        }
        let state = Arc::clone(state);
        let served = thread::Builder::new().name("door-visitor".to_owned()).spawn(move || {
            let _place = place;
            if let Err(error) = serve(&visitor, &state) {
                log::warn!("somebody left the local door before the answer was given: {error}");
            }
        });
        if let Err(error) = served {
            log::error!("the local door cannot serve: {error}");
        }
    }
}

/// Those who come. Whoever cannot be let in, as when there are no file descriptors, still waits: to look again at once would
/// keep a core busy.
fn visitors(coming: impl Iterator<Item = io::Result<UnixStream>>, rest: impl Fn()) -> impl Iterator<Item = UnixStream> {
    let turned_away = move |error: &io::Error| {
        log::warn!("the local door can let nobody in: {error}");
        rest();
    };
    coming.filter_map(move |visitor| visitor.inspect_err(&turned_away).ok())
}

/// A place inside, given back when it is dropped.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(inside: &Arc<AtomicUsize>) -> Option<Self> {
        let place = Self(Arc::clone(inside));
        (inside.fetch_add(1, Ordering::SeqCst) < MAX_INSIDE).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Only root and the server's own user.
fn is_admitted(visitor: &UnixStream) -> bool {
    socket_peercred(visitor).is_ok_and(|peer| peer.uid.is_root() || peer.uid == geteuid())
}

fn serve(visitor: &UnixStream, state: &AppState) -> io::Result<()> {
    visitor.set_read_timeout(Some(TIMEOUT))?;
    visitor.set_write_timeout(Some(TIMEOUT))?;
    let mut line = Vec::new();
    BufReader::new(visitor).take(MAX_QUESTION).read_until(b'\n', &mut line)?;
    let mut out = BufWriter::new(visitor);
    let end = match serde_json::from_slice(&line) {
        Ok(Question::Backup { with_secret }) => {
            tell(state, backup::event(state.clock.now(), actor(visitor)?, with_secret));
            answer_backup(state, with_secret, &mut out)
        }
        Ok(Question::Verify) => answer_verify(state, &mut out),
        Ok(Question::Audit(filter)) => answer_audit(state, &filter, &mut out),
        Ok(Question::VerifyAudit) => verify_audit(state),
        Ok(Question::Locks) => answer_locks(state, &mut out),
        Ok(Question::ClearLocks(filter)) => clear_locks(state, actor(visitor)?, &filter),
        Err(_) => Err("this server does not know that question; it may be older than this command".to_owned()),
    };
    end.unwrap_or_else(Frame::Failed).write(&mut out)?;
    out.flush()
}

fn answer_backup(state: &AppState, with_secret: bool, out: &mut impl Write) -> Result<Frame, String> {
    let mut data = BufWriter::with_capacity(64 << 10, DataWriter(out));
    let written = backup::of(state, with_secret, &mut data).map_err(|error| error.to_string());
    let flushed = data.flush().map_err(|error| error.to_string());
    match &written {
        Ok(summary) => log::info!("a backup of commit {} was taken through the local door", summary.commit),
        Err(error) => log::error!("a backup through the local door failed: {error}"),
    }
    let summary = written?;
    flushed.map(|()| Frame::Done(json(&summary)))
}

/// Who is inside, as the audit log names one.
fn actor(visitor: &UnixStream) -> io::Result<Actor> {
    Ok(Actor::local(socket_peercred(visitor)?.uid.as_raw()))
}

fn clear_locks(state: &AppState, actor: Actor, filter: &LockFilter) -> Result<Frame, String> {
    locks::clear_all(state, filter);
    log::info!("locks were cleared through the local door");
    let subject = locks::subject(state, filter).map_err(|error| chain(&error))?;
    tell(state, done(state.clock.now(), actor, Action::DestroyLocks, subject));
    Ok(Frame::Done(json(&())))
}

/// Has the audit log tell of it. A disk without room for that must keep nobody from it.
fn tell(state: &AppState, event: Event) {
    if let Err(error) = state.audit.chain.record(&state.store, event) {
        log::error!("the audit log cannot tell of what was asked for at the local door: {}", chain(&error));
    }
}

fn answer_audit(state: &AppState, filter: &Filter, out: &mut impl Write) -> Result<Frame, String> {
    let said = |error: AuditError| chain(&error);
    let (log_reader, snapshot) = state.audit.log_reader(&state.store).map_err(said)?;
    let mut data = BufWriter::with_capacity(64 << 10, DataWriter(out));
    log_reader.print(&snapshot, filter, &mut |line| writeln!(data, "{line}")).map_err(said)?;
    data.flush().map_err(|error| error.to_string())?;
    Ok(Frame::Done(json(&())))
}

fn verify_audit(state: &AppState) -> Result<Frame, String> {
    let said = |error: AuditError| chain(&error);
    let (log_reader, snapshot) = state.audit.log_reader(&state.store).map_err(said)?;
    let report = audit::verify(&state.audit.chain, &log_reader, &snapshot).map_err(said)?;
    Ok(Frame::Done(json(&report)))
}

fn answer_verify(state: &AppState, out: &mut impl Write) -> Result<Frame, String> {
    let snapshot = state.store.snapshot().map_err(|error| error.to_string())?;
    let findings: Findings = verify(&snapshot, &mut |rows| {
        if rows % PROGRESS_EVERY == 0 {
            // Whoever has gone is noticed at the end.
            let _ = Frame::Progress(rows).write(out).and_then(|()| out.flush());
        }
    })
    .map_err(|error| error.to_string())?;
    Ok(Frame::Done(json(&findings)))
}

fn answer_locks(state: &AppState, out: &mut impl Write) -> Result<Frame, String> {
    let locks = locks::all(state).map_err(|error| error.to_string())?;
    let mut data = BufWriter::new(DataWriter(out));
    let write = |lock| serde_json::to_writer(&mut data, lock).map_err(|error| error.to_string());
    locks.iter().try_for_each(write)?;
    data.flush().map_err(|error| error.to_string())?;
    Ok(Frame::Done(json(&())))
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("an answer can be written as JSON")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_door_rests_after_each_who_cannot_be_let_in_and_goes_on() {
        let told = RefCell::new(Vec::new());
        let failed = || Err(io::Error::from(Errno::MFILE));
        let coming = [failed(), failed(), UnixStream::pair().map(|(visitor, _)| visitor), failed()];

        let visitors = visitors(coming.into_iter(), || told.borrow_mut().push("rest"));
        visitors.for_each(|_| told.borrow_mut().push("visitor"));

        assert_eq!(told.into_inner(), ["rest", "rest", "visitor", "rest"]);
    }
}
