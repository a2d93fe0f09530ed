//! Unix sockets, each served by a worker of its own: the local socket, for root and the server's own user, and the one for all
//! system users.
//!
//! Nothing that happens on the network keeps the operator out: connections, their places and the memory of their requests are
//! counted apart.

use std::{
    fs::{self, File},
    future::pending,
    io,
    net::SocketAddr,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream as StdUnixStream},
    },
    path::Path,
    rc::Rc,
    sync::Arc,
    thread::{self, JoinHandle},
};

use actix_server::Server;
use actix_service::{Service, ServiceFactory, ServiceFactoryExt, fn_service};
use actix_web::rt::{self, System};
use rustix::process::geteuid;
use tokio::{
    net::UnixStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
};

use super::{
    bounds::Bounds,
    builder,
    connection_table::{ConnectionTable, TableBounds},
    http,
    metrics::readings,
    stopping::Stopping,
    timed_stream::TimedStream,
    transport::Transport,
    unix_socket::{self, SocketFile},
};
use crate::{
    api::{App, Holder, Medium, Serves},
    directory::{local_socket_in, short_path_of_local_socket},
    files::ignore_not_found,
};

/// How many connections are served at once; further ones wait.
const MAX_CONNECTIONS: usize = 32;
/// How many of them one user of the socket for system users may have.
const MAX_CONNECTIONS_PER_USER: usize = 8;
/// How many connections may wait until others make room; further ones wait in the backlog.
const WAITING: usize = 32;

/// The local socket of that data directory, which this process has taken.
///
/// # Errors
/// If the socket cannot be made.
pub fn bind(directory: &Path) -> io::Result<UnixListener> {
    let path = local_socket_in(directory);
    // The socket of 0.3.0; anything else of that name is not the server's.
    let _ = unix_socket::remove_abandoned(&directory.join("door"));
    // Its maker is gone: the directory is this process's alone.
    ignore_not_found(fs::remove_file(&path))?;
    let bound = UnixListener::bind(&path).or_else(|_| {
        // A socket's path has at most 108 bytes.
        UnixListener::bind(short_path_of_local_socket(&File::open(directory)?))
    })?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    Ok(bound)
}

/// The socket at that path for all users of the machine. One that is left over is replaced; anything else is not.
///
/// # Errors
/// If the socket cannot be made.
pub fn bind_for_system_users(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    unix_socket::bind(path, 0o666)
}

/// Whom a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Root and the server's own user, as operators.
    Operators,
    /// All users of the machine.
    SystemUsers,
}

impl Audience {
    fn name(self) -> &'static str {
        match self {
            Self::Operators => "local",
            Self::SystemUsers => "user",
        }
    }
}

/// A worker that answers what comes in on the socket.
pub(super) fn run(app: &Arc<App>, listener: UnixListener, audience: Audience) -> io::Result<(Server, Stopping)> {
    let (server, stopping) = builder(1, MAX_CONNECTIONS + WAITING);
    let (app, acceptor, begun) = (Arc::clone(app), LocalAcceptor::new(app, audience), stopping.clone());
    app.state.metrics.add_listener(readings(audience.name(), &app, &acceptor.table));
    let server = server.listen_uds("local", listener, move || {
        let (acceptor, begun) = (Rc::new(acceptor.clone()), begun.clone());
        let stopped = move || begun.clone().begun();
        fn_service(move |stream| Rc::clone(&acceptor).enter(stream)).and_then(http(&app, Serves::Api, stopped))
    })?;
    Ok((server.run(), stopping))
}

/// What a connection passes before anything is asked on it.
#[derive(Clone)]
struct LocalAcceptor {
    audience: Audience,
    bounds: Bounds,
    table: ConnectionTable,
    app: Arc<App>,
}

impl LocalAcceptor {
    fn new(app: &Arc<App>, audience: Audience) -> Self {
        let table = TableBounds::new(MAX_CONNECTIONS, MAX_CONNECTIONS_PER_USER, &app.limits);
        let bounds = match audience {
            Audience::Operators => Bounds::of_operators(&app.limits),
            Audience::SystemUsers => Bounds::new(&app.limits),
        };
        Self { audience, bounds, table: ConnectionTable::new(table), app: Arc::clone(app) }
    }

    /// Admits the peer; the connection of one that the socket is not for is dropped.
    async fn enter(self: Rc<Self>, stream: UnixStream) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        // As the kernel has it from the moment of connecting.
        let uid = stream.peer_cred().map_err(drop)?.uid();
        match self.audience {
            Audience::SystemUsers => self.serve(stream, Medium::SystemUser(uid)).await,
            Audience::Operators if uid == 0 || uid == geteuid().as_raw() => {
                self.serve(stream, Medium::Local(uid)).await
            }
            Audience::Operators => Err(()),
        }
    }

    async fn serve(&self, stream: UnixStream, medium: Medium) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        let entered = match medium {
            Medium::SystemUser(uid) => self.table.enter_user(uid).await,
            Medium::Tcp | Medium::Tls | Medium::Unix | Medium::Local(_) => self.table.enter(None).await,
        };
        let slot = entered.ok_or(())?;
        let permit = self.app.memory_budget.permit(Holder::default());
        Ok((TimedStream::new(Transport::Unix(stream, medium), slot, permit, self.bounds.clone()), None))
    }
}

/// The application as it is served on the local socket, inside a process where no server runs.
pub struct InProcess {
    connections: Option<UnboundedSender<StdUnixStream>>,
    worker: Option<JoinHandle<()>>,
}

impl InProcess {
    /// Serves it to that user of the operating system, on a thread of its own.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub fn start(app: Arc<App>, uid: u32) -> io::Result<Self> {
        let (connections, accepted) = unbounded_channel();
        let work = move || System::new().block_on(serve_each(app, uid, accepted));
        let worker = thread::Builder::new().name("local".to_owned()).spawn(work)?;
        Ok(Self { connections: Some(connections), worker: Some(worker) })
    }

    /// A connection to it.
    ///
    /// # Errors
    /// If there are no file descriptors for it, or the thread has ended.
    pub fn connect(&self) -> io::Result<StdUnixStream> {
        let (client, server) = StdUnixStream::pair()?;
        server.set_nonblocking(true)?;
        let connections = self.connections.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        connections.send(server).map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(client)
    }
}

impl Drop for InProcess {
    fn drop(&mut self) {
        drop(self.connections.take());
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

async fn serve_each(app: Arc<App>, uid: u32, mut accepted: UnboundedReceiver<StdUnixStream>) {
    let acceptor = LocalAcceptor::new(&app, Audience::Operators);
    let Ok(http) = http(&app, Serves::Api, pending).new_service(()).await else { return };
    let http = Rc::new(http);
    while let Some(stream) = accepted.recv().await {
        let Ok(stream) = UnixStream::from_std(stream) else { continue };
        let Ok(entered) = acceptor.serve(stream, Medium::Local(uid)).await else { continue };
        let http = Rc::clone(&http);
        rt::spawn(async move { http.call(entered).await });
    }
}
