//! Putting messages into the queue, many with one command: while Redis answers one `LPUSH`, the next
//! messages gather, and go together. No timer waits for a batch, so a lone message goes at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::RedisError;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::settings::{ApiCounts, ApiSettings};
use crate::core::clock::{self, Nanos};
use crate::message::{Checkpoint, MsgId};
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use};
use crate::pipeline::stamps::Stamper;

/// Messages that may wait for Redis in one lane.
const WAITING: usize = 16_384;
/// Messages of one command at most: it blocks Redis for all others meanwhile.
const BATCH: usize = 512;
/// How often the length of a queue that is over its limit is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Redis does not answer. The message may be in the queue or not.
    RedisAway,
    /// More messages wait than the settings allow.
    QueueFull,
}

struct Job {
    body: Bytes,
    id: MsgId,
    done: oneshot::Sender<Result<(), Refused>>,
}

/// The handle of a lane's requests.
#[derive(Debug)]
pub(super) struct Enqueuer {
    jobs: mpsc::Sender<Job>,
    /// A connection of its own, so that a health check waits behind no message.
    probe: Mutex<Probe>,
}

impl Enqueuer {
    /// Connects and starts the task that feeds the queue, on the current runtime.
    pub(super) async fn start(
        settings: &ApiSettings,
        counts: Arc<ApiCounts>,
        stamper: Stamper,
    ) -> Result<Self, StackError> {
        let link = Link::open(settings.redis.clone(), Use::Commands).await?;
        let probe = Link::open(settings.redis.clone(), Use::Commands).await?;
        let probe = Mutex::new(Probe { link: probe, last: None });
        let (jobs, waiting) = mpsc::channel(WAITING);
        let feeder = Feeder {
            link,
            queue: settings.queue.clone(),
            max_queue: settings.max_queue.unwrap_or(u64::MAX),
            depth: 0,
            looked_at: Instant::now(),
            counts,
            stamper,
        };
        tokio::spawn(feeder.run(waiting));
        Ok(Self { jobs, probe })
    }

    /// Whether Redis answers now.
    pub(super) async fn is_up(&self) -> bool {
        let asked = clock::now();
        let mut probe = self.probe.lock().await;
        match probe.last {
            Some((began, up)) if began >= asked => up,
            _ => probe.look().await,
        }
    }

    /// Puts one message into the queue; returns when Redis has it.
    pub(super) async fn put(&self, body: Bytes, id: MsgId) -> Result<(), Refused> {
        let (done, result) = oneshot::channel();
        self.jobs.try_send(Job { body, id, done }).map_err(|_| Refused::QueueFull)?;
        result.await.unwrap_or(Err(Refused::RedisAway))
    }
}

/// Health checks, one after another. What one finds out serves all that were asked for before it began.
#[derive(Debug)]
struct Probe {
    link: Link,
    /// When the last one began, and what it found.
    last: Option<(Nanos, bool)>,
}

impl Probe {
    async fn look(&mut self) -> bool {
        let began = clock::now();
        let up = self.ping().await;
        self.last = Some((began, up));
        up
    }

    async fn ping(&mut self) -> bool {
        let Some(connection) = self.link.get().await else { return false };
        let answer = redis::cmd("PING").query_async::<()>(connection).await;
        answer.inspect_err(|error| self.link.failed(error)).is_ok()
    }
}

/// Messages of the last command, and what came of it: their requests are still to be answered.
struct Settled {
    jobs: Vec<Job>,
    result: Result<(), Refused>,
    at: Nanos,
}

impl Settled {
    fn answer(&mut self, stamper: &Stamper) {
        for job in self.jobs.drain(..) {
            if self.result.is_ok() {
                stamper.stamp(Checkpoint::Queued, job.id, self.at);
            }
            // The client may have gone; the message is in the queue all the same.
            let _ = job.done.send(self.result);
        }
    }
}

struct Feeder {
    link: Link,
    queue: String,
    max_queue: u64,
    /// Messages in the queue as last seen, and when that was.
    depth: u64,
    looked_at: Instant,
    counts: Arc<ApiCounts>,
    stamper: Stamper,
}

impl Feeder {
    /// The next command goes out before the requests of the last one are answered, so that Redis, and
    /// who waits for its messages, work while this thread writes the answers.
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        let stamper = self.stamper.clone();
        let mut jobs = Vec::with_capacity(BATCH);
        let mut last = Settled { jobs: Vec::with_capacity(BATCH), result: Ok(()), at: Nanos::ZERO };
        loop {
            while jobs.len() < BATCH
                && let Ok(job) = waiting.try_recv()
            {
                jobs.push(job);
            }
            if jobs.is_empty() {
                last.answer(&stamper);
                if waiting.recv_many(&mut jobs, BATCH).await == 0 {
                    return;
                }
            }
            let push = self.push(&jobs);
            let (result, ()) = tokio::join!(biased; push, async { last.answer(&stamper) });
            (last.result, last.at) = (result, clock::now());
            std::mem::swap(&mut jobs, &mut last.jobs);
        }
    }

    async fn push(&mut self, jobs: &[Job]) -> Result<(), Refused> {
        let Some(connection) = self.link.get().await else {
            return Err(Refused::RedisAway);
        };
        if self.depth >= self.max_queue {
            if self.looked_at.elapsed() < LOOK_EVERY {
                return Err(Refused::QueueFull);
            }
            self.looked_at = Instant::now();
            let depth = redis::cmd("LLEN").arg(&self.queue).query_async(connection).await;
            self.note_depth(depth)?;
            if self.depth >= self.max_queue {
                return Err(Refused::QueueFull);
            }
        }
        let Some(connection) = self.link.get().await else { return Err(Refused::RedisAway) };
        let mut command = redis::cmd("LPUSH");
        command.arg(&self.queue);
        jobs.iter().for_each(|job| {
            command.arg(job.body.as_ref());
        });
        let depth = command.query_async(connection).await;
        self.note_depth(depth)
    }

    /// Redis has told the queue's length, or has failed to.
    fn note_depth(&mut self, depth: Result<u64, RedisError>) -> Result<(), Refused> {
        match depth {
            Ok(depth) => {
                self.depth = depth;
                self.counts.queue_depth.set(depth);
                Ok(())
            }
            Err(error) => {
                log::warn!("cannot push to {}: {error}", self.queue);
                self.link.failed(&error);
                Err(Refused::RedisAway)
            }
        }
    }
}
