//! A client's socket with bounds on its time: for the rest of a head once it has begun, and for taking an answer.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Nothing came since the last answer.
const IDLE: u8 = 0;
/// A head has begun.
const HEAD: u8 = 1;
/// A request is being answered.
const REQUEST: u8 = 2;

/// State of a connection, shared by its socket and its requests.
#[derive(Debug, Clone)]
pub(super) struct ConnectionState(Arc<ConnectionFigures>);

#[derive(Debug)]
struct ConnectionFigures {
    /// [`IDLE`], [`HEAD`] or [`REQUEST`].
    phase: AtomicU8,
    /// Requests that may still come.
    requests_left: AtomicU64,
}

impl ConnectionState {
    /// State of a new connection, which may have `max_requests` requests.
    pub(super) fn new(max_requests: u64) -> Self {
        let requests_left = AtomicU64::new(max_requests);
        Self(Arc::new(ConnectionFigures { phase: AtomicU8::new(IDLE), requests_left }))
    }

    /// Records that the TLS handshake is over.
    pub(super) fn handshake_ended(&self) {
        self.set_phase(IDLE);
    }

    /// Records that the head of a request is complete.
    pub(super) fn request_began(&self) {
        self.set_phase(REQUEST);
    }

    /// Records that a request has its answer. Returns true if it is the last one of the connection.
    pub(super) fn request_ended(&self) -> bool {
        self.set_phase(IDLE);
        self.0.requests_left.fetch_sub(1, Relaxed) <= 1
    }

    fn phase(&self) -> u8 {
        self.0.phase.load(Relaxed)
    }

    fn set_phase(&self, phase: u8) {
        self.0.phase.store(phase, Relaxed);
    }
}

/// The socket. Its timers run only while the client lets it wait, so a request that comes whole costs none.
#[derive(Debug)]
pub(super) struct PatientSocket<S> {
    socket: S,
    state: ConnectionState,
    /// Time allowed for a head and for an answer.
    limit: Duration,
    head_timer: Option<Pin<Box<Sleep>>>,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientSocket<S> {
    /// Wraps a socket whose client has `limit` for each head and each answer.
    pub(super) fn new(socket: S, state: ConnectionState, limit: Duration) -> Self {
        Self { socket, state, limit, head_timer: None, write_timer: None }
    }
}

/// Fails once `timer`, which begins with the first call, has run for `limit`.
fn poll_timer(
    timer: &mut Option<Pin<Box<Sleep>>>,
    limit: Duration,
    context: &mut Context<'_>,
) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(limit)));
    timer.as_mut().poll(context).map(|()| io::ErrorKind::TimedOut.into())
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = Pin::new(&mut this.socket).poll_read(context, buffer);
        if read.is_ready() && this.state.phase() == IDLE {
            this.state.set_phase(HEAD);
        }
        if this.state.phase() != HEAD {
            this.head_timer = None;
        } else if read.is_pending() {
            return poll_timer(&mut this.head_timer, this.limit, context).map(Err);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(context, bytes);
        if written.is_pending() {
            return poll_timer(&mut this.write_timer, this.limit, context).map(Err);
        }
        this.write_timer = None;
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn half_a_head_ends_the_connection_although_bytes_keep_coming() {
        let (mut client, server) = duplex(64);
        let state = ConnectionState::new(9);
        let mut socket = PatientSocket::new(server, state, LIMIT);
        let sender = tokio::spawn(async move {
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(LIMIT / 5).await;
            }
        });
        let read_all = async {
            let mut byte = [0];
            loop {
                if let Err(error) = socket.read_exact(&mut byte).await {
                    return error.kind();
                }
            }
        };
        let ended = tokio::time::timeout(LONG, read_all).await.expect("it gives up");
        assert_eq!(ended, io::ErrorKind::TimedOut);
        sender.abort();
    }

    #[tokio::test]
    async fn neither_an_idle_connection_nor_a_body_is_a_head() {
        let (mut client, server) = duplex(64);
        let state = ConnectionState::new(9);
        let mut socket = PatientSocket::new(server, state.clone(), LIMIT);
        let mut byte = [0];
        let idle = tokio::time::timeout(LIMIT * 3, socket.read_exact(&mut byte)).await;
        assert!(idle.is_err(), "it waits on");
        client.write_all(b"x").await.expect("it is read");
        socket.read_exact(&mut byte).await.expect("it was sent");
        state.request_began();
        let body = tokio::time::timeout(LIMIT * 3, socket.read_exact(&mut byte)).await;
        assert!(body.is_err(), "it waits on");
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_the_connection() {
        let (_client, server) = duplex(8);
        let mut socket = PatientSocket::new(server, ConnectionState::new(9), LIMIT);
        let written = tokio::time::timeout(LONG, socket.write_all(&[0; 100])).await;
        assert_eq!(
            written.expect("it gives up").map_err(|e| e.kind()),
            Err(io::ErrorKind::TimedOut)
        );
    }
}
