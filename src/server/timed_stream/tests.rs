use std::{
    future::poll_fn,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    task::{Wake, Waker},
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{sync::Notify, time::timeout};

use super::*;
use crate::{
    api::{Holder, MemoryBudget},
    server::connection_table::{ConnectionTable, TableBounds},
};

const GET: &str = "GET / HTTP/1.1\r\nHost: lodge\r\n\r\n";
const FOR_EVER: Duration = Duration::from_hours(1);

/// How long the connection's task may take to be woken before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Records that a task is woken.
#[derive(Default)]
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// A connection and its client's end.
fn connection(idle_deadline: Duration) -> (TimedStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    let table = ConnectionTable::new(TableBounds { connections: 1, share: 1, idle: FOR_EVER });
    let slot = table.enter(None).now_or_never().unwrap().unwrap();
    let bounds = Bounds {
        head_bytes: 1 << 10,
        head_deadline: FOR_EVER,
        idle_deadline,
        send_deadline: FOR_EVER,
        answer_deadline: Some(FOR_EVER),
    };
    let permit = MemoryBudget::new(1 << 20).permit(Holder::default());
    let transport = Transport::Plain(tokio::net::TcpStream::from_std(accepted).unwrap());
    (TimedStream::new(transport, slot, permit, bounds), client)
}

/// Hands on what has come, if that is anything.
fn poll_read(stream: &mut TimedStream, cx: &mut Context<'_>) -> Poll<usize> {
    let mut memory = [0; 1 << 10];
    let mut buf = ReadBuf::new(&mut memory);
    let polled = Pin::new(stream).poll_read(cx, &mut buf);
    polled.map(|read| read.map(|()| buf.filled().len()).unwrap())
}

/// Writes until the client would have to take something.
async fn fill(stream: &mut TimedStream) {
    poll_fn(|cx| {
        while Pin::new(&mut *stream).poll_write(cx, &[b'x'; 4 << 10]).is_ready() {}
        Poll::Ready(())
    })
    .await;
}

#[tokio::test]
async fn a_connection_is_idle_once_its_answer_has_been_taken_and_is_looked_at_again_at_its_deadline() {
    let (mut stream, mut client) = connection(Duration::ZERO);
    client.write_all(GET.as_bytes()).unwrap();
    stream.since = Instant::now() + FOR_EVER;
    assert_eq!(poll_fn(|cx| poll_read(&mut stream, cx)).await, GET.len());
    let answering = stream.connection().begin();
    fill(&mut stream).await;
    drop(answering);
    // Reading is polled while the answer has not been taken.
    assert!(poll_fn(|cx| Poll::Ready(poll_read(&mut stream, cx).is_pending())).await);

    let taken = Instant::now();
    client.set_nonblocking(true).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let written = poll_fn(|cx| {
        while client.read(&mut buffer).is_ok() {}
        Pin::new(&mut stream).poll_write(cx, b"x")
    });
    written.await.unwrap();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    assert!(Pin::new(&mut stream).poll_flush(&mut Context::from_waker(&waker)).is_ready());

    assert!(stream.since >= taken, "it was not idle before");
    timeout(TIMEOUT, woken.0.notified()).await.expect("the connection is looked at again");
}
