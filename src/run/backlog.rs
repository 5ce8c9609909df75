//! Messages that are in the user's queue before a run begins.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::clear::named_queue;
use crate::config::plan::Plan;
use crate::pipeline::queue::{Queue as _, QueueWriter, queue_of};

/// Time between two looks at the queue.
const INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait for an answer of the queue.
const ANSWER: Duration = Duration::from_secs(1);
/// Time without fewer messages after which nothing seems to take from the queue.
const STUCK: Duration = Duration::from_secs(1);

/// Waits until the queue in the Redis that the plan names is empty, for the plan's drain time at most. Returns the number of
/// messages in it then; `None` if the plan names no Redis, or if it does not answer.
pub(crate) async fn wait_for_empty_queue(plan: &Plan) -> Option<u64> {
    let queue = queue_of(&named_queue(plan)?);
    let mut reader = timeout(ANSWER, queue.open_writer()).await.ok()?.ok()?;
    let end = Instant::now() + plan.load.drain;
    let mut least = length(&mut reader).await?;
    let mut shrunk_at = Instant::now();
    loop {
        let now = Instant::now();
        if least == 0 || now >= end || now >= shrunk_at + STUCK {
            return Some(least);
        }
        sleep(INTERVAL).await;
        let length = length(&mut reader).await?;
        if length < least {
            (least, shrunk_at) = (length, Instant::now());
        }
    }
}

async fn length(queue: &mut impl QueueWriter) -> Option<u64> {
    timeout(ANSWER, queue.length()).await.ok()?.ok()
}
