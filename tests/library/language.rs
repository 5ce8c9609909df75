//! The language of the sources and documents: plain English in the terms of docs/glossary.md.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use crate::layers::files_below;

/// Words that announce a description instead of giving it, at the beginning of a doc comment.
const RIDDLES: &str = r"^(What|How|Where|Whether|Of|So|Who|Whoever|Whose|Which|That|As|The same)\b";
/// Most doc comments in 100 that may begin with one of them.
const RIDDLES_IN_100: usize = 2;
/// Phrases that make a reader guess who acts, or read a sentence twice.
const PHRASES: &str = r"(?i)\b(somebody|nobody|whoever|so many|(is|are|was) told|tells of|told apart|would knock|asked again|what is under way|the like|hereafter|forthwith|one's|all the same|as it comes|in vain|for ever)\b";
/// "is no X", where "is not a X" is meant. "There is no X" and "no longer" are fine.
const IS_NO: &str = r"(?i)\b(there )?(?:is|are) no ([a-z]+)";
/// A parameter that takes a tuple apart.
const TUPLE_PARAMETER: &str = r"\bfn \w+[^;{]*?[(,]\s*\([\w, &']+\)\s*:\s*\([^;{]*?\{";

/// The phrases to look for.
struct Dialect {
    phrase: Regex,
    is_no: Regex,
}

impl Dialect {
    fn new() -> Self {
        Self {
            phrase: Regex::new(PHRASES).expect("a pattern"),
            is_no: Regex::new(IS_NO).expect("a pattern"),
        }
    }

    fn is_in(&self, text: &str) -> bool {
        self.phrase.is_match(text)
            || self
                .is_no
                .captures_iter(text)
                .any(|found| found.get(1).is_none() && &found[2] != "longer")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Sources without their test modules, with their paths.
fn sources() -> Vec<(PathBuf, String)> {
    let tests = Regex::new(r"\n#\[cfg\(test\)\]\n(#\[[^\n]*\n)*mod \w+ \{").expect("a pattern");
    let mut sources = Vec::new();
    for path in files_below(&root().join("src"), "rs") {
        if path.ends_with("tests.rs") {
            continue;
        }
        let mut text = fs::read_to_string(&path).expect("a source file");
        if let Some(found) = tests.find(&text) {
            text.truncate(found.start());
        }
        sources.push((path, text));
    }
    assert!(sources.len() > 100, "the reader of sources reads nothing");
    sources
}

/// Text of a comment, and `true` if it is a doc comment; `None` for a line of code.
fn comment(line: &str) -> Option<(&str, bool)> {
    let text = line.trim_start().strip_prefix("//")?;
    let is_doc = text.starts_with('/') || text.starts_with('!');
    Some((text.trim_start_matches(['/', '!']).trim_start(), is_doc))
}

/// First lines of all doc comments, with their places.
fn openings(path: &Path, text: &str) -> Vec<(String, String)> {
    let mut openings = Vec::new();
    let mut in_doc = false;
    for (index, line) in text.lines().enumerate() {
        let opening = comment(line).filter(|(_, is_doc)| *is_doc).map(|(text, _)| text);
        if let (Some(text), false) = (opening, in_doc) {
            openings.push((format!("{}:{}", path.display(), index + 1), text.to_owned()));
        }
        in_doc = opening.is_some();
    }
    openings
}

#[test]
fn doc_comments_open_with_a_description() {
    let riddle = Regex::new(RIDDLES).expect("a pattern");
    let openings: Vec<_> = sources().iter().flat_map(|(path, text)| openings(path, text)).collect();
    let found: Vec<_> = openings.iter().filter(|(_, text)| riddle.is_match(text)).collect();
    assert!(
        found.len() * 100 <= openings.len() * RIDDLES_IN_100,
        "{} of {} doc comments begin with a word like What or How: {found:#?}",
        found.len(),
        openings.len()
    );
}

#[test]
fn comments_messages_and_documents_name_who_acts() {
    let dialect = Dialect::new();
    let string = Regex::new(r#""((?:[^"\\]|\\.)* (?:[^"\\]|\\.)*)""#).expect("a pattern");
    let mut found = Vec::new();
    for (path, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            let is_found = match comment(line) {
                Some((text, _)) => dialect.is_in(text),
                None => string.captures_iter(line).any(|text| dialect.is_in(&text[1])),
            };
            if is_found {
                found.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
            }
        }
    }
    for path in files_below(&root().join("docs"), "md") {
        for (index, line) in fs::read_to_string(&path).expect("a document").lines().enumerate() {
            if dialect.is_in(line) {
                found.push(format!("{}:{}: {line}", path.display(), index + 1));
            }
        }
    }
    assert!(found.is_empty(), "name who acts: {found:#?}");
}

#[test]
fn parameters_are_not_tuples() {
    let tuple = Regex::new(TUPLE_PARAMETER).expect("a pattern");
    for (path, text) in sources() {
        let code: Vec<_> = text.lines().filter(|line| comment(line).is_none()).collect();
        let code = code.join("\n");
        let found = tuple.find(&code).map(|found| found.as_str());
        assert_eq!(found, None, "{}: use a struct or separate parameters", path.display());
    }
}
