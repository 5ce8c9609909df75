//! The percentile spectrum: every percentile of a distribution, with much room for the highest ones, as in
//! HdrHistogram's plots. The x axis is 1 / (1 - quantile) on a logarithmic scale, so that each further nine (90 %, 99 %,
//! 99.9 %) takes the same width.

use super::chart::{Chart, Line, Spread, Stop, Tick};
use super::chart_marks::ChartMarks;
use super::grid::figure;
use super::located::{Located, number};
use super::markup::Unit;
use super::scale::Scale;
use super::table::{Cell, table};
use crate::output::number::Statistic;
use crate::report::Distribution;

/// Points of a line between one percentile and the one half as far from 100.
const POINTS: u32 = 8;
/// With fewer values than this beyond it, a percentile is mostly chance. The line is drawn faintly there.
const VALUES_BEYOND: f64 = 10.0;
/// The time axis begins with the value of this quantile. A logarithmic axis would use most of its length for the few
/// shortest values otherwise.
const FIRST: f64 = 0.05;

/// A distribution as a line of the spectrum.
#[derive(Debug, Clone)]
pub(super) struct SpectrumLine<'a> {
    /// Name and CSS class.
    pub(super) name: &'static str,
    pub(super) times: Located<'a, Distribution>,
}

/// The spectrum of some distributions, with the table of their percentiles.
pub(super) fn spectrum(distributions: &[SpectrumLine<'_>]) -> String {
    titled_spectrum("Percentile spectrum", distributions)
}

/// A spectrum with a title of its own.
pub(super) fn titled_spectrum(title: &str, distributions: &[SpectrumLine<'_>]) -> String {
    let lines: Vec<_> = distributions.iter().map(|d| line(d.name, &d.times)).collect();
    let mut points = Vec::new();
    for line in &lines {
        points.extend(line.stretches.iter().flatten().map(|(x, spread)| (*x, spread.median)));
        points.extend(&line.faint);
    }
    let most = points.iter().fold(2.0, |most: f64, (x, _)| most.max(*x));
    let visible = points.iter().filter(|(x, _)| *x >= 1.0 / (1.0 - FIRST)).map(|(_, y)| *y);
    let chart = Chart {
        title: title.to_owned(),
        x: Scale::Log(1.0, most),
        x_label: "percentile".to_owned(),
        x_ticks: nines(most),
        y: Scale::log_over(visible),
        unit: Unit::Time,
        lines,
        stops: stops(distributions, most),
        marks: ChartMarks::default(),
    };
    let note = "At 99 %, 99 of 100 values are not above the line. Dotted: fewer than ten values lie beyond.";
    let chart = if chart.stops.is_empty() {
        "<p>There are no values.</p>".to_owned()
    } else {
        chart.draw()
    };
    figure(title, note, &chart, &percentiles(distributions))
}

/// Statistics of the table.
fn listed() -> impl Iterator<Item = Statistic> {
    named().chain([Statistic::Min, Statistic::Mean, Statistic::Stdev])
}

/// The unit of a distribution's column.
fn column_unit(times: &Distribution) -> Unit {
    Unit::Time.of_column(listed().filter_map(|statistic| statistic.of(times)))
}

/// The line of a saved histogram; without points if the histogram cannot be read.
fn line(name: &str, times: &Distribution) -> Line {
    let steps = times.latencies().map(|all| all.steps(POINTS));
    let (mut solid, mut faint) = (Vec::new(), Vec::new());
    for step in steps.unwrap_or_default() {
        let point = (1.0 / (1.0 - step.quantile), step.value.as_micros_f64());
        // The last step contains all values, at an infinite x. It is drawn where one of all values lies beyond.
        let point = if point.0.is_finite() { point } else { (step.count as f64, point.1) };
        let beyond = step.count as f64 * (1.0 - step.quantile);
        if beyond + 1e-6 >= VALUES_BEYOND {
            solid.push(point);
        } else if faint.last().is_none_or(|(x, _)| *x < point.0) {
            faint.push(point);
        }
    }
    // Joins the two parts of the line.
    if let (Some(last), false) = (solid.last(), faint.is_empty()) {
        faint.insert(0, *last);
    }
    let solid = solid.into_iter().map(|(x, y)| (x, Spread::of(y))).collect();
    Line {
        name: name.to_owned(),
        class: name.to_owned(),
        unit: column_unit(times),
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

/// The places whose values can be read: the percentiles of the report, and the largest value.
fn stops(distributions: &[SpectrumLine<'_>], most: f64) -> Vec<Stop> {
    let mut stops = Vec::new();
    for statistic in named() {
        let values = distributions.iter().map(|d| statistic.of(&d.times).map(Spread::of));
        let values: Vec<_> = values.collect();
        if values.iter().any(Option::is_some) {
            let x = statistic.quantile().map_or(f64::INFINITY, |share| 1.0 / (1.0 - share));
            let title = statistic.label();
            stops.push(Stop { x: x.min(most), title, values, is_noise: false });
        }
    }
    stops
}

fn named() -> impl Iterator<Item = Statistic> {
    Statistic::PERCENTILES.into_iter().chain([Statistic::Max])
}

fn percentiles(distributions: &[SpectrumLine<'_>]) -> String {
    let mut head = vec![String::new()];
    head.extend(distributions.iter().map(|d| format!("<i class=\"{0}\"></i>{0}", d.name)));
    let mut rows = Vec::new();
    for statistic in listed() {
        let mut row = vec![Cell::from(statistic.label())];
        let times = distributions.iter().map(|d| d.times.statistic(statistic));
        row.extend(times.map(|time| time.cell(Unit::Time)));
        rows.push(row);
    }
    let mut counts = vec![Cell::from("values".to_owned())];
    counts.extend(distributions.iter().map(|d| number!(d.times, count).cell(Unit::Count)));
    rows.push(counts);
    table("Percentiles", &head, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::clock::Nanos;
    use crate::core::distribution::Latencies;

    #[test]
    fn the_line_goes_through_the_named_percentiles_and_is_faint_beyond_what_is_known() {
        let mut values = Latencies::default();
        (1..=10_000).for_each(|n| values.record(Nanos(n * 1_000)));
        let line = line("arrival", &Distribution::from(&values));
        for quantile in [0.5, 0.75] {
            let x = 1.0 / (1.0 - quantile);
            let at = line.stretches[0].iter().find(|point| (point.0 - x).abs() < 1e-6);
            let named = values.quantile(quantile).map(Nanos::as_micros_f64);
            assert_eq!(at.map(|point| point.1.median), named, "{:?}", line.stretches);
        }
        assert!(line.stretches[0].iter().all(|(x, _)| *x <= 1_000.1));
        let solid: Vec<_> = line.stretches[0].iter().map(|(x, at)| (*x, at.median)).collect();
        assert_eq!(line.faint.first(), solid.last());
        assert_eq!(line.faint.last().map(|p| p.0), Some(10_000.0));
        for points in [&solid, &line.faint] {
            assert!(points.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1), "{line:?}");
        }
    }

    #[test]
    fn a_histogram_that_cannot_be_read_has_no_line() {
        let broken = Distribution { hdr: "***".to_owned(), ..Distribution::default() };
        let drawn = line("arrival", &broken);
        assert_eq!((drawn.stretches, drawn.faint), (vec![Vec::new()], Vec::new()));
    }

    #[test]
    fn every_nine_has_its_label() {
        let labels: Vec<_> = nines(100_000.0).into_iter().map(|tick| tick.label).collect();
        assert_eq!(labels, ["50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]);
    }
}
