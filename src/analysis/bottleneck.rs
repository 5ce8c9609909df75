//! Which component is full, and what says so. Three witnesses are heard, the surest first:
//!
//! 1. a queue that grows: what stands behind it takes less than comes. That is push, unless the broker
//!    has no CPU time left and so holds push up;
//! 2. CPU time: a component that uses nearly all of its threads' time, or all components together
//!    nearly all of this machine's cores;
//! 3. the stage that takes the most longer than in the calmest step: its component is slow for another
//!    reason.

use super::findings::StepFacts;
use super::queue_growth::growth;
use crate::core::units::{format_count, format_time};
use crate::message::StagePair;
use crate::report::{Report, Resource};

/// Share of the time of its threads, or of all cores, in percent, from which on nothing is left.
const FULL: f64 = 85.0;
/// The broker's name in a report, whichever it is.
const BROKERS: [&str; 2] = ["mosquitto", "broker"];

/// A component and the evidence against it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Saturated {
    pub(crate) component: String,
    pub(crate) evidence: Vec<String>,
    /// A queue or CPU time says so, not only a stage.
    pub(crate) is_clear: bool,
}

/// A component that has no more to give at a step; `calm` is a step at which all was well.
pub(crate) fn saturated(
    report: &Report,
    calm: Option<&Report>,
    facts: &StepFacts,
    cores: usize,
) -> Option<Saturated> {
    let machine = machine_share(report, cores);
    let full = fullest(report, facts).filter(|(_, share)| *share >= FULL);
    let stage = calm.and_then(|calm| slower_stage(report, calm));
    let grew = growth(report).filter(|growth| growth.is_growing());
    let component = match (&grew, &full, machine) {
        (Some(_), Some((name, _)), _) if BROKERS.contains(&name.as_str()) => name.clone(),
        (Some(_), ..) => "push".to_owned(),
        (None, Some((name, _)), _) => name.clone(),
        (None, None, Some(share)) if share >= FULL => "the machine".to_owned(),
        _ => component_of(&stage.as_ref()?.0)?.to_owned(),
    };
    let is_full = full.is_some() || machine.is_some_and(|share| share >= FULL);
    let is_clear = grew.is_some() || is_full;
    let mut evidence = Vec::new();
    if let Some(growth) = grew {
        let depth = report.series.iter().filter_map(|row| row.queue_depth).max().unwrap_or(0);
        evidence.push(format!(
            "the queue before it grew by {}/s, to {}",
            format_count(growth.per_s.round() as u64),
            format_count(depth)
        ));
        evidence.extend(facts.push_limit.filter(|_| component == "push").map(|limit| {
            format!("--push-limit lets {}/s through", format_count(limit.round() as u64))
        }));
    }
    evidence.extend(cpu(report, facts, &component));
    evidence.extend(machine.filter(|share| *share >= FULL).map(|share| {
        format!("all components together use {share:.0}% of the {cores} cores they share")
    }));
    evidence.extend(stage.map(|(name, then, now)| {
        let then = match (then, report.run.clock.error_bound_us) {
            // Rounded to the clock's bound it says nothing but this.
            (0.0, Some(bound)) => format!("<{}", format_time(bound)),
            _ => format_time(then),
        };
        format!("of the stages, {name} grew the most: p50 {then} → {}", format_time(now))
    }));
    Some(Saturated { component, evidence, is_clear })
}

/// The component that uses the most of its threads' time, in percent of it.
pub(crate) fn fullest(report: &Report, facts: &StepFacts) -> Option<(String, f64)> {
    let share = |used: &Resource| used.cpu_percent_mean / threads(used, report, facts) as f64;
    let most = report.resources.iter().max_by(|a, b| share(a).total_cmp(&share(b)))?;
    Some((most.component.clone(), share(most)))
}

/// Threads that do the component's work: as many cores it can use at most.
fn threads(used: &Resource, report: &Report, facts: &StepFacts) -> u64 {
    match used.component.as_str() {
        "generator" => report.run.threads,
        "api" => facts.api_threads as u64,
        "push" => facts.push_threads as u64,
        _ => 1,
    }
}

/// What all components use of all cores, in percent.
fn machine_share(report: &Report, cores: usize) -> Option<f64> {
    let all: f64 = report.resources.iter().map(|used| used.cpu_percent_mean).sum();
    (!report.resources.is_empty()).then(|| all / cores as f64)
}

fn cpu(report: &Report, facts: &StepFacts, component: &str) -> Option<String> {
    let used = report.resources.iter().find(|used| used.component == component)?;
    let threads = threads(used, report, facts);
    let share = used.cpu_percent_mean / threads as f64;
    let word = if share >= FULL { "" } else { ", so CPU is not what it lacks by itself" };
    let of = if threads == 1 { "its thread".to_owned() } else { format!("its {threads} threads") };
    Some(format!("it uses {share:.0}% of the time of {of}{word}"))
}

/// The stage that takes the most longer than in the calm step: its name, its median then and now.
fn slower_stage(report: &Report, calm: &Report) -> Option<(String, f64, f64)> {
    let named = |report: &Report| -> Vec<(String, f64)> {
        let median = |stage: &crate::report::Stage| {
            // Other stages are the sum of these.
            let pair: StagePair = format!("{}-{}", stage.from, stage.to).parse().ok()?;
            let name = format!("{} → {}", stage.from, stage.to);
            pair.is_part().then_some((name, stage.quantiles.p50?))
        };
        report.stages.iter().filter_map(median).collect()
    };
    let before = named(calm);
    let then = |name: &str| before.iter().find(|(own, _)| own == name).map(|(_, p50)| *p50);
    let grown = named(report).into_iter().filter_map(|(name, now)| Some((then(&name)?, name, now)));
    let most = grown.max_by(|a, b| (a.2 - a.0).total_cmp(&(b.2 - b.0)))?;
    (most.2 > most.0).then_some((most.1, most.0, most.2))
}

/// Whose work a stage is.
fn component_of(stage: &str) -> Option<&'static str> {
    Some(match stage {
        "due → sent" => "generator",
        "sent → api" | "api → queued" => "api",
        "queued → popped" | "popped → published" => "push",
        "published → arrived" => "the broker or the subscriber",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::example;

    fn facts() -> StepFacts {
        StepFacts {
            group: String::new(),
            api_threads: 2,
            push_threads: 1,
            push_limit: Some(1_000.0),
        }
    }

    fn find(report: &Report) -> Saturated {
        saturated(report, Some(&example::report(500.0)), &facts(), 4).expect("one")
    }

    fn grow(report: &mut Report) {
        for (second, row) in report.series.iter_mut().enumerate() {
            row.queue_depth = Some(500 * second as u64);
        }
    }

    #[test]
    fn behind_a_queue_that_grows_is_push_or_a_broker_that_is_full() {
        let mut report = example::report(1_500.0);
        grow(&mut report);
        let found = find(&report);
        assert_eq!(found.component, "push");
        assert_eq!(
            found.evidence,
            [
                "the queue before it grew by 500/s, to 2,000",
                "--push-limit lets 1,000/s through",
                "it uses 20% of the time of its thread, so CPU is not what it lacks by itself",
            ]
        );
        report.resources[3].component = "mosquitto".to_owned();
        report.resources[3].cpu_percent_mean = 97.0;
        assert_eq!(find(&report).component, "mosquitto");
    }

    #[test]
    fn a_component_without_cpu_time_is_told_by_its_own_threads() {
        let mut report = example::report(1_500.0);
        // Of two threads.
        report.resources[1].cpu_percent_mean = 120.0;
        assert_eq!(fullest(&report, &facts()).map(|(name, _)| name).as_deref(), Some("api"));
        assert_eq!(saturated(&report, None, &facts(), 4), None);
        report.resources[1].cpu_percent_mean = 180.0;
        let found = find(&report);
        assert_eq!(
            (found.component.as_str(), found.evidence[0].as_str()),
            ("api", "it uses 90% of the time of its 2 threads")
        );
    }

    #[test]
    fn a_machine_can_be_full_though_no_component_is() {
        let report = example::report(1_500.0);
        let found = saturated(&report, None, &facts(), 1).expect("one");
        assert_eq!(found.component, "the machine");
        assert_eq!(found.evidence, ["all components together use 110% of the 1 cores they share"]);
    }

    #[test]
    fn else_the_stage_that_grew_the_most_tells() {
        let stage = |p50| {
            let mut q = example::report(1.0).latency.response;
            q.p50 = Some(p50);
            crate::report::Stage { from: "popped".into(), to: "published".into(), quantiles: q }
        };
        let (mut calm, mut report) = (example::report(500.0), example::report(1_500.0));
        calm.stages = vec![stage(20.0)];
        report.stages = vec![stage(900.0)];
        let found = saturated(&report, Some(&calm), &facts(), 4).expect("one");
        assert_eq!((found.component.as_str(), found.is_clear), ("push", false));
        assert!(
            found.evidence[1].contains("popped → published grew the most: p50 20.00us → 0.90ms")
        );
    }
}
