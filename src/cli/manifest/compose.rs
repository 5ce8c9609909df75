//! `loadgen manifest compose`: a service of a compose file.

use std::fmt::Write as _;

use super::command::NodeCommand;
use super::yaml::{Quoted, items};
use super::{Manifest, image, variables_to_set};
use crate::cli::args::{ManifestArgs, NodeMemory};

/// The file with its service.
pub(super) fn service(args: &ManifestArgs, mut command: NodeCommand) -> Manifest {
    if let Some(cpus) = args.cpus {
        command.set_threads(cpus);
    }
    let image = image(args);
    let text = format!(
        "\
# A fleet of loadgen: `loadgen manifest compose` of loadgen {version} wrote this.
services:
  {name}:
    image: {image}
    command:{words}
    environment:
      LOADGEN_FLEET: \"${{LOADGEN_FLEET:?set it to a name that is new for each run, such as smoke-17}}\"{secrets}
    deploy:
      replicas: {nodes}{resources}
    # A node is not started again: the load goes on without it.
    restart: \"no\"
    stop_grace_period: {grace}s
    user: \"65534:65534\"
    read_only: true
    cap_drop:
      - ALL
    security_opt:
      - \"no-new-privileges:true\"
",
        version = env!("CARGO_PKG_VERSION"),
        name = args.name,
        image = Quoted(&image),
        words = items(&command.words_with(&[format!("--nodes={}", command.nodes)]), 6),
        secrets = secrets(&command),
        nodes = command.nodes.most,
        resources = resources(args.cpus, args.memory),
        grace = command.grace.as_secs(),
    );
    let mut steps: Vec<_> =
        variables_to_set(&command.secrets, "docker compose").into_iter().collect();
    steps.push(
        "start it with a name that is new for each run: LOADGEN_FLEET=smoke-17 docker compose -f FILE up".to_owned(),
    );
    Manifest { text, steps }
}

/// The variables whose values compose takes from its own environment.
fn secrets(command: &NodeCommand) -> String {
    let mut lines = String::new();
    for secret in &command.secrets {
        let variable = &secret.variable;
        let _ = write!(
            lines,
            "\n      {variable}: \"${{{variable}:?set it to the value of --{}}}\"",
            secret.key
        );
    }
    lines
}

/// CPU and memory of each node. A limit of the CPU would stop its threads for a part of each tenth of a second.
fn resources(cpus: Option<u32>, memory: Option<NodeMemory>) -> String {
    let mut lines = String::new();
    if cpus.is_some() || memory.is_some() {
        lines += "\n      resources:\n        reservations:";
    }
    if let Some(cpus) = cpus {
        let _ = write!(lines, "\n          cpus: \"{cpus}\"");
    }
    if let Some(memory) = memory {
        let _ = write!(lines, "\n          memory: {memory}");
    }
    lines
}
