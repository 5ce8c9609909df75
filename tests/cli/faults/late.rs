//! Answers that come late, in large pieces or never, and runs that are stopped: every request is counted, on
//! the right side, and the run ends.

use std::thread::sleep;
use std::time::{Duration, Instant};

use loadgen::report::{Report, sentences};
use rustix::process::Signal;

use crate::support::{
    Act, Finished, OK, Process, SLACK, Target, json_command, report_from_stdout, run_json,
};

/// A body of 20 MB, and its head.
fn large() -> &'static [u8] {
    let body = vec![b'x'; 20_000_000];
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    Vec::leak([head.into_bytes(), body].concat())
}

/// The body arrives in 300 pieces. With one piece per tick of 10 ms it would take 3 s.
#[test]
fn a_large_response_does_not_take_one_wake_per_piece() {
    let target = Target::always(Act::Say(large()));
    let words = format!("-R 5 -n 3 -c 1 -t 1 --tick 10ms -T 2s --drain 10s {}", target.url());
    let report = report_from_stdout(&words);
    assert_eq!(report.requests.completed, 3, "{:?}", report.requests);
}

#[test]
fn a_response_after_the_timeout_is_a_timeout_even_if_read_late() {
    let target = Target::always(Act::SayAfter(Duration::from_millis(5), OK));
    let words = format!("-R 50 -n 20 -c 4 -t 1 --tick 10ms -T 1ms {}", target.url());
    let report = report_from_stdout(&words);
    assert_eq!((report.requests.completed, report.requests.errors.timeout), (0, 20));
}

/// A worker that was stopped for longer than the timeout finds the answers when it continues.
#[test]
fn answers_received_while_the_generator_was_stopped_are_completed() {
    for load in ["", "-R 1000"] {
        let target = Target::always(Act::SayAfter(Duration::from_millis(300), OK));
        let words = format!("{load} -n 20 -c 20 -t 1 -T 1s --allow-limited {}", target.url());
        let running = Process::start("loadgen", &mut json_command(&words));
        target.wait_for_load();
        sleep(Duration::from_millis(100));
        running.signal(Signal::STOP);
        sleep(Duration::from_millis(1_400));
        running.signal(Signal::CONT);
        let ran = running.finish();
        let requests = ran.report().requests;
        assert_eq!((requests.completed, requests.errors.timeout), (20, 0), "{ran:?}");
    }
}

#[test]
fn poisson_slots_beyond_the_in_flight_limit_are_dropped_in_time() {
    let target = Target::always(Act::SayAfter(Duration::from_secs(1), OK));
    let words = "-R 100k --arrivals poisson -d 1s --drain 500ms -c 10 -t 1 --max-in-flight 20";
    let report = report_from_stdout(&format!("{words} {}", target.url()));
    assert!(report.requests.dropped > report.requests.planned * 9 / 10, "{:?}", report.requests);
}

#[test]
fn a_run_by_count_ends_when_the_target_is_gone() {
    // The probe, and two connections that break after 20 requests.
    let served = std::sync::atomic::AtomicU64::new(0);
    let script = move |_: &_| match served.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0..20 => Act::Say(OK),
        _ => Act::Reset,
    };
    let target = Target::start(([127, 0, 0, 1], 0).into(), 3, script).expect("a port");
    let ran = run_json(&format!("-n 1000000 -c 2 -t 1 {}", target.url()));
    let report = ran.report();
    assert_eq!((ran.code, report.requests.completed), (Some(0), 20), "{ran:?}");
    let notes = sentences(&report.verdict.notes).join("\n");
    assert!(notes.contains("given up after 22 requests, short of --requests"), "{notes}");
}

#[test]
fn reqwest_pauses_between_attempts_to_reach_a_dead_target() {
    let target = Target::start(([127, 0, 0, 1], 0).into(), 1, |_| Act::Reset).expect("a port");
    let report = report_from_stdout(&format!("--engine reqwest -c 4 -t 1 -d 1s {}", target.url()));
    // Four connections, each of which pauses for 20 ms between attempts.
    let attempts = report.requests.errors.connect;
    assert!((4..=4 * 51).contains(&attempts), "{attempts} attempts");
}

/// The report of a run that was stopped by a signal. Such a run also prints to standard error.
fn interrupted(ran: &Finished) -> Report {
    assert_eq!(ran.code, Some(130), "{ran:?}");
    Report::from_json(&ran.stdout).unwrap_or_else(|e| panic!("no report ({e}): {ran:?}"))
}

#[test]
fn the_duration_ends_at_the_stop_or_at_the_count() {
    let target = Target::scripted(|_| Act::Silence);
    let running = Process::start(
        "loadgen",
        &mut json_command(&format!("-c 2 -t 1 -T 60s --drain 0s {}", target.url())),
    );
    target.wait_for_load();
    sleep(Duration::from_millis(1_200));
    running.signal(Signal::INT);
    let report = interrupted(&running.finish());
    assert!(report.run.interrupted && report.run.duration_s > 1.0, "{:?}", report.run);
    // A count that is reached before the duration ends it, too.
    let target = Target::always(Act::Say(OK));
    let short = report_from_stdout(&format!("-n 8 -d 20s -c 2 {}", target.url()));
    assert!(short.run.duration_s < 10.0, "{:?}", short.run);
}

#[test]
fn a_stop_ends_the_drain() {
    let target = Target::scripted(|_| Act::Silence);
    let words = format!("-R 100 -n 10 -t 1 -T 600s --drain 600s {}", target.url());
    let running = Process::start("loadgen", &mut json_command(&words));
    target.wait_for_load();
    sleep(Duration::from_millis(800));
    let asked = Instant::now();
    running.signal(Signal::INT);
    let ran = running.finish();
    assert!(asked.elapsed() < SLACK, "{ran:?}");
    assert_eq!(interrupted(&ran).requests.unfinished, 10, "{ran:?}");
}

#[test]
fn a_stop_ends_the_connecting() {
    // The server accepts connections and never answers the TLS handshake.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("bound");
    let words = format!("-c 2 -t 1 -T 600s -k https://{address}/");
    let running = Process::start("loadgen", &mut json_command(&words));
    let (_probe, _) = silent.accept().expect("loadgen connects");
    sleep(Duration::from_millis(200));
    let asked = Instant::now();
    running.signal(Signal::INT);
    let ran = running.finish();
    assert!(asked.elapsed() < SLACK, "{ran:?}");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(130), ""), "{ran:?}");
}
