//! One connection: read, do all complete commands, write the replies at once, read again.
//!
//! Nothing is read while replies are not taken, so that a peer that floods and never reads holds up
//! only itself. Between two turns that were full others get theirs.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use bytes::{Buf as _, BytesMut};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, sleep, sleep_until, timeout_at};

use super::KEPT_BUFFER;
use super::commands::{self, ClientInfo, Done};
use super::hub::{PopRequest, QueueHub, has_hung_up};
use super::parser::Parser;
use super::reply;

/// Bytes that a read may bring at first, and after one that was full.
const READ_CHUNK: usize = 16 << 10;
const READ_CHUNK_BUSY: usize = 64 << 10;
/// Replies of this size are written before more commands are done.
const OUT_HIGH: usize = 256 << 10;
/// Bytes of further commands that are taken in while one waits.
const PENDING: usize = 64 << 10;

/// The longest time that a client may take to give the password.
const LOGIN_LIMIT: Duration = Duration::from_secs(10);
/// Bytes of a command that is kept for a client which has not given the password.
const LOGIN_BYTES: usize = 16 << 10;

/// Why a turn's commands ended.
enum TurnEnd {
    /// All complete commands are done.
    Hungry,
    /// There are enough replies to be written first.
    Full,
    /// The connection ends.
    Close,
    /// A pop found nothing and may wait.
    Wait(PopRequest),
}

/// One client.
pub(super) struct QueueConnection {
    stream: Rc<TcpStream>,
    hub: Rc<RefCell<QueueHub>>,
    session: ClientInfo,
    parser: Parser,
    input: BytesMut,
    /// Bytes of `input` that count among the unfinished commands of all connections.
    parts: usize,
    out: Vec<u8>,
}

impl QueueConnection {
    /// A client that has just come.
    pub(super) fn new(stream: TcpStream, hub: Rc<RefCell<QueueHub>>) -> Self {
        let session = ClientInfo::of(&mut hub.borrow_mut());
        Self {
            stream: Rc::new(stream),
            hub,
            session,
            parser: Parser::default(),
            input: BytesMut::new(),
            parts: 0,
            out: Vec::new(),
        }
    }

    /// Its number, if it has yet to give the password.
    pub(super) fn stranger(&self) -> Option<u64> {
        (!self.session.is_logged_in()).then_some(self.session.id())
    }

    /// Serves it until it goes, or has to.
    pub(super) async fn run(mut self) {
        let mut chunk = READ_CHUNK;
        let login_until = Instant::now() + LOGIN_LIMIT;
        while let Ok(count @ 1..) = self.read_before(login_until, chunk).await {
            if !self.turn().await.unwrap_or(false) {
                return;
            }
            let full = count >= chunk;
            chunk = if full { READ_CHUNK_BUSY } else { READ_CHUNK };
            if full {
                yield_now().await;
            }
        }
    }

    /// Reads something; 0 at the end, and at that moment if the client has not given the password.
    async fn read_before(&mut self, login_until: Instant, chunk: usize) -> io::Result<usize> {
        if self.session.is_logged_in() {
            return self.read(chunk).await;
        }
        timeout_at(login_until, self.read(chunk)).await.unwrap_or(Ok(0))
    }

    /// Reads something; 0 at the end.
    async fn read(&mut self, chunk: usize) -> io::Result<usize> {
        loop {
            // A connection that is silent holds no buffer.
            self.stream.readable().await?;
            self.input.reserve(chunk);
            match self.stream.try_read_buf(&mut self.input) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
        }
    }

    /// Does what has been read; `false` when the connection is over.
    async fn turn(&mut self) -> io::Result<bool> {
        loop {
            let stop = self.execute();
            self.flush().await?;
            match stop {
                TurnEnd::Hungry => break,
                TurnEnd::Full => yield_now().await,
                TurnEnd::Close => return Ok(false),
                TurnEnd::Wait(request) => {
                    if !self.wait(request).await {
                        return Ok(false);
                    }
                }
            }
        }
        if self.input.is_empty() && self.input.capacity() > KEPT_BUFFER {
            self.input = BytesMut::new();
        }
        self.out.shrink_to(KEPT_BUFFER);
        Ok(true)
    }

    fn execute(&mut self) -> TurnEnd {
        let mut hub = self.hub.borrow_mut();
        let mut done_to = 0;
        let stop = loop {
            if self.out.len() >= OUT_HIGH {
                break TurnEnd::Full;
            }
            let input = &self.input[done_to..];
            match self.parser.advance(input) {
                Ok(None) if !self.session.is_logged_in() && input.len() > LOGIN_BYTES => {
                    reply::error(&mut self.out, "ERR Protocol error: unauthenticated bulk length");
                    break TurnEnd::Close;
                }
                Ok(None) if !hub.count_part(&mut self.parts, input.len()) => {
                    reply::error(&mut self.out, "ERR no room for an unfinished command");
                    break TurnEnd::Close;
                }
                Ok(None) => break TurnEnd::Hungry,
                Ok(Some(len)) => {
                    let args = self.parser.args(input);
                    let done = commands::execute(&mut hub, &mut self.session, args, &mut self.out);
                    self.parser.reset();
                    if self.parts > 0 {
                        hub.count_part(&mut self.parts, 0);
                    }
                    done_to += len;
                    match done {
                        Done::Replied => {}
                        Done::Close => break TurnEnd::Close,
                        Done::Wait(request) => break TurnEnd::Wait(request),
                    }
                }
                Err(error) => {
                    reply::error(&mut self.out, &format!("ERR {error}"));
                    break TurnEnd::Close;
                }
            }
        };
        self.input.advance(done_to);
        stop
    }

    async fn flush(&mut self) -> io::Result<()> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.try_write(&self.out[written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        Ok(())
    }

    /// Waits for something to pop; `false` if the peer left meanwhile. All replies before this one
    /// are written first, so that the command that serves it may write to the socket directly.
    async fn wait(&mut self, request: PopRequest) -> bool {
        let (deadline, served) = {
            let mut hub = self.hub.borrow_mut();
            // Writing took a moment.
            let keys = request.keys.iter().map(AsRef::as_ref);
            match hub.pop_first(keys, request.end, request.take, &mut self.out) {
                Ok(true) => return true,
                Ok(false) => {}
                Err(refusal) => {
                    reply::error(&mut self.out, &refusal.to_string());
                    return true;
                }
            }
            // A time beyond the range of the clock is without limit.
            let deadline = request.timeout.and_then(|t| Instant::now().checked_add(t));
            (deadline, hub.wait(request, Rc::clone(&self.stream)))
        };
        let (id, served) = served;
        let _wait = Wait { hub: Rc::clone(&self.hub), id };
        tokio::select! {
            biased;
            rest = served => match rest {
                Ok(rest) => {
                    self.out.extend_from_slice(&rest);
                    true
                }
                // It was found gone by who wanted to serve it.
                Err(_) => false,
            },
            () = at(deadline) => {
                reply::null_array(&mut self.out);
                true
            }
            () = hang_up(&self.stream, &mut self.input) => false,
        }
    }
}

impl Drop for QueueConnection {
    fn drop(&mut self) {
        if let Ok(mut hub) = self.hub.try_borrow_mut() {
            hub.count_part(&mut self.parts, 0);
        }
    }
}

/// A wait that ends with its guard.
struct Wait {
    hub: Rc<RefCell<QueueHub>>,
    id: u64,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.hub.borrow_mut().forget(self.id);
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Until the peer has gone. What it sends meanwhile is taken in, up to a bound.
async fn hang_up(stream: &TcpStream, input: &mut BytesMut) {
    loop {
        if input.len() >= PENDING {
            sleep(Duration::from_secs(1)).await;
            if has_hung_up(stream) {
                return;
            }
            continue;
        }
        if stream.readable().await.is_err() {
            return;
        }
        input.reserve(READ_CHUNK);
        match stream.try_read_buf(input) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
