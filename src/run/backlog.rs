//! Messages that are in the user's queue before a run begins.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use redis::aio::MultiplexedConnection;

use crate::config::plan::Plan;
use crate::pipeline::queue::depth::{Depth, depth};
use crate::pipeline::servers::redis::{Use, connect};

/// Time between two looks at the queue.
const INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for an answer of the queue.
const ANSWER: Duration = Duration::from_secs(1);
/// Time without fewer messages after which nothing seems to take from the queue.
const STUCK: Duration = Duration::from_secs(1);

/// Messages in the queue of the Redis that the plan names, before the run starts services that take from it; `None` if it
/// names no Redis, or if that does not answer.
pub(super) async fn queued_messages(plan: &Plan) -> Option<u64> {
    length(&mut open(plan).await?, plan).await
}

/// Waits until the queue in the Redis that the plan names is empty, for the plan's drain time at most. Returns at once if the
/// plan names no Redis or no queue, or if Redis does not answer.
pub(crate) async fn wait_for_empty_queue(plan: &Plan) {
    let Some(mut connection) = open(plan).await else { return };
    let end = Instant::now() + plan.load.drain;
    let (mut least, mut shrunk_at) = (u64::MAX, Instant::now());
    while let Some(length) = length(&mut connection, plan).await {
        let now = Instant::now();
        if length < least {
            (least, shrunk_at) = (length, now);
        }
        if length == 0 || now >= end || now >= shrunk_at + STUCK {
            return;
        }
        sleep(INTERVAL).await;
    }
}

async fn open(plan: &Plan) -> Option<MultiplexedConnection> {
    let redis = plan.pipeline.redis.as_ref()?;
    timeout(ANSWER, connect(redis, Use::Commands)).await.ok()?.ok()
}

async fn length(connection: &mut MultiplexedConnection, plan: &Plan) -> Option<u64> {
    let depth = timeout(ANSWER, depth(connection, &plan.pipeline.queue_depth)).await.ok()?.ok()?;
    match depth? {
        Depth::Known(length) => Some(length),
        Depth::GroupUnknown => None,
    }
}
