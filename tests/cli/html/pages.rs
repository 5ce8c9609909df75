//! Pages to look at: of saved reports of real runs, of a report full of hostile text, and of a ramp
//! that broke off. They stay in `target/tmp/html`, to be looked at.

use std::fs;
use std::path::PathBuf;

use loadgen::analysis::compare::compare;
use loadgen::output::TextOptions;
use loadgen::output::forms::{Document, Form};
use loadgen::output::html::{page, ramp_page};
use loadgen::report::ramp::{
    Finding, FindingKind, RampReport, Search, SearchAxis, Trial, TrialOutcome,
};
use loadgen::report::{ByRequest, Remark, Report, Saved, ThresholdResult};
use serde_json::{Value, json};

use crate::support::data;

/// A page and the JSON it was made from.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) file: PathBuf,
    pub(super) json: Value,
}

fn write(name: &str, html: &str, json: &impl serde::Serialize) -> Page {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("html");
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{name}.html"));
    // Tests that look at the same page run side by side.
    let draft = tempfile::NamedTempFile::new_in(&folder).expect("a file");
    fs::write(draft.path(), html).expect("room on the disk");
    draft.persist(&file).expect("a file");
    Page { file, json: serde_json::to_value(json).expect("plain data") }
}

fn read(name: &str) -> String {
    fs::read_to_string(data(name)).expect("a file of the repository")
}

/// An open loop through the whole pipeline.
pub(super) fn saved_run() -> Report {
    Report::from_json(&read("run.json")).expect("a report")
}

/// Concurrency 1 to 10.
pub(super) fn saved_ramp() -> RampReport {
    serde_json::from_str(&read("ramp.json")).expect("a ramp's report")
}

pub(super) fn run() -> Page {
    let report = saved_run();
    write("run", &page(&report, TextOptions::default()), &report)
}

/// A run whose rate changed from beginning to end, with a new connection for each request.
pub(super) fn changing() -> Page {
    let mut report = saved_run();
    report.run.rate_range = Some([5_000.0, 15_000.0]);
    report.latency.connect = Some(report.latency.lateness.clone());
    write("changing", &page(&report, TextOptions::default()), &report)
}

/// Ten minutes with some bad seconds, and a heat map.
pub(super) fn long() -> Page {
    let mut report = serde_json::to_value(saved_run()).expect("plain data");
    let second = report["series"][0].clone();
    let rows = (1..=600).map(|n| {
        let mut row = second.clone();
        row["t_s"] = json!(f64::from(n));
        row["arrival_p99"] = json!(if n % 150 == 0 { 90_000.0 + f64::from(n) } else { 4_000.0 });
        row
    });
    report["series"] = rows.collect();
    report["run"]["duration_s"] = json!(600.0);
    let mut bounds = vec![0.0];
    bounds.extend((0..39).map(|n| 10.0 * 2f64.powf(f64::from(n) / 2.0)));
    let columns: Vec<_> =
        (0..75).map(|n| json!({"first_row": 10 + n % 2, "counts": [5, 1_000 + n, 0, 3]})).collect();
    report["heatmap"] =
        json!({"of": "arrival", "column_s": 8, "rows_from_us": bounds, "columns": columns});
    let report: Report = serde_json::from_value(report).expect("a report");
    write("long", &page(&report, TextOptions::default()), &report)
}

/// A run in which nothing arrived.
pub(super) fn failed() -> Page {
    let mut report = serde_json::to_value(saved_run()).expect("plain data");
    report["messages"]["arrived"] = json!(0);
    report["messages"]["lost"] = report["messages"]["accepted"].clone();
    let report = Report::from_json(&report.to_string()).expect("a report");
    write("failed", &page(&report, TextOptions::default()), &report)
}

/// A request of a mix that took as long as the whole.
fn request(name: &str, report: &Report, arrives: bool) -> ByRequest {
    ByRequest {
        name: name.to_owned(),
        weight: 3,
        sent: 1_000,
        dropped: 1,
        completed: 995,
        failed: 2,
        unfinished: 4,
        status: [("200", 990), ("404", 5)].map(|(s, n)| (s.to_owned(), n)).into(),
        response: report.latency.response.clone(),
        service: report.latency.service.clone(),
        arrival: report.arrival.clone().filter(|_| arrives),
    }
}

/// A run of a mix of two requests.
pub(super) fn mixed() -> Page {
    let mut report = saved_run();
    report.by_request = vec![request("view", &report, false), request("buy", &report, true)];
    write("mixed", &page(&report, TextOptions::default()), &report)
}

pub(super) fn ramp() -> Page {
    let ramp = saved_ramp();
    write("ramp", &ramp_page(&ramp, TextOptions::default()), &ramp)
}

/// A ramp whose steps are the trials of a search.
pub(super) fn search() -> Page {
    let mut ramp = saved_ramp();
    let trial =
        |step, outcome| Trial { value: step as f64 + 1.0, step, outcome, ..Trial::default() };
    ramp.search = Some(Search {
        axis: SearchAxis::Connections,
        condition: "arrival.p99 < 3ms".to_owned(),
        trials: vec![
            trial(0, TrialOutcome::Holds),
            trial(9, TrialOutcome::Fails),
            trial(8, TrialOutcome::Holds),
        ],
        holds: Some(9.0),
        fails: Some(10.0),
        confirmed: (1, 1),
    });
    write("search", &ramp_page(&ramp, TextOptions::default()), &ramp)
}

/// HTTP only, with no second full and hardly any answers: most figures are missing.
pub(super) fn bare() -> Page {
    let mut report = saved_run();
    (report.arrival, report.messages, report.run.rate_target) = (None, None, None);
    (report.stages, report.resources, report.series) = (Vec::new(), Vec::new(), Vec::new());
    report.run.arrivals = None;
    report.requests.status.clear();
    let latency = &mut report.latency;
    for q in [&mut latency.response, &mut latency.service, &mut latency.lateness] {
        *q = (&loadgen::core::distribution::Latencies::default()).into();
    }
    report.run.command = String::new();
    write("bare", &page(&report, TextOptions::default()), &report)
}

/// A comparison of one side's reports with the other's, under the name of the file.
fn compared(name: &str, file: &str, base: &[Saved], new: &[Saved]) -> Page {
    let side = |saved: &[Saved]| -> Vec<_> {
        saved.iter().map(|saved| (file.to_owned(), saved.clone())).collect()
    };
    let comparison = compare(&side(base), &side(new), 5.0).expect("like with like");
    let render = |form| {
        let document = Document::Comparison(&comparison);
        document.render(form, TextOptions::default()).expect("there is such a form")
    };
    let json: Value = serde_json::from_str(&render(Form::Json)).expect("JSON");
    write(name, &render(Form::Html), &json)
}

/// Two runs, of which the second one has later arrivals.
pub(super) fn comparison() -> Page {
    let mut base = saved_run();
    base.run.id = "another".to_owned();
    base.arrival = Some(base.latency.service.clone());
    for row in &mut base.series {
        (row.arrival_p50, row.arrival_p99) = (Some(300.0), Some(4_500.0));
    }
    let (base, new) = (Saved::Run(Box::new(base)), Saved::Run(Box::new(saved_run())));
    compared("comparison", "r.json", &[base], &[new])
}

/// Two ramps a side: their steps are so short that only repeated ones can be compared.
pub(super) fn compared_ramps() -> Page {
    let side = [(); 2].map(|()| Saved::Ramp(Box::new(saved_ramp())));
    compared("compared_ramps", "ramp.json", &side, &side)
}

/// Ramps with hostile text in the names of their files and steps.
pub(super) fn hostile_comparison() -> Page {
    let mut ramp = saved_ramp();
    ramp.steps.truncate(2);
    for step in &mut ramp.steps {
        step.name = format!("{} {HOSTILE}", step.name);
        step.report.iter_mut().for_each(poison);
    }
    let side = [(); 2].map(|()| Saved::Ramp(Box::new(ramp.clone())));
    compared("hostile_comparison", HOSTILE, &side, &side)
}

/// Text that would run as script in any place of a page where it is not escaped.
pub(super) const HOSTILE: &str = "</script></style></title><script>window.harmed=1</script>\
     <img src=x onerror='window.harmed=2'>\"><svg onload=\"window.harmed=3\">{{json}}&amp;\n\u{202e}";

/// A ramp that broke off, of a search, with hostile text in every field that is text.
pub(super) fn hostile() -> Page {
    let mut ramp = saved_ramp();
    let text = || HOSTILE.to_owned();
    (ramp.name, ramp.question, ramp.command) = (text(), Some(text()), text());
    (ramp.started_at, ramp.tool.version, ramp.complete) = (text(), text(), false);
    ramp.axis = Some(text());
    ramp.findings = vec![Finding::from_text(FindingKind::Other(text()), text())];
    ramp.steps.truncate(3);
    for step in &mut ramp.steps {
        step.name = text();
        if let Some(report) = &mut step.report {
            poison(report);
        }
    }
    (ramp.steps[2].report, ramp.steps[2].error) = (None, Some(text()));
    let trial = |step, outcome| Trial {
        value: 1.0,
        step,
        outcome,
        because: Some(text()),
        ..Trial::default()
    };
    ramp.search = Some(Search {
        condition: text(),
        trials: vec![trial(0, TrialOutcome::Holds), trial(1, TrialOutcome::Fails)],
        holds: Some(1.0),
        fails: None,
        confirmed: (2, 3),
        ..Search::default()
    });
    write("hostile", &ramp_page(&ramp, TextOptions::default()), &ramp)
}

fn poison(report: &mut Report) {
    let text = || HOSTILE.to_owned();
    let run = &mut report.run;
    (run.id, run.started_at, run.target, run.command) = (text(), text(), text(), text());
    for server in [&mut run.stack.queue, &mut run.stack.broker].into_iter().flatten() {
        server.version = text();
    }
    report.requests.status.insert(text(), 5);
    report.by_request = vec![request(HOSTILE, report, true)];
    report.by_request[0].status.insert(text(), 5);
    report.resources[0].component = text();
    for row in &mut report.series {
        row.cpu_percent.insert(text().into(), 50.0);
    }
    let verdict = &mut report.verdict;
    (verdict.reasons, verdict.notes) =
        (vec![Remark::from_text(HOSTILE)], vec![Remark::from_text(HOSTILE)]);
    verdict.thresholds = vec![ThresholdResult { expr: text(), value: None, ok: false }];
}
