//! The sections of one run.

use super::chart::COLOURS;
use super::markup::{Figures, Unit, escape, head, table};
use super::spectrum::{PlottedDistribution, spectrum};
use super::{account, requests, series, stages};
use crate::core::units::{format_count, format_duration};
use crate::report::{Report, Server};

/// A run and the place of its JSON.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    pub(super) report: &'a Report,
    pub(super) figures: Figures<'a>,
}

/// What was run, in one line.
pub(super) fn title(report: &Report) -> String {
    let run = &report.run;
    let load = match (run.rate_range, run.rate_target) {
        (Some([from, to]), _) => {
            format!("{} to {} requests/s", Unit::Rate.write(from), Unit::Rate.write(to))
        }
        (None, Some(rate)) => format!("{} requests/s", Unit::Rate.write(rate)),
        (None, None) => format!("{} connections in a closed loop", format_count(run.connections)),
    };
    // Where sending took longer than asked, the two together would say what was never sent.
    let asked =
        run.rate_target.map_or(run.duration_s, |rate| report.requests.planned as f64 / rate);
    if run.duration_s > asked * LONGER + 0.5 {
        format!("{load}, {} requests", format_count(report.requests.planned))
    } else {
        format!("{load} for {}", span(run.duration_s))
    }
}

/// How much longer than asked is told: a Poisson schedule is never of the same length.
const LONGER: f64 = 1.1;

/// A time in words: `1 min 30 s`, `0.25 s`.
fn span(seconds: f64) -> String {
    if seconds < 9.5 && (seconds - seconds.round()).abs() > 0.05 {
        return format!("{seconds:.2} s");
    }
    let whole = std::time::Duration::try_from_secs_f64(seconds.round()).unwrap_or_default();
    let words = format_duration(whole).replace('s', " s").replace('m', " min ").replace('h', " h ");
    words.trim_end().to_owned()
}

/// A point in time as people write it; one of another form as it is.
pub(super) fn moment(rfc3339: &str) -> String {
    match rfc3339.trim_end_matches('Z').split_once('T') {
        Some((day, time)) if rfc3339.len() == "2026-11-23T06:58:51.399Z".len() => {
            let time = time.split('.').next().unwrap_or(time);
            escape(&format!("{day} {time} UTC"))
        }
        _ => escape(rfc3339),
    }
}

/// The figures to look at first.
pub(super) fn headline(view: &View<'_>) -> String {
    let View { report, figures } = view;
    let mut tiles = String::new();
    if report.arrival.is_some() {
        tiles += &latency_tile(figures, "Arrival", "/arrival", "due → arrived", "arrival");
    }
    let (name, path, from) = if report.has_lateness() {
        ("Response", "/latency/response", "due → answered")
    } else {
        ("Service", "/latency/service", "sent → answered")
    };
    tiles += &latency_tile(figures, name, path, from, &name.to_lowercase());
    tiles += &rate_tile(view);
    tiles += &loss_tile(view);
    format!("<div class=\"tiles\">{tiles}</div>\n")
}

fn tile(name: &str, class: &str, figure: &str, notes: &[String]) -> String {
    let notes: String = notes.iter().map(|note| format!("<p>{note}</p>")).collect();
    format!(
        "<div class=\"tile {class}\"><h3>{name}</h3><p class=\"big\">{figure}</p>{notes}</div>\n"
    )
}

/// The highest percentile of a tile that the sample is large enough for, and what else there is.
fn latency_tile(figures: &Figures<'_>, name: &str, path: &str, from: &str, class: &str) -> String {
    let known = |q: &&(&str, &str)| figures.number(&format!("{path}/{}", q.1)).is_some();
    let all = [("p50", "p50"), ("p99", "p99"), ("p99.9", "p99_9"), ("max", "max")];
    let order = [all[1], all[0], all[3]];
    let (headline, headline_key) = *order.iter().find(known).unwrap_or(&all[3]);
    let show = |(_, key): &(&str, &str)| figures.show(&format!("{path}/{key}"), Unit::Time);
    let others = all.iter().filter(|q| q.0 != headline).filter(known);
    let others = others.map(|q| format!("<span>{} {}</span> ", q.0, show(q)));
    let notes = [others.collect::<String>(), from.to_owned()];
    let name = format!("{name} {headline}");
    tile(&name, class, &show(&(headline, headline_key)), &notes)
}

fn rate_tile(View { report, figures }: &View<'_>) -> String {
    let asked = match report.run.rate_target {
        Some(_) => format!("of {}/s asked for", figures.show("/run/rate_target", Unit::Rate)),
        None => "as many as were answered".to_owned(),
    };
    let end = |n: usize| figures.show(&format!("/run/rate_range/{n}"), Unit::Rate);
    let changing = report.run.rate_range.map(|_| format!("from {}/s to {}/s", end(0), end(1)));
    let loop_name = match report.run.arrivals {
        Some(spacing) => format!("open loop, {spacing}"),
        None => "closed loop".to_owned(),
    };
    let connections = figures.show("/run/connections", Unit::Count);
    let rate = figures.show("/requests/rate_achieved", Unit::Rate);
    let mut notes = vec![asked, format!("{loop_name}, {connections} connections")];
    notes.splice(1..1, changing);
    tile("Rate", "", &format!("{rate}<small>/s</small>"), &notes)
}

fn loss_tile(View { report, figures }: &View<'_>) -> String {
    let count = |path: &str| figures.show(path, Unit::Count);
    let requests = &report.requests;
    let refused = requests.refused();
    let unwell = requests.failed + requests.unfinished + requests.dropped + refused;
    let mut of_requests = format!(
        "{} failed, {} unfinished, {} dropped",
        count("/requests/failed"),
        count("/requests/unfinished"),
        count("/requests/dropped")
    );
    if refused > 0 {
        of_requests += &format!(", {} answered neither 2xx nor 3xx", format_count(refused));
    }
    let class = |bad: bool| if bad { "bad" } else { "good" };
    match &report.messages {
        Some(messages) => {
            let arrived = format!("{} arrived", count("/messages/arrived"));
            let notes = [arrived, format!("requests: {of_requests}")];
            let bad = messages.lost > 0 || !report.verdict.failures.is_empty();
            tile("Messages lost", class(bad), &count("/messages/lost"), &notes)
        }
        None => {
            let of = format!("of {} sent", count("/requests/sent"));
            let answered = count("/requests/completed");
            tile("Requests answered", class(unwell > 0), &answered, &[of, of_requests])
        }
    }
}

/// All else, section by section, under headings of a level.
pub(super) fn sections(view: &View<'_>, level: u8) -> String {
    let View { report, figures } = view;
    let section = |name: &str, body: String| {
        if body.is_empty() {
            String::new()
        } else {
            format!("<section><h{level}>{name}</h{level}>\n{body}</section>\n")
        }
    };
    [
        section("Latency", spectrum(figures, &distributions(report))),
        section("Over time", series::over_time(view)),
        section("Requests", requests::requests(figures, report)),
        section("Stages", stages::stages(figures, report)),
        section("Account", account::account(figures, report)),
        section("Components", components(view)),
        section("The run", facts(view)),
    ]
    .concat()
}

fn distributions(report: &Report) -> Vec<PlottedDistribution<'_>> {
    let (latency, differs) = (&report.latency, report.has_lateness());
    let waiting = latency.waiting.as_ref();
    let lateness = (differs && waiting.is_none()).then_some(&latency.lateness);
    let all = [
        ("arrival", "/arrival", report.arrival.as_ref()),
        ("response", "/latency/response", differs.then_some(&latency.response)),
        ("service", "/latency/service", Some(&latency.service)),
        ("pacing", "/latency/pacing", waiting.map(|_| &latency.pacing)),
        ("waiting", "/latency/waiting", waiting),
        ("lateness", "/latency/lateness", lateness),
        ("connect", "/latency/connect", latency.connect.as_ref()),
    ];
    let present = all.into_iter().filter_map(|(name, path, q)| Some((name, path, q?)));
    present.map(|(name, path, q)| PlottedDistribution { name, path, hdr: &q.hdr }).collect()
}

fn components(View { report, figures }: &View<'_>) -> String {
    if report.resources.is_empty() {
        return String::new();
    }
    let names = ["component", "CPU", "most in a second", "CPU per request", "memory", "process"];
    let row = |(n, used): (usize, &crate::report::Resource)| {
        let figures = figures.below(&format!("/resources/{n}"));
        let per_request = match report.requests.sent {
            0 => "n/a".to_owned(),
            sent => Unit::Time.write(used.cpu_s * 1e6 / sent as f64),
        };
        let colour = COLOURS[n % COLOURS.len()];
        vec![
            format!("<i class=\"{colour}\"></i>{}", escape(&used.component)),
            figures.show("/cpu_percent_mean", Unit::Percent),
            figures.show("/cpu_percent_max", Unit::Percent),
            per_request,
            figures.show("/rss_max_bytes", Unit::Bytes),
            figures.show("/pid", Unit::Plain),
        ]
    };
    let rows: Vec<_> = report.resources.iter().enumerate().map(row).collect();
    table("Components", &head(names), &rows)
}

fn facts(View { report, figures }: &View<'_>) -> String {
    let run = &report.run;
    let server = |server: &Option<Server>| {
        server.as_ref().map(|s| escape(&format!("{} ({})", s.version, s.kind)))
    };
    let offset = run.clock.offset_us.map(|_| {
        let bound = figures.show("/run/clock/error_bound_us", Unit::Time);
        format!("{}, to ± {bound}", run.clock.source)
    });
    let facts = [
        ("Target", Some(escape(&run.target))),
        ("Began", Some(moment(&run.started_at))),
        ("Sending", Some(figures.show("/run/duration_s", Unit::Seconds))),
        ("Last answer after", Some(figures.show("/requests/answered_after_s", Unit::Seconds))),
        ("Connections", Some(figures.show("/run/connections", Unit::Count))),
        ("Threads", Some(figures.show("/run/threads", Unit::Count))),
        ("Engine", Some(run.engine.to_string())),
        ("Protocol", Some(run.protocol.to_string()).filter(|name| !name.is_empty())),
        ("Requests at once on a connection", Some(figures.show("/run/streams", Unit::Count))),
        ("Shortest sleep", run.tick_us.map(|_| figures.show("/run/tick_us", Unit::Time))),
        ("Answers timed when read", Some(figures.show("/requests/timed_when_read", Unit::Count))),
        (
            "Messages timed when read",
            report
                .messages
                .is_some()
                .then(|| figures.show("/messages/timed_when_read", Unit::Count)),
        ),
        ("Read", Some(figures.show("/requests/bytes_read", Unit::Bytes))),
        ("Written", Some(figures.show("/requests/bytes_written", Unit::Bytes))),
        ("Queue", server(&run.stack.queue)),
        ("Broker", server(&run.stack.broker)),
        ("Clock of the stamps", offset),
        ("Run", Some(escape(&run.id))),
    ];
    let rows = facts.into_iter().filter_map(|(name, fact)| Some((name, fact?)));
    let rows: String =
        rows.map(|(name, fact)| format!("<div><dt>{name}</dt><dd>{fact}</dd></div>\n")).collect();
    format!("<dl class=\"facts\">{rows}</dl>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_title_says_no_more_than_was_sent() {
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
    }
}
