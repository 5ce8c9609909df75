//! The remarks of a verdict: failures, reasons why the generator is limited, and notes. Each has a code for programs and
//! a sentence for people. Measuring code gives typed values; their sentences are in this room only.
//!
//! In JSON the sentences are the lists `verdict.failures`, `verdict.reasons` and `verdict.notes`, and `verdict.codes` has
//! the codes in the same order.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{GeneratorState, ThresholdResult, Verdict};

mod failure;
mod limit;
mod messages;
mod nodes;
mod requests;
mod servers;

pub(crate) use failure::{Failure, FirstAnswer, Missing, RefusedAnswers, Silence};
pub(crate) use limit::{LimitReason, Shortage, Starvation};
pub(crate) use messages::MessageNote;
pub(crate) use nodes::{DifferingNode, NodeNote, SharedHost};
pub(crate) use requests::{MethodSetting, PacingPart, RequestNote, WaitCause};
pub(crate) use servers::{ServerNote, StampUnit};

/// The code of a remark that a version without codes has saved.
const UNCODED: &str = "uncoded";

/// The code of a component that ended.
const COMPONENT_ENDED: &str = "component_ended";

/// The code of the note on answers that are neither 2xx nor 3xx.
pub(crate) const ANSWERS_REFUSED: &str = "answers_refused";

/// A value that becomes a remark: its code, and its sentence by `Display`.
pub(crate) trait Coded: fmt::Display {
    /// Code of the sentence, in snake case.
    fn code(&self) -> &'static str;
}

/// A failure, a reason or a note of a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    code: Cow<'static, str>,
    /// The nodes that it is about, where it is not about all of a merged report.
    nodes: BTreeSet<u64>,
    text: String,
}

impl<T: Coded> From<T> for Remark {
    fn from(value: T) -> Self {
        Self { code: Cow::Borrowed(value.code()), nodes: BTreeSet::new(), text: value.to_string() }
    }
}

/// Displays the sentence, with the nodes before it: `node 0, 2: nothing arrived: …`.
impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_nodes(f)?;
        f.write_str(&self.text)
    }
}

impl Remark {
    /// The code for programs, in snake case: `nothing_arrived`. `uncoded` if a version without codes saved it.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// A remark as a report of a version without codes has it.
    pub fn from_text(sentence: &str) -> Self {
        Self::read(sentence, None)
    }

    /// Returns true if a component of the run's own stack ended.
    pub(crate) fn is_ended_component(&self) -> bool {
        self.code == COMPONENT_ENDED
    }

    /// The words before the details, with the nodes: `nothing arrived`, `node 1: push ended`.
    pub(crate) fn name(&self) -> String {
        let name = self.text.split_once(": ").map_or(self.text.as_str(), |(name, _)| name);
        ShortRemark { remark: self, name }.to_string()
    }

    /// Returns the remark of some nodes.
    pub(crate) fn of_nodes(&self, nodes: BTreeSet<u64>) -> Self {
        Self { nodes, ..self.clone() }
    }

    fn write_nodes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, node) in self.nodes.iter().enumerate() {
            write!(f, "{}{node}", if place == 0 { "node " } else { ", " })?;
        }
        f.write_str(if self.nodes.is_empty() { "" } else { ": " })
    }

    /// Reads a sentence of a saved report.
    fn read(sentence: &str, code: Option<&String>) -> Self {
        let parts = sentence.strip_prefix("node ").and_then(|rest| rest.split_once(": "));
        let numbered = parts.and_then(|(nodes, text)| {
            let nodes: Result<_, _> = nodes.split(", ").map(str::parse).collect();
            Some((nodes.ok()?, text))
        });
        let (nodes, text) = numbered.unwrap_or((BTreeSet::new(), sentence));
        let code = code.map_or(Cow::Borrowed(UNCODED), |code| Cow::Owned(code.clone()));
        Self { code, nodes, text: text.to_owned() }
    }
}

/// Displays a remark without its details.
struct ShortRemark<'a> {
    remark: &'a Remark,
    name: &'a str,
}

impl fmt::Display for ShortRemark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.remark.write_nodes(f)?;
        f.write_str(self.name)
    }
}

/// Judgement on a run: can its numbers be trusted, and do they hold the conditions?
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields, rename = "Verdict"))]
pub(super) struct SavedVerdict {
    /// Judgement on the generator.
    generator: GeneratorState,
    /// Why it is limited.
    reasons: Vec<String>,
    /// Failures of the run as a whole, whatever the generator did: nothing succeeded, nothing
    /// arrived, or a component of its own stack ended. Each sentence says what to look at.
    #[serde(default)]
    failures: Vec<String>,
    /// Other facts that a reader must know.
    notes: Vec<String>,
    /// Codes of the sentences above, for programs.
    #[serde(default)]
    codes: RemarkCodes,
    /// The `--fail-if` conditions.
    thresholds: Vec<ThresholdResult>,
    /// The generator is valid, there are no failures, and no condition held.
    pass: bool,
}

/// The code of each sentence, in the order of the sentences. Codes stay the same over versions; sentences do not.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub(super) struct RemarkCodes {
    /// Codes of `reasons`.
    reasons: Vec<String>,
    /// Codes of `failures`.
    failures: Vec<String>,
    /// Codes of `notes`.
    notes: Vec<String>,
}

impl From<SavedVerdict> for Verdict {
    fn from(saved: SavedVerdict) -> Self {
        let SavedVerdict { generator, reasons, failures, notes, codes, thresholds, pass } = saved;
        Self {
            generator,
            reasons: remarks(&reasons, &codes.reasons),
            failures: remarks(&failures, &codes.failures),
            notes: remarks(&notes, &codes.notes),
            thresholds,
            pass,
        }
    }
}

impl From<Verdict> for SavedVerdict {
    fn from(verdict: Verdict) -> Self {
        let Verdict { generator, reasons, failures, notes, thresholds, pass } = verdict;
        Self {
            generator,
            codes: RemarkCodes {
                reasons: codes(&reasons),
                failures: codes(&failures),
                notes: codes(&notes),
            },
            reasons: sentences(&reasons),
            failures: sentences(&failures),
            notes: sentences(&notes),
            thresholds,
            pass,
        }
    }
}

fn remarks(sentences: &[String], codes: &[String]) -> Vec<Remark> {
    let numbered = sentences.iter().enumerate();
    numbered.map(|(place, sentence)| Remark::read(sentence, codes.get(place))).collect()
}

fn codes(remarks: &[Remark]) -> Vec<String> {
    remarks.iter().map(|remark| remark.code.clone().into_owned()).collect()
}

/// The sentences of remarks, as the JSON has them.
pub fn sentences(remarks: &[Remark]) -> Vec<String> {
    remarks.iter().map(Remark::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_reads_back_as_it_was_with_its_nodes_and_its_name() {
        let ended = Failure::ComponentEnded {
            name: "push".to_owned(),
            status: "signal: 9 (SIGKILL)".to_owned(),
            at_s: 1.2,
        };
        let whole = Remark::from(ended);
        let of_nodes = whole.of_nodes(BTreeSet::from([0, 2]));
        for (remark, name) in [(whole, "push ended"), (of_nodes, "node 0, 2: push ended")] {
            let saved = Remark::read(&remark.to_string(), Some(&remark.code().to_owned()));
            assert_eq!(saved, remark);
            assert_eq!((saved.name().as_str(), saved.code()), (name, "component_ended"));
        }
        let old = Remark::read("node: a word of a user: x", None);
        assert_eq!((old.code(), old.name().as_str()), ("uncoded", "node"));
        assert_eq!(old.to_string(), "node: a word of a user: x");
    }

    /// A code is a contract: programs look for it, and people look it up.
    #[test]
    fn every_code_is_in_the_documentation() {
        let docs = include_str!("../../docs/troubleshooting.md");
        let sources = [
            include_str!("remark/failure.rs"),
            include_str!("remark/limit.rs"),
            include_str!("remark/messages.rs"),
            include_str!("remark/nodes.rs"),
            include_str!("remark/requests.rs"),
            include_str!("remark/servers.rs"),
        ];
        let mut found = BTreeSet::new();
        for source in sources {
            let (_, codes) = source.split_once("fn code(&self)").expect("each file has codes");
            let (codes, _) = codes.split_once("\n    }\n").expect("the end of the function");
            for code in codes.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(docs.contains(&format!("`{code}`")), "`{code}` is not explained");
                found.insert(code);
            }
        }
        assert!(found.len() > 30, "{found:?}");
    }
}
