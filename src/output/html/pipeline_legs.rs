//! The arrows of the diagram: the time between two components, if it was measured.

use super::located::{Located, ShownNumber, field};
use super::markup::{Unit, escape};
use super::pipeline::DiagramBox;
use crate::message::{Checkpoint, StagePair};
use crate::output::number::{Statistic, bound_of_zero};
use crate::report::{Distribution, Report};

/// The ways of a message through the whole pipeline, and the component at the end of each.
const PIPELINE: [(StagePair, DiagramBox); 5] = [
    (StagePair { from: Checkpoint::Sent, to: Checkpoint::Api }, DiagramBox::Api),
    (StagePair { from: Checkpoint::Api, to: Checkpoint::Queued }, DiagramBox::Queue),
    (StagePair { from: Checkpoint::Queued, to: Checkpoint::Popped }, DiagramBox::Push),
    (StagePair { from: Checkpoint::Popped, to: Checkpoint::Published }, DiagramBox::Broker),
    (StagePair { from: Checkpoint::Published, to: Checkpoint::Arrived }, DiagramBox::Subscriber),
];

/// High percentiles that an arrow can show; the first one that all its neighbours have too is shown.
const TAILS: [Statistic; 3] = [Statistic::P99, Statistic::P95, Statistic::P90];

/// The arrow to a component.
#[derive(Debug)]
pub(super) struct Leg<'a> {
    pub(super) to: DiagramBox,
    pub(super) time: LegTime<'a>,
}

/// The time that an arrow stands for.
#[derive(Debug)]
pub(super) enum LegTime<'a> {
    /// From the component before to this one.
    OneWay(Timing<'a>),
    /// To this component and back.
    RoundTrip(Timing<'a>),
    NotMeasured,
}

/// A time with its name, such as `sent → api`.
#[derive(Debug)]
pub(super) struct Timing<'a> {
    name: String,
    times: Located<'a, Distribution>,
    /// Upper bound of a median that was rounded to zero.
    bound_of_p50: Option<f64>,
}

/// Percentile and units of all arrows of a diagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct LegStyle {
    /// `None` if the times have too few values for a high percentile.
    pub(super) tail: Option<Statistic>,
    p50_unit: Unit,
    tail_unit: Unit,
}

/// Returns true if the report has the times between all components of the pipeline.
pub(super) fn has_all_stages(report: &Located<'_, Report>) -> bool {
    PIPELINE.iter().all(|(pair, _)| stage(report, *pair).is_some())
}

/// The arrows through the pipeline that loadgen knows.
pub(super) fn pipeline_legs<'a>(report: &Located<'a, Report>) -> Vec<Leg<'a>> {
    let mut legs = Vec::new();
    for (pair, to) in PIPELINE {
        let time = match stage(report, pair) {
            Some(timing) => LegTime::OneWay(timing),
            None if to == DiagramBox::Api => LegTime::RoundTrip(round_trip(report)),
            None => LegTime::NotMeasured,
        };
        legs.push(Leg { to, time });
    }
    legs
}

/// The arrow to a target, and one to the subscriber if arrivals were measured.
pub(super) fn target_legs<'a>(report: &Located<'a, Report>) -> Vec<Leg<'a>> {
    let there_and_back = LegTime::RoundTrip(round_trip(report));
    let mut legs = vec![Leg { to: DiagramBox::Target, time: there_and_back }];
    if report.messages.is_some() {
        legs.push(Leg { to: DiagramBox::Subscriber, time: LegTime::NotMeasured });
    }
    legs
}

fn round_trip<'a>(report: &Located<'a, Report>) -> Timing<'a> {
    Timing::new("sent → answered", field!(report, latency.service))
}

/// The time of a stage; `None` if it has no median.
fn stage<'a>(report: &Located<'a, Report>, pair: StagePair) -> Option<Timing<'a>> {
    let stages = field!(report, stages);
    let stage = stages.items().find(|stage| stage.from == pair.from && stage.to == pair.to)?;
    let p50 = stage.distribution.p50?;
    let timing = Timing::new(&format!("{} → {}", pair.from, pair.to), stage.times());
    Some(Timing {
        bound_of_p50: bound_of_zero(Some(p50), report.run.clock.error_bound_us),
        ..timing
    })
}

impl<'a> Timing<'a> {
    pub(super) fn new(name: &str, times: Located<'a, Distribution>) -> Self {
        Self { name: name.to_owned(), times, bound_of_p50: None }
    }

    fn p50(&self) -> ShownNumber {
        self.times.statistic(Statistic::P50).bounded_by(self.bound_of_p50)
    }

    /// The whole way of a message, above the boxes.
    pub(super) fn draw_whole(&self, style: LegStyle) -> String {
        let (name, p50) = (escape(&self.name), self.times.show(Statistic::P50));
        let tail =
            style.tail.map(|tail| format!(", {} <b>{}</b>", tail.label(), self.times.show(tail)));
        let tail = tail.unwrap_or_default();
        format!("<p class=\"journey\"><span>{name}: p50 <b>{p50}</b>{tail}</span></p>\n")
    }
}

impl LegTime<'_> {
    fn timing(&self) -> Option<&Timing<'_>> {
        match self {
            Self::OneWay(timing) | Self::RoundTrip(timing) => Some(timing),
            Self::NotMeasured => None,
        }
    }

    pub(super) fn draw(&self, style: LegStyle) -> String {
        let Some(timing) = self.timing() else {
            return "<li class=\"way unknown\"><i></i><small>not measured</small></li>\n"
                .to_owned();
        };
        let p50 = timing.p50().show(style.p50_unit);
        let tail = style.tail.map(|tail| {
            let shown = timing.times.statistic(tail).show(style.tail_unit);
            format!("<small>{} {shown}</small>", tail.label())
        });
        let (name, tail) = (escape(&timing.name), tail.unwrap_or_default());
        match self {
            Self::RoundTrip(_) => format!(
                "<li class=\"way round\"><small>{name}</small><span>{p50}</span><i></i>{tail}</li>\n"
            ),
            _ => {
                format!("<li class=\"way\" title=\"{name}\"><span>{p50}</span><i></i>{tail}</li>\n")
            }
        }
    }
}

impl LegStyle {
    pub(super) fn new(legs: &[Leg<'_>]) -> Self {
        let timings: Vec<_> = legs.iter().filter_map(|leg| leg.time.timing()).collect();
        let is_known =
            |tail: &Statistic| timings.iter().all(|timing| tail.of(&timing.times).is_some());
        let tail = TAILS.into_iter().find(is_known);
        let medians = timings.iter().filter_map(|timing| timing.p50().drawn_value());
        let tails = timings.iter().filter_map(|timing| tail?.of(&timing.times));
        Self {
            tail,
            p50_unit: Unit::Time.of_column(medians),
            tail_unit: Unit::Time.of_column(tails),
        }
    }
}
