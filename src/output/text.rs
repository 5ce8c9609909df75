//! The report as text: wrk's block of numbers first, then the results that wrk does not have.

use std::fmt::Write as _;

use super::number::{
    NOT_AVAILABLE, Statistic, bound_of_zero, cpu_per_request_us, statistic_rows, time,
};
use super::requests::request_rows;
use super::table::{narrow_table, table, wrapped};
use super::wrk::block;
use crate::core::units::{TimeUnit, format_binary, format_count, format_time};
use crate::report::lookup::it_is;
use crate::report::result::{Allowed, RunResult};
use crate::report::{Distribution, Errors, HttpVersion, Latency, Messages, Report, Run, Script};

/// Indent of a row under the label above it.
const INDENT: &str = "            ";

/// Options of the text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// wrk's `--latency`: its latency distribution, and p99.99.
    pub latency: bool,
    /// Faults that do not change the exit code in the last line.
    pub allowed: Allowed,
}

/// The whole text.
pub fn text(report: &Report, options: TextOptions) -> String {
    let sections = [
        block(report, options.latency),
        latencies(report, options),
        table(&request_rows(report)),
        stages(report),
        account(report),
        resources(report),
        verdict(report),
        RunResult::of_run(report, options.allowed).line(),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Percentiles of a row, and the maximum.
fn statistics(options: TextOptions) -> Vec<Statistic> {
    let mut all = vec![Statistic::P50, Statistic::P90, Statistic::P99, Statistic::P99_9];
    if options.latency {
        all.push(Statistic::P99_99);
    }
    all.push(Statistic::Max);
    all
}

fn latencies(report: &Report, options: TextOptions) -> String {
    titled(latency_rows(report, options))
}

/// A table below its title, which is the first cell of its first row. Title and column names in one line would not fit a
/// terminal of 80 columns.
fn titled(mut rows: Vec<Vec<String>>) -> String {
    let title = rows.first_mut().and_then(|head| head.first_mut()).map(std::mem::take);
    format!("  {}\n{}", title.unwrap_or_default(), narrow_table(&rows))
}

/// A row for each distribution, below a row of column names.
pub(super) fn latency_rows(report: &Report, options: TextOptions) -> Vec<Vec<String>> {
    let Report { latency, arrival, .. } = report;
    let mut named = Vec::new();
    if let Some(arrival) = arrival {
        named.push(NamedTimes::new("  arrival   due → arrived", arrival));
    }
    if report.has_lateness() {
        named.push(NamedTimes::new("  response  due → answered", &latency.response));
    }
    named.push(NamedTimes::new("  service   sent → answered", &latency.service));
    if report.has_lateness() {
        named.extend(lateness_rows(latency));
    }
    if let Some(connect) = &latency.connect {
        let of_waiting = latency.waiting.is_some();
        let name = if of_waiting { "  connect   of waiting" } else { "  connect   of lateness" };
        named.push(NamedTimes::new(name, connect));
    }
    let statistics = statistics(options);
    let mut rows = vec![vec![loop_name(&report.run)]];
    rows[0].extend(statistics.iter().map(|statistic| statistic.label()));
    let times: Vec<_> = named.iter().map(|row| row.times).collect();
    for (row, cells) in named.iter().zip(statistic_rows(&times, &statistics)) {
        rows.push([vec![row.name.to_owned()], cells].concat());
    }
    rows
}

/// The loop of a run, with its rate.
fn loop_name(run: &Run) -> String {
    match (run.rate_range, run.rate_target, run.arrivals) {
        (Some([from, to]), _, Some(arrivals)) => {
            format!("Open loop, {} to {} requests/s, {arrivals}", whole_rate(from), whole_rate(to))
        }
        (None, Some(rate), Some(arrivals)) => {
            format!("Open loop, {} requests/s, {arrivals}", whole_rate(rate))
        }
        _ => "Closed loop".to_owned(),
    }
}

/// A distribution and the name of its row.
struct NamedTimes<'a> {
    name: &'static str,
    times: &'a Distribution,
}

impl<'a> NamedTimes<'a> {
    fn new(name: &'static str, times: &'a Distribution) -> Self {
        Self { name, times }
    }
}

fn whole_rate(rate: f64) -> String {
    format_count(rate.round() as u64)
}

/// The two parts of lateness; lateness itself if its parts were not measured.
fn lateness_rows(latency: &Latency) -> Vec<NamedTimes<'_>> {
    match &latency.waiting {
        Some(waiting) => vec![
            NamedTimes::new("  pacing    due → ready", &latency.pacing),
            NamedTimes::new("  waiting   for a connection", waiting),
        ],
        None => vec![NamedTimes::new("  lateness  due → sent", &latency.lateness)],
    }
}

fn stages(report: &Report) -> String {
    if report.stages.is_empty() {
        return String::new();
    }
    titled(stage_rows(report))
}

/// A row for each stage, below a row of column names.
pub(super) fn stage_rows(report: &Report) -> Vec<Vec<String>> {
    let bound = report.run.clock.error_bound_us;
    let clock = bound.map(|bound| format!(", clock ± {}", format_time(bound))).unwrap_or_default();
    let title = format!("Stages of 1 message in {}{clock}", report.run.sample);
    let head = [title.as_str(), "messages", "p50", "p90", "p99", "p99.9", "max"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let statistics =
        [Statistic::P50, Statistic::P90, Statistic::P99, Statistic::P99_9, Statistic::Max];
    let units = statistics.map(|statistic| {
        let times = report.stages.iter().filter_map(|stage| statistic.of(&stage.distribution));
        TimeUnit::of_column(times.chain(bound))
    });
    for stage in &report.stages {
        let q = &stage.distribution;
        let mut row = vec![format!("  {} → {}", stage.from, stage.to), format_count(q.count)];
        for (statistic, unit) in statistics.iter().zip(units) {
            row.push(stage_time(statistic.of(q), bound, unit));
        }
        rows.push(row);
    }
    rows
}

/// A time of a stage; `<3µs` if the clock's error bound rounded it to zero.
fn stage_time(value: Option<f64>, error_bound_us: Option<f64>, unit: TimeUnit) -> String {
    match bound_of_zero(value, error_bound_us) {
        Some(bound) => format!("<{}", unit.write(bound, "")),
        None => value.map_or_else(|| NOT_AVAILABLE.to_owned(), |value| unit.write(value, "")),
    }
}

fn account(report: &Report) -> String {
    let requests = &report.requests;
    // Writing to a String cannot fail, here and below.
    let mut out = format!(
        "  Requests  {} planned = {} sent + {} dropped\n            \
         {} completed, {} failed, {} unfinished\n",
        format_count(requests.planned),
        format_count(requests.sent),
        format_count(requests.dropped),
        format_count(requests.completed),
        format_count(requests.failed),
        format_count(requests.unfinished),
    );
    if requests.status.keys().any(|status| !status.starts_with('2')) {
        let mut all = Vec::new();
        for (status, count) in &requests.status {
            all.push(format!("{status}: {}", format_count(*count)));
        }
        out += &wrapped(INDENT, &format!("by status {}", all.join("; ")));
    }
    if requests.errors.protocol > 0 {
        let _ = writeln!(
            out,
            "            {} answers were not HTTP",
            format_count(requests.errors.protocol)
        );
    }
    if !requests.errors.by_cause.is_empty() {
        out += &wrapped(INDENT, &format!("failed by cause {}", causes(&requests.errors)));
    }
    if let Some(messages) = &report.messages {
        out += &message_account(messages);
    }
    if let Some(script) = &report.script {
        out += &wrapped("  Script    ", &script_use(script));
    }
    out
}

/// Failures by cause in words, the most frequent first.
fn causes(errors: &Errors) -> String {
    let mut causes: Vec<_> = errors.by_cause.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let mut words = Vec::new();
    for (cause, count) in causes {
        words.push(format!("{}: {}", cause.replace('_', " "), format_count(*count)));
    }
    words.join("; ")
}

/// The time that a script took.
pub(super) fn script_use(script: &Script) -> String {
    format!(
        "{}: {:.2}% of the threads' time, {} a request",
        script.file,
        script.time_percent,
        time(script.per_request_us)
    )
}

fn message_account(messages: &Messages) -> String {
    let mut out = format!(
        "  Messages  {} accepted, {} arrived, {} lost, {}{} unknown\n            \
         {} duplicated, {} reordered, {} unexpected ({} foreign)\n",
        format_count(messages.accepted),
        format_count(messages.arrived),
        format_count(messages.lost),
        match messages.missed {
            0 => String::new(),
            missed => format!("{} missed, ", format_count(missed)),
        },
        format_count(messages.unknown),
        format_count(messages.duplicated),
        format_count(messages.reordered),
        format_count(messages.unexpected),
        format_count(messages.foreign),
    );
    out += &examples("lost", &messages.examples.lost);
    out + &examples("duplicated", &messages.examples.duplicated)
}

/// The first ids of lost or duplicated messages; empty if there are none.
fn examples(kind: &str, ids: &[u64]) -> String {
    if ids.is_empty() {
        return String::new();
    }
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    wrapped(INDENT, &format!("first {kind}: {}", ids.join(" ")))
}

fn resources(report: &Report) -> String {
    if report.resources.is_empty() {
        return String::new();
    }
    table(&resource_rows(report))
}

/// A row for each component, below a row of column names.
pub(super) fn resource_rows(report: &Report) -> Vec<Vec<String>> {
    let mut rows =
        vec![["Component", "CPU", "CPU max", "CPU/request", "memory"].map(str::to_owned).to_vec()];
    for used in &report.resources {
        rows.push(vec![
            format!("  {}", used.component),
            format!("{:.1}%", used.cpu_percent_mean),
            format!("{:.1}%", used.cpu_percent_max),
            time(cpu_per_request_us(used, report)),
            format!("{}B", format_binary(used.rss_max_bytes as f64)),
        ]);
    }
    rows
}

/// Queue and broker; `None` if neither is known.
pub(super) fn servers(report: &Report) -> Option<String> {
    let stack = &report.run.stack;
    let mut known = Vec::new();
    for (name, server) in [("queue", &stack.queue), ("broker", &stack.broker)] {
        if let Some(server) = server {
            known.push(format!("{name} {} ({})", server.version, server.kind));
        }
    }
    (!known.is_empty()).then(|| known.join(", "))
}

/// The protocol; `None` for HTTP/1.1.
pub(super) fn protocol(report: &Report) -> Option<String> {
    let Run { protocol, streams, .. } = &report.run;
    let usual = *protocol != HttpVersion::Http2;
    (!usual).then(|| format!("{protocol}, up to {streams} requests at once on each connection"))
}

/// The nodes of a merged report; `None` if it is not merged.
pub(super) fn parts(report: &Report) -> Option<String> {
    let parts = report.run.parts.as_ref()?;
    let nodes: Vec<_> = parts.nodes.iter().map(u64::to_string).collect();
    let partial = if report.run.partial { ": PARTIAL" } else { "" };
    let skew = parts.start_skew_us.map_or_else(String::new, |us| {
        let by = parts.start_clock.described();
        format!("; started within {} by {by}", format_time(us as f64))
    });
    Some(format!("node {} of {}{partial}{skew}", nodes.join(", "), parts.count))
}

/// The reason why the generator is valid.
pub(super) fn why_valid(report: &Report) -> &'static str {
    match report.run.rate_target {
        Some(_) => "the generator was on time",
        None => "a closed loop has no times to miss",
    }
}

fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let mut out = String::new();
    for (label, text) in [
        ("  Parts     ", parts(report)),
        ("  Protocol  ", protocol(report)),
        ("  Stack     ", servers(report)),
    ] {
        out.extend(text.map(|text| wrapped(label, &text)));
    }
    out.extend(verdict.notes.iter().map(|note| wrapped("  Note      ", &note.to_string())));
    out.extend(
        verdict.failures.iter().map(|failure| wrapped("  Failed    ", &failure.to_string())),
    );
    for threshold in &verdict.thresholds {
        let word = if threshold.ok { "ok" } else { "FAILED" };
        let text = format!("{}: {word} ({})", threshold.expr, it_is(threshold));
        out += &wrapped("  Fail if   ", &text);
    }
    match verdict.reasons.as_slice() {
        [] => out += &wrapped("  Generator ", &format!("valid: {}", why_valid(report))),
        reasons => {
            out += "  Generator LIMITED: do not trust these numbers\n";
            out.extend(reasons.iter().map(|reason| wrapped(INDENT, &reason.to_string())));
        }
    }
    out
}
