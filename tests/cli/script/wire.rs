//! Requests on the wire with `request`, `wrk.format` and wrk's fields, and what `response` sees.

use std::collections::{BTreeMap, HashSet};

use super::server::{OK, ScriptRequest};
use super::{Script, ScriptTarget, assert_answered, printed};

#[test]
fn a_script_that_only_sets_fields_sends_the_same_request() {
    let script = Script::new(
        "wrk.method = 'PUT'\nwrk.body = 'a=1&b=2'\nwrk.headers['Content-Type'] = 'text/form'\n",
    );
    let server = ScriptTarget::start();
    let words = format!("-t 2 -c 4 -n 40 -H X-Own:1 {}", server.url("/p?q=1"));
    let (_, report) = script.report(&words);
    assert_answered(&report, 40);
    let requests = server.requests();
    let host = format!("Host: {}", server.address);
    for ScriptRequest { line, headers, body, .. } in &requests {
        assert_eq!((line.as_str(), body.as_str()), ("PUT /p?q=1 HTTP/1.1", "a=1&b=2"));
        assert_eq!(*headers, ["Content-Length: 7", "Content-Type: text/form", &host, "X-Own: 1"]);
    }
    assert_eq!(requests.len(), 40);
    // No Lua runs for a request that does not change.
    assert_eq!(*report.value("script.time_s"), 0.0);
}

#[test]
fn a_script_without_fields_sends_get_as_with_wrk() {
    let (script, server) = (Script::new(""), ScriptTarget::start());
    assert_answered(&script.report(&format!("-c 1 -n 3 {}", server.url("/"))).1, 3);
    let first = &server.requests()[0];
    assert_eq!(first.line, "GET / HTTP/1.1");
    assert_eq!(first.headers, [format!("Host: {}", server.address)]);
    let script = Script::new("function init() wrk.method = wrk.method .. 'X' end");
    script.report(&format!("-m DELETE -c 1 -n 1 {}", server.url("/")));
    assert_eq!(server.requests().last().expect("one").line, "DELETEX / HTTP/1.1");
}

#[test]
fn request_is_called_per_request_and_once_before_the_run() {
    let script = Script::new(
        "local n = 0\n\
         request = function()\n\
           local path = '/' .. n\n\
           wrk.headers['X-Count'] = n\n\
           n = n + 1\n\
           return wrk.format(nil, path)\n\
         end\n",
    );
    let server = ScriptTarget::start();
    let (_, report) = script.report(&format!("-t 1 -c 1 -n 20 {}", server.url("/ignored")));
    assert_answered(&report, 20);
    let requests = server.requests();
    // wrk tries the first worker's request before it starts, and never sends that one.
    for (n, request) in (1..=20).zip(&requests) {
        assert_eq!(request.path(), format!("/{n}"));
        assert!(request.has(&format!("X-Count: {n}")), "{request:?}");
    }
    assert_eq!(requests.len(), 20);
    assert!(report.value("script.time_s").as_f64() > Some(0.0));
    assert!(report.value("script.per_request_us").as_f64() > Some(0.0));
}

#[test]
fn format_uses_its_arguments_and_the_fields_of_wrk_for_the_rest() {
    let script = Script::new(
        "wrk.headers['X-All'] = 'yes'\n\
         function request()\n\
           return wrk.format('PATCH', '/f', { ['X-One'] = true, ['Content-Length'] = 99 }, 'body')\n\
         end\n",
    );
    let server = ScriptTarget::start();
    script.report(&format!("-c 1 -n 2 {}", server.url("/")));
    let first = &server.requests()[0];
    assert_eq!((first.line.as_str(), first.body.as_str()), ("PATCH /f HTTP/1.1", "body"));
    let host = format!("Host: {}", server.address);
    assert_eq!(first.headers, ["Content-Length: 4", &host, "X-One: true"]);
}

#[test]
fn response_gets_status_headers_and_body() {
    let script = Script::new(
        "local token, path = nil, '/login'\n\
         request = function() return wrk.format('GET', path) end\n\
         response = function(status, headers, body)\n\
           if status == 201 and not token then\n\
             token, path = headers['X-Token'] .. '/' .. body, '/then'\n\
             wrk.headers['Authorization'] = token\n\
           end\n\
         end\n",
    );
    let server = ScriptTarget::answering(|request| match request.path() {
        "/login" => "HTTP/1.1 201 Created\r\nX-Token:  t-1\r\nTransfer-Encoding: chunked\r\n\r\n\
                     3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
            .to_owned(),
        _ => OK.to_owned(),
    });
    let (_, report) = script.report(&format!("-t 1 -c 1 -n 10 {}", server.url("/")));
    assert_answered(&report, 10);
    let requests = server.requests();
    assert_eq!(requests[0].path(), "/login");
    for request in &requests[1..] {
        assert_eq!(request.path(), "/then");
        assert!(request.has("Authorization: t-1/abcde"), "{request:?}");
    }
}

#[test]
fn response_gets_chunked_bodies_and_bodies_until_the_close() {
    let script = Script::new(
        "seen = {}\n\
         function response(status, headers, body) seen[#seen + 1] = #body .. headers.Kind end\n\
         local thread\n\
         function setup(t) thread = t end\n\
         function done() print(table.concat(thread:get('seen'), ' ')) end\n",
    );
    let server = ScriptTarget::answering(|_| {
        let head = "HTTP/1.1 200 OK\r\nKind: whole\r\nContent-Length: 300000\r\n\r\n";
        head.to_owned() + &"b".repeat(300_000)
    });
    let closing = ScriptTarget::answering(|_| {
        "HTTP/1.1 200 OK\r\nKind: open\r\nConnection: close\r\n\r\nto the end".to_owned()
    });
    for (server, seen) in [(&server, "300000whole 300000whole"), (&closing, "10open 10open")] {
        let (finished, report) = script.report(&format!("-t 1 -c 1 -n 2 {}", server.url("/")));
        assert_answered(&report, 2);
        assert_eq!(finished.stdout.lines().last(), Some(seen));
    }
}

#[test]
fn several_requests_in_one_string_are_counted_separately() {
    let script = Script::new(
        "function init()\n\
           local all = {}\n\
           for n = 1, 3 do all[n] = wrk.format('POST', '/' .. n, nil, ('x'):rep(n)) end\n\
           three = table.concat(all)\n\
         end\n\
         function request() return three end\n\
         answers = 0\n\
         function response(status, headers, body) answers = answers + 1 end\n\
         local thread\n\
         function setup(t) thread = t end\n\
         function done() print('answers ' .. thread:get('answers')) end\n",
    );
    let server = ScriptTarget::start();
    let (finished, report) = script.report(&format!("-t 1 -c 2 -n 60 {}", server.url("/")));
    assert_answered(&report, 60);
    assert_eq!(finished.stdout.lines().last(), Some("answers 60"));
    let mut by_connection = BTreeMap::<_, Vec<_>>::new();
    for request in server.requests() {
        by_connection.entry(request.connection).or_default().push(request.path().to_owned());
    }
    for paths in by_connection.values() {
        assert!(paths.chunks(3).all(|three| three == ["/1", "/2", "/3"]), "{paths:?}");
    }
    assert!(server.requests().iter().any(|request| request.together == 3));
}

#[test]
fn a_rate_counts_requests_even_with_several_in_one_string() {
    let script = Script::new(
        "local four = wrk.format('GET', '/x'):rep(4)\nfunction request() return four end\n\
         wrk.headers.Host = 'h'\n",
    );
    let server = ScriptTarget::start();
    let words = format!("-R 400 -d 1s -t 2 -c 8 {}", server.url("/"));
    let (_, report) = script.report(&words);
    assert_answered(&report, 400);
    assert_eq!(report.count("latency.response.count"), 400);
    assert_eq!(server.requests().len(), 400);
    // Each string has several requests, and 402 is not a multiple: the last string exceeds the plan.
    let (_, report) = script.report(&format!("-R 400 -n 402 -t 1 -c 8 {}", server.url("/")));
    assert_answered(&report, 404);
}

#[test]
fn a_broken_connection_fails_all_requests_written_together() {
    let script = Script::new(
        "local three = wrk.format('GET', '/x', { Host = 'h' }):rep(3)\n\
         function request() return three end\n",
    );
    let server = ScriptTarget::answering(|_| {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".to_owned()
    });
    let (_, report) = script.report(&format!("-t 1 -c 1 -n 9 {}", server.url("/")));
    let requests = |name: &str| report.count(&format!("requests.{name}"));
    assert_eq!((requests("sent"), requests("completed"), requests("failed")), (9, 3, 6));
    assert_eq!(requests("errors.read"), 6);
}

#[test]
fn functions_of_a_script_may_be_replaced() {
    let script = Script::new(
        "function request()\n\
           request = function() return wrk.format('GET', '/second') end\n\
           return wrk.format('GET', '/first')\n\
         end\n\
         function response() response = nil end\n",
    );
    let server = ScriptTarget::start();
    assert_answered(&script.report(&format!("-t 1 -c 1 -n 5 {}", server.url("/"))).1, 5);
    // The first was the trial.
    let paths: HashSet<_> = server.requests().iter().map(|r| r.path().to_owned()).collect();
    assert_eq!(paths, HashSet::from(["/second".to_owned()]));
}

#[test]
fn heads_have_no_bodies_and_modules_can_be_required() {
    let script = Script::new("#!/usr/bin/env loadgen\nwrk.method = require('module').method");
    let module = script.folder.path().join("module.lua");
    std::fs::write(module, "return { method = 'HEAD' }").expect("a file");
    let server =
        ScriptTarget::answering(|_| "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".to_owned());
    assert_answered(&script.report(&format!("-t 1 -c 1 -n 5 {}", server.url("/"))).1, 5);
}

#[test]
fn path_and_port_are_sent_as_typed() {
    let script = Script::new(
        "function setup() print(wrk.port, wrk.path) end\n\
         local n = 0\n\
         function request()\n\
           n = n + 1\n\
           return wrk.format(nil, (wrk.path:gsub('{id}', n)))\n\
         end\n",
    );
    let server = ScriptTarget::start();
    for (place, port) in [("127.0.0.1:80", "80"), ("127.0.0.1", "nil")] {
        let url = format!("http://{place}/a/../{{id}}?%7b=b%20|\u{e4}#part");
        let to = format!("--connect-to 127.0.0.1:80:{}", server.address);
        let finished = script.run(&format!("-t 1 -c 1 -n 2 {to} {url}"));
        let path = "/a/../{id}?%7b=b%20|%C3%A4";
        assert_eq!(printed(&finished.stdout), [format!("{port}\t{path}")], "{finished:?}");
        let last = server.requests().pop().expect("two came");
        assert_eq!(last.path(), path.replace("{id}", "3"));
        assert_eq!(last.headers, [format!("Host: {place}")]);
    }
}
