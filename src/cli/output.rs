//! Destinations of reports. Output files are tested before the run, so that a run is not wasted.

pub(super) mod replace;

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::task::JoinSet;

use self::replace::{link_target, replace, try_replace};
use super::args::{OutputArgs, UsageError};
use super::logger;
use super::signals::Signals;
use super::terminal::stdout_style;
use crate::output::forms::{Document, Form, Subject};
use crate::output::{TextOptions, Tone, result_words};
use crate::report::Allowed;

/// Environment variable with the path of the job summary under GitHub Actions.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// Stdout and the files that a report will be written to.
#[derive(Debug)]
pub(super) struct Outputs {
    form: Form,
    files: Vec<Output>,
    options: TextOptions,
    /// True if a line on stderr names each file that was written.
    names_files: bool,
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
            try_replace(&file.path).with_context(|| format!("{name} cannot be written"))?;
            files.push(file);
        }
        let options = TextOptions { latency: args.latency, ..TextOptions::default() };
        Ok(Self { form: args.format, files, options, names_files: true })
    }

    /// Sets that nothing is said about the files that were written, for `--quiet`.
    pub(super) fn quiet(mut self, is_quiet: bool) -> Self {
        self.names_files = !is_quiet;
        self
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

    /// Writes the document to the regular files, then begins to print it and to write it to pipes and devices, whose
    /// readers may be slow. A failure does not stop the remaining outputs.
    pub(super) fn deliver(&self, document: Document<'_>) -> Delivery {
        let written = self.keep(document);
        let mut pending = JoinSet::new();
        for output in self.files.iter().filter(|output| is_special(&output.path)) {
            let output = output.clone();
            match output.render(document, self.options) {
                Ok(content) => pending.spawn_blocking(move || output.write(&content)),
                Err(error) => pending.spawn_blocking(|| Err(error)),
            };
        }
        match self.render(document) {
            Ok(content) => pending.spawn_blocking(move || print_report(&content)),
            Err(error) => pending.spawn_blocking(|| Err(error)),
        };
        let named = if self.names_files { self.files.clone() } else { Vec::new() };
        Delivery { written, pending, named }
    }

    /// Writes an intermediate document to the regular files. Pipes and devices cannot be overwritten, so
    /// they receive the final document only.
    pub(super) fn keep(&self, document: Document<'_>) -> anyhow::Result<()> {
        let kept = self.files.iter().filter(|file| !is_special(&file.path));
        first_error(kept.map(|file| file.write(&file.render(document, self.options)?)))
    }

    /// Prints a new result line, which is not a good one, below a report that is already printed and whose result is outdated.
    pub(super) fn print_result(&self, result: &str) {
        if self.form == Form::Text {
            let line = format!("\n{}", result_words(result, Tone::Bad, stdout_style()));
            if let Err(error) = print_bytes(line.as_bytes()) {
                log::error!("the result could not be printed: {error}");
            }
        }
    }

    /// The document as it is printed.
    fn render(&self, document: Document<'_>) -> anyhow::Result<String> {
        if self.form == Form::Text {
            return Ok(document.styled_text(self.options, stdout_style()));
        }
        Ok(document.render(self.form, self.options)?)
    }
}

fn print_report(content: &str) -> anyhow::Result<()> {
    print_bytes(content.as_bytes()).context("the report could not be printed")
}

/// A report on its way to stdout, pipes and devices. The regular files are written.
#[derive(Debug)]
#[must_use = "a report is printed when its delivery is finished"]
pub(super) struct Delivery {
    /// Result for the regular files.
    written: anyhow::Result<()>,
    pending: JoinSet<anyhow::Result<()>>,
    /// Files that a line on stderr names when all are written.
    named: Vec<Output>,
}

impl Delivery {
    /// Waits until every reader has taken the report. Returns the first error and logs the others.
    pub(super) async fn finish(mut self) -> anyhow::Result<()> {
        let mut results = vec![self.written];
        while let Some(ended) = self.pending.join_next().await {
            results.push(ended.context("a report was not written").and_then(|result| result));
        }
        first_error(results.into_iter())?;
        for file in self.named.iter().filter(|file| !is_device(&file.path)) {
            logger::say(log::Level::Info, &format!("wrote {}", file.path.display()));
        }
        Ok(())
    }

    /// Does the same as [`Self::finish`], and gives up at the next signal. `None`: interrupted.
    pub(super) async fn finish_unless(self, signals: &mut Signals) -> Option<anyhow::Result<()>> {
        tokio::select! {
            biased;
            delivered = self.finish() => Some(delivered),
            () = signals.next() => {
                log::error!("interrupted: the reader of stdout or of a pipe did not take the whole report");
                None
            }
        }
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
        Ok(Self { path: link_target(path), form })
    }

    fn render(&self, document: Document<'_>, options: TextOptions) -> anyhow::Result<String> {
        document
            .render(self.form, options)
            .with_context(|| format!("--output {}", self.path.display()))
    }

    /// Writes the report. A regular file is replaced atomically.
    fn write(&self, content: &str) -> anyhow::Result<()> {
        let write = if is_special(&self.path) { write_into } else { replace };
        write(&self.path, content.as_bytes())
            .with_context(|| format!("--output {} could not be written", self.path.display()))
    }
}

/// Returns true if `path` exists and is not a regular file: a pipe, a terminal or a device. Such a path must
/// be written to, because a rename would replace it by a regular file.
pub(super) fn is_special(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| !there.is_file())
}

/// Returns true for a terminal or another device, such as `/dev/stdout` or `/dev/null`: a reader sees what it has.
fn is_device(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| there.file_type().is_char_device())
        || path.starts_with("/dev")
        || path.starts_with("/proc")
}

/// Writes to an existing pipe or device. A named pipe without a reader is an error: a blocking open would
/// wait forever.
pub(super) fn write_into(path: &Path, content: &[u8]) -> io::Result<()> {
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

/// Appends the document to the job summary. A failure does not fail the job.
fn add_to_step_summary(document: Document<'_>, options: TextOptions) {
    let Some(path) = std::env::var_os(STEP_SUMMARY).filter(|path| !path.is_empty()) else { return };
    let added = document.render(Form::Markdown, options).map_err(io::Error::other);
    let added = added.and_then(|text| {
        // A pipe without a reader, or with a slow one, is an error: do not wait for it.
        let flags = nix::libc::O_NONBLOCK;
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).custom_flags(flags).open(&path)?;
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
