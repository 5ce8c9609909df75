//! One connection: a task that reads, has packets taken in, writes what is owed, and watches the
//! clock.
//!
//! It is polled by hand because reading and writing go on in one task: reading stops while a message
//! waits for room, writing does not, and whatever other connections put in is written in one go.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::BrokerLimits;
use super::frame::FrameError;
use super::hub::{BrokerHub, EndReason};
use super::session::{ClientSession, ReadStop};

/// Bytes that one read may bring. All connections of a thread read into the same memory.
const READ_BYTES: usize = 64 * 1024;
/// Room for a part of a packet that a connection keeps.
const KEEP: usize = 4 * 1024;

/// State that the connections of a broker share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) hub: RefCell<BrokerHub>,
    scratch: RefCell<Vec<u8>>,
}

impl Shared {
    pub(super) fn new(hub: BrokerHub) -> Self {
        Self { hub: RefCell::new(hub), scratch: RefCell::new(vec![0; READ_BYTES]) }
    }
}

/// Reason for which a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloseReason {
    #[error("it closed")]
    Closed,
    #[error("its client id was taken over, or the broker stops ({0:?})")]
    Completion(EndReason),
    #[error("refused: {0}")]
    Refused(FrameError),
    #[error("it was silent for too long")]
    Silent,
    #[error("it took nothing while others waited for it")]
    Stalled,
    #[error("{0}")]
    Failed(io::Error),
}

/// A connection and what it has read.
#[derive(Debug)]
pub(super) struct BrokerConnection {
    shared: Rc<Shared>,
    key: usize,
    socket: TcpStream,
    session: ClientSession,
    /// Bytes read and not taken in: a part of a packet, or what waits for room.
    rest: Vec<u8>,
    /// Bytes of `rest` that count among the unfinished packets of all connections.
    parts: usize,
    held: bool,
    /// When the last whole packet came, or the connection was made.
    heard: Instant,
    timer: Pin<Box<Sleep>>,
}

impl BrokerConnection {
    pub(super) fn new(shared: Rc<Shared>, socket: TcpStream) -> Self {
        let key = shared.hub.borrow_mut().enter();
        let first = shared.hub.borrow().settings.connect_limit;
        Self {
            shared,
            key,
            socket,
            session: ClientSession::default(),
            rest: Vec::new(),
            parts: 0,
            held: false,
            heard: Instant::now(),
            timer: Box::pin(tokio::time::sleep(first)),
        }
    }

    /// Serves it until it ends.
    pub(super) async fn serve(mut self) {
        let farewell = std::future::poll_fn(|cx| self.poll(cx)).await;
        let name = self.shared.hub.borrow().name(self.key);
        match farewell {
            CloseReason::Stalled | CloseReason::Refused(_) => {
                log::warn!("client {name} is disconnected: {farewell}");
            }
            _ => log::debug!("client {name} is gone: {farewell}"),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let end = self.begin(cx);
        let done = if end.is_none() { self.poll_read(cx) } else { Poll::Pending };
        let written = self.poll_write(cx);
        if let Poll::Ready(farewell) = done {
            return Poll::Ready(farewell);
        }
        match (written, end) {
            (Poll::Ready(Err(error)), _) => return Poll::Ready(CloseReason::Failed(error)),
            (_, Some(EndReason::TakenOver)) => {
                return Poll::Ready(CloseReason::Completion(EndReason::TakenOver));
            }
            // What it is owed is written before the broker stops.
            (Poll::Ready(Ok(())), Some(end)) => return Poll::Ready(CloseReason::Completion(end)),
            _ => {}
        }
        self.poll_timer(cx)
    }

    /// Leaves word of how to wake this task, and hears whether it is to end.
    fn begin(&mut self, cx: &Context<'_>) -> Option<EndReason> {
        let mut hub = self.shared.hub.borrow_mut();
        hub.begin_turn();
        let peer = hub.peer(self.key)?;
        match &mut peer.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        peer.end
    }

    /// Takes in what is there and what one read brings. Then it is the others' turn.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if self.held
            && let Some(farewell) = self.take(&[])
        {
            return Poll::Ready(farewell);
        }
        let shared = Rc::clone(&self.shared);
        let mut scratch = shared.scratch.borrow_mut();
        let mut buffer = ReadBuf::new(&mut scratch);
        while !self.held {
            buffer.clear();
            match ready!(Pin::new(&mut self.socket).poll_read(cx, &mut buffer)) {
                Err(error) => return Poll::Ready(CloseReason::Failed(error)),
                Ok(()) if buffer.filled().is_empty() => return Poll::Ready(CloseReason::Closed),
                Ok(()) => {}
            }
            if let Some(farewell) = self.take(buffer.filled()) {
                return Poll::Ready(farewell);
            }
            if buffer.remaining() == 0 {
                // There may be more: later.
                cx.waker().wake_by_ref();
                break;
            }
        }
        Poll::Pending
    }

    /// Takes in the whole packets of what was left and what is new, as far as there is room for what
    /// they cause, and keeps the rest.
    fn take(&mut self, fresh: &[u8]) -> Option<CloseReason> {
        let mut hub = self.shared.hub.borrow_mut();
        let begins = self.rest.is_empty();
        let taken = if begins {
            let taken = self.session.take(&mut hub, self.key, fresh);
            self.rest.extend_from_slice(&fresh[taken.used..]);
            taken
        } else {
            self.rest.extend_from_slice(fresh);
            let taken = self.session.take(&mut hub, self.key, &self.rest);
            self.rest.drain(..taken.used);
            taken
        };
        if self.rest.capacity() > KEEP && self.rest.len() < self.rest.capacity() / 4 {
            self.rest.shrink_to_fit();
        }
        if begins || taken.used > 0 {
            self.heard = Instant::now();
            // Acknowledgements make room.
            hub.release(self.key);
        }
        self.held = false;
        let parts = self.rest.len().saturating_sub(READ_BYTES);
        hub.part_bytes = hub.part_bytes + parts - std::mem::replace(&mut self.parts, parts);
        if parts > 0 && hub.part_bytes > hub.settings.part_bytes {
            return Some(CloseReason::Refused(FrameError("no room for its unfinished packet")));
        }
        match taken.stop? {
            ReadStop::Goodbye => Some(CloseReason::Closed),
            ReadStop::Refused(why) => Some(CloseReason::Refused(why)),
            ReadStop::Later => {
                self.held = true;
                None
            }
            ReadStop::Held(full) => {
                self.held = true;
                hub.wait(self.key, full);
                None
            }
        }
    }

    /// Writes what is owed; ready when there is nothing left.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut hub = self.shared.hub.borrow_mut();
        let Some(peer) = hub.peer(self.key) else { return Poll::Ready(Ok(())) };
        let written = loop {
            if peer.outbox.pending().is_empty() {
                break Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.socket).poll_write(cx, peer.outbox.pending()) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => peer.outbox.written(count),
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        hub.release(self.key);
        written
    }

    /// Ready when the client has been waited for too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        while let Some((due, farewell)) = self.due() {
            if due <= Instant::now() {
                return Poll::Ready(farewell);
            }
            // A time that has only moved away is looked at when the timer fires.
            let due = due.into();
            if self.timer.is_elapsed() || due < self.timer.deadline() {
                self.timer.as_mut().reset(due);
            }
            ready!(self.timer.as_mut().poll(cx));
        }
        Poll::Pending
    }

    /// Until when the client may do nothing, and what it means if it does.
    fn due(&self) -> Option<(Instant, CloseReason)> {
        let mut hub = self.shared.hub.borrow_mut();
        let (stall, silence) = (hub.settings.stall_limit, self.silence_limit(&hub.settings));
        let silence = silence.map(|limit| (self.heard + limit, CloseReason::Silent));
        let stalled = hub.stalled_since(self.key).map(|at| (at + stall, CloseReason::Stalled));
        [silence, stalled].into_iter().flatten().min_by_key(|(due, _)| *due)
    }

    /// The longest time without a packet. A client whose packets we do not read is not limited.
    fn silence_limit(&self, settings: &BrokerLimits) -> Option<Duration> {
        match (self.held, self.session.keep_alive()) {
            (true, _) => None,
            _ if !self.session.is_connected() => Some(settings.connect_limit),
            (_, seconds) => {
                let keep_alive = Duration::from_secs(seconds.into()) * 3 / 2;
                let keep_alive = (seconds > 0).then_some(keep_alive);
                let part = (!self.rest.is_empty()).then_some(settings.part_limit);
                keep_alive.into_iter().chain(part).min()
            }
        }
    }
}

impl Drop for BrokerConnection {
    fn drop(&mut self) {
        if let Ok(mut hub) = self.shared.hub.try_borrow_mut() {
            hub.leave(self.key);
            hub.part_bytes -= self.parts;
        }
    }
}
