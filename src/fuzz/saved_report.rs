//! Saved reports, which may have been edited or made by hand.

use crate::analysis::compare::compare;
use crate::core::printable::is_unprintable;
use crate::output::TextOptions;
use crate::output::forms::{DistributionName, Document, Form};
use crate::report::{Node, Report, Saved, merge};

/// All forms of a run.
const FORMS: [Form; 9] = [
    Form::Text,
    Form::Json,
    Form::Html,
    Form::Markdown,
    Form::Csv,
    Form::Tsv,
    Form::Junit,
    Form::Hgrm(DistributionName::Arrival),
    Form::Hlog,
];

/// A file is refused, or it can be shown in every form, merged and compared; nothing in a form moves a terminal.
pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(saved) = Saved::from_json(text) else { return };
    FORMS.iter().for_each(|form| show(Document::from(&saved), *form));
    let side = [("a.json".to_owned(), saved.clone())];
    if let Ok(comparison) = compare(&side, &side, 5.0) {
        show(Document::Comparison(&comparison), Form::Text);
        show(Document::Comparison(&comparison), Form::Junit);
    }
    if let Saved::Run(report) = &saved {
        let parts = (0..2).map(|index| (format!("{index}.json"), node(report, index)));
        if let Ok(merged) = merge(parts.collect()) {
            show(Document::Run(&merged), Form::Text);
            show(Document::Run(&merged), Form::Json);
        }
    }
}

/// The report as that of one of two nodes.
fn node(report: &Report, index: u64) -> Report {
    let mut report = report.clone();
    report.run.node = Some(Node { index, count: 2, ..Node::default() });
    report.run.parts = None;
    report.run.id += &index.to_string();
    report
}

fn show(document: Document<'_>, form: Form) {
    // There is no such form of some documents.
    let options = TextOptions { latency: true, ..TextOptions::default() };
    let Ok(text) = document.render(form, options) else { return };
    let raw = text.chars().find(|c| !matches!(c, '\n' | '\t') && is_unprintable(*c));
    assert_eq!(raw, None, "{form:?}");
    if form == Form::Json {
        let again = Saved::from_json(&text).map(|_| ());
        assert!(again.is_ok(), "what was read is written and read again: {again:?}");
    }
}
