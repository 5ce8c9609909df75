//! `loadgen compare`: sides of several files, mistakes, and the files it writes.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::assert_refused;
use crate::support::{data, matches_schema, run};

/// A folder with saved runs `base/1.json` to `base/3.json` and `new/1.json` to `new/3.json`, all of the same measurement.
fn saved_runs() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let text = fs::read_to_string(data("run.json")).expect("a report");
    let mut report: Value = serde_json::from_str(&text).expect("JSON");
    for side in ["base", "new"] {
        fs::create_dir(folder.path().join(side)).expect("space");
        for n in 1..=3 {
            report["run"]["id"] = format!("{side}-{n}").into();
            let file = folder.path().join(format!("{side}/{n}.json"));
            fs::write(file, report.to_string()).expect("space");
        }
    }
    folder
}

fn compared(folder: &Path, words: &str) -> Value {
    let json = folder.join("c.json");
    let words = words.replace("DIR", &folder.display().to_string());
    let compared = run(&format!("compare -o {} {words}", json.display()));
    assert_eq!(compared.code, Some(0), "{compared:?}");
    let text = fs::read_to_string(json).expect("it was written");
    let comparison = serde_json::from_str(&text).expect("JSON");
    matches_schema(&comparison, "comparison.schema.json");
    comparison
}

#[test]
fn each_side_may_have_several_files_and_patterns() {
    let folder = saved_runs();
    let folder = folder.path();
    for words in [
        "DIR/base/*.json -- DIR/new/*.json",
        "DIR/base/1.json DIR/base/2.json DIR/base/3.json -- DIR/new/?.json",
        "--base DIR/base/1.json DIR/base/2.json DIR/base/3.json --new DIR/new/[123].json",
        "DIR/base/*.json DIR/new/*.json",
    ] {
        let comparison = compared(folder, words);
        let names = |side: &str| comparison[side].as_array().map(Vec::len);
        assert_eq!((names("base"), names("new")), (Some(3), Some(3)), "{words}");
        assert_eq!(
            (&comparison["worse"], &comparison["notes"]),
            (&false.into(), &json!([])),
            "{words}"
        );
    }
}

#[test]
fn mistakes_are_answered_with_what_was_meant() {
    let folder = saved_runs();
    let dir = folder.path().display().to_string();
    for (words, said) in [
        ("DIR/base/1.json", "alone cannot be compared; write `loadgen compare base.json new.json`"),
        (
            "DIR/base/1.json DIR/base/2.json DIR/new/1.json",
            "3 files, and it is not clear which are the base",
        ),
        ("DIR/base DIR/new", "DIR/base is a folder; for its reports write DIR/base/*.json"),
        ("DIR/bsae/*.json DIR/new/1.json", "DIR/bsae/*.json: no file has such a name"),
        ("-- DIR/base/1.json DIR/new/1.json", "the base has no file"),
    ] {
        let refused = run(&format!("compare {}", words.replace("DIR", &dir)));
        assert_refused(&refused, 2, &[&said.replace("DIR", &dir)]);
    }
    let gone = run(&format!("compare {dir}/gone.json {dir}/new/1.json"));
    assert_refused(&gone, 1, &[&format!("{dir}/gone.json: No such file")]);
}

#[test]
fn a_comparison_is_written_in_every_form() {
    let folder = saved_runs();
    let path = |name: &str| folder.path().join(name);
    let endings = ["txt", "json", "html", "md", "xml"];
    let outputs = endings.map(|ending| format!("-o {}", path(&format!("c.{ending}")).display()));
    let (base, new) = (path("base/1.json"), path("new/1.json"));
    let words = format!("compare {} {} {}", base.display(), new.display(), outputs.join(" "));
    let compared = run(&words);
    assert_eq!(compared.code, Some(0), "{compared:?}");
    let read = |ending: &str| fs::read_to_string(path(&format!("c.{ending}"))).expect("a file");
    assert_eq!(read("txt"), compared.stdout);
    assert!(read("html").starts_with("<!doctype html>"));
    for ending in ["json", "md", "xml"] {
        assert!(
            read(ending).contains("latency.response.p99") || read(ending).contains("response p99"),
            "{ending}"
        );
    }
    let refused = run(&format!(
        "compare {} {} -o {}",
        base.display(),
        new.display(),
        path("c.csv").display()
    ));
    assert_refused(
        &refused,
        2,
        &["a comparison can be written as .txt .json .html .md or .xml only"],
    );
}
