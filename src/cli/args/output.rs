//! Files and form of a report.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args};

use crate::output::forms::{Form, Subject};

/// Files and format of a report.
#[derive(Debug, Args)]
pub(in crate::cli) struct OutputArgs {
    /// Write the report to a file, repeatable; the ending selects the form: .txt .json .html .md .csv .tsv (gnuplot) .xml (JUnit) .hlog .hgrm (of the response; r.arrival.hgrm of the arrival)
    #[arg(
        short,
        long = "output",
        value_name = "FILE",
        env = "LOADGEN_OUTPUT",
        help_heading = "Report"
    )]
    pub(in crate::cli) outputs: Vec<PathBuf>,

    /// Form of the report on stdout
    #[arg(
        long,
        value_name = "FORM",
        env = "LOADGEN_FORMAT",
        default_value = "text",
        value_parser = form_parser(Form::all()),
        help_heading = "Report"
    )]
    pub(in crate::cli) format: Form,

    /// Print the latency distribution and more percentiles, as wrk; -U, as in wrk2, does the same: the uncorrected latency is the row service
    #[arg(
        short = 'L',
        short_alias = 'U',
        long,
        alias = "u_latency",
        overrides_with = "latency",
        env = "LOADGEN_LATENCY",
        help_heading = "Report"
    )]
    pub(in crate::cli) latency: bool,
}

/// `--output` of a ramp.
pub(super) const RAMP_OUTPUT: &str = "Write the report to a file, repeatable; the ending selects the form: .txt .json .html \
                           .md .csv .tsv (gnuplot) .xml (JUnit) .hlog";

/// Limits `--format` to the formats that this kind of document supports.
pub(super) fn fitting(format: Arg, subject: Subject) -> Arg {
    format.value_parser(form_parser(Form::all().filter(|form| form.fits(subject).is_ok())))
}

/// Reads the name of one of the forms, or its file ending.
fn form_parser(forms: impl Iterator<Item = Form>) -> impl TypedValueParser<Value = Form> {
    let mut names = Vec::new();
    for form in forms {
        let name = PossibleValue::new(form.name());
        names.push(if form.ending() == form.name() { name } else { name.alias(form.ending()) });
    }
    PossibleValuesParser::new(names).try_map(|name| Form::named(&name).ok_or("not a form"))
}
