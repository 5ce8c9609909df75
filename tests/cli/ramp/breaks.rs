//! Ramps that break off, or have a step that does: what was finished is kept.

use rustix::process::Signal;
use serde_json::Value;

use super::{Ramp, names, steps};
use crate::support::{child_called, eventually, free_port, signal_to};

/// A step that ends by itself after 40 requests, and two that would take an hour.
const LONG: &str = "stack = 'embedded'\n[[step]]\nname = 'short'\nrequests = 40\n[[step]]\nname = 'long'\n\
                    rate = 50\nduration = '1h'\n[[step]]\nname = 'never'\nrate = 50\nduration = '1h'\n";

/// Waits until the first step is saved and the push service of the second step is running.
fn await_second_step(ramp: &Ramp) -> u32 {
    eventually("the first step's report", || ramp.saved());
    let first = names(&ramp.saved().expect("it is there")).len();
    assert_eq!(first, 1);
    eventually("the second step's push server", || child_called(ramp.process.pid(), "push"))
}

#[test]
fn a_step_with_a_killed_component_is_marked() {
    let ramp = Ramp::start(
        "stack = 'embedded'\ndrain = '500ms'\n[[step]]\nname = 'before'\nrequests = 40\n[[step]]\nname = 'killed'\n\
         rate = 100\nduration = '4s'\n[[step]]\nname = 'after'\nrequests = 40\n",
    );
    let push = await_second_step(&ramp);
    signal_to(push, Signal::KILL);
    let (code, printed, report) = ramp.finish();
    assert_eq!(code, Some(1), "{printed}");
    assert_eq!(
        (names(&report), &report["complete"]),
        (vec!["before", "killed", "after"], &Value::Bool(true))
    );
    let errors: Vec<_> = steps(&report).iter().map(|step| step["error"].as_str()).collect();
    assert_eq!((errors[0], errors[2]), (None, None));
    assert!(
        errors[1].is_some_and(|error| error.starts_with("push ended: signal: 9")),
        "{errors:?}"
    );
    for finished in [0, 2] {
        assert_eq!(steps(&report)[finished]["report"]["messages"]["arrived"], 40);
    }
    assert!(printed.contains("killed: push ended"), "{printed}");
}

#[test]
fn a_killed_ramp_leaves_its_finished_steps_on_disk() {
    let mut ramp = Ramp::start(LONG);
    await_second_step(&ramp);
    ramp.process.kill();
    let report = ramp.saved().expect("it was there before");
    assert_eq!((names(&report), &report["complete"]), (vec!["short"], &Value::Bool(false)));
    assert_eq!(report["planned_steps"], 3);
    assert_eq!(steps(&report)[0]["report"]["messages"]["arrived"], 40);
}

#[test]
fn ctrl_c_ends_a_ramp_with_its_finished_steps() {
    let ramp = Ramp::start(LONG);
    await_second_step(&ramp);
    ramp.process.signal(Signal::INT);
    let (code, printed, report) = ramp.finish();
    assert_eq!((code, &report["complete"]), (Some(130), &Value::Bool(false)));
    assert_eq!(names(&report)[0], "short");
    assert!(!names(&report).contains(&"never"));
    assert!(printed.contains("Not complete"), "{printed}");
}

#[test]
fn a_ramp_ends_if_its_servers_do_not_start() {
    let profile = format!(
        "redis = 'redis://127.0.0.1:{}'\nrequests = 5\n[sweep]\nconnections = [1, 2]\n",
        free_port()
    );
    let (code, _, report) = Ramp::start(&profile).finish();
    assert_eq!((code, names(&report)), (Some(1), vec!["connections 1"]));
    let step = &steps(&report)[0];
    assert_eq!(step["report"], Value::Null);
    assert!(step["error"].as_str().is_some_and(|error| error.contains("Redis")), "{step}");
}
