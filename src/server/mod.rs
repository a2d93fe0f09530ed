//! The listener, its workers, and how they end.

mod body;
mod connection_table;
mod framing;
mod head;
mod sending;
mod signals;
mod timed_stream;
mod timer;
mod transport;

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::{dev::AppConfig, rt, web};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    time,
};
use tokio_rustls::TlsAcceptor;

pub use self::signals::Signals;
use self::{
    connection_table::{ConnectionTable, TableBounds},
    timed_stream::{Bounds, TimedStream},
    transport::Transport,
};
use crate::{
    api::{App, Holder, entry},
    clock::Clock,
    config::Limits,
    service::sessions,
    store::engine::EngineError,
    tls::Certificate,
};

/// How long running requests may take to end once the server is told to stop.
const SHUTDOWN_SECS: u64 = 30;
/// How long a client may take to hear a last answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often sessions that are over are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How many connections of a worker may wait until others make room; further ones wait in the backlog.
const WAITING: usize = 256;
/// What the kernel may hold of answers for a client that does not take them; the kernel doubles it.
const SEND_BUFFER: u32 = 128 << 10;
/// How much the framework gathers of an answer before it writes.
const WRITE_BUFFER: usize = 4 << 10;

/// Why a server ended.
#[derive(Debug)]
pub enum ShutdownReason {
    /// It was told to.
    Stopped,
    /// The storage failed.
    StorageFailed(EngineError),
}

/// Serves on that address until a signal or a failure of the storage, over TLS if there is a certificate; calls `ready`
/// with each address it listens on.
///
/// # Errors
/// If it cannot listen there.
pub async fn serve(
    app: Arc<App>,
    listen: &str,
    certificate: Option<Arc<Certificate>>,
    failure: watch::Receiver<Option<EngineError>>,
    signals: Signals,
    ready: impl Fn(SocketAddr),
) -> io::Result<ShutdownReason> {
    let listeners = listeners(listen)?;
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let acceptor = certificate.as_ref().map(|certificate| TlsAcceptor::from(Arc::new(certificate.server())));
    let server = run(&app, listeners, acceptor)?;
    let clock = app.state.clock.clone();
    let sweeper = rt::spawn(sweep(app));
    let follower = certificate.map(|certificate| rt::spawn(follow(certificate, clock, signals.clone())));
    let stopper = rt::spawn(stop_in_time(server.handle(), signals.clone(), failure));
    addresses.into_iter().for_each(ready);
    tokio::select! {
        ended = server => ended?,
        () = signals.stopped(2) => {
            log::warn!("asked to stop a second time: requests that are running are not waited for");
            return Ok(ShutdownReason::Stopped);
        }
    }
    sweeper.abort();
    follower.iter().for_each(rt::task::JoinHandle::abort);
    Ok(stopper.await.unwrap_or(ShutdownReason::Stopped))
}

/// A listener for each address that the text stands for, if there is at least one to be had.
fn listeners(listen: &str) -> io::Result<Vec<TcpListener>> {
    let (listeners, errors): (Vec<_>, Vec<_>) = listen.to_socket_addrs()?.map(listener).partition(Result::is_ok);
    match errors.into_iter().find_map(Result::err) {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners.into_iter().flatten().collect()),
    }
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections take this over from the socket that accepts them.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Workers that answer what comes in, one for each core.
fn run(app: &Arc<App>, listeners: Vec<TcpListener>, acceptor: Option<TlsAcceptor>) -> io::Result<Server> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(app.limits.connections);
    let server = Server::build().workers(workers).backlog(BACKLOG).shutdown_timeout(SHUTDOWN_SECS).disable_signals();
    let mut server = server.max_concurrent_connections(app.limits.connections / workers + WAITING);
    let stopping = server.graceful_shutdown_signal();
    let table = ConnectionTable::new(table_bounds(&app.limits));
    let entrance = ConnectionAcceptor { acceptor, bounds: Bounds::new(&app.limits), table, app: Arc::clone(app) };
    for listener in listeners {
        let (app, entrance, stopping) = (Arc::clone(app), entrance.clone(), stopping.clone());
        server = server.listen("api", listener, move || {
            let stopping = stopping.clone();
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                // The deadlines of heads and of idling are the socket's, which knows what has been received.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(DISCONNECT_TIMEOUT)
                .h1_write_buffer_size(WRITE_BUFFER)
                .on_connect_ext(|timed_stream: &TimedStream, extensions: &mut Extensions| {
                    extensions.insert(timed_stream.connection());
                });
            let shared = web::Data::from(Arc::clone(&app));
            let answering = actix_web::App::new().app_data(shared).default_service(web::to(entry::respond));
            let http = http.h1(map_config(answering, |()| AppConfig::default()));
            let entrance = Rc::new(entrance.clone());
            fn_service(move |stream| Rc::clone(&entrance).enter(stream)).and_then(http.map_err(drop))
        })?;
    }
    Ok(server.run())
}

fn table_bounds(limits: &Limits) -> TableBounds {
    TableBounds {
        connections: limits.connections,
        share: limits.connections_per_address.unwrap_or(limits.connections / 4),
        idle: limits.idle_deadline / 8,
    }
}

/// What a connection passes before anything is asked on it.
#[derive(Clone)]
struct ConnectionAcceptor {
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
    table: ConnectionTable,
    app: Arc<App>,
}

impl ConnectionAcceptor {
    /// Shakes hands, if that is needed; a connection that does not in time is dropped, and nobody is told.
    async fn enter(self: Rc<Self>, stream: TcpStream) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        let peer = stream.peer_addr().map_err(drop)?;
        let slot = self.table.enter(self.counted(peer.ip())).await.ok_or(())?;
        // An answer goes out in pieces; the last one shall not wait until the client has acknowledged the others.
        stream.set_nodelay(true).map_err(drop)?;
        let transport = match &self.acceptor {
            None => Transport::Plain(stream),
            Some(acceptor) => {
                // Boxed, because every connection keeps the room for it as long as it is there.
                let handshake = Box::pin(time::timeout(self.app.limits.head_deadline, acceptor.accept(stream)));
                Transport::Encrypted(Box::new(handshake.await.map_err(drop)?.map_err(drop)?))
            }
        };
        let permit = self.app.memory_budget.permit(Holder::at(peer.ip()));
        Ok((TimedStream::new(transport, slot, permit, self.bounds.clone()), Some(peer)))
    }

    /// The address, if connections from it count for its share. Many clients are at a trusted proxy's, and on this machine, unless
    /// the share has been set.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        let is_local = address.is_loopback() && self.app.limits.connections_per_address.is_none();
        Some(address).filter(|address| !is_local && !self.app.proxies.trusts(*address))
    }
}

/// Stops the server when it is told to or when it can do nothing useful any more; tells which.
async fn stop_in_time(
    server: ServerHandle,
    signals: Signals,
    mut failure: watch::Receiver<Option<EngineError>>,
) -> ShutdownReason {
    let ended = tokio::select! {
        () = signals.stopped(1) => ShutdownReason::Stopped,
        error = failed(&mut failure) => ShutdownReason::StorageFailed(error),
    };
    log::info!("stopping: requests that are running may take up to {SHUTDOWN_SECS} s");
    server.stop(true).await;
    ended
}

/// Keeps the certificate up to date with its files, which `SIGHUP` has read at once.
async fn follow(certificate: Arc<Certificate>, clock: Clock, mut signals: Signals) {
    certificate.follow(clock, async || signals.reloaded().await).await;
}

async fn failed(failure: &mut watch::Receiver<Option<EngineError>>) -> EngineError {
    match failure.wait_for(Option::is_some).await.map(|error| error.clone()) {
        Ok(Some(error)) => error,
        // The store is gone without a failure: there is nothing to wait for.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Writes recorded activity and removes sessions that are over, every minute.
async fn sweep(app: Arc<App>) {
    let mut ticks = time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        app.state.write_activity().await;
        match sessions::sweep(&app.state).await {
            Ok(0) => {}
            Ok(removed) => log::info!("removed {removed} sessions that were over"),
            Err(error) => log::error!("sessions that are over cannot be removed: {error}"),
        }
    }
}
