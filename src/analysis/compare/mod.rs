//! Comparison of two sides' reports: the change of each figure, its confidence interval, and the verdict.
//!
//! A figure is worse if the whole 99 % interval of its change is beyond the tolerance: the change is larger than
//! chance and larger than the tolerance. `confidence.rs` computes the intervals.

mod confidence;
pub(crate) mod figure;
mod pairs;
pub(crate) mod share;
mod times;
pub(crate) mod verdict;

use serde::{Deserialize, Serialize};

use crate::core::printable::printable_json;
use crate::report::{Report, SCHEMA_VERSION, Saved, Tool};
pub use figure::{Figure, Noise, Outcome};
use times::ComparedTimes;
use verdict::ComparisonVerdict;

/// Confidence of every interval, in percent.
pub(crate) const CONFIDENCE_PERCENT: f64 = 99.0;

/// Comparison of new runs with a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Comparison {
    /// Version of the file format; it rises if a field changes its meaning or is removed.
    #[cfg_attr(test, schemars(extend("const" = 1)))]
    pub schema_version: u32,
    /// `comparison`; a run's report does not have this field.
    #[cfg_attr(test, schemars(extend("const" = "comparison")))]
    pub kind: String,
    /// The program that wrote it.
    pub tool: Tool,
    /// Start of the newest run, RFC 3339 in UTC.
    pub started_at: String,
    /// Tolerated change for the worse, in percent.
    #[cfg_attr(test, schemars(range(min = 0)))]
    pub tolerance_percent: f64,
    /// Confidence of every interval, in percent. The bound of a share without a single case has 95 % (rule of three).
    pub confidence_percent: f64,
    /// Files of the baseline.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub base: Vec<String>,
    /// Files of the new runs.
    #[cfg_attr(test, schemars(length(min = 1)))]
    pub new: Vec<String>,
    /// One part for a run; for ramps one for each step that both sides have.
    pub parts: Vec<Part>,
    /// Figures of the verdict that could not be judged, as one side does not have them or their noise is not known. In a ramp
    /// the step's name comes first.
    pub undecided: Vec<String>,
    /// Differences of the plans, limited generators and other facts that a reader must know.
    pub notes: Vec<String>,
    /// Failed runs, each with its failure. A comparison with a failed run proves nothing.
    #[serde(default)]
    pub failed: Vec<String>,
    /// True if all generators held their plans.
    pub trusted: bool,
    /// True if a figure of the verdict is worse.
    pub worse: bool,
    /// Verdict on the figures.
    pub(crate) verdict: ComparisonVerdict,
}

/// The figures of a run or of a ramp's step that both sides have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(deny_unknown_fields))]
pub struct Part {
    /// The step's name; `null` for a run.
    pub step: Option<String>,
    /// Percentiles, the rate, failed requests and lost messages.
    pub figures: Vec<Figure>,
    /// Arrival and response latency of both sides, whole; arrival only if all runs have it.
    pub(crate) distributions: Vec<ComparedTimes>,
}

/// Error: the reports cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A run and a ramp.
    #[error("{0} is a report of a run and {1} of a ramp; compare two runs or two ramps")]
    Unlike(String, String),
    /// An open and a closed loop.
    #[error(
        "{0} is a report of an open loop and {1} of a closed loop; their latencies have different meanings"
    )]
    Loops(String, String),
    /// Ramps without a step in common.
    #[error("{0} and {1} have no step of the same name that was completed")]
    NoSteps(String, String),
    /// A histogram cannot be read.
    #[error("{0}: a histogram cannot be read; was the file cut or edited?")]
    Histogram(String),
    /// The noise of no figure is known.
    #[error(
        "the runs are too short to distinguish a change from noise: they have fewer than {} whole seconds; \
         run longer, or pass two runs for each side",
        confidence::FEWEST_SECONDS
    )]
    TooShort,
}

/// Compares runs with runs, or ramps with ramps. Several reports of a side count as repetitions.
pub fn compare(
    base: &[(String, Saved)],
    new: &[(String, Saved)],
    tolerance_percent: f64,
) -> Result<Comparison, CompareError> {
    let pairs = pairs::pairs(base, new)?;
    let (mut parts, mut undecided) = (Vec::new(), Vec::new());
    for pair in &pairs.pairs {
        let found = figure::figures(&pair.base, &pair.new, tolerance_percent)?;
        let step = pair.step.as_ref().map(|step| format!("{step} ")).unwrap_or_default();
        undecided.extend(found.undecided.into_iter().map(|name| format!("{step}{name}")));
        parts.push(Part {
            step: pair.step.clone(),
            figures: found.figures,
            distributions: times::compared_times(&pair.base, &pair.new)?,
        });
    }
    let figures: Vec<_> = parts.iter().flat_map(|part| &part.figures).collect();
    let worse = figures.iter().any(|figure| figure.outcome == Some(Outcome::Worse));
    // Failures and losses can be judged for any run, but they alone are not a comparison.
    let decided = figures.iter().any(|figure| figure.is_time_or_rate() && figure.outcome.is_some());
    if !worse && !decided && is_short(&pairs.pairs) {
        return Err(CompareError::TooShort);
    }
    let runs: Vec<_> =
        pairs.pairs.iter().flat_map(|pair| pair.base.iter().chain(&pair.new)).collect();
    Ok(Comparison {
        schema_version: SCHEMA_VERSION,
        kind: "comparison".to_owned(),
        tool: Tool::own(),
        started_at: runs.iter().map(|(_, r)| r.run.started_at.clone()).max().unwrap_or_default(),
        tolerance_percent,
        confidence_percent: CONFIDENCE_PERCENT,
        base: file_names(base),
        new: file_names(new),
        failed: pairs.failed,
        verdict: ComparisonVerdict::on(&parts, !undecided.is_empty(), tolerance_percent),
        trusted: runs.iter().all(|(_, report)| report.verdict.generator.is_valid()),
        worse,
        parts,
        undecided,
        notes: pairs.notes,
    })
}

fn file_names(side: &[(String, Saved)]) -> Vec<String> {
    side.iter().map(|(name, _)| name.clone()).collect()
}

/// Returns true if each pair has a run with too few whole seconds to measure its noise.
fn is_short(pairs: &[pairs::Pair<'_>]) -> bool {
    pairs.iter().all(|pair| pair.base.iter().chain(&pair.new).any(is_short_run))
}

fn is_short_run(run: &Run<'_>) -> bool {
    figure::whole_seconds(run.1).count() < confidence::FEWEST_SECONDS
}

impl Comparison {
    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub(crate) fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        printable_json(text + "\n")
    }
}

/// File name and report.
type Run<'a> = (&'a str, &'a Report);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema_file;

    #[test]
    fn the_schema_of_a_comparison_is_that_of_its_types() {
        schema_file::check::<Comparison>(
            "comparison",
            "loadgen comparison",
            "The result of loadgen compare, schema version 1. Figures have the units of the report.",
        );
    }
}
