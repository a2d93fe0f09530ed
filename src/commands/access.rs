//! The API for commands: of the running server, or of this process where none runs.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use actix_web::rt::System;
use clap::Parser;
use rustix::process::getuid;
use serde_json::Value;

use super::{Failure, actor, failure::asked, opening::upgrade};
use crate::{
    admin_socket::{self, AdminSocketError, Response},
    api::{App, operations::PREFIX},
    audit::{LogReader, continue_after_files, directory_in},
    auth::{Cost, Hasher},
    backup::schedule::BackupLog,
    clock::Clock,
    config::{self, DataArguments, ServeArguments, Settings},
    directory::{DataDirectory, store_in},
    domain::{Action, AffectedResource},
    secret::RootSecret,
    server::local::InProcess,
    service::{AppState, replace::interrupted},
    store::{DiskReserve, Store},
};

/// The way to the API.
pub(super) enum Access {
    /// Through the local socket of the server that runs on that data directory.
    Running(PathBuf),
    /// No server runs: this process answers, and has the data directory meanwhile.
    Stopped(Box<Stopped>),
}

/// The application over the store of a server that does not run.
pub(super) struct Stopped {
    application: Option<InProcess>,
    store: Store,
    _directory: DataDirectory,
}

/// The settings of `serve`, as environment and file have them.
#[derive(Debug, Parser)]
#[command(name = "lodge")]
struct ServeSettings {
    #[command(flatten)]
    serve: ServeArguments,
}

impl Access {
    /// The way to the API of that data directory.
    ///
    /// # Errors
    /// [`Failure`] if a server runs that does not let this process in, or none does and its store cannot be used.
    pub(super) fn to(data: &DataArguments) -> Result<Self, Failure> {
        match Self::to_running(&data.data_dir)? {
            Some(running) => Ok(running),
            None => Ok(Self::Stopped(Box::new(Stopped::open(data)?))),
        }
    }

    /// The way to the API of the server that runs on that data directory, if one does.
    ///
    /// # Errors
    /// [`Failure::Asked`] if it does not let this process in.
    pub(super) fn to_running(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let connection = admin_socket::connect(data_dir).map_err(asked)?;
        Ok(connection.map(|_| Self::Running(data_dir.to_owned())))
    }

    /// Makes a request; the path is below `/api/v2`, with its query. An error's status is an answer too.
    ///
    /// # Errors
    /// [`Failure::Asked`] if no answer comes.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Failure> {
        let connection = match self {
            Self::Running(data_dir) => admin_socket::connect(data_dir).map_err(asked)?.ok_or_else(gone)?,
            Self::Stopped(stopped) => stopped.application().connect().map_err(asked)?,
        };
        admin_socket::send(connection, method, &format!("{PREFIX}{path}"), body).map_err(Failure::Asked)
    }

    /// Makes a request that is to succeed.
    ///
    /// # Errors
    /// [`Failure::Refused`] with the sentences of the answer if it is an error; as [`Self::request`].
    pub(super) fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Response, Failure> {
        good(self.request(method, path, body)?)
    }

    /// Makes a request about something that may not exist; `what` describes it after "there is no".
    ///
    /// # Errors
    /// [`Failure::Refused`] if it does not exist; as [`Self::call`].
    pub(super) fn call_about(
        &self,
        what: &str,
        (method, path): (&str, &str),
        body: Option<&Value>,
    ) -> Result<Response, Failure> {
        let response = self.request(method, path, body)?;
        if response.status == 404 {
            return Err(Failure::Refused(format!("there is no {what}")));
        }
        good(response)
    }
}

/// The answer, if it is no error.
///
/// # Errors
/// [`Failure::Refused`] with the sentences of an error.
pub(super) fn good(response: Response) -> Result<Response, Failure> {
    response.succeeded().map_err(|error| match error {
        AdminSocketError::Refused { sentence, .. } => Failure::Refused(sentence),
        AdminSocketError::Failed(_) | AdminSocketError::Unreadable | AdminSocketError::Io(_) => Failure::Asked(error),
    })
}

fn gone() -> Failure {
    asked(std::io::ErrorKind::ConnectionReset.into())
}

impl Stopped {
    fn open(data: &DataArguments) -> Result<Self, Failure> {
        let directory = DataDirectory::take_existing(&data.data_dir)?;
        if let Some(kept) = interrupted(directory.path()) {
            return Err(Failure::Interrupted(kept));
        }
        let (path, settings) = (store_in(directory.path()), settings(data)?);
        if !path.exists() {
            return Err(Failure::Refused(format!("there is no store in {}", data.data_dir.display())));
        }
        let open = || Store::open(&path, settings.cache_size, DiskReserve::NONE);
        let (store, upgraded) = upgrade(&directory, open()?, open)?;
        let state = state(store.clone(), &settings)?;
        System::new().block_on(continue_log(&directory, &state, upgraded))?;
        let app = App::local(Arc::new(state), settings.limits(), BackupLog::default());
        let application = InProcess::start(Arc::new(app), getuid().as_raw()).map_err(Failure::Thread)?;
        Ok(Self { application: Some(application), store, _directory: directory })
    }

    fn application(&self) -> &InProcess {
        self.application.as_ref().expect("it is there until this is dropped")
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        drop(self.application.take());
        self.store.finish();
    }
}

fn settings(data: &DataArguments) -> Result<Settings, Failure> {
    let mut arguments = vec!["lodge".into(), "--data-dir".into(), data.data_dir.as_os_str().to_owned()];
    for (flag, file) in [("--config", &data.config), ("--secret-file", &data.secret_file)] {
        arguments.extend(file.iter().flat_map(|file| [flag.into(), file.as_os_str().to_owned()]));
    }
    let parsed = config::parse::<ServeSettings>(&arguments);
    let settings = parsed.map_err(|error| Failure::Refused(error.to_string()))?;
    settings.serve.settings(None).map_err(Failure::Settings)
}

fn state(store: Store, settings: &Settings) -> Result<AppState, Failure> {
    let secret = RootSecret::open(&settings.secret_path(), false)?;
    Ok(AppState::new(store, secret, Clock::system(), settings.into(), Hasher::start(Cost::of(settings), 1)))
}

/// Continues the audit log where it ends, before anything is recorded in it.
async fn continue_log(
    directory: &DataDirectory,
    state: &AppState,
    upgraded: Option<Vec<String>>,
) -> Result<(), Failure> {
    let files = LogReader::of(&directory_in(directory.path()))?;
    continue_after_files(&state.audit.chain, &files, &state.store, state.clock.now()).await?;
    if let Some(details) = upgraded {
        state.record(actor(), Action::UpgradeStore, AffectedResource::details(details)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn data_in(place: &tempfile::TempDir) -> DataArguments {
        DataArguments { config: None, data_dir: place.path().to_owned(), secret_file: None }
    }

    /// A data directory with a store in it that no server uses.
    fn stopped() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        let directory = DataDirectory::take(place.path()).unwrap();
        let store = Store::open(&store_in(directory.path()), 1 << 20, DiskReserve::NONE).unwrap();
        System::new().block_on(store.initialise()).unwrap();
        store.finish();
        RootSecret::random().save(&place.path().join("secret")).unwrap();
        place
    }

    #[test]
    fn where_no_server_runs_the_same_requests_are_answered_and_recorded() {
        let place = stopped();
        let access = || Access::to(&data_in(&place)).unwrap();
        let ann = json!({"username": "ann", "password": "ann lives here", "is_admin": true});

        let created = access().request("POST", "/users", Some(&ann)).unwrap().json::<Value>().unwrap();
        let again = access();
        let taken = again.request("POST", "/users", Some(&ann)).unwrap().succeeded().err().unwrap().to_string();
        let last = again.request("DELETE", "/users/1", None).unwrap();
        let audit = again.request("GET", "/audit", None).unwrap().json::<Value>().unwrap();

        assert_eq!((&created["id"], &created["username"]), (&json!(1), &json!("ann")));
        assert!(taken.starts_with("the server answers with 422: "), "{taken}");
        assert_eq!(last.status, 422);
        let entry = &audit["audit_entries"][0];
        assert_eq!((&entry["action"], &entry["system_uid"]), (&json!("users / create"), &json!(getuid().as_raw())));
    }

    #[test]
    fn a_directory_without_a_store_or_in_use_is_refused() {
        let (place, empty) = (stopped(), tempfile::tempdir().unwrap());
        let _taken = DataDirectory::take(place.path()).unwrap();

        let refused = [&place, &empty].map(|place| Access::to(&data_in(place)).err().unwrap().exit_code());

        assert_eq!(refused, [11, 1]);
    }
}
