//! Effects of a script on the course of a run, and its output: `delay`, `stop`, `setup`, `done`, `print`,
//! and its time.

use super::server::OK;
use super::{Script, ScriptTarget, assert_answered, printed};

#[test]
fn delay_holds_a_connection_before_every_request() {
    let script = Script::new(
        "calls = 0\n\
         function delay() calls = calls + 1 return calls % 2 == 0 and 40 or '40' end\n\
         local thread\n\
         function setup(t) thread = t end\n\
         function done() print('delays ' .. thread:get('calls')) end\n",
    );
    let server = ScriptTarget::start();
    let begun = std::time::Instant::now();
    let (finished, report) = script.report(&format!("-t 1 -c 2 -n 10 {}", server.url("/")));
    // Five on each connection, and forty milliseconds before each: no less, however slow this is.
    assert!(begun.elapsed().as_millis() >= 200);
    assert_answered(&report, 10);
    let calls = finished.stdout.lines().last().and_then(|line| line.strip_prefix("delays "));
    let calls: u64 = calls.expect("done's line").parse().expect("a number");
    assert!((10..=12).contains(&calls), "{calls} delays");
}

#[test]
fn a_nan_delay_and_a_stop_in_the_rehearsal_are_ignored() {
    let script = Script::new(
        "function delay() return 0/0 end\n\
         called = false\n\
         function request()\n\
           if not called then called = true wrk.thread:stop() end\n\
           return wrk.request()\n\
         end\n",
    );
    let server = ScriptTarget::start();
    let (_, report) = script.report(&format!("-t 1 -c 2 -n 10 {}", server.url("/")));
    assert_answered(&report, 10);
}

#[test]
fn a_delay_in_an_open_loop_does_not_move_due_times() {
    let script = Script::new("function delay() return 100 end");
    let server = ScriptTarget::start();
    let (_, report) = script.report(&format!("-R 100 -d 500ms -t 1 -c 2 {}", server.url("/")));
    // Two connections carry 20 requests a second: the 50 wait in the backlog, and their wait is lateness.
    assert_answered(&report, 50);
    let late = report.value("latency.lateness.max").as_f64().expect("a latency");
    assert!(late > 1e6, "the last one waited {late} us");
}

#[test]
fn stop_ends_only_its_own_worker() {
    let script = Script::new(
        "count = 0\n\
         function response()\n\
           count = count + 1\n\
           if id == 1 and count == 5 then wrk.thread:stop() end\n\
         end\n\
         local threads = {}\n\
         function setup(thread)\n\
           threads[#threads + 1] = thread\n\
           thread:set('id', #threads)\n\
         end\n\
         function done()\n\
           for _, thread in ipairs(threads) do print('count ' .. thread:get('count')) end\n\
         end\n",
    );
    let server = ScriptTarget::start();
    let (finished, report) = script.report(&format!("-t 2 -c 2 -n 40 {}", server.url("/")));
    assert_eq!(finished.stdout.lines().rev().take(2).collect::<Vec<_>>(), ["count 20", "count 5"]);
    assert_answered(&report, 25);
    // What was due and waits is not sent any more, and counted as dropped.
    let all = "function init() n = 0 end\nfunction response() wrk.thread:stop() end\n";
    let words = format!("-R 200 -d 1s -t 1 -c 1 {}", server.url("/"));
    let (finished, report) = Script::new(all).report(&words);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(report.count("requests.completed"), 1);
}

#[test]
fn setup_passes_plain_values_in_both_directions() {
    let script = Script::new(
        "mine = { 'a', deep = { yes = true, half = 0.5 } }\n\
         function setup(thread)\n\
           local value = thread:get('mine')\n\
           value.deep.no = false\n\
           thread:set('given', value)\n\
           thread:set('bytes', 'x\\0y')\n\
           thread:set('mine', nil)\n\
           assert(thread:get('mine') == nil and thread:get('nothing') == nil)\n\
         end\n\
         function init(args)\n\
           local d = given.deep\n\
           print(given[1], d.yes, d.half, d.no, #bytes, mine, #args, args[0], args[1], args[2])\n\
         end\n",
    );
    let server = ScriptTarget::start();
    let url = server.url("/");
    let finished = script.run(&format!("-t 2 -c 2 -n 2 {url} -- one -t"));
    let line = format!("a\ttrue\t0.5\tfalse\t3\tnil\t2\t{url}\tone\t-t");
    assert_eq!(printed(&finished.stdout), [line.as_str(); 2], "{finished:?}");
}

#[test]
fn setup_sets_the_address_of_each_worker() {
    let (one, two) = (ScriptTarget::start(), ScriptTarget::start());
    let script = Script::new(&format!(
        "local n = 0\n\
         function setup(thread)\n\
           n = n + 1\n\
           print(tostring(thread.addr))\n\
           if n == 2 then\n\
             local found = wrk.lookup('127.0.0.1', '{}')\n\
             assert(#found == 1 and wrk.connect(found[1]))\n\
             assert(not wrk.connect(wrk.lookup('127.0.0.1', 1)[1]))\n\
             assert(tostring(wrk.lookup('127.0.0.1', 'http')[1]) == '127.0.0.1:80')\n\
             thread.addr = found[1]\n\
           end\n\
         end\n\
         function init() print(string.format('%s', wrk.thread.addr)) end\n",
        two.address.port()
    ));
    let finished = script.run(&format!("-t 2 -c 2 -n 20 {}", one.url("/")));
    let [one_at, two_at] = [&one, &two].map(|server| server.address.to_string());
    assert_eq!(printed(&finished.stdout), [&one_at, &one_at, &one_at, &two_at]);
    assert_eq!((one.requests().len(), two.requests().len()), (10, 10));
    // The Host is the URL's, wherever the connection goes.
    assert!(two.requests()[0].has(&format!("Host: {one_at}")));
}

#[test]
fn done_runs_last_and_gets_the_figures() {
    let script = Script::new(
        "done = function(summary, latency, requests)\n\
           local e = summary.errors\n\
           print(summary.requests, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout)\n\
           assert(summary.duration > 0 and requests.max >= 0)\n\
           assert(latency.min <= latency.mean and latency.mean <= latency.max)\n\
           assert(latency.stdev >= 0 and latency:percentile(99.999) <= latency.max)\n\
           local sum, last = 0, -1\n\
           for i = 1, #latency do\n\
             local value, count = latency(i)\n\
             assert(value > last and latency[i] == value)\n\
             sum, last = sum + count, value\n\
           end\n\
           print(latency.max)\n\
           print(sum, last == latency.max)\n\
         end\n",
    );
    let server = ScriptTarget::answering(|request| match request.path() {
        "/no" => "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ => OK.to_owned(),
    });
    for (loop_words, path, said, meant) in [
        ("-n 50", "/", "50\t2000\t0\t0\t0\t0\t0", "service"),
        ("-R 100 -n 50", "/no", "50\t1900\t0\t0\t0\t50\t0", "response"),
    ] {
        let words = format!("-t 2 -c 2 --allow-failed {loop_words} {}", server.url(path));
        let (finished, report) = script.report(&words);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        let lines: Vec<_> = finished.stdout.lines().rev().take(3).collect();
        assert_eq!((lines[0], lines[2]), ("50\ttrue", said), "{finished:?}");
        let max: f64 = lines[1].parse().expect("a number");
        let meant = report.value(&format!("latency.{meant}.max")).as_f64().expect("a time");
        // In whole microseconds, and of a histogram's bucket, which is a thousandth wide.
        assert!((max - meant).abs() <= 1.0 + meant / 500.0, "{max} of {meant}");
        assert!(finished.stdout.contains("  Script    it.lua: "), "{finished:?}");
    }
}

#[test]
fn responses_of_slow_scripts_have_kernel_timestamps() {
    // Far more than 2 us a request, on any machine; at once, in service times from the first on.
    let script = Script::new(
        "x = 0\nfunction request()\n  for i = 1, 50000 do x = x + i end\n  return wrk.request()\nend\n",
    );
    let server = ScriptTarget::start();
    let (_, report) = script.report(&format!("-t 1 -c 4 -n 3000 {}", server.url("/")));
    assert_answered(&report, 3_000);
    let when_read = report.count("requests.timed_when_read");
    assert!(when_read < 500, "{when_read} of 3000 were timed when read");
}

/// Servers close idle connections. wrk does not start the delay again on the new connection; a generator that did
/// would never send if the delay were longer than the idle timeout of the server.
#[test]
fn a_delay_does_not_restart_after_a_broken_connection() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let patience = Some(std::time::Duration::from_millis(100));
                stream.set_read_timeout(patience).expect("above zero");
                let mut piece = [0; 4_096];
                while matches!(std::io::Read::read(&mut stream, &mut piece), Ok(1..)) {
                    let _ = std::io::Write::write_all(&mut stream, OK.as_bytes());
                }
            });
        }
    });
    let script = Script::new("function delay() return 3600 * 1000 end\n");
    let (finished, report) = script.report(&format!("-t 1 -c 2 -d 1s http://{address}/"));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert!(report.count("requests.completed") > 0, "{}", report.json());
}

#[test]
fn scripts_print_whole_lines_before_the_report() {
    let script = Script::new(
        "local n, xs = 0, ('x'):rep(90)\n\
         function response()\n\
           n = n + 1\n\
           print('line', n, nil, xs)\n\
           if n == 50 then io.write('no end') end\n\
         end\n\
         function done() io.write('the ', 'last word') end\n",
    );
    let server = ScriptTarget::start();
    let finished = script.run(&format!("-t 4 -c 4 -n 200 {}", server.url("/")));
    let (before, report) = finished.stdout.split_once("Running ").expect("a report");
    let lines: Vec<_> = before.lines().map(|line| line.replace("no end", "")).collect();
    let (mut lines, xs) = (lines, "x".repeat(90));
    lines.retain(|line| !line.is_empty());
    lines.sort();
    let mut all: Vec<_> = (0..200).map(|n| format!("line\t{}\tnil\t{xs}", n / 4 + 1)).collect();
    all.sort();
    assert_eq!(lines, all, "{finished:?}");
    assert_eq!(before.matches("no end").count(), 4);
    assert!(!report.contains("line") && report.ends_with("the last word"), "{finished:?}");
}
