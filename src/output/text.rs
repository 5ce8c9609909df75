//! The report as text: wrk's block of numbers first, then the results that wrk does not have.

use std::fmt::Write as _;

use super::number::{Statistic, bound_of_zero, cpu_per_request_us, time};
use super::requests::request_rows;
use super::table::{narrow_table, table, wrapped};
use super::wrk::block;
use crate::core::units::{format_binary, format_count, format_time};
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

fn quantile_row(name: &str, distribution: &Distribution, options: TextOptions) -> Vec<String> {
    let mut row = vec![name.to_owned()];
    row.extend(statistics(options).into_iter().map(|statistic| statistic.text(distribution)));
    row
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
    let Report { run, latency, arrival, .. } = report;
    let loop_name = match (run.rate_range, &run.rate_target, &run.arrivals) {
        (Some([from, to]), _, Some(arrivals)) => {
            format!("Open loop, {} to {} requests/s, {arrivals}", whole_rate(from), whole_rate(to))
        }
        (None, Some(rate), Some(arrivals)) => {
            format!("Open loop, {} requests/s, {arrivals}", whole_rate(*rate))
        }
        _ => "Closed loop".to_owned(),
    };
    let mut head = vec![loop_name];
    head.extend(statistics(options).into_iter().map(Statistic::label));
    let mut rows = vec![head];
    if let Some(arrival) = arrival {
        rows.push(quantile_row("  arrival   due → arrived", arrival, options));
    }
    if report.has_lateness() {
        rows.push(quantile_row("  response  due → answered", &latency.response, options));
    }
    rows.push(quantile_row("  service   sent → answered", &latency.service, options));
    if report.has_lateness() {
        rows.extend(lateness_rows(latency, options));
    }
    if let Some(connect) = &latency.connect {
        let name = if latency.waiting.is_some() { "waiting" } else { "lateness" };
        rows.push(quantile_row(&format!("  connect   of {name}"), connect, options));
    }
    rows
}

fn whole_rate(rate: f64) -> String {
    format_count(rate.round() as u64)
}

/// The two parts of lateness; lateness itself if its parts were not measured.
fn lateness_rows(latency: &Latency, options: TextOptions) -> Vec<Vec<String>> {
    match &latency.waiting {
        Some(waiting) => vec![
            quantile_row("  pacing    due → ready", &latency.pacing, options),
            quantile_row("  waiting   for a connection", waiting, options),
        ],
        None => vec![quantile_row("  lateness  due → sent", &latency.lateness, options)],
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
    for stage in &report.stages {
        let q = &stage.distribution;
        let times = [q.p50, q.p90, q.p99, q.p99_9, q.max].map(|value| stage_time(value, bound));
        let mut row = vec![format!("  {} → {}", stage.from, stage.to), format_count(q.count)];
        row.extend(times);
        rows.push(row);
    }
    rows
}

/// A time of a stage; `<3us` if the clock's error bound rounded it to zero.
fn stage_time(value: Option<f64>, error_bound_us: Option<f64>) -> String {
    match bound_of_zero(value, error_bound_us) {
        Some(bound) => format!("<{}", format_time(bound)),
        None => time(value),
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
            format!("  {}", used.label()),
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
