//! The listener that serves metrics alone, without a credential.
//!
//! It has a worker, connections and memory of its own, so that a flood on it takes nothing from the API, nor one on the API
//! from it. The deadlines are those of the API.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
};

use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_service};

use super::{
    NotBound,
    acceptor::ConnectionAcceptor,
    bounds::Bounds,
    builder,
    connection_table::{ConnectionTable, TableBounds},
    http, listening,
    stopping::Stopping,
};
use crate::{
    api::{App, Serves},
    metrics::ListenerReadings,
};

/// How many connections are served at once, and how many of them one address may have.
const MAX_CONNECTIONS: [usize; 2] = [16, 8];
/// How many connections may wait until others make room; further ones wait in the backlog.
const WAITING: usize = 16;

/// A listener on that address, and the address with the port that it has got.
///
/// # Errors
/// [`NotBound`] if it cannot be listened on.
pub fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), NotBound> {
    let bound = listening::listener(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
    bound.map_err(|source| NotBound { address: address.to_string(), source })
}

/// A worker that serves the metrics of the application's state.
pub(super) fn run(app: &Arc<App>, listener: TcpListener) -> io::Result<(Server, Stopping)> {
    let [connections, share] = MAX_CONNECTIONS;
    let (server, stopping) = builder(1, connections + WAITING);
    let table = ConnectionTable::new(TableBounds::new(connections, share, &app.limits));
    app.state.metrics.add_listener(readings("metrics", app, &table));
    let (app, begun) = (Arc::clone(app), stopping.clone());
    let acceptor =
        ConnectionAcceptor { acceptor: None, bounds: Bounds::new(&app.limits), table, app: Arc::clone(&app) };
    let server = server.listen("metrics", listener, move || {
        let (acceptor, begun) = (Rc::new(acceptor.clone()), begun.clone());
        let stopped = move || begun.clone().begun();
        fn_service(move |stream| Rc::clone(&acceptor).enter(stream)).and_then(http(&app, Serves::Metrics, stopped))
    })?;
    Ok((server.run(), stopping))
}

/// What can be read of a listener for its metrics.
pub(super) fn readings(name: &'static str, app: &App, table: &ConnectionTable) -> ListenerReadings {
    let (table, memory) = (table.clone(), app.memory_budget.clone());
    let (max_connections, memory_bytes) = (table.max(), memory.bytes());
    let connections = Box::new(move || table.len());
    ListenerReadings {
        name,
        max_connections,
        connections,
        memory_bytes,
        memory_used: Box::new(move || memory.used_bytes()),
    }
}
