//! Figures read off a page, as a person reads them, and held against the JSON.

use std::collections::BTreeSet;

use serde_json::Value;

/// A figure on the page.
#[derive(Debug)]
pub(super) struct Shown {
    path: String,
    value: Value,
    text: String,
}

impl Shown {
    pub(super) fn read(entry: &Value) -> Self {
        let text = |n: usize| entry[n].as_str().expect("a text").to_owned();
        let value = serde_json::from_str(&text(1)).expect("a JSON number");
        Self { path: text(0), value, text: text(2) }
    }
}

/// `true` if two JSON values are equal. JavaScript writes `1.0` as `1`, so numbers are compared by value.
pub(super) fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| is_same(a, b));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

/// A number as it is written, and half of its last digit's worth.
fn as_read(text: &str) -> Option<(f64, f64)> {
    let text = text.replace([',', '\u{a0}', ' '], "");
    if text.contains(':') {
        // A time of a clock, which has whole seconds.
        let seconds = text
            .split(':')
            .try_fold(0.0, |sum, part| part.parse::<f64>().ok().map(|part| sum * 60.0 + part));
        return Some((seconds?, 0.5));
    }
    let split = text.find(|c: char| c.is_alphabetic() || c == '%').unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let scale = match unit {
        "" | "%" | "µs" | "B" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        "h" => 3600e6,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let decimals = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len() as i32);
    Some((digits.parse::<f64>().ok()? * scale, 0.5 * scale * 10f64.powi(-decimals)))
}

/// Durations whose JSON is in seconds.
fn is_seconds(path: &str) -> bool {
    path.ends_with("_s")
}

/// Each figure is the JSON's at its path, and its text is the same number, rounded.
#[track_caller]
pub(super) fn assert_equal(shown: &[Shown], json: &Value) {
    assert!(shown.len() > 200, "only {} figures", shown.len());
    for Shown { path, value, text } in shown {
        let there = json.pointer(path).unwrap_or(&Value::Null);
        assert_eq!(there, value, "{path}");
        let Some(exact) = value.as_f64() else {
            assert_eq!((value, text.as_str()), (&Value::Null, "n/a"), "{path}");
            continue;
        };
        if let Some(bound) = text.strip_prefix("< ") {
            assert_eq!((exact, as_read(bound).is_some()), (0.0, true), "{path}: {text}");
            continue;
        }
        let (read, slack) = as_read(text).unwrap_or_else(|| panic!("{path}: {text}"));
        let exact = if is_seconds(path) && text.ends_with('s') { exact * 1e6 } else { exact };
        assert!((read - exact).abs() <= slack * 1.001, "{path}: {text} is not {exact}");
    }
}

/// Numbers of a run that its page leaves to the JSON inside it.
const LEFT_OUT: [&str; 17] = [
    "/schema_version",
    "/run/sample",
    "/run/clock/offset_us",
    "/run/clock/start_us",
    "/requests/completed_per_s",
    "/requests/per_thread/",
    "/latency/pacing/",
    "/latency/lateness/",
    "/generator/out_of/",
    "/heatmap/",
    "/cpu_s",
    "/messages/examples/",
    "/planned_steps",
    "/x",
    "/step",
    "/sample",
    "/error_bound_us",
];

/// Every number of the JSON is on the page, but for those that are left out by design.
#[track_caller]
pub(super) fn assert_complete(shown: &[Shown], json: &Value) {
    let paths: BTreeSet<_> = shown.iter().map(|shown| shown.path.as_str()).collect();
    let mut numbers = Vec::new();
    collect(json, String::new(), &mut numbers);
    assert!(numbers.len() > 200);
    for path in numbers {
        let base = path.find("/report").map_or("", |end| &path[..end + "/report".len()]);
        let closed = json.pointer(&format!("{base}/run/rate_target")).is_none_or(Value::is_null);
        let unit = path.rsplit('/').next().unwrap_or_default();
        // In a closed loop response and lateness say nothing that service does not.
        let same =
            closed && ["/latency/response/", "/latency/lateness/"].iter().any(|p| path.contains(p));
        // The tables of stages and of requests have their most telling columns.
        let times = ["/stages/", "/response/", "/service/", "/arrival/"];
        let listed = path.contains("/stages/")
            || path.contains("/by_request/") && times.iter().any(|part| path.contains(part));
        let column = listed && !["p50", "p90", "p99", "max"].contains(&unit);
        let left_out = LEFT_OUT.iter().any(|part| {
            if part.ends_with('/') { path.contains(part) } else { path.ends_with(part) }
        });
        assert!(
            same || column || left_out || paths.contains(path.as_str()),
            "{path} is not on the page"
        );
    }
}

fn collect(value: &Value, path: String, numbers: &mut Vec<String>) {
    match value {
        Value::Number(_) => numbers.push(path),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            let name = name.replace('~', "~0").replace('/', "~1");
            collect(field, format!("{path}/{name}"), numbers);
        }),
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(n, item)| collect(item, format!("{path}/{n}"), numbers));
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Expression for each figure: its table by rows, and the tips of its chart by position.
pub(super) const TABLES_AND_TIPS: &str = "[...document.querySelectorAll('figure')].map(f => ({
  head: [...f.querySelectorAll('thead th')].map(e => e.textContent),
  rows: [...f.querySelectorAll('tbody tr:not(.group)')].map(r => [...r.children].map(e => e.textContent)),
  tips: [...f.querySelectorAll('.stop')].map(e => e.dataset.tip),
}))";

/// Checks that each tip of a chart equals the cell of the table in the same row and column.
#[track_caller]
pub(super) fn assert_tips(figures: &Value) {
    let mut seen = 0;
    for figure in figures.as_array().expect("a list") {
        let list = |key: &str| figure[key].as_array().expect("a list");
        for (n, tip) in list("tips").iter().enumerate() {
            let (title, lines) = tip.as_str().and_then(|tip| tip.split_once('\n')).expect("lines");
            // A row of the same name, or the one at the same place.
            let row = list("rows").iter().find(|row| row[0] == title).unwrap_or(&figure["rows"][n]);
            for line in lines.lines() {
                let (_, line) = line.split_once('\t').expect("a colour");
                let (name, text) = line.split_once('\t').expect("a name and a value");
                let Some(column) = list("head").iter().position(|head| head == name) else {
                    assert!(["min", "max"].contains(&name), "{name} is in no table: {tip}");
                    continue;
                };
                assert_eq!(row[column], text, "in the table, and in the chart: {tip}");
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "only {seen} figures in charts");
}
