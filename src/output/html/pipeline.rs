//! The way of a request or a message as a diagram: components as boxes with their CPU, and the time between them.

use std::fmt::Write as _;

use super::chart::{COLOURS, percent};
use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::pipeline_legs::{Leg, LegStyle, Timing, has_all_stages, pipeline_legs, target_legs};
use super::share::{Share, bar};
use crate::analysis::bottleneck::{CpuUse, Saturation, cpu_uses, saturation};
use crate::message::StagePair;
use crate::report::component::ComponentRole;
use crate::report::finding::Suspect;
use crate::report::{Report, Resource, Server};

/// A box of the diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DiagramBox {
    Generator,
    Api,
    Queue,
    Push,
    Broker,
    Subscriber,
    /// The service behind a URL.
    Target,
}

impl DiagramBox {
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
    let full = match (&diagram.full, &diagram.whole) {
        // The failure at the top says what is wrong.
        (_, Some(Whole::NothingArrived)) | (None, _) => String::new(),
        (Some(full), _) => full_sentence(report, full),
    };
    let title = match &report.messages {
        Some(_) => "The way of a message",
        None => "The way of a request",
    };
    format!(
        "<figure class=\"whole\"><figcaption><h3>{title}</h3><p>{}</p></figcaption>\n{}{}{full}{}</figure>\n",
        diagram.note(),
        diagram.draw(),
        diagram.others(),
        parts(report)
    )
}

fn full_sentence(report: &Report, full: &Saturation) -> String {
    let evidence: Vec<_> = full.evidence.iter().map(ToString::to_string).collect();
    let name = match &full.component {
        Suspect::Push if report.run.services.is_none() => "The consumer of the queue".to_owned(),
        component => component.to_string(),
    };
    let (name, evidence) = (escape(&name), escape(&evidence.join("; ")));
    format!("<p class=\"full\"><b>{name} is full</b>: {evidence}</p>\n")
}

/// Boxes from left to right, with an arrow to each.
struct Diagram<'a> {
    report: &'a Located<'a, Report>,
    legs: Vec<Leg<'a>>,
    style: LegStyle,
    /// The whole way of a message, if not all of its parts were measured.
    whole: Option<Whole<'a>>,
    cpu: Vec<CpuUse>,
    full: Option<Saturation>,
}

/// The whole way of a message.
enum Whole<'a> {
    Measured(Timing<'a>),
    NothingArrived,
}

impl<'a> Diagram<'a> {
    fn new(report: &'a Located<'a, Report>) -> Self {
        let is_measured = has_all_stages(report);
        let legs = if is_measured || report.run.services.is_some() {
            pipeline_legs(report)
        } else {
            target_legs(report)
        };
        let whole = if is_measured { None } else { whole(report) };
        let full = saturation(report, None).filter(|saturation| saturation.is_clear);
        let style = LegStyle::new(&legs);
        Self { report, legs, style, whole, cpu: cpu_uses(report), full }
    }

    /// The sentence that explains the numbers.
    fn note(&self) -> String {
        if matches!(self.whole, Some(Whole::NothingArrived)) {
            return "Dashed: not measured.".to_owned();
        }
        if self.report.messages.is_some() && !has_all_stages(self.report) {
            return "The round trip of a request and the whole way of a message overlap: do not add them. \
                    Dashed: not measured."
                .to_owned();
        }
        let tail = self.style.tail;
        let tail =
            tail.map(|tail| format!(", and below it the {}", tail.label())).unwrap_or_default();
        match self.legs.len() {
            1 => format!("On the arrow the median time{tail}."),
            _ => format!(
                "On each arrow the median time{tail}. In each box the CPU time, as a share of what the component can use."
            ),
        }
    }

    fn draw(&self) -> String {
        let whole = match &self.whole {
            Some(Whole::Measured(timing)) => timing.draw_whole(self.style),
            Some(Whole::NothingArrived) => {
                "<p class=\"journey bad\"><span>due → arrived: <b>nothing arrived</b></span></p>\n"
                    .to_owned()
            }
            None => String::new(),
        };
        let mut out = format!("<ol class=\"pipeline\">\n{}", self.component(DiagramBox::Generator));
        for leg in &self.legs {
            out += &leg.time.draw(self.style);
            out += &self.component(leg.to);
        }
        format!("<div class=\"path\">{whole}{out}</ol></div>\n")
    }

    fn is_drawn(&self, used: &Resource) -> bool {
        let mut drawn = self.legs.iter().map(|leg| leg.to).chain([DiagramBox::Generator]);
        drawn.any(|component| component.is(used))
    }

    /// The measured components that have no place in the diagram; empty if there are none.
    fn others(&self) -> String {
        let mut boxes = String::new();
        for used in field!(self.report, resources).items().filter(|used| !self.is_drawn(used)) {
            let (class, name, meter) =
                (self.class(&used), escape(&used.label()), self.meter(&used));
            boxes += &format!("<li class=\"{class}\"><b>{name}</b>{meter}</li>\n");
        }
        if boxes.is_empty() {
            return boxes;
        }
        format!(
            "<div class=\"others\"><h4>Also measured</h4>\
             <p>Processes whose place on the way loadgen does not know.</p><ul>\n{boxes}</ul></div>\n"
        )
    }

    fn component(&self, component: DiagramBox) -> String {
        let resources = field!(self.report, resources);
        let used = resources.items().find(|used| component.is(used));
        let server = component.server(self.report).map(|server| escape(&server.version));
        let mut text = format!("<b>{}</b>", component.name());
        if component == DiagramBox::Target {
            let _ = write!(text, "<small>{}</small>", escape(&self.report.run.target));
        }
        server.into_iter().for_each(|server| text += &format!("<small>{server}</small>"));
        used.iter().for_each(|used| text += &self.meter(used));
        let class = used.map_or("node", |used| self.class(&used));
        format!("<li class=\"{class}\">{text}</li>\n")
    }

    /// CSS class of a component's box.
    fn class(&self, used: &Resource) -> &'static str {
        if self.is_full(used) { "node bad" } else { "node" }
    }

    /// CPU of a component, as a bar of what it can use.
    fn meter(&self, used: &Located<'_, Resource>) -> String {
        let of = self.cpu.iter().find(|cpu| cpu.component == used.component);
        let mean = number!(used, cpu_percent_mean).show(Unit::Percent);
        let Some(of) = of else { return format!("<small>CPU {mean} of a core</small>") };
        let width = percent(of.percent.clamp(0.0, 100.0) / 100.0);
        let limit = if of.is_of_one_thread {
            let busiest = number!(used, busiest_thread_percent).show(Unit::Percent);
            format!("a core, busiest thread {busiest}")
        } else if of.threads == 1 {
            "a core".to_owned()
        } else {
            format!("{} cores", of.threads)
        };
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

/// The whole way of a message; `None` if arrivals were not measured.
fn whole<'a>(report: &Located<'a, Report>) -> Option<Whole<'a>> {
    let messages = report.messages.as_ref()?;
    if messages.arrived == 0 {
        return Some(Whole::NothingArrived);
    }
    let times = field!(report, arrival).known()?;
    Some(Whole::Measured(Timing::new("due → arrived", times)))
}

/// The medians of the stages beside each other; empty if the pipeline is not known.
fn parts(report: &Located<'_, Report>) -> String {
    if !has_all_stages(report) {
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
    use crate::message::Checkpoint;
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
        assert_eq!(page.matches("class=\"way\"").count(), 5, "{page}");
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
        (report.run.services, report.resources) = (None, Vec::new());
        (report.stages, report.arrival, report.messages) = (Vec::new(), None, None);
        let page = drawn(&report);
        assert_eq!(page.matches("class=\"way").count(), 1);
        assert!(page.contains("class=\"way round\"><small>sent → answered<"), "{page}");
        assert!(page.contains("<b>Target</b><small>http://127.0.0.1:37705/</small>"), "{page}");
        assert!(page.contains("The way of a request") && !page.contains("journey"), "{page}");
        assert!(!page.contains("spends its time") && !page.contains("Also measured"), "{page}");
    }

    #[test]
    fn a_foreign_pipeline_has_a_round_trip_a_whole_way_and_no_invented_times() {
        let mut report = saved();
        (report.run.services, report.stages) = (None, Vec::new());
        report.resources[2].component = "worker <1>".to_owned();
        let page = drawn(&report);
        assert_eq!(page.matches("class=\"way round\"").count(), 1, "{page}");
        assert_eq!(page.matches("class=\"way unknown\"").count(), 1, "{page}");
        assert!(page.contains("class=\"journey\"><span>due → arrived: p50 <b><data"), "{page}");
        assert!(page.contains("data-path=\"/arrival/p99\""), "{page}");
        let (_, others) = page.split_once("Also measured").expect("other components");
        for name in ["worker &lt;1&gt;", "push", "redis", "mosquitto"] {
            assert!(others.contains(&format!("<b>{name}</b>")), "{name}: {page}");
        }
        assert!(!others.contains("<b>generator</b>") && !others.contains("<b>subscriber</b>"));
    }

    #[test]
    fn the_way_is_broken_if_nothing_arrived() {
        let mut report = saved();
        report.stages.retain(|stage| stage.to != Checkpoint::Arrived);
        report.messages.as_mut().expect("messages").arrived = 0;
        let page = drawn(&report);
        assert!(page.contains("class=\"journey bad\""), "{page}");
        assert_eq!(page.matches("class=\"way unknown\"").count(), 1, "the last one: {page}");
        assert!(page.contains("<b>Queue</b>") && !page.contains("Also measured"), "{page}");
    }
}
