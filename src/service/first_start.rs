//! Creates the first administrator.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use thiserror::Error;

use super::{AppState, ServiceError};
use crate::{
    auth::HashRequester,
    domain::{Action, Actor, AffectedResource, NewPassword, Page, Problem, User, Username},
    files::write_private,
    random::random_bytes,
    secret::Secret,
    store::{IdSet, Sequence, StoreError, Tables, id_set},
};

const NAME: &str = "admin";

/// What a start did about the first administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// Nothing: there are users already.
    NotFirst,
    /// `admin` was created with the password of the settings.
    WithGivenPassword,
    /// `admin` was created with a random password, which is in [`super::Policy::initial_password_file`].
    WithRandomPassword,
}

/// Why the first administrator cannot be created.
#[derive(Debug, Error)]
pub enum FirstStartError {
    /// The given password breaks the rules for passwords.
    #[error("the administrator's password is refused: {0}")]
    Password(String),
    /// The file for the random password cannot be written.
    #[error("the file {} cannot be written", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store or the hasher failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Creates the administrator `admin`, with the given password or a random one, if there is no user yet.
///
/// # Errors
/// [`FirstStartError`]; then there is still no user.
pub async fn ensure_administrator(
    state: &AppState,
    given: Option<Secret<String>>,
) -> Result<FirstStart, FirstStartError> {
    if id_set::count(&state.store, IdSet::Users)? > 0 {
        remove_former_initial_password(state)?;
        return Ok(FirstStart::NotFirst);
    }
    let is_random = given.is_none();
    let password = given.unwrap_or_else(|| Secret::new(BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<18>())));
    let accepted = accepted(&password, state.policy.min_password_bytes)?;
    if is_random {
        write_initial_password(state, &password)?;
    }
    create(state, &accepted, is_random).await?;
    Ok(if is_random { FirstStart::WithRandomPassword } else { FirstStart::WithGivenPassword })
}

/// Removes the file with the random password once the administrator has another one. A failure is logged.
pub fn remove_initial_password(file: &Path) {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            log::error!("{} with the former initial password cannot be removed: {error}", file.display());
        }
        Ok(()) | Err(_) => {}
    }
}

/// Removes the file if a crash prevented that after the change of the password.
fn remove_former_initial_password(state: &AppState) -> Result<(), StoreError> {
    if state.store.initial_administrator()?.is_none() {
        remove_initial_password(&state.policy.initial_password_file);
    }
    Ok(())
}

fn accepted(password: &Secret<String>, min_bytes: usize) -> Result<NewPassword, FirstStartError> {
    let parsed = NewPassword::parse(password.expose(), min_bytes);
    let parsed =
        parsed.and_then(|password| if password.is_username(&name()) { Err(Problem::Invalid) } else { Ok(password) });
    parsed.map_err(|problem| {
        FirstStartError::Password(match problem {
            Problem::TooShort(min) => format!("it is shorter than {min} bytes"),
            Problem::TooLong(max) => format!("it is longer than {max} bytes"),
            Problem::Blank => "it is empty".to_owned(),
            Problem::Invalid
            | Problem::Frozen
            | Problem::Taken
            | Problem::GreaterThanOrEqualTo(_)
            | Problem::LessThanOrEqualTo(_) => {
                "it is commonly used, has control characters or is the user name".to_owned()
            }
        })
    })
}

/// Writes the file before the account is created: a crash in between leaves a file without an account, which the next
/// start replaces.
fn write_initial_password(state: &AppState, password: &Secret<String>) -> Result<(), FirstStartError> {
    let path = &state.policy.initial_password_file;
    let line = Secret::new(format!("{}\n", password.expose()));
    write_private(path, line.expose().as_bytes()).map_err(|source| FirstStartError::File { path: path.clone(), source })
}

async fn create(state: &AppState, password: &NewPassword, is_random: bool) -> Result<(), ServiceError> {
    let password = state.authenticator.hasher.hash(HashRequester::server(), password.as_presented()).await?;
    let now = state.clock.now();
    state
        .write(Actor::SERVER, Action::CreateUser, move |txn| {
            if !txn.users(Page::new(Some(1), None))?.records.is_empty() {
                return Ok(((), AffectedResource::default()));
            }
            let id = txn.next_id(Sequence::Users)?;
            let administrator = User { is_admin: true, ..User::new(id, name(), password, now) };
            txn.put(&administrator).map_err(super::never_taken)?;
            txn.set_initial_administrator(is_random.then_some(administrator.id));
            Ok(((), AffectedResource::from(&administrator).with(vec!["is_admin = true".to_owned()])))
        })
        .await
}

fn name() -> Username {
    Username::parse(NAME).expect("it has the form of a user name")
}
