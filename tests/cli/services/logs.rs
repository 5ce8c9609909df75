//! The messages of the services on stderr: few while something fails, and no hindrance where nobody reads them.

use std::io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rustix::process::Signal;

use crate::support::{
    Act, OK, Redis, Service, Target, eventually, fill_pipe, free_port, get, loadgen, run,
    signal_to, start,
};

/// A process whose stderr is a full pipe that nobody reads. Dropping it kills the process.
struct Unheard {
    process: Child,
    stderr: PipeReader,
}

impl Unheard {
    fn start(command: &mut Command) -> Self {
        let (stderr, writer) = std::io::pipe().expect("a pipe");
        fill_pipe(&writer);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writer);
        Self { process: command.spawn().expect("it starts"), stderr }
    }

    /// Waits for its end, and returns its exit code.
    #[track_caller]
    fn exit_code(&mut self) -> Option<i32> {
        let ended = || self.process.try_wait().transpose();
        eventually("its end", ended).expect("an own child").code()
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends messages over one connection, and returns the number of answers with 503.
fn post_all(address: SocketAddr, count: usize) -> usize {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(crate::support::LIMIT)).expect("a timeout");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut refused = 0;
    for _ in 0..count {
        let request = b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 11\r\n\r\n{\"MsgID\":1}";
        stream.write_all(request).expect("it reads");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(answers.read_line(&mut head).expect("an answer in time"), 0, "{head}");
        }
        refused += usize::from(head.starts_with("HTTP/1.1 503"));
        let length = head.to_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
        answers.read_exact(&mut vec![0; length]).expect("a body");
    }
    refused
}

/// Starts `api`, and waits until it listens.
fn unheard_api(redis: &Redis) -> (Unheard, SocketAddr) {
    let words = format!("api --listen 127.0.0.1:0 --redis {}", redis.url());
    let mut api = Unheard::start(&mut loadgen(&words));
    let mut line = String::new();
    let stdout = api.process.stdout.take().expect("a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let address = line.trim().strip_prefix("listening on ").expect("its address");
    (api, address.parse().expect("an address"))
}

#[test]
fn a_service_whose_stderr_nobody_reads_goes_on() {
    let Some(redis) = Redis::start() else { return };
    let (mut api, address) = unheard_api(&redis);
    redis.cli(&["config", "set", "maxmemory", "1"]);
    assert_eq!(post_all(address, 5_500), 5_500);
    redis.cli(&["config", "set", "maxmemory", "0"]);
    assert_eq!(post_all(address, 10), 0, "it is well again");
    assert_eq!(get(address, "/healthz").status, 200);
    signal_to(api.process.id(), Signal::TERM);
    assert_eq!(api.exit_code(), Some(0));
}

#[test]
fn what_waits_is_written_as_soon_as_somebody_reads() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = unheard_api(&redis);
    redis.cli(&["config", "set", "maxmemory", "1"]);
    assert_eq!(post_all(address, 100), 100);
    let mut lines = BufReader::new(&api.stderr).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.starts_with("loadgen: cannot push to myapp: ")));
}

#[test]
fn a_run_whose_stderr_nobody_reads_ends() {
    let target = Target::always(Act::Say(OK));
    let words = format!("{} -n 50 --metrics 127.0.0.1:0 --log debug", target.url());
    assert_eq!(Unheard::start(&mut loadgen(&words)).exit_code(), Some(0));
    // An error is a message, too.
    let words = format!("http://127.0.0.1:{}/", free_port());
    assert_eq!(Unheard::start(&mut loadgen(&words)).exit_code(), Some(1));
}

#[test]
fn a_failure_that_repeats_takes_a_line_a_second() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = Service::api(&format!("--redis {}", redis.url()));
    redis.cli(&["config", "set", "maxmemory", "1"]);
    let begin = Instant::now();
    assert_eq!(post_all(address, 4_000), 4_000);
    let finished = api.process.terminate();
    let seconds = begin.elapsed().as_secs();
    let failures: Vec<_> =
        finished.stderr.lines().filter(|line| line.contains("cannot push to myapp")).collect();
    // The first at once, one a second, and what is held at the end.
    assert!(failures.len() as u64 <= seconds + 3, "{finished:?}");
    let more = |line: &&&str| line.contains(" more like this in the last second)");
    assert!(failures.iter().any(|line| more(&line)), "{finished:?}");
    // Each request was one failed push: none is left out of the count.
    let suppressed = |line: &&str| {
        let count = line.rsplit_once('(').and_then(|(_, end)| end.split(' ').next());
        count.and_then(|count| count.parse::<usize>().ok()).unwrap_or(0)
    };
    let counted: usize = failures.iter().map(|line| 1 + suppressed(line)).sum();
    assert_eq!(counted, 4_000, "{finished:?}");
}

#[test]
fn messages_are_json_objects_if_wanted() {
    let Some(redis) = Redis::start() else { return };
    let (api, address) = Service::api(&format!("--redis {} --log-format json", redis.url()));
    redis.cli(&["config", "set", "maxmemory", "1"]);
    assert_eq!(post_all(address, 10), 10);
    let finished = api.process.terminate();
    let lines: Vec<serde_json::Value> = finished
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    let failure = lines.first().expect("a line");
    let text = failure["message"].as_str().unwrap_or_default();
    assert!(text.starts_with("cannot push to myapp: "), "{failure}");
    assert_eq!((&failure["level"], failure["time"].is_string()), (&"warn".into(), true));
    // The error of a command is the last line.
    let refused = run("http://127.0.0.1:1/ --log-format json --fail-if nonsense>1");
    let line: serde_json::Value = serde_json::from_str(&refused.stderr).expect("one JSON line");
    assert_eq!((refused.code, &line["level"]), (Some(2), &"error".into()), "{line}");
}

#[test]
fn the_level_chooses_the_messages() {
    let Some(redis) = Redis::start() else { return };
    for (level, is_said) in [("off", false), ("error", false), ("warn", true), ("debug", true)] {
        let words = format!("api --listen 127.0.0.1:0 --redis {}", redis.url());
        let mut command = loadgen(&words);
        command.env("LOADGEN_LOG", level);
        let mut process = crate::support::Process::start("api", &mut command);
        let address = process.await_line(|line| line.strip_prefix("listening on ")?.parse().ok());
        redis.cli(&["config", "set", "maxmemory", "1"]);
        assert_eq!(post_all(address, 3), 3);
        redis.cli(&["config", "set", "maxmemory", "0"]);
        let finished = process.terminate();
        assert_eq!(finished.stderr.contains("cannot push"), is_said, "{level}: {finished:?}");
    }
    let refused = start("api --log loud").finish();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("off, error, warn, info, debug"), "{refused:?}");
}
