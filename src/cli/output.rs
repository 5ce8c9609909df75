//! Destinations of reports. Output files are tested before the run, so that a run is not wasted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{OutputArgs, UsageError};
use super::colour::{self, colour_result};
use super::logger;
use crate::output::TextOptions;
use crate::output::forms::{Document, Form, Subject};
use crate::report::{Allowed, RESULT_LABEL};

/// Bytes written to test an output file; more than a report needs.
const RESERVE: usize = 1 << 20;
/// Environment variable with the path of the job summary under GitHub Actions.
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
    /// Refuses formats that `subject` does not support, and files that cannot be written.
    pub(super) fn check(args: &OutputArgs, subject: Subject) -> anyhow::Result<Self> {
        args.format.fits(subject).map_err(|error| UsageError(format!("--format: {error}")))?;
        let mut files = Vec::new();
        for path in &args.outputs {
            let file = Output::of(path)?;
            let name = format!("--output {}", path.display());
            file.form.fits(subject).map_err(|error| UsageError(format!("{name}: {error}")))?;
            try_write(path).with_context(|| format!("{name} cannot be written"))?;
            files.push(file);
        }
        let options = TextOptions { latency: args.latency, ..TextOptions::default() };
        Ok(Self { form: args.format, files, options })
    }

    /// Sets the faults that the user allows; they change the exit code that the documents name.
    pub(super) fn allowing(mut self, allowed: Allowed) -> Self {
        self.options.allowed = allowed;
        self
    }

    /// Appends the document to the job summary under GitHub Actions.
    pub(super) fn add_to_step_summary(&self, document: Document<'_>) {
        add_to_step_summary(document, self.options);
    }

    /// Writes the document to every file and prints it. A failure does not stop the remaining outputs;
    /// the first error is returned.
    pub(super) fn deliver(&self, document: Document<'_>) -> anyhow::Result<()> {
        let saved = self.files.iter().map(|file| file.write(document, self.options));
        first_error(saved.chain(std::iter::once_with(|| self.print(document))))
    }

    /// Writes an intermediate document to the regular files. Pipes and devices cannot be overwritten, so
    /// they receive the final document only.
    pub(super) fn keep(&self, document: Document<'_>) -> anyhow::Result<()> {
        let kept = self.files.iter().filter(|file| !is_special(&file.path));
        first_error(kept.map(|file| file.write(document, self.options)))
    }

    /// Prints a new result line below a report that is already printed and whose result is outdated.
    pub(super) fn print_result(&self, result: &str) {
        if self.form == Form::Text {
            let line = format!("\n{RESULT_LABEL}{result}\n");
            let line = if colour::is_wanted() { colour_result(&line) } else { line };
            if let Err(error) = print_bytes(line.as_bytes()) {
                log::error!("the result could not be printed: {error}");
            }
        }
    }

    fn print(&self, document: Document<'_>) -> anyhow::Result<()> {
        let mut content = document.render(self.form, self.options)?;
        if self.form == Form::Text && colour::is_wanted() {
            content = colour_result(&content);
        }
        print_bytes(content.as_bytes()).context("the report could not be printed")
    }
}

/// Runs all items; returns the first error and logs the others.
fn first_error(all: impl Iterator<Item = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut first = Ok(());
    for done in all {
        match (&first, done) {
            (Ok(()), done) => first = done,
            (Err(_), Err(error)) => log::error!("{error:#}"),
            (Err(_), Ok(())) => {}
        }
    }
    first
}

impl Output {
    /// Derives the format from the file name extension.
    fn of(path: &Path) -> Result<Self, UsageError> {
        let form = Form::of_file(path).ok_or_else(|| {
            let (name, endings) = (path.display(), Form::endings());
            UsageError(format!("--output {name}: unknown ending; the known ones are {endings}"))
        })?;
        // Write to the target of a symbolic link, so that the rename does not replace the link.
        let path = if path.is_symlink() { fs::canonicalize(path).ok() } else { None }
            .unwrap_or_else(|| path.to_owned());
        Ok(Self { path, form })
    }

    /// Writes the document. A regular file is replaced atomically.
    fn write(&self, document: Document<'_>, options: TextOptions) -> anyhow::Result<()> {
        let name = self.path.display();
        let content =
            document.render(self.form, options).with_context(|| format!("--output {name}"))?;
        let write = if is_special(&self.path) { write_into } else { replace };
        write(&self.path, content.as_bytes())
            .with_context(|| format!("--output {name} could not be written"))
    }
}

/// Returns true if `path` exists and is not a regular file: a pipe, a terminal or a device. Such a path must
/// be written to, because a rename would replace it by a regular file.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// Writes a draft in the same folder, then renames it to `path`.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Writes to an existing pipe or device. A named pipe without a reader is an error: a blocking open would
/// wait forever.
fn write_into(path: &Path, content: &[u8]) -> io::Result<()> {
    let is_pipe = fs::metadata(path)?.file_type().is_fifo();
    let opened = OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let _reader_is_there = opened.map_err(|error| {
        if is_pipe {
            io::Error::new(error.kind(), format!("the pipe has no reader ({error})"))
        } else {
            error
        }
    })?;
    OpenOptions::new().write(true).open(path)?.write_all(content)
}

/// Path of the draft, in the same folder so that the rename stays on one file system.
fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

fn try_write(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if is_special(path) {
        // Do not open it: a reader would take the close for the end of the report.
        return Ok(());
    }
    // An existing file must be writable.
    if path.exists() {
        OpenOptions::new().write(true).open(path)?;
    }
    let draft = draft_of(path);
    let tried = File::create(&draft).and_then(|mut file| {
        file.write_all(&vec![0; RESERVE])?;
        file.sync_all()
    });
    // Remove the draft after a failure too.
    let removed = fs::remove_file(&draft);
    tried.and(removed)
}

/// Appends the document to the job summary. A failure does not fail the job.
fn add_to_step_summary(document: Document<'_>, options: TextOptions) {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else { return };
    let added = document.render(Form::Markdown, options).map_err(io::Error::other);
    let added = added.and_then(|text| {
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        // Another step may have left its text without a final newline.
        file.write_all(format!("\n{text}\n").as_bytes())
    });
    if let Err(error) = added {
        log::warn!("{STEP_SUMMARY} {}: {error}", path.display());
    }
}

/// Writes `content` to stdout. A closed pipe is not an error.
pub(super) fn print_bytes(content: &[u8]) -> io::Result<()> {
    // Messages that came before belong above it.
    logger::flush();
    match io::stdout().write_all(content).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
