//! The report as text: wrk's block of numbers first, then the results that wrk does not have.

use super::machine::{labels, machine};
use super::nodes::{node_section, parts, share_a_host};
use super::number::{
    NOT_AVAILABLE, Statistic, bound_of_zero, cpu_per_request_us, statistic_rows, time,
};
use super::requests::request_rows;
use super::style::{TextStyle, Tone};
use super::table::{fitted, fitted_table};
use super::wrk::block;
use crate::core::units::{TimeUnit, format_count, format_memory, format_time};
use crate::report::lookup::it_is;
use crate::report::result::{Allowed, RESULT_LABEL, RunResult};
use crate::report::{
    Distribution, Errors, Generator, HttpVersion, Latency, Messages, Report, Run, Script,
    ThresholdResult,
};

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

/// The whole text, as files and pipes have it.
pub fn text(report: &Report, options: TextOptions) -> String {
    styled_text(report, options, TextStyle::PLAIN)
}

/// The whole text in a style.
pub(crate) fn styled_text(report: &Report, options: TextOptions, style: TextStyle) -> String {
    let sections = [
        block(report, options.latency, style),
        latencies(report, options, style),
        fitted_table(&request_rows(report), style),
        stages(report, style),
        account(report, style),
        fitted_table(&resource_rows(report), style),
        node_section(report, style),
        verdict(report, style),
        result_line(&RunResult::of_run(report, options.allowed), style),
    ];
    let sections = sections.into_iter().filter(|section| !section.is_empty());
    style.with_characters(sections.collect::<Vec<_>>().join("\n"))
}

/// The last line of a text.
pub(super) fn result_line(result: &RunResult, style: TextStyle) -> String {
    let tone = if result.falls_short() {
        Tone::Warning
    } else if result.passed() {
        Tone::Good
    } else {
        Tone::Bad
    };
    result_words(&result.to_string(), tone, style)
}

/// The last line of a text, from its words.
pub(crate) fn result_words(words: &str, tone: Tone, style: TextStyle) -> String {
    if !style.is_terminal() {
        // Programs read this line: it is never broken.
        return format!("{RESULT_LABEL}{words}\n");
    }
    let label = style.paint(tone, RESULT_LABEL);
    style.with_characters(fitted(&label, &style.verdict(tone, words), style))
}

/// Percentiles of a row, and the maximum.
pub(super) fn statistics(options: TextOptions) -> Vec<Statistic> {
    let mut all = vec![Statistic::P50, Statistic::P90, Statistic::P99, Statistic::P99_9];
    if options.latency {
        all.push(Statistic::P99_99);
    }
    all.push(Statistic::Max);
    all
}

/// Numbers that distributions of a few values have, in place of percentiles that none of them has.
const OF_FEW_VALUES: [Statistic; 3] = [Statistic::Min, Statistic::Mean, Statistic::Max];

/// Returns true if no distribution has enough values for a percentile.
fn are_too_few<'a>(mut all: impl Iterator<Item = &'a Distribution>) -> bool {
    all.all(|distribution| distribution.p50.is_none())
}

fn latencies(report: &Report, options: TextOptions, style: TextStyle) -> String {
    let Latency { response, service, .. } = &report.latency;
    let main = [response, service].into_iter().chain(&report.arrival);
    let columns = if are_too_few(main) { OF_FEW_VALUES.to_vec() } else { statistics(options) };
    let mut rows = latency_rows(report, &columns);
    let is_empty = |row: &Vec<String>| row[1..].iter().all(|cell| cell == NOT_AVAILABLE);
    if rows[1..].iter().all(is_empty) {
        rows.truncate(1);
    }
    titled(rows, style)
}

/// A table below its title, which is the first cell of its first row. Title and column names in one line would not fit a
/// terminal of 80 columns.
pub(super) fn titled(mut rows: Vec<Vec<String>>, style: TextStyle) -> String {
    let title = rows.first_mut().and_then(|head| head.first_mut()).map(std::mem::take);
    let title = style.paint(Tone::Title, &title.unwrap_or_default());
    let table = if rows.len() > 1 { fitted_table(&rows, style) } else { String::new() };
    fitted("  ", &title, style) + &table
}

/// A row for each distribution, below a row of column names.
pub(super) fn latency_rows(report: &Report, columns: &[Statistic]) -> Vec<Vec<String>> {
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
    let mut rows = vec![vec![loop_name(&report.run)]];
    rows[0].extend(columns.iter().map(|statistic| statistic.label()));
    let times: Vec<_> = named.iter().map(|row| row.times).collect();
    for (row, cells) in named.iter().zip(statistic_rows(&times, columns)) {
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

fn stages(report: &Report, style: TextStyle) -> String {
    if report.stages.is_empty() {
        return String::new();
    }
    let all = report.stages.iter().map(|stage| &stage.distribution);
    let columns = if are_too_few(all) { &OF_FEW_VALUES[..] } else { &OF_STAGES };
    titled(stage_rows(report, columns), style)
}

/// Numbers of a stage.
pub(super) const OF_STAGES: [Statistic; 5] =
    [Statistic::P50, Statistic::P90, Statistic::P99, Statistic::P99_9, Statistic::Max];

/// A row for each stage, below a row of column names.
pub(super) fn stage_rows(report: &Report, columns: &[Statistic]) -> Vec<Vec<String>> {
    let bound = report.run.clock.error_bound_us;
    let clock = bound.map(|bound| format!(", clock ± {}", format_time(bound))).unwrap_or_default();
    let mut head =
        vec![format!("Stages of 1 message in {}{clock}", report.run.sample), "messages".to_owned()];
    head.extend(columns.iter().map(|statistic| statistic.label()));
    let mut rows = vec![head];
    let unit_of = |statistic: &Statistic| {
        let times = report.stages.iter().filter_map(|stage| statistic.of(&stage.distribution));
        TimeUnit::of_column(times.chain(bound))
    };
    let units: Vec<_> = columns.iter().map(unit_of).collect();
    for stage in &report.stages {
        let times = &stage.distribution;
        let mut row = vec![format!("  {} → {}", stage.from, stage.to), format_count(times.count)];
        for (statistic, unit) in columns.iter().zip(&units) {
            row.push(stage_time(statistic.of(times), bound, *unit));
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

/// A count with its name; one above 0 is painted.
fn count(count: u64, name: &str, tone: Tone, style: TextStyle) -> String {
    let text = format!("{} {name}", format_count(count));
    if count > 0 { style.paint(tone, &text) } else { text }
}

fn account(report: &Report, style: TextStyle) -> String {
    let requests = &report.requests;
    let mut lines = vec![
        format!(
            "{} planned = {} sent + {}",
            format_count(requests.planned),
            format_count(requests.sent),
            count(requests.dropped, "dropped", Tone::Warning, style),
        ),
        format!(
            "{} completed, {}, {}",
            format_count(requests.completed),
            count(requests.failed, "failed", Tone::Bad, style),
            count(requests.unfinished, "unfinished", Tone::Warning, style),
        ),
    ];
    if requests.status.keys().any(|status| !status.starts_with('2')) {
        let mut all = Vec::new();
        for (status, count) in &requests.status {
            all.push(format!("{status}: {}", format_count(*count)));
        }
        lines.push(format!("by status {}", all.join("; ")));
    }
    if requests.errors.protocol > 0 {
        lines.push(format!("{} answers were not HTTP", format_count(requests.errors.protocol)));
    }
    if !requests.errors.by_cause.is_empty() {
        lines.push(format!("failed by cause {}", causes(&requests.errors)));
    }
    let mut out = labelled("  Requests  ", &lines, style);
    if let Some(messages) = &report.messages {
        out += &labelled("  Messages  ", &message_account(messages, style), style);
    }
    if let Some(script) = &report.script {
        out += &fitted("  Script    ", &script_use(script), style);
    }
    out
}

/// Lines below each other, the first after the label.
fn labelled(label: &str, lines: &[String], style: TextStyle) -> String {
    let labels = std::iter::once(label).chain(std::iter::repeat(INDENT));
    labels.zip(lines).map(|(label, line)| fitted(label, line, style)).collect()
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

fn message_account(messages: &Messages, style: TextStyle) -> Vec<String> {
    let missed = match messages.missed {
        0 => String::new(),
        missed => format!("{}, ", count(missed, "missed", Tone::Warning, style)),
    };
    let mut lines = vec![
        format!(
            "{} accepted, {} arrived, {}, {missed}{} unknown",
            format_count(messages.accepted),
            format_count(messages.arrived),
            count(messages.lost, "lost", Tone::Bad, style),
            format_count(messages.unknown),
        ),
        format!(
            "{} duplicated, {} reordered, {} unexpected ({} foreign)",
            format_count(messages.duplicated),
            format_count(messages.reordered),
            format_count(messages.unexpected),
            format_count(messages.foreign),
        ),
    ];
    lines.extend(examples("lost", &messages.examples.lost));
    lines.extend(examples("duplicated", &messages.examples.duplicated));
    lines
}

/// The first ids of lost or duplicated messages; `None` if there are none.
fn examples(kind: &str, ids: &[u64]) -> Option<String> {
    let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
    (!ids.is_empty()).then(|| format!("first {kind}: {}", ids.join(" ")))
}

/// A row for each component, below a row of column names; empty if no component was measured.
pub(super) fn resource_rows(report: &Report) -> Vec<Vec<String>> {
    if report.resources.is_empty() {
        return Vec::new();
    }
    let mut rows =
        vec![["Component", "CPU", "CPU max", "CPU/request", "memory"].map(str::to_owned).to_vec()];
    for used in &report.resources {
        rows.push(vec![
            format!("  {}", used.label()),
            format!("{:.1}%", used.cpu_percent_mean),
            format!("{:.1}%", used.cpu_percent_max),
            time(cpu_per_request_us(used, report)),
            format_memory(used.rss_max_bytes as f64),
        ]);
    }
    let machine = report.generator.as_ref().filter(|_| !share_a_host(report));
    rows.extend(machine.and_then(other_processes));
    rows
}

/// The row of all processes of this machine that are not components, in percent of one CPU as the others; `None` if
/// they used next to nothing, or that is not known.
fn other_processes(machine: &Generator) -> Option<Vec<String>> {
    let used = machine.other_cpu_percent.filter(|used| *used >= 1.0)?;
    let percent = format!("{:.1}%", used * machine.cores as f64);
    Some(vec!["  others".to_owned(), percent, String::new(), String::new(), String::new()])
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

/// The reason why the generator is valid.
pub(super) fn why_valid(report: &Report) -> &'static str {
    match report.run.rate_target {
        Some(_) => "the generator was on time",
        None => "a closed loop has no times to miss",
    }
}

fn verdict(report: &Report, style: TextStyle) -> String {
    let verdict = &report.verdict;
    let mut out = String::new();
    for (label, text) in [
        ("  Parts     ", parts(report)),
        ("  Protocol  ", protocol(report)),
        ("  Stack     ", servers(report)),
        ("  Machine   ", machine(report)),
        ("  Labels    ", labels(report)),
    ] {
        out.extend(text.map(|text| fitted(label, &text, style)));
    }
    let label = style.paint(Tone::Warning, "  Note      ");
    out.extend(verdict.notes.iter().map(|note| fitted(&label, &note.to_string(), style)));
    let label = style.paint(Tone::Bad, "  Failed    ");
    let failures = verdict.failures.iter();
    out.extend(failures.map(|failure| fitted(&label, &failure.to_string(), style)));
    for threshold in &verdict.thresholds {
        out += &fitted("  Fail if   ", &condition(threshold, style), style);
    }
    match verdict.reasons.as_slice() {
        [] => {
            let valid = style.verdict(Tone::Good, "valid");
            out += &fitted("  Generator ", &format!("{valid}: {}", why_valid(report)), style);
        }
        reasons => {
            let limited = style.verdict(Tone::Bad, "LIMITED: do not trust these numbers");
            out += &fitted("  Generator ", &limited, style);
            out.extend(reasons.iter().map(|reason| fitted(INDENT, &reason.to_string(), style)));
        }
    }
    out
}

/// A condition with its result.
fn condition(threshold: &ThresholdResult, style: TextStyle) -> String {
    let (tone, word) =
        if threshold.ok { (Tone::Good, "does not hold") } else { (Tone::Bad, "FAILED") };
    if style.is_terminal() {
        // The mark comes first, below those of the other conditions.
        let verdict = style.verdict(tone, &threshold.expr);
        return format!("{verdict}: {} ({})", style.paint(tone, word), it_is(threshold));
    }
    format!("{}: {word} ({})", threshold.expr, it_is(threshold))
}
