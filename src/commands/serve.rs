//! `lodge serve`: opens the data directory and the store, serves, and closes them.

use std::{env, os::unix::net::UnixListener, path::Path, sync::Arc, thread, time::Duration};

use actix_web::rt::System;
use rustix::{
    fs::Mode,
    process::{Resource, Rlimit, getrlimit, setrlimit, umask},
};

use super::{
    Failure,
    memory::{MemoryPlan, memory_plan},
    opening::{Events, open_and_upgrade},
};
use crate::{
    api::App,
    audit::{Files, LogReader, Maintenance, continue_after_files, directory_in},
    auth::{Cost, Hasher},
    backup::schedule::{self, BackupLog},
    clock::{self, Clock},
    config::{ADMIN_PASSWORD, ListenAddress, ServeArguments, Settings, TlsSettings},
    directory::{DataDirectory, store_in},
    domain::{Action, Actor, AffectedResource},
    logging,
    secret::RootSecret,
    server::{self, Listener, Listeners, ShutdownReason, Signals, Supervision},
    service::{
        AppState, Serving,
        first_start::{FirstStart, ensure_administrator},
        replace::interrupted,
        sessions,
    },
    service_manager::{Notifier, ServiceManager},
    store::{Store, audit, engine::EngineError},
    tls::{self, Certificate, Renewal},
};

pub(super) fn serve(arguments: &ServeArguments, manager: ServiceManager) -> Result<(), Failure> {
    logging::set_format(arguments.log_format());
    let ServiceManager { notifier, watchdog, sockets } = manager;
    let signals = Signals::listen().map_err(Failure::Signals)?;
    let texts = arguments.texts();
    let settings = arguments.settings(env::var(ADMIN_PASSWORD).ok()).map_err(Failure::Settings)?;
    logging::start(&settings.log);
    let passed = server::passed(sockets?)?;
    if let Some(complaint) = clock::complaint() {
        log::warn!("{complaint}");
    }
    harden_process();
    let settings = Settings { max_connections: within_descriptors(settings.max_connections), ..settings };
    let plan = memory_plan(&settings)?;
    let settings = Settings { transfer_memory: plan.transfer_bytes, ..settings };
    let directory = DataDirectory::take(&settings.data_dir)?;
    if let Some(kept) = interrupted(directory.path()) {
        return Err(Failure::Interrupted(kept));
    }
    let certificate = certificate(directory.path(), &settings.tls)?;
    if signals.ask_to_stop() {
        return Ok(());
    }
    notifier.starting("opening the store");
    let bind = || server::bind(&settings.listen);
    let (opened, passed) = server::while_opening(server::ANSWER_AFTER, (passed, certificate.as_ref()), bind, || {
        open_and_upgrade(&directory, &settings)
    });
    let (store, mut events) = opened?;
    events.push((Action::StartServer, texts));
    let prepared = Prepared { settings, plan, certificate, signals, notifier, watchdog, passed, events };
    System::new().block_on(serve_from(&directory, store, prepared))
}

/// Creates files for their owner only, and forbids core dumps.
pub(super) fn harden_process() {
    umask(Mode::from_raw_mode(0o077));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        log::warn!("core dumps cannot be forbidden: {error}");
    }
}

/// Raises the limit of file descriptors as far as allowed; returns the number of connections that there are descriptors
/// for.
fn within_descriptors(connections: usize) -> usize {
    /// What the store, backups and the local socket need.
    const OTHERS: u64 = 128;
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        log::warn!("the limit of file descriptors cannot be raised: {error}");
    }
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return connections };
    let max = usize::try_from(descriptors.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1);
    if connections > max {
        log::warn!("{max} connections are served at once, because there are {descriptors} file descriptors");
    }
    connections.min(max)
}

/// The certificate, if TLS is served; the fingerprint of a self-signed one is printed.
fn certificate(data_dir: &Path, settings: &TlsSettings) -> Result<Option<Arc<Certificate>>, Failure> {
    let files = match settings {
        TlsSettings::Off => return Ok(None),
        TlsSettings::Files(files) => files.clone(),
        TlsSettings::SelfSigned(names) => {
            let files = tls::keep(data_dir, names, Clock::system().now())?;
            let fingerprint = tls::fingerprint(&files.read_certificates()?[0]);
            logging::announce(&format!("the certificate for {names} has the SHA-256 fingerprint {fingerprint}"));
            let renewal = Renewal { data_dir: data_dir.to_owned(), names: names.clone() };
            return Ok(Some(Certificate::open(files, Some(renewal))?));
        }
    };
    Ok(Some(Certificate::open(files, None)?))
}

/// The results of the start before the store is used.
struct Prepared {
    settings: Settings,
    plan: MemoryPlan,
    certificate: Option<Arc<Certificate>>,
    signals: Signals,
    notifier: Notifier,
    watchdog: Option<Duration>,
    /// What is listened on already: sockets that the service manager passes, or what was answered on while the store was
    /// opened.
    passed: Vec<Listener>,
    events: Events,
}

async fn serve_from(directory: &DataDirectory, store: Store, prepared: Prepared) -> Result<(), Failure> {
    let Prepared { settings, plan, certificate, signals, notifier, watchdog, passed, events } = prepared;
    let is_new = !store.is_initialised()?;
    let secret = RootSecret::open(&settings.secret_path(), is_new)?;
    if is_new {
        store.initialise().await?;
    }
    let failure = store.failure();
    check_beside_serving(&store)?;
    store.maintain(&store_in(directory.path()), (&settings).into()).map_err(Failure::Thread)?;
    let state = Arc::new(state(store.clone(), secret, &settings, plan.hash_threads));
    let maintenance = keep_audit_log(directory, &state, &settings).await?;
    for (action, details) in events {
        state.record(Actor::SERVER, action, AffectedResource::details(details)).await;
    }
    make_administrator(&state, &settings).await?;
    state.begin_activity().await?;
    state.keep_assertion_keys().await;
    if signals.ask_to_stop() {
        drop(maintenance);
        store.finish();
        return Ok(());
    }
    sessions::restore_known_addresses(&state)?;
    let log = BackupLog::default();
    let local = local_socket(directory.path()).map(|socket| {
        let app = App::local(Arc::clone(&state), settings.limits(), log.clone());
        (socket, Arc::new(app))
    });
    let system_users = settings.user_socket.as_deref().map(|path| {
        let app = Arc::new(App::local(Arc::clone(&state), settings.limits(), log.clone()));
        let address = path.display().to_string();
        let bound = server::local::bind_for_system_users(path);
        bound.map(|(socket, file)| ((socket, app), file)).map_err(|source| Failure::Address { address, source })
    });
    // The file is there as long as the server serves.
    let (system_users, _file) = system_users.transpose()?.unzip();
    if let Some(schedule) = settings.backups() {
        schedule::start(schedule, Arc::clone(&state), log.clone())?;
    }
    let metrics = settings.open_metrics.address().map(server::metrics::bind).transpose()?;
    let app = Arc::new(App::new(Arc::clone(&state), &settings, log.clone()));
    let serving = Serving::new(&settings, plan.into(), certificate.clone(), state.clock.reading());
    let serving = state.serving.get_or_init(|| serving);
    let api = if passed.is_empty() { server::bind(&settings.listen)? } else { passed };
    let metrics = metrics.map(|(address, listener)| {
        serving.listens_on(format!("http://{address}/metrics"));
        logging::announce(&format!("lodge serves metrics on http://{address}/metrics"));
        (listener, Arc::new(App::local(Arc::clone(&state), settings.limits(), log.clone())))
    });
    let ready = |url: String| {
        logging::announce(&format!("lodge is listening on {url}"));
        serving.listens_on(url);
    };
    let listeners = Listeners { api, certificate, local, system_users, metrics };
    let supervision = Supervision { failure, signals, notifier, watchdog };
    let served = server::serve(app, listeners, supervision, ready).await;
    let address = ListenAddress::list(&settings.listen);
    match served.map_err(|source| Failure::Address { address, source })? {
        ShutdownReason::Stopped => {
            state.write_activity().await;
            state.record(Actor::SERVER, Action::StopServer, AffectedResource::default()).await;
            drop(maintenance);
            store.finish();
            Ok(())
        }
        ShutdownReason::StorageFailed(error) => Err(Failure::StorageFailed(error)),
    }
}

/// The local socket; without one, as on shares of desktop container tools, the server serves nevertheless.
fn local_socket(data_dir: &Path) -> Option<UnixListener> {
    let bound = server::local::bind(data_dir);
    let bound = bound.inspect_err(|error| {
        log::warn!(
            "no command can reach this server: the file system or the service manager allows no Unix socket in {} ({error})",
            data_dir.display()
        );
    });
    bound.ok()
}

/// Continues the audit log after its end, before anything is recorded in it.
async fn keep_audit_log(
    directory: &DataDirectory,
    state: &AppState,
    settings: &Settings,
) -> Result<Maintenance, Failure> {
    let (chain, store) = (&state.audit.chain, &state.store);
    let exported = audit::state(store)?.unwrap_or_default().exported;
    let files = Files::open(&directory_in(directory.path()), settings.into(), exported)?;
    continue_after_files(chain, &LogReader::of(files.directory())?, store, state.clock.now()).await?;
    if audit::state(store)?.is_some_and(|state| !chain.is_own(&state)) {
        log::warn!(
            "the audit log was written under another secret, or was changed: see `lodge audit --verify`; \
             with another secret no session is good, and API keys are shown masked"
        );
    }
    state.audit.keep_in(files);
    Maintenance::start(Arc::clone(&state.audit), state.store.clone()).map_err(Failure::Thread)
}

/// Checks a store that was too large to be checked before serving, on a thread of its own; if it has lost data, the
/// server stops.
fn check_beside_serving(store: &Store) -> Result<(), Failure> {
    if store.was_read_whole()? {
        return Ok(());
    }
    let store = store.clone();
    let check = move || match store.loss() {
        Ok(loss) if loss.is_empty() => log::info!("the whole store was checked: nothing is lost"),
        Ok(loss) => store.mark_failed(&EngineError::Lost(loss.join(", "))),
        Err(error) => store.mark_failed(&EngineError::Lost(error.to_string())),
    };
    thread::Builder::new().name("check".to_owned()).spawn(check).map_err(Failure::Thread)?;
    Ok(())
}

fn state(store: Store, secret: RootSecret, settings: &Settings, hash_threads: usize) -> AppState {
    let cost = Cost::of(settings);
    if cost < Cost::RECOMMENDED {
        log::warn!("the password hashes cost less than is recommended (--scrypt-cost); this is for tests");
    }
    if settings.throttle_after == 0 {
        log::warn!("guessing is not slowed down (--throttle-after); this is for tests");
    }
    let hasher = Hasher::start(cost, hash_threads).with_max_wait(settings.password_wait);
    AppState::new(store, secret, Clock::system(), settings.into(), hasher)
}

async fn make_administrator(state: &AppState, settings: &Settings) -> Result<(), Failure> {
    let given = settings.admin_password.clone();
    let is_given = given.is_some();
    match ensure_administrator(state, given).await? {
        FirstStart::NotFirst if is_given => {
            log::warn!("the given administrator's password is ignored: there are users already");
        }
        FirstStart::NotFirst => {}
        FirstStart::WithGivenPassword => log::info!("the administrator `admin` was created with the given password"),
        FirstStart::WithRandomPassword => log::info!(
            "the administrator `admin` was created; the password is in {}",
            state.policy.initial_password_file.display()
        ),
    }
    Ok(())
}
