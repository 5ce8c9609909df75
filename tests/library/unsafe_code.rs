//! Unsafe code is denied by a lint. The excepted places are listed here.

use std::fs;
use std::path::Path;

use regex::Regex;

use crate::layers::files_below;

/// Files with unsafe code, and the number of lint exceptions and of unsafe blocks in each.
const EXCEPTIONS: [(&str, usize); 2] =
    [("src/engine/transport/reqwest.rs", 1), ("src/pipeline/servers/child.rs", 1)];

/// Number of matches of `pattern` in each file that has any.
fn places(pattern: &str) -> Vec<(String, usize)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pattern = Regex::new(pattern).expect("a pattern");
    let mut places = Vec::new();
    for folder in ["src", "tests", "benches", "examples", "fuzz/fuzz_targets"] {
        for file in files_below(&root.join(folder), "rs") {
            let text = fs::read_to_string(&file).expect("a source file");
            // Comments and strings about it do not count.
            let count = text.lines().filter(|line| pattern.is_match(line)).count();
            let name = file.strip_prefix(root).expect("below the root").display().to_string();
            places.extend((count > 0).then_some((name, count)));
        }
    }
    places.sort();
    places
}

#[test]
fn unsafe_code_is_denied_with_two_exceptions() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let manifest: toml::Table =
        fs::read_to_string(manifest).expect("the manifest").parse().expect("TOML");
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("deny"));
    let listed = EXCEPTIONS.map(|(file, count)| (file.to_owned(), count));
    assert_eq!(places(r"^\s*#!?\[(allow|expect|warn)\(.*\bunsafe_code\b"), listed);
    assert_eq!(places(r"^[^/\x22]*\bunsafe\s*(\{|fn|impl|extern|trait|$)"), listed);
}
