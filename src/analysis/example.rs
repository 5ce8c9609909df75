//! Reports for the tests of conclusions.

use std::collections::BTreeMap;

use crate::report::{
    Distribution, Generator, Latency, Messages, PerThread, Report, Requests, Resource, Row, Run,
    ServiceSettings, Verdict,
};

/// Seconds that an example sends for.
const SECONDS: u32 = 5;

/// A run of five seconds at an open loop's rate without trouble: response p50 0.5 ms and p99 1 ms, arrival p50 0.6 ms
/// and p99 2 ms.
pub(crate) fn report(rate: f64) -> Report {
    let sent = (rate * f64::from(SECONDS)) as u64;
    Report {
        run: run(rate),
        requests: requests(rate, sent),
        latency: Latency {
            response: distribution(500.0, 1_000.0),
            service: distribution(400.0, 900.0),
            lateness: distribution(50.0, 100.0),
            pacing: distribution(50.0, 100.0),
            ..Latency::default()
        },
        messages: Some(Messages { accepted: sent, arrived: sent, ..Messages::default() }),
        arrival: Some(distribution(600.0, 2_000.0)),
        generator: Some(Generator { cores: 8, ..Generator::default() }),
        resources: vec![
            resource("generator", 30.0),
            resource("api", 40.0),
            resource("push", 20.0),
            resource("redis", 20.0),
        ],
        series: (1..=SECONDS).map(|second| row(rate, second)).collect(),
        verdict: Verdict { pass: true, ..Verdict::default() },
        ..Report::default()
    }
}

/// A closed-loop run with the numbers of [`report`].
pub(crate) fn closed(connections: u64, rate: f64) -> Report {
    let mut report = report(rate);
    report.run.mode = crate::report::LoopMode::Closed;
    (report.run.rate_target, report.run.arrivals) = (None, None);
    report.run.connections = connections;
    report.latency.service.mean = Some(connections as f64 / rate * 1e6);
    report
}

fn run(rate: f64) -> Run {
    Run {
        duration_s: f64::from(SECONDS),
        mode: crate::report::LoopMode::Open,
        rate_target: Some(rate),
        connections: 64,
        threads: 1,
        services: Some(ServiceSettings { api_threads: 1, push_threads: 1, push_limit: None }),
        ..Run::default()
    }
}

fn requests(rate: f64, sent: u64) -> Requests {
    Requests {
        planned: sent,
        sent,
        completed: sent,
        rate_achieved: rate,
        completed_per_s: rate,
        answered_after_s: f64::from(SECONDS),
        status: BTreeMap::from([("200".to_owned(), sent)]),
        per_thread: PerThread { mean: Some(rate), ..PerThread::default() },
        ..Requests::default()
    }
}

fn distribution(p50: f64, p99: f64) -> Distribution {
    Distribution {
        count: 5_000,
        mean: Some(p50),
        p50: Some(p50),
        p99: Some(p99),
        ..Distribution::default()
    }
}

fn resource(component: &str, percent: f64) -> Resource {
    Resource {
        component: component.to_owned(),
        cpu_percent_mean: percent,
        cpu_percent_max: percent,
        ..Resource::default()
    }
}

fn row(rate: f64, second: u32) -> Row {
    let sent = rate as u64;
    Row {
        t_s: f64::from(second),
        sent,
        completed: sent,
        arrived: sent,
        in_flight: (rate * 0.0005) as u64,
        queue_depth: Some(3),
        ..Row::default()
    }
}
