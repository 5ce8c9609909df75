//! HdrHistogram's percentile spectrum in the format of its own tools, so that its plotter reads it. Values are in
//! milliseconds, the plotter's default unit.

use std::fmt::Write as _;

use super::{DistributionName, FormError};
use crate::core::clock::Nanos;
use crate::core::distribution::Latencies;
use crate::report::Report;

/// The spectrum of one distribution.
pub(super) fn run(report: &Report, name: DistributionName) -> Result<String, FormError> {
    let distribution = name.of(report).ok_or(FormError::NoArrivals)?;
    let latencies =
        distribution.latencies().map_err(|error| FormError::Histogram(name.name(), error))?;
    Ok(spectrum(&latencies))
}

fn spectrum(latencies: &Latencies) -> String {
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for step in latencies.spectrum() {
        let (value, quantile) = (millis(step.value.0 as f64), step.quantile);
        let _ = write!(out, "{value:>12.3} {quantile:>2.12} {:>10}", step.up_to);
        // The last line has no values above it, and no fourth column.
        if quantile < 1.0 {
            let _ = write!(out, " {:>14.2}", 1.0 / (1.0 - quantile));
        }
        out.push('\n');
    }
    let mean = millis(latencies.mean().unwrap_or_default());
    let stdev = millis(latencies.stdev().unwrap_or_default());
    let max = millis(latencies.max().unwrap_or(Nanos(0)).0 as f64);
    let _ = writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {stdev:>12.3}]");
    let _ = writeln!(out, "#[Max     = {max:>12.3}, Total count    = {:>12}]", latencies.count());
    let (buckets, sub_buckets) = latencies.buckets();
    let _ = writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]");
    out
}

fn millis(nanos: f64) -> f64 {
    nanos / 1e6
}
