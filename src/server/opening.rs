//! What is answered while the store is opened, if that takes long: `/healthz` reports that the process lives, and everything
//! else that it is not ready.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    rc::Rc,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::Duration,
};

use actix_http::{HttpService, KeepAlive, Request, Response, StatusCode};
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactory, ServiceFactoryExt, fn_service};
use actix_web::{http::header, rt::System};
use tokio::{sync::oneshot, time};
use tokio_rustls::TlsAcceptor;

use super::{
    listening::{Listener, NotBound},
    transport::{Metered, Transport},
};
use crate::{api::Medium, tls::Certificate};

/// How long an opening may take before anything is answered.
pub const ANSWER_AFTER: Duration = Duration::from_secs(1);
/// How long a client may take over its handshake or its request.
const DEADLINE: Duration = Duration::from_secs(5);
/// How many connections are served at once; further ones wait in the backlog.
const MAX_CONNECTIONS: usize = 64;
const RETRY_AFTER_SECS: &str = "5";

/// Runs `open`, and answers meanwhile if it takes longer than `answer_after`: on these listeners, or without any on those of
/// `bind`. Returns its result and the listeners; none if there were none, and it did not take that long or they cannot be
/// listened on yet.
pub fn while_opening<T>(
    answer_after: Duration,
    (mut listeners, certificate): (Vec<Listener>, Option<&Arc<Certificate>>),
    bind: impl FnOnce() -> Result<Vec<Listener>, NotBound> + Send,
    open: impl FnOnce() -> T,
) -> (T, Vec<Listener>) {
    let outcome = thread::scope(|scope| {
        let ((opened, waiting), listeners) = (channel::<()>(), &mut listeners);
        let answering = scope.spawn(move || answer_until(&waiting, answer_after, (listeners, certificate), bind));
        let outcome = open();
        drop(opened);
        // A panic there is a bug that the store does not share.
        drop(answering.join());
        outcome
    });
    (outcome, listeners)
}

fn answer_until(
    opened: &Receiver<()>,
    answer_after: Duration,
    (listeners, certificate): (&mut Vec<Listener>, Option<&Arc<Certificate>>),
    bind: impl FnOnce() -> Result<Vec<Listener>, NotBound>,
) {
    if opened.recv_timeout(answer_after) != Err(RecvTimeoutError::Timeout) {
        return;
    }
    if listeners.is_empty() {
        // An address that cannot be listened on is reported once the store is open.
        *listeners = System::new().block_on(async { bind() }).unwrap_or_default();
    }
    log::info!("opening the store takes a while: until then only /healthz is answered");
    if let Err(error) = answer(opened, listeners, certificate) {
        log::warn!("nothing is answered while the store is opened: {error}");
    }
}

/// Answers on copies of the listeners until the store is open.
fn answer(opened: &Receiver<()>, listeners: &[Listener], certificate: Option<&Arc<Certificate>>) -> io::Result<()> {
    let acceptor = certificate.map(|certificate| TlsAcceptor::from(Arc::new(certificate.server())));
    thread::scope(|scope| {
        let (end, ended) = oneshot::channel::<()>();
        let served = scope.spawn(|| serve(listeners, acceptor.as_ref(), ended));
        // It ends when the store is open; nothing is sent.
        let _ = opened.recv();
        drop(end);
        served.join().unwrap_or(Ok(()))
    })
}

fn serve(listeners: &[Listener], acceptor: Option<&TlsAcceptor>, ended: oneshot::Receiver<()>) -> io::Result<()> {
    System::new().block_on(async {
        let mut server = Server::build().workers(1).disable_signals().max_concurrent_connections(MAX_CONNECTIONS);
        for listener in listeners {
            server = match listener {
                Listener::Tcp(listener) => on_tcp(server, listener.try_clone()?, acceptor.cloned()),
                Listener::Unix(listener, _) => on_unix(server, listener.try_clone()?),
            }?;
        }
        let server = server.run();
        let handle = server.handle();
        tokio::select! {
            ended = server => return ended,
            _ = ended => {}
        }
        handle.stop(false).await;
        Ok(())
    })
}

fn on_tcp(server: ServerBuilder, listener: TcpListener, tls: Option<TlsAcceptor>) -> io::Result<ServerBuilder> {
    server.listen("opening", listener, move || {
        let tls = Rc::new(tls.clone());
        fn_service(move |stream: tokio::net::TcpStream| {
            let tls = Rc::clone(&tls);
            async move {
                let peer = stream.peer_addr().map_err(drop)?;
                let transport = match &*tls {
                    None => Transport::Plain(stream),
                    Some(acceptor) => {
                        let handshake = time::timeout(DEADLINE, acceptor.accept(Metered::new(stream)));
                        Transport::Encrypted(Box::new(handshake.await.map_err(drop)?.map_err(drop)?))
                    }
                };
                Ok::<_, ()>((transport, Some(peer)))
            }
        })
        .and_then(http())
    })
}

fn on_unix(server: ServerBuilder, listener: UnixListener) -> io::Result<ServerBuilder> {
    server.listen_uds("opening", listener, || {
        fn_service(|stream| async { Ok::<_, ()>((Transport::Unix(stream, Medium::Unix), None)) }).and_then(http())
    })
}

fn http() -> impl ServiceFactory<(Transport, Option<SocketAddr>), Config = (), Response = (), Error = (), InitError = ()>
{
    let http = HttpService::build().keep_alive(KeepAlive::Disabled).client_request_timeout(DEADLINE);
    http.h1(fn_service(|request: Request| async move { Ok::<_, Infallible>(respond(request.path())) })).map_err(drop)
}

fn respond(path: &str) -> Response<String> {
    let (status, body) = if path.ends_with("/healthz") {
        (StatusCode::OK, r#"{"status":"alive"}"#)
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, r#"{"error":"The store is being opened; nothing can be answered yet."}"#)
    };
    let mut response = Response::new(status).set_body(body.to_owned());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    if status != StatusCode::OK {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static(RETRY_AFTER_SECS));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::{config::ListenAddress, server::listening};

    /// Connects until something listens, because that begins on another thread.
    fn get(address: SocketAddr, path: &str) -> String {
        let mut connection =
            std::iter::repeat_with(|| std::net::TcpStream::connect(address)).find_map(Result::ok).unwrap();
        write!(connection, "GET {path} HTTP/1.1\r\nHost: lodge\r\n\r\n").unwrap();
        let mut reply = String::new();
        connection.read_to_string(&mut reply).unwrap();
        reply
    }

    #[test]
    fn while_the_store_is_opened_the_process_is_alive_and_not_ready() {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let bind = || listening::bind(&[ListenAddress::Tcp(address.to_string())]);
        let open = || ["/healthz", "/base/healthz", "/readyz", "/api/v2/users"].map(|path| get(address, path));

        let (replies, listeners) = while_opening(Duration::ZERO, (vec![], None), bind, open);

        let status = |reply: &String| reply.split(' ').nth(1).map(str::to_owned).unwrap();
        assert_eq!(replies.each_ref().map(status), ["200", "200", "503", "503"]);
        assert!(replies[2].contains("retry-after: 5"), "{}", replies[2]);
        assert_eq!(listeners.len(), 1, "the server goes on with it");
    }

    #[test]
    fn what_opens_soon_is_not_answered_for() {
        let passed = || Listener::Tcp(TcpListener::bind("127.0.0.1:0").unwrap());
        let unused = || panic!("nothing is listened on");

        let (opened, listeners) = while_opening(Duration::from_hours(1), (vec![passed()], None), unused, || 7);

        assert_eq!((opened, listeners.len()), (7, 1), "what was passed is kept");
    }
}
