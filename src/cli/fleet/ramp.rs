//! `loadgen ramp --fleet`: join → each step together → one report and one exit code for all nodes.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::{announce, join_unless, keep, say_place, say_result};
use crate::cli::args::{FleetArgs, FleetPlans, RampArgs};
use crate::cli::progress::View;
use crate::cli::ramp::{PreparedRamp, RampScreen, lock, prepare};
use crate::cli::signals::Signals;
use crate::cli::{CommandOutcome, logger, own_program};
use crate::config::plan::{Plan, PlanError};
use crate::core::clock::Nanos;
use crate::engine::shards::LoadShards;
use crate::fleet::{FleetError, Member, RampEnd};
use crate::ramp::{Ramp, SharedSteps};
use crate::report::ramp::RampReport;
use crate::report::{Allowed, Report, RunResult};
use crate::run::{Pending, RunError, Runner, Services};

pub(in crate::cli) async fn run(args: RampArgs) -> anyhow::Result<CommandOutcome> {
    let PreparedRamp { mut plan, text, screen, allowed } = prepare(&args, View::undrawn)?;
    let stop = watch::Sender::new(false);
    let variable = |name: &str| std::env::var(name).ok();
    let settings = plan.base.clone();
    let work = FleetPlans { settings: &settings, plans: &plan.plans(), profile: Some(&text) };
    let request = args.fleet.request(work, variable, stop.clone())?;
    let mut signals = Signals::new()?;
    let Some(member) = join_unless(&request, &settings, &mut signals).await? else {
        return Ok(CommandOutcome::Interrupted);
    };
    plan.command += &member.flags();
    say_place(&member, "");
    let screen = Arc::new(Mutex::new(screen));
    let (progress, events) = (Arc::clone(&screen), Arc::clone(&screen));
    member.show_fleet(move |seen| lock(&progress).show_fleet(seen));
    let is_collector = member.collector_flag();
    let mut steps = FleetSteps { member, args: args.fleet, round: 0, measure_from: Nanos::ZERO };
    let ramp = Ramp::new(plan, Services::Children(own_program()))
        .sharing(&mut steps)
        .stop_on(stop.subscribe())
        .on_event(move |event| lock(&events).handle_in_fleet(event, is_collector()));
    let report = tokio::select! {
        report = ramp.run() => Some(report),
        () = signals.ask_then_insist(&stop) => None,
    };
    lock(&screen).finish();
    let Some(report) = report else { return Ok(CommandOutcome::Interrupted) };
    if !report.complete {
        // The others must not wait for this node. If they know why, they keep the first reason.
        steps.member.fail("its ramp ended before the last step").await;
    }
    let lacks_step = report.steps.last().is_some_and(|step| step.report.is_none());
    let end = tokio::select! {
        end = steps.member.end_ramp(lacks_step) => end,
        () = signals.next() => return Ok(CommandOutcome::Interrupted),
    };
    match end {
        RampEnd::Deliver => deliver(&steps.member, &screen, &report, allowed, &mut signals).await,
        RampEnd::Announced(announced) => Ok(say_result(&steps.member, &announced)),
        RampEnd::Away(reason) => keep_ramp(&steps.member, &report, &reason),
    }
}

/// Delivers the report of the ramp, and announces its result.
async fn deliver(
    member: &Member,
    screen: &Mutex<RampScreen>,
    report: &RampReport,
    allowed: Allowed,
    signals: &mut Signals,
) -> anyhow::Result<CommandOutcome> {
    let delivery = lock(screen).deliver(report);
    let delivered = delivery.finish_unless(signals).await;
    let result = RunResult::of_ramp(report, allowed);
    announce(member, &result).await;
    match delivered {
        Some(delivered) => delivered.map(|()| result.outcome()),
        None => Ok(CommandOutcome::Interrupted),
    }
}

/// Keeps the report of the ramp at this node, as Redis is away.
fn keep_ramp(member: &Member, report: &RampReport, reason: &str) -> anyhow::Result<CommandOutcome> {
    let place = keep(member, &report.to_json())?;
    let text = format!(
        "fleet {}: {reason}, so the nodes cannot agree which of them delivers the report. It is {place}, as in the other \
         nodes",
        member.fleet()
    );
    logger::say(log::Level::Error, &text);
    Ok(CommandOutcome::Failed)
}

/// The steps of a ramp, each of which is a round of the fleet.
struct FleetSteps {
    member: Member,
    args: FleetArgs,
    /// Number of the round, from 1.
    round: u64,
    /// Time from the first slot to the measured part.
    measure_from: Nanos,
}

impl SharedSteps for FleetSteps {
    fn begin<'a>(
        &'a mut self,
        plan: &'a mut Plan,
        runner: Runner,
    ) -> Pending<'a, Result<Runner, RunError>> {
        Box::pin(async move {
            self.round += 1;
            self.member
                .begin_round(self.round, &mut plan.load)
                .await
                .map_err(|error| fleet_error(&error))?;
            let capacity = self.args.check_capacity(plan);
            capacity.map_err(|error| PlanError::new(error.to_string()))?;
            self.measure_from = LoadShards::new(&plan.load).measure_from();
            let runner = match self.member.exchange().await.map_err(|error| fleet_error(&error))? {
                Some(exchange) => runner.share_arrivals(exchange),
                None => runner,
            };
            Ok(runner
                .start_behind(self.member.barrier())
                .on_progress(self.member.on_progress())
                .on_second(self.member.on_second()))
        })
    }

    fn conclude(&mut self, report: Report) -> Pending<'_, Result<Report, RunError>> {
        Box::pin(async move {
            let signed = self.member.signed(report, self.measure_from);
            self.member.end_round(&signed).await.map_err(|error| fleet_error(&error))
        })
    }

    fn abandon<'a>(&'a mut self, error: &'a RunError) -> Pending<'a, ()> {
        Box::pin(async move {
            match error {
                // The others know it already.
                RunError::Fleet(_) => self.member.leave().await,
                error => self.member.fail(&error.to_string()).await,
            }
        })
    }
}

fn fleet_error(error: &FleetError) -> RunError {
    RunError::Fleet(error.to_string())
}
