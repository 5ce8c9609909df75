//! The seams of a worker: a second source of requests and a second transport.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::*;
use crate::engine::request::{Prepared, RequestSet, RequestShape, source_of};
use crate::engine::slot_source::{WorkerIndex, WorkerLoad};
use crate::engine::transport::http1::{Http1Config, Http1Transport};
use crate::engine::transport::{OutgoingRequest, RequestContent, RequestOutcome, Ticket};
use crate::message::{IdSpace, Mix, Template, Values};

const REQUESTS: u64 = 6;

/// Two request shapes, for `/first/ID` and `/second/ID`.
fn two_requests(address: SocketAddr) -> RequestSet {
    let url: url::Url = format!("http://{address}/").parse().expect("a URL");
    let shapes = ["/first/{{msg_id}}", "/second/{{msg_id}}"].map(|path| {
        let path = Template::parse(path.as_bytes()).expect("valid");
        RequestShape::new(url.clone(), "GET".to_owned(), Vec::new(), Template::default())
            .with_path(path)
    });
    RequestSet::new(url, shapes.to_vec(), Arc::new(Mix::new(&[1, 1], 1)))
}

/// Runs a worker in a closed loop until it has sent [`REQUESTS`] requests.
fn run<T: Transport>(source: Box<dyn RequestSource>, transport: T) -> LoadResult {
    let start = clock::now();
    let space = IdSpace::from_authority(1, 1, 100);
    let (intervals, _rows) = mpsc::unbounded_channel();
    let worker = Worker {
        config: WorkerConfig {
            index: WorkerIndex { worker: 0, workers: 1, node: 0 },
            start,
            measure_from: start,
            drain: Nanos::from_secs(5),
            pace: Pace::Tick(Nanos::ZERO),
            load: WorkerLoad::Closed { until: None, requests: Some(REQUESTS) },
        },
        source,
        transport,
        ids: IdWriter::new(space, 0, None),
        recorder: Recorder::new(space, 100, start),
        control: Arc::default(),
        gauges: Arc::default(),
        intervals,
    };
    worker.run().0
}

/// Source that alternates between two requests.
#[derive(Debug, Default)]
struct Alternating {
    next: usize,
}

impl RequestSource for Alternating {
    fn prepare(&mut self, values: &Values) -> Prepared {
        let index = self.next;
        self.next = 1 - index;
        Prepared::shape(index, *values)
    }
}

/// Starts a server of one connection. Its result is the paths of the requests.
fn serve() -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port");
    let address = listener.local_addr().expect("it is bound");
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("the worker connects");
        let mut answers = stream.try_clone().expect("a socket");
        let mut paths = Vec::new();
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("GET ") {
                paths.push(rest.trim_end_matches(" HTTP/1.1").to_owned());
            }
            if line.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                answers.write_all(answer).expect("the worker reads");
            }
        }
        paths
    });
    (address, server)
}

#[test]
fn a_new_source_sends_over_the_raw_transport() {
    let (address, server) = serve();
    let config = Http1Config::plain(address, 1, Nanos::from_secs(30), false);
    let raw = Http1Transport::connect(&two_requests(address), config).expect("it listens");
    let result = run(Box::new(Alternating::default()), raw);
    assert_eq!((result.counters.sent, result.counters.completed), (REQUESTS, REQUESTS));
    let paths = server.join().expect("it ends with the connection");
    let expected = ["/first/1", "/second/2", "/first/3", "/second/4", "/first/5", "/second/6"];
    assert_eq!(paths, expected);
}

/// Transport that answers every request at once with 204, and keeps the shapes that it was given.
#[derive(Default)]
struct Instant {
    shapes: Arc<std::sync::Mutex<Vec<usize>>>,
    answered: Vec<Ticket>,
}

impl Transport for Instant {
    fn idle(&self) -> usize {
        4 - self.answered.len()
    }

    fn send(&mut self, outgoing: OutgoingRequest<'_>) {
        let RequestContent::Shape { index, .. } = outgoing.content else { panic!("a shape") };
        self.shapes.lock().expect("one thread").push(index);
        self.answered.push(outgoing.ticket);
    }

    fn wait(&mut self, _: Nanos, completed: &mut Vec<Completion>) {
        let at = clock::now();
        let outcome = RequestOutcome::Answered { status: 204 };
        completed.extend(self.answered.drain(..).map(|ticket| Completion {
            ticket,
            sent: ticket.due,
            at,
            outcome,
            connect: None,
        }));
    }

    fn abandon(&mut self, _: &mut Vec<Completion>) {}

    fn oldest_due(&self) -> Option<Nanos> {
        self.answered.first().map(|ticket| ticket.due)
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

#[test]
fn every_source_sends_over_a_new_transport() {
    let requests = two_requests(SocketAddr::from(([127, 0, 0, 1], 80)));
    let sources: [Box<dyn RequestSource>; 2] =
        [Box::new(Alternating::default()), source_of(&requests)];
    for source in sources {
        let name = format!("{source:?}");
        let transport = Instant::default();
        let shapes = Arc::clone(&transport.shapes);
        let result = run(source, transport);
        assert_eq!(result.status.iter().collect::<Vec<_>>(), [(204, REQUESTS)], "{name}");
        let shapes = shapes.lock().expect("one thread");
        let second = shapes.iter().filter(|index| **index == 1).count();
        assert_eq!((shapes.len() as u64, second as u64), (REQUESTS, REQUESTS / 2), "{name}");
    }
}
