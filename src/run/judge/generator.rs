//! The generator's own part of the verdict: why it did not hold its plan, and what it adds to the times.

use crate::config::plan::{LoadConfig, Mode, Pace, Target};
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::report::remark::{
    LimitReason, PacingPart, RequestNote, Shortage, Starvation, WaitCause,
};
use crate::report::{Latency, Remark, Report};
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
/// Share of all CPUs' time, in percent, from which on other processes are worth a note.
const SHARED_PERCENT: f64 = 25.0;
/// The share from which on they explain why an open loop was late.
const EXPLAINING_PERCENT: f64 = 5.0;

/// Why the generator did not hold its plan.
pub(super) fn reasons(report: &Report, seen: &Measurements) -> Vec<Remark> {
    let mut reasons = shortages(report);
    if let Mode::Open { .. } = seen.plan.load.mode {
        let (pacing, tick) = (&seen.load.pacing, tick(&seen.plan.load));
        for (quantile, share, limit) in PACING_LIMITS {
            let late = tail(pacing, quantile);
            if late > limit + tick {
                let cause = cause_of_lateness(report);
                reasons.push(LimitReason::Late { share, late, limit, cause });
            }
        }
    } else if let Some(machine) = &report.generator {
        reasons.extend(machine.starved_by(STARVED_PERCENT).map(LimitReason::Starved));
    }
    reasons.into_iter().map(Remark::from).collect()
}

/// Cause of lateness, as far as the machine shows it.
fn cause_of_lateness(report: &Report) -> Starvation {
    let Some(machine) = &report.generator else { return Starvation::Unknown };
    if let Some(cause) = machine.starved_by(EXPLAINING_PERCENT) {
        return cause;
    }
    if machine.run_queue_percent > EXPLAINING_PERCENT {
        return Starvation::Experiment { waited_percent: machine.run_queue_percent };
    }
    Starvation::Unknown
}

/// Shortages of this machine that made requests fail.
fn shortages(report: &Report) -> Vec<LimitReason> {
    let mut found = Vec::new();
    for (name, failed) in report.generator.iter().flat_map(|machine| &machine.out_of) {
        let of = match name.as_str() {
            "no_local_port" => Shortage::LocalPorts,
            "too_many_open_files" => Shortage::OpenFiles,
            _ => Shortage::SocketMemory,
        };
        found.push(LimitReason::Short { of, failed: *failed });
    }
    found
}

/// Planned sleep of a worker while slots become due.
fn tick(load: &LoadConfig) -> Nanos {
    match load.own_pace() {
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
pub(super) fn notes(report: &Report, seen: &Measurements) -> Vec<RequestNote> {
    let mut notes = Vec::new();
    if report.requests.unrequested_answers > 0 {
        let answers = report.requests.unrequested_answers;
        notes.push(RequestNote::UnrequestedAnswers { answers });
    }
    notes.extend(connection_waits(report));
    notes.extend(machine_notes(report));
    notes.extend(shared_machine(report, seen));
    notes.extend(pacing_note(report, seen));
    if let Some(percent) = busy_share(report, seen).filter(|_| seen.plan.load.mode == Mode::Closed)
    {
        notes.push(RequestNote::Busy { percent });
    }
    notes
}

/// The generator's lateness in an open loop, if it is much of the slowest responses.
fn pacing_note(report: &Report, seen: &Measurements) -> Option<RequestNote> {
    let (pacing_us, response_us) = (report.latency.pacing.p99?, report.latency.response.p99?);
    let is_open = matches!(seen.plan.load.mode, Mode::Open { .. });
    if !is_open || pacing_us <= response_us * NOTABLE_SHARE || pacing_us <= 1_000.0 {
        return None;
    }
    let tick_us = tick(&seen.plan.load).as_micros_f64();
    let is_tick = tick_us >= pacing_us * NOTABLE_SHARE;
    let part = if is_tick { PacingPart::Tick { tick_us } } else { PacingPart::Lateness };
    Some(RequestNote::Pacing { part, response_us, pacing_us })
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

/// Why requests waited for a connection, where that is most of the slowest responses.
fn connection_waits(report: &Report) -> Option<RequestNote> {
    let Latency { waiting, response, connect, .. } = &report.latency;
    let waiting = waiting.as_ref()?;
    let pairs = [
        ("p99", waiting.p99, response.p99),
        ("p90", waiting.p90, response.p90),
        ("p50", waiting.p50, response.p50),
    ];
    let known = pairs.into_iter().find_map(|(name, waited, whole)| Some((name, waited?, whole?)));
    let (percentile, waited_us, response_us) = known?;
    let is_notable = waited_us > response_us * NOTABLE_SHARE && waited_us > NOTABLE_WAIT_US;
    (connect.is_none() && is_notable).then(|| RequestNote::WaitForConnection {
        percentile,
        response_us,
        waited_us,
        connections: report.run.connections,
        cause: cause_of_waiting(report),
    })
}

/// By Little's law the service time times the rate is the number of connections that are busy.
fn cause_of_waiting(report: &Report) -> WaitCause {
    let (run, requests) = (&report.run, &report.requests);
    let rate = run.rate_target.unwrap_or_default();
    let service_us = report.latency.service.mean.unwrap_or_default();
    let busy = service_us * rate / 1e6;
    if busy >= run.connections as f64 * NEARLY_ALL {
        let is_target_slower = requests.completed_per_s < rate * NEARLY_ALL;
        return WaitCause::Busy { service_us, rate, busy, is_target_slower };
    }
    let percent = report.generator.as_ref().map_or(0.0, |machine| machine.reconnecting_percent);
    if percent >= NOTABLE_LOSS_PERCENT {
        let failed_attempts = requests.errors.connect;
        return WaitCause::Reconnecting {
            percent,
            reconnects: requests.reconnects,
            failed_attempts,
        };
    }
    WaitCause::Stall
}

/// Other processes that used much of the CPUs. Where the processes of the target are not known, they are among them.
fn shared_machine(report: &Report, seen: &Measurements) -> Option<RequestNote> {
    let plan = &seen.plan;
    let are_others = plan.target == Target::Pipeline || !plan.processes.is_empty();
    let machine = report.generator.as_ref().filter(|_| are_others)?;
    let percent = machine.other_cpu_percent.filter(|percent| *percent >= SHARED_PERCENT)?;
    let can_name = plan.target != Target::Pipeline;
    Some(RequestNote::MachineShared { percent, cores: machine.cores, can_name })
}

/// CPU time that the machine took from the generator without making it limited.
fn machine_notes(report: &Report) -> Option<RequestNote> {
    let machine = report.generator.as_ref()?;
    let is_closed = report.run.rate_target.is_none();
    let stopped_s = machine.stopped_s;
    if stopped_s > 0.0 && stopped_s <= machine.measured_s * STARVED_PERCENT / 100.0 {
        return Some(RequestNote::Stopped { stopped_s });
    }
    let is_limited = machine.starved_by(STARVED_PERCENT).is_some();
    let percent = machine.run_queue_percent;
    (is_closed && !is_limited && percent > STARVED_PERCENT).then(|| RequestNote::WaitedForCpu {
        percent,
        is_other_use_known: machine.other_cpu_percent.is_some(),
    })
}
