//! Fleets of virtual nodes that meet in one Redis: time until all have joined and started, commands, bytes and CPU of Redis
//! while they are at work, and CPU of this process, which is all nodes together.
//!
//! `cargo bench --features internals --bench fleet [-- NODES…]`, by default 10, 100 and 1,000 nodes. It starts a Redis of its own.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loadgen::bench::{SimulatedFleet, simulate};

/// Seconds of work of each fleet.
const SECONDS: u64 = 10;

/// A Redis that ends with its value.
struct Redis {
    child: Child,
    port: u16,
}

impl Redis {
    fn start() -> Self {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut command = Command::new("redis-server");
        command.args(["--save", "", "--bind", "127.0.0.1", "--port", &port.to_string()]);
        let child = command.stdout(Stdio::null()).spawn().expect("redis-server is installed");
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "Redis does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }

    /// A number of `INFO`.
    fn number(&self, name: &str) -> f64 {
        let mut command = Command::new("redis-cli");
        let out = command.args(["-p", &self.port.to_string(), "INFO"]).output().expect("redis-cli");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
    }

    fn use_so_far(&self) -> Use {
        Use {
            at: Instant::now(),
            commands: self.number("total_commands_processed"),
            bytes: self.number("total_net_input_bytes") + self.number("total_net_output_bytes"),
            redis_cpu_s: self.number("used_cpu_user") + self.number("used_cpu_sys"),
            own_cpu_s: own_cpu_s(),
        }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Work of Redis and of this process up to a moment.
#[derive(Debug, Clone, Copy)]
struct Use {
    at: Instant,
    commands: f64,
    bytes: f64,
    redis_cpu_s: f64,
    own_cpu_s: f64,
}

/// CPU time of all threads of this process in seconds.
fn own_cpu_s() -> f64 {
    let mut nanos = 0.0;
    for task in std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        nanos += text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0.0);
    }
    nanos / 1e9
}

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let sizes = if asked.is_empty() { vec![10, 100, 1_000] } else { asked };
    println!(
        "nodes   joined   agreed  reported   merged  Redis commands/s  MB/s  CPU    CPU of all nodes"
    );
    for nodes in sizes {
        let redis = Redis::start();
        let (mut before, mut after) = (None, None);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let url = format!("redis://127.0.0.1:{}", redis.port);
        let fleet = runtime.block_on(simulate(
            &url,
            nodes,
            SECONDS,
            || before = Some(redis.use_so_far()),
            || after = Some(redis.use_so_far()),
        ));
        let SimulatedFleet { joined, agreed, reported, merged, .. } = fleet.expect("a fleet");
        let (before, after) = (before.expect("it began"), after.expect("it ended"));
        let span = (after.at - before.at).as_secs_f64();
        let per_s = |of: fn(&Use) -> f64| (of(&after) - of(&before)) / span;
        println!(
            "{nodes:5} {:7.2}s {:7.2}s {:8.2}s {:7.2}s {:17.0} {:5.1} {:4.1}% {:15.1}%",
            joined.as_secs_f64(),
            agreed.as_secs_f64(),
            reported.as_secs_f64(),
            merged.as_secs_f64(),
            per_s(|used| used.commands),
            per_s(|used| used.bytes) / 1e6,
            per_s(|used| used.redis_cpu_s) * 100.0,
            per_s(|used| used.own_cpu_s) * 100.0
        );
    }
}
