//! A TCP socket that gives the time at which the kernel received the bytes read from it. It works under TLS too:
//! decrypted bytes came with the bytes of the last read.
//!
//! Its reader must not change what it measures. After a write of ours the kernel expects us to write
//! again soon, and delays acknowledgements of small segments until then. A sender with Nagle's algorithm,
//! as a Mosquitto with default settings is, holds the next messages back for that long: measured 9 ms
//! instead of 0.3 ms at 1,000 messages a second. `TCP_QUICKACK` ends that state until the next write.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};

use rustix::net::sockopt::set_tcp_quickack;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::core::clock::{self, Nanos};
use crate::net::kernel_timestamp::{self, WallClock};

/// Bytes that one read brings at most.
const CHUNK: usize = 64 * 1024;

/// Time of receipt of the bytes that were read last, shared with the reader through TLS.
#[derive(Debug, Clone, Default)]
pub(super) struct LastReceipt(Arc<AtomicU64>);

impl LastReceipt {
    /// Returns the time; `None` if the kernel gave none.
    pub(super) fn get(&self) -> Option<Nanos> {
        Some(Nanos(self.0.load(Relaxed))).filter(|at| *at > Nanos::ZERO)
    }

    /// Sets the time, bounded by the last one and by now, as the wall clock may have been set meanwhile.
    fn set(&self, at: Option<Nanos>) {
        let last = Nanos(self.0.load(Relaxed));
        self.0.store(at.map_or(0, |at| at.max(last).min(clock::now()).0), Relaxed);
    }
}

/// The socket.
#[derive(Debug)]
pub(super) struct Timed {
    tcp: TcpStream,
    wall_clock: WallClock,
    last: LastReceipt,
    /// True if the last attempt to read found no bytes.
    waited: bool,
    /// Buffer of a read.
    chunk: Box<[u8]>,
}

impl Timed {
    /// Asks the kernel for receive timestamps from now on. If it refuses, reads have none.
    pub(super) fn new(tcp: TcpStream, last: LastReceipt) -> Self {
        kernel_timestamp::note_times(&tcp, true);
        Self {
            tcp,
            wall_clock: WallClock::new(),
            last,
            waited: false,
            chunk: vec![0; CHUNK].into(),
        }
    }

    fn receive(&mut self, room: usize) -> io::Result<&[u8]> {
        let Self { tcp, wall_clock, last, chunk, .. } = self;
        let chunk = &mut chunk[..room.min(CHUNK)];
        let received =
            tcp.try_io(Interest::READABLE, || kernel_timestamp::read(tcp, chunk, *wall_clock))?;
        last.set(received.at);
        Ok(&chunk[..received.len])
    }
}

impl AsyncRead for Timed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let is_ready = self.tcp.poll_read_ready(context);
            self.waited |= is_ready.is_pending();
            ready!(is_ready)?;
            if std::mem::take(&mut self.waited) {
                self.wall_clock.refresh();
            }
            match self.receive(buffer.remaining()) {
                Ok(bytes) => {
                    buffer.put_slice(bytes);
                    return Poll::Ready(Ok(()));
                }
                // No bytes are left, or a signal came: wait or read again.
                Err(error) if is_passing(&error) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl AsyncWrite for Timed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.tcp).poll_write(context, bytes);
        if written.is_ready() {
            // If the socket is broken, the write returns the error.
            let _ = set_tcp_quickack(&self.tcp, true);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream as StdStream};
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn pair() -> (Timed, StdStream, LastReceipt) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = StdStream::connect(listener.local_addr().expect("bound")).expect("connects");
        client.set_nonblocking(true).expect("a socket of ours");
        let last = LastReceipt::default();
        let tcp = TcpStream::from_std(client).expect("within a runtime");
        (Timed::new(tcp, last.clone()), listener.accept().expect("accepts").0, last)
    }

    #[tokio::test]
    async fn what_is_read_late_has_the_time_of_its_receipt() {
        let (mut timed, mut server, last) = pair();
        // The kernel needs a moment after the first socket asks for timestamps.
        for _ in 0..50 {
            let before = clock::now();
            server.write_all(b"pong").expect("writes");
            let after = clock::now();
            std::thread::sleep(Duration::from_millis(20));
            let mut bytes = [0; 16];
            assert_eq!(timed.read(&mut bytes).await.expect("reads"), 4);
            if let Some(at) = last.get() {
                // Two clocks are read, one after the other, on a machine that may be busy.
                let slack = Nanos::from_millis(5);
                assert!(before <= at + slack && at <= after + slack, "{before:?} {at:?} {after:?}");
                return;
            }
        }
        panic!("no read brought a time");
    }

    #[tokio::test]
    async fn of_two_that_are_read_late_each_has_its_own_time() {
        let (mut timed, mut server, last) = pair();
        let apart = Duration::from_millis(20);
        // At the beginning of a connection the kernel joins segments that wait, and gives them one time.
        for _ in 0..50 {
            server.write_all(b"first").expect("writes");
            std::thread::sleep(apart);
            server.write_all(b"then").expect("writes");
            let mut bytes = [0; 5];
            assert_eq!(timed.read(&mut bytes).await.expect("reads"), 5);
            let first = last.get();
            assert_eq!(timed.read(&mut bytes).await.expect("reads"), 4);
            if let (Some(first), Some(then)) = (first, last.get())
                && then - first >= Nanos::from_millis(15)
            {
                return;
            }
        }
        panic!("two segments never had two times");
    }

    #[tokio::test]
    async fn bytes_come_in_order_into_buffers_of_any_size_and_time_does_not_go_back() {
        let (mut timed, mut server, last) = pair();
        let sent: Vec<u8> = (0..3 * CHUNK).map(|n| (n % 251) as u8).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || server.write_all(&copy).expect("writes"));
        let (mut read, mut buffer, mut latest) = (Vec::new(), vec![0; 2 * CHUNK], Nanos::ZERO);
        for size in [1, 7, CHUNK, 2 * CHUNK].into_iter().cycle() {
            match timed.read(&mut buffer[..size]).await.expect("reads") {
                0 => break,
                len => read.extend_from_slice(&buffer[..len]),
            }
            let at = last.get().unwrap_or(latest);
            assert!(at >= latest && at <= clock::now());
            latest = at;
        }
        writer.join().expect("it wrote all");
        assert!(read == sent, "{} of {} bytes", read.len(), sent.len());
    }

    #[test]
    fn a_wall_clock_that_was_set_cannot_lead_before_the_last_receipt_or_past_now() {
        let last = LastReceipt::default();
        assert_eq!(last.get(), None);
        let first = clock::now();
        last.set(Some(first));
        last.set(Some(first - Nanos::from_secs(3_600)));
        assert_eq!(last.get(), Some(first));
        last.set(Some(first + Nanos::from_secs(3_600)));
        assert!(last.get().is_some_and(|at| at >= first && at <= clock::now()));
        last.set(None);
        assert_eq!(last.get(), None, "this one was not noted");
    }
}
