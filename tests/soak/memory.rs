//! Memory of the processes of a pipeline over time.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::pipeline::Pipeline;
use super::support::{children_of, command_line};

/// A process of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Generator,
    Api,
    Push,
    Redis,
    Broker,
}

impl Role {
    pub(crate) const ALL: [Self; 5] =
        [Self::Generator, Self::Api, Self::Push, Self::Redis, Self::Broker];

    /// Most growth after a fifth of the time, in MiB. The servers keep what they once needed for a backlog.
    const fn bound(self) -> u64 {
        match self {
            Self::Generator => 24,
            Self::Api | Self::Push => 16,
            Self::Redis | Self::Broker => 96,
        }
    }
}

/// Memory of all processes at a time, in MiB, in the order of [`Role::ALL`].
#[derive(Debug)]
struct Sample {
    at: Duration,
    resident: [u64; 5],
}

/// Samples of the memory of all processes.
#[derive(Debug, Default)]
pub(crate) struct MemoryLog(Vec<Sample>);

impl MemoryLog {
    pub(crate) fn note(&mut self, at: Duration, pipeline: &Pipeline) {
        let resident = Role::ALL.map(|role| resident_mib(pid(role, pipeline)));
        self.0.push(Sample { at, resident });
    }

    /// Describes a process whose memory grew too much after a fifth of `time`.
    pub(crate) fn growth_above_bound(&self, role: Role, time: Duration) -> Option<String> {
        let mut later = self.0.iter().filter(|sample| sample.at >= time / 5);
        let first = later.next()?.resident[role as usize];
        let most = later.map(|sample| sample.resident[role as usize]).max()?;
        let growth = most.saturating_sub(first);
        let text = format!("{role:?}: {first} MiB grew to {most} MiB");
        (growth > role.bound()).then_some(text)
    }
}

impl Display for MemoryLog {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "MiB of {:?}", Role::ALL)?;
        for Sample { at, resident } in &self.0 {
            writeln!(f, "{:>5} s {resident:>4?}", at.as_secs())?;
        }
        Ok(())
    }
}

fn pid(role: Role, pipeline: &Pipeline) -> u32 {
    match role {
        Role::Generator => pipeline.generator.as_ref().expect("it was started").pid(),
        Role::Api => pipeline.api.process.pid(),
        Role::Push => pipeline.push.process.pid(),
        Role::Redis => server("redis-server", &pipeline.redis.address()),
        Role::Broker => server("mosquitto", &pipeline.broker.address()),
    }
}

/// The server of this process whose configuration has this port.
fn server(program: &str, address: &str) -> u32 {
    let (_, port) = address.split_once(':').expect("a port");
    let is_it = |pid: &u32| {
        let words = command_line(*pid);
        // Redis shows its address in place of its arguments.
        let is_program = words.first().is_some_and(|word| word.contains(program));
        let shown = words.iter().any(|word| word.contains(address));
        let config = words.last().and_then(|file| std::fs::read_to_string(file).ok());
        is_program && (shown || config.is_some_and(|text| text.contains(&format!(" {port} "))))
    };
    let found = children_of(std::process::id()).into_iter().find(is_it);
    found.unwrap_or_else(|| panic!("no {program} at {address}"))
}

fn resident_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|text| text.trim().strip_suffix(" kB"));
    kilobytes.and_then(|text| text.trim().parse::<u64>().ok()).expect("it runs") / 1_024
}
