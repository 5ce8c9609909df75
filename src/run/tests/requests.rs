//! A mix of requests: what each form says of each of them, and of all.

use std::sync::Arc;

use crate::config::settings::{NodeShare, Settings};
use crate::engine::Mixture;
use crate::engine::recorder::Recorder;
use crate::message::{Assignment, IdSpace};
use crate::output::forms::{Document, Form};
use crate::output::{TextOptions, text};
use crate::report::{Report, merge, number};
use crate::run::measurements::Measurements;

use super::{SECOND, check_schema, observations, spread, written_by};

const PROFILE: &str =
    "[[request]]\nname = 'view'\nweight = 3\nmethod = 'GET'\n[[request]]\nname = 'buy'\n";

/// A mix of 2,000 requests. Three quarters are views, which carry no MsgID.
fn mixed(change: impl FnOnce(&mut Settings)) -> Measurements {
    let mut seen = observations(|s| {
        s.mix = Settings::from_toml(PROFILE).expect("valid").mix;
        change(s);
    });
    let request = &seen.plan.request;
    let space = IdSpace::from_authority(0, 1, 100);
    let assignment = Assignment::new(Arc::clone(&request.mix), space, 0, 1);
    let carries_id = request.requests.iter().map(|one| one.carries_id()).collect();
    let recorder = Recorder::new(space, 100, SECOND).of_mix(Mixture { assignment, carries_id });
    seen.load = written_by(recorder).result;
    let arrivals = seen.arrivals.as_mut().expect("it listened");
    arrivals.by_request = vec![spread(0, 1, 2).into(), spread(500, 300, 4_000).into()];
    seen
}

fn rendered(report: &Report, form: Form) -> String {
    Document::Run(report).render(form, TextOptions::default()).expect("a form")
}

#[test]
fn the_parts_of_a_mix_add_up() {
    let report = Report::from(&mixed(|_| ()));
    let sum = |of: fn(&crate::report::ByRequest) -> u64| report.by_request.iter().map(of).sum();
    let r = &report.requests;
    let parts: [u64; 5] = [
        sum(|r| r.sent),
        sum(|r| r.dropped),
        sum(|r| r.completed),
        sum(|r| r.failed),
        sum(|r| r.unfinished),
    ];
    assert_eq!(parts, [r.sent, r.dropped, r.completed, r.failed, r.unfinished]);
    let counts: Vec<_> = report.by_request.iter().map(|r| r.sent + r.dropped).collect();
    assert_eq!(counts, [1_500, 500]);
    let values: u64 = sum(|r| r.response.count);
    assert_eq!(values, report.latency.response.count);
    for (status, count) in &r.status {
        let own = report.by_request.iter().filter_map(|r| r.status.get(status));
        assert_eq!(own.sum::<u64>(), *count, "{status}");
    }
    assert_eq!(report.by_request[0].arrival, None, "a view is not a message");
    assert_eq!(report.by_request[1].arrival.as_ref().map(|q| q.count), Some(500));
    assert_eq!(check_schema(&report), Ok(()));
    assert_eq!(Report::from_json(&report.to_json()).expect("our own"), report);
    let note = "{{msg_id}} is not in the body, a header or the URL of view: messages and arrival are of \
                the other requests";
    assert!(
        crate::report::sentences(&report.verdict.notes).iter().any(|own| own == note),
        "{:?}",
        report.verdict.notes
    );
}

#[test]
fn the_text_has_a_row_for_each_request() {
    let open = Report::from(&mixed(|_| ()));
    let mut seen = mixed(|s| (s.rate, s.connections) = (None, Some(4)));
    seen.arrivals = None;
    let closed = Report::from(&seen);
    let table = |report: &Report, form| {
        let all = rendered(report, form);
        let rows = all.lines().skip_while(|line| !line.contains("Request ")).take(4);
        rows.collect::<Vec<_>>().join("\n")
    };
    let tables =
        [table(&open, Form::Text), table(&closed, Form::Text), table(&open, Form::Markdown)];
    assert_snapshot!("requests", tables.join("\n\n"));
    let one = Report::from(&observations(|_| ()));
    assert!(!text(&one, TextOptions::default()).contains("weight"));
}

#[test]
fn every_number_of_a_request_can_be_named() {
    let fail_if = "by_request.buy.response.p50>1us";
    let report = Report::from(&mixed(|s| s.fail_if = vec![fail_if.to_owned()]));
    let p50 = report.by_request[1].response.p50;
    assert_eq!(number(&report, "by_request.buy.response.p50"), p50);
    assert_eq!((report.verdict.thresholds[0].value, report.verdict.pass), (p50, false));
    let csv = rendered(&report, Form::Csv);
    let head = csv.lines().next().expect("a head");
    let column = head.split(',').position(|name| name == "by_request.view.status.200");
    let row = csv.lines().nth(1).expect("a row");
    // No cell before it has a comma in it.
    let cell = row.split(',').nth(column.expect("a column"));
    let views = report.by_request[0].status["200"].to_string();
    assert_eq!(cell, Some(views.as_str()), "{csv}");
    let hlog = rendered(&report, Form::Hlog);
    for tag in ["Tag=buy/arrival,", "Tag=buy/response,", "Tag=view/service,"] {
        assert_eq!(hlog.matches(tag).count(), 1, "{tag}");
    }
    assert!(!hlog.contains("Tag=view/arrival,"));
}

#[test]
fn parts_of_a_mix_are_added_by_name() {
    let part = |index: u64| {
        let mut seen = mixed(|s| s.node = Some(NodeShare { index, count: 2 }));
        seen.run_id = format!("run-{index}");
        (format!("{index}.json"), Report::from(&seen))
    };
    let (_, one) = part(0);
    let all = merge(vec![part(0), part(1)]).expect("parts of one load");
    for (sum, own) in all.by_request.iter().zip(&one.by_request) {
        assert_eq!((&sum.name, sum.weight), (&own.name, own.weight));
        assert_eq!((sum.sent, sum.completed), (2 * own.sent, 2 * own.completed));
        assert_eq!((sum.failed, sum.dropped), (2 * own.failed, 2 * own.dropped));
        assert_eq!(sum.status["200"], 2 * own.status["200"]);
        assert_eq!(sum.response.count, 2 * own.response.count);
        assert_eq!((sum.service.p50, sum.service.max), (own.service.p50, own.service.max));
        let count = |r: &crate::report::ByRequest| r.arrival.as_ref().map(|q| q.count);
        assert_eq!(count(sum), count(own).map(|count| 2 * count));
    }
    assert_eq!((all.by_request.len(), check_schema(&all)), (2, Ok(())));
    let mut other = part(1);
    other.1.by_request[0].weight = 4;
    let error = merge(vec![part(0), other]).expect_err("another mix").to_string();
    assert!(error.contains("requests view:3, buy:1 and view:4, buy:1"), "{error}");
}
