//! The report for people: wrk's block of numbers first, then what wrk does not know.

use std::fmt::Write as _;
use std::time::Duration;

use super::requests::request_rows;
use super::table::table;
use super::{Messages, Quantiles, Report, Requests, Run};
use crate::latency::Latencies;
use crate::units::{
    align, format_binary, format_count, format_duration, format_metric, format_time,
};

/// What the text shows beside the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TextOptions {
    /// wrk's `--latency`: the distribution, and the long percentiles.
    pub latency: bool,
}

/// The whole text.
pub fn text(report: &Report, options: TextOptions) -> String {
    let sections = [
        wrk_block(report, options),
        latencies(report, options),
        table(&request_rows(report)),
        stages(report),
        account(report),
        resources(report),
        verdict(report),
    ];
    sections.into_iter().filter(|section| !section.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The lines that wrk prints, at wrk's widths.
fn wrk_block(report: &Report, options: TextOptions) -> String {
    let Report { run, requests, latency, .. } = report;
    let mut out = String::new();
    let span = Duration::try_from_secs_f64(run.duration_s).unwrap_or_default();
    let rounded = Duration::from_millis((span.as_secs_f64() * 1e3).round() as u64);
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "Running {} test @ {}", format_duration(rounded), run.target);
    let _ = writeln!(out, "  {} threads and {} connections", run.threads, run.connections);
    let _ =
        writeln!(out, "  Thread Stats{:>6}{:>11}{:>8}{:>12}", "Avg", "Stdev", "Max", "+/- Stdev");
    let response = &latency.response;
    let within = Latencies::from_hdr(&response.hdr).ok().and_then(|all| all.share_within_stdev());
    let figures = [response.mean, response.stdev, response.max, within.map(|share| share * 100.0)];
    out += &thread_stats("Latency", figures, format_time);
    let rates = &requests.per_thread;
    let figures = [rates.mean, rates.stdev, rates.max, rates.within_stdev_percent];
    out += &thread_stats("Req/Sec", figures, format_metric);
    if options.latency {
        out += "  Latency Distribution\n";
        for (percent, value) in
            [(50, response.p50), (75, response.p75), (90, response.p90), (99, response.p99)]
        {
            let _ = writeln!(out, "{percent:>7}%{}", align(&time(value), 10).trim_end());
        }
    }
    out += &wrk_totals(requests);
    out
}

fn thread_stats(name: &str, figures: [Option<f64>; 4], format: fn(f64) -> String) -> String {
    let [mean, stdev, max, within] = figures;
    let cell =
        |value: Option<f64>, width| align(&value.map_or_else(|| "n/a".to_owned(), format), width);
    let within = within.map_or_else(|| "n/a".to_owned(), |percent| format!("{percent:.2}%"));
    format!("    {name:<10}{}{}{}{within:>9}\n", cell(mean, 8), cell(stdev, 10), cell(max, 9))
}

fn wrk_totals(requests: &Requests) -> String {
    let mut out = String::new();
    let span = requests.answered_after_s;
    let _ = writeln!(
        out,
        "  {} requests in {}, {}B read",
        requests.completed,
        format_time(span * 1e6),
        format_binary(requests.bytes_read as f64)
    );
    let errors = &requests.errors;
    if errors.connect + errors.read + errors.write + errors.timeout + errors.protocol > 0 {
        let _ = writeln!(
            out,
            "  Socket errors: connect {}, read {}, write {}, timeout {}",
            errors.connect,
            errors.read + errors.protocol,
            errors.write,
            errors.timeout
        );
    }
    let odd =
        requests.status.iter().filter(|(status, _)| !matches!(status.as_bytes()[0], b'2' | b'3'));
    let odd: u64 = odd.map(|(_, count)| count).sum();
    if odd > 0 {
        let _ = writeln!(out, "  Non-2xx or 3xx responses: {odd}");
    }
    let bytes_per_s = if span > 0.0 { requests.bytes_read as f64 / span } else { 0.0 };
    let _ = writeln!(out, "Requests/sec: {:>9.2}", requests.completed_per_s);
    let _ = writeln!(out, "Transfer/sec: {:>10}B", format_binary(bytes_per_s));
    out
}

/// A time, or `n/a` where the sample is too small for it.
pub(super) fn time(micros: Option<f64>) -> String {
    micros.map_or_else(|| "n/a".to_owned(), format_time)
}

fn quantile_row(name: &str, q: &Quantiles, options: TextOptions) -> Vec<String> {
    let mut row = vec![name.to_owned(), time(q.p50), time(q.p90), time(q.p99), time(q.p99_9)];
    if options.latency {
        row.push(time(q.p99_99));
    }
    row.push(time(q.max));
    row
}

fn latencies(report: &Report, options: TextOptions) -> String {
    table(&latency_rows(report, options))
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
        rows.push(quantile_row("  lateness  due → sent", &latency.lateness, options));
    }
    if let Some(connect) = &latency.connect {
        rows.push(quantile_row("  connect   of lateness", connect, options));
    }
    rows
}

fn stages(report: &Report) -> String {
    if report.stages.is_empty() {
        return String::new();
    }
    table(&stage_rows(report))
}

/// The stages, a row each; the first row is the head.
pub(super) fn stage_rows(report: &Report) -> Vec<Vec<String>> {
    let bound = report.run.clock.error_bound_us;
    let sampled = report.stages.iter().map(|s| s.quantiles.count).max().unwrap_or(0);
    let clock = bound.map(|bound| format!(", clock ± {}", format_time(bound))).unwrap_or_default();
    let title =
        format!("Stages of {} messages (1 in {}{clock})", format_count(sampled), report.run.sample);
    let mut rows =
        vec![[title.as_str(), "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned).to_vec()];
    for stage in &report.stages {
        let name = format!("  {} → {}", stage.from, stage.to);
        let fine = |value: Option<f64>| match (value, bound) {
            // Rounded to the clock's bound it says nothing but this.
            (Some(0.0), Some(bound)) => format!("<{}", format_time(bound)),
            _ => time(value),
        };
        let q = &stage.quantiles;
        rows.push(vec![name, fine(q.p50), fine(q.p90), fine(q.p99), fine(q.p99_9), fine(q.max)]);
    }
    rows
}

fn account(report: &Report) -> String {
    let requests = &report.requests;
    let mut out = format!(
        "  Requests  {} planned = {} sent + {} dropped; {} completed, {} failed, {} unfinished\n",
        format_count(requests.planned),
        format_count(requests.sent),
        format_count(requests.dropped),
        format_count(requests.completed),
        format_count(requests.failed),
        format_count(requests.unfinished),
    );
    if requests.errors.protocol > 0 {
        let _ = writeln!(
            out,
            "            {} answers were not HTTP",
            format_count(requests.errors.protocol)
        );
    }
    if let Some(messages) = &report.messages {
        out += &message_account(messages);
    }
    out
}

fn message_account(messages: &Messages) -> String {
    let mut out = format!(
        "  Messages  {} accepted, {} arrived, {} lost, {} unknown; {} duplicated, {} reordered, {} unexpected\n",
        format_count(messages.accepted),
        format_count(messages.arrived),
        format_count(messages.lost),
        format_count(messages.unknown),
        format_count(messages.duplicated),
        format_count(messages.reordered),
        format_count(messages.unexpected),
    );
    let named = [("lost", &messages.examples.lost), ("duplicated", &messages.examples.duplicated)];
    for (kind, ids) in named.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let ids: Vec<_> = ids.iter().map(u64::to_string).collect();
        let _ = writeln!(out, "            first {kind}: {}", ids.join(" "));
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
    let server = |name: &str, server: &Option<super::Server>| {
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
    let usual = matches!(protocol.as_str(), "" | "HTTP/1.1");
    (!usual).then(|| format!("{protocol}, up to {streams} requests at once on each connection"))
}

/// What it was merged from.
pub(super) fn parts(report: &Report) -> Option<String> {
    let parts = report.run.parts.as_ref()?;
    let nodes: Vec<_> = parts.nodes.iter().map(u64::to_string).collect();
    let partial = if report.run.partial { ": PARTIAL" } else { "" };
    Some(format!("node {} of {}{partial}", nodes.join(", "), parts.count))
}

fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let mut out = String::new();
    if let Some(parts) = parts(report) {
        let _ = writeln!(out, "  Parts     {parts}");
    }
    if let Some(protocol) = protocol(report) {
        let _ = writeln!(out, "  Protocol  {protocol}");
    }
    if let Some(servers) = servers(report) {
        let _ = writeln!(out, "  Stack     {servers}");
    }
    for note in &verdict.notes {
        let _ = writeln!(out, "  Note      {note}");
    }
    for threshold in &verdict.thresholds {
        let value = threshold.value.map_or_else(|| "n/a".to_owned(), |value| value.to_string());
        let word = if threshold.ok { "ok" } else { "FAILED" };
        let _ = writeln!(out, "  Fail if   {}: {word} (it is {value})", threshold.expr);
    }
    match verdict.reasons.as_slice() {
        [] => out += "  Verdict   valid: the generator was on time\n",
        reasons => {
            out += "  Verdict   LIMITED: do not trust these numbers\n";
            for reason in reasons {
                let _ = writeln!(out, "            {reason}");
            }
        }
    }
    out
}
