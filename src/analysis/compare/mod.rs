//! Two sides' reports → what changed, how sure that is, and whether the new side is worse.
//!
//! A figure is worse when the whole 99 % interval of its change lies beyond the tolerance: the change
//! is larger than chance and larger than what is tolerated. `confidence.rs` has the intervals.

mod confidence;
pub(crate) mod figure;
mod pairs;

use serde::{Deserialize, Serialize};

use crate::core::printable::printable_json;
use crate::report::{Report, SCHEMA_VERSION, Saved, Tool};
pub use figure::{Figure, Noise, Outcome};

/// The confidence of every interval, in percent.
pub const CONFIDENCE_PERCENT: f64 = 99.0;

/// What the new runs are beside the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// [`SCHEMA_VERSION`]
    pub schema_version: u32,
    /// `comparison`; a run's report has no such field.
    pub kind: String,
    /// What wrote it.
    pub tool: Tool,
    /// When the newest of the runs began, RFC 3339 in UTC.
    pub started_at: String,
    /// How much worse, in percent, is tolerated.
    pub tolerance_percent: f64,
    /// [`CONFIDENCE_PERCENT`]
    pub confidence_percent: f64,
    /// Files of the base.
    pub base: Vec<String>,
    /// Files of what is compared with it.
    pub new: Vec<String>,
    /// One for a run; for a ramp one for each step that both sides have.
    pub parts: Vec<Part>,
    /// Figures that should decide and could not, as one side has none, or chance cannot be told.
    pub undecided: Vec<String>,
    /// What a reader must know: differences of plan, generators that were late.
    pub notes: Vec<String>,
    /// Runs that prove nothing, each with its failure: a comparison with them proves nothing either.
    #[serde(default)]
    pub failed: Vec<String>,
    /// All generators held their plans.
    pub trusted: bool,
    /// A figure that decides is worse.
    pub worse: bool,
}

/// The figures of a run or of a ramp's step, as far as both sides have them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The step's name; `null` for a run.
    pub step: Option<String>,
    /// Percentiles, the rate, and what failed and was lost.
    pub figures: Vec<Figure>,
}

/// Why reports cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// A run and a ramp.
    #[error("{0} is of a run and {1} of a ramp; compare like with like")]
    Unlike(String, String),
    /// An open and a closed loop, whose latencies are not of one kind.
    #[error(
        "{0} is of an open loop and {1} of a closed one; their latencies mean different things"
    )]
    Loops(String, String),
    /// Ramps without a step in common.
    #[error("{0} and {1} have no step of the same name that was run")]
    NoSteps(String, String),
    /// A histogram cannot be read.
    #[error("{0}: a histogram cannot be read; was the file cut or edited?")]
    Histogram(String),
    /// There is nothing that a verdict could rest on.
    #[error(
        "nothing tells chance from change: the runs have fewer than {} whole seconds; \
         let them run longer, or give two runs of each side",
        confidence::FEWEST_SECONDS
    )]
    TooShort,
}

/// Compares runs with runs, or ramps with ramps. Several of a side are taken as repetitions.
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
        parts.push(Part { step: pair.step.clone(), figures: found.figures });
    }
    let figures = || parts.iter().flat_map(|part| &part.figures);
    let worse = figures().any(|figure| figure.outcome == Some(Outcome::Worse));
    // Failures and losses can be told of any run; that they are no worse is no comparison.
    let decided = figures().any(|figure| figure.is_time_or_rate() && figure.outcome.is_some());
    if !worse && !decided && is_short(&pairs.pairs) {
        return Err(CompareError::TooShort);
    }
    let runs = || pairs.pairs.iter().flat_map(|pair| pair.base.iter().chain(&pair.new));
    let names = |side: &[(String, Saved)]| side.iter().map(|(name, _)| name.clone()).collect();
    Ok(Comparison {
        schema_version: SCHEMA_VERSION,
        kind: "comparison".to_owned(),
        tool: Tool::own(),
        started_at: runs().map(|(_, r)| r.run.started_at.clone()).max().unwrap_or_default(),
        tolerance_percent,
        confidence_percent: CONFIDENCE_PERCENT,
        base: names(base),
        new: names(new),
        failed: pairs.failed,
        trusted: runs().all(|(_, report)| report.verdict.generator == "valid"),
        worse,
        parts,
        undecided,
        notes: pairs.notes,
    })
}

/// Whether all that is compared has a run without the seconds that tell chance.
fn is_short(pairs: &[pairs::Pair<'_>]) -> bool {
    let short =
        |(_, report): &Run<'_>| figure::whole_seconds(report).count() < confidence::FEWEST_SECONDS;
    pairs.iter().all(|pair| pair.base.iter().chain(&pair.new).any(short))
}

impl Comparison {
    /// The file's text: JSON, two spaces deep, ending in a newline.
    pub fn to_json(&self) -> String {
        let text = serde_json::to_string_pretty(self).expect("plain data can be written");
        printable_json(text + "\n")
    }
}

/// A report by reference, and its file's name.
type Run<'a> = (&'a str, &'a Report);
