//! Failures carry their cause, answers that no request was waiting for are counted, and connections that the
//! target closes cost no more when there are many of them.

use std::fs::File;
use std::io::{BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::process::Command;
use std::thread;
use std::time::Duration;

use loadgen::report::{Report, sentences};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::support::{
    Act, OK, Process, Target, read_request, report_from_stdout, run_json, skip_unless_ci,
};

fn by_cause(report: &Report, cause: &str) -> u64 {
    report.requests.errors.by_cause.get(cause).copied().unwrap_or_default()
}

#[test]
fn every_failure_is_counted_by_its_cause() {
    const CUT: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this";
    for engine in ["raw", "reqwest"] {
        for (act, cause) in [
            (Act::Reset, "reset"),
            (Act::SayAndClose(CUT), "closed"),
            (Act::Say(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), "not_http"),
            (Act::Silence, "timeout"),
        ] {
            let target = Target::always(act);
            let args = format!("--engine {engine} -n 5 -c 1 -T 100ms {}", target.url());
            let report = report_from_stdout(&args);
            let r = &report.requests;
            assert!(r.failed > 0 && by_cause(&report, cause) == r.failed, "{args}: {r:?}");
        }
    }
}

#[test]
fn a_target_that_stops_listening_is_counted_as_refused() {
    for engine in ["raw", "reqwest"] {
        // The probe before the run, and the run's one connection, which is closed after each answer.
        let at = (Ipv4Addr::LOCALHOST, 0).into();
        let target = Target::start(at, 2, |_| Act::SayAndClose(OK)).expect("a loopback port");
        let args = format!("--engine {engine} -d 300ms -c 1 {}", target.url());
        let ran = run_json(&format!("--allow-limited {args}"));
        let report = ran.report();
        assert!(by_cause(&report, "refused") > 0, "{args}: {:?}", report.requests);
    }
}

#[test]
fn a_late_duplicate_answer_is_counted_but_completes_no_request() {
    const TEAPOT: &[u8] = b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let mut input = BufReader::new(&stream);
                while read_request(&mut input)?.is_some() {
                    (&stream).write_all(OK)?;
                    // The next request is not due for another 80 ms.
                    thread::sleep(Duration::from_millis(20));
                    (&stream).write_all(TEAPOT)?;
                }
                Ok::<_, std::io::Error>(())
            });
        }
    });
    let report = report_from_stdout(&format!("-R 10 -n 10 -c 1 -t 1 http://{address}/"));
    let r = &report.requests;
    assert_eq!((r.status.get("200"), r.status.get("418")), (Some(&10), None), "{r:?}");
    // The run may be over before the last one comes.
    assert!((9..=10).contains(&r.unrequested_answers), "{r:?}");
    let notes = sentences(&report.verdict.notes).join("; ");
    assert!(notes.contains("answers came that no request was waiting for"), "{notes}");
}

#[test]
fn a_surplus_answer_is_counted_in_a_closed_loop() {
    const TWICE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let target = Target::always(Act::Say(TWICE));
    let report = report_from_stdout(&format!("-n 20 -c 1 {}", target.url()));
    let r = &report.requests;
    assert_eq!((r.completed, r.unrequested_answers), (20, 20), "{r:?}");
}

#[test]
fn a_request_timeout_before_an_announced_close_is_not_a_surplus_answer() {
    const BYE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let target = Target::always(Act::SayAndClose(BYE));
    let report = report_from_stdout(&format!("-n 5 -c 1 {}", target.url()));
    assert_eq!(report.requests.unrequested_answers, 0, "{:?}", report.requests);
}

/// A network of its own, in which only a hundred local ports are free.
struct FewPorts {
    /// Keeps the network while it runs.
    _holder: Process,
}

impl FewPorts {
    /// Makes one and moves this thread into it; `None` where this user may not.
    fn enter() -> Option<Self> {
        let script = "ip link set lo up && echo 40000 40099 > /proc/sys/net/ipv4/ip_local_port_range \
            && echo ready && exec sleep 600";
        let mut command = Command::new("unshare");
        let mut holder = Process::start("unshare", command.args(["-n", "sh", "-c", script]));
        holder.find_line(|line| (line == "ready").then_some(()))?;
        let network = File::open(format!("/proc/{}/ns/net", holder.pid())).ok()?;
        move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).ok()?;
        Some(Self { _holder: holder })
    }
}

#[test]
fn a_generator_without_free_ports_is_limited_and_names_the_port_range() {
    let Some(_network) = FewPorts::enter() else {
        skip_unless_ci("this user may not make a network namespace");
        return;
    };
    let at = (Ipv4Addr::LOCALHOST, 8_080).into();
    // The client closes first, so that its port stays taken.
    let target = Target::start(at, usize::MAX, |_| Act::Say(OK)).expect("a free port");
    let load = "-d 1s -c 4 -t 1 --disable-keepalive";
    let ran = run_json(&format!("{load} {}", target.url()));
    let report = ran.report();
    let lacking = by_cause(&report, "no_local_port");
    assert!(lacking > 0 && report.requests.completed > 0, "{:?}", report.requests);
    assert_eq!(
        (ran.code, report.verdict.generator),
        (Some(3), loadgen::report::GeneratorState::Limited),
        "{ran:?}"
    );
    let reasons = sentences(&report.verdict.reasons).join("; ");
    assert!(reasons.contains("net.ipv4.ip_local_port_range"), "{reasons}");

    // With kept connections the run does not start, and the error does not blame the target.
    let ran = run_json(&format!("-d 1s -c 200 {}", target.url()));
    assert!(ran.error_line().contains("widen net.ipv4.ip_local_port_range"), "{ran:?}");
}
