//! What the library says of its troubles, on stderr.

use std::io::Write as _;

use log::{LevelFilter, Log, Metadata, Record};

struct Stderr;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("loadgen")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            // Nobody may read it any more; that is no reason to stop.
            let _ = writeln!(std::io::stderr(), "loadgen: {}", record.args());
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
