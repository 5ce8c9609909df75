//! Servers and components of a run as the report names them.

use super::environment::Environment;
use super::participants::Participants;
use super::redis_log::LogServer;
#[cfg(not(feature = "pipeline"))]
use super::without_pipeline::BrokerFacts;
use crate::config::plan::{Plan, Target};
use crate::core::printable::shortened;
use crate::engine::transport::link::TargetEndpoint;
use crate::host::health::Servers;
use crate::host::resources::Component;
use crate::pipeline::servers::EMBEDDED_VERSION;
#[cfg(feature = "pipeline")]
use crate::pipeline::servers::broker_status::BrokerFacts;
use crate::report::{Server, ServerKind, Stack};

/// Servers that the user named: those on this machine are part of the experiment.
pub(super) async fn servers_of(
    plan: &Plan,
    environment: &Environment,
    participants: &Participants,
) -> Servers {
    let named = environment.processes.iter().flat_map(|component| &component.processes);
    let processes = named.map(|process| process.pid.cast_signed()).collect();
    let mut servers = Servers { processes, ..Servers::default() };
    match (&plan.target, &participants.endpoint) {
        (Target::Url(_), Some(TargetEndpoint::Tcp(address))) => servers.addresses.push(*address),
        (Target::Url(_), Some(TargetEndpoint::Unix(path))) => servers.unix = Some(path.clone()),
        _ => {}
    }
    let told = environment
        .redis
        .iter()
        .chain(&environment.mqtt)
        .filter(|(kind, _)| *kind == ServerKind::External);
    for (_, address) in told {
        let found = tokio::net::lookup_host((address.host(), address.port())).await;
        servers.addresses.extend(found.into_iter().flatten().next());
    }
    servers
}

/// The components of the run, each with its processes.
pub(super) fn components(environment: &Environment, listens: bool) -> Vec<Component> {
    let pid = std::process::id();
    let mut all = vec![Component::new("generator", pid, None)];
    if listens {
        all.push(Component::new("subscriber", pid, Some("subscriber")));
    }
    all.extend(environment.components());
    all.extend(environment.processes.iter().cloned());
    all
}

/// The most characters of a server's version: a server may send any text.
const LONGEST_VERSION: usize = 200;

/// Queue and broker with the versions that they reported.
pub(super) async fn describe_stack(
    environment: &Environment,
    log_server: &mut LogServer,
    broker: &BrokerFacts,
) -> Stack {
    let queue = match &environment.redis {
        Some((kind, _)) => Some(described(*kind, "Redis ", log_server.version().await)),
        None => None,
    };
    let broker =
        environment.mqtt.as_ref().map(|(kind, _)| described(*kind, "", broker.version.clone()));
    Stack { queue, broker }
}

/// A server with the version that it reported; `name` is put before the version of a foreign server.
fn described(kind: ServerKind, name: &str, version: Option<String>) -> Server {
    let version = match (version, kind) {
        (Some(version), ServerKind::Embedded) => version,
        (Some(version), _) => format!("{name}{version}"),
        (None, ServerKind::Embedded) => EMBEDDED_VERSION.to_owned(),
        (None, _) => "unknown".to_owned(),
    };
    Server { kind, version: shortened(&version, LONGEST_VERSION).into_owned() }
}
