//! A report as one HTML file to show around: no request leaves it, figures are text in tables, charts
//! are inline SVG. The script beside them adds tooltips, arrow keys, and buttons; without it the page
//! reads the same.

mod account;
mod chart;
mod grid;
mod markup;
mod ramp;
mod requests;
mod run;
mod scale;
mod series;
mod spectrum;
mod stages;
mod verdict;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use serde_json::Value;

use super::TextOptions;
use crate::core::secrets::HIDDEN;
use crate::report::ramp::RampReport;
use crate::report::{Report, Tool};
use markup::{Figures, escape, script_json};
use run::View;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// A run's report as a page.
pub fn page(report: &Report, options: TextOptions) -> String {
    let json = serde_json::to_value(report).expect("plain data can be written");
    let view = View { report, figures: Figures::new(&json) };
    let title = run::title(report);
    let run = &report.run;
    let lead = format!("{} · {}", escape(&run.target), run::moment(&run.started_at));
    let body = [
        heading(&title, &lead, &verdict::run_badges(report, options.allowed)),
        command(&run.command),
        run::headline(&view),
        verdict::verdict(&view),
        run::sections(&view, 2),
    ];
    fill(&title, &body.concat(), &report.tool, &json)
}

/// A ramp's report as a page.
pub fn ramp_page(ramp: &RampReport, options: TextOptions) -> String {
    let json = serde_json::to_value(ramp).expect("plain data can be written");
    let body = ramp::body(ramp, &Figures::new(&json), options.allowed);
    fill(&ramp.name, &body, &ramp.tool, &json)
}

/// What stands at the top: `title` is text, the others are HTML.
fn heading(title: &str, lead: &str, badges: &str) -> String {
    let title = escape(title);
    format!("<header><h1>{title}</h1><p class=\"lead\">{lead}</p>{badges}</header>\n")
}

/// The command that repeats it; nothing where it was not told.
fn command(command: &str) -> String {
    if command.is_empty() {
        return String::new();
    }
    // Lines are broken between its words, as far as they fit.
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

/// The page's frame around a body. Nothing that is filled in is looked at for places again.
fn fill(title: &str, body: &str, tool: &Tool, json: &Value) -> String {
    let (title, json) = (escape(title), script_json(json));
    let (version, style_hash, script_hash) = (escape(&tool.version), hash(STYLE), hash(SCRIPT));
    let mut page = String::with_capacity(PAGE.len() + STYLE.len() + body.len() + json.len());
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
            "body" => body,
            "json" => &json,
            _ => "",
        };
        page += rest;
    }
    page
}

/// What a Content-Security-Policy lets this text in by.
fn hash(text: &str) -> String {
    format!("sha256-{}", BASE64.encode(digest(&SHA256, text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_with_masked_values_says_that_they_are_to_be_filled_in() {
        assert!(command("loadgen --header 'A: ***' http://h/").contains("fill it in"));
        assert!(!command("loadgen --rate 5 http://h/").contains("fill it in"));
    }
}
