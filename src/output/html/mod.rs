//! A report as one HTML file. It loads nothing: numbers are text in tables, charts are inline SVG. The script adds
//! tooltips, arrow keys and buttons; without it the page has the same content.

mod account;
mod changes;
mod chart;
mod chart_marks;
mod comparison;
mod grid;
mod heat;
mod located;
mod markup;
mod nodes;
mod pipeline;
mod pipeline_legs;
mod ramp;
mod ramp_charts;
mod requests;
mod run;
mod scale;
mod section;
mod series;
mod share;
mod spectrum;
mod stages;
mod table;
mod time_axis;
mod verdict;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::TextOptions;
use super::machine::machine;
use crate::analysis::compare::Comparison;
use crate::core::json::to_value;
use crate::core::secrets::HIDDEN;
use crate::report::ramp::RampReport;
use crate::report::{Report, Tool};
use located::Located;
use markup::{escape, script_json};
use section::{contents, main_sections};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// A run's report as a page.
pub fn page(report: &Report, options: TextOptions) -> String {
    let title = run::title(report);
    let run = &report.run;
    let mut lead = format!("{} · {}", escape(&run.target), run::date_and_time(&run.started_at));
    lead += &machine_line(report);
    let located = Located::whole(report);
    let sections = run::sections(&located);
    let body = [
        heading(&title, &lead, &verdict::run_badges(report, options.allowed)),
        command(&run.command),
        run::headline(&located),
        verdict::verdict(&located),
        main_sections(&sections),
    ];
    let page = Page { title: &title, contents: &contents(&sections), body: &body.concat() };
    page.fill(&report.tool, &to_value(report))
}

/// A ramp's report as a page.
pub fn ramp_page(ramp: &RampReport, options: TextOptions) -> String {
    let located = Located::whole(ramp);
    let sections = ramp::sections(&located);
    let body = ramp::top(&located, options.allowed) + &main_sections(&sections);
    let page = Page { title: &ramp.name, contents: &contents(&sections), body: &body };
    page.fill(&ramp.tool, &to_value(ramp))
}

/// A comparison as a page.
pub(super) fn comparison_page(comparison: &Comparison, options: TextOptions) -> String {
    let located = Located::whole(comparison);
    let sections = comparison::sections(&located);
    let body = comparison::top(&located, options.allowed) + &main_sections(&sections);
    let page = Page { title: comparison::TITLE, contents: &contents(&sections), body: &body };
    page.fill(&comparison.tool, &to_value(comparison))
}

/// The top of a page. `title` is plain text, the others are HTML.
fn heading(title: &str, lead: &str, badges: &str) -> String {
    let title = escape(title);
    format!("<header><h1>{title}</h1><p class=\"lead\">{lead}</p>{badges}</header>\n")
}

/// The line below the lead that says where the run was measured; empty if the report does not contain it.
fn machine_line(report: &Report) -> String {
    let machine = machine(report).map(|machine| escape(&machine));
    machine.map(|machine| format!("<br><small>{machine}</small>")).unwrap_or_default()
}

/// The command that repeats the run; empty if the report does not contain it.
fn command(command: &str) -> String {
    if command.is_empty() {
        return String::new();
    }
    // The browser breaks lines between the words, not inside them.
    let words: Vec<_> = command.split(' ').map(|w| format!("<span>{}</span>", escape(w))).collect();
    let command = words.join(" ");
    let masked = if command.contains(HIDDEN) {
        "<p>What may be secret is <code>***</code> in it: fill it in.</p>\n"
    } else {
        ""
    };
    format!(
        "<div class=\"command\"><pre tabindex=\"0\" aria-label=\"The command that repeats it\"><code>{command}</code></pre>\
         <button type=\"button\" class=\"copy\">Copy</button></div>\n{masked}"
    )
}

/// The parts of a page that differ from report to report.
struct Page<'a> {
    /// Plain text.
    title: &'a str,
    /// Links to the sections.
    contents: &'a str,
    body: &'a str,
}

impl Page<'_> {
    /// Inserts the parts into the page's frame. Placeholders in the inserted texts are not replaced.
    fn fill(&self, tool: &Tool, json: &Value) -> String {
        let (title, json) = (escape(self.title), script_json(json));
        let (version, style_hash, script_hash) = (escape(&tool.version), hash(STYLE), hash(SCRIPT));
        let mut page =
            String::with_capacity(PAGE.len() + STYLE.len() + self.body.len() + json.len());
        for (n, part) in PAGE.split("{{").enumerate() {
            let (name, rest) =
                if n == 0 { ("", part) } else { part.split_once("}}").unwrap_or_default() };
            page += match name {
                "title" => &title,
                "version" => &version,
                "style" => STYLE,
                "style_hash" => &style_hash,
                "script" => SCRIPT,
                "script_hash" => &script_hash,
                "contents" => self.contents,
                "body" => self.body,
                "json" => &json,
                _ => "",
            };
            page += rest;
        }
        page
    }
}

/// Hash of an inline style or script for the Content-Security-Policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::compare::compare;
    use crate::report::Saved;

    fn saved_run() -> Report {
        Report::from_json(include_str!("../../../tests/data/run.json")).expect("a saved report")
    }

    fn saved_ramp() -> RampReport {
        RampReport::from_json(include_str!("../../../tests/data/ramp.json")).expect("a saved ramp")
    }

    /// The value of an attribute in the rest of an element.
    fn attribute<'a>(element: &'a str, name: &str) -> &'a str {
        let rest = element.split_once(&format!("{name}=\"")).expect("the attribute").1;
        rest.split_once('"').expect("its end").0
    }

    /// Compares every number of the page with the report's JSON at the place that the page names. Returns the places.
    fn assert_places(page: &str, json: &Value) -> usize {
        let elements: Vec<_> = page.split("<data ").skip(1).collect();
        for element in &elements {
            let path = attribute(element, "data-path");
            let there = json.pointer(path).unwrap_or_else(|| panic!("no {path} in the JSON"));
            assert_eq!(there.to_string(), attribute(element, "value"), "{path}");
        }
        elements.len()
    }

    #[test]
    fn every_number_is_at_the_place_that_the_page_names() {
        let mut report = saved_run();
        report.run.rate_range = Some([5_000.0, 15_000.0]);
        report.latency.connect = Some(report.latency.lateness.clone());
        report.script = Some(Default::default());
        report.generator.get_or_insert_default();
        report.requests.errors.by_cause.insert("reset".into(), 1);
        let request = crate::report::ByRequest {
            status: report.requests.status.clone(),
            arrival: report.arrival.clone(),
            ..Default::default()
        };
        report.by_request = vec![request; 2];
        let arrival_p50 = Some(800.0);
        report.nodes = vec![crate::report::NodeResult { arrival_p50, ..Default::default() }; 2];
        report.verdict.thresholds = vec![crate::report::ThresholdResult {
            expr: "arrival.p99>5ms".into(),
            value: Some(1_000.0),
            ok: true,
        }];
        let places = assert_places(&page(&report, TextOptions::default()), &to_value(&report));
        assert!(places > 200, "{places}");
    }

    #[test]
    fn every_number_of_a_ramp_is_at_the_place_that_the_page_names() {
        let mut ramp = saved_ramp();
        ramp.search = Some(crate::report::ramp::Search {
            condition: "arrival.p99 < 3ms and lost == 0".to_owned(),
            holds: Some(9.0),
            fails: Some(10.0),
            trials: vec![Default::default(); 3],
            ..Default::default()
        });
        let page = ramp_page(&ramp, TextOptions::default());
        let places = assert_places(&page, &to_value(&ramp));
        assert!(places > 1_000, "{places}");
        for mark in ["class=\"limit\"", ">arrival.p99 &lt; 3ms<", "shade holds", "shade fails"] {
            assert!(page.contains(mark), "{mark}");
        }
    }

    #[test]
    fn every_number_of_a_comparison_is_at_the_place_that_the_page_names() {
        let named = |saved| ("r.json".to_owned(), saved);
        let runs = vec![named(Saved::Run(Box::new(saved_run())))];
        // The steps are so short that only repeated ones can be compared.
        let ramps = [(); 2].map(|()| named(Saved::Ramp(Box::new(saved_ramp())))).to_vec();
        for (side, least) in [(runs, 60), (ramps, 500)] {
            let comparison = compare(&side, &side, 5.0).expect("like with like");
            let page = comparison_page(&comparison, TextOptions::default());
            let places = assert_places(&page, &to_value(&comparison));
            assert!(places > least, "{places}");
        }
    }

    #[test]
    fn a_command_with_masked_values_says_that_they_are_to_be_filled_in() {
        assert!(command("loadgen --header 'A: ***' http://h/").contains("fill it in"));
        assert!(!command("loadgen --rate 5 http://h/").contains("fill it in"));
    }
}
