//! Transports: what carries requests to the target and brings their ends back.
//!
//! A worker hands a transport one request at a time and waits on it with a deadline; the transport
//! never blocks longer and never decides when to send. So the worker's loop is written once, and an
//! event loop over sockets, a client library or a completion queue can stand behind it.

use crate::core::clock::Nanos;
use crate::message::{MsgId, Values};
use cause::{Cause, CauseCounts};
use request_source::Batch;

pub mod cause;
mod chunked;
pub mod config;
pub mod request_source;
mod connection;
mod deadline;
pub mod framing;
pub mod reqwest;
mod head;
mod idle;
pub mod captured;
pub mod link;
mod prototype;
pub mod http1;
pub mod probe;
pub mod request;
pub mod response;
mod stream;

/// A request's place in the run, carried along until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// When it was due; in a closed loop, when it was sent.
    pub due: Nanos,
    /// When the worker came to it: from then on it waited for a connection.
    pub ready: Nanos,
    /// The message's id.
    pub id: MsgId,
}

/// Why a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestFailure {
    /// No connection could be made.
    Connect,
    /// The connection broke before the response was complete.
    Read,
    /// The request could not be written.
    Write,
    /// No complete response within the timeout.
    Timeout,
    /// The response was not HTTP.
    Protocol,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A complete response.
    Answered {
        /// HTTP status, 100 to 999.
        status: u16,
    },
    /// No response.
    Failed(RequestFailure, Cause),
    /// Still on the wire when the run ended.
    Unfinished,
}

impl RequestOutcome {
    /// Whether its end says how long an answer takes: one that broke off early does not, and one that
    /// was waited for in vain says: at least that long.
    pub fn has_latency(self) -> bool {
        match self {
            Self::Answered { .. } | Self::Unfinished => true,
            Self::Failed(failure, _) => failure == RequestFailure::Timeout,
        }
    }
}

/// The end of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// Ticket of the request.
    pub ticket: Ticket,
    /// Just before its first byte was written.
    pub sent: Nanos,
    /// When it ended: when the kernel received the last of the response, where it says so, else
    /// when the end was seen.
    pub at: Nanos,
    /// Its outcome.
    pub outcome: RequestOutcome,
    /// How long the connection took, TLS too, that was made for it alone; before `sent`.
    pub connect: Option<Nanos>,
}

/// Bytes and connections so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of responses, without those of TLS; with reqwest, of their bodies only.
    pub bytes_read: u64,
    /// Bytes of requests, likewise.
    pub bytes_written: u64,
    /// Connections made again after one was lost or closed.
    pub reconnects: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
    /// The causes of those that were made for no request.
    pub connect_causes: CauseCounts,
    /// Time that connections were closed or being made again, added over all connections.
    pub reconnecting: Nanos,
    /// The part of it that was a pause of our own before the next attempt.
    pub paused: Nanos,
    /// Times that a target sent an answer which no request was waiting for.
    pub unrequested: u64,
    /// Responses the kernel noted no time of: they are timed when they are read.
    pub timed_when_read: u64,
    /// Time spent looking for what was about to come, which is the same as waiting.
    pub looked: Nanos,
    /// Time spent in a script.
    pub scripted: Nanos,
    /// Requests of a script that do not carry the id of their message.
    pub unnumbered: u64,
}

impl Traffic {
    /// Traffic since `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            bytes_read: self.bytes_read - earlier.bytes_read,
            bytes_written: self.bytes_written - earlier.bytes_written,
            reconnects: self.reconnects - earlier.reconnects,
            connect_failures: self.connect_failures - earlier.connect_failures,
            connect_causes: self.connect_causes.since(earlier.connect_causes),
            reconnecting: self.reconnecting - earlier.reconnecting,
            paused: self.paused - earlier.paused,
            unrequested: self.unrequested - earlier.unrequested,
            timed_when_read: self.timed_when_read - earlier.timed_when_read,
            looked: self.looked - earlier.looked,
            scripted: self.scripted - earlier.scripted,
            unnumbered: self.unnumbered - earlier.unnumbered,
        }
    }

    /// Takes in another worker's.
    pub fn absorb(&mut self, other: Self) {
        self.bytes_read += other.bytes_read;
        self.bytes_written += other.bytes_written;
        self.reconnects += other.reconnects;
        self.connect_failures += other.connect_failures;
        self.connect_causes.add(other.connect_causes);
        self.reconnecting += other.reconnecting;
        self.paused += other.paused;
        self.unrequested += other.unrequested;
        self.timed_when_read += other.timed_when_read;
        self.looked += other.looked;
        self.scripted += other.scripted;
        self.unnumbered += other.unnumbered;
    }
}

/// Transport of one worker. One thread owns it.
pub trait Transport {
    /// Number of requests that can be handed over right now.
    fn idle(&self) -> usize;

    /// Sends one request. Only while [`Self::idle`] is above zero.
    fn send(&mut self, ticket: Ticket, values: &Values);

    /// Has a script write what the next [`Self::send`] puts on the wire: several requests, maybe.
    fn prepare(&mut self, _values: &Values) -> Batch {
        Batch::ONE
    }

    /// The ticket of a further request that was prepared; it goes out with the next [`Self::send`].
    fn along(&mut self, _ticket: Ticket) {}

    /// The first request may be sent at `at`: whatever is to pass before it begins then.
    fn begin(&mut self, _at: Nanos) {}

    /// Whether a script has said that this worker is to send no more.
    fn stopped(&mut self) -> bool {
        false
    }

    /// Returns true if no connection is open, so that nothing can be sent.
    fn is_cut_off(&self) -> bool {
        false
    }

    /// Sleeps until then whatever comes, if it can tell afterwards when that came: whether it did.
    fn rest(&mut self, _until: Nanos) -> bool {
        false
    }

    /// Waits for ends until one comes or `until` has passed; appends them to `ended`.
    fn wait(&mut self, until: Nanos, ended: &mut Vec<Completion>);

    /// Gives up what is on the wire: each request ends as unfinished.
    fn abandon(&mut self, ended: &mut Vec<Completion>);

    /// When the request that has been on the wire longest was due.
    fn oldest_due(&self) -> Option<Nanos>;

    /// Bytes and connections so far.
    fn traffic(&self) -> Traffic;
}

/// A longer head or trailer is no sane server's.
const MAX_HEAD: usize = 64 * 1024;
/// A head with more fields is no sane server's.
const MAX_FIELDS: usize = 128;

/// The response breaks HTTP/1.1; the text says how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProtocolError(pub &'static str);

/// The target could not be reached, or not well enough to start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}: {cause}")]
    Resolve {
        /// Host of the URL.
        host: String,
        /// What the resolver said.
        cause: std::io::Error,
    },
    /// Nobody answers there.
    #[error("cannot connect to {address}: {cause}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The proxy that is to find the target cannot be reached itself.
    #[error("the proxy: {0}; name another with --proxy, or clear it from the environment")]
    Proxy(Box<Self>),
    /// No TLS with it.
    #[error("no TLS with {address}: {cause}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why, and what to do.
        cause: String,
    },
    /// No HTTP/2 with it.
    #[error("no HTTP/2 with {address}: {cause}")]
    Http2 {
        /// Host and port.
        address: String,
        /// Why, and what to do.
        cause: String,
    },
    /// The client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}
