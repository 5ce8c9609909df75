//! Reports of hand-made observations: text, JSON and the other forms.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::config::plan::Plan;
use crate::config::settings::Settings;
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::engine::recorder::Recorder;
use crate::engine::transport::cause::{Cause, CauseCounts};
use crate::engine::transport::{Completion, RequestFailure, RequestOutcome, Ticket, Traffic};
use crate::host::health::Machine;
use crate::message::{Checkpoint, IdSpace, MessageAccount, MsgId, Unjoined};
use crate::output::{TextOptions, ramp_text, text};
use crate::report::Report;
use crate::report::lookup::check_names;
use crate::report::ramp::{
    Finding, FindingKind, RampReport, RampStep, Search, SearchAxis, Trial, TrialOutcome,
};
use crate::report::{Clock, ClockSource, Resource, Row, Server, ServerKind, Stack, StampList};
use crate::run::measurements::{
    Arrivals, EndedComponent, MeasuredStage, Measurements, QueueDepths,
};

/// Compares a text with a file of `tests/snapshots`.
macro_rules! assert_snapshot {
    ($name:expr, $text:expr) => {
        insta::with_settings!({
            snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/tests/snapshots"),
            prepend_module_to_snapshot => false,
        }, { insta::assert_snapshot!($name, $text) })
    };
}

/// Conditions of `--fail-if`.
mod conditions;
/// The JSON, its schema, and reading it back.
mod json;
/// The text.
mod text;
/// Merged reports of fleets.
mod fleet;
/// Every form of a run and of a ramp, read as the tools that they are for read them.
mod forms;
/// Two sides of made-up runs whose noise is known.
mod compare;
/// Strings and numbers that no run has written.
mod hostile;
/// Parts of a load and their sum.
mod merge;
/// The verdict, and the notes beside it.
mod notes;
/// Several requests, each with results of its own.
mod requests;
/// wrk's block: its text to the letter, and its parsers on ours.
mod wrk;

const SECOND: Nanos = Nanos::from_secs(1);

fn micros(n: u64) -> Nanos {
    Nanos(n * 1_000)
}

/// `count` values rising evenly from one to the other.
fn spread(count: u64, from: u64, to: u64) -> Latencies {
    let mut latencies = Latencies::default();
    (0..count).for_each(|n| latencies.record(micros(from + (to - from) * n / count)));
    latencies
}

fn plan(change: impl FnOnce(&mut Settings)) -> Plan {
    let mut settings = Settings {
        rate: Some("2k".parse().expect("a rate")),
        duration: Some(Duration::from_secs(1)),
        threads: Some(2),
        ..Settings::default()
    };
    change(&mut settings);
    Plan::new(settings).expect("valid")
}

/// Two thousand requests of which one timed out, one broke off, one was refused and two were dropped.
fn recorder() -> Recorder {
    written_by(Recorder::new(IdSpace::from_authority(0, 1, 100), 100, SECOND).of_open_loop())
}

fn written_by(mut recorder: Recorder) -> Recorder {
    for n in 0..2_000 {
        let due = SECOND + micros(500 * n);
        recorder.planned(due, due + micros(20));
        if n >= 1_998 {
            recorder.dropped(n, due, micros(2_000_000), false);
            continue;
        }
        recorder.sent(n, due);
        let sent = due + micros(40 + n % 50);
        let (at, outcome) = match n {
            500 => (
                sent + micros(2_000_000),
                RequestOutcome::Failed(RequestFailure::Timeout, Cause::Timeout),
            ),
            501 => (sent + micros(10), RequestOutcome::Failed(RequestFailure::Read, Cause::Reset)),
            502 => (sent + micros(100), RequestOutcome::Answered { status: 503 }),
            _ => (sent + micros(100 + n % 900), RequestOutcome::Answered { status: 200 }),
        };
        let id = MsgId::new(n).expect("small");
        recorder.completed(&Completion {
            ticket: Ticket { due, ready: due + micros(20), id },
            sent,
            at,
            outcome,
            connect: None,
        });
    }
    recorder
}

fn observations(change: impl FnOnce(&mut Settings)) -> Measurements {
    let server = |kind, version: &str| Some(Server { kind, version: version.to_owned() });
    let used = |component: &str, pid, cpu_s: f64, megabytes: u64| Resource {
        component: component.to_owned(),
        pid,
        cpu_s,
        cpu_percent_mean: (cpu_s * 1_000.0).round() / 10.0,
        cpu_percent_max: (cpu_s * 1_200.0).round() / 10.0,
        rss_max_bytes: megabytes << 20,
        ..Resource::default()
    };
    let stage =
        |name: &str, latencies| MeasuredStage { pair: name.parse().expect("a stage"), latencies };
    let list = |checkpoint, joined| StampList {
        read: joined + 7,
        joined,
        foreign: 5,
        unreadable: 2,
        unread: 0,
        name: checkpoint,
        list: checkpoint.list().unwrap_or_default().to_owned(),
    };
    let id = |n| MsgId::new(n).expect("small");
    Measurements {
        plan: plan(change),
        run_id: "62d8b5a3f1c40-1f".to_owned(),
        started_at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_400_000_123),
        target: "http://127.0.0.1:8080/".to_owned(),
        sending: SECOND,
        answering: micros(1_000_900),
        interrupted: false,
        stack: Stack {
            queue: server(ServerKind::Spawned, "Redis 7.0.15"),
            broker: server(ServerKind::External, "mosquitto version 2.0.11"),
        },
        clock: Clock {
            source: ClockSource::Redis,
            offset_us: Some(1_795_300_000_000_000),
            error_bound_us: Some(25.0),
            start_us: Some(1_795_400_000_123_004),
            server: Some("00112233".to_owned()),
        },
        machine: Machine { span: SECOND, cores: 2, other_cpu_s: Some(0.05), ..Machine::default() },
        load: recorder().result,
        traffic: Traffic {
            timed_when_read: 0,
            bytes_read: 151_848,
            bytes_written: 380_000,
            reconnects: 2,
            connect_failures: 0,
            connect_causes: CauseCounts::default(),
            reconnecting: Nanos::ZERO,
            paused: Nanos::ZERO,
            unrequested: 0,
            busy_polled: Nanos::ZERO,
            scripted: micros(1_500),
            unnumbered: 1_998,
        },
        broker_dropped: 0,
        arrivals: Some(Arrivals {
            account: MessageAccount {
                accepted: 1_995,
                arrived: 1_994,
                lost: 2,
                duplicated: 1,
                reordered: 7,
                unexpected: 3,
                foreign: 2,
                missed: 0,
                unknown: 2,
                lost_examples: vec![id(17), id(42)],
                duplicated_examples: vec![id(99)],
            },
            timed_when_read: 0,
            missed_spans: Vec::new(),
            unjoined: Unjoined::default(),
            other_topics: Unjoined::default(),
            latencies: spread(1_996, 300, 4_000).into(),
            by_request: Vec::new(),
        }),
        stages: vec![
            stage("due-sent", spread(20, 40, 90)),
            stage("sent-api", spread(20, 1, 60)),
            stage("sent-answered", spread(20, 100, 900)),
        ],
        stamps: vec![list(Checkpoint::Api, 20), list(Checkpoint::MqttClient, 0)],
        stamps_dropped: 0,
        resources: vec![used("generator", 31, 0.034, 15), used("redis", 32, 0.016, 12)],
        series: vec![Row {
            t_s: 1.0,
            sent: 1_998,
            completed: 1_996,
            failed: 2,
            arrived: 1_994,
            in_flight: 0,
            queue_depth: Some(4),
            response_p50: Some(600.0),
            response_p99: None,
            arrival_p50: Some(2_150.0),
            arrival_p99: None,
            cpu_percent: [("generator".into(), 3.4), ("redis".into(), 1.6)].into(),
        }],
        heatmap: None,
        notes: Vec::new(),
        queue: QueueDepths { before: Some(0), after: Some(3) },
        ended_components: vec![EndedComponent {
            name: "push".to_owned(),
            status: "signal: 9 (SIGKILL)".to_owned(),
            at: SECOND,
        }],
    }
}

/// A search of two runs, of which one failed, and a step that came to nothing.
fn ramp() -> RampReport {
    let step = |value: f64, report: Option<Report>, error: Option<&str>| RampStep {
        name: format!("rate {value}"),
        x: Some(value),
        settings: BTreeMap::from([("rate".to_owned(), value.to_string())]),
        error: error.map(str::to_owned),
        report,
        ..RampStep::default()
    };
    let report = Report::from(&observations(|_| ()));
    let trial = |value, step, because: Option<&str>| Trial {
        value,
        step,
        outcome: if because.is_none() { TrialOutcome::Holds } else { TrialOutcome::Fails },
        because: because.map(str::to_owned),
        ..Trial::default()
    };
    RampReport {
        schema_version: report.schema_version,
        kind: "ramp".to_owned(),
        tool: report.tool.clone(),
        name: "knee".to_owned(),
        question: Some("How much does it hold?".to_owned()),
        command: "loadgen ramp profiles/knee.toml".to_owned(),
        started_at: report.run.started_at.clone(),
        axis: Some("rate".to_owned()),
        planned_steps: None,
        complete: false,
        steps: vec![
            step(1_000.0, Some(report.clone()), None),
            step(2_000.0, Some(report), None),
            step(1_500.0, None, Some("Redis at redis://host cannot be reached")),
        ],
        search: Some(Search {
            axis: SearchAxis::Rate,
            condition: "messages.lost == 0".to_owned(),
            trials: vec![trial(1_000.0, 0, None), trial(2_000.0, 1, Some("messages.lost is 2"))],
            holds: Some(1_000.0),
            fails: Some(2_000.0),
            confirmed: (1, 1),
        }),
        findings: vec![Finding::from_text(FindingKind::Knee, "it is in between".to_owned())],
    }
}

/// Checks a JSON text against a schema file.
fn check_against(schema: &str, json: &str) -> Result<(), String> {
    let path = format!("{}/schema/{schema}.schema.json", env!("CARGO_MANIFEST_DIR"));
    let mut schemas = boon::Schemas::new();
    let schema = boon::Compiler::new().compile(&path, &mut schemas).expect("a valid schema");
    let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
    schemas.validate(&json, schema).map_err(|e| e.to_string())
}

fn check_schema(report: &Report) -> Result<(), String> {
    check_against("report", &report.to_json())
}
