//! Transports: they carry requests to the target and return their completions.
//!
//! A worker hands a transport one request at a time and waits on it with a deadline. The transport never
//! blocks longer and never decides when to send. So the worker's loop is written once, for an event loop
//! over sockets as for a client library.

use crate::core::clock::Nanos;
use crate::message::{MsgId, Values};
use cause::{Cause, CauseCounts};

pub(crate) mod cause;
pub(crate) mod config;
pub(crate) mod http1;
pub(crate) mod link;
pub(crate) mod probe;
#[cfg(feature = "reqwest")]
pub(crate) mod reqwest;
#[cfg(not(feature = "reqwest"))]
#[path = "reqwest_disabled.rs"]
pub(crate) mod reqwest;

/// Identity and times of a request before it is sent; it comes back with the completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// Due time; in a closed loop, the time of sending.
    pub due: Nanos,
    /// Time at which the worker was ready to send it: from then on it waited for a connection.
    pub ready: Nanos,
    /// Id of the message.
    pub id: MsgId,
}

/// Phase in which a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestFailure {
    /// No connection could be opened.
    Connect,
    /// The connection broke before the response was complete.
    Read,
    /// The request could not be written.
    Write,
    /// There was no complete response within the timeout.
    Timeout,
    /// The response was not HTTP.
    Protocol,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestOutcome {
    /// A complete response.
    Answered {
        /// HTTP status, 100 to 999.
        status: u16,
    },
    /// No response.
    Failed(RequestFailure, Cause),
    /// Still in flight when the run ended.
    Unfinished,
}

impl RequestOutcome {
    /// Returns true if the request counts in the latencies. A timeout and an unfinished request do, as
    /// their age is a lower bound; a request whose connection broke does not.
    pub(crate) fn has_latency(self) -> bool {
        match self {
            Self::Answered { .. } | Self::Unfinished => true,
            Self::Failed(failure, _) => failure == RequestFailure::Timeout,
        }
    }
}

/// Completion of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Completion {
    /// Ticket of the request.
    pub ticket: Ticket,
    /// Time just before its first byte was written.
    pub sent: Nanos,
    /// Time of its end: of a response the time at which the kernel received its last byte, if known; else
    /// the time at which the end was seen.
    pub at: Nanos,
    /// Outcome of the request.
    pub outcome: RequestOutcome,
    /// Time to open the connection, with TLS, if it was opened for this request alone; before `sent`.
    pub connect: Option<Nanos>,
}

/// Bytes and connections of a transport so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes of responses, without those of TLS; with reqwest, of their bodies only.
    pub bytes_read: u64,
    /// Bytes of requests, likewise.
    pub bytes_written: u64,
    /// Connections opened again after one was lost or closed.
    pub reconnects: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
    /// Causes of the failed attempts that were not made for a request.
    pub connect_causes: CauseCounts,
    /// Time for which connections were closed or being opened again, summed over all connections.
    pub reconnecting: Nanos,
    /// Part of `reconnecting` that was a deliberate pause before the next attempt.
    pub paused: Nanos,
    /// Responses for which no request was waiting.
    pub unrequested: u64,
    /// Responses without a kernel timestamp: their time is that of reading them.
    pub timed_when_read: u64,
    /// Time of busy polling, which counts as waiting and not as work.
    pub busy_polled: Nanos,
    /// Time in a user's script.
    pub scripted: Nanos,
    /// Requests of a script that do not carry the id of their message.
    pub unnumbered: u64,
}

impl Traffic {
    /// Traffic since `earlier`.
    #[must_use]
    pub(crate) fn since(self, earlier: Self) -> Self {
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
            busy_polled: self.busy_polled - earlier.busy_polled,
            scripted: self.scripted - earlier.scripted,
            unnumbered: self.unnumbered - earlier.unnumbered,
        }
    }

    /// Adds the traffic of another worker. It takes the other apart, so that no field can be forgotten.
    pub(crate) fn absorb(&mut self, other: Self) {
        let Self {
            bytes_read,
            bytes_written,
            reconnects,
            connect_failures,
            connect_causes,
            reconnecting,
            paused,
            unrequested,
            timed_when_read,
            busy_polled,
            scripted,
            unnumbered,
        } = other;
        self.bytes_read += bytes_read;
        self.bytes_written += bytes_written;
        self.reconnects += reconnects;
        self.connect_failures += connect_failures;
        self.connect_causes.add(connect_causes);
        self.reconnecting += reconnecting;
        self.paused += paused;
        self.unrequested += unrequested;
        self.timed_when_read += timed_when_read;
        self.busy_polled += busy_polled;
        self.scripted += scripted;
        self.unnumbered += unnumbered;
    }
}

/// Content of a request that is handed to a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RequestContent<'a> {
    /// One of the run's request shapes, for the transport to render.
    Shape {
        /// Index of the shape in [`crate::engine::request::RequestSet::shapes`].
        index: usize,
        /// Values of its placeholders.
        values: Values,
    },
    /// Text of one or more HTTP/1.1 requests; empty if it could not be written. Only transports of
    /// HTTP/1.1 can send it.
    Text {
        /// Heads and bodies.
        bytes: &'a [u8],
        /// True if the requests are HEAD, whose responses have no body.
        bodyless: bool,
    },
}

/// Request that is handed to a transport.
#[derive(Debug)]
pub(crate) struct OutgoingRequest<'a> {
    /// Ticket of the request, or of the first one in a text.
    pub ticket: Ticket,
    /// Tickets of the further requests in a text, in their order. The transport takes them out.
    pub following: &'a mut Vec<Ticket>,
    /// Content to send.
    pub content: RequestContent<'a>,
}

/// Transport of one worker. One thread owns it.
pub(crate) trait Transport {
    /// Number of requests that can be sent right now.
    fn idle(&self) -> usize;

    /// Sends a request. Called only while [`Self::idle`] is above zero.
    fn send(&mut self, request: OutgoingRequest<'_>);

    /// Returns true if no connection is open, so that nothing can be sent.
    fn is_cut_off(&self) -> bool {
        false
    }

    /// Sleeps until `until`, without waking up for responses, if the transport can tell later when they
    /// arrived. Returns false if it cannot, without sleeping.
    fn rest(&mut self, _until: Nanos) -> bool {
        false
    }

    /// Waits until a request completes or `until` has passed. Appends completions to `completed`.
    fn wait(&mut self, until: Nanos, completed: &mut Vec<Completion>);

    /// Gives up all requests in flight: each completes as unfinished.
    fn abandon(&mut self, completed: &mut Vec<Completion>);

    /// Due time of the request that has been in flight longest.
    fn oldest_due(&self) -> Option<Nanos>;

    /// Bytes and connections so far.
    fn traffic(&self) -> Traffic;

    /// Takes the beginning of the first answer that was neither 2xx nor 3xx, if it was kept.
    fn take_refusal(&mut self) -> Option<String> {
        None
    }
}

/// Error of connecting to the target before the start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name has no address.
    #[error("cannot resolve {host}: {cause}")]
    Resolve {
        /// Host of the URL.
        host: String,
        /// Error of the resolver.
        cause: std::io::Error,
    },
    /// No connection can be opened.
    #[error("cannot connect to {address}: {cause}{}", advice(cause))]
    Unreachable {
        /// Host and port.
        address: String,
        /// Error of the kernel.
        cause: std::io::Error,
    },
    /// The proxy cannot be reached.
    #[error("the proxy: {0}; name another with --proxy, or clear it from the environment")]
    Proxy(Box<Self>),
    /// The TLS handshake failed.
    #[error("no TLS with {address}: {cause}")]
    Tls {
        /// Host and port.
        address: String,
        /// Cause and remedy.
        cause: String,
    },
    /// The target does not speak HTTP/2.
    #[error("no HTTP/2 with {address}: {cause}")]
    Http2 {
        /// Host and port.
        address: String,
        /// Cause and remedy.
        cause: String,
    },
    /// The client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Setup(String),
}

/// Advice on a connection that cannot be opened; empty if there is none.
fn advice(cause: &std::io::Error) -> &'static str {
    if cause.kind() == std::io::ErrorKind::ConnectionRefused {
        "; nothing listens there. Start it first, or wait for it with --wait-for 30s"
    } else {
        ""
    }
}
