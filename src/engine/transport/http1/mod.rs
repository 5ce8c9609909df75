//! The raw transport: HTTP/1.1 over an event loop of its own, one request at a time on a connection.
//!
//! It uses epoll without a runtime: per request one write, one read and a share of one wait, without a task,
//! a timer or an allocation. `epoll_pwait2` waits to the nanosecond, whereas tokio's timer is 1 ms coarse.

pub(crate) mod captured;
pub(crate) mod chunked;
mod connection;
mod deadline;
mod events;
mod head;
pub(crate) mod hooks;
mod idle_connections;
pub(crate) mod response;
mod stream;
mod timers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::ClockId;

use self::connection::{Connection, State};
use self::deadline::Deadline;
use self::hooks::{ConnectionHooks, FirstRefusal, Hooks};
use self::idle_connections::IdleConnections;
use self::stream::Stream;
use super::cause::Cause;
use super::link::TargetLink;
use super::{
    Completion, ConnectError, OutgoingRequest, RequestContent, RequestFailure, RequestOutcome,
    Ticket, Traffic, Transport,
};
use crate::core::clock::{self, Nanos};
use crate::engine::request::RequestSet;
use crate::engine::request::wire::{WireRequest, WireRequests};
use crate::net::kernel_timestamp::WallClock;

/// Bytes read at once. Responses in load tests are usually small; a larger one takes several reads.
const READ_BUFFER: usize = 64 * 1024;

/// Longest head or trailer of a response in bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Largest number of header fields in a response.
const MAX_FIELDS: usize = 128;

/// Error about a response that violates HTTP/1.1; the text describes the violation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct InvalidResponse(pub &'static str);

/// Configuration of a raw transport.
#[derive(Debug, Clone)]
pub(crate) struct Http1Config {
    /// Route to the target.
    pub(crate) link: TargetLink,
    /// Number of connections.
    pub(crate) connections: usize,
    /// Time allowed per request from its send.
    pub(crate) timeout: Nanos,
    /// True if the worker may rest between reads, so that responses need kernel timestamps.
    pub(crate) rests: bool,
    /// True if the beginning of the first refused answer is kept.
    pub(crate) shows_refusal: bool,
}

impl Http1Config {
    /// Configuration for plain, persistent connections to `address`.
    #[cfg(test)]
    pub(crate) fn plain(
        address: std::net::SocketAddr,
        connections: usize,
        timeout: Nanos,
        rests: bool,
    ) -> Self {
        Self { link: address.into(), connections, timeout, rests, shows_refusal: false }
    }
}

/// Raw transport of one worker.
pub(crate) struct Http1Transport {
    epoll: OwnedFd,
    link: TargetLink,
    requests: WireRequests,
    hooks: Hooks,
    /// The first answer that was neither 2xx nor 3xx, where it is kept.
    refusal: FirstRefusal,
    timeout: Nanos,
    connections: Vec<Connection>,
    /// Connections that can take a request. If each request gets a new connection: those that are closed.
    idle: IdleConnections,
    /// Number of connections that are closed or being opened again.
    reconnecting: usize,
    /// Times at which such a connection needs attention, with its index: its pause ends, or its attempt has
    /// taken too long. Entries of a connection that has changed since are skipped.
    reconnect_times: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// Free connections that are held back, by a script or after a failed attempt: end of the hold, index,
    /// and [`Connection::hold`].
    held: BinaryHeap<Reverse<(Nanos, usize, u64)>>,
    deadlines: VecDeque<Deadline>,
    /// Connections that carried their only request, with the time since which they wait to be closed.
    closing: VecDeque<(Nanos, Stream)>,
    /// Events that were polled after a rest and are not handled yet; else empty. Has capacity for an event of
    /// each connection, so that one poll returns all of them.
    events: Vec<epoll::Event>,
    /// Time at which `events` were polled after a rest.
    polled_at: Nanos,
    buffer: Box<[u8]>,
    traffic: Traffic,
    /// True if the worker may rest, so that kernel timestamps are always on.
    rests: bool,
    /// True if kernel timestamps are on for all connections.
    timestamps: bool,
    wall_clock: WallClock,
    /// True if the last wait was short: the next event is probably near, too.
    events_are_dense: bool,
    /// Connections on which part of a request or of a response has passed.
    in_progress: Vec<usize>,
    /// Error of the last attempt to connect that failed.
    last_connect_error: Option<io::Error>,
    /// Completions that are known before the next wait, such as of a failed write.
    early: Vec<Completion>,
}

impl fmt::Debug for Http1Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Transport").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Http1Transport {
    /// Opens all connections and waits until they are open; if each request gets a new connection, opens
    /// none. Fails if an attempt fails or takes longer than the timeout and 5 s, because a run with fewer
    /// connections than planned would be a different run.
    #[cfg(test)]
    pub(crate) fn connect(
        requests: &RequestSet,
        config: Http1Config,
    ) -> Result<Self, ConnectError> {
        Self::connect_with_hooks(requests, config, None)
    }

    /// Same as [`Self::connect`], with the hooks of a script.
    pub(crate) fn connect_with_hooks(
        requests: &RequestSet,
        config: Http1Config,
        hooks: Option<Box<dyn ConnectionHooks>>,
    ) -> Result<Self, ConnectError> {
        let connections = config.connections;
        let mut transport = Self::new(requests, config, hooks)?;
        if !transport.link.keep_alive {
            (0..connections).for_each(|index| transport.idle.push(index));
            return Ok(transport);
        }
        let address = transport.link.endpoint.to_string();
        for index in 0..connections {
            transport
                .open(index, clock::now())
                .map_err(|cause| too_few_connections(&address, &cause, index, connections))?;
            transport.schedule_reconnect(index);
        }
        transport.reconnecting = connections;
        let deadline = clock::now() + transport.connect_timeout();
        while transport.idle.len() < connections {
            if clock::now() >= deadline {
                transport.last_connect_error = Some(io::ErrorKind::TimedOut.into());
            }
            if let Some(cause) = transport.last_connect_error.take() {
                let open = transport.idle.len();
                return Err(too_few_connections(&address, &cause, open, connections));
            }
            transport.poll(deadline.min(transport.next_deadline()), &mut Vec::new());
        }
        transport.traffic = Traffic::default();
        Ok(transport)
    }

    fn new(
        requests: &RequestSet,
        config: Http1Config,
        hooks: Option<Box<dyn ConnectionHooks>>,
    ) -> Result<Self, ConnectError> {
        let Http1Config { link, connections, timeout, rests, shows_refusal } = config;
        let hooks = Hooks::new(hooks);
        let mut transport = Self {
            epoll: create_epoll().map_err(|e| ConnectError::Setup(e.to_string()))?,
            link,
            requests: WireRequests::new(requests),
            timeout,
            connections: (0..connections).map(|_| Connection::new()).collect(),
            idle: IdleConnections::new(connections),
            reconnecting: 0,
            reconnect_times: BinaryHeap::new(),
            held: BinaryHeap::new(),
            deadlines: VecDeque::with_capacity(connections),
            closing: VecDeque::new(),
            events: Vec::with_capacity(connections.max(1)),
            polled_at: Nanos::ZERO,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            traffic: Traffic::default(),
            rests,
            timestamps: rests || hooks.exist(),
            wall_clock: WallClock::new(),
            events_are_dense: false,
            in_progress: Vec::new(),
            last_connect_error: None,
            early: Vec::new(),
            hooks,
            refusal: if shows_refusal { FirstRefusal::Awaited } else { FirstRefusal::NotKept },
        };
        if shows_refusal || transport.hooks.sees_responses() {
            transport.connections.iter_mut().for_each(|connection| connection.reader.capture());
        }
        Ok(transport)
    }

    /// Opens a connection for the request that is stored in it, which is written once the connection is
    /// open.
    fn send_on_new(&mut self, index: usize, ticket: Ticket, bodyless: bool) {
        self.connections[index].serial += 1;
        let serial = self.connections[index].serial;
        let since = clock::now();
        let opened = self.open(index, since);
        let connection = &mut self.connections[index];
        connection.reader.expect(bodyless);
        let is_connecting = matches!(connection.state, State::Connecting { .. });
        connection.state = State::Opening { ticket, since };
        match opened {
            Ok(()) if is_connecting => {
                self.compact_deadlines();
                self.deadlines.push_back(Deadline {
                    at: since + self.timeout,
                    connection: index,
                    serial,
                });
            }
            // The unix socket's queue of connections is full.
            Ok(()) => self.fail_early(index, RequestFailure::Connect, Cause::Refused),
            Err(error) => self.fail_early(index, RequestFailure::Connect, Cause::of(&error)),
        }
    }

    /// Fails a request before the next wait.
    fn fail_early(&mut self, index: usize, failure: RequestFailure, cause: Cause) {
        let mut early = std::mem::take(&mut self.early);
        self.fail(index, failure, cause, clock::now(), &mut early);
        self.early = early;
    }

    fn open(&mut self, index: usize, now: Nanos) -> std::io::Result<()> {
        let connection = &mut self.connections[index];
        self.timestamps = connection.connect(&self.link, self.timestamps, now)?;
        let data = epoll::EventData::new_u64(index as u64);
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        match connection.fd() {
            Some(fd) => Ok(epoll::add(&self.epoll, fd, data, interest)?),
            None => Ok(()),
        }
    }

    /// Sets the events to wait for: readable always, writable only while something waits to be written.
    fn set_interest(&mut self, index: usize, writable: bool) {
        let mut interest = epoll::EventFlags::IN;
        interest.set(epoll::EventFlags::OUT, writable);
        let data = epoll::EventData::new_u64(index as u64);
        if let Some(fd) = self.connections[index].fd() {
            // This can only fail for a socket that is not registered, and every open one is.
            let _ = epoll::modify(&self.epoll, fd, data, interest);
        }
    }
}

const FEWER_CONNECTIONS: &str = "; does it take --connections?";

/// Error of a start at which only `open` of the connections could be opened.
fn too_few_connections(
    address: &str,
    cause: &io::Error,
    open: usize,
    connections: usize,
) -> ConnectError {
    let hint = match Cause::of(cause) {
        Cause::NoLocalPort => {
            "; this machine has no free local port: widen net.ipv4.ip_local_port_range"
        }
        Cause::TooManyOpenFiles => "; raise the limit on open files with ulimit -n",
        Cause::OutOfMemory => "; the kernel has no memory for more sockets",
        // Other workers may have all connections that the target accepts.
        Cause::Timeout => FEWER_CONNECTIONS,
        _ if open > 0 => FEWER_CONNECTIONS,
        _ => "",
    };
    let text = format!("{cause}, when {open} of {connections} connections stood{hint}");
    let cause = io::Error::new(cause.kind(), text);
    ConnectError::Unreachable { address: address.to_owned(), cause }
}

/// Creates an epoll instance whose waits are exact to the nanosecond.
fn create_epoll() -> std::io::Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let nothing = Nanos::ZERO.as_timespec();
    match epoll::wait(&epoll, &mut [MaybeUninit::uninit(); 1][..], Some(&nothing)) {
        Ok(_) => Ok(epoll),
        Err(Errno::NOSYS) => Err(std::io::Error::other("the raw engine needs Linux 5.11 or later")),
        Err(error) => Err(error.into()),
    }
}

impl Transport for Http1Transport {
    fn take_refusal(&mut self) -> Option<String> {
        match std::mem::replace(&mut self.refusal, FirstRefusal::NotKept) {
            FirstRefusal::Kept(text) => Some(text),
            FirstRefusal::NotKept | FirstRefusal::Awaited => None,
        }
    }

    fn idle(&self) -> usize {
        // Returns 0 until early completions are reported: a worker that can always send would never wait.
        if self.early.is_empty() { self.idle.len() } else { 0 }
    }

    fn send(&mut self, outgoing: OutgoingRequest<'_>) {
        let Some(index) = self.idle.pop() else { return };
        if self.hooks.exist() {
            self.adapt_timestamps();
        }
        let OutgoingRequest { ticket, following, content } = outgoing;
        let request = match content {
            RequestContent::Shape { index, values } => self.requests.fill(index, &values),
            RequestContent::Text { bytes, bodyless } => WireRequest { bytes, bodyless },
        };
        let sent = clock::now();
        self.connections[index].following.extend(following.drain(..));
        if request.bytes.is_empty() {
            self.idle.push(index);
            let outcome = RequestOutcome::Failed(RequestFailure::Write, Cause::Other);
            return self.early.push(Completion { ticket, sent, at: sent, outcome, connect: None });
        }
        if !self.link.keep_alive {
            self.connections[index].store(request.bytes);
            let bodyless = request.bodyless;
            return self.send_on_new(index, ticket, bodyless);
        }
        let connection = &mut self.connections[index];
        connection.serial += 1;
        connection.state = State::Busy { ticket, sent, connect: None };
        connection.reader.expect(request.bodyless);
        let deadline =
            Deadline { at: sent + self.timeout, connection: index, serial: connection.serial };
        match connection.write(request.bytes) {
            Ok(written) => {
                self.traffic.bytes_written += written as u64;
                self.compact_deadlines();
                self.deadlines.push_back(deadline);
                if self.connections[index].has_unsent() {
                    self.set_interest(index, true);
                    self.track_progress(index);
                }
            }
            Err(error) => self.fail_early(index, RequestFailure::Write, Cause::of(&error)),
        }
    }

    fn is_cut_off(&self) -> bool {
        self.link.keep_alive && self.reconnecting == self.connections.len()
    }

    fn rest(&mut self, until: Nanos) -> bool {
        // A connection that is being opened needs this thread. So does a partial request or response: the
        // peer waits for us before it sends the next part.
        let may_rest = self.early.is_empty() && self.timestamps && self.link.keep_alive;
        if !may_rest || self.has_progress() {
            return false;
        }
        // No thread waits in epoll meanwhile, so that responses do not wake this thread. This saves the
        // kernel the wake-ups, and so the server, on whose thread the kernel makes them.
        let rested = clock_nanosleep_absolute(ClockId::Monotonic, &until.as_timespec()).is_ok();
        rested && self.poll_idle_for_close()
    }

    fn wait(&mut self, until: Nanos, completed: &mut Vec<Completion>) {
        completed.append(&mut self.early);
        let until =
            if completed.is_empty() { until.min(self.next_deadline()) } else { Nanos::ZERO };
        self.poll(until, completed);
    }

    fn abandon(&mut self, completed: &mut Vec<Completion>) {
        completed.append(&mut self.early);
        let now = clock::now();
        for connection in &mut self.connections {
            if connection.complete_all(RequestOutcome::Unfinished, now, completed) {
                connection.close(now);
            }
        }
        self.count_late_answers();
    }

    fn oldest_due(&self) -> Option<Nanos> {
        // After each wait, the first deadline is that of a request in flight.
        let request = self.connections[self.deadlines.front()?.connection].request()?;
        Some(request.ticket.due)
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = self.traffic;
        traffic.reconnecting += self.time_reconnecting(clock::now());
        traffic.scripted = self.hooks.time_spent();
        traffic
    }
}
