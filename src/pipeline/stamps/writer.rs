//! Writes stamps to the log server in batches, in its time.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult, Value};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{BUFFER, Passage, Stamp, Stamper};
use crate::core::Address;
use crate::core::clock::{self, Nanos, ServerClock};
use crate::message::Checkpoint;
use crate::pipeline::metrics::Counter;
use crate::pipeline::servers::StackError;
use crate::pipeline::servers::redis::{Link, Use, connect, describe, refused, server_time};
use crate::pipeline::settings::MessageSettings;

/// Longest time that a stamp waits for others.
const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Time between two comparisons of the clock with the server's.
const COMPARE_EVERY: Duration = Duration::from_secs(1);
/// Round trips of the first comparison.
const TRIPS_AT_START: usize = 16;
/// Round trips of a later comparison.
const TRIPS: usize = 3;
/// Time allowed for writing the last stamps when the service stops.
const LAST_FLUSH: Duration = Duration::from_millis(500);
/// Time after which Redis removes a clock's error bound that its service could not remove.
const BOUND_EXPIRES: Duration = Duration::from_secs(60);

/// Time after which Redis removes a list that gets no more stamps.
const STAMPS_EXPIRE: Duration = Duration::from_secs(86_400);
/// Time after which Redis removes the counter of a list that gets no more stamps.
const COUNTER_EXPIRES: Duration = Duration::from_secs(60);
/// Commands that push stamps to a list and bound it.
const COMMANDS_OF_PUSH: usize = 5;

/// Task that writes stamps. It ends when all stampers are dropped and the last stamps are written.
pub(crate) type StampWriter = JoinHandle<()>;

/// Redis list of the error bound of a service's clock, one number of microseconds.
fn clock_list(role: &str) -> String {
    format!("loadgen:clock:{role}")
}

/// Redis key of the number of stamps that were pushed to a list. It shows a reader how many were trimmed before they
/// were read.
fn counter_of(list: &str) -> String {
    format!("loadgen:stamps:{list}")
}

/// Reads how many stamps were pushed to each of these lists; `None` for a list without a counter.
pub(crate) async fn read_counters(
    connection: &mut MultiplexedConnection,
    lists: impl Iterator<Item = &str>,
) -> RedisResult<Vec<Option<u64>>> {
    let mut pipeline = redis::pipe();
    for list in lists {
        pipeline.cmd("GET").arg(counter_of(list));
    }
    pipeline.query_async(connection).await
}

/// Reads the error bound of a service's clock; 0 if it has published none.
pub(crate) async fn read_bound(connection: &mut MultiplexedConnection, role: &str) -> Nanos {
    let mut command = redis::cmd("LRANGE");
    command.arg(clock_list(role)).arg(0).arg(0);
    let micros = command.query_async::<Vec<u64>>(connection).await.unwrap_or_default();
    Nanos(micros.first().copied().unwrap_or(0).saturating_mul(1_000))
}

/// Deletes all stamp lists of a log server.
pub(crate) async fn clear(log_server: &Address) -> Result<(), StackError> {
    let mut connection = connect(log_server, Use::Commands).await?;
    let lists: Vec<_> = Checkpoint::stamped().filter_map(Checkpoint::list).collect();
    let counters: Vec<_> = lists.iter().map(|list| counter_of(list)).collect();
    let deleted =
        redis::cmd("DEL").arg(lists).arg(counters).query_async::<()>(&mut connection).await;
    deleted.map_err(|error| refused(log_server, &error))
}

/// Starts the writing task on the current runtime. `role` is the service that
/// the clock's error bound is published for.
pub(crate) async fn start(
    log_server: &Address,
    settings: &MessageSettings,
    role: &'static str,
) -> Result<(Stamper, StampWriter), StackError> {
    let link = Link::open(log_server.clone(), Use::Commands).await?;
    let (stamper, passages) = Stamper::new(settings.sample);
    let clock = ServerClock::new(log_server.is_loopback());
    let writer = StampTask {
        link,
        clock,
        role,
        keep: settings.stamps_keep,
        may_bound: true,
        dropped: Arc::clone(&stamper.dropped),
    };
    let task = tokio::spawn(writer.run(passages));
    Ok((stamper, task))
}

struct StampTask {
    link: Link,
    clock: ServerClock,
    role: &'static str,
    /// Stamps that stay in each list.
    keep: u64,
    /// Redis has not refused to trim a list or to let it expire.
    may_bound: bool,
    dropped: Arc<Counter>,
}

impl StampTask {
    async fn run(mut self, mut stamps: mpsc::Receiver<Passage>) {
        let mut batch = Vec::new();
        self.compare(TRIPS_AT_START).await;
        let mut compare_at = Instant::now() + COMPARE_EVERY;
        loop {
            tokio::select! {
                count = stamps.recv_many(&mut batch, BUFFER) => if count == 0 {
                    return self.remove_bound().await;
                },
                () = tokio::time::sleep_until(compare_at) => {}
            }
            if Instant::now() >= compare_at {
                self.compare(TRIPS).await;
                compare_at = Instant::now() + COMPARE_EVERY;
            }
            if batch.is_empty() {
                continue;
            }
            // Wait for more stamps, unless the service stops.
            if !stamps.is_closed() {
                tokio::time::sleep(FLUSH_EVERY).await;
            }
            while let Ok(stamp) = stamps.try_recv() {
                batch.push(stamp);
            }
            let written = if stamps.is_closed() {
                timeout(LAST_FLUSH, self.write(&mut batch)).await.unwrap_or(false)
            } else {
                self.write(&mut batch).await
            };
            if !written {
                self.dropped.add(batch.len() as u64);
            }
            batch.clear();
        }
    }

    async fn compare(&mut self, trips: usize) {
        for _ in 0..trips {
            let Some(connection) = self.link.get().await else { return };
            match server_time(connection).await {
                Ok((asked, answered, server_us)) => self.clock.observe(asked, answered, server_us),
                Err(error) => return self.link.failed(&error),
            }
        }
        self.publish_bound().await;
    }

    /// Publishes the error bound of this process's clock, for the run that joins the stamps.
    async fn publish_bound(&mut self) {
        let Some(bound) = self.clock.error_bound(clock::now()) else { return };
        let Some(connection) = self.link.get().await else { return };
        let list = clock_list(self.role);
        let mut pipeline = redis::pipe();
        pipeline.cmd("DEL").arg(&list).ignore();
        pipeline.cmd("RPUSH").arg(&list).arg(bound.0.div_ceil(1_000)).ignore();
        if let Err(error) = pipeline.query_async::<()>(connection).await {
            return self.link.failed(&error);
        }
        let mut expire = redis::cmd("EXPIRE");
        expire.arg(&list).arg(BOUND_EXPIRES.as_secs());
        // By itself: a user may lack the right.
        if let Err(error) = expire.query_async::<()>(connection).await {
            self.link.failed(&error);
        }
    }

    /// Removes the published bound: only stamps stay.
    async fn remove_bound(&mut self) {
        let Some(connection) = self.link.get().await else { return };
        let mut delete = redis::cmd("DEL");
        delete.arg(clock_list(self.role));
        // If this fails, the list expires.
        let _ = timeout(LAST_FLUSH, delete.query_async::<()>(connection)).await;
    }

    /// Writes a batch, the newest stamp last, so that it is at the head. Returns true if Redis has all of it.
    async fn write(&mut self, batch: &mut [Passage]) -> bool {
        if self.clock.offset_us().is_none() {
            self.compare(TRIPS_AT_START).await;
        }
        // Entries of several threads are mixed.
        batch.sort_by_key(|(_, _, at)| *at);
        let mut pipeline = redis::pipe();
        // An error of one command is found in the results.
        pipeline.ignore_errors();
        for list in Checkpoint::stamped() {
            let stamps = batch.iter().filter(|(passed, ..)| *passed == list);
            let Some(texts) = self.texts(stamps) else { return false };
            if let Some(list) = list.list().filter(|_| !texts.is_empty()) {
                self.add_push(&mut pipeline, list, &texts);
            }
        }
        let Some(connection) = self.link.get().await else { return false };
        match pipeline.query_async::<Vec<RedisResult<Value>>>(connection).await {
            Ok(results) => self.take_results(results),
            Err(error) => {
                self.link.failed(&error);
                false
            }
        }
    }

    /// The stamps as they are written; `None` while the server's time is unknown.
    fn texts<'a>(&self, stamps: impl Iterator<Item = &'a Passage>) -> Option<Vec<String>> {
        let mut texts = Vec::new();
        for (_, id, at) in stamps {
            let stamp = Stamp::new(*id, self.clock.server_micros(*at)?);
            texts.extend(serde_json::to_string(&stamp));
        }
        Some(texts)
    }

    /// Adds the commands that push stamps to a list and bound it.
    fn add_push(&self, pipeline: &mut Pipeline, list: &str, texts: &[String]) {
        pipeline.cmd("LPUSH").arg(list).arg(texts);
        if self.may_bound {
            let counter = counter_of(list);
            pipeline.cmd("LTRIM").arg(list).arg(0).arg(self.keep - 1);
            pipeline.cmd("EXPIRE").arg(list).arg(STAMPS_EXPIRE.as_secs());
            pipeline.cmd("INCRBY").arg(&counter).arg(texts.len());
            pipeline.cmd("EXPIRE").arg(&counter).arg(COUNTER_EXPIRES.as_secs());
        }
    }

    /// Takes in the results of [`Self::add_push`]. Returns true if all stamps were pushed.
    fn take_results(&mut self, results: Vec<RedisResult<Value>>) -> bool {
        let commands = if self.may_bound { COMMANDS_OF_PUSH } else { 1 };
        let mut are_pushed = true;
        for (n, result) in results.into_iter().enumerate() {
            let Err(error) = result else { continue };
            if n % commands == 0 {
                self.link.failed(&error);
                are_pushed = false;
            } else if self.may_bound {
                self.may_bound = false;
                log::warn!(
                    "the stamp lists in Redis at {} grow without a bound: {}; grant the rights to LTRIM, EXPIRE and \
                     INCRBY",
                    self.link.address(),
                    describe(&error)
                );
            }
        }
        are_pushed
    }
}
