//! CPU time that other processes use during a measurement.

use super::rounds::median;
use super::table::number;

/// The share of the machine, in percent, above which a run is taken again.
const TOLERATED: f64 = 5.0;
/// Most attempts of one run.
const ATTEMPTS: usize = 3;

/// Repeats a measurement that other processes disturbed, up to [`ATTEMPTS`] times, and returns the least disturbed
/// one. `share` is the CPU share of the other processes, in percent.
pub(crate) fn undisturbed<M>(
    mut measure: impl FnMut() -> anyhow::Result<M>,
    share: impl Fn(&M) -> f64,
) -> anyhow::Result<M> {
    let mut best = measure()?;
    let mut taken = share(&best);
    for _ in 1..ATTEMPTS {
        if taken <= TOLERATED {
            break;
        }
        eprintln!("  again: others took {} % of the machine", number(Some(taken), 1));
        let next = measure()?;
        taken = share(&next);
        if taken < share(&best) {
            best = next;
        }
    }
    Ok(best)
}

/// A sentence on the CPU shares of other processes in all runs, in percent.
pub(crate) fn summary(shares: impl Iterator<Item = f64>) -> String {
    let shares: Vec<_> = shares.map(Some).collect();
    let most = shares.iter().flatten().copied().reduce(f64::max);
    format!(
        "Other processes took {} % of the machine meanwhile (median of the runs; at most {} %).",
        number(median(shares.into_iter()), 1),
        number(most, 1)
    )
}
