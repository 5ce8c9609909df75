//! Charts as inline SVG. Positions are percentages of the drawing, so that it fits any width while text and strokes keep
//! their size. Only the lines are stretched.

use std::fmt::Write as _;

use super::chart_marks::ChartMarks;
use super::markup::{Unit, escape};
use super::scale::Scale;
use crate::output::number::NOT_AVAILABLE;

/// CSS classes of the colours for lines without a fixed meaning, used in turn.
pub(super) const COLOURS: [&str; 8] = ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"];
/// With more stops than this no dots are drawn, because they would hide the line.
const MOST_DOTS: usize = 40;
/// Width in pixels of a character of a label.
const CHARACTER: f64 = 7.5;
/// Widths in pixels of a drawing on a screen and on a phone.
const WIDTHS: [f64; 2] = [560.0, 270.0];

/// A labelled value on an axis.
#[derive(Debug, Clone)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// One line.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    /// CSS classes: the colour, and `dash` for the less important of two lines of one colour.
    pub(super) class: String,
    /// Unit of its values in tooltips.
    pub(super) unit: Unit,
    /// Points without gaps: their x and their values.
    pub(super) stretches: Vec<Vec<(f64, Spread)>>,
    /// Points of too few values to be reliable: drawn faintly.
    pub(super) faint: Vec<(f64, f64)>,
}

/// The values that a point of a line stands for. The line is drawn at the median, and a band from the lowest to the highest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spread {
    pub(super) low: f64,
    pub(super) median: f64,
    pub(super) high: f64,
}

impl Spread {
    /// One value.
    pub(super) fn of(value: f64) -> Self {
        Self { low: value, median: value, high: value }
    }

    pub(super) fn is_wide(self) -> bool {
        self.low < self.high
    }

    fn text(self, unit: Unit) -> String {
        let median = unit.write(self.median);
        if self.is_wide() {
            format!("{median} ({} to {})", unit.write(self.low), unit.write(self.high))
        } else {
            median
        }
    }
}

/// A place of the x axis at which pointer and keyboard show the values of the lines.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) x: f64,
    pub(super) title: String,
    /// Values of each line, in the order of the lines.
    pub(super) values: Vec<Option<Spread>>,
    /// True if its values are chance.
    pub(super) is_noise: bool,
}

/// Lines over one x axis.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) title: String,
    pub(super) x: Scale,
    pub(super) x_label: String,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y: Scale,
    pub(super) unit: Unit,
    pub(super) lines: Vec<Line>,
    pub(super) stops: Vec<Stop>,
    pub(super) marks: ChartMarks,
}

impl Chart {
    /// The chart with its legend.
    pub(super) fn draw(&self) -> String {
        let keys = self.lines.iter().map(|line| (line.class.as_str(), line.name.as_str()));
        let noise = self.stops.iter().find(|stop| stop.is_noise).map(|_| ("noise", "noise"));
        let dense = if self.stops.len() > MOST_DOTS { " class=\"dense\"" } else { "" };
        let lines: String = self.lines.iter().map(|line| self.path(line)).collect();
        format!(
            "<div class=\"chart\">{}<div class=\"plot\"><svg{dense} role=\"group\" aria-label=\"Chart: {}\">\n\
             {}{}{}<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" aria-hidden=\"true\">{lines}</svg>\n\
             {}{}</svg></div></div>\n",
            legend(keys.chain(noise)),
            escape(&self.title),
            self.marks.shades(self.x),
            self.y_axis(),
            x_axis(self.x, &self.x_ticks, &self.x_label),
            self.marks.lines(self),
            self.stops()
        )
    }

    fn y_axis(&self) -> String {
        let mut out = String::from("<g class=\"axis\" aria-hidden=\"true\">");
        for tick in self.y.ticks() {
            let (y, label) = (percent(1.0 - self.y.place(tick)), tick_label(tick, self.unit));
            let _ = write!(
                out,
                "<line x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/><text x=\"-8\" y=\"{y}\" dy=\".34em\" \
                 text-anchor=\"end\">{label}</text>"
            );
        }
        out + "</g>\n"
    }

    fn path(&self, line: &Line) -> String {
        let (mut bands, mut d) = (String::new(), String::new());
        for stretch in &line.stretches {
            if stretch.iter().any(|(_, spread)| spread.is_wide()) {
                // Along the highest values, and back along the lowest.
                let high = stretch.iter().map(|(x, spread)| (*x, spread.high));
                let low = stretch.iter().rev().map(|(x, spread)| (*x, spread.low));
                bands += &self.path_data(high.chain(low));
                bands.push('Z');
            }
            d += &self.path_data(stretch.iter().map(|(x, spread)| (*x, spread.median)));
        }
        let class = &line.class;
        let mut out = String::new();
        if !bands.is_empty() {
            let _ = write!(out, "<path class=\"{class} band\" d=\"{bands}\"/>");
        }
        let _ = write!(out, "<path class=\"{class}\" d=\"{d}\"/>");
        if !line.faint.is_empty() {
            let d = self.path_data(line.faint.iter().copied());
            let _ = write!(out, "<path class=\"{class} faint\" d=\"{d}\"/>");
        }
        out
    }

    fn path_data(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut d = String::new();
        for (n, (x, y)) in points.enumerate() {
            let (x, y) = (self.x.place(x) * 1e3, (1.0 - self.y.place(y)) * 1e3);
            let _ = write!(d, "{}{x:.1} {y:.1}", if n == 0 { 'M' } else { 'L' });
        }
        d
    }

    fn stops(&self) -> String {
        let places: Vec<_> = self.stops.iter().map(|stop| self.x.place(stop.x)).collect();
        let mut out = String::new();
        for (n, stop) in self.stops.iter().enumerate() {
            // The pointer area of a stop reaches half-way to its neighbours.
            let before = if n == 0 { -0.02 } else { places[n - 1].midpoint(places[n]) };
            let after = places.get(n + 1).map_or(1.02, |next| next.midpoint(places[n]));
            let place = percent(places[n]);
            let mut marks = format!(
                "<rect x=\"{}\" width=\"{}\" height=\"100%\"/><line x1=\"{place}\" x2=\"{place}\" y2=\"100%\"/>",
                percent(before),
                percent((after - before).max(0.0)),
            );
            for (line, value) in self.lines.iter().zip(&stop.values) {
                let Some(value) = value else { continue };
                let y = percent(1.0 - self.y.place(value.median));
                if value.is_wide() {
                    marks += &self.range(&line.class, &place, *value);
                }
                let (class, noise) = (&line.class, if stop.is_noise { " noise" } else { "" });
                let _ = write!(
                    marks,
                    "<circle class=\"{class}{noise}\" cx=\"{place}\" cy=\"{y}\" r=\"3\"/>"
                );
            }
            let readings = self.lines.iter().zip(&stop.values).map(|(line, value)| Reading {
                class: &line.class,
                name: &line.name,
                value: value.map_or_else(|| NOT_AVAILABLE.to_owned(), |v| v.text(line.unit)),
            });
            out += &reader(n == 0, &stop.title, &readings.collect::<Vec<_>>(), &marks);
        }
        out
    }

    /// The bar from the lowest to the highest value of a point; in a dense chart the band shows them.
    fn range(&self, class: &str, place: &str, spread: Spread) -> String {
        let [low, high] = [spread.low, spread.high].map(|value| 1.0 - self.y.place(value));
        let (y, height) = (percent(high), percent(low - high));
        format!(
            "<rect class=\"{class} range\" x=\"{place}\" y=\"{y}\" width=\"3\" height=\"{height}\"/>"
        )
    }
}

/// A value of a line, for the tooltip and for screen readers.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    /// CSS class of the line.
    pub(super) class: &'a str,
    pub(super) name: &'a str,
    pub(super) value: String,
}

/// A part of a chart with a tooltip, which pointer, keyboard and screen reader can reach. The Tab key reaches the first
/// of a chart, arrow keys the others.
pub(super) fn reader(first: bool, title: &str, readings: &[Reading<'_>], marks: &str) -> String {
    let (mut tip, mut spoken) = (on_one_line(title), format!("{title}:"));
    for (n, Reading { class, name, value }) in readings.iter().enumerate() {
        let _ = write!(tip, "\n{class}\t{}\t{value}", on_one_line(name));
        let _ = write!(spoken, "{} {name} {value}", if n == 0 { "" } else { "," });
    }
    let order = if first { "0" } else { "-1" };
    format!(
        "<g class=\"stop\" tabindex=\"{order}\" role=\"img\" aria-label=\"{}\" data-tip=\"{}\">{marks}</g>\n",
        escape(&spoken),
        escape(&tip)
    )
}

/// Replaces the characters that separate the fields of a tooltip.
fn on_one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

/// The axis below a drawing.
pub(super) fn x_axis(scale: Scale, ticks: &[Tick], label: &str) -> String {
    let mut out = String::from("<g class=\"axis x\" aria-hidden=\"true\">");
    let mut last = [f64::NEG_INFINITY; 2];
    for tick in ticks {
        let place = scale.place(tick.at);
        let at = percent(place);
        let _ = write!(out, "<line x1=\"{at}\" x2=\"{at}\" y2=\"100%\"/>");
        // A label is shown where there is room for it: on phones and screens, or on one of them. At the end of
        // the axis it is left of its tick.
        let width = tick.label.chars().count() as f64 * CHARACTER;
        let (anchor, shift) =
            if place > 0.97 { ("end", width - 12.0) } else { ("middle", width / 2.0) };
        let begins = [0, 1].map(|n| place * WIDTHS[n] - shift);
        let fits = [0, 1].map(|n| begins[n] >= last[n] + 6.0);
        (0..2).filter(|n| fits[*n]).for_each(|n| last[n] = begins[n] + width);
        let class = match fits {
            [true, true] => "",
            [true, false] => " class=\"wide\"",
            [false, true] => " class=\"narrow\"",
            [false, false] => continue,
        };
        let dx = if anchor == "end" { " dx=\"12\"" } else { "" };
        let label = escape(&tick.label);
        let _ = write!(
            out,
            "<text{class} x=\"{at}\" y=\"100%\"{dx} dy=\"18\" text-anchor=\"{anchor}\">{label}</text>"
        );
    }
    let label = escape(label);
    out += &format!(
        "<text class=\"name\" x=\"50%\" y=\"100%\" dy=\"38\" text-anchor=\"middle\">{label}</text></g>\n"
    );
    out
}

/// Class and name of each line.
pub(super) fn legend<'a>(keys: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let keys: String = keys
        .map(|(class, name)| format!("<li><i class=\"{class}\"></i>{}</li>", escape(name)))
        .collect();
    format!("<ul class=\"legend\">{keys}</ul>")
}

/// A round value with its unit, without trailing zeros.
pub(super) fn tick_label(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Time | Unit::TimeIn(_) if value < 999.5 => format!("{} µs", trim(value)),
        Unit::Time | Unit::TimeIn(_) if value < 999_500.0 => format!("{} ms", trim(value / 1e3)),
        Unit::Time | Unit::TimeIn(_) => format!("{} s", trim(value / 1e6)),
        Unit::Percent => format!("{} %", trim(value)),
        Unit::Count | Unit::Rate if value >= 1_000.0 => Unit::Count.write(value),
        Unit::Count | Unit::Rate | Unit::Seconds | Unit::Bytes | Unit::Plain => trim(value),
    }
}

/// A number with up to three decimal places.
fn trim(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Ticks at round values.
pub(super) fn round_ticks(scale: Scale, unit: Unit) -> Vec<Tick> {
    scale.ticks().into_iter().map(|at| Tick { at, label: tick_label(at, unit) }).collect()
}

/// A share of the drawing, in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::html::chart_marks::{Knee, Limit, Shade};

    #[test]
    fn round_values_are_short() {
        for (value, unit, text) in [
            (200.0, Unit::Time, "200 µs"),
            (1_000.0, Unit::Time, "1 ms"),
            (500_000.0, Unit::Time, "500 ms"),
            (2_000_000.0, Unit::Time, "2 s"),
            (0.5, Unit::Count, "0.5"),
            (25_000.0, Unit::Rate, "25,000"),
            (80.0, Unit::Percent, "80 %"),
        ] {
            assert_eq!(tick_label(value, unit), text);
        }
    }

    #[test]
    fn labels_are_shown_where_there_is_room() {
        let ticks: Vec<_> =
            (1..=20).map(|n| Tick { at: f64::from(n), label: format!("{n}00,000") }).collect();
        let axis = x_axis(Scale::Linear(1.0, 20.0), &ticks, "rate");
        let [everywhere, wide, narrow] =
            ["<text x=", "\"wide\"", "\"narrow\""].map(|class| axis.matches(class).count());
        assert!((4..=5).contains(&(everywhere + narrow)), "{axis}");
        assert!((7..=10).contains(&(everywhere + wide)), "{axis}");
    }

    #[test]
    fn a_gap_is_not_drawn_over() {
        let chart = Chart {
            title: "A".to_owned(),
            x: Scale::Linear(0.0, 2.0),
            x_label: "s".to_owned(),
            x_ticks: Vec::new(),
            y: Scale::up_to(10.0),
            unit: Unit::Count,
            lines: vec![Line {
                name: "<a>".to_owned(),
                class: "k1".to_owned(),
                unit: Unit::Count,
                stretches: vec![
                    vec![(0.0, Spread::of(0.0)), (1.0, Spread::of(10.0))],
                    vec![(2.0, Spread::of(5.0))],
                ],
                faint: Vec::new(),
            }],
            stops: vec![Stop {
                x: 1.0,
                title: "1 s".to_owned(),
                values: vec![Some(Spread::of(10.0))],
                is_noise: true,
            }],
            marks: ChartMarks::default(),
        };
        let drawn = chart.draw();
        assert!(drawn.contains("d=\"M0.0 1000.0L500.0 0.0M1000.0 500.0\""), "{drawn}");
        assert!(drawn.contains("aria-label=\"1 s: &lt;a&gt; 10\""), "{drawn}");
        assert!(!drawn.contains("band"), "{drawn}");
        assert!(
            drawn.contains("<i class=\"noise\"></i>noise") && drawn.contains("class=\"k1 noise\"")
        );
    }

    #[test]
    fn a_band_goes_along_the_highest_values_and_back_along_the_lowest() {
        let spread = |low, high| Spread { low, median: 5.0, high };
        let chart = Chart {
            title: "A".to_owned(),
            x: Scale::Linear(0.0, 1.0),
            x_label: "s".to_owned(),
            x_ticks: Vec::new(),
            y: Scale::up_to(10.0),
            unit: Unit::Count,
            lines: vec![Line {
                name: "a".to_owned(),
                class: "k1".to_owned(),
                unit: Unit::Count,
                stretches: vec![vec![(0.0, spread(0.0, 10.0)), (1.0, spread(5.0, 10.0))]],
                faint: Vec::new(),
            }],
            stops: Vec::new(),
            marks: ChartMarks {
                limits: vec![Limit { y: 10.0, label: "a < 10".to_owned() }],
                shades: vec![Shade { from: 0.0, to: 0.5, class: "holds" }],
                knee: Some(Knee { x: 0.5, label: "knee: 5/s".to_owned() }),
            },
        };
        let drawn = chart.draw();
        assert!(
            drawn.contains("band\" d=\"M0.0 0.0L1000.0 0.0L1000.0 500.0L0.0 1000.0Z\""),
            "{drawn}"
        );
        assert!(drawn.contains("d=\"M0.0 500.0L1000.0 500.0\""), "{drawn}");
        assert!(drawn.contains("a &lt; 10</text>"), "{drawn}");
        assert!(drawn.contains("shade holds\"><rect x=\"0.00%\" width=\"50.00%\""), "{drawn}");
        assert!(
            drawn.contains("class=\"knee\"><line x1=\"50.00%\"") && drawn.contains("knee: 5/s")
        );
    }
}
