//! Method of running the services, and those that ended during a run.

use std::path::PathBuf;
use std::process::ExitStatus;

/// Child process that ended although it was not stopped.
#[derive(Debug)]
pub(super) struct EndedChild {
    pub(super) name: String,
    pub(super) status: ExitStatus,
}

/// Method of running api and push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Services {
    /// Threads of this process, for tests and for users of the library, who have no binary.
    #[default]
    InProcess,
    /// Child processes of this `loadgen` binary, one for each service, as in a deployment.
    Children(PathBuf),
}
