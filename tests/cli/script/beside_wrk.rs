//! wrk itself with the same scripts: what comes over the wire, and what scripts print, is the same. Not of
//! HEAD, where wrk waits for the body that the answer only announces, nor of tables in tables, on which it breaks.

use std::collections::{BTreeSet, HashMap};
use std::process::Command;

use super::{Script, ScriptTarget};
use crate::script::server::ScriptRequest;
use crate::support::{Process, require};

/// Each uses other parts of what wrk gives to scripts; lines that are compared are printed with a `>`.
const SCRIPTS: [&str; 7] = [
    "wrk.method = 'PUT'\nwrk.body = 'a=1&b=2'\nwrk.headers['Content-Type'] = 'text/x'\n",
    "local n = 0\n\
     function request()\n\
       n = n + 1\n\
       wrk.headers['X-Number'] = n\n\
       return wrk.format(n % 2 == 0 and 'DELETE' or nil, '/' .. n)\n\
     end\n",
    "function init(args)\n\
       print('> ' .. #args .. ' ' .. args[1] .. ' ' .. args[2])\n\
       local all = {}\n\
       for i = 1, 3 do all[i] = wrk.format('POST', '/p?' .. args[1], { A = 'b' }, ('x'):rep(i)) end\n\
       text = table.concat(all)\n\
     end\n\
     function request() return text end\n",
    "local token\n\
     function request() return wrk.format('GET', token and '/in' or '/login') end\n\
     function response(status, headers, body)\n\
       if not token then\n\
         token = headers['X-Token']\n\
         wrk.headers['X-Token'] = token .. status .. body\n\
       end\n\
     end\n",
    "local number, threads = 0, {}\n\
     function setup(thread)\n\
       number = number + 1\n\
       thread:set('own', { name = 'thread' .. number, second = 'two' })\n\
       table.insert(threads, thread)\n\
     end\n\
     function request()\n\
       seen = own.second\n\
       return wrk.format(nil, '/' .. own.name)\n\
     end\n\
     function done(summary, latency, requests)\n\
       for _, thread in ipairs(threads) do print('> ' .. thread:get('seen')) end\n\
       print('> ' .. type(summary.duration) .. type(summary.errors.status) .. type(latency.mean))\n\
       print('> ' .. type(latency:percentile(99)) .. type(latency(1)) .. type(#requests))\n\
     end\n",
    "function setup(thread)\n\
       local found = wrk.lookup(wrk.host, wrk.port)\n\
       print('> ' .. tostring(wrk.connect(found[1])) .. ' ' .. tostring(#found > 0))\n\
       thread.addr = found[1]\n\
     end\n\
     function init(args)\n\
       print('> ' .. wrk.scheme .. ' ' .. wrk.host .. ' ' .. wrk.path .. ' ' .. wrk.method)\n\
     end\n",
    "local mine = require('wrk')\n\
     function setup(thread)\n\
       assert(mine == wrk and package.loaded.wrk == wrk and #wrk.addrs == 1)\n\
       wrk.resolve(wrk.host, 1)\n\
       print('> ' .. #wrk.addrs)\n\
       mine.resolve('localhost', wrk.port)\n\
       print('> ' .. #wrk.addrs .. ' ' .. tostring(tostring(wrk.addrs[1]) == tostring(thread.addr)))\n\
       thread.addr = wrk.addrs[1]\n\
     end\n\
     function init() mine.headers['X-Mine'] = 'yes' end\n",
];

/// Parts of a request that do not depend on its time and thread.
fn shape(request: &ScriptRequest) -> (String, Vec<String>, String, usize) {
    let plain = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "0");
    let plain = |text: &str| {
        let mut short = plain(text);
        while short.contains("00") {
            short = short.replace("00", "0");
        }
        short
    };
    let headers = request.headers.iter().map(|header| plain(header)).collect();
    (plain(&request.line), headers, request.body.clone(), request.together)
}

/// Runs a tool to its end: what came, and what the script printed.
fn came(server: &ScriptTarget, command: &mut Command) -> (Vec<ScriptRequest>, Vec<String>) {
    let before = server.requests().len();
    let finished = Process::start("the tool", command).finish();
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let printed = finished.stdout.lines().filter(|line| line.starts_with("> "));
    (server.requests().split_off(before), printed.map(str::to_owned).collect())
}

fn wrk(script: &Script, words: &str) -> Command {
    let mut command = Command::new("wrk");
    command.arg("-s").arg(script.file()).args(words.split_whitespace());
    command
}

#[test]
fn scripts_send_the_same_requests_as_with_wrk() {
    if !require("wrk") {
        return;
    }
    for text in SCRIPTS {
        let script = Script::new(text);
        let server = ScriptTarget::answering(|request| match request.path() {
            "/login" => "HTTP/1.1 201 Made\r\nX-Token: t\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            _ => super::server::OK.to_owned(),
        });
        let words = format!("-t 2 -c 2 -d 1s {} -- one 2", server.url("/a/../{x}?y=|1%7b"));
        let (theirs, they_printed) = came(&server, &mut wrk(&script, &words));
        let (ours, we_printed) = came(&server, &mut script.command(&words));
        assert!(theirs.len() > 10 && ours.len() > 10, "{text}: {} {}", theirs.len(), ours.len());
        let shapes = |all: &[ScriptRequest]| all.iter().map(shape).collect::<BTreeSet<_>>();
        assert_eq!(shapes(&ours), shapes(&theirs), "{text}");
        assert_eq!(we_printed, they_printed, "{text}");
    }
}

#[test]
fn a_counter_in_a_script_repeats_in_each_thread_as_with_wrk() {
    if !require("wrk") {
        return;
    }
    let script = |id: &str| {
        Script::new(&format!(
            "wrk.method = 'POST'\n\
             local counter = 0\n\
             function request()\n\
               counter = counter + 1\n\
               return wrk.format(nil, nil, nil, '{{\"MsgID\":' .. {id} .. '}}')\n\
             end\n"
        ))
    };
    let most_often = |requests: Vec<ScriptRequest>| {
        let mut times = HashMap::<String, usize>::new();
        requests.into_iter().for_each(|request| *times.entry(request.body).or_default() += 1);
        times.into_values().max().expect("some came")
    };
    let server = ScriptTarget::start();
    let words = format!("-t 8 -c 8 -d 1s {}", server.url("/"));
    let counting = script("counter");
    assert_eq!(most_often(came(&server, &mut wrk(&counting, &words)).0), 8, "wrk");
    assert_eq!(most_often(came(&server, &mut counting.command(&words)).0), 8, "its counter here");
    let ours = script("loadgen.msg_id()");
    assert_eq!(most_often(came(&server, &mut ours.command(&words)).0), 1, "loadgen.msg_id()");
}
