//! Finds the saturated component of a run from three kinds of evidence, strongest first:
//!
//! 1. a queue that grows: its consumer takes less than arrives. That is push, unless the broker uses all its CPU
//!    time and so slows push down;
//! 2. CPU time: a component that uses nearly all of its threads' time, or all components together
//!    nearly all of this machine's cores;
//! 3. the stage whose median rose the most since the calm step: its component is slow for another reason.

use super::overload::most_queued;
use super::queue_growth::{QueueGrowth, queue_growth};
use crate::message::{Checkpoint, StagePair};
use crate::report::component::ComponentRole;
use crate::report::finding::{Bottleneck, Evidence, SeenAt, Suspect};
use crate::report::{Report, Resource};

/// Share of the time of its threads, or of all cores, in percent, from which a component counts as full.
const FULL: f64 = 85.0;

/// A saturated component and the evidence for it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saturation {
    pub(crate) component: Suspect,
    pub(crate) evidence: Vec<Evidence>,
    /// A queue or CPU time shows it, and not only a stage.
    pub(crate) is_clear: bool,
    /// The run did not start the api and push.
    is_foreign: bool,
}

impl Saturation {
    /// The finding about it, with the place where it was seen.
    pub(crate) fn into_bottleneck(self, seen: SeenAt) -> Bottleneck {
        let Self { component, evidence, is_clear, is_foreign } = self;
        Bottleneck { component, seen, is_clear, evidence, is_foreign }
    }
}

/// CPU use of a component.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CpuUse {
    pub(crate) component: String,
    role: ComponentRole,
    /// Threads that do its work.
    pub(crate) threads: u64,
    /// Percent of the time of its threads.
    pub(crate) percent: f64,
    /// It is that of the busiest thread.
    pub(crate) is_of_one_thread: bool,
}

impl CpuUse {
    fn suspect(&self) -> Suspect {
        match self.role {
            ComponentRole::Generator => Suspect::Generator,
            ComponentRole::Api => Suspect::Api,
            ComponentRole::Push => Suspect::Push,
            ComponentRole::Queue | ComponentRole::Broker | ComponentRole::Other => {
                Suspect::Component(self.component.clone())
            }
        }
    }
}

/// A stage that became slower; medians in microseconds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct SlowerStage {
    stage: StagePair,
    before_us: f64,
    after_us: f64,
}

impl SlowerStage {
    fn rise(&self) -> f64 {
        self.after_us - self.before_us
    }
}

/// The saturated component of a run; `calm` is a run without trouble, if there is one.
pub(crate) fn saturation(report: &Report, calm: Option<&Report>) -> Option<Saturation> {
    let all_cores = all_cores(report).filter(|all| all.percent >= FULL);
    let full = busiest(report).filter(|busiest| busiest.percent >= FULL);
    let stage = calm.and_then(|calm| slower_stage(report, calm));
    let growth = queue_growth(report).filter(QueueGrowth::is_growing);
    let component = match (&growth, &full) {
        (Some(_), Some(full)) if full.role == ComponentRole::Broker => full.suspect(),
        (Some(_), _) => Suspect::Push,
        (None, Some(full)) => full.suspect(),
        (None, None) if all_cores.is_some() => Suspect::Machine,
        (None, None) => component_of(stage.as_ref()?.stage)?,
    };
    let is_clear = growth.is_some() || full.is_some() || all_cores.is_some();
    let mut evidence = Vec::new();
    if let Some(growth) = growth {
        evidence.push(Evidence::QueueGrew { per_s: growth.per_s, to: most_queued(report) });
        evidence.extend(push_limit(report, &component));
    }
    evidence.extend(cpu_evidence(report, &component));
    if let Some(AllCores { percent, cores }) = all_cores {
        evidence.push(Evidence::AllCores { percent, cores });
    }
    evidence.extend(stage.map(|slower| Evidence::StageGrew {
        stage: slower.stage,
        before_us: slower.before_us,
        after_us: slower.after_us,
        error_bound_us: report.run.clock.error_bound_us,
    }));
    let is_foreign = report.run.services.is_none();
    Some(Saturation { component, evidence, is_clear, is_foreign })
}

/// Returns true if the report has the number of threads of each component and of the cores that they share. Reports of
/// older versions do not have all of them.
pub(crate) fn has_cpu_limits(report: &Report) -> bool {
    report.generator.is_some()
        && report.resources.iter().all(|used| percent_of_threads(used, report).is_some())
}

/// The component that uses the largest share of its threads' time. Components with an unknown number of threads
/// are left out.
pub(crate) fn busiest(report: &Report) -> Option<CpuUse> {
    cpu_uses(report).into_iter().max_by(|a, b| a.percent.total_cmp(&b.percent))
}

/// CPU use of the components with a known number of threads.
pub(crate) fn cpu_uses(report: &Report) -> Vec<CpuUse> {
    let uses = report.resources.iter().filter_map(|used| {
        let percent = percent_of_threads(used, report)?;
        let threads = threads(used, report).filter(|threads| *threads > 0);
        let is_of_one_thread = used.busiest_thread_percent.is_some();
        let threads = if is_of_one_thread { Some(1) } else { threads }?;
        Some(CpuUse {
            component: used.component.clone(),
            role: used.role(),
            threads,
            percent,
            is_of_one_thread,
        })
    });
    uses.collect()
}

/// Percent of the time of its threads that a component uses. Of a component that the run did not start it is known for
/// the busiest thread only. `None` if the number of threads is not known.
fn percent_of_threads(used: &Resource, report: &Report) -> Option<f64> {
    let of_all = || Some(used.cpu_percent_mean / threads(used, report)? as f64);
    used.busiest_thread_percent.or_else(of_all)
}

/// The limit of the push server, if that is the component.
fn push_limit(report: &Report, component: &Suspect) -> Option<Evidence> {
    let services = report.run.services.filter(|_| *component == Suspect::Push)?;
    let per_s = services.push_limit?;
    Some(Evidence::PushLimit { per_s })
}

/// Threads that do the component's work: the most cores that it can use. `None` if the report does not have it.
fn threads(used: &Resource, report: &Report) -> Option<u64> {
    if used.processes.is_some() {
        return None;
    }
    match used.role() {
        ComponentRole::Generator => Some(report.run.threads),
        ComponentRole::Api => report.run.services.map(|services| services.api_threads),
        ComponentRole::Push => report.run.services.map(|services| services.push_threads),
        ComponentRole::Queue | ComponentRole::Broker | ComponentRole::Other => Some(1),
    }
}

/// CPU time of all components.
struct AllCores {
    /// Percent of the cores' time.
    percent: f64,
    /// Cores that the components share.
    cores: u64,
}

/// CPU time of all components; `None` if the report has no component or not the number of cores.
fn all_cores(report: &Report) -> Option<AllCores> {
    let generator = report.generator.as_ref()?;
    let cores = generator.available_cores.unwrap_or(generator.cores);
    let all: f64 = report.resources.iter().map(|used| used.cpu_percent_mean).sum();
    let is_known = !report.resources.is_empty() && cores > 0;
    is_known.then(|| AllCores { percent: all / cores as f64, cores })
}

fn cpu_evidence(report: &Report, component: &Suspect) -> Option<Evidence> {
    let used = report.resources.iter().find(|used| match component {
        Suspect::Generator => used.role() == ComponentRole::Generator,
        Suspect::Api => used.role() == ComponentRole::Api,
        Suspect::Push => used.role() == ComponentRole::Push,
        Suspect::Component(name) => used.component == *name,
        Suspect::BrokerOrSubscriber | Suspect::Machine => false,
    })?;
    if let Some(percent) = used.busiest_thread_percent {
        return Some(Evidence::BusiestThread { percent, is_full: percent >= FULL });
    }
    let threads = threads(used, report);
    let percent = used.cpu_percent_mean / threads.unwrap_or(1) as f64;
    Some(Evidence::Cpu { percent, threads, is_full: threads.is_some() && percent >= FULL })
}

/// The stage whose median rose the most since the calm run, if any rose.
fn slower_stage(report: &Report, calm: &Report) -> Option<SlowerStage> {
    let before = stage_medians(calm);
    let slower = stage_medians(report).into_iter().filter_map(|after| {
        let before = before.iter().find(|before| before.stage == after.stage)?;
        Some(SlowerStage { stage: after.stage, before_us: before.p50_us, after_us: after.p50_us })
    });
    slower.max_by(|a, b| a.rise().total_cmp(&b.rise())).filter(|most| most.rise() > 0.0)
}

/// The median of a stage in microseconds.
struct StageMedian {
    stage: StagePair,
    p50_us: f64,
}

/// Medians of the stages that follow each other; other stages are sums of these.
fn stage_medians(report: &Report) -> Vec<StageMedian> {
    let medians = report.stages.iter().filter_map(|row| {
        let stage = StagePair { from: row.from, to: row.to };
        Some(StageMedian { stage, p50_us: row.distribution.p50? })
    });
    medians.filter(|median| median.stage.is_part()).collect()
}

/// The component that a stage is the work of; `None` for a sum of stages.
fn component_of(stage: StagePair) -> Option<Suspect> {
    match (stage.from, stage.to) {
        (Checkpoint::Due, Checkpoint::Sent) => Some(Suspect::Generator),
        (Checkpoint::Sent, Checkpoint::Api) | (Checkpoint::Api, Checkpoint::Queued) => {
            Some(Suspect::Api)
        }
        (Checkpoint::Queued, Checkpoint::Popped) | (Checkpoint::Popped, Checkpoint::Published) => {
            Some(Suspect::Push)
        }
        (Checkpoint::Published, Checkpoint::Arrived) => Some(Suspect::BrokerOrSubscriber),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;
    use crate::report::{Generator, ServiceSettings};

    /// A run of a push server with a limit, two threads of the api and `cores` cores.
    fn run(rate: f64, cores: u64) -> Report {
        let mut report = example::report(rate);
        let push_limit = Some(1_000.0);
        report.run.services = Some(ServiceSettings { api_threads: 2, push_threads: 1, push_limit });
        let available_cores = Some(cores);
        report.generator = Some(Generator { cores, available_cores, ..Generator::default() });
        report
    }

    fn find(report: &Report) -> Saturation {
        saturation(report, Some(&example::report(500.0))).expect("one")
    }

    fn texts(found: &Saturation) -> Vec<String> {
        found.evidence.iter().map(Evidence::to_string).collect()
    }

    fn grow(report: &mut Report) {
        for (second, row) in report.series.iter_mut().enumerate() {
            row.queue_depth = Some(500 * second as u64);
        }
    }

    #[test]
    fn a_growing_queue_points_to_push_or_to_a_full_broker() {
        let mut report = run(1_500.0, 4);
        grow(&mut report);
        let found = find(&report);
        assert_eq!(found.component.to_string(), "push");
        assert_eq!(
            texts(&found),
            [
                "the queue before it grew by 500/s, to 2,000",
                "--push-limit lets 1,000/s through",
                "it uses 20% of the time of its thread, so it is not CPU-bound",
            ]
        );
        report.resources[3].component = "mosquitto".to_owned();
        report.resources[3].cpu_percent_mean = 97.0;
        assert_eq!(find(&report).component.to_string(), "mosquitto");
    }

    #[test]
    fn a_component_is_full_when_its_own_threads_are_busy() {
        let mut report = run(1_500.0, 4);
        // Of two threads.
        report.resources[1].cpu_percent_mean = 120.0;
        assert_eq!(busiest(&report).map(|busiest| busiest.component).as_deref(), Some("api"));
        assert_eq!(saturation(&report, None), None);
        report.resources[1].cpu_percent_mean = 180.0;
        let found = find(&report);
        assert_eq!(
            (found.component.to_string().as_str(), texts(&found)[0].as_str()),
            ("api", "it uses 90% of the time of its 2 threads")
        );
    }

    #[test]
    fn a_component_that_the_run_did_not_start_is_full_when_a_thread_of_it_is() {
        let mut report = run(1_500.0, 8);
        report.run.services = None;
        let (calm, full) = (Some(40.0), Some(93.0));
        for (place, percent) in [(1, full), (2, calm)] {
            let used = &mut report.resources[place];
            (used.processes, used.busiest_thread_percent) = (Some(2), percent);
            used.cpu_percent_mean = 130.0;
        }
        assert!(has_cpu_limits(&report));
        let found = saturation(&report, None).expect("one");
        assert_eq!(found.component, Suspect::Api);
        assert_eq!(texts(&found), ["its busiest thread uses 93% of a core"]);
        // Without the times of its threads its limit is not known.
        report.resources[1].busiest_thread_percent = None;
        assert!(!has_cpu_limits(&report));
        assert_eq!(saturation(&report, None), None);
    }

    #[test]
    fn the_machine_can_be_full_when_no_component_is() {
        let report = run(1_500.0, 1);
        let found = saturation(&report, None).expect("one");
        assert_eq!(found.component, Suspect::Machine);
        assert_eq!(texts(&found), ["all components together use 110% of the 1 core they share"]);
    }

    #[test]
    fn without_other_evidence_the_slowest_grown_stage_points_to_a_component() {
        let stage = |p50| {
            let mut q = example::report(1.0).latency.response;
            q.p50 = Some(p50);
            crate::report::Stage {
                from: Checkpoint::Popped,
                to: Checkpoint::Published,
                distribution: q,
            }
        };
        let (mut calm, mut report) = (example::report(500.0), run(1_500.0, 4));
        calm.stages = vec![stage(20.0)];
        report.stages = vec![stage(900.0)];
        let found = saturation(&report, Some(&calm)).expect("one");
        assert_eq!((found.component.to_string().as_str(), found.is_clear), ("push", false));
        assert!(texts(&found)[1].contains("popped → published grew the most: p50 20.0µs → 900µs"));
    }
}
