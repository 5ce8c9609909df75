//! Makes the report of a run: every number in its place, its unit and its precision.

use std::collections::BTreeMap;

use super::judge;
use super::measurements::{Arrivals, MeasuredStage, Measurements, QueueDepths};
use crate::config::plan::{Mode, Pace, PipelinePlan, Plan, ScriptPlan, Target};
use crate::config::settings::{ArrivalProcess, Engine};
use crate::core::clock::Nanos;
use crate::core::distribution::Distribution;
use crate::core::distribution::micros;
use crate::core::printable::printable;
use crate::core::units::round;
use crate::engine::transport::config::Protocol;
use crate::engine::{LoadResult, RequestResult};
use crate::host::health::Machine;
use crate::message::{MissedSpan, MsgId};
use crate::report::machine::{SHORTAGES, percent, seconds};
use crate::report::{
    ByRequest, EngineName, Errors, Examples, Generator, GeneratorState, HttpVersion, Latency,
    LoopMode, Messages, MissedWindow, Node, PerThread, Report, Requests, Run, SCHEMA_VERSION,
    Script, ServiceSettings, SlotSpacing, Stage, Tool, Verdict,
};

impl From<&Measurements> for Report {
    fn from(seen: &Measurements) -> Self {
        let mut report = Self {
            schema_version: SCHEMA_VERSION,
            tool: Tool::own(),
            run: run(seen),
            requests: requests(seen),
            script: seen.plan.script.as_ref().map(|script| use_of(script, seen)),
            latency: Latency {
                response: (&seen.load.response).into(),
                service: (&seen.load.service).into(),
                lateness: (&seen.load.lateness).into(),
                pacing: (&seen.load.pacing).into(),
                waiting: (seen.plan.load.mode != Mode::Closed).then(|| (&seen.load.waiting).into()),
                connect: (!seen.plan.transport.keep_alive).then(|| (&seen.load.connect).into()),
            },
            messages: messages(seen),
            arrival: seen.arrivals.as_ref().map(|arrivals| (&arrivals.latencies).into()),
            by_request: by_request(seen),
            stages: stages(seen),
            stamps: seen.stamps.clone(),
            generator: Some(generator(seen, &failures_by_cause(seen))),
            resources: seen.resources.clone(),
            series: seen.series.clone(),
            heatmap: seen.heatmap.clone(),
            nodes: Vec::new(),
            verdict: Verdict {
                generator: GeneratorState::Valid,
                reasons: Vec::new(),
                failures: Vec::new(),
                notes: seen.notes.clone(),
                thresholds: Vec::new(),
                pass: true,
            },
        };
        judge::judge(&mut report, seen);
        report
    }
}

fn run(seen: &Measurements) -> Run {
    let load = &seen.plan.load;
    let (mode, rates, arrivals) = match load.mode {
        Mode::Closed => (LoopMode::Closed, None, None),
        Mode::Open { rate, arrivals, .. } => {
            let spacing = match arrivals {
                ArrivalProcess::Constant => SlotSpacing::Constant,
                ArrivalProcess::Poisson => SlotSpacing::Poisson,
            };
            (LoopMode::Open, Some(rate), Some(spacing))
        }
    };
    let node = load.node.share;
    // The rate is that of all nodes.
    let own = |rate: f64| load.node.part_of(rate, load.threads);
    Run {
        id: seen.run_id.clone(),
        started_at: humantime::format_rfc3339_millis(seen.started_at).to_string(),
        duration_s: round(seen.sending.as_secs_f64(), 1e6),
        mode,
        target: seen.target.clone(),
        rate_target: rates.map(|r| own(r.mean())),
        rate_range: rates
            .filter(|r| !r.is_constant())
            .map(|r| [own(r.from.as_f64()), own(r.to.as_f64())]),
        arrivals,
        connections: load.connections as u64,
        threads: load.threads as u64,
        engine: match seen.plan.transport.engine {
            Engine::Raw => EngineName::Raw,
            Engine::Reqwest => EngineName::Reqwest,
        },
        protocol: match seen.plan.transport.protocol {
            Protocol::Http1 => HttpVersion::Http1,
            Protocol::Http2 => HttpVersion::Http2,
        },
        streams: seen.plan.transport.streams as u64,
        tick_us: match (load.mode, load.own_pace()) {
            (Mode::Closed, _) => None,
            (Mode::Open { .. }, Pace::Tick(tick)) => Some(micros(tick)),
            (Mode::Open { .. }, Pace::Spin) => Some(0.0),
        },
        sample: seen.plan.pipeline.sample,
        requests_limit: load.requests,
        interrupted: seen.interrupted,
        command: seen.plan.command.clone(),
        labels: seen.plan.labels.clone(),
        services: services(&seen.plan),
        stack: seen.stack.clone(),
        clock: seen.clock.clone(),
        node: (node.count > 1).then_some(Node {
            index: node.index,
            count: node.count,
            own_topics: seen.plan.listens() && seen.plan.pipeline.has_own_topics(),
            ..Node::default()
        }),
        fleet: None,
        parts: None,
        partial: false,
    }
}

/// Settings of the services; `None` if the run did not start them.
fn services(plan: &Plan) -> Option<ServiceSettings> {
    let PipelinePlan { api_threads, push_threads, push_limit, .. } = &plan.pipeline;
    (plan.target == Target::Pipeline).then(|| ServiceSettings {
        api_threads: *api_threads as u64,
        push_threads: *push_threads as u64,
        push_limit: push_limit.map(|limit| limit.as_f64()),
    })
}

fn requests(seen: &Measurements) -> Requests {
    let LoadResult { counters, status, throughput, .. } = &seen.load;
    let per_second = |count: u64, span: Nanos| match span.as_secs_f64() {
        span if span > 0.0 => round(count as f64 / span, 1e3),
        _ => 0.0,
    };
    // A target that falls silent is not faster for it: the time it is silent counts.
    let completed_per_s = per_second(counters.completed, seen.answering.max(seen.sending));
    let rate_achieved = match seen.plan.load.mode {
        Mode::Open { .. } => per_second(counters.sent, seen.sending),
        Mode::Closed => completed_per_s,
    };
    // The histogram holds thousandths of a request a second.
    let rate = |value: f64| round(value / 1_000.0, 1e2);
    Requests {
        planned: counters.planned,
        sent: counters.sent,
        dropped: counters.dropped,
        completed: counters.completed,
        failed: counters.failed,
        unfinished: counters.unfinished,
        rate_achieved,
        completed_per_s,
        answered_after_s: round(seen.answering.as_secs_f64(), 1e6),
        bytes_read: seen.traffic.bytes_read,
        bytes_written: seen.traffic.bytes_written,
        reconnects: seen.traffic.reconnects,
        timed_when_read: seen.traffic.timed_when_read,
        unrequested_answers: seen.traffic.unrequested,
        errors: Errors {
            connect: counters.errors.connect.max(seen.traffic.connect_failures),
            read: counters.errors.read,
            write: counters.errors.write,
            timeout: counters.errors.timeout,
            protocol: counters.errors.protocol,
            by_cause: failures_by_cause(seen),
        },
        status: status.iter().map(|(status, count)| (status.to_string(), count)).collect(),
        refused: 0,
        refusal: seen.load.refusal.as_deref().map(|text| printable(text).into_owned()),
        error_percent: None,
        per_thread: PerThread {
            mean: throughput.mean().map(rate),
            stdev: throughput.stdev().map(rate),
            max: throughput.max().map(|max| rate(max.0 as f64)),
            within_stdev_percent: throughput
                .share_within_stdev()
                .map(|share| round(share * 100.0, 1e2)),
        },
    }
}

/// Failed requests and failed attempts to connect again, by cause.
fn failures_by_cause(seen: &Measurements) -> BTreeMap<String, u64> {
    let mut causes = seen.load.counters.errors.by_cause;
    causes.add(seen.traffic.connect_causes);
    causes.iter().map(|(_, name, count)| (name.to_owned(), count)).collect()
}

/// Each request of a mix.
fn by_request(seen: &Measurements) -> Vec<ByRequest> {
    let planned = &seen.plan.request.requests;
    let arrivals = |n: usize| seen.arrivals.as_ref()?.by_request.get(n);
    seen.load
        .by_request
        .iter()
        .enumerate()
        .filter_map(|(n, result): (usize, &RequestResult)| {
            let RequestResult { counters, status, response, service, .. } = result;
            let request = planned.get(n)?;
            Some(ByRequest {
                name: request.name.clone(),
                weight: request.weight,
                sent: counters.sent,
                dropped: counters.dropped,
                completed: counters.completed,
                failed: counters.failed,
                unfinished: counters.unfinished,
                status: status.iter().map(|(status, count)| (status.to_string(), count)).collect(),
                response: response.into(),
                service: service.into(),
                arrival: arrivals(n).filter(|_| request.carries_id()).map(Distribution::from),
            })
        })
        .collect()
}

fn use_of(script: &ScriptPlan, seen: &Measurements) -> Script {
    let time_s = seen.traffic.scripted.as_secs_f64();
    let all_s = seen.sending.max(seen.answering).as_secs_f64() * seen.plan.load.threads as f64;
    let sent = seen.load.counters.sent;
    Script {
        file: script.file.display().to_string(),
        time_s: round(time_s, 1e6),
        time_percent: if all_s > 0.0 { round(time_s / all_s * 100.0, 1e2) } else { 0.0 },
        per_request_us: (sent > 0).then(|| round(time_s * 1e6 / sent as f64, 1e3)),
        unnumbered: seen.traffic.unnumbered,
    }
}

fn messages(seen: &Measurements) -> Option<Messages> {
    let QueueDepths { before, after } = seen.queue;
    let messages = seen.arrivals.as_ref().map(Messages::from)?;
    Some(Messages { queued_before: before, queued_after: after, ..messages })
}

impl From<&Arrivals> for Messages {
    fn from(arrivals: &Arrivals) -> Self {
        let Arrivals { account, timed_when_read, missed_spans, .. } = arrivals;
        let seconds = |at: Nanos| round(at.as_secs_f64(), 1e3);
        let window =
            |span: &MissedSpan| MissedWindow { from_s: seconds(span.from), to_s: seconds(span.to) };
        let ids = |ids: &[MsgId]| ids.iter().map(|id| id.get()).collect();
        Self {
            accepted: account.accepted,
            arrived: account.arrived,
            lost: account.lost,
            duplicated: account.duplicated,
            reordered: account.reordered,
            unexpected: account.unexpected,
            foreign: account.foreign,
            unknown: account.unknown,
            missed: account.missed,
            missed_windows: missed_spans.iter().map(window).collect(),
            timed_when_read: *timed_when_read,
            lost_percent: None,
            queued_before: None,
            queued_after: None,
            examples: Examples {
                lost: ids(&account.lost_examples),
                duplicated: ids(&account.duplicated_examples),
            },
        }
    }
}

/// The stages that were asked for, or else those that were seen; none where no service left a stamp, as
/// the generator's own are in the latencies already.
fn stages(seen: &Measurements) -> Vec<Stage> {
    let is_seen = |stage: &&MeasuredStage| stage.latencies.count() > 0;
    let any_stamp = seen.stages.iter().filter(is_seen).any(|stage| stage.pair.crosses_processes());
    let chosen = seen.plan.pipeline.stages_chosen;
    let present = seen.stages.iter().filter(|stage| chosen || any_stamp && is_seen(stage));
    present.map(|s| stage(s, seen.clock.error_bound_us)).collect()
}

/// A stage; between two processes no figure is finer than the clock's bound.
fn stage(stage: &MeasuredStage, bound: Option<f64>) -> Stage {
    let (pair, mut distribution) = (stage.pair, Distribution::from(&stage.latencies));
    let bound = bound.filter(|bound| pair.crosses_processes() && *bound > 0.0);
    if let Some(bound) = bound {
        distribution.coarsen(bound);
    }
    Stage { from: pair.from, to: pair.to, distribution }
}

/// Makes the section on the machine. `by_cause` are the failures of the run.
fn generator(seen: &Measurements, by_cause: &BTreeMap<String, u64>) -> Generator {
    let Machine { span, cores, other_cpu_s, steal_s, .. } = seen.machine;
    let Machine { periods, throttled_periods, throttled, stopped, .. } = seen.machine;
    let (load, traffic) = (&seen.plan.load, &seen.traffic);
    let all_cpus = span.as_secs_f64() * cores as f64;
    let own = by_cause.iter().filter(|(cause, _)| SHORTAGES.contains(&cause.as_str()));
    let facts = &seen.machine.facts;
    Generator {
        host: facts.name.clone(),
        cpu_model: facts.cpu_model.clone(),
        kernel: facts.kernel.clone(),
        memory_bytes: facts.memory_bytes,
        cores,
        available_cores: Some(seen.machine.available_cores),
        measured_s: seconds(span),
        run_queue_s: seconds(seen.load.run_queue),
        run_queue_percent: percent(
            seen.load.run_queue.as_secs_f64(),
            span.as_secs_f64() * load.threads as f64,
        ),
        other_cpu_percent: other_cpu_s.map(|other| percent(other, all_cpus)),
        steal_percent: percent(steal_s, all_cpus),
        periods,
        throttled_periods,
        throttled_s: seconds(throttled),
        stopped_s: seconds(stopped),
        reconnecting_percent: percent(
            traffic.reconnecting.as_secs_f64(),
            span.as_secs_f64() * load.connections as f64,
        ),
        reconnect_pause_s: seconds(traffic.paused),
        out_of: own.map(|(cause, count)| (cause.clone(), *count)).collect(),
    }
}
