//! `loadgen watch` and `loadgen stop`: a look at a fleet from outside, and its end.

use std::time::Duration;

use super::CommandOutcome;
use super::args::VisitArgs;
use super::logger;
use super::progress::View;
use super::signals::Signals;
use crate::fleet::{FleetError, FleetSight, Visitor};
use crate::run::Progress;

/// Interval between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looks in a row without an answer of Redis after which the watch gives up.
const MOST_FAILURES: u32 = 60;

pub(super) async fn watch(args: &VisitArgs) -> anyhow::Result<CommandOutcome> {
    let mut signals = Signals::new()?;
    let visitor = Visitor::open(&args.redis()?, &args.name).await?;
    let view = View::new(false);
    let outcome = tokio::select! {
        outcome = follow(visitor, &args.name, view.updater()) => outcome,
        // The fleet goes on.
        () = signals.next() => Ok(CommandOutcome::Done),
    };
    view.finish();
    Ok(outcome?)
}

/// Shows the progress of a fleet until it ends. The outcome is that of the fleet.
async fn follow(
    mut visitor: Visitor,
    name: &str,
    mut show: impl FnMut(&Progress),
) -> Result<CommandOutcome, FleetError> {
    let (mut gathered, mut failures) = (None, 0);
    loop {
        match visitor.look().await {
            Ok(FleetSight::Gathering { joined, of }) => {
                if gathered != Some(joined) {
                    say(&format!("fleet {name}: {joined} of {of} nodes have joined"));
                }
                gathered = Some(joined);
                failures = 0;
            }
            Ok(FleetSight::Running(progress)) => {
                show(&progress);
                failures = 0;
            }
            Ok(FleetSight::Ended(announced)) => {
                let (result, by) = (&announced.result, &announced.reported_by);
                say(&format!("fleet {name}: {result}; the report is that of {by}"));
                return Ok(CommandOutcome::of_exit_code(announced.exit_code));
            }
            // The nodes do not wait for Redis either.
            Err(FleetError::Away(_)) if failures < MOST_FAILURES => failures += 1,
            Err(error) => return Err(error),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

pub(super) async fn stop(args: &VisitArgs) -> anyhow::Result<CommandOutcome> {
    let mut visitor = Visitor::open(&args.redis()?, &args.name).await?;
    visitor.stop().await?;
    say(&format!("fleet {}: its nodes stop, and report what they have", args.name));
    Ok(CommandOutcome::Done)
}

fn say(text: &str) {
    logger::say(log::Level::Info, text);
}
