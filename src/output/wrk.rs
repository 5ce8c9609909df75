//! wrk's block: its lines, in its words and at its widths, so that what reads wrk's output reads ours.
//! Only what wrk would say that is not so is said otherwise: a percentile of a sample too small for it
//! is `n/a`, and a length of 90 s is not called two minutes.

use std::fmt::Write as _;

use crate::core::units::{
    align, format_binary, format_length, format_metric, format_some, format_time,
};
use crate::report::{Distribution, Report, Requests};

/// The block; `distribution` is wrk's `--latency`.
pub(super) fn block(report: &Report, distribution: bool) -> String {
    let Report { run, requests, .. } = report;
    let latency = latency(report);
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "Running {} @ {}", length(report), run.target);
    let _ = writeln!(out, "  {} threads and {} connections", run.threads, run.connections);
    let _ =
        writeln!(out, "  Thread Stats{:>6}{:>11}{:>8}{:>12}", "Avg", "Stdev", "Max", "+/- Stdev");
    let within = latency.latencies().ok().and_then(|all| all.share_within_stdev());
    let within = within.map(|share| share * 100.0);
    let is_empty = requests.completed == 0;
    let zero = is_empty.then_some(0.0);
    let figures = [latency.mean, latency.stdev, latency.max];
    let figures = figures.map(|figure| figure.or(zero).map(format_time));
    out += &stats("Latency", figures, within, is_empty);
    let rates = &requests.per_thread;
    let figures = [rates.mean, rates.stdev, rates.max];
    let figures = figures.map(|figure| figure.or(zero).map(format_metric));
    out += &stats("Req/Sec", figures, rates.within_stdev_percent, is_empty);
    if distribution {
        out += &percentiles(latency);
    }
    out += &totals(requests, run.duration_s);
    out
}

/// What wrk and wrk2 call latency: in a closed loop from the send, in an open one from when the request
/// was due.
fn latency(report: &Report) -> &Distribution {
    match report.run.rate_target {
        None => &report.latency.service,
        Some(_) => &report.latency.response,
    }
}

/// The length of the run: a time as wrk has it, or the number of requests where that ends it.
fn length(report: &Report) -> String {
    match report.run.requests_limit {
        Some(_) => format_some(report.requests.planned, "request", "requests"),
        None => format!("{} test", format_length(report.run.duration_s)),
    }
}

/// Mean, deviation, largest, and the share within a deviation. Where nothing was answered they are wrk's
/// zeros and `-nan`; what is not known of answers is `n/a`.
fn stats(name: &str, figures: [Option<String>; 3], within: Option<f64>, is_empty: bool) -> String {
    let unknown = if is_empty { "-nan%" } else { "n/a " };
    let within = within.map_or_else(|| unknown.to_owned(), |percent| format!("{percent:.2}%"));
    let [mean, stdev, max] = figures.map(|figure| figure.unwrap_or_else(|| "n/a".to_owned()));
    let (mean, stdev, max) = (align(&mean, 8), align(&stdev, 10), align(&max, 9));
    format!("    {name:<10}{mean}{stdev}{max}{within:>9}\n")
}

fn percentiles(latency: &Distribution) -> String {
    let mut out = "  Latency Distribution\n".to_owned();
    for (percent, value) in
        [(50, latency.p50), (75, latency.p75), (90, latency.p90), (99, latency.p99)]
    {
        let value = value.map_or_else(|| "n/a".to_owned(), format_time);
        let _ = writeln!(out, "{percent:>7}%{}", align(&value, 10));
    }
    out
}

fn totals(requests: &Requests, sending_s: f64) -> String {
    let span = requests.answered_after_s.max(sending_s);
    let bytes = requests.bytes_read as f64;
    let mut out = format!(
        "  {} requests in {}, {}B read\n",
        requests.completed,
        format_time(span * 1e6),
        format_binary(bytes)
    );
    let errors = &requests.errors;
    // An answer that is not HTTP is a read error to wrk.
    let read = errors.read + errors.protocol;
    if errors.connect + read + errors.write + errors.timeout > 0 {
        let _ = writeln!(
            out,
            "  Socket errors: connect {}, read {read}, write {}, timeout {}",
            errors.connect, errors.write, errors.timeout
        );
    }
    let odd = requests.refused();
    if odd > 0 {
        let _ = writeln!(out, "  Non-2xx or 3xx responses: {odd}");
    }
    let bytes_per_s = if span > 0.0 { bytes / span } else { 0.0 };
    let _ = writeln!(out, "Requests/sec: {:>9.2}", requests.completed_per_s);
    let _ = writeln!(out, "Transfer/sec: {:>10}B", format_binary(bytes_per_s));
    out
}
