//! The verdict: whether the generator held its plan, what a reader must know beside the numbers, and
//! whether a `--fail-if` condition held.

use super::failures::failures;
use super::{Latency, Report, Requests, ThresholdResult, Verdict, lookup};
use crate::clock::Nanos;
use crate::latency::Latencies;
use crate::observations::{Observations, ServerInfo};
use crate::plan::load::Pace;
use crate::plan::{LoadPlan, Mode, Threshold};
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

/// Fills the verdict in.
pub(super) fn judge(report: &mut Report, seen: &Observations) {
    report.derive_numbers();
    let reasons = reasons(seen);
    let mut notes = std::mem::take(&mut report.verdict.notes);
    notes.extend(request_notes(report, seen));
    notes.extend(message_notes(report, seen));
    notes.extend(stack_note(seen));
    let thresholds = judge_thresholds(report, &seen.plan.thresholds);
    report.verdict = Verdict {
        generator: if reasons.is_empty() { "valid" } else { "limited" }.to_owned(),
        pass: false,
        reasons,
        failures: ended_components(seen).chain(failures(report)).collect(),
        notes,
        thresholds,
    };
    report.verdict.settle();
}

/// Components of the run's own stack that ended during the run.
fn ended_components(seen: &Observations) -> impl Iterator<Item = String> + '_ {
    let advice = "Look for a lack of memory, or start it by itself to see why it ends";
    seen.casualties.iter().map(move |ended| format!("{ended}. {advice}"))
}

/// Why the generator did not hold its plan.
fn reasons(seen: &Observations) -> Vec<String> {
    let mut reasons = Vec::new();
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

/// How long a worker sleeps by plan while slots fall due.
fn tick(load: &LoadPlan) -> Nanos {
    match load.pace {
        Pace::Tick(tick) => tick,
        Pace::Spin => Nanos::ZERO,
    }
}

/// What was timed when a thread came to read it, which takes the time of being woken.
fn late_readings(report: &Report) -> Vec<String> {
    let requests = &report.requests;
    // A closed loop and reqwest do not ask for it.
    let asked = report.run.engine == "raw" && report.run.mode == "open";
    let answers = (requests.timed_when_read, requests.completed, "answer", "answers");
    let answers = asked.then_some(answers);
    let messages = report.messages.as_ref();
    let messages = messages.map(|m| (m.timed_when_read, m.arrived, "message", "messages"));
    let both = answers.into_iter().chain(messages);
    let many = both.filter(|(late, of, ..)| late * 100 > *of);
    many.map(|(late, _, one, several)| {
        let whose = format_some(late, one, several);
        format!("the kernel noted no time of receipt for {whose}: timed when read")
    })
    .collect()
}

/// A quantile; of a sample too small for it, the next lower one, and of the smallest the largest value.
fn tail(latencies: &Latencies, quantile: f64) -> Nanos {
    let lower = [quantile, 0.99, 0.5].into_iter().filter(|q| *q <= quantile);
    let known = lower.into_iter().find_map(|q| latencies.quantile(q));
    known.or(latencies.max()).unwrap_or_default()
}

fn request_notes(report: &Report, seen: &Observations) -> Vec<String> {
    let mut notes = Vec::new();
    let counters = &seen.load.counters;
    if seen.interrupted {
        notes.push("interrupted: the numbers are of the part that was run".to_owned());
    }
    if counters.completed == 0 {
        notes.push("no request was answered".to_owned());
    }
    if let Some(refused) = report.requests.status.get("405") {
        notes.push(format!(
            "{} answered with 405: the target does not take that method there; {} names another",
            format_some(*refused, "request was", "requests were"),
            method_setting(seen)
        ));
    }
    notes.extend(refusals(report));
    notes.extend(connection_waits(report));
    if counters.never_sent > 0 {
        notes.push(format!(
            "{} never got a free connection; they count with the age they had reached",
            format_some(counters.never_sent, "request", "requests")
        ));
    }
    if counters.dropped > counters.never_sent {
        notes.push(format!(
            "{} dropped at --max-in-flight; each counts as long as the oldest in flight had waited",
            format_some(counters.dropped - counters.never_sent, "request was", "requests were")
        ));
    }
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
    if let Some(proxy) = &seen.plan.transport.proxy {
        notes.push(format!("through the proxy {proxy}, by reqwest: times and errors are its too"));
    }
    if seen.plan.transport.redirects > 0 {
        notes.push(
            "redirects are followed, by reqwest: a request ends with the last answer".to_owned(),
        );
    }
    notes.extend(late_readings(report));
    if let Some(share) = busy_share(report, seen).filter(|_| seen.plan.load.mode == Mode::Closed) {
        notes.push(format!(
            "the generator was busy {share:.0}% of its threads' time: Requests/sec may be its limit, \
             not the target's"
        ));
    }
    notes
}

/// Where the method that a target refused was set.
fn method_setting(seen: &Observations) -> &'static str {
    match &seen.plan.request.requests[..] {
        _ if seen.plan.script.is_some() => "the script's wrk.method",
        [one] if one.name.is_empty() => "--method",
        _ => "`method = ` in its [[request]]",
    }
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

/// Answers that are no success count as answered: who looks at the rate alone would take them for one.
fn refusals(report: &Report) -> Option<String> {
    let Requests { completed, status, .. } = &report.requests;
    let refused = report.requests.refused();
    let odd = status.iter().filter(|(status, _)| !status.starts_with(['2', '3']));
    let (most, _) = odd.max_by_key(|(_, count)| **count)?;
    Some(format!(
        "{} of {} answers were neither 2xx nor 3xx, most of them {most}",
        format_count(refused),
        format_count(*completed)
    ))
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

fn message_notes(report: &Report, seen: &Observations) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(messages) = report.messages.as_ref().filter(|messages| messages.lost > 0) {
        notes.push(format!(
            "{} lost; arrival counts them with the age they had reached",
            format_some(messages.lost, "message was", "messages were")
        ));
    }
    let left = report.series.iter().rev().find_map(|row| row.queue_depth).unwrap_or(0);
    let lost = report.messages.as_ref().map_or(0, |messages| messages.lost);
    if lost > 0 && left >= lost / 2 {
        notes.push(format!(
            "{} in the queue in the last second: what takes them out is too slow, or away",
            format_some(left, "message was", "messages were")
        ));
    }
    if let (Some(_), Some(script)) = (&report.messages, &report.script) {
        if script.unnumbered > 0 {
            notes.push(format!(
                "{} of the script had no id of loadgen.msg_id(): no arrival can be joined to them, so \
                 they count neither as accepted nor as lost. Give each request loadgen.msg_id() as its MsgID",
                format_some(script.unnumbered, "request", "requests")
            ));
        }
    } else {
        notes.extend(report.messages.as_ref().and_then(|_| seen.plan.request.id_note()));
    }
    if seen.stamps_dropped > 0 {
        let stamps = format_some(seen.stamps_dropped, "stamp", "stamps");
        notes.push(format!("{stamps} of arrivals dropped"));
    }
    notes
}

/// Figures of a stand-in must not be taken for those of what it stands for.
fn stack_note(seen: &Observations) -> Option<String> {
    let embedded = |server: &Option<ServerInfo>| {
        server.as_ref().is_some_and(|server| server.kind == "embedded")
    };
    let what = match (embedded(&seen.stack.queue), embedded(&seen.stack.broker)) {
        (true, true) => "queue and broker are loadgen's own stand-ins",
        (true, false) => "the queue is loadgen's own stand-in",
        (false, true) => "the broker is loadgen's own stand-in",
        (false, false) => return None,
    };
    Some(format!("{what} (embedded): these are not the figures of a real deployment"))
}

/// Holds the conditions against the report's numbers.
pub(super) fn judge_thresholds(report: &Report, thresholds: &[Threshold]) -> Vec<ThresholdResult> {
    if thresholds.is_empty() {
        return Vec::new();
    }
    let numbers = serde_json::to_value(report).unwrap_or_default();
    let judge = |threshold: &Threshold| {
        let value = lookup::value_of(&numbers, threshold.name());
        // What cannot be judged must not pass.
        let ok = value.is_some_and(|value| !threshold.holds(value));
        ThresholdResult { expr: threshold.to_string(), value, ok }
    };
    thresholds.iter().map(judge).collect()
}
