//! Reports in the forms that people and other tools read. The ending of a file name selects the form.
//!
//! A new form is a new file here, and its entry in [`Form`], `ENDINGS` and the `render_` functions.

mod csv;
mod hgrm;
mod hlog;
mod junit;
mod markdown;
mod tsv;

use std::path::Path;

#[cfg(feature = "html")]
use super::html;
use super::{
    TextOptions, TextStyle, comparison_text, ramp_text, styled_comparison_text, styled_ramp_text,
    styled_text, text,
};
use crate::analysis::compare::Comparison;
use crate::core::distribution::HdrError;
use crate::core::printable::with_printable_strings;
use crate::report::ramp::RampReport;
use crate::report::{Distribution, Report, Saved};

/// The form of a document. Its name for `--format` is its file ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// Text for people; begins with wrk's block of numbers.
    #[default]
    Text,
    /// The whole report. [`Saved`] reads it back.
    Json,
    /// A page in one file. It needs the feature `html`.
    Html,
    /// Markdown for issues, pull requests and job summaries.
    Markdown,
    /// A row for each run, with a column for each number.
    Csv,
    /// Tables for gnuplot: a row for each run, then the series of each.
    Tsv,
    /// JUnit XML for CI: passed and failed test cases.
    Junit,
    /// HdrHistogram's percentile spectrum of one distribution, in milliseconds.
    Hgrm(DistributionName),
    /// HdrHistogram's interval log, version 1.3, with a tag for each distribution.
    Hlog,
}

/// One of a report's main distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionName {
    /// due → arrived; absent if the run has no subscriber.
    Arrival,
    /// due → answered
    Response,
    /// sent → answered
    Service,
    /// due → sent
    Lateness,
    /// Time to make a connection; absent if connections are kept.
    Connect,
}

impl DistributionName {
    const ALL: [Self; 5] =
        [Self::Arrival, Self::Response, Self::Service, Self::Lateness, Self::Connect];

    /// Name in the report.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Arrival => "arrival",
            Self::Response => "response",
            Self::Service => "service",
            Self::Lateness => "lateness",
            Self::Connect => "connect",
        }
    }

    fn of(self, report: &Report) -> Option<&Distribution> {
        match self {
            Self::Arrival => report.arrival.as_ref(),
            Self::Response => Some(&report.latency.response),
            Self::Service => Some(&report.latency.service),
            Self::Lateness => Some(&report.latency.lateness),
            Self::Connect => report.latency.connect.as_ref(),
        }
    }
}

/// File endings and their forms. `.hgrm` contains one distribution; the ending before it names which.
const ENDINGS: [(&str, Form); 12] = [
    ("txt", Form::Text),
    ("json", Form::Json),
    ("html", Form::Html),
    ("md", Form::Markdown),
    ("csv", Form::Csv),
    ("tsv", Form::Tsv),
    ("xml", Form::Junit),
    ("hlog", Form::Hlog),
    ("hgrm", Form::Hgrm(DistributionName::Response)),
    ("arrival.hgrm", Form::Hgrm(DistributionName::Arrival)),
    ("service.hgrm", Form::Hgrm(DistributionName::Service)),
    ("lateness.hgrm", Form::Hgrm(DistributionName::Lateness)),
];

impl Form {
    /// Every form that this build can write.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ENDINGS.into_iter().map(|(_, form)| form).filter(|form| form.is_built())
    }

    /// Name for `--format`: `text`, else the file ending.
    pub(crate) fn name(self) -> &'static str {
        if self == Self::Text { "text" } else { self.ending() }
    }

    /// File ending without the dot.
    pub(crate) fn ending(self) -> &'static str {
        ENDINGS.into_iter().find(|(_, form)| *form == self).map_or("", |(ending, _)| ending)
    }

    /// The form of that name or file ending.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().find(|form| form.name() == name || form.ending() == name)
    }

    /// The form that a file name selects: by the longest ending that it has.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let mut fitting = Vec::new();
        for (ending, form) in ENDINGS {
            if name.strip_suffix(ending).is_some_and(|stem| stem.ends_with('.')) {
                fitting.push((ending, form));
            }
        }
        fitting.into_iter().max_by_key(|(ending, _)| ending.len()).map(|(_, form)| form)
    }

    /// All endings that this build can write, for a message.
    pub(crate) fn endings() -> String {
        let endings: Vec<_> = Self::all().map(|form| format!(".{}", form.ending())).collect();
        endings.join(" ")
    }

    /// Returns false for a form whose feature is off.
    fn is_built(self) -> bool {
        self != Self::Html || cfg!(feature = "html")
    }

    /// JSON and the page keep the strings of a report and escape them; the other forms need printable strings.
    fn keeps_strings(self) -> bool {
        matches!(self, Self::Json | Self::Html)
    }

    /// Returns an error if this form cannot contain such a document, or if this build cannot write it.
    pub(crate) fn fits(self, subject: Subject) -> Result<(), FormError> {
        match (subject, self) {
            (_, Self::Html) if !self.is_built() => Err(FormError::WithoutHtml),
            (Subject::Run { listens: false }, Self::Hgrm(DistributionName::Arrival)) => {
                Err(FormError::NoArrivals)
            }
            (Subject::Ramp, Self::Hgrm(_)) => Err(FormError::ManyDistributions),
            (
                Subject::Comparison,
                Self::Text | Self::Json | Self::Html | Self::Markdown | Self::Junit,
            ) => Ok(()),
            (Subject::Comparison, _) => Err(FormError::NoComparison),
            (Subject::Run { .. } | Subject::Ramp, _) => Ok(()),
        }
    }
}

/// Subject of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// One run.
    Run {
        /// True if the run has a subscriber, so that arrivals are measured.
        listens: bool,
    },
    /// A ramp.
    Ramp,
    /// Two runs or ramps, or two groups of them.
    Comparison,
}

/// A document to render.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// One run.
    Run(&'a Report),
    /// A ramp.
    Ramp(&'a RampReport),
    /// Two runs or ramps, or two groups of them.
    Comparison(&'a Comparison),
}

/// Reasons why a document cannot be written in a form.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// A ramp in a form that contains one distribution.
    #[error("a ramp has distributions for each step and .hgrm contains only one; use .hlog")]
    ManyDistributions,
    /// A comparison as a histogram or a table of runs.
    #[error("a comparison can be written as .txt .json .html .md or .xml only")]
    NoComparison,
    /// The run has no subscriber.
    #[error("the run has no subscriber, so it measures no arrivals")]
    NoArrivals,
    /// The file was cut or edited.
    #[error("the histogram of {0} cannot be read")]
    Histogram(&'static str, #[source] HdrError),
    /// The feature `html` is off.
    #[error(
        "this loadgen was built without the feature html; write .md or .json, or build it with --features html"
    )]
    WithoutHtml,
}

impl<'a> From<&'a Saved> for Document<'a> {
    fn from(saved: &'a Saved) -> Self {
        match saved {
            Saved::Run(report) => Self::Run(report),
            Saved::Ramp(ramp) => Self::Ramp(ramp),
        }
    }
}

impl Document<'_> {
    /// Subject of the document.
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Self::Run(report) => Subject::Run { listens: report.arrival.is_some() },
            Self::Ramp(_) => Subject::Ramp,
            Self::Comparison(_) => Subject::Comparison,
        }
    }

    /// The document as text in the style of a terminal.
    #[cfg_attr(not(feature = "cli"), allow(dead_code))]
    pub(crate) fn styled_text(self, options: TextOptions, style: TextStyle) -> String {
        match self {
            Self::Run(report) => styled_text(&with_printable_strings(report), options, style),
            Self::Ramp(ramp) => styled_ramp_text(&with_printable_strings(ramp), options, style),
            Self::Comparison(comparison) => {
                styled_comparison_text(&with_printable_strings(comparison), options, style)
            }
        }
    }

    /// The text of the document in a form. Strings from outside, such as names and error texts, are made printable.
    pub fn render(self, form: Form, options: TextOptions) -> Result<String, FormError> {
        form.fits(self.subject())?;
        let keeps_strings = form.keeps_strings();
        match self {
            Self::Run(report) if keeps_strings => render_run(report, form, options),
            Self::Run(report) => render_run(&with_printable_strings(report), form, options),
            Self::Ramp(ramp) if keeps_strings => render_ramp(ramp, form, options),
            Self::Ramp(ramp) => render_ramp(&with_printable_strings(ramp), form, options),
            Self::Comparison(comparison) if keeps_strings => {
                render_comparison(comparison, form, options)
            }
            Self::Comparison(comparison) => {
                render_comparison(&with_printable_strings(comparison), form, options)
            }
        }
    }
}

fn render_run(report: &Report, form: Form, options: TextOptions) -> Result<String, FormError> {
    Ok(match form {
        Form::Text => text(report, options),
        Form::Json => report.to_json(),
        #[cfg(feature = "html")]
        Form::Html => html::page(report, options),
        #[cfg(not(feature = "html"))]
        Form::Html => return Err(FormError::WithoutHtml),
        Form::Markdown => markdown::run(report, options),
        Form::Csv => csv::run(report),
        Form::Tsv => tsv::run(report),
        Form::Junit => junit::run(report),
        Form::Hlog => hlog::run(report),
        Form::Hgrm(distribution) => hgrm::run(report, distribution)?,
    })
}

fn render_ramp(ramp: &RampReport, form: Form, options: TextOptions) -> Result<String, FormError> {
    Ok(match form {
        Form::Text => ramp_text(ramp, options),
        Form::Json => ramp.to_json(),
        #[cfg(feature = "html")]
        Form::Html => html::ramp_page(ramp, options),
        #[cfg(not(feature = "html"))]
        Form::Html => return Err(FormError::WithoutHtml),
        Form::Markdown => markdown::ramp(ramp, options),
        Form::Csv => csv::ramp(ramp),
        Form::Tsv => tsv::ramp(ramp),
        Form::Junit => junit::ramp(ramp),
        Form::Hlog => hlog::ramp(ramp),
        Form::Hgrm(_) => return Err(FormError::ManyDistributions),
    })
}

fn render_comparison(
    comparison: &Comparison,
    form: Form,
    options: TextOptions,
) -> Result<String, FormError> {
    Ok(match form {
        Form::Text => comparison_text(comparison, options),
        Form::Json => comparison.to_json(),
        Form::Markdown => markdown::comparison(comparison, options),
        Form::Junit => junit::comparison(comparison),
        #[cfg(feature = "html")]
        Form::Html => html::comparison_page(comparison, options),
        #[cfg(not(feature = "html"))]
        Form::Html => return Err(FormError::WithoutHtml),
        Form::Csv | Form::Tsv | Form::Hlog | Form::Hgrm(_) => {
            return Err(FormError::NoComparison);
        }
    })
}
