//! The open loop: a set rate, and how late the requests are.

use std::fs;

use super::common::rounds::Column;
use super::common::{LOADGEN, others};
use super::generator::{self, Generator, Measured};
use super::nginx::Nginx;
use super::outputs;
use super::post::{body, script};
use super::programs::Programs;

const RATE: u64 = 24_000;
const CONNECTIONS: u64 = 64;
/// Ways to pace that loadgen offers, beside its default.
const PACES: [&str; 5] =
    ["--tick 50us", "--tick 100us", "--tick 200us", "--tick 500us", "--pacer spin"];

/// Prints the table; what could not run is returned.
pub(crate) fn run(
    programs: &Programs,
    nginx: &Nginx,
    seconds: u64,
    rounds: usize,
) -> anyhow::Result<Vec<String>> {
    let folder = tempfile::tempdir()?;
    let lua = folder.path().join("post.lua");
    fs::write(&lua, script())?;
    let url = nginx.url();
    let load = format!("-t 1 -c {CONNECTIONS} -d {seconds}s -R {RATE}");
    let mut all = Vec::new();
    for pace in [""].into_iter().chain(PACES) {
        let name = format!("loadgen {pace}");
        // One that cannot hold the rate is a row, too.
        let words = format!("{load} {pace} -m POST --quiet --allow-limited --format json {url}");
        all.push(Generator::new(name.trim(), LOADGEN, &words, outputs::loadgen));
    }
    if let Some(wrk2) = programs.path("wrk2") {
        let words = format!("{load} --latency --u_latency {url} -s");
        all.push(Generator::new("wrk2", wrk2, &words, outputs::wrk2).with(lua));
    }
    if let Some(oha) = programs.path("oha") {
        let words =
            format!("-z {seconds}s -c {CONNECTIONS} -q {RATE} --latency-correction --no-tui");
        let words = format!("{words} --output-format json -m POST -T application/json {url} -d");
        all.push(Generator::new("oha", oha, &words, outputs::oha_open).with(body("1")));
    }
    if let Some(zrk) = programs.path("zrk") {
        let words = format!("{load} --format json -m POST {url} -b");
        let post = Generator::new("zrk", zrk, &words, outputs::zrk).with(body("1"));
        all.push(post.with("-H").with("Content-Type: application/json"));
    }

    let played = generator::play(&all, nginx, seconds, rounds);
    println!(
        "Open loop on nginx, {RATE} requests/s, {CONNECTIONS} connections, 1 thread, {seconds} s, \
         POST; medians of {rounds} rounds and of their ratios to loadgen; latencies in µs:\n"
    );
    played.print("generator", &COLUMNS);
    println!("\n{}\n", others::summary(played.all().map(|measured| measured.others)));
    Ok(played.failed)
}

const COLUMNS: [Column<Measured>; 8] = [
    Column { title: "answered", digits: 0, value: |m| Some(m.figures.requests), compared: false },
    Column { title: "achieved/s", digits: 0, value: |m| Some(m.figures.per_s), compared: false },
    Column { title: "response p50", digits: 0, value: |m| m.figures.response.p50, compared: true },
    Column { title: "p99", digits: 0, value: |m| m.figures.response.p99, compared: true },
    Column { title: "service p50", digits: 0, value: |m| m.figures.service.p50, compared: false },
    Column { title: "lateness p50", digits: 0, value: |m| m.figures.lateness.p50, compared: false },
    Column { title: "p99", digits: 0, value: |m| m.figures.lateness.p99, compared: false },
    Column { title: "CPU µs/request", digits: 1, value: |m| Some(m.cpu_us), compared: true },
];
