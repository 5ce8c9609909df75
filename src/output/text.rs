//! The report for people: wrk's block of numbers first, then what wrk does not know.

use std::fmt::Write as _;

use super::requests::request_rows;
use super::table::{narrow_table, table, wrapped};
use super::wrk::block;
use crate::core::units::{format_binary, format_count, format_time};
use crate::report::lookup::it_is;
use crate::report::result::{Allowed, RunResult};
use crate::report::{Distribution, Errors, HttpVersion, Latency, Messages, Report, Run, Script};

/// The indent of a row that belongs to the label above it.
const INDENT: &str = "            ";

/// What the text shows beside the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// wrk's `--latency`: the distribution, and the long percentiles.
    pub latency: bool,
    /// Faults that the user lets pass, for the exit code in the last line.
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

/// A time, or `n/a` where the sample is too small for it.
pub(super) fn time(micros: Option<f64>) -> String {
    micros.map_or_else(|| "n/a".to_owned(), format_time)
}

/// A percentile or the maximum by its name in the JSON; `> 6.10s` where it is a lower bound.
pub(super) fn figure(q: &Distribution, name: &str) -> String {
    let bound = if q.is_lower_bound(name) { "> " } else { "" };
    q.by_name(name).map_or_else(|| time(None), |value| bound.to_owned() + &format_time(value))
}

fn quantile_row(name: &str, q: &Distribution, options: TextOptions) -> Vec<String> {
    let mut names = vec!["p50", "p90", "p99", "p99_9"];
    if options.latency {
        names.push("p99_99");
    }
    names.push("max");
    let figures = names.into_iter().map(|name| figure(q, name));
    std::iter::once(name.to_owned()).chain(figures).collect()
}

fn latencies(report: &Report, options: TextOptions) -> String {
    titled(latency_rows(report, options))
}

/// A table below its title, which the first cell of the head holds: with both in one line it would not
/// fit a terminal of 80 columns.
fn titled(mut rows: Vec<Vec<String>>) -> String {
    let title = rows.first_mut().and_then(|head| head.first_mut()).map(std::mem::take);
    format!("  {}\n{}", title.unwrap_or_default(), narrow_table(&rows))
}

/// The distributions, a row each; the first row is the head.
pub(super) fn latency_rows(report: &Report, options: TextOptions) -> Vec<Vec<String>> {
    let Report { run, latency, arrival, .. } = report;
    let whole = |rate: f64| format_count(rate.round() as u64);
    let loop_name = match (run.rate_range, &run.rate_target, &run.arrivals) {
        (Some([from, to]), _, Some(arrivals)) => {
            format!("Open loop, {} to {} requests/s, {arrivals}", whole(from), whole(to))
        }
        (None, Some(rate), Some(arrivals)) => {
            format!("Open loop, {} requests/s, {arrivals}", whole(*rate))
        }
        _ => "Closed loop".to_owned(),
    };
    let mut head = vec![loop_name];
    head.extend(["p50", "p90", "p99", "p99.9"].map(str::to_owned));
    if options.latency {
        head.push("p99.99".to_owned());
    }
    head.push("max".to_owned());
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

/// The two parts of lateness; the whole where they were not measured apart.
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

/// The stages, a row each; the first row is the head.
pub(super) fn stage_rows(report: &Report) -> Vec<Vec<String>> {
    let bound = report.run.clock.error_bound_us;
    let clock = bound.map(|bound| format!(", clock ± {}", format_time(bound))).unwrap_or_default();
    let title = format!("Stages of 1 message in {}{clock}", report.run.sample);
    let head = [title.as_str(), "messages", "p50", "p90", "p99", "p99.9", "max"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for stage in &report.stages {
        let name = format!("  {} → {}", stage.from, stage.to);
        let fine = |value: Option<f64>| match (value, bound) {
            // Rounded to the clock's bound it says nothing but this.
            (Some(0.0), Some(bound)) => format!("<{}", format_time(bound)),
            _ => time(value),
        };
        let q = &stage.distribution;
        let count = format_count(q.count);
        let times = [q.p50, q.p90, q.p99, q.p99_9, q.max].map(fine);
        rows.push([name, count].into_iter().chain(times).collect());
    }
    rows
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
        let one = |(status, count): (&String, &u64)| format!("{status}: {}", format_count(*count));
        let all: Vec<_> = requests.status.iter().map(one).collect();
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
pub(super) fn causes(errors: &Errors) -> String {
    let mut causes: Vec<_> = errors.by_cause.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let one = |(cause, count): &(&String, &u64)| {
        format!("{}: {}", cause.replace('_', " "), format_count(**count))
    };
    causes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// What a script took, in words.
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
    let named = [("lost", &messages.examples.lost), ("duplicated", &messages.examples.duplicated)];
    for (kind, ids) in named.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
        out += &wrapped(INDENT, &format!("first {kind}: {}", ids.join(" ")));
    }
    out
}

fn resources(report: &Report) -> String {
    if report.resources.is_empty() {
        return String::new();
    }
    table(&resource_rows(report))
}

/// The components, a row each; the first row is the head.
pub(super) fn resource_rows(report: &Report) -> Vec<Vec<String>> {
    let mut rows =
        vec![["Component", "CPU", "CPU max", "CPU/request", "memory"].map(str::to_owned).to_vec()];
    for used in &report.resources {
        let per_request = match report.requests.sent {
            0 => "n/a".to_owned(),
            sent => format_time(used.cpu_s * 1e6 / sent as f64),
        };
        rows.push(vec![
            format!("  {}", used.component),
            format!("{:.1}%", used.cpu_percent_mean),
            format!("{:.1}%", used.cpu_percent_max),
            per_request,
            format!("{}B", format_binary(used.rss_max_bytes as f64)),
        ]);
    }
    rows
}

/// Queue and broker, where they are known.
pub(super) fn servers(report: &Report) -> Option<String> {
    let server = |name: &str, server: &Option<crate::report::Server>| {
        server.as_ref().map(|s| format!("{name} {} ({})", s.version, s.kind))
    };
    let stack = &report.run.stack;
    let known = [server("queue", &stack.queue), server("broker", &stack.broker)];
    let known: Vec<_> = known.into_iter().flatten().collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// What was spoken, where it is not the usual.
pub(super) fn protocol(report: &Report) -> Option<String> {
    let Run { protocol, streams, .. } = &report.run;
    let usual = *protocol != HttpVersion::Http2;
    (!usual).then(|| format!("{protocol}, up to {streams} requests at once on each connection"))
}

/// What it was merged from.
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

/// What a valid generator did.
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
    out.extend(verdict.notes.iter().map(|note| wrapped("  Note      ", note)));
    out.extend(verdict.failures.iter().map(|failure| wrapped("  Failed    ", failure)));
    for threshold in &verdict.thresholds {
        let word = if threshold.ok { "ok" } else { "FAILED" };
        let text = format!("{}: {word} ({})", threshold.expr, it_is(threshold));
        out += &wrapped("  Fail if   ", &text);
    }
    match verdict.reasons.as_slice() {
        [] => out += &wrapped("  Generator ", &format!("valid: {}", why_valid(report))),
        reasons => {
            out += "  Generator LIMITED: do not trust these numbers\n";
            out.extend(reasons.iter().map(|reason| wrapped(INDENT, reason)));
        }
    }
    out
}
