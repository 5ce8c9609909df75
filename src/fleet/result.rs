//! The report of a whole fleet.

use super::FleetError;
use super::collector::FleetResult;
use crate::report::{Report, merge};

impl FleetResult {
    /// One report of all nodes.
    pub(crate) fn merge(self) -> Result<Report, FleetError> {
        let parts = self
            .reports
            .into_iter()
            .map(|(index, report)| (format!("node {index}"), report))
            .collect();
        merge(parts).map_err(|error| FleetError::Failed(error.to_string()))
    }
}
