//! Order of the steps in a worker's turn, as seen by its transport, and a real transport during a sleep.

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use crate::core::clock::{self, Nanos};
use crate::core::units::Rate;
use crate::engine::control::{Control, Gauges};
use crate::engine::load::Pace;
use crate::engine::recorder::{LoadResult, Recorder};
use crate::engine::request::{RequestShape, source_of};
use crate::engine::schedule::{Schedule, ScheduleConfig};
use crate::engine::slot_source::{WorkerConfig, WorkerIndex, WorkerLoad};
use crate::engine::transport::http1::{Http1Config, Http1Transport};
use crate::engine::transport::{
    Completion, OutgoingRequest, RequestContent, RequestOutcome, Ticket, Traffic, Transport,
};
use crate::engine::worker::Worker;
use crate::message::template::DEFAULT_BODY;
use crate::message::{IdSpace, IdWriter, MsgId, Template, Values};
use tokio::sync::mpsc;

/// The slots of a run, one each millisecond.
const SLOTS: u64 = 20;
/// Time between the start of the worker and its first slot: longer than a busy machine delays a thread.
const HEAD_START: Nanos = Nanos::from_secs(1);

/// A call of the worker to its transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Rest,
    Send,
    /// With the number of slots dropped until then.
    Wait(u64),
}

/// A transport that records the calls, answers at the next wait, and sleeps until all slots are due.
struct Fake {
    asked: Rc<RefCell<Vec<Asked>>>,
    connections: usize,
    on_wire: Vec<Ticket>,
    sent: u64,
    gauges: Arc<Gauges>,
    control: Arc<Control>,
    /// Requests a stop during the sleep.
    stop: bool,
    all_due: Nanos,
}

impl Transport for Fake {
    fn idle(&self) -> usize {
        self.connections - self.on_wire.len()
    }

    fn send(&mut self, outgoing: OutgoingRequest<'_>) {
        self.on_wire.push(outgoing.ticket);
        self.sent += 1;
        self.asked.borrow_mut().push(Asked::Send);
    }

    fn rest(&mut self, _: Nanos) -> bool {
        self.asked.borrow_mut().push(Asked::Rest);
        if self.stop {
            self.control.stop();
        }
        let left = self.all_due - clock::now();
        thread::sleep(left.as_duration());
        true
    }

    fn wait(&mut self, _: Nanos, ended: &mut Vec<Completion>) {
        self.asked.borrow_mut().push(Asked::Wait(self.gauges.dropped.load(Relaxed)));
        let at = clock::now();
        let outcome = RequestOutcome::Answered { status: 200 };
        let answer = |ticket| Completion { ticket, sent: at, at, outcome, connect: None };
        ended.extend(self.on_wire.drain(..).map(answer));
    }

    fn abandon(&mut self, _: &mut Vec<Completion>) {}

    fn oldest_due(&self) -> Option<Nanos> {
        self.on_wire.first().map(|ticket| ticket.due)
    }

    fn traffic(&self) -> Traffic {
        Traffic { bytes_written: self.sent, ..Traffic::default() }
    }
}

fn request() -> RequestShape {
    let url = "http://localhost/".parse().expect("a URL");
    let body = Template::parse(DEFAULT_BODY.as_bytes()).expect("the default is valid");
    RequestShape::new(url, "POST".to_owned(), Vec::new(), body)
}

/// Runs a worker with `connections` on the fake. Returns the calls and the results.
fn work(
    connections: usize,
    max_in_flight: Option<u64>,
    stop: bool,
) -> (Vec<Asked>, LoadResult, Traffic) {
    let (asked, gauges, control) = (Rc::default(), Arc::default(), Arc::default());
    let start = clock::now() + HEAD_START;
    let transport = Fake {
        asked: Rc::clone(&asked),
        connections,
        on_wire: Vec::new(),
        sent: 0,
        gauges: Arc::clone(&gauges),
        control: Arc::clone(&control),
        stop,
        all_due: start + Nanos::from_millis(SLOTS),
    };
    let rate: Rate = "1k".parse().expect("a rate");
    let schedule =
        Schedule::new(ScheduleConfig { requests: Some(SLOTS), ..ScheduleConfig::constant(rate) });
    let space = IdSpace::from_authority(0, 1, 100);
    let (intervals, _rows) = mpsc::unbounded_channel();
    let worker = Worker {
        config: WorkerConfig {
            index: WorkerIndex { worker: 0, workers: 1, node: 0 },
            start,
            measure_from: start,
            drain: Nanos::from_secs(5),
            pace: Pace::Tick(Nanos(100_000)),
            load: WorkerLoad::Open { schedule: Arc::new(schedule), max_in_flight },
        },
        source: source_of(&request().into()),
        transport,
        ids: IdWriter::new(space, 0, None),
        recorder: Recorder::new(space, 100, start),
        control,
        gauges,
        intervals,
    };
    let (result, traffic) = worker.run();
    (asked.take(), result, traffic)
}

const MANY: usize = SLOTS as usize;

#[test]
fn slots_due_during_a_sleep_are_sent_before_answers_are_read() {
    let (asked, result, _) = work(MANY, None, false);
    let sends = vec![Asked::Send; MANY];
    assert_eq!(asked, [&[Asked::Rest][..], &sends, &[Asked::Wait(0)]].concat());
    assert_eq!((result.counters.sent, result.counters.completed), (SLOTS, SLOTS));
}

#[test]
fn answers_are_read_before_slots_are_dropped() {
    let (asked, result, _) = work(2, Some(1), false);
    assert_eq!(asked[..3], [Asked::Rest, Asked::Send, Asked::Wait(0)]);
    // The answer frees one connection for one more slot; the other due slots are dropped.
    let end = [Asked::Send, Asked::Rest, Asked::Wait(SLOTS - 2)];
    assert_eq!(asked[3..], end);
    assert_eq!((result.counters.completed, result.counters.dropped), (2, SLOTS - 2));
}

#[test]
fn a_stop_during_a_sleep_ends_sending() {
    let (asked, result, _) = work(MANY, None, true);
    assert_eq!(asked[..1], [Asked::Rest]);
    assert!(!asked.contains(&Asked::Send), "{asked:?}");
    assert_eq!(result.counters.sent, 0);
}

#[test]
fn bytes_sent_after_a_sleep_in_the_warm_up_are_measured() {
    // The sleep begins in the warm-up and ends after it.
    let (_, result, traffic) = work(MANY, None, false);
    assert_eq!((traffic.bytes_written, result.counters.sent), (SLOTS, SLOTS));
}

#[test]
fn a_connection_closed_during_a_sleep_carries_no_request() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("it is bound");
    let timeout = Nanos::from_secs(30);
    let config = Http1Config::plain(address, 3, timeout, true);
    let raw = Http1Transport::connect(&request().into(), config);
    let mut raw = raw.expect("the listener takes connections");
    let mut streams: Vec<_> = listener.incoming().take(3).flatten().collect();

    let due = clock::now();
    let ticket = Ticket { due, ready: due, id: MsgId::new(1).expect("an id") };
    let values = Values { msg_id: 1, ..Values::default() };
    let content = RequestContent::Shape { index: 0, values };
    raw.send(OutgoingRequest { ticket, following: &mut Vec::new(), content });
    // One of the three connections has the request and gets an answer; the two others are closed.
    let asked = streams.iter_mut().position(|stream| {
        stream.set_read_timeout(Some(Duration::from_millis(100))).expect("a socket");
        matches!(stream.read(&mut [0; 4_096]), Ok(1..))
    });
    let mut asked = streams.swap_remove(asked.expect("a request was sent"));
    drop(streams);
    asked.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").expect("it is open");

    let deadline = clock::now() + timeout;
    let mut ended = Vec::new();
    loop {
        raw.rest(clock::now() + Nanos::from_millis(1));
        // The wait may have read the answer first; then the third one is idle again.
        if raw.idle() == ended.len() {
            break;
        }
        assert!(clock::now() < deadline, "a closed connection is still taken for an idle one");
        raw.wait(clock::now(), &mut ended);
    }
    // The event of the third connection, seen during the sleep, ends its request once.
    while ended.is_empty() {
        assert!(clock::now() < deadline, "the answer is not read");
        raw.wait(clock::now() + Nanos::from_millis(10), &mut ended);
    }
    assert_eq!(ended.len(), 1);
    assert_eq!(
        (ended[0].ticket, ended[0].outcome),
        (ticket, RequestOutcome::Answered { status: 200 })
    );
    // The closed connections are opened again.
    while raw.idle() < 3 {
        assert!(clock::now() < deadline, "{} connections", raw.idle());
        raw.wait(clock::now() + Nanos::from_millis(10), &mut ended);
    }
}
