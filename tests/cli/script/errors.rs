//! Scripts that fail: what is said, where, and with which exit code.

use std::time::Duration;

use rustix::process::Signal;

use super::{Script, ScriptTarget};
use crate::support::{Process, SOON, eventually, within};

/// The run fails with the script's own exit code, and says these parts on one line.
#[track_caller]
fn assert_fails(script: &Script, words: &str, parts: &[&str]) {
    let finished = script.run(words);
    assert_eq!(finished.code, Some(107), "{finished:?}");
    assert_eq!(finished.stderr.trim_end().lines().count(), 1, "{finished:?}");
    for part in parts {
        assert!(finished.stderr.contains(part), "'{part}' is missing: {finished:?}");
    }
    // No line of our own Lua.
    let own =
        finished.stderr.split("loadgen:").skip(1).any(|rest| rest.starts_with(char::is_numeric));
    assert!(!own, "{finished:?}");
}

#[test]
fn a_script_that_cannot_be_loaded_is_refused_before_the_run() {
    let server = ScriptTarget::start();
    let words = format!("-t 2 -c 2 -d 1h {}", server.url("/"));
    for (text, parts) in [
        ("x = = 1", ["it.lua:1: ", "main state"]),
        ("\n\nerror('no such day')", ["it.lua:3: no such day", "main state"]),
        ("function init()\n  nothing.at = 1\nend", ["it.lua:2: ", "init(), worker 0"]),
        ("function setup(t)\n  t:set('f', print)\nend", ["it.lua:2: cannot transfer", "setup()"]),
        (
            "function setup(t)\n  local a = {}\n  a.a = a\n  t:set('a', a)\nend",
            ["it.lua:4: ", "levels"],
        ),
        ("function setup(t)\n  t.addr = 'h'\nend", ["it.lua:2: ", "setup(), worker 0"]),
        ("wrk.lookup('127.0.0.1', 'no-such-service')", ["it.lua:1: wrk.lookup", "no such service"]),
        ("function request()\n  return 5 .. nil\nend", ["it.lua:2: ", "request(), worker 0"]),
        ("\nfunction request() end", ["it.lua:2: request() gave nil", "worker 0"]),
        ("function request() return {} end", ["it.lua:1: request() gave a table", "worker 0"]),
        (
            "\nfunction request()\n  local r = wrk.format('POST', '/', nil, {})\n  return r\nend",
            ["it.lua:3: wrk.format: the body must be a text, not a table", "request(), worker 0"],
        ),
        (
            "\nfunction request()\n  return wrk.format('POST', '/', nil, {})\nend",
            ["it.lua:2: wrk.format: the body must be a text, not a table", "request(), worker 0"],
        ),
        (
            "\nfunction init()\n  return wrk.format(nil, true)\nend",
            ["it.lua:2: wrk.format: the path must be a text, not a boolean", "init(), worker 0"],
        ),
        (
            "wrk.headers = nil\nfunction request()\n  return wrk.format()\nend",
            ["it.lua: attempt to index", "init(), worker 0"],
        ),
        (
            "function request()\n  return wrk.format('GET', '/', 'A: b')\nend",
            ["it.lua:1: wrk.format: the headers must be a table, not a string", "request()"],
        ),
        ("wrk.body = {}", ["it.lua: wrk.format: the body must be", "init(), worker 0"]),
        ("function request() return 'hello' end", ["it.lua:1: request() gave", "worker 0"]),
        (
            "wrk.headers['Content-Length'] = 5; wrk.request = 1; function init() wrk.format = nil end",
            ["it.lua", "init(), worker 0"],
        ),
        ("require('ffi')", ["it.lua:1: ", "ffi"]),
        ("os.exit(0)", ["it.lua:1: the script called os.exit(0)", "(loading it, main state)"]),
        ("\npcall(os.exit)", ["it.lua:2: the script called os.exit()", "(main state)"]),
        (
            "function init() os.exit(true) end",
            ["it.lua:1: the script called os.exit(true)", "init()"],
        ),
    ] {
        assert_fails(&Script::new(text), &words, &parts);
    }
    assert!(server.requests().is_empty(), "nothing was sent");
}

#[test]
fn a_script_that_fails_while_it_runs_ends_the_run() {
    let server = ScriptTarget::start();
    let fails_at = |what: &str| {
        format!("local n = 0\nfunction {what}()\n  n = n + 1\n  if n == 9 then error('nine') end\n")
    };
    let request = fails_at("request") + "  return wrk.request()\nend";
    let response = fails_at("response") + "end";
    let delay = fails_at("delay") + "  return 0\nend";
    for (text, parts) in [
        (request.as_str(), ["it.lua:4: nine", "request(), worker "]),
        (&response, ["it.lua:4: nine", "response(), worker "]),
        (&delay, ["it.lua:4: nine", "delay(), worker "]),
        ("function delay() return {} end", ["it.lua:1: delay() gave a table", "worker "]),
        ("function delay() return 'x' end", ["it.lua:1: delay() gave a string", "worker "]),
    ] {
        for load in ["-d 1h", "-R 500 -d 1h"] {
            let words = format!("-t 2 -c 2 {load} {}", server.url("/"));
            assert_fails(&Script::new(text), &words, &parts);
        }
    }
}

#[test]
fn a_script_that_calls_exit_fails_the_run_but_does_not_end_the_process() {
    let server = ScriptTarget::start();
    for call in ["os.exit(0)", "pcall(os.exit, 0)", "coroutine.wrap(function() os.exit(0) end)()"] {
        let text = format!(
            "local n = 0\nfunction request()\n  n = n + 1\n  if n == 9 then {call} end\n  return wrk.request()\nend"
        );
        let words = format!("-t 1 -c 1 -d 1h --fail-if requests.sent>0 {}", server.url("/"));
        let parts = ["it.lua:4: the script called os.exit(0), which would end loadgen", "worker 0"];
        assert_fails(&Script::new(&text), &words, &parts);
    }
    for call in ["os.exit(0)", "pcall(os.exit, 0)"] {
        let script = Script::new(&format!("function done()\n  {call}\nend"));
        let finished = script.run(&format!("-c 1 -n 1 {}", server.url("/")));
        assert_eq!(finished.code, Some(107), "{finished:?}");
        assert!(finished.stdout.contains("Requests/sec"), "the report comes first: {finished:?}");
        assert!(finished.stderr.contains("it.lua:2: the script called os.exit(0)"), "{finished:?}");
    }
}

#[test]
fn a_worker_without_ids_reports_how_many_it_had() {
    let server = ScriptTarget::start();
    let script = Script::new(
        "function request()\n  for i = 1, 2000000 do\n    loadgen.msg_id()\n  end\nend",
    );
    // 1,004 for each message, and one more may be sent than asked for.
    let words = format!("-t 1 -c 1 -n 1500 {}", server.url("/"));
    assert_fails(&script, &words, &["it.lua:3: ", "all 1507004 ids", "1,000 for each message"]);
}

#[test]
fn an_error_in_done_comes_after_the_report() {
    let (server, script) =
        (ScriptTarget::start(), Script::new("function done()\n  error('late')\nend"));
    let finished = script.run(&format!("-c 1 -n 1 {}", server.url("/")));
    assert_eq!(finished.code, Some(107), "{finished:?}");
    assert!(finished.stdout.contains("Requests/sec"), "{finished:?}");
    assert!(finished.stderr.contains("it.lua:2: late (done(), main state)"), "{finished:?}");
    let last = finished.stdout.lines().last();
    assert_eq!(last, Some("RESULT  FAILED (done of the script), exit 107"), "{finished:?}");
}

#[test]
fn a_run_with_an_endless_script_can_be_stopped() {
    let server = ScriptTarget::start();
    for text in [
        "print('there') io.stdout:flush() while true do end",
        "function request()\n  if n then print('there') io.stdout:flush() while true do end end\n  \
           n = 1\n  return wrk.request()\nend",
        "function done() print('there') io.stdout:flush() while true do end end",
    ] {
        let script = Script::new(text);
        let words = format!("-t 1 -c 1 -n 5 {}", server.url("/"));
        let mut process = Process::start("loadgen", &mut script.command(&words));
        eventually("the script's word", || process.stdout().contains("there").then_some(()));
        process.signal(Signal::INT);
        // One is enough where the report is out already.
        let ended = within(Duration::from_millis(300), || (!process.is_running()).then_some(()));
        if ended.is_none() {
            process.signal(Signal::INT);
        }
        let finished = process.finish_within(SOON);
        assert_eq!(finished.code, Some(130), "{finished:?}");
    }
}

#[test]
fn options_that_do_not_combine_with_a_script_are_refused() {
    let script = Script::new("");
    for (words, part) in [
        ("--engine reqwest http://127.0.0.1:1/", "--engine reqwest"),
        ("-b x http://127.0.0.1:1/", "wrk.body"),
    ] {
        let finished = script.run(words);
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(part), "{finished:?}");
    }
}
