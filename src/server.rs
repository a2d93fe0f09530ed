//! The listener, its workers, and how they end.

use std::{io, sync::Arc, time::Duration};

use actix_web::{HttpServer, dev::ServerHandle, rt, web};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time,
};

use crate::{
    api::{App, entry},
    service::sessions,
    store::engine::EngineError,
};

/// How long running requests may take to end once the server is told to stop.
const SHUTDOWN_SECS: u64 = 30;
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long the head of a request may take to arrive.
const HEAD_DEADLINE: Duration = Duration::from_secs(10);
/// How often sessions that are over are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Why a server ended.
#[derive(Debug)]
pub enum Ended {
    /// It was told to.
    Stopped,
    /// The storage failed.
    StorageFailed(EngineError),
}

/// Serves on that address until a signal or a failure of the storage; calls `ready` with each address it listens on.
///
/// # Errors
/// If it cannot listen there.
pub async fn serve(
    app: Arc<App>,
    listen: &str,
    failure: watch::Receiver<Option<EngineError>>,
    ready: impl Fn(std::net::SocketAddr),
) -> io::Result<Ended> {
    let signals = StopSignals::listen()?;
    let shared = web::Data::from(Arc::clone(&app));
    let server = HttpServer::new(move || {
        actix_web::App::new().app_data(web::Data::clone(&shared)).default_service(web::to(entry::respond))
    })
    .keep_alive(KEEP_ALIVE)
    .client_request_timeout(HEAD_DEADLINE)
    .shutdown_timeout(SHUTDOWN_SECS)
    .disable_signals()
    .bind(listen)?;
    let addresses = server.addrs();
    let server = server.run();
    let sweeper = rt::spawn(sweep(app));
    let stopper = rt::spawn(stop_in_time(server.handle(), signals, failure));
    addresses.into_iter().for_each(ready);
    server.await?;
    sweeper.abort();
    Ok(stopper.await.unwrap_or(Ended::Stopped))
}

/// Stops the server when it is told to or when it can do nothing useful any more; tells which.
async fn stop_in_time(
    server: ServerHandle,
    mut signals: StopSignals,
    mut failure: watch::Receiver<Option<EngineError>>,
) -> Ended {
    let ended = tokio::select! {
        () = signals.come() => Ended::Stopped,
        error = failed(&mut failure) => Ended::StorageFailed(error),
    };
    log::info!("stopping: requests that are running may take up to {SHUTDOWN_SECS} s");
    server.stop(true).await;
    ended
}

/// The signals that tell the server to stop; from the moment that this is made they kill no more.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn failed(failure: &mut watch::Receiver<Option<EngineError>>) -> EngineError {
    match failure.wait_for(Option::is_some).await.map(|error| error.clone()) {
        Ok(Some(error)) => error,
        // The store is gone without a failure: there is nothing to wait for.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Removes sessions that are over, every now and then.
async fn sweep(app: Arc<App>) {
    let mut ticks = time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        match sessions::sweep(&app.realm).await {
            Ok(0) => {}
            Ok(removed) => log::info!("removed {removed} sessions that were over"),
            Err(error) => log::error!("sessions that are over cannot be removed: {error}"),
        }
    }
}
