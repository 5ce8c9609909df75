//! The corpora of `fuzz/` through the properties that its targets check: each input whole, and each
//! of its beginnings. What a fuzzer found is among them.

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/lib.rs"]
pub mod properties;

use properties::{broker_frame, broker_topic, http_response, queue_command};

/// Beginnings of a long input that are looked at.
const BEGINNINGS: usize = 16;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files = fs::read_dir(&folder).expect("a corpus").map(|file| file.expect("a file"));
    // A fuzzer calls what it adds by its hash; it has checked it.
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
fn queue_commands() {
    replay("queue_command", queue_command::check);
}

#[test]
fn broker_frames() {
    replay("broker_frame", broker_frame::check);
}

#[test]
fn broker_topics() {
    replay("broker_topic", broker_topic::check);
}

#[test]
fn http_responses() {
    replay("http_response", http_response::check);
}
