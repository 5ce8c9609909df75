//! `loadgen.msg_id()`: unique over workers, and joined to the request that carries it.

use std::collections::HashSet;

use super::{Script, ScriptTarget};
use crate::support::{Mosquitto, Recorder, Redis, require_stack};

/// The ids in the bodies that came.
fn ids(server: &ScriptTarget) -> Vec<u64> {
    let id = |body: &str| body.trim_start_matches(r#"{"MsgID":"#).trim_end_matches('}').parse();
    server.requests().iter().map(|request| id(&request.body).expect("an id")).collect()
}

#[track_caller]
fn assert_all_different(ids: &[u64], count: usize) {
    let different: HashSet<_> = ids.iter().collect();
    assert_eq!((ids.len(), different.len()), (count, count));
}

#[test]
fn eight_workers_make_unique_ids() {
    // The original's script counted in each thread by itself, and each number came eight times.
    let script = Script::new(
        "wrk.method = 'POST'\n\
         request = function()\n\
           return wrk.format(nil, nil, nil, '{\"MsgID\":' .. loadgen.msg_id() .. '}')\n\
         end\n",
    );
    for load in ["-n 4000", "-R 4k -d 1s"] {
        let server = ScriptTarget::start();
        let (_, report) = script.report(&format!("-t 8 -c 16 {load} {}", server.url("/")));
        assert_eq!(report.count("requests.completed"), 4_000);
        assert_eq!(report.count("script.unnumbered"), 0);
        assert_all_different(&ids(&server), 4_000);
    }
}

#[test]
fn ids_are_unique_wherever_a_script_takes_them() {
    let script = Script::new(
        "wrk.method = 'POST'\n\
         local at_load = loadgen.msg_id()\n\
         local function post(id) return wrk.format(nil, nil, nil, '{\"MsgID\":' .. id .. '}') end\n\
         local first = {}\n\
         function setup(thread) thread:set('from_setup', loadgen.msg_id()) end\n\
         function init() first = { from_setup, at_load, loadgen.msg_id() } end\n\
         function response() first[#first + 1] = loadgen.msg_id() end\n\
         function request()\n\
           local text = post(loadgen.msg_id()) .. post(loadgen.msg_id())\n\
           loadgen.msg_id()\n\
           return text .. post(table.remove(first) or loadgen.msg_id())\n\
         end\n",
    );
    let server = ScriptTarget::start();
    let (_, report) = script.report(&format!("-t 4 -c 8 -n 2400 {}", server.url("/")));
    assert_eq!(report.count("requests.completed"), 2_400);
    // The trial before the run has taken two or three of worker 0's, and sent none.
    assert_all_different(&ids(&server), 2_400);
}

#[test]
fn arrivals_are_joined_to_requests_of_a_script() {
    let (Some(redis), Some(broker)) = (Redis::start(), Mosquitto::start()) else { return };
    let recorder = Recorder::start(&broker, "/channel");
    let script = Script::new(
        "wrk.method = 'POST'\n\
         local function post() return wrk.format(nil, nil, nil, '{\"MsgID\":' .. loadgen.msg_id() .. '}') end\n\
         function request() return post() .. post() .. post() end\n",
    );
    let stack = format!("--redis {} --mqtt {}", redis.url(), broker.url());
    for load in ["-R 600 -d 1s", "-n 600"] {
        let (finished, report) = script.report(&format!("-t 8 -c 16 {load} {stack}"));
        assert_eq!(finished.code, Some(0), "{finished:?}");
        for (name, count) in
            [("accepted", 600), ("arrived", 600), ("lost", 0), ("duplicated", 0), ("unexpected", 0)]
        {
            assert_eq!(report.count(&format!("messages.{name}")), count, "{load}: {name}");
        }
        assert_eq!(report.count("arrival.count"), 600);
    }
    assert_all_different(&recorder.ids(&broker), 1_200);
}

#[test]
fn messages_without_an_id_of_loadgen_are_noted() {
    if !require_stack() {
        return;
    }
    // The original's: a counter in each thread.
    let counter = Script::new(
        "wrk.method = 'POST'\nlocal n = 0\n\
         function request()\n\
           n = n + 1\n\
           return wrk.format(nil, nil, nil, '{\"MsgID\":' .. n .. '}')\n\
         end\n",
    );
    let constant = Script::new("wrk.method = 'POST'\nwrk.body = '{\"MsgID\":9007199254740991}'");
    for script in [counter, constant] {
        let (finished, report) = script.report("-t 2 -c 2 -n 400");
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert_eq!(report.count("script.unnumbered"), 400);
        for none in ["accepted", "arrived", "lost", "unknown", "duplicated", "reordered"] {
            assert_eq!(report.count(&format!("messages.{none}")), 0, "{none}");
        }
        assert_eq!(report.count("messages.unexpected"), 400);
        assert_eq!(report.count("messages.foreign"), 400);
        assert!(report.value("arrival.max").is_null(), "{report:?}");
        assert!(finished.stdout.contains("400 requests of the script"), "{finished:?}");
        assert!(finished.stdout.contains("Give each request loadgen.msg_id()"), "{finished:?}");
    }
}
