//! The generator's own part of the verdict: why it did not hold its plan, and what it adds to the times.

use crate::config::plan::{LoadConfig, Mode, Pace};
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::core::units::{format_count, format_some, format_time};
use crate::report::{Latency, Report};
use crate::run::measurements::Measurements;

/// Largest lateness of a share of the slots, beyond the tick. With a larger one the generator sends bursts
/// instead of the planned rate. A stall makes more slots late than were due in it, since later slots wait
/// behind them.
const PACING_LIMITS: [(f64, &str, Nanos); 3] = [
    (0.999, "one request in a thousand", Nanos::from_millis(50)),
    (0.99, "one request in a hundred", Nanos::from_millis(10)),
    (0.5, "every second request", Nanos::from_millis(2)),
];
/// Share of the response's 99th percentile from which on the generator's own part is worth a note.
const NOTABLE_SHARE: f64 = 0.5;
/// In microseconds: a shorter wait for a connection is not worth a note.
const NOTABLE_WAIT_US: f64 = 1_000.0;
/// Share of the connections, or of the rate, that is as good as all.
const NEARLY_ALL: f64 = 0.95;
/// Share of the connections' time, in percent, that explains a wait at the 99th percentile if they were not open.
const NOTABLE_LOSS_PERCENT: f64 = 1.0;

/// Share of the load threads' time, in percent, from which on others have limited a closed loop.
const STARVED_PERCENT: f64 = 20.0;
/// The share from which on they explain why an open loop was late.
const EXPLAINING_PERCENT: f64 = 5.0;

/// Why the generator did not hold its plan.
pub(super) fn reasons(report: &Report, seen: &Measurements) -> Vec<String> {
    let mut reasons = shortages(report);
    if let Mode::Open { .. } = seen.plan.load.mode {
        let (pacing, tick) = (&seen.load.pacing, tick(&seen.plan.load));
        for (quantile, words, limit) in PACING_LIMITS {
            let late = tail(pacing, quantile);
            if late > limit + tick {
                reasons.push(format!(
                    "{words} was due {} or more before the generator came to it (limit {} beyond the \
                     tick): {}",
                    format_time(late.as_micros_f64()),
                    format_time(limit.as_micros_f64()),
                    cause_of_lateness(report),
                ));
            }
        }
    } else if let Some(machine) = &report.generator {
        reasons.extend(machine.starved_by(STARVED_PERCENT));
    }
    reasons
}

/// Names the cause of lateness where the machine shows it.
fn cause_of_lateness(report: &Report) -> String {
    let machine = report.generator.as_ref();
    if let Some(cause) = machine.and_then(|machine| machine.starved_by(EXPLAINING_PERCENT)) {
        return cause;
    }
    match machine {
        Some(machine) if machine.run_queue_percent > EXPLAINING_PERCENT => format!(
            "this machine is too busy for the rate: the load threads waited {:.0}% of their time for a CPU \
             that the servers under test or loadgen itself used",
            machine.run_queue_percent
        ),
        _ => "this machine is too busy for the rate".to_owned(),
    }
}

/// Shortages of this machine that made requests fail, and the cure.
fn shortages(report: &Report) -> Vec<String> {
    report.generator.iter().flat_map(|machine| &machine.out_of).map(|(name, count): (&String, &u64)| {
        let failed = format_some(*count, "request or connection", "requests or connections");
        let (lack, cure) = match name.as_str() {
            "no_local_port" => (
                "this machine had no free local port",
                "keep connections open (no --disable-keepalive), or widen net.ipv4.ip_local_port_range",
            ),
            "too_many_open_files" => (
                "the limit on open files was reached",
                "raise it with ulimit -n, or take fewer --connections",
            ),
            _ => ("the kernel had no memory for sockets", "take fewer --connections"),
        };
        format!("{failed} failed because {lack}: {cure}")
    }).collect()
}

/// Planned sleep of a worker while slots become due.
fn tick(load: &LoadConfig) -> Nanos {
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
pub(super) fn notes(report: &Report, seen: &Measurements) -> Vec<String> {
    let mut notes = Vec::new();
    if report.requests.unrequested_answers > 0 {
        notes.push(format!(
            "{} came that no request was waiting for: the target answers more than it is asked; their \
             connections were closed",
            format_some(report.requests.unrequested_answers, "answer", "answers")
        ));
    }
    notes.extend(connection_waits(report));
    notes.extend(machine_notes(report));
    if let (Some(pacing), Some(response)) = (report.latency.pacing.p99, report.latency.response.p99)
        && matches!(seen.plan.load.mode, Mode::Open { .. })
        && pacing > response * NOTABLE_SHARE
        && pacing > 1_000.0
    {
        let tick = tick(&seen.plan.load).as_micros_f64();
        let whose = if tick >= pacing * NOTABLE_SHARE {
            format!("the wait for the generator's next wake, as --tick is {}", format_time(tick))
        } else {
            "the generator's own lateness".to_owned()
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

/// CPU of the generator in percent of its threads' time, if that is close to all. Busy polling counts as
/// waiting.
fn busy_share(report: &Report, seen: &Measurements) -> Option<f64> {
    let generator = report.resources.iter().find(|used| used.component == "generator")?;
    let looked = seen.traffic.busy_polled.as_secs_f64() / report.run.duration_s * 100.0;
    let share = (generator.cpu_percent_mean - looked) / report.run.threads as f64;
    // The kernel counts in hundredths of a second.
    (share >= 90.0 && report.run.duration_s >= 0.2).then_some(share)
}

/// Says why requests waited for a connection, where that is most of the slowest responses.
fn connection_waits(report: &Report) -> Option<String> {
    let Latency { waiting, response, connect, .. } = &report.latency;
    let waiting = waiting.as_ref()?;
    let pairs = [
        ("p99", waiting.p99, response.p99),
        ("p90", waiting.p90, response.p90),
        ("p50", waiting.p50, response.p50),
    ];
    let known = pairs.into_iter().find_map(|(name, waited, whole)| Some((name, waited?, whole?)));
    let (percentile, waited, whole) = known?;
    if connect.is_some() || waited <= whole * NOTABLE_SHARE || waited <= NOTABLE_WAIT_US {
        return None;
    }
    let which = match report.run.connections {
        1 => "the one connection".to_owned(),
        n => format!("one of {} connections", format_count(n)),
    };
    Some(format!(
        "of the response's {percentile} of {}, up to {} is waiting for {which}: {}",
        format_time(whole),
        format_time(waited),
        cause_of_waiting(report)
    ))
}

/// By Little's law the service time times the rate is the number of connections that are busy.
fn cause_of_waiting(report: &Report) -> String {
    let (run, requests) = (&report.run, &report.requests);
    let rate = run.rate_target.unwrap_or_default();
    let service = report.latency.service.mean.unwrap_or_default();
    let busy = service * rate / 1e6;
    if busy >= run.connections as f64 * NEARLY_ALL {
        let needs = format!(
            "at {} a request, {} requests/s keep {} connections busy",
            format_time(service),
            format_count(rate.round() as u64),
            format_count(busy.ceil() as u64)
        );
        let cure = if requests.completed_per_s < rate * NEARLY_ALL {
            "the target is slower than the rate, or needs more --connections"
        } else {
            "take more --connections"
        };
        return format!("{needs}; {cure}");
    }
    let lost = report.generator.as_ref().map_or(0.0, |machine| machine.reconnecting_percent);
    if lost >= NOTABLE_LOSS_PERCENT {
        return format!(
            "connections were closed or being made again for {lost:.1}% of their time ({}, {}); look why \
             the target closes or refuses them",
            format_some(requests.reconnects, "reconnect", "reconnects"),
            format_some(requests.errors.connect, "failed attempt", "failed attempts")
        );
    }
    "the target stalled for a time and all connections were busy; take more --connections to see how long"
        .to_owned()
}

/// Says what the machine took from the generator where that does not make it limited.
fn machine_notes(report: &Report) -> Option<String> {
    let machine = report.generator.as_ref()?;
    let is_closed = report.run.rate_target.is_none();
    if machine.stopped_s > 0.0 && machine.stopped_s <= machine.measured_s * STARVED_PERCENT / 100.0
    {
        return Some(format!(
            "loadgen was stopped for {:.1} s; the longest times have that in them",
            machine.stopped_s
        ));
    }
    let is_limited = machine.starved_by(STARVED_PERCENT).is_some();
    (is_closed && !is_limited && machine.run_queue_percent > STARVED_PERCENT).then(|| {
        let whose = match machine.other_cpu_percent {
            Some(_) => "mostly the servers under test and loadgen itself had it",
            None => "which processes had it cannot be told without root",
        };
        format!(
            "the load threads waited {:.0}% of their time for a CPU; {whose}",
            machine.run_queue_percent
        )
    })
}
