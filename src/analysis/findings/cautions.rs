//! Reasons to be careful with the numbers of a ramp.

use crate::analysis::backlog::backlog;
use crate::report::finding::{Caution, StepReason};
use crate::report::ramp::{RampReport, RampStep};
use crate::report::remark::ANSWERS_REFUSED;
use crate::report::{Remark, Report, ServerKind};

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
        let reasons = step_reasons(report, limit_reason);
        cautions.push(Caution::GeneratorLimited { steps, reasons });
    }
    let numbers = 0..report.steps.len();
    let steps: Vec<_> = numbers.filter_map(|number| backlog(report, number)).collect();
    if !steps.is_empty() {
        cautions.push(Caution::Backlog { steps });
    }
    let steps = reported_step_names(report, |report| report.requests.refused() > 0);
    if !steps.is_empty() {
        let reasons = step_reasons(report, answer_note);
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

/// The reason at each step that has one.
fn step_reasons(
    report: &RampReport,
    reason: impl Fn(&Report) -> Option<&Remark>,
) -> Vec<StepReason> {
    let steps = report.steps.iter().filter_map(|step| {
        let reason = reason(step.report.as_ref()?)?;
        Some(StepReason { step: step.name.clone(), reason: reason.to_string() })
    });
    steps.collect()
}

/// The first reason why the generator was limited: further ones mostly have the same cause.
fn limit_reason(report: &Report) -> Option<&Remark> {
    report.verdict.reasons.first().filter(|_| !report.verdict.generator.is_valid())
}

/// The note on answers that are neither 2xx nor 3xx.
fn answer_note(report: &Report) -> Option<&Remark> {
    report.verdict.notes.iter().find(|note| note.code() == ANSWERS_REFUSED)
}

fn has_embedded_server(report: &Report) -> bool {
    let servers = [&report.run.stack.queue, &report.run.stack.broker];
    servers.into_iter().flatten().any(|server| server.kind == ServerKind::Embedded)
}
