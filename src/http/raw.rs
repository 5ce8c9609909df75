//! The fast path: HTTP/1.1 over an event loop of our own, one request on a connection at a time.
//!
//! It is epoll without a runtime: per request one write, one read and a share of one wait, no task,
//! no timer, no allocation. `epoll_pwait2` waits to the nanosecond, where tokio's timer is 1 ms coarse.

use std::collections::VecDeque;
use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::ClockId;

use super::compose::Compose;
use super::connection::{Connection, State};
use super::deadline::Deadline;
use super::link::Link;
use super::receipt::{Received, WallClock};
use super::response::Progress;
use super::stream::Stream;
use super::{ConnectError, Ended, Failure, Outcome, Ticket, Traffic, Transport};
use crate::clock::{self, Nanos};
use crate::message::Values;

/// Bytes read at once. Responses to load tests are small; a larger one takes several reads.
const READ_BUFFER: usize = 64 * 1024;
/// Events taken from one wait.
const EVENTS: usize = 256;
/// The least time a connection gets to stand: a server that many knock at drops handshakes, and the
/// kernel tries again after 1 s and after 2 s more. The timeout is about requests.
const CONNECT_PATIENCE: Nanos = Nanos::from_secs(5);

/// How long a connection that carried its one request waits for the server to close it. Who closes first
/// has its port blocked for a minute; that many ports no client has.
const CLOSING: Nanos = Nanos::from_millis(20);

/// The raw transport of one worker.
pub struct RawTransport {
    epoll: OwnedFd,
    link: Link,
    composer: Box<dyn Compose>,
    timeout: Nanos,
    connections: Vec<Connection>,
    /// Idle connections, the one used last on top: its socket is the warmest. Where each request gets a
    /// connection of its own: those that are closed.
    idle: Vec<usize>,
    /// Connections that are down or connecting: to be looked after.
    ailing: Vec<usize>,
    deadlines: VecDeque<Deadline>,
    /// Connections that carried their one request, and since when they wait to be closed.
    closing: VecDeque<(Nanos, Stream)>,
    events: Vec<epoll::Event>,
    buffer: Box<[u8]>,
    traffic: Traffic,
    /// The kernel notes when responses arrive, on all connections.
    noted: bool,
    wall_clock: WallClock,
    /// Ends that are known before the next wait, such as a failed write.
    early: Vec<Ended>,
}

impl fmt::Debug for RawTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawTransport").field("link", &self.link).finish_non_exhaustive()
    }
}

impl RawTransport {
    /// Opens `connections` connections and waits until all stand; where each request gets its own, it
    /// opens none, and there are so many at once. An attempt that fails
    /// or takes longer than `timeout` and 5 s is an error: a run with fewer connections than
    /// asked is another run. With `rests`, responses are timed by the kernel where it can, so that a
    /// wait may rest instead of reading at once.
    pub fn connect(
        composer: Box<dyn Compose>,
        link: impl Into<Link>,
        connections: usize,
        timeout: Nanos,
        rests: bool,
    ) -> Result<Self, ConnectError> {
        let link = link.into();
        let address = link.endpoint.to_string();
        let unreachable = |cause| ConnectError::Unreachable { address: address.clone(), cause };
        let epoll = create_epoll().map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut transport = Self {
            epoll,
            link,
            composer,
            timeout,
            connections: (0..connections).map(|_| Connection::new()).collect(),
            idle: Vec::with_capacity(connections),
            ailing: Vec::with_capacity(connections),
            deadlines: VecDeque::with_capacity(connections),
            closing: VecDeque::new(),
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            traffic: Traffic::default(),
            noted: rests,
            wall_clock: WallClock::new(),
            early: Vec::new(),
        };
        if !transport.link.keep_alive {
            transport.idle.extend(0..connections);
            return Ok(transport);
        }
        for index in 0..connections {
            transport.open(index, clock::now()).map_err(unreachable)?;
        }
        transport.ailing.extend(0..connections);
        let deadline = clock::now() + transport.patience();
        while transport.idle.len() < connections {
            if clock::now() >= deadline {
                return Err(unreachable(std::io::ErrorKind::TimedOut.into()));
            }
            transport.poll(deadline.min(transport.next_duty()), &mut Vec::new());
            if transport.traffic.connect_failures > 0 {
                let refused =
                    std::io::Error::other("it takes fewer connections than --connections");
                return Err(unreachable(refused));
            }
        }
        transport.traffic = Traffic::default();
        Ok(transport)
    }

    /// Makes a connection for this request; it is written when the connection stands.
    fn send_on_new(&mut self, index: usize, ticket: Ticket, values: &Values) {
        let request = self.composer.compose(values);
        let connection = &mut self.connections[index];
        connection.keep(request.bytes);
        connection.serial += 1;
        let (bodyless, serial) = (request.bodyless, connection.serial);
        let since = clock::now();
        let opened = self.open(index, since);
        let connection = &mut self.connections[index];
        connection.reader.expect(bodyless);
        let is_on_its_way = opened.is_ok() && matches!(connection.state, State::Connecting { .. });
        connection.state = State::Opening { ticket, since };
        if is_on_its_way {
            self.forget_ended();
            self.deadlines.push_back(Deadline {
                at: since + self.timeout,
                connection: index,
                serial,
            });
        } else {
            let mut early = std::mem::take(&mut self.early);
            self.fail(index, Failure::Connect, clock::now(), &mut early);
            self.early = early;
        }
    }

    /// How long an attempt to connect may take.
    fn patience(&self) -> Nanos {
        self.timeout.max(CONNECT_PATIENCE)
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

    /// One wait, and all that it brings.
    fn poll(&mut self, until: Nanos, ended: &mut Vec<Ended>) {
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        let span = (until - clock::now()).as_timespec();
        let spare = rustix::buffer::spare_capacity(&mut events);
        // Interrupted by a signal: nothing came, and the caller looks at the clock anyway.
        let _ = epoll::wait(&self.epoll, spare, Some(&span));
        // All of these were readable when the wait ended; reading them one by one must not age them.
        let now = clock::now();
        if self.noted {
            self.wall_clock.refresh();
        }
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            self.handle(index, flags, now, ended);
        }
        self.events = events;
        self.expire(now, ended);
        self.tend(now);
        while self.closing.front().is_some_and(|(since, _)| *since + CLOSING <= now) {
            self.closing.pop_front();
        }
    }

    fn handle(
        &mut self,
        index: usize,
        flags: epoll::EventFlags,
        now: Nanos,
        ended: &mut Vec<Ended>,
    ) {
        match self.connections[index].state {
            State::Down { .. } => {}
            State::Connecting { .. } | State::Opening { .. } => self.connected(index, now, ended),
            State::Idle | State::Busy { .. } => {
                if flags.contains(epoll::EventFlags::OUT) && self.connections[index].has_unsent() {
                    self.flush(index, now, ended);
                }
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.receive(index, Failure::Read, now, ended);
                }
            }
        }
    }

    /// Something came of connecting.
    fn connected(&mut self, index: usize, now: Nanos, ended: &mut Vec<Ended>) {
        let connection = &mut self.connections[index];
        match (connection.finish_connect(), connection.state) {
            // TLS still talks.
            (Ok(false), _) => self.listen(index, self.connections[index].has_unsent()),
            (Ok(true), State::Opening { ticket, since }) => {
                let sent = clock::now();
                connection.state = State::Busy { ticket, sent, connect: Some(sent - since) };
                self.flush(index, now, ended);
            }
            (Ok(true), _) => {
                connection.state = State::Idle;
                self.listen(index, false);
                self.ailing.retain(|i| *i != index);
                self.idle.push(index);
                self.traffic.reconnects += 1;
            }
            (Err(_), State::Opening { .. }) => self.fail(index, Failure::Connect, now, ended),
            (Err(_), _) => {
                self.traffic.connect_failures += 1;
                connection.close(now);
            }
        }
    }

    fn flush(&mut self, index: usize, now: Nanos, ended: &mut Vec<Ended>) {
        match self.connections[index].flush() {
            Ok(taken) => {
                self.traffic.bytes_written += taken as u64;
                if !self.connections[index].has_unsent() {
                    self.listen(index, false);
                }
            }
            Err(_) => {
                // A server may answer and close before it has read all, such as with a 413.
                self.receive(index, Failure::Write, now, ended);
                self.fail(index, Failure::Write, now, ended);
            }
        }
    }

    /// Reads once; should the connection prove broken, that is what its request fails with.
    fn receive(&mut self, index: usize, broken: Failure, now: Nanos, ended: &mut Vec<Ended>) {
        let connection = &mut self.connections[index];
        match connection.read(&mut self.buffer, self.noted.then_some(self.wall_clock)) {
            Ok(None) => {}
            Ok(Some(Received { len: 0, .. })) => match connection.reader.end_of_input() {
                Some(status) => self.answer(index, status, false, (None, now), ended),
                None => self.fail(index, broken, now, ended),
            },
            Ok(Some(Received { len, at })) => {
                self.traffic.bytes_read += len as u64;
                if connection.state == State::Idle {
                    // A response nobody asked for: the two sides no longer agree on the order.
                    return self.drop_idle(index, now);
                }
                match connection.reader.feed(&self.buffer[..len]) {
                    Ok(Progress::More) => {}
                    Ok(Progress::Done { status, keep_alive, used }) => {
                        // A request that is answered before it was read whole cannot be followed by another.
                        let clean = used == len && !connection.has_unsent();
                        self.answer(index, status, keep_alive && clean, (at, now), ended);
                    }
                    Err(_) => self.fail(index, Failure::Protocol, now, ended),
                }
            }
            Err(_) => self.fail(index, broken, now, ended),
        }
    }

    /// A response is complete: received at a time the kernel noted, if it did, and read now.
    fn answer(
        &mut self,
        index: usize,
        status: u16,
        keep: bool,
        (received, now): (Option<Nanos>, Nanos),
        ended: &mut Vec<Ended>,
    ) {
        let connection = &mut self.connections[index];
        if let State::Busy { ticket, sent, connect } = connection.state {
            self.traffic.timed_when_read += u64::from(received.is_none());
            // Where the wall clock was set meanwhile, the time cannot be right; it is bounded at least.
            let at = received.unwrap_or(now).min(now).max(sent);
            let outcome = Outcome::Answered { status };
            ended.push(Ended { ticket, sent, at, outcome, connect });
        }
        connection.answered();
        if keep && self.link.keep_alive {
            self.idle.push(index);
        } else {
            self.lay_down(index, now);
        }
    }

    /// The connection carries nothing more.
    fn lay_down(&mut self, index: usize, now: Nanos) {
        let connection = &mut self.connections[index];
        if self.link.keep_alive {
            connection.close(now);
            return self.ailing.push(index);
        }
        if let Some(stream) = connection.take_stream() {
            // Nobody asks any more what comes on it.
            let _ = epoll::delete(&self.epoll, &stream);
            if self.closing.len() >= self.connections.len() {
                self.closing.pop_front();
            }
            self.closing.push_back((now, stream));
        }
        self.idle.push(index);
    }

    fn fail(&mut self, index: usize, failure: Failure, now: Nanos, ended: &mut Vec<Ended>) {
        let connection = &self.connections[index];
        if let Some((ticket, sent, connect)) = connection.request() {
            let outcome = Outcome::Failed(failure);
            ended.push(Ended { ticket, sent, at: now, outcome, connect });
            self.lay_down(index, now);
        } else if connection.state == State::Idle {
            // A server may close what it does not need: no request is hurt.
            self.drop_idle(index, now);
        }
    }

    fn drop_idle(&mut self, index: usize, now: Nanos) {
        self.idle.retain(|i| *i != index);
        self.connections[index].close(now);
        self.ailing.push(index);
    }

    /// One request that hangs must not keep the deadlines of all that ended since.
    fn forget_ended(&mut self) {
        if self.deadlines.len() > 2 * self.connections.len() + EVENTS {
            let connections = &self.connections;
            self.deadlines.retain(|deadline| deadline.is_current(connections));
        }
    }

    /// Ends what is past its timeout.
    fn expire(&mut self, now: Nanos, ended: &mut Vec<Ended>) {
        while let Some(first) = self.deadlines.front() {
            let (index, current) = (first.connection, first.is_current(&self.connections));
            if current && first.at > now {
                break;
            }
            self.deadlines.pop_front();
            if current {
                self.fail(index, Failure::Timeout, now, ended);
            }
        }
    }

    /// Connects what may be connected again, and gives up attempts that take too long.
    fn tend(&mut self, now: Nanos) {
        for at in 0..self.ailing.len() {
            let index = self.ailing[at];
            let failed = match self.connections[index].state {
                State::Down { retry_at } if retry_at <= now => self.open(index, now).is_err(),
                State::Connecting { since } => since + self.patience() <= now,
                State::Down { .. } | State::Idle | State::Busy { .. } | State::Opening { .. } => {
                    false
                }
            };
            if failed {
                self.traffic.connect_failures += 1;
                self.connections[index].close(now);
            }
        }
    }

    /// When something must be done although nothing comes.
    fn next_duty(&self) -> Nanos {
        let deadline = self.deadlines.front().map_or(Nanos::MAX, |first| first.at);
        let duty = |index: &usize| match self.connections[*index].state {
            State::Down { retry_at } => retry_at,
            State::Connecting { since } => since + self.patience(),
            State::Idle | State::Busy { .. } | State::Opening { .. } => Nanos::MAX,
        };
        self.ailing.iter().map(duty).min().unwrap_or(Nanos::MAX).min(deadline)
    }
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

impl Transport for RawTransport {
    fn idle(&self) -> usize {
        self.idle.len()
    }

    fn send(&mut self, ticket: Ticket, values: &Values) {
        let Some(index) = self.idle.pop() else { return };
        if !self.link.keep_alive {
            return self.send_on_new(index, ticket, values);
        }
        let request = self.composer.compose(values);
        let sent = clock::now();
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
                }
            }
            Err(_) => {
                let mut early = std::mem::take(&mut self.early);
                self.fail(index, Failure::Write, clock::now(), &mut early);
                self.early = early;
            }
        }
    }

    fn wait(&mut self, rest: Nanos, until: Nanos, ended: &mut Vec<Ended>) {
        ended.append(&mut self.early);
        // A connection that is being made needs this thread.
        if rest > Nanos::ZERO && ended.is_empty() && self.noted && self.link.keep_alive {
            // Nobody waits in epoll meanwhile, so no response wakes this thread, and the kernel spares
            // itself, and the server's thread it runs on, the waking.
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &rest.as_timespec());
        }
        let until = if ended.is_empty() { until.min(self.next_duty()) } else { Nanos::ZERO };
        self.poll(until, ended);
    }

    fn abandon(&mut self, ended: &mut Vec<Ended>) {
        ended.append(&mut self.early);
        let now = clock::now();
        for connection in &mut self.connections {
            if let Some((ticket, sent, connect)) = connection.request() {
                let outcome = Outcome::Unfinished;
                ended.push(Ended { ticket, sent, at: now, outcome, connect });
                connection.close(now);
            }
        }
    }

    fn oldest_due(&self) -> Option<Nanos> {
        // The ended ones at the front were taken away after the last wait.
        let (ticket, ..) = self.connections[self.deadlines.front()?.connection].request()?;
        Some(ticket.due)
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
