//! Unreachable targets and connections that cannot be opened: reported at once, with the address.

use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Act, Finished, OK, Process, SLACK, Target, clear_settings, report_from_stdout, run_json,
};

/// A loopback address without a listener.
fn closed(host: &str) -> SocketAddr {
    TcpListener::bind((host, 0)).and_then(|l| l.local_addr()).expect("a loopback port")
}

#[test]
fn a_closed_port_is_reported_at_once() {
    for host in ["127.0.0.1", "::1"] {
        let address = closed(host);
        for options in ["--engine raw -R 100", "--engine reqwest -R 100", "--engine raw", ""] {
            let ran = run_json(&format!("{options} -d 60s http://{address}/"));
            let complaint = ran.error_line();
            assert!(complaint.contains(&address.to_string()), "{complaint}");
            assert!(complaint.contains("refused"), "{complaint}");
            assert!(ran.took < SLACK, "{ran:?}");
        }
    }
}

#[test]
fn the_first_refused_answer_is_shown_to_who_asks() {
    const REFUSED: &[u8] =
        b"HTTP/1.1 422 Unprocessable\r\nContent-Length: 24\r\n\r\norderRef is\x1b[1m required";
    let at = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let target = Target::start(at, usize::MAX, |_| Act::Say(REFUSED)).expect("a loopback port");
    let url = target.url();
    for (flags, said) in [
        ("--show-payload", "The first one says: orderRef is\\u{1b}[1m required"),
        ("", "--show-payload shows the first answer"),
        ("--show-payload --engine reqwest", "and --id-field"),
    ] {
        let ran = run_json(&format!("{flags} -n 20 -c 2 {url}"));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let report = ran.report();
        let failures = &report.verdict.failures;
        assert!(failures[0].to_string().ends_with(said), "{failures:?}");
        assert_eq!(report.requests.refusal.is_some(), flags == "--show-payload");
    }
}

#[test]
fn an_unknown_host_is_reported() {
    for engine in ["raw", "reqwest"] {
        let ran = run_json(&format!("--engine {engine} -d 60s http://unknown.invalid:8080/"));
        assert!(ran.error_line().contains("cannot resolve unknown.invalid"), "{ran:?}");
    }
}

#[test]
fn a_target_on_ipv6_is_driven() {
    for engine in ["raw", "reqwest"] {
        let at = (Ipv6Addr::LOCALHOST, 0).into();
        let target = Target::start(at, usize::MAX, |_| Act::Say(OK)).expect("a loopback port");
        let report = report_from_stdout(&format!("--engine {engine} -n 20 -c 2 {}", target.url()));
        assert_eq!(report.requests.completed, 20);
        let host = target.address.to_string();
        assert_eq!(target.requests()[0].field("Host"), Some(host.as_str()));
    }
}

#[test]
fn a_target_that_accepts_too_few_connections_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    // The test never accepts: the kernel completes connections up to the backlog and leaves the others waiting.
    rustix::net::listen(&listener, 4).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let ran = run_json(&format!("-c 16 -R 100 -d 60s -T 1s http://{address}/"));
    let complaint = ran.error_line();
    assert!(complaint.contains(&address.to_string()), "{complaint}");
    assert!(complaint.contains("--connections"), "{complaint}");
    assert!(ran.took < Duration::from_secs(5) + SLACK, "{ran:?}");
}

#[test]
fn every_slot_is_counted_after_the_target_has_gone() {
    for engine in ["raw", "reqwest"] {
        // After the probe it accepts four connections, answers one request on each, and stops.
        let at = "127.0.0.1:0".parse().expect("an address");
        let closing = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        let target =
            Target::start(at, 1 + 4, |_| Act::SayAndClose(closing)).expect("a loopback port");
        let args = "-R 100 -n 50 -c 4 --drain 300ms";
        let report = report_from_stdout(&format!("--engine {engine} {args} {}", target.url()));
        let r = &report.requests;
        assert_eq!((r.planned, r.completed), (50, 4), "{engine}: {r:?}");
        assert!(r.errors.connect > 0, "{engine}: {r:?}");
        // With raw the others never got a connection; reqwest tries for each request.
        assert_eq!(r.failed + r.dropped, 46, "{engine}: {r:?}");
        assert!(engine != "raw" || r.dropped > 0, "{engine}: {r:?}");
    }
}

#[test]
fn connecting_is_not_bound_by_the_request_timeout() {
    let target = Target::always(Act::Say(OK));
    let report =
        report_from_stdout(&format!("-T 1ms -c 256 -R 100 -n 20 --drain 1s {}", target.url()));
    assert_eq!(report.requests.planned, 20);
}

/// A run of the program in a shell, after the shell command `limit`.
fn with_limit(limit: &str, args: &str) -> Finished {
    let mut shell = Command::new("sh");
    let script = format!("{limit}; exec \"$0\" --format json -q --allow-limited {args}");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_loadgen")]);
    clear_settings(&mut shell);
    Process::start("loadgen", &mut shell).finish()
}

#[test]
fn a_soft_limit_on_open_files_is_raised() {
    let target = Target::always(Act::Say(OK));
    let ran = with_limit("ulimit -Sn 64", &format!("-c 200 -R 200 -n 100 {}", target.url()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.report().requests.completed, 100);
    assert!(target.connections() >= 200, "{}", target.connections());
}

#[test]
fn a_hard_limit_on_open_files_is_reported() {
    let target = Target::always(Act::Say(OK));
    let ran = with_limit("ulimit -n 64", &format!("-c 200 -R 200 -n 100 {}", target.url()));
    let complaint = ran.error_line();
    assert!(complaint.contains("64") && complaint.contains("ulimit -n"), "{complaint}");
    assert_eq!(target.connections(), 0, "it is reported before any connection");
}
