//! Measuring arrivals, on a thread of its own in the process that sends: so both ends of every message are timed
//! by the same monotonic clock.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::ClockId;
use tokio::sync::{mpsc, oneshot, watch};

use super::RunError;
use super::exchange::{ArrivalExchange, Heard};
use crate::core::clock::{self, Nanos};
use crate::core::distribution::{AgedLatencies, Latencies};
use crate::engine::LoadResult;
use crate::engine::worker::INTERVAL;
use crate::message::{
    Arrival, ArrivalTracker, Assignment, Checkpoint, DueTable, HeardBy, IdPlaces, IdSpace, MsgId,
    Unjoined,
};
use crate::pipeline::arrivals::{ArrivalSink, ArrivalSource, ReceivedAt, ReceivedMessage};
use crate::pipeline::stamps::{Passage, Stamper};

/// Arrivals of one interval.
#[derive(Debug)]
pub(super) struct ArrivalInterval {
    pub(super) index: u64,
    pub(super) arrived: u64,
    pub(super) latencies: Latencies,
}

/// Counts for the monitor, which waits for the last message.
#[derive(Debug, Default)]
pub(super) struct ArrivalGauges {
    pub(super) arrived: AtomicU64,
    /// Time of the last message of any kind.
    pub(super) last_at: AtomicU64,
}

/// Handle of the thread that measures arrivals.
pub(super) struct Listener {
    pub(super) gauges: Arc<ArrivalGauges>,
    pub(super) intervals: mpsc::UnboundedReceiver<ArrivalInterval>,
    /// Arrivals of sampled messages.
    pub(super) sampled: mpsc::Receiver<Passage>,
    stop: watch::Sender<bool>,
    result: oneshot::Receiver<ArrivalResults>,
    measure_from: Arc<AtomicU64>,
}

/// Arrival latencies (arrived − due) of all messages, and of each request of a mix.
pub(super) struct ArrivalTimes {
    pub(super) all: AgedLatencies,
    /// Empty if there is only one request.
    pub(super) by_request: Vec<AgedLatencies>,
    assignment: Option<Assignment>,
}

impl ArrivalTimes {
    fn new(assignment: Option<Assignment>) -> Self {
        let requests = assignment.as_ref().map_or(0, Assignment::requests);
        Self {
            all: AgedLatencies::default(),
            by_request: vec![AgedLatencies::default(); requests],
            assignment,
        }
    }

    fn record(&mut self, id: MsgId, latency: Nanos) {
        self.all.record(latency);
        if let Some(own) = self.of_request(id) {
            own.record(latency);
        }
    }

    /// Counts a message that has not arrived, at the age it had reached.
    pub(super) fn record_age(&mut self, id: MsgId, age: Nanos) {
        self.all.record_age(age);
        if let Some(own) = self.of_request(id) {
            own.record_age(age);
        }
    }

    /// Counts messages that were never sent, at the age they had reached.
    pub(super) fn add_dropped(&mut self, load: &LoadResult) {
        self.all.add_ages(&load.dropped_messages);
        for (own, request) in self.by_request.iter_mut().zip(&load.by_request) {
            own.add_ages(&request.dropped);
        }
    }

    fn of_request(&mut self, id: MsgId) -> Option<&mut AgedLatencies> {
        let request = self.assignment.as_ref()?.of(id)?;
        self.by_request.get_mut(request)
    }
}

/// Results of a listener.
pub(super) struct ArrivalResults {
    pub(super) arrivals: ArrivalTracker,
    pub(super) times: ArrivalTimes,
    pub(super) reconnects: u64,
    /// Messages that were not joined to any that was sent.
    pub(super) unjoined: Unjoined,
    /// Messages whose time of receipt is that of reading, since the kernel gave none.
    pub(super) timed_when_read: u64,
    /// Intervals that the monitor has not taken yet.
    pub(super) last_intervals: Vec<ArrivalInterval>,
    /// Arrivals of sampled messages that the monitor has not taken yet.
    pub(super) last_sampled: Vec<Passage>,
    /// Arrivals of sampled messages for which the buffer had no room.
    pub(super) sampled_dropped: u64,
}

/// Configuration of a listener.
pub(super) struct ListenerConfig {
    pub(super) space: IdSpace,
    /// Requests of a mix by slot and id; `None` if there is only one request.
    pub(super) assignment: Option<Assignment>,
    pub(super) table: Arc<DueTable>,
    pub(super) id_places: IdPlaces,
    /// Sampling divisor of the messages that are joined with stamps.
    pub(super) sample: u64,
    /// Pause before the next read if messages are dense.
    pub(super) rest: Nanos,
    /// Exchange with other nodes that share the subscription.
    pub(super) exchange: Option<Arc<dyn ArrivalExchange>>,
}

impl Listener {
    /// Connects the source, and returns once messages reach it.
    pub(super) async fn start(
        source: impl ArrivalSource + Send + 'static,
        config: ListenerConfig,
    ) -> Result<Self, RunError> {
        let gauges = Arc::new(ArrivalGauges::default());
        let (rows, intervals) = mpsc::unbounded_channel();
        let (stop, shutdown) = watch::channel(false);
        let (hand_over, result) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let measure_from = Arc::new(AtomicU64::new(u64::MAX));
        let (stamper, sampled) = Stamper::new(config.sample);
        let recorder = ArrivalRecorder {
            arrivals: ArrivalTracker::new(config.space, config.table, Nanos::ZERO),
            times: ArrivalTimes::new(config.assignment),
            reconnects: 0,
            interval: ArrivalInterval { index: 0, arrived: 0, latencies: Latencies::default() },
            rows,
            gauges: Arc::clone(&gauges),
            id_places: config.id_places,
            stamper,
            rest: config.rest,
            since_pause: 0,
            timed_when_read: 0,
            unjoined: Unjoined::default(),
            measure_from: Arc::clone(&measure_from),
            exchange: config.exchange,
        };
        let thread = std::thread::Builder::new().name("subscriber".to_owned());
        let started = thread.spawn(move || {
            let _ = hand_over.send(listen(source, recorder, ready, shutdown));
        });
        started.map_err(RunError::Thread)?;
        match is_ready.await {
            Ok(result) => result?,
            Err(_) => return Err(RunError::Lost("the subscriber")),
        }
        Ok(Self { gauges, intervals, sampled, stop, result, measure_from })
    }

    /// Sets the time at which measuring begins: messages due before it are warm-up.
    pub(super) fn measure_from(&self, at: Nanos) {
        self.measure_from.store(at.0, Relaxed);
    }

    /// Stops the source and returns the results.
    pub(super) async fn finish(mut self) -> Result<ArrivalResults, RunError> {
        let _ = self.stop.send(true);
        let mut results = self.result.await.map_err(|_| RunError::Lost("the subscriber"))?;
        while let Ok(interval) = self.intervals.try_recv() {
            results.last_intervals.push(interval);
        }
        while let Ok(passage) = self.sampled.try_recv() {
            results.last_sampled.push(passage);
        }
        Ok(results)
    }
}

/// Reports once that messages reach the source, or its error.
struct SourceStart(Cell<Option<oneshot::Sender<Result<(), RunError>>>>);

impl SourceStart {
    /// Sends the first result; later ones are ignored.
    fn report(&self, result: Result<(), RunError>) {
        if let Some(sender) = self.0.take() {
            // Fails if the run was given up meanwhile.
            let _ = sender.send(result);
        }
    }
}

/// Runs the source until the shutdown.
fn listen(
    source: impl ArrivalSource,
    mut recorder: ArrivalRecorder,
    ready: oneshot::Sender<Result<(), RunError>>,
    shutdown: watch::Receiver<bool>,
) -> ArrivalResults {
    let started = SourceStart(Cell::new(Some(ready)));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let run = source.run(&mut recorder, || started.report(Ok(())), shutdown);
            if let Err(error) = runtime.block_on(run) {
                started.report(Err(error.into()));
            }
        }
        Err(error) => started.report(Err(RunError::Thread(error))),
    }
    recorder.take_passed();
    recorder.close_interval();
    ArrivalResults {
        arrivals: recorder.arrivals,
        times: recorder.times,
        reconnects: recorder.reconnects,
        unjoined: recorder.unjoined,
        timed_when_read: recorder.timed_when_read,
        last_intervals: Vec::new(),
        last_sampled: Vec::new(),
        sampled_dropped: recorder.stamper.dropped(),
    }
}

/// Records arrivals.
struct ArrivalRecorder {
    arrivals: ArrivalTracker,
    times: ArrivalTimes,
    reconnects: u64,
    interval: ArrivalInterval,
    rows: mpsc::UnboundedSender<ArrivalInterval>,
    gauges: Arc<ArrivalGauges>,
    id_places: IdPlaces,
    stamper: Stamper,
    /// Pause before the next read if messages are dense.
    rest: Nanos,
    /// Messages since the last pause that have a kernel timestamp.
    since_pause: u64,
    timed_when_read: u64,
    unjoined: Unjoined,
    measure_from: Arc<AtomicU64>,
    exchange: Option<Arc<dyn ArrivalExchange>>,
}

/// Number of messages at once from which on they are dense: the next ones come before this thread is asleep.
const DENSE: u64 = 2;

impl ArrivalRecorder {
    /// Pauses if messages are dense. Waking for each of them would cost this thread and the broker more CPU
    /// time. The kernel has timed each of them; messages that it joined meanwhile are recorded up to `rest` too
    /// late, never too early.
    fn rest(&mut self) {
        if std::mem::take(&mut self.since_pause) >= DENSE && self.rest > Nanos::ZERO {
            // This thread has no other task, and the timers of its runtime are too coarse.
            let until = (clock::now() + self.rest).as_timespec();
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
        }
    }

    /// Records the first arrival of a measured message.
    fn record(&mut self, id: MsgId, received: ReceivedAt, due: Nanos) {
        let ReceivedAt { at, when_read } = received;
        let latency = at - due;
        self.stamper.stamp(Checkpoint::Arrived, id, at);
        self.timed_when_read += u64::from(when_read);
        self.times.record(id, latency);
        self.interval.latencies.record(latency);
        self.interval.arrived += 1;
    }

    /// Takes in what other nodes have passed on.
    fn take_passed(&mut self) {
        let Some(exchange) = self.exchange.clone() else { return };
        self.arrivals.set_measure_from(Nanos(self.measure_from.load(Relaxed)));
        for (node, heard) in exchange.take() {
            let by = HeardBy::Node(node);
            match heard {
                Heard::Message { id, at, when_read } => {
                    self.gauges.last_at.fetch_max(at.0, Relaxed);
                    if let Arrival::First { due } = self.arrivals.note_heard_by(by, Some(id)) {
                        self.record(id, ReceivedAt { at, when_read }, due);
                        exchange.count();
                    }
                }
                Heard::Disconnected => self.arrivals.disconnected(by),
                Heard::Reconnected { at, kept } => self.arrivals.reconnected(by, at, kept),
            }
        }
    }

    fn pass_on(&self, to: Option<u64>, heard: Heard) {
        if let Some(exchange) = &self.exchange {
            exchange.pass_on(to, heard);
        }
    }

    fn close_interval(&mut self) {
        let next = ArrivalInterval {
            index: self.interval.index + 1,
            arrived: 0,
            latencies: Latencies::default(),
        };
        let _ = self.rows.send(std::mem::replace(&mut self.interval, next));
    }
}

impl ArrivalSink for ArrivalRecorder {
    fn message(&mut self, message: ReceivedMessage<'_>) {
        let ReceivedAt { at, when_read } = message.received;
        // Messages without a kernel timestamp must be read at once.
        self.since_pause += u64::from(!when_read);
        let found = self.id_places.find(message.topic, message.payload);
        let id = found.as_ref().ok().copied();
        self.gauges.last_at.store(at.0, Relaxed);
        self.arrivals.set_measure_from(Nanos(self.measure_from.load(Relaxed)));
        match (self.arrivals.note(id), id) {
            (Arrival::First { due }, Some(id)) => self.record(id, message.received, due),
            (Arrival::OtherNode, Some(id)) => {
                self.pass_on(Some(self.arrivals.node_of(id)), Heard::Message { id, at, when_read });
            }
            (Arrival::Unexpected, _) => {
                self.unjoined.note(message.topic, message.payload, found.as_ref().err());
            }
            _ => {}
        }
    }

    fn disconnected(&mut self) {
        self.reconnects += 1;
        self.arrivals.disconnected(HeardBy::Itself);
        self.pass_on(None, Heard::Disconnected);
    }

    fn reconnected(&mut self, kept: bool) {
        let at = clock::now();
        self.arrivals.reconnected(HeardBy::Itself, at, kept);
        self.pass_on(None, Heard::Reconnected { at, kept });
    }

    fn pause(&mut self) {
        let now = clock::now();
        let measure_from = Nanos(self.measure_from.load(Relaxed));
        self.take_passed();
        self.gauges.arrived.store(self.arrivals.arrived(), Relaxed);
        while now - measure_from >= Nanos(INTERVAL.0 * (self.interval.index + 1)) {
            self.close_interval();
        }
        self.rest();
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;
    use crate::message::IdWriter;
    use crate::pipeline::servers::StackError;
    use crate::pipeline::{Shutdown, stopped};

    /// A source whose messages are datagrams.
    struct UdpSource(UdpSocket);

    impl ArrivalSource for UdpSource {
        async fn run(
            self,
            sink: &mut impl ArrivalSink,
            ready: impl FnOnce(),
            mut shutdown: Shutdown,
        ) -> Result<(), StackError> {
            self.0.set_nonblocking(true).expect("a socket");
            let socket = tokio::net::UdpSocket::from_std(self.0).expect("within a runtime");
            ready();
            let mut buffer = [0; 1_500];
            loop {
                let len = tokio::select! {
                    received = socket.recv(&mut buffer) => received.expect("a datagram"),
                    () = stopped(&mut shutdown) => return Ok(()),
                };
                let payload = &buffer[..len];
                sink.message(ReceivedMessage {
                    topic: "udp",
                    payload,
                    received: ReceivedAt::now(),
                });
                sink.pause();
            }
        }
    }

    #[tokio::test]
    async fn arrivals_of_a_source_over_udp_are_measured() {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = socket.local_addr().expect("bound");
        let space = IdSpace::from_authority(100, 1, 100);
        let table = Arc::<DueTable>::default();
        let config = ListenerConfig {
            space,
            assignment: None,
            table: Arc::clone(&table),
            id_places: IdPlaces::default(),
            sample: 1,
            rest: Nanos::ZERO,
            exchange: None,
        };
        let listener = Listener::start(UdpSource(socket), config).await.expect("it listens");
        let start = clock::now();
        listener.measure_from(start);
        let mut ids = IdWriter::new(space, 0, Some(table));
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a port");
        for n in 0..3 {
            let id = ids.assign(n, start).expect("an id");
            // Each message is sent twice.
            for _ in 0..2 {
                let payload = format!(r#"{{"MsgID":{}}}"#, id.get());
                sender.send_to(payload.as_bytes(), address).expect("sends");
            }
        }
        for _ in 0..1_000 {
            if listener.gauges.arrived.load(Relaxed) == 3 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        let results = listener.finish().await.expect("the results");
        assert_eq!((results.arrivals.arrived(), results.reconnects), (3, 0));
        assert_eq!((results.last_sampled.len(), results.timed_when_read), (3, 3));
        let arrived: u64 = results.last_intervals.iter().map(|interval| interval.arrived).sum();
        assert_eq!(arrived, 3);
    }
}
