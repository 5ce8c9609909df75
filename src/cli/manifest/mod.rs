//! `loadgen manifest`: what a launcher needs to start a fleet.

mod command;
mod compose;
mod kubernetes;
mod slurm;
#[cfg(test)]
mod tests;
mod yaml;

use anyhow::Context as _;

use self::command::{NodeCommand, SecretVariable};
use super::args::{ManifestArgs, ManifestKind, UsageError};
use super::output::print_bytes;
use super::{CommandOutcome, logger};

/// A manifest, and what is left to do before it is used.
struct Manifest {
    text: String,
    /// Lines for stderr.
    steps: Vec<String>,
}

/// Prints the manifest, and says on stderr how to use it.
pub(super) fn manifest(args: &ManifestArgs) -> anyhow::Result<CommandOutcome> {
    let Manifest { text, steps } = write(args)?;
    print_bytes(text.as_bytes()).context("the manifest could not be printed")?;
    for step in steps {
        logger::say(log::Level::Info, &step);
    }
    Ok(CommandOutcome::Done)
}

fn write(args: &ManifestArgs) -> anyhow::Result<Manifest> {
    let command = NodeCommand::of(args)?;
    match args.launcher {
        ManifestKind::Kubernetes => Ok(kubernetes::job(args, command)),
        ManifestKind::Compose => Ok(compose::service(args, command)),
        ManifestKind::Slurm if args.image.is_some() => Err(UsageError(
            "--image: Slurm starts the loadgen that is installed on its machines; leave --image out".to_owned(),
        )
        .into()),
        ManifestKind::Slurm => Ok(slurm::script(args, &command)),
    }
}

/// The image of the containers.
fn image(args: &ManifestArgs) -> String {
    args.image.clone().unwrap_or_else(|| format!("loadgen:{}", env!("CARGO_PKG_VERSION")))
}

/// The step that sets the variables of secrets; `None` without any.
fn variables_to_set(secrets: &[SecretVariable], before: &str) -> Option<String> {
    let names: Vec<_> = secrets.iter().map(|secret| secret.variable.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let headers = secrets.iter().find(|secret| secret.key == command::HEADER);
    let lines = headers.map_or("", |_| " (LOADGEN_HEADER: all headers, one on each line)");
    Some(format!(
        "secrets are not in the manifest: set {} in the environment of {before}{lines}",
        names.join(" and ")
    ))
}
