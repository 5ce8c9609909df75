//! The wait for target and servers before a run, by `--wait-for`.

use tokio::sync::watch as signal;

use super::RunError;
use super::monitor::stop_requested;
use super::participants::probe_target;
use crate::config::plan::{Plan, Target};
use crate::engine::request::RequestShape;
use crate::pipeline::start_wait::StartWait;

/// Waits until the target and the servers that the user names are up, if the plan says so. A requested stop is
/// [`RunError::Stopped`].
pub(super) async fn until_up(
    plan: &Plan,
    stop: &mut Option<signal::Receiver<bool>>,
) -> Result<(), RunError> {
    let Some(limit) = plan.wait_for.filter(|limit| !limit.is_zero()) else { return Ok(()) };
    tokio::select! {
        result = all_up(plan, StartWait::new(limit)) => result.map_err(|error| RunError::NotUp {
            waited: limit,
            error: Box::new(error),
        }),
        () = stop_requested(stop) => Err(RunError::Stopped),
    }
}

async fn all_up(plan: &Plan, wait: StartWait) -> Result<(), RunError> {
    #[cfg(feature = "pipeline")]
    {
        let pipeline = &plan.pipeline;
        let servers = pipeline.redis.iter().chain(&pipeline.log_server).chain(&pipeline.mqtt);
        for address in servers {
            wait.until_server_up(address).await?;
        }
    }
    if let Target::Url(url) = &plan.target {
        let name = format!("the target {}", RequestShape::display(url));
        wait.until_up(&name, async || probe_target(plan, url).await.map(|_| ())).await?;
    }
    Ok(())
}
