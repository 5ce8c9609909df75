//! The verdict: whether the generator held its plan, what a reader must know beside the numbers, and
//! whether a `--fail-if` condition held.

mod arrivals;
mod generator;

use self::arrivals::arrival_notes;
use super::measurements::{EndedComponent, Measurements};
use crate::report::failures::failure;
use crate::report::remark::{Failure, MessageNote, MethodSetting, RequestNote, ServerNote};
use crate::report::thresholds::judge_thresholds;
use crate::report::{
    EngineName, GeneratorState, LoopMode, Remark, Report, Requests, Server, ServerKind, Verdict,
};

/// Fills the verdict in.
pub(super) fn judge(report: &mut Report, seen: &Measurements) {
    report.derive_numbers();
    let reasons = generator::reasons(report, seen);
    let mut notes = std::mem::take(&mut report.verdict.notes);
    let failures = seen.ended_components.iter().map(component_ended).chain(failure(report));
    let failures = failures.map(Remark::from).collect();
    notes.extend(request_notes(report, seen).into_iter().map(Remark::from));
    notes.extend(message_notes(report, seen));
    notes.extend(stack_note(seen).map(Remark::from));
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

/// A component of the run's own stack that ended during the run.
fn component_ended(ended: &EndedComponent) -> Failure {
    let EndedComponent { name, status, at } = ended.clone();
    Failure::ComponentEnded { name, status, at_s: at.as_secs_f64() }
}

/// Answers that were timed when a thread read them, if they are many: these times include the time of waking up.
fn answers_read_late(report: &Report) -> Option<RequestNote> {
    // A closed loop and reqwest do not ask for it.
    let asked = report.run.engine == EngineName::Raw && report.run.mode == LoopMode::Open;
    let answers = report.requests.timed_when_read;
    let is_many = answers * 100 > report.requests.completed;
    (asked && is_many).then_some(RequestNote::TimedWhenRead { answers })
}

/// Messages that were timed when a thread read them, if they are many.
fn messages_read_late(report: &Report) -> Option<MessageNote> {
    let account = report.messages.as_ref()?;
    let messages = account.timed_when_read;
    (messages * 100 > account.arrived).then_some(MessageNote::TimedWhenRead { messages })
}

fn request_notes(report: &Report, seen: &Measurements) -> Vec<RequestNote> {
    let mut notes = Vec::new();
    let counters = &seen.load.counters;
    if seen.interrupted {
        notes.push(RequestNote::Interrupted);
    }
    // A run that failed says so in its failures.
    let says_it = seen.interrupted || counters.planned == 0;
    if counters.completed == 0 && says_it {
        notes.push(RequestNote::NoAnswer);
    }
    let all_refused = report.requests.refused() >= report.requests.completed;
    if let Some(refused) = report.requests.status.get("405").filter(|_| !all_refused || says_it) {
        let method = method_setting(seen);
        notes.push(RequestNote::MethodRefused { refused: *refused, method });
    }
    if !all_refused || says_it {
        notes.extend(refusals(report));
    }
    notes.extend(generator::notes(report, seen));
    if counters.never_sent > 0 {
        let errors = &report.requests.errors;
        notes.push(RequestNote::NeverSent {
            requests: counters.never_sent,
            failed_attempts: errors.connect,
            is_refused: errors.by_cause.contains_key("refused"),
        });
    }
    if counters.dropped > counters.never_sent {
        notes.push(RequestNote::Dropped { requests: counters.dropped - counters.never_sent });
    }
    if let Some(proxy) = &seen.plan.transport.proxy {
        notes.push(RequestNote::Proxy { proxy: proxy.to_string() });
    }
    if seen.plan.transport.redirects > 0 {
        notes.push(RequestNote::Redirects);
    }
    notes.extend(answers_read_late(report));
    notes
}

/// The setting of the method that a target refused.
fn method_setting(seen: &Measurements) -> MethodSetting {
    match &seen.plan.request.requests[..] {
        _ if seen.plan.script.is_some() => MethodSetting::Script,
        [one] if one.name.is_empty() => MethodSetting::Flag,
        _ => MethodSetting::Profile,
    }
}

/// Note on answers that are not a success: they count as answered, so the rate alone does not show them.
fn refusals(report: &Report) -> Option<RequestNote> {
    let Requests { completed, status, .. } = &report.requests;
    let refused = report.requests.refused();
    let odd = status.iter().filter(|(status, _)| !status.starts_with(['2', '3']));
    let (most, _) = odd.max_by_key(|(_, count)| **count)?;
    let first = report.requests.refusal.clone();
    Some(RequestNote::Refused { refused, completed: *completed, most: most.clone(), first })
}

fn message_notes(report: &Report, seen: &Measurements) -> Vec<Remark> {
    let mut notes = arrival_notes(report, seen);
    notes.extend(id_note(report, seen).map(Remark::from));
    notes.extend(messages_read_late(report).map(Remark::from));
    if seen.stamps_dropped > 0 {
        notes.push(ServerNote::StampsDropped { stamps: seen.stamps_dropped }.into());
    }
    notes
}

/// Note on requests that carry no id of the run.
fn id_note(report: &Report, seen: &Measurements) -> Option<MessageNote> {
    report.messages.as_ref()?;
    let Some(script) = &report.script else {
        let without = seen.plan.request.names_without_id();
        if without.is_empty() {
            return None;
        }
        let without = (!seen.plan.request.is_without_ids()).then_some(without);
        return Some(MessageNote::IdNotCarried { without });
    };
    (script.unnumbered > 0).then_some(MessageNote::Unnumbered { requests: script.unnumbered })
}

/// Figures of an embedded server must not be taken for those of what it stands for.
fn stack_note(seen: &Measurements) -> Option<ServerNote> {
    let embedded = |server: &Option<Server>| {
        server.as_ref().is_some_and(|server| server.kind == ServerKind::Embedded)
    };
    let (queue, broker) = (embedded(&seen.stack.queue), embedded(&seen.stack.broker));
    (queue || broker).then_some(ServerNote::Embedded { queue, broker })
}
