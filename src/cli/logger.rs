//! Logger that prints the library's warnings and errors to stderr.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;
use log::{LevelFilter, Log, Metadata, Record};

use crate::core::printable::message;

/// Progress view on the terminal; it is suspended while a message is printed.
static SCREEN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// Registers a progress view; later messages are printed above it.
pub(super) fn make_room(screen: MultiProgress) {
    *SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(screen);
}

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("loadgen")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = message(&record.args().to_string());
            match &*SCREEN.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(screen) => screen.suspend(|| write_line(&text)),
                None => write_line(&text),
            }
        }
    }

    fn flush(&self) {}
}

/// Installs the logger for messages of `level` and above.
pub(super) fn install(level: LevelFilter) {
    // This fails only if a logger is already installed; each process installs one once.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(level);
}

/// Writes a line to stderr. A closed stderr must not stop the run.
fn write_line(text: &str) {
    let _ = writeln!(std::io::stderr(), "loadgen: {text}");
}
