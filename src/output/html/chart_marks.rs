//! Marks of a chart beside its lines: bounds of conditions, the parts where a condition holds and fails, and the knee.

use std::fmt::Write as _;

use super::chart::{Chart, percent};
use super::markup::escape;
use super::scale::Scale;

/// A value of the y axis that matters, such as the bound of a condition.
#[derive(Debug, Clone)]
pub(super) struct Limit {
    pub(super) y: f64,
    pub(super) label: String,
}

/// A part of the x axis that matters.
#[derive(Debug, Clone)]
pub(super) struct Shade {
    pub(super) from: f64,
    pub(super) to: f64,
    /// Name and CSS class: `holds` or `fails`.
    pub(super) class: &'static str,
}

/// The place of the x axis up to which a condition holds.
#[derive(Debug, Clone)]
pub(super) struct Knee {
    pub(super) x: f64,
    pub(super) label: String,
}

/// The marks of a chart.
#[derive(Debug, Clone, Default)]
pub(super) struct ChartMarks {
    pub(super) limits: Vec<Limit>,
    pub(super) shades: Vec<Shade>,
    pub(super) knee: Option<Knee>,
}

impl ChartMarks {
    /// The shaded parts, behind the axes.
    pub(super) fn shades(&self, x_axis: Scale) -> String {
        let mut out = String::new();
        for Shade { from, to, class } in &self.shades {
            let (from, to) = (x_axis.place(*from), x_axis.place(*to));
            let (x, width) = (percent(from), percent((to - from).max(0.0)));
            // The name is at the end of the drawing that is nearer, where names of other parts are not.
            let (at, anchor) =
                if to > 0.99 && from > 0.0 { ("100%", "end") } else { ("0%", "start") };
            let _ = write!(
                out,
                "<g class=\"shade {class}\"><rect x=\"{x}\" width=\"{width}\" height=\"100%\"/>\
                 <text x=\"{at}\" y=\"-6\" text-anchor=\"{anchor}\">{class}</text></g>"
            );
        }
        out
    }

    /// The lines across the chart, in front of its own lines.
    pub(super) fn lines(&self, chart: &Chart) -> String {
        let mut out = String::new();
        for Limit { y, label } in &self.limits {
            let (y, label) = (percent(1.0 - chart.y.place(*y)), escape(label));
            let _ = write!(
                out,
                "<g class=\"limit\"><line x2=\"100%\" y1=\"{y}\" y2=\"{y}\"/>\
                 <text x=\"8\" y=\"{y}\" dy=\"-5\">{label}</text></g>"
            );
        }
        if let Some(Knee { x, label }) = &self.knee {
            let place = chart.x.place(*x);
            let (x, label) = (percent(place), escape(label));
            let anchor = if place > 0.5 { "end" } else { "start" };
            let _ = write!(
                out,
                "<g class=\"knee\"><line x1=\"{x}\" x2=\"{x}\" y2=\"100%\"/>\
                 <text x=\"{x}\" y=\"-6\" text-anchor=\"{anchor}\">{label}</text></g>"
            );
        }
        out
    }
}
