//! Documents in the forms that people and other tools read. A form is told by a file's ending; which
//! ending means which form stands here and nowhere else.

mod csv;
mod hgrm;
mod hlog;
mod junit;
mod markdown;
mod tsv;

use std::path::Path;

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::{TextOptions, comparison_text, html, ramp_text, text};
use crate::analysis::compare::Comparison;
use crate::core::distribution::HdrError;
use crate::core::printable::with_printable_strings;
use crate::report::ramp::RampReport;
use crate::report::{Distribution, Report, Saved};

/// A form of a document. Its name for `--format` is its file ending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Form {
    /// For people, as wrk prints.
    #[default]
    Text,
    /// Everything; what [`Saved`] reads back.
    Json,
    /// One self-contained page.
    Html,
    /// For people who read it in a browser: issues, pull requests, step summaries.
    Markdown,
    /// A row of every number for each run.
    Csv,
    /// For gnuplot: the original's columns, then the series.
    Tsv,
    /// JUnit, for CI: what passed and what did not.
    Junit,
    /// HdrHistogram's percentile spectrum of one distribution, in milliseconds.
    Hgrm(DistributionName),
    /// HdrHistogram's interval log, version 1.3: all distributions, tagged.
    Hlog,
}

/// One of a report's main distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DistributionName {
    /// due → arrived; absent where nobody listened.
    Arrival,
    /// due → answered
    Response,
    /// sent → answered
    Service,
    /// due → sent
    Lateness,
    /// Making a connection for one request; absent where they are kept.
    Connect,
}

impl DistributionName {
    const ALL: [Self; 5] =
        [Self::Arrival, Self::Response, Self::Service, Self::Lateness, Self::Connect];

    /// As in the report.
    pub fn name(self) -> &'static str {
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

/// File endings and what they mean. `.hgrm` holds one distribution only: the one named before it.
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

/// In [`ENDINGS`]' order, for clap.
const FORMS: [Form; ENDINGS.len()] = {
    let mut forms = [Form::Text; ENDINGS.len()];
    let mut n = 0;
    while n < forms.len() {
        forms[n] = ENDINGS[n].1;
        n += 1;
    }
    forms
};

impl Form {
    /// The form that a file's name asks for: by the longest ending that it has.
    pub fn of_file(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?;
        let stem = |ending: &str| name.strip_suffix(ending)?.strip_suffix('.');
        let fitting = ENDINGS.iter().filter(|(ending, _)| stem(ending).is_some());
        fitting.max_by_key(|(ending, _)| ending.len()).map(|(_, form)| *form)
    }

    /// All endings, for a message.
    pub fn endings() -> String {
        ENDINGS.map(|(ending, _)| format!(".{ending}")).join(" ")
    }

    /// Whether there is such a form of such a document.
    pub fn fits(self, subject: Subject) -> Result<(), FormError> {
        match (subject, self) {
            (Subject::Run { listens: false }, Self::Hgrm(DistributionName::Arrival)) => {
                Err(FormError::NoArrivals)
            }
            (Subject::Ramp, Self::Hgrm(_)) => Err(FormError::ManyDistributions),
            (Subject::Comparison, Self::Text | Self::Json | Self::Markdown | Self::Junit) => Ok(()),
            (Subject::Comparison, _) => Err(FormError::NoComparison),
            (Subject::Run { .. } | Subject::Ramp, _) => Ok(()),
        }
    }
}

impl ValueEnum for Form {
    fn value_variants<'a>() -> &'a [Self] {
        &FORMS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Text => Some(PossibleValue::new("text").alias("txt")),
            form => {
                let (ending, _) = ENDINGS.iter().find(|(_, known)| known == form)?;
                Some(PossibleValue::new(*ending))
            }
        }
    }
}

/// What a document is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// One run.
    Run {
        /// Whether arrivals are measured.
        listens: bool,
    },
    /// A ramp.
    Ramp,
    /// Two sides' runs or ramps.
    Comparison,
}

/// Something to show.
#[derive(Debug, Clone, Copy)]
pub enum Document<'a> {
    /// One run.
    Run(&'a Report),
    /// A ramp.
    Ramp(&'a RampReport),
    /// Two sides' runs or ramps.
    Comparison(&'a Comparison),
}

/// Why there is no such document.
#[derive(Debug, thiserror::Error)]
pub enum FormError {
    /// A ramp in a form that holds one distribution.
    #[error("a ramp has distributions of each step and .hgrm holds one alone; take .hlog")]
    ManyDistributions,
    /// A comparison as a histogram or a table of runs.
    #[error("a comparison is told as .txt .json .md or .xml")]
    NoComparison,
    /// Nobody listened.
    #[error("no arrivals are measured: nobody listens for messages")]
    NoArrivals,
    /// The file was cut or edited.
    #[error("the histogram of {0} cannot be read")]
    Histogram(&'static str, #[source] HdrError),
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
    /// What it is of.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Run(report) => Subject::Run { listens: report.arrival.is_some() },
            Self::Ramp(_) => Subject::Ramp,
            Self::Comparison(_) => Subject::Comparison,
        }
    }

    /// The document's text in a form. Strings that a run was told by others, or that a file had, are printable in it.
    pub fn render(self, form: Form, options: TextOptions) -> Result<String, FormError> {
        // JSON keeps the data as it is and escapes it in its own way, and so does the page.
        let keeps_strings = matches!(form, Form::Json | Form::Html);
        match self {
            Self::Run(report) if keeps_strings => render_run(report, form, options),
            Self::Run(report) => render_run(&with_printable_strings(report), form, options),
            Self::Ramp(ramp) if keeps_strings => render_ramp(ramp, form, options),
            Self::Ramp(ramp) => render_ramp(&with_printable_strings(ramp), form, options),
            Self::Comparison(comparison) if keeps_strings => render_comparison(comparison, form),
            Self::Comparison(comparison) => {
                render_comparison(&with_printable_strings(comparison), form)
            }
        }
    }
}

fn render_run(report: &Report, form: Form, options: TextOptions) -> Result<String, FormError> {
    Ok(match form {
        Form::Text => text(report, options),
        Form::Json => report.to_json(),
        Form::Html => html::page(report, options),
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
        Form::Html => html::ramp_page(ramp, options),
        Form::Markdown => markdown::ramp(ramp, options),
        Form::Csv => csv::ramp(ramp),
        Form::Tsv => tsv::ramp(ramp),
        Form::Junit => junit::ramp(ramp),
        Form::Hlog => hlog::ramp(ramp),
        Form::Hgrm(_) => return Err(FormError::ManyDistributions),
    })
}

fn render_comparison(comparison: &Comparison, form: Form) -> Result<String, FormError> {
    Ok(match form {
        Form::Text => comparison_text(comparison),
        Form::Json => comparison.to_json(),
        Form::Markdown => markdown::comparison(comparison),
        Form::Junit => junit::comparison(comparison),
        Form::Html | Form::Csv | Form::Tsv | Form::Hlog | Form::Hgrm(_) => {
            return Err(FormError::NoComparison);
        }
    })
}
