//! `compare` separates a change from chance, on real runs against a server with a known service time.

use std::time::Duration;

use loadgen::analysis::compare::compare;
use loadgen::report::{Report, Saved};

use crate::support::{Act, OK, Target, report_from_stdout};

const PAIRS: usize = 10;
const TOLERANCE: f64 = 5.0;

/// A run against a server that takes this long.
fn measure(micros: u64) -> Report {
    let target = Target::always(Act::SayAfter(Duration::from_micros(micros), OK));
    report_from_stdout(&format!("-R 1k -d 5s -c 32 {}", target.url()))
}

/// `true` if `compare` calls the second of two runs worse than the first.
fn is_worse(base: Report, new: Report) -> bool {
    let side = |report| [("r.json".to_owned(), Saved::Run(Box::new(report)))];
    let comparison = compare(&side(base), &side(new), TOLERANCE).expect("like with like");
    let figures = comparison.parts[0].figures.iter();
    let told: Vec<_> = figures
        .filter_map(|figure| Some((&figure.name, figure.change_percent, figure.outcome?)))
        .collect();
    eprintln!("worse: {}, {told:?}", comparison.worse);
    comparison.worse
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
fn two_runs_of_the_same_target_are_not_worse() {
    let worse = (0..PAIRS).filter(|_| is_worse(measure(2_000), measure(2_000))).count();
    assert!(worse <= 1, "{worse} of {PAIRS} pairs of the same were called worse");
}

#[test]
#[ignore = "wants a quiet machine: cargo test --release --test cli -- --ignored --test-threads 1"]
fn a_fifth_more_latency_is_always_worse() {
    let worse = (0..PAIRS).filter(|_| is_worse(measure(2_000), measure(2_400))).count();
    assert_eq!(worse, PAIRS, "pairs with a fifth more latency that were called worse");
}
