//! One wait of the raw transport and its events: connections that opened, responses, ends of input.

use std::ops::Range;

use rustix::event::epoll;

use super::Http1Transport;
use super::connection::State;
use super::response::ReadProgress;
use super::timers::CLOSE_WAIT;
use crate::core::clock::{self, Nanos};
use crate::engine::transport::cause::Cause;
use crate::engine::transport::{Completion, RequestFailure, RequestOutcome};
use crate::net::kernel_timestamp::Received;

/// Longest busy polling for the next event before sleeping. To sleep and wake up takes a thread about as long.
const BUSY_POLL: Nanos = Nanos(20_000);

/// Largest error of a kernel timestamp of an answer: NTP changes the wall clock's speed between two readings.
const TIMESTAMP_ERROR: Nanos = Nanos(50_000);

/// Time that a transport waits at its end for surplus answers. If a target answers twice, its last answer
/// comes when no request is left to take it.
const LATE_ANSWER_WAIT: Nanos = Nanos::from_millis(10);

/// Response of a server that closes an unused connection (RFC 9110, 15.5.9). It is not a surplus answer.
const REQUEST_TIMEOUT: [&[u8]; 2] = [b"HTTP/1.1 408", b"HTTP/1.0 408"];

/// Times of a response.
#[derive(Debug, Clone, Copy)]
struct ResponseTimes {
    /// Kernel timestamp of its last byte, if there is one.
    received: Option<Nanos>,
    /// Time of reading it.
    read: Nanos,
}

impl Http1Transport {
    /// Waits once and handles the events.
    pub(super) fn poll(&mut self, until: Nanos, completed: &mut Vec<Completion>) {
        let mut events = std::mem::take(&mut self.events);
        let began = clock::now();
        let were_polled = !events.is_empty();
        let is_complete = were_polled
            || self.busy_poll(began, until, &mut events)
            || self.sleep(until, &mut events);
        // All events had happened by now: the time to handle them one by one must not count.
        let now = clock::now();
        self.events_are_dense = !events.is_empty() && now - began < BUSY_POLL;
        if self.timestamps {
            self.wall_clock.refresh();
        }
        for event in &events {
            let (index, flags) = (event.data.u64() as usize, event.flags);
            self.handle(index, flags, now, completed);
        }
        events.clear();
        self.events = events;
        // After a signal, events are missing: a request past its deadline may have its response.
        if is_complete {
            self.expire(if were_polled { self.polled_at } else { now }, completed);
        }
        self.run_timers(now);
        while self.closing.front().is_some_and(|(since, _)| *since + CLOSE_WAIT <= now) {
            self.closing.pop_front();
        }
    }

    /// Polls once after a rest: an idle connection may have been closed meanwhile, and the next request must
    /// not be written on it. Events of the other connections are kept for the next wait. Returns false if a
    /// signal interrupted the poll.
    pub(super) fn poll_idle_for_close(&mut self) -> bool {
        self.wait_for_idle(Nanos::ZERO)
    }

    /// Waits until the first event and handles those of idle connections. Returns false if a signal
    /// interrupted the wait.
    fn wait_for_idle(&mut self, until: Nanos) -> bool {
        let mut events = std::mem::take(&mut self.events);
        let is_complete = self.sleep(until, &mut events);
        let now = clock::now();
        self.polled_at = now;
        events.retain(|event| {
            let index = event.data.u64() as usize;
            let is_idle = self.connections[index].state == State::Idle;
            if is_idle {
                // It has no request that could complete.
                self.handle(index, event.flags, now, &mut Vec::new());
            }
            !is_idle
        });
        self.events = events;
        is_complete
    }

    /// Sleeps until the first event or `until`. Returns false if a signal interrupted.
    fn sleep(&self, until: Nanos, events: &mut Vec<epoll::Event>) -> bool {
        let span = (until - clock::now()).as_timespec();
        let spare = rustix::buffer::spare_capacity(events);
        epoll::wait(&self.epoll, spare, Some(&span)).is_ok()
    }

    /// Polls without sleeping, if events are dense. Returns true if there is an event. When events are this
    /// close together, blocking costs this thread more than polling, and the server the wake-ups. With kernel
    /// timestamps prompt reading does not matter, so it does not poll; an open loop leaves the CPU to others.
    fn busy_poll(&mut self, began: Nanos, until: Nanos, events: &mut Vec<epoll::Event>) -> bool {
        if !self.events_are_dense || self.rests || self.timestamps {
            return false;
        }
        let (until, mut now) = (until.min(began + BUSY_POLL), began);
        while events.is_empty() && now < until {
            self.sleep(Nanos::ZERO, events);
            now = clock::now();
        }
        self.traffic.busy_polled += now - began;
        !events.is_empty()
    }

    fn handle(
        &mut self,
        index: usize,
        flags: epoll::EventFlags,
        now: Nanos,
        completed: &mut Vec<Completion>,
    ) {
        match self.connections[index].state {
            State::Down { .. } => {}
            State::Connecting { .. } | State::Opening { .. } => {
                self.continue_connecting(index, now, completed)
            }
            State::Idle | State::Busy { .. } => {
                if flags.contains(epoll::EventFlags::OUT) {
                    if self.connections[index].has_unsent() {
                        self.flush(index, now, completed);
                    } else {
                        // TLS has sent the rest together with records of its own.
                        self.set_interest(index, false);
                    }
                }
                if flags.intersects(!epoll::EventFlags::OUT) {
                    self.receive(index, RequestFailure::Read, now, completed);
                }
            }
        }
    }

    /// Continues to open a connection after an event.
    fn continue_connecting(&mut self, index: usize, now: Nanos, completed: &mut Vec<Completion>) {
        let connection = &mut self.connections[index];
        match (connection.finish_connect(), connection.state) {
            // The TLS handshake continues.
            (Ok(false), _) => self.set_interest(index, self.connections[index].has_unsent()),
            (Ok(true), State::Opening { ticket, since }) => {
                let sent = clock::now();
                connection.state = State::Busy { ticket, sent, connect: Some(sent - since) };
                self.flush(index, now, completed);
            }
            (Ok(true), _) => {
                connection.state = State::Idle;
                self.set_interest(index, false);
                self.reconnecting -= 1;
                self.traffic.reconnecting += now - self.connections[index].closed_at;
                // A script's hold, if any, was over before it was closed.
                self.idle.push(index);
                self.traffic.reconnects += 1;
            }
            (Err(error), State::Opening { .. }) => {
                self.fail(index, RequestFailure::Connect, Cause::of(&error), now, completed);
            }
            (Err(error), _) => self.retry_connect(index, error, now),
        }
    }

    fn flush(&mut self, index: usize, now: Nanos, completed: &mut Vec<Completion>) {
        match self.connections[index].flush() {
            Ok(written) => {
                self.traffic.bytes_written += written as u64;
                if !self.connections[index].has_unsent() {
                    self.set_interest(index, false);
                }
            }
            Err(error) => {
                // A server may answer and close before it has read all, such as with a 413.
                self.receive(index, RequestFailure::Write, now, completed);
                self.fail(index, RequestFailure::Write, Cause::of(&error), now, completed);
            }
        }
    }

    /// Reads once. If the connection is broken, its request fails with `broken`.
    fn receive(
        &mut self,
        index: usize,
        broken: RequestFailure,
        now: Nanos,
        completed: &mut Vec<Completion>,
    ) {
        let connection = &mut self.connections[index];
        match connection.read(&mut self.buffer, self.timestamps.then_some(self.wall_clock)) {
            Ok(None) => {}
            Ok(Some(Received { len: 0, .. })) => self.end_input(index, broken, now, completed),
            Ok(Some(Received { len, at })) => {
                self.traffic.bytes_read += len as u64;
                let times = ResponseTimes { received: at, read: now };
                self.read_responses(index, len, times, completed);
                if self.connections[index].has_ended() {
                    self.end_input(index, broken, now, completed);
                }
            }
            Err(error) => self.fail(index, broken, Cause::of(&error), now, completed),
        }
    }

    /// Handles the end of a connection's input.
    fn end_input(
        &mut self,
        index: usize,
        broken: RequestFailure,
        now: Nanos,
        completed: &mut Vec<Completion>,
    ) {
        match self.connections[index].reader.end_of_input() {
            Some(status) => {
                let times = ResponseTimes { received: None, read: now };
                self.answer(index, status, false, times, completed);
            }
            None => self.fail(index, broken, Cause::Closed, now, completed),
        }
    }

    /// Handles bytes that were read: a response, part of one, or several of a batch.
    fn read_responses(
        &mut self,
        index: usize,
        len: usize,
        times: ResponseTimes,
        completed: &mut Vec<Completion>,
    ) {
        let mut done = 0;
        while done < len {
            let connection = &mut self.connections[index];
            if connection.state == State::Idle {
                self.count_unrequested(done..len);
                return self.drop_idle(index, times.read);
            }
            match connection.reader.feed(&self.buffer[done..len]) {
                Ok(ReadProgress::More) => return self.track_progress(index),
                Ok(ReadProgress::Done { status, keep_alive, used }) => {
                    done += used;
                    // After a response to a request that was not sent completely, none can follow.
                    let last = connection.following.is_empty();
                    let clean = !last || done == len && !connection.has_unsent();
                    if last && done < len {
                        self.count_unrequested(done..len);
                    }
                    self.answer(index, status, keep_alive && clean, times, completed);
                    if last || !keep_alive {
                        return;
                    }
                }
                Err(_) => {
                    let (failure, cause) = (RequestFailure::Protocol, Cause::NotHttp);
                    return self.fail(index, failure, cause, times.read, completed);
                }
            }
        }
    }

    /// Counts bytes that answer no request. The caller closes the connection, so that no later request
    /// takes them for its answer.
    fn count_unrequested(&mut self, bytes: Range<usize>) {
        let bytes = &self.buffer[bytes];
        let announces_close = REQUEST_TIMEOUT.iter().any(|head| bytes.starts_with(head));
        self.traffic.unrequested += u64::from(!announces_close);
    }

    /// Counts surplus answers that come after the last request has ended.
    pub(super) fn count_late_answers(&mut self) {
        let until = clock::now() + LATE_ANSWER_WAIT;
        while self.link.keep_alive && self.idle.len() > 0 && clock::now() < until {
            self.wait_for_idle(until);
            self.events.clear();
        }
    }

    /// Completes a request with its response. `keep` is true if the connection can be kept.
    fn answer(
        &mut self,
        index: usize,
        status: u16,
        mut keep: bool,
        times: ResponseTimes,
        completed: &mut Vec<Completion>,
    ) {
        let ResponseTimes { received, read } = times;
        if let State::Busy { ticket, sent, connect } = self.connections[index].state {
            self.traffic.timed_when_read += u64::from(received.is_none());
            // If the wall clock was set meanwhile, the timestamp is wrong: it is limited to the possible range.
            let at = received.unwrap_or(read).min(read).max(sent);
            let outcome = match received {
                Some(received) if received + TIMESTAMP_ERROR < sent => {
                    self.traffic.unrequested += 1;
                    keep = false;
                    RequestOutcome::Failed(RequestFailure::Protocol, Cause::EarlyAnswer)
                }
                // It arrived too late, but this thread rested at its deadline.
                Some(_) if at - sent > self.timeout => {
                    RequestOutcome::Failed(RequestFailure::Timeout, Cause::Timeout)
                }
                _ => RequestOutcome::Answered { status },
            };
            completed.push(Completion { ticket, sent, at, outcome, connect });
            self.show_response(index, status);
        }
        if self.connections[index].answered() {
            if !keep {
                self.fail(index, RequestFailure::Read, Cause::Closed, read, completed);
            }
            return;
        }
        if keep && self.link.keep_alive {
            self.release(index, read);
        } else {
            self.retire(index, read);
        }
    }
}
