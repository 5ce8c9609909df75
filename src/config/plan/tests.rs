//! What a plan is made of, and what is refused.

use std::time::Duration;

use super::*;
use crate::config::settings::{ArrivalProcess, Engine};
use crate::core::units::Rate;
use crate::message::MAX_BODY;

fn plan(change: impl FnOnce(&mut Settings)) -> Result<Plan, String> {
    let mut settings = Settings::default();
    change(&mut settings);
    Plan::new(settings).map_err(|e| e.to_string())
}

#[test]
fn defaults_are_wrks_in_a_closed_loop_and_wider_in_an_open_one() {
    let closed = plan(|_| ()).expect("valid").load;
    assert_eq!((closed.connections, closed.duration), (10, Some(Duration::from_secs(10))));
    assert_eq!(closed.mode, Mode::Closed);
    let open = plan(|s| s.rate = Rate::per_second(5).ok().map(Into::into)).expect("valid").load;
    assert_eq!((open.connections, open.timeout), (64, Duration::from_secs(2)));
    let counted = plan(|s| s.requests = Some(5)).expect("valid").load;
    assert_eq!((counted.duration, counted.end()), (None, None));
}

#[test]
fn a_senseless_setting_is_refused_by_its_flag() {
    type Change = fn(&mut Settings);
    let cases: [(Change, &str); 30] = [
        (
            |s| (s.url, s.push_limit) = (Some("http://h/".into()), Rate::per_second(5).ok()),
            "--push-limit applies to the pipeline",
        ),
        (
            |s| (s.url, s.stack) = (Some("http://h/".into()), Some(StackChoice::Embedded)),
            "--stack applies to the pipeline",
        ),
        (|s| (s.rate, s.requests) = ("1..9".parse().ok(), Some(5)), "--rate 1..9"),
        (|s| s.url = Some("localhost:80".into()), "did you mean http://localhost/?"),
        (|s| s.url = Some("nonsense".into()), "is not a URL"),
        (|s| s.url = Some("ftp://host/".into()), "must begin with http"),
        (|s| s.url = Some("http://[::1/".into()), "not valid"),
        (|s| s.connections = Some(0), "--connections"),
        (|s| (s.connections, s.threads) = (Some(2), Some(3)), "--threads 3"),
        (|s| s.threads = Some(0), "--threads"),
        (|s| s.duration = Some(Duration::ZERO), "--duration"),
        (|s| s.requests = Some(0), "--requests"),
        (|s| s.timeout = Some(Duration::ZERO), "--timeout"),
        (|s| s.max_in_flight = Some(5), "--max-in-flight needs --rate"),
        (|s| s.arrivals = Some(ArrivalProcess::Poisson), "--arrivals needs --rate"),
        (|s| s.method = Some("G T".into()), "--method"),
        (|s| s.headers = vec!["novalue".into()], "'Name: value'"),
        (
            |s| (s.script, s.url) = (Some("/dev/null".into()), Some("http://h/{{x}}".into())),
            "in the script",
        ),
        (|s| s.headers = vec!["A: b\r\nX: y".into()], "does not allow"),
        (|s| s.body = Some("{{who}}".into()), "--body: unknown placeholder {{who}}"),
        (|s| s.body_file = Some("/nowhere/body".into()), "--body-file /nowhere/body"),
        (|s| s.script = Some("/nowhere/post.lua".into()), "--script /nowhere/post.lua"),
        (|s| s.script_args = vec!["a".into()], "--script FILE"),
        (|s| (s.script, s.body) = (Some("a".into()), Some("b".into())), "wrk.body"),
        (|s| (s.script, s.engine) = (Some("a".into()), Some(Engine::Reqwest)), "--engine reqwest"),
        (|s| s.topics = vec!["a/#".into()], "--topic"),
        (|s| s.topics = vec!["a".into(), "b".into()], "--topic is given 2 times"),
        (|s| s.sample = Some(0), "--sample"),
        (|s| s.body = Some("x".repeat(MAX_BODY + 1)), "--body"),
        (
            |s| {
                s.stack = Some(StackChoice::Embedded);
                s.redis = Some("redis://host".into());
                s.mqtt = Some("mqtt://host".into());
            },
            "--stack",
        ),
    ];
    for (change, part) in cases {
        let error = plan(change).map(|_| ()).expect_err(part);
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[test]
fn a_condition_is_on_a_request_that_there_is() {
    let check = |requests: &str, expr: &str| {
        plan(|s| {
            *s = Settings::from_toml(requests).expect("valid");
            s.fail_if = vec![expr.to_owned()];
        })
        .map(|_| ())
    };
    let two = "[[request]]\nname = 'a'\n[[request]]\nname = 'b'\n";
    assert_eq!(check(two, "by_request.b.response.p99>5ms"), Ok(()));
    let error = check(two, "by_request.c.sent>5").expect_err("no c");
    assert!(error.contains("no request 'c'; there are a, b"), "{error}");
    let error = check("", "by_request.c.sent>5").expect_err("no mix");
    assert!(error.contains("several [[request]]"), "{error}");
}

#[test]
fn what_may_be_a_secret_is_not_repeated() {
    let changes: [fn(&mut Settings); 6] = [
        |s| s.url = Some("u:onyx-lantern@host:80/x".into()),
        |s| s.url = Some("host/x?token=onyx-lantern".into()),
        |s| s.script_args = vec!["--password=onyx-lantern".into()],
        |s| s.headers = vec!["Bearer onyx-lantern".into()],
        |s| {
            s.script = Some("/dev/null".into());
            s.url = Some("http://u:onyx-lantern@h/{{seq}}".into());
        },
        |s| {
            s.script = Some("/dev/null".into());
            s.headers = vec!["Authorization: Bearer onyx-lantern{{seq}}".into()];
        },
    ];
    for change in changes {
        let error = plan(change).map(|_| ()).expect_err("refused");
        assert!(!error.contains("onyx"), "{error}");
    }
}

#[test]
fn a_condition_on_messages_wants_a_listener() {
    let check = |expr: &str, mqtt: bool| {
        plan(|s| {
            s.url = Some("http://h/".into());
            s.mqtt = mqtt.then(|| "mqtt://h".into());
            s.redis = mqtt.then(|| "redis://h".into());
            s.fail_if = vec![expr.to_owned()];
        })
        .map(|_| ())
    };
    for expr in ["arrival.p99>5ms", "messages.lost>0"] {
        assert!(check(expr, false).expect_err("refused").contains("--mqtt"));
        assert_eq!(check(expr, true), Ok(()));
    }
    assert_eq!(check("response.p99>5ms", false), Ok(()));
}

#[test]
fn a_condition_on_a_percentile_wants_enough_values() {
    let check = |expr: &str, toml: &str| {
        plan(|s| {
            *s = Settings::from_toml(toml).expect("valid");
            s.fail_if = vec![expr.to_owned()];
        })
        .map(|_| ())
    };
    let error = check("arrival.p99>5ms", "rate = 100\nduration = '5s'\n").expect_err("refused");
    assert!(
        error.contains("p99 needs at least 1,000 values; this run plans 500 requests"),
        "{error}"
    );
    assert!(check("response.p50>1s", "requests = 19\n").is_err());
    for (expr, enough) in [
        ("response.p50>1s", "requests = 20\n"),
        ("arrival.p99>5ms", "rate = 100\nduration = '10s'\n"),
        ("arrival.p99>5ms", "rate = '50..150'\nduration = '10s'\n"),
        ("arrival.max>5ms", "requests = 1\n"),
        // Only the target, or chance, says how many there will be.
        ("arrival.p99_99>5ms", "duration = '1s'\n"),
        ("arrival.p99>5ms", "rate = 100\nduration = '5s'\narrivals = 'poisson'\n"),
    ] {
        assert_eq!(check(expr, enough), Ok(()), "{expr} {enough}");
    }
}

#[test]
fn a_condition_on_arrivals_needs_a_request_with_an_id() {
    let refused = |expr: &str, body: Option<&str>, header: &str| {
        plan(|s| {
            s.mqtt = Some("mqtt://h".into());
            s.url = Some("http://h/".into());
            s.body = body.map(str::to_owned);
            s.headers = vec![format!("X: {header}")];
            s.fail_if = vec![expr.to_owned()];
        })
        .err()
    };
    for expr in ["messages.lost>0", "arrival.max>1s"] {
        let error = refused(expr, Some("hello"), "y").expect("it is refused");
        assert!(error.contains(expr) && error.contains("{{msg_id}} is not in the body"), "{error}");
        assert_eq!(refused(expr, Some("hello"), "{{msg_id}}"), None);
        assert_eq!(refused(expr, None, "y"), None);
    }
    assert_eq!(refused("messages.duplicated>0", Some("hello"), "y"), None);
}
