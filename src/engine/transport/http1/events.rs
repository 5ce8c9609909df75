//! One wait of the raw transport, and what it brings: connections that stand, responses, ends of input.

use std::ops::Range;

use rustix::event::epoll;

use super::Http1Transport;
use super::timers::CLOSING;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::cause::Cause;
use crate::engine::transport::connection::State;
use crate::engine::transport::response::Progress;
use crate::engine::transport::{Completion, RequestFailure, RequestOutcome};
use crate::net::kernel_timestamp::Received;

/// How long it looks for the next event before it sleeps. Sleeping and being woken takes a thread as
/// long.
const LOOKING: Nanos = Nanos(20_000);

/// Largest error of a kernel timestamp of an answer: NTP changes the wall clock's speed between two readings.
const MISREADING: Nanos = Nanos(50_000);

/// Time that a transport waits at its end for surplus answers. If a target answers twice, its last answer
/// comes when no request is left to take it.
const LAST_LOOK: Nanos = Nanos::from_millis(10);

/// Response of a server that closes an unused connection (RFC 9110, 15.5.9). It is not a surplus answer.
const REQUEST_TIMEOUT: [&[u8]; 2] = [b"HTTP/1.1 408", b"HTTP/1.0 408"];

impl Http1Transport {
    /// One wait, and what it brings.
    pub(super) fn poll(&mut self, until: Nanos, ended: &mut Vec<Completion>) {
        let mut events = std::mem::take(&mut self.events);
        let began = clock::now();
        let known = !events.is_empty();
        let told = known || self.look(began, until, &mut events) || self.sleep(until, &mut events);
        // All of these were readable when the wait ended; reading them one by one must not age them.
        let now = clock::now();
        self.dense = !events.is_empty() && now - began < LOOKING;
        if self.noted {
            self.wall_clock.refresh();
        }
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            self.handle(index, flags, now, ended);
        }
        events.clear();
        self.events = events;
        // Where a signal interrupted, what is past its time may have its response.
        if told {
            self.expire(if known { self.told_at } else { now }, ended);
        }
        self.tend(now);
        while self.closing.front().is_some_and(|(since, _)| *since + CLOSING <= now) {
            self.closing.pop_front();
        }
    }

    /// After a rest: an idle connection may have come to its end meanwhile, and the next request must not
    /// be written on it. What came on the others is left for the next wait. Whether it was told.
    pub(super) fn mind_idle(&mut self) -> bool {
        self.sleep_on_idle(Nanos::ZERO)
    }

    fn sleep_on_idle(&mut self, until: Nanos) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let told = self.sleep(until, &mut events);
        let now = clock::now();
        self.told_at = now;
        events.retain(|event| {
            let index = event.data.u64() as usize;
            let is_idle = self.connections[index].state == State::Idle;
            if is_idle {
                // No request is on it that could end.
                self.handle(index, event.flags, now, &mut Vec::new());
            }
            !is_idle
        });
        self.events = events;
        told
    }

    /// Until the first event, which wakes this thread. Whether all was told: not where a signal interrupted.
    fn sleep(&self, until: Nanos, events: &mut Vec<epoll::Event>) -> bool {
        let span = (until - clock::now()).as_timespec();
        let spare = rustix::buffer::spare_capacity(events);
        epoll::wait(&self.epoll, spare, Some(&span)).is_ok()
    }

    /// Looks for the first event over and over, where events are dense: whether there is one. To be
    /// woken for each costs this thread more than the time between them, and the server the waking. Where
    /// the kernel notes times nothing hangs on this thread's haste, and an open loop leaves the CPU to others.
    fn look(&mut self, began: Nanos, until: Nanos, events: &mut Vec<epoll::Event>) -> bool {
        if !self.dense || self.rests || self.noted {
            return false;
        }
        let (until, mut now) = (until.min(began + LOOKING), began);
        while events.is_empty() && now < until {
            self.sleep(Nanos::ZERO, events);
            now = clock::now();
        }
        self.traffic.looked += now - began;
        !events.is_empty()
    }

    fn handle(
        &mut self,
        index: usize,
        flags: epoll::EventFlags,
        now: Nanos,
        ended: &mut Vec<Completion>,
    ) {
        match self.connections[index].state {
            State::Down { .. } => {}
            State::Connecting { .. } | State::Opening { .. } => self.connected(index, now, ended),
            State::Idle | State::Busy { .. } => {
                if flags.contains(epoll::EventFlags::OUT) {
                    if self.connections[index].has_unsent() {
                        self.flush(index, now, ended);
                    } else {
                        // TLS has sent the rest together with data of its own.
                        self.listen(index, false);
                    }
                }
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.receive(index, RequestFailure::Read, now, ended);
                }
            }
        }
    }

    /// Something came of connecting.
    fn connected(&mut self, index: usize, now: Nanos, ended: &mut Vec<Completion>) {
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
                self.reconnecting -= 1;
                self.traffic.reconnecting += now - self.connections[index].closed_at;
                // Held back it was before it broke, if a script does that.
                self.idle.push(index);
                self.traffic.reconnects += 1;
            }
            (Err(error), State::Opening { .. }) => {
                self.fail(index, RequestFailure::Connect, Cause::of(&error), now, ended);
            }
            (Err(error), _) => self.note_refusal(index, error, now),
        }
    }

    fn flush(&mut self, index: usize, now: Nanos, ended: &mut Vec<Completion>) {
        match self.connections[index].flush() {
            Ok(taken) => {
                self.traffic.bytes_written += taken as u64;
                if !self.connections[index].has_unsent() {
                    self.listen(index, false);
                }
            }
            Err(error) => {
                // A server may answer and close before it has read all, such as with a 413.
                self.receive(index, RequestFailure::Write, now, ended);
                self.fail(index, RequestFailure::Write, Cause::of(&error), now, ended);
            }
        }
    }

    /// Reads once; should the connection prove broken, that is what its request fails with.
    fn receive(
        &mut self,
        index: usize,
        broken: RequestFailure,
        now: Nanos,
        ended: &mut Vec<Completion>,
    ) {
        let connection = &mut self.connections[index];
        match connection.read(&mut self.buffer, self.noted.then_some(self.wall_clock)) {
            Ok(None) => {}
            Ok(Some(Received { len: 0, .. })) => self.end(index, broken, now, ended),
            Ok(Some(Received { len, at })) => {
                self.traffic.bytes_read += len as u64;
                self.take_in(index, len, (at, now), ended);
                if self.connections[index].has_ended() {
                    self.end(index, broken, now, ended);
                }
            }
            Err(error) => self.fail(index, broken, Cause::of(&error), now, ended),
        }
    }

    /// Nothing more comes.
    fn end(
        &mut self,
        index: usize,
        broken: RequestFailure,
        now: Nanos,
        ended: &mut Vec<Completion>,
    ) {
        match self.connections[index].reader.end_of_input() {
            Some(status) => self.answer(index, status, false, (None, now), ended),
            None => self.fail(index, broken, Cause::Closed, now, ended),
        }
    }

    /// What was read: a response or a part of one, and several where several requests were written.
    fn take_in(
        &mut self,
        index: usize,
        len: usize,
        (at, now): (Option<Nanos>, Nanos),
        ended: &mut Vec<Completion>,
    ) {
        let mut done = 0;
        while done < len {
            let connection = &mut self.connections[index];
            if connection.state == State::Idle {
                self.note_unrequested(done..len);
                return self.drop_idle(index, now);
            }
            match connection.reader.feed(&self.buffer[done..len]) {
                Ok(Progress::More) => return self.watch(index),
                Ok(Progress::Done { status, keep_alive, used }) => {
                    done += used;
                    // A request that is answered before it was read whole cannot be followed by another.
                    let last = connection.following.is_empty();
                    let clean = !last || done == len && !connection.has_unsent();
                    if last && done < len {
                        self.note_unrequested(done..len);
                    }
                    self.answer(index, status, keep_alive && clean, (at, now), ended);
                    if last || !keep_alive {
                        return;
                    }
                }
                Err(_) => {
                    return self.fail(index, RequestFailure::Protocol, Cause::NotHttp, now, ended);
                }
            }
        }
    }

    /// Counts bytes that answer no request. The caller closes the connection, so that no later request
    /// takes them for its answer.
    fn note_unrequested(&mut self, bytes: Range<usize>) {
        let bytes = &self.buffer[bytes];
        let announces_close = REQUEST_TIMEOUT.iter().any(|head| bytes.starts_with(head));
        self.traffic.unrequested += u64::from(!announces_close);
    }

    /// Counts surplus answers that come after the last request has ended.
    pub(super) fn count_late_answers(&mut self) {
        let until = clock::now() + LAST_LOOK;
        while self.link.keep_alive && self.idle.len() > 0 && clock::now() < until {
            self.sleep_on_idle(until);
            self.events.clear();
        }
    }

    /// A response is complete: received at a time the kernel noted, if it did, and read now.
    fn answer(
        &mut self,
        index: usize,
        status: u16,
        mut keep: bool,
        (received, now): (Option<Nanos>, Nanos),
        ended: &mut Vec<Completion>,
    ) {
        let connection = &mut self.connections[index];
        if let State::Busy { ticket, sent, connect } = connection.state {
            self.traffic.timed_when_read += u64::from(received.is_none());
            // Where the wall clock was set meanwhile, the time cannot be right; it is bounded at least.
            let at = received.unwrap_or(now).min(now).max(sent);
            let outcome = match received {
                Some(received) if received + MISREADING < sent => {
                    self.traffic.unrequested += 1;
                    keep = false;
                    RequestOutcome::Failed(RequestFailure::Protocol, Cause::EarlyAnswer)
                }
                // It came too late, and while this thread rested nobody could tell.
                Some(_) if at - sent > self.timeout => {
                    RequestOutcome::Failed(RequestFailure::Timeout, Cause::Timeout)
                }
                _ => RequestOutcome::Answered { status },
            };
            ended.push(Completion { ticket, sent, at, outcome, connect });
            self.show(index, status);
        }
        if self.connections[index].answered() {
            if !keep {
                self.fail(index, RequestFailure::Read, Cause::Closed, now, ended);
            }
            return;
        }
        if keep && self.link.keep_alive {
            self.free(index, now);
        } else {
            self.lay_down(index, now);
        }
    }
}
