//! loadgen beside other load generators, on one nginx: a closed loop for the CPU time of a request, and an open loop
//! at a set rate for the lateness.
//!
//! `cargo bench --bench peers [-- --seconds 5 --pairs 5 --only closed]`. It wants nginx, `taskset`,
//! two cores, and nothing else running. nginx has core 0, the generator core 1, so that CPU time a
//! request is the generator's own. Peers are searched on `PATH`, or given by a variable of their name
//! (`WRK2=/opt/wrk2/wrk`). Missing ones are named at the end.

#[path = "../common/mod.rs"]
mod common;

mod bare;
mod closed;
mod generator;
mod nginx;
mod open;
mod outputs;
mod post;
mod programs;

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

use nginx::Nginx;
use programs::Programs;

/// Compares loadgen with other load generators
#[derive(Debug, Parser)]
struct Args {
    /// Length of a closed-loop run in seconds; an open-loop run lasts twice as long
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,

    /// Rounds: in each one every program runs once
    #[arg(long, default_value = "5", value_parser = clap::value_parser!(u64).range(1..=100))]
    pairs: u64,

    /// One of the two parts
    #[arg(long)]
    only: Option<Part>,

    /// Passed by cargo to every bench
    #[arg(long, hide = true)]
    bench: bool,

    /// Be the bare loop on this address
    #[arg(long, hide = true)]
    bare: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Closed,
    Open,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if let Some(address) = args.bare {
        return bare::run(address, closed::CONNECTIONS, args.seconds);
    }
    if !args.bench {
        println!("peers: nothing is measured without `cargo bench --bench peers`");
        return Ok(());
    }
    let programs = Programs::find()?;
    let nginx = Nginx::start(&programs)?;
    let wanted = |part| args.only.is_none_or(|only| only == part);
    let mut absent = programs.missing();
    println!("{}; {}\n", common::occasion(), programs.versions());
    if wanted(Part::Closed) {
        absent.extend(closed::run(&programs, &nginx, args.seconds, args.pairs as usize)?);
    }
    if wanted(Part::Open) {
        absent.extend(open::run(&programs, &nginx, 2 * args.seconds, args.pairs as usize)?);
    }
    if !absent.is_empty() {
        println!("Not in the tables: {}.", absent.join(", "));
    }
    Ok(())
}
