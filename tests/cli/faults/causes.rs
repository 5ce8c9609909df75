//! Failures carry their cause, answers that no request was waiting for are counted, and connections that the
//! target closes cost no more when there are many of them.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use loadgen::report::Report;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::drive::{report, run};
use super::targets::{Act, OK, Target, read_request};

fn by_cause(report: &Report, cause: &str) -> u64 {
    report.requests.errors.by_cause.get(cause).copied().unwrap_or_default()
}

#[test]
fn each_failure_has_its_cause() {
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
            let report = report(&args);
            let r = &report.requests;
            assert!(r.failed > 0 && by_cause(&report, cause) == r.failed, "{args}: {r:?}");
        }
    }
}

#[test]
fn a_target_that_stops_listening_refuses_by_cause() {
    for engine in ["raw", "reqwest"] {
        // The probe before the run, and the run's one connection, which is closed after each answer.
        let at = (Ipv4Addr::LOCALHOST, 0).into();
        let target = Target::start(at, 2, |_| Act::SayAndClose(OK)).expect("a loopback port");
        let args = format!("--engine {engine} -d 300ms -c 1 {}", target.url());
        let ran = run(&format!("--allow-limited {args}"));
        let report = ran.report();
        assert!(by_cause(&report, "refused") > 0, "{args}: {:?}", report.requests);
    }
}

#[test]
fn an_answer_that_comes_late_and_twice_is_counted_and_not_credited() {
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
    let report = report(&format!("-R 10 -n 10 -c 1 -t 1 http://{address}/"));
    let r = &report.requests;
    assert_eq!((r.status.get("200"), r.status.get("418")), (Some(&10), None), "{r:?}");
    // The run may be over before the last one comes.
    assert!((9..=10).contains(&r.unrequested_answers), "{r:?}");
    let notes = report.verdict.notes.join("; ");
    assert!(notes.contains("answers came that no request was waiting for"), "{notes}");
}

#[test]
fn a_surplus_answer_shows_in_a_closed_loop_too() {
    const TWICE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let target = Target::always(Act::Say(TWICE));
    let report = report(&format!("-n 20 -c 1 {}", target.url()));
    let r = &report.requests;
    assert_eq!((r.completed, r.unrequested_answers), (20, 20), "{r:?}");
}

#[test]
fn a_server_that_announces_its_close_has_not_answered_too_much() {
    const BYE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let target = Target::always(Act::SayAndClose(BYE));
    let report = report(&format!("-n 5 -c 1 {}", target.url()));
    assert_eq!(report.requests.unrequested_answers, 0, "{:?}", report.requests);
}

/// A network of its own, in which only a hundred local ports are free.
struct FewPorts {
    /// Keeps the network as long as its input is open.
    holder: Child,
}

impl FewPorts {
    /// Makes one and moves this thread into it; `None` where this user may not.
    fn enter() -> Option<Self> {
        let script = "ip link set lo up && echo 40000 40099 > /proc/sys/net/ipv4/ip_local_port_range \
            && echo ready && cat";
        let mut holder = Command::new("unshare")
            .args(["-n", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let output = holder.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("a pipe");
        let network = File::open(format!("/proc/{}/ns/net", holder.id()));
        let few = Self { holder };
        let kind = Some(LinkNameSpaceType::Network);
        let entered = network.is_ok_and(|fd| move_into_link_name_space(fd.as_fd(), kind).is_ok());
        (line.trim() == "ready" && entered).then_some(few)
    }
}

impl Drop for FewPorts {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[test]
fn a_generator_without_free_ports_is_limited_and_says_so() {
    let Some(_network) = FewPorts::enter() else {
        let ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!ci, "network namespaces are not allowed; with CI=true no test is skipped");
        let _ =
            writeln!(std::io::stderr(), "\n*** SKIPPED: no network namespaces for this user ***");
        return;
    };
    let at = (Ipv4Addr::LOCALHOST, 8_080).into();
    // The client closes first, so that its port stays taken.
    let target = Target::start(at, usize::MAX, |_| Act::Say(OK)).expect("a free port");
    let load = "-d 1s -c 4 -t 1 --disable-keepalive";
    let ran = run(&format!("{load} {}", target.url()));
    let report = ran.report();
    let lacking = by_cause(&report, "no_local_port");
    assert!(lacking > 0 && report.requests.completed > 0, "{:?}", report.requests);
    assert_eq!((ran.code, report.verdict.generator.as_str()), (Some(3), "limited"), "{ran:?}");
    let reasons = report.verdict.reasons.join("; ");
    assert!(reasons.contains("net.ipv4.ip_local_port_range"), "{reasons}");

    // Where connections are kept, the run does not begin, and the reason is no fault of the target.
    let ran = run(&format!("-d 1s -c 200 {}", target.url()));
    assert!(ran.complaint().contains("widen net.ipv4.ip_local_port_range"), "{ran:?}");
}
