//! `loadgen --fleet`: join → run → hand in → one report and one exit code for all nodes.

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{RunArgs, UsageError};
use super::metrics::{run_labels, tee};
use super::output::Outputs;
use super::progress::View;
use super::run::{PreparedRun, prepare};
use super::signals::Signals;
use super::{CommandOutcome, logger, own_program};
use crate::config::plan::{Mode, Plan};
use crate::core::units::{Rate, format_some};
use crate::engine::shards::LoadShards;
use crate::fleet::{Announcement, FleetEnd, Joined, Member, join};
use crate::output::forms::Document;
use crate::report::{Allowed, Report, RunResult};
use crate::run::{RunError, Runner, Services};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<CommandOutcome> {
    if args.start_at.is_some() {
        return Err(UsageError(
            "--start-at and --fleet: the nodes of a fleet start when all are ready; leave --start-at out".to_owned(),
        )
        .into());
    }
    let PreparedRun { settings, mut plan, outputs, allowed } = prepare(&args)?;
    let (stop, stopped) = watch::channel(false);
    let variable = |name: &str| std::env::var(name).ok();
    let request = args.fleet.request(&settings, &plan, variable, stop.clone())?;
    let mut signals = Signals::new()?;
    let joining = join(&request, &settings, |joined| say_joined(&request.name, joined));
    let mut member = tokio::select! {
        member = joining => member?,
        () = signals.next() => return Ok(CommandOutcome::Interrupted),
    };
    member.take_place(&mut plan.load);
    say_place(&member, &plan);
    let refused = check_capacity(&plan, args.fleet.most_per_node());
    if let Err(error) = refused {
        member.fail(&error.to_string()).await;
        return Err(error.into());
    }
    let endpoint = args.watch.endpoint()?;
    let progress = View::new(args.watch.quiet);
    let publish = endpoint.as_ref().map(|endpoint| endpoint.updater(run_labels(&plan)));
    member.show_fleet(tee(progress.updater(), publish));
    let runner = Runner::new()
        .services(Services::Children(own_program()))
        .stop_on(stopped)
        .start_behind(member.barrier())
        .on_progress(member.on_progress())
        .on_second(member.on_second());
    let finished = tokio::select! {
        result = runner.run_until_done(&plan) => result,
        () = signals.ask_then_insist(&stop) => {
            progress.finish();
            return Ok(CommandOutcome::Interrupted);
        }
    };
    let report = match finished {
        Ok(finished) => {
            let measure_from = LoadShards::new(&plan.load).measure_from();
            member.signed(finished.report.clone(), measure_from)
        }
        Err(error) => {
            progress.finish();
            member.fail(&error.to_string()).await;
            if matches!(error, RunError::Stopped) {
                logger::say(log::Level::Error, &error.to_string());
                return Ok(CommandOutcome::Interrupted);
            }
            return Err(error.into());
        }
    };
    let ended = tokio::select! {
        ended = member.end(&report) => ended,
        () = signals.next() => {
            progress.finish();
            return Ok(CommandOutcome::Interrupted);
        }
    };
    progress.finish();
    match ended {
        FleetEnd::Collect(results) => {
            let merged = tokio::task::spawn_blocking(move || results.merge());
            let merged = merged.await.context("the merge ended without a result")??;
            conclude(&member, &merged, &outputs, Conclusion { allowed, signals: &mut signals })
                .await
        }
        FleetEnd::Announced(announcement) => Ok(say_result(&member, &announcement)),
        FleetEnd::Away(reason) => keep_report(&member, &report, &reason),
    }
}

/// What the end of a fleet needs besides its report.
struct Conclusion<'a> {
    allowed: Allowed,
    signals: &'a mut Signals,
}

/// Announces the result of the fleet, and delivers its report.
async fn conclude(
    member: &Member,
    report: &Report,
    outputs: &Outputs,
    conclusion: Conclusion<'_>,
) -> anyhow::Result<CommandOutcome> {
    let result = RunResult::of_run(report, conclusion.allowed);
    let own = Announcement {
        exit_code: result.outcome().exit_code(),
        result: result.to_string(),
        reported_by: member.own_name(),
    };
    let announced = member.announce(own.clone()).await?;
    if announced != own {
        return Ok(say_result(member, &announced));
    }
    outputs.add_to_step_summary(Document::Run(report));
    let delivery = outputs.deliver(Document::Run(report));
    match delivery.finish_unless(conclusion.signals).await {
        Some(delivered) => delivered.map(|()| result.outcome()),
        None => Ok(CommandOutcome::Interrupted),
    }
}

fn say_joined(name: &str, joined: Joined) {
    let (nodes, of) = (joined.nodes, joined.of);
    logger::say(log::Level::Info, &format!("fleet {name}: {nodes} of {of} nodes have joined"));
}

fn say_place(member: &Member, plan: &Plan) {
    let load = &plan.load;
    let (first, all) = (load.node.first_worker, load.node.workers);
    let text = format!(
        "fleet {}: this is {} of {}, with workers {first} to {} of {all}",
        member.fleet(),
        member.own_name(),
        format_some(member.nodes(), "node", "nodes"),
        first + load.threads as u64 - 1
    );
    logger::say(log::Level::Info, &text);
}

/// Says the result that another node has announced, and returns the outcome that all nodes have.
fn say_result(member: &Member, announced: &Announcement) -> CommandOutcome {
    let Announcement { result, reported_by, .. } = announced;
    let text = format!("fleet {}: {result}; the report is that of {reported_by}", member.fleet());
    logger::say(log::Level::Info, &text);
    CommandOutcome::of_exit_code(announced.exit_code)
}

/// Refuses a part of the load that is larger than `most`.
fn check_capacity(plan: &Plan, most: Option<Rate>) -> Result<(), UsageError> {
    let (Some(most), Mode::Open { rate, .. }) = (most, plan.load.mode) else { return Ok(()) };
    let own = plan.load.node.part_of(rate.highest().as_f64(), plan.load.threads);
    if own <= most.as_f64() {
        return Ok(());
    }
    Err(UsageError(format!(
        "--max-per-node {most}: this node has {} of {} workers, and would send {own:.0}/s; start more nodes, or give all \
         the same --threads",
        plan.load.threads, plan.load.node.workers
    )))
}

/// Writes the report of this node to a file, as Redis is away.
fn keep_report(member: &Member, report: &Report, reason: &str) -> anyhow::Result<CommandOutcome> {
    let name = member.fleet();
    let file = format!("{name}-{}.json", report.run.node.map_or(0, |node| node.index));
    std::fs::write(&file, report.to_json()).with_context(|| format!("cannot write {file}"))?;
    logger::say(
        log::Level::Error,
        &format!(
            "fleet {name}: {reason}, so this report could not be handed in. It is in {file}; when you have those of all \
             nodes: loadgen merge {name}-*.json"
        ),
    );
    Ok(CommandOutcome::Failed)
}
