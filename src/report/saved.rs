//! Reports read back from their JSON files.

use serde::Deserialize;

use super::ramp::RampReport;
use super::{CheckError, Report, SCHEMA_VERSION};
use crate::core::printable::message;

/// A saved report of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// One run's.
    Run(Box<Report>),
    /// A ramp's.
    Ramp(Box<RampReport>),
}

/// Reason why a file is not a report, as a fragment that fits after the file's name.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Not JSON, or JSON of something else.
    #[error("it is not a report that loadgen wrote with -o FILE.json")]
    Foreign(#[from] serde_json::Error),
    /// A comparison, or what a later version writes.
    #[error("it is a {0}, neither a run's report nor a ramp's")]
    Kind(String),
    /// A number that no run can have.
    #[error("it is not a report that a run wrote: {0}")]
    Impossible(CheckError),
    /// Schema version that this program does not know.
    #[error("it has schema version {0}; this loadgen reads version {SCHEMA_VERSION}")]
    Version(u32),
}

/// Fields that distinguish the kinds of reports.
#[derive(Deserialize)]
struct Head {
    schema_version: u32,
    kind: Option<String>,
}

impl Saved {
    /// Reads the JSON of a run's or a ramp's report, and refuses one that no run can have written.
    pub fn from_json(text: &str) -> Result<Self, SavedError> {
        let head: Head = serde_json::from_str(text)?;
        if head.schema_version != SCHEMA_VERSION {
            return Err(SavedError::Version(head.schema_version));
        }
        Ok(match head.kind.as_deref() {
            Some("ramp") => {
                // Numbers are derived from others after these are checked.
                let mut ramp: RampReport = serde_json::from_str(text)?;
                ramp.check().map_err(SavedError::Impossible)?;
                ramp.complete();
                Self::Ramp(Box::new(ramp))
            }
            Some(kind) => return Err(SavedError::Kind(message(kind))),
            None => {
                let mut report: Report = serde_json::from_str(text)?;
                report.check().map_err(SavedError::Impossible)?;
                report.complete();
                Self::Run(Box::new(report))
            }
        })
    }
}
