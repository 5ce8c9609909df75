//! Messages on stderr. A thread writes them from a bounded queue, so that a full stderr stops neither a service
//! nor a run. A message that repeats takes one line a second.

mod line;
mod queue;
mod throttle;

use std::io::{self, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::ValueEnum;
use indicatif::MultiProgress;
use log::{Level, LevelFilter, Log, Metadata, Record};

use self::line::LogLine;
use self::queue::LogQueue;
use self::throttle::MessageKind;
use super::terminal::columns;

/// Longest wait at the end of the process for lines that are not written yet.
const LAST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait for lines that belong above a report.
const SHORT_WAIT: Duration = Duration::from_millis(100);
/// Stack of the writing thread; it formats and writes one line at a time.
const WRITER_STACK: usize = 256 << 10;
/// Modules whose messages are not limited: each of them belongs to one event of the command.
const NOT_LIMITED: &str = "loadgen::cli";

/// Form of the lines on stderr.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// `loadgen: MESSAGE`
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Progress view on the terminal; it is suspended while a message is printed.
static SCREEN: Mutex<Option<MultiProgress>> = Mutex::new(None);
static QUEUE: LogQueue = LogQueue::new();

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
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = || {
            let target = record.module_path_static().unwrap_or("loadgen");
            LogLine::new(record.level(), target, &record.args().to_string())
        };
        if record.target().starts_with(NOT_LIMITED) {
            QUEUE.push(line());
        } else {
            QUEUE.push_limited(MessageKind::of(record), Instant::now(), line);
        }
        write_without_thread();
    }

    fn flush(&self) {
        flush();
    }
}

/// Installs the logger for messages of `level` and above, and starts the thread that writes them.
pub(super) fn install(level: LevelFilter, format: LogFormat) {
    let thread = std::thread::Builder::new().name("log".to_owned()).stack_size(WRITER_STACK);
    QUEUE.set_format(format, columns(&io::stderr()));
    // Without the thread, each message is written by the thread that logs it.
    QUEUE.set_has_writer(true);
    if thread.spawn(|| QUEUE.write_forever(write_line)).is_err() {
        QUEUE.set_has_writer(false);
    }
    // This fails only if a logger is already installed; each process installs one once.
    let _ = log::set_logger(&Stderr);
    log::set_max_level(level);
}

/// Prints a line of the command itself, such as its progress or its error, whatever the level of the log is.
pub(super) fn say(level: Level, text: &str) {
    QUEUE.push(LogLine::new(level, "loadgen", text));
    write_without_thread();
}

/// Waits briefly until the lines before this call are written.
pub(super) fn flush() {
    QUEUE.wait_until_written(SHORT_WAIT);
}

/// Hands over the messages that are held back, and waits until all lines are written or [`LAST_WAIT`] is over.
pub(super) fn finish() {
    QUEUE.release_held();
    write_without_thread();
    QUEUE.wait_until_written(LAST_WAIT);
}

/// Writes the lines of the queue on this thread if the process has no thread for it.
fn write_without_thread() {
    QUEUE.write_if_alone(write_line);
}

/// Writes a line to stderr, above the progress view if there is one.
fn write_line(line: &str) -> io::Result<()> {
    match &*SCREEN.lock().unwrap_or_else(PoisonError::into_inner) {
        Some(screen) => screen.suspend(|| io::stderr().write_all(line.as_bytes())),
        None => io::stderr().write_all(line.as_bytes()),
    }
}
