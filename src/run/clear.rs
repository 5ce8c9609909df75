//! Emptying a Redis of the user's own before a run, which happens only where the user says so.

use super::RunError;
use crate::pipeline::stamps::Place;
use crate::plan::Plan;
use crate::stack::redis::{Use, connect};

/// Deletes the queue and the stamps in the Redis that the plan names; without one, nothing.
pub async fn clear(plan: &Plan) -> Result<(), RunError> {
    let Some(address) = &plan.pipeline.redis else { return Ok(()) };
    let mut connection = connect(address, Use::Commands).await?;
    let mut command = redis::cmd("DEL");
    command.arg(&plan.pipeline.queue);
    Place::ALL.iter().for_each(|place| {
        command.arg(place.list());
    });
    Ok(command.query_async(&mut connection).await?)
}
