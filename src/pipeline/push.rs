//! The push server: takes messages off the queue and publishes them.
//!
//! Each worker has a popper and a publisher with connections of their own. `direct` runs the two in
//! turn, as the original did; `channel` runs them side by side with a bounded channel in between.

use std::fmt::Display;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::limit::Limit;
use super::metrics::Counter;
use super::publisher::{Outgoing, PublishCounts, Publisher};
use super::queue::{Batching, Queue, QueueReader, RedisList};
use super::stamps::{self, Stamper};
use super::{Shutdown, is_stopped, stopped};
use crate::config::settings::Coupling;
use crate::core::Address;
use crate::core::clock;
use crate::core::units::Rate;
use crate::message::{Checkpoint, IdFields};
use crate::pipeline::servers::{StackError, mqtt};

/// Batches between pop and publish: enough to keep both busy, few enough that little is lost when
/// the process is killed and that the backlog stays in Redis, where it is seen.
const CHANNEL: usize = 8;
/// How long held messages may take to be published once it is time to stop.
const GRACE: Duration = Duration::from_millis(600);

/// What a push server needs to know.
#[derive(Debug, Clone)]
pub struct PushSettings {
    /// Where the queue is.
    pub redis: Address,
    /// Where messages go.
    pub mqtt: Address,
    /// The log server; the queue's Redis unless told otherwise.
    pub log_server: Address,
    /// The list's key.
    pub queue: String,
    /// Topic to publish to.
    pub topic: String,
    /// 0 or 1.
    pub qos: u8,
    /// Poppers with a publisher each, at least 1.
    pub workers: usize,
    /// Threads they are spread over, at least 1.
    pub threads: usize,
    /// How pop and publish are joined.
    pub coupling: Coupling,
    /// Messages a second to take at most, over all workers; what is more stays in the queue.
    pub limit: Option<Rate>,
    /// One message in so many is stamped.
    pub sample: u64,
    /// Where a message carries its id.
    pub id_fields: IdFields,
}

/// What a push server did.
#[derive(Debug, Default)]
pub struct PushCounts {
    /// Messages taken off the queue.
    pub popped: Counter,
    /// Messages put back, because the broker was away at the end.
    pub returned: Counter,
    /// Messages that could be neither published nor put back.
    pub lost: Counter,
    /// What the publishers did.
    pub publish: Arc<PublishCounts>,
}

/// Runs a push server until `shutdown`. `ready` is called once it takes messages.
pub async fn run(
    settings: PushSettings,
    counts: Arc<PushCounts>,
    ready: impl FnOnce(),
    shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) = stamps::start(&settings.log_server, settings.sample, "push").await?;
    let queue = RedisList { address: settings.redis.clone(), key: settings.queue.clone() };
    let from = Shared { queue, settings: Arc::new(settings), counts, stamper };
    run_workers(from, ready, shutdown).await?;
    // Ends when the last stamper is gone; it never panics.
    let _ = writer.await;
    Ok(())
}

/// What all workers of a push server share.
#[derive(Clone)]
pub(super) struct Shared<Q> {
    pub(super) queue: Q,
    pub(super) settings: Arc<PushSettings>,
    pub(super) counts: Arc<PushCounts>,
    pub(super) stamper: Stamper,
}

/// Runs the workers until `shutdown`. `ready` is called once they take messages.
pub(super) async fn run_workers<Q: Queue>(
    shared: Shared<Q>,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let settings = Arc::clone(&shared.settings);
    let (up, mut all_up) = mpsc::channel::<Result<(), StackError>>(settings.workers);
    // Nobody pops before all are up: messages popped by a server that then gives up would be lost.
    let (begin, go) = watch::channel(false);
    // Ends all workers: when it is time to, and when one of them panicked.
    let (stop, halt) = watch::channel(false);
    let panicked = Arc::new(Notify::new());
    let mut threads = Vec::new();
    for thread in 0..settings.threads {
        let group = Group {
            shared: shared.clone(),
            panicked: Arc::clone(&panicked),
            shutdown: halt.clone(),
            up: up.clone(),
            go: go.clone(),
        };
        let workers: Vec<_> =
            (0..settings.workers).filter(|w| w % settings.threads == thread).collect();
        let name = format!("push-{thread}");
        let start = std::thread::Builder::new().name(name).spawn(move || group.run(&workers));
        threads.push(start.map_err(start_failed)?);
    }
    drop((up, shared));
    for _ in 0..settings.workers {
        tokio::select! {
            // Each says something, but for one that panicked.
            up = all_up.recv() => up.unwrap_or_else(|| Err(start_failed("a worker panicked")))?,
            () = panicked.notified() => return Err(start_failed("a worker panicked")),
        }
    }
    let _ = begin.send(true);
    ready();
    let stop_time = async {
        tokio::select! {
            () = stopped(&mut shutdown) => {}
            () = panicked.notified() => {}
        }
    };
    if !ended_well(threads, stop_time, &stop).await {
        return Err(start_failed("a worker panicked"));
    }
    Ok(())
}

fn start_failed(reason: impl Display) -> StackError {
    StackError::Start { program: "push".to_owned(), reason: reason.to_string() }
}

/// Waits until more may be taken, where there is a limit, or until it is time to stop.
async fn pause(limit: &mut Option<Limit>, taken: usize, shutdown: &mut Shutdown) {
    if let Some(limit) = limit {
        tokio::select! {
            () = limit.pass(taken) => {}
            () = stopped(shutdown) => {}
        }
    }
}

/// Waits until all threads have ended, and has them stop at `stop_time`. Whether none panicked.
async fn ended_well(
    threads: Vec<JoinHandle<()>>,
    stop_time: impl Future<Output = ()>,
    stop: &watch::Sender<bool>,
) -> bool {
    let join = move || threads.into_iter().map(|thread| thread.join().is_ok()).min();
    let mut ended = tokio::task::spawn_blocking(join);
    let well = tokio::select! {
        well = &mut ended => well,
        () = stop_time => {
            let _ = stop.send(true);
            ended.await
        }
    };
    matches!(well, Ok(Some(true)))
}

/// Waits for all workers of a thread. Should one panic, that is told, and the panic goes on when the others
/// have finished what they hold.
async fn all_done(mut workers: JoinSet<()>, panicked: &Notify) {
    let mut first = None;
    while let Some(done) = workers.join_next().await {
        if let Some(panic) = done.err().and_then(|error| error.try_into_panic().ok()) {
            panicked.notify_one();
            first.get_or_insert(panic);
        }
    }
    if let Some(panic) = first {
        std::panic::resume_unwind(panic);
    }
}

/// The workers of one thread.
struct Group<Q> {
    shared: Shared<Q>,
    panicked: Arc<Notify>,
    shutdown: Shutdown,
    up: mpsc::Sender<Result<(), StackError>>,
    go: watch::Receiver<bool>,
}

impl<Q: Queue> Group<Q> {
    fn run(self, workers: &[usize]) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                let _ = self.up.try_send(Err(start_failed(error)));
                return;
            }
        };
        let (panicked, group) = (Arc::clone(&self.panicked), Arc::new(self));
        runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for worker in workers {
                let (group, worker) = (Arc::clone(&group), *worker);
                tasks.spawn(async move { group.work(worker).await });
            }
            drop(group);
            all_done(tasks, &panicked).await;
        });
    }

    async fn work(&self, worker: usize) {
        let (reader, publisher) = match self.connect(worker).await {
            Ok(pair) => pair,
            Err(error) => {
                let _ = self.up.send(Err(error)).await;
                return;
            }
        };
        let _ = self.up.send(Ok(())).await;
        let (mut go, mut shutdown) = (self.go.clone(), self.shutdown.clone());
        let may_begin = tokio::select! {
            may_begin = go.wait_for(|go| *go) => may_begin.is_ok(),
            () = stopped(&mut shutdown) => false,
        };
        if !may_begin {
            return;
        }
        match self.shared.settings.coupling {
            Coupling::Direct => self.direct(reader, publisher).await,
            Coupling::Channel => self.channel(reader, publisher).await,
        }
    }

    async fn connect(&self, worker: usize) -> Result<(Q::Reader, Publisher), StackError> {
        let settings = &self.shared.settings;
        // A limit leaves the rest in the queue; `direct` takes nothing while it publishes.
        let batching = match (self.limit(), settings.coupling) {
            (Some(limit), _) => Batching::OnDemand(limit.batch()),
            (None, Coupling::Direct) => Batching::OnDemand(usize::MAX),
            (None, Coupling::Channel) => Batching::Ahead,
        };
        let reader = self.shared.queue.open_reader(batching).await?;
        let client_id = mqtt::client_id(&format!("push-{worker}"));
        let target = (settings.topic.as_str(), settings.qos);
        let counts = Arc::clone(&self.shared.counts.publish);
        let publisher =
            Publisher::open(&settings.mqtt, client_id, target, self.shared.stamper.clone(), counts)
                .await?;
        Ok((reader, publisher))
    }

    /// This worker's part of the limit.
    fn limit(&self) -> Option<Limit> {
        self.shared.settings.limit.map(|rate| Limit::new(rate, self.shared.settings.workers))
    }

    /// Pop, publish, pop again.
    async fn direct(&self, mut reader: Q::Reader, mut publisher: Publisher) {
        let (mut shutdown, mut limit) = (self.shutdown.clone(), self.limit());
        loop {
            let batch = tokio::select! {
                biased;
                batch = reader.take(!is_stopped(&shutdown)) => batch,
                () = publisher.tend() => continue,
            };
            let Some(batch) = batch else { break };
            let count = batch.len();
            publisher.hold(self.stamped(batch));
            tokio::select! {
                biased;
                () = publisher.flush() => {}
                () = stopped(&mut shutdown) => break,
            }
            pause(&mut limit, count, &mut shutdown).await;
        }
        self.finish(&mut reader, publisher).await;
    }

    /// One task pops, one publishes.
    async fn channel(&self, mut reader: Q::Reader, publisher: Publisher) {
        let (send, receive) = mpsc::channel(CHANNEL);
        let pop = async {
            let (mut shutdown, mut limit) = (self.shutdown.clone(), self.limit());
            while let Some(batch) = reader.take(!is_stopped(&shutdown)).await {
                if batch.is_empty() {
                    continue;
                }
                let count = batch.len();
                // The publisher ends only after this side has.
                let _ = send.send(self.stamped(batch)).await;
                pause(&mut limit, count, &mut shutdown).await;
            }
            drop(send);
        };
        let (publisher, ()) = tokio::join!(self.publish(publisher, receive), pop);
        self.finish(&mut reader, publisher).await;
    }

    /// Publishes what comes through the channel, all that is there at once, until the popper is done.
    async fn publish(
        &self,
        mut publisher: Publisher,
        mut batches: mpsc::Receiver<Vec<Outgoing>>,
    ) -> Publisher {
        let mut shutdown = self.shutdown.clone();
        loop {
            let first = tokio::select! {
                biased;
                batch = batches.recv() => batch,
                () = publisher.tend() => continue,
            };
            let Some(batch) = first else { return publisher };
            publisher.hold(batch);
            while let Ok(batch) = batches.try_recv() {
                publisher.hold(batch);
            }
            tokio::select! {
                biased;
                () = publisher.flush() => {}
                // The broker may be away for good: take what still comes, and let the end decide.
                () = stopped(&mut shutdown) => {
                    while let Some(batch) = batches.recv().await {
                        publisher.hold(batch);
                    }
                    return publisher;
                }
            }
        }
    }

    /// Publishes what is held; puts back what cannot be published in time.
    async fn finish(&self, reader: &mut Q::Reader, mut publisher: Publisher) {
        let _ = timeout(GRACE, publisher.settle()).await;
        let left = publisher.close().await;
        if left.is_empty() {
            return;
        }
        let returned = timeout(GRACE / 2, reader.give_back(&left)).await.unwrap_or(false);
        let count = left.len() as u64;
        if returned {
            self.shared.counts.returned.add(count)
        } else {
            self.shared.counts.lost.add(count)
        }
        log::warn!("{count} messages unpublished, {}", if returned { "put back" } else { "lost" });
    }

    /// Stamps a batch as popped, and marks those that will be stamped again.
    fn stamped(&self, batch: Vec<Bytes>) -> Vec<Outgoing> {
        let at = clock::now();
        self.shared.counts.popped.add(batch.len() as u64);
        let outgoing = |payload: Bytes| {
            let id = self.shared.settings.id_fields.extract(&payload).ok();
            let stamped = id.filter(|id| self.shared.stamper.wants(*id));
            if let Some(id) = stamped {
                self.shared.stamper.stamp(Checkpoint::Popped, id, at);
            }
            Outgoing { payload, stamped }
        };
        batch.into_iter().map(outgoing).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_panics_leaves_the_others_their_time() {
        let mut workers = JoinSet::new();
        let panicked = Arc::new(Notify::new());
        let told = Arc::clone(&panicked);
        let (hand_over, mut finished) = mpsc::channel(1);
        workers.spawn(async { panic!("on purpose") });
        workers.spawn(async move {
            told.notified().await;
            let _ = hand_over.send(()).await;
        });
        let all = tokio::spawn(async move { all_done(workers, &panicked).await });
        let all = timeout(Duration::from_secs(10), all).await.expect("nobody told of the panic");
        assert!(all.is_err_and(|error| error.is_panic()), "the panic was swallowed");
        assert_eq!(finished.try_recv(), Ok(()), "the other worker was not let finish");
    }
}
