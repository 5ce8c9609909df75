//! Workers of a push server: each takes messages from the queue and publishes them.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::limit::RateLimiter;
use super::publisher::{Outgoing, Publisher, PublisherParts};
use super::rejected::RejectedMessage;
use super::{PushParts, join_workers, start_failed};
use crate::config::settings::Coupling;
use crate::core::clock;
use crate::message::Checkpoint;
use crate::pipeline::queue::{Batching, GivenBack, Queue, QueueReader};
use crate::pipeline::servers::{StackError, mqtt};
use crate::pipeline::{Shutdown, is_stopped, stopped};

/// Batches between pop and publish: enough to keep both busy. With few of them little is lost if the process is
/// killed, and the backlog stays in the queue, where its length is measured.
const CHANNEL: usize = 8;
/// Time allowed for publishing held messages once the server stops.
const GRACE: Duration = Duration::from_millis(600);

/// The workers of one thread.
pub(super) struct WorkerGroup<Q> {
    pub(super) shared: PushParts<Q>,
    pub(super) panicked: Arc<Notify>,
    pub(super) shutdown: Shutdown,
    /// Takes the result of each worker's start.
    pub(super) up: mpsc::Sender<Result<(), StackError>>,
    /// Becomes true when the workers may take messages.
    pub(super) go: watch::Receiver<bool>,
}

impl<Q: Queue> WorkerGroup<Q> {
    /// Runs the workers with these numbers until the shutdown.
    pub(super) fn run(self, workers: &[usize]) {
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
            join_workers(tasks, &panicked).await;
        });
    }

    async fn work(&self, worker: usize) {
        let (rejected, rejections) = mpsc::unbounded_channel();
        let (reader, publisher) = match self.connect(worker, rejected).await {
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
        let publish = async {
            match self.shared.settings.coupling {
                Coupling::Direct => self.direct(reader, publisher).await,
                Coupling::Channel => self.channel(reader, publisher).await,
            }
        };
        // Ends after the publisher.
        tokio::join!(publish, self.shared.set_aside(rejections, self.shutdown.clone()));
    }

    async fn connect(
        &self,
        worker: usize,
        rejected: mpsc::UnboundedSender<RejectedMessage>,
    ) -> Result<(Q::Reader, Publisher), StackError> {
        let settings = &self.shared.settings;
        // A limit leaves the rest in the queue; `direct` takes nothing while it publishes.
        let batching = match (self.limit(), settings.coupling) {
            (Some(limit), _) => Batching::OnDemand(limit.batch()),
            (None, Coupling::Direct) => Batching::OnDemand(usize::MAX),
            (None, Coupling::Channel) => Batching::Ahead,
        };
        let read = Arc::clone(&self.shared.counts.read);
        let reader = self.shared.queue.open_reader(batching, read).await?;
        let publisher = Publisher::open(PublisherParts {
            broker: settings.broker.clone(),
            client_id: mqtt::client_id(&format!("push-{worker}")),
            stamper: self.shared.stamper.clone(),
            counts: Arc::clone(&self.shared.counts.publish),
            rejected,
            max_message: settings.max_message(),
        });
        Ok((reader, publisher.await?))
    }

    /// The share of one worker of the limit.
    fn limit(&self) -> Option<RateLimiter> {
        self.shared.settings.limit.map(|rate| RateLimiter::new(rate, self.shared.settings.workers))
    }

    /// Takes and publishes in turn.
    async fn direct(&self, mut reader: Q::Reader, mut publisher: Publisher) {
        let (mut shutdown, mut limit) = (self.shutdown.clone(), self.limit());
        loop {
            let batch = tokio::select! {
                biased;
                batch = next_batch(&mut reader, &mut shutdown) => batch,
                () = publisher.keep_alive() => continue,
            };
            let Some(batch) = batch else { break };
            let count = batch.len();
            publisher.hold(self.stamp_popped(batch));
            tokio::select! {
                biased;
                () = publisher.flush() => {}
                () = stopped(&mut shutdown) => break,
            }
            pause(&mut limit, count, &mut shutdown).await;
        }
        self.finish(&mut reader, publisher).await;
    }

    /// Takes and publishes side by side.
    async fn channel(&self, mut reader: Q::Reader, publisher: Publisher) {
        let (send, receive) = mpsc::channel(CHANNEL);
        let pop = async {
            let (mut shutdown, mut limit) = (self.shutdown.clone(), self.limit());
            while let Some(batch) = next_batch(&mut reader, &mut shutdown).await {
                if batch.is_empty() {
                    continue;
                }
                let count = batch.len();
                // The publisher ends only after this side has.
                let _ = send.send(self.stamp_popped(batch)).await;
                pause(&mut limit, count, &mut shutdown).await;
            }
            drop(send);
        };
        let (publisher, ()) = tokio::join!(self.publish(publisher, receive), pop);
        self.finish(&mut reader, publisher).await;
    }

    /// Publishes all batches of the channel, those that are there together, until its sender is dropped.
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
                () = publisher.keep_alive() => continue,
            };
            let Some(batch) = first else { return publisher };
            publisher.hold(batch);
            while let Ok(batch) = batches.try_recv() {
                publisher.hold(batch);
            }
            tokio::select! {
                biased;
                () = publisher.flush() => {}
                // The broker may not come back: hold the rest; `finish` decides what becomes of it.
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
        let count = left.len() as u64;
        let counts = &self.shared.counts;
        match reader.give_back(&left).await {
            GivenBack::Yes => {
                counts.returned.add(count);
                log::warn!("{count} messages unpublished, put back");
            }
            GivenBack::No => {
                counts.lost.add(count);
                log::error!("{count} messages unpublished, lost: the queue is away");
            }
            GivenBack::Unknown => {
                counts.unsure.add(count);
                log::error!(
                    "{count} messages unpublished, put back or lost: the queue did not answer"
                );
            }
        }
    }

    /// Stamps the sampled messages of a batch as popped, and marks them to be stamped when published.
    fn stamp_popped(&self, batch: Vec<Bytes>) -> Vec<Outgoing> {
        let at = clock::now();
        self.shared.counts.popped.add(batch.len() as u64);
        batch
            .into_iter()
            .map(|payload| {
                let id = self.shared.id_fields.extract(&payload).ok();
                let stamped = id.filter(|id| self.shared.stamper.wants(*id));
                if let Some(id) = stamped {
                    self.shared.stamper.stamp(Checkpoint::Popped, id, at);
                }
                Outgoing { payload, stamped }
            })
            .collect()
    }
}

/// Takes the next batch, after the shutdown only what was asked for before. `None` if that is all here, or does not
/// come.
async fn next_batch(reader: &mut impl QueueReader, shutdown: &mut Shutdown) -> Option<Vec<Bytes>> {
    if !is_stopped(shutdown) {
        tokio::select! {
            biased;
            batch = reader.take(true) => return batch,
            () = stopped(shutdown) => {}
        }
    }
    timeout(GRACE, reader.take(false)).await.ok().flatten()
}

/// Waits until the limit, if there is one, allows more messages, or until the shutdown.
async fn pause(limit: &mut Option<RateLimiter>, taken: usize, shutdown: &mut Shutdown) {
    if let Some(limit) = limit {
        tokio::select! {
            () = limit.pass(taken) => {}
            () = stopped(shutdown) => {}
        }
    }
}
