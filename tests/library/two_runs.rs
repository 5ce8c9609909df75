//! Two runs in one process share nothing: what befalls one does not show in the other.

use std::collections::BTreeSet;
use std::time::Duration;

use loadgen::config::plan::Plan;
use loadgen::config::settings::{Engine, NodeShare, Settings};
use loadgen::report::Report;
use loadgen::run::Runner;

use crate::support::{Act, OK, Target, assert_adds_up};

fn settings(target: &Target, index: u64) -> Settings {
    Settings {
        url: Some(target.url()),
        // Each node sends its half.
        rate: "800".parse().ok(),
        duration: Some(Duration::from_secs(1)),
        timeout: Some(Duration::from_millis(300)),
        connections: Some(8),
        threads: Some(2),
        body: Some("{{msg_id}}".to_owned()),
        // Without a Redis in common it takes this for ids to be unique over runs at one time.
        node: Some(NodeShare { index, count: 2 }),
        ..Settings::default()
    }
}

/// Runs the library in this process.
async fn run(settings: Settings) -> Report {
    let plan = Plan::new(settings).expect("a valid plan");
    let report = Runner::new().run(&plan).await.expect("a run");
    assert_adds_up(&report);
    report
}

fn ids(target: &Target) -> BTreeSet<u64> {
    target.requests().iter().map(|request| request.body.parse().expect("an id")).collect()
}

#[tokio::test]
async fn two_runs_at_once_do_not_disturb_each_other() {
    let (good, other) = (Target::always(Act::Say(OK)), Target::always(Act::Say(OK)));
    let [first, second] = [settings(&good, 0), settings(&other, 1)];
    let (first, second) = tokio::join!(run(first), run(second));
    for report in [&first, &second] {
        let r = &report.requests;
        assert_eq!((r.planned, r.completed, r.reconnects), (400, 400, 0), "{r:?}");
    }
    assert_ne!(first.run.id, second.run.id);
    let (first, second) = (ids(&good), ids(&other));
    assert_eq!((first.len(), second.len()), (400, 400));
    assert!(first.is_disjoint(&second));
}

#[tokio::test]
async fn a_run_is_complete_beside_a_failing_run() {
    for engine in [Engine::Raw, Engine::Reqwest] {
        for trouble in [Act::Reset, Act::Silence, Act::Say(b"nonsense\r\n\r\n")] {
            let (good, bad) = (Target::always(Act::Say(OK)), Target::always(trouble));
            let engine = Some(engine);
            let drain = Some(Duration::from_millis(500));
            let bad = Settings { engine, drain, ..settings(&bad, 0) };
            let good = Settings { engine, ..settings(&good, 1) };
            let (good, bad) = tokio::join!(run(good), run(bad));
            assert_eq!((good.requests.completed, good.requests.failed), (400, 0), "{trouble:?}");
            let r = &bad.requests;
            assert_eq!((r.planned, r.completed), (400, 0), "{trouble:?}: {r:?}");
        }
    }
}
