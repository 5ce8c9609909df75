//! Made-up reports for the tests of this layer.

use serde_json::{Value, json};

use crate::report::Report;

fn quantiles(p50: f64, p99: f64) -> Value {
    json!({
        "count": 5_000, "min": p50 / 2.0, "mean": p50, "stdev": 10.0, "max": p99 * 2.0, "p50": p50,
        "p75": p50, "p90": p50, "p95": p50, "p99": p99, "p99_9": p99, "p99_99": null, "hdr": ""
    })
}

fn used(component: &str, percent: f64) -> Value {
    json!({
        "component": component, "pid": 7, "cpu_s": percent / 20.0, "cpu_percent_mean": percent,
        "cpu_percent_max": percent, "rss_max_bytes": 1 << 20
    })
}

/// A step of five seconds at an open loop's rate in which all went well: response p50 0.5 ms and p99
/// 1 ms, arrival p50 0.6 ms and p99 2 ms.
pub(crate) fn report(rate: f64) -> Report {
    let sent = rate * 5.0;
    let row = |second: u32| {
        json!({
            "t_s": second, "sent": rate, "completed": rate, "failed": 0, "arrived": rate,
            "in_flight": (rate * 0.0005) as u64, "queue_depth": 3, "response_p50": 500.0,
            "response_p99": 1_000.0, "arrival_p50": 600.0, "arrival_p99": 2_000.0
        })
    };
    let whole = |mut value: Value| {
        // Counts are whole numbers.
        for key in ["sent", "completed", "arrived", "planned", "accepted"] {
            if let Some(count) = value.get(key).and_then(Value::as_f64) {
                value[key] = json!(count as u64);
            }
        }
        value
    };
    let value = json!({
        "schema_version": 1,
        "tool": { "name": "loadgen", "version": "0" },
        "run": {
            "id": "1", "started_at": "2026-11-23T00:00:00.000Z", "duration_s": 5.0, "mode": "open",
            "target": "http://127.0.0.1/", "rate_target": rate, "arrivals": "constant",
            "connections": 64, "threads": 1, "engine": "raw", "protocol": "HTTP/1.1", "streams": 1, "tick_us": 100.0, "sample": 100,
            "interrupted": false,
            "stack": { "queue": null, "broker": null },
            "clock": { "source": "monotonic", "offset_us": null, "error_bound_us": null }
        },
        "requests": whole(json!({
            "planned": sent, "sent": sent, "dropped": 0, "completed": sent, "failed": 0,
            "unfinished": 0, "rate_achieved": rate, "completed_per_s": rate, "answered_after_s": 5.0,
            "bytes_read": 1, "bytes_written": 1, "reconnects": 0, "timed_when_read": 0,
            "errors": { "connect": 0, "read": 0, "write": 0, "timeout": 0, "protocol": 0 },
            "status": { "200": sent as u64 },
            "per_thread": { "mean": rate, "stdev": 1.0, "max": rate, "within_stdev_percent": 70.0 }
        })),
        "latency": {
            "response": quantiles(500.0, 1_000.0), "service": quantiles(400.0, 900.0),
            "lateness": quantiles(50.0, 100.0), "pacing": quantiles(50.0, 100.0),
            "connect": null
        },
        "messages": whole(json!({
            "accepted": sent, "arrived": sent, "lost": 0, "duplicated": 0, "reordered": 0,
            "unexpected": 0, "foreign": 0, "unknown": 0, "timed_when_read": 0, "examples": { "lost": [], "duplicated": [] }
        })),
        "arrival": quantiles(600.0, 2_000.0),
        "by_request": [],
        "stages": [],
        "resources": [used("generator", 30.0), used("api", 40.0), used("push", 20.0), used("redis", 20.0)],
        "series": (1..=5).map(|second| whole(row(second))).collect::<Vec<_>>(),
        "verdict": {
            "generator": "valid", "reasons": [], "notes": [], "thresholds": [], "pass": true
        }
    });
    serde_json::from_value(value).expect("a report")
}

/// A closed-loop step with the numbers of [`report`].
pub(crate) fn closed(connections: u64, rate: f64) -> Report {
    let mut report = report(rate);
    report.run.mode = "closed".to_owned();
    (report.run.rate_target, report.run.arrivals) = (None, None);
    report.run.connections = connections;
    report.latency.service.mean = Some(connections as f64 / rate * 1e6);
    report
}
