//! The Redis that the nodes of a fleet meet in: its keys, its commands, and its time.
//!
//! All keys of a fleet begin with `{loadgen:NAME}:`. A fleet that runs a ramp has a round for each of its runs, and keys of
//! the load end with the number of the round. Keys expire an hour after the last node has renewed them, and the
//! verdict a day after it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, Value};

use super::FleetError;
use super::keys::FleetKey;
use crate::core::Address;
use crate::core::clock::{self, Nanos, ServerClock};
use crate::pipeline::servers::redis::{Link, Use, describe, info, server_time};

/// Lifetime of the keys since they were renewed last.
pub(super) const KEY_LIFETIME: Duration = Duration::from_secs(3_600);
/// Lifetime of a verdict: the name of a fleet is refused for so long.
pub(super) const VERDICT_LIFETIME: Duration = Duration::from_secs(86_400);
/// Lifetime of the keys of a fleet that failed before it sent anything: long enough that all nodes learn of it.
const FORGET_AFTER: Duration = Duration::from_secs(15);
/// Round trips that compare the clocks when a node joins: the shortest of them bounds the offset.
const TRIPS_AT_START: usize = 32;
/// Longest wait for one answer of Redis.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    /// Redis is away, or answers too late.
    #[error("Redis at {0} does not answer")]
    Away(Box<Address>),
    /// Redis refused the command.
    #[error("Redis at {address} refused a command: {reason}")]
    Refused {
        /// Address of Redis.
        address: Box<Address>,
        /// Words of Redis.
        reason: String,
    },
}

impl From<StoreError> for FleetError {
    fn from(error: StoreError) -> Self {
        Self::Away(format!("the fleet cannot meet: {error}"))
    }
}

/// A connection to the Redis of a fleet, and the clock of that Redis.
#[derive(Debug)]
pub(super) struct Store {
    link: Link,
    prefix: String,
    /// Number of the round, from 1; `None` in a fleet that runs once.
    round: Option<u64>,
    clock: ServerClock,
}

impl Store {
    /// Connects and compares the clocks.
    pub(super) async fn open(address: &Address, fleet: &str) -> Result<Self, FleetError> {
        let link = Link::open(address.clone(), Use::Commands).await;
        let link = link.map_err(|error| FleetError::Failed(error.to_string()))?;
        let clock = ServerClock::new(address.is_loopback());
        let mut store = Self { link, prefix: format!("{{loadgen:{fleet}}}:"), round: None, clock };
        for _ in 0..TRIPS_AT_START {
            store.compare_clocks().await?;
        }
        Ok(store)
    }

    /// The name of a key in Redis.
    pub(super) fn key(&self, key: FleetKey) -> String {
        match self.round.filter(|_| key.is_of_round()) {
            Some(round) => format!("{}{}:{round}", self.prefix, key.name()),
            None => format!("{}{}", self.prefix, key.name()),
        }
    }

    pub(super) fn round(&self) -> Option<u64> {
        self.round
    }

    /// Returns true before the second round.
    pub(super) fn is_first_round(&self) -> bool {
        self.round.is_none_or(|round| round == 1)
    }

    /// Uses the keys of this round from now on.
    pub(super) fn set_round(&mut self, round: Option<u64>) {
        self.round = round;
    }

    /// Takes in one more reading of the clock of Redis.
    pub(super) async fn compare_clocks(&mut self) -> Result<(), StoreError> {
        let connection = self.connection().await?;
        match server_time(connection).await {
            Ok((asked, answered, server_us)) => {
                self.clock.observe(asked, answered, server_us);
                Ok(())
            }
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The time of Redis now, in microseconds since 1970; 0 if it is not known.
    pub(super) fn now_us(&self) -> u64 {
        self.clock.server_micros(clock::now()).unwrap_or_default()
    }

    /// A time of Redis on the monotonic clock of this machine; now if it is over.
    pub(super) fn monotonic(&self, server_us: u64) -> Nanos {
        let now = clock::now();
        let now_us = self.clock.server_micros(now).unwrap_or(server_us);
        now + Nanos(server_us.saturating_sub(now_us).saturating_mul(1_000))
    }

    /// A time of this machine in the time of Redis, in microseconds since 1970; 0 if it is not known.
    pub(super) fn server_us(&self, at: Nanos) -> u64 {
        self.clock.server_micros(at).unwrap_or_default()
    }

    /// A time of Redis that is over, on the monotonic clock of this machine.
    pub(super) fn monotonic_of(&self, server_us: u64) -> Option<Nanos> {
        self.clock.monotonic(server_us, clock::now())
    }

    /// The most the clock of Redis may be misread by, in microseconds.
    pub(super) fn clock_bound_us(&self) -> f64 {
        self.clock.error_bound(clock::now()).map_or(0.0, Nanos::as_micros_f64)
    }

    /// The id that this Redis gave itself when it started.
    pub(super) async fn server_id(&mut self) -> Option<String> {
        let connection = self.connection().await.ok()?;
        info(connection, "run_id").await.ok().flatten()
    }

    async fn connection(&mut self) -> Result<&mut MultiplexedConnection, StoreError> {
        let address = Box::new(self.link.address().clone());
        self.link.get().await.ok_or(StoreError::Away(address))
    }

    fn failed(&mut self, error: &RedisError) -> StoreError {
        self.link.failed(error);
        let address = Box::new(self.link.address().clone());
        if self.link.is_connected() {
            StoreError::Refused { address, reason: describe(error) }
        } else {
            StoreError::Away(address)
        }
    }

    /// Sends a command.
    async fn ask<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, StoreError> {
        let connection = self.connection().await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, command.query_async(connection)).await;
        self.answered(answer)
    }

    /// Sends several commands at once.
    pub(super) async fn ask_all<T: FromRedisValue>(
        &mut self,
        commands: &Pipeline,
    ) -> Result<T, StoreError> {
        let connection = self.connection().await?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, commands.query_async(connection)).await;
        self.answered(answer)
    }

    fn answered<T>(
        &mut self,
        answer: Result<Result<T, RedisError>, tokio::time::error::Elapsed>,
    ) -> Result<T, StoreError> {
        match answer {
            Ok(answer) => answer.map_err(|error| self.failed(&error)),
            Err(_) => {
                let late = RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
                Err(self.failed(&late))
            }
        }
    }

    /// Writes a value unless there is one. Returns true if it was written.
    pub(super) async fn put_new(
        &mut self,
        key: FleetKey,
        value: &[u8],
        lifetime: Duration,
    ) -> Result<bool, StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value).arg("NX").arg("PX").arg(millis(lifetime));
        let written: Option<Value> = self.ask(&command).await?;
        Ok(written.is_some())
    }

    /// Writes a value.
    pub(super) async fn put(&mut self, key: FleetKey, value: u64) -> Result<(), StoreError> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value).arg("PX").arg(millis(KEY_LIFETIME));
        self.ask(&command).await
    }

    /// The value of a key.
    pub(super) async fn get<T: FromRedisValue>(
        &mut self,
        key: FleetKey,
    ) -> Result<Option<T>, StoreError> {
        let command = redis::cmd("GET").arg(self.key(key)).to_owned();
        self.ask(&command).await
    }

    /// Writes a field of a hash unless there is one. Returns true if it was written.
    pub(super) async fn put_new_field(
        &mut self,
        key: FleetKey,
        field: u64,
        value: &str,
    ) -> Result<bool, StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("HSETNX").arg(self.key(key)).arg(field).arg(value);
        commands.cmd("PEXPIRE").arg(self.key(key)).arg(millis(KEY_LIFETIME)).ignore();
        let (written,): (u64,) = self.ask_all(&commands).await?;
        Ok(written == 1)
    }

    /// Writes a field of a hash.
    pub(super) async fn put_field(
        &mut self,
        key: FleetKey,
        field: u64,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("HSET").arg(self.key(key)).arg(field).arg(value).ignore();
        commands.cmd("PEXPIRE").arg(self.key(key)).arg(millis(KEY_LIFETIME)).ignore();
        self.ask_all(&commands).await
    }

    /// Replaces a field of a hash if it still has a value. Returns true if it was replaced.
    pub(super) async fn replace_field(
        &mut self,
        key: FleetKey,
        field: u64,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let name = self.key(key);
        self.ask::<()>(redis::cmd("WATCH").arg(&name)).await?;
        let now: Option<String> = self.ask(redis::cmd("HGET").arg(&name).arg(field)).await?;
        if now.as_deref() != Some(old) {
            self.ask::<()>(&redis::cmd("UNWATCH")).await?;
            return Ok(false);
        }
        let mut commands = redis::pipe();
        commands.cmd("MULTI").ignore();
        commands.cmd("HSET").arg(&name).arg(field).arg(new).ignore();
        commands.cmd("EXEC");
        // `None`: another node has changed the hash meanwhile.
        let (done,): (Option<Vec<Value>>,) = self.ask_all(&commands).await?;
        Ok(done.is_some())
    }

    /// The fields of a hash.
    pub(super) async fn fields<T: FromRedisValue>(
        &mut self,
        key: FleetKey,
    ) -> Result<BTreeMap<u64, T>, StoreError> {
        let command = redis::cmd("HGETALL").arg(self.key(key)).to_owned();
        self.ask(&command).await
    }

    /// Counts one up, and returns the count before.
    pub(super) async fn count_up(&mut self, key: FleetKey) -> Result<u64, StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("INCR").arg(self.key(key));
        commands.cmd("PEXPIRE").arg(self.key(key)).arg(millis(KEY_LIFETIME)).ignore();
        let (count,): (u64,) = self.ask_all(&commands).await?;
        Ok(count.saturating_sub(1))
    }

    /// Number of fields of a hash.
    pub(super) async fn count(&mut self, key: FleetKey) -> Result<u64, StoreError> {
        let command = redis::cmd("HLEN").arg(self.key(key)).to_owned();
        self.ask(&command).await
    }

    /// Adds rows to the end of a list.
    pub(super) async fn append(
        &mut self,
        key: FleetKey,
        rows: &[String],
    ) -> Result<(), StoreError> {
        let mut commands = redis::pipe();
        commands.cmd("RPUSH").arg(self.key(key)).arg(rows).ignore();
        commands.cmd("PEXPIRE").arg(self.key(key)).arg(millis(KEY_LIFETIME)).ignore();
        self.ask_all(&commands).await
    }

    /// Adds batches to the lists of several nodes, by rank.
    pub(super) async fn append_batches(
        &mut self,
        key: FleetKey,
        batches: &BTreeMap<u64, Vec<Vec<u8>>>,
    ) -> Result<(), StoreError> {
        if batches.is_empty() {
            return Ok(());
        }
        let mut commands = redis::pipe();
        for (rank, batches) in batches {
            let name = format!("{}:{rank}", self.key(key));
            commands.cmd("RPUSH").arg(&name).arg(batches).ignore();
            commands.cmd("PEXPIRE").arg(&name).arg(millis(KEY_LIFETIME)).ignore();
        }
        self.ask_all(&commands).await
    }

    /// Batches of the list of a node, the oldest first, at most `most`. They stay there until they are dropped.
    pub(super) async fn batches(
        &mut self,
        key: FleetKey,
        rank: u64,
        most: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let name = format!("{}:{rank}", self.key(key));
        let command = redis::cmd("LRANGE").arg(name).arg(0).arg(most.saturating_sub(1)).to_owned();
        self.ask(&command).await
    }

    /// Drops the oldest batches from the list of a node.
    pub(super) async fn drop_batches(
        &mut self,
        key: FleetKey,
        rank: u64,
        count: usize,
    ) -> Result<(), StoreError> {
        let name = format!("{}:{rank}", self.key(key));
        let command = redis::cmd("LTRIM").arg(name).arg(count).arg(-1).to_owned();
        self.ask(&command).await
    }

    /// Returns true if a hash has a field.
    pub(super) async fn has_field(
        &mut self,
        key: FleetKey,
        field: u64,
    ) -> Result<bool, StoreError> {
        let command = redis::cmd("HEXISTS").arg(self.key(key)).arg(field).to_owned();
        self.ask(&command).await
    }

    /// The last row of a list.
    pub(super) async fn last_row(&mut self, key: FleetKey) -> Result<Option<String>, StoreError> {
        let command = redis::cmd("LINDEX").arg(self.key(key)).arg(-1).to_owned();
        self.ask(&command).await
    }

    /// All rows of a list.
    pub(super) async fn rows(&mut self, key: FleetKey) -> Result<Vec<String>, StoreError> {
        let command = redis::cmd("LRANGE").arg(self.key(key)).arg(0).arg(-1).to_owned();
        self.ask(&command).await
    }

    /// Takes the lease of the collector for `lease`, or renews it. Returns true if this node holds it.
    pub(super) async fn hold_lease(
        &mut self,
        token: &str,
        lease: Duration,
    ) -> Result<bool, StoreError> {
        if self.put_new(FleetKey::Collector, token.as_bytes(), lease).await? {
            return Ok(true);
        }
        let holder: Option<String> = self.get(FleetKey::Collector).await?;
        if holder.as_deref() != Some(token) {
            return Ok(false);
        }
        let renew =
            redis::cmd("PEXPIRE").arg(self.key(FleetKey::Collector)).arg(millis(lease)).to_owned();
        let renewed: u64 = self.ask(&renew).await?;
        Ok(renewed == 1)
    }

    /// Tells all nodes to stop.
    pub(super) async fn stop_all(&mut self, why: &str) -> Result<(), StoreError> {
        self.put_new(FleetKey::Stop, why.as_bytes(), KEY_LIFETIME).await.map(|_| ())
    }

    /// Renews all keys but those with a lifetime of their own.
    pub(super) async fn renew(&mut self) -> Result<(), StoreError> {
        self.expire_all_in(KEY_LIFETIME).await
    }

    /// Lets all keys expire soon if the fleet has not begun its first run, so that its name can be used again.
    pub(super) async fn forget_unless_begun(&mut self) -> Result<(), StoreError> {
        let has_begun = self.get::<u64>(FleetKey::Start).await?.is_some();
        if has_begun || !self.is_first_round() {
            return Ok(());
        }
        self.expire_all_in(FORGET_AFTER).await
    }

    async fn expire_all_in(&mut self, lifetime: Duration) -> Result<(), StoreError> {
        let mut commands = redis::pipe();
        for key in FleetKey::ALL {
            if !matches!(key, FleetKey::Collector | FleetKey::Verdict) {
                commands.cmd("PEXPIRE").arg(self.key(key)).arg(millis(lifetime)).ignore();
            }
        }
        self.ask_all(&commands).await
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
