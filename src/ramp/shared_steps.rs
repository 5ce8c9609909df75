//! The seam between a ramp and a fleet: the steps of a ramp that several nodes run together.

use crate::config::plan::Plan;
use crate::report::Report;
use crate::run::{Pending, RunError, Runner};

/// The other nodes that run each step of a ramp together with this one.
pub(crate) trait SharedSteps: Send {
    /// Takes this node's part of a step's load, and lets its run start together with those of the others.
    fn begin<'a>(
        &'a mut self,
        plan: &'a mut Plan,
        runner: Runner,
    ) -> Pending<'a, Result<Runner, RunError>>;

    /// The report of all nodes, made with that of this one. All nodes get the same, so that they agree on the next step.
    fn conclude(&mut self, report: Report) -> Pending<'_, Result<Report, RunError>>;

    /// Tells the others that this node does not finish the step, and why.
    fn abandon<'a>(&'a mut self, error: &'a RunError) -> Pending<'a, ()>;
}
