//! The whole pipeline on this machine: the highest rate that holds, the CPU time of each component per message, and
//! the cost of observing.
//!
//! `cargo bench --bench pipeline [-- --seconds 5 --only sweep]`. It needs redis-server, mosquitto, and a quiet
//! machine.

#[path = "../common/mod.rs"]
mod common;

mod looking;
mod run;
mod sweep;

use clap::{Parser, ValueEnum};

use run::Stack;

/// Finds the rate that the pipeline holds
#[derive(Debug, Parser)]
struct Args {
    /// Length of a run in seconds
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Origin of the queue and the broker
    #[arg(long, default_value = "spawned")]
    stack: Stack,

    /// The sweep's first rate, and its step; between the last that held and the first that did not
    /// it goes on by halves, down to 1,000
    #[arg(long, default_value = "8000", value_parser = clap::value_parser!(u64).range(1000..))]
    step: u64,

    /// Further flags of every run of the sweep, such as "--tick 200us"
    #[arg(long, default_value = "", allow_hyphen_values = true)]
    flags: String,

    /// The rate at which looking is measured
    #[arg(long, default_value = "16000", value_parser = clap::value_parser!(u64).range(1..))]
    rate: u64,

    /// Rounds of looking: in each one every way of looking runs once
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u64).range(1..=100))]
    pairs: u64,

    /// One of the two parts
    #[arg(long)]
    only: Option<Part>,

    /// Passed by cargo to every bench
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Sweep,
    Looking,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if !args.bench {
        println!("pipeline: nothing is measured without `cargo bench --bench pipeline`");
        return Ok(());
    }
    let wanted = |part| args.only.is_none_or(|only| only == part);
    if wanted(Part::Sweep) {
        sweep::run(args.stack, &args.flags, args.seconds, args.step)?;
    }
    if wanted(Part::Looking) {
        looking::run(args.stack, args.rate, args.seconds, args.pairs as usize)?;
    }
    Ok(())
}
