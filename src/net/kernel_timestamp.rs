//! When the kernel received what is read: the end of a response, or a message, to the microsecond,
//! however much later a thread wakes up to read it.
//!
//! It costs 7 % of a request (closed loop, 10 connections, nginx on another core), so it is asked for
//! where a thread rests between reads: a worker in an open loop, and the subscriber.
//!
//! With `SO_TIMESTAMPNS` Linux notes the time of each segment as it arrives, before any scheduling of
//! ours, and `recvmsg` hands over that of the last byte read (socket(7), SCM_TIMESTAMPNS). It is a time
//! of the wall clock, so each wait measures how the two clocks lie to each other.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd as _};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SetSockOpt as _, cmsg_space, recvmsg, sockopt,
};
use nix::sys::time::TimeSpec;
use rustix::time::{ClockId, clock_gettime};

use crate::core::clock::{self, Nanos};

/// Room for one control message with a time, and some to spare.
const CONTROL: usize = cmsg_space::<TimeSpec>() + 64;
/// A pair of readings that takes so much longer than the closest one was interrupted.
const MORE: Nanos = Nanos(1_000);
/// A smaller change of the offset is not taken for a wall clock that was set.
const LEAST_STEP: Nanos = Nanos::from_millis(1);
/// NTP changes the wall clock's speed by at most 1 in 2,000; twice that is a step.
const MOST_BENT: u64 = 1_000;

/// Asks the kernel to note when segments arrive, or not to; whether it will do so.
pub(crate) fn note_times(socket: &impl AsFd, on: bool) -> bool {
    sockopt::ReceiveTimestampns.set(&socket.as_fd(), &on).is_ok()
}

/// Offset of the wall clock from the monotonic clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    /// Wall clock minus monotonic clock, in nanoseconds.
    offset: i128,
    /// Shortest time that a pair of readings took: that of a pair without an interruption.
    closest: Nanos,
    /// Time of the last measurement of the offset.
    measured: Nanos,
    /// The wall clock was set since the measurement before: times noted until now are of no use.
    was_set: bool,
}

impl WallClock {
    /// Measured now.
    pub(crate) fn new() -> Self {
        let mut clock =
            Self { offset: 0, closest: Nanos::MAX, measured: Nanos::ZERO, was_set: false };
        (0..16).for_each(|_| clock.refresh());
        clock.was_set = false;
        clock
    }

    /// Measures again, for the wall clock may be set. A measurement that was interrupted says less
    /// than the last one, and is not taken.
    pub(crate) fn refresh(&mut self) {
        let before = clock::now();
        let wall = clock_gettime(ClockId::Realtime);
        let after = clock::now();
        let took = after - before;
        if took <= self.closest + MORE {
            self.closest = self.closest.min(took);
            let offset = nanos(wall.tv_sec, wall.tv_nsec) - i128::from(before.0.midpoint(after.0));
            let bent = LEAST_STEP.0 + (after - self.measured).0 / MOST_BENT;
            self.was_set = offset.abs_diff(self.offset) > u128::from(bent);
            (self.offset, self.measured) = (offset, after);
        }
    }

    fn monotonic(self, wall: TimeSpec) -> Option<Nanos> {
        if self.was_set {
            return None;
        }
        u64::try_from(nanos(wall.tv_sec(), wall.tv_nsec()) - self.offset).ok().map(Nanos)
    }
}

fn nanos(seconds: i64, nanos: i64) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

/// Bytes read at once, and when the kernel received the last of them, if it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) len: usize,
    pub(crate) at: Option<Nanos>,
}

/// Reads once from a socket for which [`note_times`] was asked.
pub(crate) fn read(
    socket: &impl AsFd,
    buffer: &mut [u8],
    wall_clock: WallClock,
) -> io::Result<Received> {
    let mut control = [0; CONTROL];
    let mut pieces = [IoSliceMut::new(buffer)];
    let fd = socket.as_fd().as_raw_fd();
    let message = recvmsg::<()>(fd, &mut pieces, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    let time = message.cmsgs().ok().and_then(|mut all| {
        all.find_map(|one| match one {
            ControlMessageOwned::ScmTimestampns(time) => Some(time),
            _ => None,
        })
    });
    let at = time.and_then(|wall| wall_clock.monotonic(wall));
    Ok(Received { len: message.bytes, at })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("connects");
        (client, listener.accept().expect("accepts").0)
    }

    #[test]
    fn a_late_read_gives_the_time_of_receipt() {
        let (client, mut server) = pair();
        assert!(note_times(&client, true), "Linux notes times");
        // The kernel begins to note a moment after the first socket asks.
        let mut buffer = [0; 16];
        let mut wall_clock = WallClock::new();
        for _ in 0..50 {
            let before = clock::now();
            server.write_all(b"pong").expect("writes");
            let after = clock::now();
            std::thread::sleep(std::time::Duration::from_millis(20));
            wall_clock.refresh();
            let received = read(&client, &mut buffer, wall_clock).expect("reads");
            assert_eq!(received.len, 4);
            if let Some(at) = received.at {
                // On loopback it is received within the write; the clocks' readings add a little.
                let slack = Nanos::from_millis(5);
                assert!(before <= at + slack && at <= after + slack, "{before:?} {at:?} {after:?}");
                return;
            }
        }
        panic!("no read brought a time");
    }

    #[test]
    fn without_asking_there_is_no_time() {
        let (client, mut server) = pair();
        server.write_all(b"pong").expect("writes");
        std::thread::sleep(std::time::Duration::from_millis(20));
        let received = read(&client, &mut [0; 16], WallClock::new()).expect("reads");
        assert_eq!(received, Received { len: 4, at: None });
    }

    #[test]
    fn times_noted_before_the_wall_clock_was_set_are_not_used() {
        let mut clock = WallClock::new();
        let wall = || {
            let now = clock_gettime(ClockId::Realtime);
            TimeSpec::new(now.tv_sec, now.tv_nsec)
        };
        assert!(clock.monotonic(wall()).is_some());
        // As if it had been behind by ten milliseconds until now.
        clock.offset -= 10_000_000;
        clock.closest = Nanos::from_secs(1);
        clock.refresh();
        assert_eq!(clock.monotonic(wall()), None);
        clock.refresh();
        assert!(clock.monotonic(wall()).is_some());
    }

    #[test]
    fn an_interrupted_measurement_is_not_taken() {
        let mut clock = WallClock::new();
        assert!(clock.closest < Nanos::from_millis(1));
        let offset = clock.offset;
        (0..1_000).for_each(|_| clock.refresh());
        assert!((clock.offset - offset).abs() < 1_000_000, "the two clocks run alike");
    }
}
