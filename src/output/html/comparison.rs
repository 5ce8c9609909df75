//! The page of a comparison: the verdict, the change of each figure, and the spectra of both sides over each other.

use super::changes::{change_chart, change_table};
use super::heading;
use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::run::date_and_time;
use super::section::Section;
use super::spectrum::{SpectrumLine, titled_spectrum};
use super::table::{Cell, head, table};
use super::verdict::badge;
use crate::analysis::compare::verdict::ComparisonVerdict;
use crate::analysis::compare::{Comparison, Part};
use crate::output::comparison::figures::change;
use crate::output::comparison::{VerdictSentence, rule};
use crate::report::Allowed;

/// Title of the page.
pub(super) const TITLE: &str = "Comparison";

/// The top of the page: the verdict and the notes.
pub(super) fn top(comparison: &Located<'_, Comparison>, allowed: Allowed) -> String {
    let verdict = VerdictSentence { comparison: comparison.part(), allowed };
    let sentence = verdict.to_string();
    let (word, reason) = sentence.split_once(": ").unwrap_or((sentence.as_str(), ""));
    let reason = format!("<p class=\"question\">{}</p>\n", escape(&first_capital(reason)));
    let badges = match comparison.verdict {
        ComparisonVerdict::Inconclusive if verdict.passed() => unclear_badge(word),
        _ => badge(verdict.passed(), word),
    };
    let lead = format!("{} → {}", escape(&side(&comparison.base)), escape(&side(&comparison.new)));
    [heading(TITLE, &lead, &format!("<p class=\"badges\">{badges}</p>")), reason, notes(comparison)]
        .concat()
}

/// The sections of the page.
pub(super) fn sections(comparison: &Located<'_, Comparison>) -> Vec<Section> {
    let mut sections = parts(comparison);
    sections.push(Section::new("The runs", runs(comparison)));
    sections
}

/// A text with its first letter as a capital.
fn first_capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// A side in a few words: its file, or the number of its files.
fn side(files: &[String]) -> String {
    match files {
        [one] => one.clone(),
        [first, ..] => format!("{first} and {} more", files.len() - 1),
        [] => String::new(),
    }
}

/// A badge that is neither good nor bad.
fn unclear_badge(text: &str) -> String {
    let text = escape(text);
    format!("<span class=\"badge unclear\"><span aria-hidden=\"true\">?</span> {text}</span>")
}

fn notes(comparison: &Comparison) -> String {
    let mut items = String::new();
    for failure in &comparison.failed {
        items += &format!("<li class=\"bad\">{}</li>\n", escape(failure));
    }
    for note in &comparison.notes {
        items += &format!("<li class=\"note\">{}</li>\n", escape(note));
    }
    if items.is_empty() { items } else { format!("<ul class=\"notes\">\n{items}</ul>\n") }
}

/// The figures and spectra: of two runs, or of each step of two ramps.
fn parts(comparison: &Located<'_, Comparison>) -> Vec<Section> {
    let parts: Vec<_> = field!(comparison, parts).items().collect();
    if let [part] = parts.as_slice()
        && part.step.is_none()
    {
        let changes = changes(comparison, part);
        return vec![Section::new("Changes", changes), Section::new("Latency", spectra(part))];
    }
    let (mut rows, mut steps) = (Vec::new(), String::new());
    for (number, part) in parts.iter().enumerate() {
        rows.push(step_row(comparison, number, part));
        steps += &folded_step(comparison, number, part);
    }
    let names = ["step", "", "arrival p50", "p99", "response p50", "p99", "throughput"];
    let summary = table("Steps", &head(names), rows);
    vec![Section::new("Side by side", summary), Section::new("Each step", steps)]
}

/// Names of the figures in the table of all steps.
const STEP_FIGURES: [&str; 5] = [
    "arrival.p50",
    "arrival.p99",
    "latency.response.p50",
    "latency.response.p99",
    "requests.completed_per_s",
];

fn step_row(comparison: &Comparison, number: usize, part: &Located<'_, Part>) -> Vec<Cell> {
    let name = escape(part.step.as_deref().unwrap_or_default());
    let link = format!("<a href=\"#step-{number}\">{name}</a>");
    let mut row = vec![Cell::from(link), part_badge(comparison, part).into()];
    for name in STEP_FIGURES {
        let figure = field!(part, figures).items().find(|figure| figure.name == name);
        let shown = figure.map(|figure| number!(figure, change_percent).show_as(&change(&figure)));
        row.push(shown.unwrap_or_default().into());
    }
    row
}

/// The verdict on one step.
fn part_badge(comparison: &Comparison, part: &Part) -> String {
    match comparison.verdict_on(part) {
        ComparisonVerdict::Worse => badge(false, "worse"),
        ComparisonVerdict::Better => badge(true, "better"),
        ComparisonVerdict::Same => badge(true, "same"),
        ComparisonVerdict::Inconclusive => unclear_badge("unclear"),
    }
}

fn folded_step(
    comparison: &Located<'_, Comparison>,
    number: usize,
    part: &Located<'_, Part>,
) -> String {
    let name = escape(part.step.as_deref().unwrap_or_default());
    let badge = part_badge(comparison, part);
    let content = changes(comparison, part) + &spectra(part);
    format!(
        "<details><summary><b>{name}</b> {badge}</summary><div id=\"step-{number}\">\n{content}</div></details>\n"
    )
}

fn changes(comparison: &Located<'_, Comparison>, part: &Located<'_, Part>) -> String {
    change_chart(comparison, part) + &change_table(comparison, part)
}

/// The spectra of arrival and response, each of both sides.
fn spectra(part: &Located<'_, Part>) -> String {
    let mut out = String::new();
    for times in field!(part, distributions).items() {
        let title = first_capital(&times.name);
        let lines = [
            SpectrumLine { name: "base", times: field!(times, base) },
            SpectrumLine { name: "new", times: field!(times, new) },
        ];
        out += &titled_spectrum(&title, &lines);
    }
    out
}

fn runs(comparison: &Located<'_, Comparison>) -> String {
    let facts = [
        ("Base", escape(&comparison.base.join(", "))),
        ("New", escape(&comparison.new.join(", "))),
        ("Newest run", date_and_time(&comparison.started_at)),
        ("Tolerance", number!(comparison, tolerance_percent).show(Unit::Percent)),
        ("Confidence", number!(comparison, confidence_percent).show(Unit::Percent)),
    ];
    let mut rows = String::new();
    for (name, fact) in facts {
        rows += &format!("<div><dt>{name}</dt><dd>{fact}</dd></div>\n");
    }
    format!("<p>{}</p>\n<dl class=\"facts\">{rows}</dl>\n", escape(&rule(comparison)))
}
