//! Where reports go. A file that cannot be written is found out before a run is spent on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{OutputArgs, UsageError};
use super::colour::{self, colour_result};
use crate::report::forms::{Document, Form, Subject};
use crate::report::{Allowed, RESULT_LABEL, TextOptions};

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
        let options = TextOptions { latency: args.latency, ..TextOptions::default() };
        Ok(Self { form: args.format, files, options })
    }

    /// Faults that the user lets pass, for the exit code that the documents name.
    pub(super) fn allowing(mut self, allowed: Allowed) -> Self {
        self.options.allowed = allowed;
        self
    }

    /// Under GitHub Actions the job's summary shows the document, too.
    pub(super) fn add_to_step_summary(&self, document: Document<'_>) {
        add_to_step_summary(document, self.options);
    }

    /// Writes the document to every file and prints it. What cannot be written keeps nothing else from
    /// it; the error is that of the first.
    pub(super) fn deliver(&self, document: Document<'_>) -> anyhow::Result<()> {
        let saved = self.files.iter().map(|file| file.write(document, self.options));
        first_error(saved.chain(std::iter::once_with(|| self.print(document))))
    }

    /// Writes what there is so far to the files that keep it: what else is there, as a pipe, gets the
    /// whole at the end.
    pub(super) fn keep(&self, document: Document<'_>) -> anyhow::Result<()> {
        let kept = self.files.iter().filter(|file| !is_special(&file.path));
        first_error(kept.map(|file| file.write(document, self.options)))
    }

    /// Prints another result below a text that is printed already: it was not the last word.
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

/// Does all of it; the first error is returned and the others are logged.
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

    /// Writes the document: whole, or not at all, where it is a file.
    fn write(&self, document: Document<'_>, options: TextOptions) -> anyhow::Result<()> {
        let name = self.path.display();
        let content =
            document.render(self.form, options).with_context(|| format!("--output {name}"))?;
        let write = if is_special(&self.path) { write_into } else { replace };
        write(&self.path, content.as_bytes())
            .with_context(|| format!("--output {name} could not be written"))
    }
}

/// Whether there is something that is no file: a pipe, a terminal, a device. Another in its place would
/// be of no use to who made it.
fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// Writes the whole beside it, then takes its place.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let draft = draft_of(path);
    let written = fs::write(&draft, content).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written
}

/// Writes into what is there. A named pipe that nobody reads is an error: to open it would wait for
/// somebody for ever.
fn write_into(path: &Path, content: &[u8]) -> io::Result<()> {
    let is_pipe = fs::metadata(path)?.file_type().is_fifo();
    let opened = OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(path);
    let _reader_is_there = opened.map_err(|error| match is_pipe {
        true => io::Error::new(error.kind(), format!("nobody reads from the pipe ({error})")),
        false => error,
    })?;
    OpenOptions::new().write(true).open(path)?.write_all(content)
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
    if is_special(path) {
        // Its reader may come later, and would take opening and closing it for all there is.
        return Ok(());
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

/// Appends the document to the job's summary. That it cannot be added is not a reason for a job to fail.
fn add_to_step_summary(document: Document<'_>, options: TextOptions) {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else { return };
    let added = document.render(Form::Markdown, options).map_err(io::Error::other);
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
