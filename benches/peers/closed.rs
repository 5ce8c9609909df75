//! The closed loop: the throughput of ten connections.

use std::fs;

use super::common::rounds::Column;
use super::common::{LOADGEN, others};
use super::generator::{self, Generator, Measured};
use super::nginx::Nginx;
use super::post::{body, script};
use super::programs::Programs;
use super::{bare, outputs};

/// Connections, and so requests in flight.
pub(crate) const CONNECTIONS: u64 = 10;

/// Prints the table; what could not run is returned.
pub(crate) fn run(
    programs: &Programs,
    nginx: &Nginx,
    seconds: u64,
    rounds: usize,
) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let (lua, file) = (folder.path().join("post.lua"), folder.path().join("body"));
    fs::write(&lua, script())?;
    fs::write(&file, body("1"))?;
    let (url, address) = (nginx.url(), nginx.address());
    let load = format!("-t 1 -c {CONNECTIONS} -d {seconds}s");
    let words = format!("{load} -m POST --quiet --format json {url}");
    let mut all =
        vec![Generator::new("loadgen, POST with a MsgID", LOADGEN, &words, outputs::loadgen)];
    if let Some(wrk) = programs.path("wrk") {
        let words = format!("{load} --latency {url} -s");
        let post = Generator::new("wrk, POST with a counter (Lua)", wrk, &words, outputs::wrk);
        all.push(post.with(lua));
        let words = format!("{load} --latency {url}");
        all.push(Generator::new("wrk, fixed GET", wrk, &words, outputs::wrk));
    }
    if let Some(h2load) = programs.path("h2load") {
        let words = format!("--h1 -t 1 -c {CONNECTIONS} -D {seconds} {url} -d");
        let post = Generator::new("h2load, fixed POST", h2load, &words, outputs::h2load);
        all.push(post.with(file).with("-H").with("Content-Type: application/json"));
    }
    if let Some(oha) = programs.path("oha") {
        let words = format!("-z {seconds}s -c {CONNECTIONS} --no-tui --output-format json");
        let words = format!("{words} -m POST -T application/json {url} -d");
        let post = Generator::new("oha, fixed POST", oha, &words, outputs::oha_closed);
        all.push(post.with(body("1")));
    }
    let words = format!("--seconds {seconds} --bare {address}");
    let own = std::env::current_exe()?;
    all.push(Generator::new("bare send and receive, fixed POST", own, &words, bare::read));

    let played = generator::play(&all, nginx, seconds, rounds);
    println!(
        "Closed loop on nginx, {CONNECTIONS} connections, 1 thread, {seconds} s; medians of \
         {rounds} rounds and of their ratios to loadgen; latency from the send:\n"
    );
    played.print("generator", &COLUMNS);
    println!("\n{}\n", others::summary(played.all().map(|measured| measured.others)));
    Ok(played.failed)
}

const COLUMNS: [Column<Measured>; 4] = [
    Column { title: "requests/s", digits: 0, value: |m| Some(m.figures.per_s), compared: true },
    Column { title: "CPU µs/request", digits: 2, value: |m| Some(m.cpu_us), compared: true },
    Column { title: "p50 µs", digits: 0, value: |m| m.figures.service.p50, compared: false },
    Column { title: "p99 µs", digits: 0, value: |m| m.figures.service.p99, compared: false },
];
