//! The percentile spectrum: every percentile of a distribution, with the rare ones given room, as
//! HdrHistogram's plots have it. The x axis is 1 / (1 - quantile) on a logarithmic scale, so that each
//! nine takes the same width.

use super::chart::{Chart, Line, Stop, Tick};
use super::grid::figure;
use super::markup::{Figures, Unit, table};
use super::scale::Scale;
use crate::core::distribution::{Latencies, QUANTILES};

/// Points of a line between one percentile and the one half as far from 100.
const POINTS: u32 = 8;
/// Fewer values than this beyond a percentile, and it is an accident.
const VALUES_BEYOND: f64 = 10.0;
/// The axis begins with the value that this share is below: a logarithmic one would give the few
/// shortest most of the room.
const FIRST: f64 = 0.05;

/// A distribution of a report.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlottedDistribution<'a> {
    pub(super) name: &'a str,
    /// Its JSON pointer.
    pub(super) path: &'a str,
    /// All its values.
    pub(super) hdr: &'a str,
}

/// The spectrum of some distributions, with their percentiles beside it.
pub(super) fn spectrum(figures: &Figures<'_>, distributions: &[PlottedDistribution<'_>]) -> String {
    let lines: Vec<_> = distributions.iter().map(line).collect();
    let points = || lines.iter().flat_map(|l| l.stretches.iter().flatten().chain(&l.faint));
    let most = points().fold(2.0, |most: f64, (x, _)| most.max(*x));
    let seen = || points().filter(|(x, _)| *x >= 1.0 / (1.0 - FIRST)).map(|(_, y)| *y);
    let chart = Chart {
        title: "Percentile spectrum".to_owned(),
        x: Scale::Log(1.0, most),
        x_label: "percentile".to_owned(),
        x_ticks: nines(most),
        y: Scale::log_over(seen()),
        unit: Unit::Time,
        lines,
        stops: stops(figures, distributions, most),
    };
    let note = "Each nine takes the same width. Dotted: fewer than ten values beyond.";
    let chart = if chart.stops.is_empty() {
        "<p>There are no values.</p>".to_owned()
    } else {
        chart.draw()
    };
    figure("Percentile spectrum", note, &chart, &percentiles(figures, distributions))
}

fn line(distribution: &PlottedDistribution<'_>) -> Line {
    let steps = Latencies::from_hdr(distribution.hdr).map(|all| all.steps(POINTS));
    let (mut solid, mut faint) = (Vec::new(), Vec::new());
    for step in steps.unwrap_or_default() {
        let point = (1.0 / (1.0 - step.quantile), step.value.as_micros_f64());
        // The last one is of all values; it stands where one in all of them is beyond.
        let point = if point.0.is_finite() { point } else { (step.count as f64, point.1) };
        let beyond = step.count as f64 * (1.0 - step.quantile);
        if beyond + 1e-6 >= VALUES_BEYOND {
            solid.push(point);
        } else if faint.last().is_none_or(|(x, _)| *x < point.0) {
            faint.push(point);
        }
    }
    // The two parts meet.
    if let (Some(last), false) = (solid.last(), faint.is_empty()) {
        faint.insert(0, *last);
    }
    Line {
        name: distribution.name.to_owned(),
        class: distribution.name.to_owned(),
        stretches: vec![solid],
        faint,
    }
}

fn nines(most: f64) -> Vec<Tick> {
    let mut ticks = vec![Tick { at: 2.0, label: "50 %".to_owned() }];
    let powers = (1..=12).take_while(|power| 10f64.powi(*power) <= most * 1.001);
    ticks.extend(powers.map(|power| {
        let digits = usize::try_from(power - 2).unwrap_or(0);
        let label = format!("{:.digits$} %", 100.0 - 10f64.powi(2 - power));
        Tick { at: 10f64.powi(power), label }
    }));
    ticks
}

/// The percentiles that reports name, and the largest value.
fn named() -> impl Iterator<Item = (String, String, f64)> {
    let name =
        |(key, at): (&str, f64)| (key.replace('_', "."), format!("/{key}"), 1.0 / (1.0 - at));
    let max = ("max".to_owned(), "/max".to_owned(), f64::INFINITY);
    QUANTILES.into_iter().map(name).chain([max])
}

fn stops(figures: &Figures<'_>, distributions: &[PlottedDistribution<'_>], most: f64) -> Vec<Stop> {
    let stop = |(name, path, x): (String, String, f64)| Stop {
        x: x.min(most),
        title: name,
        values: (distributions.iter())
            .map(|d| figures.number(&format!("{}{path}", d.path)))
            .collect(),
    };
    named().map(stop).filter(|stop| stop.values.iter().any(Option::is_some)).collect()
}

fn percentiles(figures: &Figures<'_>, distributions: &[PlottedDistribution<'_>]) -> String {
    let mut head = vec![String::new()];
    head.extend(distributions.iter().map(|d| format!("<i class=\"{0}\"></i>{0}", d.name)));
    let row = |name: &str, path: &str, unit: Unit| {
        let cell = |d: &PlottedDistribution<'_>| figures.show(&format!("{}{path}", d.path), unit);
        std::iter::once(name.to_owned()).chain(distributions.iter().map(cell)).collect()
    };
    let mut rows: Vec<Vec<String>> =
        named().map(|(name, path, _)| row(&name, &path, Unit::Time)).collect();
    rows.extend(["min", "mean", "stdev"].map(|name| row(name, &format!("/{name}"), Unit::Time)));
    rows.push(row("values", "/count", Unit::Count));
    table("Percentiles", &head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;

    #[test]
    fn the_line_goes_through_the_named_percentiles_and_is_faint_beyond_what_is_known() {
        let mut values = Latencies::default();
        (1..=10_000).for_each(|n| values.record(Nanos(n * 1_000)));
        let hdr = values.to_hdr();
        let line = line(&PlottedDistribution { name: "arrival", path: "/arrival", hdr: &hdr });
        for quantile in [0.5, 0.75] {
            let x = 1.0 / (1.0 - quantile);
            let at = line.stretches[0].iter().find(|point| (point.0 - x).abs() < 1e-6);
            let named = values.quantile(quantile).map(Nanos::as_micros_f64);
            assert_eq!(at.map(|point| point.1), named, "{:?}", line.stretches);
        }
        assert!(line.stretches[0].iter().all(|(x, _)| *x <= 1_000.1));
        assert_eq!(line.faint.first(), line.stretches[0].last());
        assert_eq!(line.faint.last().map(|p| p.0), Some(10_000.0));
        let rises =
            |points: &[(f64, f64)]| points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        assert!(rises(&line.stretches[0]) && rises(&line.faint), "{line:?}");
    }

    #[test]
    fn a_broken_blob_leaves_the_rest_standing() {
        let drawn = line(&PlottedDistribution { name: "arrival", path: "/arrival", hdr: "***" });
        assert_eq!((drawn.stretches, drawn.faint), (vec![Vec::new()], Vec::new()));
    }

    #[test]
    fn every_nine_has_its_label() {
        let labels: Vec<_> = nines(100_000.0).into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
    }
}
