//! `loadgen manifest slurm`: a batch script.

use std::fmt::Write as _;

use super::command::NodeCommand;
use super::{Manifest, variables_to_set};
use crate::cli::args::ManifestArgs;
use crate::config::plan::command::quoted;

/// The script.
pub(super) fn script(args: &ManifestArgs, command: &NodeCommand) -> Manifest {
    let (fewest, most) = (command.nodes.fewest, command.nodes.most);
    let nodes = if fewest == most { most.to_string() } else { format!("{fewest}-{most}") };
    let mut words = String::new();
    for word in command.words_with(&["--fleet".to_owned()]) {
        let _ = write!(words, " {}", quoted(&word));
    }
    let memory = args.memory.map_or_else(String::new, |memory| format!("#SBATCH --mem={memory}\n"));
    let time = command.longest.map_or_else(String::new, |longest| {
        format!("#SBATCH --time={}\n", longest.as_secs().div_ceil(60))
    });
    let text = format!(
        "\
#!/bin/sh
# A fleet of loadgen: `loadgen manifest slurm` of loadgen {version} wrote this.
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1
{cores}{memory}{time}\
set -eu
{secrets}\
# The other nodes go on when one of them has ended (--kill-on-bad-exit=0, --wait=0). Name, rank and size of the fleet are
# those of the step of Slurm.
exec srun --kill-on-bad-exit=0 --wait=0{srun_cores} loadgen run{words}
",
        version = env!("CARGO_PKG_VERSION"),
        name = args.name,
        cores = cores(args.cpus),
        // Without --cpus a task may use all cores of its machine, although it has asked for one.
        srun_cores = args.cpus.map_or(" --cpu-bind=none".to_owned(), |n| format!(" --cpus-per-task={n}")),
        secrets = secrets(command),
    );
    let mut steps: Vec<_> = variables_to_set(&command.secrets, "sbatch").into_iter().collect();
    if command.longest.is_none() {
        steps.push(
            "the flags do not limit the duration of the run, so the script has no --time: sbatch --time=MINUTES".to_owned(),
        );
    }
    Manifest { text, steps }
}

fn cores(cpus: Option<u32>) -> String {
    match cpus {
        Some(cpus) => format!("#SBATCH --cpus-per-task={cpus}\n"),
        None => "#SBATCH --exclusive\n".to_owned(),
    }
}

/// Checks of the variables of secrets, which sbatch and srun pass on.
fn secrets(command: &NodeCommand) -> String {
    let mut lines = String::new();
    for secret in &command.secrets {
        let variable = &secret.variable;
        let _ = writeln!(
            lines,
            ": \"${{{variable}:?export it before sbatch: the value of --{}}}\"",
            secret.key
        );
    }
    lines
}
