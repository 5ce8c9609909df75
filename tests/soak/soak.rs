//! Random faults over a long time: memory stays flat, and each message is accounted for.
//!
//! Variables: `LOADGEN_SOAK_S` (seconds, 30), `LOADGEN_SOAK_RATE` (messages a second, 500; 10,000 if the time is given),
//! `LOADGEN_SOAK_QOS` (1), `LOADGEN_SOAK_SEED` (1).

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::faults::{RANDOM, RANDOM_LONG, RandomFault};
use super::memory::{MemoryLog, Role};
use super::pipeline::{Load, Pipeline, head};

/// Time from one fault to the next.
const INTERVAL: Duration = Duration::from_secs(20);
/// Length of a soak in CI, and its interval.
const QUICK: Duration = Duration::from_secs(30);
const QUICK_INTERVAL: Duration = Duration::from_secs(5);
/// Time at the end without a fault.
const QUIET_END: Duration = Duration::from_secs(5);

/// Value of an environment variable.
pub(crate) fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|e| panic!("{name}={text}: {e}")))
}

#[test]
fn soak_under_random_faults() {
    let long = variable("LOADGEN_SOAK_S").map(Duration::from_secs);
    let time = long.unwrap_or(QUICK);
    let load = Load {
        rate: variable("LOADGEN_SOAK_RATE").unwrap_or(if long.is_some() { 10_000 } else { 500 }),
        seconds: time.as_secs(),
        qos: variable("LOADGEN_SOAK_QOS").map_or(1, |qos| u8::try_from(qos).expect("0 or 1")),
    };
    let Some(mut pipeline) = Pipeline::start(load) else { return };
    pipeline.persist_redis();
    let (mut faults, interval) = match long {
        Some(_) => (Faults::of(&[RANDOM, RANDOM_LONG].concat()), INTERVAL),
        None => (Faults::of(RANDOM), QUICK_INTERVAL),
    };
    pipeline.generate();
    pipeline.await_observed(load.rate);
    let mut memory = MemoryLog::default();
    let start = Instant::now();
    for slot in 1.. {
        let next = start + interval * slot;
        sleep(next.saturating_duration_since(Instant::now()));
        if start.elapsed() + interval + QUIET_END > time {
            break;
        }
        memory.note(start.elapsed(), &pipeline);
        let name = faults.play_next(&mut pipeline);
        println!("{:>5} s {name}", start.elapsed().as_secs());
    }
    memory.note(start.elapsed(), &pipeline);
    let outcome = pipeline.finish(time + Duration::from_secs(90));
    println!("{}\n{}", head(), outcome.row(&format!("soak, seed {}", faults.seed)));
    println!("{}\n{:?}\n{memory}", outcome.verdict, faults.played);
    let mut wrong = outcome.faults();
    wrong.extend(Role::ALL.into_iter().filter_map(|role| memory.growth_above_bound(role, time)));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Faults in an order that a seed gives.
struct Faults {
    choice: Vec<RandomFault>,
    seed: u64,
    state: u64,
    played: BTreeMap<&'static str, u64>,
}

impl Faults {
    fn of(choice: &[RandomFault]) -> Self {
        let seed = variable("LOADGEN_SOAK_SEED").unwrap_or(1);
        Self { choice: choice.to_vec(), seed, state: seed, played: BTreeMap::new() }
    }

    /// Does the next fault and returns its name.
    fn play_next(&mut self, pipeline: &mut Pipeline) -> &'static str {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let fault = self.choice[(mixed % self.choice.len() as u64) as usize];
        *self.played.entry(fault.name).or_default() += 1;
        (fault.act)(pipeline);
        fault.name
    }
}
