//! Listening for arrivals: a thread of its own in the process that sends, so that one monotonic
//! clock stands at both ends of every message.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rustix::thread::clock_nanosleep_absolute;
use rustix::time::ClockId;
use tokio::sync::{mpsc, oneshot, watch};

use super::RunError;
use crate::core::clock::{self, Nanos};
use crate::core::distribution::{AgedLatencies, Latencies};
use crate::engine::LoadResult;
use crate::engine::worker::INTERVAL;
use crate::message::{
    Arrival, ArrivalTracker, Assignment, Checkpoint, DueTable, IdFields, IdSpace, MsgId, Unjoined,
};
use crate::pipeline::servers::mqtt::ReceivedAt;
use crate::pipeline::stamps::{Passage, Stamper};
use crate::pipeline::subscriber::{
    self, ReceivedMessage, Sink, SubscribeCounts, SubscribeSettings,
};

/// Arrivals of one interval.
#[derive(Debug)]
pub(super) struct ArrivalInterval {
    pub(super) index: u64,
    pub(super) arrived: u64,
    pub(super) latencies: Latencies,
}

/// Counts for whoever waits for the last message.
#[derive(Debug, Default)]
pub(super) struct ArrivalGauges {
    pub(super) arrived: AtomicU64,
    /// The clock when the last message of any kind came.
    pub(super) last_at: AtomicU64,
}

/// A listener at work.
pub(super) struct Listener {
    pub(super) gauges: Arc<ArrivalGauges>,
    pub(super) intervals: mpsc::UnboundedReceiver<ArrivalInterval>,
    /// Arrivals of sampled messages.
    pub(super) sampled: mpsc::Receiver<Passage>,
    stop: watch::Sender<bool>,
    result: oneshot::Receiver<ArrivalResults>,
    measure_from: Arc<AtomicU64>,
}

/// arrived − due: of all messages, and of each request of a mix.
pub(super) struct ArrivalTimes {
    pub(super) all: AgedLatencies,
    /// None where there is but one request.
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

/// What a listener hands over at the end.
pub(super) struct ArrivalResults {
    pub(super) arrivals: ArrivalTracker,
    pub(super) times: ArrivalTimes,
    pub(super) reconnects: u64,
    /// Messages that were not joined to any that was sent.
    pub(super) unjoined: Unjoined,
    /// Messages of which the kernel did not note when they were received.
    pub(super) timed_when_read: u64,
    /// Intervals nobody has taken yet.
    pub(super) last_intervals: Vec<ArrivalInterval>,
    /// Arrivals of sampled messages that were not taken yet, and how many were dropped.
    pub(super) last_sampled: Vec<Passage>,
    pub(super) sampled_dropped: u64,
}

/// What a listener needs to know.
pub(super) struct ListenSettings {
    pub(super) subscribe: SubscribeSettings,
    pub(super) space: IdSpace,
    /// Which request of a mix each message is.
    pub(super) assignment: Option<Assignment>,
    pub(super) table: Arc<DueTable>,
    pub(super) id_fields: IdFields,
    /// Sampling divisor of the messages that are joined with stamps.
    pub(super) sample: u64,
    /// How long to leave dense messages before the next read.
    pub(super) rest: Nanos,
}

impl Listener {
    /// Subscribes, and returns once the subscription stands.
    pub(super) async fn start(settings: ListenSettings) -> Result<Self, RunError> {
        let gauges = Arc::new(ArrivalGauges::default());
        let (rows, intervals) = mpsc::unbounded_channel();
        let (stop, shutdown) = watch::channel(false);
        let (hand_over, result) = oneshot::channel();
        let (ready, is_ready) = oneshot::channel();
        let measure_from = Arc::new(AtomicU64::new(u64::MAX));
        let (stamper, sampled) = Stamper::new(settings.sample);
        let results = Writer {
            arrivals: ArrivalTracker::new(settings.space, settings.table, Nanos::ZERO),
            times: ArrivalTimes::new(settings.assignment),
            interval: ArrivalInterval { index: 0, arrived: 0, latencies: Latencies::default() },
            rows,
            gauges: Arc::clone(&gauges),
            id_fields: settings.id_fields,
            stamper,
            rest: settings.rest,
            since_pause: 0,
            timed_when_read: 0,
            unjoined: Unjoined::default(),
            measure_from: Arc::clone(&measure_from),
        };
        let thread = std::thread::Builder::new().name("subscriber".to_owned());
        let subscribe = settings.subscribe;
        let started = thread.spawn(move || {
            let _ = hand_over.send(listen(subscribe, results, ready, shutdown));
        });
        started.map_err(RunError::Thread)?;
        match is_ready.await {
            Ok(result) => result?,
            Err(_) => return Err(RunError::Lost("the subscriber")),
        }
        Ok(Self { gauges, intervals, sampled, stop, result, measure_from })
    }

    /// Says when measuring begins: messages due before it are warm-up.
    pub(super) fn measure_from(&self, at: Nanos) {
        self.measure_from.store(at.0, Relaxed);
    }

    /// Stops listening and takes the books.
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

type Ready = oneshot::Sender<Result<(), RunError>>;

fn listen(
    settings: SubscribeSettings,
    mut writer: Writer,
    ready: Ready,
    shutdown: watch::Receiver<bool>,
) -> ArrivalResults {
    let counts = SubscribeCounts::default();
    let ready = Cell::new(Some(ready));
    let send_ready = |result| {
        if let Some(ready) = ready.take() {
            // The run was given up meanwhile.
            let _ = ready.send(result);
        }
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let run = subscriber::run(
                settings,
                &counts,
                &mut writer,
                || send_ready(Ok(())),
                shutdown,
            );
            if let Err(error) = runtime.block_on(run) {
                send_ready(Err(error.into()));
            }
        }
        Err(error) => send_ready(Err(RunError::Thread(error))),
    }
    writer.close_interval();
    ArrivalResults {
        arrivals: writer.arrivals,
        times: writer.times,
        reconnects: counts.reconnects.get(),
        unjoined: writer.unjoined,
        timed_when_read: writer.timed_when_read,
        last_intervals: Vec::new(),
        last_sampled: Vec::new(),
        sampled_dropped: writer.stamper.dropped(),
    }
}

/// Writes arrivals down.
struct Writer {
    arrivals: ArrivalTracker,
    times: ArrivalTimes,
    interval: ArrivalInterval,
    rows: mpsc::UnboundedSender<ArrivalInterval>,
    gauges: Arc<ArrivalGauges>,
    id_fields: IdFields,
    stamper: Stamper,
    /// How long to leave dense messages before the next read.
    rest: Nanos,
    /// Messages since the last pause that the kernel has timed.
    since_pause: u64,
    timed_when_read: u64,
    unjoined: Unjoined,
    measure_from: Arc<AtomicU64>,
}

/// So many messages that were there at once are dense: the next ones come before a reader is asleep again.
const DENSE: u64 = 2;

impl Writer {
    /// Leaves dense messages to gather. A reader that wakes for each takes more CPU time, and costs the
    /// broker the waking. The kernel has noted when each of them came; those that it joined meanwhile are
    /// written down up to `rest` later, never earlier.
    fn rest(&mut self) {
        if std::mem::take(&mut self.since_pause) >= DENSE && self.rest > Nanos::ZERO {
            // This thread has nothing else to do; its runtime's timers are too coarse.
            let until = (clock::now() + self.rest).as_timespec();
            let _ = clock_nanosleep_absolute(ClockId::Monotonic, &until);
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

impl Sink for Writer {
    fn message(&mut self, message: ReceivedMessage<'_>) {
        let ReceivedAt { at, when_read } = message.came;
        // What is timed when it is read must be read at once.
        self.since_pause += u64::from(!when_read);
        let found = self.id_fields.extract(message.payload);
        let id = found.as_ref().ok().copied();
        self.gauges.last_at.store(at.0, Relaxed);
        self.arrivals.set_measure_from(Nanos(self.measure_from.load(Relaxed)));
        match (self.arrivals.note(id), id) {
            (Arrival::First { due }, Some(id)) => {
                let latency = at - due;
                self.stamper.stamp(Checkpoint::Arrived, id, at);
                self.timed_when_read += u64::from(when_read);
                self.times.record(id, latency);
                self.interval.latencies.record(latency);
                self.interval.arrived += 1;
            }
            (Arrival::Unexpected, _) => {
                self.unjoined.note(message.topic, message.payload, found.as_ref().err());
            }
            _ => {}
        }
    }

    fn disconnected(&mut self) {
        self.arrivals.disconnected();
    }

    fn reconnected(&mut self, session_kept: bool) {
        self.arrivals.reconnected(clock::now(), session_kept);
    }

    fn pause(&mut self) {
        let now = clock::now();
        let measure_from = Nanos(self.measure_from.load(Relaxed));
        self.gauges.arrived.store(self.arrivals.arrived(), Relaxed);
        while now - measure_from >= Nanos(INTERVAL.0 * (self.interval.index + 1)) {
            self.close_interval();
        }
        self.rest();
    }
}
