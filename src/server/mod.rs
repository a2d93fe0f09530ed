//! The listeners, their workers, and the shutdown.

mod acceptor;
mod background;
mod body;
mod bounds;
mod connection_table;
mod framing;
mod head;
mod listening;
pub mod local;
pub mod metrics;
mod opening;
mod sending;
mod signals;
mod stopping;
mod timed_stream;
mod timer;
mod transport;
mod unix_socket;
mod watchdog;

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder, ServerHandle};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service};
use actix_web::rt;
use futures_util::{FutureExt, future::join_all};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::{
    acceptor::ConnectionAcceptor,
    background::{follow, sweep},
    bounds::Bounds,
    connection_table::{ConnectionTable, TableBounds},
    local::Audience,
    stopping::Stopping,
    timed_stream::TimedStream,
    unix_socket::SocketFile,
    watchdog::Pulse,
};
pub use self::{
    listening::{Listener, NotBound, bind, passed},
    opening::{ANSWER_AFTER, while_opening},
    signals::Signals,
};
use crate::{
    api::{App, Serves, Worker, entry},
    service_manager::Notifier,
    store::engine::EngineError,
    tls::Certificate,
};

/// How long running requests may take to end after a stop was requested.
const SHUTDOWN_SECS: u64 = 30;
/// How long a client may take to receive the last answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How many accepted connections of a worker may wait for room; further ones wait in the backlog.
const WAITING: usize = 256;
/// How much of an answer the framework buffers before it writes.
const WRITE_BUFFER: usize = 4 << 10;

/// Why a server stopped.
#[derive(Debug)]
pub enum ShutdownReason {
    /// A signal requested it.
    Stopped,
    /// The storage failed.
    StorageFailed(EngineError),
}

/// What a server listens on.
pub struct Listeners {
    /// What the API is served on.
    pub api: Vec<Listener>,
    /// The certificate, if TLS is served on those of TCP.
    pub certificate: Option<Arc<Certificate>>,
    /// The local socket, and its application.
    pub local: Option<(UnixListener, Arc<App>)>,
    /// The socket for system users, and its application.
    pub system_users: Option<(UnixListener, Arc<App>)>,
    /// The listener for metrics without a credential, and its application.
    pub metrics: Option<(TcpListener, Arc<App>)>,
}

/// What a server is stopped and reloaded by, and who is notified of its state.
pub struct Supervision {
    /// The failure of the storage, once there is one.
    pub failure: watch::Receiver<Option<EngineError>>,
    /// The signals of the process.
    pub signals: Signals,
    /// Notifies the service manager.
    pub notifier: Notifier,
    /// How long the service manager waits for a sign of life, if it does.
    pub watchdog: Option<Duration>,
}

/// Serves until a signal or a failure of the storage. Calls `ready` with the URL of each address that it listens on.
///
/// # Errors
/// If the workers cannot be started.
pub async fn serve(
    app: Arc<App>,
    Listeners { api, certificate, local, system_users, metrics }: Listeners,
    Supervision { failure, signals, notifier, watchdog }: Supervision,
    ready: impl Fn(String),
) -> io::Result<ShutdownReason> {
    let urls: Vec<_> = api.iter().map(|listener| listener.url(certificate.is_some())).collect::<Result<_, _>>()?;
    let acceptor = certificate.as_ref().map(|certificate| TlsAcceptor::from(Arc::new(certificate.server())));
    let pulse = Pulse::default();
    let (server, stopping, _files) = run(&app, api, acceptor, &pulse)?;
    let sockets = [(local, Audience::Operators), (system_users, Audience::SystemUsers)];
    let (mut servers, mut beside) = (vec![(server.handle(), stopping)], Vec::new());
    for (socket, audience) in sockets {
        let Some((listener, app)) = socket else { continue };
        let (server, stopping) = local::run(&app, listener, audience)?;
        servers.push((server.handle(), stopping));
        beside.push(rt::spawn(server));
    }
    if let Some((listener, app)) = metrics {
        let (server, stopping) = metrics::run(&app, listener)?;
        servers.push((server.handle(), stopping));
        beside.push(rt::spawn(server));
    }
    let clock = app.state.clock.clone();
    let sweeper = rt::spawn(sweep(app));
    let follower = rt::spawn(follow(certificate, clock, signals.clone(), notifier.clone()));
    let watch = watchdog.map(|period| rt::spawn(watchdog::watch(pulse, notifier.clone(), period)));
    let stopper = rt::spawn(stop_in_time(servers, signals.clone(), failure, notifier.clone()));
    let status = format!("serving on {}", urls.join(", "));
    urls.into_iter().for_each(ready);
    notifier.ready(&status);
    let ended = async {
        server.await?;
        sweeper.abort();
        watch.iter().chain([&follower]).for_each(rt::task::JoinHandle::abort);
        // Waits for the requests on the other sockets too.
        io::Result::Ok(stopper.await.unwrap_or(ShutdownReason::Stopped))
    };
    let reason = tokio::select! {
        ended = ended => ended?,
        () = signals.stopped(2) => {
            log::warn!("stop requested a second time: running requests are cancelled");
            return Ok(ShutdownReason::Stopped);
        }
    };
    beside.iter().for_each(rt::task::JoinHandle::abort);
    Ok(reason)
}

/// What a server with so many workers, each with so many connections at most, is built from, and what ends it.
fn builder(workers: usize, connections: usize) -> (ServerBuilder, Stopping) {
    let server = Server::build().workers(workers).shutdown_timeout(SHUTDOWN_SECS).disable_signals();
    let server = server.max_concurrent_connections(connections);
    let stopping = Stopping::new(server.graceful_shutdown_signal());
    (server, stopping)
}

/// Starts the workers, one for each core; the files of sockets are to be kept until they have ended.
fn run(
    app: &Arc<App>,
    listeners: Vec<Listener>,
    acceptor: Option<TlsAcceptor>,
    pulse: &Pulse,
) -> io::Result<(Server, Stopping, Vec<SocketFile>)> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(app.limits.connections);
    let (mut server, stopping) = builder(workers, app.limits.connections / workers + WAITING);
    let connections = app.limits.connections;
    let share = app.limits.connections_per_address.unwrap_or(connections / 4);
    let table = ConnectionTable::new(TableBounds::new(connections, share, &app.limits));
    app.state.metrics.add_listener(metrics::readings("api", app, &table));
    let entrance = ConnectionAcceptor { acceptor, bounds: Bounds::new(&app.limits), table, app: Arc::clone(app) };
    let mut files = Vec::new();
    for listener in listeners {
        let (app, entrance, stopping, pulse) = (Arc::clone(app), entrance.clone(), stopping.clone(), pulse.clone());
        let begin = move || {
            pulse.join();
            let stopping = stopping.clone();
            (Rc::new(entrance.clone()), http(&app, Serves::Api, move || stopping.clone().begun()))
        };
        server = match listener {
            Listener::Tcp(listener) => server.listen("api", listener, move || {
                let (entrance, http) = begin();
                fn_service(move |stream| Rc::clone(&entrance).enter(stream)).and_then(http)
            }),
            Listener::Unix(listener, file) => {
                files.extend(file);
                server.listen_uds("api", listener, move || {
                    let (entrance, http) = begin();
                    fn_service(move |stream| Rc::clone(&entrance).enter_local(stream)).and_then(http)
                })
            }
        }?;
    }
    Ok((server.run(), stopping, files))
}

/// Answers the requests of connections; those that are idle end once `stopped` does.
fn http<S, F>(
    app: &Arc<App>,
    serves: Serves,
    stopped: S,
) -> impl ServiceFactory<(TimedStream, Option<SocketAddr>), Config = (), Response = (), Error = (), InitError = ()> + use<S, F>
where
    S: Fn() -> F + 'static,
    F: Future<Output = ()> + 'static,
{
    let http = HttpService::build()
        .graceful_shutdown_signal(stopped)
        // The deadlines for heads and for idle connections are in `TimedStream`, which knows what has been received.
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(DISCONNECT_TIMEOUT)
        .h1_write_buffer_size(WRITE_BUFFER)
        .on_connect_ext(|timed_stream: &TimedStream, extensions: &mut Extensions| {
            extensions.insert(timed_stream.connection());
        });
    let worker = Rc::new(Worker::new(Arc::clone(app), serves));
    let answering = move |request| {
        let worker = Rc::clone(&worker);
        // Boxed, because otherwise every connection would keep the future's memory until it ends.
        async move { Ok::<_, Infallible>(entry::respond(&worker, request).await) }.boxed_local()
    };
    http.h1(fn_service(answering)).map_err(drop)
}

/// Stops the server after a signal or a failure of the storage, and returns the reason.
async fn stop_in_time(
    servers: Vec<(ServerHandle, Stopping)>,
    signals: Signals,
    mut failure: watch::Receiver<Option<EngineError>>,
    notifier: Notifier,
) -> ShutdownReason {
    let ended = tokio::select! {
        () = signals.stopped(1) => ShutdownReason::Stopped,
        error = failed(&mut failure) => ShutdownReason::StorageFailed(error),
    };
    let stopping = format!("stopping: running requests may take up to {SHUTDOWN_SECS} s");
    log::info!("{stopping}");
    notifier.stopping(&stopping);
    for (_, stopping) in &servers {
        stopping.begin();
    }
    join_all(servers.iter().map(|(server, _)| server.stop(true))).await;
    ended
}

async fn failed(failure: &mut watch::Receiver<Option<EngineError>>) -> EngineError {
    match failure.wait_for(Option::is_some).await.map(|error| error.clone()) {
        Ok(Some(error)) => error,
        // The store was closed without a failure.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}
