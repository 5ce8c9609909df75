//! The corpora of `fuzz/` through the properties that its targets check: each input whole, and each
//! of its beginnings, including the findings of fuzzers. Saved reports are also mutated; each mutation is named by a
//! number.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use proptest::sample::Index;

use super::{broker_frame, broker_topic, http_response, mutations, queue_command, saved_report};

/// Bytes of a changed input that are checked.
const LONGEST_CHANGED: usize = 2_000;
/// Beginnings of a long input that are checked.
const BEGINNINGS: usize = 16;

fn inputs(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus").map(|file| file.expect("a file"));
    // Inputs that a fuzzer adds are named by their hash; the fuzzer has checked them.
    let files: Vec<_> =
        files.filter(|file| file.file_name().len() < 40).map(|file| file.path()).collect();
    assert!(files.len() >= 10, "{} has {} inputs", folder.display(), files.len());
    files
}

fn replay(target: &str, check: fn(&[u8])) {
    for file in inputs(target) {
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

/// An input of a corpus with some bytes changed: nearly right.
fn nearly(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let read = |file: &PathBuf| fs::read(file).expect("an input");
    let inputs: Vec<_> =
        inputs(target).iter().map(read).filter(|input| !input.is_empty()).collect();
    let changes = prop::collection::vec((any::<Index>(), any::<u8>()), 1..4);
    (prop::sample::select(inputs), changes).prop_map(|(mut input, changes)| {
        for (at, byte) in changes {
            let at = at.index(input.len());
            input[at] = byte;
        }
        input.truncate(LONGEST_CHANGED);
        input
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn nearly_right_frames(input in nearly("broker_frame")) {
        broker_frame::check(&input);
    }

    #[test]
    fn nearly_right_responses(input in nearly("http_response")) {
        http_response::check(&input);
    }

    #[test]
    fn nearly_right_commands(input in nearly("queue_command")) {
        queue_command::check(&input);
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
const MUTATIONS: u64 = 500;

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
        accepted += u64::from(crate::report::Saved::from_json(text).is_ok());
        saved_report::check(&mutated);
    }
    println!("{accepted} were shown");
    assert!(accepted * 5 > count, "only {accepted} mutations were shown");
}
