//! Every form of a run and of a ramp: snapshots, and reading by the tools that each form is made for.

use std::collections::BTreeMap;
use std::path::Path;

use crate::core::distribution::Latencies;
use crate::output::TextOptions;
use crate::output::forms::{DistributionName, Document, Form, Subject};
use crate::report::Stack;
use crate::report::ramp::{
    Finding, FindingKind, RampReport, RampStep, Search, SearchAxis, Trial, TrialOutcome,
};
use crate::report::{Report, Saved, Tool};
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

use super::observations;

const FAIL_IF: [&str; 2] = ["messages.lost>0", "latency.response.p99<1h"];

fn report() -> Report {
    Report::from(&observations(|s| s.fail_if = FAIL_IF.map(str::to_owned).to_vec()))
}

/// A closed loop on one server, of which no arrivals are known.
fn closed() -> Report {
    let mut seen = observations(|s| (s.rate, s.connections) = (None, Some(4)));
    (seen.arrivals, seen.stack, seen.stages) = (None, Stack::default(), Vec::new());
    Report::from(&seen)
}

/// A ramp that broke off in its third step.
pub(super) fn ramp() -> RampReport {
    let step = |n: u64, report: Option<Report>, error: Option<&str>| RampStep {
        name: format!("connections {n}"),
        x: Some(n as f64),
        settings: BTreeMap::from([("connections".to_owned(), n.to_string())]),
        error: error.map(str::to_owned),
        report,
        curve: Some(String::new()),
    };
    RampReport {
        schema_version: 1,
        kind: "ramp".to_owned(),
        tool: Tool { name: "loadgen".to_owned(), version: "VERSION".to_owned(), revision: None },
        name: "concurrency".to_owned(),
        question: Some("What does one API server hold?".to_owned()),
        command: "loadgen ramp concurrency.toml".to_owned(),
        started_at: "2026-11-22T20:26:30.000Z".to_owned(),
        axis: Some("connections".to_owned()),
        planned_steps: Some(4),
        complete: false,
        steps: vec![
            step(4, Some(closed()), None),
            step(64, Some(report()), None),
            step(65, None, Some("Redis \"went away\", <gone>")),
        ],
        search: Some(Search {
            axis: SearchAxis::Connections,
            condition: "arrival.p99 < 5ms and messages.lost == 0".to_owned(),
            trials: vec![Trial { value: 4.0, ..Trial::default() }],
            holds: Some(4.0),
            fails: Some(64.0),
            confirmed: (2, 3),
        }),
        findings: vec![Finding::from_text(
            FindingKind::Capacity,
            "The API holds 1,994/s at | 64 connections.".to_owned(),
        )],
    }
}

fn rendered(document: Document<'_>, form: Form) -> String {
    let text = document.render(form, TextOptions::default()).expect("there is such a form");
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

/// Text of the snapshot: other tests check the encoded histograms.
fn without_blobs(log: &str) -> String {
    let cut = |line: &str| match line.split_once(",HIST") {
        Some((fields, _)) => format!("{fields},HIST…\n"),
        None => format!("{line}\n"),
    };
    log.lines().map(cut).collect()
}

#[test]
fn the_forms_of_a_run() {
    let mut report = report();
    report.tool.revision = None;
    let of = |form| rendered(Document::Run(&report), form);
    assert_snapshot!("run_markdown", of(Form::Markdown));
    assert_snapshot!("run_csv", of(Form::Csv));
    assert_snapshot!("run_tsv", of(Form::Tsv));
    assert_snapshot!("run_junit", of(Form::Junit));
    assert_snapshot!("run_hgrm", of(Form::Hgrm(DistributionName::Response)));
    assert_snapshot!("run_hlog", without_blobs(&of(Form::Hlog)));
}

#[test]
fn the_forms_of_a_ramp() {
    let ramp = ramp();
    let of = |form| rendered(Document::Ramp(&ramp), form);
    assert_snapshot!("ramp_text_form", of(Form::Text));
    assert_snapshot!("ramp_markdown", of(Form::Markdown));
    assert_snapshot!("ramp_tsv", of(Form::Tsv));
    assert_snapshot!("ramp_junit", of(Form::Junit));
    assert_snapshot!("ramp_hlog", without_blobs(&of(Form::Hlog)));
}

#[test]
fn a_trial_that_cannot_be_judged_is_not_reported_as_failed() {
    let mut ramp = ramp();
    let mut forms = |outcome, because: &str| {
        let because = Some(because.to_owned());
        let trial = Trial { value: 64.0, step: 1, outcome, because, ..Trial::default() };
        let search = ramp.search.as_mut().expect("a search");
        search.trials.truncate(1);
        search.trials.push(trial);
        let page = crate::output::html::ramp_page(&ramp, TextOptions::default());
        (rendered(Document::Ramp(&ramp), Form::Text), page)
    };
    let (text, page) = forms(TrialOutcome::NotKnown, "arrival.p99 is not known");
    assert!(text.contains("not known") && !text.contains("fails"), "{text}");
    assert!(page.contains("whether it does at ") && !page.contains("and fails at "));
    let (text, page) = forms(TrialOutcome::Fails, "arrival.p99 is 7.00ms");
    assert!(text.contains("fails") && !text.contains("not known"), "{text}");
    assert!(page.contains("and fails at ") && !page.contains("whether it does at "));
}

#[test]
fn failures_of_a_ramp_are_in_every_form() {
    let mut ramp = ramp();
    (ramp.search, ramp.complete, ramp.planned_steps) = (None, true, Some(3));
    let markdown = rendered(Document::Ramp(&ramp), Form::Markdown);
    for line in [
        "- Error connections 65: Redis \"went away\", &lt;gone&gt;",
        "- Fail if connections 64: latency.response.p99&lt;1h (it is 1.07ms)",
        "- Fail if connections 64: messages.lost&gt;0 (it is 2)",
    ] {
        assert!(markdown.lines().any(|own| own == line), "'{line}' is missing: {markdown}");
    }
    let badge = |ramp: &RampReport| {
        let page = crate::output::html::ramp_page(ramp, TextOptions::default());
        let at = page.find("<p class=\"badges\">").expect("badges");
        page[at..].lines().next().expect("a line").to_owned()
    };
    let bad = badge(&ramp);
    let text = "complete: 3 of 3 steps, 1 of them not run to its end";
    assert!(bad.contains(text) && bad.contains("badge bad"), "{bad}");
    ramp.steps.pop();
    ramp.planned_steps = Some(2);
    let failed = badge(&ramp);
    assert!(failed.contains("complete: 2 of 2 steps, 2 of them failed<"), "{failed}");
    assert!(failed.contains(
        "RESULT FAILED (2 of 2 steps prove nothing; conditions in 1 of 2 steps), exit 1<"
    ));
    for step in &mut ramp.steps {
        step.report.as_mut().expect("it ran").verdict.failures.clear();
    }
    assert!(badge(&ramp).contains("complete: 2 of 2 steps<"), "{}", badge(&ramp));
}

#[test]
fn the_file_extension_chooses_the_form() {
    for (file, form) in [
        ("r.txt", Some(Form::Text)),
        ("a.b/r.json", Some(Form::Json)),
        ("r.json.md", Some(Form::Markdown)),
        ("r.hgrm", Some(Form::Hgrm(DistributionName::Response))),
        ("my.run.hgrm", Some(Form::Hgrm(DistributionName::Response))),
        ("r.arrival.hgrm", Some(Form::Hgrm(DistributionName::Arrival))),
        ("hgrm", None),
        ("r.pdf", None),
        ("r.", None),
        ("rjson", None),
        ("", None),
    ] {
        assert_eq!(Form::of_file(Path::new(file)), form, "{file}");
    }
}

#[test]
fn forms_that_a_report_does_not_have_are_refused() {
    let (ramp, closed) = (ramp(), closed());
    let arrival = Form::Hgrm(DistributionName::Arrival);
    for (document, form, part) in [
        (Document::Ramp(&ramp), Form::Hgrm(DistributionName::Service), ".hlog"),
        (Document::Run(&closed), arrival, "has no subscriber"),
    ] {
        let before = form.fits(document.subject()).expect_err("it does not fit").to_string();
        let after = document.render(form, TextOptions::default()).expect_err("nor now").to_string();
        assert!(before.contains(part) && before == after, "{before}: {after}");
    }
    assert!(arrival.fits(Subject::Run { listens: true }).is_ok());
}

#[test]
fn saved_reports_of_both_kinds_are_read_back() {
    let (report, ramp) = (report(), ramp());
    let read = Saved::from_json(&report.to_json()).expect("our own");
    assert_eq!(read, Saved::Run(Box::new(report)));
    let read = Saved::from_json(&ramp.to_json()).expect("our own");
    assert_eq!(read, Saved::Ramp(Box::new(ramp.clone())));
    let newer = ramp.to_json().replace("\"schema_version\": 1", "\"schema_version\": 2");
    for (file, part) in
        [("{}", "not a report"), ("", "not a report"), (newer.as_str(), "schema version 2")]
    {
        let error = Saved::from_json(file).expect_err(part).to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn every_row_of_the_csv_has_every_column() {
    let (report, ramp) = (report(), ramp());
    let run = rendered(Document::Run(&report), Form::Csv);
    let lines: Vec<_> = run.lines().collect();
    assert_eq!(lines.len(), 2);
    let cell = |name: &str| {
        let column = lines[0].split(',').position(|column| column == name);
        lines[1].split(',').nth(column.unwrap_or_else(|| panic!("no column {name}")))
    };
    assert_eq!(cell("messages.lost"), Some("2"));
    assert_eq!(cell("resources.redis.cpu_s"), Some("0.016"));
    assert_eq!(cell("stages.sent-api.count"), Some("20"));
    assert_eq!(cell("latency.response.p99_99"), Some(""), "too few values");
    let steps = rendered(Document::Ramp(&ramp), Form::Csv);
    assert!(steps.starts_with("step,x,error,settings.connections,"), "{steps}");
    // The one quoted cell holds the only comma that does not end a cell.
    let commas: Vec<_> = steps.lines().map(|line| line.matches(',').count()).collect();
    assert_eq!(commas, [commas[0], commas[0], commas[0], commas[0] + 1]);
    assert!(steps.contains("connections 65,65,\"Redis \"\"went away\"\", <gone>\",65,"), "{steps}");
}

#[test]
fn gnuplot_finds_the_columns_of_the_original_and_the_series() {
    let ramp = ramp();
    let text = rendered(Document::Ramp(&ramp), Form::Tsv);
    let tables: Vec<_> = text.split("\n\n\n").collect();
    assert_eq!(tables.len(), 3, "the steps, and a series for each report: {text}");
    let rows = |table: &str| {
        let rows = table.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        rows.map(|row| row.split('\t').map(str::to_owned).collect()).collect::<Vec<Vec<_>>>()
    };
    let steps = rows(tables[0]);
    assert_eq!((steps.len(), steps[0].len()), (2, 7), "{text}");
    assert_eq!((steps[0][0].as_str(), steps[0][3].as_str()), ("4", "NaN"));
    let arrival: f64 = steps[1][3].parse().expect("seconds");
    let mean = report().arrival.and_then(|arrival| arrival.mean).expect("it listened");
    assert!((arrival - mean / 1e6).abs() < 1e-9, "{arrival} s are {mean} us");
    assert!(
        tables[1..].iter().all(|table| rows(table).iter().all(|row| row.len() == 11)),
        "{text}"
    );
}

#[test]
fn junit_is_valid_xml_for_any_text() {
    let mut report = report();
    report.run.target = "http://h/?a=\"<&>'\u{1}\u{7f}]]>\n".to_owned();
    report.verdict.generator = crate::report::GeneratorState::Limited;
    report.verdict.reasons = vec![crate::report::Remark::from_text("late & <later>")];
    let ramp = ramp();
    for (document, tests, failures, errors) in
        [(Document::Run(&report), 4, 4, 0), (Document::Ramp(&ramp), 4, 2, 2)]
    {
        let text = rendered(document, Form::Junit);
        let xml = roxmltree::Document::parse(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let suite = xml.descendants().find(|node| node.has_tag_name("testsuite")).expect("one");
        let count = |tag: &str| xml.descendants().filter(|node| node.has_tag_name(tag)).count();
        assert_eq!(
            (count("testcase"), count("failure"), count("error")),
            (tests, failures, errors)
        );
        for (name, number) in [("tests", tests), ("failures", failures), ("errors", errors)] {
            assert_eq!(suite.attribute(name), Some(number.to_string().as_str()), "{name}: {text}");
        }
    }
    let text = rendered(Document::Run(&report), Form::Junit);
    let xml = roxmltree::Document::parse(&text).expect("XML");
    let failures = xml.descendants().filter(|node| node.has_tag_name("failure"));
    let messages: Vec<_> = failures.filter_map(|node| node.attribute("message")).collect();
    assert!(messages[0].starts_with("push ended: signal: 9"), "{messages:?}");
    assert_eq!(messages[1], "late & <later>");
}

#[test]
fn hgrm_is_readable_by_the_plotter_of_hdrhistogram() {
    let report = report();
    for distribution in [DistributionName::Response, DistributionName::Arrival] {
        let text = rendered(Document::Run(&report), Form::Hgrm(distribution));
        // As the plotter does: four columns and no '#', the last two columns of which it draws.
        let points: Vec<Vec<f64>> = (text.lines().filter(|line| !line.starts_with('#')))
            .map(|line| line.split_whitespace().map_while(|cell| cell.parse().ok()).collect())
            .filter(|cells: &Vec<f64>| cells.len() == 4)
            .collect();
        assert!(points.len() > 30, "{text}");
        for pair in points.windows(2) {
            assert!(pair[0].iter().zip(&pair[1]).all(|(a, b)| a <= b), "not rising: {pair:?}");
        }
        let distribution = match distribution {
            DistributionName::Arrival => report.arrival.as_ref().expect("it listened"),
            _ => &report.latency.response,
        };
        let half = points.iter().find(|point| point[1] == 0.5).expect("a step at the median");
        assert!((half[0] - distribution.p50.expect("enough") / 1e3).abs() < 1e-3, "{half:?}");
        assert!(text.contains(&format!("Total count    = {:>12}]", distribution.count)), "{text}");
    }
}

#[test]
fn hlog_is_readable_by_the_reader_of_hdrhistogram() {
    let (report, ramp) = (report(), ramp());
    for (document, expected) in [
        (Document::Run(&report), vec!["arrival", "response", "service", "lateness"]),
        (
            Document::Ramp(&ramp),
            vec![
                "connections-4/response",
                "connections-4/service",
                "connections-4/lateness",
                "connections-64/arrival",
                "connections-64/response",
                "connections-64/service",
                "connections-64/lateness",
            ],
        ),
    ] {
        let text = rendered(document, Form::Hlog);
        let mut tags = Vec::new();
        for entry in IntervalLogIterator::new(text.as_bytes()) {
            let LogEntry::Interval(interval) = entry.expect("an entry") else { continue };
            let blob = interval.encoded_histogram();
            let latencies = Latencies::from_hdr(blob).expect("HDR V2");
            let max = latencies.max().expect("values").0 as f64 / 1e6;
            assert!((interval.max() - max).abs() <= max * 1e-3, "{} is not {max}", interval.max());
            assert_eq!(interval.duration().as_secs(), 1);
            tags.push(interval.tag().expect("a tag").as_str().to_owned());
        }
        assert_eq!(tags, expected);
    }
}

#[test]
fn hlog_of_a_ramp_counts_from_the_first_step() {
    let mut ramp = ramp();
    for (step, started_at) in ramp.steps.iter_mut().zip(["20:26:30.000", "20:26:42.500"]) {
        let report = step.report.as_mut().expect("the first two have one");
        report.run.started_at = format!("2026-11-22T{started_at}Z");
    }
    let text = rendered(Document::Ramp(&ramp), Form::Hlog);
    assert!(text.contains("Tag=connections-4/response,0.000,"), "{text}");
    assert!(text.contains("Tag=connections-64/response,12.500,"), "{text}");
}

#[test]
fn an_edited_histogram_is_named() {
    let mut report = report();
    report.latency.response.hdr = "HISTnonsense".to_owned();
    let document = Document::Run(&report);
    let form = Form::Hgrm(DistributionName::Response);
    let error = document.render(form, TextOptions::default()).expect_err("it cannot be read");
    assert!(error.to_string().contains("histogram of response"), "{error}");
}

#[test]
fn seconds_after_the_end_of_sending_are_comments_for_gnuplot() {
    let mut report = report();
    report.run.duration_s = 1.0;
    report.series.truncate(1);
    let mut after = report.series[0].clone();
    (after.t_s, after.sent, after.arrived) = (2.0, 0, 7);
    report.series.push(after);
    let text = rendered(Document::Run(&report), Form::Tsv);
    let rows: Vec<_> = text.lines().rev().take(2).collect();
    assert!(rows[0].starts_with("# 2\t0\t"), "{text}");
    assert!(rows[1].starts_with("1\t"), "{text}");
}
