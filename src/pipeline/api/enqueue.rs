//! Pushing messages to the queue in batches: while the queue confirms one batch, the next messages gather
//! and go together. No timer waits for a batch, so a single message goes at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, mpsc, oneshot};

use super::body::ReceivedBody;
use super::settings::ApiCounts;
use crate::core::clock::{self, Nanos};
use crate::message::{Checkpoint, MsgId};
use crate::pipeline::queue::{NotReady, Queue, QueueAway, QueueWriter};
use crate::pipeline::servers::StackError;
use crate::pipeline::stamps::Stamper;

/// Most messages that wait for the queue in one lane.
const WAITING: usize = 16_384;
/// Most messages of a batch: Redis serves no other client meanwhile.
const BATCH: usize = 512;
/// Bytes of messages from which on a batch takes no more, for the same reason, and because each is copied for its
/// way to Redis.
const BATCH_BYTES: usize = 1024 * 1024;
/// Time for which a message that the queue took shows that it takes messages.
const RECENT: Nanos = Nanos::from_secs(1);
/// Time between two looks at the length of a queue that is over its limit.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reason for refusing a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The queue does not answer. The message may be in it or not.
    QueueAway,
    /// More messages wait than the settings allow.
    QueueFull,
}

impl From<QueueAway> for Refusal {
    fn from(QueueAway: QueueAway) -> Self {
        Self::QueueAway
    }
}

/// A message to push, and the request that waits for it.
struct Job {
    body: ReceivedBody,
    id: MsgId,
    done: oneshot::Sender<Result<(), Refusal>>,
}

impl AsRef<[u8]> for Job {
    fn as_ref(&self) -> &[u8] {
        &self.body.bytes
    }
}

/// Handle through which the requests of a lane reach the queue.
#[derive(Debug)]
pub(super) struct Enqueuer<W> {
    jobs: mpsc::Sender<Job>,
    last_push: LastPush,
    /// A connection of its own, so that a health check waits behind no message.
    health: Mutex<HealthCheck<W>>,
}

impl<W: QueueWriter> Enqueuer<W> {
    /// Connects and starts the task that feeds the queue, on the current runtime.
    pub(super) async fn start(
        queue: &impl Queue<Writer = W>,
        max_queue: Option<u64>,
        counts: Arc<ApiCounts>,
        stamper: Stamper,
    ) -> Result<Self, StackError> {
        let writer = queue.open_writer().await?;
        let health = HealthCheck { writer: queue.open_writer().await?, last: None };
        let (jobs, waiting) = mpsc::channel(WAITING);
        let last_push = LastPush::default();
        let feeder = Feeder {
            writer,
            last_push: last_push.clone(),
            max_queue: max_queue.unwrap_or(u64::MAX),
            depth: 0,
            looked_at: Instant::now(),
            counts,
            stamper,
        };
        tokio::spawn(feeder.run(waiting));
        Ok(Self { jobs, last_push, health: Mutex::new(health) })
    }

    /// Returns whether the queue takes messages: it took one within the last second, or it is asked now.
    pub(super) async fn check_ready(&self) -> Result<(), NotReady> {
        let asked = clock::now();
        let pushed = self.last_push.get();
        if pushed > Nanos::ZERO && asked < pushed + RECENT {
            return Ok(());
        }
        let mut health = self.health.lock().await;
        match &health.last {
            Some(last) if last.began >= asked => last.ready.clone(),
            _ => health.check().await,
        }
    }

    /// Pushes one message, and returns when the queue has it.
    pub(super) async fn put(&self, body: ReceivedBody, id: MsgId) -> Result<(), Refusal> {
        let (done, result) = oneshot::channel();
        self.jobs.try_send(Job { body, id, done }).map_err(|_| Refusal::QueueFull)?;
        result.await.unwrap_or(Err(Refusal::QueueAway))
    }
}

/// Time of the last batch that the queue took; 0 if it refused the last one, or there was none.
#[derive(Debug, Clone, Default)]
struct LastPush(Arc<AtomicU64>);

impl LastPush {
    fn get(&self) -> Nanos {
        Nanos(self.0.load(Relaxed))
    }

    fn set(&self, at: Nanos) {
        self.0.store(at.0, Relaxed);
    }
}

/// Health checks of the queue, one after another. The result of one serves all requests that came before it
/// began.
#[derive(Debug)]
struct HealthCheck<W> {
    writer: W,
    last: Option<HealthResult>,
}

/// Result of a health check.
#[derive(Debug, Clone)]
struct HealthResult {
    began: Nanos,
    ready: Result<(), NotReady>,
}

impl<W: QueueWriter> HealthCheck<W> {
    async fn check(&mut self) -> Result<(), NotReady> {
        let began = clock::now();
        let ready = self.writer.check_write().await;
        self.last = Some(HealthResult { began, ready: ready.clone() });
        ready
    }
}

/// A batch that was pushed, with its result. Its requests are still to be answered.
struct Settled {
    jobs: Vec<Job>,
    result: Result<(), Refusal>,
    at: Nanos,
}

impl Settled {
    fn answer(&mut self, stamper: &Stamper) {
        for job in self.jobs.drain(..) {
            if self.result.is_ok() {
                stamper.stamp(Checkpoint::Queued, job.id, self.at);
            }
            // Fails if the client has gone. The message is in the queue nevertheless.
            let _ = job.done.send(self.result);
        }
    }
}

/// Takes waiting jobs until the batch is full.
fn gather(jobs: &mut Vec<Job>, waiting: &mut mpsc::Receiver<Job>) {
    let mut bytes: usize = jobs.iter().map(|job| job.body.bytes.len()).sum();
    while jobs.len() < BATCH
        && bytes < BATCH_BYTES
        && let Ok(job) = waiting.try_recv()
    {
        bytes += job.body.bytes.len();
        jobs.push(job);
    }
}

struct Feeder<W> {
    writer: W,
    last_push: LastPush,
    max_queue: u64,
    /// Messages in the queue when its length was read last.
    depth: u64,
    /// Time of the last look at a queue that is over its limit.
    looked_at: Instant,
    counts: Arc<ApiCounts>,
    stamper: Stamper,
}

impl<W: QueueWriter> Feeder<W> {
    /// Pushes what comes until all senders are gone. The next command goes out before the requests of the
    /// last one are answered, so that the queue and the push server work while this thread writes answers.
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let stamper = self.stamper.clone();
        let mut jobs = Vec::with_capacity(BATCH);
        let mut last = Settled { jobs: Vec::with_capacity(BATCH), result: Ok(()), at: Nanos::ZERO };
        loop {
            gather(&mut jobs, &mut waiting);
            if jobs.is_empty() {
                last.answer(&stamper);
                let Some(job) = waiting.recv().await else { return };
                jobs.push(job);
                gather(&mut jobs, &mut waiting);
            }
            let push = self.push(&jobs);
            let (result, ()) = tokio::join!(biased; push, async { last.answer(&stamper) });
            (last.result, last.at) = (result, clock::now());
            self.last_push.set(if result.is_ok() { last.at } else { Nanos::ZERO });
            std::mem::swap(&mut jobs, &mut last.jobs);
        }
    }

    async fn push(&mut self, jobs: &[Job]) -> Result<(), Refusal> {
        if self.depth >= self.max_queue {
            if self.looked_at.elapsed() < LOOK_EVERY {
                return Err(Refusal::QueueFull);
            }
            let depth = self.writer.length().await?;
            self.looked_at = Instant::now();
            self.set_depth(depth);
            if depth >= self.max_queue {
                return Err(Refusal::QueueFull);
            }
        }
        let depth = self.writer.push(jobs).await?;
        self.set_depth(depth);
        Ok(())
    }

    fn set_depth(&mut self, depth: u64) {
        self.depth = depth;
        self.counts.queue_depth.set(depth);
    }
}
