//! `loadgen manifest kubernetes`: an Indexed Job.

use std::fmt::Write as _;

use super::command::NodeCommand;
use super::yaml::{Quoted, items};
use super::{Manifest, image};
use crate::cli::args::{ManifestArgs, NodeMemory};

/// Cores of a node, if neither --cpus nor --threads is given.
const CPUS: u32 = 2;
/// Memory of a node, if it is not given.
const MEMORY: NodeMemory = NodeMemory { mib: 512 };

/// The Job.
pub(super) fn job(args: &ManifestArgs, mut command: NodeCommand) -> Manifest {
    let cpus = args.cpus.or(command.threads).unwrap_or(CPUS);
    command.set_threads(cpus);
    let memory = args.memory.unwrap_or(MEMORY).mib;
    let (name, nodes) = (&args.name, command.nodes.most);
    let deadline = command.longest.map_or_else(String::new, |longest| {
        format!(
            "\n  # Time to join, warm-up, duration, drain, and time to spare.\n  activeDeadlineSeconds: {}",
            longest.as_secs()
        )
    });
    let image = image(args);
    let text = format!(
        "\
# A fleet of loadgen: `loadgen manifest kubernetes` of loadgen {version} wrote this.
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: loadgen
    app.kubernetes.io/instance: {name}
spec:
  completionMode: Indexed
  # All pods run at the same time: the load begins when the last of them has joined.
  completions: {nodes}
  parallelism: {nodes}
  # A pod is not started again: the load goes on without it. A backoffLimit of the whole Job would end the other pods,
  # and delete their reports, as soon as one pod has failed.
  backoffLimitPerIndex: 0{deadline}
{template}
      containers:
        - name: loadgen
          image: {image}
          args:{args}
          env:
            # The name of the fleet: the uid of this Job, which is new each time that it is created.
            - name: LOADGEN_FLEET
              valueFrom:
                fieldRef:
                  fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']{secrets}
          resources:
            # No limit of the CPU: it stops all threads of a pod for the rest of each tenth of a second, which looks like a
            # slow server.
            requests:
              cpu: {cpus}
              memory: {memory}Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop:
                - ALL
",
        version = env!("CARGO_PKG_VERSION"),
        name = Quoted(name),
        image = Quoted(&image),
        template = template(name, &command),
        args = items(&command.words_with(&[format!("--nodes={}", command.nodes)]), 12),
        secrets = secrets(name, &command),
    );
    Manifest { text, steps: steps(name, &command) }
}

/// The template of the pods up to its containers.
fn template(name: &str, command: &NodeCommand) -> String {
    format!(
        "  template:
    metadata:
      labels:
        app.kubernetes.io/name: loadgen
        app.kubernetes.io/instance: {name}
      annotations:
        cluster-autoscaler.kubernetes.io/safe-to-evict: \"false\"
    spec:
      restartPolicy: Never
      # Time to wait for answers in flight, and to report, when the Job is deleted.
      terminationGracePeriodSeconds: {grace}
      automountServiceAccountToken: false
      # Without it a service named loadgen sets variables such as LOADGEN_PORT.
      enableServiceLinks: false
      securityContext:
        runAsNonRoot: true
        runAsUser: 65534
        runAsGroup: 65534
        seccompProfile:
          type: RuntimeDefault
      # Two pods on one machine share its cores and its network: use different machines where there are enough.
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels:
              app.kubernetes.io/name: loadgen
              app.kubernetes.io/instance: {name}",
        name = Quoted(name),
        grace = command.grace.as_secs(),
    )
}

/// The variables whose values are in a Secret.
fn secrets(name: &str, command: &NodeCommand) -> String {
    let mut lines = String::new();
    for secret in &command.secrets {
        let _ = write!(
            lines,
            "
            - name: {variable}
              valueFrom:
                secretKeyRef:
                  name: {name}
                  key: {key}",
            variable = secret.variable,
            name = Quoted(&secret_name(name)),
            key = Quoted(&secret.key),
        );
    }
    lines
}

fn secret_name(name: &str) -> String {
    format!("{name}-secrets")
}

/// Steps from the manifest to the report.
fn steps(name: &str, command: &NodeCommand) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(step) = super::variables_to_set(&command.secrets, "this command") {
        let mut create = format!("kubectl create secret generic {}", secret_name(name));
        for secret in &command.secrets {
            let _ = write!(create, " --from-literal={}=\"${}\"", secret.key, secret.variable);
        }
        steps.push(format!("{step}: {create}"));
    }
    steps.push(format!(
        "a Job cannot be changed: before the next run, kubectl delete job {name}. The report is in the log of one of the \
         pods: kubectl logs -f -l app.kubernetes.io/instance={name} --prefix --tail=-1 --max-log-requests={}",
        command.nodes.most
    ));
    steps
}
