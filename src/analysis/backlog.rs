//! Messages of earlier steps of a ramp that a step measures with its own: they wait in the queue when it begins, or arrive
//! while it runs. The queue delays its own messages by them.

use super::queue_growth::NOTABLE_S;
use crate::report::finding::StepBacklog;
use crate::report::ramp::RampReport;

/// The backlog that the step of a number, from 0, began with; `None` if it had none that is noticeable.
pub(crate) fn backlog(ramp: &RampReport, number: usize) -> Option<StepBacklog> {
    let step = ramp.steps.get(number)?;
    let report = step.report.as_ref()?;
    let notable = (report.requests.rate_achieved * NOTABLE_S) as u64;
    let queued = report.messages.as_ref().and_then(|messages| messages.queued_before);
    let queued = queued.filter(|messages| *messages > notable);
    let arrived =
        Some(arrivals_of_earlier_steps(ramp, number)).filter(|messages| *messages > notable);
    (queued.is_some() || arrived.is_some()).then(|| StepBacklog {
        step: step.name.clone(),
        queued: queued.unwrap_or(0),
        arrived: arrived.unwrap_or(0),
    })
}

/// Messages with ids of another run, as far as earlier steps lost some. Others are those of another publisher.
fn arrivals_of_earlier_steps(ramp: &RampReport, number: usize) -> u64 {
    let messages = ramp.steps.iter().map(|step| step.report.as_ref()?.messages.as_ref());
    let lost: u64 = messages.clone().take(number).flatten().map(|messages| messages.lost).sum();
    let foreign = messages.clone().nth(number).flatten().map_or(0, |messages| messages.foreign);
    foreign.min(lost)
}
