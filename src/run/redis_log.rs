//! The Redis servers of a run: that of the queue, in which ids are reserved, and the log server, which has the
//! stamps and their clock. Often they are the same. A run never waits for them: while Redis is away, the queue depth
//! is unknown, and stages lack stamps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::RedisError;
use redis::aio::MultiplexedConnection;

use super::RunError;
use super::environment::Environment;
use super::ids::NeededIds;
use super::stages::StageJoin;
use super::stamp_reader::{StampClock, StampReader};
use crate::config::plan::{Plan, QueueDepth};
use crate::core::Address;
use crate::core::clock::{self, Nanos, ServerClock};
use crate::core::distribution::micros;
use crate::message::IdSpace;
use crate::pipeline::queue::depth::{self, Depth};
use crate::pipeline::queue::redis_list;
use crate::pipeline::servers::redis::{
    Link, Use, info, is_denied, release_ids, reserve_ids, server_time,
};
use crate::pipeline::stamps;
use crate::report::Remark;
use crate::report::ServerKind;
use crate::report::remark::ServerNote;
use crate::report::{Clock, ClockSource, StampList};

/// Round trips that compare the clocks before the load: the shortest of them bounds the offset.
const TRIPS_AT_START: usize = 64;
/// Longer than the first pause before a lost connection is made again.
const RECONNECT: Duration = Duration::from_millis(50);

pub(super) struct LogServer {
    /// The queue's Redis.
    redis: Option<Redis>,
    log: Option<Log>,
    clock: ServerClock,
    queue: QueueDepth,
    /// The reason why the depth of the queue cannot be measured.
    no_depth: Option<NoDepth>,
    /// The user named the queue's Redis, so other runs may use it too.
    is_shared: bool,
    /// True while ids are reserved in Redis.
    reserved: bool,
}

/// Reason why the depth of the queue cannot be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoDepth {
    /// Its key is of another type.
    OtherType,
    /// The group of the stream is not there, or its lag is not known.
    GroupUnknown,
}

/// A connection, and its losses before the run began.
struct Redis {
    link: Link,
    lost_before: u64,
    /// Commands, with their keys, that the Redis user may not run.
    denied: BTreeSet<&'static str>,
}

/// The log server.
struct Log {
    redis: Redis,
    reader: StampReader,
    /// Losses of the connection when stamps were read last.
    lost_read: u64,
    /// Largest error bound that api and push have published for their clocks.
    services_bound: Nanos,
    /// Identity of this server, new at each of its starts.
    id: Option<String>,
}

/// Results at the end of a run.
pub(super) struct RedisSummary {
    /// The clock and its error bound.
    pub(super) clock: Clock,
    /// The stamp lists.
    pub(super) stamps: Vec<StampList>,
    /// Sentences on missing or untrusted numbers.
    pub(super) notes: Vec<Remark>,
}

impl Redis {
    async fn open(address: &Address) -> Result<Self, RunError> {
        let link = Link::open(address.clone(), Use::Commands).await?;
        Ok(Self { link, lost_before: 0, denied: BTreeSet::new() })
    }

    /// Returns the connection for a command, unless the user may not run it or Redis is away.
    async fn allowed(&mut self, command: &str) -> Option<&mut MultiplexedConnection> {
        if self.denied.contains(command) { None } else { self.link.get().await }
    }

    /// Takes in that a command failed. A command that was denied is not sent again.
    fn failed(&mut self, command: &'static str, error: &RedisError) {
        if is_denied(error) {
            self.denied.insert(command);
        } else {
            self.link.failed(error);
        }
    }

    /// A field of `INFO`.
    async fn info(&mut self, field: &str) -> Option<String> {
        let value = info(self.allowed("INFO").await?, field).await;
        value.inspect_err(|error| self.failed("INFO", error)).ok().flatten()
    }

    /// Connects again before the run begins: Redis may have closed a connection that was idle for long. That does
    /// not count as a loss.
    async fn resume(&mut self) {
        if self.link.get().await.is_none() {
            tokio::time::sleep(RECONNECT).await;
        }
        if self.link.get().await.is_some() {
            self.lost_before = self.link.losses();
        }
    }

    fn losses(&self) -> u64 {
        self.link.losses() - self.lost_before
    }
}

/// Returns true if Redis has no key of that name, where a command needs one.
fn is_no_such_key(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("no such key"))
}

impl LogServer {
    pub(super) async fn open(plan: &Plan, environment: &Environment) -> Result<Self, RunError> {
        let queue = plan.pipeline.queue_depth.clone();
        let is_shared =
            environment.redis.as_ref().is_some_and(|(kind, _)| *kind == ServerKind::External);
        let clock = ServerClock::new(true);
        let mut server = Self {
            redis: None,
            log: None,
            clock,
            queue,
            no_depth: None,
            is_shared,
            reserved: false,
        };
        if let Some((_, address)) = &environment.redis {
            server.redis = Some(Redis::open(address).await?);
        }
        let Some(address) = environment.log_server() else { return Ok(server) };
        let mut redis = Redis::open(address).await?;
        let id = redis.info("run_id").await;
        let Some(connection) = redis.link.get().await else {
            return Err(RunError::Lost("the connection to Redis"));
        };
        let reader = StampReader::new(connection).await?;
        server.clock = ServerClock::new(address.is_loopback());
        server.log = Some(Log { redis, reader, lost_read: 0, services_bound: Nanos::ZERO, id });
        for _ in 0..TRIPS_AT_START {
            server.compare_clocks().await;
        }
        Ok(server)
    }

    /// Takes the run's ids: from `--first-id` on, else from a random place. In a Redis that other runs may
    /// use and where this one may write, they are reserved, so that no two runs share an id.
    pub(super) async fn lease(&mut self, needed: &NeededIds, first: Option<u64>) -> IdSpace {
        let base = match first {
            Some(first) => first,
            None => self.reserve(needed).await.unwrap_or_else(|| needed.random_base()),
        };
        needed.space(base)
    }

    /// `None` where there is no such Redis, or it refuses: a user that may only read, a replica.
    async fn reserve(&mut self, needed: &NeededIds) -> Option<u64> {
        let redis = self.redis.as_mut().filter(|_| self.is_shared)?;
        let connection = redis.link.get().await?;
        let (count, base) = (needed.count(), needed.random_base());
        match reserve_ids(connection, count, base, needed.lifetime()).await {
            Ok(first) => {
                self.reserved = true;
                // Others may have reserved all ids behind the place where the first began.
                Some(first).filter(|first| needed.space(*first).fits())
            }
            Err(error) => {
                if error.code().is_none() {
                    redis.link.failed(&error);
                }
                None
            }
        }
    }

    /// Ends the reservation of the ids.
    pub(super) async fn release_ids(&mut self) {
        let Some(redis) = self.redis.as_mut().filter(|_| self.reserved) else { return };
        if let Some(connection) = redis.link.get().await {
            // Where it fails, the key expires.
            let _ = release_ids(connection).await;
        }
    }

    pub(super) async fn compare_clocks(&mut self) {
        let Some(Log { redis, .. }) = &mut self.log else { return };
        let Some(connection) = redis.allowed("TIME").await else { return };
        match server_time(connection).await {
            Ok((asked, answered, server_us)) => self.clock.observe(asked, answered, server_us),
            Err(error) => redis.failed("TIME", &error),
        }
    }

    /// Returns the time until `at` on the log server's clock, or on this machine's if there is none. An error if it
    /// is over.
    pub(super) fn time_until(&self, at: SystemTime) -> Result<Duration, RunError> {
        let now = match self.clock.server_micros(clock::now()) {
            Some(micros) => UNIX_EPOCH + Duration::from_micros(micros),
            None => SystemTime::now(),
        };
        at.duration_since(now).map_err(|late| RunError::Late(late.duration()))
    }

    /// Messages in the queue; `None` while that is not known.
    pub(super) async fn queue_depth(&mut self) -> Option<u64> {
        let redis = self.redis.as_mut().filter(|_| self.queue != QueueDepth::None)?;
        let command = depth::command_of(&self.queue);
        let connection = redis.allowed(command).await?;
        match depth::depth(connection, &self.queue).await {
            Ok(Some(Depth::Known(depth))) => {
                self.no_depth = None;
                return Some(depth);
            }
            Ok(Some(Depth::GroupUnknown)) => self.no_depth = Some(NoDepth::GroupUnknown),
            Ok(None) => {}
            Err(error) if redis_list::is_of_other_type(&error) => {
                self.no_depth = Some(NoDepth::OtherType);
            }
            // XINFO of a stream that is not there yet.
            Err(error) if is_no_such_key(&error) => return Some(0),
            Err(error) => redis.failed(command, &error),
        }
        None
    }

    /// A note if the depth of the queue cannot be measured.
    fn queue_note(&self) -> Option<ServerNote> {
        let address = self.redis.as_ref()?.link.address().to_string();
        match (self.no_depth?, self.queue.clone()) {
            (_, QueueDepth::None) => None,
            (_, QueueDepth::List { key: queue }) => {
                Some(ServerNote::QueueNotList { queue, address })
            }
            (NoDepth::OtherType, QueueDepth::Group { key: queue, .. }) => {
                Some(ServerNote::QueueNotStream { queue, address })
            }
            (NoDepth::GroupUnknown, QueueDepth::Group { key: queue, group }) => {
                Some(ServerNote::QueueGroupUnknown { group, queue, address })
            }
        }
    }

    /// Makes the connections again that were closed while the run waited for its start.
    pub(super) async fn resume(&mut self) {
        self.compare_clocks().await;
        let log = self.log.as_mut().map(|log| &mut log.redis);
        for redis in self.redis.iter_mut().chain(log) {
            redis.resume().await;
        }
    }

    /// Takes in the stamps that have come since.
    pub(super) async fn read_stamps(&mut self, join: &mut StageJoin) {
        join.distrust(self.clock.jumps());
        let Some(Log { redis: Redis { link, .. }, reader, lost_read, .. }) = &mut self.log else {
            return;
        };
        let losses = link.losses();
        let Some(connection) = link.get().await else { return };
        if *lost_read < losses {
            reader.rewind();
            *lost_read = losses;
        }
        let source = StampClock { clock: &self.clock, now: clock::now() };
        if let Err(error) = reader.read(connection, source, join).await {
            link.failed(&error);
        }
    }

    /// Returns the version of the queue's Redis.
    pub(super) async fn version(&mut self) -> Option<String> {
        self.redis.as_mut()?.info("redis_version").await
    }

    /// Reads the error bounds of the clocks of api and push, which they remove when they end.
    pub(super) async fn read_bounds(&mut self) {
        let Some(Log { redis: Redis { link, .. }, services_bound, .. }) = &mut self.log else {
            return;
        };
        for role in ["api", "push"] {
            let Some(connection) = link.get().await else { return };
            *services_bound = (*services_bound).max(stamps::read_bound(connection, role).await);
        }
    }

    /// Reads the last stamps and returns the results. The run was measured from `begin`.
    pub(super) async fn close(&mut self, join: &mut StageJoin, begin: Nanos) -> RedisSummary {
        self.compare_clocks().await;
        self.read_stamps(join).await;
        let theirs = self.log.as_ref().map_or(Nanos::ZERO, |log| log.services_bound);
        let error_bound = self.clock.error_bound(clock::now()).map(|ours| ours + theirs);
        let offset_us = self.clock.offset_us();
        let source = if offset_us.is_some() { ClockSource::Redis } else { ClockSource::Monotonic };
        let clock = Clock {
            source,
            offset_us,
            error_bound_us: error_bound.map(micros),
            start_us: self.clock.server_micros(begin),
            server: self.log.as_ref().and_then(|log| log.id.clone()),
        };
        let mut notes = self.gaps();
        notes.extend(self.denials());
        notes.extend(self.queue_note());
        let mut stamps = Vec::new();
        if let Some(log) = &self.log {
            let jumps = self.clock.jumps().iter().filter(|jump| jump.noticed > begin);
            notes.extend(jumps.map(|jump| ServerNote::ClockJumped {
                address: log.redis.link.address().to_string(),
                by_us: jump.by_us,
                at_s: (jump.noticed - begin).as_secs_f64(),
            }));
            notes.extend(log.reader.notes(join.has_samples()));
            stamps = log.reader.counts();
        }
        let notes = notes.into_iter().map(Remark::from).collect();
        RedisSummary { clock, stamps, notes }
    }

    /// A note for each server on the commands that its user may not run.
    fn denials(&self) -> Vec<ServerNote> {
        let log = self.log.as_ref().map(|log| &log.redis);
        let mut denied: BTreeMap<String, BTreeSet<&'static str>> = BTreeMap::new();
        for redis in self.redis.iter().chain(log) {
            denied.entry(redis.link.address().to_string()).or_default().extend(&redis.denied);
        }
        let mut notes = Vec::new();
        for (address, commands) in denied {
            if !commands.is_empty() {
                let commands = commands.into_iter().collect();
                notes.push(ServerNote::CommandsDenied { address, commands });
            }
        }
        notes
    }

    /// A note for each server that was lost meanwhile.
    fn gaps(&self) -> Vec<ServerNote> {
        let log = self.log.as_ref().map(|log| &log.redis);
        let (servers, lacking) = match (&self.redis, log) {
            (Some(queue), Some(log)) if queue.link.address() == log.link.address() => {
                let most = if log.losses() > queue.losses() { log } else { queue };
                (vec![most], ["queue depth and stages lack", ""])
            }
            (Some(queue), Some(log)) => (vec![queue, log], ["queue depth lacks", "stages lack"]),
            (queue, log) => {
                let one = queue.iter().chain(log).collect();
                (one, ["queue depth and stages lack", ""])
            }
        };
        let mut notes = Vec::new();
        for (server, lacking) in servers.into_iter().zip(lacking) {
            let (address, times) = (server.link.address().to_string(), server.losses());
            if times > 0 {
                notes.push(ServerNote::RedisLost { address, times, lacking });
            }
        }
        notes
    }
}
