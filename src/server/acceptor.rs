//! What a connection to the API passes before anything is asked on it.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
};

use tokio::{
    net::{TcpStream, UnixStream},
    time,
};
use tokio_rustls::TlsAcceptor;

use super::{
    bounds::Bounds,
    connection_table::ConnectionTable,
    timed_stream::TimedStream,
    transport::{Metered, Transport},
};
use crate::api::{App, Holder, Medium};

/// Admits a connection and does its TLS handshake before the first request.
#[derive(Clone)]
pub(super) struct ConnectionAcceptor {
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) bounds: Bounds,
    pub(super) table: ConnectionTable,
    pub(super) app: Arc<App>,
}

impl ConnectionAcceptor {
    /// Does the TLS handshake, if TLS is served. A connection that does not complete it in time is closed without a log
    /// line.
    pub(super) async fn enter(self: Rc<Self>, stream: TcpStream) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        let peer = stream.peer_addr().map_err(drop)?;
        let slot = self.table.enter(self.counted(Some(peer.ip()))).await.ok_or(())?;
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

    /// Admits a connection to a Unix socket.
    pub(super) async fn enter_local(
        self: Rc<Self>,
        stream: UnixStream,
    ) -> Result<(TimedStream, Option<SocketAddr>), ()> {
        let slot = self.table.enter(self.counted(None)).await.ok_or(())?;
        let permit = self.app.memory_budget.permit(Holder::default());
        let transport = Transport::Unix(stream, Medium::Unix);
        Ok((TimedStream::new(transport, slot, permit, self.bounds.clone()), None))
    }

    /// The address for whose share the peer's connections count, the unspecified one on a Unix socket. Those of trusted
    /// proxies count for none, because many clients share them; those of this machine only if the share was set.
    fn counted(&self, peer: Option<IpAddr>) -> Option<IpAddr> {
        let address = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.to_canonical());
        let is_local = peer.is_none() || address.is_loopback();
        let has_share = !is_local || self.app.limits.connections_per_address.is_some();
        Some(address).filter(|_| has_share && !self.app.proxies.trusts_peer(peer))
    }
}
