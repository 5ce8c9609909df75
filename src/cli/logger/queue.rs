//! Bounded queue between those that log and the thread that writes.

use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::Level;

use super::LogFormat;
use super::line::LogLine;
use super::throttle::{MessageKind, Throttle};

/// Most lines that wait to be written; later ones are left out and counted.
const MOST_LINES: usize = 256;
/// Pause before the next attempt to write to a full stderr that does not block.
const FULL_PAUSE: Duration = Duration::from_millis(100);

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct LogQueue {
    state: Mutex<QueueState>,
    /// Signals that `state` has changed.
    changed: Condvar,
}

#[derive(Debug)]
struct QueueState {
    lines: VecDeque<LogLine>,
    throttle: Throttle,
    /// Messages for which the queue had no place, not yet reported.
    left_out: u64,
    is_writing: bool,
    has_writer: bool,
    format: LogFormat,
    /// Columns of the terminal that stderr is; `None` if it is not one.
    columns: Option<usize>,
}

impl QueueState {
    fn push(&mut self, line: LogLine) {
        if self.lines.len() < MOST_LINES {
            self.lines.push_back(line);
        } else {
            self.left_out += 1 + line.suppressed;
        }
    }

    /// Takes the next line; behind all others the number of those left out.
    fn take_line(&mut self) -> Option<String> {
        let line = self.lines.pop_front().or_else(|| {
            let count = std::mem::take(&mut self.left_out);
            let text = format!("messages left out of this log, because stderr was full: {count}");
            (count > 0).then(|| LogLine::new(Level::Warn, "loadgen", &text))
        });
        line.map(|line| line.render(self.format, self.columns))
    }

    fn is_idle(&self) -> bool {
        !self.is_writing && self.lines.is_empty() && self.left_out == 0
    }
}

impl LogQueue {
    pub(super) const fn new() -> Self {
        let state = QueueState {
            lines: VecDeque::new(),
            throttle: Throttle::new(),
            left_out: 0,
            is_writing: false,
            has_writer: false,
            format: LogFormat::Text,
            columns: None,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The state; it is never locked while a line is written.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the form of the lines, and the columns of the terminal that they are for.
    pub(super) fn set_format(&self, format: LogFormat, columns: Option<usize>) {
        let mut state = self.lock();
        (state.format, state.columns) = (format, columns);
    }

    /// Sets whether a thread runs [`Self::write_forever`].
    pub(super) fn set_has_writer(&self, has_writer: bool) {
        self.lock().has_writer = has_writer;
    }

    /// Appends a line. If the queue is full, the line is left out and counted.
    pub(super) fn push(&self, line: LogLine) {
        self.lock().push(line);
        self.changed.notify_all();
    }

    /// Appends a message if its kind had no line in the last second. Otherwise it is held or counted.
    pub(super) fn push_limited(
        &self,
        kind: MessageKind,
        now: Instant,
        line: impl FnOnce() -> LogLine,
    ) {
        let mut state = self.lock();
        let had_due = state.throttle.next_due().is_some();
        let admitted = state.throttle.admit(kind, now, line);
        // The writer needs to know of a line, and of the first time at which one is due.
        let wake = admitted.is_some() || !had_due;
        if let Some(line) = admitted {
            state.push(line);
        }
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Appends the messages that are held back, before their second is over.
    pub(super) fn release_held(&self) {
        let mut state = self.lock();
        for line in state.throttle.take_all() {
            state.push(line);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until all lines are written, at most `limit`.
    pub(super) fn wait_until_written(&self, limit: Duration) {
        let state = self.lock();
        // The result says only whether the time was up.
        let _ = self.changed.wait_timeout_while(state, limit, |state| !state.is_idle());
    }

    /// Writes the lines as they come, and never returns. Only this thread waits for a full stderr.
    pub(super) fn write_forever(&self, mut write: impl FnMut(&str) -> io::Result<()>) {
        loop {
            let line = self.wait_for_line();
            // A stderr that does not block and is full. Any other failure, such as a closed pipe, will not pass.
            while write(&line).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                std::thread::sleep(FULL_PAUSE);
            }
            self.lock().is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Writes the lines that wait, if no thread does.
    pub(super) fn write_if_alone(&self, mut write: impl FnMut(&str) -> io::Result<()>) {
        loop {
            let mut state = self.lock();
            let Some(line) = (!state.has_writer).then(|| state.take_line()).flatten() else {
                return;
            };
            drop(state);
            let _ = write(&line);
        }
    }

    fn wait_for_line(&self) -> String {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            for line in state.throttle.take_due(now) {
                state.push(line);
            }
            if let Some(line) = state.take_line() {
                state.is_writing = true;
                return line;
            }
            state = match state.throttle.next_due() {
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due.duration_since(now));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn line(number: u64) -> LogLine {
        LogLine::new(Level::Warn, "loadgen", &format!("line {number}"))
    }

    /// Runs `test` while a thread writes to a channel that holds no line: each write waits for its reader.
    fn with_slow_reader(queue: &'static LogQueue, test: impl FnOnce(&mpsc::Receiver<String>)) {
        let (sender, lines) = mpsc::sync_channel(0);
        queue.set_has_writer(true);
        std::thread::spawn(move || {
            queue.write_forever(|line| sender.send(line.to_owned()).map_err(io::Error::other));
        });
        test(&lines);
    }

    #[test]
    fn lines_beyond_the_queue_are_counted_and_the_count_is_written() {
        static QUEUE: LogQueue = LogQueue::new();
        with_slow_reader(&QUEUE, |lines| {
            let most = MOST_LINES as u64;
            // The channel has no reader yet: this must not wait.
            (0..most + 100).for_each(|number| QUEUE.push(line(number)));
            let mut read = Vec::new();
            while !read.last().is_some_and(|line: &String| line.contains("left out")) {
                read.push(lines.recv_timeout(Duration::from_secs(60)).expect("a line"));
            }
            // The thread holds one line more, if it was quick enough.
            let written = read.len() as u64 - 1;
            assert!((most..=most + 1).contains(&written), "{written}");
            let count = format!("stderr was full: {}\n", most + 100 - written);
            assert!(read.last().is_some_and(|line| line.ends_with(&count)), "{read:?}");
        });
    }

    #[test]
    fn the_end_waits_for_lines_but_not_for_ever() {
        static QUEUE: LogQueue = LogQueue::new();
        with_slow_reader(&QUEUE, |lines| {
            QUEUE.push(line(1));
            QUEUE.wait_until_written(Duration::from_millis(1));
            let reader = lines.recv_timeout(Duration::from_secs(60)).expect("a line");
            assert_eq!(reader, "loadgen: line 1\n");
            QUEUE.wait_until_written(Duration::from_secs(60));
            assert!(QUEUE.lock().is_idle());
        });
    }

    #[test]
    fn held_messages_are_written_at_the_end() {
        static QUEUE: LogQueue = LogQueue::new();
        let kind = MessageKind::of(&log::Record::builder().build());
        for number in 0..5 {
            QUEUE.push_limited(kind, Instant::now(), || line(number));
        }
        QUEUE.release_held();
        let mut written = Vec::new();
        QUEUE.write_if_alone(|line| {
            written.push(line.to_owned());
            Ok(())
        });
        let held = "loadgen: line 1 (3 more like this in the last second)\n";
        assert_eq!(written, ["loadgen: line 0\n", held]);
    }
}
