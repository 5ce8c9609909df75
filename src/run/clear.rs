//! Emptying a Redis of the user's own before a run, which happens only if the user asks for it.

use super::RunError;
use crate::config::plan::Plan;
use crate::pipeline::queue::{Queue as _, queue_of};
use crate::pipeline::settings::QueueSettings;
use crate::pipeline::stamps;

/// Deletes the queue in the Redis that the plan names, and the stamps in the log server that it names, or else
/// in that Redis. A plan that names neither leaves nothing to delete.
pub(crate) async fn clear(plan: &Plan) -> Result<(), RunError> {
    if let Some(settings) = named_queue(plan) {
        queue_of(&settings).clear().await?;
    }
    let pipeline = &plan.pipeline;
    if let Some(address) = pipeline.log_server.as_ref().or(pipeline.redis.as_ref()) {
        stamps::clear(address).await?;
    }
    Ok(())
}

/// The queue in the Redis that the plan names; `None` if it names none.
fn named_queue(plan: &Plan) -> Option<QueueSettings> {
    let redis = plan.pipeline.redis.clone()?;
    Some(QueueSettings { redis, log_server: None, queue: plan.pipeline.queue.clone() })
}
