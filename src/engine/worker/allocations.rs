//! The raw path makes no allocation per request: promise 7 of `src/lib.rs`.
//!
//! A worker sends over loopback to a server that runs on threads of this process; only the worker's
//! own thread is counted, from its first request to its last.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use crate::core::clock::{self, Nanos};
use crate::core::units::Rate;
use crate::engine::Mixture;
use crate::engine::counters::Counters;
use crate::engine::load::ArrivalProcess;
use crate::engine::load::Pace;
use crate::engine::recorder::Recorder;
use crate::engine::request::{RequestSet, RequestShape, source_of};
use crate::engine::schedule::{Schedule, ScheduleConfig};
use crate::engine::slot_source::{WorkerConfig, WorkerIndex, WorkerLoad};
use crate::engine::transport::http1::{Http1Config, Http1Transport};
use crate::engine::worker::Worker;
use crate::message::template::{DEFAULT_BODY, EscapeContext};
use crate::message::{Assignment, Data, DueTable, IdSpace, IdWriter, MessageBody, Mix, Template};
use tokio::sync::mpsc;

const REQUESTS: u64 = 20_000;
const CONNECTIONS: usize = 16;
/// One request in 100 is sampled, as by default.
const SAMPLE: u64 = 100;
/// Allocations of a worker in its whole life, at most: less than one in 100 requests. It allocates at the start, for
/// a row each second, for two blocks each 10,000 ids, and for buffers that grow by doubling, about 25 times in all.
/// One per request would be 20,000, and one per wake of all connections 1,250 or more.
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

/// The default request.
fn default_request(address: SocketAddr) -> RequestSet {
    let body = Template::parse(DEFAULT_BODY.as_bytes()).expect("the default is valid");
    request(address, body).into()
}

fn request(address: SocketAddr, body: impl Into<MessageBody>) -> RequestShape {
    let url = format!("http://{address}/").parse().expect("a URL");
    RequestShape::new(url, "POST".to_owned(), Vec::new(), body)
}

/// A mix of the default request, one with rows of different lengths in path, header and body, and one
/// with lines.
fn mix(address: SocketAddr) -> RequestSet {
    let mut data = Data::new(vec!["x".to_owned()], &[]).expect("a name");
    (0..50).for_each(|n| data.push(n, [&*"y".repeat(n as usize)]));
    let parse = |text: &str, place| {
        Template::parse_with(text.as_bytes(), Some(&data), place).expect("valid")
    };
    let mut rows = request(address, parse(r#"{"x":"{{x}}","id":{{msg_id}}}"#, EscapeContext::Json))
        .with_path(parse("/{{x}}", EscapeContext::Url));
    rows.headers.push(("X".to_owned(), parse("{{x}}", EscapeContext::Plain)));
    let lines = ["{}", r#"{"x":"{{x}}"}"#].map(|line| parse(line, EscapeContext::Json));
    let lines = request(address, MessageBody::lines(lines.to_vec()).expect("two lines"));
    let first = request(address, parse(DEFAULT_BODY, EscapeContext::Json));
    RequestSet::new(first.url.clone(), vec![first, rows, lines], Arc::new(Mix::new(&[3, 2, 1], 1)))
}

/// Counters of a worker, and the allocations of its thread.
struct CountedRun {
    counters: Counters,
    allocations: u64,
}

/// Runs one worker. Returns its counters and the number of allocations of its thread.
fn count_allocations(
    requests: fn(SocketAddr) -> RequestSet,
    load: impl FnOnce(Nanos) -> WorkerLoad,
) -> CountedRun {
    let address = server();
    let requests = requests(address);
    let timeout = Nanos::from_secs(60);
    let space = IdSpace::from_authority(0, 1, SAMPLE);
    let (intervals, _rows) = mpsc::unbounded_channel();
    let start = clock::now();
    let load = load(start);
    let rests = matches!(load, WorkerLoad::Open { .. });
    let transport = Http1Config::plain(address, CONNECTIONS, timeout, rests);
    let transport = Http1Transport::connect(&requests, transport);
    let mut recorder = Recorder::new(space, SAMPLE, start);
    if requests.shapes().len() > 1 {
        let assignment = Assignment::new(Arc::clone(requests.mix()), space, 0, 1);
        recorder = recorder.of_mix(Mixture { assignment, carries_id: vec![true, true, false] });
    }
    let config = WorkerConfig {
        index: WorkerIndex { worker: 0, workers: 1, node: 0 },
        start,
        measure_from: start,
        drain: timeout,
        pace: Pace::Tick(Nanos(100_000)),
        load,
    };
    let worker = Worker {
        config,
        source: source_of(&requests),
        transport: transport.expect("the server listens"),
        ids: IdWriter::new(space, 0, Some(Arc::<DueTable>::default())),
        recorder,
        control: Arc::default(),
        gauges: Arc::default(),
        intervals,
    };
    let mut counters = Counters::default();
    let count = allocation_counter::measure(|| counters = worker.run().0.counters);
    CountedRun { counters, allocations: count.count_total }
}

#[track_caller]
fn assert_few_allocations(run: &CountedRun) {
    let CountedRun { counters, allocations } = run;
    assert_eq!(
        (counters.planned, counters.completed),
        (REQUESTS, REQUESTS),
        "not all were sent and answered: {counters:?}"
    );
    // Zero would mean that the counting does not work: the start alone allocates.
    assert!(
        (1..=ALLOWED).contains(allocations),
        "{allocations} allocations in {REQUESTS} requests, {ALLOWED} are allowed"
    );
}

#[test]
fn a_closed_loop_does_not_allocate_per_request() {
    assert_few_allocations(&count_allocations(default_request, |_| WorkerLoad::Closed {
        until: None,
        requests: Some(REQUESTS),
    }));
}

#[test]
fn an_open_loop_does_not_allocate_per_request() {
    for arrivals in [ArrivalProcess::Constant, ArrivalProcess::Poisson] {
        let rate: Rate = "20k".parse().expect("a rate");
        let schedule = Schedule::new(ScheduleConfig {
            arrivals,
            requests: Some(REQUESTS),
            ..ScheduleConfig::constant(rate)
        });
        let schedule = Arc::new(schedule);
        assert_few_allocations(&count_allocations(default_request, move |_| WorkerLoad::Open {
            schedule,
            max_in_flight: None,
        }));
    }
}

#[test]
fn rows_lines_and_a_mix_do_not_allocate_per_request() {
    assert_few_allocations(&count_allocations(mix, |_| WorkerLoad::Closed {
        until: None,
        requests: Some(REQUESTS),
    }));
}
