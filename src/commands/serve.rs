//! `lodge serve`: opens everything in order, serves, and closes it again.

use std::{
    env, fs,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
    thread,
};

use actix_web::rt::System;
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, geteuid, setrlimit, umask},
};

use super::Failure;
use crate::{
    api::App,
    auth::{Cost, Hasher, Realm},
    clock::Clock,
    config::{ADMIN_PASSWORD, ServeArguments, Settings},
    logging,
    secret::RootSecret,
    server::{self, Ended},
    service::first_start::{FirstStart, ensure_administrator},
    store::Store,
};

pub(super) fn serve(arguments: ServeArguments) -> Result<(), Failure> {
    let settings = arguments.settings(env::var(ADMIN_PASSWORD).ok()).map_err(Failure::Settings)?;
    logging::start(&settings.log);
    keep_to_oneself();
    prepare(&settings.data_dir)?;
    let store = Store::open(&settings.data_dir.join("store"), settings.cache_bytes)?;
    System::new().block_on(serve_from(store, settings))
}

async fn serve_from(store: Store, settings: Settings) -> Result<(), Failure> {
    let is_new = !store.is_initialised()?;
    let secret = RootSecret::open(&settings.secret_file, is_new)?;
    if is_new {
        store.initialise().await?;
    }
    let failure = store.failure();
    let app = Arc::new(App {
        realm: Arc::new(realm(store, &secret, &settings)),
        body_limit_bytes: settings.body_limit_bytes,
    });
    make_administrator(&app.realm, &settings).await?;
    let ready = |address| println!("lodge is listening on http://{address}");
    let served = server::serve(app, &settings.listen, failure, ready).await;
    match served.map_err(|source| Failure::Address { address: settings.listen, source })? {
        Ended::Stopped => Ok(()),
        Ended::StorageFailed(error) => Err(Failure::StorageFailed(error)),
    }
}

fn realm(store: Store, secret: &RootSecret, settings: &Settings) -> Realm {
    if settings.scrypt_cost < Cost::RECOMMENDED {
        log::warn!("the password hashes cost less than is recommended (--scrypt-cost); this is for tests");
    }
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let hasher = Hasher::start(settings.scrypt_cost, cores);
    Realm::new(store, secret, Clock::system(), settings.rules.clone(), hasher)
}

async fn make_administrator(realm: &Realm, settings: &Settings) -> Result<(), Failure> {
    let given = settings.admin_password.clone();
    let is_given = given.is_some();
    match ensure_administrator(realm, given).await? {
        FirstStart::NotFirst if is_given => {
            log::warn!("the given administrator's password is ignored: there are users already");
        }
        FirstStart::NotFirst => {}
        FirstStart::WithGivenPassword => log::info!("the administrator `admin` was made, with the given password"),
        FirstStart::WithRandomPassword => log::info!(
            "the administrator `admin` was made; the password is in {}",
            settings.rules.initial_password_file.display()
        ),
    }
    Ok(())
}

/// Files are the owner's alone from the moment they are made, and a crash leaves no memory on the disk.
fn keep_to_oneself() {
    umask(Mode::from_raw_mode(0o077));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        log::warn!("core dumps cannot be forbidden: {error}");
    }
}

/// Makes the data directory, or checks that it is ours and closes it to others.
fn prepare(path: &Path) -> Result<(), Failure> {
    let refuse = |why: String| Failure::DataDirectory { path: path.to_owned(), why };
    let told = |error: std::io::Error| refuse(error.to_string());
    if !path.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(told)?;
    }
    let metadata = fs::metadata(path).map_err(told)?;
    if !metadata.is_dir() {
        return Err(refuse("it is not a directory".to_owned()));
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(refuse("it belongs to another user of this system".to_owned()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(told)
}
