//! Arguments of `loadgen dead`.

use clap::{Args, Subcommand};

use super::RedisAccess;
use crate::core::units::parse_count;
use crate::pipeline::queue::dead_list::DeadListSettings;

#[derive(Debug, Args)]
pub(in crate::cli) struct DeadArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: DeadCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum DeadCommand {
    /// Print the rejected messages, the oldest first
    List(DeadSelection),
    /// Move the rejected messages to the end of the queue, the oldest first
    Requeue(DeadSelection),
}

/// Rejected messages of a queue.
#[derive(Debug, Args)]
pub(in crate::cli) struct DeadSelection {
    #[command(flatten)]
    pub(in crate::cli) list: DeadListSettings,

    #[command(flatten)]
    pub(in crate::cli) redis_access: RedisAccess,

    /// At most N messages, the oldest (default: all)
    #[arg(long, value_name = "N", value_parser = parse_most)]
    pub(in crate::cli) most: Option<usize>,
}

fn parse_most(text: &str) -> Result<usize, String> {
    let most = parse_count(text).map_err(|error| error.to_string())?;
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}
