//! Rank of this process, number of processes and name of the run, as the launcher that started it says in the
//! environment.
//!
//! | launcher | rank | size | name |
//! | --- | --- | --- | --- |
//! | Slurm, srun | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS` | job and step |
//! | Open MPI | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` | |
//! | MPICH | `PMI_RANK` | `PMI_SIZE` | |
//! | Slurm, job array | task id − its smallest, by the step | `SLURM_ARRAY_TASK_COUNT` | job |
//! | AWS Batch, multi-node job | `AWS_BATCH_JOB_NODE_INDEX` | `AWS_BATCH_JOB_NUM_NODES` | `AWS_BATCH_JOB_ID` |
//! | Cloud Run job | `CLOUD_RUN_TASK_INDEX` | `CLOUD_RUN_TASK_COUNT` | `CLOUD_RUN_EXECUTION` |
//! | Nomad | `NOMAD_ALLOC_INDEX` | | |
//! | Kubernetes, Indexed Job | `JOB_COMPLETION_INDEX` | | |
//! | GitLab, `parallel` | `CI_NODE_INDEX` − 1 | `CI_NODE_TOTAL` | `CI_PIPELINE_ID` and job |
//!
//! `RANK` and `WORLD_SIZE` are never read: too many programs use these names.

use std::fmt;

/// A launcher of several processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Launcher {
    /// `srun` of Slurm.
    SlurmStep,
    /// A job array of Slurm.
    SlurmArray,
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `mpiexec` of MPICH, and of others that speak PMI.
    Mpich,
    /// A multi-node job of AWS Batch.
    AwsBatch,
    /// A job of Cloud Run.
    CloudRun,
    /// A group of allocations of Nomad.
    Nomad,
    /// An Indexed Job of Kubernetes.
    Kubernetes,
    /// A parallel job of GitLab.
    GitLab,
}

impl Launcher {
    /// The variables that give rank and size, or the rank alone.
    fn variables(self) -> &'static str {
        match self {
            Self::SlurmStep => "SLURM_PROCID, SLURM_STEP_NUM_TASKS",
            Self::SlurmArray => "SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_COUNT",
            Self::OpenMpi => "OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE",
            Self::Mpich => "PMI_RANK, PMI_SIZE",
            Self::AwsBatch => "AWS_BATCH_JOB_NODE_INDEX, AWS_BATCH_JOB_NUM_NODES",
            Self::CloudRun => "CLOUD_RUN_TASK_INDEX, CLOUD_RUN_TASK_COUNT",
            Self::Nomad => "NOMAD_ALLOC_INDEX",
            Self::Kubernetes => "JOB_COMPLETION_INDEX",
            Self::GitLab => "CI_NODE_INDEX, CI_NODE_TOTAL",
        }
    }
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SlurmStep => "Slurm (srun)",
            Self::SlurmArray => "Slurm (job array)",
            Self::OpenMpi => "Open MPI",
            Self::Mpich => "MPICH",
            Self::AwsBatch => "AWS Batch",
            Self::CloudRun => "Cloud Run",
            Self::Nomad => "Nomad",
            Self::Kubernetes => "Kubernetes (Indexed Job)",
            Self::GitLab => "GitLab (parallel)",
        })
    }
}

/// A variable of a launcher that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LauncherError {
    /// It is not a number from 0 on.
    #[error("{variable}={value}, which {launcher} has set, is not a number from {least} on")]
    NotNumber {
        /// Launcher that sets the variable.
        launcher: Launcher,
        /// Name of the variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// Smallest number that it may be.
        least: u64,
    },
    /// The rank is not below the size.
    #[error("{}: {launcher} says that this is process {rank} of {size}, counted from 0", .launcher.variables())]
    RankTooLarge {
        /// Launcher that says so.
        launcher: Launcher,
        /// Rank of this process.
        rank: u64,
        /// Number of processes.
        size: u64,
    },
}

/// Facts that a launcher gives about this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LaunchedAs {
    /// The launcher.
    pub(crate) launcher: Launcher,
    /// Name of the run, new for each run; `None` if the launcher gives none.
    pub(crate) name: Option<String>,
    /// Rank, from 0; `None` if the launcher gives none.
    pub(crate) rank: Option<u64>,
    /// Number of processes; `None` if the launcher does not say.
    pub(crate) size: Option<u64>,
}

impl LaunchedAs {
    /// Reads the variables of the environment by `read`. `None` if no launcher is known by them.
    ///
    /// If several launchers are, the innermost counts: `mpiexec` within a job of Slurm, a step of Slurm within an array.
    pub(crate) fn detect(
        read: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, LauncherError> {
        let environment = LauncherVariables { read };
        let finders = [
            LauncherVariables::slurm_step,
            LauncherVariables::open_mpi,
            LauncherVariables::mpich,
            LauncherVariables::slurm_array,
            LauncherVariables::aws_batch,
            LauncherVariables::cloud_run,
            LauncherVariables::nomad,
            LauncherVariables::kubernetes,
            LauncherVariables::gitlab,
        ];
        for find in finders {
            if let Some(found) = find(&environment)? {
                return found.checked().map(Some);
            }
        }
        Ok(None)
    }

    fn checked(self) -> Result<Self, LauncherError> {
        match (self.rank, self.size) {
            (Some(rank), Some(size)) if rank >= size => {
                Err(LauncherError::RankTooLarge { launcher: self.launcher, rank, size })
            }
            _ => Ok(self),
        }
    }
}

/// Data of one launcher; `None` if it has set nothing.
type Found = Result<Option<LaunchedAs>, LauncherError>;

/// The variables of the environment.
struct LauncherVariables<R> {
    read: R,
}

impl<R: Fn(&str) -> Option<String>> LauncherVariables<R> {
    /// A text that is not empty.
    fn text(&self, variable: &str) -> Option<String> {
        (self.read)(variable).filter(|value| !value.is_empty())
    }

    /// A number of at least `least`.
    fn number(
        &self,
        launcher: Launcher,
        variable: &'static str,
        least: u64,
    ) -> Result<Option<u64>, LauncherError> {
        let Some(value) = self.text(variable) else { return Ok(None) };
        match value.parse() {
            Ok(number) if number >= least => Ok(Some(number)),
            _ => Err(LauncherError::NotNumber { launcher, variable, value, least }),
        }
    }

    /// A launcher that sets rank and size as they are.
    fn plain(
        &self,
        launcher: Launcher,
        rank: &'static str,
        size: Option<&'static str>,
        name: Option<String>,
    ) -> Found {
        let Some(rank) = self.number(launcher, rank, 0)? else { return Ok(None) };
        let size = match size {
            Some(size) => self.number(launcher, size, 1)?,
            None => None,
        };
        Ok(Some(LaunchedAs { launcher, name, rank: Some(rank), size }))
    }

    /// Only the variables of the step: in a batch script outside `srun`, `SLURM_NTASKS` is N while one process runs, and
    /// `SLURM_PROCID` is there, too.
    fn slurm_step(&self) -> Found {
        let Some(step) = self.text("SLURM_STEP_ID").or_else(|| self.text("SLURM_STEPID")) else {
            return Ok(None);
        };
        // `mpiexec` within a step of one task per host starts more processes than the step has.
        if self.text("SLURM_STEP_NUM_TASKS").is_none() || self.is_inner_mpi()? {
            return Ok(None);
        }
        let job = self.text("SLURM_JOB_ID").or_else(|| self.text("SLURM_JOBID"));
        let name = job.map(|job| format!("slurm-{job}.{step}"));
        self.plain(Launcher::SlurmStep, "SLURM_PROCID", Some("SLURM_STEP_NUM_TASKS"), name)
    }

    /// Returns true if an MPI launcher started this process within a step of Slurm: its rank or size differs.
    fn is_inner_mpi(&self) -> Result<bool, LauncherError> {
        let rank = self.number(Launcher::SlurmStep, "SLURM_PROCID", 0)?;
        let size = self.number(Launcher::SlurmStep, "SLURM_STEP_NUM_TASKS", 1)?;
        let mpi = match self.open_mpi()? {
            Some(mpi) => Some(mpi),
            None => self.mpich()?,
        };
        Ok(mpi.is_some_and(|mpi| (mpi.rank, mpi.size) != (rank, size)))
    }

    fn open_mpi(&self) -> Found {
        self.plain(Launcher::OpenMpi, "OMPI_COMM_WORLD_RANK", Some("OMPI_COMM_WORLD_SIZE"), None)
    }

    fn mpich(&self) -> Found {
        self.plain(Launcher::Mpich, "PMI_RANK", Some("PMI_SIZE"), None)
    }

    /// Ids such as `0,6,16-32` have no arithmetic: a rank is claimed then.
    fn slurm_array(&self) -> Found {
        let launcher = Launcher::SlurmArray;
        let Some(id) = self.number(launcher, "SLURM_ARRAY_TASK_ID", 0)? else { return Ok(None) };
        let size = self.number(launcher, "SLURM_ARRAY_TASK_COUNT", 1)?;
        let least = self.number(launcher, "SLURM_ARRAY_TASK_MIN", 0)?;
        let most = self.number(launcher, "SLURM_ARRAY_TASK_MAX", 0)?;
        let step = self.number(launcher, "SLURM_ARRAY_TASK_STEP", 1)?.unwrap_or(1);
        let rank = match (least, most, size) {
            (Some(least), Some(most), Some(size)) if least <= id && id <= most => {
                let is_even = (most - least) / step + 1 == size && (id - least) % step == 0;
                is_even.then_some((id - least) / step)
            }
            _ => None,
        };
        let name = self.text("SLURM_ARRAY_JOB_ID").map(|job| format!("slurm-{job}"));
        Ok(Some(LaunchedAs { launcher, name, rank, size }))
    }

    fn aws_batch(&self) -> Found {
        let name = self.text("AWS_BATCH_JOB_ID").map(|id| {
            // The nodes of one job are `ID#0`, `ID#1`, …
            let id = id.split('#').next().unwrap_or_default();
            format!("aws-{}", id.replace(':', "."))
        });
        self.plain(
            Launcher::AwsBatch,
            "AWS_BATCH_JOB_NODE_INDEX",
            Some("AWS_BATCH_JOB_NUM_NODES"),
            name,
        )
    }

    fn cloud_run(&self) -> Found {
        let name = self.text("CLOUD_RUN_EXECUTION");
        self.plain(Launcher::CloudRun, "CLOUD_RUN_TASK_INDEX", Some("CLOUD_RUN_TASK_COUNT"), name)
    }

    /// An index may be used again by a replacement, and is 0 everywhere in a system job: a second holder is refused.
    /// The id of the job is the same each time that it is run.
    fn nomad(&self) -> Found {
        self.plain(Launcher::Nomad, "NOMAD_ALLOC_INDEX", None, None)
    }

    /// The size is not exposed, and the name is `LOADGEN_FLEET` of the manifest.
    fn kubernetes(&self) -> Found {
        self.plain(Launcher::Kubernetes, "JOB_COMPLETION_INDEX", None, None)
    }

    fn gitlab(&self) -> Found {
        let launcher = Launcher::GitLab;
        let Some(index) = self.number(launcher, "CI_NODE_INDEX", 1)? else { return Ok(None) };
        let size = self.number(launcher, "CI_NODE_TOTAL", 1)?;
        let name = self.text("CI_PIPELINE_ID").map(|pipeline| format!("gitlab-{pipeline}"));
        Ok(Some(LaunchedAs { launcher, name, rank: Some(index - 1), size }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(variables: &str) -> Result<Option<LaunchedAs>, LauncherError> {
        let pairs: Vec<_> = variables.split(' ').filter_map(|pair| pair.split_once('=')).collect();
        LaunchedAs::detect(|name| {
            let found = pairs.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    /// Launcher, name, rank and size in one text, `-` for what is not given.
    fn shown(variables: &str) -> String {
        let found = detect(variables).expect("usable variables");
        let Some(LaunchedAs { launcher, name, rank, size }) = found else {
            return "none".to_owned();
        };
        let number = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
        let name = name.unwrap_or_else(|| "-".to_owned());
        format!("{launcher:?} {name} {} {}", number(rank), number(size))
    }

    #[test]
    fn each_launcher_is_known_by_its_variables() {
        for (variables, expected) in [
            ("", "none"),
            ("JOB_COMPLETION_INDEX=3", "Kubernetes - 3 -"),
            (
                "SLURM_JOB_ID=17 SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=4",
                "SlurmStep slurm-17.0 2 4",
            ),
            // A batch script outside srun: one process runs.
            ("SLURM_JOB_ID=17 SLURM_PROCID=0 SLURM_NTASKS=4", "none"),
            // Slurm's plugin for PMI sets these, too.
            (
                "SLURM_JOB_ID=17 SLURM_STEP_ID=1 SLURM_PROCID=2 SLURM_STEP_NUM_TASKS=4 PMI_RANK=2 PMI_SIZE=4",
                "SlurmStep slurm-17.1 2 4",
            ),
            // mpiexec within a step that has one task per host.
            (
                "SLURM_JOB_ID=17 SLURM_STEP_ID=1 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=1 PMI_RANK=2 PMI_SIZE=4",
                "Mpich - 2 4",
            ),
            (
                "SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=16 \
                 SLURM_ARRAY_TASK_STEP=2 SLURM_ARRAY_TASK_COUNT=4",
                "SlurmArray slurm-9 2 4",
            ),
            // --array=0,6,16-32
            (
                "SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=6 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=32 \
                 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=19",
                "SlurmArray slurm-9 - 19",
            ),
            // A step within a task of an array.
            (
                "SLURM_ARRAY_JOB_ID=9 SLURM_ARRAY_TASK_ID=1 SLURM_JOB_ID=10 SLURM_STEP_ID=0 SLURM_PROCID=1 \
                 SLURM_STEP_NUM_TASKS=2",
                "SlurmStep slurm-10.0 1 2",
            ),
            ("NOMAD_ALLOC_INDEX=1 NOMAD_JOB_ID=load", "Nomad - 1 -"),
            ("PMI_RANK=0 PMI_SIZE=4", "Mpich - 0 4"),
            ("OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4", "OpenMpi - 3 4"),
            (
                "AWS_BATCH_JOB_ID=ab-1#2 AWS_BATCH_JOB_NODE_INDEX=2 AWS_BATCH_JOB_NUM_NODES=3",
                "AwsBatch aws-ab-1 2 3",
            ),
            (
                "CLOUD_RUN_EXECUTION=load-x7 CLOUD_RUN_TASK_INDEX=0 CLOUD_RUN_TASK_COUNT=2",
                "CloudRun load-x7 0 2",
            ),
            ("CI_PIPELINE_ID=5 CI_NODE_INDEX=1 CI_NODE_TOTAL=2", "GitLab gitlab-5 0 2"),
            // Many programs use these names.
            ("RANK=1 WORLD_SIZE=4", "none"),
            ("PMI_RANK= PMI_SIZE=4", "none"),
        ] {
            assert_eq!(shown(variables), expected, "{variables}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_refused_with_its_variable() {
        for (variables, part) in [
            ("JOB_COMPLETION_INDEX=-1", "JOB_COMPLETION_INDEX=-1, which Kubernetes"),
            ("PMI_RANK=a PMI_SIZE=4", "PMI_RANK=a, which MPICH has set, is not a number from 0 on"),
            ("PMI_RANK=0 PMI_SIZE=0", "PMI_SIZE=0, which MPICH has set, is not a number from 1 on"),
            (
                "PMI_RANK=4 PMI_SIZE=4",
                "PMI_RANK, PMI_SIZE: MPICH says that this is process 4 of 4, counted from 0",
            ),
            ("CI_NODE_INDEX=0 CI_NODE_TOTAL=2", "CI_NODE_INDEX=0"),
            ("CLOUD_RUN_TASK_INDEX=1.5 CLOUD_RUN_TASK_COUNT=2", "CLOUD_RUN_TASK_INDEX=1.5"),
        ] {
            let error = detect(variables).expect_err(variables).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
