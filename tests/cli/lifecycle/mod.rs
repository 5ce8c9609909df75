//! Start and end of a run: signals, bad usage, unwritable files, missing programs, exit codes.

mod compare;
mod endings;
mod metrics;
mod papers;
mod refusals;
mod result;
mod saved;
mod secrets;
mod stuck;

use std::fs;
use std::path::Path;

use crate::support::Finished;

/// It ended with this code, and its error says so.
#[track_caller]
fn assert_refused(finished: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(finished.code, Some(code), "{finished:?}");
    assert_eq!(finished.stdout, "", "there is no report");
    for part in parts {
        assert!(finished.stderr.contains(part), "'{part}' is missing: {finished:?}");
    }
}

/// The names in a folder.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
