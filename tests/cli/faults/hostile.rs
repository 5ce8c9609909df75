//! Targets that break off, lie, babble or sleep: every request is accounted for, under its right name,
//! by both engines, in open and closed loops, and the run ends in time.

use std::thread;
use std::time::Duration;

use loadgen::report::{Report, Requests};

use crate::support::{Act, OK, SLACK, Target, run_json};

/// Requests of each run.
const REQUESTS: u64 = 40;
/// The longest a run can take by plan: sending, then the default drain.
const PLANNED: Duration = Duration::from_millis(400 + 5_000);
/// For targets that leave slots in line to the end.
const BRISK: &str = "--drain 500ms";

/// Each act by both engines in both loops, each against a target of its own.
fn face(acts: &[Act], options: &str, check: impl Fn(&Report, &str) + Sync) {
    let face_one = |act: Act, engine: &str, load: &str| {
        let target = Target::always(act);
        let load = format!("--engine {engine} {load} -n {REQUESTS} -c 4 -t 2");
        let args = format!("--allow-limited --allow-failed {load} {options} {}", target.url());
        let ran = run_json(&args);
        assert_eq!(ran.code, Some(0), "{act:?}: {args}: {ran:?}");
        assert!(ran.took < PLANNED + SLACK, "{act:?}: {args}: {ran:?}");
        let report = ran.report();
        let open = report.run.mode == loadgen::report::LoopMode::Open;
        assert!(!open || report.requests.planned == REQUESTS, "{act:?}: {args}: {ran:?}");
        check(&report, &format!("{act:?}: {args}"));
    };
    // Not all at once: the machine may be small.
    for some in acts.chunks(2) {
        thread::scope(|scope| {
            for act in some {
                for engine in ["raw", "reqwest"] {
                    for load in ["-R 100", "-d 400ms"] {
                        let face_one = &face_one;
                        scope.spawn(move || face_one(*act, engine, load));
                    }
                }
            }
        });
    }
}

/// All requests that ended before the run came to the end that `part` counts, and there were some.
fn all(report: &Report, args: &str, part: fn(&Requests) -> u64) {
    let r = &report.requests;
    assert!(part(r) > 0 && part(r) + r.unfinished == r.sent, "{args}: {r:?}");
}

/// Every request was answered with `status`, and in an open loop none was left out.
fn answered(report: &Report, args: &str, status: &str) {
    let r = &report.requests;
    assert!(r.sent > 0 && r.status.get(status) == Some(&r.sent), "{args}: {r:?}");
    assert!(
        report.run.mode == loadgen::report::LoopMode::Closed || r.sent == REQUESTS,
        "{args}: {r:?}"
    );
}

#[test]
fn valid_answers_in_every_framing_are_completed() {
    const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        2;a=\"b\"\r\nok\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
    const INTERIM: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\
        \r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let whole = [OK, CHUNKED, INTERIM].map(Act::Say);
    let acts: Vec<_> = whole.into_iter().chain([OK, CHUNKED].map(Act::Dribble)).collect();
    face(&acts, "", |report, args| answered(report, args, "200"));
}

#[test]
fn answers_that_cannot_have_a_body_need_no_length() {
    face(&[Act::Say(b"HTTP/1.1 204 No Content\r\n\r\n")], "", |report, args| {
        answered(report, args, "204");
    });
    // The length is that of the body which a HEAD is not sent.
    face(
        &[Act::Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")],
        "-m HEAD",
        |report, args| {
            answered(report, args, "200");
        },
    );
}

#[test]
fn error_statuses_are_completed_requests() {
    const REFUSAL: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    face(&[Act::Say(REFUSAL)], "", |report, args| answered(report, args, "500"));
}

#[test]
fn an_announced_close_costs_a_connection_but_no_request() {
    const CLOSING: &[u8] = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
    let by_its_end = [b"HTTP/1.0 200 OK\r\n\r\nold".as_slice(), b"HTTP/1.1 200 OK\r\n\r\nnew"];
    let acts = [CLOSING, by_its_end[0], by_its_end[1]].map(Act::SayAndClose);
    face(&acts, "", |report, args| {
        answered(report, args, "200");
        let r = &report.requests;
        assert!(
            report.run.engine != loadgen::report::EngineName::Raw || r.reconnects + 4 >= r.sent,
            "{args}: {r:?}"
        );
    });
}

#[test]
fn an_unannounced_close_fails_only_requests_in_flight() {
    face(&[Act::SayAndClose(OK)], BRISK, |report, args| {
        let r = &report.requests;
        assert!(r.completed > 0, "{args}: {r:?}");
        assert_eq!(r.failed, r.errors.read + r.errors.write, "{args}: {r:?}");
    });
}

#[test]
fn a_surplus_answer_is_not_credited_to_another_request() {
    const TWICE: &[u8] = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n";
    face(&[Act::Say(TWICE)], BRISK, |report, args| {
        let r = &report.requests;
        assert!(r.completed > 0, "{args}: {r:?}");
        assert_eq!(r.status.get("500"), None, "{args}: {r:?}");
    });
}

#[test]
fn a_broken_connection_is_a_read_error() {
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    const CUT_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly";
    const CUT_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-";
    let cuts = [CUT, CUT_CHUNK, CUT_HEAD, b""].map(Act::SayAndClose);
    let acts: Vec<_> = cuts.into_iter().chain([Act::Reset]).collect();
    face(&acts, BRISK, |report, args| {
        all(report, args, |r| r.errors.read);
        assert!(
            report.verdict.failures[0].to_string().starts_with("nothing succeeded: "),
            "{args}"
        );
    });
}

#[test]
fn answers_that_are_not_http_are_protocol_errors() {
    let answers = [
        b"SSH-2.0-OpenSSH_9.9\r\n\r\n".as_slice(),
        b"\0\xff\xfe\x01\x80\r\n\r\n",
        b"HTTP/1.1 999999 Huge\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot hexadecimal\r\n",
    ];
    face(&answers.map(Act::Say), BRISK, |report, args| all(report, args, |r| r.errors.protocol));
}

#[test]
fn an_endless_head_is_a_protocol_error() {
    const LINE: &[u8] = &[b'x'; 8_192];
    let fields = "X-A: b\r\n".repeat(1_000).leak().as_bytes();
    let acts = [
        Act::SayAgainAndAgain(b"HTTP/1.1 200 OK\r\nX-Long: ", LINE),
        Act::SayAgainAndAgain(b"HTTP/1.1 200 OK\r\n", fields),
        Act::SayAgainAndAgain(b"HTTP/1.1 200 ", LINE),
    ];
    face(&acts, "-T 5s --drain 500ms", |report, args| {
        all(report, args, |r| r.errors.protocol);
    });
}

#[test]
fn timeouts_enter_the_latencies_with_their_age() {
    const BODY: &[u8] = &[b'x'; 8_192];
    const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal";
    let acts = [
        Act::Silence,
        Act::Say(HALF),
        Act::SayAgainAndAgain(b"HTTP/1.1 200 OK\r\n\r\n", BODY),
        Act::SayAfter(Duration::from_secs(3), OK),
    ];
    face(&acts, "-T 50ms", |report, args| {
        all(report, args, |r| r.errors.timeout);
        let response = &report.latency.response;
        // The histogram keeps three digits, and tells the lower end of a bucket.
        assert!(response.min >= Some(49_900.0), "{args}: {response:?}");
    });
}

#[test]
fn requests_unanswered_after_the_drain_enter_the_latencies_with_their_age() {
    face(&[Act::Silence], "-T 30s --drain 200ms", |report, args| {
        let r = &report.requests;
        assert!(r.sent > 0 && r.unfinished == r.sent, "{args}: {r:?}");
        // Open: a worker's first slot is due at 0, its last at 380 ms, and then comes the drain.
        let oldest =
            if report.run.mode == loadgen::report::LoopMode::Open { 570_000.0 } else { 200_000.0 };
        let response = &report.latency.response;
        assert!(response.max >= Some(oldest), "{args}: {response:?}");
    });
}

#[test]
fn a_slow_answer_does_not_count_as_lateness() {
    face(&[Act::SayAfter(Duration::from_millis(60), OK)], "", |report, args| {
        let latency = &report.latency;
        assert!(latency.service.min >= Some(59_900.0), "{args}: {latency:?}");
        if report.run.mode == loadgen::report::LoopMode::Open {
            answered(report, args, "200");
            // Four connections answer 66 a second where 100 are due: the last have waited in line.
            let in_line = latency.service.mean.map(|mean| mean + 20_000.0);
            assert!(latency.response.mean >= in_line, "{args}: {latency:?}");
            assert!(latency.pacing.p50 < latency.lateness.p50, "{args}: {latency:?}");
        }
    });
}
