//! The verdict on the generator, and the notes of a report.

use std::time::Duration;

use crate::config::settings::Settings;
use crate::engine::recorder::Recorder;
use crate::engine::transport::cause::{Cause, CauseCounts};
use crate::engine::transport::{Completion, RequestOutcome, Ticket};
use crate::host::health::Machine;
use crate::message::{IdSpace, MsgId};
use crate::output::{TextOptions, text};
use crate::report::{Remark, Report, Server, sentences};
use crate::run::measurements::Measurements;

use super::{SECOND, micros, observations, spread};

#[test]
fn a_late_generator_is_limited() {
    let mut seen = observations(|_| ());
    seen.load.pacing = spread(2_000, 10, 40_000);
    let report = Report::from(&seen);
    assert_eq!((report.verdict.generator.is_valid(), report.verdict.pass), (false, false));
    assert!(
        report.verdict.reasons[0].to_string().contains("too busy"),
        "{:?}",
        report.verdict.reasons
    );
    assert!(text(&report, TextOptions::default()).contains("LIMITED: do not trust these numbers"));
}

#[test]
fn lateness_due_to_the_tick_is_noted_and_not_limited() {
    let verdict = |tick_ms: u64, latest_us: u64| {
        let mut seen = observations(|s| s.tick = Some(Duration::from_millis(tick_ms)));
        seen.load.pacing = spread(2_000, 10, latest_us);
        seen.load.response = spread(2_000, 100, latest_us + 100);
        Report::from(&seen).verdict
    };
    let planned = verdict(10, 10_000);
    assert_eq!((planned.generator.is_valid(), planned.reasons.len()), (true, 0));
    let note = "the wait for the generator's next wake, as --tick is 10.0ms";
    assert!(sentences(&planned.notes).iter().any(|n| n.ends_with(note)), "{:?}", planned.notes);
    // Of the same lateness more than the tick explains.
    let late = verdict(1, 10_000);
    assert!(!late.generator.is_valid());
    assert!(
        late.reasons[0].to_string().contains("(limit 2.00ms beyond the tick)"),
        "{:?}",
        late.reasons
    );
    assert!(sentences(&late.notes).iter().any(|n| n.ends_with("own lateness")), "{:?}", late.notes);
    assert!(!verdict(10, 40_000).generator.is_valid());
}

#[test]
fn figures_of_embedded_servers_come_with_a_warning() {
    let stand_in =
        || Some(Server { kind: crate::report::ServerKind::Embedded, version: "x".to_owned() });
    let notes = |queue: bool, broker: bool| {
        let mut seen = observations(|_| ());
        seen.stack.queue = seen.stack.queue.filter(|_| !queue).or_else(stand_in);
        seen.stack.broker = seen.stack.broker.filter(|_| !broker).or_else(stand_in);
        let notes = sentences(&Report::from(&seen).verdict.notes);
        notes.into_iter().filter(|note| note.contains("embedded")).collect::<Vec<_>>()
    };
    assert_eq!(notes(false, false), [""; 0]);
    for (embedded, begin) in [
        ((true, true), "queue and broker are loadgen's own stand-ins"),
        ((true, false), "the queue is loadgen's own stand-in"),
        ((false, true), "the broker is loadgen's own stand-in"),
    ] {
        let notes = notes(embedded.0, embedded.1);
        assert!(notes.len() == 1 && notes[0].starts_with(begin), "{notes:?}");
        assert!(notes[0].ends_with("not the figures of a real deployment"), "{notes:?}");
    }
}

#[test]
fn a_wait_for_a_connection_is_noted_with_its_cause() {
    let notes = |waited: u64, change: fn(&mut Measurements)| {
        let mut seen = observations(|_| ());
        let all = spread(2_000, waited / 2, waited);
        (seen.load.waiting, seen.load.response) = (all.clone(), all);
        change(&mut seen);
        let report = Report::from(&seen);
        assert!(report.verdict.generator.is_valid());
        sentences(&report.verdict.notes).join("; ")
    };
    let short = notes(900, |_| ());
    assert!(!short.contains("waiting for"), "{short}");
    let said = notes(50_000, |_| ());
    assert!(
        said.contains("is waiting for one of 64 connections: the target answered nothing"),
        "{said}"
    );
    // 2,000 a second at 40 ms each are 80 connections.
    let few = notes(50_000, |seen| seen.load.service = spread(2_000, 40_000, 40_000));
    assert!(
        few.contains("2,000 requests/s keep 80 connections busy; take more --connections"),
        "{few}"
    );
    let slow = notes(50_000, |seen| {
        seen.load.service = spread(2_000, 40_000, 40_000);
        seen.load.counters.completed = 1_000;
    });
    assert!(slow.contains("the target is slower than the rate, or needs more"), "{slow}");
    // Of 64 connections two were not open all the time.
    let closed = notes(50_000, |seen| seen.traffic.reconnecting = micros(2_000_000));
    assert!(closed.contains("connections were closed or being made again for 3.1% of"), "{closed}");
    assert!(!closed.contains("slower than the rate"), "{closed}");
}

#[test]
fn lateness_of_an_open_loop_is_explained_by_the_machine() {
    let reasons = |change: fn(&mut Machine)| {
        let mut seen = observations(|_| ());
        seen.load.pacing = spread(2_000, 10, 400_000);
        seen.load.run_queue = micros(1_600_000);
        change(&mut seen.machine);
        let verdict = Report::from(&seen).verdict;
        assert!(!verdict.generator.is_valid());
        sentences(&verdict.reasons).join("; ")
    };
    for (change, said) in [
        (
            (|machine| machine.other_cpu_s = Some(1.7)) as fn(&mut Machine),
            "other processes used 85% of the 2 CPUs",
        ),
        (
            |machine| (machine.periods, machine.throttled_periods) = (41, 40),
            "throttled in 40 of 41 periods",
        ),
        (|machine| machine.stopped = micros(500_000), "loadgen was stopped for 0.5 s of 1.0 s"),
        (|_| (), "too busy for the rate: the load threads waited 80% of their time"),
    ] {
        let reasons = reasons(change);
        assert!(reasons.contains(said), "{reasons}");
    }
}

#[test]
fn a_method_that_the_target_refuses_is_noted() {
    let notes_of = |status: u16, change: fn(&mut Settings)| {
        let mut seen = observations(change);
        let ticket = Ticket { due: SECOND, ready: SECOND, id: MsgId::new(1).expect("small") };
        let mut recorder = Recorder::new(IdSpace::from_authority(0, 1, 100), 100, SECOND);
        // Where all are refused, the run has failed, which says it.
        for status in [200, status] {
            let (at, outcome) = (SECOND + micros(100), RequestOutcome::Answered { status });
            recorder.completed(&Completion { ticket, sent: SECOND, at, outcome, connect: None });
        }
        seen.load = recorder.result;
        sentences(&Report::from(&seen).verdict.notes).join("; ")
    };
    let notes = |status| notes_of(status, |_| ());
    assert!(!notes(404).contains("405"), "{}", notes(404));
    let said = notes(405);
    assert!(said.contains("1 request was answered with 405"), "{said}");
    assert!(said.contains("--method names another"), "{said}");
    let of_profile = |s: &mut Settings| {
        *s = Settings::from_toml(
            "rate = 2000\nduration = '1s'\n[[request]]\nname = 'a'\nmethod = 'GET'\n",
        )
        .expect("valid");
    };
    let said = notes_of(405, of_profile);
    assert!(said.contains("`method` in each [[request]] names another"), "{said}");
}

#[test]
fn answers_without_kernel_timestamps_are_noted() {
    let notes = |answers: u64, messages: u64, change: fn(&mut Settings)| {
        let mut seen = observations(change);
        seen.traffic.timed_when_read = answers;
        if let Some(arrivals) = &mut seen.arrivals {
            arrivals.timed_when_read = messages;
        }
        let notes = sentences(&Report::from(&seen).verdict.notes);
        notes.into_iter().filter(|note| note.contains("noted no time")).collect::<Vec<_>>()
    };
    // Of 1,996 answers and 1,994 messages one in a hundred is nothing to speak of.
    assert_eq!(notes(19, 19, |_| ()), [""; 0]);
    let said = notes(20, 20, |_| ());
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("for 20 answers: timed when read"), "{said:?}");
    assert!(said[1].contains("for 20 messages: timed when read"), "{said:?}");
    // A closed loop does not ask the kernel; the subscriber does.
    let closed = notes(1_996, 1_994, |s| s.rate = None);
    assert!(closed.len() == 1 && closed[0].contains("1,994 messages"), "{closed:?}");
}

#[test]
fn busy_polling_does_not_count_as_load() {
    let notes = |looked: u64| {
        let mut seen = observations(|s| (s.rate, s.threads) = (None, Some(2)));
        // Of the two threads' second.
        seen.resources[0].cpu_percent_mean = 195.0;
        seen.traffic.busy_polled = micros(looked);
        let notes = sentences(&Report::from(&seen).verdict.notes);
        notes.into_iter().filter(|note| note.contains("was busy")).collect::<Vec<_>>()
    };
    let busy = notes(0);
    assert!(busy.len() == 1 && busy[0].contains("98% of its threads' time"), "{busy:?}");
    assert_eq!(notes(400_000), [""; 0]);
}

#[test]
fn errors_and_losses_are_shown_in_percent() {
    // Of 1,998 requests one was refused and two failed; of 1,995 accepted messages two were lost.
    let report = Report::from(&observations(|_| ()));
    let (requests, messages) = (&report.requests, report.messages.as_ref().expect("it listened"));
    assert_eq!((requests.refused, requests.status["503"]), (1, 1));
    let errors = requests.refused + requests.failed + requests.unfinished;
    let percent = |part: u64, whole: u64| Some((part as f64 * 1e6 / whole as f64).round() / 1e4);
    assert_eq!((errors, requests.error_percent), (3, percent(3, requests.sent)));
    assert_eq!(messages.lost_percent, percent(messages.lost, messages.accepted));
}

#[test]
fn an_old_report_gets_its_verdict_when_it_is_read() {
    let text = include_str!("../../../tests/data/run.json");
    let report = Report::from_json(text).expect("a report of before there were failures");
    assert_eq!((report.requests.refused, report.requests.error_percent), (0, Some(0.0)));
    assert_eq!(report.messages.as_ref().and_then(|m| m.lost_percent), Some(0.0));
    assert!(report.verdict.failures.is_empty() && report.verdict.pass);

    let dead = text.replace("\"status\":{\"200\":", "\"status\":{\"404\":");
    let report = Report::from_json(&dead).expect("still a report");
    assert_eq!(report.requests.error_percent, Some(100.0));
    assert!(
        report.verdict.failures[0].to_string().starts_with("nothing succeeded: "),
        "{:?}",
        report.verdict
    );
    assert!(!report.verdict.pass);
}

#[test]
fn every_line_of_the_text_fits_a_terminal() {
    let mut seen = observations(|_| ());
    seen.load.counters.never_sent = 1_234;
    seen.traffic.connect_failures = 12;
    (seen.load.waiting, seen.load.response) =
        (spread(2_000, 9_000, 90_000), spread(2_000, 9_000, 90_000));
    let mut report = Report::from(&seen);
    let ids = (0..10).map(|n| 6_693_449_580_010_975 + n);
    report.messages.as_mut().expect("it listened").examples.lost = ids.collect();
    let reason = "one request in a hundred was due 20 ms or more before the generator came to it";
    report.verdict.reasons.push(Remark::from_text(&format!("{reason}: {reason}")));
    let text = text(&report, TextOptions::default());
    for part in ["is waiting for one of 64 connections", "  Generator LIMITED", "6693449580010984"]
    {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(part.trim()), "{part}: {text}");
    }
    let long: Vec<_> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn requests_without_a_connection_are_noted_as_failed_to_connect() {
    let note = |failures: u64, causes: CauseCounts| {
        let mut seen = observations(|_| ());
        seen.load.counters.never_sent = 700;
        (seen.traffic.connect_failures, seen.traffic.connect_causes) = (failures, causes);
        let notes = sentences(&Report::from(&seen).verdict.notes);
        notes.into_iter().find(|note| note.contains("never got a free connection")).expect("a note")
    };
    let slow = note(0, CauseCounts::default());
    assert!(slow.starts_with("700 requests never got a free connection; they count"), "{slow}");
    let mut refused = CauseCounts::default();
    refused.count(Cause::Refused);
    let gone = note(1, refused);
    assert!(
        gone.contains("1 attempt to connect failed: connection refused; does the target"),
        "{gone}"
    );
}

#[test]
fn waiting_is_noted_with_a_lower_percentile_for_few_values() {
    let mut seen = observations(|_| ());
    let few = spread(400, 3_000_000, 7_000_000);
    (seen.load.waiting, seen.load.response) = (few.clone(), few);
    let notes = sentences(&Report::from(&seen).verdict.notes);
    assert!(notes.iter().any(|note| note.starts_with("of the response's p90 of ")), "{notes:?}");
}
