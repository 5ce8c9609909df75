//! wrk's block of numbers, with wrk's lines, words and widths, so that programs that read wrk's output read ours too. Two
//! things differ, because wrk would print a wrong number: a percentile of too few values is `n/a`, and a length of 90 s
//! is not rounded to two minutes.

use std::fmt::Write as _;

use crate::core::units::{
    align, format_binary, format_length, format_metric, format_some, format_wrk_time,
};
use crate::output::number::NOT_AVAILABLE;
use crate::report::{Distribution, Report, Requests};

/// The block. `distribution` is wrk's `--latency`.
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
    let times = [latency.mean, latency.stdev, latency.max];
    let times = times.map(|time| time.or(zero).map(format_wrk_time));
    out += &stats("Latency", times, within, is_empty);
    let per_thread = &requests.per_thread;
    let rates = [per_thread.mean, per_thread.stdev, per_thread.max];
    let rates = rates.map(|rate| rate.or(zero).map(format_metric));
    out += &stats("Req/Sec", rates, per_thread.within_stdev_percent, is_empty);
    if distribution {
        out += &percentiles(latency);
    }
    out += &totals(requests, run.duration_s);
    out
}

/// The latency of wrk and wrk2: in a closed loop from the send, in an open loop from the due time.
fn latency(report: &Report) -> &Distribution {
    match report.run.rate_target {
        None => &report.latency.service,
        Some(_) => &report.latency.response,
    }
}

/// Length of the run: a time in wrk's format, or the number of requests if that ends the run.
fn length(report: &Report) -> String {
    match report.run.requests_limit {
        Some(_) => format_some(report.requests.planned, "request", "requests"),
        None => format!("{} test", format_length(report.run.duration_s)),
    }
}

/// Mean, standard deviation, maximum, and the share within one standard deviation of the mean. Without answers the share is
/// wrk's `-nan`; a number that is not known is `n/a`.
fn stats(name: &str, numbers: [Option<String>; 3], within: Option<f64>, is_empty: bool) -> String {
    let unknown = if is_empty { "-nan%" } else { "n/a " };
    let within = within.map_or_else(|| unknown.to_owned(), |percent| format!("{percent:.2}%"));
    let [mean, stdev, max] =
        numbers.map(|number| number.unwrap_or_else(|| NOT_AVAILABLE.to_owned()));
    let (mean, stdev, max) = (align(&mean, 8), align(&stdev, 10), align(&max, 9));
    format!("    {name:<10}{mean}{stdev}{max}{within:>9}\n")
}

fn percentiles(latency: &Distribution) -> String {
    let mut out = "  Latency Distribution\n".to_owned();
    for (percent, value) in
        [(50, latency.p50), (75, latency.p75), (90, latency.p90), (99, latency.p99)]
    {
        let value = value.map_or_else(|| NOT_AVAILABLE.to_owned(), format_wrk_time);
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
        format_wrk_time(span * 1e6),
        format_binary(bytes)
    );
    let errors = &requests.errors;
    // wrk counts an answer that is not HTTP as a read error.
    let read = errors.read + errors.protocol;
    if errors.connect + read + errors.write + errors.timeout > 0 {
        let _ = writeln!(
            out,
            "  Socket errors: connect {}, read {read}, write {}, timeout {}",
            errors.connect, errors.write, errors.timeout
        );
    }
    let refused = requests.refused();
    if refused > 0 {
        let _ = writeln!(out, "  Non-2xx or 3xx responses: {refused}");
    }
    let bytes_per_s = if span > 0.0 { bytes / span } else { 0.0 };
    let _ = writeln!(out, "Requests/sec: {:>9.2}", requests.completed_per_s);
    let _ = writeln!(out, "Transfer/sec: {:>10}B", format_binary(bytes_per_s));
    out
}
