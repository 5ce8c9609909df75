//! The raw path makes no allocation per request: promise 7 of `src/lib.rs`.
//!
//! A worker sends over loopback to a server that runs on threads of this process; only the worker's
//! own thread is counted, from its first request to its last.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use loadgen::clock::{self, Nanos};
use loadgen::http::compose::Fixed;
use loadgen::http::raw::RawTransport;
use loadgen::http::request::RequestShape;
use loadgen::load::recorder::Recorder;
use loadgen::load::worker::{Brief, Work};
use loadgen::load::{Counters, Schedule, Worker};
use loadgen::message::template::DEFAULT_BODY;
use loadgen::message::{DueTable, IdSpace, IdWriter, Template};
use loadgen::plan::load::Pace;
use loadgen::profile::Arrivals;
use loadgen::units::Rate;
use tokio::sync::mpsc;

const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 16;
/// One request in so many is sampled, as by default.
const SAMPLE: u64 = 100;
/// What the whole of a worker's life may allocate, less than once in 100 requests: the start, a row a
/// second, two blocks each 10,000 ids, and buffers that grow by doubling until they are large enough.
/// In all it is some 25. One per request would be 20,000; even one per wake, which the connections
/// share, 1,250 or more.
const ALLOWED: u64 = REQUESTS / 100 - 1;

/// Answers every request of the default body on every connection, without end.
fn server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn serve(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("a socket");
    let mut buffer = [0; 4096];
    let mut len = 0;
    // One request at a time is on a connection, and its body ends with its first `}`.
    while let Ok(read @ 1..) = stream.read(&mut buffer[len..]) {
        len += read;
        if buffer[..len].ends_with(b"}") {
            len = 0;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(answer).expect("the worker reads");
        }
    }
}

/// Lets one worker do its work: what it counted, and how often its thread allocated.
fn allocations(work: impl FnOnce(Nanos) -> Work) -> (Counters, u64) {
    let address = server();
    let url = format!("http://{address}/").parse().expect("a URL");
    let body = Template::parse(DEFAULT_BODY.as_bytes()).expect("the default is valid");
    let shape = RequestShape::new(url, "POST".to_owned(), Vec::new(), body);
    let timeout = Nanos::from_secs(60);
    let space = IdSpace::from_authority(0, 1, SAMPLE);
    let (intervals, _rows) = mpsc::unbounded_channel();
    let start = clock::now();
    let work = work(start);
    let rests = matches!(work, Work::Open { .. });
    let transport =
        RawTransport::connect(Box::new(Fixed::new(&shape)), address, CONNECTIONS, timeout, rests);
    let brief = Brief {
        worker: 0,
        workers: 1,
        start,
        measure_from: start,
        drain: timeout,
        pace: Pace::Tick(Nanos(100_000)),
        work,
    };
    let worker = Worker {
        brief,
        transport: transport.expect("the server listens"),
        ids: IdWriter::new(space, 0, Some(Arc::<DueTable>::default())),
        recorder: Recorder::new(space, SAMPLE, start),
        control: Arc::default(),
        gauges: Arc::default(),
        intervals,
    };
    let mut counters = Counters::default();
    let count = allocation_counter::measure(|| counters = worker.run().0.counters);
    (counters, count.count_total)
}

fn check((counters, allocations): (Counters, u64)) {
    assert_eq!(
        (counters.planned, counters.completed),
        (REQUESTS, REQUESTS),
        "not all were sent and answered: {counters:?}"
    );
    // None at all would mean that nobody counts: the start alone makes some.
    assert!(
        (1..=ALLOWED).contains(&allocations),
        "{allocations} allocations in {REQUESTS} requests, {ALLOWED} are allowed"
    );
}

#[test]
fn a_closed_loop_does_not_allocate_per_request() {
    check(allocations(|_| Work::Closed { until: None, requests: Some(REQUESTS) }));
}

#[test]
fn an_open_loop_does_not_allocate_per_request() {
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let rate: Rate = "20k".parse().expect("a rate");
        let schedule = Schedule::new(rate, (arrivals, 1), Nanos::ZERO, (None, Some(REQUESTS)));
        let schedule = Arc::new(schedule);
        check(allocations(move |_| Work::Open { schedule, max_in_flight: None }));
    }
}
