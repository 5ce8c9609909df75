//! Conversion of settings to a plan, with all checks and defaults. Later code relies on a valid plan.

use std::collections::BTreeMap;
use std::time::Duration;

use url::Url;

use crate::config::settings::{Coupling, Settings, StackChoice};
use crate::core::AddressError;
use crate::core::distribution::fewest_values;
use crate::core::units::{Rate, format_count, format_some};
use crate::host::named_processes::NamedProcess;
use crate::message::StagePair;

pub(crate) mod command;
mod connect_to;
mod files;
mod head;
mod labels;
pub(crate) mod load;
pub(crate) mod password_file;
mod processes;
mod queue_depth;
pub(crate) mod read;
pub(crate) mod request;
pub(crate) mod script;
pub(crate) mod server_tls;
mod target;
pub(crate) mod threshold;
pub(crate) mod tls;
mod topics;
pub(crate) mod transport;

pub use crate::core::Address;
pub(crate) use crate::engine::load::{LoadConfig, Mode, Pace};
pub(crate) use crate::engine::transport::config::TransportConfig;
pub(crate) use request::NO_REQUEST_CARRIES_ID;
pub use request::{Request, RequestPlan};
pub use script::ScriptPlan;
pub(crate) use threshold::BoundUnit;
pub use threshold::Threshold;
pub(crate) use topics::{check_filters, topic_to_publish};

use labels::labels;
use load::load;
use processes::processes;
pub(crate) use queue_depth::QueueDepth;
use queue_depth::queue_depth;
use request::request;
use script::script;
use server_tls::{ServerPlan, servers};
use target::target;
use topics::topics;
use transport::transport;

/// Error about an invalid setting; the message names the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl PlanError {
    /// Creates an error. `text` names the flag and says what to do.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<AddressError> for PlanError {
    fn from(error: AddressError) -> Self {
        Self(error.to_string())
    }
}

fn refuse<T>(text: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError(text.into()))
}

/// Checked configuration of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// System under test.
    pub target: Target,
    /// Loop, rate, connections and times.
    pub load: LoadConfig,
    /// Requests to send.
    pub request: RequestPlan,
    /// Protocol, route and certificates of the target.
    pub transport: TransportConfig,
    /// Script that writes the requests instead of `request`, if one is given.
    pub script: Option<ScriptPlan>,
    /// The pipeline behind the target.
    pub pipeline: PipelinePlan,
    /// Processes to measure that the run does not start.
    pub(crate) processes: Vec<NamedProcess>,
    /// Longest wait for target and servers before the run; `None` if it does not wait.
    pub(crate) wait_for: Option<Duration>,
    /// Conditions under which the run fails.
    pub thresholds: Vec<Threshold>,
    /// Labels of the run.
    pub labels: BTreeMap<String, String>,
    /// Command line that repeats the run, without secrets and labels.
    pub command: String,
}

/// System under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The whole pipeline, started for this run.
    Pipeline,
    /// Running API. Its arrivals are measured if a broker is given too.
    Url(Url),
}

/// The pipeline behind the target.
#[derive(Debug, Clone)]
pub struct PipelinePlan {
    /// Redis, if one is given.
    pub redis: Option<Address>,
    /// Redis of the stamps and their clock, if it is not `redis`.
    pub log_server: Option<Address>,
    /// Broker, if one is given.
    pub mqtt: Option<Address>,
    /// Source of Redis and the broker if no address is given.
    pub stack: StackChoice,
    /// MQTT topics, at least one. If the run starts the pipeline: exactly one, without wildcards.
    pub topics: Vec<String>,
    /// True if the report may show a payload that could not be joined to a request.
    pub show_payload: bool,
    /// Redis list.
    pub queue: String,
    /// The queue whose depth is measured.
    pub(crate) queue_depth: QueueDepth,
    /// Sampling interval: one message in `sample` is stamped; at least 1.
    pub sample: u64,
    /// Stamps that the services keep in each Redis list; at least 1.
    pub stamps_keep: u64,
    /// Rows of the report's stages.
    pub stages: Vec<StagePair>,
    /// True if the user chose the stages; the report then lists them even without a message.
    pub stages_chosen: bool,
    /// Threads of the api.
    pub api_threads: usize,
    /// Workers of the push server.
    pub push_workers: usize,
    /// Threads of the push server.
    pub push_threads: usize,
    /// Coupling of pop and publish in the push server.
    pub coupling: Coupling,
    /// Highest rate at which the push server pops and publishes, in messages per second.
    pub push_limit: Option<Rate>,
    /// MQTT quality of service, 0 or 1.
    pub qos: u8,
}

/// Largest sampling interval: fewer stamps are not meaningful. Ids are allocated in blocks of this size.
const MOST_SAMPLE: u64 = 1_000_000;
/// Stamps that stay in each Redis list by default.
pub(crate) const STAMPS_KEEP: u64 = 100_000;
/// Largest number of threads; a larger value is probably a typing error.
const MOST_THREADS: u64 = 1_024;

/// Numbers of the report that need a MsgID in the requests.
const OF_IDS: [&str; 8] = [
    "lost_percent",
    "messages.accepted",
    "messages.arrived",
    "messages.lost",
    "messages.lost_percent",
    "messages.missed",
    "messages.reordered",
    "messages.unknown",
];

impl PipelinePlan {
    /// Adds the row that a condition on a stage needs. Errors begin with `place`, where it was written.
    pub(crate) fn add_stage_of(
        &mut self,
        place: &str,
        threshold: &Threshold,
    ) -> Result<(), PlanError> {
        let Some(name) = threshold.name().strip_prefix("stages.") else { return Ok(()) };
        let name = name.split('.').next().unwrap_or_default();
        let pair =
            name.parse().map_err(|why| PlanError(format!("{place} '{threshold}': {why}")))?;
        if !self.stages.contains(&pair) {
            self.stages.push(pair);
        }
        Ok(())
    }
}

impl Plan {
    /// Checks the settings and fills in the defaults. Reads the files that are named and
    /// the environment's proxies; touches nothing else.
    pub fn new(settings: Settings) -> Result<Self, PlanError> {
        let target = target(settings.url.as_deref())?;
        check_pipeline_feature(&settings, &target)?;
        let transport = transport(&settings, &target)?;
        let load = load(&settings, transport.streams)?;
        let script = script(&settings, transport.engine)?;
        let mut request = request(&settings, &target)?;
        if !transport.keep_alive {
            request.close_connections();
        }
        if settings.traceparent.unwrap_or_default() {
            request.add_traceparent(script.is_some())?;
        }
        let thresholds =
            settings.fail_if.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>()?;
        check_requests(&thresholds, &request)?;
        check_brought_up(&settings, &target)?;
        let labels = labels(&settings.labels)?;
        let command = command::command(&settings);
        let wait_for = settings.wait_for.filter(|time| !time.is_zero());
        let names = settings.processes.clone();
        let mut pipeline = pipeline(settings, &target)?;
        request.set_sample(pipeline.sample);
        let processes = processes(&names, &target, &pipeline)?;
        for threshold in &thresholds {
            pipeline.add_stage_of("--fail-if", threshold)?;
        }
        let plan = Self {
            target,
            load,
            request,
            transport,
            script,
            pipeline,
            processes,
            wait_for,
            thresholds,
            labels,
            command,
        };
        plan.check_heard()?;
        plan.check_ids()?;
        plan.thresholds
            .iter()
            .try_for_each(|threshold| plan.check_values("--fail-if", threshold))?;
        Ok(plan)
    }

    /// Refuses conditions on messages if arrivals are not measured.
    fn check_heard(&self) -> Result<(), PlanError> {
        let is_of_messages = |threshold: &&Threshold| {
            threshold.name() == "lost_percent"
                || ["arrival.", "messages."].iter().any(|part| threshold.name().starts_with(part))
        };
        match self.thresholds.iter().find(is_of_messages).filter(|_| !self.listens()) {
            Some(threshold) => refuse(format!(
                "--fail-if '{}': arrivals are not measured without a broker; give its address with --mqtt",
                threshold.name()
            )),
            None => Ok(()),
        }
    }

    /// Refuses conditions on numbers that need MsgIDs if no request carries one.
    fn check_ids(&self) -> Result<(), PlanError> {
        let needs_ids = |threshold: &&Threshold| {
            threshold.name().starts_with("arrival.") || OF_IDS.contains(&threshold.name())
        };
        match self.thresholds.iter().find(needs_ids).filter(|_| self.warning().is_some()) {
            Some(threshold) => refuse(format!(
                "--fail-if '{threshold}': {{{{msg_id}}}} is not in the body, a header or the URL of any \
                 request, so arrivals are not measured; put it there, or remove the condition"
            )),
            None => Ok(()),
        }
    }

    /// Refuses a condition on a percentile that needs more values than the run plans. `place` names the
    /// flag or file of the condition.
    pub(crate) fn check_values(&self, place: &str, threshold: &Threshold) -> Result<(), PlanError> {
        let percentile = threshold.name().rsplit('.').next().unwrap_or_default();
        match (fewest_values(percentile), self.load.most_requests()) {
            (Some(fewest), Some(most)) if most < fewest => refuse(format!(
                "{place} '{threshold}': {percentile} needs at least {} values; this run plans {}. Run longer or \
                 use a lower percentile",
                format_count(fewest),
                format_some(most, "request", "requests")
            )),
            _ => Ok(()),
        }
    }

    /// The warning before a run that measures arrivals although no request carries its MsgID. The
    /// requests of a script are not known yet.
    pub(crate) fn warning(&self) -> Option<&'static str> {
        let proves_nothing =
            self.listens() && self.script.is_none() && self.request.is_without_ids();
        proves_nothing.then_some(NO_REQUEST_CARRIES_ID)
    }

    /// Returns true if the user names a Redis, whose clock all nodes share.
    pub(crate) fn has_clock_of_redis(&self) -> bool {
        self.pipeline.redis.is_some() || self.pipeline.log_server.is_some()
    }

    /// Returns true if arrivals are measured: the run starts the pipeline, or a broker is given.
    pub(crate) fn listens(&self) -> bool {
        self.target == Target::Pipeline || self.pipeline.mqtt.is_some()
    }
}

/// Refuses conditions on requests that the plan does not contain.
fn check_requests(thresholds: &[Threshold], plan: &RequestPlan) -> Result<(), PlanError> {
    for threshold in thresholds {
        let mut parts = threshold.name().split('.');
        let name = parts.next().filter(|part| *part == "by_request").and_then(|_| parts.next());
        let Some(name) = name else { continue };
        if !plan.is_mix() || plan.requests.iter().all(|request| request.name != name) {
            let names: Vec<_> = plan.requests.iter().map(|r| r.name.as_str()).collect();
            let known = if plan.is_mix() {
                format!("there are {}", names.join(", "))
            } else {
                "results by request need a profile with several [[request]]".to_owned()
            };
            return refuse(format!("--fail-if {threshold}: there is no request '{name}'; {known}"));
        }
    }
    Ok(())
}

/// Parses `--stages`; without values, returns the default rows.
fn stages(texts: &[String]) -> Result<Vec<StagePair>, PlanError> {
    if texts.is_empty() {
        return Ok(StagePair::DEFAULT.to_vec());
    }
    let mut pairs = Vec::new();
    for text in texts {
        let pair = text.parse().map_err(|why| PlanError(format!("--stages: {why}")))?;
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    Ok(pairs)
}

/// Refuses what a build without the feature `pipeline` cannot do.
fn check_pipeline_feature(settings: &Settings, target: &Target) -> Result<(), PlanError> {
    if cfg!(feature = "pipeline") {
        return Ok(());
    }
    let servers = [
        ("--redis", settings.redis.is_some()),
        ("--mqtt", settings.mqtt.is_some()),
        ("--log-server", settings.log_server.is_some()),
    ];
    match servers.into_iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => refuse(format!(
            "{flag}: this build measures no arrivals; build it with the cargo feature `pipeline`"
        )),
        None if *target == Target::Pipeline => refuse(
            "this build has no pipeline of its own: name a URL, or build it with the cargo feature `pipeline`",
        ),
        None => Ok(()),
    }
}

/// Refuses settings of api and push if a URL is given, because the run then starts neither.
fn check_brought_up(settings: &Settings, target: &Target) -> Result<(), PlanError> {
    let Settings { api_threads, push_workers, push_threads, .. } = settings;
    let Settings { coupling, push_limit, stack, stamps_keep, .. } = settings;
    let set = [
        ("--api-threads", api_threads.is_some()),
        ("--push-workers", push_workers.is_some()),
        ("--push-threads", push_threads.is_some()),
        ("--coupling", coupling.is_some()),
        ("--push-limit", push_limit.is_some()),
        ("--stack", stack.is_some()),
        ("--stamps-keep", stamps_keep.is_some()),
    ];
    match set.into_iter().find(|(_, is_set)| *is_set) {
        Some((flag, _)) if *target != Target::Pipeline => refuse(format!(
            "{flag} applies to the pipeline that loadgen starts if no URL is given; remove {flag} or the URL"
        )),
        _ => Ok(()),
    }
}

fn pipeline(settings: Settings, target: &Target) -> Result<PipelinePlan, PlanError> {
    let ServerPlan { redis, log_server, mqtt } = servers(&settings)?;
    if !settings.topics.is_empty() && settings.mqtt.is_none() && *target != Target::Pipeline {
        return refuse(
            "--topic needs --mqtt: without a broker no arrival is measured. Give --mqtt URL, or leave --topic out",
        );
    }
    let queue = settings.queue.clone().unwrap_or_else(|| "myapp".to_owned());
    let queue_depth = queue_depth(&settings, target, &queue)?;
    let topics = topics(settings.topics, target)?;
    let sample = settings.sample.unwrap_or(100);
    if !(1..=MOST_SAMPLE).contains(&sample) {
        return refuse(format!(
            "--sample {sample} must be from 1 to {MOST_SAMPLE}: one message in N is stamped"
        ));
    }
    let stamps_keep = settings.stamps_keep.unwrap_or(STAMPS_KEEP);
    if stamps_keep == 0 {
        return refuse("--stamps-keep must be at least 1: the newest N stamps of a list are kept");
    }
    if let (Some(_), Some(_), Some(_)) = (settings.stack, &settings.redis, &settings.mqtt) {
        return refuse(
            "--stack selects the source of Redis and the broker, but --redis and --mqtt give the addresses \
             of both; remove --stack or one of the addresses",
        );
    }
    let push_workers = thread_count("--push-workers", settings.push_workers)?;
    Ok(PipelinePlan {
        redis,
        log_server,
        mqtt,
        stack: settings.stack.unwrap_or_default(),
        topics,
        show_payload: settings.show_payload.unwrap_or(false),
        queue,
        queue_depth,
        sample,
        stamps_keep,
        stages: stages(&settings.stages)?,
        stages_chosen: !settings.stages.is_empty(),
        api_threads: thread_count("--api-threads", settings.api_threads)?,
        push_workers,
        push_threads: thread_count("--push-threads", settings.push_threads)?.min(push_workers),
        coupling: settings.coupling.unwrap_or_default(),
        push_limit: settings.push_limit,
        qos: settings.qos.unwrap_or(0),
    })
}

/// Returns the value of `flag`, by default 1; refuses 0 and more than [`MOST_THREADS`].
fn thread_count(flag: &str, value: Option<u64>) -> Result<usize, PlanError> {
    match value.unwrap_or(1) {
        n @ 1..=MOST_THREADS => Ok(n as usize),
        n => refuse(format!("{flag} {n} must be from 1 to {MOST_THREADS}")),
    }
}

#[cfg(test)]
mod tests;
