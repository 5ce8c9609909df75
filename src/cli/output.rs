//! Where reports go. A file that cannot be written is found out before a run is spent on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{Format, OutputArgs, UsageError};
use crate::report::ramp::RampReport;
use crate::report::{Report, TextOptions, html, ramp_text, text};

/// More than any report has.
const RESERVE: usize = 1 << 20;

/// What can be shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Document<'a> {
    /// A run's report.
    Run(&'a Report),
    /// A ramp's.
    Ramp(&'a RampReport),
}

/// Stdout and the files that a report will be written to.
#[derive(Debug)]
pub(super) struct Outputs {
    form: Format,
    files: Vec<Output>,
    options: TextOptions,
}

impl Outputs {
    /// Refuses files that cannot be written.
    pub(super) fn check(args: &OutputArgs) -> anyhow::Result<Self> {
        let files =
            args.outputs.iter().map(|path| Output::check(path)).collect::<Result<_, _>>()?;
        Ok(Self { form: args.format, files, options: TextOptions { latency: args.latency } })
    }

    /// Writes the document to every file.
    pub(super) fn save(&self, document: Document<'_>) -> anyhow::Result<()> {
        self.files.iter().try_for_each(|file| file.write(document, self.options))
    }

    /// Prints the document.
    pub(super) fn print(&self, document: Document<'_>) -> anyhow::Result<()> {
        let content = render(document, self.form, self.options);
        print_bytes(content.as_bytes()).context("the report could not be printed")
    }
}

/// A file that a report will be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    path: PathBuf,
    format: Format,
}

impl Output {
    /// Tells the form from the ending, and tries whether the file can be written and the disk has room.
    fn check(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = match ending {
            "json" => Format::Json,
            "html" => Format::Html,
            "txt" => Format::Text,
            _ => {
                let name = path.display();
                return Err(UsageError(format!(
                    "--output {name}: the ending says the form; there are .json, .html and .txt"
                ))
                .into());
            }
        };
        try_write(path)
            .with_context(|| format!("--output {} cannot be written", path.display()))?;
        Ok(Self { path: path.to_owned(), format })
    }

    /// Writes the report: whole, or not at all.
    fn write(&self, document: Document<'_>, options: TextOptions) -> anyhow::Result<()> {
        let content = render(document, self.format, options);
        let draft = draft_of(&self.path);
        let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written.with_context(|| format!("--output {} could not be written", self.path.display()))
    }
}

/// The file beside it that is written first.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn try_write(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    // A file that is there must be ours to replace.
    if path.exists() {
        OpenOptions::new().write(true).open(path)?;
    }
    let draft = draft_of(path);
    let tried = File::create(&draft).and_then(|mut file| {
        file.write_all(&vec![0; RESERVE])?;
        file.sync_all()
    });
    // Nothing is left behind, whether it worked or not.
    let removed = fs::remove_file(&draft);
    tried.and(removed)
}

fn render(document: Document<'_>, format: Format, options: TextOptions) -> String {
    match (document, format) {
        (Document::Run(report), Format::Text) => text(report, options),
        (Document::Run(report), Format::Json) => report.to_json(),
        (Document::Run(report), Format::Html) => html::page(report),
        (Document::Ramp(ramp), Format::Html) => html::ramp_page(ramp),
        (Document::Ramp(ramp), Format::Text) => ramp_text(ramp),
        (Document::Ramp(ramp), Format::Json) => ramp.to_json(),
    }
}

/// Writes all of it to stdout. A reader that has gone away is no error.
pub(super) fn print_bytes(content: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(content).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
