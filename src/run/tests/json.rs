//! The JSON of a run and of a ramp, and the schema files.

use super::*;

#[test]
fn json_of_a_troubled_run() {
    let mut report =
        Report::from(&observations(|s| s.fail_if = vec!["messages.lost>0".to_owned()]));
    // It changes with each commit.
    report.tool.revision = None;
    let mut json = without_blobs(&report);
    json = json.replace(&format!("\"{}\"", env!("CARGO_PKG_VERSION")), "\"VERSION\"");
    assert_snapshot!("troubled_json", json);
}

#[test]
fn the_json_of_a_ramp_matches_its_schema() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/ramp.schema.json");
    let mut schemas = boon::Schemas::new();
    let schema = boon::Compiler::new().compile(path, &mut schemas).expect("a valid schema");
    let mut json: serde_json::Value = serde_json::from_str(&ramp().to_json()).expect("JSON");
    assert_eq!(schemas.validate(&json, schema).map_err(|e| e.to_string()), Ok(()));
    json["steps"][0]["report"]["verdict"]["generator"] = "fine".into();
    assert!(schemas.validate(&json, schema).is_err(), "the schema lets a step's report pass");
}

#[test]
fn a_saved_report_is_read_back_unchanged() {
    let report = Report::from(&observations(|s| s.fail_if = vec!["messages.lost>0".to_owned()]));
    assert_eq!(Report::from_json(&report.to_json()).expect("our own"), report);
}

#[test]
fn histograms_contain_the_numbers_beside_them() {
    let report = Report::from(&observations(|_| ()));
    for q in [&report.latency.response, &report.latency.service, &report.latency.lateness] {
        let blob = Latencies::from_hdr(&q.hdr).expect("HDR V2");
        assert_eq!(blob.count(), q.count);
        assert_eq!(blob.quantile(0.99).map(|n| (n.as_micros_f64() * 1e3).round() / 1e3), q.p99);
    }
}

#[test]
fn the_json_of_a_run_matches_its_schema() {
    let check = check_schema;
    let full = Report::from(&observations(|s| s.fail_if = vec!["messages.lost>0".to_owned()]));
    assert_eq!(check(&full), Ok(()));
    let mut bare = observations(|s| s.rate = None);
    (bare.arrivals, bare.stack, bare.clock) = (None, Stack::default(), Clock::default());
    bare.load = Recorder::new(IdSpace::from_authority(0, 1, 100), 100, SECOND).result;
    assert_eq!(check(&Report::from(&bare)), Ok(()));
    let mut embedded = observations(|_| ());
    embedded.stack.broker = Some(Server { kind: ServerKind::Embedded, version: "x".to_owned() });
    assert_eq!(check(&Report::from(&embedded)), Ok(()));
    let wrong = full.to_json().replace("\"generator\": \"valid\"", "\"generator\": \"fine\"");
    assert!(check_against("report", &wrong).is_err(), "the schema lets anything pass");
}

/// JSON of the snapshot: other tests check the encoded histograms.
fn without_blobs(report: &Report) -> String {
    let lines: Vec<_> = report.to_json().lines().map(str::to_owned).collect();
    let shorten = |line: &String| match line.split_once("\"hdr\": ") {
        Some((indent, _)) => format!("{indent}\"hdr\": …"),
        None => line.clone(),
    };
    lines.iter().map(shorten).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_report_that_did_not_pass_says_why_as_an_error() {
    let mut calm = observations(|s| s.fail_if = vec!["arrival.p99>1h".to_owned()]);
    calm.ended_components.clear();
    let good = Report::from(&calm);
    assert!(good.assert_ok().is_ok());
    let mut lossy = observations(|s| s.fail_if = vec!["messages.lost>0".to_owned()]);
    lossy.ended_components.clear();
    let error = Report::from(&lossy).assert_ok().expect_err("two messages are lost").to_string();
    assert!(error.contains("FAILED (1 of 1 condition), exit 99"), "{error}");
    assert!(error.contains("messages.lost>0 holds: 2"), "{error}");
    let mut late = good;
    late.verdict.generator = crate::report::GeneratorState::Limited;
    late.verdict.reasons =
        vec![crate::report::Remark::from_text("this machine is too busy for the rate")];
    let error = late.assert_ok().expect_err("limited").to_string();
    assert!(error.contains("too busy for the rate"), "{error}");
}
