//! Load of a run: open or closed loop, rate, connections and times.

use std::time::Duration;

use super::{MOST_THREADS, PlanError, refuse};
use crate::config::settings::{Pacer, Settings};
use crate::core::clock::Nanos;
use crate::engine::load::{LoadConfig, Mode, Pace};
use crate::engine::shards::{NodePlace, NodeShare};

/// Default wake interval, chosen by measurement (docs/performance.md has the figures).
const TICK: Duration = Duration::from_micros(100);
/// Longest wake interval; a longer one would distort every measured time.
const LONGEST_TICK: Duration = Duration::from_millis(10);
/// Default number of connections in an open loop.
const OPEN_CONNECTIONS: u64 = 64;
/// Default number of connections in a closed loop; the same as wrk's.
const CLOSED_CONNECTIONS: u64 = 10;
/// Largest number of connections; a larger value is probably a typing error.
const MOST_CONNECTIONS: u64 = 1_000_000;
/// Largest number of slots in a plan: about 100 days at a million per second.
const MOST_SLOTS: f64 = 1e13;

/// Checks the settings of the load and fills in the defaults. `streams` is the number of concurrent requests
/// per connection.
pub(super) fn load(settings: &Settings, streams: usize) -> Result<LoadConfig, PlanError> {
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
    let mode = mode(settings, duration)?;
    if connections * streams > MOST_CONNECTIONS as usize {
        return refuse(format!(
            "--connections times --streams is more than {MOST_CONNECTIONS} requests at once"
        ));
    }
    Ok(LoadConfig {
        mode,
        connections,
        threads,
        duration,
        requests: settings.requests,
        warmup: settings.warmup.unwrap_or_default(),
        drain: settings.drain.unwrap_or(Duration::from_secs(5)),
        timeout,
        max_in_flight: max_in_flight(settings, threads)?,
        pace: pace(settings, mode)?,
        width: connections * streams,
        node: NodePlace::of_equal_nodes(
            settings.node.unwrap_or(NodeShare { index: 0, count: 1 }),
            threads,
        ),
    })
}

fn pace(settings: &Settings, mode: Mode) -> Result<Pace, PlanError> {
    if mode == Mode::Closed {
        return match (settings.tick, settings.pacer) {
            (None, None) => Ok(Pace::Tick(Nanos::ZERO)),
            _ => refuse("--tick and --pacer need --rate: a closed loop does not have a schedule"),
        };
    }
    let tick = settings.tick.unwrap_or(TICK);
    if tick > LONGEST_TICK {
        return refuse("--tick must be at most 10ms");
    }
    match (settings.pacer.unwrap_or_default(), settings.tick) {
        (Pacer::Spin, Some(_)) => {
            refuse("--tick applies to --pacer timer only; --pacer spin never sleeps")
        }
        (Pacer::Spin, None) => Ok(Pace::Spin),
        (Pacer::Timer, _) => Ok(Pace::Tick(tick.into())),
    }
}

fn connections_and_threads(settings: &Settings) -> Result<(usize, usize), PlanError> {
    let default = if settings.rate.is_some() { OPEN_CONNECTIONS } else { CLOSED_CONNECTIONS };
    let connections = settings.connections.unwrap_or(default);
    if !(1..=MOST_CONNECTIONS).contains(&connections) {
        return refuse(format!("--connections must be from 1 to {MOST_CONNECTIONS}"));
    }
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    // A pipeline on this machine needs cores too: on two cores at 24,000/s, a second worker thread
    // doubled the p99 of the arrival latency.
    let free = if settings.url.is_some() { cores } else { cores.div_ceil(2) };
    let threads = settings.threads.unwrap_or(free.min(connections));
    if !(1..=MOST_THREADS).contains(&threads) {
        return refuse(format!("--threads must be from 1 to {MOST_THREADS}"));
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
            refuse("--max-in-flight needs --rate: a closed loop has --connections in flight")
        }
        Some(most) if most < threads as u64 => refuse(format!(
            "--max-in-flight {most} is divided among --threads {threads}; it must be at least {threads}"
        )),
        most => Ok(most),
    }
}

fn mode(settings: &Settings, duration: Option<Duration>) -> Result<Mode, PlanError> {
    let Some(rate) = settings.rate else {
        if settings.arrivals.is_some() {
            return refuse("--arrivals needs --rate: a closed loop does not have a schedule");
        }
        return Ok(Mode::Closed);
    };
    let slots = duration.map_or(0.0, |d| d.as_secs_f64() * rate.mean());
    if slots > MOST_SLOTS {
        return refuse(format!(
            "--rate {rate} over that --duration is more than {MOST_SLOTS:e} requests"
        ));
    }
    if duration.is_none() && !rate.is_constant() {
        return refuse(format!("--rate {rate} changes over the whole run; set --duration"));
    }
    let arrivals = settings.arrivals.unwrap_or_default();
    Ok(Mode::Open { rate, arrivals, seed: settings.seed.unwrap_or(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace_of(settings: Settings) -> Result<Pace, String> {
        let rate = settings.rate;
        let rated = Settings { rate: rate.or("24000".parse().ok()), ..settings };
        load(&rated, 1).map(|load| load.own_pace()).map_err(|e| e.to_string())
    }

    #[test]
    fn the_tick_never_limits_the_rate() {
        let micros = |n| Some(Duration::from_micros(n));
        assert_eq!(pace_of(Settings::default()), Ok(Pace::Tick(TICK.into())));
        let one = Settings { connections: Some(1), tick: micros(500), ..Settings::default() };
        // One connection at 24,000/s: a slot every 41.7 µs; the tick is half of that.
        assert_eq!(pace_of(one.clone()), Ok(Pace::Tick(Nanos(20_833))));
        // One of two nodes has every second slot, and a node of a fleet learns its part later.
        let node = Some(NodeShare { index: 0, count: 2 });
        assert_eq!(pace_of(Settings { node, ..one.clone() }), Ok(Pace::Tick(Nanos(41_666))));
        let rated = Settings { rate: "24000".parse().ok(), ..one };
        let mut fleet = load(&rated, 1).expect("valid");
        fleet.node.workers = 4;
        assert_eq!(fleet.own_pace(), Pace::Tick(Nanos(83_333)));
        let spin = Settings { pacer: Some(Pacer::Spin), ..Settings::default() };
        assert_eq!(pace_of(spin), Ok(Pace::Spin));
    }

    #[test]
    fn a_pace_without_a_schedule_is_refused() {
        let closed = Settings { tick: Some(Duration::ZERO), ..Settings::default() };
        let error = load(&closed, 1).map(|_| ()).expect_err("closed loop");
        assert!(error.to_string().contains("--rate"), "{error}");
        let long = Settings { tick: Some(Duration::from_millis(11)), ..Settings::default() };
        assert!(pace_of(long).is_err_and(|e| e.contains("10ms")));
    }
}
