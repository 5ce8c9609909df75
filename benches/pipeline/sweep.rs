//! The rate sweep: in steps up to the first rate that does not hold, then by bisection between it and the last rate
//! that held.

use loadgen::core::units::format_count;
use loadgen::report::Report;

use super::common::{self, others, table};
use super::run::{self, Run, Stack};

/// The arrival p99 that still counts as holding, in microseconds.
const ARRIVAL_P99: f64 = 50_000.0;
/// Resolution of the result, in requests a second.
const FINEST: u64 = 1_000;
/// Failed runs after which a rate does not hold. One may be due to a disturbance.
const TRIES: usize = 2;

/// Prints every run, and the ceiling.
pub(crate) fn run(stack: Stack, flags: &str, seconds: u64, step: u64) -> anyhow::Result<()> {
    let flags = flags.trim().to_owned();
    let mut sweep = Sweep { stack, flags, seconds, seen: Vec::new(), others: Vec::new() };
    let (mut held, mut broke) = (0, step);
    while sweep.holds(broke)? {
        (held, broke) = (broke, broke + step);
    }
    while broke - held > FINEST {
        let middle = (held + (broke - held) / 2) / FINEST * FINEST;
        let rate = middle.max(held + FINEST);
        if sweep.holds(rate)? {
            held = rate;
        } else {
            broke = rate;
        }
    }
    sweep.print();
    match held {
        0 => println!("No rate held: {} did not.\n", format_count(broke)),
        _ => println!(
            "Ceiling: {} messages/s. {} failed {TRIES} times: {}.\n",
            format_count(held),
            format_count(broke),
            sweep.complaint(broke)
        ),
    }
    Ok(())
}

struct Sweep {
    stack: Stack,
    /// Further flags of every run.
    flags: String,
    seconds: u64,
    seen: Vec<(u64, Report)>,
    /// CPU share of other processes in each run, in percent.
    others: Vec<f64>,
}

impl Sweep {
    fn holds(&mut self, rate: u64) -> anyhow::Result<bool> {
        for _ in 0..TRIES {
            eprintln!("{} messages/s", format_count(rate));
            let (stack, seconds) = (self.stack, self.seconds);
            let flags = format!("--quiet {}", self.flags);
            let run = Run { stack, rate, seconds, flags: &flags, terminal: false };
            let (report, others) = run.report()?;
            let good = complaint(&report).is_none();
            self.seen.push((rate, report));
            self.others.push(others);
            if good {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reason of the last failure at a rate.
    fn complaint(&self, rate: u64) -> String {
        let last = self.seen.iter().rfind(|(seen, _)| *seen == rate);
        last.and_then(|(_, report)| complaint(report)).unwrap_or_default()
    }

    fn print(&mut self) {
        // Stable: tries of one rate stay in their order.
        self.seen.sort_by_key(|(rate, _)| *rate);
        let Some((_, first)) = self.seen.first() else { return };
        let components: Vec<_> =
            first.resources.iter().map(|used| used.component.clone()).collect();
        println!("{}; {}\n", common::occasion(), run::servers(first));
        println!(
            "Whole pipeline on these cores, {} s a rate{}{}; latencies in ms, CPU in µs a message:\n",
            self.seconds,
            if self.flags.is_empty() { "" } else { ", with " },
            self.flags
        );
        let words = ["messages/s", "arrived", "lost", "response p50", "p99", "arrival p50", "p99"];
        let mut header: Vec<String> = words.map(str::to_owned).to_vec();
        header.extend(components.clone());
        header.extend(["sum", "holds"].map(str::to_owned));
        let rows = self.seen.iter().map(|(rate, report)| row(*rate, report, &components));
        table::print(&header, &rows.collect::<Vec<_>>());
        println!("\n{}\n", others::summary(self.others.iter().copied()));
    }
}

/// Why a run did not hold its rate, if it did not.
fn complaint(report: &Report) -> Option<String> {
    let requests = &report.requests;
    let failed = requests.dropped + requests.failed + requests.unfinished;
    let lost = report.messages.as_ref().map_or(0, |messages| messages.lost);
    let arrival = report.arrival.as_ref().and_then(|arrival| arrival.p99);
    let late = arrival.is_none_or(|p99| p99 > ARRIVAL_P99);
    let reasons = [
        (failed > 0).then(|| format!("{} requests failed", format_count(failed))),
        (lost > 0).then(|| format!("{} messages lost", format_count(lost))),
        late.then(|| format!("arrival p99 {} ms", millis(arrival))),
        (!report.verdict.generator.is_valid()).then(|| "generator late".to_owned()),
    ];
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    (!reasons.is_empty()).then(|| reasons.join(", "))
}

fn row(rate: u64, report: &Report, components: &[String]) -> Vec<String> {
    let count = |value: Option<u64>| table::number(value.map(|count| count as f64), 0);
    let arrival = report.arrival.as_ref();
    let messages = report.messages.as_ref();
    let mut row = vec![
        format_count(rate),
        count(messages.map(|messages| messages.arrived)),
        count(messages.map(|messages| messages.lost)),
        millis(report.latency.response.p50),
        millis(report.latency.response.p99),
        millis(arrival.and_then(|arrival| arrival.p50)),
        millis(arrival.and_then(|arrival| arrival.p99)),
    ];
    row.extend(components.iter().map(|name| table::number(run::cpu_us(report, name), 1)));
    row.push(table::number(Some(run::cpu_us_of_all(report)), 1));
    row.push(complaint(report).unwrap_or_else(|| "yes".to_owned()));
    row
}

fn millis(micros: Option<f64>) -> String {
    table::number(micros.map(|micros| micros / 1e3), 2)
}
