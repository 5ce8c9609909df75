//! A child process that is killed when its value is dropped, and whose output can be read while it runs.

use std::io::Read;
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use super::{LIMIT, SOON, eventually, within};

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    started: Instant,
    stdout: Capture,
    stderr: Capture,
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    /// `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// From its start until its end was seen.
    pub(crate) took: Duration,
}

impl Process {
    /// Starts a command with its output captured and nothing on standard input.
    pub(crate) fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{name} did not start: {e}"));
        let stdout = Capture::of(child.stdout.take());
        let stderr = Capture::of(child.stderr.take());
        Self { name: name.to_owned(), child, started, stdout, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    pub(crate) fn stdout(&self) -> String {
        self.stdout.text()
    }

    pub(crate) fn stderr(&self) -> String {
        self.stderr.text()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.pid(), signal);
    }

    /// Kills it and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for a whole line of standard output that `wanted` accepts, and fails the test without it.
    #[track_caller]
    pub(crate) fn await_line<R>(&mut self, wanted: impl Fn(&str) -> Option<R>) -> R {
        let found = self.find_line(wanted);
        found.unwrap_or_else(|| panic!("{} did not print the line: {self:?}", self.name))
    }

    /// Waits for a whole line of standard output that `wanted` accepts; `None` if the process ends without it.
    pub(crate) fn find_line<R>(&mut self, wanted: impl Fn(&str) -> Option<R>) -> Option<R> {
        let found = within(LIMIT, || {
            // The process first, then its output: a process that ends may print its last line in between.
            let ended = !self.is_running();
            let text = self.stdout();
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            whole.lines().find_map(&wanted).map(Some).or_else(|| ended.then_some(None))
        });
        found.flatten()
    }

    /// Waits until standard error contains `part`.
    #[track_caller]
    pub(crate) fn await_complaint(&self, part: &str) {
        let what = format!("{} saying '{part}'", self.name);
        eventually(&what, || self.stderr().contains(part).then_some(()));
    }

    /// Sends SIGTERM and waits for the end, at most [`SOON`].
    #[track_caller]
    pub(crate) fn terminate(self) -> Finished {
        self.signal(Signal::TERM);
        self.finish_within(SOON)
    }

    /// Waits for its end, at most [`LIMIT`].
    #[track_caller]
    pub(crate) fn finish(self) -> Finished {
        self.finish_within(LIMIT)
    }

    /// Waits for its end, and fails the test after `limit`.
    #[track_caller]
    pub(crate) fn finish_within(mut self, limit: Duration) -> Finished {
        let ended = within(limit, || self.child.try_wait().transpose());
        let Some(status) = ended else {
            panic!("{} still ran after {limit:?}: {self:?}", self.name);
        };
        let status = status.expect("waiting for an own child");
        let took = self.started.elapsed();
        let read_to_end = || (self.stdout.is_complete() && self.stderr.is_complete()).then_some(());
        eventually("the end of the output", read_to_end);
        let (stdout, stderr) = (self.stdout(), self.stderr());
        assert!(!stderr.contains("panicked"), "{} panicked: {stderr}", self.name);
        Finished { code: status.code(), stdout, stderr, took }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that is not a child of ours.
pub(crate) fn signal_to(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    kill_process(pid, signal).expect("the process is there");
}

/// Fills a pipe with empty lines, so that the next write to it waits for a reader.
pub(crate) fn fill_pipe(writer: impl AsFd) {
    let flags = fcntl_getfl(&writer).expect("its flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags of a pipe");
    // Single bytes fill what is left of the last page.
    for chunk in [&[b'\n'; 4096][..], b"\n"] {
        while rustix::io::write(&writer, chunk).is_ok() {}
    }
    fcntl_setfl(&writer, flags).expect("flags of a pipe");
}

/// Output that a thread reads, so that a full pipe never stops the child.
#[derive(Debug)]
struct Capture {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Capture {
    fn of(source: Option<impl Read + Send + 'static>) -> Self {
        let mut source = source.expect("a pipe was asked for");
        let bytes = Arc::<Mutex<Vec<u8>>>::default();
        let kept = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(count @ 1..) = source.read(&mut chunk) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend(&chunk[..count]);
            }
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn is_complete(&self) -> bool {
        self.reader.is_finished()
    }
}
