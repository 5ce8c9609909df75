//! The sections of one run.

use super::chart::COLOURS;
use super::located::{Located, field, number};
use super::markup::{Unit, escape};
use super::pipeline::pipeline;
use super::section::Section;
use super::spectrum::{SpectrumLine, spectrum};
use super::table::{Cell, head, table};
use super::{account, nodes, requests, series, stages};
use crate::core::units::{format_count, format_duration, format_some};
use crate::output::machine::{labels, machine};
use crate::output::number::{Statistic, cpu_per_request_us};
use crate::report::{Distribution, Report, Server};

/// A run that takes longer than this times its planned duration is described by its number of requests. The schedule of a
/// Poisson process is never exactly as long as planned.
const LONGER: f64 = 1.1;

/// The load in one line: rate or connections, and duration.
pub(super) fn title(report: &Report) -> String {
    let run = &report.run;
    let load = match (run.rate_range, run.rate_target) {
        (Some([from, to]), _) => {
            format!("{} to {} requests/s", Unit::Rate.write(from), Unit::Rate.write(to))
        }
        (None, Some(rate)) => format!("{} requests/s", Unit::Rate.write(rate)),
        (None, None) => {
            let connections = format_some(run.connections, "connection", "connections");
            format!("{connections} in a closed loop")
        }
    };
    // If sending took longer than planned, rate and duration together would describe a load that was never sent.
    let planned_s =
        run.rate_target.map_or(run.duration_s, |rate| report.requests.planned as f64 / rate);
    if run.duration_s > planned_s * LONGER + 0.5 {
        format!("{load}, {} requests", format_count(report.requests.planned))
    } else {
        format!("{load} for {}", duration(run.duration_s))
    }
}

/// A duration in words: `1 min 30 s`, `0.25 s`.
fn duration(seconds: f64) -> String {
    if seconds < 9.5 && (seconds - seconds.round()).abs() > 0.05 {
        return format!("{seconds:.2} s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds.round()).unwrap_or_default();
    let words = format_duration(whole).replace('s', " s").replace('m', " min ").replace('h', " h ");
    words.trim_end().to_owned()
}

/// A point in time: `2026-11-23 06:58:51 UTC`. A text that is not such a time is returned as it is, escaped.
pub(super) fn date_and_time(rfc3339: &str) -> String {
    match rfc3339.trim_end_matches('Z').split_once('T') {
        Some((day, time)) if rfc3339.len() == "2026-11-23T06:58:51.399Z".len() => {
            let time = time.split('.').next().unwrap_or(time);
            escape(&format!("{day} {time} UTC"))
        }
        _ => escape(rfc3339),
    }
}

/// The most important numbers, as tiles.
pub(super) fn headline(report: &Located<'_, Report>) -> String {
    let mut tiles = String::new();
    if let Some(arrival) = field!(report, arrival).known() {
        tiles += &latency_tile(&arrival, "Arrival", "due → arrived");
    }
    tiles += &if report.has_lateness() {
        latency_tile(&field!(report, latency.response), "Response", "due → answered")
    } else {
        latency_tile(&field!(report, latency.service), "Service", "sent → answered")
    };
    tiles += &rate_tile(report);
    tiles += &loss_tile(report);
    format!("<div class=\"tiles\">{tiles}</div>\n")
}

fn tile(name: &str, class: &str, number: &str, notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| format!("<p>{note}</p>")).collect();
    format!(
        "<div class=\"tile {class}\"><h3>{name}</h3><p class=\"big\">{number}</p>{notes}</div>\n"
    )
}

/// The p99 of a distribution in large type, or the p50 or the maximum if there are too few values, and the others below.
fn latency_tile(times: &Located<'_, Distribution>, name: &str, span: &str) -> String {
    let by_importance = [Statistic::P99, Statistic::P50, Statistic::Max];
    let known = by_importance.into_iter().find(|statistic| statistic.of(times).is_some());
    let headline = known.unwrap_or(Statistic::P99);
    let mut others = String::new();
    for statistic in [Statistic::P50, Statistic::P99, Statistic::P99_9, Statistic::Max] {
        if statistic != headline && statistic.of(times).is_some() {
            others += &format!("<span>{} {}</span> ", statistic.label(), times.show(statistic));
        }
    }
    let notes = [others, span.to_owned()];
    let title = format!("{name} {}", headline.label());
    tile(&title, &name.to_lowercase(), &times.show(headline), &notes)
}

fn rate_tile(report: &Located<'_, Report>) -> String {
    let mut notes = vec![match report.run.rate_target {
        Some(_) => {
            format!("of {}/s asked for", number!(report, run.rate_target).show(Unit::Rate))
        }
        None => "as many as were answered".to_owned(),
    }];
    if let Some(range) = field!(report, run.rate_range).known() {
        let [from, to] = [0, 1].map(|n| range.item(n).number().show(Unit::Rate));
        notes.push(format!("from {from}/s to {to}/s"));
    }
    let loop_name = match report.run.arrivals {
        Some(spacing) => format!("open loop, {spacing}"),
        None => "closed loop".to_owned(),
    };
    let connections = number!(report, run.connections).show(Unit::Count);
    let noun = if report.run.connections == 1 { "connection" } else { "connections" };
    notes.push(format!("{loop_name}, {connections} {noun}"));
    let rate = number!(report, requests.rate_achieved).show(Unit::Rate);
    tile("Rate", "", &format!("{rate}<small>/s</small>"), &notes)
}

fn loss_tile(report: &Located<'_, Report>) -> String {
    let requests = &report.requests;
    let refused = requests.refused();
    let mut not_completed = format!(
        "{} failed, {} unfinished, {} dropped",
        number!(report, requests.failed).show(Unit::Count),
        number!(report, requests.unfinished).show(Unit::Count),
        number!(report, requests.dropped).show(Unit::Count)
    );
    if refused > 0 {
        not_completed += &format!(", {} answered neither 2xx nor 3xx", format_count(refused));
    }
    if let Some(messages) = field!(report, messages).known() {
        let [arrived, lost] = [number!(messages, arrived), number!(messages, lost)];
        let [arrived, lost] = [arrived, lost].map(|count| count.show(Unit::Count));
        let requests = format!("requests: {not_completed}");
        if messages.arrived == 0 {
            let notes = [format!("{lost} lost"), requests];
            return tile("Messages arrived", "bad", &arrived, &notes);
        }
        let is_bad = messages.lost > 0 || !report.verdict.failures.is_empty();
        let notes = [format!("{arrived} arrived"), requests];
        return tile("Messages lost", good_or_bad(is_bad), &lost, &notes);
    }
    let is_bad = requests.failed + requests.unfinished + requests.dropped + refused > 0;
    let of = format!("of {} sent", number!(report, requests.sent).show(Unit::Count));
    let answered = number!(report, requests.completed).show(Unit::Count);
    tile("Requests answered", good_or_bad(is_bad), &answered, &[of, not_completed])
}

/// CSS class of a tile.
fn good_or_bad(is_bad: bool) -> &'static str {
    if is_bad { "bad" } else { "good" }
}

/// The other sections. Those without content are empty.
pub(super) fn sections(report: &Located<'_, Report>) -> Vec<Section> {
    vec![
        Section::new("Path", pipeline(report)),
        Section::new("Latency", spectrum(&spectrum_lines(report))),
        Section::new("Over time", series::over_time(report)),
        Section::new("Requests", requests::requests(report)),
        Section::new("Stages", stages::stages(report)),
        Section::new("Account", account::account(report)),
        Section::new("Components", components(report)),
        Section::new("Nodes", nodes::nodes(report)),
        Section::new("Run", facts(report)),
    ]
}

fn spectrum_lines<'a>(report: &Located<'a, Report>) -> Vec<SpectrumLine<'a>> {
    let mut lines = Vec::new();
    if let Some(times) = field!(report, arrival).known() {
        lines.push(SpectrumLine { name: "arrival", times });
    }
    if report.has_lateness() {
        let times = field!(report, latency.response);
        lines.push(SpectrumLine { name: "response", times });
    }
    lines.push(SpectrumLine { name: "service", times: field!(report, latency.service) });
    if let Some(times) = field!(report, latency.waiting).known() {
        lines.push(SpectrumLine { name: "pacing", times: field!(report, latency.pacing) });
        lines.push(SpectrumLine { name: "waiting", times });
    } else if report.has_lateness() {
        let times = field!(report, latency.lateness);
        lines.push(SpectrumLine { name: "lateness", times });
    }
    if let Some(times) = field!(report, latency.connect).known() {
        lines.push(SpectrumLine { name: "connect", times });
    }
    lines
}

fn components(report: &Located<'_, Report>) -> String {
    if report.resources.is_empty() {
        return String::new();
    }
    let names =
        ["component", "CPU, mean", "CPU, busiest second", "CPU per request", "memory", "process"];
    let all = report.resources.iter().filter_map(|used| cpu_per_request_us(used, report));
    let cpu_time = Unit::Time.of_column(all);
    let mut rows = Vec::new();
    for (used, colour) in field!(report, resources).items().zip(COLOURS.iter().cycle()) {
        let cpu_per_request = cpu_time.write_known(cpu_per_request_us(&used, report));
        rows.push(vec![
            format!("<i class=\"{colour}\"></i>{}", escape(&used.label())).into(),
            number!(used, cpu_percent_mean).cell(Unit::Percent),
            number!(used, cpu_percent_max).cell(Unit::Percent),
            Cell::from(cpu_per_request),
            number!(used, rss_max_bytes).cell(Unit::Bytes),
            number!(used, pid).cell(Unit::Plain),
        ]);
    }
    table("Components", &head(names), rows)
}

fn facts(report: &Located<'_, Report>) -> String {
    let run = &report.run;
    let clock = run.clock.offset_us.map(|_| {
        let bound = number!(report, run.clock.error_bound_us).show(Unit::Time);
        format!("{}, to ± {bound}", run.clock.source)
    });
    let tick = run.tick_us.map(|_| number!(report, run.tick_us).show(Unit::Time));
    let messages = field!(report, messages).known();
    let timed_when_read =
        messages.map(|messages| number!(messages, timed_when_read).show(Unit::Count));
    let facts = [
        ("Target", Some(escape(&run.target))),
        ("Began", Some(date_and_time(&run.started_at))),
        ("Time of sending", Some(number!(report, run.duration_s).show(Unit::Seconds))),
        ("Last answer after", Some(number!(report, requests.answered_after_s).show(Unit::Seconds))),
        ("Connections", Some(number!(report, run.connections).show(Unit::Count))),
        ("Threads", Some(number!(report, run.threads).show(Unit::Count))),
        ("Engine", Some(run.engine.to_string())),
        ("Protocol", Some(run.protocol.to_string()).filter(|name| !name.is_empty())),
        ("Streams per connection", Some(number!(report, run.streams).show(Unit::Count))),
        ("Tick (shortest sleep of a worker)", tick),
        (
            "Answers without a kernel timestamp",
            Some(number!(report, requests.timed_when_read).show(Unit::Count)),
        ),
        ("Messages without a kernel timestamp", timed_when_read),
        ("Bytes received", Some(number!(report, requests.bytes_read).show(Unit::Bytes))),
        ("Bytes sent", Some(number!(report, requests.bytes_written).show(Unit::Bytes))),
        ("Queue", server(run.stack.queue.as_ref())),
        ("Broker", server(run.stack.broker.as_ref())),
        ("Clock of the stamps", clock),
        ("Machine", machine(report).map(|machine| escape(&machine))),
        ("Labels", labels(report).map(|labels| escape(&labels))),
        ("Id of the run", Some(escape(&run.id))),
    ];
    let mut rows = String::new();
    for (name, fact) in facts {
        if let Some(fact) = fact {
            rows += &format!("<div><dt>{name}</dt><dd>{fact}</dd></div>\n");
        }
    }
    format!("<dl class=\"facts\">{rows}</dl>\n")
}

fn server(server: Option<&Server>) -> Option<String> {
    server.map(|server| escape(&format!("{} ({})", server.version, server.kind)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_describes_what_was_sent() {
        let text = include_str!("../../../tests/data/run.json");
        let mut report = Report::from_json(text).expect("a saved report");
        assert_eq!(title(&report), "10,000 requests/s for 10 s");
        // 100,000 requests in longer than their 10 s.
        report.run.duration_s = 14.05;
        assert_eq!(title(&report), "10,000 requests/s, 100,000 requests");
        (report.run.duration_s, report.run.rate_target) = (0.25, None);
        assert_eq!(title(&report), "64 connections in a closed loop for 0.25 s");
        report.run.duration_s = 90.02;
        assert_eq!(title(&report), "64 connections in a closed loop for 1 min 30 s");
        report.run.connections = 1;
        assert_eq!(title(&report), "1 connection in a closed loop for 1 min 30 s");
    }
}
