//! The parts' sum: counts and histograms exactly, seconds side by side, and the worst of the verdicts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::lost::is_empty;
use super::plan::without_node;
use super::starts::{Skew, Timeline, has_common_log_server};
use super::{LostNode, MergeError, MergePart};
use crate::core::distribution::{Distribution, DistributionSum};
use crate::core::units::round;
use crate::report::figures::add_by_name;
use crate::report::heatmap::HeatMap;
use crate::report::{
    ByRequest, Clock, Generator, Latency, Parts, PerThread, Report, Requests, Resource, Row, Run,
    SCHEMA_VERSION, Script, Tool,
};

/// Adds the parts up.
pub(super) struct Sum<'a> {
    /// When the first of them began.
    pub(super) begin_us: u64,
    pub(super) timeline: Timeline,
    /// Between the first start and the last; none of one part.
    pub(super) skew: Option<Skew>,
    pub(super) parts: &'a [MergePart],
    pub(super) lost: &'a [LostNode],
    /// Rows of the whole fleet.
    pub(super) seconds: &'a [Row],
}

impl<'a> Sum<'a> {
    /// Sum of parts, of which at least one is not of a lost node.
    pub(super) fn of(parts: &'a [MergePart], timeline: Timeline) -> Self {
        let nodes: Vec<_> = parts.iter().map(|part| part.at).collect();
        let begin_us = nodes.iter().map(|node| node.span.begin_us).min().unwrap_or(0);
        Self { begin_us, timeline, skew: Skew::of(&nodes), parts, lost: &[], seconds: &[] }
    }

    /// Adds what is known of lost nodes, and the rows of the whole fleet.
    pub(super) fn with_fleet(self, lost: &'a [LostNode], seconds: &'a [Row]) -> Self {
        Self { lost, seconds, ..self }
    }

    pub(super) fn report(&self) -> Result<Report, MergeError> {
        let mut report = Report {
            schema_version: SCHEMA_VERSION,
            tool: Tool::own(),
            run: self.run(),
            requests: self.requests(),
            script: self.script(),
            latency: Latency {
                response: self.distribution(|r| Some(&r.latency.response))?,
                service: self.distribution(|r| Some(&r.latency.service))?,
                lateness: self.distribution(|r| Some(&r.latency.lateness))?,
                pacing: self.distribution(|r| Some(&r.latency.pacing))?,
                waiting: match self.first().latency.waiting {
                    Some(_) => Some(self.distribution(|r| r.latency.waiting.as_ref())?),
                    None => None,
                },
                connect: match self.first().latency.connect {
                    Some(_) => Some(self.distribution(|r| r.latency.connect.as_ref())?),
                    None => None,
                },
            },
            messages: self.messages(),
            arrival: match self.first().arrival {
                Some(_) => Some(self.distribution(|r| r.arrival.as_ref())?),
                None => None,
            },
            by_request: self.by_request()?,
            stages: self.stages()?,
            stamps: self.stamps(),
            generator: self.generator(),
            resources: self.resources(),
            series: self.series(),
            heatmap: self.heatmap(),
            nodes: self.nodes(),
            verdict: self.first().verdict.clone(),
        };
        report.derive_numbers();
        report.verdict = self.verdict(&report);
        Ok(report)
    }

    /// The first report that is not of a lost node.
    pub(super) fn first(&self) -> &'a Report {
        let first = self.reporting().next().or(self.parts.first());
        &first.expect("a sum has a part: the check refuses none").report
    }

    /// The parts that are not of lost nodes.
    pub(super) fn reporting(&self) -> impl Iterator<Item = &'a MergePart> + use<'a> {
        self.parts.iter().filter(|part| !part.is_lost)
    }

    /// The reports of all parts.
    pub(super) fn reports(&self) -> impl Iterator<Item = &'a Report> + use<'a> {
        self.parts.iter().map(|part| &part.report)
    }

    fn sum(&self, of: impl Fn(&Report) -> u64) -> u64 {
        self.reports().map(of).fold(0, u64::saturating_add)
    }

    /// Seconds from the beginning to the latest of the parts' moments, each told from its own beginning.
    fn latest(&self, of: impl Fn(&Report) -> f64) -> f64 {
        let moments = self.parts.iter().map(|part| self.offset(part) + of(&part.report));
        round(moments.fold(0.0, f64::max), 1e6)
    }

    /// Delay of a part's start behind that of the first part, in seconds.
    pub(super) fn offset(&self, part: &MergePart) -> f64 {
        (part.at.span.begin_us - self.begin_us) as f64 / 1e6
    }

    fn run(&self) -> Run {
        let first = &self.first().run;
        let begin = SystemTime::UNIX_EPOCH + Duration::from_micros(self.begin_us);
        let bounds = self.reports().filter_map(|report| report.run.clock.error_bound_us);
        let count = first.node.map_or(1, |node| node.count);
        let ids: Vec<_> = self.reporting().map(|part| part.report.run.id.clone()).collect();
        let nodes: Vec<_> = self.reporting().map(|part| part.at.node).collect();
        let machines = self.reporting().filter_map(|part| part.report.generator.clone());
        Run {
            id: ids.join("+"),
            started_at: humantime::format_rfc3339_millis(begin).to_string(),
            duration_s: self.latest(|report| report.run.duration_s),
            rate_target: first.rate_target.map(|_| self.rate(|run| run.rate_target)),
            rate_range: (first.rate_range)
                .map(|_| [0, 1].map(|end| self.rate(|run| run.rate_range.map(|range| range[end])))),
            command: without_node(&first.command),
            labels: self.common_labels(),
            connections: self.sum(|report| report.run.connections),
            threads: self.sum(|report| report.run.threads),
            interrupted: self.reports().any(|report| report.run.interrupted),
            // Each machine has a monotonic clock of its own.
            clock: Clock {
                source: first.clock.source,
                offset_us: None,
                error_bound_us: bounds.reduce(f64::max),
                start_us: self.log_start_us(),
                server: first.clock.server.clone().filter(|_| self.log_start_us().is_some()),
            },
            node: None,
            fleet: self.fleet(),
            partial: nodes.len() as u64 != count,
            parts: Some(Parts {
                count,
                runs: ids,
                machines: machines.collect(),
                start_skew_us: self.skew.map(|skew| skew.us),
                start_clock: self.timeline.clock(),
                nodes,
            }),
            ..first.clone()
        }
    }

    /// The first start in the time of the log server that all nodes have.
    fn log_start_us(&self) -> Option<u64> {
        let reports = || self.reporting().map(|part| &part.report);
        let starts = reports().filter_map(|report| Timeline::LogServer.begin_us(&report.run));
        starts.min().filter(|_| has_common_log_server(reports()))
    }

    /// The labels that all parts have with the same value.
    fn common_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.first().run.labels.clone();
        labels.retain(|key, value| {
            self.reporting().all(|part| part.report.run.labels.get(key) == Some(&*value))
        });
        labels
    }

    /// The sum of the parts' shares of a rate.
    fn rate(&self, of: impl Fn(&Run) -> Option<f64>) -> f64 {
        round(self.reports().filter_map(|report| of(&report.run)).sum(), 1e6)
    }

    fn requests(&self) -> Requests {
        let mut sum = Requests::default();
        self.reports().for_each(|report| sum.add_counts(&report.requests));
        let span = self.latest(|r| r.run.duration_s);
        sum.answered_after_s = self.latest(|r| r.requests.answered_after_s);
        sum.completed_per_s = per_second(sum.completed, sum.answered_after_s.max(span));
        let is_open = self.first().run.rate_target.is_some();
        sum.rate_achieved = if is_open { per_second(sum.sent, span) } else { sum.completed_per_s };
        sum.per_thread = self.per_thread();
        sum.refusal = self.reports().find_map(|report| report.requests.refusal.clone());
        sum
    }

    /// The time of all nodes' threads in the script, as a share of all their time.
    fn script(&self) -> Option<Script> {
        let all: Vec<_> = self.reports().filter_map(|report| report.script.as_ref()).collect();
        let file = all.first()?.file.clone();
        let time_s: f64 = all.iter().map(|script| script.time_s).sum();
        let with_script = self.reports().filter(|report| report.script.is_some());
        let spans = with_script.map(|report| {
            let span = report.run.duration_s.max(report.requests.answered_after_s);
            span * report.run.threads as f64
        });
        let (all_s, sent) = (spans.sum::<f64>(), self.sum(|report| report.requests.sent));
        Some(Script {
            file,
            time_s: round(time_s, 1e6),
            time_percent: if all_s > 0.0 { round(time_s / all_s * 100.0, 1e2) } else { 0.0 },
            per_request_us: (sent > 0).then(|| round(time_s * 1e6 / sent as f64, 1e3)),
            unnumbered: all.iter().map(|script| script.unnumbered).fold(0, u64::saturating_add),
        })
    }

    /// Mean and deviation of all nodes' threads, from those of each: a thread counts for as long as it
    /// sent. Which share is within a deviation cannot be told.
    fn per_thread(&self) -> PerThread {
        let known = self.reports().filter_map(|report| {
            let rates = &report.requests.per_thread;
            let weight = report.run.threads as f64 * report.run.duration_s;
            Some((weight, rates.mean?, rates.stdev?))
        });
        let known: Vec<_> = known.filter(|(weight, ..)| *weight > 0.0).collect();
        let total: f64 = known.iter().map(|(weight, ..)| weight).sum();
        if known.is_empty() {
            return PerThread::default();
        }
        let mean = known.iter().map(|(weight, mean, _)| weight * mean).sum::<f64>() / total;
        let variance = known
            .iter()
            .map(|(weight, own, stdev): &(f64, f64, f64)| {
                weight * (stdev * stdev + (own - mean) * (own - mean))
            })
            .sum::<f64>()
            / total;
        PerThread {
            mean: Some(round(mean, 1e2)),
            stdev: Some(round(variance.sqrt(), 1e2)),
            max: self.reports().filter_map(|r| r.requests.per_thread.max).reduce(f64::max),
            within_stdev_percent: None,
        }
    }

    /// The distribution of all values.
    pub(super) fn distribution(
        &self,
        of: impl Fn(&'a Report) -> Option<&'a Distribution>,
    ) -> Result<Distribution, MergeError> {
        let mut sum = DistributionSum::default();
        for part in self.parts {
            if let Some(distribution) = of(&part.report).filter(|all| !is_empty(all)) {
                sum.add(distribution)
                    .map_err(|e| MergeError::Histogram(part.name.clone(), e.to_string()))?;
            }
        }
        Ok(sum.finish())
    }

    /// Each request's sums. All nodes have the same, as they have one plan.
    fn by_request(&self) -> Result<Vec<ByRequest>, MergeError> {
        self.first().by_request.iter().map(|request| self.request(request)).collect()
    }

    fn request(&self, request: &ByRequest) -> Result<ByRequest, MergeError> {
        let of =
            |report: &'a Report| report.by_request.iter().find(|other| other.name == request.name);
        let parts = || self.parts.iter().filter_map(|part| of(&part.report));
        let sum = |count: fn(&ByRequest) -> u64| parts().map(count).fold(0, u64::saturating_add);
        let mut status = BTreeMap::new();
        parts().for_each(|part| add_by_name(&mut status, &part.status));
        Ok(ByRequest {
            name: request.name.clone(),
            weight: request.weight,
            sent: sum(|r| r.sent),
            dropped: sum(|r| r.dropped),
            completed: sum(|r| r.completed),
            failed: sum(|r| r.failed),
            unfinished: sum(|r| r.unfinished),
            status,
            response: self.distribution(|r| of(r).map(|r| &r.response))?,
            service: self.distribution(|r| of(r).map(|r| &r.service))?,
            arrival: match request.arrival {
                Some(_) => Some(self.distribution(|r| of(r)?.arrival.as_ref())?),
                None => None,
            },
        })
    }

    /// The machines of all nodes, as far as they were measured.
    fn generator(&self) -> Option<Generator> {
        let parts: Vec<_> = self.reports().filter_map(|r| r.generator.as_ref()).collect();
        Generator::sum(&parts)
    }

    /// Each node's components, as `api@0`.
    fn resources(&self) -> Vec<Resource> {
        let mut all = Vec::new();
        for part in self.parts {
            all.extend(part.report.resources.iter().map(|used: &Resource| Resource {
                component: at(&used.component, part.at.node),
                ..used.clone()
            }));
        }
        all
    }

    /// The sum of the nodes' heat maps; `None` if a node that was not lost has none, or if their columns are not of the
    /// same seconds.
    fn heatmap(&self) -> Option<HeatMap> {
        let maps: Option<Vec<_>> =
            self.reporting().map(|part| part.report.heatmap.as_ref()).collect();
        let maps = maps?;
        // A node that began later by half a column would be drawn in the column before.
        let column_s = maps.first()?.column_s as f64;
        let is_aligned = self.reporting().all(|part| self.offset(part) < column_s / 2.0);
        if is_aligned { HeatMap::sum(&maps) } else { None }
    }
}

/// Rate of a count over a span in seconds, to a thousandth.
fn per_second(count: u64, span: f64) -> f64 {
    if span > 0.0 { round(count as f64 / span, 1e3) } else { 0.0 }
}

/// A component of a node.
pub(super) fn at(component: &str, node: u64) -> String {
    format!("{component}@{node}")
}
