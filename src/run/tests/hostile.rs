//! Reports whose strings or numbers no run of ours has written.

use crate::analysis::compare::{Comparison, compare};
use crate::core::printable::is_unprintable;
use crate::output::TextOptions;
use crate::output::forms::{Document, Form};
use crate::report::ramp::RampReport;
use crate::report::{MergeError, Node, Report, Saved, merge};
use serde_json::{Value, json};

use super::forms::ramp;
use super::observations;

/// Moves a terminal, ends a line, a row and a cell, is a link, an image, an element and a formula.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{9b}2J\u{7f}\u{202e}\n\r\nRESULT  passed\t| ![x](http://h/y) [z](z) <b>&\"',;";
/// The last line of a text.
const RESULT: &str = "RESULT  passed";
/// Strings of a fixed form: any other text in their place is refused when the report is read.
const FIXED: [&str; 13] = [
    "started_at",
    "hdr",
    "mode",
    "generator",
    "kind",
    "expr",
    "arrivals",
    "engine",
    "protocol",
    "source",
    "start_clock",
    "from",
    "to",
];

/// Appends a suffix to each string of the data, except those in [`FIXED`].
fn with_suffix(value: &mut Value, name: &str, suffix: &str) {
    match value {
        Value::String(text) if !FIXED.contains(&name) => *text += suffix,
        Value::Array(items) => items.iter_mut().for_each(|item| with_suffix(item, name, suffix)),
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, field)| with_suffix(field, name, suffix));
        }
        _ => {}
    }
}

fn saved(mut json: Value, suffix: &str) -> Saved {
    with_suffix(&mut json, "", suffix);
    Saved::from_json(&json.to_string()).expect("a report")
}

fn report_file(name: &str) -> Value {
    let file = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(file).expect("a report");
    serde_json::from_str(&text).expect("JSON")
}

fn run() -> Value {
    let report = Report::from(&observations(|s| s.fail_if = vec!["messages.lost>0".to_owned()]));
    serde_json::to_value(&report).expect("JSON")
}

/// The ramp's steps are too short to be compared; the run stands in for it.
fn comparison(saved: &Saved, suffix: &str) -> Comparison {
    let side = [(format!("a.json{suffix}"), saved.clone())];
    let other = [(format!("b.json{suffix}"), self::saved(report_file("run.json"), suffix))];
    let compared = compare(&side, &side, 5.0).or_else(|_| compare(&other, &other, 5.0));
    let mut comparison = compared.expect("comparable");
    comparison.notes.push(format!("note{suffix}"));
    comparison
}

fn render(document: Document<'_>, form: Form) -> Option<String> {
    document.render(form, TextOptions::default()).ok()
}

#[test]
fn strings_of_a_report_cannot_control_a_terminal_or_begin_a_line() {
    let files = ["run.json", "ramp.json"].map(report_file);
    let forms = [
        Form::Text,
        Form::Json,
        Form::Html,
        Form::Markdown,
        Form::Csv,
        Form::Tsv,
        Form::Junit,
        Form::Hlog,
    ];
    // As long as the hostile one, so that tables have the same form.
    let filler = "x".repeat(HOSTILE.escape_debug().count());
    for json in files {
        let (harmless, hostile) = (saved(json.clone(), &filler), saved(json, HOSTILE));
        let compared = [comparison(&harmless, "x"), comparison(&hostile, HOSTILE)];
        for form in forms {
            for (good, bad) in [
                (Document::from(&harmless), Document::from(&hostile)),
                (Document::Comparison(&compared[0]), Document::Comparison(&compared[1])),
            ] {
                let (Some(good), Some(bad)) = (render(good, form), render(bad, form)) else {
                    continue;
                };
                let raw = bad.chars().find(|c| *c != '\n' && is_unprintable(*c));
                // A tab parts columns, and is a space of a page.
                let raw = raw.filter(|c| *c != '\t' || !matches!(form, Form::Html | Form::Tsv));
                assert_eq!(raw, None, "{form:?}: {bad}");
                if form != Form::Html {
                    // Long rows of a text go on below their labels.
                    let begins_row = |line: &&str| !line.starts_with(&" ".repeat(6));
                    let rows = |text: &str| text.lines().filter(begins_row).count();
                    assert_eq!(rows(&bad), rows(&good), "{form:?}: {bad}");
                }
                let results = |text: &str| text.lines().filter(|line| *line == RESULT).count();
                assert_eq!(results(&bad), results(&good), "{form:?}: {bad}");
            }
        }
        let markdown = render(Document::from(&hostile), Form::Markdown).expect("Markdown");
        for line in markdown.lines().filter(|line| line.starts_with(['|', '-'])) {
            for markup in [" ![", " [", "<b>"] {
                assert!(!line.contains(markup), "{markup}: {line}");
            }
        }
        let xml = render(Document::from(&hostile), Form::Junit).expect("XML");
        assert!(roxmltree::Document::parse(&xml).is_ok(), "{xml}");
    }
}

#[test]
fn cells_of_a_table_are_not_formulas() {
    let mut json = run();
    for (place, text) in [
        ("/run/target", "=1+1|cmd"),
        ("/run/command", "@SUM(A1)"),
        ("/run/stack/queue/version", "-2+3"),
        ("/run/id", "+1"),
    ] {
        *json.pointer_mut(place).expect("a text") = json!(text);
    }
    let table = render(Document::from(&saved(json, "")), Form::Csv).expect("a table");
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    let cells: Vec<_> = rows.iter().flatten().collect();
    for cell in &cells {
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        assert!(!is_formula || cell.parse::<f64>().is_ok(), "{cell}");
    }
    for cell in ["'=1+1|cmd", "'@SUM(A1)", "'-2+3", "+1"] {
        assert!(cells.contains(&cell), "{cell}: {table}");
    }
}

#[test]
fn long_strings_are_cut() {
    let mut json = run();
    json["run"]["stack"]["broker"]["version"] = json!("v".repeat(1_000_000));
    json["run"]["command"] = json!(format!("loadgen --body {}", "b".repeat(20_000)));
    let saved = saved(json, "");
    let text = render(Document::from(&saved), Form::Text).expect("text");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.len() < 20_000 && words.contains("… (990000 more characters)"), "{}", text.len());
    let table = render(Document::from(&saved), Form::Csv).expect("a table");
    assert!(table.contains(&"b".repeat(20_000)), "a command is whole");
}

/// A report with another value at a JSON pointer.
fn changed(pointer: &str, value: Value) -> String {
    let mut json = run();
    *json.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value;
    json.to_string()
}

#[test]
fn impossible_numbers_are_refused_with_their_field() {
    for (pointer, value, part) in [
        ("/run/duration_s", json!(1e19), "run.duration_s is 10000000000000000000, above"),
        ("/run/duration_s", json!(-1.0), "run.duration_s is -1, below zero"),
        ("/run/rate_target", json!(-5.0), "run.rate_target is -5, below zero"),
        ("/run/started_at", json!("never"), "run.started_at is not a time"),
        ("/run/connections", json!(u64::MAX), "run.connections is 18446744073709552000, above"),
        ("/run/node", json!({"index": 2, "count": 2}), "run.node is 2 of 2"),
        ("/run/node", json!({"index": 0, "count": 1_000_000}), "run.node is 0 of 1000000"),
        ("/requests/planned", json!(u64::MAX), "requests.planned is 18446744073709552000, above"),
        ("/requests/planned", json!(5), "requests.planned is 5, less than sent + dropped"),
        ("/requests/sent", json!(7), "requests.sent is 7, less than completed + failed"),
        ("/requests/status", json!({"200": u64::MAX}), "requests.status.200 is"),
        ("/requests/status", json!({"200": 1_000_000}), "less than the answers by status"),
        ("/messages/lost", json!(1_000_000), "messages.accepted is"),
        ("/requests/per_thread/within_stdev_percent", json!(101), "within_stdev_percent is 101"),
        ("/latency/response/p99", json!(-0.5), "latency.response.p99 is -0.5, below zero"),
        ("/latency/service/min", json!(1e9), "latency.service.min is 1000000000, above the max"),
        ("/latency/response/hdr", json!("HIST\nTag=x"), "latency.response.hdr is not base64"),
        ("/series/0/t_s", json!(1e300), "series[0].t_s is"),
    ] {
        let error = Saved::from_json(&changed(pointer, value)).map(|_| ()).expect_err(pointer);
        let error = error.to_string();
        assert!(error.contains(part) && error.contains("was the file edited?"), "{part}: {error}");
    }
    let mut whole: RampReport = ramp();
    let step = whole.steps[1].report.as_mut().expect("it ran");
    step.requests.sent = 1;
    let error = Saved::from_json(&whole.to_json()).map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("steps[1].report.requests.sent is 1, less than"), "{error}");
    // A clock may be behind, and numbers that JSON does not have are not read at all.
    assert!(Saved::from_json(&changed("/run/clock/offset_us", json!(-5))).is_ok());
    let text = changed("/run/duration_s", json!(0.123_456)).replace("0.123456", "1e999");
    assert!(Saved::from_json(&text).is_err());
}

#[test]
fn a_sum_above_the_largest_count_is_refused() {
    let part = |index: u64| {
        let mut seen = observations(|_| {});
        seen.run_id = format!("run-{index}");
        let mut report = Report::from(&seen);
        report.run.node = Some(Node { index, count: 2, ..Node::default() });
        report.requests.bytes_read = (1 << 53) - 1;
        (format!("{index}.json"), report)
    };
    let error = merge(vec![part(0), part(1)]).map(|_| ()).expect_err("too many");
    assert!(matches!(error, MergeError::Impossible(_)), "{error}");
    assert!(error.to_string().contains("requests.bytes_read is"), "{error}");
    // Without the check of the file, an end beyond all time is not a panic.
    let long = |index: u64| {
        let (name, mut report) = part(index);
        report.run.duration_s = 1e19;
        (name, report)
    };
    assert!(merge(vec![long(0), long(1)]).is_err());
}
