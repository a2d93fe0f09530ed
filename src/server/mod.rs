//! The listeners, their workers, and the shutdown.

mod body;
mod bounds;
mod connection_table;
mod framing;
mod head;
pub mod local;
mod sending;
mod signals;
mod stopping;
mod timed_stream;
mod timer;
mod transport;

use std::{
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::unix::net::UnixListener,
    rc::Rc,
    sync::Arc,
    thread,
    time::Duration,
};

use actix_http::{Extensions, HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service};
use actix_web::rt;
use futures_util::{FutureExt, future::join_all};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::watch,
    time,
};
use tokio_rustls::TlsAcceptor;

pub use self::signals::Signals;
use self::{
    bounds::Bounds,
    connection_table::{ConnectionTable, TableBounds},
    local::Audience,
    stopping::Stopping,
    timed_stream::TimedStream,
    transport::{Metered, Transport},
};
use crate::{
    api::{App, Holder, entry},
    clock::Clock,
    config::Limits,
    service::sessions,
    store::engine::EngineError,
    tls::Certificate,
};

/// How long running requests may take to end after a stop was requested.
const SHUTDOWN_SECS: u64 = 30;
/// How long a client may take to receive the last answer.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often expired sessions are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How many accepted connections of a worker may wait for room; further ones wait in the backlog.
const WAITING: usize = 256;
/// The size of a socket's send buffer, which holds answers that the client has not read; the kernel doubles it.
const SEND_BUFFER: u32 = 128 << 10;
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
pub struct Listeners<'a> {
    /// An address, or a name of several.
    pub listen: &'a str,
    /// The certificate, if TLS is served there.
    pub certificate: Option<Arc<Certificate>>,
    /// The local socket, and its application.
    pub local: Option<(UnixListener, Arc<App>)>,
    /// The socket for system users, and its application.
    pub system_users: Option<(UnixListener, Arc<App>)>,
}

/// Serves until a signal or a failure of the storage. Calls `ready` with each address that it listens on.
///
/// # Errors
/// If it cannot listen on any of the addresses.
pub async fn serve(
    app: Arc<App>,
    Listeners { listen, certificate, local, system_users }: Listeners<'_>,
    failure: watch::Receiver<Option<EngineError>>,
    signals: Signals,
    ready: impl Fn(SocketAddr),
) -> io::Result<ShutdownReason> {
    let listeners = listeners(listen)?;
    let addresses: Vec<_> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    let acceptor = certificate.as_ref().map(|certificate| TlsAcceptor::from(Arc::new(certificate.server())));
    let (server, stopping) = run(&app, listeners, acceptor)?;
    let sockets = [(local, Audience::Operators), (system_users, Audience::SystemUsers)];
    let (mut servers, mut beside) = (vec![(server.handle(), stopping)], Vec::new());
    for (socket, audience) in sockets {
        let Some((listener, app)) = socket else { continue };
        let (server, stopping) = local::run(&app, listener, audience)?;
        servers.push((server.handle(), stopping));
        beside.push(rt::spawn(server));
    }
    let clock = app.state.clock.clone();
    let sweeper = rt::spawn(sweep(app));
    let follower = certificate.map(|certificate| rt::spawn(follow(certificate, clock, signals.clone())));
    let stopper = rt::spawn(stop_in_time(servers, signals.clone(), failure));
    addresses.into_iter().for_each(ready);
    let ended = async {
        server.await?;
        sweeper.abort();
        follower.iter().for_each(rt::task::JoinHandle::abort);
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

/// A listener for each address that the text resolves to; an error only if there is none.
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
    // Connections inherit this from the listening socket.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Starts the workers, one for each core.
fn run(app: &Arc<App>, listeners: Vec<TcpListener>, acceptor: Option<TlsAcceptor>) -> io::Result<(Server, Stopping)> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(app.limits.connections);
    let server = Server::build().workers(workers).backlog(BACKLOG).shutdown_timeout(SHUTDOWN_SECS).disable_signals();
    let mut server = server.max_concurrent_connections(app.limits.connections / workers + WAITING);
    let stopping = Stopping::new(server.graceful_shutdown_signal());
    let table = ConnectionTable::new(table_bounds(&app.limits));
    let entrance = ConnectionAcceptor { acceptor, bounds: Bounds::new(&app.limits), table, app: Arc::clone(app) };
    for listener in listeners {
        let (app, entrance, stopping) = (Arc::clone(app), entrance.clone(), stopping.clone());
        server = server.listen("api", listener, move || {
            let (entrance, stopping) = (Rc::new(entrance.clone()), stopping.clone());
            let stopped = move || stopping.clone().begun();
            fn_service(move |stream| Rc::clone(&entrance).enter(stream)).and_then(http(&app, stopped))
        })?;
    }
    Ok((server.run(), stopping))
}

/// Answers the requests of connections; those that are idle end once `stopped` does.
fn http<S, F>(
    app: &Arc<App>,
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
    let app = Rc::new(Arc::clone(app));
    let answering = move |request| {
        let app = Rc::clone(&app);
        // Boxed, because otherwise every connection would keep the future's memory until it ends.
        async move { Ok::<_, Infallible>(entry::respond(&app, request).await) }.boxed_local()
    };
    http.h1(fn_service(answering)).map_err(drop)
}

fn table_bounds(limits: &Limits) -> TableBounds {
    TableBounds {
        connections: limits.connections,
        share: limits.connections_per_address.unwrap_or(limits.connections / 4),
        idle: limits.idle_deadline / 8,
    }
}

/// Admits a connection and does its TLS handshake before the first request.
#[derive(Clone)]
struct ConnectionAcceptor {
    acceptor: Option<TlsAcceptor>,
    bounds: Bounds,
    table: ConnectionTable,
    app: Arc<App>,
}

impl ConnectionAcceptor {
    /// Does the TLS handshake, if TLS is served. A connection that does not complete it in time is closed without a log
    /// line.
    async fn enter(self: Rc<Self>, stream: TcpStream) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        let peer = stream.peer_addr().map_err(drop)?;
        let slot = self.table.enter(self.counted(peer.ip())).await.ok_or(())?;
        // An answer is sent in pieces, and the last one must not wait for the acknowledgement of the others.
        stream.set_nodelay(true).map_err(drop)?;
        let transport = match &self.acceptor {
            None => Transport::Plain(stream),
            Some(acceptor) => {
                // Boxed, because otherwise every connection would keep the handshake's memory until it ends.
                let accepting = acceptor.accept(Metered::new(stream));
                let handshake = Box::pin(time::timeout(self.app.limits.head_deadline, accepting));
                Transport::Encrypted(Box::new(handshake.await.map_err(drop)?.map_err(drop)?))
            }
        };
        let permit = self.app.memory_budget.permit(Holder::at(peer.ip()));
        Ok((TimedStream::new(transport, slot, permit, self.bounds.clone()), Some(peer)))
    }

    /// The address, if its connections count for its share. Those of trusted proxies do not, because many clients share
    /// them; those of this machine do not unless the share was set.
    fn counted(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        let is_local = address.is_loopback() && self.app.limits.connections_per_address.is_none();
        Some(address).filter(|address| !is_local && !self.app.proxies.trusts(*address))
    }
}

/// Stops the server after a signal or a failure of the storage, and returns the reason.
async fn stop_in_time(
    servers: Vec<(ServerHandle, Stopping)>,
    signals: Signals,
    mut failure: watch::Receiver<Option<EngineError>>,
) -> ShutdownReason {
    let ended = tokio::select! {
        () = signals.stopped(1) => ShutdownReason::Stopped,
        error = failed(&mut failure) => ShutdownReason::StorageFailed(error),
    };
    log::info!("stopping: running requests may take up to {SHUTDOWN_SECS} s");
    for (_, stopping) in &servers {
        stopping.begin();
    }
    join_all(servers.iter().map(|(server, _)| server.stop(true))).await;
    ended
}

/// Reloads the certificate when its files change, and at once on `SIGHUP`.
async fn follow(certificate: Arc<Certificate>, clock: Clock, mut signals: Signals) {
    certificate.follow(clock, async || signals.reloaded().await).await;
}

async fn failed(failure: &mut watch::Receiver<Option<EngineError>>) -> EngineError {
    match failure.wait_for(Option::is_some).await.map(|error| error.clone()) {
        Ok(Some(error)) => error,
        // The store was closed without a failure.
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// Writes recorded activity and removes expired sessions, every minute.
async fn sweep(app: Arc<App>) {
    let mut ticks = time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        app.state.write_activity().await;
        match sessions::sweep(&app.state).await {
            Ok(0) => {}
            Ok(removed) => log::info!("removed {removed} expired sessions"),
            Err(error) => log::error!("expired sessions cannot be removed: {error}"),
        }
    }
}
