//! The fast path: HTTP/1.1 over an event loop of our own, one request on a connection at a time.
//!
//! It is epoll without a runtime: per request one write, one read and a share of one wait, no task,
//! no timer, no allocation. `epoll_pwait2` waits to the nanosecond, where tokio's timer is 1 ms coarse.

mod events;
mod scripted;
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

use self::scripted::Scripted;
use super::cause::Cause;
use super::connection::{Connection, State};
use super::deadline::Deadline;
use super::idle::IdleConnections;
use super::link::TargetLink;
use super::request_source::{Batch, RequestSource};
use super::stream::Stream;
use super::{Completion, ConnectError, RequestFailure, RequestOutcome, Ticket, Traffic, Transport};
use crate::core::clock::{self, Nanos};
use crate::message::Values;
use crate::net::kernel_timestamp::WallClock;

/// Bytes read at once. Responses to load tests are small; a larger one takes several reads.
const READ_BUFFER: usize = 64 * 1024;

const TAKES_FEWER: &str = "; does it take --connections?";

/// The raw transport of one worker.
pub struct Http1Transport {
    epoll: OwnedFd,
    link: TargetLink,
    composer: Box<dyn RequestSource>,
    scripted: Scripted,
    timeout: Nanos,
    connections: Vec<Connection>,
    /// Idle connections. Where each request gets a connection of its own: those that are closed.
    idle: IdleConnections,
    /// Number of connections that are closed or being made again.
    reconnecting: usize,
    /// Times at which such a connection needs attention: its pause is over, or its attempt has taken too
    /// long. Entries of a connection that has changed since are skipped.
    duties: BinaryHeap<Reverse<(Nanos, usize)>>,
    /// Free connections that are held back, by a script or as they could not be made: until when, which,
    /// and its [`Connection::hold`].
    held: BinaryHeap<Reverse<(Nanos, usize, u64)>>,
    deadlines: VecDeque<Deadline>,
    /// Connections that carried their one request, and since when they wait to be closed.
    closing: VecDeque<(Nanos, Stream)>,
    /// What a rest was told and what is not dealt with yet; empty otherwise. It has room for all connections,
    /// so that one look tells of each.
    events: Vec<epoll::Event>,
    /// When a rest was told that.
    told_at: Nanos,
    buffer: Box<[u8]>,
    traffic: Traffic,
    /// It may rest, so that the kernel is always to note when responses arrive.
    rests: bool,
    /// The kernel notes that, on all connections.
    noted: bool,
    wall_clock: WallClock,
    /// The last wait was over soon: the next event is likely to be near, too.
    dense: bool,
    /// Connections on which a part of a request or of a response has passed.
    midway: Vec<usize>,
    /// Why the last connection that could not be made was not.
    refusal: Option<io::Error>,
    /// Ends that are known before the next wait, such as a failed write.
    early: Vec<Completion>,
}

impl fmt::Debug for Http1Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTransport").field("link", &self.link).finish_non_exhaustive()
    }
}

impl Http1Transport {
    /// Opens `connections` connections and waits until all stand; where each request gets its own, it
    /// opens none, and there are so many at once. An attempt that fails
    /// or takes longer than `timeout` and 5 s is an error: a run with fewer connections than
    /// asked is another run. With `rests`, responses are timed by the kernel where it can, so that
    /// they need not be read at once.
    pub fn connect(
        mut composer: Box<dyn RequestSource>,
        link: impl Into<TargetLink>,
        connections: usize,
        timeout: Nanos,
        rests: bool,
    ) -> Result<Self, ConnectError> {
        let link = link.into();
        let address = link.endpoint.to_string();
        let epoll = create_epoll().map_err(|e| ConnectError::Setup(e.to_string()))?;
        let scripted = Scripted::new(&mut *composer);
        let mut transport = Self {
            epoll,
            link,
            composer,
            scripted,
            timeout,
            connections: (0..connections).map(|_| Connection::new()).collect(),
            idle: IdleConnections::new(connections),
            reconnecting: 0,
            duties: BinaryHeap::new(),
            held: BinaryHeap::new(),
            deadlines: VecDeque::with_capacity(connections),
            closing: VecDeque::new(),
            events: Vec::with_capacity(connections.max(1)),
            told_at: Nanos::ZERO,
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            traffic: Traffic::default(),
            rests,
            noted: rests,
            wall_clock: WallClock::new(),
            dense: false,
            midway: Vec::new(),
            refusal: None,
            early: Vec::new(),
        };
        transport.noted |= transport.scripted.takes_time();
        if transport.scripted.sees_responses() {
            transport.connections.iter_mut().for_each(|connection| connection.reader.keep());
        }
        if !transport.link.keep_alive {
            (0..connections).for_each(|index| transport.idle.push(index));
            return Ok(transport);
        }
        for index in 0..connections {
            transport
                .open(index, clock::now())
                .map_err(|cause| refused(&address, &cause, index, connections))?;
            transport.schedule_duty(index);
        }
        transport.reconnecting = connections;
        let deadline = clock::now() + transport.patience();
        while transport.idle.len() < connections {
            if clock::now() >= deadline {
                transport.refusal = Some(io::ErrorKind::TimedOut.into());
            }
            if let Some(cause) = transport.refusal.take() {
                return Err(refused(&address, &cause, transport.idle.len(), connections));
            }
            transport.poll(deadline.min(transport.next_duty()), &mut Vec::new());
        }
        transport.traffic = Traffic::default();
        Ok(transport)
    }

    /// Makes a connection for the request it keeps, which is written when the connection stands.
    fn send_on_new(&mut self, index: usize, ticket: Ticket, bodyless: bool) {
        self.connections[index].serial += 1;
        let serial = self.connections[index].serial;
        let since = clock::now();
        let opened = self.open(index, since);
        let connection = &mut self.connections[index];
        connection.reader.expect(bodyless);
        let is_on_its_way = matches!(connection.state, State::Connecting { .. });
        connection.state = State::Opening { ticket, since };
        match opened {
            Ok(()) if is_on_its_way => {
                self.forget_ended();
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

    /// Fails a request whose end is known before the next wait.
    fn fail_early(&mut self, index: usize, failure: RequestFailure, cause: Cause) {
        let mut early = std::mem::take(&mut self.early);
        self.fail(index, failure, cause, clock::now(), &mut early);
        self.early = early;
    }

    fn open(&mut self, index: usize, now: Nanos) -> std::io::Result<()> {
        let connection = &mut self.connections[index];
        self.noted = connection.connect(&self.link, self.noted, now)?;
        let data = epoll::EventData::new_u64(index as u64);
        let interest = epoll::EventFlags::IN | epoll::EventFlags::OUT;
        match connection.fd() {
            Some(fd) => Ok(epoll::add(&self.epoll, fd, data, interest)?),
            None => Ok(()),
        }
    }

    /// Hears of readable always, of writable only while something waits to be written.
    fn listen(&mut self, index: usize, writable: bool) {
        let mut interest = epoll::EventFlags::IN;
        interest.set(epoll::EventFlags::OUT, writable);
        let data = epoll::EventData::new_u64(index as u64);
        if let Some(fd) = self.connections[index].fd() {
            // It can only fail for a socket that is not registered, and every open one is.
            let _ = epoll::modify(&self.epoll, fd, data, interest);
        }
    }
}

/// The error of a start at which only so many of the connections could be made.
fn refused(address: &str, cause: &io::Error, made: usize, connections: usize) -> ConnectError {
    let hint = match Cause::of(cause) {
        Cause::NoLocalPort => {
            "; this machine has no free local port: widen net.ipv4.ip_local_port_range"
        }
        Cause::TooManyOpenFiles => "; raise the limit on open files with ulimit -n",
        Cause::OutOfMemory => "; the kernel has no memory for more sockets",
        // Another worker may have got those that it takes.
        Cause::Timeout => TAKES_FEWER,
        _ if made > 0 => TAKES_FEWER,
        _ => "",
    };
    let text = format!("{cause}, when {made} of {connections} connections stood{hint}");
    let cause = io::Error::new(cause.kind(), text);
    ConnectError::Unreachable { address: address.to_owned(), cause }
}

/// An event queue whose waits end to the nanosecond.
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
    fn idle(&self) -> usize {
        // What has ended already is told first: who sends on and on would never hear of it.
        if self.early.is_empty() { self.idle.len() } else { 0 }
    }

    fn send(&mut self, ticket: Ticket, values: &Values) {
        let Some(index) = self.idle.pop() else { return };
        let request = self.composer.compose(values);
        let sent = clock::now();
        self.connections[index].following.append(&mut self.scripted.along);
        if request.bytes.is_empty() {
            self.idle.push(index);
            let outcome = RequestOutcome::Failed(RequestFailure::Write, Cause::Other);
            return self.early.push(Completion { ticket, sent, at: sent, outcome, connect: None });
        }
        if !self.link.keep_alive {
            self.connections[index].keep(request.bytes);
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
            Ok(taken) => {
                self.traffic.bytes_written += taken as u64;
                self.forget_ended();
                self.deadlines.push_back(deadline);
                if self.connections[index].has_unsent() {
                    self.listen(index, true);
                    self.watch(index);
                }
            }
            Err(error) => self.fail_early(index, RequestFailure::Write, Cause::of(&error)),
        }
    }

    fn prepare(&mut self, values: &Values) -> Batch {
        if self.scripted.is_there() { self.write_batch(values) } else { Batch::ONE }
    }

    fn along(&mut self, ticket: Ticket) {
        self.scripted.along.push_back(ticket);
    }

    fn begin(&mut self, at: Nanos) {
        self.begin_holding_back(at);
    }

    fn stopped(&mut self) -> bool {
        self.scripted.is_there() && self.composer.hooks().is_some_and(|hooks| hooks.stopped())
    }

    fn is_cut_off(&self) -> bool {
        self.link.keep_alive && self.reconnecting == self.connections.len()
    }

    fn rest(&mut self, until: Nanos) -> bool {
        // A connection that is being made needs this thread. So does what is midway: whoever sends it
        // waits for us, and so would the next piece.
        let may_rest = self.early.is_empty() && self.noted && self.link.keep_alive;
        if !may_rest || self.is_midway() {
            return false;
        }
        // Nobody waits in epoll meanwhile, so no response wakes this thread, and the kernel spares
        // itself, and the server's thread it runs on, the waking.
        let rested = clock_nanosleep_absolute(ClockId::Monotonic, &until.as_timespec()).is_ok();
        rested && self.mind_idle()
    }

    fn wait(&mut self, until: Nanos, ended: &mut Vec<Completion>) {
        ended.append(&mut self.early);
        let until = if ended.is_empty() { until.min(self.next_duty()) } else { Nanos::ZERO };
        self.poll(until, ended);
    }

    fn abandon(&mut self, ended: &mut Vec<Completion>) {
        ended.append(&mut self.early);
        let now = clock::now();
        for connection in &mut self.connections {
            if let Some((ticket, sent, connect)) = connection.request() {
                let tickets = std::iter::once(ticket).chain(connection.following.drain(..));
                let outcome = RequestOutcome::Unfinished;
                ended.extend(tickets.map(|ticket| Completion {
                    ticket,
                    sent,
                    at: now,
                    outcome,
                    connect,
                }));
                connection.close(now);
            }
        }
        self.count_late_answers();
    }

    fn oldest_due(&self) -> Option<Nanos> {
        // The ended ones at the front were taken away after the last wait.
        let (ticket, ..) = self.connections[self.deadlines.front()?.connection].request()?;
        Some(ticket.due)
    }

    fn traffic(&self) -> Traffic {
        let mut traffic = self.traffic;
        traffic.reconnecting += self.time_reconnecting(clock::now());
        traffic
    }
}
