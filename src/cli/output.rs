//! Where reports go. A file that cannot be written is found out before a run is spent on it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::args::{Format, UsageError};
use crate::report::{Report, TextOptions, text};

/// More than any report has.
const RESERVE: usize = 1 << 20;

/// A file that a report will be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    path: PathBuf,
    format: Format,
}

impl Output {
    /// Tells the form from the ending, and tries whether the file can be written and the disk has room.
    pub(super) fn check(path: &Path) -> anyhow::Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let format = match ending {
            "json" => Format::Json,
            "txt" => Format::Text,
            _ => {
                let name = path.display();
                return Err(UsageError(format!(
                    "--output {name}: the ending says the form; there are .json and .txt"
                ))
                .into());
            }
        };
        try_write(path)
            .with_context(|| format!("--output {} cannot be written", path.display()))?;
        Ok(Self { path: path.to_owned(), format })
    }

    /// Writes the report: whole, or not at all.
    pub(super) fn write(&self, report: &Report, options: TextOptions) -> anyhow::Result<()> {
        let content = render(report, self.format, options);
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

fn render(report: &Report, format: Format, options: TextOptions) -> String {
    match format {
        Format::Text => text(report, options),
        Format::Json => report.to_json(),
    }
}

/// Prints the report. A reader that has gone away is no error.
pub(super) fn print(report: &Report, format: Format, options: TextOptions) -> anyhow::Result<()> {
    let content = render(report, format, options);
    match io::stdout().write_all(content.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("the report could not be printed")
        }
        _ => Ok(()),
    }
}
