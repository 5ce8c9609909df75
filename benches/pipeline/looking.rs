//! CPU time of stamps and progress, each against a run without, and of a run with almost no load.

use loadgen::core::units::format_count;
use loadgen::report::Report;

use super::common::rounds::{self, Column};
use super::common::{self, others, table};
use super::run::{self, Run, Stack};

/// Ways to observe a run: a name, the flags, and `true` if standard error is a terminal.
const WAYS: [(&str, &str, bool); 4] = [
    ("as it is: 1 in 100 stamped", "--quiet", false),
    ("next to no stamps: 1 in 100,000", "--quiet --sample 100000", false),
    ("every message stamped", "--quiet --sample 1", false),
    ("progress on a terminal", "", true),
];

/// Prints the table.
pub(crate) fn run(stack: Stack, rate: u64, seconds: u64, rounds: usize) -> anyhow::Result<()> {
    let (idle, _) = Run { stack, rate: 1, seconds, flags: "--quiet", terminal: false }.report()?;
    let names = WAYS.map(|(name, _, _)| name.to_owned());
    let played = rounds::play(&names, rounds, |which| {
        let (_, flags, terminal) = WAYS[which];
        Run { stack, rate, seconds, flags, terminal }.report()
    });
    println!("{}; {}\n", common::occasion(), run::servers(&idle));
    println!(
        "What looking costs at {} messages/s, CPU in µs a message; {seconds} s, medians of \
         {rounds} rounds and of their ratios to the first row:\n",
        format_count(rate)
    );
    played.print("way of looking", &COLUMNS);
    let per_second = |name: &str| {
        let used = idle.resources.iter().find(|used| used.component == name);
        table::number(used.map(|used| used.cpu_s * 1e3 / idle.run.duration_s), 1)
    };
    println!(
        "\nAt 1 message/s the generator takes {} ms of CPU a second and the subscriber {}: \
         looking that does not grow with the load.\n",
        per_second("generator"),
        per_second("subscriber")
    );
    println!("{}\n", others::summary(played.all().map(|(_, others)| *others)));
    for failed in &played.failed {
        println!("Could not run: {failed}.");
    }
    Ok(())
}

const COLUMNS: [Column<(Report, f64)>; 6] = [
    Column {
        title: "generator",
        digits: 2,
        value: |(report, _)| run::cpu_us(report, "generator"),
        compared: true,
    },
    Column {
        title: "subscriber",
        digits: 2,
        value: |(report, _)| run::cpu_us(report, "subscriber"),
        compared: true,
    },
    Column {
        title: "api",
        digits: 2,
        value: |(report, _)| run::cpu_us(report, "api"),
        compared: false,
    },
    Column {
        title: "push",
        digits: 2,
        value: |(report, _)| run::cpu_us(report, "push"),
        compared: false,
    },
    Column {
        title: "all components",
        digits: 2,
        value: |(report, _)| Some(run::cpu_us_of_all(report)),
        compared: true,
    },
    Column {
        title: "arrival p99 ms",
        digits: 2,
        value: |(report, _)| Some(report.arrival.as_ref()?.p99? / 1e3),
        compared: false,
    },
];
