//! Flags of a fleet.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{RedisAccess, UsageError};
use crate::config::plan::server_tls::set_tls_files;
use crate::config::plan::{Mode, Plan, Target};
use crate::config::settings::Settings;
use crate::core::units::{Rate, parse_duration};
use crate::core::{Address, Scheme, ServerType, TlsFiles};
use crate::fleet::{ArrivalsAt, FleetSize, JoinRequest, LaunchedAs};

/// Longest name of a fleet.
const LONGEST_NAME: usize = 100;

/// Reaction of a fleet to the loss of a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum OnLost {
    /// The other nodes go on with their own part of the load.
    #[default]
    GoOn,
    /// All nodes stop, and report what they have.
    Stop,
}

/// Flags of a fleet.
#[derive(Debug, Args)]
pub(in crate::cli) struct FleetArgs {
    /// Send the load together with the other nodes that are started with the same command, and make one report: the name of this fleet, new for each run (without NAME: that of the launcher, such as Slurm)
    #[arg(
        long,
        value_name = "NAME",
        env = "LOADGEN_FLEET",
        num_args = 0..=1,
        default_missing_value = "",
        help_heading = "Fleet"
    )]
    pub(in crate::cli) fleet: Option<String>,

    /// Number of nodes of the fleet, or N..M to start with at least N when --join-timeout is over (without it: that of the launcher)
    #[arg(
        long,
        value_name = "N",
        env = "LOADGEN_NODES",
        requires = "fleet",
        help_heading = "Fleet"
    )]
    nodes: Option<FleetSize>,

    /// Longest wait for the other nodes, since the first of them came
    #[arg(
        long,
        value_name = "TIME",
        env = "LOADGEN_JOIN_TIMEOUT",
        value_parser = parse_duration,
        default_value = "5m",
        help_heading = "Fleet"
    )]
    join_timeout: Duration,

    /// Address of the Redis that the nodes meet in (without it: that of --redis)
    #[arg(
        long,
        value_name = "URL",
        env = "LOADGEN_FLEET_REDIS",
        hide_env_values = true,
        requires = "fleet",
        help_heading = "Fleet"
    )]
    fleet_redis: Option<String>,

    /// Largest rate of one node: refuse a fleet that is too small for --rate
    #[arg(
        long,
        value_name = "RATE",
        env = "LOADGEN_MAX_PER_NODE",
        requires = "fleet",
        help_heading = "Fleet"
    )]
    max_per_node: Option<Rate>,

    /// Messages whose arrival each node sees
    #[arg(
        long,
        value_name = "KIND",
        env = "LOADGEN_ARRIVALS_AT",
        value_enum,
        default_value_t,
        help_heading = "Fleet"
    )]
    arrivals_at: ArrivalsAt,

    /// Reaction to the loss of a node
    #[arg(
        long,
        value_name = "KIND",
        env = "LOADGEN_ON_LOST",
        value_enum,
        default_value = "go-on",
        help_heading = "Fleet"
    )]
    on_lost: OnLost,
}

/// The runs of a fleet.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct FleetPlans<'a> {
    /// Settings that all runs have in common.
    pub(in crate::cli) settings: &'a Settings,
    /// Plans of the runs, at least one.
    pub(in crate::cli) plans: &'a [Plan],
    /// Text of the profile of a ramp.
    pub(in crate::cli) profile: Option<&'a str>,
}

impl FleetArgs {
    /// The fleet that is to be joined for `work`. The launcher's variables are `read`. `stop` gets true when all nodes are to
    /// stop.
    pub(in crate::cli) fn request(
        &self,
        work: FleetPlans<'_>,
        read: impl Fn(&str) -> Option<String>,
        stop: tokio::sync::watch::Sender<bool>,
    ) -> Result<JoinRequest, UsageError> {
        let FleetPlans { settings, plans, profile } = work;
        let [first, ..] = plans else {
            return Err(UsageError("the profile has no step".to_owned()));
        };
        plans.iter().try_for_each(|plan| self.check(settings, plan))?;
        let launched = LaunchedAs::detect(read).map_err(|error| UsageError(error.to_string()))?;
        let name = self.name(launched.as_ref())?;
        let nodes = self.size(&name, launched.as_ref())?;
        plans.iter().try_for_each(|plan| self.check_rate(plan, nodes))?;
        Ok(JoinRequest {
            rank: launched.as_ref().and_then(|launched| launched.rank),
            nodes,
            join_timeout: self.join_timeout,
            redis: self.redis(settings, first)?,
            arrivals_at: self.arrivals_at,
            profile: profile.map(str::to_owned),
            threads: first.load.threads as u64,
            stop,
            stops_on_loss: self.on_lost == OnLost::Stop,
            name,
        })
    }

    /// Refuses what cannot be part of a fleet.
    fn check(&self, settings: &Settings, plan: &Plan) -> Result<(), UsageError> {
        let given = self.fleet.as_deref().unwrap_or_default();
        if given.contains("://") {
            return Err(UsageError(format!(
                "--fleet takes the URL '{}' for its name; write --fleet=NAME, or --fleet as the last flag",
                crate::core::secrets::mask_url(given)
            )));
        }
        if settings.node.is_some() || plan.load.node.share.count > 1 {
            return Err(UsageError(
                "--node k/N and --fleet are two ways to divide a load; with --fleet the nodes number themselves, so leave --node out".to_owned(),
            ));
        }
        if plan.target == Target::Pipeline {
            return Err(UsageError(
                "--fleet needs the URL of a target: without one, each node would start a pipeline of its own".to_owned(),
            ));
        }
        if plan.script.is_some() {
            return Err(UsageError(
                "--fleet and --script: the functions of a script see the requests of one node only; leave one of them out".to_owned(),
            ));
        }
        self.check_arrivals(plan)
    }

    /// Refuses a subscription that does not fit the topics.
    fn check_arrivals(&self, plan: &Plan) -> Result<(), UsageError> {
        let has_own = plan.pipeline.has_own_topics();
        let problem = match self.arrivals_at {
            ArrivalsAt::All => return Ok(()),
            _ if !plan.listens() => "arrivals are measured with --mqtt only",
            ArrivalsAt::Own if !has_own => {
                "each node hears its own messages alone where their topic has its index: --topic 'x/{{node}}'"
            }
            ArrivalsAt::Shared if has_own => {
                "with {{node}} in --topic each node hears its own messages anyway; leave one of them out"
            }
            ArrivalsAt::Own | ArrivalsAt::Shared => return Ok(()),
        };
        Err(UsageError(format!("--arrivals-at {}: {problem}", self.arrivals_at)))
    }

    fn name(&self, launched: Option<&LaunchedAs>) -> Result<String, UsageError> {
        let given = self.fleet.clone().unwrap_or_default();
        let named = Some(given).filter(|name| !name.is_empty());
        let Some(name) = named.or_else(|| launched.and_then(|launched| launched.name.clone()))
        else {
            let launcher = launched.map_or_else(
                || "nothing here gives one".to_owned(),
                |launched| format!("{} gives none", launched.launcher),
            );
            return Err(UsageError(format!(
                "--fleet needs a name that is new for each run, and {launcher}: write --fleet NAME"
            )));
        };
        let is_plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        if !is_plain || name.len() > LONGEST_NAME {
            return Err(UsageError(format!(
                "--fleet '{}': a name has letters, digits, '.', '_' and '-', at most {LONGEST_NAME} of them",
                name.escape_default()
            )));
        }
        Ok(name)
    }

    fn size(&self, name: &str, launched: Option<&LaunchedAs>) -> Result<FleetSize, UsageError> {
        let given = launched.and_then(|launched| Some((launched, launched.size?)));
        let nodes = match (self.nodes, given) {
            (Some(nodes), Some((launched, size))) if nodes.most != size => {
                return Err(UsageError(format!(
                    "--nodes {nodes}, but {} has started {size} processes; leave --nodes out",
                    launched.launcher
                )));
            }
            (Some(nodes), _) => Some(nodes),
            (None, Some((_, size))) => FleetSize::exactly(size),
            (None, None) => None,
        };
        let nodes = nodes.ok_or_else(|| {
            UsageError(format!("--fleet {name} needs the number of its nodes: --nodes N"))
        })?;
        match launched.and_then(|launched| launched.rank) {
            Some(rank) if rank >= nodes.most => Err(UsageError(format!(
                "--nodes {nodes}: this process has the rank {rank}, and ranks begin at 0; is --nodes too small?"
            ))),
            _ => Ok(nodes),
        }
    }

    /// Refuses a fleet that is too small for the rate.
    fn check_rate(&self, plan: &Plan, nodes: FleetSize) -> Result<(), UsageError> {
        let (Some(most), Mode::Open { rate, .. }) = (self.max_per_node, plan.load.mode) else {
            return Ok(());
        };
        let each = rate.highest().as_f64() / nodes.fewest as f64;
        if each <= most.as_f64() {
            return Ok(());
        }
        let needed = (rate.highest().as_f64() / most.as_f64()).ceil() as u64;
        Err(UsageError(format!(
            "--max-per-node {most}: {rate}/s over {} are {each:.0}/s each; {needed} nodes are needed",
            crate::core::units::format_some(nodes.fewest, "node", "nodes")
        )))
    }

    /// Refuses this node's part of the load if it is larger than --max-per-node.
    pub(in crate::cli) fn check_capacity(&self, plan: &Plan) -> Result<(), UsageError> {
        let (Some(most), Mode::Open { rate, .. }) = (self.max_per_node, plan.load.mode) else {
            return Ok(());
        };
        let own = plan.load.node.part_of(rate.highest().as_f64(), plan.load.threads);
        if own <= most.as_f64() {
            return Ok(());
        }
        Err(UsageError(format!(
            "--max-per-node {most}: this node has {} of {} workers, and would send {own:.0}/s; start more nodes, or \
             give all the same --threads",
            plan.load.threads, plan.load.node.workers
        )))
    }

    fn redis(&self, settings: &Settings, plan: &Plan) -> Result<Address, UsageError> {
        if let Some(url) = &self.fleet_redis {
            let files = TlsFiles {
                server: ServerType::Redis,
                cacert: settings.redis_cacert.clone(),
                cert: settings.redis_cert.clone(),
                key: settings.redis_key.clone(),
            };
            return fleet_redis(url, &files);
        }
        plan.pipeline.redis.clone().ok_or_else(|| {
            UsageError(
                "--fleet needs a Redis in which the nodes meet: --fleet-redis URL, or --redis URL if the pipeline has one".to_owned(),
            )
        })
    }
}

/// Reads `--fleet-redis`. The files for TLS to Redis are for this one, too.
fn fleet_redis(url: &str, files: &TlsFiles) -> Result<Address, UsageError> {
    let address = Address::parse("--fleet-redis", url);
    let mut address = address.map_err(|error| UsageError(error.to_string()))?;
    if address.scheme() == Scheme::Tls {
        let set = set_tls_files(files, vec![&mut address]);
        set.map_err(|error| UsageError(error.to_string()))?;
    }
    Ok(address)
}

/// Arguments of `loadgen watch` and `loadgen stop`.
#[derive(Debug, Args)]
pub(in crate::cli) struct VisitArgs {
    /// Name of the fleet
    #[arg(value_name = "NAME", env = "LOADGEN_FLEET")]
    pub(in crate::cli) name: String,

    /// Address of the Redis that the nodes meet in, if it is not that of --redis
    #[arg(long, value_name = "URL", env = "LOADGEN_FLEET_REDIS", hide_env_values = true)]
    fleet_redis: Option<String>,

    /// Address of the Redis of the queue
    #[arg(long, value_name = "URL", env = "LOADGEN_REDIS", hide_env_values = true)]
    redis: Option<String>,

    #[command(flatten)]
    redis_access: RedisAccess,
}

impl VisitArgs {
    /// Address of the Redis that the fleet meets in, with password and files.
    pub(in crate::cli) fn redis(&self) -> Result<Address, UsageError> {
        let (flag, url) = match (&self.fleet_redis, &self.redis) {
            (Some(url), _) => ("--fleet-redis", url),
            (None, Some(url)) => ("--redis", url),
            (None, None) => {
                return Err(UsageError(
                    "give the address of the Redis in which the fleet meets: --redis URL, or --fleet-redis URL"
                        .to_owned(),
                ));
            }
        };
        let address = Address::parse(flag, url);
        let mut address = address.map_err(|error| UsageError(error.to_string()))?;
        let applied = self.redis_access.apply(Some(&mut address), None);
        applied.map_err(|error| UsageError(error.to_string()))?;
        Ok(address)
    }
}
