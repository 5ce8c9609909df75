//! A fleet of virtual nodes in one process, for `benches/fleet.rs`: every part of a fleet but the load. Each node joins, waits
//! at the barrier, gives heartbeats with the histograms of a second of load, and hands in a report.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::join::{ArrivalsAt, JoinRequest, join};
use super::member::{FleetEnd, Member};
use super::size::FleetSize;
use crate::config::plan::Plan;
use crate::config::settings::Settings;
use crate::core::Address;
use crate::core::clock::Nanos;
use crate::core::distribution::{Distribution, Latencies};
use crate::report::{Report, Row};
use crate::run::measurements::Totals;
use crate::run::{MeasuredSecond, Phase, Progress, StartBarrier as _};

/// Requests a second of each virtual node.
const RATE: u64 = 1_000;
/// Begin of a time that no node measures: all began at once.
const BEGAN: &str = "2026-01-01T00:00:00Z";

/// Measurements of a simulated fleet.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedFleet {
    /// From the start of the first node until all have the roster.
    pub joined: Duration,
    /// From there until all know the time of the first slot.
    pub agreed: Duration,
    /// From the end of the load until the one report is made.
    pub reported: Duration,
    /// Time of the collector to merge all reports.
    pub merged: Duration,
    /// Size of all reports of the nodes as JSON, in bytes.
    pub report_bytes: usize,
}

/// Runs a fleet of `nodes` virtual nodes for `seconds`. `at_work` is called when all have begun, and `at_end` when the load
/// ends. The nodes meet in the Redis at `url`.
pub async fn simulate(
    url: &str,
    nodes: u64,
    seconds: u64,
    mut at_work: impl FnMut(),
    mut at_end: impl FnMut(),
) -> Result<SimulatedFleet, String> {
    let redis = Address::parse("--fleet-redis", url).map_err(|error| error.to_string())?;
    let settings = Settings {
        url: Some("http://127.0.0.1:1/".to_owned()),
        rate: "1000k".parse().ok(),
        threads: Some(1),
        ..Settings::default()
    };
    let begun = Instant::now();
    let members = all_join(&redis, nodes, &settings).await?;
    let joined = begun.elapsed();
    let begun = Instant::now();
    let mut barriers = JoinSet::new();
    for member in &members {
        let mut barrier = member.barrier();
        barriers.spawn(async move { barrier.wait().await.map_err(|error| error.to_string()) });
    }
    while let Some(agreed) = barriers.join_next().await {
        agreed.map_err(|error| error.to_string())??;
    }
    let agreed = begun.elapsed();
    at_work();
    work(&members, seconds).await;
    at_end();
    let begun = Instant::now();
    let mut ends = JoinSet::new();
    let mut report_bytes = 0;
    for (index, member) in members.into_iter().enumerate() {
        let report = member.signed(report(index as u64, &settings, seconds)?, Nanos::ZERO);
        report_bytes += report.to_json().len();
        ends.spawn(async move { (member.end(&report).await, member) });
    }
    // Only the collector ends: it announces no result.
    while let Some(ended) = ends.join_next().await {
        if let (FleetEnd::Collect(results), _) = ended.map_err(|error| error.to_string())? {
            let reported = begun.elapsed();
            let begun = Instant::now();
            let report = results.merge().map_err(|error| error.to_string())?;
            let sent = report.requests.sent;
            let all = nodes * seconds * RATE;
            if sent != all {
                return Err(format!("the report has {sent} requests of {all}"));
            }
            let merged = begun.elapsed();
            return Ok(SimulatedFleet { joined, agreed, reported, merged, report_bytes });
        }
    }
    Err("no node became the collector".to_owned())
}

async fn all_join(redis: &Address, nodes: u64, settings: &Settings) -> Result<Vec<Member>, String> {
    let size = FleetSize::exactly(nodes).ok_or("1 to 10,000 nodes")?;
    let mut joining = JoinSet::new();
    for _ in 0..nodes {
        let request = JoinRequest {
            name: format!("simulated-{}", std::process::id()),
            rank: None,
            nodes: size,
            join_timeout: Duration::from_secs(300),
            redis: redis.clone(),
            arrivals_at: ArrivalsAt::All,
            profile: None,
            threads: 1,
            stop: watch::Sender::new(false),
            stops_on_loss: false,
        };
        let settings = settings.clone();
        joining.spawn(async move {
            join(&request, &settings, |_| {}).await.map_err(|error| error.to_string())
        });
    }
    let mut members = Vec::new();
    while let Some(member) = joining.join_next().await {
        members.push(member.map_err(|error| error.to_string())??);
    }
    members.sort_by_key(Member::index);
    Ok(members)
}

/// Gives each node the measurements of its load, second by second.
async fn work(members: &[Member], seconds: u64) {
    let mut callbacks: Vec<_> =
        members.iter().map(|member| (member.on_progress(), member.on_second())).collect();
    let begun = tokio::time::Instant::now();
    let mut totals = Totals::default();
    for index in 0..seconds {
        tokio::time::sleep_until(begun + Duration::from_secs(index + 1)).await;
        let response = latencies(index, 1);
        totals.sent += RATE;
        totals.completed += RATE;
        totals.response.merge(&response);
        let row = Row { t_s: (index + 1) as f64, sent: RATE, completed: RATE, ..Row::default() };
        let progress = progress(begun.elapsed(), &totals);
        for (on_progress, on_second) in &mut callbacks {
            on_progress(&progress);
            on_second(MeasuredSecond {
                index,
                row: row.clone(),
                response: response.clone(),
                arrival: Latencies::default(),
            });
        }
    }
}

fn progress(elapsed: Duration, totals: &Totals) -> Progress {
    Progress {
        phase: Phase::Measuring,
        elapsed,
        planned: None,
        rate: RATE as f64,
        target_rate: Some(RATE as f64),
        sent: totals.sent,
        in_flight: 0,
        dropped: 0,
        accepted: 0,
        arrived: None,
        queue_depth: None,
        last_second: None,
        totals: std::sync::Arc::new(totals.clone()),
    }
}

/// Latencies of `seconds` of load from 0.1 ms on with a long tail.
fn latencies(seed: u64, seconds: u64) -> Latencies {
    let mut latencies = Latencies::default();
    for number in 1..=RATE {
        let tail = 10_000_000 / (number + seed % 7);
        latencies.record_n(Nanos(100_000 + tail), seconds);
    }
    latencies
}

/// The report of a node.
fn report(index: u64, settings: &Settings, seconds: u64) -> Result<Report, String> {
    let plan = Plan::new(settings.clone()).map_err(|error| error.to_string())?;
    let mut report = Report { schema_version: crate::report::SCHEMA_VERSION, ..Report::default() };
    let all = latencies(0, seconds);
    (report.run.id, report.run.command) = (index.to_string(), plan.command);
    (report.run.started_at, report.run.duration_s) = (BEGAN.to_owned(), seconds as f64);
    (report.run.threads, report.run.connections, report.run.streams) = (1, 64, 1);
    let requests = &mut report.requests;
    requests.sent = seconds * RATE;
    (requests.planned, requests.completed) = (requests.sent, requests.sent);
    requests.status = [("200".to_owned(), requests.sent)].into();
    let empty = Distribution::from(&Latencies::default());
    let latency = &mut report.latency;
    (latency.response, latency.service) = (Distribution::from(&all), Distribution::from(&all));
    (latency.lateness, latency.pacing) = (empty.clone(), empty);
    Ok(report)
}
