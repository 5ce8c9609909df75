//! Emptying a Redis of the user's own before a run, which happens only where the user says so.

use super::RunError;
use crate::config::plan::Plan;
use crate::message::Checkpoint;
use crate::pipeline::servers::redis::{Use, connect};

/// Deletes the queue in the Redis that the plan names, and the stamps in the log server that it names
/// or else there; without either, nothing.
pub async fn clear(plan: &Plan) -> Result<(), RunError> {
    let pipeline = &plan.pipeline;
    if let Some(address) = &pipeline.redis {
        let mut connection = connect(address, Use::Commands).await?;
        redis::cmd("DEL").arg(&pipeline.queue).query_async::<()>(&mut connection).await?;
    }
    if let Some(address) = pipeline.log_server.as_ref().or(pipeline.redis.as_ref()) {
        let mut connection = connect(address, Use::Commands).await?;
        let lists: Vec<_> = Checkpoint::STAMPED.into_iter().filter_map(Checkpoint::list).collect();
        redis::cmd("DEL").arg(lists).query_async::<()>(&mut connection).await?;
    }
    Ok(())
}
