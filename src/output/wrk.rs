//! wrk's block of numbers, with wrk's lines, words and widths, so that programs that read wrk's output read ours too. Two
//! things differ, because wrk would print a wrong number: a percentile of too few values is `n/a`, and a length of 90 s
//! is not rounded to two minutes.

use std::fmt::Write as _;

use crate::core::units::{
    align, format_binary, format_length, format_metric, format_some, format_wrk_time,
};
use crate::output::number::NOT_AVAILABLE;
use crate::output::style::TextStyle;
use crate::output::table::{fitted_line, fitted_table};
use crate::report::{Distribution, Report, Requests};

/// Columns of the block's widest line.
const WIDTH: usize = 50;

/// The block. `distribution` is wrk's `--latency`. A terminal that is too narrow has the same numbers in other lines.
pub(super) fn block(report: &Report, distribution: bool, style: TextStyle) -> String {
    let Report { run, requests, .. } = report;
    let latency = latency(report);
    let mut out = String::new();
    // Writing to a String cannot fail, here and below.
    let _ = writeln!(out, "Running {} @ {}", length(report), run.target);
    let _ = writeln!(out, "  {} threads and {} connections", run.threads, run.connections);
    out += &thread_stats(report, latency, style);
    if distribution {
        out += &percentiles(latency);
    }
    out += &totals(requests, run.duration_s);
    if style.is_terminal() {
        return out.lines().map(|line| fitted_line(line, style)).collect();
    }
    out
}

fn thread_stats(report: &Report, latency: &Distribution, style: TextStyle) -> String {
    let requests = &report.requests;
    let within = latency.latencies().ok().and_then(|all| all.share_within_stdev());
    let zero = (requests.completed == 0).then_some(0.0);
    let times = [latency.mean, latency.stdev, latency.max].map(|time| time.or(zero));
    let per_thread = &requests.per_thread;
    let rates = [per_thread.mean, per_thread.stdev, per_thread.max].map(|rate| rate.or(zero));
    // Without answers the share is wrk's `-nan`, which only programs expect.
    let unknown = if zero.is_some() && !style.is_terminal() { "-nan%" } else { "n/a " };
    let times = times.map(|time| known(time.map(format_wrk_time)));
    let rates = rates.map(|rate| known(rate.map(format_metric)));
    let shares = [within.map(|share| share * 100.0), per_thread.within_stdev_percent];
    let [time_share, rate_share] = shares
        .map(|share| share.map_or_else(|| unknown.to_owned(), |percent| format!("{percent:.2}%")));
    if style.width < WIDTH {
        let head = ["Thread Stats", "Avg", "Stdev", "Max", "+/- Stdev"].map(str::to_owned).to_vec();
        let times = [&["  Latency".to_owned()], &times[..], &[time_share]].concat();
        let rates = [&["  Req/Sec".to_owned()], &rates[..], &[rate_share]].concat();
        return fitted_table(&[head, times, rates], style);
    }
    format!(
        "  Thread Stats{:>6}{:>11}{:>8}{:>12}\n{}{}",
        "Avg",
        "Stdev",
        "Max",
        "+/- Stdev",
        stats("Latency", times, &time_share),
        stats("Req/Sec", rates, &rate_share)
    )
}

fn known(number: Option<String>) -> String {
    number.unwrap_or_else(|| NOT_AVAILABLE.to_owned())
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

/// Mean, standard deviation, maximum, and the share within one standard deviation of the mean.
fn stats(name: &str, numbers: [String; 3], within: &str) -> String {
    let [mean, stdev, max] = numbers;
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
