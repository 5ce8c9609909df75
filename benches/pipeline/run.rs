//! One run of the pipeline, and figures of its report.

use std::fs;
use std::process::Command;
use std::time::Duration;

use clap::ValueEnum;
use loadgen::report::Report;

use super::common::others::undisturbed;
use super::common::{self, LOADGEN, process};

/// Time that a run may take beyond its duration: start, drain, late stamps.
const GRACE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Stack {
    Spawned,
    Embedded,
}

/// One way to run the pipeline.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run<'a> {
    pub(crate) stack: Stack,
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    /// Further flags.
    pub(crate) flags: &'a str,
    /// Standard error is a terminal, so that progress is drawn.
    pub(crate) terminal: bool,
}

impl Run<'_> {
    /// Runs it as undisturbed as possible. Returns its report, and the CPU share of other processes in percent. A limited
    /// generator has a report, too.
    pub(crate) fn report(&self) -> anyhow::Result<(Report, f64)> {
        undisturbed(|| self.once(), |(_, others)| *others)
    }

    fn once(&self) -> anyhow::Result<(Report, f64)> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("report.json");
        let stack = match self.stack {
            Stack::Spawned => "spawned",
            Stack::Embedded => "embedded",
        };
        let words = format!(
            "--stack {stack} --rate {} --duration {}s {} --allow-limited --output",
            self.rate, self.seconds, self.flags
        );
        let mut command = if self.terminal {
            // `script` provides the terminal. Arguments are passed in variables, so that nothing needs quotes.
            let mut command = Command::new("script");
            command.args(["--quiet", "--return", "--command"]);
            command.arg("stty cols 120; exec \"$BENCH_LOADGEN\" $BENCH_WORDS \"$BENCH_REPORT\"");
            command.arg("/dev/null").env_remove("CI").env("TERM", "xterm");
            command.env("BENCH_LOADGEN", LOADGEN).env("BENCH_WORDS", &words);
            command.env("BENCH_REPORT", &file);
            command
        } else {
            let mut command = Command::new(LOADGEN);
            command.args(words.split_whitespace()).arg(&file);
            command
        };
        common::without_settings(&mut command);
        let (_, cost) = process::run(&mut command, Duration::from_secs(self.seconds) + GRACE)?;
        // Its servers are its children, so their CPU time is part of its own.
        Ok((common::report(&fs::read_to_string(&file)?)?, cost.others(0.0)))
    }
}

/// CPU time of a component for each message sent, in microseconds.
pub(crate) fn cpu_us(report: &Report, component: &str) -> Option<f64> {
    let mut resources = report.resources.iter();
    let used = resources.find(|used| used.component == component)?;
    Some(used.cpu_s * 1e6 / report.requests.sent as f64)
}

/// CPU time of all components for each message sent, in microseconds.
pub(crate) fn cpu_us_of_all(report: &Report) -> f64 {
    let cpu_s: f64 = report.resources.iter().map(|used| used.cpu_s).sum();
    cpu_s * 1e6 / report.requests.sent as f64
}

/// Versions of loadgen, the queue and the broker.
pub(crate) fn servers(report: &Report) -> String {
    let stack = &report.run.stack;
    let servers = [&stack.queue, &stack.broker].into_iter().flatten();
    let named = servers.map(|server| format!("{} ({})", server.version, server.kind));
    let own = format!("loadgen {}", report.tool.version);
    [own].into_iter().chain(named).collect::<Vec<_>>().join(", ")
}
