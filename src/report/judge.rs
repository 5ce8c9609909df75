//! The verdict: whether the generator held its plan, what a reader must know beside the numbers, and
//! whether a `--fail-if` condition held.

use serde_json::Value;

use super::{
    Clock, Errors, Examples, Latency, Messages, PerThread, Quantiles, Report, Requests, Resource,
    Run, SCHEMA_VERSION, Stack, Stage, ThresholdResult, Tool, Verdict, lookup,
};
use crate::clock::Nanos;
use crate::latency::Latencies;
use crate::observations::Observations;
use crate::plan::{Mode, PlanError, Threshold};
use crate::units::{format_count, format_time};

/// A generator that sees one slot in a hundred later than this does not hold its schedule: what is
/// sent is bursts, not the rate that was asked for.
const PACING_P99_LIMIT: Nanos = Nanos::from_millis(10);
/// The same for every second slot.
const PACING_P50_LIMIT: Nanos = Nanos::from_millis(2);
/// Of the response's 99th percentile, the generator's own part from which on it is worth a note.
const NOTABLE_SHARE: f64 = 0.5;

/// Fills the verdict in.
pub(super) fn judge(report: &mut Report, seen: &Observations) {
    let reasons = reasons(seen);
    let mut notes = std::mem::take(&mut report.verdict.notes);
    notes.extend(request_notes(report, seen));
    notes.extend(message_notes(report, seen));
    let thresholds = judge_thresholds(report, &seen.plan.thresholds);
    let valid = reasons.is_empty();
    report.verdict = Verdict {
        generator: if valid { "valid" } else { "limited" }.to_owned(),
        pass: valid && thresholds.iter().all(|t| t.ok),
        reasons,
        notes,
        thresholds,
    };
}

/// Why the generator did not hold its plan.
fn reasons(seen: &Observations) -> Vec<String> {
    let mut reasons = Vec::new();
    if let Mode::Open { .. } = seen.plan.load.mode {
        let pacing = &seen.load.pacing;
        for (quantile, words, limit) in [
            (0.99, "one request in a hundred", PACING_P99_LIMIT),
            (0.5, "every second request", PACING_P50_LIMIT),
        ] {
            let late = tail(pacing, quantile);
            if late > limit {
                reasons.push(format!(
                    "{words} was due {} or more before the generator came to it (limit {}): this machine \
                     is too busy for the rate",
                    format_time(late.as_micros_f64()),
                    format_time(limit.as_micros_f64()),
                ));
            }
        }
    }
    reasons
}

/// A quantile; of a sample too small for it, the largest value.
fn tail(latencies: &Latencies, quantile: f64) -> Nanos {
    latencies.quantile(quantile).or(latencies.max()).unwrap_or_default()
}

fn request_notes(report: &Report, seen: &Observations) -> Vec<String> {
    let mut notes = Vec::new();
    let counters = &seen.load.counters;
    if seen.interrupted {
        notes.push("interrupted: the numbers are of the part that was run".to_owned());
    }
    if counters.completed == 0 {
        notes.push("no request was answered".to_owned());
    }
    if counters.never_sent > 0 {
        notes.push(format!(
            "{} requests never got a free connection; they count with the age they had reached",
            format_count(counters.never_sent)
        ));
    }
    if counters.dropped > counters.never_sent {
        notes.push(format!(
            "{} requests were dropped at --max-in-flight; each counts as long as the oldest in flight \
             had waited",
            format_count(counters.dropped - counters.never_sent)
        ));
    }
    if let (Some(pacing), Some(response)) = (report.latency.pacing.p99, report.latency.response.p99)
        && matches!(seen.plan.load.mode, Mode::Open { .. })
        && pacing > response * NOTABLE_SHARE
        && pacing > 1_000.0
    {
        notes.push(format!(
            "of the response's p99 of {}, up to {} is the generator's own lateness",
            format_time(response),
            format_time(pacing)
        ));
    }
    notes
}

fn message_notes(report: &Report, seen: &Observations) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(messages) = report.messages.as_ref().filter(|messages| messages.lost > 0) {
        notes.push(format!(
            "{} messages were lost; arrival counts them with the age they had reached",
            format_count(messages.lost)
        ));
    }
    if report.messages.is_some() && !seen.plan.request.body.carries_id() {
        notes
            .push("the body has no {{msg_id}}: arrivals cannot be told from each other".to_owned());
    }
    if seen.stamps_dropped > 0 {
        notes
            .push(format!("{} stamps of arrivals were dropped", format_count(seen.stamps_dropped)));
    }
    notes
}

fn judge_thresholds(report: &Report, thresholds: &[Threshold]) -> Vec<ThresholdResult> {
    if thresholds.is_empty() {
        return Vec::new();
    }
    let numbers = serde_json::to_value(report).unwrap_or_default();
    let judge = |threshold: &Threshold| {
        let value = value_of(&numbers, threshold.name());
        // What cannot be judged must not pass.
        let ok = value.is_some_and(|value| !threshold.holds(value));
        ThresholdResult { expr: threshold.to_string(), value, ok }
    };
    thresholds.iter().map(judge).collect()
}

fn value_of(numbers: &Value, name: &str) -> Option<f64> {
    match lookup::find(numbers, name) {
        Some(value) => value.as_f64(),
        // A status that never came has come 0 times.
        None if name.starts_with("requests.status.") => Some(0.0),
        None => None,
    }
}

/// Refuses conditions on numbers that no report has, before a run is spent on them.
pub fn check_names(thresholds: &[Threshold]) -> Result<(), PlanError> {
    let sample = serde_json::to_value(full_report()).unwrap_or_default();
    let names = lookup::names(&sample);
    for name in thresholds.iter().map(Threshold::name) {
        let known = names.iter().any(|n| n == name) || is_status(name);
        if !known {
            let near: Vec<_> = names.iter().filter(|n| is_near(n, name)).take(5).cloned().collect();
            let hint = match near.is_empty() {
                true => "such as arrival.p99, latency.response.p99, messages.lost".to_owned(),
                false => format!("did you mean {}?", near.join(", ")),
            };
            return Err(PlanError(format!("--fail-if: the report has no number '{name}'; {hint}")));
        }
    }
    Ok(())
}

fn is_status(name: &str) -> bool {
    let status = name.strip_prefix("requests.status.");
    status.is_some_and(|code| code.len() == 3 && code.bytes().all(|b| b.is_ascii_digit()))
}

/// Names that end alike: `p99` → `arrival.p99`, `response.p99` → `latency.response.p99`.
fn is_near(known: &str, asked: &str) -> bool {
    let last = asked.rsplit('.').next().unwrap_or(asked);
    !known.starts_with("stages.") && known.ends_with(&format!(".{last}"))
}

/// A report in which every number is present.
fn full_report() -> Report {
    let quantiles = || {
        let some = Some(0.0);
        Quantiles {
            count: 0,
            min: some,
            mean: some,
            stdev: some,
            max: some,
            p50: some,
            p75: some,
            p90: some,
            p95: some,
            p99: some,
            p99_9: some,
            p99_99: some,
            hdr: String::new(),
        }
    };
    let moments = [
        ("due", "sent"),
        ("sent", "api"),
        ("api", "queued"),
        ("queued", "popped"),
        ("popped", "published"),
        ("published", "arrived"),
        ("sent", "answered"),
    ];
    let stage = |(from, to): (&str, &str)| Stage {
        from: from.to_owned(),
        to: to.to_owned(),
        quantiles: quantiles(),
    };
    let resource = |component: &str| Resource {
        component: component.to_owned(),
        pid: 0,
        cpu_s: 0.0,
        cpu_percent_mean: 0.0,
        cpu_percent_max: 0.0,
        rss_max_bytes: 0,
    };
    Report {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: String::new(), version: String::new() },
        run: Run {
            id: String::new(),
            started_at: String::new(),
            duration_s: 0.0,
            mode: String::new(),
            target: String::new(),
            rate_target: Some(0.0),
            arrivals: None,
            connections: 0,
            threads: 0,
            engine: String::new(),
            sample: 0,
            interrupted: false,
            stack: Stack { queue: None, broker: None },
            clock: Clock { source: String::new(), offset_us: Some(0), error_bound_us: Some(0.0) },
        },
        requests: Requests {
            planned: 0,
            sent: 0,
            dropped: 0,
            completed: 0,
            failed: 0,
            unfinished: 0,
            rate_achieved: 0.0,
            completed_per_s: 0.0,
            answered_after_s: 0.0,
            bytes_read: 0,
            bytes_written: 0,
            reconnects: 0,
            errors: Errors::default(),
            status: [].into(),
            per_thread: PerThread {
                mean: Some(0.0),
                stdev: Some(0.0),
                max: Some(0.0),
                within_stdev_percent: Some(0.0),
            },
        },
        latency: Latency {
            response: quantiles(),
            service: quantiles(),
            lateness: quantiles(),
            pacing: quantiles(),
        },
        messages: Some(Messages {
            accepted: 0,
            arrived: 0,
            lost: 0,
            duplicated: 0,
            reordered: 0,
            unexpected: 0,
            unknown: 0,
            examples: Examples::default(),
        }),
        arrival: Some(quantiles()),
        stages: moments.into_iter().map(stage).collect(),
        resources: ["generator", "subscriber", "api", "push", "redis", "mosquitto"]
            .map(resource)
            .into(),
        series: Vec::new(),
        verdict: Verdict {
            generator: String::new(),
            reasons: Vec::new(),
            notes: Vec::new(),
            thresholds: Vec::new(),
            pass: true,
        },
    }
}
