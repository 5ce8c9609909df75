//! Child processes that cannot outlive us: whatever ends this process, the kernel ends them.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::StackError;

/// Lines of a child's output that are kept to explain its failure.
const KEPT_LINES: usize = 20;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    process: tokio::process::Child,
    pid: u32,
    log: Arc<Mutex<VecDeque<String>>>,
    stdout: mpsc::Receiver<String>,
}

/// Program to start as a child process.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// Name in the report and in errors.
    pub name: &'a str,
    /// Program, as a path or to be found on `PATH`.
    pub program: &'a str,
    /// Arguments; never a secret, since every user can read them.
    pub args: Vec<String>,
    /// Environment beside our own; secrets go here.
    pub env: Vec<(&'static str, String)>,
    /// Text for its standard input.
    pub stdin: Option<String>,
}

impl Child {
    /// Starts it in a process group of its own, so that a Ctrl-C at the terminal reaches only us.
    pub(crate) async fn start(launch: Launch<'_>) -> Result<Self, StackError> {
        let failed = |reason: String| StackError::Start { program: launch.name.to_owned(), reason };
        let mut command = Command::new(launch.program);
        // The settings of this process are not those of the child, which are in `launch`.
        let ours =
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOADGEN_"));
        ours.for_each(|(name, _)| {
            command.env_remove(name);
        });
        command.args(&launch.args).envs(launch.env.iter().map(|(name, value)| (name, value)));
        command.stdin(if launch.stdin.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        die_with_parent(&mut command);
        let mut process = command.spawn().map_err(|e| failed(e.to_string()))?;
        if let (Some(text), Some(mut stdin)) = (launch.stdin, process.stdin.take()) {
            stdin.write_all(text.as_bytes()).await.map_err(|e| failed(e.to_string()))?;
        }
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (lines, stdout) = mpsc::channel(64);
        follow(process.stdout.take(), Arc::clone(&log), Some(lines));
        follow(process.stderr.take(), Arc::clone(&log), None);
        let pid = process.id().unwrap_or_default();
        Ok(Self { name: launch.name.to_owned(), process, pid, log, stdout })
    }

    /// Returns the name of the child.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits for the line of its standard output that `wanted` takes.
    pub(crate) async fn expect_line<R>(
        &mut self,
        within: Duration,
        wanted: impl Fn(&str) -> Option<R>,
    ) -> Result<R, StackError> {
        let search = async {
            while let Some(line) = self.stdout.recv().await {
                if let Some(found) = wanted(&line) {
                    return Some(found);
                }
            }
            None
        };
        match timeout(within, search).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(self.failure("it ended").await),
            Err(_) => Err(self.failure("it is not ready in time").await),
        }
    }

    /// Returns the error of a child that failed: the reason, and the last lines that it printed.
    pub(crate) async fn failure(&mut self, what: &str) -> StackError {
        // Its last lines may not be read yet.
        let _ = timeout(Duration::from_millis(200), self.process.wait()).await;
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let said: Vec<_> = log.iter().rev().take(3).rev().cloned().collect();
        let reason = if said.is_empty() {
            what.to_owned()
        } else {
            format!("{what}; it said: {}", said.join(" | "))
        };
        StackError::Start { program: self.name.clone(), reason }
    }

    /// Returns the exit status if the child has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Sends it SIGTERM, and kills it if it has not ended within `grace`.
    pub(crate) async fn stop(mut self, grace: Duration) {
        if let (Some(pid), None) = (Pid::from_raw(self.pid.cast_signed()), self.ended()) {
            let _ = rustix::process::kill_process(pid, Signal::TERM);
        }
        if timeout(grace, self.process.wait()).await.is_err() {
            let _ = self.process.kill().await;
        }
    }
}

/// Reads lines until the end, keeps the last ones, and passes them on while there is a receiver. An
/// unread pipe would stop the child.
fn follow(
    source: Option<impl AsyncRead + Unpin + Send + 'static>,
    log: Arc<Mutex<VecDeque<String>>>,
    lines: Option<mpsc::Sender<String>>,
) {
    let Some(source) = source else { return };
    tokio::spawn(async move {
        let mut reader = BufReader::new(source);
        let mut bytes = Vec::new();
        while let Ok(1..) = reader.read_until(b'\n', &mut bytes).await {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            bytes.clear();
            if let Some(lines) = &lines {
                let _ = lines.try_send(line.clone());
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            if log.len() == KEPT_LINES {
                log.pop_front();
            }
            log.push_back(line);
        }
    });
}

/// Asks the kernel to kill the child when the thread that starts it ends, even by SIGKILL.
fn die_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    // SAFETY: between fork and exec the closure makes two system calls and touches no memory.
    #[expect(unsafe_code, reason = "the only way to set a death signal from std's Command")]
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have died before the signal was set: then the signal is never sent.
            if rustix::process::getppid() != Some(parent) {
                return Err(std::io::ErrorKind::NotFound.into());
            }
            Ok(())
        })
    };
}
