//! Where reports go. A file that cannot be written is found out before a run is spent on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{OutputArgs, UsageError};
use crate::report::TextOptions;
use crate::report::forms::{Document, Form, Subject};

/// More than any report has.
const RESERVE: usize = 1 << 20;
/// Where GitHub Actions wants a job's summary.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Stdout and the files that a report will be written to.
#[derive(Debug)]
pub(super) struct Outputs {
    form: Form,
    files: Vec<Output>,
    options: TextOptions,
}

/// A file that a report will be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Output {
    path: PathBuf,
    form: Form,
}

impl Outputs {
    /// Refuses forms that there are not of such a document, and files that cannot be written.
    pub(super) fn check(args: &OutputArgs, subject: Subject) -> anyhow::Result<Self> {
        let unfit = |what: String| move |error| UsageError(format!("{what}: {error}"));
        args.format.fits(subject).map_err(unfit("--format".to_owned()))?;
        let mut files = Vec::new();
        for path in &args.outputs {
            let file = Output::of(path)?;
            let name = format!("--output {}", path.display());
            file.form.fits(subject).map_err(unfit(name.clone()))?;
            try_write(path).with_context(|| format!("{name} cannot be written"))?;
            files.push(file);
        }
        Ok(Self { form: args.format, files, options: TextOptions { latency: args.latency } })
    }

    /// Prints the document.
    pub(super) fn print(&self, document: Document<'_>) -> anyhow::Result<()> {
        let content = document.render(self.form, self.options)?;
        print_bytes(content.as_bytes()).context("the report could not be printed")
    }

    /// Writes the document to every file. One that cannot be written keeps no other from it; the error
    /// is that of the first.
    pub(super) fn save(&self, document: Document<'_>) -> anyhow::Result<()> {
        let mut first = Ok(());
        for file in &self.files {
            let written = file.write(document, self.options);
            match (&first, written) {
                (Ok(()), written) => first = written,
                (Err(_), Err(error)) => log::error!("{error:#}"),
                (Err(_), Ok(())) => {}
            }
        }
        first
    }
}

impl Output {
    /// Tells the form from the ending.
    fn of(path: &Path) -> Result<Self, UsageError> {
        let form = Form::of_file(path).ok_or_else(|| {
            let (name, endings) = (path.display(), Form::endings());
            UsageError(format!("--output {name}: the ending says the form; there are {endings}"))
        })?;
        // A link stays, and what it points to is written.
        let path = if path.is_symlink() { fs::canonicalize(path).ok() } else { None }
            .unwrap_or_else(|| path.to_owned());
        Ok(Self { path, form })
    }

    /// Writes the document: whole, or not at all.
    fn write(&self, document: Document<'_>, options: TextOptions) -> anyhow::Result<()> {
        let name = self.path.display();
        let content =
            document.render(self.form, options).with_context(|| format!("--output {name}"))?;
        let draft = draft_of(&self.path);
        let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, &self.path));
        if written.is_err() {
            let _ = fs::remove_file(&draft);
        }
        written.with_context(|| format!("--output {name} could not be written"))
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

/// Under GitHub Actions the job's summary shows the document, too. That it cannot be added is no reason
/// for a job to fail.
pub(super) fn add_to_step_summary(document: Document<'_>) {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else { return };
    let added = document.render(Form::Markdown, TextOptions::default()).map_err(io::Error::other);
    let added = added.and_then(|text| {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        // Whatever another step left there without an end of line.
        file.write_all(format!("\n{text}\n").as_bytes())
    });
    if let Err(error) = added {
        log::warn!("{STEP_SUMMARY} {}: {error}", path.display());
    }
}

/// Writes all of it to stdout. A reader that has gone away is no error.
pub(super) fn print_bytes(content: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(content).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
