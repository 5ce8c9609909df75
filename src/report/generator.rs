//! The generator's own part of the verdict: why it did not hold its plan, and what it adds to the times.

use super::{Latency, Report};
use crate::clock::Nanos;
use crate::http::cause::Cause;
use crate::latency::Latencies;
use crate::observations::Observations;
use crate::plan::load::Pace;
use crate::plan::{LoadPlan, Mode};
use crate::units::{format_count, format_some, format_time};

/// How late a generator may come to so many of its slots, beyond the tick that it sleeps by plan. Later,
/// what is sent is bursts, not the rate that was asked for; and a stall makes many more slots late than those that were due in it, as
/// they stand in line behind these.
const PACING_LIMITS: [(f64, &str, Nanos); 3] = [
    (0.999, "one request in a thousand", Nanos::from_millis(50)),
    (0.99, "one request in a hundred", Nanos::from_millis(10)),
    (0.5, "every second request", Nanos::from_millis(2)),
];
/// Of the response's 99th percentile, the generator's own part from which on it is worth a note.
const NOTABLE_SHARE: f64 = 0.5;

/// In microseconds: so long a wait for a connection is worth a note.
const LONG_WAIT_US: f64 = 10_000.0;

/// Why the generator did not hold its plan.
pub(super) fn reasons(report: &Report, seen: &Observations) -> Vec<String> {
    let mut reasons = shortages(report);
    if let Mode::Open { .. } = seen.plan.load.mode {
        let (pacing, tick) = (&seen.load.pacing, tick(&seen.plan.load));
        for (quantile, words, limit) in PACING_LIMITS {
            let late = tail(pacing, quantile);
            if late > limit + tick {
                reasons.push(format!(
                    "{words} was due {} or more before the generator came to it (limit {} beyond the \
                     tick): this machine is too busy for the rate",
                    format_time(late.as_micros_f64()),
                    format_time(limit.as_micros_f64()),
                ));
            }
        }
    }
    reasons
}

/// What this machine ran out of, and the cure.
fn shortages(report: &Report) -> Vec<String> {
    let own = Cause::ALL.into_iter().filter(|(cause, _)| cause.is_own());
    own.filter_map(|(cause, name)| {
        let count = *report.requests.errors.by_cause.get(name)?;
        let failed = format_some(count, "request or connection", "requests or connections");
        let (lack, cure) = match cause {
            Cause::NoLocalPort => (
                "this machine had no free local port",
                "keep connections open (no --disable-keepalive), or widen net.ipv4.ip_local_port_range",
            ),
            Cause::TooManyOpenFiles => (
                "the limit on open files was reached",
                "raise it with ulimit -n, or take fewer --connections",
            ),
            _ => ("the kernel had no memory for sockets", "take fewer --connections"),
        };
        Some(format!("{failed} failed because {lack}: {cure}"))
    })
    .collect()
}

/// How long a worker sleeps by plan while slots fall due.
fn tick(load: &LoadPlan) -> Nanos {
    match load.pace {
        Pace::Tick(tick) => tick,
        Pace::Spin => Nanos::ZERO,
    }
}

/// A quantile; of a sample too small for it, the next lower one, and of the smallest the largest value.
fn tail(latencies: &Latencies, quantile: f64) -> Nanos {
    let lower = [quantile, 0.99, 0.5].into_iter().filter(|q| *q <= quantile);
    let known = lower.into_iter().find_map(|q| latencies.quantile(q));
    known.or(latencies.max()).unwrap_or_default()
}

/// Notes on the generator's part of the times.
pub(super) fn notes(report: &Report, seen: &Observations) -> Vec<String> {
    let mut notes = Vec::new();
    if report.requests.unrequested_answers > 0 {
        notes.push(format!(
            "{} came that no request was waiting for: the target answers more than it is asked; their \
             connections were closed",
            format_some(report.requests.unrequested_answers, "answer", "answers")
        ));
    }
    notes.extend(connection_waits(report));
    if let (Some(pacing), Some(response)) = (report.latency.pacing.p99, report.latency.response.p99)
        && matches!(seen.plan.load.mode, Mode::Open { .. })
        && pacing > response * NOTABLE_SHARE
        && pacing > 1_000.0
    {
        let tick = tick(&seen.plan.load).as_micros_f64();
        let whose = match tick >= pacing * NOTABLE_SHARE {
            true => format!(
                "the wait for the generator's next wake, as --tick is {}",
                format_time(tick)
            ),
            false => "the generator's own lateness".to_owned(),
        };
        notes.push(format!(
            "of the response's p99 of {}, up to {} is {whose}",
            format_time(response),
            format_time(pacing)
        ));
    }
    if let Some(share) = busy_share(report, seen).filter(|_| seen.plan.load.mode == Mode::Closed) {
        notes.push(format!(
            "the generator was busy {share:.0}% of its threads' time: Requests/sec may be its limit, \
             not the target's"
        ));
    }
    notes
}

/// How busy the generator was, in percent of its threads' time, if that is close to all. To look for the
/// next answer is to wait.
fn busy_share(report: &Report, seen: &Observations) -> Option<f64> {
    let generator = report.resources.iter().find(|used| used.component == "generator")?;
    let looked = seen.traffic.looked.as_secs_f64() / report.run.duration_s * 100.0;
    let share = (generator.cpu_percent_mean - looked) / report.run.threads as f64;
    // The kernel counts in hundredths of a second.
    (share >= 90.0 && report.run.duration_s >= 0.2).then_some(share)
}

/// A generator that comes to each request in time may still have nothing to send it on.
fn connection_waits(report: &Report) -> Option<String> {
    let Latency { lateness, pacing, connect, .. } = &report.latency;
    let (late, paced) = (lateness.p50?, pacing.p50?);
    if report.run.mode != "open" || connect.is_some() || late - paced < LONG_WAIT_US {
        return None;
    }
    let late = format_time(late);
    let which = match report.run.connections {
        1 => "the one connection".to_owned(),
        n => format!("one of {} connections", format_count(n)),
    };
    Some(format!(
        "half of the requests waited {late} or more for {which}: the target is slower than the rate, or \
         needs more --connections"
    ))
}
