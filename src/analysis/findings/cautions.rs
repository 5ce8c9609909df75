//! Reasons to be careful with the numbers of a ramp.

use crate::analysis::backlog::backlog;
use crate::report::finding::{Caution, StepReason};
use crate::report::ramp::{RampReport, RampStep};
use crate::report::remark::ANSWERS_REFUSED;
use crate::report::{Report, ServerKind, sentences};

/// Reasons to be careful with the numbers.
pub(super) fn cautions(report: &RampReport) -> Vec<Caution> {
    let mut cautions = Vec::new();
    let steps = step_names(report, |step| step.error.is_some());
    if !steps.is_empty() {
        cautions.push(Caution::NotRunToEnd { steps });
    }
    let steps = step_names(report, RampStep::is_silent);
    if !steps.is_empty() {
        cautions.push(Caution::NoAnswer { steps });
    }
    let steps = reported_step_names(report, |report| !report.verdict.generator.is_valid());
    if !steps.is_empty() {
        let reasons = step_reasons(report, limit_reasons);
        cautions.push(Caution::GeneratorLimited { steps, reasons });
    }
    let numbers = 0..report.steps.len();
    let steps: Vec<_> = numbers.filter_map(|number| backlog(report, number)).collect();
    if !steps.is_empty() {
        cautions.push(Caution::Backlog { steps });
    }
    let steps = reported_step_names(report, |report| report.requests.refused() > 0);
    if !steps.is_empty() {
        let reasons = step_reasons(report, answer_notes);
        cautions.push(Caution::BadAnswers { steps, reasons });
    }
    if !reported_step_names(report, has_embedded_server).is_empty() {
        cautions.push(Caution::EmbeddedServers);
    }
    cautions
}

fn step_names(report: &RampReport, is_wanted: impl Fn(&RampStep) -> bool) -> Vec<String> {
    report.steps.iter().filter(|step| is_wanted(step)).map(|step| step.name.clone()).collect()
}

fn reported_step_names(report: &RampReport, is_wanted: impl Fn(&Report) -> bool) -> Vec<String> {
    step_names(report, |step| step.report.as_ref().is_some_and(&is_wanted))
}

/// The sentences that some remarks have on each step, if there are any.
fn step_reasons(report: &RampReport, remarks: impl Fn(&Report) -> Vec<String>) -> Vec<StepReason> {
    let steps = report.steps.iter().filter_map(|step| {
        let reasons = remarks(step.report.as_ref()?);
        let reason = (!reasons.is_empty()).then(|| reasons.join("; "))?;
        Some(StepReason { step: step.name.clone(), reason })
    });
    steps.collect()
}

/// Reasons why the generator was limited.
fn limit_reasons(report: &Report) -> Vec<String> {
    if report.verdict.generator.is_valid() {
        return Vec::new();
    }
    sentences(&report.verdict.reasons)
}

/// The note on answers that are neither 2xx nor 3xx.
fn answer_notes(report: &Report) -> Vec<String> {
    let notes = report.verdict.notes.iter().filter(|note| note.code() == ANSWERS_REFUSED);
    notes.map(ToString::to_string).collect()
}

fn has_embedded_server(report: &Report) -> bool {
    let servers = [&report.run.stack.queue, &report.run.stack.broker];
    servers.into_iter().flatten().any(|server| server.kind == ServerKind::Embedded)
}
