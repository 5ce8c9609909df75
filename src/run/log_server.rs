//! The Redis that gives ids and the time and keeps the stamps, where there is one. Nothing here may
//! hold a run up: while Redis is away there is no queue depth, and stages end earlier.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::RunError;
use super::fleet::Split;
use super::rig::Rig;
use super::stages::{StageJoin, StampReader};
use crate::clock::{self, Nanos, ServerClock};
use crate::message::IdSpace;
use crate::observations::ClockInfo;
use crate::pipeline::stamps::{self, StampWriter, Stamper};
use crate::plan::Plan;
use crate::stack::redis::{Link, Use, info, lease_space, server_time};
use crate::units::format_some;

/// Round trips that compare the clocks before the load: the shortest of them bounds the offset.
const TRIPS_AT_START: usize = 64;
/// Longer than the first pause before a lost connection is made again.
const RECONNECT: Duration = Duration::from_millis(50);

pub(super) struct LogServer {
    redis: Option<Redis>,
    clock: ServerClock,
    stamper: Option<(Stamper, StampWriter)>,
    queue: String,
}

struct Redis {
    link: Link,
    reader: StampReader,
    /// How often the connection had been lost when the run began, and when stamps were read last.
    lost_before: u64,
    lost_read: u64,
}

/// What is left to say at the end.
pub(super) struct LastWords {
    /// What the clock was worth.
    pub(super) clock: ClockInfo,
    /// Stamps of ours that were dropped.
    pub(super) stamps_dropped: u64,
    /// What the report lacks because Redis was away.
    pub(super) gap: Option<String>,
}

impl LogServer {
    pub(super) async fn open(plan: &Plan, rig: &Rig) -> Result<Self, RunError> {
        let queue = plan.pipeline.queue.clone();
        let mut server = Self { redis: None, clock: ServerClock::new(true), stamper: None, queue };
        let Some((_, address)) = &rig.redis else { return Ok(server) };
        let mut link = Link::open(address.clone(), Use::Commands).await?;
        let reader = match link.get().await {
            Some(connection) => StampReader::new(connection).await?,
            None => return Err(RunError::Lost("the connection to Redis")),
        };
        if plan.listens() {
            server.stamper = Some(stamps::start(address, plan.pipeline.sample, "generator").await?);
        }
        server.clock = ServerClock::new(address.is_loopback());
        server.redis = Some(Redis { link, reader, lost_before: 0, lost_read: 0 });
        for _ in 0..TRIPS_AT_START {
            server.compare_clocks().await;
        }
        Ok(server)
    }

    /// Where arrivals are stamped.
    pub(super) fn stamper(&self) -> Option<Stamper> {
        self.stamper.as_ref().map(|(stamper, _)| stamper.clone())
    }

    /// Takes the run's ids: from Redis where there is one, else from the time and `--node`.
    pub(super) async fn lease(&mut self, plan: &Plan, split: &Split) -> Result<IdSpace, RunError> {
        let workers = split.id_lanes();
        let sample = plan.pipeline.sample;
        let node = (plan.request.node.index, plan.request.node.count);
        if let Some(redis) = &mut self.redis
            && let Some(connection) = redis.link.get().await
        {
            let most = split.ids_each();
            return Ok(lease_space(connection, most, (workers, sample), node).await?);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let micros = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX);
        Ok(IdSpace::from_time(micros, workers, sample, node))
    }

    pub(super) async fn compare_clocks(&mut self) {
        let Some(Redis { link, .. }) = &mut self.redis else { return };
        let Some(connection) = link.get().await else { return };
        match server_time(connection).await {
            Ok((asked, answered, server_us)) => self.clock.observe(asked, answered, server_us),
            Err(error) => link.failed(&error),
        }
    }

    /// Messages in the queue; `None` where nobody can tell.
    pub(super) async fn queue_depth(&mut self) -> Option<u64> {
        let Redis { link, .. } = self.redis.as_mut()?;
        let depth = redis::cmd("LLEN").arg(&self.queue).query_async(link.get().await?).await;
        depth.inspect_err(|error| link.failed(error)).ok()
    }

    /// The run is about to begin after a pause, in which Redis may have closed what nobody used. That is no
    /// gap, if the connection can be made again.
    pub(super) async fn resume(&mut self) {
        self.compare_clocks().await;
        let Some(Redis { link, lost_before, .. }) = &mut self.redis else { return };
        if link.get().await.is_none() {
            tokio::time::sleep(RECONNECT).await;
        }
        if link.get().await.is_some() {
            *lost_before = link.losses();
        }
    }

    /// Takes in the stamps that have come since.
    pub(super) async fn read_stamps(&mut self, join: &mut StageJoin) {
        let Some(Redis { link, reader, lost_read, .. }) = &mut self.redis else { return };
        let losses = link.losses();
        let Some(connection) = link.get().await else { return };
        if *lost_read < losses && reader.rewind(connection).await.is_ok() {
            *lost_read = losses;
        }
        if let Err(error) = reader.read(connection, &self.clock, join).await {
            link.failed(&error);
        }
    }

    /// The version of Redis, as it says itself.
    pub(super) async fn version(&mut self) -> Option<String> {
        info(self.redis.as_mut()?.link.get().await?, "redis_version").await
    }

    /// The most that the clock of api or push may be wrong by, as they say it themselves.
    async fn services_bound(&mut self) -> Nanos {
        let Some(Redis { link, .. }) = &mut self.redis else { return Nanos::ZERO };
        let mut most = Nanos::ZERO;
        for role in ["api", "push"] {
            let Some(connection) = link.get().await else { return most };
            let mut ask = redis::cmd("LRANGE");
            ask.arg(stamps::clock_list(role)).arg(0).arg(0);
            let micros = ask.query_async::<Vec<u64>>(connection).await.unwrap_or_default();
            most = most.max(Nanos(micros.first().copied().unwrap_or(0) * 1_000));
        }
        most
    }

    /// Writes our last stamps, reads everybody's last ones, and says what there is to say.
    pub(super) async fn close(mut self, join: &mut StageJoin) -> LastWords {
        let mut stamps_dropped = 0;
        if let Some((stamper, writer)) = self.stamper.take() {
            stamps_dropped = stamper.dropped();
            drop(stamper);
            // It ends when the last stamper is gone; a panic in it has lost stamps, no more.
            let _ = writer.await;
        }
        self.read_stamps(join).await;
        let theirs = self.services_bound().await;
        let error_bound = self.clock.error_bound(clock::now()).map(|ours| ours + theirs);
        let clock = ClockInfo { offset_us: self.clock.offset_us(), error_bound };
        LastWords { clock, stamps_dropped, gap: self.gap() }
    }

    fn gap(&self) -> Option<String> {
        let Redis { link, lost_before, .. } = self.redis.as_ref()?;
        let losses = link.losses() - lost_before;
        let (address, times) = (link.address(), format_some(losses, "time", "times"));
        (losses > 0).then(|| {
            format!(
                "lost Redis at {address} {times}: queue depth and stages lack what was meanwhile"
            )
        })
    }
}
