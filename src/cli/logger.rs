//! What the library says of its troubles, on stderr.

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use indicatif::MultiProgress;
use log::{LevelFilter, Log, Metadata, Record};

use crate::core::printable::message;

/// What is drawn on the terminal, to be moved away for a message.
static SCREEN: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// From now on messages are printed above what this draws.
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
            // Nobody may read it any more; that is no reason to stop.
            let text = message(&record.args().to_string());
            let write = || drop(writeln!(std::io::stderr(), "loadgen: {text}"));
            match &*SCREEN.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(screen) => screen.suspend(write),
                None => write(),
            }
        }
    }

    fn flush(&self) {}
}

/// From now on messages of that level and above are printed.
pub(super) fn install(level: LevelFilter) {
    // It fails only where one is installed, and a process installs one once.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(level);
}
