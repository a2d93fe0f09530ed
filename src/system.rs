//! Reads the users and groups of the operating system from its name service.
//!
//! `getpwent` and `getgrent` have one position for the whole process, and a name service may hang. So one thread reads both
//! lists, and a request waits for it at most [`DEADLINE`].

mod kernel_clock;
mod lookup;

use std::{
    cmp::Ordering,
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    sync::{
        Arc, Once,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use errno::{Errno, errno, set_errno};
use thiserror::Error;
use tokio::{sync::oneshot, time::timeout};
use users::os::unix::GroupExt;

pub use self::{kernel_clock::is_clock_synchronised, lookup::SystemNames};

/// How long the name service may take.
pub const DEADLINE: Duration = Duration::from_secs(10);
/// How many requests may wait for an answer.
const MAX_WAITING: usize = 64;

/// `ENOENT` and `ESRCH`, with which some name services end a list.
const NOTHING_MORE: [i32; 2] = [2, 3];

/// A user of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemUser {
    /// The login name.
    pub name: String,
    /// The user's id.
    pub uid: u32,
    /// The id of the user's group.
    pub gid: u32,
    /// The GECOS field, often the full name; may be empty.
    pub info: String,
}

/// A group of the operating system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemGroup {
    /// The group's name.
    pub name: String,
    /// The group's id.
    pub gid: u32,
    /// The names of the members that the group itself lists.
    pub users: Vec<String>,
}

/// Why the name service has no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameServiceError {
    /// It returned an error.
    #[error("the name service failed: {0}")]
    Failed(Errno),
    /// It has no valid entry, for example because `/etc/passwd` is missing or cannot be read.
    #[error("the name service lists no {0}")]
    Empty(&'static str),
    /// It took longer than [`DEADLINE`], or too many requests wait for it.
    #[error("the name service does not answer")]
    Slow,
}

enum Query {
    Users(oneshot::Sender<Result<Vec<SystemUser>, NameServiceError>>),
    Groups(oneshot::Sender<Result<Vec<SystemGroup>, NameServiceError>>),
    Names(Vec<u32>, Vec<u32>, oneshot::Sender<Result<SystemNames, NameServiceError>>),
}

/// The name service; a clone shares its thread.
#[derive(Clone, Debug)]
pub struct NameService(Arc<SyncSender<Query>>);

impl NameService {
    /// Starts the thread that reads the lists.
    ///
    /// # Panics
    /// If no thread can be started.
    #[must_use]
    pub fn start() -> Self {
        let (questions, waiting) = sync_channel(MAX_WAITING);
        let thread = thread::Builder::new().name("name-service".to_owned()).spawn(move || answer(&waiting));
        thread.expect("a thread can be started");
        Self(Arc::new(questions))
    }

    /// All system users, by uid and name, read now.
    ///
    /// # Errors
    /// [`NameServiceError`] if the whole list cannot be had in time.
    pub async fn users(&self) -> Result<Vec<SystemUser>, NameServiceError> {
        self.ask(Query::Users).await
    }

    /// All system groups, by gid and name, read now.
    ///
    /// # Errors
    /// [`NameServiceError`] if the whole list cannot be had in time.
    pub async fn groups(&self) -> Result<Vec<SystemGroup>, NameServiceError> {
        self.ask(Query::Groups).await
    }

    /// The names of these users and groups, read now; each id is looked up, so that users count too whom the name service
    /// does not list.
    ///
    /// # Errors
    /// [`NameServiceError`] if not all can be had in time.
    pub async fn names(&self, uids: Vec<u32>, gids: Vec<u32>) -> Result<SystemNames, NameServiceError> {
        self.ask(|reply| Query::Names(uids, gids, reply)).await
    }

    /// The name of the system user with that uid, read now; `None` if there is none.
    ///
    /// # Errors
    /// [`NameServiceError`] if it cannot be had in time.
    pub async fn user_name(&self, uid: u32) -> Result<Option<String>, NameServiceError> {
        Ok(self.names(vec![uid], Vec::new()).await?.users.remove(&uid))
    }

    async fn ask<T>(
        &self,
        question: impl FnOnce(oneshot::Sender<Result<T, NameServiceError>>) -> Query,
    ) -> Result<T, NameServiceError> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send(question(reply)).map_err(|_| NameServiceError::Slow)?;
        timeout(DEADLINE, answer).await.ok().and_then(Result::ok).unwrap_or(Err(NameServiceError::Slow))
    }
}

fn answer(waiting: &Receiver<Query>) {
    for question in waiting {
        // A request that has timed out needs no answer.
        match question {
            Query::Users(reply) if !reply.is_closed() => drop(reply.send(read_users())),
            Query::Groups(reply) if !reply.is_closed() => drop(reply.send(read_groups())),
            Query::Names(uids, gids, reply) if !reply.is_closed() => drop(reply.send(SystemNames::of(&uids, &gids))),
            Query::Users(_) | Query::Groups(_) | Query::Names(..) => {}
        }
    }
}

fn read_users() -> Result<Vec<SystemUser>, NameServiceError> {
    static REPORTED: Once = Once::new();
    let list = List { what: "system users", reported: &REPORTED };
    let mut users = read_all(PasswordEntries::begin, Option::clone, &list)?;
    users.sort_by(|a, b| by_id_then_name((a.uid, &a.name), (b.uid, &b.name)));
    // Two services may list the same user; the first entry counts, as for the system.
    users.dedup_by(|later, first| (later.uid, &later.name) == (first.uid, &first.name));
    Ok(users)
}

#[expect(unsafe_code, reason = "the list of groups is one per process; only the thread of NameService walks it")]
fn read_groups() -> Result<Vec<SystemGroup>, NameServiceError> {
    static REPORTED: Once = Once::new();
    let list = List { what: "system groups", reported: &REPORTED };
    let mut groups = read_all(|| unsafe { users::all_groups() }, system_group, &list)?;
    groups.sort_by(|a, b| by_id_then_name((a.gid, &a.name), (b.gid, &b.name)));
    groups.dedup_by(|later, first| (later.gid, &later.name) == (first.gid, &first.name));
    Ok(groups)
}

/// The system's list of users; an invalid entry is `None`.
///
/// The crate `users` reads it too, but dereferences null pointers where an entry of NIS has only a name.
struct PasswordEntries;

#[expect(unsafe_code, reason = "the list of users is one per process; only the thread of NameService walks it")]
impl PasswordEntries {
    fn begin() -> Self {
        unsafe { libc::setpwent() };
        Self
    }
}

#[expect(unsafe_code, reason = "an entry is valid until the next call, and each of its texts may be null")]
impl Iterator for PasswordEntries {
    type Item = Option<SystemUser>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = unsafe { libc::getpwent().as_ref() }?;
        let text = |text: *mut libc::c_char| (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes());
        let user = || {
            let name = name(OsStr::from_bytes(text(entry.pw_name)?))?;
            let info = String::from_utf8_lossy(text(entry.pw_gecos)?).into_owned();
            Some(SystemUser { name, uid: id(entry.pw_uid)?, gid: id(entry.pw_gid)?, info })
        };
        Some(user())
    }
}

#[expect(unsafe_code, reason = "the list of users is one per process; only the thread of NameService walks it")]
impl Drop for PasswordEntries {
    fn drop(&mut self) {
        unsafe { libc::endpwent() };
    }
}

/// Reads a whole list. Its functions report errors only in `errno`.
fn read_all<E, T, I: Iterator<Item = E>>(
    begin: impl FnOnce() -> I,
    read: fn(&E) -> Option<T>,
    list: &List,
) -> Result<Vec<T>, NameServiceError> {
    set_errno(Errno(0));
    let mut entries = begin();
    refuse_failure(errno(), false)?;
    let (mut kept, mut left_out) = (Vec::new(), 0_usize);
    loop {
        set_errno(Errno(0));
        let Some(entry) = entries.next() else { break };
        match read(&entry) {
            Some(value) => kept.push(value),
            None => left_out += 1,
        }
    }
    refuse_failure(errno(), !kept.is_empty())?;
    list.report_once(left_out);
    if kept.is_empty() { Err(NameServiceError::Empty(list.what)) } else { Ok(kept) }
}

fn refuse_failure(error: Errno, has_entries: bool) -> Result<(), NameServiceError> {
    let is_end = error.0 == 0 || (has_entries && NOTHING_MORE.contains(&error.0));
    if is_end { Ok(()) } else { Err(NameServiceError::Failed(error)) }
}

fn system_group(group: &users::Group) -> Option<SystemGroup> {
    let users = group.members().iter().filter_map(|member| self::name(member)).collect();
    Some(SystemGroup { name: name(group.name())?, gid: id(group.gid())?, users })
}

/// The name, unless it is empty, not UTF-8, or an entry of NIS that includes others.
fn name(name: &OsStr) -> Option<String> {
    let name = name.to_str()?;
    (!name.is_empty() && !name.starts_with(['+', '-'])).then(|| name.to_owned())
}

/// The id, unless it exceeds a signed 32-bit integer, which clients use.
fn id(id: u32) -> Option<u32> {
    (id < 1 << 31).then_some(id)
}

fn by_id_then_name(a: (u32, &String), b: (u32, &String)) -> Ordering {
    a.cmp(&b)
}

/// One of the two lists, and whether its invalid entries were reported.
struct List {
    what: &'static str,
    reported: &'static Once,
}

impl List {
    fn report_once(&self, number: usize) {
        if number > 0 {
            self.reported.call_once(|| {
                let what = self.what;
                log::warn!(
                    "{number} of the {what} are left out: no name, a name that is not UTF-8, an id from 2^31 or an entry of NIS"
                );
            });
        }
    }
}
