//! How requests are sent: loop, rate, connections, times.

use std::time::Duration;

use super::{MOST_THREADS, PlanError, Target, refuse};
use crate::clock::Nanos;
use crate::profile::{Arrivals, Engine, Settings};
use crate::units::Rate;

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

/// Connections of an open loop where none are given.
const OPEN_CONNECTIONS: u64 = 64;
/// Connections of a closed loop where none are given, as wrk.
const CLOSED_CONNECTIONS: u64 = 10;
/// More connections than this are a slipped digit.
const MOST_CONNECTIONS: u64 = 1_000_000;
/// Slots of one plan: a day at a million a second fits a hundred times.
const MOST_SLOTS: f64 = 1e13;

impl LoadPlan {
    /// Warm-up and measured sending time, as far as time ends them.
    pub fn end(&self) -> Option<Nanos> {
        self.duration.map(|duration| Nanos::from(self.warmup) + Nanos::from(duration))
    }
}

/// Checks the settings of the load and fills in its defaults.
pub(super) fn load(settings: &Settings, target: &Target) -> Result<LoadPlan, PlanError> {
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
