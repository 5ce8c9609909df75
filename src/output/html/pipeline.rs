//! The way of a request or a message as a diagram: components as boxes with their CPU, and the time between them.

use std::fmt::Write as _;

use super::chart::{COLOURS, percent};
use super::located::{Located, ShownNumber, field, number};
use super::markup::{Unit, escape};
use super::share::{Share, bar};
use crate::analysis::bottleneck::{CpuUse, Saturation, cpu_uses, saturation};
use crate::message::{Checkpoint, StagePair};
use crate::output::number::{Statistic, bound_of_zero};
use crate::report::component::ComponentRole;
use crate::report::finding::Suspect;
use crate::report::{Distribution, Report, Resource, Server};

/// The ways of a message through the whole pipeline, and the component at the end of each.
const PIPELINE: [(StagePair, Component); 5] = [
    (StagePair { from: Checkpoint::Sent, to: Checkpoint::Api }, Component::Api),
    (StagePair { from: Checkpoint::Api, to: Checkpoint::Queued }, Component::Queue),
    (StagePair { from: Checkpoint::Queued, to: Checkpoint::Popped }, Component::Push),
    (StagePair { from: Checkpoint::Popped, to: Checkpoint::Published }, Component::Broker),
    (StagePair { from: Checkpoint::Published, to: Checkpoint::Arrived }, Component::Subscriber),
];

/// A box of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Component {
    Generator,
    Api,
    Queue,
    Push,
    Broker,
    Subscriber,
    /// What is behind a URL.
    Target,
}

impl Component {
    fn name(self) -> &'static str {
        match self {
            Self::Generator => "Load generator",
            Self::Api => "API",
            Self::Queue => "Queue",
            Self::Push => "Push",
            Self::Broker => "Broker",
            Self::Subscriber => "Subscriber",
            Self::Target => "Target",
        }
    }

    fn is(self, used: &Resource) -> bool {
        match self {
            Self::Generator => used.role() == ComponentRole::Generator,
            Self::Api => used.role() == ComponentRole::Api,
            Self::Queue => used.role() == ComponentRole::Queue,
            Self::Push => used.role() == ComponentRole::Push,
            Self::Broker => used.role() == ComponentRole::Broker,
            Self::Subscriber => used.component == "subscriber",
            Self::Target => false,
        }
    }

    /// The server's name and version, if it is known.
    fn server(self, report: &Report) -> Option<&Server> {
        match self {
            Self::Queue => report.run.stack.queue.as_ref(),
            Self::Broker => report.run.stack.broker.as_ref(),
            _ => None,
        }
    }
}

/// The diagram, and below it the parts of the time of a message.
pub(super) fn pipeline(report: &Located<'_, Report>) -> String {
    let diagram = Diagram::new(report);
    let full = match &diagram.full {
        Some(full) => full_sentence(full),
        None => String::new(),
    };
    let note = if diagram.ways.len() > 2 {
        "On each arrow the median time, and below it the p99. In each box the CPU time, as a share of what the component can use."
    } else {
        "On the arrow the median time, and below it the p99."
    };
    format!(
        "<figure class=\"whole\"><figcaption><h3>{}</h3><p>{note}</p></figcaption>\n{}{full}{}</figure>\n",
        diagram.title,
        diagram.draw(),
        parts(report)
    )
}

fn full_sentence(full: &Saturation) -> String {
    let evidence: Vec<_> = full.evidence.iter().map(ToString::to_string).collect();
    let (name, evidence) = (escape(&full.component.to_string()), escape(&evidence.join("; ")));
    format!("<p class=\"full\"><b>{name} is full</b>: {evidence}</p>\n")
}

/// Boxes from left to right, with the way to each.
struct Diagram<'a> {
    title: &'static str,
    report: &'a Located<'a, Report>,
    ways: Vec<Way>,
    cpu: Vec<CpuUse>,
    full: Option<Saturation>,
}

/// The way to a component.
struct Way {
    to: Component,
    /// Name of the time, such as `sent → api`.
    name: String,
    p50: ShownNumber,
    p99: ShownNumber,
}

impl Way {
    fn new(to: Component, name: &str, times: &Located<'_, Distribution>) -> Self {
        let [p50, p99] =
            [Statistic::P50, Statistic::P99].map(|statistic| times.statistic(statistic));
        Self { to, name: name.to_owned(), p50, p99 }
    }

    fn draw(&self, units: &WayUnits) -> String {
        let (p50, p99) = (self.p50.show(units.p50), self.p99.show(units.p99));
        let name = escape(&self.name);
        format!(
            "<li class=\"way\" title=\"{name}\"><span>{p50}</span><i></i><small>p99 {p99}</small></li>\n"
        )
    }
}

/// Units of the times of all ways.
struct WayUnits {
    p50: Unit,
    p99: Unit,
}

impl<'a> Diagram<'a> {
    fn new(report: &'a Located<'a, Report>) -> Self {
        let (title, ways) = match pipeline_ways(report) {
            Some(ways) => ("The way of a message", ways),
            None => ("The way of a request", target_ways(report)),
        };
        let full = saturation(report, None).filter(|saturation| saturation.is_clear);
        Self { title, report, ways, cpu: cpu_uses(report), full }
    }

    fn draw(&self) -> String {
        let units = WayUnits {
            p50: Unit::Time.of_column(self.ways.iter().filter_map(|way| way.p50.drawn_value())),
            p99: Unit::Time.of_column(self.ways.iter().filter_map(|way| way.p99.drawn_value())),
        };
        let mut out = format!("<ol class=\"pipeline\">\n{}", self.component(Component::Generator));
        for way in &self.ways {
            out += &way.draw(&units);
            out += &self.component(way.to);
        }
        out + "</ol>\n"
    }

    fn component(&self, component: Component) -> String {
        let resources = field!(self.report, resources);
        let used = resources.items().find(|used| component.is(used));
        let server = component.server(self.report).map(|server| escape(&server.version));
        let mut text = format!("<b>{}</b>", component.name());
        if component == Component::Target {
            let _ = write!(text, "<small>{}</small>", escape(&self.report.run.target));
        }
        server.into_iter().for_each(|server| text += &format!("<small>{server}</small>"));
        used.iter().for_each(|used| text += &self.meter(used));
        let is_full = used.is_some_and(|used| self.is_full(&used));
        let class = if is_full { "node bad" } else { "node" };
        format!("<li class=\"{class}\">{text}</li>\n")
    }

    /// CPU of a component, as a bar of what it can use.
    fn meter(&self, used: &Located<'_, Resource>) -> String {
        let of = self.cpu.iter().find(|cpu| cpu.component == used.component);
        let mean = number!(used, cpu_percent_mean).show(Unit::Percent);
        let Some(of) = of else { return format!("<small>CPU {mean}</small>") };
        let width = percent(of.percent.clamp(0.0, 100.0) / 100.0);
        let limit =
            if of.threads == 1 { "a core".to_owned() } else { format!("{} cores", of.threads) };
        format!(
            "<svg class=\"meter\" aria-hidden=\"true\"><rect width=\"{width}\" height=\"100%\"/></svg>\
             <small>CPU {mean} of {limit}</small>"
        )
    }

    fn is_full(&self, used: &Resource) -> bool {
        self.full.as_ref().is_some_and(|full| match &full.component {
            Suspect::Generator => used.role() == ComponentRole::Generator,
            Suspect::Api => used.role() == ComponentRole::Api,
            Suspect::Push => used.role() == ComponentRole::Push,
            Suspect::Component(name) => used.component == *name,
            Suspect::BrokerOrSubscriber | Suspect::Machine => false,
        })
    }
}

/// The ways through the whole pipeline; `None` if the report does not have all their times.
fn pipeline_ways(report: &Located<'_, Report>) -> Option<Vec<Way>> {
    let bound = report.run.clock.error_bound_us;
    let mut ways = Vec::new();
    for (pair, to) in PIPELINE {
        let stages = field!(report, stages);
        let stage = stages.items().find(|stage| stage.from == pair.from && stage.to == pair.to)?;
        let way = Way::new(to, &format!("{} → {}", pair.from, pair.to), &stage.times());
        way.p50.value()?;
        let below = bound_of_zero(way.p50.value(), bound);
        ways.push(Way { p50: way.p50.bounded_by(below), ..way });
    }
    Some(ways)
}

/// The way to a target and, if arrivals were measured, to the subscriber.
fn target_ways(report: &Located<'_, Report>) -> Vec<Way> {
    let service = field!(report, latency.service);
    let mut ways = vec![Way::new(Component::Target, "sent → answered", &service)];
    if let Some(arrival) = field!(report, arrival).known() {
        ways.push(Way::new(Component::Subscriber, "due → arrived", &arrival));
    }
    ways
}

/// The medians of the stages beside each other; empty if the pipeline is not known.
fn parts(report: &Located<'_, Report>) -> String {
    if pipeline_ways(report).is_none() {
        return String::new();
    }
    let medians: Vec<_> = (report.stages.iter())
        .filter(|stage| StagePair { from: stage.from, to: stage.to }.is_part())
        .filter_map(|stage| {
            let p50 = stage.distribution.p50.filter(|p50| *p50 > 0.0)?;
            Some((format!("{} → {}: {}", stage.from, stage.to, Unit::Time.write(p50)), p50))
        })
        .collect();
    let shares: Vec<_> = medians
        .iter()
        .zip(COLOURS)
        .map(|((name, p50), class)| Share { name, class, count: (p50 * 1e3) as u64 })
        .collect();
    bar("Where a message spends its time", "by the medians of its stages", &shares)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Generator, ServiceSettings};

    fn saved() -> Report {
        let text = include_str!("../../../tests/data/run.json");
        let mut report = Report::from_json(text).expect("a saved report");
        report.run.services =
            Some(ServiceSettings { api_threads: 2, push_threads: 1, push_limit: None });
        report.generator = Some(Generator { cores: 8, ..Generator::default() });
        report
    }

    fn drawn(report: &Report) -> String {
        pipeline(&Located::whole(report))
    }

    #[test]
    fn the_way_of_a_message_has_all_components_and_times() {
        let page = drawn(&saved());
        for name in ["Load generator", "API", "Queue", "Push", "Broker", "Subscriber"] {
            assert!(page.contains(&format!("<b>{name}</b>")), "{name}: {page}");
        }
        assert_eq!(page.matches("class=\"way\"").count(), 5);
        assert!(page.contains("data-path=\"/stages/1/p50\">51.7\u{a0}µs<"), "{page}");
        assert!(page.contains(">&lt; 51.7\u{a0}µs<"), "of a time that was rounded to zero: {page}");
        assert!(page.contains("33.0 %</data> of 2 cores"), "{page}");
        assert!(!page.contains("node bad") && !page.contains("is full"), "{page}");
    }

    #[test]
    fn only_a_full_component_is_red() {
        let mut report = saved();
        report.resources[3].cpu_percent_mean = 97.0;
        let page = drawn(&report);
        assert_eq!(page.matches("node bad").count(), 1, "{page}");
        assert!(page.contains("<li class=\"node bad\"><b>Push</b>"), "{page}");
        assert!(
            page.contains("<b>push is full</b>: it uses 97% of the time of its thread"),
            "{page}"
        );
    }

    #[test]
    fn a_url_has_a_client_and_a_server() {
        let mut report = saved();
        (report.stages, report.arrival) = (Vec::new(), None);
        let page = drawn(&report);
        assert_eq!(page.matches("class=\"way\"").count(), 1);
        assert!(page.contains("<b>Target</b><small>http://127.0.0.1:37705/</small>"), "{page}");
        assert!(!page.contains("spends its time"), "{page}");
    }
}
