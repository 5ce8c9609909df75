//! A run that has ended: its report, and a script whose `done` is still to be called.

use super::measurements::Measurements;
use crate::config::plan::Mode;
use crate::engine::LoadResult;
use crate::report::Report;
use crate::script::{ScriptError, ScriptErrorCounts, ScriptSession, ScriptSummary};

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct FinishedRun {
    /// Its report.
    pub report: Report,
    script: Option<FinishedScript>,
}

/// A script, and the measurements that its `done` gets.
#[derive(Debug)]
struct FinishedScript {
    session: ScriptSession,
    measured: Measurements,
}

impl FinishedRun {
    pub(super) fn new(measured: Measurements, script: Option<ScriptSession>) -> Self {
        let report = Report::from(&measured);
        Self { report, script: script.map(|session| FinishedScript { session, measured }) }
    }

    /// Calls the script's `done` if there is one. The script may print and block.
    pub(crate) fn call_done(&self) -> Result<(), ScriptError> {
        self.script.as_ref().map_or(Ok(()), FinishedScript::call_done)
    }
}

impl FinishedScript {
    fn call_done(&self) -> Result<(), ScriptError> {
        let Measurements { load, traffic, .. } = &self.measured;
        let LoadResult { counters, status, response, service, throughput, .. } = load;
        let refused = status.iter().filter(|(status, _)| *status > 399);
        let is_closed = self.measured.plan.load.mode == Mode::Closed;
        self.session.done(&ScriptSummary {
            duration: self.measured.sending.max(self.measured.answering),
            requests: counters.completed,
            bytes: traffic.bytes_read,
            errors: ScriptErrorCounts {
                connect: counters.errors.connect.max(traffic.connect_failures),
                read: counters.errors.read + counters.errors.protocol,
                write: counters.errors.write,
                status: refused.map(|(_, count)| count).sum(),
                timeout: counters.errors.timeout,
            },
            latency: if is_closed { service } else { response },
            rates: throughput,
        })
    }
}
