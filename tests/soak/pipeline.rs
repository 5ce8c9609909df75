//! A pipeline of real servers with links between its components, its generator, and the account at its end.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use loadgen::report::{Messages, Report};
use tempfile::TempDir;

use super::ids::IdSet;
use super::link::Link;
use super::observer::Observer;
use super::support::{
    Finished, Mosquitto, Process, Redis, Service, eventually, json_command, loadgen, within,
};
use super::tap::Tap;

/// List of the messages that the broker does not take.
const DEAD: &str = "{myapp}:dead";
/// Longest time for the rest of the messages to leave the queue after the generator's end.
const SETTLE: Duration = Duration::from_secs(30);

/// The load, and how it is published.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    pub(crate) qos: u8,
}

/// Redis, broker, observer, api, push and generator. Each connection goes through a link.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) load: Load,
    pub(crate) redis: Redis,
    pub(crate) broker: Mosquitto,
    pub(crate) observer: Observer,
    /// Between the api, the generator and Redis.
    pub(crate) api_redis: Link,
    pub(crate) push_redis: Link,
    pub(crate) push_mqtt: Link,
    pub(crate) generator_mqtt: Link,
    pub(crate) api: Service,
    pub(crate) tap: Tap,
    pub(crate) push: Service,
    pub(crate) generator: Option<Process>,
    /// Accounts of push servers that have ended.
    account: PushAccount,
    /// Working folder and temporary folder of all components.
    folder: TempDir,
}

/// Sums of the summaries of push servers.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct PushAccount {
    pub(crate) lost: u64,
    pub(crate) dead: u64,
    pub(crate) unaccounted: u64,
}

impl Pipeline {
    /// `None` where a server is not installed and the test is skipped.
    pub(crate) fn start(load: Load) -> Option<Self> {
        Self::with_broker(load, Mosquitto::start()?)
    }

    pub(crate) fn with_broker(load: Load, broker: Mosquitto) -> Option<Self> {
        let redis = Redis::start()?;
        let observer = Observer::of(broker.address());
        let [api_redis, push_redis] = [Link::to(&redis.address()), Link::to(&redis.address())];
        let links = [Link::to(&broker.address()), Link::to(&broker.address())];
        let [push_mqtt, generator_mqtt] = links;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let words = format!("api --listen 127.0.0.1:0 --redis redis://{}", api_redis.address());
        let (api, address) = Service::api_of("api", &mut component(&folder, loadgen(&words)));
        let push = start_push(&folder, push_redis.address(), push_mqtt.address(), load);
        Some(Self {
            load,
            redis,
            broker,
            observer,
            api_redis,
            push_redis,
            push_mqtt,
            generator_mqtt,
            api,
            tap: Tap::before(address),
            push,
            generator: None,
            account: PushAccount::default(),
            folder,
        })
    }

    /// Starts to send the ids from 1 on.
    pub(crate) fn generate(&mut self) {
        let Load { rate, seconds, qos } = self.load;
        let words = format!(
            "http://{}/ -R {rate} -d {seconds}s -c 16 --drain 40s --first-id 1 --qos {qos} \
             --allow-limited --allow-failed --redis redis://{} --mqtt mqtt://{}",
            self.tap.address(),
            self.api_redis.address(),
            self.generator_mqtt.address(),
        );
        let mut command = component(&self.folder, json_command(&words));
        self.generator = Some(Process::start("generator", &mut command));
    }

    /// Waits until the observer had `count` messages.
    pub(crate) fn await_observed(&self, count: u64) {
        let what = format!("{count} messages at the observer");
        eventually(&what, || (self.observer.seen().messages >= count).then_some(()));
    }

    /// Kills push without a warning, and starts another one.
    pub(crate) fn kill_push(&mut self) {
        self.push.process.kill();
        self.push = self.new_push();
    }

    /// Ends push by SIGTERM, and starts another one.
    pub(crate) fn restart_push(&mut self) {
        let new = self.new_push();
        let old = std::mem::replace(&mut self.push, new);
        self.account.add(&old.process.terminate());
    }

    fn new_push(&self) -> Service {
        start_push(&self.folder, self.push_redis.address(), self.push_mqtt.address(), self.load)
    }

    /// Redis keeps its data over a kill.
    pub(crate) fn persist_redis(&self) {
        self.redis.cli(&["CONFIG", "SET", "appendonly", "yes"]);
        self.redis.cli(&["CONFIG", "SET", "appendfsync", "everysec"]);
        // Also after a restart, by its configuration file.
        self.redis.cli(&["CONFIG", "REWRITE"]);
    }

    /// Waits for the report and the rest of the messages, stops everything, and compares.
    pub(crate) fn finish(mut self, limit: Duration) -> Outcome {
        let generator = self.generator.take().expect("it was started");
        let generator = generator.finish_within(limit);
        let report = Report::from_json(&generator.stdout);
        let report = report.unwrap_or_else(|e| panic!("no report ({e}): {generator:?}"));
        let messages = report.messages.expect("it sent messages");
        self.settle();
        self.account.add(&self.push.process.terminate());
        let api = self.api.process.terminate();
        assert_eq!(api.code, Some(0), "{api:?}");
        self.account.dead = self.account.dead.max(self.redis.len(DEAD));
        let accepted = self.tap.take();
        let seen = self.observer.seen();
        Outcome {
            missing: accepted.without(&seen.ids),
            accepted: accepted.len(),
            duplicates: seen.duplicates,
            told: messages,
            verdict: format!("{:?}: {:?}", report.verdict.generator, report.verdict.reasons),
            push: self.account,
            keys_left: keys_without_expiry(&self.redis),
            files_left: files(self.folder.path()),
        }
    }

    /// Waits until the queue is empty and the observer had nothing for a while.
    fn settle(&self) {
        const QUIET: Duration = Duration::from_millis(700);
        let (mut last, mut since) = (0, Instant::now());
        let settled = within(SETTLE, || {
            let messages = self.observer.seen().messages;
            if messages != last {
                (last, since) = (messages, Instant::now());
            }
            (since.elapsed() > QUIET && self.redis.len("myapp") == 0).then_some(())
        });
        settled.expect("the queue gets empty");
    }
}

impl PushAccount {
    /// Adds the summary of a push server that was stopped.
    fn add(&mut self, finished: &Finished) {
        let summary = finished.stderr.lines().rfind(|line| line.contains(" unaccounted"));
        let summary = summary.unwrap_or_else(|| panic!("no summary: {finished:?}"));
        let count = |name: &str| {
            let parts = summary.split(", ").find_map(|part| part.strip_suffix(name));
            let digits = parts
                .and_then(|part| part.trim_start_matches("up to ").trim().split(' ').next_back());
            digits.map_or(0, |digits| digits.replace(',', "").parse().expect("a count"))
        };
        self.lost += count(" lost");
        self.dead += count(" dead");
        self.unaccounted += count(" unaccounted");
        assert_eq!(finished.code, Some(i32::from(count(" lost") > 0)), "{finished:?}");
    }
}

/// What is missing, and what report and push say of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Messages that the api accepted.
    pub(crate) accepted: u64,
    /// Accepted messages that the observer never had.
    pub(crate) missing: IdSet,
    /// Further copies at the observer.
    pub(crate) duplicates: u64,
    pub(crate) told: Messages,
    /// Verdict of the report on the generator, with its reasons.
    pub(crate) verdict: String,
    pub(crate) push: PushAccount,
    /// Keys of Redis that stay for ever.
    pub(crate) keys_left: Vec<String>,
    pub(crate) files_left: Vec<String>,
}

impl Outcome {
    /// Describes each way in which report and push are wrong.
    pub(crate) fn faults(&self) -> Vec<String> {
        let (missing, told) = (self.missing.len(), &self.told);
        // A request whose answer came too late for the generator is not accepted by the report.
        let late = self.accepted.saturating_sub(told.accepted).min(told.unknown);
        let by_push = self.push.lost + self.push.dead + self.push.unaccounted;
        let mut faults = Vec::new();
        if missing > told.lost + told.missed + late + by_push {
            faults.push(format!("{missing} are missing, and fewer are told"));
        }
        if told.lost > missing {
            faults.push(format!("{} are lost by the report, and {missing} are missing", told.lost));
        }
        let seen = told.examples.lost.iter().filter(|id| !self.missing.contains(**id));
        let seen: Vec<_> = seen.collect();
        if !seen.is_empty() {
            faults.push(format!("{seen:?} are lost by the report, and the observer had them"));
        }
        // Messages that push set aside wait there for `loadgen dead`, also those of a push that was killed.
        let is_left = |key: &&String| *key != DEAD;
        let left: Vec<_> = self.keys_left.iter().filter(is_left).collect();
        if !left.is_empty() {
            faults.push(format!("keys without expiry are left: {left:?}"));
        }
        if !self.files_left.is_empty() {
            faults.push(format!("files are left: {:?}", self.files_left));
        }
        faults
    }

    /// One line of a table: true losses beside told ones.
    pub(crate) fn row(&self, name: &str) -> String {
        format!(
            "| {name:<44} | {:>9} | {:>7} | {:>6} | {:>6} | {:>7} | {:>5} | {:>5} | {:>8} | {:>7} |",
            self.accepted,
            self.missing.len(),
            self.told.lost,
            self.told.missed,
            self.told.unknown,
            self.push.lost,
            self.push.dead,
            self.push.unaccounted,
            self.duplicates,
        )
    }
}

/// Head of the table of [`Outcome::row`].
pub(crate) fn head() -> String {
    format!(
        "| {:<44} | accepted  | missing | lost   | missed | unknown | lost by push | dead | up to | twice |",
        "fault"
    )
}

fn start_push(folder: &TempDir, redis: SocketAddr, mqtt: SocketAddr, load: Load) -> Service {
    let words = format!("push --redis redis://{redis} --mqtt mqtt://{mqtt} --qos {}", load.qos);
    let mut process = Process::start("push", &mut component(folder, loadgen(&words)));
    process.await_line(|line| (line == "ready").then_some(()));
    Service { process }
}

/// The command in a folder of the test's, where nothing must be left.
fn component(folder: &TempDir, mut command: Command) -> Command {
    command.current_dir(folder.path()).env("TMPDIR", folder.path());
    command
}

fn keys_without_expiry(redis: &Redis) -> Vec<String> {
    let keys = redis.cli(&["KEYS", "*"]);
    let keys = keys.lines().filter(|key| !key.is_empty() && redis.cli(&["TTL", key]) == "-1");
    keys.map(str::to_owned).collect()
}

fn files(folder: &Path) -> Vec<String> {
    let files = std::fs::read_dir(folder).expect("the folder").flatten();
    files.map(|file| file.path().display().to_string()).collect()
}
