//! Output of each program, read into the same figures.

use anyhow::{Context as _, ensure};
use loadgen::report::Distribution;
use serde_json::Value;

use super::common;

/// Figures that a program prints; latencies in microseconds, `None` if it prints none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    /// Answered requests.
    pub(crate) requests: f64,
    /// Answered a second; in an open loop sent a second, where the program tells the difference.
    pub(crate) per_s: f64,
    /// Planned → answered.
    pub(crate) response: Latency,
    /// Sent → answered.
    pub(crate) service: Latency,
    /// Planned → sent.
    pub(crate) lateness: Latency,
}

/// Two percentiles.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Latency {
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
}

impl From<&Distribution> for Latency {
    fn from(distribution: &Distribution) -> Self {
        Self { p50: distribution.p50, p99: distribution.p99 }
    }
}

pub(crate) fn loadgen(output: &str) -> anyhow::Result<Figures> {
    let report = common::report(output)?;
    let requests = &report.requests;
    ensure!(requests.failed + requests.unfinished == 0, "requests failed");
    Ok(Figures {
        requests: requests.completed as f64,
        per_s: requests.rate_achieved,
        response: (&report.latency.response).into(),
        service: (&report.latency.service).into(),
        lateness: (&report.latency.lateness).into(),
    })
}

/// wrk, with `--latency`.
pub(crate) fn wrk(output: &str) -> anyhow::Result<Figures> {
    let service = Latency { p50: wrk_percentile(output, 50.0), p99: wrk_percentile(output, 99.0) };
    Ok(Figures { service, ..wrk_totals(output)? })
}

/// wrk2, with `--latency --u_latency`: first what it measures from the plan, then from the send.
///
/// wrk2 discards the values of its first ten seconds. If a run ends soon after, too few values are left for
/// percentiles, and none are returned.
pub(crate) fn wrk2(output: &str) -> anyhow::Result<Figures> {
    let totals = wrk_totals(output)?;
    let (planned, sent) = output.split_once("Uncorrected Latency").context("no -U")?;
    let latency = |part| {
        let count = number_after(part, "Total count    =").unwrap_or_default();
        let most = count > totals.requests / 2.0;
        let at = |percent| most.then(|| wrk_percentile(part, percent)).flatten();
        Latency { p50: at(50.0), p99: at(99.0) }
    };
    Ok(Figures { response: latency(planned), service: latency(sent), ..totals })
}

fn wrk_totals(output: &str) -> anyhow::Result<Figures> {
    for trouble in ["Socket errors", "Non-2xx"] {
        let line = output.lines().find(|line| line.trim().starts_with(trouble));
        ensure!(line.is_none(), "{}", line.unwrap_or_default().trim());
    }
    let requests = output.lines().find_map(|line| line.trim().split_once(" requests in "));
    let requests = requests.context("no number of requests")?.0.parse()?;
    let per_s = number_after(output, "Requests/sec:").context("no rate")?;
    Ok(Figures { requests, per_s, ..Figures::default() })
}

/// A line such as ` 50.000%    1.15ms`, in microseconds.
fn wrk_percentile(output: &str, percent: f64) -> Option<f64> {
    let value = output.lines().find_map(|line| {
        let (share, value) = line.trim().split_once('%')?;
        (share.parse::<f64>().ok()? == percent).then(|| value.trim())
    })?;
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 6e7)];
    let (unit, micros) = units.into_iter().find(|(unit, _)| value.ends_with(unit))?;
    Some(value.strip_suffix(unit)?.parse::<f64>().ok()? * micros)
}

pub(crate) fn h2load(output: &str) -> anyhow::Result<Figures> {
    let requests = number_after(output, "status codes:").context("no status codes")?;
    ensure!(output.contains(" 0 failed, 0 errored, 0 timeout"), "requests failed");
    let finished = output.lines().find(|line| line.starts_with("finished in "));
    let rate = finished.and_then(|line| line.split(", ").nth(1)).context("no rate")?;
    let per_s = rate.trim_end_matches(" req/s").parse()?;
    Ok(Figures { requests, per_s, ..Figures::default() })
}

/// oha in a closed loop, where it measures from the send.
pub(crate) fn oha_closed(output: &str) -> anyhow::Result<Figures> {
    let (figures, service) = oha(output)?;
    Ok(Figures { service, ..figures })
}

/// oha with `--latency-correction`, where it measures from the plan.
pub(crate) fn oha_open(output: &str) -> anyhow::Result<Figures> {
    let (figures, response) = oha(output)?;
    Ok(Figures { response, ..figures })
}

fn oha(output: &str) -> anyhow::Result<(Figures, Latency)> {
    let json: Value = serde_json::from_str(output).context("oha printed no JSON")?;
    let by_status = json["statusCodeDistribution"].as_object().context("no status codes")?;
    ensure!(by_status.keys().all(|status| status == "200"), "not all answers were 200");
    let requests = by_status.values().filter_map(Value::as_f64).sum();
    let per_s = json["summary"]["requestsPerSec"].as_f64().context("no rate")?;
    let at = |name: &str| Some(json["latencyPercentiles"][name].as_f64()? * 1e6);
    let latency = Latency { p50: at("p50"), p99: at("p99") };
    Ok((Figures { requests, per_s, ..Figures::default() }, latency))
}

pub(crate) fn zrk(output: &str) -> anyhow::Result<Figures> {
    let json: Value = serde_json::from_str(output).context("zrk printed no JSON")?;
    ensure!(json["error_rate"].as_f64() == Some(0.0), "requests failed");
    let at = |name: &str| json["latency_us"][name].as_f64();
    Ok(Figures {
        requests: json["requests"].as_f64().context("no number of requests")?,
        per_s: json["achieved_rate"].as_f64().context("no rate")?,
        response: Latency { p50: at("p50"), p99: at("p99") },
        ..Figures::default()
    })
}

/// The number that follows these words.
fn number_after(text: &str, words: &str) -> Option<f64> {
    let rest = text.split_once(words)?.1.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().ok()
}
