//! The corpora of `fuzz/` through the properties that its targets check: each input whole, and each
//! of its beginnings, including the findings of fuzzers. Saved reports are also mutated; each mutation is named by a
//! number.

use std::fs;
use std::path::Path;

/// Properties that the fuzz targets check.
#[allow(unreachable_pub, reason = "a crate of its own for the fuzz targets")]
#[path = "../../../fuzz/src/lib.rs"]
mod properties;

use properties::{broker_frame, broker_topic, http_response, queue_command, saved_report};

/// Changes of JSON documents by a number.
mod mutations;

/// Beginnings of a long input that are checked.
const BEGINNINGS: usize = 16;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus").map(|file| file.expect("a file"));
    // Inputs that a fuzzer adds are named by their hash; the fuzzer has checked them.
    let files: Vec<_> =
        files.filter(|file| file.file_name().len() < 40).map(|file| file.path()).collect();
    assert!(files.len() >= 10, "{} has {} inputs", folder.display(), files.len());
    for file in files {
        let input = fs::read(&file).expect("an input");
        // The harness shows it where a check fails.
        println!("{}", file.display());
        check(&input);
        for end in (0..input.len()).step_by(input.len().div_ceil(BEGINNINGS).max(1)) {
            println!("its first {end} bytes");
            check(&input[..end]);
        }
    }
}

#[test]
fn corpus_of_queue_commands() {
    replay("queue_command", queue_command::check);
}

#[test]
fn corpus_of_broker_frames() {
    replay("broker_frame", broker_frame::check);
}

#[test]
fn corpus_of_broker_topics() {
    replay("broker_topic", broker_topic::check);
}

#[test]
fn corpus_of_http_responses() {
    replay("http_response", http_response::check);
}

#[test]
fn corpus_of_saved_reports() {
    replay("saved_report", saved_report::check);
}

/// Mutations that are tried, from 0. In the environment of the tests `LOADGEN_MUTATIONS` is another number, and
/// `LOADGEN_FIRST_MUTATION` the first of them.
const MUTATIONS: u64 = 2_000;

#[test]
fn mutated_reports_are_refused_or_rendered() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let count = number("LOADGEN_MUTATIONS").unwrap_or(MUTATIONS);
    let first = number("LOADGEN_FIRST_MUTATION").unwrap_or(0);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect("a report");
    // Most are mutations of the smaller files, which are quicker to show.
    let files = [
        read("tests/data/run.json"),
        read("tests/data/ramp.json"),
        read("fuzz/corpus/saved_report/run"),
        read("fuzz/corpus/saved_report/ramp"),
    ];
    let mut accepted = 0;
    for number in first..first + count {
        let file = match number % 20 {
            0 => 0,
            10 => 1,
            n if n % 4 == 3 => 3,
            _ => 2,
        };
        let mutated = mutations::mutate(&files[file], number);
        // The harness shows it where a check fails.
        println!("mutation {number}");
        let text = std::str::from_utf8(&mutated).unwrap_or_default();
        accepted += u64::from(loadgen::report::Saved::from_json(text).is_ok());
        saved_report::check(&mutated);
    }
    println!("{accepted} were shown");
    assert!(accepted * 5 > count, "only {accepted} mutations were shown");
}
