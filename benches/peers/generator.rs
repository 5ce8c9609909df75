//! A run of a load generator on core 1, and its CPU time.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::common;
use super::common::others::undisturbed;
use super::common::process;
use super::common::rounds::{self, Rounds};
use super::nginx::Nginx;
use super::outputs::Figures;

/// Time that a program may run beyond its planned duration.
const GRACE: Duration = Duration::from_secs(30);

/// A row of a table: a program and how it is run.
#[derive(Debug)]
pub(crate) struct Generator {
    pub(crate) name: String,
    words: Vec<OsString>,
    read: fn(&str) -> anyhow::Result<Figures>,
}

/// Figures of a run, and its CPU time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) figures: Figures,
    /// User and system time a request, in microseconds.
    pub(crate) cpu_us: f64,
    /// CPU share of processes other than the generator and nginx, in percent.
    pub(crate) others: f64,
}

impl Generator {
    pub(crate) fn new(
        name: &str,
        program: impl AsRef<Path>,
        words: &str,
        read: fn(&str) -> anyhow::Result<Figures>,
    ) -> Self {
        let mut all = vec![program.as_ref().into()];
        all.extend(words.split_whitespace().map(OsString::from));
        Self { name: name.to_owned(), words: all, read }
    }

    /// Adds one argument, which may contain spaces.
    pub(crate) fn with(mut self, word: impl Into<OsString>) -> Self {
        self.words.push(word.into());
        self
    }

    fn run(&self, nginx: &Nginx, seconds: u64) -> anyhow::Result<Measured> {
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).args(&self.words);
        common::without_settings(&mut command);
        let limit = Duration::from_secs(seconds) + GRACE;
        let nginx_before = nginx.cpu_s()?;
        let (stdout, cost) = process::run(&mut command, limit)?;
        let figures = (self.read)(&stdout)?;
        let others = cost.others(nginx.cpu_s()? - nginx_before);
        Ok(Measured { figures, cpu_us: cost.cpu_s * 1e6 / figures.requests, others })
    }
}

/// Runs all generators in turn.
pub(crate) fn play(
    all: &[Generator],
    nginx: &Nginx,
    seconds: u64,
    rounds: usize,
) -> Rounds<Measured> {
    let names: Vec<_> = all.iter().map(|generator| generator.name.clone()).collect();
    rounds::play(&names, rounds, |which| {
        undisturbed(|| all[which].run(nginx, seconds), |run| run.others)
    })
}
