//! `loadgen compare`: what is worse, what is chance, and what cannot be told.

use crate::analysis::compare::{CompareError, Comparison, Figure, Noise, Outcome, compare};
use crate::core::distribution::Latencies;
use crate::output::TextOptions;
use crate::output::forms::{Document, Form, Subject};
use crate::report::{Allowed, Report, Row, Saved};

use super::{check_against, micros, observations};

/// A run of 10 s whose latencies in each second are those of `second` times this second's factor.
fn run(id: &str, seconds: &[f64]) -> Report {
    let mut report = Report::from(&observations(|_| ()));
    let (mut response, mut arrival) = (Latencies::default(), Latencies::default());
    report.series.clear();
    for (n, factor) in seconds.iter().enumerate() {
        let mut second = Latencies::default();
        (0..1_000).for_each(|n| second.record(micros((f64::from(1_000 + n) * factor) as u64)));
        let at = |q| second.quantile(q).map(|nanos| nanos.as_micros_f64());
        report.series.push(Row {
            t_s: (n + 1) as f64,
            sent: 1_000,
            completed: 1_000,
            arrived: 1_000,
            response_p50: at(0.5),
            response_p99: at(0.99),
            arrival_p50: at(0.5),
            arrival_p99: at(0.99),
            ..Row::default()
        });
        response.merge(&second);
        arrival.merge(&second);
    }
    report.latency.response = (&response).into();
    report.arrival = Some((&arrival).into());
    report.run.duration_s = seconds.len() as f64;
    report.run.id = id.to_owned();
    report.requests.completed_per_s = 1_000.0;
    report.requests.planned = 10_000;
    report.requests.status = [("200".to_owned(), 10_000)].into();
    if let Some(messages) = &mut report.messages {
        (messages.accepted, messages.lost) = (10_000, 0);
    }
    report
}

/// Ten seconds around `level`, of which every other is `by` above, the others below.
fn wavering(id: &str, level: f64, by: f64) -> Report {
    let seconds: Vec<_> =
        (0..10).map(|n| level * (1.0 + if n % 2 == 0 { by } else { -by })).collect();
    run(id, &seconds)
}

fn side(runs: &[Report]) -> Vec<(String, Saved)> {
    let named = |run: &Report| (format!("{}.json", run.run.id), Saved::Run(Box::new(run.clone())));
    runs.iter().map(named).collect()
}

fn compared(base: &[Report], new: &[Report]) -> Comparison {
    compare(&side(base), &side(new), 5.0).expect("like with like")
}

fn figure<'a>(comparison: &'a Comparison, name: &str) -> &'a Figure {
    let figures = &comparison.parts[0].figures;
    figures.iter().find(|figure| figure.name == name).unwrap_or_else(|| panic!("no {name}"))
}

fn outcome(comparison: &Comparison, name: &str) -> Option<Outcome> {
    figure(comparison, name).outcome
}

#[test]
fn a_report_does_not_differ_from_itself() {
    let comparison = compared(&[wavering("a", 1.0, 0.02)], &[wavering("b", 1.0, 0.02)]);
    assert!(!comparison.worse && comparison.trusted, "{comparison:?}");
    for name in ["arrival.p50", "latency.response.p99", "requests.completed_per_s", "lost_percent"]
    {
        assert_eq!(outcome(&comparison, name), Some(Outcome::Same), "{name}");
    }
    assert_eq!(outcome(&comparison, "arrival.p90"), None, "its noise is not known");
    assert_eq!(comparison.notes, [""; 0]);
}

#[test]
fn a_fifth_more_latency_is_worse_and_less_is_better() {
    let (base, new) = (wavering("a", 1.0, 0.02), wavering("b", 1.2, 0.02));
    let comparison = compared(std::slice::from_ref(&base), std::slice::from_ref(&new));
    assert!(comparison.worse);
    let p50 = figure(&comparison, "latency.response.p50");
    assert_eq!((p50.outcome, p50.noise), (Some(Outcome::Worse), Some(Noise::Seconds)));
    assert!((p50.change_percent - 20.0).abs() < 0.3, "{p50:?}");
    let [low, high] = p50.interval_percent.expect("known");
    assert!(low > 10.0 && low < 20.0 && high > 20.0 && high < 30.0, "{p50:?}");
    let comparison = compared(&[new], &[base]);
    assert!(!comparison.worse);
    assert_eq!(outcome(&comparison, "latency.response.p50"), Some(Outcome::Better));
}

#[test]
fn variation_between_seconds_is_not_a_change() {
    // The same fifth more, but the seconds of each run differ by as much.
    let comparison = compared(&[wavering("a", 1.0, 0.2)], &[wavering("b", 1.2, 0.2)]);
    assert!(!comparison.worse, "{comparison:?}");
    assert_eq!(outcome(&comparison, "latency.response.p50"), Some(Outcome::Unclear));
    let verdict = "INCONCLUSIVE: throughput, failures and losses same; arrival p50, p99, response p50 \
                   and p99 vary too much between seconds to tell ±5%. Give 3 runs a side.";
    assert_verdict(&comparison, verdict);
}

#[test]
fn variation_between_runs_is_not_a_change() {
    let runs = |names: [&str; 3], levels: [f64; 3]| {
        let run = |n: usize| wavering(names[n], levels[n], 0.001);
        [run(0), run(1), run(2)]
    };
    let (a, b) = (["a", "b", "c"], ["d", "e", "f"]);
    // A single pair of these would be called worse: within themselves they hardly waver.
    let (base, new) = (runs(a, [1.0, 1.3, 1.0]), runs(b, [1.3, 1.2, 1.25]));
    assert!(compared(&base[..1], &new[..1]).worse);
    let comparison = compared(&base, &new);
    assert!(!comparison.worse, "{comparison:?}");
    assert_eq!(figure(&comparison, "latency.response.p50").noise, Some(Noise::Runs));
    // Repeated runs that agree find a smaller change than the tolerance's double.
    let comparison = compared(&runs(a, [1.0, 1.01, 1.0]), &runs(b, [1.1, 1.11, 1.1]));
    assert!(comparison.worse, "{comparison:?}");
}

#[test]
fn a_lower_rate_is_worse_and_a_higher_rate_is_better() {
    let (base, mut new) = (wavering("a", 1.0, 0.0), wavering("b", 1.0, 0.0));
    new.requests.completed_per_s = 900.0;
    let comparison = compared(std::slice::from_ref(&base), std::slice::from_ref(&new));
    assert_eq!(outcome(&comparison, "requests.completed_per_s"), Some(Outcome::Worse));
    let comparison = compared(&[new], &[base]);
    assert_eq!(outcome(&comparison, "requests.completed_per_s"), Some(Outcome::Better));
}

#[test]
fn failures_and_losses_above_one_in_1000_are_worse() {
    let base = wavering("a", 1.0, 0.0);
    let with = |failed: u64, lost: u64| {
        let mut new = wavering("b", 1.0, 0.0);
        new.requests.status =
            [("200".to_owned(), 10_000 - failed), ("503".to_owned(), failed)].into();
        new.messages.as_mut().expect("it listened").lost = lost;
        let comparison = compared(std::slice::from_ref(&base), &[new]);
        (outcome(&comparison, "failed_percent"), outcome(&comparison, "lost_percent"))
    };
    assert_eq!(with(0, 0), (Some(Outcome::Same), Some(Outcome::Same)));
    assert_eq!(with(1, 3), (Some(Outcome::Same), Some(Outcome::Same)));
    assert_eq!(with(12, 12), (Some(Outcome::Unclear), Some(Outcome::Unclear)));
    assert_eq!(with(50, 0), (Some(Outcome::Worse), Some(Outcome::Same)));
    assert_eq!(with(0, 50), (Some(Outcome::Same), Some(Outcome::Worse)));
}

#[test]
fn runs_too_short_to_compare_are_refused_unless_repeated() {
    let short = |id: &str, level: f64| run(id, &[level, level]);
    let error = compare(&side(&[short("a", 1.0)]), &side(&[short("b", 1.0)]), 5.0);
    assert_eq!(error, Err(CompareError::TooShort));
    let base = [short("a", 1.0), short("b", 1.01)];
    let comparison = compared(&base, &[short("c", 1.5), short("d", 1.51)]);
    assert_eq!(outcome(&comparison, "latency.response.p50"), Some(Outcome::Worse));
}

#[test]
fn only_runs_with_the_same_plan_are_compared() {
    let (a, b) = (wavering("a", 1.0, 0.0), wavering("b", 1.0, 0.0));
    let mut closed = b.clone();
    closed.run.mode = crate::report::LoopMode::Closed;
    let ramp = |names: &[&str]| {
        let mut ramp = super::forms::ramp();
        ramp.steps = (names.iter())
            .map(|name| {
                let mut step = super::forms::ramp().steps.remove(0);
                step.name = (*name).to_owned();
                step.report = Some(wavering(name, 1.0, 0.0));
                step
            })
            .collect();
        vec![("r.json".to_owned(), Saved::Ramp(Box::new(ramp)))]
    };
    let error = |base: &[(String, Saved)], new: &[(String, Saved)]| {
        compare(base, new, 5.0).expect_err("unlike").to_string()
    };
    let base = side(&[a]);
    assert!(error(&base, &side(&[closed])).contains("closed"));
    assert!(error(&base, &ramp(&["x"])).contains("of a ramp"));
    assert!(error(&ramp(&["x"]), &ramp(&["y"])).contains("no step of the same name"));
    let mut edited = b.clone();
    edited.latency.response.hdr.truncate(20);
    assert!(error(&base, &side(&[edited])).contains("b.json: a histogram"));

    let comparison = compare(&ramp(&["x", "y"]), &ramp(&["y", "z"]), 5.0).expect("one in common");
    assert_eq!(comparison.parts.len(), 1);
    assert_eq!(comparison.parts[0].step.as_deref(), Some("y"));
    assert!(comparison.notes.iter().any(|note| note.starts_with("x: the new side")));
    assert!(comparison.notes.iter().any(|note| note.starts_with("z: the base")));
}

#[test]
fn differences_that_matter_to_a_reader_are_noted() {
    let (a, mut b) = (wavering("a", 1.0, 0.0), wavering("b", 1.0, 0.0));
    b.run.connections += 1;
    b.run.interrupted = true;
    b.verdict.generator = crate::report::GeneratorState::Limited;
    let comparison = compared(std::slice::from_ref(&a), &[b]);
    assert!(!comparison.trusted);
    for part in ["connections: 64 in a.json, 65 in b.json", "b.json could not hold", "whole run"] {
        assert!(comparison.notes.iter().any(|note| note.contains(part)), "{part}");
    }
    let comparison = compared(std::slice::from_ref(&a), std::slice::from_ref(&a));
    assert!(comparison.notes[0].contains("with itself"), "{:?}", comparison.notes);
    let twice = compared(&[a.clone(), a.clone()], &[wavering("b", 1.0, 0.0)]);
    assert!(
        twice.notes[0].contains("a.json are the same run. It counts twice"),
        "{:?}",
        twice.notes
    );
    let (mut earlier, mut later) = (a.clone(), wavering("b", 1.0, 0.0));
    earlier.run.started_at = "2026-11-23T02:00:00.000Z".to_owned();
    later.run.started_at = "2026-11-23T02:10:00.000Z".to_owned();
    assert_eq!(
        compared(std::slice::from_ref(&earlier), std::slice::from_ref(&later)).notes,
        [""; 0]
    );
    let swapped = compared(&[later], &[earlier]);
    assert!(swapped.notes[0].contains("Are the sides swapped?"), "{:?}", swapped.notes);
}

/// The text without a failed run, which the reports of these tests have.
fn text_of(comparison: &Comparison, options: TextOptions) -> String {
    let comparison = Comparison { failed: Vec::new(), ..comparison.clone() };
    let document = Document::Comparison(&comparison);
    document.render(Form::Text, options).expect("there is such a form")
}

/// Checks that the text begins and ends with the verdict, and fits a terminal.
#[track_caller]
fn assert_verdict(comparison: &Comparison, verdict: &str) {
    let text = text_of(comparison, TextOptions::default());
    let paragraphs: Vec<_> = text.split("\n\n").collect();
    for paragraph in [paragraphs.first(), paragraphs.last()] {
        let words = paragraph.expect("a text").split_whitespace().collect::<Vec<_>>();
        assert_eq!(words.join(" "), verdict, "{text}");
    }
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn each_verdict_is_one_plain_sentence() {
    const ONE_RUN: &str = "1 run a side does not show how much whole runs differ by chance: give 3 a side to be sure.";
    let (base, faster) = (wavering("a", 1.2, 0.02), wavering("b", 1.0, 0.02));
    let better = compared(std::slice::from_ref(&base), std::slice::from_ref(&faster));
    assert_verdict(
        &better,
        &format!(
            "BETTER: arrival p50 -16.7%, p99 -16.7%, response p50 -16.7%, p99 -16.7%. No figure is worse. {ONE_RUN}"
        ),
    );
    let worse = compared(std::slice::from_ref(&faster), std::slice::from_ref(&base));
    assert_verdict(
        &worse,
        &format!(
            "WORSE: arrival p50 +20.0%, p99 +20.0%, response p50 +20.0%, p99 +20.0%. {ONE_RUN}"
        ),
    );
    let same = compared(&[base], &[wavering("c", 1.2, 0.02)]);
    assert_verdict(
        &same,
        "SAME: every figure is within ±5%, failures and losses within ±0.1 points.",
    );
    // An interval from -19 % to below +5 %.
    let maybe = compared(&[wavering("a", 1.0, 0.06)], &[wavering("b", 0.92, 0.06)]);
    assert_verdict(
        &maybe,
        "SAME: no figure is worse by more than 5%; arrival p50, p99, response p50 and p99 may be better.",
    );
    let shown = text_of(&maybe, TextOptions::default());
    assert_eq!(shown.matches("same or better").count(), 4, "{shown}");
}

#[test]
fn a_comparison_that_proves_nothing_says_so_first_and_last() {
    let mut limited = wavering("b", 1.0, 0.02);
    limited.verdict.generator = crate::report::GeneratorState::Limited;
    let comparison = compared(&[wavering("a", 1.0, 0.02)], &[limited]);
    let text = text_of(&comparison, TextOptions::default());
    assert_eq!(text.matches("LIMITED: a generator could not hold its plan").count(), 2, "{text}");
    let failed = rendered(&comparison, Form::Text);
    assert_eq!(failed.matches("FAILED: a run proves nothing").count(), 2, "{failed}");
    let allowed = Allowed { limited: true, failed: true };
    let text = text_of(&comparison, TextOptions { allowed, ..TextOptions::default() });
    assert!(text.starts_with("SAME: "), "{text}");
}

#[test]
fn requests_without_a_failure_are_the_same_from_3000_on() {
    let with = |id: &str, planned: u64| {
        let mut run = wavering(id, 1.0, 0.02);
        (run.requests.planned, run.requests.status) =
            (planned, [("200".to_owned(), planned)].into());
        run
    };
    let comparison = compared(&[with("a", 3_600)], &[with("b", 3_600)]);
    assert_eq!(outcome(&comparison, "failed_percent"), Some(Outcome::Same));
    let failed = figure(&comparison, "failed_percent");
    assert_eq!(failed.interval_percent, Some([-0.0832, 0.0832]), "the rule of three: 3 / 3,600");
    let comparison = compared(&[with("a", 2_900)], &[with("b", 2_900)]);
    assert_verdict(
        &comparison,
        "INCONCLUSIVE: arrival p50, p99, response p50, p99, throughput and losses same; too few \
         requests to tell failures to ±0.1 points. Run longer.",
    );
}

#[test]
fn percentiles_that_do_not_decide_are_shown_with_latency_only() {
    let comparison = compared(&[wavering("a", 1.0, 0.02)], &[wavering("b", 1.2, 0.02)]);
    let [short, long] = [false, true]
        .map(|latency| text_of(&comparison, TextOptions { latency, ..TextOptions::default() }));
    assert!(!short.contains("p99.9") && !short.contains("Interval"), "{short}");
    assert!(long.contains("arrival p99.9"), "{long}");
    assert!(long.contains("Interval  from the variation between seconds: arrival p50,"), "{long}");
}

fn rendered(comparison: &Comparison, form: Form) -> String {
    let document = Document::Comparison(comparison);
    let text = document.render(form, TextOptions::default()).expect("there is such a form");
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION")
}

#[test]
fn the_forms_of_a_comparison() {
    let mut comparison = compared(&[wavering("a", 1.0, 0.02)], &[wavering("b", 1.2, 0.02)]);
    assert_eq!(comparison.parts[0].distributions.len(), 2);
    assert_eq!(check_against("comparison", &rendered(&comparison, Form::Json)), Ok(()));
    // Without the histograms the snapshot can be read.
    comparison.parts[0].distributions.clear();
    comparison.tool.revision = None;
    assert_snapshot!("comparison_text", rendered(&comparison, Form::Text));
    assert_snapshot!("comparison_markdown", rendered(&comparison, Form::Markdown));
    assert_snapshot!("comparison_junit", rendered(&comparison, Form::Junit));
    assert_snapshot!("comparison_json", rendered(&comparison, Form::Json));
    roxmltree::Document::parse(&rendered(&comparison, Form::Junit)).expect("XML");
    assert_eq!(check_against("comparison", &rendered(&comparison, Form::Json)), Ok(()));
    assert!(check_against("comparison", "{}").is_err(), "the schema lets anything pass");
    assert!(Form::Hlog.fits(Subject::Comparison).is_err());
    let error = Saved::from_json(&comparison.to_json()).expect_err("no report").to_string();
    assert!(error.contains("it is a comparison"), "{error}");
}

/// A run with 300 values a second, too few for a 99th percentile of one second. Each 25th value takes `tail` µs.
fn slow(id: &str, tail: u64, seconds: usize) -> Report {
    let mut report = run(id, &vec![1.0; seconds]);
    let mut all = Latencies::default();
    for n in 0..300 * seconds as u64 {
        all.record(micros(if n % 25 == 0 { tail + n % 300 } else { 1_000 + n % 300 }));
    }
    for row in &mut report.series {
        (row.completed, row.response_p99, row.arrival_p99) = (300, None, None);
    }
    report.latency.response = (&all).into();
    report.arrival = Some((&all).into());
    report.requests.completed_per_s = 300.0;
    report
}

#[test]
fn p99_decides_even_if_single_seconds_have_none() {
    let base = slow("a", 2_000, 10);
    let comparison = compared(std::slice::from_ref(&base), &[slow("b", 180_000, 10)]);
    let p99 = figure(&comparison, "latency.response.p99");
    assert_eq!((p99.outcome, p99.noise), (Some(Outcome::Worse), Some(Noise::Values)), "{p99:?}");
    assert_eq!(outcome(&comparison, "latency.response.p50"), Some(Outcome::Same));
    assert_eq!(comparison.undecided, [""; 0]);
    let same = compared(std::slice::from_ref(&base), &[slow("b", 2_010, 10)]);
    assert!(!same.worse, "{same:?}");
}

#[test]
fn seconds_with_just_enough_values_for_a_p99_do_not_change_the_decision() {
    let (base, mut new) = (wavering("a", 1.0, 0.02), wavering("b", 90.0, 0.02));
    for row in new.series.iter_mut().step_by(3) {
        row.response_p99 = None;
    }
    let comparison = compared(&[base], &[new]);
    let p99 = figure(&comparison, "latency.response.p99");
    assert_eq!((p99.outcome, p99.noise), (Some(Outcome::Worse), Some(Noise::Seconds)), "{p99:?}");
}

#[test]
fn figures_that_cannot_decide_are_named() {
    let mut new = slow("b", 2_000, 10);
    new.latency.response.p99 = None;
    let comparison = compared(&[slow("a", 2_000, 10)], &[new]);
    assert_eq!(comparison.undecided, ["latency.response.p99"]);
    assert_verdict(
        &comparison,
        "INCONCLUSIVE: arrival p50, p99, response p50, throughput, failures and losses same; too few \
         answers or whole seconds for response p99. Run longer.",
    );
    assert_eq!(check_against("comparison", &rendered(&comparison, Form::Json)), Ok(()));
}

#[test]
fn a_total_failure_is_worse_even_without_other_figures() {
    let dead = |id: &str| {
        let mut dead = wavering(id, 1.0, 0.0);
        dead.requests.status.clear();
        dead.requests.completed_per_s = 0.0;
        for row in &mut dead.series {
            (row.completed, row.response_p50, row.response_p99) = (0, None, None);
        }
        dead.latency.response = (&Latencies::default()).into();
        dead.arrival = Some((&Latencies::default()).into());
        dead
    };
    let comparison = compared(&[wavering("a", 1.0, 0.0)], &[dead("b")]);
    assert!(comparison.worse, "{comparison:?}");
    assert_eq!(outcome(&comparison, "failed_percent"), Some(Outcome::Worse));
    // As of runs that are too short for anything else.
    let comparison = compared(&[run("a", &[1.0, 1.0])], &[dead("b")]);
    assert!(comparison.worse, "{comparison:?}");
    // Two that fail alike are long enough, and say nothing of times.
    let comparison = compared(&[dead("a")], &[dead("b")]);
    assert!(!comparison.worse && comparison.undecided.len() == 5, "{comparison:?}");
}

#[test]
fn machines_that_others_used_unevenly_are_noted() {
    let with = |id: &str, other_cpu_percent: f64| {
        let mut run = wavering(id, 1.0, 0.02);
        run.generator.get_or_insert_default().other_cpu_percent = Some(other_cpu_percent);
        run
    };
    let quiet = compared(&[with("a", 2.0)], &[with("b", 9.0)]);
    assert!(!quiet.notes.iter().any(|note| note.contains("other processes")), "{:?}", quiet.notes);
    let uneven = compared(&[with("a", 2.0)], &[with("b", 50.0)]);
    let said = "other processes used 2% to 50% of the CPUs in these runs";
    assert!(uneven.notes.iter().any(|note| note.starts_with(said)), "{:?}", uneven.notes);
}
