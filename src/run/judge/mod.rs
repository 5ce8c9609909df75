//! The verdict: whether the generator held its plan, what a reader must know beside the numbers, and
//! whether a `--fail-if` condition held.

mod arrivals;
mod generator;

use self::arrivals::arrival_notes;
use super::measurements::Measurements;
use crate::core::units::{format_count, format_some};
use crate::report::failures::failures;
use crate::report::thresholds::judge_thresholds;
use crate::report::{
    EngineName, Errors, GeneratorState, LoopMode, Report, Requests, Server, ServerKind, Verdict,
};

/// Fills the verdict in.
pub(super) fn judge(report: &mut Report, seen: &Measurements) {
    report.derive_numbers();
    let reasons = generator::reasons(report, seen);
    let mut notes = std::mem::take(&mut report.verdict.notes);
    let failures: Vec<_> = ended_components(seen).chain(failures(report)).collect();
    notes.extend(request_notes(report, seen));
    notes.extend(message_notes(report, seen));
    notes.extend(stack_note(seen));
    let thresholds = judge_thresholds(report, &seen.plan.thresholds);
    report.verdict = Verdict {
        generator: if reasons.is_empty() { GeneratorState::Valid } else { GeneratorState::Limited },
        pass: false,
        reasons,
        failures,
        notes,
        thresholds,
    };
    report.verdict.settle();
}

/// Components of the run's own stack that ended during the run.
fn ended_components(seen: &Measurements) -> impl Iterator<Item = String> + '_ {
    let advice = "Look for a lack of memory, or start it by itself to see why it ends";
    seen.ended_components.iter().map(move |ended| format!("{ended}. {advice}"))
}

/// Notes on times that were taken when a thread read the data: these include the time of waking up.
fn late_readings(report: &Report) -> Vec<String> {
    let requests = &report.requests;
    // A closed loop and reqwest do not ask for it.
    let asked = report.run.engine == EngineName::Raw && report.run.mode == LoopMode::Open;
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

fn request_notes(report: &Report, seen: &Measurements) -> Vec<String> {
    let mut notes = Vec::new();
    let counters = &seen.load.counters;
    if seen.interrupted {
        notes.push("interrupted: the numbers are of the part that was run".to_owned());
    }
    // A run that failed says so in its failures.
    let says_it = seen.interrupted || counters.planned == 0;
    if counters.completed == 0 && says_it {
        notes.push("no request was answered".to_owned());
    }
    let all_refused = report.requests.refused() >= report.requests.completed;
    if let Some(refused) = report.requests.status.get("405").filter(|_| !all_refused || says_it) {
        notes.push(format!(
            "{} answered with 405: the target does not take that method there; {} names another",
            format_some(*refused, "request was", "requests were"),
            method_setting(seen)
        ));
    }
    if !all_refused || says_it {
        notes.extend(refusals(report));
    }
    notes.extend(generator::notes(report, seen));
    if counters.never_sent > 0 {
        notes.push(never_sent(report, counters.never_sent));
    }
    if counters.dropped > counters.never_sent {
        notes.push(format!(
            "{} dropped at --max-in-flight; each counts as long as the oldest in flight had waited",
            format_some(counters.dropped - counters.never_sent, "request was", "requests were")
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
    notes
}

/// Requests that waited for a connection until the end. If connections could not be made, more of them do not help.
fn never_sent(report: &Report, count: u64) -> String {
    let requests = format_some(count, "request", "requests");
    let Errors { connect, by_cause, .. } = &report.requests.errors;
    let why = match by_cause.get("refused") {
        _ if *connect == 0 => String::new(),
        Some(_) => {
            let attempts = format_some(*connect, "attempt", "attempts");
            format!(
                " ({attempts} to connect failed: connection refused; does the target still run?)"
            )
        }
        None => {
            format!(" ({} to connect failed)", format_some(*connect, "attempt", "attempts"))
        }
    };
    format!("{requests} never got a free connection{why}; they count with the age they had reached")
}

/// Returns the setting of the method that a target refused.
fn method_setting(seen: &Measurements) -> &'static str {
    match &seen.plan.request.requests[..] {
        _ if seen.plan.script.is_some() => "the script's wrk.method",
        [one] if one.name.is_empty() => "--method",
        _ => "`method = ` in its [[request]]",
    }
}

/// Note on answers that are not a success: they count as answered, so the rate alone does not show them.
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

fn message_notes(report: &Report, seen: &Measurements) -> Vec<String> {
    let mut notes = arrival_notes(report, seen);
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
fn stack_note(seen: &Measurements) -> Option<String> {
    let embedded = |server: &Option<Server>| {
        server.as_ref().is_some_and(|server| server.kind == ServerKind::Embedded)
    };
    let what = match (embedded(&seen.stack.queue), embedded(&seen.stack.broker)) {
        (true, true) => "queue and broker are loadgen's own stand-ins",
        (true, false) => "the queue is loadgen's own stand-in",
        (false, true) => "the broker is loadgen's own stand-in",
        (false, false) => return None,
    };
    Some(format!("{what} (embedded): these are not the figures of a real deployment"))
}
