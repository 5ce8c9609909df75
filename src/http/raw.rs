//! The fast path: HTTP/1.1 over an event loop of our own, one request on a connection at a time.
//!
//! It is epoll without a runtime: per request one write, one read and a share of one wait, no task,
//! no timer, no allocation. `epoll_pwait2` waits to the nanosecond, where tokio's timer is 1 ms coarse.

use std::collections::VecDeque;
use std::fmt;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::ClockId;

use super::compose::Compose;
use super::connection::{Connection, State};
use super::deadline::Deadline;
use super::receipt::{Received, WallClock};
use super::response::Progress;
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

/// The raw transport of one worker.
pub struct RawTransport {
    epoll: OwnedFd,
    address: SocketAddr,
    composer: Box<dyn Compose>,
    timeout: Nanos,
    connections: Vec<Connection>,
    /// Idle connections, the one used last on top: its socket is the warmest.
    idle: Vec<usize>,
    /// Connections that are down or connecting: to be looked after.
    ailing: Vec<usize>,
    deadlines: VecDeque<Deadline>,
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
        f.debug_struct("RawTransport").field("address", &self.address).finish_non_exhaustive()
    }
}

impl RawTransport {
    /// Opens `connections` connections to `address` and waits until all stand. An attempt that fails
    /// or takes longer than `timeout` and 5 s is an error: a run with fewer connections than
    /// asked is another run. With `rests`, responses are timed by the kernel where it can, so that a
    /// wait may rest instead of reading at once.
    pub fn connect(
        composer: Box<dyn Compose>,
        address: SocketAddr,
        connections: usize,
        timeout: Nanos,
        rests: bool,
    ) -> Result<Self, ConnectError> {
        let unreachable = |cause| ConnectError::Unreachable { address: address.to_string(), cause };
        let epoll = create_epoll().map_err(|e| ConnectError::Setup(e.to_string()))?;
        let mut transport = Self {
            epoll,
            address,
            composer,
            timeout,
            connections: (0..connections).map(|_| Connection::new()).collect(),
            idle: Vec::with_capacity(connections),
            ailing: Vec::with_capacity(connections),
            deadlines: VecDeque::with_capacity(connections),
            events: Vec::with_capacity(EVENTS),
            buffer: vec![0; READ_BUFFER].into_boxed_slice(),
            traffic: Traffic::default(),
            noted: rests,
            wall_clock: WallClock::new(),
            early: Vec::new(),
        };
        for index in 0..connections {
            transport.open(index, clock::now()).map_err(unreachable)?;
        }
        transport.ailing.extend(0..connections);
        let deadline = clock::now() + transport.patience();
        while transport.idle.len() < connections {
            if clock::now() >= deadline {
                return Err(unreachable(std::io::ErrorKind::TimedOut.into()));
            }
            transport.poll(deadline, &mut Vec::new());
            if transport.traffic.connect_failures > 0 {
                let refused =
                    std::io::Error::other("it takes fewer connections than --connections");
                return Err(unreachable(refused));
            }
        }
        transport.traffic = Traffic::default();
        Ok(transport)
    }

    /// How long an attempt to connect may take.
    fn patience(&self) -> Nanos {
        self.timeout.max(CONNECT_PATIENCE)
    }

    fn open(&mut self, index: usize, now: Nanos) -> std::io::Result<()> {
        let connection = &mut self.connections[index];
        self.noted = connection.connect(self.address, self.noted, now)?;
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
            State::Connecting { .. } => self.connected(index, now),
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

    fn connected(&mut self, index: usize, now: Nanos) {
        match self.connections[index].finish_connect() {
            Ok(()) => {
                self.listen(index, false);
                self.ailing.retain(|i| *i != index);
                self.idle.push(index);
                self.traffic.reconnects += 1;
            }
            Err(_) => {
                self.traffic.connect_failures += 1;
                self.connections[index].close(now);
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
        if let State::Busy { ticket, sent } = connection.state {
            self.traffic.timed_when_read += u64::from(received.is_none());
            // Where the wall clock was set meanwhile, the time cannot be right; it is bounded at least.
            let at = received.unwrap_or(now).min(now).max(sent);
            ended.push(Ended { ticket, sent, at, outcome: Outcome::Answered { status } });
        }
        connection.answered();
        if keep {
            self.idle.push(index);
        } else {
            connection.close(now);
            self.ailing.push(index);
        }
    }

    fn fail(&mut self, index: usize, failure: Failure, now: Nanos, ended: &mut Vec<Ended>) {
        match self.connections[index].state {
            State::Busy { ticket, sent } => {
                ended.push(Ended { ticket, sent, at: now, outcome: Outcome::Failed(failure) });
                self.connections[index].close(now);
                self.ailing.push(index);
            }
            // A server may close what it does not need: no request is hurt.
            State::Idle => self.drop_idle(index, now),
            State::Down { .. } | State::Connecting { .. } => {}
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
                State::Down { .. } | State::Idle | State::Busy { .. } => false,
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
            State::Idle | State::Busy { .. } => Nanos::MAX,
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
        let request = self.composer.compose(values);
        let sent = clock::now();
        let connection = &mut self.connections[index];
        connection.serial += 1;
        connection.state = State::Busy { ticket, sent };
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
        if rest > Nanos::ZERO && ended.is_empty() && self.noted {
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
            if let State::Busy { ticket, sent } = connection.state {
                ended.push(Ended { ticket, sent, at: now, outcome: Outcome::Unfinished });
                connection.close(now);
            }
        }
    }

    fn oldest_due(&self) -> Option<Nanos> {
        // The ended ones at the front were taken away after the last wait.
        match self.connections[self.deadlines.front()?.connection].state {
            State::Busy { ticket, .. } => Some(ticket.due),
            State::Down { .. } | State::Connecting { .. } | State::Idle => None,
        }
    }

    fn traffic(&self) -> Traffic {
        self.traffic
    }
}
