//! `loadgen --fleet`: join → run → hand in → one report and one exit code for all nodes.

pub(super) mod ramp;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use tokio::sync::watch;

use super::args::{FleetPlans, RunArgs, UsageError};
use super::metrics::{run_labels, tee};
use super::output::{Outputs, print_bytes};
use super::progress::View;
use super::ramp::ShowProgress;
use super::run::{PreparedRun, prepare};
use super::signals::Signals;
use super::{CommandOutcome, logger, own_program};
use crate::config::plan::{LoadConfig, Plan};
use crate::config::settings::Settings;
use crate::core::units::format_some;
use crate::engine::shards::LoadShards;
use crate::fleet::{Announcement, FleetEnd, FleetError, JoinCount, JoinRequest, Member, join};
use crate::output::forms::Document;
use crate::report::{Allowed, Report, RunResult};
use crate::run::{Progress, RunError, Runner, Services};

pub(super) async fn run(args: RunArgs) -> anyhow::Result<CommandOutcome> {
    if args.start_at.is_some() {
        return Err(UsageError(
            "--start-at and --fleet: the nodes of a fleet start when all are ready; leave --start-at out".to_owned(),
        )
        .into());
    }
    let PreparedRun { settings, mut plan, outputs, allowed } = prepare(&args)?;
    let stop = watch::Sender::new(false);
    let variable = |name: &str| std::env::var(name).ok();
    let work =
        FleetPlans { settings: &settings, plans: std::slice::from_ref(&plan), profile: None };
    let request = args.fleet.request(work, variable, stop.clone())?;
    let mut signals = Signals::new()?;
    let Some(mut member) = join_unless(&request, &settings, &mut signals).await? else {
        return Ok(CommandOutcome::Interrupted);
    };
    member.take_place(&mut plan.load);
    say_place(&member, &workers(&plan.load));
    let mut node = FleetNode { member, plan, stop, signals };
    let Some(report) = node.measure(&args).await? else {
        return Ok(CommandOutcome::Interrupted);
    };
    node.end(report, &outputs, allowed).await
}

/// Joins the fleet; `None` if a signal comes before all have joined.
async fn join_unless(
    request: &JoinRequest,
    settings: &Settings,
    signals: &mut Signals,
) -> Result<Option<Member>, FleetError> {
    let joining = join(request, settings, |joined| say_joined(&request.name, joined));
    tokio::select! {
        member = joining => member.map(Some),
        () = signals.next() => Ok(None),
    }
}

/// One node of a fleet: its place, its part of the load, and who may stop it.
struct FleetNode {
    member: Member,
    plan: Plan,
    stop: watch::Sender<bool>,
    signals: Signals,
}

impl FleetNode {
    /// Sends this node's part of the load. Returns its report; `None` if it was interrupted before it had one. The other
    /// nodes learn of an error.
    async fn measure(&mut self, args: &RunArgs) -> anyhow::Result<Option<Report>> {
        let result = self.try_to_measure(args).await;
        match &result {
            // The others know it already.
            Err(error) if matches!(error.downcast_ref(), Some(RunError::Fleet(_))) => {
                self.member.leave().await;
            }
            Err(error) => self.member.fail(&format!("{error:#}")).await,
            Ok(_) => {}
        }
        match result {
            Err(error) if matches!(error.downcast_ref(), Some(RunError::Stopped)) => {
                logger::say(log::Level::Error, &error.to_string());
                Ok(None)
            }
            result => result,
        }
    }

    async fn try_to_measure(&mut self, args: &RunArgs) -> anyhow::Result<Option<Report>> {
        args.fleet.check_capacity(&self.plan)?;
        let endpoint = args.watch.endpoint()?;
        let view = Arc::new(Mutex::new(FleetView::new(args.watch.quiet)));
        let shown = Arc::clone(&view);
        let publish = endpoint.as_ref().map(|endpoint| endpoint.updater(run_labels(&self.plan)));
        self.member.show_fleet(tee(move |progress| lock(&shown).show(progress), publish));
        let exchange = self.member.exchange().await?;
        let mut runner = Runner::new()
            .services(Services::Children(own_program()))
            .stop_on(self.stop.subscribe())
            .start_behind(self.member.barrier())
            .on_progress(self.member.on_progress())
            .on_second(self.member.on_second());
        if let Some(exchange) = exchange {
            runner = runner.share_arrivals(exchange);
        }
        let finished = tokio::select! {
            result = runner.run_until_done(&self.plan) => Some(result),
            () = self.signals.ask_then_insist(&self.stop) => None,
        };
        lock(&view).finish();
        let Some(finished) = finished else { return Ok(None) };
        let measure_from = LoadShards::new(&self.plan.load).measure_from();
        Ok(Some(self.member.signed(finished?.report.clone(), measure_from)))
    }

    /// Hands in the report, and waits for the result of the fleet.
    async fn end(
        mut self,
        report: Report,
        outputs: &Outputs,
        allowed: Allowed,
    ) -> anyhow::Result<CommandOutcome> {
        let ended = tokio::select! {
            ended = self.member.end(&report) => ended,
            () = self.signals.next() => return Ok(CommandOutcome::Interrupted),
        };
        let results = match ended {
            FleetEnd::Collect(results) => results,
            FleetEnd::Announced(announcement) => {
                return Ok(say_result(&self.member, &announcement));
            }
            FleetEnd::Away(reason) => return keep_report(&self.member, &report, &reason),
        };
        let merged = tokio::task::spawn_blocking(move || results.merge());
        match merged.await.context("the merge ended without a result")? {
            Ok(merged) => self.conclude(&merged, outputs, allowed).await,
            Err(error) => Err(announce_failure(&self.member, error).await),
        }
    }

    /// Delivers the report of the fleet, and announces its result.
    async fn conclude(
        &mut self,
        report: &Report,
        outputs: &Outputs,
        allowed: Allowed,
    ) -> anyhow::Result<CommandOutcome> {
        if let Some(announced) = self.member.announced().await {
            return Ok(say_result(&self.member, &announced));
        }
        // First the report: a launcher may end all processes when the first one has failed.
        outputs.add_to_step_summary(Document::Run(report));
        let delivery = outputs.deliver(Document::Run(report));
        let delivered = delivery.finish_unless(&mut self.signals).await;
        let result = RunResult::of_run(report, allowed);
        announce(&self.member, &result).await;
        match delivered {
            Some(delivered) => delivered.map(|()| result.outcome()),
            None => Ok(CommandOutcome::Interrupted),
        }
    }
}

/// The view of the whole fleet. It is there from the first progress on, which only the collector gets.
struct FleetView {
    is_quiet: bool,
    view: Option<View>,
    update: Option<ShowProgress>,
    is_over: bool,
}

impl FleetView {
    fn new(is_quiet: bool) -> Self {
        Self { is_quiet, view: None, update: None, is_over: false }
    }

    fn show(&mut self, progress: &Progress) {
        if self.is_over {
            return;
        }
        let view = self.view.get_or_insert_with(|| View::new(self.is_quiet));
        let update = self.update.get_or_insert_with(|| Box::new(view.updater()));
        update(progress);
    }

    /// Clears the view. The wait for the other nodes has none.
    fn finish(&mut self) {
        self.is_over = true;
        self.view.iter().for_each(View::finish);
    }
}

fn lock(view: &Mutex<FleetView>) -> MutexGuard<'_, FleetView> {
    view.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Announces the result of the fleet.
async fn announce(member: &Member, result: &RunResult) {
    let announcement = Announcement {
        exit_code: result.outcome().exit_code(),
        result: result.to_string(),
        reported_by: member.own_name(),
    };
    if let Err(error) = member.announce(&announcement).await {
        log::warn!("the other nodes do not learn the result: {error}");
    }
}

/// Announces that there is no report of the fleet, and returns the reason.
async fn announce_failure(member: &Member, error: FleetError) -> anyhow::Error {
    let announcement = Announcement {
        exit_code: CommandOutcome::Failed.exit_code(),
        result: format!("FAILED ({error})"),
        reported_by: member.own_name(),
    };
    // Where Redis is away, the others find the same reason.
    let _ = member.announce(&announcement).await;
    error.into()
}

fn say_joined(name: &str, joined: JoinCount) {
    let (nodes, of) = (joined.nodes, joined.of);
    logger::say(log::Level::Info, &format!("fleet {name}: {nodes} of {of} nodes have joined"));
}

/// Says which of the nodes this is. `part` is its part of the load in words, or empty.
fn say_place(member: &Member, part: &str) {
    let reporter = member.reporter();
    let rest = reporter
        .map_or_else(String::new, |node| format!("; {node} shows the progress and has the report"));
    let text = format!(
        "fleet {}: this is {} of {}{part}{rest}",
        member.fleet(),
        member.own_name(),
        format_some(member.nodes(), "node", "nodes"),
    );
    logger::say(log::Level::Info, &text);
}

/// The workers of this node in words.
fn workers(load: &LoadConfig) -> String {
    let (first, all) = (load.node.first_worker, load.node.workers);
    format!(", with workers {first} to {} of {all}", first + load.threads as u64 - 1)
}

/// Says the result that another node has announced, and returns the outcome that all nodes have.
fn say_result(member: &Member, announced: &Announcement) -> CommandOutcome {
    let Announcement { result, reported_by, .. } = announced;
    let text = format!("fleet {}: {result}; the report is that of {reported_by}", member.fleet());
    logger::say(log::Level::Info, &text);
    CommandOutcome::of_exit_code(announced.exit_code)
}

/// Writes the report of this node to a file, or else to stdout, as Redis is away.
fn keep_report(member: &Member, report: &Report, reason: &str) -> anyhow::Result<CommandOutcome> {
    let name = member.fleet();
    let place = keep(member, &report.to_json())?;
    logger::say(
        log::Level::Error,
        &format!(
            "fleet {name}: {reason}, so this report could not be handed in. It is {place}; when you have those of all \
             nodes: loadgen merge {name}-*.json"
        ),
    );
    Ok(CommandOutcome::Failed)
}

/// Writes a report to the file of this node, or else to stdout. Returns the place in words.
fn keep(member: &Member, json: &str) -> anyhow::Result<String> {
    let file = format!("{}-{}.json", member.fleet(), member.index());
    match std::fs::write(&file, json) {
        Ok(()) => Ok(format!("in {file}")),
        Err(error) => {
            print_bytes(json.as_bytes()).context("the report could not be printed")?;
            Ok(format!("on standard output, as {file} cannot be written ({error})"))
        }
    }
}
