//! Settings → Plan: checked, defaults filled in. Nothing after it finds the input invalid.

use std::time::Duration;

use url::Url;

use crate::clock::Nanos;
use crate::message::{IdFields, Template, template::DEFAULT_BODY};
use crate::profile::{Arrivals, Coupling, Engine, Node, Settings, Stack};
use crate::units::Rate;

pub mod address;
pub mod threshold;

pub use address::{Address, Scheme};
pub use threshold::Threshold;

/// A setting that does not make sense, as a sentence that names the flag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(pub(crate) String);

fn refuse<T>(text: impl Into<String>) -> Result<T, PlanError> {
    Err(PlanError(text.into()))
}

/// What one run will do.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What is driven.
    pub target: Target,
    /// How requests are sent.
    pub load: LoadPlan,
    /// What is sent.
    pub request: RequestPlan,
    /// The pipeline behind the target.
    pub pipeline: PipelinePlan,
    /// What the report is held against.
    pub thresholds: Vec<Threshold>,
}

/// What is driven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The whole pipeline, brought up for this run.
    Pipeline,
    /// An API that is there. Its arrivals are measured where a broker is given too.
    Url(Url),
}

/// Open or closed loop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Mode {
    /// Slot n is due at a time that no response can move.
    Open {
        /// Slots a second, in total.
        rate: Rate,
        /// Their spacing.
        arrivals: Arrivals,
        /// Seed of the spacing.
        seed: u64,
    },
    /// Each connection sends its next request when the last one ended.
    Closed,
}

/// How requests are sent.
#[derive(Debug, Clone)]
pub struct LoadPlan {
    /// Open or closed loop.
    pub mode: Mode,
    /// Connections, at least `threads`.
    pub connections: usize,
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Sending time of the measured part; `None` where only `requests` ends it.
    pub duration: Option<Duration>,
    /// Most requests of the measured part.
    pub requests: Option<u64>,
    /// Sending time of the part thrown away.
    pub warmup: Duration,
    /// How long stragglers are waited for.
    pub drain: Duration,
    /// Time allowed per request from its send.
    pub timeout: Duration,
    /// Most requests on the wire or in line, at least `threads`.
    pub max_in_flight: Option<u64>,
    /// What carries the requests.
    pub engine: Engine,
}

/// What is sent.
#[derive(Debug, Clone)]
pub struct RequestPlan {
    /// Method, a valid token.
    pub method: String,
    /// Names and values, valid for HTTP/1.1.
    pub headers: Vec<(String, String)>,
    /// Body with its holes.
    pub body: Template,
    /// The JSON field that carries the MsgID.
    pub id_fields: IdFields,
    /// This process's share of time-based ids.
    pub node: Node,
}

/// The pipeline behind the target.
#[derive(Debug, Clone)]
pub struct PipelinePlan {
    /// Redis, if one is given.
    pub redis: Option<Address>,
    /// Broker, if one is given.
    pub mqtt: Option<Address>,
    /// Where what is not given comes from.
    pub stack: Stack,
    /// MQTT topic, without wildcards.
    pub topic: String,
    /// Redis list.
    pub queue: String,
    /// One message in so many is stamped, at least 1.
    pub sample: u64,
    /// Threads of the api.
    pub api_threads: usize,
    /// Workers of the push server.
    pub push_workers: usize,
    /// Threads of the push server.
    pub push_threads: usize,
    /// How push joins pop and publish.
    pub coupling: Coupling,
    /// MQTT quality of service, 0 or 1.
    pub qos: u8,
}

/// Connections of an open loop where none are given.
const OPEN_CONNECTIONS: u64 = 64;
/// Connections of a closed loop where none are given, as wrk.
const CLOSED_CONNECTIONS: u64 = 10;
/// More threads or connections than this are a slipped digit.
const MOST_THREADS: u64 = 1_024;
const MOST_CONNECTIONS: u64 = 1_000_000;
/// Slots of one plan: a day at a million a second fits a hundred times.
const MOST_SLOTS: f64 = 1e13;

impl Plan {
    /// Checks the settings and fills in the defaults. Reads the body file; touches nothing else.
    pub fn new(settings: Settings) -> Result<Self, PlanError> {
        let target = target(settings.url.as_deref())?;
        let load = load(&settings, &target)?;
        let request = request(&settings)?;
        let thresholds =
            settings.fail_if.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        if load.engine == Engine::Raw && matches!(&target, Target::Url(u) if u.scheme() == "https")
        {
            return refuse(
                "--engine raw speaks plain HTTP/1.1; an https URL needs --engine reqwest",
            );
        }
        Ok(Self { target, load, request, pipeline: pipeline(settings)?, thresholds })
    }

    /// Whether arrivals are measured: the pipeline is ours, or a broker is named.
    pub fn listens(&self) -> bool {
        self.target == Target::Pipeline || self.pipeline.mqtt.is_some()
    }
}

impl LoadPlan {
    /// Warm-up and measured sending time, as far as time ends them.
    pub fn end(&self) -> Option<Nanos> {
        self.duration.map(|duration| Nanos::from(self.warmup) + Nanos::from(duration))
    }
}

fn target(url: Option<&str>) -> Result<Target, PlanError> {
    let Some(text) = url else { return Ok(Target::Pipeline) };
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(e) if text.contains("://") => return refuse(format!("the URL is not valid: {e}")),
        Err(_) => return refuse(format!("'{text}' is not a URL; write http://HOST[:PORT]/PATH")),
    };
    match (url.scheme(), url.host()) {
        ("http" | "https", Some(_)) => Ok(Target::Url(url)),
        _ => refuse("the URL must begin with http:// or https:// and name a host"),
    }
}

fn load(settings: &Settings, target: &Target) -> Result<LoadPlan, PlanError> {
    let (connections, threads) = connections_and_threads(settings)?;
    let duration = match (settings.duration, settings.requests) {
        (None, None) => Some(Duration::from_secs(10)),
        (given, _) => given,
    };
    if duration == Some(Duration::ZERO) {
        return refuse("--duration must be above zero");
    }
    if settings.requests == Some(0) {
        return refuse("--requests must be above zero");
    }
    let timeout = settings.timeout.unwrap_or(Duration::from_secs(2));
    if timeout < Duration::from_millis(1) {
        return refuse("--timeout must be at least 1ms");
    }
    let secure = matches!(target, Target::Url(url) if url.scheme() == "https");
    Ok(LoadPlan {
        mode: mode(settings, duration)?,
        connections,
        threads,
        duration,
        requests: settings.requests,
        warmup: settings.warmup.unwrap_or_default(),
        drain: settings.drain.unwrap_or(Duration::from_secs(5)),
        timeout,
        max_in_flight: max_in_flight(settings, threads)?,
        engine: settings.engine.unwrap_or(if secure { Engine::Reqwest } else { Engine::Raw }),
    })
}

fn connections_and_threads(settings: &Settings) -> Result<(usize, usize), PlanError> {
    let default = if settings.rate.is_some() { OPEN_CONNECTIONS } else { CLOSED_CONNECTIONS };
    let connections = settings.connections.unwrap_or(default);
    if !(1..=MOST_CONNECTIONS).contains(&connections) {
        return refuse(format!("--connections is from 1 to {MOST_CONNECTIONS}"));
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // A pipeline brought up here wants cores too: on two of them, with 24,000/s, a second worker
    // thread doubled the 99th percentile of arrival.
    let free = if settings.url.is_some() { cores } else { cores.div_ceil(2) };
    let threads = settings.threads.unwrap_or(free.min(connections));
    if !(1..=MOST_THREADS).contains(&threads) {
        return refuse(format!("--threads is from 1 to {MOST_THREADS}"));
    }
    if threads > connections {
        return refuse(format!(
            "--threads {threads} needs at least as many connections; --connections is {connections}"
        ));
    }
    Ok((connections as usize, threads as usize))
}

fn max_in_flight(settings: &Settings, threads: usize) -> Result<Option<u64>, PlanError> {
    match settings.max_in_flight {
        Some(_) if settings.rate.is_none() => {
            refuse("--max-in-flight goes with --rate; a closed loop has --connections in flight")
        }
        Some(most) if most < threads as u64 => refuse(format!(
            "--max-in-flight {most} is split over --threads {threads}; it must be at least that many"
        )),
        most => Ok(most),
    }
}

fn mode(settings: &Settings, duration: Option<Duration>) -> Result<Mode, PlanError> {
    let Some(rate) = settings.rate else {
        if settings.arrivals.is_some() {
            return refuse("--arrivals goes with --rate; a closed loop has no schedule");
        }
        return Ok(Mode::Closed);
    };
    let slots = duration.map_or(0.0, |d| d.as_secs_f64() * rate.as_f64());
    if slots > MOST_SLOTS {
        return refuse(format!(
            "--rate {rate} over that --duration is more than {MOST_SLOTS:e} requests"
        ));
    }
    let arrivals = settings.arrivals.unwrap_or_default();
    Ok(Mode::Open { rate, arrivals, seed: settings.seed.unwrap_or(1) })
}

fn request(settings: &Settings) -> Result<RequestPlan, PlanError> {
    let method = settings.method.clone().unwrap_or_else(|| "POST".to_owned());
    if method.is_empty() || !method.bytes().all(is_token) {
        return refuse(format!("--method '{method}' is not an HTTP method"));
    }
    let headers = settings.headers.iter().map(|h| header(h)).collect::<Result<_, _>>()?;
    let body = match (&settings.body, &settings.body_file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(file)) => std::fs::read(file)
            .map_err(|e| PlanError(format!("--body-file {}: {e}", file.display())))?,
        (None, None) if matches!(method.as_str(), "GET" | "HEAD") => Vec::new(),
        (None, None) => DEFAULT_BODY.as_bytes().to_vec(),
    };
    Ok(RequestPlan {
        method,
        headers,
        body: Template::parse(&body).map_err(|e| PlanError(format!("--body: {e}")))?,
        id_fields: settings.id_field.as_deref().map_or_else(IdFields::default, IdFields::only),
        node: settings.node.unwrap_or(Node { index: 0, count: 1 }),
    })
}

/// Splits and checks `Name: value`, so that no header can smuggle in a second one.
fn header(text: &str) -> Result<(String, String), PlanError> {
    let Some((name, value)) = text.split_once(':') else {
        return refuse(format!("--header '{text}' is not of the form 'Name: value'"));
    };
    let (name, value) = (name.trim(), value.trim());
    if name.is_empty()
        || !name.bytes().all(is_token)
        || value.bytes().any(|b| b < b' ' && b != b'\t' || b == 127)
    {
        return refuse(format!("--header '{name}' has a character that HTTP does not allow"));
    }
    if ["content-length", "transfer-encoding"].iter().any(|own| name.eq_ignore_ascii_case(own)) {
        return refuse(format!("--header '{name}' is set from the body; leave it out"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn pipeline(settings: Settings) -> Result<PipelinePlan, PlanError> {
    let topic = settings.topic.unwrap_or_else(|| "/channel".to_owned());
    if topic.is_empty() || topic.len() > 65_535 || topic.contains(['#', '+', '\0']) {
        return refuse("--topic must be a topic to publish to, without the wildcards # and +");
    }
    let small = |flag: &str, value: Option<u64>, default: u64| match value.unwrap_or(default) {
        n @ 1..=MOST_THREADS => Ok(n as usize),
        n => refuse(format!("{flag} {n}: from 1 to {MOST_THREADS}")),
    };
    let sample = settings.sample.unwrap_or(100);
    if !(1..=1_000_000_000).contains(&sample) {
        return refuse("--sample N stamps one message in N; N is from 1 to 1000000000");
    }
    let push_workers = small("--push-workers", settings.push_workers, 1)?;
    Ok(PipelinePlan {
        redis: settings.redis.map(|text| Address::parse("--redis", &text)).transpose()?,
        mqtt: settings.mqtt.map(|text| Address::parse("--mqtt", &text)).transpose()?,
        stack: settings.stack.unwrap_or_default(),
        topic,
        queue: settings.queue.unwrap_or_else(|| "myapp".to_owned()),
        sample,
        api_threads: small("--api-threads", settings.api_threads, 1)?,
        push_workers,
        push_threads: small("--push-threads", settings.push_threads, 1)?.min(push_workers),
        coupling: settings.coupling.unwrap_or_default(),
        qos: settings.qos.unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(change: impl FnOnce(&mut Settings)) -> Result<Plan, String> {
        let mut settings = Settings::default();
        change(&mut settings);
        Plan::new(settings).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_wrks_in_a_closed_loop_and_wider_in_an_open_one() {
        let closed = plan(|_| ()).expect("valid").load;
        assert_eq!((closed.connections, closed.duration), (10, Some(Duration::from_secs(10))));
        assert_eq!(closed.mode, Mode::Closed);
        let open = plan(|s| s.rate = Rate::per_second(5).ok()).expect("valid").load;
        assert_eq!((open.connections, open.timeout), (64, Duration::from_secs(2)));
        let counted = plan(|s| s.requests = Some(5)).expect("valid").load;
        assert_eq!((counted.duration, counted.end()), (None, None));
    }

    #[test]
    fn a_senseless_setting_is_refused_by_its_flag() {
        type Change = fn(&mut Settings);
        let cases: [(Change, &str); 19] = [
            (|s| s.url = Some("localhost:80".into()), "must begin with http"),
            (|s| s.url = Some("nonsense".into()), "is not a URL"),
            (|s| s.url = Some("ftp://host/".into()), "must begin with http"),
            (|s| s.url = Some("http://[::1/".into()), "not valid"),
            (|s| s.connections = Some(0), "--connections"),
            (|s| (s.connections, s.threads) = (Some(2), Some(3)), "--threads 3"),
            (|s| s.threads = Some(0), "--threads"),
            (|s| s.duration = Some(Duration::ZERO), "--duration"),
            (|s| s.requests = Some(0), "--requests"),
            (|s| s.timeout = Some(Duration::ZERO), "--timeout"),
            (|s| s.max_in_flight = Some(5), "--max-in-flight goes with --rate"),
            (|s| s.arrivals = Some(Arrivals::Poisson), "--arrivals goes with --rate"),
            (|s| s.method = Some("G T".into()), "--method"),
            (|s| s.headers = vec!["novalue".into()], "'Name: value'"),
            (|s| s.headers = vec!["A: b\r\nX: y".into()], "does not allow"),
            (|s| s.body = Some("{{who}}".into()), "--body: unknown placeholder {{who}}"),
            (|s| s.body_file = Some("/nowhere/body".into()), "--body-file /nowhere/body"),
            (|s| s.topic = Some("a/#".into()), "--topic"),
            (|s| s.sample = Some(0), "--sample"),
        ];
        for (change, part) in cases {
            let error = plan(change).map(|_| ()).expect_err(part);
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn https_goes_through_reqwest() {
        let url = |s: &mut Settings| s.url = Some("https://localhost/".into());
        assert_eq!(plan(url).map(|p| p.load.engine), Ok(Engine::Reqwest));
        let raw = plan(|s| {
            url(s);
            s.engine = Some(Engine::Raw);
        });
        assert!(raw.map(|_| ()).expect_err("refused").contains("--engine reqwest"));
    }
}
