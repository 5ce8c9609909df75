//! The push server: takes messages from the queue and publishes them.
//!
//! Each worker has a connection to the queue and a publisher. With the coupling `direct` it takes and publishes
//! in turn, as the original did; with `channel` it does both side by side, with a bounded channel in between.

mod close_search;
mod connection;
mod keepalive;
mod limit;
mod publisher;
mod rejected;
mod settings;
mod unconfirmed;
mod worker;

use std::fmt::Display;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::queue::{Queue, queue_of};
use super::stamps::{self, Stamper};
use super::{Shutdown, stopped};
use crate::message::IdFields;
use crate::pipeline::servers::StackError;
pub use settings::{PushCounts, PushSettings};
use worker::WorkerGroup;

/// Runs a push server until `shutdown`. `ready` is called once it takes messages.
pub async fn run(
    settings: PushSettings,
    counts: Arc<PushCounts>,
    ready: impl FnOnce(),
    shutdown: Shutdown,
) -> Result<(), StackError> {
    let (stamper, writer) =
        stamps::start(settings.queue.log_server(), &settings.message, "push").await?;
    let queue = queue_of(&settings.queue);
    let id_fields = settings.message.id_fields();
    let shared = PushParts { queue, settings: Arc::new(settings), id_fields, counts, stamper };
    run_workers(shared, ready, shutdown).await?;
    // Ends when the last stamper is gone; it never panics.
    let _ = writer.await;
    Ok(())
}

/// Parts of a push server that all of its workers use.
#[derive(Clone)]
pub(super) struct PushParts<Q> {
    pub(super) queue: Q,
    pub(super) settings: Arc<PushSettings>,
    pub(super) id_fields: IdFields,
    pub(super) counts: Arc<PushCounts>,
    pub(super) stamper: Stamper,
}

/// Runs the workers until `shutdown`. `ready` is called once they take messages.
pub(super) async fn run_workers<Q: Queue>(
    shared: PushParts<Q>,
    ready: impl FnOnce(),
    mut shutdown: Shutdown,
) -> Result<(), StackError> {
    let settings = Arc::clone(&shared.settings);
    let (up, mut all_up) = mpsc::channel::<Result<(), StackError>>(settings.workers);
    // No worker takes messages before all are up: if one of them fails, those messages would be lost.
    let (begin, go) = watch::channel(false);
    // Ends all workers, at shutdown or when one of them has panicked.
    let (stop, halt) = watch::channel(false);
    let panicked = Arc::new(Notify::new());
    let mut threads = Vec::new();
    let thread_count = settings.threads.min(settings.workers);
    for thread in 0..thread_count {
        let group = WorkerGroup {
            shared: shared.clone(),
            panicked: Arc::clone(&panicked),
            shutdown: halt.clone(),
            up: up.clone(),
            go: go.clone(),
        };
        let workers: Vec<_> =
            (0..settings.workers).filter(|w| w % thread_count == thread).collect();
        let name = format!("push-{thread}");
        let start = std::thread::Builder::new().name(name).spawn(move || group.run(&workers));
        threads.push(start.map_err(start_failed)?);
    }
    drop((up, shared));
    for _ in 0..settings.workers {
        tokio::select! {
            // Each worker reports, unless it panics.
            up = all_up.recv() => up.unwrap_or_else(|| Err(start_failed("a worker panicked")))?,
            () = panicked.notified() => return Err(start_failed("a worker panicked")),
        }
    }
    let _ = begin.send(true);
    ready();
    let must_stop = async {
        tokio::select! {
            () = stopped(&mut shutdown) => {}
            () = panicked.notified() => {}
        }
    };
    if !join_threads(threads, must_stop, &stop).await {
        return Err(start_failed("a worker panicked"));
    }
    Ok(())
}

fn start_failed(reason: impl Display) -> StackError {
    StackError::Start { program: "push".to_owned(), reason: reason.to_string() }
}

/// Waits until all threads have ended, and stops them when `must_stop` completes. Returns true if none of them
/// panicked.
async fn join_threads(
    threads: Vec<JoinHandle<()>>,
    must_stop: impl Future<Output = ()>,
    stop: &watch::Sender<bool>,
) -> bool {
    let mut ended = tokio::task::spawn_blocking(move || {
        threads.into_iter().map(|thread| thread.join().is_ok()).min()
    });
    let result = tokio::select! {
        result = &mut ended => result,
        () = must_stop => {
            let _ = stop.send(true);
            ended.await
        }
    };
    matches!(result, Ok(Some(true)))
}

/// Waits for all workers of a thread. If one panics, `panicked` is notified, and the panic is resumed when the
/// others have finished what they hold.
async fn join_workers(mut workers: JoinSet<()>, panicked: &Notify) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn when_a_worker_panics_the_others_finish() {
        let mut workers = JoinSet::new();
        let panicked = Arc::new(Notify::new());
        let notified = Arc::clone(&panicked);
        let (hand_over, mut finished) = mpsc::channel(1);
        workers.spawn(async { panic!("on purpose") });
        workers.spawn(async move {
            notified.notified().await;
            let _ = hand_over.send(()).await;
        });
        let all = tokio::spawn(async move { join_workers(workers, &panicked).await });
        let all = timeout(Duration::from_secs(10), all).await.expect("the panic was not notified");
        assert!(all.is_err_and(|error| error.is_panic()), "the panic was swallowed");
        assert_eq!(finished.try_recv(), Ok(()), "the other worker did not finish");
    }
}
